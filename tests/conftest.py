"""Test setup: test the installed package, skip what needs a GPU where there is none.

The repository's root holds a folder winit_cuda without the compiled core. `python -m pytest` puts
the root first on sys.path, where that folder would hide the installed package and every test of
the core would fail or, worse, pass on ATen. So the root is taken off the path before winit_cuda
is first imported. An editable install is found all the same.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
import sysconfig
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent
CORE = f"_C{sysconfig.get_config_var('EXT_SUFFIX')}"


def _take_root_off_the_path() -> None:
    with_root = list(sys.path)
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]
    if importlib.util.find_spec("winit_cuda") is None:  # run from the source tree, not installed
        sys.path[:] = with_root
    else:
        os.environ["PYTHONSAFEPATH"] = "1"  # the same for the processes that tests start


def _check_origin() -> None:
    spec = importlib.util.find_spec("winit_cuda")
    if spec is None or spec.origin is None:
        raise pytest.UsageError("winit_cuda is not installed: pip install '.[test]'")
    source = ROOT / "winit_cuda"
    if Path(spec.origin).parent == source and not (source / CORE).exists():
        with contextlib.suppress(PackageNotFoundError):
            installed = Path(str(distribution("winit_cuda").locate_file("winit_cuda/__init__.py")))
            if installed.is_file():
                raise pytest.UsageError(
                    f"winit_cuda comes from {source}, which has no compiled core, and hides the "
                    f"installed {installed.parent}: run `pytest` from the repository's root"
                )


_take_root_off_the_path()
_check_origin()


def pytest_configure() -> None:
    """Give every test the same number of threads, whatever the machine has."""
    torch.set_num_threads(2)


def _why_no_cuda() -> str | None:
    if not torch.cuda.is_available():
        return "torch finds no CUDA device"
    try:
        from winit_cuda import _C
    except ImportError:
        return "winit_cuda was built without its native core"
    return None if _C.build_info()["cuda"] else "the native core was built without CUDA"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests marked `cuda` where they cannot run."""
    marked = [item for item in items if item.get_closest_marker("cuda")]
    reason = _why_no_cuda() if marked else None
    for item in marked if reason else []:
        item.add_marker(pytest.mark.skip(reason=f"needs CUDA: {reason}"))
