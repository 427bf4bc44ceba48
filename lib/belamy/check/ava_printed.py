"""Checks of the exercises to 'Adversarial VAEs: as printed': rules beside gradients."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from belamy.check import Check, Fresh


def slope(a: Tensor) -> Tensor:
    """Of a logistic neuron, from its output."""
    return a * (1 - a)


# --- the encoder's rule --------------------------------------------------------------------------


def two_outputs(fresh: Fresh) -> tuple:
    size = fresh.sizes((3, 9), (2, 7))
    return fresh.uniform(*size, low=0.05, high=0.95), fresh.uniform(*size, low=0.05, high=0.95)


def encoder_errors(of_mean, of_variance):
    """The errors that two derivatives make: functions of the mean, of the variance."""
    return lambda mean, variance: (-of_mean(mean) * slope(mean), -of_variance(variance) * slope(variance))


encoder_error = Check(
    reference=lambda mean, variance: (-mean * slope(mean), -0.5 * (1 - 1 / variance) * slope(variance)),
    draw=two_outputs,
    returns="two tensors (batch, latents), the errors of the neurons for the mean and for the variance",
    mistakes={
        "You left out the slopes a′ of the neurons: what you have are the errors of the outputs, not of what "
        "flows into the neurons.": lambda mean, variance: (-mean, -0.5 * (1 - 1 / variance)),
        "At the neurons of the variance the slope a′ is missing; they are logistic as well.": lambda mean, variance: (
            -mean * slope(mean),
            -0.5 * (1 - 1 / variance),
        ),
        "At the neurons of the mean the slope a′ is missing; they are logistic as well.": lambda mean, variance: (
            -mean,
            -0.5 * (1 - 1 / variance) * slope(variance),
        ),
        "You multiplied both errors by the slope of the mean's neurons; every neuron has its own slope.": lambda m, v: (
            -m * slope(m),
            -0.5 * (1 - 1 / v) * slope(m),
        ),
        "You treated the second output as the logarithm of the variance; here it is the variance itself.": (
            encoder_errors(lambda m: m, lambda v: 0.5 * (v.exp() - 1))
        ),
        "You differentiated for the logarithm of the variance; the second output is the variance itself.": (
            encoder_errors(lambda m: m, lambda v: 0.5 * (v - 1))
        ),
        "You treated the second output as a standard deviation; here it is the variance itself.": (
            encoder_errors(lambda m: m, lambda v: v - 1 / v)
        ),
        "In the variance's error the ½ in front of the bracket is missing.": (
            encoder_errors(lambda m: m, lambda v: 1 - 1 / v)
        ),
    },
)


# --- a rule beside its objective -----------------------------------------------------------------


def rule_and_objective(fresh: Fresh) -> tuple:
    n, double = fresh.integer(5, 12), torch.float64
    x, weights = fresh.uniform(n, dtype=double), fresh.normal(n, dtype=double)
    answer = lambda a: torch.sigmoid(weights @ a)
    rule = lambda a: (x - a + answer(a)) * slope(a)
    objective = lambda a: 0.5 * (x - a).square().sum() + torch.log(1 - answer(a))
    return rule, objective, fresh.normal(n, dtype=double)


def compared(rule, objective, v: Tensor, through: bool = True) -> tuple[Tensor, Tensor]:
    """The printed error, and minus the gradient for what flows into the neurons, or for their outputs."""
    v = v.detach().requires_grad_()
    a = torch.sigmoid(v)
    (gradient,) = torch.autograd.grad(objective(a), v if through else a)
    return rule(a).detach(), -gradient


def reference_agreement(rule, objective, v):
    return F.cosine_similarity(*compared(rule, objective, v), dim=0)


def exact_gets_one(answer, fresh: Fresh) -> str | None:
    x, v = (fresh.normal(7, dtype=torch.float64) for _ in range(2))
    found = float(answer(lambda a: (x - a) * slope(a), lambda a: 0.5 * (x - a).square().sum(), v))
    if abs(found - 1) > 1e-3:
        return f"A rule that is exact must get 1; yours gives {found:.3f}."
    found = float(answer(lambda a: (a - x) * slope(a), lambda a: 0.5 * (x - a).square().sum(), v))
    return None if abs(found + 1) < 1e-3 else f"A rule that goes the opposite way must get −1; yours gives {found:.3f}."


agreement = Check(
    reference=reference_agreement,
    draw=rule_and_objective,
    returns="a tensor (), the cosine",
    mistakes={
        "You differentiated for the outputs a; a rule's errors belong to what flows into the neurons, v, so the "
        "derivative has to pass through the logistic function.": lambda rule, objective, v: F.cosine_similarity(
            *compared(rule, objective, v, through=False), dim=0
        ),
        "You took the inner product without dividing by the two lengths.": lambda rule, objective, v: (
            compared(rule, objective, v)[0] @ compared(rule, objective, v)[1]
        ),
        "You handed v to the rule, which wants the outputs a.": lambda rule, objective, v: F.cosine_similarity(
            rule(v), compared(rule, objective, v)[1], dim=0
        ),
    },
    laws={"an exact rule gets 1": exact_gets_one},
)


# --- the way through the discriminator -----------------------------------------------------------


def pictures_and_discriminator(fresh: Fresh) -> tuple:
    batch, pixels = fresh.sizes((3, 8), (4, 10))
    net = nn.Sequential(nn.Linear(pixels, 8), nn.Tanh(), nn.Linear(8, 1), nn.Flatten(0))
    with torch.no_grad():
        for weights in net.parameters():
            weights.copy_(fresh.normal(*weights.shape))
    return fresh.uniform(batch, pixels), fresh.uniform(batch, pixels, low=0.05, high=0.95), net


def with_push(push):
    """The decoder's error with a push, a function of the score (batch, 1) and its slopes (batch, pixels)."""

    def error(x, x1, discriminator):
        x1 = x1.detach().requires_grad_()
        score = discriminator(x1)
        (slopes,) = torch.autograd.grad(score.sum(), x1)
        return (((x - x1) + push(score[:, None], slopes)) * slope(x1)).detach()

    return error


def without_own_slope(x, x1, discriminator):
    return with_push(lambda s, slopes: torch.sigmoid(s) * slopes)(x, x1, discriminator) / slope(x1)


decoder_error = Check(
    reference=with_push(lambda score, slopes: torch.sigmoid(score) * slopes),
    draw=pictures_and_discriminator,
    returns="a tensor (batch, pixels), the errors of the decoder's output neurons",
    mistakes={
        "This is the printed rule (6): it has 1 in place of every slope of the score, so all pixels are pushed "
        "alike.": with_push(lambda score, slopes: torch.sigmoid(score)),
        "You multiplied by the slope of D, D(1 − D), where the derivative of log(1 − D) for the score is meant; "
        "the division by 1 − D is missing.": with_push(
            lambda score, slopes: torch.sigmoid(score) * torch.sigmoid(-score) * slopes
        ),
        "This is the push of the non-saturating charge −log D, with 1 − D; asked is that of log(1 − D).": with_push(
            lambda score, slopes: torch.sigmoid(-score) * slopes
        ),
        "The slope a′ belongs to both terms, that of the reconstruction and the push.": (
            lambda x, x1, discriminator: with_push(lambda s, slopes: torch.sigmoid(s) * slopes / slope(x1))(
                x, x1, discriminator
            )
        ),
        "You took the slopes a′ at x; the neurons' outputs are x′.": lambda x, x1, discriminator: (
            with_push(lambda s, slopes: torch.sigmoid(s) * slopes)(x, x1, discriminator) / slope(x1) * slope(x)
        ),
        "You used the score where the discriminator's answer, a probability, belongs.": with_push(
            lambda score, slopes: score * slopes
        ),
        "The slopes of the score are not weighed by the discriminator's answer D(x′): a fake that is seen through "
        "is hardly pushed.": with_push(lambda score, slopes: slopes),
        "You differentiated the mean score of the batch: each slope is then divided by the size of the batch.": (
            with_push(lambda score, slopes: torch.sigmoid(score) * slopes / len(score))
        ),
        "The slopes a′(x′) of the decoder's own neurons are missing.": without_own_slope,
        "The discriminator's push is missing altogether.": with_push(lambda score, slopes: 0.0),
    },
    terms={
        "The term of the reconstruction, x − x′,": with_push(lambda score, slopes: 0.0),
        "The push of the discriminator": lambda x, x1, discriminator: with_push(
            lambda score, slopes: torch.sigmoid(score) * slopes
        )(x1, x1, discriminator),
    },
)


# --- what leaning adds ---------------------------------------------------------------------------


def pictures_and_scores(fresh: Fresh) -> tuple:
    batch, pixels = fresh.sizes((3, 8), (9, 14))
    x1 = fresh.uniform(batch, pixels, low=0.05, high=0.95)
    return fresh.uniform(batch, pixels), x1, fresh.normal(batch)


def darkness(x, x1):
    return ((x - x1) * slope(x1)).sum(1).detach()


leaning_loss = Check(
    reference=lambda x, x1, score: -(darkness(x, x1) * torch.sigmoid(score)).mean(),
    draw=pictures_and_scores,
    returns="a tensor (), the mean over the batch",
    mistakes={
        "You wrote the term that the paper adds to the objective, ½‖x − x′‖²: the score is not in it, so it moves "
        "no discriminator.": lambda x, x1, score: 0.5 * (x - x1).square().sum(1).mean(),
        "In m the slopes a′(x′) are missing.": lambda x, x1, score: (
            -((x - x1).sum(1) * torch.sigmoid(score)).mean()
        ),
        "You multiplied m by the score; the printed term has the slope a′(D), so it is the answer D(x′) that m "
        "multiplies.": lambda x, x1, score: -(darkness(x, x1) * score).mean(),
        "You multiplied m by the slope of D instead of D: the slope comes by itself when your function is "
        "differentiated.": lambda x, x1, score: -(darkness(x, x1) * slope(torch.sigmoid(score))).mean(),
        "The squared distance weighs the answer in yours; in the printed term it is the difference x − x′ with the "
        "slope of each pixel.": lambda x, x1, score: (
            -(0.5 * (x - x1).square().sum(1).detach() * torch.sigmoid(score)).mean()
        ),
        "You multiplied m by log D(x′); its derivative for the score is not a′(D).": lambda x, x1, score: (
            -(darkness(x, x1) * F.logsigmoid(score)).mean()
        ),
    },
    gradients=("score", "x1"),
)


# --- rule (7) mended -----------------------------------------------------------------------------


def small_net(fresh: Fresh) -> tuple:
    pixels, hidden = fresh.sizes((4, 9), (3, 8))
    net = (fresh.normal(hidden, pixels), fresh.normal(hidden), fresh.normal(hidden), fresh.normal(1)[0])
    return *net, fresh.uniform(pixels), fresh.uniform(pixels)


def two_passes(back, errors=lambda d, d1: (1 - d, -d1)):
    """Steps of a net with one hidden layer: `back` is (error, net, own picture, both pictures) -> four steps."""

    def steps(W, b, w, c, x, x1):
        answer = lambda picture: torch.sigmoid(w @ torch.sigmoid(W @ picture + b) + c)
        passes = zip(errors(answer(x), answer(x1)), (x, x1))
        found = [back(error, (W, b, w, c), picture, (x, x1)) for error, picture in passes]
        return tuple(one + other for one, other in zip(*found))

    return steps


def own_pass(error, net, picture, both, bend=slope):
    W, b, w, _ = net
    hidden = torch.sigmoid(W @ picture + b)
    below = error * w * bend(hidden)
    return torch.outer(below, picture), below, error * hidden, error


discriminator_steps = Check(
    reference=two_passes(own_pass),
    draw=small_net,
    returns="four tensors, the steps of W (hidden, pixels), b (hidden,), w (hidden,) and c ()",
    mistakes={
        "You sent both errors back through the pass over x′, as the authors' program does: each belongs to its own "
        "pass.": two_passes(lambda error, net, picture, both: own_pass(error, net, both[1], both)),
        "You sent both errors back through the pass over x: each belongs to its own pass.": two_passes(
            lambda error, net, picture, both: own_pass(error, net, both[0], both)
        ),
        "The second pass multiplies the errors of its hidden neurons by x; it is x′ that went in there.": two_passes(
            lambda error, net, picture, both: (
                torch.outer((found := own_pass(error, net, picture, both))[1], both[0]),
                *found[1:],
            )
        ),
        "The error does not come back through the weights w: each hidden neuron answers for its own share.": two_passes(
            lambda error, net, picture, both: own_pass(
                error, net, picture, both, bend=lambda hidden: slope(hidden) / net[2]
            )
        ),
        "The error of the reconstruction has the wrong sign: its answer shall fall.": two_passes(
            own_pass, lambda d, d1: (1 - d, d1)
        ),
        "The errors of the hidden neurons lack their own slopes.": two_passes(
            lambda *given: own_pass(*given, bend=torch.ones_like)
        ),
        "The errors are those of a squared distance or the like, with the slope of D in them; for the logarithms "
        "the slope cancels.": two_passes(own_pass, lambda d, d1: ((1 - d) * slope(d), -d1 * slope(d1))),
        "Only the real picture moves your discriminator.": two_passes(own_pass, lambda d, d1: (1 - d, 0 * d1)),
    },
)


# --- what a code can tell ------------------------------------------------------------------------


def two_distributions(fresh: Fresh) -> tuple:
    pictures, codes = fresh.integer(9, 14), fresh.integer(3, 5)
    p, q = (fresh.uniform(pictures, low=0.05, dtype=torch.float64) for _ in range(2))
    p[0] = q[1] = 0.0  # pictures that only one of the two ever shows
    code = torch.cat([torch.arange(codes), torch.randint(codes, (pictures - codes,), generator=fresh.rng)])
    return p / p.sum(), q / q.sum(), code


def jensen_shannon(p, q, middle=lambda p, q: (p + q) / 2):
    m = middle(p, q)
    relative = lambda a: (torch.xlogy(a, a) - torch.xlogy(a, m)).sum()
    return 0.5 * (relative(p) + relative(q))


def through(p, code, reduce="sum"):
    empty = p.new_zeros(int(code.max()) + 1)
    return empty.scatter_reduce(0, code, p, reduce, include_self=False)


def seen(divergence=jensen_shannon, reduce="sum"):
    return lambda p, q, code: (divergence(p, q), divergence(through(p, code, reduce), through(q, code, reduce)))


divergences = Check(
    reference=seen(),
    draw=two_distributions,
    returns="two tensors (), the divergence of the pictures and that of their codes, in nats",
    mistakes={
        "You averaged the probabilities of the pictures that share a code; the code's probability is their sum.": (
            seen(reduce="mean")
        ),
        "The middle distribution of the Jensen-Shannon divergence is (p + q)/2; yours lacks the ½.": seen(
            lambda p, q: jensen_shannon(p, q, lambda p, q: p + q)
        ),
        "The two divergences stand in the wrong order: first the pictures, then the codes.": lambda p, q, code: (
            seen()(p, q, code)[::-1]
        ),
        "You gave KL(p ‖ m) alone; the Jensen-Shannon divergence has half of it, and half of KL(q ‖ m).": seen(
            lambda p, q: (torch.xlogy(p, p) - torch.xlogy(p, (p + q) / 2)).sum()
        ),
        "You gave the total variation, not the Jensen-Shannon divergence.": seen(lambda p, q: (p - q).abs().sum() / 2),
    },
)
