"""Where and how precisely a game is trained."""

import contextlib
import ctypes
import itertools
import os
import sys
import threading
from collections.abc import Callable, Iterator

import torch

from belamy.errors import InputError


def seeder(device: torch.device) -> Callable[[int], object]:
    """What seeds torch's own generator of the device, from which dropout draws inside nets."""
    if device.type == "cuda":
        return torch.cuda.default_generators[device.index or 0].manual_seed
    return torch.mps.manual_seed if device.type == "mps" else torch.default_generator.manual_seed


def rng_state(device: torch.device) -> torch.Tensor:
    """The state of that generator."""
    module = {"cuda": torch.cuda, "mps": torch.mps}.get(device.type)
    return torch.get_rng_state() if module is None else module.get_rng_state(device)


def fork_rng(device: torch.device) -> contextlib.AbstractContextManager:
    """A context that leaves torch's own generators, the CPU's and the device's, as it found them."""
    if device.type not in ("cuda", "mps"):
        return torch.random.fork_rng([])
    return torch.random.fork_rng([device.index or 0], device_type=device.type)


def pick_device(device: str | torch.device | None = None) -> torch.device:
    """The device asked for, else $BELAMY_DEVICE, else the first of cuda, mps, cpu that this machine has.

    Raises:
        InputError: the device is unknown or not on this machine.
    """
    device = device or os.environ.get("BELAMY_DEVICE")
    if not device:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(
            f"device={str(device)!r} cannot be used on this machine; leave it out or pass 'cpu'"
        ) from error


def autocast(precision: str, device: torch.device) -> contextlib.AbstractContextManager:
    """The context in which losses are computed: fp32, or bf16 with fp32 weights.

    ``"auto"`` means bf16 on CUDA hardware that has it natively (a T4 only emulates it), else
    fp32. On the CPU bf16 is an option: fast on processors with avx512_bf16 or amx, slow elsewhere.

    Raises:
        InputError: unknown precision.
    """
    if precision not in ("auto", "fp32", "bf16"):
        raise InputError(f"precision={precision!r} is not one of 'auto', 'fp32', 'bf16'")
    native = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    if precision == "bf16" or (precision == "auto" and native):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return contextlib.nullcontext()


@contextlib.contextmanager
def visit(nets: torch.nn.ModuleDict, device: torch.device) -> Iterator[None]:
    """Within, the nets are on the device; afterwards, however it ends, each is where it was."""
    homes = {}
    for name, net in nets.items():
        held = next(itertools.chain(net.parameters(), net.buffers()), None)
        homes[name] = device if held is None else held.device
    try:
        nets.to(device)
        yield
    finally:
        for name, home in homes.items():
            nets[name].to(home)


_keepers = 0  # calls of fit that train on the CPU now, in this process
_keepers_lock = threading.Lock()


@contextlib.contextmanager
def keep_freed_memory(device: torch.device) -> Iterator[None]:
    """Within, let glibc reuse freed memory instead of handing it back to the system.

    PyTorch frees and allocates every activation of every step; each time, the kernel must map
    and clear the pages again. Keeping them makes convolutional nets 1.2-1.5 times as fast on the
    CPU (M_MMAP_MAX = -4, M_TRIM_THRESHOLD = -1 of mallopt(3)). Afterwards all free memory goes
    back, and the two settings to what glibc comes to by itself in a program that frees large blocks:
    blocks above 32 MB are mapped, 64 MB may stay free. Elsewhere than glibc, and on an accelerator:
    nothing.
    """
    global _keepers
    libc = None
    if device.type == "cpu" and sys.platform.startswith("linux"):
        with contextlib.suppress(OSError, AttributeError):  # another C library has no mallopt
            libc = ctypes.CDLL("libc.so.6")
            libc.mallopt, libc.malloc_trim  # noqa: B018
    if libc is None:
        yield
        return
    with _keepers_lock:
        _keepers += 1
        libc.mallopt(-4, 0)
        libc.mallopt(-1, 2**31 - 1)
    try:
        yield
    finally:
        with _keepers_lock:
            _keepers -= 1
            if not _keepers:
                libc.mallopt(-4, 65536)
                libc.mallopt(-3, 32 * 2**20)  # M_MMAP_THRESHOLD
                libc.mallopt(-1, 64 * 2**20)
                libc.malloc_trim(ctypes.c_size_t(0))
