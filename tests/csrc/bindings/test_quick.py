"""The short way of ordinary tensors: the same fill as the long one, or nothing at all."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from core import _C, INSTRUCTION_SETS, KEY, draw, every_dtype, quick, same_bits
from winit_cuda._core.target import DOUBTS, ORDINARY, exchange, place_of

pytestmark = pytest.mark.skipif(exchange is None, reason="torch 2.10 has the interface")

LAWS = [
    ("uniform", (0.0, 1.0)),
    ("uniform", (0.1, 0.3)),
    ("uniform", (-1, 1)),
    ("normal", (0.5, 0.02)),
    ("normal", (0, 0.0)),
    ("trunc_normal", (0.0, 1.0, -2.0, 2)),
    ("trunc_normal", (0.0, 1.0, 1.5, 2.0)),
]
every_law = pytest.mark.parametrize("law", LAWS, ids=str)
INFINITY, NAN = math.inf, math.nan


@every_law
@every_dtype
def test_as_the_long_way(law, dtype):
    name, numbers = law
    for count in (1, 5, 64, 1023, 1024, 1025, 100_001):
        memory = torch.full((count + 9,), 0.25).to(dtype)
        assert quick(name, memory[7 : 7 + count], numbers) is True
        assert same_bits(memory[7 : 7 + count], draw(name, count, dtype, *numbers))
        for beside in (memory[:7], memory[7 + count :]):
            assert (beside.double() == 0.25).all()


@pytest.mark.parametrize("place", INSTRUCTION_SETS, ids=lambda place: place.name)
def test_by_every_instruction_set(place):
    found = torch.empty(777)
    _C.set_simd(place.simd)
    assert quick("normal", found, (0.0, 1.0)) is True
    _C.set_simd(None)
    assert same_bits(found, draw("normal", 777, torch.float32, 0, 1))


@pytest.mark.parametrize("count", [10, 5000])
def test_who_names_the_key(count):
    expected = draw("uniform", count, torch.float32, 0, 1)
    cell = np.array(KEY, dtype=np.uint64)
    address = cell.ctypes.data
    for words in ((address, 1, 2), (lambda: KEY, 1, 2), (lambda: None, address, 2)):
        found = torch.empty(count)
        assert quick("uniform", found, (0.0, 1.0), words) is True
        assert same_bits(found, expected)


@pytest.mark.parametrize(
    ("law", "dtype", "numbers"),
    [("normal", torch.float32, (0.0, 1e-40)), ("uniform", torch.float64, (0.0, 1e-310))],
)
def test_flushing_denormals_changes_nothing(law, dtype, numbers):
    expected, found = draw(law, 100, dtype, *numbers), torch.empty(100, dtype=dtype)
    assert expected.count_nonzero() > 90
    if not torch.set_flush_denormal(True):
        pytest.skip("cannot flush denormals here")
    try:
        assert quick(law, found, numbers) is True
    finally:
        torch.set_flush_denormal(False)
    assert same_bits(found, expected)


def test_who_is_told():
    told = []
    tensor, other = torch.nn.Parameter(torch.empty(3, 4)), torch.empty(3, 4).t()
    assert quick("normal", tensor, (0.0, 1.0), written=told.append) is True
    assert len(told) == 1
    assert type(told[0]) is tuple
    assert told[0][0] is tensor
    assert quick("normal", other, (0.0, 1.0), written=told.append) is None
    assert len(told) == 1


def assert_left_alone(law, tensor, numbers):
    """Nothing is written, and no key drawn."""
    drawn = []
    before = tensor.clone() if type(tensor) is torch.Tensor else None
    found = quick(law, tensor, numbers, (lambda: drawn.append(1) or KEY, 0, 0))
    assert found == place_of(tensor)
    assert not drawn
    assert before is None or torch.equal(tensor, before)


class Subclass(torch.Tensor):
    pass


@every_law
def test_other_tensors_are_left_alone(law):
    for other in (
        torch.zeros(4, 3).t(),
        torch.zeros(1, 4).expand(3, 4),
        torch.zeros(3, 0),
        torch.zeros(3, dtype=torch.int32),
        torch.zeros(3)._neg_view(),
        torch.zeros(3).as_subclass(Subclass),
        [1.0],
        None,
    ):
        assert_left_alone(law[0], other, law[1])


@pytest.mark.parametrize(
    ("law", "numbers"),
    [
        ("uniform", (1.0, 1.0)),
        ("uniform", (1.0, 0.0)),
        ("uniform", (0.0, INFINITY)),
        ("uniform", (NAN, 1.0)),
        ("uniform", (0.0, NAN)),
        ("uniform", (0.0, 3.5e38)),
        ("uniform", (-3.5e38, 0.0)),
        ("uniform", (1 + 2**-30, 1 + 2**-29)),  # no float32 in between
        ("uniform", (0.0, 10**400)),
        ("uniform", (True, 2.0)),
        ("uniform", ("0", 1.0)),
        ("uniform", (None, 1.0)),
        ("uniform", (0.0, np.float64(1.0))),
        ("uniform", [0.0, 1.0]),
        ("uniform", (0.0,)),
        ("uniform", (0.0, 1.0, 2.0)),
        ("normal", (0.0, -1.0)),
        ("normal", (0.0, NAN)),
        ("normal", (NAN, 1.0)),
        ("normal", (INFINITY, 1.0)),
        ("normal", (0.0, INFINITY)),
        ("normal", (0.0, 6e37)),
        ("normal", (-3.4e38, 1e37)),
        ("trunc_normal", (0.0, 0.0, -2.0, 2.0)),
        ("trunc_normal", (0.0, -1.0, -2.0, 2.0)),
        ("trunc_normal", (0.0, 1.0, 2.0, 2.0)),
        ("trunc_normal", (0.0, 1.0, 3.0, 2.0)),
        ("trunc_normal", (0.0, 1.0, -INFINITY, 2.0)),
        ("trunc_normal", (0.0, 1.0, -2.0, INFINITY)),
        ("trunc_normal", (NAN, 1.0, -2.0, 2.0)),
        ("trunc_normal", (0.0, INFINITY, -2.0, 2.0)),
        ("trunc_normal", (0.0, 1.0, 1 + 2**-30, 1 + 2**-29)),
    ],
    ids=str,
)
def test_other_numbers_are_left_alone(law, numbers):
    assert_left_alone(law, torch.full((4,), 7.0), numbers)


@every_dtype
def test_what_the_dtype_does_not_hold(dtype):
    largest, tensor = torch.finfo(dtype).max, torch.zeros(8).to(dtype)
    assert quick("uniform", tensor, (-largest / 2, largest)) is True
    assert quick("normal", tensor, (0.0, largest / 6.41)) is True
    if dtype != torch.float64:
        assert_left_alone("uniform", tensor, (0.0, largest * 1.01))
    assert_left_alone("normal", tensor, (0.0, largest / 6.39))


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ((0, -1, 0), OverflowError),
        ((0, 1 << 64, 0), OverflowError),
        ((0, None, 0), TypeError),
        ((0, 0, "0"), TypeError),
        ((0, 0), TypeError),
        ([0, 0, 0], TypeError),
        (("key", 0, 0), TypeError),
    ],
)
def test_wrong_words(words, error):
    untouched = torch.full((4,), 7.0)
    with pytest.raises(error):
        quick("uniform", untouched, (0.0, 1.0), words)
    assert (untouched == 7).all()


@pytest.mark.parametrize("failing", ["draw", "threads", "written"])
def test_errors_of_what_it_calls(failing):
    def fail(*_):
        raise LookupError

    def run(count, **calls):
        words = (calls.get("draw", lambda: KEY), 0, 0)
        made = {"threads": int, "written": id} | calls
        function = _C.quick("uniform", exchange, ORDINARY, DOUBTS, made["threads"], made["written"])
        with pytest.raises(LookupError):
            function(torch.empty(count), words, (0.0, 1.0))

    run(100_000 if failing == "threads" else 4, **{failing: fail})


def test_laws_have_it():
    assert set(_C.LAWS) == {law for law, _ in LAWS}
    with pytest.raises(ValueError, match="no law of the name 'sparse'"):
        _C.quick("sparse", exchange, ORDINARY, DOUBTS, int, id)
