"""Long runs: the values of one element after the other, however many are made together."""

from __future__ import annotations

import pytest
import torch

from core import INSTRUCTION_SETS, Place, draw, same_bits

PORTABLE = next(place for place in INSTRUCTION_SETS if place.name == "portable")
LAWS = [
    ("uniform", (0.0, 1.0)),
    ("normal", (0.0, 1.0)),
    ("normal", (0.0, 1e-38)),  # made larger, and scaled down
    ("trunc_normal", (0.0, 1.0, -2.0, 2.0)),  # no element far out in the quantile's table,
    ("trunc_normal", (0.0, 1.0, -4.0, 4.0)),  # one in 256,
    ("trunc_normal", (0.0, 1.0, -9.0, 9.0)),
    ("trunc_normal", (0.3, 1.0, -2.9, 4.0)),  # some of one half,
    ("trunc_normal", (0.0, 1.0, 3.0, 4.0)),  # or a table of its own
]

every_isa = pytest.mark.parametrize("place", INSTRUCTION_SETS, ids=lambda place: place.name)
every_law = pytest.mark.parametrize("law", LAWS, ids=str)


@every_isa
@every_law
@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float8_e5m2], ids=str
)
def test_a_run_of_many_chunks(dtype: torch.dtype, law: tuple, place: Place) -> None:
    name, numbers = law
    expected = draw(name, 1 << 16, dtype, *numbers, place=PORTABLE)
    for count in (1 << 16, 40_000, 64 * 5, 64 * 4, 64 * 3, 130):
        assert same_bits(draw(name, count, dtype, *numbers, place=place), expected[:count])


@every_isa
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("law", LAWS[1:4:2], ids=str)
def test_a_run_written_around_the_caches(law: tuple, dtype: torch.dtype, place: Place) -> None:
    name, numbers = law
    count = (8 << 20) // dtype.itemsize + 64 * 3 + 5
    expected = draw(name, count, dtype, *numbers, place=PORTABLE)
    assert same_bits(draw(name, count, dtype, *numbers, place=place), expected)
