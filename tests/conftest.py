"""Test setup: the same threads everywhere, and a skip for what needs a GPU where there is none."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch


def pytest_addoption(parser: pytest.Parser) -> None:
    """How many random calls tests/usage/test_fuzz.py makes, and which."""
    fuzz = parser.getgroup("random calls")
    fuzz.addoption("--fuzz-seed", type=int, help="another seed than the day's date")
    fuzz.addoption("--fuzz-first", type=int, default=0, help="the number of the first call")
    fuzz.addoption("--fuzz-calls", type=int, help="so many, in place of those of 10 seconds")


def pytest_configure() -> None:
    """Refuse a checkout in which nothing was built, and give every test the same threads."""
    found = find_spec("winit_cuda")
    if found is None or not Path(str(found.origin)).with_name("_build.json").is_file():
        raise pytest.UsageError("winit_cuda was not built here: pip install -e '.[test]'")
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
    marked = [(item, mark) for item in items if (mark := item.get_closest_marker("cuda"))]
    reason = _why_no_cuda() if marked else None
    for item, mark in marked if reason else []:
        only_there = "; ".join([*mark.args, str(reason)])
        item.add_marker(pytest.mark.skip(reason=f"needs CUDA: {only_there}"))
