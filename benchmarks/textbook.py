"""Plain training loops, as public recipes write them, for any nets of the right kind.

``vae`` follows the steps of pytorch/examples' ``vae/main.py``, ``dcgan`` those of its
``dcgan/main.py``, ``wgan_gp`` and ``cyclegan`` those of eriklindernoren's PyTorch-GAN and ``vae_gan`` those
of lucabergamini's VAEGAN-PYTORCH: the default memory format, a scalar read at every step, gradients of
nets that stand still computed (and thrown away). As shipped, their batches come from ``pil_items``,
which spares those of photographs only the reading of files; ``ready_batches`` leaves the steps alone to
be timed. Nets give logits, so a sigmoid comes before each cross-entropy; images lie in [0, 1], or the
discriminator scales them itself, so the transform does not.
"""

import itertools
import random
from collections.abc import Callable, Iterator

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

Nets = dict[str, nn.Module]
EpochEnd = Callable[[], None]
MakesOptimizer = Callable[..., Optimizer]  # of parameters


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


def vae(nets: Nets, data, epoch_end: EpochEnd, *, optimizer: MakesOptimizer, device: str, log) -> None:
    """Train ``encoder`` and ``decoder`` until ``epoch_end`` raises."""
    encoder, decoder = nets["encoder"].to(device), nets["decoder"].to(device)
    parameters = [*encoder.parameters(), *decoder.parameters()]
    adam = optimizer(parameters)
    while True:
        train_loss = 0.0
        for i, (x, _) in enumerate(data):
            x = x.to(device)
            adam.zero_grad()
            mean, log_variance = encoder(x)
            std = torch.exp(0.5 * log_variance)
            recon = torch.sigmoid(decoder(mean + torch.randn_like(std) * std))
            bce = F.binary_cross_entropy(recon, x, reduction="sum")
            kld = -0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp())
            loss = bce + kld
            loss.backward()
            train_loss += loss.item()
            adam.step()
            if i % 10 == 0:
                log(f"[{i}/{len(data)}] loss: {loss.item() / len(x):.6f}")
        log(f"average loss: {train_loss / (len(data) * len(x)):.6f}")
        epoch_end()


def dcgan(nets: Nets, data, epoch_end: EpochEnd, *, optimizer: MakesOptimizer, device: str, log) -> None:
    """Train ``discriminator`` and ``generator`` until ``epoch_end`` raises."""
    netD, netG = nets["discriminator"].to(device), nets["generator"].to(device)
    criterion = nn.BCELoss()
    optimizerD = optimizer(netD.parameters())
    optimizerG = optimizer(netG.parameters())
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


def wgan_gp(nets: Nets, data, epoch_end: EpochEnd, *, optimizer: MakesOptimizer, device: str, log) -> None:
    """Train ``critic`` at every batch and ``generator`` at every fifth until ``epoch_end`` raises."""
    critic, generator = nets["critic"].to(device), nets["generator"].to(device)
    optimizerD, optimizerG = optimizer(critic.parameters()), optimizer(generator.parameters())
    while True:
        for i, (x, _) in enumerate(data):
            real = x.to(device)
            optimizerD.zero_grad()
            z = torch.tensor(np.random.normal(0, 1, (len(real), generator.latent_dim)), dtype=torch.float32)
            z = z.to(device)
            fake = generator(z)
            real_validity, fake_validity = critic(real), critic(fake)
            alpha = torch.tensor(np.random.random((len(real), 1, 1, 1)), dtype=torch.float32).to(device)
            between = (alpha * real + (1 - alpha) * fake.data).requires_grad_(True)
            output = critic(between)
            ones = torch.ones_like(output)
            gradients = torch.autograd.grad(output, between, ones, create_graph=True, retain_graph=True)[0]
            penalty = ((gradients.view(len(real), -1).norm(2, dim=1) - 1) ** 2).mean()
            d_loss = -torch.mean(real_validity) + torch.mean(fake_validity) + 10 * penalty
            d_loss.backward()
            optimizerD.step()

            optimizerG.zero_grad()
            if i % 5 == 0:
                g_loss = -torch.mean(critic(generator(z)))
                g_loss.backward()
                optimizerG.step()
                log(f"[{i}/{len(data)}] D loss: {d_loss.item():.6f} G loss: {g_loss.item():.6f}")
        epoch_end()


def vae_gan(nets: Nets, data, epoch_end: EpochEnd, *, optimizer: MakesOptimizer, device: str, log) -> None:
    """Train ``encoder``, ``decoder`` and ``discriminator`` until ``epoch_end`` raises.

    The recipe's three steps follow its three backward passes: torch refuses to go back once more
    through weights that have changed meanwhile. All three train at every batch.
    """
    encoder, decoder, discriminator = (nets[name].to(device).train() for name in nets)
    optimizers = [optimizer(net.parameters()) for net in (encoder, decoder, discriminator)]
    bce = nn.BCELoss()
    while True:
        for i, (x, _) in enumerate(data):
            real = x.to(device)
            mean, log_variance = encoder(real)
            z = torch.randn_like(mean) * torch.exp(0.5 * log_variance) + mean
            fakes = decoder(z), decoder(torch.randn(len(real), mean.shape[1], device=device))
            score, hidden = discriminator(torch.cat((real, *fakes)))  # of all three in one pass
            labels = torch.sigmoid(score).split(len(real))
            like, unlike = hidden.flatten(1).split(len(real))[:2]
            kl = torch.mean(0.5 * torch.sum(log_variance.exp() + mean**2 - log_variance - 1, 1))
            mse = torch.mean(torch.sum((like - unlike) ** 2, 1))
            ones, zeros = torch.ones_like(labels[0]), torch.zeros_like(labels[0])
            gan = bce(labels[0], ones) + bce(labels[1], zeros) + bce(labels[2], zeros)
            loss_encoder, loss_decoder, loss_discriminator = kl + mse, 1e-6 * mse - gan, gan

            gradients = []
            for loss, net in zip((loss_encoder, loss_decoder, loss_discriminator), nets.values()):
                for other in nets.values():
                    other.zero_grad()
                loss.backward(retain_graph=loss is not loss_discriminator)
                gradients.append([parameter.grad for parameter in net.parameters()])
            for net, own, step in zip(nets.values(), gradients, optimizers):
                for parameter, gradient in zip(net.parameters(), own):
                    parameter.grad = gradient
                step.step()
            log(
                f"[{i}/{len(data)}] loss_encoder: {loss_encoder.item():.6f} "
                f"loss_decoder: {loss_decoder.item():.6f} loss_discriminator: {loss_discriminator.item():.6f}"
            )
        epoch_end()


class ReplayBuffer:
    """Past fakes: while it fills it returns what it is given, then half of the time an older one."""

    def __init__(self, max_size: int = 50) -> None:
        self.max_size, self.data = max_size, []

    def push_and_pop(self, fakes: Tensor) -> Tensor:
        to_return = []
        for element in fakes.data:
            element = torch.unsqueeze(element, 0)
            if len(self.data) < self.max_size:
                self.data.append(element)
                to_return.append(element)
            elif random.uniform(0, 1) > 0.5:
                i = random.randint(0, self.max_size - 1)
                to_return.append(self.data[i].clone())
                self.data[i] = element
            else:
                to_return.append(element)
        return torch.cat(to_return)


def cyclegan(nets: Nets, data, epoch_end: EpochEnd, *, optimizer: MakesOptimizer, device: str, log) -> None:
    """Train ``G_AB``, ``G_BA``, ``D_A`` and ``D_B`` until ``epoch_end`` raises; A and B stand side by side."""
    G_AB, G_BA, D_A, D_B = (nets[name].to(device).train() for name in ("G_AB", "G_BA", "D_A", "D_B"))
    optimizer_G = optimizer(list(itertools.chain(G_AB.parameters(), G_BA.parameters())))
    optimizer_D_A, optimizer_D_B = optimizer(D_A.parameters()), optimizer(D_B.parameters())
    criterion_GAN, criterion_cycle, criterion_identity = nn.MSELoss(), nn.L1Loss(), nn.L1Loss()
    fake_A_buffer, fake_B_buffer = ReplayBuffer(), ReplayBuffer()
    while True:
        for i, (x, _) in enumerate(data):
            real_A, real_B = x.to(device).chunk(2, 3)
            optimizer_G.zero_grad()
            loss_identity = (criterion_identity(G_BA(real_A), real_A) + criterion_identity(G_AB(real_B), real_B)) / 2
            fake_B, fake_A = G_AB(real_A), G_BA(real_B)
            scores_B, scores_A = D_B(fake_B), D_A(fake_A)
            valid, fake = torch.ones_like(scores_A), torch.zeros_like(scores_A)
            loss_GAN = (criterion_GAN(scores_B, valid) + criterion_GAN(scores_A, valid)) / 2
            loss_cycle = (criterion_cycle(G_BA(fake_B), real_A) + criterion_cycle(G_AB(fake_A), real_B)) / 2
            loss_G = loss_GAN + 10 * loss_cycle + 5 * loss_identity
            loss_G.backward()
            optimizer_G.step()

            optimizer_D_A.zero_grad()
            fake_A_ = fake_A_buffer.push_and_pop(fake_A)
            loss_D_A = (criterion_GAN(D_A(real_A), valid) + criterion_GAN(D_A(fake_A_.detach()), fake)) / 2
            loss_D_A.backward()
            optimizer_D_A.step()

            optimizer_D_B.zero_grad()
            fake_B_ = fake_B_buffer.push_and_pop(fake_B)
            loss_D_B = (criterion_GAN(D_B(real_B), valid) + criterion_GAN(D_B(fake_B_.detach()), fake)) / 2
            loss_D_B.backward()
            optimizer_D_B.step()
            log(
                f"[{i}/{len(data)}] G loss: {loss_G.item():.6f} D_A loss: {loss_D_A.item():.6f} "
                f"D_B loss: {loss_D_B.item():.6f}"
            )
        epoch_end()
