"""What is measured: every initializer, shapes and sizes."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch
from winit_cuda.benchmarks import cases
from winit_cuda.benchmarks.goals import Goal

from measurements import fill as case


def test_every_initializer_of_torch_is_measured() -> None:
    in_torch = {name for name in dir(torch.nn.init) if re.fullmatch(r"[a-z]\w*_", name)}
    assert set(cases.INITIALIZERS) == in_torch


@pytest.mark.parametrize("name", cases.INITIALIZERS)
def test_shapes_have_the_size(name: str) -> None:
    for exponent in range(4, 27):
        shape = case(name, exponent).shape
        assert torch.Size(shape).numel() == 1 << exponent
        assert case(name, exponent).numel == 1 << exponent
    assert case("normal_", 9).shape == (16, 32)


@pytest.mark.parametrize(("text", "exponent"), [("2^4", 4), ("16777216", 24), ("2^31", 31)])
def test_sizes_are_powers_of_two(text: str, exponent: int) -> None:
    assert cases.parse_size(text) == exponent


@pytest.mark.parametrize("text", ["", "0", "-16", "8", "100", "2^3", "2^", "2^999", "3^4", "x"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(text))):
        cases.parse_size(text)


def test_goals_are_for_all_threads_of_the_cpu() -> None:
    large = case("normal_", 24, threads=2, isa="avx512")
    assert cases.goal(large, all_threads=2) == Goal(12, 0.5)
    assert cases.goal(replace(large, isa="avx2"), all_threads=2) == Goal(5.5)
    assert cases.goal(replace(large, isa=""), all_threads=2) is None
    assert cases.goal(replace(large, threads=1), all_threads=2) is None
    assert cases.goal(replace(large, exponent=20), all_threads=2) is None
    assert cases.goal(replace(large, exponent=4), all_threads=2) == Goal(1.1)
    assert cases.goal(replace(large, exponent=4, dtype="bfloat16"), all_threads=2) is None
    assert cases.goal(replace(large, device="cuda", threads=1), all_threads=1) is None


@pytest.mark.parametrize(("numel", "text"), [(1, "2^0"), (4096, "2^12"), (1000, "1,000")])
def test_sizes_in_words(numel: int, text: str) -> None:
    assert cases.elements(numel) == text
