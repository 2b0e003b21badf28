"""Whether the core's kernels run on a CUDA device; where they do not, why, and what helps.

What must hold, as CUDA has it:

- The driver is CUDA 12.1 or later. Older ones launch no kernel whose parameters are longer than
  4 KB, as those of lists of tensors and of one-sided truncated laws are.
- The driver is of the major version that the core was built with, or later. Within a major version
  it may be older: binary code runs, and the core calls nothing of the runtime that is new.
- The core has binary code for the device, or PTX that the driver compiles: what a CUDA no newer
  than the driver has made.
"""

from __future__ import annotations

from typing import Any

import torch

_OLDEST_DRIVER = 12010


def problem(core: Any, index: int) -> str | None:
    """Why the core does not serve CUDA device `index`; None where it does."""
    build = core.build_info()
    if not build["cuda"]:
        return "the native core was built without CUDA"
    if torch.version.hip is not None:
        return "this torch runs on ROCm, the native core on CUDA"
    status = core.cuda_status()
    return (
        _driver_problem(status)
        or _count_problem(index, status)
        or _architecture_problem(torch.cuda.get_device_capability(index), build, status)
    )


def _driver_problem(status: dict[str, Any]) -> str | None:
    """Why the driver does not do for the core, and what would."""
    driver, runtime, error = status["driver"], status["runtime"], status["error"]
    reason = f" ({error})" if error else ""
    if driver == 0:
        return (
            f"the native core, built with CUDA {version_name(runtime)}, finds no NVIDIA "
            f"driver{reason}: install one of CUDA {version_name(runtime)} or later"
        )
    knows = f"the NVIDIA driver knows CUDA {version_name(driver)}"
    if driver < _OLDEST_DRIVER:
        return (
            f"{knows}{reason}, and the native core needs {version_name(_OLDEST_DRIVER)} or later: "
            "update the driver, to 530 or later"
        )
    if driver // 1000 < runtime // 1000:
        return (
            f"{knows}, and the native core was built with {version_name(runtime)}{reason}: update "
            f"the driver, or build winit_cuda with nvcc {driver // 1000}.x, "
            f"at best no later than {version_name(driver)}"
        )
    if error:
        return (
            f"the CUDA runtime of the native core ({version_name(runtime)}; the driver knows "
            f"{version_name(driver)}) sees no device: {error}"
        )
    return None


def _count_problem(index: int, status: dict[str, Any]) -> str | None:
    if index < status["devices"]:
        return None
    return (
        f"the CUDA runtime of the native core sees no cuda:{index}, as torch does, but "
        f"{status['devices']} devices: CUDA_VISIBLE_DEVICES must not change after the first use"
    )


def _architecture_problem(
    capability: tuple[int, int], build: dict[str, Any], status: dict[str, Any]
) -> str | None:
    """Why no code of the core runs on a device of this capability.

    A driver runs the binary code of every CUDA of its major version, but compiles the PTX of none
    that is newer than itself.
    """
    built = build["cuda_architectures"]
    usable = [name for name in built if runs_on(name, capability)]
    shown = f"{capability[0]}.{capability[1]}"
    if not usable:
        return f"the native core was built for {', '.join(built)}, not for its architecture {shown}"
    major, minor = map(int, build["cuda_version"].split("."))
    needs_compiler = all(name.endswith("+PTX") for name in usable)
    if needs_compiler and status["driver"] < 1000 * major + 10 * minor:
        return (
            f"for its architecture {shown} the native core has only PTX of CUDA {major}.{minor}, "
            f"and the NVIDIA driver compiles it up to {version_name(status['driver'])}: update the "
            f"driver, or build winit_cuda with CMAKE_CUDA_ARCHITECTURES="
            f"{capability[0]}{capability[1]}-real"
        )
    return None


def runs_on(architecture: str, capability: tuple[int, int]) -> bool:
    """Whether code for an architecture runs on a device of this compute capability.

    Binary code ("90") runs on devices of its major version that are not older, code with features
    of one architecture ("90a") on that one only, PTX ("90+PTX") on every device that is not older.
    Tegra and the other devices of its major version do not run each other's binary code.
    """
    number = int("".join(filter(str.isdigit, architecture)))
    major, minor = divmod(number, 10)
    if architecture.endswith("+PTX"):
        return capability >= (major, minor)
    tegra = {(8, 7), (10, 1)}
    if architecture.endswith(("a", "f")) or not tegra.isdisjoint({(major, minor), capability}):
        return capability == (major, minor)
    return capability[0] == major and capability[1] >= minor


def version_name(version: int) -> str:
    """A version as CUDA counts it, as people write it: 12040 is 12.4."""
    return f"{version // 1000}.{version % 1000 // 10}"
