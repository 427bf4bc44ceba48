"""Checks for the exercises of 'What is a generative model?'."""

import math
from collections import Counter, defaultdict

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from belamy.check import Check, Fresh

# --- the logarithmic normal ----------------------------------------------------------------------


def log_density_of_exp(x: Tensor, mean: float, scale: float) -> Tensor:
    """log p(x) of x = exp(z) with z ~ N(mean, scale^2), x > 0: (N,) -> (N,)."""
    return Normal(mean, scale).log_prob(x.log()) - x.log()


lognormal = Check(
    log_density_of_exp,
    draw=lambda fresh: (
        fresh.normal(fresh.integer(5, 40)).exp(),
        fresh.number(-1, 1),
        fresh.number(0.3, 0.8) if fresh.bits().item() else fresh.number(1.3, 2.0),
    ),
    returns="a tensor (N,), a log-density for each x",
    terms={
        "The logarithm of the derivative, −log x,": lambda x, mean, scale: -x.log(),
        "The square in the exponent, −(z − μ)² / 2σ²,": lambda x, mean, scale: -((x.log() - mean) ** 2) / (2 * scale**2),
        "The constant −½ log 2π": lambda x, mean, scale: -0.5 * math.log(2 * math.pi) + 0 * x,
        "The constant −log σ": lambda x, mean, scale: -math.log(scale) + 0 * x,
    },
    mistakes={
        "You left out the derivative: where G is steep, the same mass lies on a longer stretch.": (
            lambda x, mean, scale: Normal(mean, scale).log_prob(x.log())
        ),
        "You multiplied by G'(z) where the equation divides: a steep G thins the points out.": (
            lambda x, mean, scale: Normal(mean, scale).log_prob(x.log()) + x.log()
        ),
        "You took the derivative of G at x; it belongs at z, the point that G sends to x.": (
            lambda x, mean, scale: Normal(mean, scale).log_prob(x.log()) - x
        ),
        "You put x into the density of z: first find the z that G sends to x.": (
            lambda x, mean, scale: Normal(mean, scale).log_prob(x) - x.log()
        ),
        "You divided the log-density by the derivative: the density is divided, so logarithms are subtracted.": (
            lambda x, mean, scale: Normal(mean, scale).log_prob(x.log()) / x
        ),
        "You took scale for a variance: it is the standard deviation of z.": (
            lambda x, mean, scale: Normal(mean, math.sqrt(scale)).log_prob(x.log()) - x.log()
        ),
        "The density of z lacks its factor 1 / scale: a wide bell is a low one.": (
            lambda x, mean, scale: log_density_of_exp(x, mean, scale) + math.log(scale)
        ),
    },
    gradients=["x"],
    extremes=lambda fresh: (torch.tensor([1e-30, 1.0, 1e30]), fresh.number(-1, 1), 0.5),
)

# --- Bayes' rule ---------------------------------------------------------------------------------


def log_posterior(log_likelihoods: Tensor, log_prior: Tensor) -> Tensor:
    """log P(y|x) from log p(x|y) and log P(y): (N, K), (K,) -> (N, K)."""
    return (log_likelihoods + log_prior).log_softmax(1)


def draw_classes(fresh: Fresh, scale: float = 2.0) -> tuple[Tensor, Tensor]:
    """Log-likelihoods (N, K) and log-priors (K,)."""
    n, k = fresh.sizes((4, 12), (3, 9))
    return fresh.normal(n, k, scale=scale) - 5, fresh.normal(k).log_softmax(0)


bayes = Check(
    log_posterior,
    draw=draw_classes,
    returns="a tensor (N, K), log P(y|x) of each picture and label",
    mistakes={
        "You normalised over the batch: p(x) is a sum over the labels, for each picture by itself.": (
            lambda likely, prior: (likely + prior).log_softmax(0)
        ),
        "You stopped at the joint density p(x, y): the denominator p(x) is missing.": (
            lambda likely, prior: likely + prior
        ),
        "You left out P(y): a frequent label needs less evidence.": lambda likely, prior: likely.log_softmax(1),
        "Your denominator lacks P(y): p(x) is the sum of p(x|y) P(y), so your probabilities do not sum to one.": (
            lambda likely, prior: likely.log_softmax(1) + prior
        ),
        "You added P(y) itself to a logarithm; its logarithm belongs there.": (
            lambda likely, prior: (likely + prior.exp()).log_softmax(1)
        ),
        "You multiplied the log-likelihoods by P(y); the logarithm of P(y) is added.": (
            lambda likely, prior: (likely * prior.exp()).log_softmax(1)
        ),
        "You took the likeliest label's off, which leaves 0 at the largest; p(x) is the sum over all labels.": (
            lambda likely, prior: likely + prior - (likely + prior).amax(1, keepdim=True)
        ),
        "You divided logarithms: the logarithm of a quotient is a difference.": (
            lambda likely, prior: (likely + prior) / (likely + prior).logsumexp(1, keepdim=True)
        ),
        "You summed the logarithms of p(x, y): p(x) is the sum of the densities themselves.": (
            lambda likely, prior: likely + prior - (likely + prior).sum(1, keepdim=True)
        ),
        "You return probabilities where their logarithms are asked for.": (
            lambda likely, prior: (likely + prior).softmax(1)
        ),
    },
    gradients=["log_likelihoods"],
    extremes=lambda fresh: draw_classes(fresh, 500.0),
)

# --- the sum over all causes ---------------------------------------------------------------------


def log_gaussians(x: Tensor, centres: Tensor, width: float) -> Tensor:
    """log N(x; centre, width^2 I) of every point and centre: (N, d), (K, d) -> (N, K)."""
    squares = (x[:, None] - centres).square().sum(2)
    return -squares / (2 * width**2) - x.shape[1] * math.log(width * math.sqrt(2 * math.pi))


def log_marginal(x: Tensor, centres: Tensor, log_weights: Tensor, width: float) -> Tensor:
    """log p(x) by a sum over K causes: (N, d), (K, d), (K,) -> (N,)."""
    return (log_gaussians(x, centres, width) + log_weights).logsumexp(1)


def draw_causes(fresh: Fresh, scale: float = 1.0) -> tuple[Tensor, Tensor, Tensor, float]:
    """Points, centres, log-weights and a width."""
    n, d, k = fresh.sizes((4, 9), (2, 4), (5, 12))
    width = fresh.number(0.4, 0.8) if fresh.bits().item() else fresh.number(1.2, 1.6)
    return fresh.normal(n, d, scale=scale), fresh.normal(k, d), fresh.normal(k).log_softmax(0), width


marginal = Check(
    log_marginal,
    draw=draw_causes,
    returns="a tensor (N,), log p(x) of each point",
    mistakes={
        "You averaged the logarithms of p(x|z): the equation averages the densities and takes the logarithm last.": (
            lambda x, c, w, s: (log_gaussians(x, c, s) * w.exp()).sum(1)
        ),
        "You summed the logarithms over the causes, as if x had to be made by all of them at once.": (
            lambda x, c, w, s: (log_gaussians(x, c, s) + w).sum(1)
        ),
        "You left out p(z): every cause counts with its weight.": (
            lambda x, c, w, s: log_gaussians(x, c, s).logsumexp(1)
        ),
        "You gave all causes the same weight: p(z) is in log_weights.": (
            lambda x, c, w, s: log_gaussians(x, c, s).logsumexp(1) - math.log(len(c))
        ),
        "You took the likeliest cause alone: x may come from any of them.": (
            lambda x, c, w, s: (log_gaussians(x, c, s) + w).amax(1)
        ),
        "You summed over the points where the sum goes over the causes.": (
            lambda x, c, w, s: (log_gaussians(x, c, s) + w).logsumexp(0)
        ),
        "Your normaliser is that of a Gaussian on a line: in d dimensions it stands there d times.": (
            lambda x, c, w, s: log_marginal(x, c, w, s) + (x.shape[1] - 1) * math.log(s * math.sqrt(2 * math.pi))
        ),
        "The Gaussian lacks its normaliser, the power of width √(2π) that gives it mass one.": (
            lambda x, c, w, s: log_marginal(x, c, w, s) + x.shape[1] * math.log(s * math.sqrt(2 * math.pi))
        ),
        "The width is missing from your normaliser: a wide Gaussian is a low one.": (
            lambda x, c, w, s: log_marginal(x, c, w, s) + x.shape[1] * math.log(s)
        ),
        "The ½ in the exponent of the Gaussian is missing.": (
            lambda x, c, w, s: log_marginal(x, c, w, s / math.sqrt(2)) - x.shape[1] * math.log(2) / 2
        ),
        "You took width for a variance: it is a standard deviation.": (
            lambda x, c, w, s: log_marginal(x, c, w, math.sqrt(s))
        ),
        "In the exponent width is not squared: it is a standard deviation.": (
            lambda x, c, w, s: log_marginal(x, c, w, math.sqrt(s)) - x.shape[1] * math.log(s) / 2
        ),
        "You multiplied a logarithm by the weight; a weight's logarithm is added.": (
            lambda x, c, w, s: (log_gaussians(x, c, s) * w.exp()).logsumexp(1)
        ),
    },
    gradients=["x", "centres"],
    extremes=lambda fresh: draw_causes(fresh, 100.0),
)

# --- a step of a flow ----------------------------------------------------------------------------


def encode_half(a: Tensor, b: Tensor, net: nn.Module) -> tuple[Tensor, Tensor]:
    """z of b = shift + exp(log_scale) z, and log |det dz/db|: (N, h), (N, h) -> (N, h), (N,)."""
    shift, log_scale = net(a).chunk(2, 1)
    return (b - shift) * (-log_scale).exp(), -log_scale.sum(1)


def draw_halves(fresh: Fresh) -> tuple[Tensor, Tensor, nn.Module]:
    """Two halves of N points and a net (N, h) -> (N, 2h)."""
    n, h = fresh.sizes((5, 9), (2, 4))
    net = nn.Sequential(nn.Linear(h, 8), nn.Tanh(), nn.Linear(8, 2 * h))
    return fresh.normal(n, h), fresh.normal(n, h), net


def halved(change):
    """A mistake: what `change` makes of (b, shift, log_scale)."""
    return lambda a, b, net: change(b, *net(a).chunk(2, 1))


coupling = Check(
    encode_half,
    draw=draw_halves,
    returns="z (N, h) and log |det dz/db| (N,)",
    mistakes={
        "Your z is right, but your determinant is that of the way from z to x: the density of x needs the way back.": (
            halved(lambda b, t, s: ((b - t) * (-s).exp(), s.sum(1)))
        ),
        "You ran the step forwards, from z to b: the density needs the z behind a given b.": (
            halved(lambda b, t, s: (t + s.exp() * b, s.sum(1)))
        ),
        "You ran the step forwards, from z to b, and your determinant is that of the way back.": (
            halved(lambda b, t, s: (t + s.exp() * b, -s.sum(1)))
        ),
        "You undid the two operations in the wrong order: what came last must go first.": (
            halved(lambda b, t, s: (b * (-s).exp() - t, -s.sum(1)))
        ),
        "You multiplied by the scale to undo a multiplication by it.": (
            halved(lambda b, t, s: ((b - t) * s.exp(), s.sum(1)))
        ),
        "Your determinant is right, but you multiplied by the scale to undo a multiplication by it.": (
            halved(lambda b, t, s: ((b - t) * s.exp(), -s.sum(1)))
        ),
        "You divided by the logarithm of the scale, not by the scale.": (
            halved(lambda b, t, s: ((b - t) / s, -s.sum(1)))
        ),
        "You took the net's second half for scales; it holds their logarithms.": (
            halved(lambda b, t, s: ((b - t) / s, -s.abs().log().sum(1)))
        ),
        "The net read b; it is to read a, the half that stays as it is.": lambda a, b, net: encode_half(b, b, net),
        "You took the net's numbers by turns; all shifts come first, then all log-scales.": (
            lambda a, b, net: ((b - net(a)[:, ::2]) * (-net(a)[:, 1::2]).exp(), -net(a)[:, 1::2].sum(1))
        ),
        "You read the first half of the net's output as log-scales: shifts come first.": (
            halved(lambda b, s, t: ((b - t) * (-s).exp(), -s.sum(1)))
        ),
        "Your z is right, but you averaged the log-scales: a determinant is a product over all h coordinates.": (
            halved(lambda b, t, s: ((b - t) * (-s).exp(), -s.mean(1)))
        ),
        "Your z is right, but you added the scales up: a determinant is their product.": (
            halved(lambda b, t, s: ((b - t) * (-s).exp(), (-s).exp().sum(1)))
        ),
        "Your z is right, but your second value is the determinant, not its logarithm.": (
            halved(lambda b, t, s: ((b - t) * (-s).exp(), (-s.sum(1)).exp()))
        ),
        "Your z is right, but your log-determinant is summed over the batch: every point has its own.": (
            halved(lambda b, t, s: ((b - t) * (-s).exp(), -s.sum(0)))
        ),
    },
    gradients=["a", "b", "net"],
)

# --- a Markov chain that writes ------------------------------------------------------------------


def letter_bits(seen: str, text: str, order: int, extra: float, total: float, skip: bool = False) -> list[float]:
    """−log2 of each letter's probability by counts of `seen`; `total` is what the denominator has besides."""
    counts = defaultdict(Counter)
    for i in range(order, len(seen)):
        counts[seen[i - order : i]][seen[i]] += 1
    known = [(counts.get(text[i - order : i], Counter()), text[i]) for i in range(order, len(text))]
    return [-math.log2((c[letter] + extra) / (c.total() + total)) for c, letter in known if c or not skip]


def bits_per_letter(seen: str, text: str, order: int, letters: str, extra: float) -> float:
    """Bits that a letter of `text` costs, on average, given the `order` letters before it."""
    bits = letter_bits(seen, text, order, extra, extra * len(letters))
    return sum(bits) / len(bits)


def draw_texts(fresh: Fresh) -> tuple[str, str, int, str, float]:
    """Two texts in which some letters are frequent, an order, the letters and what is added to counts."""
    letters = "abcdefg"[: fresh.integer(5, 7)]
    letter = lambda: letters[min(fresh.integer(0, 6), fresh.integer(0, len(letters) - 1))]
    seen, text = ("".join(letter() for _ in range(fresh.integer(*ends))) for ends in ((40, 70), (30, 60)))
    return seen, text, fresh.integer(2, 3), letters, 0.5


def without_memory(answer, fresh: Fresh) -> str | None:
    """A law: order 0 is the frequency of the letters."""
    seen, text, _, letters, extra = draw_texts(fresh)
    right = bits_per_letter(seen, text, 0, letters, extra)
    if math.isclose(answer(seen, text, 0, letters, extra), right, rel_tol=1e-6):
        return None
    return "Of order 0 your chain is wrong: the context is then the empty string, and all letters count."


markov = Check(
    bits_per_letter,
    draw=draw_texts,
    returns="a float, bits per letter",
    mistakes={
        "You counted the text that is measured; the chain learns from `seen` alone.": (
            lambda seen, text, k, letters, extra: bits_per_letter(text, text, k, letters, extra)
        ),
        "You skipped letters whose context was never seen: there the chain must guess, and that costs most.": (
            lambda seen, text, k, letters, extra: float(
                torch.tensor(letter_bits(seen, text, k, extra, extra * len(letters), skip=True)).mean()
            )
        ),
        "Your probabilities do not sum to one: what is added to each count must be added to their sum, too.": (
            lambda seen, text, k, letters, extra: sum(letter_bits(seen, text, k, extra, 1e-12)) / (len(text) - k)
        ),
        "You added `extra` to the sum of counts once; it was added to the count of every letter.": (
            lambda seen, text, k, letters, extra: sum(letter_bits(seen, text, k, extra, extra)) / (len(text) - k)
        ),
        "You divided by all letters of the text; the first ones have no context, and no probability was computed.": (
            lambda seen, text, k, letters, extra: (
                bits_per_letter(seen, text, k, letters, extra) * (len(text) - k) / len(text)
            )
        ),
        "You return the bits of the whole text where those of a letter are asked for.": (
            lambda seen, text, k, letters, extra: bits_per_letter(seen, text, k, letters, extra) * (len(text) - k)
        ),
        "You averaged the probabilities and took the logarithm last: a code pays for each letter by itself.": (
            lambda seen, text, k, letters, extra: -math.log2(
                sum(2**-b for b in letter_bits(seen, text, k, extra, extra * len(letters))) / (len(text) - k)
            )
        ),
        "You return 2 to the power of the bits, which is called perplexity.": (
            lambda seen, text, k, letters, extra: 2 ** bits_per_letter(seen, text, k, letters, extra)
        ),
    },
    laws={"order 0": without_memory},
)
