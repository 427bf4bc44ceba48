"""What differs between kinds of devices, for whoever computes on them."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Traits:
    """What is fast, and what is right, on one kind of device.

    Attributes:
        memory_format: of nets and images.
        fused: whether optimisers take their fused kernels.
        waits: whether every loss is read before the step that it belongs to, which costs nothing on a
            CPU. Elsewhere a flag on the device, ``found_inf``, turns all steps from the first bad loss
            on into none, and the losses are read later.
        float64: whether the device has such numbers; if not, they are kept on the CPU.
    """

    memory_format: torch.memory_format = torch.channels_last
    fused: bool = True
    waits: bool = False
    float64: bool = True


# Apple's GPU takes the plain forms of everything: in channels_last BatchNorm's gradients are wrong
# (pytorch/pytorch#175189), and the fused kernels want one layout for a weight and its gradient, and
# pass over ``found_inf``.
TRAITS = {
    "cpu": Traits(waits=True),
    "mps": Traits(torch.contiguous_format, fused=False, waits=True, float64=False),
}


def traits(device: torch.device) -> Traits:
    """What differs on this device; one that is not known is taken for a CUDA GPU."""
    return TRAITS.get(device.type, Traits())


def double(values: torch.Tensor) -> torch.Tensor:
    """The values in float64: on their device, or on the CPU if it has no such numbers."""
    return values.double() if traits(values.device).float64 else values.cpu().double()


def float64_device(device: torch.device) -> torch.device:
    """Where ``double`` puts the values of this device."""
    return device if traits(device).float64 else torch.device("cpu")
