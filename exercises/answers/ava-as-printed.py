"""Answers to the exercises on AVA as printed, right and wrong, as students write them."""

import math

import torch
from torch.distributions import Categorical, kl_divergence
from torch.nn import functional as F

# --- encoder-error -------------------------------------------------------------------------------


def encoder_by_autograd(mean, variance):
    flows = [torch.logit(part.double()).requires_grad_() for part in (mean, variance)]
    mu, var = map(torch.sigmoid, flows)
    divergence = 0.5 * (mu**2 + var - 1 - torch.log(var)).sum()
    return tuple(-g.float() for g in torch.autograd.grad(divergence, flows))


def encoder_expanded(mean, variance):
    return mean**3 - mean**2, (variance - 1) ** 2 / 2 * 1.0


def encoder_of_outputs(mean, variance):
    return -mean, (1 / variance - 1) / 2


def encoder_descends_upwards(mean, variance):
    return mean * mean * (1 - mean), -((1 - variance) ** 2) / 2


def encoder_log_variance(mean, variance):
    return -mean.pow(2) * (1 - mean), -0.5 * (torch.exp(variance) - 1) * variance * (1 - variance)


def encoder_one_slope(mean, variance):
    a = mean * (1 - mean)
    return -mean * a, 0.5 * (1 / variance - 1) * a


def encoder_no_half(mean, variance):
    return -mean.pow(2) * (1 - mean), (1 - variance) ** 2


# --- agreement -----------------------------------------------------------------------------------


def agreement_by_hand(rule, objective, v):
    a = torch.sigmoid(v).requires_grad_()
    (g,) = torch.autograd.grad(objective(a), a)
    exact = (-g * a * (1 - a)).detach()
    printed = rule(a).detach()
    return (exact * printed).sum() / (exact.norm() * printed.norm())


def agreement_by_differences(rule, objective, v):
    exact = []
    for i in range(len(v)):
        up, down = v.clone(), v.clone()
        up[i] += 1e-5
        down[i] -= 1e-5
        exact.append((objective(down.sigmoid()) - objective(up.sigmoid())) / 2e-5)
    exact, printed = torch.stack(exact), rule(v.sigmoid())
    return exact @ printed / exact.norm() / printed.norm()


def agreement_for_outputs(rule, objective, v):
    a = v.sigmoid().requires_grad_()
    objective(a).backward()
    return F.cosine_similarity(rule(a.detach()), -a.grad, dim=-1)


def agreement_upwards(rule, objective, v):
    v = v.clone().requires_grad_()
    objective(v.sigmoid()).backward()
    return torch.cosine_similarity(rule(v.sigmoid()).detach(), v.grad, dim=0)


def agreement_dot(rule, objective, v):
    v = v.clone().requires_grad_()
    objective(v.sigmoid()).backward()
    return torch.dot(rule(v.sigmoid()).detach(), -v.grad)


def agreement_without_activation(rule, objective, v):
    v = v.clone().requires_grad_()
    objective(v.sigmoid()).backward()
    return torch.cosine_similarity(rule(v).detach(), -v.grad, dim=0)


# --- decoder-error -------------------------------------------------------------------------------


def decoder_from_loss(x, x1, discriminator):
    flows = torch.logit(x1).requires_grad_()
    again = torch.sigmoid(flows)
    loss = 0.5 * (x - again).square().sum() + F.logsigmoid(-discriminator(again)).sum()
    return -torch.autograd.grad(loss, flows)[0]


def decoder_by_loop(x, x1, discriminator):
    rows = []
    for one, again in zip(x, x1):
        again = again.clone().requires_grad_()
        s = discriminator(again[None])[0]
        s.backward()
        rows.append((one - again + s.sigmoid() * again.grad) * again * (1 - again))
    return torch.stack(rows).detach()


def decoder_printed(x, x1, discriminator):
    d = discriminator(x1).sigmoid().unsqueeze(1)
    return ((x - x1) + d * (1 - d) / (1 - d)) * x1 * (1 - x1)


def decoder_slope_of_answer(x, x1, discriminator):
    x1 = x1.clone().requires_grad_()
    (g,) = torch.autograd.grad(discriminator(x1).sigmoid().sum(), x1)
    return ((x - x1 + g) * x1 * (1 - x1)).detach()


def decoder_of_outputs(x, x1, discriminator):
    x1 = x1.clone().requires_grad_()
    loss = 0.5 * (x - x1).pow(2).sum() + torch.log(1 - torch.sigmoid(discriminator(x1))).sum()
    return -torch.autograd.grad(loss, x1)[0]


def decoder_non_saturating(x, x1, discriminator):
    x1 = x1.clone().requires_grad_()
    loss = 0.5 * (x - x1).pow(2).sum() - F.logsigmoid(discriminator(x1)).sum()
    return (-torch.autograd.grad(loss, x1)[0] * x1 * (1 - x1)).detach()


def decoder_alone(x, x1, discriminator):
    return (x - x1) * x1 * (1 - x1)


# --- discriminator-steps -------------------------------------------------------------------------


def steps_by_autograd(W, b, w, c, x, x1):
    parts = [p.clone().requires_grad_() for p in (W, b, w, c)]
    answer = lambda picture: torch.sigmoid(parts[2] @ torch.sigmoid(parts[0] @ picture + parts[1]) + parts[3])
    return torch.autograd.grad(answer(x).log() + (1 - answer(x1)).log(), parts)


def steps_in_a_batch(W, b, w, c, x, x1):
    pictures = torch.stack([x, x1])
    hidden = torch.sigmoid(pictures @ W.T + b)
    d = torch.sigmoid(hidden @ w + c)
    error = torch.stack([1 - d[0], -d[1]])
    below = error[:, None] * w * hidden * (1 - hidden)
    return below.T @ pictures, below.sum(0), error @ hidden, error.sum()


def of_one_pass(W, b, w, c, picture, error, bend=True):
    hidden = torch.sigmoid(W @ picture + b)
    below = error * w * (hidden * (1 - hidden) if bend else 1)
    return below[:, None] * picture[None], below, error * hidden, error * 1.0


def both_answers(W, b, w, c, x, x1):
    return [torch.sigmoid(w @ torch.sigmoid(W @ picture + b) + c) for picture in (x, x1)]


def steps_through_fake(W, b, w, c, x, x1):
    d, d1 = both_answers(W, b, w, c, x, x1)
    return of_one_pass(W, b, w, c, x1, 1 - d - d1)


def steps_through_real(W, b, w, c, x, x1):
    d, d1 = both_answers(W, b, w, c, x, x1)
    return of_one_pass(W, b, w, c, x, 1 - d - d1)


def steps_down(W, b, w, c, x, x1):
    return tuple(-step for step in steps_by_autograd(W, b, w, c, x, x1))


def steps_of_both_upwards(W, b, w, c, x, x1):
    d, d1 = both_answers(W, b, w, c, x, x1)
    real, fake = of_one_pass(W, b, w, c, x, 1 - d), of_one_pass(W, b, w, c, x1, d1)
    return tuple(a + e for a, e in zip(real, fake))


def steps_without_bend(W, b, w, c, x, x1):
    d, d1 = both_answers(W, b, w, c, x, x1)
    real, fake = of_one_pass(W, b, w, c, x, 1 - d, False), of_one_pass(W, b, w, c, x1, -d1, False)
    return tuple(a + e for a, e in zip(real, fake))


# --- leaning-loss --------------------------------------------------------------------------------


def lean_by_loop(x, x1, score):
    total = 0
    for one, again, s in zip(x, x1.detach(), score):
        m = torch.dot(one - again, again * (1 - again))
        total = total - m * s.sigmoid()
    return total / len(x)


def lean_einsum(x, x1, score):
    with torch.no_grad():
        m = torch.einsum("bi,bi->b", x - x1, x1 - x1**2)
    return torch.mean(-m * torch.sigmoid(score))


def lean_undetached(x, x1, score):
    m = ((x - x1) * x1 * (1 - x1)).sum(1)
    return -(m * score.sigmoid()).mean()


def lean_as_in_the_objective(x, x1, score):
    return 0.5 * ((x - x1) ** 2).sum(dim=1).mean()


def lean_upwards(x, x1, score):
    return -lean_einsum(x, x1, score)


def lean_mean_of_pixels(x, x1, score):
    return lean_einsum(x, x1, score) / x.shape[1]


def lean_score(x, x1, score):
    m = ((x - x1) * x1 * (1 - x1)).sum(1).detach()
    return -(m * score).mean()


def lean_whole_batch(x, x1, score):
    return lean_einsum(x, x1, score) * len(x)


# --- divergences ---------------------------------------------------------------------------------


def js_by_torch(p, q, code):
    def js(p, q):
        m = Categorical((p + q) / 2)
        return (kl_divergence(Categorical(p), m) + kl_divergence(Categorical(q), m)) / 2

    one_hot = F.one_hot(code).to(p)
    return js(p, q), js(p @ one_hot, q @ one_hot)


def js_by_loop(p, q, code):
    def js(p, q):
        total = torch.zeros((), dtype=torch.float64)
        for a, b in zip(p, q):
            for c in (a, b):
                if c > 0:
                    total = total + 0.5 * c * torch.log(2 * c / (a + b))
        return total

    codes = range(int(code.max()) + 1)
    together = lambda p: [p[code == k].sum() for k in codes]
    return js(p, q), js(together(p), together(q))


def js_in_bits(p, q, code):
    return tuple(value / math.log(2) for value in js_by_torch(p, q, code))


def js_without_half(p, q, code):
    return tuple(2 * value for value in js_by_torch(p, q, code))


def js_careless(p, q, code):
    def js(p, q):
        m = (p + q) / 2
        return 0.5 * (p * (p / m).log() + q * (q / m).log()).sum()

    one_hot = F.one_hot(code).to(p)
    return js(p, q), js(p @ one_hot, q @ one_hot)


def js_averaged(p, q, code):
    def js(p, q):
        m = (p + q) / 2
        return 0.5 * (torch.xlogy(p, p / m) + torch.xlogy(q, q / m)).sum()

    mean = lambda p: torch.stack([p[code == k].mean() for k in range(int(code.max()) + 1)])
    return js(p, q), js(mean(p), mean(q))


def js_swapped(p, q, code):
    return js_by_torch(p, q, code)[::-1]


def encoder_variance_without_slope(mean, variance):
    return -(mean**2) * (1 - mean), 0.5 * (1 / variance - 1)


def encoder_of_log_variance(mean, variance):
    return -(mean**2) * (1 - mean), 0.5 * (1 - variance) * variance * (1 - variance)


def decoder_without_answer(x, x1, discriminator):
    x1 = x1.detach().requires_grad_()
    discriminator(x1).sum().backward()
    return ((x - x1 + x1.grad) * x1 * (1 - x1)).detach()


def decoder_pushed_back(x, x1, discriminator):
    x1 = x1.detach().requires_grad_()
    score = discriminator(x1)
    (slopes,) = torch.autograd.grad(score.sum(), x1)
    return ((x - x1 - score.sigmoid()[:, None] * slopes) * x1 * (1 - x1)).detach()


def steps_into_the_same(W, b, w, c, x, x1):
    first = []
    for picture, target in ((x, 1.0), (x1, 0.0)):
        hidden = torch.sigmoid(W @ picture + b)
        error = target - torch.sigmoid(w @ hidden + c)
        below = error * w * hidden * (1 - hidden)
        first.append((torch.outer(below, x), below, error * hidden, error))
    return tuple(map(sum, zip(*first)))


def lean_squares(x, x1, score):
    return -(0.5 * (x - x1.detach()).square().sum(1) * score.sigmoid()).mean()


def agreement_without_sign(rule, objective, v):
    return agreement_by_hand(rule, objective, v).abs()


def js_one_side(p, q, code):
    relative = lambda a, b: (torch.xlogy(a, a) - torch.xlogy(a, (a + b) / 2)).sum()
    of_codes = lambda a: torch.bincount(code, weights=a)
    return relative(p, q), relative(of_codes(p), of_codes(q))


ANSWERS = {
    "encoder-error": {
        "right": [encoder_by_autograd, encoder_expanded],
        "wrong": {
            "the errors of the outputs": (encoder_of_outputs, "slopes"),
            "the derivative, not minus it": (encoder_descends_upwards, "sign"),
            "the second output for a logarithm": (encoder_log_variance, "logarithm"),
            "one slope for all": (encoder_one_slope, "its own slope"),
            "no half": (encoder_no_half, "½"),
            "a slope at the means only": (encoder_variance_without_slope, "neurons of the variance"),
            "for the logarithm of the variance": (encoder_of_log_variance, "for the logarithm of the variance"),
        },
    },
    "agreement": {
        "right": [agreement_by_hand, agreement_by_differences],
        "wrong": {
            "differentiated for the outputs": (agreement_for_outputs, "for the outputs"),
            "compared with the gradient": (agreement_upwards, "sign"),
            "no lengths": (agreement_dot, "lengths"),
            "the rule is given v": (agreement_without_activation, "handed v"),
            "no sign": (agreement_without_sign, "opposite"),
        },
    },
    "decoder-error": {
        "right": [decoder_from_loss, decoder_by_loop],
        "wrong": {
            "rule (6)": (decoder_printed, "printed rule"),
            "the slope of D": (decoder_slope_of_answer, "slope of D"),
            "of the outputs": (decoder_of_outputs, "own neurons"),
            "the other charge": (decoder_non_saturating, "non-saturating"),
            "no discriminator": (decoder_alone, "missing"),
            "slopes of the score alone": (decoder_without_answer, "weighed"),
            "pushed the other way": (decoder_pushed_back, "push of the discriminator. The sign"),
        },
    },
    "discriminator-steps": {
        "right": [steps_by_autograd, steps_in_a_batch],
        "wrong": {
            "as in the program": (steps_through_fake, "over x′"),
            "all through the real picture": (steps_through_real, "over x:"),
            "descent": (steps_down, "sign"),
            "both answers upwards": (steps_of_both_upwards, "wrong sign"),
            "no slopes below": (steps_without_bend, "own slopes"),
            "x in both passes": (steps_into_the_same, "x′ that went in"),
        },
    },
    "leaning-loss": {
        "right": [lean_by_loop, lean_einsum],
        "wrong": {
            "a gradient to the decoder": (lean_undetached, "x1"),
            "the paper's term": (lean_as_in_the_objective, "score is not in it"),
            "upwards": (lean_upwards, "sign"),
            "a mean of pixels": (lean_mean_of_pixels, "mean"),
            "the score for the answer": (lean_score, "by the score"),
            "summed over the batch": (lean_whole_batch, "batch"),
            "squares for differences": (lean_squares, "squared distance"),
        },
    },
    "divergences": {
        "right": [js_by_torch, js_by_loop],
        "wrong": {
            "bits": (js_in_bits, "bits"),
            "no half": (js_without_half, "½"),
            "0 log 0": (js_careless, "inf or nan"),
            "codes averaged": (js_averaged, "averaged"),
            "in the wrong order": (js_swapped, "order"),
            "one half alone": (js_one_side, "alone"),
        },
    },
}
