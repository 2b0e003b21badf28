"""The calls that fill by one law: wrong arguments raise, and nothing is written."""

from __future__ import annotations

import pytest
import torch

from winit_cuda import _C

LAWS = {"uniform": (0.0, 1.0), "normal": (0.0, 1.0), "trunc_normal": (0.0, 1.0, -2.0, 2.0)}
every_law = pytest.mark.parametrize("law", LAWS)
# pointer, dtype, numel, box, device, cuda_stream, threads, key_pointer, seed, stream
COMMON = 10


def arguments_for(view, law):
    return [view.data_ptr(), 0, view.numel(), None, -1, 0, 1, 0, 1, 2, *LAWS[law]]


@every_law
@pytest.mark.parametrize(
    ("place", "wrong", "error"),
    [
        (0, "address", TypeError),
        (1, "float32", TypeError),
        (1, 6, ValueError),
        (1, 1 << 40, ValueError),
        (1, 1 << 70, OverflowError),
        (2, 4.0, TypeError),
        (3, 7, TypeError),
        (3, ((4,), (1,), (1,)), IndexError),
        (3, ((5,), (1,), (1,), 0), ValueError),
        (4, None, TypeError),
        (6, "2", TypeError),
        (8, -1, OverflowError),
        (8, 1 << 64, OverflowError),
        (9, 2.0, TypeError),
        (COMMON, "0", TypeError),
        (COMMON + 1, None, TypeError),
    ],
)
def test_wrong_arguments(law, place, wrong, error):
    untouched = torch.full((4,), 7.0)
    arguments = arguments_for(untouched, law)
    arguments[place] = wrong
    with pytest.raises(error):
        getattr(_C, law)(*arguments)
    assert (untouched == 7).all()


@every_law
def test_number_of_arguments(law):
    untouched = torch.full((4,), 7.0)
    arguments = arguments_for(untouched, law)
    for wrong in ([], arguments[:-1], [*arguments, 1.0]):
        with pytest.raises(TypeError, match=f"{law} takes {len(arguments)} arguments, not"):
            getattr(_C, law)(*wrong)
    assert (untouched == 7).all()


@every_law
def test_there_are_no_names_for_arguments(law):
    with pytest.raises(TypeError, match="keyword"):
        getattr(_C, law)(pointer=0)


def test_no_value_in_the_interval():
    untouched = torch.full((4,), 7.0)
    arguments = arguments_for(untouched, "uniform")
    arguments[COMMON:] = 1.0, 1.0
    with pytest.raises(ValueError, match="there is no float32 value in"):
        _C.uniform(*arguments)
    assert (untouched == 7).all()
