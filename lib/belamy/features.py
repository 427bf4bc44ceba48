"""From images to the features that ``belamy.metrics`` compares: any net of yours, or Inception v3.

The net is part of every such metric: print its ``checksum``, its layer and the number of images
beside a score. Chapters train small nets of their own, which need no download; ``inception`` is
the net of published FID, KID and IS.
"""

import hashlib
import os
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from belamy._checks import check_images, unit, whole_number
from belamy._progress import bar
from belamy.data import ImageSet
from belamy.errors import FileError, InputError

if TYPE_CHECKING:
    from belamy._inception import Inception

WEIGHTS_URL = (
    "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
    "pt_inception-2015-12-05-6726825d.pth"
)
WEIGHTS_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"


def checksum(module: nn.Module) -> str:
    """First 12 hex digits of the SHA-256 of a net's weights and buffers, names and shapes."""
    digest = hashlib.sha256()
    for name, values in module.state_dict().items():
        digest.update(f"{name} {tuple(values.shape)} {values.dtype};".encode())
        digest.update(values.cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()[:12]


@torch.no_grad()
def extract(
    net: nn.Module, images: ImageSet | Tensor, batch_size: int = 64, progress: bool = True
) -> Tensor:
    """What a net in evaluation mode makes of images: (N, C, H, W) -> (N, D), float32, on the CPU.

    Batches go to the device and precision of the net's weights, contiguous in memory; afterwards the
    net is in the mode it was in.

    Args:
        net: images (B, C, H, W) in [0, 1], float32 or what its weights are, to features (B, D).
        images: an ImageSet; or a tensor, uint8, or floating point in [0, 1].
        progress: show a bar where there is more than one batch.

    Raises:
        InputError: images of another kind, or a net whose output is not (B, D).
    """
    images = images.images if isinstance(images, ImageSet) else images
    check_images("images", images)
    if not isinstance(net, nn.Module):
        raise InputError(f"net is a {type(net).__name__}; expected a torch.nn.Module")
    floating = (values for values in net.parameters() if values.is_floating_point())
    weights = next(floating, torch.zeros(()))  # says where the images go, and in which precision
    batches = images.split(whole_number("batch_size", batch_size, 1))
    modes = {module: module.training for module in net.modules()}
    net.eval()
    try:
        rows = []
        for batch in bar(batches, show=progress and len(batches) > 1, unit="batch", leave=False):
            x = unit(batch.to(weights.device)).to(weights.dtype).contiguous()  # (B, C, H, W)
            features = net(x)
            if not isinstance(features, Tensor) or features.shape[:-1] != x.shape[:1]:
                found = getattr(features, "shape", type(features).__name__)
                found = tuple(found) if isinstance(found, torch.Size) else found
                raise InputError(
                    f"the net makes {found} of {len(x)} images; expected ({len(x)}, D): end it with "
                    "nn.Flatten() or take one of its outputs"
                )
            rows.append(features.float().cpu())
        return torch.cat(rows)
    finally:
        for module, training in modes.items():
            module.training = training


def inception(path: str | os.PathLike | None = None) -> "Inception":
    """The Inception v3 of published FID, KID and IS, its weights verified by SHA-256.

    It maps images (B, 1 or 3, H, W) in [0, 1] to the 2048 features of its last pooling; its
    ``probabilities`` maps those to 1008 class probabilities for the Inception Score. It computes as
    the original of 2015 does: images are resized to 299 x 299 bilinearly as in TensorFlow 1, without
    antialiasing; pools leave out the padding; the last block pools by the maximum; class scores
    have no bias. Published scores are of 8-bit images: round generated ones likewise.

    Args:
        path: the weights, 96 MB, as a file; by default they are downloaded once, into
            ``torch.hub``'s cache.

    Raises:
        FileError: the file cannot be read or downloaded, or is another.
    """
    file = _download() if path is None else Path(path).expanduser()
    try:
        with file.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise FileError(f"{file} cannot be read: {error}. {_choice()}") from error
    if found != WEIGHTS_SHA256:
        raise FileError(
            f"{file} has sha256 {found}, which should be {WEIGHTS_SHA256}: it is damaged or another "
            f"file, delete it. {_choice()}"
        )
    from belamy._inception import Inception  # torchvision is slow to import, and needed here only

    net = Inception()
    net.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    return net.requires_grad_(False).eval()


def _download() -> Path:
    file = Path(torch.hub.get_dir()) / "checkpoints" / WEIGHTS_URL.rpartition("/")[2]
    if not file.exists():
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(WEIGHTS_URL, str(file), WEIGHTS_SHA256)
        except (OSError, HTTPException, RuntimeError) as error:  # the last where the hash differs
            raise FileError(
                f"{WEIGHTS_URL} could not be downloaded to {file}: {error}. {_choice()}"
            ) from error
    return file


def _choice() -> str:
    return (
        f"Fetch {WEIGHTS_URL} by other means and pass path=..., or use features that need no "
        "download: a small classifier of your own, with extract(net, images)"
    )
