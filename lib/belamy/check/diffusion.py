"""Checks of the exercises on diffusion: noised data, the simple loss, a step back, DDIM, guidance, an exact slope."""

from functools import partial

import torch
from torch import Tensor, nn

from belamy.check import Check, Fresh

# --- noised data -----------------------------------------------------------------------------------


def noised(x: Tensor, kept: Tensor, e: Tensor) -> Tensor:
    """Pictures (N, C, H, W) with noise of the same shape; kept (N,) is what stays of each picture."""
    a = kept.view(-1, 1, 1, 1)
    return a * x + (1 - a.square()).sqrt() * e


def draw_noised(fresh: Fresh) -> tuple[Tensor, Tensor, Tensor]:
    n, c, h, w = fresh.sizes((5, 9), (2, 3), (4, 6), (7, 8))
    return fresh.normal(n, c, h, w), fresh.uniform(n, low=0.1, high=0.95), fresh.normal(n, c, h, w)


def keeps_its_variance(answer, fresh: Fresh) -> str | None:
    kept = fresh.uniform(1, low=0.2, high=0.9).expand(4000)
    x, e = fresh.normal(4000, 1, 3, 3), fresh.normal(4000, 1, 3, 3)
    if abs(answer(x, kept, e).var() - 1) > 0.05:
        return "Data of variance 1 and noise of variance 1 should give variance 1 at every time. Yours do not."


def mixed(rule):
    """A mistake, from x, what is kept as (N, 1, 1, 1), and the noise."""
    return lambda x, kept, e: rule(x, kept.view(-1, 1, 1, 1), e)


noise = Check(
    noised,
    draw_noised,
    "a tensor of the shape of x",
    {
        "The root is missing: it is the variances a² and b² that add up to 1, so b is √(1 − a²).":
            mixed(lambda x, a, e: a * x + (1 - a**2) * e),
        "You took b = 1 − a. The *squares* of both amounts add up to 1.": mixed(lambda x, a, e: a * x + (1 - a) * e),
        "You took √(1 − a) for the amount of noise, as if `kept` were a². It is a itself.":
            mixed(lambda x, a, e: a * x + (1 - a).sqrt() * e),
        "You took √kept for what is kept, as papers do that write ᾱ for its square. Here `kept` is a itself.":
            mixed(lambda x, a, e: a.sqrt() * x + (1 - a).sqrt() * e),
        "You kept a² of the picture. It is a that multiplies it.":
            mixed(lambda x, a, e: a**2 * x + (1 - a**2).sqrt() * e),
        "Picture and noise have changed places: `kept` belongs to the picture.":
            mixed(lambda x, a, e: (1 - a**2).sqrt() * x + a * e),
        "The picture is not made weaker. As noise is added, a of it stays.":
            mixed(lambda x, a, e: x + (1 - a**2).sqrt() * e),
        "All pictures got the first one's time. Each has its own.":
            lambda x, kept, e: noised(x, kept[:1].expand_as(kept), e),
    },
    gradients=("x",),
    laws={"variance one stays one": keeps_its_variance},
)  # fmt: skip

# --- the simple loss ---------------------------------------------------------------------------------


class TimedNet(nn.Module):
    """A net that is told points (N, d) and times (N,): (N, d), the noise in them or their velocity."""

    def __init__(self, d: int, fresh: Fresh):
        super().__init__()
        numbers = partial(fresh.normal, dtype=torch.float64)
        self.weight, self.pull = nn.Parameter(0.5 * numbers(d, d)), nn.Parameter(numbers(d))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return torch.tanh(x @ self.weight + t[:, None] * self.pull)


def levels(t: Tensor) -> tuple[Tensor, Tensor]:
    """What is kept, and how much noise there is, at times (N,): two of (N, 1)."""
    angle = 1.5 * t[:, None]
    return angle.cos(), angle.sin()


def simple(net: nn.Module, x: Tensor, t: Tensor, e: Tensor) -> Tensor:
    """|e − net(a x + b e, t)|², summed over numbers, averaged over examples."""
    a, b = levels(t)
    return (net(a * x + b * e, t) - e).square().sum(1).mean()


def draw_loss(fresh: Fresh) -> tuple[nn.Module, Tensor, Tensor, Tensor]:
    n, d = fresh.sizes((6, 11), (2, 5))
    numbers = partial(fresh.normal, dtype=torch.float64)
    return TimedNet(d, fresh), numbers(n, d), fresh.uniform(n, dtype=torch.float64), numbers(n, d)


def missed(target, at=lambda x, t, e, a, b: (a * x + b * e, t)):
    """A mistake: another target, or another question."""
    def loss(net, x, t, e):
        a, b = levels(t)
        return (net(*at(x, t, e, a, b)) - target(x, e, a, b)).square().sum(1).mean()

    return loss


loss = Check(
    simple,
    draw_loss,
    "one number, the loss of the batch",
    {
        "Your net is to name the picture. It names the noise: the target is e.": missed(lambda x, e, a, b: x),
        "Your target is what was added, b e. The simple loss asks for e itself, of the same size at all times.":
            missed(lambda x, e, a, b: b * e),
        "Your target is the noised picture, which the net has just been shown.":
            missed(lambda x, e, a, b: a * x + b * e),
        "The net is shown the clean picture. It has to see the noised one, a x + b e.":
            missed(lambda x, e, a, b: e, lambda x, t, e, a, b: (x, t)),
        "The net is shown x + e: the amounts a and b of the time are missing.":
            missed(lambda x, e, a, b: e, lambda x, t, e, a, b: (x + e, t)),
        "All examples are noised with the first one's time. Each has a time of its own.":
            missed(lambda x, e, a, b: e, lambda x, t, e, a, b: (a[:1] * x + b[:1] * e, t)),
        "The net is told one time for all examples, and they were noised with others.":
            missed(lambda x, e, a, b: e, lambda x, t, e, a, b: (a * x + b * e, t[:1].expand_as(t))),
        "The net is not told the time, or is told 0 always.":
            missed(lambda x, e, a, b: e, lambda x, t, e, a, b: (a * x + b * e, torch.zeros_like(t))),
        "You averaged over the numbers of an example as well. Its numbers are summed, examples are averaged.":
            lambda net, x, t, e: simple(net, x, t, e) / x.shape[1],
        "You summed over the examples of the batch: average over them.":
            lambda net, x, t, e: simple(net, x, t, e) * len(x),
    },
    gradients=("net",),
)  # fmt: skip

# --- one step back -----------------------------------------------------------------------------------

Numbers = tuple[Tensor, Tensor, float, float]


def way_back(x_t: Tensor, x: Tensor, kept_s: float, kept_t: float) -> tuple[Tensor, float]:
    """Mean (N, d) and standard deviation of p(x_s | x_t, x), for s before t."""
    b2_s, b2_t, ratio = 1 - kept_s**2, 1 - kept_t**2, kept_t / kept_s
    b2_ts = b2_t - ratio**2 * b2_s
    return (ratio * b2_s * x_t + kept_s * b2_ts * x) / b2_t, (b2_ts * b2_s / b2_t) ** 0.5


def draw_back(fresh: Fresh) -> Numbers:
    n, d = fresh.sizes((5, 9), (2, 4))
    kept_s = fresh.number(0.5, 0.95)
    return fresh.normal(n, d), fresh.normal(n, d), kept_s, kept_s * fresh.number(0.3, 0.9)


def off_by(rule):
    """A mistake, from all amounts: rule(x_t, x, a_s, a_t, b²_s, b²_t, b²_ts) -> mean, deviation."""
    def found(x_t, x, kept_s, kept_t):
        b2_s, b2_t, ratio = 1 - kept_s**2, 1 - kept_t**2, kept_t / kept_s
        return rule(x_t, x, kept_s, kept_t, b2_s, b2_t, b2_t - ratio**2 * b2_s)

    return found


step = Check(
    way_back,
    draw_back,
    "the mean, a tensor (N, d), and the standard deviation, a float",
    {
        "You return the variance. Asked is the standard deviation, its root.":
            lambda *given: (way_back(*given)[0], way_back(*given)[1] ** 2),
        "The deviation is that of the step forwards, √(b²ₜ|ₛ). Knowing x makes it smaller, by the factor b_s / b_t.":
            off_by(lambda x_t, x, a_s, a_t, bs, bt, bts: ((a_t / a_s * bs * x_t + a_s * bts * x) / bt, bts**0.5)),
        "The two weights have changed places.":
            off_by(lambda x_t, x, a_s, a_t, bs, bt, bts: (
                (a_t / a_s * bs * x + a_s * bts * x_t) / bt, (bts * bs / bt) ** 0.5)),
        "You took b_t² − b_s² for the variance of the step from s to t. What is there at s shrinks on the way: its "
        "variance is multiplied by the squared ratio of what is kept.":
            off_by(lambda x_t, x, a_s, a_t, bs, bt, bts: (
                (a_t / a_s * bs * x_t + a_s * (bt - bs) * x) / bt, ((bt - bs) * bs / bt) ** 0.5)),
        "The weight of x_t has a_t where the ratio a_t / a_s belongs: from s to t only that much is kept.":
            off_by(lambda x_t, x, a_s, a_t, bs, bt, bts: (
                (a_t * bs * x_t + a_s * bts * x) / bt, (bts * bs / bt) ** 0.5)),
        "The weight of x has a_t where a_s belongs: the mean is about the picture at time s.":
            off_by(lambda x_t, x, a_s, a_t, bs, bt, bts: (
                (a_t / a_s * bs * x_t + a_t * bts * x) / bt, (bts * bs / bt) ** 0.5)),
        "You ignore x_t: that is p(x_s | x).":
            off_by(lambda x_t, x, a_s, a_t, bs, bt, bts: (a_s * x, bs**0.5)),
        "You do not divide by b_t².":
            off_by(lambda x_t, x, a_s, a_t, bs, bt, bts: (
                a_t / a_s * bs * x_t + a_s * bts * x, (bts * bs / bt) ** 0.5)),
    },
    gradients=(),
)  # fmt: skip

# --- DDIM --------------------------------------------------------------------------------------------


def jump(x_t: Tensor, e: Tensor, kept_t: float, kept_s: float) -> Tensor:
    """From time t to an earlier s, with the noise that was named: (N, d)."""
    b_t, b_s = (1 - kept_t**2) ** 0.5, (1 - kept_s**2) ** 0.5
    return kept_s * (x_t - b_t * e) / kept_t + b_s * e


def draw_jump(fresh: Fresh) -> tuple[Tensor, Tensor, float, float]:
    x_t, e, kept_s, kept_t = draw_back(fresh)
    return x_t, e, kept_t, kept_s


def along_the_way(answer, fresh: Fresh) -> str | None:
    x, e, kept_t, kept_s = draw_jump(fresh)
    there = kept_t * x + (1 - kept_t**2) ** 0.5 * e
    if not torch.allclose(answer(there, e, kept_t, kept_s), kept_s * x + (1 - kept_s**2) ** 0.5 * e, atol=1e-4):
        return "If the noise was named exactly, the step must lead to a_s x + b_s e with the same x and e."


ddim = Check(
    jump,
    draw_jump,
    "a tensor (N, d), the points at the earlier time",
    {
        "The guess of the picture is not divided by a_t: x_t − b_t e is a_t times the picture.":
            lambda x_t, e, kept_t, kept_s: kept_s * (x_t - (1 - kept_t**2) ** 0.5 * e) + (1 - kept_s**2) ** 0.5 * e,
        "You put the old amount of noise back, b_t. At the earlier time there is less, b_s.":
            lambda x_t, e, kept_t, kept_s: (
                kept_s * (x_t - (1 - kept_t**2) ** 0.5 * e) / kept_t + (1 - kept_t**2) ** 0.5 * e),
        "That is the guess of the picture itself. Mix it anew, with the noise of the earlier time.":
            lambda x_t, e, kept_t, kept_s: (x_t - (1 - kept_t**2) ** 0.5 * e) / kept_t,
        "No noise is put back: that is a_s times the guessed picture.":
            lambda x_t, e, kept_t, kept_s: kept_s * (x_t - (1 - kept_t**2) ** 0.5 * e) / kept_t,
        "The two times have changed places: yours goes on to more noise.":
            lambda x_t, e, kept_t, kept_s: jump(x_t, e, kept_s, kept_t),
        "The noise is added to get at the picture. It was added before: take it off.":
            lambda x_t, e, kept_t, kept_s: (
                kept_s * (x_t + (1 - kept_t**2) ** 0.5 * e) / kept_t + (1 - kept_s**2) ** 0.5 * e),
        "You took 1 − a² for the amounts of noise. Those are their squares.":
            lambda x_t, e, kept_t, kept_s: kept_s * (x_t - (1 - kept_t**2) * e) / kept_t + (1 - kept_s**2) * e,
        "You rescale x_t and leave its noise in.":
            lambda x_t, e, kept_t, kept_s: kept_s * x_t / kept_t + (1 - kept_s**2) ** 0.5 * e,
    },
    gradients=("x_t", "e"),
    laws={"exact noise leads along the way": along_the_way},
)  # fmt: skip

# --- guidance ----------------------------------------------------------------------------------------


def exaggerated(told: Tensor, untold: Tensor, w: float) -> Tensor:
    """(1 + w) times the noise named with the label, less w times that named without."""
    return (1 + w) * told - w * untold


guidance = Check(
    exaggerated,
    lambda fresh: (fresh.normal(5, 3), fresh.normal(5, 3), fresh.number(0.3, 4.0)),
    "a tensor of the shape of the two",
    {
        "Your weight is that of another convention, in which 1 is no guidance. Here w = 0 is none: the difference is "
        "added to what is named *with* the label.": lambda told, untold, w: untold + w * (told - untold),
        "The two have changed places: yours leads away from the label.":
            lambda told, untold, w: exaggerated(untold, told, w),
        "That is a mean of the two, and so less told than either. Guidance goes beyond: 1 + w and −w.":
            lambda told, untold, w: (told + w * untold) / (1 + w),
        "Your weights do not add up to 1: with both equal, the noise would grow.":
            lambda told, untold, w: (1 + w) * told + w * untold,
        "The weight of the difference is 1 + w, and the start is what is named with the label: that is once too often.":
            lambda told, untold, w: told + (1 + w) * (told - untold),
        "You subtract the difference from what is named with the label: add it.":
            lambda told, untold, w: told - w * (told - untold),
    },
    gradients=("told", "untold"),
)  # fmt: skip

# --- the exact slope of noised examples ---------------------------------------------------------------


def slope(x_t: Tensor, examples: Tensor, kept: float) -> Tensor:
    """∇ log p(x_t) where the data are these examples, each as likely: (N, d), (M, d) -> (N, d)."""
    b2 = 1 - kept**2
    share = torch.softmax(-torch.cdist(x_t, kept * examples).square() / (2 * b2), 1)
    return (kept * share @ examples - x_t) / b2


def draw_slope(fresh: Fresh) -> tuple[Tensor, Tensor, float]:
    n, m, d = fresh.sizes((5, 8), (9, 12), (2, 4))
    return fresh.normal(n, d, dtype=torch.float64), fresh.normal(m, d, dtype=torch.float64), fresh.number(0.5, 0.9)


def is_a_slope(answer, fresh: Fresh) -> str | None:
    x_t, examples, kept = draw_slope(fresh)
    x_t = x_t.requires_grad_()
    far = torch.cdist(x_t, kept * examples).square() / (2 * (1 - kept**2))
    (exact,) = torch.autograd.grad(torch.logsumexp(-far, 1).sum(), x_t)
    if not torch.allclose(answer(x_t.detach(), examples, kept), exact, atol=1e-6):
        return "Autograd's gradient of the log-density of the noised examples is another one."


def weighed(power, scale=lambda b2: b2, axis=1, shrunk=True):
    """A mistake in the shares, or in what the difference is divided by."""
    def found(x_t, examples, kept):
        b2, centres = 1 - kept**2, kept * examples if shrunk else examples
        share = torch.softmax(power(torch.cdist(x_t, centres), b2), axis)
        return (share @ centres - x_t) / scale(b2)

    return found


normal_power = lambda far, b2: -far.square() / (2 * b2)

score = Check(
    slope,
    draw_slope,
    "a tensor (N, d), a slope at each point",
    {
        "The sign is turned: the slope of the log-density leads *towards* the examples.":
            lambda x_t, examples, kept: -slope(x_t, examples, kept),
        "That is the noise itself, up to its sign: the slope is minus the noise divided by b once more.":
            weighed(normal_power, lambda b2: b2**0.5),
        "You do not divide by b².": weighed(normal_power, lambda b2: 1.0),
        "The shares have to add up to 1 over the *examples*, at each point. Yours do so over the points.":
            weighed(normal_power, axis=0),
        "The exponent lacks the ½ of a normal density.": weighed(lambda far, b2: -far.square() / b2),
        "The exponent has b where b² belongs.": weighed(lambda far, b2: -far.square() / (2 * b2**0.5)),
        "The exponent has the distance where its square belongs.": weighed(lambda far, b2: -far / (2 * b2)),
        "The examples are not made weaker: at this time they stand at a x.": weighed(normal_power, shrunk=False),
        "All examples have the same share. The nearer ones have the larger.":
            weighed(lambda far, b2: torch.zeros_like(far)),
        "The nearest example has the whole share. That is so in the limit of no noise only.":
            lambda x_t, examples, kept: (
                (kept * examples)[torch.cdist(x_t, kept * examples).argmin(1)] - x_t) / (1 - kept**2),
    },
    laws={"it is the slope of a log-density": is_a_slope},
)  # fmt: skip
