"""Checks of the exercises on Wasserstein GANs: distances, bounds, losses, the penalty, a round, the steepest slope."""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parameters_to_vector

from belamy.check import Check, Fresh, Wrong
from belamy.check._words import plain

# --- the distance on a line ----------------------------------------------------------------------


def crossings(x: Tensor, p: Tensor, y: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
    """What the first lot of mass has too much, place by place, and the widths of the gaps between places."""
    places, order = torch.cat([x, y]).sort()
    return torch.cat([p, -q])[order], places.diff()


def on_a_line(x: Tensor, p: Tensor, y: Tensor, q: Tensor) -> Tensor:
    mass, gaps = crossings(x, p, y, q)
    return (mass.cumsum(0)[:-1].abs() * gaps).sum()


def draw_masses(fresh: Fresh) -> tuple:
    n, m = fresh.sizes((4, 9), (4, 9))
    numbers = partial(fresh.normal, dtype=torch.float64)
    return numbers(n, scale=2), numbers(n).softmax(0), numbers(m, scale=2), numbers(m).softmax(0)


def of_gaps(rule):
    """A mistaken distance, from the excess of mass at each place and the widths of the gaps."""
    return lambda x, p, y, q: rule(*crossings(x, p, y, q))


def by_rank(x: Tensor, p: Tensor, y: Tensor, q: Tensor) -> Tensor:
    n = min(len(x), len(y))
    return (x.sort().values[:n] - y.sort().values[:n]).abs().mean()


def shifted_whole(answer, fresh: Fresh) -> str | None:
    x, p, _, _ = draw_masses(fresh)
    shift = fresh.number(20, 90)
    if abs(float(answer(x, p, x + shift, p)) / shift - 1) > 1e-6:
        return "If all mass is moved by 50, say, every bit of it travels 50: yours is not the distance of the shift."


distance = Check(
    on_a_line,
    draw_masses,
    "a tensor (), in the unit of x",
    {
        "You multiply each gap by the mass at its left end. All surplus from further left has to cross it as well: "
        "take the running sum.": of_gaps(lambda mass, gaps: (mass[:-1].abs() * gaps).sum()),
        "Without the absolute value of each gap's surplus, what goes to the left and what goes to the right cancel: "
        "what is left is the difference of the means.": of_gaps(lambda mass, gaps: (mass.cumsum(0)[:-1] * gaps).sum()),
        "The absolute value is taken last, of the whole sum: then the way to the left and the way to the right cancel. "
        "Every gap costs what crosses it, in whichever direction.":
            of_gaps(lambda mass, gaps: (mass.cumsum(0)[:-1] * gaps).sum().abs()),
        "The surplus is not multiplied by the width of the gap that it has to cross.":
            of_gaps(lambda mass, gaps: mass.cumsum(0)[:-1].abs().sum()),
        "You average over the gaps, as if they were equally wide: each counts by its width.":
            of_gaps(lambda mass, gaps: mass.cumsum(0)[:-1].abs().mean()),
        "You square the surplus, which gives Cramér's distance: W1 takes its absolute value.":
            of_gaps(lambda mass, gaps: (mass.cumsum(0)[:-1].square() * gaps).sum()),
        "You took the largest surplus. That is the Kolmogorov distance, which does not see how far the mass "
        "has to go.": of_gaps(lambda mass, gaps: mass.cumsum(0).abs().max()),
        "The running sum starts one place late: the surplus in the gap to the right of a place counts that place's "
        "mass, too.": of_gaps(lambda mass, gaps: ((mass.cumsum(0) - mass)[:-1].abs() * gaps).sum()),
        "The places are sorted and the masses are not: each mass has to stay with its place.": lambda x, p, y, q: (
            (torch.cat([p, -q]).cumsum(0)[:-1].abs() * torch.cat([x, y]).sort().values.diff()).sum()
        ),
        "You count every sample alike. Each has its own mass, p or q.": lambda x, p, y, q: on_a_line(
            x, torch.full_like(p, 1 / len(p)), y, torch.full_like(q, 1 / len(q))
        ),
        "You pair the samples by their rank and drop the rest. With unequal masses a sample is split between "
        "several.": by_rank,
        "That is the mean distance of independent pairs, the cost of a plan that mixes everything: the cheapest plan "
        "costs less.": lambda x, p, y, q: ((x[:, None] - y).abs() * p[:, None] * q).sum(),
    },
    gradients=("x", "y"),
    laws={"a shift is seen in full": shifted_whole},
)  # fmt: skip

# --- the two losses ------------------------------------------------------------------------------


def both_losses(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    return fake.mean() - real.mean(), -fake.mean()


def draw_scores(fresh: Fresh) -> tuple:
    b, n = fresh.sizes((5, 40), (5, 40))
    ahead = 2 if fresh.seed % 2 else -2  # draws have seeds in a row: one critic is right, the next is not
    return fresh.normal(b, scale=2) + ahead, fresh.normal(n, scale=2)


losses = Check(
    both_losses,
    draw_scores,
    "two losses, the critic's and the generator's, each a tensor without axes",
    {
        "Both signs are turned. The critic minimises, so that real scores have to enter with a minus; the generator "
        "wants large scores for its pictures.": lambda real, fake: (real.mean() - fake.mean(), fake.mean()),
        "The critic's sign is turned: what it *minimises* is minus the difference real − generated.":
            lambda real, fake: (real.mean() - fake.mean(), -fake.mean()),
        "The generator's sign is turned: it would lower the scores of its pictures, as the critic does.":
            lambda real, fake: (fake.mean() - real.mean(), fake.mean()),
        "You sent the scores through a sigmoid. A critic's number is no probability: its differences are distances.":
            lambda real, fake: both_losses(real.sigmoid(), fake.sigmoid()),
        "That is the cross-entropy of the minimax game. The critic's loss takes no logarithm: it is a difference of "
        "two means.": lambda real, fake: (F.softplus(-real).mean() + F.softplus(fake).mean(), F.softplus(-fake).mean()),
        "You took the critic's loss of absolute values: a critic that ranks the pictures the wrong way round would be "
        "as good as one that ranks them rightly.":
            lambda real, fake: (-(real.mean() - fake.mean()).abs(), -fake.mean()),
        "The critic's loss is an absolute value: then it cannot tell whether real pictures have the larger scores.":
            lambda real, fake: ((fake.mean() - real.mean()).abs(), -fake.mean()),
        "Those are hinges. Nothing limits the scores of a Wasserstein critic but its slope.":
            lambda real, fake: (F.relu(1 - real).mean() + F.relu(1 + fake).mean(), -fake.mean()),
        "Those are least squares: a score has no target in the Wasserstein game, neither 1 nor 0.":
            lambda real, fake: ((real - 1).square().mean() + fake.square().mean(), (fake - 1).square().mean()),
        "You took one mean over both batches together; each has its own.": lambda real, fake: (
            torch.cat([fake, -real]).mean(), -fake.mean()
        ),
        "An expectation is a mean over the batch; you summed.":
            lambda real, fake: (fake.sum() - real.sum(), -fake.sum()),
        "The critic's two means are added. It is the difference that bounds a distance.":
            lambda real, fake: (-(real.mean() + fake.mean()), -fake.mean()),
        "The generator's loss holds the real scores as well. It cannot change them; leave them out.":
            lambda real, fake: (fake.mean() - real.mean(), real.mean() - fake.mean()),
        "The two losses are exchanged: the critic's comes first.": lambda real, fake: both_losses(real, fake)[::-1],
    },
    gradients=("real", "fake"),
)  # fmt: skip

# --- a bound from any numbers --------------------------------------------------------------------


def apart(x: Tensor, y: Tensor) -> Tensor:
    """Euclidean distances (N, M)."""
    return (x[:, None] - y).square().sum(2).sqrt()


def lower_bound(g: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return (g + apart(x, y)).amin(1).mean() - g.mean()


def draw_clouds(fresh: Fresh) -> tuple:
    n, m = fresh.sizes((5, 9), (5, 9))
    numbers = partial(fresh.normal, dtype=torch.float64)
    return numbers(m), numbers(n, d := fresh.integer(2, 3)) + 1, numbers(m, d)


def never_above(answer, fresh: Fresh) -> str | None:
    g, _, y = draw_clouds(fresh)
    if float(answer(g, y.flip(0), y)) > 1e-9:
        return "The distance of a set of samples from itself is 0, and no numbers g may give a larger bound. Yours do."


bound = Check(
    lower_bound,
    draw_clouds,
    "a tensor (), at most W1",
    terms={
        "The mean of f over the real samples": lambda g, x, y: (g + apart(x, y)).amin(1).mean(),
        "The mean of g": lambda g, x, y: -g.mean(),
    },
    mistakes={
        "You took the largest over the generated samples, not the smallest: then f rises faster than 1.":
            lambda g, x, y: (g + apart(x, y)).amax(1).mean() - g.mean(),
        "The distance is subtracted. Away from a sample f may rise by the distance; the smallest of all such limits "
        "holds.": lambda g, x, y: (g - apart(x, y)).amin(1).mean() - g.mean(),
        "The largest of g minus the distance is a function of slope 1 as well, but it is the smallest such function, "
        "not the largest: asked is the smallest of g plus the distance.":
            lambda g, x, y: (g - apart(x, y)).amax(1).mean() - g.mean(),
        "For each *real* sample, take the smallest over the generated ones; you went along the other axis.":
            lambda g, x, y: (g + apart(x, y)).amin(0).mean() - g.mean(),
        "You average over the generated samples. An average of functions of slope 1 is no sharp limit: take the "
        "smallest.": lambda g, x, y: (g + apart(x, y)).mean(1).mean() - g.mean(),
        "The distances are squared: a parabola has no bound on its slope.":
            lambda g, x, y: (g + apart(x, y).square()).amin(1).mean() - g.mean(),
        "You sum the absolute differences of the coordinates. The slope is meant along the straight way, so the "
        "distance is the Euclidean one.":
            lambda g, x, y: (g + (x[:, None] - y).abs().sum(2)).amin(1).mean() - g.mean(),
        "Your f takes g at the nearest generated sample. The smallest of *sums* need not lie there.": lambda g, x, y: (
            (g[apart(x, y).argmin(1)] + apart(x, y).amin(1)).mean() - g.mean()
        ),
        "In f the numbers g are subtracted; they are added to the distances.":
            lambda g, x, y: (apart(x, y) - g).amin(1).mean() - g.mean(),
        "The numbers g are missing in f: that is the mean distance to the nearest generated sample, minus a mean.":
            lambda g, x, y: apart(x, y).amin(1).mean() - g.mean(),
        "The mean of g is not taken off: the bound is a difference of two means.":
            lambda g, x, y: (g + apart(x, y)).amin(1).mean(),
        "The difference is turned: the real samples' mean comes first.":
            lambda g, x, y: g.mean() - (g + apart(x, y)).amin(1).mean(),
        "You sum over the samples; both lots of mass are 1, so take means.":
            lambda g, x, y: (g + apart(x, y)).amin(1).sum() - g.sum(),
    },
    gradients=("g", "x"),
    laws={"0 between a set and itself, at most": never_above},
)  # fmt: skip

# --- the gradient penalty ------------------------------------------------------------------------


class Watched(nn.Module):
    """A critic, pictures (B, C, H, W) -> (B,), that keeps where it was called. Its slopes lie around 1."""

    def __init__(self, pixels: int, width: int, fresh: Fresh, scale: float = 1.0):
        super().__init__()
        self.first = nn.Parameter(fresh.normal(pixels, width, scale=0.6 * scale, dtype=torch.float64))
        self.last = nn.Parameter(fresh.normal(width, scale=scale, dtype=torch.float64))
        self.calls: list[Tensor] = []

    def score(self, x: Tensor) -> Tensor:
        return torch.tanh(x.flatten(1) @ self.first) @ self.last

    def forward(self, x: Tensor) -> Tensor:
        self.calls.append(x)
        return self.score(x)


def at_real_and_fake(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    share = torch.rand(len(real), *[1] * (real.ndim - 1), dtype=real.dtype)
    between = (share * real + (1 - share) * fake).detach().requires_grad_()
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return (slope.flatten(1).norm(dim=1) - 1).square().mean()


def draw_pictures(fresh: Fresh, scale: float = 1.0) -> tuple:
    batch, channels, side = fresh.sizes((12, 20), (2, 3), (4, 5))
    pictures = (fresh.uniform(batch, channels, side, side, dtype=torch.float64) for _ in range(2))
    return Watched(channels * side * side, 5, fresh, scale), *pictures


def asked(answer, fresh: Fresh, rounds: int = 8, scale: float = 1.0):
    """The answer's value, the critic, the places at which it was asked, and their shares, a round each."""
    for _ in range(rounds):
        critic, real, fake = draw_pictures(fresh, scale)
        found = answer(critic, real, fake)
        if not critic.calls:
            raise Wrong("Your function never asks the critic for a score.")
        between = critic.calls[-1]
        if len(between) == 2 * len(real):
            raise Wrong(
                "The critic is asked at the real and at the generated pictures, not between them. There its slope says "
                "little about the way from one to the other."
            )
        if between.shape != real.shape:
            sizes = f"{tuple(between.shape)} where {tuple(real.shape)} is meant"
            raise Wrong(f"The critic is asked at a tensor {sizes}: one place between each real and generated picture.")
        yield found, critic, between, ((between - fake) / (real - fake)).detach()


def places(answer, fresh: Fresh) -> str | None:
    """Where on the way from a generated to a real picture the critic was asked."""
    shares = [share.flatten(1) for *_, share in asked(answer, fresh)]
    near = lambda values, right: bool((values - right).abs().max() < 1e-6)  # noqa: E731
    if all(near(s, 1) for s in shares):
        return (
            "You look at the slope at the real pictures only: nothing then holds it on the way from the generated "
            "ones, which is the way that the generator has to go."
        )
    if all(near(s, 0) for s in shares):
        return "You look at the slope at the generated pictures only, and not on the way to the real ones."
    within = max(float((s - s[:, :1]).abs().max()) for s in shares)
    inside = all(bool((s > -1e-9).all() and (s < 1 + 1e-9).all()) for s in shares)
    if within > 1e-6:
        channels = [share.flatten(2) for *_, share in asked(answer, fresh, 2)]
        if all(near(s, s[:, :, :1]) for s in channels):
            return "You drew a share for each channel. Then the place lies off the straight way: draw one an example."
        if inside:
            return (
                "You drew a share for every pixel: that is a place in the box that the two pictures span, almost "
                "surely far off the straight way between them. Draw one an example."
            )
        return "The places do not lie between a real and a generated picture: they are u x + (1 − u) x̃, one u each."
    firsts = [s[:, 0] for s in shares]
    if all(near(s, s[0]) for s in firsts):
        return "One share serves the whole batch. Draw one an example."
    together = torch.cat(firsts)
    if not inside:
        return (
            "Some of your shares lie outside of [0, 1], beyond the two pictures: they are uniform, from `torch.rand`, "
            "not normal."
        )
    if abs(float(together.mean()) - 0.5) > 0.15 or abs(float(together.std()) - 12**-0.5) > 0.08:
        return "Your shares are not spread evenly over [0, 1]: they are to be uniform."


VALUES = {  # what is often made of the gradients (B, C, H, W), and what is to be said of it
    "You took the norm over the channels only, for every pixel its own: flatten an example's gradient first. The slope "
    "of the critic is one number an example.": lambda g: (g.norm(dim=1) - 1).square().mean(),
    "You pull every single partial derivative to 1. The norm over all dimensions of an example is to be 1.":
        lambda g: (g.abs() - 1).square().mean(),
    "You took one norm over the whole batch: each example has its own.": lambda g: (g.norm() - 1).square(),
    "You square last, after the mean: then slopes of 0 and of 2 are as good as two of 1. The mean comes last.":
        lambda g: (g.flatten(1).norm(dim=1).mean() - 1).square(),
    "The root is missing: the square of the norm is pulled to 1, not the norm.":
        lambda g: (g.square().flatten(1).sum(1) - 1).square().mean(),
    "You pull the slope to 0: the 1 is missing. That is another penalty.":
        lambda g: g.square().flatten(1).sum(1).mean(),
    "The square is missing: slopes below 1 would be rewarded.": lambda g: (g.flatten(1).norm(dim=1) - 1).mean(),
    "You took the absolute value of what is off 1, not its square.":
        lambda g: (g.flatten(1).norm(dim=1) - 1).abs().mean(),
    "Yours charges slopes above 1 only. That is the one-sided penalty; asked is the one that draws every slope to 1.":
        lambda g: F.relu(g.flatten(1).norm(dim=1) - 1).square().mean(),
    "You summed over the batch where the mean is meant.": lambda g: (g.flatten(1).norm(dim=1) - 1).square().sum(),
    "You differentiated the *mean* score of the batch: every gradient comes out divided by the batch size. "
    "Differentiate the sum.": lambda g: (g.flatten(1).norm(dim=1) / len(g) - 1).square().mean(),
    "You took the mean of the squares in an example, not their sum: a norm is the root of the sum.":
        lambda g: (g.square().flatten(1).mean(1).sqrt() - 1).square().mean(),
    "The norm is the sum of absolute values. Meant is the Euclidean one.":
        lambda g: (g.abs().flatten(1).sum(1) - 1).square().mean(),
    "The weight λ = 10 is no part of this function.": lambda g: 10 * (g.flatten(1).norm(dim=1) - 1).square().mean(),
    "You added up a picture's derivatives; a norm is the root of the sum of their squares.":
        lambda g: (g.flatten(1).sum(1) - 1).square().mean(),
}  # fmt: skip


def right_penalty(critic: Watched, between: Tensor) -> tuple[Tensor, Tensor]:
    """The penalty at these places, and the gradients there (B, C, H, W)."""
    between = between.detach().requires_grad_()
    (slope,) = torch.autograd.grad(critic.score(between).sum(), between, create_graph=True)
    return (slope.flatten(1).norm(dim=1) - 1).square().mean(), slope


def value_there(answer, fresh: Fresh) -> str | None:
    pairs = []
    for found, critic, between, _ in asked(answer, fresh, 3):
        right, slope = right_penalty(critic, between)
        pairs.append((found.item(), right.item(), slope.detach()))
    close = lambda one, other: abs(one - other) <= 1e-4 * max(1e-3, abs(other))  # noqa: E731
    if all(close(found, right) for found, right, _ in pairs):
        return None
    for sentence, rule in VALUES.items():
        if all(close(found, float(rule(slope))) for found, _, slope in pairs):
            return sentence
    found, right, _ = pairs[0]
    return f"At the places where you asked the critic, the penalty is {plain(right)}; yours is {plain(found)}."


def reaches_the_critic(answer, fresh: Fresh) -> str | None:
    for found, critic, between, _ in asked(answer, fresh, 2):
        right, _ = right_penalty(critic, between)
        weights = list(critic.parameters())
        theirs = torch.autograd.grad(right, weights)
        mine = torch.autograd.grad(found, weights, allow_unused=True) if found.requires_grad else [None, None]
        if any(slope is None for slope in mine):
            return (
                "The value is right, but no gradient of it reaches the critic's weights, so that it changes nothing: "
                "the slope has to be differentiated once more, which needs `create_graph=True`."
            )
        if not all(torch.allclose(a, b, rtol=1e-3, atol=1e-6) for a, b in zip(mine, theirs)):
            return "The value is right, but its gradient for the critic's weights is not: a part of it is cut off."


def where_flat(answer, fresh: Fresh) -> str | None:
    for found, critic, *_ in asked(answer, fresh, 1, scale=0.0):
        if abs(found.item() - 1) > 1e-2:
            return f"A critic that is flat everywhere has the penalty 1; yours is {plain(found.item())}."
        slopes = torch.autograd.grad(found, list(critic.parameters()), allow_unused=True)
        if not all(slope is None or slope.isfinite().all() for slope in slopes):
            return (
                "Where the critic is flat, the gradient of your penalty is nan: the root has an infinite slope at 0. "
                "`norm` of torch is safe there, or add a tiny number under the root."
            )


penalty = Check(
    at_real_and_fake,
    draw_pictures,
    "a tensor (), without the weight λ",
    laws={
        "one place on each way": places,
        "the value there": value_there,
        "its gradient for the critic": reaches_the_critic,
        "a flat critic": where_flat,
    },
    random=True,
)

# --- a round -------------------------------------------------------------------------------------


def down(net: nn.Module, loss: Tensor, rate: float) -> None:
    """A plain step of gradient descent."""
    slopes = torch.autograd.grad(loss, list(net.parameters()))
    with torch.no_grad():
        for parameter, slope in zip(net.parameters(), slopes):
            parameter -= rate * slope


def clamp(net: nn.Module, bound: float, biases: bool = True) -> None:
    with torch.no_grad():
        for parameter in net.parameters():
            if biases or parameter.ndim > 1:
                parameter.clamp_(-bound, bound)


def round_with(
    critic, generator, x, z, rate, bound, when="after", fresh=True, order="critic first", critic_sign=1,
    generator_sign=-1, both=False, biases=True, last=-1, steps=None, moved=False,
):  # fmt: skip
    """A round; the defaults are right."""
    def critics():
        for i in range(len(x) if steps is None else steps):
            if when == "before":
                clamp(critic, bound)
            place = i if fresh else 0
            fakes = generator(z[place])
            loss = critic_sign * (critic(fakes).mean() - critic(x[place]).mean())
            if moved:
                down(generator, -critic(fakes).mean(), rate)
            down(critic, loss, rate)
            if when == "after":
                clamp(critic, bound, biases)
                if both:
                    clamp(generator, bound)
        if when == "last":
            clamp(critic, bound)

    def generators():
        down(generator, generator_sign * critic(generator(z[last])).mean(), rate)
        if both:
            clamp(generator, bound)

    for turn in (critics, generators) if order == "critic first" else (generators, critics):
        turn()
    if when == "end":
        clamp(critic, bound)
    return parameters_to_vector(critic.parameters()).detach(), parameters_to_vector(generator.parameters()).detach()


def played_round(
    critic: nn.Module, generator: nn.Module, x: Tensor, z: Tensor, rate: float, bound: float
) -> tuple[Tensor, Tensor]:
    return round_with(critic, generator, x, z, rate, bound)


def clipped_slopes(critic, generator, x, z, rate, bound):
    for real, latent in zip(x, z):
        loss = critic(generator(latent)).mean() - critic(real).mean()
        slopes = torch.autograd.grad(loss, list(critic.parameters()))
        with torch.no_grad():
            for parameter, slope in zip(critic.parameters(), slopes):
                parameter -= rate * slope.clamp(-bound, bound)
    return round_with(critic, generator, x, z, rate, bound, steps=0)


def piled_up(critic, generator, x, z, rate, bound):
    total = [torch.zeros_like(parameter) for parameter in critic.parameters()]
    for real, latent in zip(x, z):
        loss = critic(generator(latent)).mean() - critic(real).mean()
        slopes = torch.autograd.grad(loss, list(critic.parameters()))
        total = [sum_ + slope for sum_, slope in zip(total, slopes)]
        with torch.no_grad():
            for parameter, slope in zip(critic.parameters(), total):
                parameter -= rate * slope
        clamp(critic, bound)
    return round_with(critic, generator, x, z, rate, bound, steps=0)


def draw_round(fresh: Fresh) -> tuple:
    batch, pixels, width, latent_dim = fresh.sizes((5, 9), (2, 4), (4, 7), (2, 4))
    critic = nn.Sequential(nn.Linear(pixels, width), nn.LeakyReLU(0.2), nn.Linear(width, 1), nn.Flatten(0)).double()
    generator = nn.Linear(latent_dim, pixels).double()
    numbers = partial(fresh.normal, dtype=torch.float64)
    with torch.no_grad():
        for parameter in (*critic.parameters(), *generator.parameters()):
            parameter.copy_(numbers(*parameter.shape, scale=0.5))
    steps = fresh.integer(2, 3)
    x, z = numbers(steps, batch, pixels) + 1, numbers(steps + 1, batch, latent_dim)
    return critic, generator, x, z, fresh.number(0.2, 0.4), fresh.number(0.3, 0.5)


clipping = Check(
    played_round,
    draw_round,
    "all weights of the critic and all of the generator afterwards, two tensors (P,) without a graph",
    {
        "You clip before a step, so that the last step leaves weights outside of the box: clip after every step.":
            partial(round_with, when="before"),
        "You clip once, at the end of the round. Between the critic's steps its slope is then not held: clip after "
        "every step.": partial(round_with, when="end"),
        "You clip once, after the critic's last step. Between its steps its slope is then not held: clip after every "
        "step.": partial(round_with, when="last"),
        "The weights are not clipped at all.": partial(round_with, when="never"),
        "You clip the *gradients*. It is the weights that are to stay in the box.": clipped_slopes,
        "You clip the generator's weights as well. The bound is on the critic's slope; the generator may do what it "
        "likes.": partial(round_with, both=True),
        "The biases are not clipped. They do not change the slope, but asked is every parameter, as in the paper.":
            partial(round_with, biases=False),
        "Every step of the critic sees the first batch: each has its own.": partial(round_with, fresh=False),
        "The critic takes a single step. It has one for each batch of x.": partial(round_with, steps=1),
        "The generator moves first. It has to learn from a critic that has just been trained.":
            partial(round_with, order="generator first"),
        "The critic climbs where it should descend: it minimises generated minus real.":
            partial(round_with, critic_sign=-1),
        "The generator's sign is turned: its pictures' scores are to rise.": partial(round_with, generator_sign=1),
        "The generator takes latents that the critic has already used: the last ones, z[-1], are its own.":
            partial(round_with, last=-2),
        "The generator takes the first latents: the last ones, z[-1], are its own.": partial(round_with, last=0),
        "The generator moves at every step of the critic. It moves once a round, after them.":
            partial(round_with, moved=True),
        "The critic's gradients pile up from step to step: set them to zero before each.": piled_up,
    },
)  # fmt: skip

# --- the steepest slope of a layer ---------------------------------------------------------------


def powers(rows: Tensor, u: Tensor, steps: int, lengths: bool = True) -> tuple[Tensor, Tensor]:
    """Vectors u (O,) and v (I,) after some steps of the power iteration."""
    unit = (lambda vector: vector / vector.norm()) if lengths else (lambda vector: vector)
    for _ in range(steps):
        v = unit(rows.T @ u)
        u = unit(rows @ v)
    return u, v


def steepest_slope(weight: Tensor, u: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    rows = weight.flatten(1)
    u, v = powers(rows.detach(), u, steps)
    return u @ rows @ v, u


def through(weight: Tensor, u: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    u, v = powers(weight.flatten(1), u, steps)
    return u @ weight.flatten(1) @ v, u.detach()


def draw_layer(fresh: Fresh) -> tuple:
    out, channels, height, width = fresh.sizes((5, 8), (2, 5), (2, 4), (2, 4))
    numbers = partial(fresh.normal, dtype=torch.float64)
    return numbers(out, channels, height, width), F.normalize(numbers(out), dim=0), fresh.integer(1, 3)


def changed_slope(rule):
    """A mistaken slope, from the rows of the layer and u and v; the returned u is right."""
    def found(weight, u, steps):
        left, v = powers(weight.detach().flatten(1), u, steps)
        return rule(weight.flatten(1), left, v, u), left

    return found


steepest = Check(
    steepest_slope,
    draw_layer,
    "the estimate σ, a tensor (), and u (O,) after the last step",
    {
        "That is the norm of all weights together, the root of the sum of all σ²; asked is the largest σ alone.":
            changed_slope(lambda rows, u, v, start: rows.norm()),
        "That is the exact largest σ. Asked is the estimate after so many steps: a program that trains takes one step "
        "at a time, and goes on from the last u.":
            changed_slope(lambda rows, u, v, start: torch.linalg.matrix_norm(rows, 2)),
        "You took σ with the u from before the last step.": lambda weight, u, steps: (
            (powers(weight.detach().flatten(1), u, steps - 1)[0] if steps > 1 else u)
            @ weight.flatten(1) @ powers(weight.detach().flatten(1), u, steps)[1],
            powers(weight.detach().flatten(1), u, steps)[0],
        ),
        "You took the square of σ: the iteration with W Wᵀ stretches by σ².":
            changed_slope(lambda rows, u, v, start: (u @ rows @ v).square()),
        "u and v are not brought to length 1 after each product, so that they grow from step to step.":
            lambda weight, u, steps: (
                (raw := powers(weight.detach().flatten(1), u, steps, lengths=False))[0] @ weight.flatten(1) @ raw[1],
                raw[0],
            ),
        "You return the u that you were given: the next call is to go on from the new one.":
            lambda weight, u, steps: (steepest_slope(weight, u, steps)[0], u),
        "You return v in the place of u.": lambda weight, u, steps: (
            steepest_slope(weight, u, steps)[0], powers(weight.detach().flatten(1), u, steps)[1]
        ),
        "Only one step is taken, whatever `steps` says.": lambda weight, u, steps: steepest_slope(weight, u, 1),
        "You take one step too many.": lambda weight, u, steps: steepest_slope(weight, u, steps + 1),
        "You sum the kernel's places first. The layer's matrix has a row for each output channel, and all numbers "
        "of its kernel stand in that row.": lambda weight, u, steps: steepest_slope(weight.sum((2, 3)), u, steps),
        "The gradient runs through the power iteration. Its u and v are held fixed: then the gradient of σ is u vᵀ.":
            through,
        "The gradient runs through the power iteration, and into the u that you return: both are held fixed.":
            lambda weight, u, steps: (through(weight, u, steps)[0], powers(weight.flatten(1), u, steps)[0]),
    },
    gradients=("weight",),
)  # fmt: skip
