"""What is drawn for each student's sheet of the exercises on contrast agent."""

from numpy.random import Generator


def units(rng: Generator) -> tuple[dict, dict]:
    """Attenuations of water and of a tissue; its Hounsfield units, its byte, and with how much agent it is white."""
    water, tissue = int(rng.integers(185, 216)) / 1000, int(rng.integers(30, 70))
    attenuation = round(water * (1 + tissue / 1000), 5)
    hu = 1000 * (attenuation - water) / water
    agent = int(rng.integers(40, 100))
    byte = (hu + 160) / 400 * 255
    return {"water": f"{water:.3f}", "tissue": f"{attenuation:.5f}", "agent": agent}, {
        "hu": f"{hu:.1f}", "byte": f"{byte:.1f}", "with_agent": f"{(hu + agent + 160) / 400 * 255:.1f}",
        "white": f"{240 - hu:.1f}",
    }  # fmt: skip


def judge(rng: Generator) -> tuple[dict, dict]:
    """How often a patch occurs among real and fake scans; the best score, and what the translator pays for it."""
    real, fake = (int(n) for n in rng.choice(range(5, 60), 2, replace=False))
    score = real / (real + fake)
    return {"real": real, "fake": fake}, {
        "score": f"{score:.3f}", "pays": f"{(score - 1) ** 2 / 2:.3f}",
        "least": f"{(real * (score - 1) ** 2 + fake * score**2) / 2 / (real + fake):.3f}",
    }  # fmt: skip
