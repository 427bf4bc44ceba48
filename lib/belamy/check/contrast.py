"""Checks of the exercises on contrast agent: Dice, moved pictures and labels, the cycle, judges of patches, a pool."""

import torch
from torch import Tensor, nn

from belamy.check import Check, Fresh

# --- Dice -------------------------------------------------------------------------------------------


def overlap(truth: Tensor, found: Tensor, label: int) -> Tensor:
    """2 |A and B| / (|A| + |B|) over the pixels of all pictures, float64."""
    a, b = truth == label, found == label
    return 2 * (a & b).sum().double() / (a.sum() + b.sum())


def draw_labels(fresh: Fresh) -> tuple[Tensor, Tensor, int]:
    n, h, w = fresh.sizes((3, 4), (5, 6), (7, 8))
    truth = torch.randint(0, 4, (n, h, w), generator=fresh.rng)
    other = torch.randint(0, 4, (n, h, w), generator=fresh.rng)
    found = torch.where(torch.rand(n, h, w, generator=fresh.rng) < 0.5, truth, other)
    found[0] = torch.where(torch.rand(h, w, generator=fresh.rng) < 0.7, truth[0], found[0])
    truth[-1, :, :3], found[-1, :, 3:5] = 0, 1  # pictures and labels differ in how often they are right
    return truth, found, fresh.integer(1, 3)


def picture_without_the_organ(answer, fresh: Fresh) -> str | None:
    truth, found, label = draw_labels(fresh)
    empty = torch.zeros_like(truth[:1])
    more = answer(torch.cat([truth, empty]), torch.cat([found, empty]), label)
    if not abs(float(more) - float(overlap(truth, found, label))) < 1e-9:
        return "A picture in which the organ neither is nor was found has no pixel to count: it should change nothing."


def counted(rule):
    """A mistake, from the masks A and B."""
    return lambda truth, found, label: rule((truth == label).double(), (found == label).double())


dice = Check(
    overlap,
    draw_labels,
    "one number, float64, as a tensor",
    {
        "That is the intersection over the union. Dice divides twice the intersection by the *sum* of the two sizes.":
            counted(lambda a, b: (a * b).sum() / torch.maximum(a, b).sum()),
        "The 2 is missing: two equal masks would have ½.": counted(lambda a, b: (a * b).sum() / (a.sum() + b.sum())),
        "You divide by the size of the truth alone: whoever calls everything kidney finds all of it.":
            counted(lambda a, b: (a * b).sum() / a.sum()),
        "You divide by the size of what was found alone: one sure pixel would be enough.":
            counted(lambda a, b: (a * b).sum() / b.sum()),
        "That is the share of pixels about which the two agree, background and all.":
            counted(lambda a, b: (a == b).double().mean()),
        "You averaged over pictures. Count the pixels of all of them together.":
            lambda truth, found, label: torch.stack(
                [overlap(t, f, label) for t, f in zip(truth, found)]).nanmean(),
        "You averaged over all labels. Asked for is one of them.":
            lambda truth, found, label: torch.stack([overlap(truth, found, k) for k in range(4)]).mean(),
        "You counted all pixels where the labels agree, not those with this label.":
            lambda truth, found, label: 2 * (truth == found).sum().double()
            / ((truth == label).sum() + (found == label).sum()),
    },
    laws={"an empty picture changes nothing": picture_without_the_organ},
)  # fmt: skip

# --- pictures and labels, moved together -----------------------------------------------------------


def moved(x: Tensor, y: Tensor, mirror: Tensor, turns: Tensor) -> tuple[Tensor, Tensor]:
    """Mirrored where `mirror` says so, then turned by so many quarters; pictures and labels alike."""
    pairs = [(_moved(a, m, t), _moved(b, m, t)) for a, b, m, t in zip(x, y, mirror.tolist(), turns.tolist())]
    return torch.stack([a for a, _ in pairs]), torch.stack([b for _, b in pairs])


def _moved(picture: Tensor, mirror: bool, quarters: int, side: int = -1) -> Tensor:
    return torch.rot90(picture.flip(side) if mirror else picture, quarters, (-2, -1))


def draw_moves(fresh: Fresh) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    n, side = fresh.sizes((6, 9), (4, 5))
    y = torch.randint(0, 4, (n, side, side), generator=fresh.rng)
    mirror = torch.rand(n, generator=fresh.rng) < 0.5
    mirror[:3] = torch.tensor([False, True, True])
    turns = torch.randint(0, 4, (n,), generator=fresh.rng)
    turns[:3] = torch.tensor([3, 1, 0])
    return fresh.uniform(n, 1, side, side), y, mirror, turns


def labels_follow(answer, fresh: Fresh) -> str | None:
    x, _, mirror, turns = draw_moves(fresh)
    y = (x[:, 0] * 100).long()
    a, b = answer(x, y, mirror, turns)
    if not torch.equal((a[:, 0] * 100).long(), b):
        return "Labels made from the pictures should still fit them afterwards. Yours have come apart."


def apart(rule):
    """A mistake, from one picture or mask, whether it is mirrored, and its quarters."""
    def both(x, y, mirror, turns):
        given = list(zip(mirror.tolist(), turns.tolist()))
        return tuple(torch.stack([rule(p, m, t) for p, (m, t) in zip(part, given)]) for part in (x, y))

    return both


aligned = Check(
    moved,
    draw_moves,
    "two tensors, like x and like y",
    {
        "You moved the pictures and left the labels where they were.":
            lambda x, y, mirror, turns: (moved(x, y, mirror, turns)[0], y),
        "You moved the labels and left the pictures where they were.":
            lambda x, y, mirror, turns: (x, moved(x, y, mirror, turns)[1]),
        "All got the first one's move. Each example has its own.":
            lambda x, y, mirror, turns: moved(x, y, mirror[:1].expand_as(mirror), turns[:1].expand_as(turns)),
        "You turned first and mirrored afterwards; asked for is the other order, and they do not agree.":
            apart(lambda p, m, t: torch.rot90(p, t, (-2, -1)).flip(-1) if m else torch.rot90(p, t, (-2, -1))),
        "You turned clockwise. Like torch.rot90 on the last two axes, one quarter is counter-clockwise.":
            apart(lambda p, m, t: _moved(p, m, -t)),
        "You mirrored up and down. Left and right are the last axis.": apart(lambda p, m, t: _moved(p, m, t, -2)),
        "You mirrored where `mirror` is False.": apart(lambda p, m, t: _moved(p, not m, t)),
        "You did not turn.": apart(lambda p, m, t: _moved(p, m, 0)),
        "You did not mirror.": apart(lambda p, m, t: _moved(p, False, t)),
        "Pictures were moved by one draw and labels by another: row i of both belongs together.":
            lambda x, y, mirror, turns: (
                moved(x, y, mirror, turns)[0], moved(x, y, mirror.flip(0), turns.flip(0))[1]),
    },
    laws={"labels follow their pictures": labels_follow},
)  # fmt: skip

# --- the cycle ----------------------------------------------------------------------------------------


class Bent(nn.Module):
    """A small translator, (B, 1, H, W) to the same, and no two of them undo each other."""

    def __init__(self, fresh: Fresh) -> None:
        super().__init__()
        self.weight = nn.Parameter(fresh.normal(1, 1, 3, 3, scale=0.4))
        self.shift = nn.Parameter(fresh.normal(1, scale=0.5))

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(nn.functional.conv2d(x, self.weight, self.shift, padding=1)) + 0.3 * x


def there_and_back(x: Tensor, y: Tensor, wash: nn.Module, enhance: nn.Module) -> Tensor:
    """Mean distance of there and back from where one was, on both sides, added."""
    return (enhance(wash(x)) - x).abs().mean() + (wash(enhance(y)) - y).abs().mean()


def draw_cycle(fresh: Fresh) -> tuple[Tensor, Tensor, nn.Module, nn.Module]:
    n, h, w = fresh.sizes((2, 3), (4, 5), (6, 7))
    return fresh.uniform(n, 1, h, w), fresh.uniform(n, 1, h, w), Bent(fresh), Bent(fresh)


def sides_of_different_sizes(answer, fresh: Fresh) -> str | None:
    n, h, w = fresh.sizes((2, 3), (4, 5), (6, 7))
    draw = fresh.uniform(n, 1, h, w), fresh.uniform(2 * n, 1, h, w), Bent(fresh), Bent(fresh)
    if not abs((answer(*draw) - there_and_back(*draw)).item()) < 1e-4:
        return "With more scans on one side than on the other each side keeps a mean of its own; the two are added."


def sized(rule):
    """A mistake, from the two differences of there and back."""
    return lambda x, y, wash, enhance: rule(enhance(wash(x)) - x, wash(enhance(y)) - y)


cycle = Check(
    there_and_back,
    draw_cycle,
    "one number as a tensor",
    {
        "You squared the differences. The paper's cycle takes their sizes.":
            sized(lambda a, b: a.square().mean() + b.square().mean()),
        "You summed over pixels where a mean is meant.": sized(lambda a, b: a.abs().sum() + b.abs().sum()),
        "Only scans with agent make the round trip. Those without make it, too, the other way.":
            sized(lambda a, b: a.abs().mean()),
        "Only scans without agent make the round trip. Those with it make it, too.":
            sized(lambda a, b: b.abs().mean()),
        "You averaged the two sides. They are added.": sized(lambda a, b: (a.abs().mean() + b.abs().mean()) / 2),
        "Sizes are missing: differences of either sign cancel.": sized(lambda a, b: a.mean() + b.mean()),
        "There you went by the wrong net: scans with agent are washed first and enhanced then.":
            lambda x, y, wash, enhance: there_and_back(y, x, wash, enhance),
        "You went by one net twice. Back leads the other one.":
            lambda x, y, wash, enhance: (wash(wash(x)) - x).abs().mean() + (enhance(enhance(y)) - y).abs().mean(),
        "You compare with the other side's scan. Nobody is in both: who sets out from x should come back to x.":
            lambda x, y, wash, enhance: (enhance(wash(x)) - y).abs().mean() + (wash(enhance(y)) - x).abs().mean(),
        "You compare after one step: that is a loss of pairs, and there are none.":
            lambda x, y, wash, enhance: (wash(x) - y).abs().mean() + (enhance(y) - x).abs().mean(),
        "That is the identity loss: each net on what needs no change.":
            lambda x, y, wash, enhance: (wash(y) - y).abs().mean() + (enhance(x) - x).abs().mean(),
    },
    gradients=("wash", "enhance"),
    laws={"each side has its own mean": sides_of_different_sizes},
)  # fmt: skip

# --- judges of patches --------------------------------------------------------------------------------


def squares(real: Tensor, fake: Tensor) -> Tensor:
    """Least squares over all patches: real scores towards 1, fake ones towards 0."""
    return ((real - 1).square().mean() + fake.square().mean()) / 2


def draw_maps(fresh: Fresh) -> tuple[Tensor, Tensor]:
    n, h, w = fresh.sizes((3, 4), (5, 6), (7, 8))
    return fresh.normal(n, 1, h, w) + 0.4, fresh.normal(n, 1, h, w) - 0.1


def scored(real, fake):
    """A mistake, from what the squares of real and of fake scores are taken of."""
    return lambda r, f: (real(r).square().mean() + fake(f).square().mean()) / 2


patches = Check(
    squares,
    draw_maps,
    "one number as a tensor",
    {
        "You averaged each picture's map first and squared then. Every patch is judged by itself: square, then mean.":
            scored(lambda r: r.mean((1, 2, 3)) - 1, lambda f: f.mean((1, 2, 3))),
        "You put scores through a sigmoid. Squares are taken of the raw scores, where nothing saturates.":
            scored(lambda r: r.sigmoid() - 1, lambda f: f.sigmoid()),
        "Real and fake have changed places: real scores go to 1, fake ones to 0.": scored(lambda r: r, lambda f: f - 1),
        "Fake scores go to 0 in this loss, not to −1.": scored(lambda r: r - 1, lambda f: f + 1),
        "That is what the translator wants: fake scores near 1. The judge wants them near 0.":
            lambda r, f: (f - 1).square().mean() / 2,
        "Only real patches are judged.": lambda r, f: (r - 1).square().mean() / 2,
        "Only fake patches are judged.": lambda r, f: f.square().mean() / 2,
        "Sizes in place of squares.": lambda r, f: ((r - 1).abs().mean() + f.abs().mean()) / 2,
        "You summed over the patches of a map. A mean makes the loss the same for scans of any size.":
            lambda r, f: ((r - 1).square().sum((1, 2, 3)).mean() + f.square().sum((1, 2, 3)).mean()) / 2,
    },
    gradients=("real", "fake"),
)  # fmt: skip

# --- the pool -------------------------------------------------------------------------------------------


def exchanged(pool: Tensor, fakes: Tensor, swap: Tensor, slots: Tensor) -> tuple[Tensor, Tensor]:
    """What the judge is shown, and the pool afterwards."""
    chosen = swap.view(-1, *[1] * (fakes.dim() - 1))
    shown = torch.where(chosen, pool[slots], fakes)
    after = pool.clone()
    after[slots[swap]] = fakes[swap]
    return shown, after


def draw_pool(fresh: Fresh) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    size, many, side = fresh.sizes((8, 11), (5, 6), (3, 4))
    swap = torch.rand(many, generator=fresh.rng) < 0.5
    swap[:3] = torch.tensor([True, False, True])
    slots = torch.randperm(size, generator=fresh.rng)[:many]
    return fresh.normal(size, 1, side, side), fresh.normal(many, 1, side, side), swap, slots


def nothing_is_lost(answer, fresh: Fresh) -> str | None:
    pool, fakes, swap, slots = draw_pool(fresh)
    shown, after = answer(pool, fakes, swap, slots)
    before_sum, after_sum = pool.sum() + fakes.sum(), shown.sum() + after.sum()
    if not abs(float(before_sum - after_sum)) < 1e-3:
        return "They change places: shown and pool together hold what fakes and pool held before. Yours do not."


pool = Check(
    exchanged,
    draw_pool,
    "what is shown, like fakes, and the new pool, like pool",
    {
        "Every fake was exchanged. Only those with swap[i] are; the others are shown themselves, and not kept.":
            lambda pool, fakes, swap, slots: exchanged(pool, fakes, torch.ones_like(swap), slots),
        "You exchanged where swap is False.":
            lambda pool, fakes, swap, slots: exchanged(pool, fakes, ~swap, slots),
        "The pool stays as it was: what is exchanged has to be put in.":
            lambda pool, fakes, swap, slots: (exchanged(pool, fakes, swap, slots)[0], pool),
        "Every fake was put into the pool, also those that are shown themselves.":
            lambda pool, fakes, swap, slots: (
                exchanged(pool, fakes, swap, slots)[0],
                exchanged(pool, fakes, torch.ones_like(swap), slots)[1]),
        "The judge is shown the present fakes only: take the old ones out before the new ones go in.":
            lambda pool, fakes, swap, slots: (fakes, exchanged(pool, fakes, swap, slots)[1]),
        "You took place i of the pool for fake i. Its place is slots[i].":
            lambda pool, fakes, swap, slots: exchanged(pool, fakes, swap, torch.arange(len(slots))),
    },
    laws={"they change places": nothing_is_lost},
)  # fmt: skip

# --- the patch that a score sees ------------------------------------------------------------------------


def field(kernels: list[int], strides: list[int]) -> int:
    """Side of the square of pixels on which one score of a stack of convolutions depends."""
    side, step = 1, 1
    for kernel, stride in zip(kernels, strides):
        side += (kernel - 1) * step
        step *= stride
    return side


def draw_stack(fresh: Fresh) -> tuple[list[int], list[int]]:
    while True:
        kernels = [fresh.integer(2, 6) for _ in range(4)]
        strides = [fresh.integer(1, 3) for _ in range(4)]
        if len(set(strides)) > 1 and strides[0] > 1 and strides[-1] > 1 and strides != strides[::-1]:
            return kernels, strides


def by_gradient(answer, fresh: Fresh) -> str | None:
    kernels, strides = [fresh.integer(2, 4) for _ in range(3)], [2, fresh.integer(1, 2), 1]
    net = nn.Sequential(*[nn.Conv2d(1, 1, k, s, bias=False) for k, s in zip(kernels, strides)])
    for layer in net:
        nn.init.ones_(layer.weight)
    x = torch.zeros(1, 1, 40, 40, requires_grad=True)
    net(x)[0, 0, 2, 2].backward()
    side = int((x.grad[0, 0] != 0).any(0).sum())
    if answer(kernels, strides) != side:
        return (
            f"Convolutions of widths {kernels} with strides {strides} were run, and one score has a gradient at "
            f"{side} × {side} pixels."
        )


def stacked(rule):
    """A mistake: another side, from both lists and the products of the strides before each."""
    def side(kernels, strides):
        before = [1]
        for stride in strides[:-1]:
            before.append(before[-1] * stride)
        return rule(kernels, strides, before)

    return side


field_of = Check(
    field,
    draw_stack,
    "a whole number, an int",
    {
        "You added up the widths, as if no layer jumped.":
            stacked(lambda k, s, b: sum(k)),
        "You took no notice of strides: after a jump by s a step of the next layer is s pixels.":
            stacked(lambda k, s, b: 1 + sum(w - 1 for w in k)),
        "A layer's own stride does not widen what *it* sees, only what those after it see.":
            stacked(lambda k, s, b: 1 + sum((w - 1) * p * q for w, p, q in zip(k, b, s))),
        "Each layer was multiplied by its own stride alone. It is the product of all strides *before* it.":
            stacked(lambda k, s, b: 1 + sum((w - 1) * q for w, q in zip(k, s))),
        "You took the stride just before each layer. All the strides before it multiply.":
            stacked(lambda k, s, b: 1 + sum((w - 1) * q for w, q in zip(k, [1, *s]))),
        "A kernel of width k adds k − 1 steps, not k.":
            stacked(lambda k, s, b: 1 + sum(w * p for w, p in zip(k, b))),
        "One pixel is missing: a score of no layers at all sees one.":
            stacked(lambda k, s, b: sum((w - 1) * p for w, p in zip(k, b))),
        "You went from the last layer to the first with the product of strides from that side.":
            lambda kernels, strides: field(kernels[::-1], strides[::-1]),
    },
    laws={"the gradient says the same": by_gradient},
)  # fmt: skip
