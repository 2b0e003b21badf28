"""NVIDIA's driver on this machine, asked through its own library: nvidia-smi may be missing."""

from __future__ import annotations

import ctypes
from typing import NamedTuple

Version = tuple[int, int]

# CUdevice_attribute in cuda.h.
_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76


class Driver(NamedTuple):
    """What the driver says of itself and of its GPUs."""

    cuda: Version
    """The newest CUDA whose programs it runs."""
    capabilities: tuple[Version, ...]
    """The compute capabilities of the GPUs, each once; none where no GPU is visible."""


def find_driver(library: str = "libcuda.so.1") -> Driver | None:
    """Return the driver of this machine, or None where there is none."""
    try:
        cuda = ctypes.CDLL(library)
    except OSError:
        return None
    version = ctypes.c_int(0)
    if cuda.cuDriverGetVersion(ctypes.byref(version)) != 0 or version.value <= 0:
        return None  # the stub of a toolkit answers, too, but with an error
    return Driver((version.value // 1000, version.value % 1000 // 10), _capabilities(cuda))


def _capabilities(cuda: ctypes.CDLL) -> tuple[Version, ...]:
    count = ctypes.c_int(0)
    if cuda.cuInit(0) != 0 or cuda.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return ()
    found = set()
    for ordinal in range(count.value):
        device, major, minor = ctypes.c_int(0), ctypes.c_int(0), ctypes.c_int(0)
        cuda.cuDeviceGet(ctypes.byref(device), ordinal)
        cuda.cuDeviceGetAttribute(ctypes.byref(major), _CAPABILITY_MAJOR, device)
        cuda.cuDeviceGetAttribute(ctypes.byref(minor), _CAPABILITY_MINOR, device)
        found.add((major.value, minor.value))
    return tuple(sorted(found))
