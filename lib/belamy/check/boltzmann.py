"""Checks of the exercises on Boltzmann machines: free energy, gradient, constant, a round of Gibbs, a rung's weight."""

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from belamy.check import Check, Fresh


def words(n: int) -> Tensor:
    """All words of n bits, (2^n, n); the first bit changes fastest."""
    return (torch.arange(2**n)[:, None] >> torch.arange(n) & 1).double()


def draw_machine(fresh: Fresh, most: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    n, m = fresh.sizes((3, most), (3, most))
    numbers = partial(fresh.normal, dtype=torch.float64)
    return numbers(n, m), numbers(n), numbers(m)


# --- the free energy -----------------------------------------------------------------------------


def energy(x: Tensor, W: Tensor, b: Tensor, c: Tensor) -> Tensor:
    return -x @ b - F.softplus(c + x @ W).sum(1)


def draw_pictures(fresh: Fresh) -> tuple:
    W, b, c = draw_machine(fresh)
    (count,) = fresh.sizes((7, 11))
    return fresh.bits(count, len(b), dtype=torch.float64), W, b, c


def huge(fresh: Fresh) -> tuple:
    x, W, b, c = draw_pictures(fresh)
    return x, 1000 * W, b, c


free_energy = Check(
    energy,
    draw_pictures,
    "a tensor (N,), one number a picture",
    {
        "The signs of both terms are turned: likely pictures have a *low* energy.":
            lambda x, W, b, c: x @ b + F.softplus(c + x @ W).sum(1),
        "The visible leanings are missing: −b·x.": lambda x, W, b, c: -F.softplus(c + x @ W).sum(1),
        "The sign of b·x is turned.": lambda x, W, b, c: x @ b - F.softplus(c + x @ W).sum(1),
        "You put in the hidden coins' mean in place of summing them out: the energy of a mean is not minus the "
        "logarithm of a sum. Each coin contributes log(1 + e^a).": lambda x, W, b, c: (
            -x @ b - ((c + x @ W) * torch.sigmoid(c + x @ W)).sum(1)
        ),
        "You took the logarithm of the sigmoid. The sum over a coin's two values is 1 + e^a.":
            lambda x, W, b, c: -x @ b - F.logsigmoid(c + x @ W).sum(1),
        "You put in the most probable hidden state, max(a, 0) for each coin: the other one counts, too.":
            lambda x, W, b, c: -x @ b - F.relu(c + x @ W).sum(1),
        "You took one logarithm of the sum over all hidden coins, log(1 + Σ e^a). The coins are independent, so each "
        "has a logarithm of its own.": lambda x, W, b, c: (
            -x @ b - torch.log1p(torch.exp(c + x @ W).sum(1))
        ),
        "The hidden leanings c are missing inside.": lambda x, W, b, c: -x @ b - F.softplus(x @ W).sum(1),
        "The hidden leanings c stand outside of the logarithm, as if every hidden coin were on.":
            lambda x, W, b, c: -x @ b - c.sum() - F.softplus(x @ W).sum(1),
    },
    gradients=("W", "b", "c"),
    extremes=huge,
)  # fmt: skip

# --- the gradient --------------------------------------------------------------------------------


def pull(x: Tensor, dream: Tensor, W: Tensor, c: Tensor, up=lambda a: torch.sigmoid(a)) -> Tensor:
    mean = lambda x: x.T @ up(c + x @ W) / len(x)
    return mean(x) - mean(dream)


def draw_dreams(fresh: Fresh) -> tuple:
    W, b, c = draw_machine(fresh)
    few, many = fresh.sizes((5, 12), (5, 12))
    bits = partial(fresh.bits, dtype=torch.float64)
    return bits(few, len(b)), bits(many, len(b)), W, c


def agreed(answer, fresh: Fresh) -> str | None:
    x, _, W, c = draw_dreams(fresh)
    if float(answer(x, x, W, c).abs().max()) > 1e-9:
        return "Where dreams and data are the same there is nothing left to learn: the gradient is 0. Yours is not."


gradient = Check(
    pull,
    draw_dreams,
    "a tensor (n, m), in the direction in which the likelihood grows",
    {
        "The sign is turned: this is the direction in which the likelihood falls. The data's mean comes first.":
            lambda x, dream, W, c: -pull(x, dream, W, c),
        "The two means are added: what the dreams show is taken away.": lambda x, dream, W, c: (
            x.T @ torch.sigmoid(c + x @ W) / len(x) + dream.T @ torch.sigmoid(c + dream @ W) / len(dream)
        ),
        "You summed over the pictures. Data and dreams need not be equally many: take a mean of either.":
            lambda x, dream, W, c: x.T @ torch.sigmoid(c + x @ W) - dream.T @ torch.sigmoid(c + dream @ W),
        "You divided both sums by the number of the data. The dreams have a number of their own.":
            lambda x, dream, W, c: (
                x.T @ torch.sigmoid(c + x @ W) - dream.T @ torch.sigmoid(c + dream @ W)
            ) / len(x),
        "The dreams' hidden coins are computed from the data, or the other way round: each picture goes with its own.":
            lambda x, dream, W, c: (
                x.mean(0)[:, None] * torch.sigmoid(c + x @ W).mean(0)
                - dream.mean(0)[:, None] * torch.sigmoid(c + dream @ W).mean(0)
            ),
        "The leanings c are missing in the hidden probabilities.": lambda x, dream, W, c: pull(x, dream, W, 0 * c),
        "You rounded the hidden probabilities to 0 and 1. Their mean is known, so use it.":
            lambda x, dream, W, c: pull(x, dream, W, c, lambda a: (a > 0).double()),
        "You used the pull on the hidden coins without the sigmoid.": lambda x, dream, W, c: pull(
            x, dream, W, c, lambda a: a
        ),
        "Only the data's mean is there. Without the dreams all weights would grow for ever.":
            lambda x, dream, W, c: x.T @ torch.sigmoid(c + x @ W) / len(x),
    },
    laws={"0 where dreams are like the data": agreed},
)  # fmt: skip

# --- the constant --------------------------------------------------------------------------------


def constant(W: Tensor, b: Tensor, c: Tensor) -> Tensor:
    return torch.logsumexp(-energy(words(len(b)), W, b, c), 0)


log_constant = Check(
    constant,
    draw_machine,
    "a tensor (), log Z",
    {
        "You averaged over the states. Z is a sum: log(2^n) is missing.": lambda W, b, c: (
            constant(W, b, c) - len(b) * torch.log(torch.tensor(2.0, dtype=W.dtype))
        ),
        "The sign of the energy is turned: the sum is over e to the power of *minus* E.": lambda W, b, c: (
            torch.logsumexp(energy(words(len(b)), W, b, c), 0)
        ),
        "You summed over the visible states with all hidden coins off.": lambda W, b, c: (
            torch.logsumexp(words(len(b)) @ b, 0)
        ),
        "The weights are missing: that is the constant of the machine without them.": lambda W, b, c: (
            F.softplus(b).sum() + F.softplus(c).sum()
        ),
        "You took the largest term in place of the sum.": lambda W, b, c: (-energy(words(len(b)), W, b, c)).max(),
        "That is Z itself: asked is its logarithm.": lambda W, b, c: constant(W, b, c).exp(),
        "You summed over the hidden states, but left out the visible leanings b inside of the product.":
            lambda W, b, c: constant(W, 0 * b, c),
        "The hidden leanings c are missing.": lambda W, b, c: constant(W, b, 0 * c),
    },
    gradients=("W", "b", "c"),
)  # fmt: skip

# --- a round of Gibbs ----------------------------------------------------------------------------


def tables(W: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """P(z | x), (2^n, 2^m), and P(x | z), (2^m, 2^n)."""
    X, H = words(len(b)), words(len(c))
    E = -(X @ b)[:, None] - H @ c - X @ W @ H.T
    return torch.softmax(-E, 1), torch.softmax(-E.T, 1)


def one_round(W: Tensor, b: Tensor, c: Tensor) -> Tensor:
    up, down = tables(W, b, c)
    return up @ down


def mean_field(W: Tensor, b: Tensor, c: Tensor) -> Tensor:
    X = words(len(b))
    p = torch.sigmoid(b + torch.sigmoid(c + X @ W) @ W.T)  # (2^n, n)
    return torch.exp(torch.log(p) @ X.T + torch.log1p(-p) @ (1 - X).T)


def keeps(answer, fresh: Fresh) -> str | None:
    W, b, c = draw_machine(fresh, 5)
    p = torch.softmax(-energy(words(len(b)), W, b, c), 0)
    if not torch.allclose(p @ answer(W, b, c), p, atol=1e-9):
        return "The machine's own law has to stay as it is under a round, p K = p. Under yours it changes."


gibbs = Check(
    one_round,
    partial(draw_machine, most=5),
    "a tensor (2^n, 2^n): from the row's picture to the column's",
    {
        "The matrix is transposed: rows are the picture before the round, and add up to 1.":
            lambda W, b, c: one_round(W, b, c).T,
        "You sent the hidden *probabilities* down in place of coins. The round is a sum over hidden states, each with "
        "its probability.": mean_field,
        "Every row is the machine's law. That is what infinitely many rounds would give.": lambda W, b, c: (
            torch.softmax(-energy(words(len(b)), W, b, c), 0).expand(2 ** len(b), -1).clone()
        ),
        "Those are two rounds.": lambda W, b, c: one_round(W, b, c) @ one_round(W, b, c),
        "The hidden leanings c are missing on the way up.": lambda W, b, c: (
            tables(W, b, 0 * c)[0] @ tables(W, b, c)[1]
        ),
        "The visible leanings b are missing on the way down.": lambda W, b, c: (
            tables(W, b, c)[0] @ tables(W, 0 * b, c)[1]
        ),
        "Each entry is P(x'|z) at the single most probable z: sum over all of them.": lambda W, b, c: (
            tables(W, b, c)[1][tables(W, b, c)[0].argmax(1)]
        ),
    },
    laws={"a round that keeps the machine's law": keeps},
)  # fmt: skip
