"""Answers to the exercises on flow matching as students write them, right and wrong, and what a reason must say."""

import torch
from torch.distributions import Normal

wide = lambda t: t[:, None, None, None]


def line_plain(z, x, t):
    velocity = x - z
    return z + wide(t) * velocity, velocity


def line_lerp(z, x, t):
    return torch.lerp(z, x, wide(t).expand_as(x)), x - z


def line_reversed(z, x, t):
    return wide(t) * z + (1 - wide(t)) * x, z - x


def line_sign(z, x, t):
    return torch.lerp(z, x, wide(t).expand_as(x)), z - x


def line_data(z, x, t):
    return torch.lerp(z, x, wide(t).expand_as(x)), x


def line_first(z, x, t):
    return z + t[0] * (x - z), x - z


def line_left(z, x, t):
    at = z + wide(t) * (x - z)
    return at, x - at


def loss_plain(net, x, z, t):
    s = t.unsqueeze(1)
    return ((net(s * x + (1 - s) * z, t) - x + z) ** 2).sum(dim=1).mean()


def loss_norm(net, x, z, t):
    missing = net(torch.lerp(z, x, t[:, None].expand_as(x)), t) - (x - z)
    return torch.linalg.vector_norm(missing, dim=1).pow(2).mean()


def loss_data(net, x, z, t):
    s = t[:, None]
    return ((net(s * x + (1 - s) * z, t) - x) ** 2).sum(1).mean()


def loss_sign(net, x, z, t):
    s = t[:, None]
    return ((net(s * x + (1 - s) * z, t) - (z - x)) ** 2).sum(1).mean()


def loss_one_time(net, x, z, t):
    s = t[0]
    return ((net(s * x + (1 - s) * z, s.expand(len(x))) - (x - z)) ** 2).sum(1).mean()


def loss_reversed(net, x, z, t):
    s = t[:, None]
    return ((net(s * z + (1 - s) * x, t) - (x - z)) ** 2).sum(1).mean()


def loss_mse(net, x, z, t):
    s = t[:, None]
    return torch.nn.functional.mse_loss(net(s * x + (1 - s) * z, t), x - z)


def loss_detached(net, x, z, t):
    s = t[:, None]
    return ((net(s * x + (1 - s) * z, t).detach() - (x - z)) ** 2).sum(1).mean()


def marginal_normal(x_t, data, t):
    log_p = Normal(t * data, 1 - t).log_prob(x_t[:, None]).sum(2)
    lines = (data - x_t[:, None]) / (1 - t)
    return (torch.softmax(log_p, 1)[:, :, None] * lines).sum(1)


def marginal_ratio(x_t, data, t):
    p = torch.exp(-(x_t[:, None] - t * data).square().sum(2) / (2 * (1 - t) ** 2))
    return (p @ data / p.sum(1, keepdim=True) - x_t) / (1 - t)


def marginal_nearest(x_t, data, t):
    nearest = data[torch.cdist(x_t, t * data).argmin(1)]
    return (nearest - x_t) / (1 - t)


def marginal_equal(x_t, data, t):
    return (data.mean(0) - x_t) / (1 - t)


def marginal_undivided(x_t, data, t):
    return (1 - t) * marginal_normal(x_t, data, t)


def marginal_axis(x_t, data, t):
    log_p = Normal(t * data, 1 - t).log_prob(x_t[:, None]).sum(2)
    return (torch.softmax(log_p, 0) @ data - x_t) / (1 - t)


def marginal_variance(x_t, data, t):
    log_p = Normal(t * data, (1 - t) ** 0.5).log_prob(x_t[:, None]).sum(2)
    return (torch.softmax(log_p, 1) @ data - x_t) / (1 - t)


def heun_two(v, x, t, h):
    first = v(x, t)
    second = v(x + h * first, t + h)
    return x + h * (first + second) / 2


def heun_correct(v, x, t, h):
    euler = x + h * v(x, t)
    return (x + euler + h * v(euler, t + h)) / 2


def heun_euler(v, x, t, h):
    return x + h * v(x, t)


def heun_midpoint(v, x, t, h):
    return x + h * v(x + 0.5 * h * v(x, t), t + 0.5 * h)


def heun_old_time(v, x, t, h):
    first = v(x, t)
    return x + h * (first + v(x + h * first, t)) / 2


def heun_sum(v, x, t, h):
    first = v(x, t)
    return x + h * (first + v(x + h * first, t + h))


def heun_from_end(v, x, t, h):
    first = v(x, t)
    end = x + h * first
    return end + h / 2 * (first + v(end, t + h))


def convert_guess(noise, x_t, a, b):
    data = (x_t - b * noise) / a
    return data - noise


def convert_sum(noise, x_t, a, b):
    return (x_t - (a + b) * noise) / a


def convert_data(noise, x_t, a, b):
    return (x_t - b * noise) / a


def convert_sign(noise, x_t, a, b):
    return ((a + b) * noise - x_t) / a


def convert_v(noise, x_t, a, b):
    return a * noise - b * (x_t - b * noise) / a


def convert_line(noise, x_t, a, b):
    return (x_t - noise) / a


def density_plain(traced, x, steps):
    log_det, h = 0, 1 / steps
    for k in range(steps, 0, -1):
        v, trace = traced(x, k / steps)
        x, log_det = x - h * v, log_det - h * trace
    return Normal(0.0, 1.0).log_prob(x).sum(1) + log_det


def density_linspace(traced, x, steps):
    times, total = torch.linspace(1, 0, steps + 1, dtype=torch.float64).tolist(), torch.zeros(len(x)).double()
    for now, then in zip(times, times[1:]):
        v, trace = traced(x, now)
        x, total = x + (then - now) * v, total + (then - now) * trace
    return Normal(0.0, 1.0).log_prob(x).sum(dim=-1) + total


def density_sign(traced, x, steps):
    log_det = 0
    for k in range(steps, 0, -1):
        v, trace = traced(x, k / steps)
        x, log_det = x - v / steps, log_det + trace / steps
    return Normal(0.0, 1.0).log_prob(x).sum(1) + log_det


def density_none(traced, x, steps):
    for k in range(steps, 0, -1):
        x = x - traced(x, k / steps)[0] / steps
    return Normal(0.0, 1.0).log_prob(x).sum(1)


def density_forward(traced, x, steps):
    log_det = 0
    for k in range(steps):
        v, trace = traced(x, k / steps)
        x, log_det = x + v / steps, log_det - trace / steps
    return Normal(0.0, 1.0).log_prob(x).sum(1) + log_det


def density_times(traced, x, steps):
    log_det = 0
    for k in range(steps):
        v, trace = traced(x, k / steps)
        x, log_det = x - v / steps, log_det - trace / steps
    return Normal(0.0, 1.0).log_prob(x).sum(1) + log_det


ANSWERS = {
    "line": {
        "right": [line_plain, line_lerp],
        "wrong": {
            "reversed": (line_reversed, "Time is reversed"),
            "sign": (line_sign, "from data to noise"),
            "data": (line_data, "is x itself"),
            "first time": (line_first, "first one's time"),
            "what is left": (line_left, "what is left of the way"),
        },
    },
    "loss": {
        "right": [loss_plain, loss_norm],
        "wrong": {
            "target x": (loss_data, "target is x"),
            "sign": (loss_sign, "the way back"),
            "one time": (loss_one_time, "first one's time"),
            "reversed": (loss_reversed, "Time is reversed"),
            "mean over numbers": (loss_mse, "averaged over the numbers"),
            "detached": (loss_detached, "no gradient reaches"),
        },
    },
    "marginal": {
        "right": [marginal_normal, marginal_ratio],
        "wrong": {
            "one line": (marginal_nearest, "conditional path for the marginal"),
            "equal": (marginal_equal, "equal weights"),
            "undivided": (marginal_undivided, "Divide by the time"),
            "axis": (marginal_axis, "over the *points*"),
            "variance": (marginal_variance, "its square"),
        },
    },
    "heun": {
        "right": [heun_two, heun_correct],
        "wrong": {
            "Euler": (heun_euler, "Euler's step"),
            "midpoint": (heun_midpoint, "midpoint"),
            "old time": (heun_old_time, "old time"),
            "sum": (heun_sum, "Take their mean"),
            "from the end": (heun_from_end, "Go back to x"),
        },
    },
    "convert": {
        "right": [convert_guess, convert_sum],
        "wrong": {
            "data": (convert_data, "guess of the data"),
            "sign": (convert_sign, "sign is turned"),
            "v": (convert_v, "called 'v'"),
            "a line": (convert_line, "add up to 1"),
        },
    },
    "density": {
        "right": [density_plain, density_linspace],
        "wrong": {
            "sign": (density_sign, "sign of the divergence"),
            "none": (density_none, "divergence is missing"),
            "forward": (density_forward, "walked from 0 to 1"),
            "times": (density_times, "first question is at t = 1"),
        },
    },
}
