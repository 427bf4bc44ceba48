"""Networks: shapes, the study's architecture, initialisation, and errors."""

import numpy as np
import pytest
import torch
from torch import nn

from belamy import nets
from belamy.errors import InputError
from belamy.game import Game, Player
from belamy.game.initialise import initialise


@pytest.mark.parametrize("size, channels", [(28, 1), (32, 3), (64, 3), (128, 3)])
def test_encoder_and_decoder_mirror_each_other(size, channels):
    encoder, decoder = nets.ConvEncoder(size, 5, channels), nets.ConvDecoder(size, 5, channels)
    mean, log_variance = encoder(torch.rand(2, channels, size, size))
    assert mean.shape == log_variance.shape == (2, 5)
    assert decoder(mean).shape == (2, channels, size, size)


def test_the_study_s_encoder():
    convolutions = [m for m in nets.ConvEncoder(128, 2).modules() if isinstance(m, nn.Conv2d)]
    assert [(c.in_channels, c.out_channels) for c in convolutions] == [(3, 32), (32, 64)]
    assert all(c.kernel_size == (4, 4) and c.stride == (2, 2) for c in convolutions)


def test_the_study_s_discriminator_has_two_normalised_convolutions_and_one_dense_layer():
    net = nets.Discriminator(128, layers=2, normalise="all")
    kinds = [type(m).__name__ for m in net.modules() if not list(m.children())]
    assert kinds == ["Conv2d", "BatchNorm2d", "LeakyReLU"] * 2 + ["Linear"]
    assert net(torch.rand(3, 3, 128, 128)).shape == (3,)


@pytest.mark.parametrize("size", [32, 64, 128])
def test_generator_makes_images_that_the_discriminator_takes(size):
    images = nets.Generator(size, 7, width=8)(torch.randn(4, 7))
    assert images.shape == (4, 3, size, size)
    assert 0 <= images.min() and images.max() <= 1
    assert nets.Discriminator(size, width=8)(images).shape == (4,)
    assert nets.Critic(size, width=8)(images).shape == (4,)


def test_a_critic_normalises_nothing():
    assert not any(isinstance(m, nn.BatchNorm2d) for m in nets.Critic(32, width=8).modules())


def test_memory_layout_changes_no_value():
    net = nets.ConvEncoder(32, 3)
    x = torch.rand(2, 3, 32, 32)
    plain = net(x)[0]
    net.to(memory_format=torch.channels_last)
    torch.testing.assert_close(net(x.to(memory_format=torch.channels_last))[0], plain)


def test_weights_are_a_function_of_seed_and_name_alone():
    first, second = nets.Generator(32, 4, width=8), nets.Generator(32, 4, width=8)
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    initialise(first, 3, "generator")
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(2)
    initialise(second, 3, "generator")
    pairs = list(zip(first.parameters(), second.parameters()))
    assert all(torch.equal(a, b) for a, b in pairs)
    initialise(second, 3, "another")
    assert not all(torch.equal(a, b) for a, b in pairs)


def test_dcgan_weights_are_drawn_as_in_the_paper():
    net = nets.Generator(64, 100)
    initialise(net, 0, "g")
    weights = torch.cat([m.weight.detach().flatten() for m in net.modules() if isinstance(m, nn.ConvTranspose2d)])
    assert abs(weights.mean()) < 1e-4 and weights.std() == pytest.approx(0.02, rel=0.01)


def test_a_wild_log_variance_stays_finite():
    net = nets.MLPEncoder((1, 2, 2), 1)
    with torch.no_grad():
        net.mlp[-1].bias.fill_(1e4)
    assert net(torch.rand(2, 1, 2, 2))[1].exp().isfinite().all()


def test_a_fixed_variance_is_no_parameter():
    assert not list(nets.SharedLogVariance(-2.0, learnt=False).parameters())
    assert float(nets.SharedLogVariance(-2.0, learnt=False)()) == -2.0


SMALL = nets.ConvEncoder(8, 2)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: nets.ConvEncoder(30, 2), "30.*divisible by 4"),
        (lambda: nets.ConvDecoder(32, 0), "latent_dim=0"),
        (lambda: nets.MLPDecoder((1, 8, 8), -1), "latent_dim=-1"),
        (lambda: nets.Generator(48), "size=48"),
        (lambda: nets.Discriminator(64, normalise="some"), "'some'"),
        (lambda: nets.ConvEncoder(32, 2)(torch.rand(2, 1, 32, 32)), r"\(2, 1, 32, 32\).*\(B, 3, 32, 32\)"),
        (lambda: nets.ConvDecoder(32, 2)(torch.rand(2, 3)), r"\(2, 3\).*\(B, 2\)"),
        (lambda: nets.ConvEncoder(32.0, 2), "size=32.0 must be a whole number"),
        (lambda: nets.ConvEncoder(0, 2), "size=0"),
        (lambda: nets.ConvEncoder(2, 2), "size=2 must be divisible by 4"),
        (lambda: nets.ConvEncoder(32, 2, channels=0), "channels=0"),
        (lambda: nets.ConvEncoder(32, 2, widths=()), r"widths=\(\) is empty"),
        (lambda: nets.ConvEncoder(32, 2, widths=64), "widths=64 must be a sequence"),
        (lambda: nets.ConvDecoder(32, 2, widths=(8, 0)), r"widths\[1\]=0 must be a whole number"),
        (lambda: nets.ConvDecoder(32, 2, hidden=-1), "hidden=-1"),
        (lambda: nets.ConvDecoder(32, 2.0), "latent_dim=2.0 must be a whole number"),
        (lambda: nets.MLP(), "is empty"),
        (lambda: nets.MLP(3), r"sizes=\(3,\): expected those of input and output"),
        (lambda: nets.MLP(3, 0, 1), r"sizes\[1\]=0"),
        (lambda: nets.MLPEncoder((), 2), r"shape=\(\) is empty"),
        (lambda: nets.MLPEncoder((1, 8.0, 8), 2), r"shape\[1\]=8.0"),
        (lambda: nets.SharedLogVariance(float("nan")), "start=nan must be a finite number"),
        (lambda: nets.Generator(32.0), "size=32.0"),
        (lambda: nets.Generator(4), "size=4 must be 8, 16"),
        (lambda: nets.Generator(16, True), "latent_dim=True"),
        (lambda: nets.Generator(16, width=0), "width=0"),
        (lambda: nets.Discriminator(48), "size=48"),
        (lambda: nets.Discriminator(16, layers=0), "layers=0"),
        (lambda: nets.Discriminator(16, layers=5), r"size=16 must be divisible by 32 \(5 halvings\)"),
        (lambda: nets.Discriminator(16, channels=-1), "channels=-1"),
        (lambda: nets.Critic(16, width=1.5), "width=1.5"),
        # F17, F20, F21
        (lambda: SMALL(torch.zeros(2, 3, 8, 8, dtype=torch.uint8)), "got torch.uint8 .*: divide bytes by 255"),
        (lambda: SMALL(torch.zeros(2, 3, 8, 8, dtype=torch.int64)), r"got torch.int64 for a net of torch.float32"),
        (lambda: SMALL(torch.zeros(2, 3, 8, 8).double()), r"torch.float64 .*: x.to\(torch.float32\), or net"),
        (lambda: SMALL(torch.zeros(3, 8, 8)), r"got shape \(3, 8, 8\); expected \(B, 3, 8, 8\)"),
        (lambda: SMALL([0.5]), "got a list; expected"),
    ],
)
def test_what_does_not_fit_is_named(call, words):
    with pytest.raises(InputError, match=words):
        call()


def everything(size=8, latent_dim=3, channels=1, width=4, classes=2):
    """Every net of the room, each with an input of it."""
    shape, labels = (channels, size, size), torch.arange(2)
    x, z = torch.rand(2, *map(int, shape)), torch.randn(2, int(latent_dim))
    return [
        (nets.ConvEncoder(size, latent_dim, channels, (width, width)), (x,)),
        (nets.ConvDecoder(size, latent_dim, channels, (width, width), width), (z,)),
        (nets.MLPEncoder(shape, latent_dim, (width,)), (x,)),
        (nets.MLPDecoder(shape, latent_dim, (width,)), (z,)),
        (nets.Generator(size, latent_dim, channels, width, classes), (z, labels)),
        (nets.Discriminator(size, channels, width, classes=classes), (x, labels)),
        (nets.Critic(size, channels, width, layers=channels), (x,)),
    ]


def test_numpy_s_numbers_build_the_same_nets():
    sizes = {"size": 8, "latent_dim": 3, "channels": 1, "width": 4, "classes": 2}
    ours = everything(**{name: np.int64(value) for name, value in sizes.items()})
    for (net, inputs), (plain, _) in zip(ours, everything(**sizes), strict=True):
        assert {k: v.shape for k, v in net.state_dict().items()} == {
            k: v.shape for k, v in plain.state_dict().items()
        }
        known = [getattr(net, name) for name in ("shape", "latent_dim", "classes") if hasattr(net, name)]
        assert "int64" not in f"{net} {known}"
        net(*inputs)
    assert nets.SharedLogVariance(np.float32(-2))() == -2


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_nets_of_another_precision_compute_in_it(dtype):
    for net, inputs in everything():
        moved = [x.to(dtype) if x.is_floating_point() else x for x in inputs]
        outputs = net.to(dtype)(*moved)
        for output in outputs if isinstance(outputs, tuple) else (outputs,):
            assert output.dtype == dtype and output.isfinite().all()
            output.float().sum().backward(retain_graph=True)
        assert all(weights.grad.dtype == dtype for weights in net.parameters())
    assert nets.SharedLogVariance().to(dtype)().dtype == dtype


def test_under_autocast_nets_take_either_precision():
    for net, inputs in everything():
        with torch.autocast("cpu", torch.bfloat16):
            net(*inputs)
            net(*(x.bfloat16() if x.is_floating_point() else x for x in inputs))


def test_nets_run_in_inference_mode():
    for net, inputs in everything():
        with torch.inference_mode():
            net(*inputs)


def test_weights_behind_a_spectral_norm_are_a_function_of_seed_and_name_too():
    def build(seed):
        torch.manual_seed(seed)
        net = nn.utils.parametrizations.spectral_norm(nn.Linear(5, 3))
        initialise(net, 0, "critic")
        return net

    first, second = build(1), build(2)
    assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values()))
    largest = torch.linalg.svdvals(first.weight)[0]
    assert float(largest) == pytest.approx(1, abs=1e-3)


# --- nets that take labels -----------------------------------------------------------------------


def first_input(net, *inputs):
    """What the first layer with weights receives."""
    seen = []
    layer = next(m for m in net.modules() if isinstance(m, (nn.Linear, nn.Conv2d)))
    layer = net.head if isinstance(net, nets.Generator) else layer
    with_hook = layer.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    net(*inputs)
    with_hook.remove()
    return seen[0]


def test_a_generator_receives_the_label_as_a_one_hot_vector_beside_the_latents():
    z, y = torch.randn(4, 5), torch.tensor([2, 0, 1, 2])
    net = nets.Generator(16, 5, width=4, classes=3)
    assert torch.equal(first_input(net, z, y), torch.cat([z, torch.eye(3)[y]], 1))
    assert net(z, y).shape == (4, 3, 16, 16)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_discriminator_receives_the_label_as_constant_maps_without_losing_the_layout(layout):
    x, y = torch.rand(4, 3, 16, 16).contiguous(memory_format=layout), torch.tensor([2, 0, 1, 2])
    net = nets.Discriminator(16, width=4, classes=3)
    given = first_input(net, x, y)
    assert given.is_contiguous(memory_format=torch.channels_last)
    maps = torch.eye(3)[y][:, :, None, None].expand(4, 3, 16, 16)
    assert torch.equal(given, torch.cat([2 * x - 1, maps], 1))
    assert net(x, y).shape == (4,)


@pytest.mark.parametrize("name", ["Generator", "Discriminator"])
def test_changing_one_label_changes_that_row_alone(name):
    torch.manual_seed(0)
    net = getattr(nets, name)(16, width=4, classes=3).eval()
    x = torch.randn(4, 100) if name == "Generator" else torch.rand(4, 3, 16, 16)
    y = torch.tensor([2, 0, 1, 2])
    change = (net(x, y) - net(x, torch.tensor([2, 0, 0, 2]))).abs().reshape(4, -1)
    assert (change.amax(1) > 1e-6).tolist() == [False, False, True, False]


def test_without_classes_nothing_is_added():
    torch.manual_seed(0)
    plain = nets.Generator(16, 5, width=4), nets.Discriminator(16, width=4)
    torch.manual_seed(0)
    zero = nets.Generator(16, 5, width=4, classes=0), nets.Discriminator(16, width=4, classes=0)
    for a, b in zip(plain, zero):
        assert all(torch.equal(v, b.state_dict()[k]) for k, v in a.state_dict().items())
    assert plain[0].head.in_features == 5 and plain[1].convolutions[0].in_channels == 3
    x = torch.rand(2, 3, 16, 16)
    assert torch.equal(first_input(plain[1], x), 2 * x - 1)


LABELLED = nets.Generator(16, 5, width=4, classes=3)
JUDGE = nets.Discriminator(16, width=4, classes=3)


@pytest.mark.parametrize(
    "net, labels, words",
    [
        (LABELLED, None, r"classes=3.*net\(x, y\)"),
        (LABELLED, torch.tensor([0, 1, 3, 2]), "0 to 3; expected 0 to 2"),
        (LABELLED, torch.tensor([0, -1, 1, 2]), "-1 to 2"),
        (LABELLED, torch.zeros(4), r"float32 of shape \(4,\).*int64"),
        (LABELLED, torch.zeros(4, dtype=torch.int32), "int32"),
        (LABELLED, torch.zeros(3, dtype=torch.int64), r"\(3,\).*\(4,\)"),
        (LABELLED, torch.zeros(4, 3, dtype=torch.int64), r"\(4, 3\).*\(4,\)"),
        (nets.Generator(16, 5, width=4), torch.zeros(4, dtype=torch.int64), "without classes"),
        (LABELLED, [0, 1, 2, 0], r"labels are a list; expected torch.int64 of shape \(4,\)"),
        (JUDGE, None, "classes=3"),
        (JUDGE, torch.tensor([0, 1, 3, 2]), "0 to 3; expected 0 to 2"),
        (nets.Discriminator(16, width=4), torch.zeros(4, dtype=torch.int64), "without classes"),
    ],
)
def test_labels_that_do_not_fit_are_named(net, labels, words):
    x = torch.randn(4, 5) if isinstance(net, nets.Generator) else torch.rand(4, 3, 16, 16)
    with pytest.raises(InputError, match=words):
        net(x, labels) if labels is not None else net(x)


@pytest.mark.parametrize("classes", [-1, 2.0, True, None])
def test_a_number_of_classes_that_is_none_is_named(classes):
    for build in (nets.Generator, nets.Discriminator):
        with pytest.raises(InputError, match=f"classes={classes!r}"):
            build(16, classes=classes)


# --- a U-Net ---------------------------------------------------------------------------------------


def unet(**how):
    """With weights of some size everywhere, so that all inputs matter."""
    torch.manual_seed(0)
    net = nets.UNet(**{"size": 8, "channels": 1, "width": 4, "levels": (1, 2)} | how)
    nn.init.normal_(net.last[-1].weight)
    return net


@pytest.mark.parametrize("how", [{}, {"channels": 3, "patch": 2}, {"levels": (1,)}, {"levels": (1, 3, 2), "width": 6}])
def test_a_unet_makes_pictures_of_the_shape_that_it_is_given(how):
    net = unet(**how)
    x = torch.randn(3, *net.shape)
    out = net(x, torch.tensor([0.0, 0.5, 1.0]))
    assert out.shape == x.shape and out.isfinite().all() and out.std() > 0
    assert (nets.UNet(8, 1, 4, (1, 2))(x[:, :1], torch.rand(3)) == 0).all()  # at first


def test_a_unet_treats_pictures_one_by_one_and_reads_their_time_and_label():
    net = unet(classes=3)
    x, t, y = torch.randn(3, 1, 8, 8), torch.rand(3), torch.tensor([0, 2, 3])
    whole = net(x, t, y)
    one_by_one = torch.cat([net(x[k : k + 1], t[k : k + 1], y[k : k + 1]) for k in range(3)])
    torch.testing.assert_close(whole, one_by_one)
    assert not torch.allclose(net(x, t + 0.1, y), whole) and not torch.allclose(net(x, t, y.flip(0)), whole)
    torch.testing.assert_close(net(x, t), net(x, t, torch.full((3,), 3)))  # not told


def test_every_pixel_of_a_unet_sees_every_other_and_its_levels_meet_again():
    net, t = unet(levels=(1, 2, 2)), torch.full((1,), 0.3)
    x = torch.randn(1, 1, 8, 8, requires_grad=True)
    (seen,) = torch.autograd.grad(net(x, t)[0, 0, 0, 0], x)
    assert (seen != 0).all()
    for block in net.up:  # what a level was on the way down reaches it on the way up
        assert block.one[2].weight.shape[1] > block.one[2].weight.shape[0]


def test_a_unet_s_weights_are_a_function_of_seed_and_name_and_its_end_is_zero():
    def loss(nets, batch, noise):
        return nets.net(batch.x, torch.zeros(len(batch.x))).mean()

    made = [Game({"net": unet()}, [Player(["net"], loss)], seed=seed).nets.net for seed in (1, 1, 2)]
    first = [net.first.weight for net in made]
    assert torch.equal(first[0], first[1]) and not torch.equal(first[0], first[2])
    assert all((net.last[-1].weight == 0).all() for net in made)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: nets.UNet(10, levels=(1, 2, 2)), "size=10 must be divisible by 4"),
        (lambda: nets.UNet(8, levels=(1, 2), patch=8), "divisible by 16"),
        (lambda: nets.UNet(8, levels=()), "levels"),
        (lambda: unet()(torch.zeros(2, 1, 8, 8), torch.zeros(3)), r"times are shape \(3,\); expected .* \(2,\)"),
        (lambda: unet()(torch.zeros(2, 1, 8, 8), 0.5), "times are a float"),
        (lambda: unet()(torch.zeros(2, 1, 8, 8), torch.zeros(2), torch.zeros(2).long()), "without classes"),
        (lambda: unet(classes=3)(torch.zeros(2, 1, 8, 8), torch.zeros(2), torch.zeros(2)), "torch.int64"),
    ],
)
def test_what_does_not_fit_a_unet_is_named(call, words):
    with pytest.raises(InputError, match=words):
        call()
