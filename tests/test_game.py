"""The loop: who moves, on what, in which order, and what happens when something goes wrong."""

import math
import os
import signal
from functools import partial

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam

from belamy import _devices, losses, nets
from belamy.data import ImageSet
from belamy.errors import InputError, NonFiniteLoss
from belamy.game import Game, Group, Noise, Player, evaluate, fit, latents
from belamy.game.batches import Batches

train = partial(fit, batch_size=8, progress=False, device="cpu")


def images(n=40, size=16, channels=3, labels=None):
    rng = torch.Generator().manual_seed(7)
    pixels = torch.randint(0, 256, (n, channels, size, size), generator=rng, dtype=torch.uint8)
    return ImageSet(pixels, "noise", labels=labels)


def vae(size=16, channels=3, loss=losses.negative_elbo, seed=0):
    parts = {
        "encoder": nets.ConvEncoder(size, 2, channels, widths=(4, 8)),
        "decoder": nets.ConvDecoder(size, 2, channels, widths=(4, 8)),
    }
    return Game(parts, [Player(["encoder", "decoder"], loss)], seed=seed)


def gan(steps=1):
    parts = {
        "discriminator": nets.Discriminator(16, width=4),
        "generator": nets.Generator(16, latent_dim=5, width=4),
    }
    return Game(parts, [
        Player(["discriminator"], losses.discriminator_loss, steps=steps),
        Player(["generator"], losses.generator_loss),
    ], seed=0)  # fmt: skip


def snapshot(net):
    return {name: value.clone() for name, value in net.state_dict().items()}


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# --- ownership -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mover, still", [(0, "generator"), (1, "discriminator")])
def test_a_step_leaves_every_other_player_s_parameters_and_buffers_untouched(mover, still):
    game = gan()
    train(game, images(), rounds=1)  # buffers are no longer at their start
    game = Game(dict(game.nets), [game.turns[mover]])
    before = {name: snapshot(net) for name, net in game.nets.items()}
    train(game, images(), rounds=3)
    moved = {"generator": "discriminator", "discriminator": "generator"}[still]
    assert equal(before[still], snapshot(game.nets[still]))
    after = snapshot(game.nets[moved])
    assert not any(torch.equal(after[name], value) for name, value in before[moved].items())


def test_frozen_nets_still_normalise_by_the_batch():
    seen = {}

    def spy(nets_, batch, noise):
        loss = losses.generator_loss(nets_, batch, noise)
        norm = next(m for m in nets_.discriminator.modules() if isinstance(m, nn.BatchNorm2d))
        seen.update(training=norm.training, tracks=norm.track_running_stats)
        return loss

    game = gan()
    game.turns[1] = Player(["generator"], spy)
    train(game, images(), rounds=1)
    assert seen == {"training": True, "tracks": False}
    norms = [m for m in game.nets.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms and all(m.track_running_stats and not m.training for m in norms)


def test_spectral_norm_of_a_frozen_net_is_not_iterated():
    critic = nn.Sequential(nn.Flatten(), nn.utils.parametrizations.spectral_norm(nn.Linear(4, 1)))
    game = Game(
        {"critic": critic, "point": nn.Linear(1, 4)},
        [Player(["point"], lambda n, b, z: n.critic(n.point(z.normal(8, 1))).mean())],
    )
    before = snapshot(game.nets.critic)
    train(game, torch.randn(16, 4), rounds=3)
    assert equal(before, snapshot(game.nets.critic))


def test_no_gradient_is_computed_for_another_player():
    grads = []

    def spy(nets_, batch, noise):
        grads.append({n: [p.requires_grad for p in net.parameters()] for n, net in nets_.items()})
        return losses.generator_loss(nets_, batch, noise)

    game = gan()
    game.turns = [game.turns[0], Player(["generator"], spy)]
    train(game, images(), rounds=1)
    assert all(grads[0]["generator"]) and not any(grads[0]["discriminator"])
    assert all(p.requires_grad and p.grad is None for p in game.nets.parameters())


def test_parameters_that_came_frozen_stay_frozen():
    game = vae()
    first = next(game.nets.encoder.parameters())
    game = Game(dict(game.nets), game.turns)
    first.requires_grad_(False)
    game = Game(dict(game.nets), game.turns)
    before = first.clone()
    train(game, images(), rounds=2)
    assert torch.equal(first, before) and not first.requires_grad


def test_games_that_make_no_sense_are_refused():
    a, b = nn.Linear(2, 2), nn.Linear(2, 2)
    loss = lambda n, batch, noise: n.a(batch.x).sum()  # noqa: E731
    with pytest.raises(InputError, match="'c'.*'a', 'b'"):
        Game({"a": a, "b": b}, [Player(["c"], loss)])
    with pytest.raises(InputError, match="own the same"):
        Game({"a": a, "b": b}, [Player(["a"], loss, name="p"), Player(["a", "b"], loss)])
    with pytest.raises(InputError, match="own the same"):
        Game({"a": a, "b": a}, [Player(["a"], loss), Player(["b"], loss)])
    with pytest.raises(InputError, match="share a name"):
        Game({"a": a, "b": b}, [Player(["a"], loss, name="p"), Player(["b"], loss, name="p")])
    with pytest.raises(InputError, match="list of net names"):
        Player("encoder", loss)
    with pytest.raises(InputError, match="steps=0"):
        Player(["a"], loss, steps=0)
    with pytest.raises(InputError, match="at least one"):
        Game({"a": a}, [])


# --- order and steps -----------------------------------------------------------------------------


def quadratic(order, name):
    def loss(nets_, batch, noise):
        order.append((name, batch.index.tolist(), float(noise.normal(1))))
        return sum(p.square().sum() for p in nets_[name].parameters())

    return loss


def test_players_move_in_order_each_on_fresh_batches_and_noise():
    order = []
    game = Game(
        {"a": nn.Linear(1, 1), "b": nn.Linear(1, 1)},
        [Player(["a"], quadratic(order, "a"), steps=3), Player(["b"], quadratic(order, "b"))],
    )
    train(game, torch.randn(48, 1), epochs=1)
    assert [name for name, *_ in order] == ["a", "a", "a", "b"] * 2  # 6 batches, 3 a round
    of_a = [row for name, rows, _ in order if name == "a" for row in rows]
    assert sorted(of_a) == list(range(48))  # the busiest player has seen every row once
    draws = [noise for *_, noise in order]
    assert len(set(draws)) == len(draws)
    assert game.steps == {"a": 6, "b": 2} and game.rounds == 2


def test_alternating_players_see_each_other_s_last_move_and_groups_do_not():
    def build(grouped):
        parts = {"u": nn.Linear(1, 1, bias=False), "v": nn.Linear(1, 1, bias=False)}
        with torch.no_grad():
            parts["u"].weight.fill_(1.0), parts["v"].weight.fill_(2.0)
        product = lambda n, batch, noise: (n.u.weight * n.v.weight).sum()  # noqa: E731
        if grouped:
            shared = lambda n, batch, value: value  # noqa: E731
            turns = [Group([Player(["u"], shared), Player(["v"], shared)], forward=product)]
        else:
            turns = [Player(["u"], product), Player(["v"], product)]
        game = Game(parts, turns)
        train(game, torch.zeros(8, 1), rounds=1, optimizer=partial(SGD, lr=0.1))
        return game.nets.u.weight.item(), game.nets.v.weight.item()

    assert build(grouped=False) == pytest.approx((1 - 0.1 * 2, 2 - 0.1 * 0.8))
    assert build(grouped=True) == pytest.approx((1 - 0.1 * 2, 2 - 0.1 * 1))


def test_a_group_pays_one_forward():
    calls = []

    def forward(n, batch, noise):
        calls.append(1)
        return n.a(batch.x) + n.b(batch.x)

    loss = lambda n, batch, shared: shared.square().mean()  # noqa: E731
    group = Group([Player(["a"], loss), Player(["b"], loss)], forward)
    game = Game({"a": nn.Linear(2, 1), "b": nn.Linear(2, 1)}, [group])
    train(game, torch.randn(32, 2), epochs=1)
    assert len(calls) == 4 and game.steps == {"a": 4, "b": 4}


def shared_fakes():
    """The original DCGAN program as a group: both players learn from the same fakes, D first."""
    forward = lambda n, batch, noise: n.generator(noise.normal(len(batch), 5))  # noqa: E731
    judge = lambda n, batch, fakes: losses.minimax_discriminator(  # noqa: E731
        n.discriminator(batch.x), n.discriminator(fakes)
    )
    please = lambda n, batch, fakes: losses.non_saturating_generator(  # noqa: E731
        n.discriminator(fakes)
    )
    players = [Player(["discriminator"], judge), Player(["generator"], please)]
    return Game(gan().nets, [Group(players, forward, alternating=True)], seed=3)


def test_an_alternating_group_is_the_textbook_loop_with_shared_fakes():
    game, twin = shared_fakes(), shared_fakes()
    train(twin, images(), rounds=0, seed=3)  # only lays them out in memory
    train(game, images(), rounds=3, seed=3, optimizer=partial(SGD, lr=0.05))
    batches, noise = Batches(images(), 8, 3, torch.device("cpu")), Noise()
    judge, maker = twin.nets.discriminator.train(), twin.nets.generator.train()
    name = "discriminator&generator"
    for step in range(3):
        real = batches.draw(name, step).x
        fakes = maker(noise.at(3, name, step).normal(8, 5))
        loss = losses.minimax_discriminator(judge(real), judge(fakes.detach()))
        gradients = torch.autograd.grad(loss["real"] + loss["fake"], judge.parameters())
        with torch.no_grad():
            for parameter, gradient in zip(judge.parameters(), gradients):
                parameter -= 0.05 * gradient
        statistics = [buffer.clone() for buffer in judge.buffers()]
        loss = losses.non_saturating_generator(judge(fakes))
        gradients = torch.autograd.grad(loss, maker.parameters())
        for buffer, before in zip(judge.buffers(), statistics):  # the generator's turn leaves them
            buffer.copy_(before)
        with torch.no_grad():
            for parameter, gradient in zip(maker.parameters(), gradients):
                parameter -= 0.05 * gradient
    for key, value in game.nets.state_dict().items():
        torch.testing.assert_close(value, twin.nets.state_dict()[key], msg=key)


def test_a_bad_loss_in_an_alternating_group_undoes_only_who_had_not_moved():
    game = shared_fakes()
    train(game, images(), rounds=1)
    before = {k: v.clone() for k, v in game.nets.state_dict().items()}
    (group,) = game.turns
    worried = Player(["generator"], lambda n, batch, fakes: n.discriminator(fakes).mean() * math.nan)
    game.turns = [Group([group.players[0], worried], group.forward, alternating=True)]
    with pytest.raises(NonFiniteLoss, match="generator became NaN"):
        train(game, images(), rounds=1)
    moved = {k for k, v in game.nets.state_dict().items() if not torch.equal(v, before[k])}
    assert moved and all(k.startswith("discriminator") for k in moved)


# --- what a loss receives ------------------------------------------------------------------------


def test_batches_are_the_images_scaled_to_unit_range_and_their_labels():
    labels = torch.arange(40)
    data = images(labels=labels)
    seen = []

    def loss(nets_, batch, noise):
        torch.testing.assert_close(batch.x, data.images[batch.y].float() / 255)
        assert batch.x.is_contiguous(memory_format=torch.channels_last)
        seen.extend(batch.y.tolist())
        return losses.negative_elbo(nets_, batch, noise)

    train(vae(loss=loss), data, epochs=1)
    assert sorted(seen) == list(range(40))


def test_labels_that_are_not_there_are_named():
    loss = lambda n, batch, noise: n.encoder(batch.x)[0].mean() + batch.y.sum()  # noqa: E731
    with pytest.raises(InputError, match="no labels"):
        train(vae(loss=loss), images(), rounds=1)


# --- determinism ---------------------------------------------------------------------------------


def test_a_run_is_a_function_of_its_seed_whatever_was_drawn_before():
    def run(seed, disturb):
        torch.manual_seed(disturb)
        game = vae(seed=seed)
        torch.rand(disturb + 1)
        history = train(game, images(), epochs=2, seed=seed)
        return snapshot(game.nets), history.frame()

    (a, ha), (b, hb), (c, _) = run(0, 1), run(0, 2), run(1, 1)
    assert equal(a, b) and ha.equals(hb)
    assert not equal(a, c)


def test_dropout_inside_a_net_repeats_and_leaves_the_global_generator_alone():
    def run():
        net = nn.Sequential(nn.Linear(3, 50), nn.Dropout(0.5), nn.Linear(50, 1))
        game = Game({"net": net}, [Player(["net"], lambda n, b, z: n.net(b.x).square().mean())], seed=0)
        state = torch.random.get_rng_state()
        train(game, torch.randn(32, 3, generator=torch.Generator().manual_seed(0)), epochs=2)
        assert torch.equal(state, torch.random.get_rng_state())
        return snapshot(net)

    assert equal(run(), run())


def test_adding_a_player_does_not_change_the_randomness_of_another():
    order_one, order_two = [], []
    a = Game({"a": nn.Linear(1, 1)}, [Player(["a"], quadratic(order_one, "a"))], seed=0)
    both = Game(
        {"b": nn.Linear(1, 1), "a": nn.Linear(1, 1)},
        [Player(["b"], quadratic([], "b")), Player(["a"], quadratic(order_two, "a"))],
        seed=0,
    )
    for game in (a, both):
        train(game, torch.zeros(48, 1), rounds=4)
    assert order_one == order_two
    assert torch.equal(a.nets.a.weight, both.nets.a.weight)


def test_fixed_latents_are_fixed():
    assert torch.equal(latents(4, 3, seed=1), latents(4, 3, seed=1))
    assert not torch.equal(latents(4, 3, seed=1), latents(4, 3, seed=2))


# --- going on, optimisers, schedules, callbacks --------------------------------------------------


def test_fit_called_twice_goes_on_as_if_never_left():
    once, twice = gan(), gan()
    train(once, images(), epochs=4)
    train(twice, images(), epochs=1)
    history = train(twice, images(), epochs=3)
    assert equal(snapshot(once.nets), snapshot(twice.nets))
    assert history.frame()[once.history.columns].equals(once.history.frame()[once.history.columns])


def test_every_player_has_its_own_optimiser():
    game = gan()
    slow = {"discriminator": partial(SGD, lr=1e-12), "generator": partial(SGD, lr=0.5)}
    train(game, images(), rounds=1, optimizer=slow)
    before = {name: [p.clone() for p in net.parameters()] for name, net in game.nets.items()}
    train(game, images(), rounds=2, optimizer=slow)
    change = {
        name: max(float((p - q).abs().max()) for p, q in zip(net.parameters(), before[name]))
        for name, net in game.nets.items()
    }
    assert change["discriminator"] < 1e-9 and change["generator"] > 1e-6
    with pytest.raises(InputError, match="players are"):
        train(gan(), images(), rounds=1, optimizer={"generator": Adam})


def test_a_schedule_is_a_function_of_the_player_s_step():
    game = Game({"a": nn.Linear(1, 1, bias=False)}, [Player(["a"], lambda n, b, z: n.a.weight.sum())])
    start = []
    game.turns[0] = Player(["a"], lambda n, b, z: (start.append(n.a.weight.item()), n.a.weight.sum())[1])
    schedule = lambda step: 1.0 if step < 2 else 0.0  # noqa: E731
    train(game, torch.zeros(8, 1), rounds=4, optimizer=partial(SGD, lr=0.25), schedule=schedule)
    assert float(game.nets.a.weight) == pytest.approx(start[0] - 0.5, abs=1e-6)


def test_callbacks_see_every_epoch_in_evaluation_mode():
    seen = []
    callback = lambda game, epoch: seen.append((epoch, game.nets.training))  # noqa: E731
    game = vae()
    train(game, images(), epochs=3, callbacks=[callback])
    assert seen == [(1, False), (2, False), (3, False)] and not game.nets.training


def test_an_exception_in_a_callback_leaves_a_usable_game():
    game = vae()

    def broken(game, epoch):
        raise RuntimeError("plot failed")

    with pytest.raises(RuntimeError, match="plot failed"):
        train(game, images(), epochs=2, callbacks=[broken])
    train(game, images(), epochs=1)
    other = vae()
    train(other, images(), epochs=2)
    assert equal(snapshot(game.nets), snapshot(other.nets))


def test_history_turns_into_a_frame_and_a_plot():
    history = train(vae(), images(), epochs=2)
    frame = history.frame()
    total = frame["encoder+decoder/reconstruction"] + frame["encoder+decoder/kl"]
    assert list(frame["epoch"]) == [0] * 5 + [1] * 5
    torch.testing.assert_close(
        torch.tensor(frame["encoder+decoder"].values), torch.tensor(total.values), rtol=1e-5, atol=1e-3
    )
    ax = history.plot()
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "loss") and len(ax.get_lines()) >= 3


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change, words",
    [
        ({"epochs": None}, "epochs"),
        ({"epochs": 1, "rounds": 1}, "one of the two"),
        ({"epochs": 1.5}, "1.5"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"batch_size": 64}, "40 rows do not fill one batch of 64"),
        ({"optimizer": partial(Adam, lr=0.0)}, "learning rate 0.0"),
        ({"optimizer": partial(SGD, lr=float("inf"))}, "learning rate inf"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": 2**64}, "seed="),
        ({"device": "cuda:7"}, "cuda:7"),
        ({"precision": "fp8"}, "fp8"),
    ],
)
def test_arguments_that_cannot_be_used_are_named(change, words):
    with pytest.raises(InputError, match=words):
        train(vae(), images(), **{"epochs": 1, **change})


@pytest.mark.parametrize(
    "data, words",
    [
        (torch.zeros(40, 8, 8, dtype=torch.uint8), r"\(40, 8, 8\)"),
        (torch.zeros(40, 3, dtype=torch.int64), "int64"),
        ([1, 2, 3], "list"),
        (torch.tensor([[0.0]] * 11 + [[float("nan")]]), "row 11"),
    ],
)
def test_data_that_cannot_be_used_are_named(data, words):
    with pytest.raises(InputError, match=words):
        train(vae(), data, epochs=1)


def test_a_loss_that_does_not_depend_on_its_player_is_named():
    detached = lambda n, b, z: n.encoder(b.x)[0].detach().mean()  # noqa: E731
    with pytest.raises(InputError, match="encoder"):
        train(vae(loss=detached), images(), rounds=1)


# --- not finite ----------------------------------------------------------------------------------


def poisoned(kind, at):
    """The negative ELBO, spoilt at one step: its value, or only its gradient."""
    count = iter(range(10_000))

    def loss(nets_, batch, noise):
        terms = losses.negative_elbo(nets_, batch, noise)
        if next(count) == at:
            first = next(nets_.encoder.parameters())
            bad = {"value": first.sum() / 0, "gradient": (first.sum() * 0).abs().sqrt()}[kind]
            terms["kl"] = terms["kl"] + bad
        return terms

    return loss


def test_a_loss_that_is_not_finite_is_named_and_undone():
    game, clean = vae(loss=poisoned("value", at=3)), vae()
    with pytest.raises(NonFiniteLoss, match=r"encoder\+decoder/kl .*round 3.*\[0, 1\]"):
        train(game, images(), epochs=2)
    train(clean, images(), rounds=3)
    assert equal(snapshot(game.nets), snapshot(clean.nets))
    assert len(game.history) == game.rounds == 3


def test_buffers_too_are_as_before_the_bad_step():
    data = torch.rand(40, 3, 16, 16)
    game = gan()
    train(game, data, rounds=2)
    before = snapshot(game.nets.discriminator)
    original = game.turns[0].loss
    game.turns[0] = Player(["discriminator"], lambda n, b, z: {
        k: v * float("inf") for k, v in original(n, b, z).items()
    })  # fmt: skip
    with pytest.raises(NonFiniteLoss):
        train(game, data, rounds=1)
    assert equal(before, snapshot(game.nets.discriminator))


def test_a_gradient_that_is_not_finite_costs_no_more_than_the_epoch():
    game, clean = vae(loss=poisoned("gradient", at=7)), vae()
    with pytest.raises(NonFiniteLoss, match="last whole epoch"):
        train(game, images(), epochs=4)
    train(clean, images(), epochs=1)
    assert equal(snapshot(game.nets), snapshot(clean.nets))


def test_on_an_accelerator_a_flag_masks_the_bad_update_without_waiting(monkeypatch):
    """The accelerator's path, played on the CPU: it must leave the same nets behind."""
    game, clean, data = gan(), gan(), images()
    for g in (game, clean):
        train(g, data, rounds=2)
    before = snapshot(clean.nets)
    original = game.turns[0].loss
    calls = iter(range(100))

    def poisoned_at_once(nets_, batch, noise):
        scale = float("nan") if next(calls) == 0 else 1.0
        return {k: v * scale for k, v in original(nets_, batch, noise).items()}

    game.turns = [Player(["discriminator"], poisoned_at_once), game.turns[1]]
    monkeypatch.setitem(_devices.TRAITS, "cpu", _devices.Traits(waits=False))
    taken = dict(game.steps)
    with pytest.raises(NonFiniteLoss, match="discriminator.* became .* round 2"):
        train(game, data, rounds=4)
    assert equal(before, snapshot(game.nets))
    # Time has not gone on either: neither rounds nor steps, by which schedules and batches go.
    assert game.steps == taken and game.rounds == len(game.history) == 2


# --- interruptions -------------------------------------------------------------------------------


def interrupt_at(step, number=signal.SIGINT):
    count = iter(range(10_000))

    def loss(nets_, batch, noise):
        if next(count) == step:
            os.kill(os.getpid(), number)
        return losses.negative_elbo(nets_, batch, noise)

    return loss


@pytest.mark.parametrize("step", [0, 4, 7, 9])
def test_ctrl_c_leaves_a_usable_model_and_history_and_training_goes_on_exactly(step):
    game, whole = vae(loss=interrupt_at(step)), vae()
    with pytest.warns(UserWarning, match=f"after round {step + 1}"):
        history = train(game, images(), epochs=2)
    assert history.interrupted and len(history) == step + 1
    train(game, images(), rounds=10 - len(history))
    train(whole, images(), epochs=2)
    assert equal(snapshot(game.nets), snapshot(whole.nets))


def test_sigterm_writes_the_checkpoint_and_ends_with_143(tmp_path):
    game = vae(loss=interrupt_at(6, signal.SIGTERM))
    path = tmp_path / "run.safetensors"
    with pytest.raises(SystemExit) as stop:
        train(game, images(), epochs=2, checkpoint=path)
    assert stop.value.code == 143
    # A game with another loss would be refused: the same one, which has passed its interruption.
    resumed, whole = vae(loss=game.turns[0].loss), vae()
    train(resumed, images(), epochs=2, checkpoint=path)
    train(whole, images(), epochs=2)
    assert resumed.rounds == 10 and equal(snapshot(resumed.nets), snapshot(whole.nets))


# --- evaluation ----------------------------------------------------------------------------------


def test_evaluation_is_the_mean_over_every_row_whatever_the_batch():
    rows = torch.arange(10.0)[:, None]
    game = Game({"net": nn.Linear(1, 1)}, [Player(["net"], lambda n, b, z: n.net(b.x).sum())])
    loss = lambda n, b, z: {"a": b.x.mean(), "b": 2 * b.x.mean()}  # noqa: E731
    for size in (3, 10, 99):
        assert evaluate(game, loss, rows, batch_size=size) == pytest.approx({"a": 4.5, "b": 9, "total": 13.5})


def test_evaluation_sees_fresh_noise_with_every_draw_and_repeats():
    rows = torch.zeros(10, 1)
    game = Game({"net": nn.Linear(1, 1)}, [Player(["net"], lambda n, b, z: n.net(b.x).sum())])
    loss = lambda n, b, z: z.normal(len(b)).mean()  # noqa: E731
    one, many = (evaluate(game, loss, rows, draws=d)["total"] for d in (1, 4000))
    assert one == evaluate(game, loss, rows)["total"] and abs(many) < 0.02 < abs(one)
