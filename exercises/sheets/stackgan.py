"""What is drawn for each student's sheet of the exercises on StackGAN."""

from numpy.random import Generator


def cost(rng: Generator) -> tuple[dict, dict]:
    """Channels and rounds; what one layer costs at three sides, and how far the rounds reach at the largest."""
    width, rounds = int(rng.integers(2, 13)) * 4, int(rng.integers(20, 121)) * 16
    layer = 9 * width**2
    costs = {f"at_{side}": f"{layer * side**2:,}" for side in (16, 32, 64)}
    return {"width": width, "rounds": rounds}, {**costs, "reach": rounds // 16}
