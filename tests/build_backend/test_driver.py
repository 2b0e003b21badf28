"""The driver, asked through a library that answers as NVIDIA's does."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from build_backend.driver import Driver, find_driver
from machine import driver_library

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def compiler() -> str:
    return shutil.which("cc") or shutil.which("gcc") or pytest.skip("needs a C compiler")


@pytest.mark.parametrize(
    ("cuda", "gpus", "driver"),
    [
        (13000, "90", Driver((13, 0), ((9, 0),))),
        (12040, "120,75,75", Driver((12, 4), ((7, 5), (12, 0)))),
        (13100, "0", Driver((13, 10), ())),
    ],
)
def test_the_driver_answers(
    compiler: str, tmp_path: Path, cuda: int, gpus: str, driver: Driver
) -> None:
    assert find_driver(driver_library(compiler, tmp_path, cuda, gpus)) == driver


def test_the_stub_of_a_toolkit_is_no_driver(compiler: str, tmp_path: Path) -> None:
    assert find_driver(driver_library(compiler, tmp_path, 13000, "90", status=34)) is None


def test_no_library_is_no_driver(tmp_path: Path) -> None:
    assert find_driver(str(tmp_path / "libcuda.so.1")) is None
