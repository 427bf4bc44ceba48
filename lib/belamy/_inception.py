"""Inception v3 as its TensorFlow original of 2015-12-05 computes, on torchvision's blocks.

Where torchvision's net differs (Szegedy et al. 2016 is the common source) the weights of the
original demand: average pools that leave out the padding, a maximum in the last block, 1008
classes, TensorFlow 1's bilinear resize, (x - 128) / 128.
"""

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.models import inception as blocks

from belamy._devices import double
from belamy.errors import InputError

SIDE = 299


class _Pooling:
    """A block whose branch of pooling is the original's; torchvision's is computed in vain."""

    def forward(self, x: Tensor) -> Tensor:
        *branches, _ = self._forward(x)
        return torch.cat([*branches, self.branch_pool(self.pool(x))], 1)

    def pool(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


class _A(_Pooling, blocks.InceptionA):
    pass


class _C(_Pooling, blocks.InceptionC):
    pass


class _E(_Pooling, blocks.InceptionE):
    pass


class _Last(_E):
    def pool(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, 3, stride=1, padding=1)


class Inception(blocks.Inception3):
    """Images (B, 1 or 3, H, W) in [0, 1] to features (B, 2048): see ``belamy.features.inception``."""

    def __init__(self) -> None:
        kinds = [blocks.BasicConv2d, _A, blocks.InceptionB, _C, blocks.InceptionD, _E]
        super().__init__(
            num_classes=1008,
            aux_logits=False,
            inception_blocks=[*kinds, blocks.InceptionAux],
            init_weights=False,
        )
        self.Mixed_7c = _Last(2048)

    def forward(self, images: Tensor) -> Tensor:
        if images.ndim != 4 or images.shape[1] not in (1, 3):
            raise InputError(f"images of shape {tuple(images.shape)}; expected (B, 1 or 3, H, W)")
        x = resize(images.expand(-1, 3, -1, -1)) * (255 / 128) - 1
        *layers, _classifier = self.children()  # torchvision registers them in their order
        for layer in layers:
            x = layer(x)
        return x.flatten(1)

    @torch.no_grad()
    def probabilities(self, features: Tensor) -> Tensor:
        """Of the 1008 classes, from features (N, 2048): (N, 1008), float64, without the bias."""
        scores = features.to(self.fc.weight) @ self.fc.weight.mT
        return double(scores).softmax(1)


def resize(images: Tensor) -> Tensor:
    """Bilinear as in TensorFlow 1: (B, C, H, W) -> (B, C, 299, 299), corner upon corner, no filter."""
    rows, columns = (_weights(side).to(images) for side in images.shape[-2:])
    return rows @ images @ columns.mT


def _weights(side: int) -> Tensor:
    """The share of every old pixel in every new one along a side: (299, side)."""
    position = torch.arange(SIDE) * torch.tensor(side / SIDE)  # in float32, as there
    before = position.long()
    after = (before + 1).clamp(max=side - 1)
    share = (position - before)[:, None]
    eye = torch.eye(side)
    return (1 - share) * eye[before] + share * eye[after]
