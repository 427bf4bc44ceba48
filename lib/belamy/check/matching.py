"""Checks of the exercises on flow matching: lines, the loss, a marginal field, Heun, conversions, a log-density."""

import math
from functools import partial

import torch
from torch import Tensor, nn

from belamy.check import Check, Fresh
from belamy.check.diffusion import TimedNet

HALF_LOG = 0.5 * math.log(2 * math.pi)

# --- a point of a line, and its velocity -----------------------------------------------------------


def on_line(z: Tensor, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Points of the lines from z to x at times t, and their velocities: two of (N, C, H, W)."""
    t = t.view(-1, 1, 1, 1)
    return (1 - t) * z + t * x, x - z


def draw_line(fresh: Fresh) -> tuple[Tensor, Tensor, Tensor]:
    n, c, h, w = fresh.sizes((5, 9), (2, 3), (4, 6), (7, 8))
    return fresh.normal(n, c, h, w), fresh.normal(n, c, h, w), fresh.uniform(n, low=0.1, high=0.9)


def moves_as_it_says(answer, fresh: Fresh) -> str | None:
    z, x, t = draw_line(fresh)
    z, x, t = z.double(), x.double(), t.double()
    here, velocity = answer(z, x, t)
    there, _ = answer(z, x, t + 1e-4)
    if not torch.allclose((there - here) / 1e-4, velocity, atol=1e-4):
        return "A moment later the point is not where your velocity leads."


def lined(rule):
    """A mistake, from z, x and the times as (N, 1, 1, 1)."""
    return lambda z, x, t: rule(z, x, t.view(-1, 1, 1, 1))


line = Check(
    on_line,
    draw_line,
    "two tensors of the shape of x: points and velocities",
    {
        "Time is reversed: at t = 0 there is noise and at t = 1 data.":
            lined(lambda z, x, t: ((1 - t) * x + t * z, z - x)),
        "Your points have the time reversed: at t = 0 there is noise, so z is multiplied by 1 − t.":
            lined(lambda z, x, t: ((1 - t) * x + t * z, x - z)),
        "The velocity points from data to noise. Differentiate your point by t.":
            lined(lambda z, x, t: ((1 - t) * z + t * x, z - x)),
        "Your velocity is x itself. The line also has to leave z.":
            lined(lambda z, x, t: ((1 - t) * z + t * x, x)),
        "Your velocity is x − x_t, what is left of the way. Divide it by the time that is left.":
            lined(lambda z, x, t: ((1 - t) * z + t * x, (1 - t) * (x - z))),
        "Those are the amounts of a diffusion, whose squares add up to 1. On a line the amounts themselves do.":
            lined(lambda z, x, t: ((1 - t * t).sqrt() * z + t * x, x - z)),
        "All lines got the first one's time. Each has its own.":
            lambda z, x, t: on_line(z, x, t[:1].expand_as(t)),
    },
    gradients=("z", "x"),
    laws={"the point moves as its velocity says": moves_as_it_says},
)  # fmt: skip

# --- the loss --------------------------------------------------------------------------------------


def of_lines(net: nn.Module, x: Tensor, z: Tensor, t: Tensor) -> Tensor:
    """|net(x_t, t) − (x − z)|², summed over numbers, averaged over examples."""
    at = (1 - t[:, None]) * z + t[:, None] * x
    return (net(at, t) - (x - z)).square().sum(1).mean()


def draw_loss(fresh: Fresh) -> tuple[nn.Module, Tensor, Tensor, Tensor]:
    n, d = fresh.sizes((6, 11), (2, 5))
    numbers = partial(fresh.normal, dtype=torch.float64)
    return TimedNet(d, fresh), numbers(n, d), numbers(n, d), fresh.uniform(n, dtype=torch.float64)


def missed(target, at=lambda x, z, t: ((1 - t) * z + t * x, t[:, 0])):
    """A mistake: another target, or another question."""
    def loss(net, x, z, t):
        return (net(*at(x, z, t[:, None])) - target(x, z, t[:, None])).square().sum(1).mean()

    return loss


right = lambda x, z, t: x - z
loss = Check(
    of_lines,
    draw_loss,
    "one number, the loss of the batch",
    {
        "Your target is x. The net says the velocity of the line, x − z.": missed(lambda x, z, t: x),
        "Your target is z − x, the way back from data to noise.": missed(lambda x, z, t: z - x),
        "Your target is what is left of the way, (1 − t)(x − z). The velocity of a line does not depend on t.":
            missed(lambda x, z, t: (1 - t) * (x - z)),
        "Time is reversed: at t = 0 the net has to see noise.":
            missed(right, lambda x, z, t: ((1 - t) * x + t * z, t[:, 0])),
        "All examples got the first one's time. With one time a batch the gradient is still right on average, and "
        "far noisier.": missed(right, lambda x, z, t: ((1 - t[:1]) * z + t[:1] * x, t[:1, 0].expand(len(x)))),
        "The net sees the data without noise. It is asked at a point of the line.":
            missed(right, lambda x, z, t: (x, t[:, 0])),
        "The points have times of their own, but the net is told the first one's.":
            missed(right, lambda x, z, t: ((1 - t) * z + t * x, t[:1, 0].expand(len(x)))),
        "It is averaged over the numbers of an example. Asked is the sum over them, averaged over examples.":
            lambda net, x, z, t: of_lines(net, x, z, t) / x.shape[1],
    },
    gradients=("net",),
)  # fmt: skip

# --- the marginal field ----------------------------------------------------------------------------


def mean_velocity(x_t: Tensor, data: Tensor, t: float) -> Tensor:
    """The mean velocity of all lines to the data (M, d) that pass x_t (N, d) at time t: (N, d)."""
    share = torch.softmax(-torch.cdist(x_t, t * data).square() / (2 * (1 - t) ** 2), 1)
    return (share @ data - x_t) / (1 - t)


def draw_marginal(fresh: Fresh) -> tuple[Tensor, Tensor, float]:
    n, m, d = fresh.sizes((5, 8), (10, 14), (2, 4))
    numbers = partial(fresh.normal, dtype=torch.float64)
    t = float(fresh.uniform(1, low=0.25, high=0.6))
    return 0.7 * numbers(n, d), numbers(m, d), t


def weighed(rule):
    """A mistake in the weights, from squared distances (N, M) of x_t to t times the data, and t."""
    def found(x_t, data, t):
        share = rule(torch.cdist(x_t, t * data).square(), t)
        return (share @ data - x_t) / (1 - t)

    return found


def one_hot(far: Tensor) -> Tensor:
    return nn.functional.one_hot(far.argmin(1), far.shape[1]).to(far)


def softly(x_t: Tensor, data: Tensor, t: float) -> Tensor:
    return torch.softmax(-torch.cdist(x_t, t * data).square() / (2 * (1 - t) ** 2), 1)


marginal = Check(
    mean_velocity,
    draw_marginal,
    "a tensor (N, d), the velocity at each point",
    {
        "You took a conditional path for the marginal one: the line to the nearest example alone. Every line that "
        "passes here has a share.": weighed(lambda far, t: one_hot(far)),
        "All lines have equal weights. Those that pass here with a higher density count more.":
            weighed(lambda far, t: torch.full_like(far, 1 / far.shape[1])),
        "That is the mean of the data points, or what is left of the way. Divide by the time that is left to get a "
        "velocity.": lambda x_t, data, t: softly(x_t, data, t) @ data - x_t,
        "That is the posterior mean of x. The velocity also takes off x_t, and divides by the time that is left.":
            lambda x_t, data, t: softly(x_t, data, t) @ data,
        "The weights sum to one over the *points*. They are shares of the examples at each point: over the last axis.":
            weighed(lambda far, t: torch.softmax(-far / (2 * (1 - t) ** 2), 0)),
        "The deviation of x_t given x is 1 − t; its square belongs below the distance.":
            weighed(lambda far, t: torch.softmax(-far / (2 * (1 - t)), 1)),
        "The factor 2 is missing in the exponent of the normal density.":
            weighed(lambda far, t: torch.softmax(-far / (1 - t) ** 2, 1)),
        "You weigh by the distance from x. At time t the lines to x are around t x.": lambda x_t, data, t: (
            torch.softmax(-torch.cdist(x_t, data).square() / (2 * (1 - t) ** 2), 1) @ data - x_t) / (1 - t),
        "You divide by t. The time that is left is 1 − t.":
            lambda x_t, data, t: (softly(x_t, data, t) @ data - x_t) / t,
    },
    gradients=("x_t",),
)  # fmt: skip

# --- Heun ------------------------------------------------------------------------------------------


def heun_step(v, x: Tensor, t: float, h: float) -> Tensor:
    """From x (N, d) at t to t + h: the mean of the velocities at both ends of Euler's step."""
    here = v(x, t)
    return x + h / 2 * (here + v(x + h * here, t + h))


class SharedTime(nn.Module):
    """A field that takes one time for all points: (N, d), a number -> (N, d)."""

    def __init__(self, d: int, fresh: Fresh):
        super().__init__()
        numbers = partial(fresh.normal, dtype=torch.float64)
        self.weight, self.pull = nn.Parameter(numbers(d, d)), nn.Parameter(2 * numbers(d))

    def forward(self, x: Tensor, t: float) -> Tensor:
        return torch.sin(x @ self.weight + t * self.pull)


def draw_step(fresh: Fresh) -> tuple[nn.Module, Tensor, float, float]:
    n, d = fresh.sizes((5, 9), (2, 4))
    t, h = (float(fresh.uniform(1, low=low, high=high)) for low, high in ((0.1, 0.5), (0.2, 0.4)))
    return SharedTime(d, fresh), fresh.normal(n, d, dtype=torch.float64), t, h


heun = Check(
    heun_step,
    draw_step,
    "a tensor (N, d), the points at t + h",
    {
        "That is Euler's step. Heun asks once more, at its end.": lambda v, x, t, h: x + h * v(x, t),
        "That is the midpoint rule. It is second order as well; Heun's takes the mean of the velocities at both ends.":
            lambda v, x, t, h: x + h * v(x + h / 2 * v(x, t), t + h / 2),
        "The second question is asked at the old time. Its time is t + h.":
            lambda v, x, t, h: x + h / 2 * (v(x, t) + v(x + h * v(x, t), t)),
        "The second question is asked at the old place. Take Euler's step first.":
            lambda v, x, t, h: x + h / 2 * (v(x, t) + v(x, t + h)),
        "The second step starts where Euler's ended. Go back to x and take the mean of both velocities.":
            lambda v, x, t, h: x + h * v(x, t) + h / 2 * (v(x, t) + v(x + h * v(x, t), t + h)),
        "You add both velocities. Take their mean.":
            lambda v, x, t, h: x + h * (v(x, t) + v(x + h * v(x, t), t + h)),
        "You follow the velocity of the end alone. Take the mean of it and the one at the start.":
            lambda v, x, t, h: x + h * v(x + h * v(x, t), t + h),
    },
    gradients=("x", "v"),
)  # fmt: skip

# --- from named noise to a velocity ----------------------------------------------------------------


def velocity_of(noise: Tensor, x_t: Tensor, a: float, b: float) -> Tensor:
    """The velocity (data − noise) of x_t = a data + b noise, from the noise that is named: all (N, d)."""
    return (x_t - b * noise) / a - noise


convert = Check(
    velocity_of,
    lambda fresh: (*(fresh.normal(*size) for size in [fresh.sizes((5, 9), (2, 4))] for _ in range(2)),
                   float(fresh.uniform(1, low=0.3, high=0.9)), float(fresh.uniform(1, low=0.2, high=0.8))),
    "a tensor (N, d), the velocity data − noise",
    {
        "That is the guess of the data. The velocity of a line also takes off the noise.":
            lambda noise, x_t, a, b: (x_t - b * noise) / a,
        "The sign is turned: velocities lead from noise to data.":
            lambda noise, x_t, a, b: noise - (x_t - b * noise) / a,
        "The guess of the data is not divided by a.": lambda noise, x_t, a, b: x_t - b * noise - noise,
        "The amounts have changed places: b belongs to the noise.":
            lambda noise, x_t, a, b: (x_t - a * noise) / b - noise,
        "You added the noise where it has to be taken off: data = (x_t − b noise) / a.":
            lambda noise, x_t, a, b: (x_t + b * noise) / a - noise,
        "That is a noise − b data, called 'v' in diffusion. Asked is the velocity of a line, data − noise.":
            lambda noise, x_t, a, b: a * noise - b * (x_t - b * noise) / a,
        "x_t − noise is no velocity: the data have to be guessed first.": lambda noise, x_t, a, b: x_t - noise,
        "You took b for 1 − a. The amounts of a diffusion do not add up to 1.":
            lambda noise, x_t, a, b: (x_t - (1 - a) * noise) / a - noise,
    },
    gradients=("noise", "x_t"),
)  # fmt: skip

# --- a log-density ---------------------------------------------------------------------------------


class Bends(nn.Module):
    """A field with its divergence: (N, d), a number -> velocity (N, d), divergence (N,)."""

    def __init__(self, d: int, fresh: Fresh):
        super().__init__()
        numbers = partial(fresh.normal, dtype=torch.float64)
        self.weight, self.pull = nn.Parameter(0.6 * numbers(d, d)), nn.Parameter(numbers(d))

    def forward(self, x: Tensor, t: float) -> tuple[Tensor, Tensor]:
        told = torch.sin(x @ self.weight + t * self.pull)
        slope = torch.cos(x @ self.weight + t * self.pull)
        return told, (slope * self.weight.diagonal()).sum(1)


def normal(z: Tensor) -> Tensor:
    return (-z.square() / 2 - HALF_LOG).sum(1)


def walk(traced, x: Tensor, steps: int, forward: bool = False) -> tuple[Tensor, Tensor]:
    """Euler from 1 to 0 (or from 0 to 1): where it ends, and the integral of the divergence over the time passed."""
    grown, h = torch.zeros(len(x), dtype=x.dtype), 1 / steps
    for k in range(steps):
        velocity, divergence = traced(x, k * h if forward else 1 - k * h)
        x, grown = x + (h if forward else -h) * velocity, grown + h * divergence
    return x, grown


def log_p(traced, x: Tensor, steps: int) -> Tensor:
    """log p(x) of a flow from standard normal noise at t = 0, by Euler's rule back from t = 1: (N,)."""
    z, grown = walk(traced, x, steps)
    return normal(z) - grown


def draw_density(fresh: Fresh) -> tuple[nn.Module, Tensor, int]:
    n, d = fresh.sizes((5, 9), (2, 4))
    return Bends(d, fresh), fresh.normal(n, d, dtype=torch.float64), fresh.integer(4, 8)


def wrong_times(traced, x, steps):
    z, grown = walk(lambda x, t: traced(x, 1 - t), x, steps)
    return normal(z) - grown


density = Check(
    log_p,
    draw_density,
    "a tensor (N,), a log-density for each point",
    {
        "The sign of the divergence is turned: where a flow spreads out, the density falls.":
            lambda traced, x, steps: normal((end := walk(traced, x, steps))[0]) + end[1],
        "The divergence is missing: that is the log-density of z.":
            lambda traced, x, steps: normal(walk(traced, x, steps)[0]),
        "You walked from 0 to 1. Given is x at t = 1, and sought the z from which it came.":
            lambda traced, x, steps: normal((end := walk(traced, x, steps, True))[0]) - end[1],
        "You walked from 0 to 1 and turned the sign. Given is x at t = 1, and sought the z from which it came.":
            lambda traced, x, steps: normal((end := walk(traced, x, steps, True))[0]) + end[1],
        "The normal density is taken at x. It belongs to z, where the journey ends.":
            lambda traced, x, steps: normal(x) - walk(traced, x, steps)[1],
        "You walk back along the way, but ask for the velocity at the times 0, h, …: the first question is at t = 1.":
            wrong_times,
        "The divergence is summed, and not multiplied by the length of a step.":
            lambda traced, x, steps: normal((end := walk(traced, x, steps))[0]) - steps * end[1],
        "The factors √(2π) of the normal density are missing.": lambda traced, x, steps: (
            log_p(traced, x, steps) + HALF_LOG * x.shape[1]),
    },
    gradients=("x", "traced"),
)  # fmt: skip
