"""Likelihoods: linear-Gaussian models, whose log p(x) is known, quadrature, and closed forms."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.neighbors import KernelDensity
from torch import distributions as D

from belamy import _annealing, losses, nets
from belamy import likelihood as L
from belamy.errors import InputError
from belamy.randomness import Noise

seeds = st.integers(0, 2**32 - 1)
property_based = settings(deadline=None, max_examples=15)
AIS = {"steps": 40, "chains": 4, "leapfrog": 5, "progress": False}


class LinearGaussian:
    """x = W z + b + sigma noise; z ~ N(0, I), turned so that p(z|x) has a diagonal covariance."""

    def __init__(self, seed, dimensions, latent_dim, sigma, n):
        draw = np.random.RandomState(seed)
        weight, b = draw.randn(dimensions, latent_dim) * 0.5, draw.randn(dimensions) * 0.1
        z = draw.randn(n, latent_dim)
        x = z @ weight.T + b + sigma * draw.randn(n, dimensions)
        turn = np.linalg.svd(weight)[2].T
        self.sigma, self.latent_dim, self.unturned = sigma, latent_dim, torch.tensor(weight)
        self.weight, self.b, self.x, self.z = map(torch.tensor, (weight @ turn, b, x, z @ turn))
        self.log_likelihood = L.gaussian(self.decoder, sigma)
        self.precision = 1 + self.weight.square().sum(0) / sigma**2  # of p(z|x)
        covariance = self.weight @ self.weight.T + sigma**2 * torch.eye(dimensions, dtype=torch.float64)
        self.log_density = D.MultivariateNormal(self.b, covariance).log_prob
        self.exact = self.log_density(self.x)

    def decoder(self, z):
        return z @ self.weight.to(z).T + self.b.to(z)

    def simulate(self, n, seed=0):
        """n more images, their latents and their exact log p(x)."""
        rng = torch.Generator().manual_seed(seed)
        z = torch.randn(n, self.latent_dim, generator=rng, dtype=torch.float64)
        x = self.decoder(z)
        x = x + self.sigma * torch.randn(*x.shape, generator=rng, dtype=torch.float64)
        return x, z, self.log_density(x)

    def encoder(self, scale=1.0):
        """p(z|x), its standard deviation times ``scale``."""

        def encode(x):
            mean = (x - self.b.to(x)) @ self.weight.to(x) / self.sigma**2 / self.precision.to(x)
            return mean, (scale**2 / self.precision).log().to(x).expand_as(mean)

        return encode

    def mean_field(self):
        """The model in its first latents, whose posterior is not diagonal, and the best diagonal q."""
        precision = torch.eye(self.latent_dim) + self.unturned.T @ self.unturned / self.sigma**2

        def encode(x):
            mean = (x - self.b) @ self.unturned / self.sigma**2 @ precision.inverse()
            return mean, -precision.diagonal().log().expand_as(mean)

        return L.gaussian(lambda z: z @ self.unturned.T + self.b, self.sigma), encode


GOLDEN = LinearGaussian(0, 64, 8, 0.1, 200)
SMALL = LinearGaussian(1, 6, 2, 0.4, 12)


def error(values):
    """Standard error of the mean."""
    return float(values.std() / len(values) ** 0.5)


# --- importance weighting --------------------------------------------------------------------------


def test_the_golden_model():
    assert float(GOLDEN.exact.mean()) == pytest.approx(28.2745, abs=5e-5)
    assert float(GOLDEN.exact.std(correction=0)) == pytest.approx(5.303, abs=0.02)


@pytest.mark.parametrize("k", [1, 2, 50])
def test_iwae_with_the_exact_posterior_is_exact(k):
    estimate = L.iwae(GOLDEN.log_likelihood, GOLDEN.x, GOLDEN.encoder(), k)
    torch.testing.assert_close(estimate, GOLDEN.exact, atol=1e-9, rtol=0)


@pytest.mark.parametrize("scale, values", [(1.5, (26.518, 28.254)), (0.7, (27.460, 28.154))])
def test_iwae_of_a_wrong_posterior(scale, values):
    """At k=1 by the closed form of KL(q || p(z|x))."""
    encoder = GOLDEN.encoder(scale)
    for k, value, tolerance in zip((1, 50), values, (0.3, 0.06)):
        runs = [L.iwae(GOLDEN.log_likelihood, GOLDEN.x, encoder, k, seed=seed) for seed in range(8)]
        assert float(torch.stack(runs).mean()) == pytest.approx(value, abs=tolerance)


def test_iwae_of_a_wrong_posterior_with_5000_samples():
    estimate = L.iwae(GOLDEN.log_likelihood, GOLDEN.x, GOLDEN.encoder(1.5), 5000, chunk=20_000)
    assert float(estimate.mean()) == pytest.approx(28.276, abs=0.02)


def test_iwae_of_the_best_mean_field_posterior():
    log_likelihood, encoder = GOLDEN.mean_field()
    for k, value, tolerance in ((1, 28.2745 - 0.1917, 0.1), (50, 28.271, 0.02)):
        runs = [L.iwae(log_likelihood, GOLDEN.x, encoder, k, seed=s) for s in range(4)]
        assert float(torch.stack(runs).mean()) == pytest.approx(value, abs=tolerance)


def test_iwae_grows_with_k_and_stays_below():
    x, _, exact = SMALL.simulate(2000)
    means = []
    for k in (1, 2, 4, 16, 64):
        gap = L.iwae(SMALL.log_likelihood, x, SMALL.encoder(2.0), k) - exact
        assert gap.mean() <= 4 * error(gap)
        means.append(float(gap.mean()))
    assert means == sorted(means)
    assert means[0] == pytest.approx(-2 * (1.5 - math.log(2)), abs=0.2)  # -KL(q || p(z|x))


def test_a_smaller_k_takes_the_first_draws():
    one, two = (L.iwae(SMALL.log_likelihood, SMALL.x, SMALL.encoder(2.0), k) for k in (1, 2))
    assert (two + math.log(2) >= one).all()


# --- annealing -------------------------------------------------------------------------------------


@given(seeds, st.integers(2, 7), st.integers(1, 3), st.floats(0.1, 1), st.integers(1, 4))
@property_based
def test_from_the_exact_posterior_everything_is_exact(seed, dimensions, latent_dim, sigma, steps):
    model = LinearGaussian(seed, dimensions, latent_dim, sigma, 3)
    settings = AIS | {"encoder": model.encoder(), "steps": steps}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_annealing, "PILOT_STEPS", 3)
        bounds = L.bdmc(model.log_likelihood, model.x, model.z, **settings)
    importance = L.iwae(model.log_likelihood, model.x, model.encoder(), steps)
    for value in (*bounds, importance):
        torch.testing.assert_close(value, model.exact, atol=1e-7, rtol=0)


def test_ais_of_the_golden_model():
    """A sharper schedule than the default, as the posterior is fifty times narrower than the prior."""
    schedule = {"steps": 3000, "leapfrog": 5, "sharpness": 6}
    estimate = L.ais(GOLDEN.log_likelihood, GOLDEN.x[:20], 8, **schedule, progress=False)
    assert abs(float((estimate - GOLDEN.exact[:20]).mean())) < 0.5


def test_ais_of_a_small_model_image_by_image():
    estimate = L.ais(SMALL.log_likelihood, SMALL.x, 2, steps=200, progress=False)
    torch.testing.assert_close(estimate, SMALL.exact, atol=0.6, rtol=0)
    assert abs(float((estimate - SMALL.exact).mean())) < 0.1


def test_weights_have_the_right_mean_forwards_and_backwards(monkeypatch):
    """E[w] = p(x), E[1/w] = 1/p(x): what adapting step sizes within the run would spoil."""
    monkeypatch.setattr(_annealing, "PILOT_STEPS", 60)
    x, z, exact = SMALL.simulate(1500)
    lower, upper = L.bdmc(SMALL.log_likelihood, x, z, **AIS)
    for ratio in ((lower - exact).exp(), (exact - upper).exp()):
        assert abs(float(ratio.mean()) - 1) < 4 * error(ratio) < 0.2


def test_bdmc_brackets_and_its_gap_shrinks(monkeypatch):
    monkeypatch.setattr(_annealing, "PILOT_STEPS", 60)
    x, z, exact = SMALL.simulate(200)
    gaps = []
    for steps in (5, 20, 80):
        lower, upper = L.bdmc(SMALL.log_likelihood, x, z, **AIS | {"steps": steps})
        assert lower.mean() <= exact.mean() + 4 * error(lower - exact)
        assert upper.mean() >= exact.mean() - 4 * error(upper - exact)
        gaps.append(float((upper - lower).mean()))
    assert gaps[0] > 2 * gaps[1] > 4 * gaps[2] > 0


def test_one_step_is_importance_sampling_from_the_prior():
    estimate = L.ais(SMALL.log_likelihood, SMALL.x, 2, steps=1, chains=20_000, progress=False)
    torch.testing.assert_close(estimate, SMALL.exact, atol=0.2, rtol=0)


def test_one_step_backwards_weighs_the_exact_latents():
    settings = AIS | {"steps": 1}
    _, upper = L.bdmc(SMALL.log_likelihood, SMALL.x, SMALL.z, **settings)
    likelihood = SMALL.log_likelihood(SMALL.x, SMALL.z)
    torch.testing.assert_close(upper, likelihood, atol=1e-9, rtol=0)
    _, upper = L.bdmc(SMALL.log_likelihood, SMALL.x, SMALL.z, encoder=SMALL.encoder(2.0), **settings)
    mean, log_variance = SMALL.encoder(2.0)(SMALL.x)
    q = losses.gaussian_log_likelihood(SMALL.z, mean, log_variance)
    joint = likelihood + losses.gaussian_log_likelihood(SMALL.z, 0 * mean, 0.0)
    torch.testing.assert_close(upper, joint - q, atol=1e-9, rtol=0)


def test_a_start_from_the_encoder_helps(monkeypatch):
    monkeypatch.setattr(_annealing, "PILOT_STEPS", 60)
    x, _, exact = SMALL.simulate(200)
    few = AIS | {"steps": 5}
    prior = L.ais(SMALL.log_likelihood, x, 2, **few)
    start = L.ais(SMALL.log_likelihood, x, 2, encoder=SMALL.encoder(2.0), **few)
    assert -0.5 < float((start - exact).mean()) < 4 * error(start - exact)
    assert (prior - exact).mean() < 2 * (start - exact).mean()


def test_a_net_with_bernoulli_pixels_against_quadrature():
    rng = torch.Generator().manual_seed(0)
    net = nets.MLPDecoder((1, 4, 4), 2, (8,)).double()
    for parameter in net.parameters():
        parameter.data = torch.randn(parameter.shape, generator=rng, dtype=torch.float64)

    def log_likelihood(x, z):
        return losses.bernoulli_log_likelihood(x, net(z))

    def prior(x):
        return (torch.zeros(len(x), 2, dtype=torch.float64),) * 2

    x = torch.rand(6, 1, 4, 4, generator=rng, dtype=torch.float64).round()
    axis = torch.linspace(-6, 6, 241, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    weights = losses.gaussian_log_likelihood(grid, 0 * grid, 0.0) + 2 * math.log(0.05)
    with torch.no_grad():
        scores = torch.stack([log_likelihood(image.expand(len(grid), 1, 4, 4), grid) for image in x])
    exact = (scores + weights).logsumexp(1)
    estimate = L.ais(log_likelihood, x, 2, steps=300, progress=False)
    torch.testing.assert_close(estimate, exact, atol=0.4, rtol=0)
    assert abs(float((estimate - exact).mean())) < 0.2
    torch.testing.assert_close(L.iwae(log_likelihood, x, prior, 20_000), exact, atol=0.1, rtol=0)


def test_where_the_decoder_gives_nan_a_move_is_refused():
    def log_likelihood(x, z):
        return torch.where(z[:, 0] < 2.6, SMALL.log_likelihood(x, z), math.nan)

    x = SMALL.decoder(torch.tensor([[2.4, 0.0]], dtype=torch.float64))
    assert L.ais(log_likelihood, x, 2, **AIS, seed=1).isfinite().all()


# --- both: precision, memory, randomness -----------------------------------------------------------


def estimates(model=SMALL, x=SMALL.x, **settings):
    both = {"latents": model.z.to(x), "encoder": model.encoder(1.5)}
    yield L.iwae(model.log_likelihood, x, model.encoder(1.5), 9, **settings)
    yield L.ais(model.log_likelihood, x, 2, **AIS, **settings)
    yield from L.bdmc(model.log_likelihood, x, **both, **AIS, **settings)


def test_float32_nets_give_float64_values_near_those_of_float64(monkeypatch):
    """Of one seed; but a long trajectory doubles its rounding errors many times, so AIS on average."""
    monkeypatch.setattr(_annealing, "PILOT_STEPS", 20)
    (iwae, *annealed), (iwae_32, *annealed_32) = estimates(), estimates(x=SMALL.x.float())
    torch.testing.assert_close(iwae_32, iwae, atol=1e-5, rtol=0)
    for exact, value in zip(annealed, annealed_32):
        assert exact.dtype == value.dtype == torch.float64
        assert float((value - exact).abs().median()) < 0.01
    from_posterior = L.ais(SMALL.log_likelihood, SMALL.x.float(), 2, encoder=SMALL.encoder(), **AIS)
    torch.testing.assert_close(from_posterior, SMALL.exact, atol=1e-4, rtol=0)


def test_chunks_change_nothing(monkeypatch):
    monkeypatch.setattr(_annealing, "PILOT_STEPS", 20)
    for whole, parts in zip(estimates(chunk=10_000), estimates(chunk=7)):
        torch.testing.assert_close(whole, parts, atol=1e-8, rtol=0)


def test_no_more_pairs_than_a_chunk_are_decoded_at_once():
    sizes = []

    def log_likelihood(x, z):
        sizes.append(len(z))
        return SMALL.log_likelihood(x, z)

    L.iwae(log_likelihood, SMALL.x, SMALL.encoder(), 20, chunk=50)
    L.ais(log_likelihood, SMALL.x, 2, **AIS | {"steps": 2}, chunk=50)
    assert max(sizes) <= 50


def test_the_seed_says_all(monkeypatch):
    monkeypatch.setattr(_annealing, "PILOT_STEPS", 5)
    before = torch.get_rng_state()
    for first, again, other in zip(estimates(seed=3), estimates(seed=3), estimates(seed=4)):
        assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(before, torch.get_rng_state())


def test_nets_collect_no_gradients():
    net = nets.MLPDecoder((6,), 2, (4,)).double()
    value = L.ais(L.gaussian(net, 0.4), SMALL.x, 2, **AIS | {"steps": 2})
    assert not value.requires_grad and all(p.grad is None for p in net.parameters())


# --- Parzen windows --------------------------------------------------------------------------------


@given(seeds, st.integers(1, 30), st.integers(1, 30), st.floats(0.05, 3))
@property_based
def test_parzen_agrees_with_scikit_learn(seed, m, n, h):
    rng = np.random.default_rng(seed)
    samples, images = rng.normal(size=(m, 2, 3)), rng.normal(size=(n, 2, 3))
    kernel = KernelDensity(bandwidth=h, kernel="gaussian").fit(samples.reshape(m, 6))
    exact = torch.tensor(kernel.score_samples(images.reshape(n, 6)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(L, "VALUES_AT_ONCE", 40)  # six rows at a time
        value = L.parzen(torch.tensor(samples), torch.tensor(images), h)
    torch.testing.assert_close(value, exact, atol=1e-9, rtol=1e-9)
    order = torch.tensor(rng.permutation(n))
    shuffled = torch.tensor(samples)[rng.permutation(m)]
    torch.testing.assert_close(L.parzen(shuffled, torch.tensor(images)[order], h), value[order])


def test_parzen_of_one_sample_is_a_gaussian():
    x, mean = torch.rand(2, 5, 3, 4, generator=torch.Generator().manual_seed(0))
    value = L.parzen(mean[:1], x, 0.3)
    exact = D.Normal(mean[0].double(), 0.3).log_prob(x.double()).flatten(1).sum(1)
    assert value.dtype == torch.float64
    torch.testing.assert_close(value, exact)


def test_parzen_is_far_below_the_truth():
    samples, validation = GOLDEN.simulate(10_000)[0], GOLDEN.simulate(200, seed=1)[0]
    h = max((0.3, 0.4, 0.5, 0.6), key=lambda h: L.parzen(samples, validation, h).mean())
    value = float(L.parzen(samples, GOLDEN.x, h).mean())
    assert h == 0.5
    assert value == pytest.approx(-59.2, abs=1)
    assert value < float(GOLDEN.exact.mean()) - 80


# --- observation model and units -------------------------------------------------------------------


def test_gaussian_scores_in_float64():
    x, mean = torch.rand(2, 3, 1, 50, 50, generator=torch.Generator().manual_seed(0))
    value = L.gaussian(lambda z: mean, 0.01)(x, torch.zeros(3, 2))
    exact = D.Normal(mean.double(), 0.01).log_prob(x.double()).flatten(1).sum(1)
    assert value.dtype == torch.float64
    torch.testing.assert_close(value, exact, rtol=1e-13, atol=0)


def test_dequantised_images_are_spread_within_their_level():
    images = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).repeat(50, 1, 1, 1)
    y = L.dequantise(images, seed=1)
    assert y.dtype == torch.float32 and 0 <= y.min() and y.max() <= 1
    spread = 256 * y.double() - images
    assert 0 <= spread.min() and spread.max() <= 1
    assert float(spread.mean()) == pytest.approx(1 / 2, abs=0.01)
    assert float(spread.var()) == pytest.approx(1 / 12, abs=0.01)
    assert torch.equal(y, L.dequantise(images, seed=1))
    assert not torch.equal(y, L.dequantise(images, seed=2))


@given(st.floats(20, 230), st.floats(0.3, 60))
@property_based
def test_dequantised_likelihood_is_at_most_the_discrete_one(mean, scale):
    """Theis et al. 2016: E_y[log q(y)] <= sum_x P(x) log Q(x), Q(x) the mass of q on [x, x + 1)."""
    levels = torch.randint(256, (400, 1, 5, 5), generator=torch.Generator().manual_seed(0)).byte()
    y = L.dequantise(levels).double().numpy()
    density = norm(mean / 256, scale / 256).logpdf(y).sum((1, 2, 3)).mean() - 25 * math.log(256)
    x = levels.double().numpy()
    upper, lower = np.abs(x - mean), np.abs(x + 1 - mean)  # by symmetry, in the tail that is exact
    near, far = np.minimum(upper, lower), np.maximum(upper, lower)
    within = (x <= mean) & (mean <= x + 1)
    log_sf = norm(0, scale).logsf
    tail = log_sf(near) + np.log1p(-np.exp(np.minimum(log_sf(far) - log_sf(near), -1e-300)))
    middle = np.log(np.maximum(norm(mean, scale).cdf(x + 1) - norm(mean, scale).cdf(x), 1e-300))
    discrete = np.where(within, middle, tail).sum((1, 2, 3)).mean()
    assert density <= discrete + 1e-3 * abs(discrete)


def test_dequantisation_loses_nothing_where_the_density_is_flat_within_levels():
    """Equality: q constant on each level, 2/256 of the mass below 128 of 256, none above."""
    levels = torch.randint(128, (100, 3), generator=torch.Generator().manual_seed(0)).byte()
    density = D.Uniform(0.0, 0.5, validate_args=False).log_prob(L.dequantise(levels)).sum(1).mean()
    assert float(density) - 3 * math.log(256) == pytest.approx(3 * math.log(1 / 128), rel=1e-6)


def test_bits_per_dimension():
    assert L.bits_per_dimension(0.0, 784) == 8  # the uniform model
    assert L.bits_per_dimension(991.435, 784) == pytest.approx(6.18, abs=5e-3)  # Wu et al. 2017
    assert L.bits_per_dimension(627.297, 784) == pytest.approx(6.85, abs=5e-3)
    nats = torch.tensor([0.0, 3 * math.log(2)], dtype=torch.float64)
    torch.testing.assert_close(L.bits_per_dimension(nats, 3), torch.tensor([8.0, 7.0]).double())


# --- bad input -------------------------------------------------------------------------------------

SPOILT = SMALL.x.clone()
SPOILT[3, 2] = math.nan
WIDE = torch.randn(40, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
SCORE, ENCODER = SMALL.log_likelihood, SMALL.encoder()


def ais(x=SMALL.x, latent_dim=2, score=SCORE, **settings):
    return L.ais(score, x, latent_dim, **AIS | settings)


def infinite_at_some_latents(x, z):
    return SCORE(x, z) + torch.where(z[:, 0] > 1.5, torch.inf, 0)


def iwae(x=SMALL.x, encoder=ENCODER, k=2, score=SCORE, **settings):
    return L.iwae(score, x, encoder, k, **settings)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: iwae(SPOILT), r"images\[3\] holds NaN or infinity"),
        (lambda: ais(SPOILT), r"images\[3\] holds NaN or infinity"),
        (lambda: iwae(SMALL.x[:0]), r"images of shape \(0, 6\).*not empty"),
        (lambda: ais(SMALL.x.byte()), r"images are torch.uint8.*dequantise"),
        (lambda: ais(SMALL.x.numpy()), "images are ndarray"),
        (lambda: iwae(k=0), "k=0 must be a whole number of at least 1"),
        (lambda: iwae(k=2.5), "k=2.5"),
        (lambda: iwae(chunk=0), "chunk=0"),
        (lambda: iwae(seed=-1), "seed=-1"),
        (lambda: iwae(encoder=lambda x: (x[:, :2], x[:, :3])), r"\(12, 2\) and \(12, 3\)"),
        (lambda: iwae(encoder=lambda x: (x[:, :2, None],) * 2), r"\(12, 2, 1\) and \(12, 2, 1\) for 12 images"),
        (lambda: iwae(encoder=lambda x: (x[:11, :2],) * 2), r"\(11, 2\) and \(11, 2\) for 12 images"),
        (lambda: iwae(encoder=lambda x: (x[:, :2] * math.nan, x[:, :2])), "is NaN or infinite"),
        (lambda: iwae(score=lambda x, z: x), r"of 2 pairs has shape \(2, 6\); expected \(2,\)"),
        (lambda: iwae(score=lambda x, z: z[:, 0] / 0), "is NaN or infinite at the first latents"),
        (lambda: ais(score=lambda x, z: SCORE(x[:, :5], z)), r"shape \(2, 5\) against .* \(2, 6\)"),
        (lambda: ais(score=lambda x, z: SCORE(x, z.detach())), "no gradient in z"),
        (lambda: ais(score=lambda x, z: SCORE(x, z) - SCORE(x, z).mean()), "in one batch .* eval()"),
        (lambda: ais(latent_dim=0), "latent_dim=0"),
        (lambda: ais(latent_dim=3, encoder=ENCODER), "latent_dim=3, but the encoder's q is 2"),
        (lambda: ais(steps=0), "steps=0 must be"),
        (lambda: ais(chains=0), "chains=0 must be"),
        (lambda: ais(leapfrog=0), "leapfrog=0 must be"),
        (lambda: ais(sharpness=0), "sharpness=0 must be a finite number of at least 1e-06"),
        (lambda: L.bdmc(SCORE, SMALL.x, SMALL.z[:5]), r"latents of shape \(5, 2\) for 12 images"),
        (lambda: ais(sharpness=1e-20), "sharpness=1e-20 must be"),  # its temperatures are 0 / 0
        (lambda: ais(latent_dim=2.0), "latent_dim=2.0 must be a whole number"),
        (lambda: ais(score=infinite_at_some_latents), "is NaN or infinite"),
        (lambda: L.bdmc(SCORE, SMALL.x, SMALL.z * math.nan), r"latents\[0\] holds NaN"),
        (lambda: L.bdmc(SCORE, SMALL.x, SMALL.z.numpy()), "latents are ndarray"),
        (lambda: L.bdmc(SCORE, SMALL.x.numpy(), SMALL.z), "images are ndarray"),
        (lambda: L.parzen(SMALL.x, SMALL.x, 0), "h=0 must be a finite number of at least 1e-100"),
        (lambda: L.parzen(SMALL.x, SMALL.x, math.nan), "h=nan"),
        (lambda: L.parzen(SMALL.x, SMALL.x, 1e-200), "h=1e-200"),  # its square is 0
        (lambda: L.parzen(SMALL.x, SMALL.x, 1e200), "h=1e"),
        (lambda: L.parzen(WIDE * 1e200, WIDE * 1e200, 1), r"values reach \d.*e\+200"),
        (lambda: L.gaussian(SMALL.decoder, 1e-200), "sigma=1e-200"),
        (lambda: L.dequantise(None), "images are NoneType"),
        (lambda: L.parzen(SPOILT, SMALL.x, 1), r"samples\[3\] holds NaN"),
        (lambda: L.parzen(SMALL.x, SPOILT, 1), r"images\[3\] holds NaN"),
        (lambda: L.parzen(SMALL.x[:, :5], SMALL.x, 1), r"shape \(5,\), images of \(6,\)"),
        (lambda: L.gaussian(SMALL.decoder, 0), "sigma=0 must be a finite number of at least 1e-100"),
        (lambda: L.dequantise(SMALL.x), "images are torch.float64; dequantise takes uint8"),
        (lambda: L.bits_per_dimension(0.0, 0), "dimensions=0"),
    ],
)
def test_what_cannot_be_estimated_is_refused(call, words):
    with pytest.raises(InputError, match=words):
        call()


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_where_gradients_are_switched_off_everything_is_the_same(mode):
    def everything():
        x, z = SMALL.x + 0, SMALL.z + 0  # made in the mode
        lower, upper = L.bdmc(SCORE, x, z, **AIS)
        return torch.stack([ais(x), ais(x, encoder=ENCODER), lower, upper, iwae(x), L.parzen(x, x, 1)])

    with mode():
        found = everything()
        assert not torch.is_grad_enabled()
    assert torch.equal(found, everything()) and not found.requires_grad


def test_numpy_s_numbers_are_taken():
    whole, real = np.int64(3), np.float32(0.5)
    assert torch.equal(iwae(k=whole, seed=whole, chunk=whole), iwae(k=3, seed=3, chunk=3))
    settings = {"steps": whole, "chains": whole, "leapfrog": whole, "seed": whole, "sharpness": real}
    plain = {name: value.item() for name, value in settings.items()}
    assert torch.equal(ais(latent_dim=np.int64(2), **settings), ais(latent_dim=2, **plain))
    assert torch.equal(L.parzen(SMALL.x, SMALL.x, real), L.parzen(SMALL.x, SMALL.x, 0.5))


@pytest.mark.parametrize("sharpness", [4.0, 80.0])  # at 80 the last temperatures coincide
def test_where_no_latent_explains_an_image_its_likelihood_is_0(sharpness):
    def nothing(x, z):
        return SCORE(x, z) - torch.where(x[:, 0] > SMALL.x[0, 0] - 1e-9, torch.inf, 0)

    gone = SMALL.x[:, 0] > SMALL.x[0, 0] - 1e-9
    for found in (iwae(score=nothing), ais(score=nothing, sharpness=sharpness)):
        assert (found[gone] == -torch.inf).all() and found[~gone].isfinite().all()


def test_a_net_that_views_its_images_as_rows_takes_them_in_any_layout():
    x = torch.rand(4, 3, 2, 2, generator=torch.Generator().manual_seed(1))
    score = lambda x, z: -(x.view(len(x), -1).sum(1) - z.sum(1)).square()  # noqa: E731
    plain = iwae(x, lambda x: (x.view(len(x), -1)[:, :2], x.view(len(x), -1)[:, 2:4]), score=score)
    laid = iwae(
        x.to(memory_format=torch.channels_last),
        lambda x: (x.view(len(x), -1)[:, :2], x.view(len(x), -1)[:, 2:4]),
        score=score,
    )
    assert torch.equal(plain, laid)


def test_batch_normalisation_in_training_is_refused():
    generator = nets.Generator(16, latent_dim=3, channels=1, width=4)
    log_likelihood = L.gaussian(generator, 0.2)
    x = Noise().uniform(2, 1, 16, 16)
    with pytest.raises(InputError, match=r"decoder\.eval\(\)"):
        L.ais(log_likelihood, x, 3, **AIS)
    generator.eval()
    assert L.ais(log_likelihood, x, 3, **AIS | {"steps": 2}).isfinite().all()
