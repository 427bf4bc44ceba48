"""Plain training loops, as public recipes write them, for any nets of the right kind.

``vae`` follows the steps of pytorch/examples' ``vae/main.py`` and ``dcgan`` those of its
``dcgan/main.py``: the default memory format and optimiser, a scalar read at every step, the
discriminator's gradients computed (and thrown away) in the generator's step. As shipped, their batches
come from ``pil_items``, which spares the DCGAN recipe only the reading of files; ``ready_batches``
leaves the steps alone to be timed. Nets give logits, so a sigmoid comes before each cross-entropy; the
discriminator scales its images itself, so the transform does not.
"""

from collections.abc import Callable, Iterator

import torch
from PIL import Image
from torch import Tensor, nn, optim
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

Nets = dict[str, nn.Module]
EpochEnd = Callable[[], None]


class PILDataset(Dataset):
    """Images (N, C, H, W), uint8, that become PIL images and then tensors, as torchvision's MNIST does."""

    def __init__(self, images: Tensor) -> None:
        arrays = images.permute(0, 2, 3, 1).contiguous().numpy()
        self.arrays = arrays[..., 0] if images.shape[1] == 1 else arrays
        self.transform = transforms.ToTensor()

    def __len__(self) -> int:
        return len(self.arrays)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.arrays[row])), 0


def pil_items(images: Tensor, batch_size: int, workers: int = 0) -> DataLoader:
    """The recipes' loader: shuffled, whole batches only."""
    data = PILDataset(images)
    return DataLoader(data, batch_size, shuffle=True, num_workers=workers, drop_last=True)


class ready_batches:
    """Batches that cost nothing but a shuffle: the images as floats in memory."""

    def __init__(self, images: Tensor, batch_size: int) -> None:
        self.images, self.batch_size = images.float() / 255, batch_size

    def __len__(self) -> int:
        return len(self.images) // self.batch_size

    def __iter__(self) -> Iterator[tuple[Tensor, int]]:
        for rows in torch.randperm(len(self.images)).split(self.batch_size)[: len(self)]:
            yield self.images[rows], 0


def vae(nets: Nets, data, epoch_end: EpochEnd, *, lr: float, betas, device: str, log) -> None:
    """Train ``encoder`` and ``decoder`` until ``epoch_end`` raises."""
    encoder, decoder = nets["encoder"].to(device), nets["decoder"].to(device)
    parameters = [*encoder.parameters(), *decoder.parameters()]
    optimizer = optim.Adam(parameters, lr=lr, betas=betas)
    while True:
        train_loss = 0.0
        for i, (x, _) in enumerate(data):
            x = x.to(device)
            optimizer.zero_grad()
            mean, log_variance = encoder(x)
            std = torch.exp(0.5 * log_variance)
            recon = torch.sigmoid(decoder(mean + torch.randn_like(std) * std))
            bce = F.binary_cross_entropy(recon, x, reduction="sum")
            kld = -0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp())
            loss = bce + kld
            loss.backward()
            train_loss += loss.item()
            optimizer.step()
            if i % 10 == 0:
                log(f"[{i}/{len(data)}] loss: {loss.item() / len(x):.6f}")
        log(f"average loss: {train_loss / (len(data) * len(x)):.6f}")
        epoch_end()


def dcgan(nets: Nets, data, epoch_end: EpochEnd, *, lr: float, betas, device: str, log) -> None:
    """Train ``discriminator`` and ``generator`` until ``epoch_end`` raises."""
    netD, netG = nets["discriminator"].to(device), nets["generator"].to(device)
    criterion = nn.BCELoss()
    optimizerD = optim.Adam(netD.parameters(), lr=lr, betas=betas)
    optimizerG = optim.Adam(netG.parameters(), lr=lr, betas=betas)
    while True:
        for i, (x, _) in enumerate(data):
            real = x.to(device)
            netD.zero_grad()
            label = torch.full((len(real),), 1.0, device=device)
            output = torch.sigmoid(netD(real))
            errD_real = criterion(output, label)
            errD_real.backward()
            D_x = output.mean().item()

            noise = torch.randn(len(real), netG.latent_dim, device=device)
            fake = netG(noise)
            label.fill_(0.0)
            output = torch.sigmoid(netD(fake.detach()))
            errD_fake = criterion(output, label)
            errD_fake.backward()
            D_G_z1 = output.mean().item()
            errD = errD_real + errD_fake
            optimizerD.step()

            netG.zero_grad()
            label.fill_(1.0)
            output = torch.sigmoid(netD(fake))
            errG = criterion(output, label)
            errG.backward()
            D_G_z2 = output.mean().item()
            optimizerG.step()
            log(
                f"[{i}/{len(data)}] Loss_D: {errD.item():.6f} Loss_G: {errG.item():.6f} "
                f"D(x): {D_x:.4f} D(G(z)): {D_G_z1:.4f} / {D_G_z2:.4f}"
            )
        epoch_end()
