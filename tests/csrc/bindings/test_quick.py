"""The short calls for small tensors: the same fill as the long ones, and the same errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from core import CODES, INSTRUCTION_SETS, KEY, draw, every_dtype, same_bits
from winit_cuda import _C

LAWS = [
    ("uniform", (0.0, 1.0)),
    ("uniform", (0.1, 0.3)),
    ("normal", (0.5, 0.02)),
    ("trunc_normal", (0.0, 1.0, -2.0, 2.0)),
]
every_law = pytest.mark.parametrize("law", LAWS, ids=str)


def quick(law, view, *numbers, key_pointer=0, key=KEY, threads=2):
    function = getattr(_C, f"quick_{law}")
    function(view.data_ptr(), CODES[view.dtype], view.numel(), threads, key_pointer, *key, *numbers)
    return view


@every_law
@every_dtype
def test_as_the_long_call(law, dtype):
    name, numbers = law
    for count in (0, 1, 5, 64, 1023, 1024, 1025, 100_001):
        memory = torch.full((count + 9,), 0.25).to(dtype)
        quick(name, memory[7 : 7 + count], *numbers)
        assert same_bits(memory[7 : 7 + count], draw(name, count, dtype, *numbers))
        for beside in (memory[:7], memory[7 + count :]):
            assert (beside.double() == 0.25).all()


@pytest.mark.parametrize("place", INSTRUCTION_SETS, ids=lambda place: place.name)
def test_by_every_instruction_set(place):
    _C.set_simd(place.simd)
    found = quick("normal", torch.empty(777), 0.0, 1.0)
    _C.set_simd(None)
    assert same_bits(found, draw("normal", 777, torch.float32, 0, 1))


def test_key_in_memory():
    cell = np.array(KEY, dtype=np.uint64)
    for count in (10, 5000):
        expected = draw("uniform", count, torch.float32, 0, 1)
        pointer = cell.ctypes.data
        found = quick("uniform", torch.empty(count), 0.0, 1.0, key=(1, 2), key_pointer=pointer)
        assert same_bits(found, expected)


def test_flushing_denormals_changes_nothing():
    expected = draw("normal", 100, torch.float32, 0, 1e-40)
    if not torch.set_flush_denormal(True):
        pytest.skip("cannot flush denormals here")
    try:
        found = quick("normal", torch.empty(100), 0.0, 1e-40)
    finally:
        torch.set_flush_denormal(False)
    assert same_bits(found, expected)


@pytest.mark.parametrize("law", ["uniform", "normal"])
@pytest.mark.parametrize(
    ("place", "wrong", "error"),
    [
        (0, "address", TypeError),
        (1, 6, ValueError),
        (1, -1, ValueError),
        (1, "float32", TypeError),
        (2, 4.5, TypeError),
        (5, -1, OverflowError),
        (5, 1 << 64, OverflowError),
        (6, None, TypeError),
        (7, "0", TypeError),
        (8, None, TypeError),
    ],
)
def test_wrong_arguments(law, place, wrong, error):
    untouched = torch.full((4,), 7.0)
    arguments = [untouched.data_ptr(), 0, 4, 1, 0, 1, 2, 0.0, 1.0]
    arguments[place] = wrong
    with pytest.raises(error):
        getattr(_C, f"quick_{law}")(*arguments)
    assert (untouched == 7).all()


@pytest.mark.parametrize("count", [0, 8, 10])
def test_number_of_arguments(count):
    with pytest.raises(TypeError, match=f"takes 9 arguments, not {count}"):
        _C.quick_uniform(*range(count))


def test_no_value_in_the_interval():
    untouched = torch.full((4,), 7.0)
    with pytest.raises(ValueError, match="there is no float32 value in"):
        quick("uniform", untouched, 1.0, 1.0)
    assert (untouched == 7).all()
