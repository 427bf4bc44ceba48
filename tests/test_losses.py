"""Losses against closed forms, torch.distributions, Monte Carlo, and an exactly solvable VAE."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from torch import distributions as D
from torch import nn
from torch.optim import Adam

from belamy import losses, nets
from belamy.divergences import wasserstein, wasserstein_samples
from belamy.errors import InputError
from belamy.game import Game, Noise, Player, fit

RNG = torch.Generator().manual_seed(0)


def rand(*shape):
    return torch.rand(*shape, generator=RNG, dtype=torch.float64)


def randn(*shape):
    return torch.randn(*shape, generator=RNG, dtype=torch.float64)


def test_bernoulli_matches_torch_distributions():
    x, logits = rand(5, 2, 3, 3).round(), 4 * randn(5, 2, 3, 3)
    exact = D.Bernoulli(logits=logits).log_prob(x).flatten(1).sum(1)
    torch.testing.assert_close(losses.bernoulli_log_likelihood(x, logits), exact)


def test_bernoulli_of_greys_is_the_expected_coin_flip():
    x, logits = rand(4, 7), randn(4, 7)
    coin = D.Bernoulli(logits=logits)
    expected = x * coin.log_prob(torch.ones(())) + (1 - x) * coin.log_prob(torch.zeros(()))
    torch.testing.assert_close(losses.bernoulli_log_likelihood(x, logits), expected.sum(1))


def test_bernoulli_is_finite_where_a_sigmoid_saturates():
    value = losses.bernoulli_log_likelihood(torch.ones(1, 1), torch.full((1, 1), -200.0))
    torch.testing.assert_close(value, torch.tensor([-200.0]))


@pytest.mark.parametrize("log_variance", [0.0, -3.2, torch.tensor(1.5, dtype=torch.float64)])
def test_gaussian_matches_torch_distributions_with_all_constants(log_variance):
    x, mean = rand(5, 2, 3), rand(5, 2, 3)
    scale = torch.as_tensor(log_variance, dtype=torch.float64).mul(0.5).exp()
    exact = D.Normal(mean, scale).log_prob(x).flatten(1).sum(1)
    torch.testing.assert_close(losses.gaussian_log_likelihood(x, mean, log_variance), exact)


def test_kl_matches_torch_distributions_and_monte_carlo():
    mean, log_variance = randn(3, 4), randn(3, 4)
    q = D.Normal(mean, (0.5 * log_variance).exp())
    p = D.Normal(torch.zeros(4, dtype=torch.float64), 1)
    ours = losses.kl_to_standard_normal(mean, log_variance)
    torch.testing.assert_close(ours, D.kl_divergence(q, p).sum(1))
    z = mean + (0.5 * log_variance).exp() * randn(200_000, 3, 4)
    sampled = (q.log_prob(z) - p.log_prob(z)).sum(2)
    error = sampled.std(0) / len(z) ** 0.5
    assert ((sampled.mean(0) - ours).abs() < 5 * error).all()


@given(st.lists(st.floats(-8, 8), min_size=2, max_size=6), st.floats(-8, 8))
@settings(deadline=None)
def test_kl_is_not_negative_and_positive_away_from_the_prior(mean, log_variance):
    mean = torch.tensor([mean], dtype=torch.float64)
    value = losses.kl_to_standard_normal(mean, torch.full_like(mean, log_variance))
    assert value >= -1e-12
    if mean.abs().max() > 1e-3 or abs(log_variance) > 1e-3:
        assert value > 0


def test_reparameterised_draws_have_the_stated_moments_and_gradients():
    mean = torch.tensor([[0.5, -1.0]]).expand(100_000, 2).clone().requires_grad_()
    log_variance = torch.tensor([[-1.0, 0.6]]).expand(100_000, 2).clone().requires_grad_()
    z = losses.reparameterise(mean, log_variance, Noise(seed=1))
    torch.testing.assert_close(z.mean(0), mean[0], atol=0.02, rtol=0)
    torch.testing.assert_close(z.var(0), log_variance[0].exp(), atol=0.03, rtol=0)
    # d/dmean E[z^2] = 2 mean and d/dlog_variance E[z^2] = variance
    z.square().mean(0).sum().backward()
    torch.testing.assert_close(mean.grad.sum(0), 2 * mean[0].detach(), atol=0.03, rtol=0)
    torch.testing.assert_close(
        log_variance.grad.sum(0), log_variance[0].detach().exp(), atol=0.03, rtol=0
    )


@pytest.mark.parametrize(
    "loss",
    [losses.bernoulli_log_likelihood, partial(losses.gaussian_log_likelihood, log_variance=0.0)],
)
def test_shapes_that_torch_would_broadcast_are_refused(loss):
    with pytest.raises(InputError, match=r"\(4, 1\).*\(4,\)"):
        loss(torch.rand(4, 1), torch.rand(4))


class LinearEncoder(nn.Module):
    """z ~ N(A (x - b), diag v): all that the posterior of probabilistic PCA needs."""

    def __init__(self, d: int, q: int) -> None:
        super().__init__()
        self.linear = nn.Linear(d, q)
        self.log_variance = nn.Parameter(torch.zeros(q))

    def reset_parameters(self):
        nn.init.zeros_(self.log_variance)

    def forward(self, x):
        mean = self.linear(x)
        return mean, self.log_variance.expand_as(mean)


def linear_elbo(nets, batch, noise):
    mean, log_variance = nets.encoder(batch.x)
    x_mean = nets.decoder(losses.reparameterise(mean, log_variance, noise))
    return {
        "reconstruction": -losses.gaussian_log_likelihood(batch.x, x_mean, nets.spread()).mean(),
        "kl": losses.kl_to_standard_normal(mean, log_variance).mean(),
    }


def linear_game(d, q):
    return Game(
        {"encoder": LinearEncoder(d, q), "decoder": nn.Linear(q, d), "spread": nets.SharedLogVariance()},
        [Player(["encoder", "decoder", "spread"], linear_elbo)],
        seed=0,
    )


def ppca_data(n=2000, d=8, q=2):
    rng = np.random.RandomState(0)
    loadings = rng.randn(q, d) * np.array([[1.5], [0.7]])
    return torch.tensor(rng.randn(n, q) @ loadings + 0.3 * rng.randn(n, d), dtype=torch.float32)


def set_to_ppca(game, pca, q):
    """The maximum likelihood solution of probabilistic PCA (Tipping & Bishop 1999)."""
    variance = pca.noise_variance_
    w = pca.components_.T * np.sqrt(pca.explained_variance_ - variance)  # (d, q)
    m = w.T @ w + variance * np.eye(q)  # diagonal
    f = lambda a: torch.tensor(np.asarray(a), dtype=torch.float32)  # noqa: E731
    with torch.no_grad():
        game.nets.decoder.weight.copy_(f(w))
        game.nets.decoder.bias.copy_(f(pca.mean_))
        game.nets.spread.value.copy_(f(np.log(variance)))
        project = np.linalg.solve(m, w.T)
        game.nets.encoder.linear.weight.copy_(f(project))
        game.nets.encoder.linear.bias.copy_(f(-project @ pca.mean_))
        game.nets.encoder.log_variance.copy_(f(np.log(variance / np.diag(m))))


def elbo(game, x, draws=200):
    noise = Noise(seed=3)
    with torch.no_grad():
        terms = [linear_elbo(game.nets, SimpleNamespace(x=x), noise) for _ in range(draws)]
    return -float(sum(sum(t.values()) for t in terms)) / draws


def test_elbo_of_a_linear_vae_at_the_optimum_is_the_exact_ppca_likelihood():
    x, q = ppca_data(), 2
    pca = PCA(q, svd_solver="full").fit(x.numpy())
    game = linear_game(8, q)
    set_to_ppca(game, pca, q)
    exact = pca.score(x.numpy())  # mean log-likelihood under N(mean, W W' + s^2 I)
    assert elbo(game, x) == pytest.approx(exact, abs=0.01)
    with torch.no_grad():  # any other posterior must fall below the likelihood, by its KL
        game.nets.encoder.log_variance += 0.5
    gap = 2 * 0.5 * (np.exp(0.5) - 1 - 0.5)  # q KL(N(m, v e^.5) || N(m, v))
    assert exact - elbo(game, x) == pytest.approx(gap, abs=0.02)


def test_a_trained_linear_vae_reaches_the_exact_ppca_likelihood():
    x, q = ppca_data(), 2
    exact = PCA(q, svd_solver="full").fit(x.numpy()).score(x.numpy())
    game = linear_game(8, q)
    decay = lambda step: max(0.01, 1 - step / 2000)  # noqa: E731
    fit(game, x, epochs=100, batch_size=100, optimizer=partial(Adam, lr=2e-2), schedule=decay, progress=False)
    assert exact - 0.03 < elbo(game, x) < exact + 0.01


def test_beta_scales_the_kl_alone():
    x = torch.rand(6, 1, 8, 8)
    ns = SimpleNamespace(
        encoder=nets.MLPEncoder((1, 8, 8), 2), decoder=nets.MLPDecoder((1, 8, 8), 2)
    )
    one = losses.negative_elbo(ns, SimpleNamespace(x=x), Noise(seed=5))
    four = losses.negative_elbo(ns, SimpleNamespace(x=x), Noise(seed=5), beta=4)
    torch.testing.assert_close(four["kl"].value, one["kl"])  # in nats, whatever beta is
    assert four["kl"].weight == 4
    torch.testing.assert_close(four["reconstruction"], one["reconstruction"])


def test_adversarial_losses_match_binary_cross_entropy():
    logits = {"x": torch.tensor([0.3, -2.0]), "g": torch.tensor([1.1, -0.4])}
    generator = lambda z: "g"  # noqa: E731
    generator.latent_dim = 1
    ns = SimpleNamespace(generator=generator, discriminator=lambda images: logits[images])
    batch = type("B", (), {"x": "x", "__len__": lambda self: 2})()
    terms = losses.discriminator_loss(ns, batch, Noise())
    bce = nn.functional.binary_cross_entropy_with_logits
    torch.testing.assert_close(terms["real"], bce(logits["x"], torch.ones(2)))
    torch.testing.assert_close(terms["fake"], bce(logits["g"], torch.zeros(2)))
    torch.testing.assert_close(losses.generator_loss(ns, batch, Noise()), bce(logits["g"], torch.ones(2)))


# --- Wasserstein games -----------------------------------------------------------------------------------------------


class Deep(nn.Sequential):
    def forward(self, x):
        return super().forward(x.flatten(1)).squeeze(1)


def deep(activation=nn.Tanh):
    torch.manual_seed(3)
    return Deep(nn.Linear(6, 8), activation(), nn.Linear(8, 8), activation(), nn.Linear(8, 1)).double()


@given(st.lists(st.floats(-3, 3), min_size=4, max_size=4), st.integers(0, 99))
@settings(deadline=None, max_examples=25)
def test_the_penalty_of_a_linear_critic_is_exact(weights, seed):
    w, noise = torch.tensor(weights, dtype=torch.float64), Noise(seed=seed)
    penalty = losses.gradient_penalty(lambda x: x.flatten(1) @ w, rand(5, 2, 2), rand(5, 2, 2), noise)
    torch.testing.assert_close(penalty, (w.norm() - 1) ** 2)


def test_the_penalty_has_the_gradient_that_finite_differences_find():
    critic, real, fake = deep(), randn(7, 2, 3), randn(7, 2, 3)
    penalty = lambda: losses.gradient_penalty(critic, real, fake, Noise(seed=1))  # noqa: E731
    gradient = torch.autograd.grad(penalty(), critic.parameters(), allow_unused=True)
    for weight, found in zip(critic.parameters(), gradient):
        way, ends = torch.randn(weight.shape, generator=RNG, dtype=torch.float64), []
        for step in (1e-5, -2e-5):
            with torch.no_grad():
                weight += step * way
            ends.append(penalty().item())
        with torch.no_grad():
            weight += 1e-5 * way
        along = 0.0 if found is None else (found * way).sum().item()  # the last bias moves no slope
        assert (ends[0] - ends[1]) / 2e-5 == pytest.approx(along, rel=1e-5, abs=1e-8)


def test_the_penalty_looks_between_the_pairs_with_one_share_an_example_and_at_no_other_example():
    real, fake, seen = randn(6, 2, 3), randn(6, 2, 3), []
    losses.gradient_penalty(lambda x: seen.append(x) or x.flatten(1).square().sum(1), real, fake, Noise(seed=2))
    share = ((seen[0] - fake) / (real - fake)).flatten(1)  # (6, 6)
    torch.testing.assert_close(share, share[:, :1].expand(-1, 6))
    assert 0 <= share.min() and share.max() < 1 and share[:, 0].unique().numel() == 6
    one = losses.gradient_penalty(deep(), real[:1], fake[:1], Noise(seed=2))
    three = losses.gradient_penalty(deep(), real[:1].expand(3, -1, -1), fake[:1].expand(3, -1, -1), Noise(seed=2))
    assert one > 0 and three > 0  # means, not sums: as large for three as for one
    assert 0.2 < (three / one).item() < 5


def transport(a, b, cost):
    """Cost, plan and prices of the linear programme."""
    from scipy.optimize import linprog

    n, m = cost.shape
    conditions = np.vstack([np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))])
    solved = linprog(cost.ravel(), A_eq=conditions, b_eq=np.concatenate([a, b]), method="highs")
    prices = solved.eqlin.marginals
    return solved.fun, solved.x.reshape(n, m), prices[:n], prices[n:]


@pytest.mark.parametrize("seed", range(4))
def test_the_dual_is_below_the_primal_and_equal_at_the_best_critic(seed):
    rng = np.random.default_rng(seed)
    x, y = torch.tensor(rng.normal(0, 1, (9, 2))), torch.tensor(rng.normal(1, 1, (9, 2)))
    even, cost = np.full(9, 1 / 9), torch.cdist(x, y).numpy()
    primal, plan, price, toll = transport(even, even, cost)
    assert wasserstein_samples(x, y).item() == pytest.approx(primal, abs=1e-9)
    report = lambda f: -sum(losses.wasserstein_critic(f(x), f(y)).values()).item()  # noqa: E731
    best = lambda p: (torch.cdist(p, y) - torch.tensor(toll)).amin(1)  # noqa: E731  1-Lipschitz
    assert report(best) == pytest.approx(primal, abs=1e-6)  # scores are at least float32
    for direction in rng.normal(0, 1, (20, 2)):  # any other critic of slope 1 reports less
        u = torch.tensor(direction / np.linalg.norm(direction))
        assert report(lambda p, u=u: p @ u) <= primal + 1e-6
    coupled = plan > 1e-9
    np.testing.assert_allclose((price[:, None] + toll[None])[coupled], cost[coupled], atol=1e-9)
    generator = losses.wasserstein_generator(best(y)).item()  # the generator climbs what the critic reports
    assert generator == pytest.approx(primal - best(x).mean().item(), abs=1e-6)


def test_exact_distances_are_those_of_pot_and_of_gaussians():
    ot = pytest.importorskip("ot")
    rng = np.random.default_rng(5)
    x, y = rng.normal(0, 1, (8, 3)), rng.normal(1, 2, (11, 3))
    a, b = rng.dirichlet(np.ones(8)), rng.dirichlet(np.ones(11))
    cost = torch.cdist(torch.tensor(x), torch.tensor(y)).numpy()
    assert transport(a, b, cost)[0] == pytest.approx(ot.emd2(a, b, cost), abs=1e-9)
    line, other = torch.tensor(x[:, 0]), torch.tensor(y[:, 0])
    assert wasserstein_samples(line, other).item() == pytest.approx(ot.wasserstein_1d(x[:, 0], y[:, 0]), abs=1e-9)
    grid = torch.linspace(-8, 12, 4001, dtype=torch.float64)
    bell = lambda mean: D.Normal(mean, 0.5).log_prob(grid).exp()  # noqa: E731
    assert wasserstein(bell(0.0), bell(3.5), 0.005).item() == pytest.approx(3.5, abs=1e-6)


@pytest.mark.parametrize("threshold", [0.05, 0.5])
def test_clipped_weights_bound_the_slope_by_the_product_of_the_layers_norms(threshold):
    critic = deep(nn.ReLU)
    with torch.no_grad():
        for weight in critic.parameters():
            weight.clamp_(-threshold, threshold)
    x = (3 * randn(200, 6)).requires_grad_()
    (slope,) = torch.autograd.grad(critic(x).sum(), x)
    layers = [layer for layer in critic if isinstance(layer, nn.Linear)]
    by_entries = np.prod([threshold * layer.weight.numel() ** 0.5 for layer in layers])
    by_values = np.prod([torch.linalg.matrix_norm(layer.weight, 2).item() for layer in layers])
    assert slope.norm(dim=1).max() <= by_values * (1 + 1e-9) <= by_entries * (1 + 1e-9)
