"""A pool of past fakes, from which a discriminator learns besides the present ones."""

import torch
from torch import Tensor, nn

from belamy._checks import whole_number


class Pool(nn.Module):
    """Up to ``size`` past fakes, mixed into the present ones: Shrivastava et al. 2017, as in CycleGAN.

    A net like others, ``Game({..., "past": Pool(50)}, ...)``, that no player owns; so it is saved and
    resumed with the game. A discriminator's loss calls ``nets.past(fakes, noise)``. While the pool fills,
    fakes are kept and returned as they are; then half of them, by chance, change places with an older one.
    In evaluation mode it keeps nothing and returns what it is given.
    """

    def __init__(self, size: int = 50) -> None:
        super().__init__()
        self.size = whole_number("Pool size", size, 1)
        self.register_buffer("images", torch.empty(0))  # (n, ...), n up to size

    def forward(self, fakes: Tensor, noise) -> Tensor:
        """Fakes (B, ...) to as many past or present ones; ``noise`` is the step's. No gradient is kept."""
        fakes = fakes.detach()
        if not self.training:
            return fakes
        kept = self.images if len(self.images) else fakes[:0]
        swap = noise.uniform(len(fakes)) < 0.5  # (B,)
        slots = noise.permutation(self.size)
        room = min(self.size - len(kept), len(fakes))
        # A new tensor takes the old one's place, so that a step that is undone has spoilt nothing.
        pool = torch.cat([kept, fakes[:room].to(kept)])
        returned = fakes.clone()
        # Those that find no room meet older ones; no slot is used twice in one step.
        late = slice(room, min(len(fakes), room + self.size))
        slots, swap = slots[: late.stop - room], swap[late]
        chosen = swap.view(-1, *[1] * (fakes.dim() - 1))  # (b, 1, ...)
        old, new = pool[slots], fakes[late].to(pool)
        returned[late] = torch.where(chosen, old, new)
        pool[slots] = torch.where(chosen, new, old)
        self.images = pool
        return returned

    def _load_from_state_dict(self, state_dict, prefix, *rest) -> None:
        """A pool has as many images as have been seen: it takes the stored ones whatever their number."""
        images = state_dict.get(f"{prefix}images")
        if images is not None:
            self.images = torch.empty_like(images, device=self.images.device)
        super()._load_from_state_dict(state_dict, prefix, *rest)
