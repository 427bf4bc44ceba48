"""Answers to the exercises on diffusion as students write them, right and wrong, and what a reason must say."""

import torch

# --- noise -------------------------------------------------------------------------------------------


def noise_view(x, kept, e):
    a = kept[:, None, None, None]
    return a * x + torch.sqrt(1 - a**2) * e


def noise_angle(x, kept, e):
    angle = torch.acos(kept).reshape(-1, 1, 1, 1)
    return torch.cos(angle) * x + torch.sin(angle) * e


def noise_no_root(x, kept, e):
    a = kept[:, None, None, None]
    return a * x + (1 - a**2) * e


def noise_alpha_bar(x, kept, e):
    a = kept[:, None, None, None]
    return a.sqrt() * x + (1 - a).sqrt() * e


def noise_linear(x, kept, e):
    a = kept[:, None, None, None]
    return a * x + (1 - a) * e


def noise_first(x, kept, e):
    return kept[0] * x + (1 - kept[0] ** 2).sqrt() * e


def noise_exploding(x, kept, e):
    return x + (1 - kept[:, None, None, None] ** 2).sqrt() * e


# --- loss --------------------------------------------------------------------------------------------


def amounts(t):
    return torch.cos(1.5 * t)[:, None], torch.sin(1.5 * t)[:, None]


def loss_plain(net, x, t, e):
    a, b = amounts(t)
    return ((net(a * x + b * e, t) - e) ** 2).sum(dim=1).mean()


def loss_norm(net, x, t, e):
    a, b = amounts(t)
    return torch.linalg.vector_norm(e - net(a * x + b * e, t), dim=1).pow(2).mean()


def loss_picture(net, x, t, e):
    a, b = amounts(t)
    return ((net(a * x + b * e, t) - x) ** 2).sum(1).mean()


def loss_added(net, x, t, e):
    a, b = amounts(t)
    return ((net(a * x + b * e, t) - b * e) ** 2).sum(1).mean()


def loss_mse(net, x, t, e):
    a, b = amounts(t)
    return torch.nn.functional.mse_loss(net(a * x + b * e, t), e)


def loss_one_time(net, x, t, e):
    a, b = amounts(t[:1])
    return ((net(a * x + b * e, t) - e) ** 2).sum(1).mean()


def loss_clean(net, x, t, e):
    return ((net(x, t) - e) ** 2).sum(1).mean()


def loss_detached(net, x, t, e):
    a, b = amounts(t)
    return ((net(a * x + b * e, t).detach() - e) ** 2).sum(1).mean()


# --- step --------------------------------------------------------------------------------------------


def step_bayes(x_t, x, kept_s, kept_t):
    """Two Gaussians, multiplied: precision by precision."""
    r = kept_t / kept_s
    forward = (1 - kept_t**2) - r**2 * (1 - kept_s**2)
    precision = 1 / (1 - kept_s**2) + r**2 / forward
    mean = (kept_s * x / (1 - kept_s**2) + r * x_t / forward) / precision
    return mean, float(precision**-0.5)


def step_formula(x_t, x, kept_s, kept_t):
    vs, vt, r = 1 - kept_s**2, 1 - kept_t**2, kept_t / kept_s
    v = vt - r * r * vs
    return r * vs / vt * x_t + kept_s * v / vt * x, float((v * vs / vt) ** 0.5)


def step_variance(x_t, x, kept_s, kept_t):
    mean, deviation = step_formula(x_t, x, kept_s, kept_t)
    return mean, deviation**2


def step_forward_width(x_t, x, kept_s, kept_t):
    vs, vt, r = 1 - kept_s**2, 1 - kept_t**2, kept_t / kept_s
    v = vt - r * r * vs
    return r * vs / vt * x_t + kept_s * v / vt * x, float(v**0.5)


def step_difference(x_t, x, kept_s, kept_t):
    vs, vt, r = 1 - kept_s**2, 1 - kept_t**2, kept_t / kept_s
    v = vt - vs
    return r * vs / vt * x_t + kept_s * v / vt * x, float((v * vs / vt) ** 0.5)


def step_exchanged(x_t, x, kept_s, kept_t):
    vs, vt, r = 1 - kept_s**2, 1 - kept_t**2, kept_t / kept_s
    v = vt - r * r * vs
    return r * vs / vt * x + kept_s * v / vt * x_t, float((v * vs / vt) ** 0.5)


def step_tensor(x_t, x, kept_s, kept_t):
    mean, deviation = step_formula(x_t, x, kept_s, kept_t)
    return mean, torch.tensor(deviation)


# --- ddim --------------------------------------------------------------------------------------------


def ddim_guess(x_t, e, kept_t, kept_s):
    picture = (x_t - (1 - kept_t**2) ** 0.5 * e) / kept_t
    return kept_s * picture + (1 - kept_s**2) ** 0.5 * e


def ddim_ratio(x_t, e, kept_t, kept_s):
    r = kept_s / kept_t
    return r * x_t + ((1 - kept_s**2) ** 0.5 - r * (1 - kept_t**2) ** 0.5) * e


def ddim_undivided(x_t, e, kept_t, kept_s):
    return kept_s * (x_t - (1 - kept_t**2) ** 0.5 * e) + (1 - kept_s**2) ** 0.5 * e


def ddim_old_noise(x_t, e, kept_t, kept_s):
    b = (1 - kept_t**2) ** 0.5
    return kept_s * (x_t - b * e) / kept_t + b * e


def ddim_clean(x_t, e, kept_t, kept_s):
    return (x_t - (1 - kept_t**2) ** 0.5 * e) / kept_t


def ddim_squares(x_t, e, kept_t, kept_s):
    return kept_s * (x_t - (1 - kept_t**2) * e) / kept_t + (1 - kept_s**2) * e


# --- guidance ----------------------------------------------------------------------------------------


def guidance_sum(told, untold, w):
    return (1 + w) * told - w * untold


def guidance_lerp(told, untold, w):
    return torch.lerp(untold, told, 1 + w)


def guidance_other_convention(told, untold, w):
    return untold + w * (told - untold)


def guidance_exchanged(told, untold, w):
    return (1 + w) * untold - w * told


def guidance_plus(told, untold, w):
    return (1 + w) * told + w * untold


def guidance_away(told, untold, w):
    return told - w * (told - untold)


# --- score -------------------------------------------------------------------------------------------


def score_autograd(x_t, examples, kept):
    x = x_t.clone().requires_grad_()
    far = ((x[:, None] - kept * examples) ** 2).sum(2)
    log_p = torch.logsumexp(-far / (2 * (1 - kept**2)), 1)
    return torch.autograd.grad(log_p.sum(), x)[0]


def score_softmax(x_t, examples, kept):
    v = 1 - kept**2
    far = ((x_t[:, None] - kept * examples) ** 2).sum(2)
    share = torch.softmax(-far / (2 * v), dim=1)
    return (share[:, :, None] * (kept * examples - x_t[:, None])).sum(1) / v


def score_sign(x_t, examples, kept):
    return -score_softmax(x_t, examples, kept)


def score_noise(x_t, examples, kept):
    return score_softmax(x_t, examples, kept) * (1 - kept**2) ** 0.5


def score_axis(x_t, examples, kept):
    v = 1 - kept**2
    share = torch.softmax(-torch.cdist(x_t, kept * examples) ** 2 / (2 * v), dim=0)
    return (share @ (kept * examples) - x_t) / v


def score_unshrunk(x_t, examples, kept):
    v = 1 - kept**2
    share = torch.softmax(-torch.cdist(x_t, examples) ** 2 / (2 * v), dim=1)
    return (share @ examples - x_t) / v


def score_nearest(x_t, examples, kept):
    nearest = torch.cdist(x_t, kept * examples).argmin(1)
    return (kept * examples[nearest] - x_t) / (1 - kept**2)


ANSWERS = {
    "noise": {
        "right": [noise_view, noise_angle],
        "wrong": {
            "no root": (noise_no_root, "root is missing"),
            "alpha bar": (noise_alpha_bar, "√kept"),
            "linear": (noise_linear, "b = 1 − a"),
            "first time": (noise_first, "first one's time"),
            "exploding": (noise_exploding, "not made weaker"),
        },
    },
    "loss": {
        "right": [loss_plain, loss_norm],
        "wrong": {
            "names the picture": (loss_picture, "name the picture"),
            "names what was added": (loss_added, "what was added"),
            "mean over numbers": (loss_mse, "averaged over the numbers"),
            "one time": (loss_one_time, "first one's time"),
            "clean": (loss_clean, "clean picture"),
            "detached": (loss_detached, "no gradient reaches"),
        },
    },
    "step": {
        "right": [step_bayes, step_formula],
        "wrong": {
            "variance": (step_variance, "return the variance"),
            "forwards": (step_forward_width, "step forwards"),
            "difference": (step_difference, "shrinks on the way"),
            "exchanged": (step_exchanged, "changed places"),
            "tensor": (step_tensor, "plain number"),
        },
    },
    "ddim": {
        "right": [ddim_guess, ddim_ratio],
        "wrong": {
            "not divided": (ddim_undivided, "not divided by a_t"),
            "old noise": (ddim_old_noise, "old amount of noise"),
            "clean": (ddim_clean, "guess of the picture itself"),
            "squares": (ddim_squares, "Those are their squares"),
        },
    },
    "guidance": {
        "right": [guidance_sum, guidance_lerp],
        "wrong": {
            "other convention": (guidance_other_convention, "another convention"),
            "exchanged": (guidance_exchanged, "changed places"),
            "plus": (guidance_plus, "do not add up to 1"),
            "away": (guidance_away, "subtract the difference"),
        },
    },
    "score": {
        "right": [score_autograd, score_softmax],
        "wrong": {
            "sign": (score_sign, "sign is turned"),
            "noise": (score_noise, "divided by b once more"),
            "axis": (score_axis, "over the *examples*"),
            "not shrunk": (score_unshrunk, "not made weaker"),
            "nearest": (score_nearest, "nearest example"),
        },
    },
}
