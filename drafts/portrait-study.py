# %% [markdown]
# # The portrait study, GAN against VAE
#
# Jlidi and Kovács train a VAE and a GAN on 4,117 oil portraits of 128×128 pixels: two latents, batches of 64, Adam with
# learning rate 3e-4 and β₁ = 0.5, 100 epochs. The VAE has an encoder of two convolutions and Bernoulli pixels, the GAN a
# discriminator of two convolutions and one dense layer. Here both have the same generator and learn from the same painted portraits.
# `make record RUN=portrait-study PROFILE=gpu` takes 4,117 of them and a wider generator, `PROFILE=record-cpu` 2,048, in about
# an hour on one core. Stopped, it goes on from its checkpoints.

# %% tags=["parameters"]
profile = "cpu"  # "cpu": a look; "record-cpu" and "gpu": the study's setting
seed = 0

# %%
import time
from functools import partial

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F
from torch.optim import Adam

from belamy import features, losses, nets, plots, runs
from belamy.data import FACTORS, portraits
from belamy.game import Game, Player, fit, latents
from belamy.likelihood import bdmc, bits_per_dimension, dequantise, gaussian, iwae, ais, parzen
from belamy.metrics import density_coverage, inception_score, kernel_distance

full = profile != "cpu"
size, n, width, epochs, judged = {"gpu": (128, 4117, 64, 100, 512), "record-cpu": (128, 2048, 16, 100, 512)}.get(
    profile, (32, 128, 4, 1, 32)
)
latent_dim, starts, descent, chains, tested = 2, 4 if full else 2, 150 if full else 10, 2, 12 if full else 2
if profile == "gpu":
    fast = torch.cuda.is_bf16_supported(including_emulation=False)
else:
    fast = torch.cpu.get_capabilities().get("avx512_bf16", False)
precision = "bf16" if full and fast else "fp32"
device = torch.device("cuda" if profile == "gpu" else "cpu")
train, held_out = portraits(n, size, seed=0), portraits(judged, size, seed=1)
real = held_out.images.float() / 255
D = real[0].numel()


# %%
def negative_elbo(nets, batch, noise):
    mean, log_variance = nets.encoder(batch.x)
    x = nets.generator(losses.reparameterise(mean, log_variance, noise)).float()  # pixels' probabilities
    return {
        "reconstruction": -losses.bernoulli_log_likelihood(batch.x, torch.logit(x, eps=1e-6)).mean(),
        "kl": losses.kl_to_standard_normal(mean, log_variance).mean(),
    }


def build(kind):
    generator = nets.Generator(size, latent_dim, width=width)
    if kind == "VAE":
        parts = {"encoder": nets.ConvEncoder(size, latent_dim), "generator": generator}
        return Game(parts, [Player(["encoder", "generator"], negative_elbo)])
    discriminator = nets.Discriminator(size, width=32, layers=2, normalise="all")
    players = [Player(["discriminator"], losses.discriminator_loss), Player(["generator"], losses.generator_loss)]
    return Game({"discriminator": discriminator, "generator": generator}, players)


# %%
models, curves, seconds = {}, [], {}
for kind in ("VAE", "GAN"):
    game = build(kind)
    checkpoint = runs.data_dir().parent / ".cache" / "runs" / f"portrait-study-{kind}-{profile}.safetensors"
    clock = checkpoint.with_suffix(".seconds")
    before = float(clock.read_text()) if full and checkpoint.exists() and clock.exists() else 0.0
    started = time.time()

    def tick(game, epoch, clock=clock, before=before, started=started):
        """Wall time survives an interruption, and the log shows that training goes on."""
        clock.parent.mkdir(parents=True, exist_ok=True)
        clock.write_text(str(before + time.time() - started))
        print(f"epoch {epoch}: {game.history.flush()}", flush=True)

    history = fit(game, train, epochs=epochs, optimizer=partial(Adam, lr=3e-4, betas=(0.5, 0.999)), seed=seed, device=device,
                  precision=precision, callbacks=[tick] if full else [], checkpoint=checkpoint if full else None)  # fmt: skip
    seconds[kind] = float(clock.read_text()) if full else time.time() - started
    models[kind] = game.nets.requires_grad_(False)
    curves.append(history.frame().groupby("epoch").mean().reset_index().assign(model=kind))


# %%
def sample(kind, count, draw):
    """Images of fixed latents, in float32, on the CPU."""
    z = latents(count, latent_dim, seed=draw)
    return torch.cat([models[kind].generator(part.to(device)).float().cpu() for part in z.split(64)])


def picture(images, columns):
    return Image.fromarray((255 * plots.as_array(images, columns)).round().astype("uint8"))


started = time.time()
drawn = {kind: sample(kind, judged, 1) for kind in models}
seconds_to_sample = (time.time() - started) / 2 / judged * 1000
pictures = {f"{kind}.png": picture(sample(kind, 18, seed), 9) for kind in models}
pictures["painter.png"] = picture(real[:18], 9)

# %% [markdown]
# Features: a net that learns the painter's factors, on pictures pooled to 64×64.

# %%
shrink = (lambda x: F.avg_pool2d(x, size // 64)) if size > 64 else (lambda x: x)
CLASS_OF = [FACTORS.index(name) for name in ("yaw", "hair_tone", "background_tone")]
lessons = portraits(1536 if full else 64, min(size, 64), seed=2)
classes = lambda factors: ((factors[:, CLASS_OF] > 0).long() * torch.tensor([4, 2, 1])).sum(1)
layers = [(3, 16), (16, 32), (32, 64)] + [(64, 64)] * (size >= 64)
eye = nn.Sequential(*(layer for a, b in layers for layer in (nn.Conv2d(a, b, 4, 2, 1), nn.LeakyReLU(0.2))),
                    nn.Flatten(), nn.Linear(1024, 64), nn.LeakyReLU(0.2))  # fmt: skip


def read_portrait(nets, batch, noise):
    index = batch.index.cpu()
    seen, factors = nets.eye(batch.x), lessons.factors[index].to(batch.x.device)
    return {"factors": (nets.factors(seen) - factors).square().mean(),
            "classes": F.cross_entropy(nets.classes(seen), classes(lessons.factors[index]).to(seen.device))}  # fmt: skip


reader = Game({"eye": eye, "factors": nn.Linear(64, len(FACTORS)), "classes": nn.Linear(64, 8)},
              [Player(["eye", "factors", "classes"], read_portrait)])  # fmt: skip
fit(reader, lessons, epochs=20 if full else 1, batch_size=32, optimizer=partial(Adam, lr=1e-3), seed=seed, device="cpu",
    precision="fp32")  # fmt: skip
taught = features.extract(eye, lessons.images)
centre, spread = taught.mean(0), taught.std(0).clamp(min=1e-3)
see = lambda x: (features.extract(eye, shrink(x.clamp(0, 1))) - centre) / spread
seen_real = see(real)
with torch.no_grad():
    error = (reader.nets.factors(seen_real * spread + centre) - held_out.factors).square().mean(0) / held_out.factors.var(0)
report = {"checksum": features.checksum(eye), "r2": float((1 - error).mean())}
print(report)


# %%
def spectrum(images):
    """Power of the brightness by distance from zero frequency: index k is k cycles a picture."""
    grey = images.double().mean(1)
    power = torch.fft.fft2(grey - grey.mean((1, 2), keepdim=True)).abs().square().mean(0)
    frequency = torch.fft.fftfreq(size, 1 / size, dtype=torch.float64)
    radius = (frequency[:, None] ** 2 + frequency**2).sqrt().round().long().flatten()
    total = torch.zeros(radius.max() + 1, dtype=torch.float64).scatter_add(0, radius, power.flatten())
    return total / torch.bincount(radius)


def saturation(x):
    high, low = x.amax(1), x.amin(1)
    return float(((high - low) / high.clamp(min=1 / 255)).mean())


apart = lambda seen: torch.pdist(seen).mean().item()


@torch.no_grad()
def quality(x):
    seen = see(x)
    density, coverage = density_coverage(seen_real, seen)
    fine = (spectrum(x) / spectrum(real))[size // 4 : size // 2 + 1]
    return {"kernel distance": kernel_distance(seen_real, seen), "density": density, "coverage": coverage,
            "Inception Score": inception_score(reader.nets.classes(seen * spread + centre).softmax(1)),
            "fine power": fine.log().mean().exp().item(), "saturation": saturation(x) / saturation(real),
            "diversity": apart(seen) / apart(seen_real)}  # fmt: skip


# %% [markdown]
# Likelihood: latents by search, one σ fitted on validation portraits, importance weighting and annealing from there.


# %%
def invert(generator, images, weight=0.01):
    """Latents whose images come nearest: the best of many draws and then of several descents, and rms errors."""
    pool = latents(2048 if full else 32, latent_dim, seed=2).to(device)
    with torch.no_grad():
        far = torch.cat([torch.cdist(images.flatten(1), generator(part).float().flatten(1)) for part in pool.split(64)], 1)
    z = pool[far.topk(starts, largest=False).indices.T].clone().requires_grad_()  # (starts, N, q)
    optimizer = Adam([z], lr=0.03)
    for _ in range(descent):
        x = torch.stack([generator(part) for part in z])
        error = (x - images).square().flatten(2).mean(2)
        loss = error + weight / D * z.square().sum(2)
        (z.grad,) = torch.autograd.grad(loss.sum(), z)
        optimizer.step()
    best = loss.detach().argmin(0)
    found = z[best, torch.arange(len(images), device=device)].detach()
    with torch.no_grad():
        return found, (generator(found) - images).square().flatten(1).mean(1).sqrt()


def posterior(generator, z, sigma, step=1e-3):
    """An encoder made of found latents: their mean, and the width at which the image strays by sigma."""
    with torch.no_grad():
        axes = torch.eye(latent_dim, device=device)
        moved = [(generator(z + step * e) - generator(z)).square().flatten(1).sum(1) for e in axes]
    log_variance = -torch.log1p(torch.stack(moved, 1) / (step * sigma) ** 2)
    return lambda images: (z, log_variance)


bits = lambda nats: bits_per_dimension(nats, D)
noisy = dequantise(held_out.images, seed=2).to(device)
annealed = dict(steps=40, chains=chains, leapfrog=2, chunk=64, progress=False)


def score(kind):
    """Held-out bits a value by the best bound, the gap on simulated images, sigma and the error of the search."""
    generator, few = models[kind].generator, noisy[: 2 * tested]
    z, error = invert(generator, few)
    grid = error[:tested].square().mean().sqrt().item() * np.geomspace(0.8, 1.25, 7)
    bound = lambda s: iwae(gaussian(generator, s), few[:tested], posterior(generator, z[:tested], s), 5, chunk=64).mean().item()
    sigma = float(max(grid, key=bound))
    model, near = gaussian(generator, sigma), posterior(generator, z[tested:], sigma)
    by_weight = iwae(model, few[tested:], near, 20, chunk=64)
    by_annealing = ais(model, few[tested:], latent_dim, encoder=near, **annealed)
    true = latents(max(2, tested // 2), latent_dim, seed=6).to(device)
    noise = torch.randn(len(true), *real.shape[1:], generator=torch.Generator().manual_seed(seed)).to(device)
    y = generator(true) + sigma * noise
    low, high = bdmc(model, y, true, encoder=posterior(generator, invert(generator, y)[0], sigma), **annealed)
    return {"bits": bits(torch.maximum(by_weight, by_annealing)).mean().item(), "gap": (bits(low) - bits(high)).mean().item(),
            "sigma": sigma, "error": error[tested:].square().mean().sqrt().item()}  # fmt: skip


# %%
table = {}
for kind in models:
    table[kind] = {**score(kind), **quality(drawn[kind]), "seconds to train": seconds[kind],
                   "seconds for 1,000 images": seconds_to_sample,
                   "parameters": sum(p.numel() for p in models[kind].parameters())}  # fmt: skip
    print(kind, table[kind], flush=True)
table["painter"] = {**dict.fromkeys(table["VAE"]), **quality(train.images[:judged].float() / 255)}
rows = dequantise(train.images, seed=1)
x = noisy[tested : 2 * tested].cpu().double()
diagonal = torch.distributions.Normal(rows.mean(0).double(), rows.std(0).double()).log_prob(x).flatten(1).sum(1)
baselines = {"uniform": 8.0, "diagonal Gaussian": bits(diagonal).mean().item()}
print(baselines)

# %% [markdown]
# The study's Table 1: six generated images of each model, under several readings.

# %%
six = {kind: (sample(kind, 6, seed) * 255).round().to(torch.uint8) for kind in models}
readings = []
note = lambda reading, kind, values: readings.append({"reading": reading, "model": kind, "values": values.tolist()})
pixels = train.images[:judged].flatten(1).float() / 255
plane = torch.linalg.svd(pixels - pixels.mean(0), full_matrices=False)[2][:2].T
flat = lambda x: (x.flatten(1) - pixels.mean(0)) @ plane
window = max(np.geomspace(0.3, 10, 12), key=lambda h: parzen(flat(pixels), flat(real), h).mean())
with torch.no_grad():
    for kind in ("GAN", "VAE"):
        generator, sigma, y = models[kind].generator, table[kind]["sigma"], dequantise(six[kind], seed=3).to(device)
        with torch.enable_grad():
            z, _ = invert(generator, y)
        density = iwae(gaussian(generator, sigma), y, posterior(generator, z, sigma), 20, chunk=64).cpu() / D
        note("1: density a value, [0, 256)", kind, density - np.log(256))
        note("2: density a value, [0, 1]", kind, density)
        note("5: Parzen window in a plane", kind, parzen(flat(pixels), flat(six[kind].float() / 255), window))
    note("3: log d(g(z))", "GAN", F.logsigmoid(models["GAN"].discriminator((six["GAN"].float() / 255).to(device)).float()).cpu())
    mean, log_variance = models["VAE"].encoder((six["VAE"].float() / 255).to(device))
    noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(seed))
    note("4: log q(z | x)", "VAE", -0.5 * (noise**2 + log_variance.float().cpu() + np.log(2 * np.pi)).sum(1))
print(pd.DataFrame(readings).to_string())

# %%
if full:
    runs.write(
        "portrait-study",
        parameters={"size": size, "latent_dim": latent_dim, "width": width, "images": n, "epochs": epochs, "batch_size": 64,
                    "learning_rate": 3e-4, "beta_1": 0.5, "profile": profile},
        metrics={"models": {kind: {k: v for k, v in row.items() if v is not None} for kind, row in table.items()},
                 "baselines": baselines, "readings": readings, "eye": report},
        history=pd.concat(curves).fillna(0.0), data=train, seed=seed, seconds=sum(seconds.values()), device=device,
        precision=precision, weights={f"{kind}.{k}": v for kind, m in models.items() for k, v in m.state_dict().items()},
        pictures=pictures,
    )  # fmt: skip
