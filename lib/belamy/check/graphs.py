"""Checks of the exercises on graphs and chains: adjustment, stationary laws, fallback, acceptance, a star's sum."""

import torch
from torch import Tensor

from belamy.check import Check, Fresh

# --- seeing and doing ----------------------------------------------------------------------------


def rates_of(counts: Tensor) -> Tensor:
    """P(y = 1 | s, t), (S, T)."""
    return counts[..., 1] / counts.sum(2)


def adjusted(counts: Tensor) -> Tensor:
    share = counts.sum((1, 2)) / counts.sum()  # P(s)
    return share @ rates_of(counts)


def draw_counts(fresh: Fresh) -> tuple:
    strata, treatments = fresh.sizes((2, 5), (2, 4))
    return (fresh.uniform(strata, treatments, 2, low=5, high=200, dtype=torch.float64).round(),)


def one_stratum(answer, fresh: Fresh) -> str | None:
    (counts,) = draw_counts(fresh)
    if not torch.allclose(answer(counts[:1]), rates_of(counts[:1])[0]):
        return "With a single stratum there is nothing to adjust for: doing equals seeing. Yours differ."


backdoor = Check(
    adjusted,
    draw_counts,
    "a tensor (T,), P(y = 1 | do(t)) for every treatment",
    {
        "That is seeing, P(y = 1 | t): those who happened to get t, with their own mixture of strata. Each stratum's "
        "rate counts with the share that the stratum has among *all* cases.":
            lambda counts: counts[..., 1].sum(0) / counts.sum((0, 2)),
        "You average the strata's rates as if all strata were equally large: weight them by P(s).":
            lambda counts: rates_of(counts).mean(0),
        "You divide successes by all cases instead of by those of the stratum and treatment: that is a joint "
        "probability, not a rate.": lambda counts: counts[..., 1].sum(0) / counts.sum(),
        "The weights are the strata's shares among the successes. The outcome must not choose the weights: P(s) counts "
        "all cases.": lambda counts: (counts[..., 1].sum(1) / counts[..., 1].sum()) @ rates_of(counts),
        "The weights are the strata's shares among those who got the first treatment. Whom a treatment reaches is what "
        "the intervention changes: take the shares among all cases.":
            lambda counts: (counts[:, 0].sum(1) / counts[:, 0].sum()) @ rates_of(counts),
        "That is the probability of failure, y = 0. The last axis has the failures first, then the successes.":
            lambda counts: 1 - adjusted(counts),
        "The weights do not add up to 1: P(s) is a count divided by the number of all cases.":
            lambda counts: counts.sum((1, 2)) @ rates_of(counts),
        "You sum over the treatments and keep the strata: the answer has one number for each treatment.":
            lambda counts: (rates_of(counts) * counts.sum(2)).sum(1) / counts.sum((1, 2)),
    },
    laws={"nothing to adjust in a single stratum": one_stratum},
)  # fmt: skip

# --- the stationary law --------------------------------------------------------------------------


def solve_stationary(T: Tensor) -> Tensor:
    n = len(T)
    system = torch.cat([T.T - torch.eye(n, dtype=T.dtype), torch.ones(1, n, dtype=T.dtype)])
    target = torch.zeros(n + 1, dtype=T.dtype)
    target[-1] = 1
    return torch.linalg.lstsq(system, target[:, None]).solution[:, 0]


def draw_chain(fresh: Fresh) -> tuple:
    (n,) = fresh.sizes((4, 8))
    return (fresh.normal(n, n, scale=1.5, dtype=torch.float64).softmax(1),)


def cyclic(answer, fresh: Fresh) -> str | None:
    T = torch.eye(5, dtype=torch.float64).roll(1, 1)
    if not torch.allclose(answer(T), torch.full((5,), 0.2, dtype=torch.float64), atol=1e-6):
        return (
            "A chain that goes round in a circle has a stationary law, too, the even one, although its powers never "
            "settle: solve p T = p instead of multiplying T often."
        )


stationary = Check(
    solve_stationary,
    draw_chain,
    "a tensor (n,) that adds up to 1",
    {
        "That is the even law. It is stationary if the *columns* add up to 1, too, and here they do not.":
            lambda T: torch.full_like(T[0], 1 / len(T)),
        "You solved T p = p. A law is a row and multiplies from the left: p T = p, the eigenvector of the transposed "
        "matrix. (T p = p holds for every constant p.)": lambda T: torch.ones_like(T[0]),
        "Those are the means of the columns, the law after one step from an even start. Go on until it stays.":
            lambda T: T.mean(0),
        "That is the diagonal, scaled: how readily each state keeps itself says nothing of how it is reached.":
            lambda T: T.diagonal() / T.diagonal().sum(),
        "That is the law after one step from the first state, not the one that stays.": lambda T: T[0],
        "The law is not scaled to add up to 1: an eigenvector has length 1 instead.":
            lambda T: solve_stationary(T) / solve_stationary(T).norm(),
        "You normalised the columns first: T's rows are the laws of the next state.":
            lambda T: solve_stationary((T / T.sum(0)).T),
    },
    laws={"also where powers never settle": cyclic},
)  # fmt: skip

# --- falling back --------------------------------------------------------------------------------


def fall_back(counts: Tensor, delta: float) -> Tensor:
    n = counts.sum(1, keepdim=True)
    kinds = (counts > 0).sum(1, keepdim=True)
    below = (counts > 0).sum(0) / (counts > 0).sum()
    return (counts - delta).clamp(min=0) / n + delta * kinds / n * below


def draw_pairs(fresh: Fresh) -> tuple:
    (n,) = fresh.sizes((5, 8))
    counts = (fresh.uniform(n, n, low=-3, high=6, dtype=torch.float64)).clamp(min=0).ceil()
    counts[:, 0] += 1  # no row is empty
    counts[fresh.integer(1, n - 1), fresh.integer(1, n - 1)] += 30  # one pair is frequent
    return counts, fresh.number(0.3, 0.8)


def adds_up(answer, fresh: Fresh) -> str | None:
    counts, delta = draw_pairs(fresh)
    if not torch.allclose(answer(counts, delta).sum(1), torch.ones(len(counts), dtype=counts.dtype)):
        return "Each row is a law of the next symbol and has to add up to 1. Yours do not."


kneser_ney = Check(
    fall_back,
    draw_pairs,
    "a tensor (V, V): P(x | c), a row for each context c",
    {
        "Your fallback is the frequency of the next symbol. Kneser and Ney count after how many *different* symbols it "
        "came: a frequent pair must not make its second symbol likely everywhere.": lambda counts, delta: (
            (counts - delta).clamp(min=0) / counts.sum(1, keepdim=True)
            + delta * (counts > 0).sum(1, keepdim=True) / counts.sum(1, keepdim=True) * counts.sum(0) / counts.sum()
        ),
        "Your fallback is even over all symbols. It is the share of *contexts* after which a symbol was seen.":
            lambda counts, delta: (
                (counts - delta).clamp(min=0) / counts.sum(1, keepdim=True)
                + delta * (counts > 0).sum(1, keepdim=True) / counts.sum(1, keepdim=True) / len(counts)
            ),
        "What the discount saved is not handed on: the rows add up to less than 1.":
            lambda counts, delta: (counts - delta).clamp(min=0) / counts.sum(1, keepdim=True),
        "You hand on δ in all, but δ was taken from each of the m different symbols that followed: hand on δ m / n.":
            lambda counts, delta: (counts - delta).clamp(min=0) / counts.sum(1, keepdim=True)
            + delta / counts.sum(1, keepdim=True) * (counts > 0).sum(0) / (counts > 0).sum(),
        "Nothing is taken off the counts before the fallback is added: the rows add up to more than 1.":
            lambda counts, delta: counts / counts.sum(1, keepdim=True)
            + delta * (counts > 0).sum(1, keepdim=True) / counts.sum(1, keepdim=True)
            * (counts > 0).sum(0) / (counts > 0).sum(),
        "δ is taken off counts of 0, too, which gives negative shares: max(n − δ, 0).": lambda counts, delta: (
            (counts - delta) / counts.sum(1, keepdim=True)
            + delta * (counts > 0).sum(1, keepdim=True) / counts.sum(1, keepdim=True)
            * (counts > 0).sum(0) / (counts > 0).sum()
        ),
        "Your fallback counts along the wrong axis, how many different symbols *follow*; asked is after how many "
        "different symbols x came.": lambda counts, delta: (
            (counts - delta).clamp(min=0) / counts.sum(1, keepdim=True)
            + delta * (counts > 0).sum(1, keepdim=True) / counts.sum(1, keepdim=True)
            * (counts > 0).sum(1) / (counts > 0).sum()
        ),
        "You mix with the fixed weights 1 − δ and δ. How much a context falls back depends on how much was seen "
        "after it: take δ from each count, and hand on δ m / n.": lambda counts, delta: (
            (1 - delta) * counts / counts.sum(1, keepdim=True)
            + delta * (counts > 0).sum(0) / (counts > 0).sum()
        ),
    },
    laws={"rows that add up to 1": adds_up},
)  # fmt: skip

# --- any proposal --------------------------------------------------------------------------------


def chain_of(S: Tensor, accept: Tensor) -> Tensor:
    """Moves that are accepted, and what is left stays."""
    T = S * accept.clamp(max=1)
    T = T - torch.diag(T.diagonal())
    return T + torch.diag(1 - T.sum(1))


def metropolis_hastings(p: Tensor, S: Tensor) -> Tensor:
    return chain_of(S, p[None] * S.T / (p[:, None] * S))


def draw_proposal(fresh: Fresh) -> tuple:
    (n,) = fresh.sizes((4, 7))
    p = fresh.uniform(n, low=0.2, high=3, dtype=torch.float64)
    return p, fresh.normal(n, n, dtype=torch.float64).softmax(1)


def balanced(answer, fresh: Fresh) -> str | None:
    p, S = draw_proposal(fresh)
    flow = p[:, None] * answer(p, S)
    if not torch.allclose(flow, flow.T, atol=1e-8):
        return "What flows from i to j, p(i) T(i, j), has to equal what flows back. In yours it does not."


hastings = Check(
    metropolis_hastings,
    draw_proposal,
    "a tensor (n, n) whose rows add up to 1",
    {
        "You accept with min(1, p(j) / p(i)). That is right for symmetric proposals. This one proposes some moves "
        "more often than their return, and the ratio has to make up for it.":
            lambda p, S: chain_of(S, p[None] / p[:, None]),
        "The ratio is upside down: moves to where p is larger must be accepted always.":
            lambda p, S: chain_of(S, p[:, None] * S / (p[None] * S.T)),
        "The proposal's ratio is upside down: a move that is proposed too often must be accepted *less*.":
            lambda p, S: chain_of(S, p[None] * S / (p[:, None] * S.T)),
        "What is refused is missing: the chain stays where it is, which belongs on the diagonal.":
            lambda p, S: S * (p[None] * S.T / (p[:, None] * S)).clamp(max=1),
        "You rescale the rows to 1 after the refusals. A refused chain stays; rescaling makes it move, and the balance "
        "is lost.": lambda p, S: (
            (accepted := S * (p[None] * S.T / (p[:, None] * S)).clamp(max=1)) / accepted.sum(1, keepdim=True)
        ),
        "You accept with a / (1 + a), Barker's rule. It is in balance as well, but refuses more; asked is min(1, a).":
            lambda p, S: chain_of(S, (a := p[None] * S.T / (p[:, None] * S)) / (1 + a)),
        "Nothing is ever refused: that is the proposal itself.": lambda p, S: S,
        "Every row is the law p itself. That is balanced and forgets at once, but it is no use of the proposal S.":
            lambda p, S: (p / p.sum()).expand(len(p), -1).clone(),
        "Your matrix is transposed: T(i, j) goes from the row i to the column j.":
            lambda p, S: metropolis_hastings(p, S).T,
    },
    laws={"detailed balance": balanced},
)  # fmt: skip
