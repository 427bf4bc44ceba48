"""Features of images: which net, whose weights; Inception against its independent twin."""

import hashlib
import math
import re
import shutil
from urllib.error import URLError

import numpy as np
import pytest
import torch
from torch import nn
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

from belamy import features
from belamy._inception import Inception, resize
from belamy.data import ImageSet
from belamy.errors import FileError, InputError
from belamy.features import checksum, extract

RNG = torch.Generator().manual_seed(0)
PIXELS = torch.randint(0, 256, (7, 3, 6, 5), dtype=torch.uint8, generator=RNG)


class Two(nn.Module):
    """A net of two outputs."""

    def forward(self, images):
        return images.flatten(1), images.mean((1, 2, 3))


def net():
    torch.manual_seed(1)
    layers = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.Flatten(), nn.Linear(48, 8)
    return nn.Sequential(*layers)


# Checksums


def test_equal_weights_have_one_checksum():
    first, second = net(), net()
    assert re.fullmatch("[0-9a-f]{12}", checksum(first))
    second.eval().requires_grad_(False)
    assert checksum(first) == checksum(second)


@pytest.mark.parametrize(
    "change",
    [
        lambda net: net[0].weight.data.view(-1)[5].mul_(1.0000002),
        lambda net: net[1].running_mean.add_(0.1),
        lambda net: net.half(),
        lambda net: net.append(nn.Linear(8, 1)),
        lambda net: setattr(net[4], "weight", nn.Parameter(net[4].weight.data.reshape(48, 8))),
        lambda net: net.insert(0, nn.Identity()),
    ],
    ids=["weight", "buffer", "type", "layer", "shape", "name"],
)
def test_the_checksum_knows_every_weight(change):
    changed = net()
    change(changed)
    assert checksum(changed) != checksum(net())


def test_a_checksum_of_half_precision_weights():
    assert checksum(net().bfloat16()) != checksum(net().half())


# Extraction


@pytest.mark.parametrize("batch_size", [1, 3, 7, 100])
def test_batches_do_not_change_the_features(batch_size):
    module = net().eval()
    with torch.no_grad():
        whole = module(PIXELS / 255)
    found = extract(module, PIXELS, batch_size)
    assert found.shape == (7, 8) and found.dtype == torch.float32 and not found.requires_grad
    torch.testing.assert_close(found, whole)


def test_bytes_floats_and_image_sets_are_alike():
    module = net()
    found = extract(module, PIXELS)
    for images in (ImageSet(PIXELS, "noise"), PIXELS / 255, (PIXELS / 255).double()):
        torch.testing.assert_close(extract(module, images), found)


def test_the_net_is_evaluated_and_left_in_the_mode_it_was_in():
    module = net()
    module[1].eval()
    before = checksum(module)
    assert torch.equal(extract(module, PIXELS, 2), extract(module, PIXELS, 2))
    assert [layer.training for layer in module] == [True, False, True, True, True]
    assert checksum(module) == before  # no statistics of batches were learnt
    with pytest.raises(RuntimeError, match="expected input"):
        extract(module, PIXELS[:, :1])
    assert module.training and not module[1].training


def test_a_net_that_views_its_images_as_rows_takes_them_in_any_layout():
    class Viewer(nn.Module):
        def forward(self, x):
            return x.view(len(x), -1)

    laid = (PIXELS / 255).to(memory_format=torch.channels_last)
    assert torch.equal(extract(Viewer(), laid), extract(Viewer(), PIXELS))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_images_come_in_the_precision_of_the_net(dtype):
    found, plain = extract(net().to(dtype), PIXELS), extract(net(), PIXELS)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, plain, rtol=0.05, atol=0.05)


def test_features_are_extracted_in_inference_mode():
    with torch.inference_mode():
        assert torch.equal(extract(net(), PIXELS + 0, np.int64(2)), extract(net(), PIXELS, 2))


def test_a_net_without_weights_will_do():
    assert torch.equal(extract(nn.Flatten(), PIXELS, 3), PIXELS.flatten(1) / 255)


def test_a_bar_is_shown_for_more_than_one_batch(capsys, monkeypatch):
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    extract(net(), PIXELS, batch_size=100)
    extract(net(), PIXELS, batch_size=2, progress=False)
    assert capsys.readouterr().err == ""
    extract(net(), PIXELS, batch_size=2)
    assert "batch" in capsys.readouterr().err
    monkeypatch.setenv("TQDM_DISABLE", "1")
    extract(net(), PIXELS, batch_size=2)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "module, images, batch_size, words",
    [
        (net(), PIXELS.float(), 4, r"images lie in \[0, 255\]; expected \[0, 1\]"),
        (net(), PIXELS / 255 * math.nan, 4, r"images lie in \[nan, nan\]"),
        (net(), PIXELS[0], 4, r"images of shape \(3, 6, 5\); expected \(N, C, H, W\)"),
        (net(), PIXELS[:0], 4, "not empty"),
        (net(), PIXELS.numpy(), 4, "images is a ndarray"),
        (net(), PIXELS, 0, "batch_size=0"),
        (net(), PIXELS, 2.0, "batch_size=2.0"),
        (torch.relu, PIXELS, 4, "net is a builtin.*; expected a torch.nn.Module"),
        (net(), 2 * (PIXELS / 255) - 1, 4, r"images lie in \[-1, 1\]"),
        (net()[:1], PIXELS, 4, r"makes \(4, 4, 4, 3\) of 4 images; expected \(4, D\)"),
        (nn.Flatten(0), PIXELS, 4, r"makes \(360,\) of 4 images"),
        (Two(), PIXELS, 4, "makes tuple of 4 images; expected .* take one of its outputs"),
    ],
)
def test_what_gives_no_features_is_refused(module, images, batch_size, words):
    with pytest.raises(InputError, match=words):
        extract(module, images, batch_size)


# Inception


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of weights that let signals pass, as the published ones do, and its SHA-256."""
    torch.manual_seed(2)
    twin = Inception()
    for module in twin.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.8, 1.2)
            nn.init.normal_(module.bias, std=0.2)
    file = tmp_path_factory.mktemp("inception") / features.WEIGHTS_URL.rpartition("/")[2]
    torch.save(twin.state_dict(), file)
    with file.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    yield file, sha256
    file.unlink()  # 96 MB


def test_inception_computes_what_its_twin_does(weights, monkeypatch):
    """torch-fidelity's, which reads the published file, and was compared with TensorFlow's."""
    file, sha256 = weights
    monkeypatch.setattr(features, "WEIGHTS_SHA256", sha256)
    ours = features.inception(file)
    twin = FeatureExtractorInceptionV3("twin", ["2048", "logits_unbiased"], str(file))
    assert list(ours.state_dict()) == list(twin.state_dict())
    assert not ours.training and not any(p.requires_grad for p in ours.parameters())
    images = torch.randint(0, 256, (2, 3, 80, 64), dtype=torch.uint8)
    images[1] = images[1, 0]  # a grey one
    expected, logits = twin(images)
    found = extract(ours, images)
    assert found.shape == (2, 2048) and expected.std() > 0.1
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    probabilities = ours.probabilities(found)
    torch.testing.assert_close(probabilities, logits.double().softmax(1), rtol=1e-3, atol=1e-6)
    assert probabilities.sum(1).tolist() == pytest.approx([1, 1])
    torch.testing.assert_close(extract(ours, images[1:, :1]), found[1:], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [(8, 8), (64, 100), (299, 299), (640, 333)])
def test_images_are_resized_as_in_tensorflow(size):
    images = 255 * torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    theirs = interpolate_bilinear_2d_like_tensorflow1x(images, (299, 299), align_corners=False)
    torch.testing.assert_close(resize(images), theirs, rtol=0, atol=1e-3)


def test_a_damaged_file_is_refused_before_it_is_read(tmp_path):
    file = tmp_path / "weights.pth"
    torch.save(nn.Linear(2, 2).state_dict(), file)
    with pytest.raises(FileError, match="which should be 6726825d.* delete it.* pass path="):
        features.inception(file)
    with pytest.raises(FileError, match=r"none.pth cannot be read.* pass path=.*extract\(net, "):
        features.inception(tmp_path / "none.pth")


def test_without_a_network_the_choice_is_named(tmp_path, monkeypatch):
    def fail(*_args, **_settings):
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    with pytest.raises(FileError, match="no route to host.*pass path=.*small classifier"):
        features.inception()


def test_a_download_is_verified_and_happens_once(tmp_path, weights, monkeypatch, capsys):
    file, sha256 = weights
    cached = tmp_path / "checkpoints" / file.name
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(features, "WEIGHTS_URL", file.as_uri())
    with pytest.raises(FileError, match="invalid hash value"):
        features.inception()
    assert not cached.exists()
    monkeypatch.setattr(features, "WEIGHTS_SHA256", sha256)
    first = checksum(features.inception())
    assert cached.exists()
    monkeypatch.setattr(torch.hub, "download_url_to_file", None)
    assert checksum(features.inception()) == first
    shutil.copyfile(__file__, cached)
    with pytest.raises(FileError, match="delete it"):
        features.inception()
    cached.unlink()
