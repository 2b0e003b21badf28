"""nvcc: the one of this machine, the one that pip installed, and what pip would have to install.

NVIDIA puts its compiler on PyPI from CUDA 13.0 on. The packages of CUDA 12 (`-cu12`) have ptxas,
but neither nvcc nor, at first, the static runtime, so they cannot build anything.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .driver import Driver, Version

OLDEST: Version = (12, 1)
"""Kernels with more than 4 KB of parameters compile from here on."""

OLDEST_ON_PYPI: Version = (13, 0)

# What is compiled with, and the file of each package that shows it is there, in the one folder
# that they share. nvcc asks for the others, but not in its own version, and a mixture fails.
PACKAGES = {
    "nvidia-cuda-nvcc": "bin/nvcc",
    "nvidia-cuda-crt": "include/crt/host_config.h",
    "nvidia-cuda-runtime": "lib/libcudart_static.a",
    "nvidia-nvvm": "nvvm/bin/cicc",
}


class Nvcc(NamedTuple):
    """A CUDA compiler."""

    path: str
    version: Version | None
    """None where it does not tell; compiling with it then tells why."""
    from_pypi: bool = False

    @property
    def too_old(self) -> bool:
        """Whether its CUDA is known to be older than the code needs."""
        return self.version is not None and self.version < OLDEST

    @property
    def libraries(self) -> Path | None:
        """The folder of the static runtime, where nvcc itself may not look for it.

        The nvcc of PyPI's CUDA 13.0 looks in lib64, but the package of the runtime has lib.
        """
        return Path(self.path).parents[1] / "lib" if self.from_pypi else None

    def __str__(self) -> str:
        name = f"nvcc {show(self.version)}" if self.version else "nvcc"
        return f"{name} from PyPI" if self.from_pypi else f"{name} ({self.path})"


def show(version: Version) -> str:
    """Return "12.4" for (12, 4)."""
    return ".".join(map(str, version))


def system_nvccs(environment: Mapping[str, str], default: str) -> Iterator[Nvcc]:
    """Yield the nvcc of CUDA_HOME, CUDA_PATH, PATH and the default place, where there is one."""
    homes = [environment[name] for name in ("CUDA_HOME", "CUDA_PATH") if environment.get(name)]
    in_homes = [str(Path(home) / "bin") for home in homes]
    for path in (*in_homes, environment.get("PATH", ""), str(Path(default) / "bin")):
        found = shutil.which("nvcc", path=path) if path else None
        if found:
            yield Nvcc(found, _version(found))


def installed_nvcc() -> Nvcc | None:
    """Return the nvcc of PyPI's packages, where all of them are in this Python environment."""
    try:
        files = distribution("nvidia-cuda-nvcc").files or ()
    except PackageNotFoundError:
        return None
    for file in files:
        root = Path(str(file.locate())).parents[1]
        if file.parts[-2:] == ("bin", "nvcc") and all(
            (root / name).is_file() for name in PACKAGES.values()
        ):
            nvcc = str(root / "bin" / "nvcc")
            return Nvcc(nvcc, _version(nvcc), from_pypi=True)
    return None


def _version(nvcc: str) -> Version | None:
    told = subprocess.run([nvcc, "--version"], capture_output=True, text=True).stdout
    match = re.search(r"release (\d+)\.(\d+)", told)
    return (int(match[1]), int(match[2])) if match else None


def why_not_from_pypi(driver: Driver | None) -> str | None:
    """Say why PyPI has no nvcc for this machine; None where it has one."""
    machine = platform.machine()
    glibc = platform.libc_ver()[0] == "glibc"
    if sys.platform != "linux" or machine not in ("x86_64", "aarch64") or not glibc:
        return f"PyPI has no nvcc for this machine ({sys.platform}, {machine})"
    if driver is not None and driver.cuda < OLDEST_ON_PYPI:
        return (
            f"the NVIDIA driver takes CUDA up to {show(driver.cuda)}, PyPI has nvcc from "
            f"{show(OLDEST_ON_PYPI)} on: install a CUDA toolkit from {show(OLDEST)} up that the "
            "driver takes, or a newer driver"
        )
    return None


def requirements(driver: Driver | None) -> tuple[str, ...]:
    """Return what pip has to install: one version of every package, none newer than the driver.

    PTX of a newer CUDA would not load. Without a driver, the newest that the project knows.
    """
    end = (14, 0)
    if driver is not None:
        end = min(end, (driver.cuda[0], driver.cuda[1] + 1))
    return tuple(f"{name}>={show(OLDEST_ON_PYPI)},<{show(end)}" for name in PACKAGES)
