"""What fit must not do behind its reader's back: weights, modes, buffers, resume, epochs, and promises of errors."""

import copy
import math
import re
import subprocess
import sys
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, RMSprop

from belamy import _devices, losses, nets
from belamy._progress import bar
from belamy.data import ImageSet
from belamy.errors import BelamyError, CheckpointError, FileError, InputError, NonFiniteLoss
from belamy.game import Average, Game, Group, Player, Pool, checkpoint, evaluate, fit, linear_to_zero

ROWS = torch.rand(40, 3, generator=torch.Generator().manual_seed(0))
train = partial(fit, data=ROWS, batch_size=8, progress=False, device="cpu")


def square(nets, batch, noise):
    return nets.net(batch.x).square().mean()


def line(net=None, loss=square, seed=None, **player):
    return Game({"net": net or nn.Linear(3, 1)}, [Player(["net"], loss, **player)], seed=seed)


def state(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# --- weights belong to whoever made them ---------------------------------------------------------


def test_fit_touches_no_weight_but_by_an_optimiser():
    net = nn.Sequential(nn.Linear(3, 4), nn.MultiheadAttention(4, 1), nn.Linear(4, 1))
    nn.init.zeros_(net[2].weight)
    before = state(net)
    train(line(net, lambda n, b, z: n.net[0](b.x).mean(), allow_unused=True), rounds=0)
    assert equal(state(net), before)
    trained = line()
    train(trained, rounds=5)
    again = Game(dict(trained.nets), trained.turns)
    before = state(again.nets)
    train(again, rounds=0)
    assert equal(state(again.nets), before)


def test_a_game_s_seed_draws_weights_whatever_was_drawn_before_and_spares_the_pretrained():
    def build(disturb, seed):
        torch.manual_seed(disturb)
        return Game({"net": nn.Linear(3, 1)}, [Player(["net"], square)], seed=seed, pretrained={"eye": eye})

    eye = nn.Linear(2, 2)
    before = state(eye)
    one, two, other = build(1, 0), build(2, 0), build(1, 1)
    assert torch.equal(one.nets.net.weight, two.nets.net.weight) and equal(state(eye), before)
    assert not torch.equal(one.nets.net.weight, other.nets.net.weight)
    assert torch.equal(build(1, np.int64(1)).nets.net.weight, other.nets.net.weight)


class Bare(nn.Module):
    def __init__(self):
        super().__init__()
        self.start = nn.Parameter(torch.randn(3))

    def forward(self, x):
        return x * self.start


def zeroed():
    net = nn.Linear(3, 1)
    nn.init.zeros_(net.weight)
    return net


@pytest.mark.parametrize(
    "net, words",
    [
        (Bare(), "net 'net': start is written by no reset_parameters"),
        (nn.MultiheadAttention(4, 1), "in_proj_weight is written by no"),
        (zeroed(), "weight was set to zero"),
        (nn.Linear(3, 1).requires_grad_(False), "weight is frozen"),
        (nn.LazyLinear(1), "no shape yet"),
    ],
)
def test_what_no_seed_can_draw_is_refused_by_name_and_left_alone(net, words):
    before = state(net) if not isinstance(net, nn.LazyLinear) else {}
    with pytest.raises(InputError, match=words):
        line(net, seed=0)
    assert not before or equal(state(net), before)


def test_weight_norm_is_drawn_and_trained():
    build = lambda: nn.utils.parametrizations.weight_norm(nn.Linear(3, 4))  # noqa: E731
    one, two = line(build(), seed=0), line(build(), seed=0)
    assert equal(state(one.nets), state(two.nets))
    torch.testing.assert_close(one.nets.net.weight, line(nn.Linear(3, 4), seed=0).nets.net.weight)
    train(one, epochs=1)


class Codebook(nn.Module):
    """Remembers an average of what it has seen, in any mode, and replaces the tensor."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 3)
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0)
        self.calls += 1
        return self.linear(x)


def statistics():
    return nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout(0.5), Codebook())


@pytest.mark.parametrize("owned", [False, True])
def test_no_buffer_of_a_net_that_stands_still_moves(owned):
    modes, changes = [], []

    def loss(n, batch, noise):
        modes.append(n.eye.training)
        return n.eye(n.net(batch.x)).square().mean()

    def other(n, batch, noise):
        changes.append(equal(state(n.eye), before))
        return n.eye(batch.x).square().mean()

    players = [Player(["net"], loss)] + owned * [Player(["eye"], other)]
    game = Game({"net": nn.Linear(3, 3), "eye": statistics()}, players)
    before, weights = state(game.nets.eye), state(game.nets.net)
    train(game, rounds=1)
    assert modes == [owned]  # without an owner: in evaluation mode
    assert not equal(state(game.nets.net), weights)  # the gradient flows through it
    if owned:
        assert changes == [True] and game.nets.eye[3].calls == 1
    else:
        assert equal(state(game.nets.eye), before)
        assert all(p.requires_grad and p.grad is None for p in game.nets.eye.parameters())


def test_a_frozen_feature_extractor_gives_in_fit_what_it_gives_outside():
    seen, eye = [], statistics()
    game = Game({"net": nn.Linear(3, 3), "eye": eye}, [Player(["net"], lambda n, b, z: (
        seen.append((b.x, n.eye(b.x))), n.net(b.x).mean())[1])])  # fmt: skip
    train(game, rounds=1)
    torch.testing.assert_close(seen[0][1], eye.eval()(seen[0][0]))


def test_what_is_frozen_when_fit_starts_stays_frozen_in_copies_too():
    game = line(nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 1)))
    game.nets.net[0].requires_grad_(False)  # after construction
    for each in (game, copy.deepcopy(game)):
        before = state(each.nets.net[0])
        train(each, rounds=2)
        assert equal(before, state(each.nets.net[0])) and not each.nets.net[0].weight.requires_grad


def test_parameters_that_two_nets_of_a_player_share_step_once():
    def build(shared):
        net = nn.Linear(3, 1, bias=False)
        nn.init.ones_(net.weight)
        parts = {"net": net, "twin": net} if shared else {"net": net}
        return Game(parts, [Player(list(parts), square, name="both")])

    one, two = build(False), build(True)
    for game in (one, two):
        train(game, rounds=3, optimizer=partial(SGD, lr=0.1))
    torch.testing.assert_close(one.nets.net.weight, two.nets.net.weight, rtol=0, atol=0)


# --- epochs --------------------------------------------------------------------------------------


@pytest.mark.parametrize("calls", [[10], [3, 3, 4]])
def test_an_epoch_is_a_pass_by_the_busiest_player(calls):
    seen, epochs = [], []

    def busy(n, batch, noise):
        seen.extend(batch.index.tolist())
        return square(n, batch, noise)

    game = line(loss=busy, steps=5)
    for count in calls:  # 9 batches an epoch
        history = train(game, data=ROWS[:36], batch_size=4, epochs=count, callbacks=lambda g, e: epochs.append(e))
    assert len(seen) == 10 * 36 and sorted(seen) == sorted(list(range(36)) * 10)
    assert epochs == list(range(1, 11)) and len(history) == game.rounds == 18


def test_the_second_fit_goes_on_counting():
    game, epochs = line(), []
    for _ in range(2):
        history = train(game, epochs=2, callbacks=[lambda g, e: epochs.append(e)])
    assert epochs == [1, 2, 3, 4] and list(history.by_epoch().index) == [1, 2, 3, 4]


# --- players -------------------------------------------------------------------------------------


def test_a_player_brings_its_optimiser_schedule_clipping_and_aftermath():
    seen = []
    clip = lambda nets: [p.clamp_(-0.01, 0.01) for p in nets.net.parameters()]  # noqa: E731
    schedule = lambda step, total: seen.append((step, total)) or 1 - step / total  # noqa: E731
    game = line(optimizer=partial(SGD, lr=1.0), schedule=schedule, after=clip)
    train(game, rounds=4)
    assert seen == [(0, 4), (1, 4), (2, 4), (3, 4)]
    assert game.nets.net.weight.abs().max() <= 0.01
    game = line(loss=lambda n, b, z: 1e3 * square(n, b, z), optimizer=partial(SGD, lr=1.0), clip=0.5)
    before = nn.utils.parameters_to_vector(game.nets.parameters()).clone()
    train(game, rounds=1)
    moved = nn.utils.parameters_to_vector(game.nets.parameters()) - before
    assert float(moved.norm()) == pytest.approx(0.5, rel=1e-4)
    assert [linear_to_zero(k, 4) for k in range(5)] == [1, 0.75, 0.5, 0.25, 0]
    assert [linear_to_zero(k, 4, start=0.5) for k in range(5)] == [1, 1, 1, 0.5, 0]


def test_a_parameter_without_gradient_is_named_unless_the_player_says_so():
    net = nn.ModuleDict({"used": nn.Linear(3, 1), "idle": nn.Linear(3, 1)})
    loss = lambda n, b, z: n.net.used(b.x).mean()  # noqa: E731
    with pytest.raises(InputError, match=r"net\.idle\.weight, net\.idle\.bias.*allow_unused"):
        train(line(net, loss), rounds=1)
    train(line(net, loss, allow_unused=True), rounds=1)


def test_terms_may_come_and_go_be_numbers_and_be_logged_only():
    def loss(n, batch, noise):
        terms = {"fit": square(n, batch, noise), "three": 3, "watched": losses.Term(batch.x.mean() * math.nan, 0)}
        return terms | ({"late": n.net.weight.sum()} if noise.step >= 2 else {"early": np.float32(1.0)})

    frame = train(line(loss=loss), rounds=4).frame()
    assert frame["net/late"].isna().tolist() == [True, True, False, False]
    assert frame["net/early"].isna().tolist() == [False, False, True, True]
    total = frame["net/fit"] + 3 + frame["net/late"].fillna(0) + frame["net/early"].fillna(0)
    np.testing.assert_allclose(frame["net"], total, rtol=1e-5)
    assert frame["net/watched"].isna().all()


def test_several_data_sets_each_in_its_own_order_and_labels_and_factors():
    seen = {"a": [], "b": []}

    def loss(n, batch, noise):
        assert len(batch) == 4
        for name in seen:
            seen[name].append(getattr(batch, name).index.tolist())
        torch.testing.assert_close(batch.a.factors[:, 0], batch.a.y.float())
        return n.net(batch.b.x).mean()

    labels = torch.arange(12)
    pictures = ImageSet(torch.zeros(12, 1, 4, 4, dtype=torch.uint8), "a", labels, labels[:, None].float(), ("k",))
    train(line(loss=loss), data={"a": pictures, "b": ROWS[:20]}, batch_size=4, epochs=1)
    assert len(seen["b"]) == 5 and sorted(sum(seen["b"], [])) == list(range(20))
    assert sorted(sum(seen["a"][:3], [])) == list(range(12)) and seen["a"][0] != seen["b"][0]


# --- resume --------------------------------------------------------------------------------------


def conv_net():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 1, 2), nn.Flatten(0))


def decayed(parameters, **options):
    """Weight decay for matrices only: groups that reverse the parameters' order."""
    parameters = list(parameters)
    flat, matrices = [p for p in parameters if p.dim() < 2], [p for p in parameters if p.dim() > 1]
    return AdamW([{"params": flat, "weight_decay": 0.0}, {"params": matrices[::-1]}], lr=1e-2, **options)


PICTURES = torch.rand(32, 1, 4, 4, generator=torch.Generator().manual_seed(0))


def test_a_loss_reads_whatever_else_its_images_have():
    masks = torch.arange(40).view(40, 1, 1, 1).expand(40, 1, 4, 4).to(torch.uint8)
    images = ImageSet(masks.clone(), "numbered", others={"mask": masks, "weight": torch.arange(40.0)})
    seen = []

    def loss(nets, batch, noise):
        assert torch.equal(batch.mask, batch.x) and torch.allclose(batch.x[:, 0, 0, 0] * 255, batch.weight)
        seen.extend(batch.weight.tolist())
        return nets.net(batch.x.flatten(1)).square().mean()

    fit(line(nn.Linear(16, 1), loss), images, epochs=1, batch_size=8, progress=False, device="cpu")
    assert sorted(seen) == list(range(40))


@pytest.mark.parametrize("bad", [3, 4096, 5000])
def test_a_row_that_is_not_finite_is_named_and_large_numbers_are_none(bad):
    rows = torch.zeros(5001, 3)
    rows[bad, 1] = float("nan")
    with pytest.raises(InputError, match=f"row {bad} of the data"):
        train(line(), data=rows, rounds=1)
    huge = torch.full((5001, 3), 1e38)  # finite, unlike their sum
    train(line(loss=lambda n, b, z: n.net(b.x * 1e-38).mean()), data=huge, rounds=1)


MEMORY = """
import resource, torch
from belamy.game import Game, Player, fit
rows = torch.rand(1_500_000, 16)  # 96 MB
game = Game({"net": torch.nn.Linear(16, 1)}, [Player(["net"], lambda n, b, z: n.net(b.x).square().mean())])
once = lambda: fit(game, rows, rounds=2, batch_size=64, device="cpu", progress=False)
fit(game, rows[:1000], rounds=2, batch_size=64, device="cpu", progress=False)  # what torch loads but once
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
once()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ru_maxrss is in other units")
def test_float_data_are_not_copied():
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 48_000  # KB: half of the data


@pytest.mark.parametrize("optimizer", [decayed, partial(decayed, fused=True), partial(RMSprop, lr=1e-3, centered=True),
                                       partial(Adam, amsgrad=True)])  # fmt: skip
def test_resume_is_exact_with_parameter_groups_averages_and_pools(tmp_path, optimizer):
    def loss(n, batch, noise):
        old = n.past(n.net(batch.x)[:, None], noise)
        first = n.net.get_submodule("0").weight
        return {"fit": n.net(batch.x).square().mean(), "old": (first.sum() * old.mean()).square()}

    def build():
        return Game({"net": conv_net(), "past": Pool(12)}, [Player(["net"], loss)], seed=0,
                    averages={"mean": Average("net", 0.9)})  # fmt: skip

    settings = {"data": PICTURES, "optimizer": optimizer}
    whole, resumed = build(), build()
    train(whole, epochs=4, **settings)
    train(build(), epochs=2, checkpoint=tmp_path / "run", **settings)
    train(resumed, epochs=4, checkpoint=tmp_path / "run", **settings)
    assert equal(state(resumed.nets), state(whole.nets))
    assert not torch.equal(whole.nets.mean[0].weight, whole.nets.net[0].weight)
    for piece in ("nets/mean.0.weight", "nets/past.images"):  # each is needed
        train(build(), epochs=2, checkpoint=tmp_path / "spoilt", **settings)
        tensors, header = checkpoint.read(tmp_path / "spoilt")
        checkpoint.write(tmp_path / "spoilt", tensors | {piece: torch.ones_like(tensors[piece])}, header)
        spoilt = build()
        train(spoilt, epochs=4, checkpoint=tmp_path / "spoilt", **settings)
        assert not equal(state(spoilt.nets), state(whole.nets))
        (tmp_path / "spoilt").unlink()


def times(loss, factor):
    return lambda *given: factor * loss(*given)


OTHERS = {
    "another beta": lambda: line(loss=partial(scaled, factor=2.0), seed=0),
    "another loss": lambda: line(loss=times(square, 3), seed=0),
    "another steps": lambda: line(loss=partial(scaled, factor=1.0), steps=2, seed=0),
    "another schedule": lambda: line(loss=partial(scaled, factor=1.0), schedule=linear_to_zero, seed=0),
    "another net": lambda: line(nn.Sequential(nn.Linear(3, 1), nn.Tanh()), partial(scaled, factor=1.0), seed=0),
}


def scaled(n, batch, noise, factor):
    return factor * square(n, batch, noise)


@pytest.mark.parametrize("other", OTHERS)
def test_a_checkpoint_knows_its_game(tmp_path, other):
    build = lambda: line(nn.Sequential(nn.Linear(3, 1), nn.ReLU()) if other == "another net" else None,  # noqa: E731
                         partial(scaled, factor=1.0), seed=0)  # fmt: skip
    train(build(), epochs=1, checkpoint=tmp_path / "run")
    train(build(), epochs=1, checkpoint=tmp_path / "run")
    game = OTHERS[other]()
    before = state(game.nets)
    with pytest.raises(CheckpointError, match="another (loss|steps|schedule|net)"):
        train(game, epochs=1, checkpoint=tmp_path / "run")
    assert equal(state(game.nets), before) and game.rounds == 0


def test_the_same_call_means_the_same_with_and_without_a_checkpoint(tmp_path):
    plain, stored = line(seed=0), line(seed=0)
    for _ in range(2):
        train(plain, epochs=2)
        train(stored, epochs=2, checkpoint=tmp_path / "run")
    assert stored.rounds == 20 and equal(state(plain.nets), state(stored.nets))


def test_a_checkpoint_older_than_the_game_is_refused(tmp_path):
    game = line(seed=0)
    train(game, epochs=1, checkpoint=tmp_path / "run")
    train(game, epochs=1)
    before = state(game.nets)
    with pytest.raises(CheckpointError, match="older than the game: it holds round 5, the game has played 10"):
        train(game, epochs=1, checkpoint=tmp_path / "run")
    assert equal(state(game.nets), before) and game.rounds == 10


def test_calls_that_end_within_an_epoch_go_on_with_a_checkpoint_too(tmp_path):
    games = [line(seed=0) for _ in range(3)]
    for game, path in zip(games, (None, tmp_path / "run")):
        for _ in range(2):  # 3 and 3 rounds, where 5 are an epoch
            train(game, rounds=3, checkpoint=path)
        assert game.rounds == 6
    train(games[2], rounds=3, checkpoint=tmp_path / "run")  # a later program resumes the second call
    assert games[2].rounds == 6
    assert equal(state(games[0].nets), state(games[1].nets)) and equal(state(games[0].nets), state(games[2].nets))


@pytest.mark.parametrize("rounds", [1, 3])
def test_a_checkpoint_of_as_many_rounds_but_other_weights_is_refused(tmp_path, rounds):
    game = line(seed=0)
    train(game, rounds=rounds, checkpoint=tmp_path / "run")
    with torch.no_grad():
        next(game.nets.parameters()).add_(1)
    before = state(game.nets)
    with pytest.raises(CheckpointError, match=rf"holds other weights than the game.*as many rounds \({rounds}\)"):
        train(game, rounds=rounds, checkpoint=tmp_path / "run")
    assert equal(state(game.nets), before) and game.rounds == rounds


def test_tied_weights_are_stored_and_resumed(tmp_path):
    def build():
        net = nn.ModuleDict({"a": nn.Linear(3, 3), "b": nn.Linear(3, 3)})
        net["b"].weight = net["a"].weight
        return line(net, lambda n, b, z: n.net.b(n.net.a(b.x)).square().mean(), seed=0)

    whole, resumed = build(), build()
    train(whole, epochs=4)
    train(build(), epochs=2, checkpoint=tmp_path / "run")
    train(resumed, epochs=4, checkpoint=tmp_path / "run")
    assert equal(state(whole.nets), state(resumed.nets)) and resumed.nets.net.a.weight is resumed.nets.net.b.weight


def test_auto_precision_on_a_cpu_is_fp32_for_a_checkpoint_and_an_unknown_option_no_obstacle(tmp_path):
    train(line(seed=0), epochs=1, checkpoint=tmp_path / "run", precision="auto")
    tensors, header = checkpoint.read(tmp_path / "run")
    header["groups"]["net"][0]["of_a_later_torch"] = True
    checkpoint.write(tmp_path / "run", tensors, header)
    game = line(seed=0)
    train(game, epochs=2, checkpoint=tmp_path / "run", precision="fp32")
    assert game.epochs == 2


def test_amsgrad_switched_on_between_fits_is_refused_with_a_sentence():
    game = line()
    train(game, rounds=2, optimizer=Adam)
    with pytest.raises(InputError, match="amsgrad was off"):
        train(game, rounds=2, optimizer=partial(Adam, amsgrad=True))
    train(game, rounds=2, optimizer=partial(Adam, lr=1e-4))


@pytest.mark.parametrize("damage", [{"rounds": "many"}, {"columns": None}, {"run": 3}])
def test_a_damaged_header_is_named(tmp_path, damage):
    train(line(seed=0), epochs=1, checkpoint=tmp_path / "run")
    tensors, header = checkpoint.read(tmp_path / "run")
    checkpoint.write(tmp_path / "run", tensors, header | damage)
    with pytest.raises(CheckpointError, match="damaged"):
        train(line(seed=0), epochs=1, checkpoint=tmp_path / "run")


def test_a_path_that_cannot_be_written_is_found_out_before_training_and_home_is_known(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("", encoding="utf-8")
    for path in (tmp_path / "file" / "run", tmp_path):
        game = line()
        with pytest.raises(FileError, match="cannot be written"):
            train(game, epochs=1, checkpoint=path)
        assert game.rounds == 0
    monkeypatch.setenv("HOME", str(tmp_path))
    train(line(), epochs=1, checkpoint="~/run")
    assert (tmp_path / "run").exists()


# --- the accelerator's path, played on the CPU ---------------------------------------------------


@pytest.mark.parametrize("optimizer", [partial(RMSprop, lr=1e-2, momentum=0.9), partial(SGD, lr=0.1, momentum=0.9)])
def test_any_optimiser_is_masked_without_waiting(monkeypatch, optimizer):
    monkeypatch.setitem(_devices.TRAITS, "cpu", _devices.Traits(waits=False))
    poison = lambda n, b, z: square(n, b, z) * (math.nan if z.step == 4 else 1)  # noqa: E731
    bad, good = line(loss=poison, seed=0), line(seed=0)
    with pytest.raises(NonFiniteLoss, match="round 4"):
        train(bad, rounds=9, optimizer=optimizer, log_every=9)
    train(good, rounds=4, optimizer=optimizer)
    assert equal(state(bad.nets), state(good.nets)) and bad.steps == {"net": 4} and bad.rounds == 4
    mine, theirs = (g.optimizers["net"].state_dict()["state"] for g in (bad, good))
    assert all(torch.equal(mine[k][f], theirs[k][f]) for k in mine for f in mine[k] if torch.is_tensor(mine[k][f]))


@pytest.mark.parametrize("waits", [True, False])
def test_a_pool_keeps_no_fake_of_a_bad_step(monkeypatch, waits):
    monkeypatch.setitem(_devices.TRAITS, "cpu", _devices.Traits(waits=waits))

    def loss(n, batch, noise):
        return n.net(n.past(batch.x, noise)).square().mean() * (math.nan if noise.step == last else 1)

    pools = []
    for last in (4, None):
        game = Game({"net": nn.Linear(3, 1), "past": Pool(8)}, [Player(["net"], loss)])
        if last is None:
            train(game, rounds=4)
        else:
            with pytest.raises(NonFiniteLoss, match="round 4"):
                train(game, rounds=9, log_every=9)
        pools.append(game.nets.past.images)
    assert torch.equal(*pools)


# --- ranges, layouts, types ----------------------------------------------------------------------


@pytest.mark.parametrize("data", [255 * torch.rand(16, 1, 4, 4), 2 * torch.rand(16, 1, 4, 4) - 1])
def test_a_bernoulli_loss_of_other_than_probabilities_is_refused_before_the_first_step(data):
    parts = {"encoder": nets.MLPEncoder((1, 4, 4), 2, (8,)), "decoder": nets.MLPDecoder((1, 4, 4), 2, (8,))}
    game = Game(parts, [Player(list(parts), losses.negative_elbo)])
    before = state(game.nets)
    with pytest.raises(InputError, match=rf"\[{data.min():.1f}.*, {data.max():.3g}.*\]|values in"):
        train(game, data=data, rounds=1)
    assert equal(state(game.nets), before)
    with pytest.raises(InputError, match="values in"):
        evaluate(game, losses.negative_elbo, data)


def test_view_on_images_says_reshape():
    class Tutorial(nn.Linear):
        def forward(self, x):
            return super().forward(x.view(len(x), -1))

    data = ImageSet(torch.zeros(16, 3, 4, 4, dtype=torch.uint8), "black")
    with pytest.raises(InputError, match=r"\.reshape"):
        train(line(Tutorial(48, 1)), data=data, rounds=1)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_floating_types_train_and_noise_has_their_type(dtype):
    def loss(n, batch, noise):
        assert noise.normal(2).dtype == noise.uniform(2).dtype == dtype
        return n.net(batch.x + noise.normal(len(batch), 3)).square().mean()

    history = train(line(nn.Linear(3, 1).to(dtype), loss), data=ROWS.to(dtype), epochs=2)
    assert len(history) == 10
    pictures = ImageSet(torch.zeros(16, 3, 4, 4, dtype=torch.uint8), "black")
    train(line(nn.Sequential(nn.Flatten(), nn.Linear(48, 1)).to(dtype)), data=pictures, rounds=1)


def test_three_dimensional_convolutions_train():
    train(line(nn.Sequential(nn.Conv3d(1, 1, 2), nn.Flatten())), data=torch.rand(16, 1, 4, 4, 4), rounds=2)


# --- penalties -----------------------------------------------------------------------------------


def test_a_gradient_penalty_has_its_value_its_gradient_and_no_nan():
    from belamy.randomness import Noise

    weight = torch.tensor([3.0, 4.0], requires_grad=True)
    real, fake = torch.rand(6, 2), torch.rand(6, 2)
    penalty = losses.gradient_penalty(lambda x: x @ weight, real, fake, Noise())
    assert penalty.item() == pytest.approx(16)  # (5 - 1)^2
    torch.testing.assert_close(torch.autograd.grad(penalty, weight)[0], 8 * weight.detach() / 5)
    flat = torch.zeros(2, requires_grad=True)
    penalty = losses.gradient_penalty(lambda x: x @ flat, real, fake, Noise())
    assert penalty.item() == 1 and torch.autograd.grad(penalty, flat)[0].isfinite().all()
    square_of = lambda x: x.square().flatten(1).sum(1)  # noqa: E731
    images = torch.rand(2, 3, 4, 4, dtype=torch.float64)
    u = Noise().uniform(2, 1, 1, 1).double()
    between = u * images + (1 - u) * images.flip(0)
    found = losses.gradient_penalty(square_of, images, images.flip(0), Noise())
    torch.testing.assert_close(found, ((2 * between).flatten(1).norm(dim=1) - 1).square().mean())
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        net = nn.Linear(2, 1)
        value = losses.gradient_penalty(net, real, fake, Noise())
    assert value.dtype == torch.float32 and value.item() == pytest.approx((net.weight.norm().item() - 1) ** 2, rel=1e-5)


def test_a_reader_s_own_penalty_can_be_evaluated():
    def penalty(n, batch, noise):
        x = batch.x.clone().requires_grad_()
        return torch.autograd.grad(n.net(x).sum(), x, create_graph=True)[0].square().sum(1).mean()

    game = line()
    with torch.no_grad():
        found = evaluate(game, penalty, ROWS)["total"]
    assert found == pytest.approx(game.nets.net.weight.square().sum().item(), rel=1e-5)
    assert all(p.requires_grad for p in game.nets.parameters())


# --- callbacks, promises, the process ------------------------------------------------------------


def test_what_a_callback_returns_is_in_the_history_and_in_its_plot(tmp_path):
    import matplotlib.pyplot as plt

    game = line(seed=0)
    report = lambda game, epoch: {"validation": np.float32(epoch)}  # noqa: E731
    train(game, epochs=2, callbacks=report, checkpoint=tmp_path / "run")
    resumed = line(seed=0)
    history = train(resumed, epochs=3, callbacks=[report], checkpoint=tmp_path / "run")
    assert history.by_epoch()["validation"].tolist() == [1, 2, 3]
    assert len(history.plot(ax=plt.figure().subplots()).get_lines()) >= 2
    with pytest.raises(InputError, match="a callback returned 3"):
        train(line(), epochs=1, callbacks=lambda game, epoch: 3)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: train(line(), rounds=1, optimizer=Adam(nn.Linear(1, 1).parameters())), "pass a class or partial"),
        (lambda: train(line(), rounds=1, optimizer="adam"), "pass a class or partial"),
        (lambda: train(line(), rounds=1, optimizer=None), "pass a class or partial"),
        (lambda: train(line(), rounds=1, optimizer=partial(Adam, lr=-1)), "cannot be built"),
        (lambda: train(line(), rounds=1, log_every=0), "log_every=0"),
        (lambda: train(line(), rounds=1, callbacks=["plot"]), "callbacks holds 'plot'"),
        (lambda: train(line(nn.Linear(3, 1).requires_grad_(False)), rounds=1), "nothing to train"),
        (lambda: train(line(loss=lambda n, b, z: {}), rounds=1), "without a term"),
        (lambda: train(line(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))), rounds=1, batch_size=1), "batch_size"),
        (lambda: train(line(nn.LazyLinear(1)), rounds=1), "lazy module"),
        (lambda: train(line(schedule=lambda: 1.0), rounds=1), "no function of the step"),
        (lambda: fit(nn.Linear(1, 1), ROWS, rounds=1), "not a Linear"),
        (lambda: train(line(), rounds=1, data={}), "empty mapping"),
        (lambda: evaluate(line(), "loss", ROWS), "cannot be called"),
        (lambda: evaluate(line(), square, ROWS, draws=0), "draws=0"),
        (lambda: Player(["net"], None), "loss=None"),
        (lambda: Player([], square), "list of net names"),
        (lambda: Player(["net"], square, steps=True), "steps=True"),
        (lambda: Player(["net"], square, clip=0), "clip=0"),
        (lambda: Group([Player(["net"], square, steps=2)], square), "steps=2 inside a Group"),
        (lambda: Group([], square), "at least one"),
        (lambda: Game({"net": "mlp"}, [Player(["net"], square)]), "'net' is a str"),
        (lambda: Game({"keys": nn.Linear(1, 1)}, [Player(["keys"], square)]), "called 'keys'"),
        (lambda: Game({"net": nn.Linear(1, 1)}, [square]), "pass Players"),
        (lambda: Average("net", 2.0), "decay=2.0"),
    ],
)
def test_what_cannot_be_used_is_an_error_of_belamy(call, words):
    with pytest.raises(BelamyError, match=words):
        call()


def test_nothing_has_changed_when_an_argument_is_refused():
    game = line()
    train(game, rounds=3, optimizer=Adam)
    before, optimizer = state(game.nets), game.optimizers["net"]
    for wrong in ({"optimizer": partial(Adam, lr=0)}, {"seed": -1}, {"data": 3}, {"batch_size": 99}):
        with pytest.raises(InputError):
            train(game, **{"rounds": 1, **wrong})
    assert game.optimizers["net"] is optimizer and equal(state(game.nets), before) and game.rounds == 3


def test_numpy_numbers_are_numbers(tmp_path):
    game = line(seed=np.int32(0), steps=np.int64(1), clip=np.float32(1))
    train(game, epochs=np.int64(1), batch_size=np.int64(8), seed=np.int64(3), checkpoint=tmp_path / "run")
    train(line(seed=0, clip=1.0), epochs=1, seed=3, checkpoint=tmp_path / "run")


def test_importing_the_engine_loads_neither_matplotlib_nor_pandas():
    code = "import sys, belamy.game; print(sorted({'matplotlib', 'pandas', 'seaborn'} & set(sys.modules)))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_a_pool_keeps_what_is_past():
    from belamy.randomness import Noise

    pool, noise = Pool(4), Noise(seed=1)
    pool.train()
    first = pool(torch.arange(3.0)[:, None], noise)
    assert torch.equal(first, torch.arange(3.0)[:, None]) and len(pool.images) == 3
    seen, fed = first.flatten().tolist(), 3.0
    for _ in range(50):
        present = torch.arange(fed, fed + 3)[:, None]
        seen += pool(present, noise).flatten().tolist()
        fed += 3
    everything = seen + pool.images.flatten().tolist()
    assert set(everything) == set(map(float, range(int(fed))))  # nothing is lost
    old = sum(v < 3 * (k // 3) for k, v in enumerate(seen))
    assert 0.35 < old / len(seen) < 0.65
    pool.eval()
    kept = pool.images.clone()
    assert torch.equal(pool(present, noise), present) and torch.equal(pool.images, kept)


# --- progress ----------------------------------------------------------------------------------------


@pytest.fixture
def shown(monkeypatch):
    """What a notebook's cell shows, as it stands in the end."""
    outputs = []

    class Handle:
        def __init__(self):
            self.index = len(outputs) - 1

        def update(self, data, raw):
            outputs[self.index] = data

    def display(data, raw, display_id):
        outputs.append(data)
        return Handle()

    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    monkeypatch.setattr("IPython.get_ipython", lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setattr("IPython.display.display", display)
    return outputs


def test_in_a_notebook_the_progress_bar_is_text_which_needs_no_kernel(shown, capsys):
    def loss(nets, batch, noise):
        return {f"divergence of the {k}th part": square(nets, batch, noise) for k in "567"}

    train(line(loss=loss), rounds=2, progress=True)
    (output,) = shown
    assert output.keys() == {"text/plain"} and capsys.readouterr() == ("", "")
    losses = re.fullmatch(r"100%\|█{30}\| 2/2 \[.*round/s, (net=\S+, …nce of the 5th part=.*)\]", output["text/plain"])
    assert len(losses[1]) == 72 and losses[1].endswith("…")


def test_a_bar_that_need_not_stay_leaves_nothing_and_a_hidden_one_is_not_there(shown, monkeypatch):
    for options in ({"leave": False}, {"leave": True}, {"show": False}):
        assert list(bar(range(3), **options)) == [0, 1, 2]
    assert [data["text/plain"][:4] for data in shown] == ["", "100%"]
    monkeypatch.setenv("TQDM_DISABLE", "1")
    list(bar(range(3)))
    assert len(shown) == 2


def test_a_gradient_that_lies_otherwise_in_memory_than_its_weight_moves_the_right_numbers():
    """A fused optimiser reads both in the order of memory; `torch.einsum` returns a transposed gradient."""

    class Product(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.arange(12.0).reshape(3, 4) / 12)

        def forward(self, x):
            return torch.einsum("ij,nj->ni", self.weight, x)

    x, net, twin = torch.rand(8, 4), Product(), Product()
    fit(
        Game({"net": net}, [Player(["net"], lambda nets, batch, noise: nets.net(batch.x).square().mean())]),
        x, rounds=5, batch_size=8, device="cpu", progress=False, optimizer=partial(torch.optim.Adam, lr=0.1),
    )  # fmt: skip
    adam = torch.optim.Adam(twin.parameters(), lr=0.1, fused=False)
    lies_otherwise = torch.autograd.grad(twin(x).square().mean(), twin.weight)[0].stride() != twin.weight.stride()
    for _ in range(5):
        adam.zero_grad()
        twin(x).square().mean().backward()
        adam.step()
    assert lies_otherwise
    torch.testing.assert_close(net.weight, twin.weight, rtol=1e-5, atol=1e-6)
