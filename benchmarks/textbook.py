"""Plain training loops, as public recipes write them, for any nets of the right kind.

``vae`` follows the steps of pytorch/examples' ``vae/main.py`` and ``dcgan`` those of its
``dcgan/main.py``: a DataLoader that turns PIL images to tensors one by one, the default memory
format and optimiser, a scalar read at every step, the discriminator's gradients computed (and
thrown away) in the generator's step. Pictures are decoded and of the right size already, which
spares the DCGAN recipe the reading of files. Nets give logits, so a sigmoid comes before each
cross-entropy; the discriminator scales its images itself, so the transform does not.
"""

from collections.abc import Callable

import torch
from PIL import Image
from torch import Tensor, nn, optim
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

EpochEnd = Callable[[], None]


class PILDataset(Dataset):
    """Images (N, C, H, W), uint8, that become PIL images and then tensors when asked for.

    That is what torchvision's MNIST and CIFAR10 do; the label is not used.
    """

    def __init__(self, images: Tensor) -> None:
        grey = images.shape[1] == 1
        arrays = images.permute(0, 2, 3, 1).contiguous().numpy()
        self.arrays = arrays[..., 0] if grey else arrays
        self.transform = transforms.ToTensor()

    def __len__(self) -> int:
        return len(self.arrays)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.arrays[row])), 0


def loader(images: Tensor, batch_size: int, workers: int) -> DataLoader:
    """The recipes' loader: shuffled, whole batches only."""
    data = PILDataset(images)
    return DataLoader(data, batch_size, shuffle=True, num_workers=workers, drop_last=True)


def vae(
    nets: dict[str, nn.Module],
    images: Tensor,
    epoch_end: EpochEnd,
    *,
    batch_size: int,
    lr: float,
    betas: tuple[float, float],
    device: str,
    workers: int,
    log: Callable[[str], None],
) -> None:
    """Train ``encoder`` and ``decoder`` until ``epoch_end`` raises."""
    data = loader(images, batch_size, workers)
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
        log(f"average loss: {train_loss / len(images):.6f}")
        epoch_end()


def dcgan(
    nets: dict[str, nn.Module],
    images: Tensor,
    epoch_end: EpochEnd,
    *,
    batch_size: int,
    lr: float,
    betas: tuple[float, float],
    device: str,
    workers: int,
    log: Callable[[str], None],
) -> None:
    """Train ``discriminator`` and ``generator`` until ``epoch_end`` raises."""
    data = loader(images, batch_size, workers)
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
