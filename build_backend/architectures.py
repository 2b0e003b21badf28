"""For which GPUs the kernels are compiled.

In the words of CMake: "90-real" is code for compute capability 9.0, "90-virtual" the PTX from which
a driver makes code for later GPUs.
"""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

from .plan import fail

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .driver import Version

FIRST_ARCHITECTURE = (7, 5)
# Code for other GPUs does not run on these, nor theirs elsewhere, though the major version is the
# same (the CUDA programming guide, "Binary compatibility").
TEGRA = {(8, 7), (10, 1)}
# The names that torch.utils.cpp_extension takes in TORCH_CUDA_ARCH_LIST, from 7.5 up.
ARCHITECTURE_NAMES = {
    "turing": "7.5+PTX",
    "ampere": "8.0;8.6+PTX",
    "ada": "8.9+PTX",
    "hopper": "9.0+PTX",
    "blackwell": "10.0;10.3;12.0;12.1+PTX",
    "blackwell+tegra": "11.0",
}


def choose_architectures(
    environment: Mapping[str, str], nvcc: str, capabilities: tuple[Version, ...]
) -> list[str]:
    """Return the value of CMAKE_CUDA_ARCHITECTURES: the environment's, or one for this machine.

    With nothing said, code is made for the GPUs that are here, or for all where none is. CMake's
    words for the same (native, all-major) mean what they mean here, so that the core knows for
    what it was compiled.
    """
    wanted = environment.get("CMAKE_CUDA_ARCHITECTURES", "").strip()
    if wanted and wanted not in ("native", "all-major"):
        return cmake_architectures(wanted)
    if not wanted and environment.get("TORCH_CUDA_ARCH_LIST", "").strip():
        return torch_architectures(environment["TORCH_CUDA_ARCH_LIST"])
    known = known_architectures(nvcc)
    here = [] if wanted == "all-major" else present_architectures(known, capabilities)
    if wanted == "native" and not here:
        fail(f"CMAKE_CUDA_ARCHITECTURES=native, but no GPU is visible for which {nvcc} compiles")
    return here or major_architectures(known)


def known_architectures(nvcc: str) -> list[Version]:
    """Return the compute capabilities from 7.5 up that an nvcc compiles for, in order."""
    listing = subprocess.run([nvcc, "--list-gpu-arch"], capture_output=True, text=True)
    if listing.returncode != 0:
        said = (listing.stderr + listing.stdout).strip()
        fail(f"{nvcc} --list-gpu-arch failed with exit status {listing.returncode}:\n{said}")
    found = re.findall(r"^\s*compute_(\d+)(\d)\s*$", listing.stdout, re.MULTILINE)
    known = sorted((int(major), int(minor)) for major, minor in found)
    known = [version for version in known if version >= FIRST_ARCHITECTURE]
    return known or fail(f"{nvcc} knows no architecture from 7.5 up, only {listing.stdout.split()}")


def major_architectures(known: list[Version]) -> list[str]:
    """Return the first architecture of every major one, and PTX for the newest.

    Code for the first of a major architecture runs on all of it, Tegra apart. 8.9 gains only its
    instructions for fp8 by code of its own, which would make the module an eighth larger.
    """
    first: dict[int, Version] = {}
    for version in known:
        if version not in TEGRA:
            first.setdefault(version[0], version)
    return [
        *(f"{_number(version)}-real" for version in first.values()),
        f"{_number(first[max(first)])}-virtual",
    ]


def present_architectures(known: list[Version], capabilities: tuple[Version, ...]) -> list[str]:
    """Return what runs on GPUs of these capabilities, and PTX for those that may come.

    A GPU that is newer than nvcc gets code for the newest of its major version that nvcc knows,
    or nothing but the PTX.
    """
    served = [gpu for gpu in capabilities if gpu >= known[0]]
    if not served:
        return []
    real = set()
    for gpu in served:
        fitting = [version for version in known if _runs_on(version, gpu)]
        real |= {max(fitting)} if fitting else set()
    portable = [version for version in known if version in served or version not in TEGRA]
    newest = max(version for version in portable if version <= max(served))
    return [*(f"{_number(version)}-real" for version in sorted(real)), f"{_number(newest)}-virtual"]


def _runs_on(version: Version, gpu: Version) -> bool:
    if version in TEGRA or gpu in TEGRA:
        return version == gpu
    return version[0] == gpu[0] and version[1] <= gpu[1]


def _number(version: Version) -> str:
    return f"{version[0]}{version[1]}"


def cmake_architectures(text: str) -> list[str]:
    """Return the architectures of a list as CMake takes it, in which "90" is code and PTX."""
    chosen: list[str] = []
    for item in text.split(";"):
        match = re.fullmatch(r"(\d+[af]?)(-real|-virtual)?", item)
        if match is None:
            fail(
                f"CMAKE_CUDA_ARCHITECTURES has {item!r}: expected native, all-major, or items "
                "such as 90, 90-real, 90-virtual"
            )
        number, kind = match.groups()
        chosen += [item] if kind else [f"{number}-real", f"{number}-virtual"]
    return list(dict.fromkeys(chosen))


def torch_architectures(text: str) -> list[str]:
    """Turn a TORCH_CUDA_ARCH_LIST ("8.0;9.0+PTX", "Hopper") into CMake's architectures.

    Architectures before 7.5, which such lists often hold, are left out.
    """
    items: list[str] = []
    for item in re.split(r"[;,\s]+", text.strip("; ,\t\n")):
        items += ARCHITECTURE_NAMES.get(item.lower(), item).split(";")
    chosen: list[str] = []
    for item in items:
        match = re.fullmatch(r"(\d+)\.(\d)([af]?)(\+PTX)?", item, re.IGNORECASE)
        if match is None:
            fail(f"TORCH_CUDA_ARCH_LIST has {item!r}: expected items such as 9.0, 9.0+PTX, Hopper")
        major, minor, suffix, ptx = match.groups()
        if (int(major), int(minor)) >= FIRST_ARCHITECTURE:
            number = f"{major}{minor}{suffix.lower()}"
            chosen += [f"{number}-real"] + ([f"{number}-virtual"] if ptx else [])
    if not chosen:
        fail(f"TORCH_CUDA_ARCH_LIST={text!r} has no architecture from 7.5 up")
    return list(dict.fromkeys(chosen))
