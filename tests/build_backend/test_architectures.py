"""For which GPUs is compiled: said by the environment, seen on this machine, or all."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from build_backend.architectures import (
    choose_architectures,
    known_architectures,
    torch_architectures,
)
from machine import program

if TYPE_CHECKING:
    from pathlib import Path

CUDA_13 = "75 80 86 87 88 89 90 100 110 103 120 121"
CUDA_12_8 = "50 52 53 60 61 62 70 72 75 80 86 87 89 90 100 101 120"
CUDA_12_4 = "50 52 53 60 61 62 70 72 75 80 86 87 89 90"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="nvcc is a shell script here")


def nvcc(folder: Path, numbers: str) -> str:
    listing = "\n".join(f"echo compute_{number}" for number in numbers.split())
    return str(program(folder, "nvcc", listing))


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        (CUDA_13, "75-real 80-real 90-real 100-real 110-real 120-real 120-virtual"),
        (CUDA_12_8, "75-real 80-real 90-real 100-real 120-real 120-virtual"),
        (CUDA_12_4, "75-real 80-real 90-real 90-virtual"),
    ],
)
def test_every_major_architecture_where_no_gpu_is(
    tmp_path: Path, numbers: str, expected: str
) -> None:
    assert choose_architectures({}, nvcc(tmp_path, numbers), ()) == expected.split()


@pytest.mark.parametrize(
    ("numbers", "gpus", "expected"),
    [
        (CUDA_13, [(9, 0)], "90-real 90-virtual"),
        (CUDA_13, [(7, 5), (8, 9)], "75-real 89-real 89-virtual"),
        (CUDA_13, [(12, 1)], "121-real 121-virtual"),
        # Newer than nvcc: the newest code of its major version, or nothing but PTX.
        (CUDA_12_8, [(12, 1)], "120-real 120-virtual"),
        (CUDA_12_8, [(10, 3)], "100-real 100-virtual"),
        (CUDA_12_4, [(8, 6), (12, 0)], "86-real 90-virtual"),
        # Tegra's code is for itself.
        (CUDA_13, [(8, 7)], "87-real 87-virtual"),
        ("75 80 86 90", [(8, 7)], "86-virtual"),
        ("75 80 86 87 90", [(8, 9)], "86-real 86-virtual"),
        # Older than anything that is served.
        (CUDA_12_4, [(6, 1)], "75-real 80-real 90-real 90-virtual"),
        (CUDA_12_4, [(6, 1), (8, 0)], "80-real 80-virtual"),
    ],
)
def test_the_gpus_that_are_here(
    tmp_path: Path, numbers: str, gpus: list[tuple[int, int]], expected: str
) -> None:
    assert choose_architectures({}, nvcc(tmp_path, numbers), tuple(gpus)) == expected.split()


def test_the_environment_overrides(tmp_path: Path) -> None:
    compiler, gpus = nvcc(tmp_path, "80 86 90"), ((8, 6),)
    environment: dict[str, str] = {"TORCH_CUDA_ARCH_LIST": " ", "CMAKE_CUDA_ARCHITECTURES": ""}

    def chosen() -> str:
        return " ".join(choose_architectures(environment, compiler, gpus))

    assert chosen() == "86-real 86-virtual"
    environment["TORCH_CUDA_ARCH_LIST"] = "8.0"
    assert chosen() == "80-real"
    environment["CMAKE_CUDA_ARCHITECTURES"] = "90a-real;100"
    assert chosen() == "90a-real 100-real 100-virtual"
    environment["CMAKE_CUDA_ARCHITECTURES"] = "native"
    assert chosen() == "86-real 86-virtual"
    environment["CMAKE_CUDA_ARCHITECTURES"] = "all-major"  # of a wheel for other machines
    assert chosen() == "80-real 90-real 90-virtual"


@pytest.mark.parametrize("text", ["all", "OFF", "90;", "9.0", "sm_90", "80;native"])
def test_other_words_of_cmake_are_refused(tmp_path: Path, text: str) -> None:
    """The core must know for which GPUs it was compiled."""
    with pytest.raises(SystemExit, match="CMAKE_CUDA_ARCHITECTURES has "):
        choose_architectures({"CMAKE_CUDA_ARCHITECTURES": text}, nvcc(tmp_path, CUDA_13), ())


def test_native_needs_a_gpu(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="=native, but no GPU is visible"):
        choose_architectures({"CMAKE_CUDA_ARCHITECTURES": "native"}, nvcc(tmp_path, CUDA_13), ())


def test_a_failing_nvcc_is_quoted(tmp_path: Path) -> None:
    failing = str(program(tmp_path, "nvcc", "echo 'nvcc fatal: no license' >&2; exit 3"))
    with pytest.raises(SystemExit, match="exit status 3:\nnvcc fatal: no license"):
        known_architectures(failing)


def test_an_nvcc_without_a_known_architecture_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"no architecture from 7.5 up, only \['compute_70'\]"):
        known_architectures(nvcc(tmp_path, "70"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8.0;9.0+PTX", "80-real 90-real 90-virtual"),
        ("6.0 7.0 7.5, 8.0", "75-real 80-real"),
        ("9.0a 12.0", "90a-real 120-real"),
        ("Ampere;Hopper;9.0", "80-real 86-real 86-virtual 90-real 90-virtual"),
        (" Turing; ", "75-real 75-virtual"),
    ],
)
def test_torch_cuda_arch_list(text: str, expected: str) -> None:
    assert torch_architectures(text) == expected.split()


@pytest.mark.parametrize("text", ["sm_90", "9", "Fermi", "6.1;7.0", "8.0+SASS"])
def test_torch_cuda_arch_list_says_no(text: str) -> None:
    with pytest.raises(SystemExit, match="TORCH_CUDA_ARCH_LIST"):
        torch_architectures(text)
