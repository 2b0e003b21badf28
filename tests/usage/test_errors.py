"""Bad input: the right error, and the tensor, its version and the generator as they were."""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np
import pytest
import torch

import winit_cuda as winit
from initializers import Unchanged, needs_core

NAN, INF = math.nan, math.inf
FP8 = torch.float8_e5m2
META = torch.empty((), device="meta")
HUGE = 1e300

# (function, shape, arguments, error, what the message names)
CASES = [
    ("uniform_", (3, 4), {"a": NAN}, ValueError, "a must be finite"),
    ("uniform_", (3, 4), {"b": INF}, ValueError, "b must be finite"),
    ("uniform_", (3, 4), {"a": -INF}, ValueError, "a must be finite"),
    ("uniform_", (3, 4), {"a": 2.0}, ValueError, "a must be at most b"),
    ("uniform_", (3, 4), {"b": HUGE}, ValueError, "b must be at most"),
    ("uniform_", (3, 4), {"a": -HUGE}, ValueError, "a must be at most"),
    ("uniform_", (3, 4), {"a": 0.1, "b": 0.1 + 1e-12}, ValueError, "a and b must be an interval"),
    ("uniform_", (3, 4), {"a": "0"}, TypeError, "a must be a number"),
    ("uniform_", (3, 4), {"b": None}, TypeError, "b must be a number"),
    ("uniform_", (3, 4), {"b": 1j}, TypeError, "b must be a number"),
    ("uniform_", (3, 4), {"b": torch.ones(2)}, TypeError, "b must be a number"),
    ("normal_", (3, 4), {"std": -1}, ValueError, "std must be finite and at least 0"),
    ("normal_", (3, 4), {"std": NAN}, ValueError, "std must be finite and at least 0"),
    ("normal_", (3, 4), {"std": INF}, ValueError, "std must be finite and at least 0"),
    ("normal_", (3, 4), {"mean": NAN}, ValueError, "mean must be finite"),
    ("normal_", (3, 4), {"mean": -INF}, ValueError, "mean must be finite"),
    ("normal_", (3, 4), {"std": 1e38}, ValueError, "std must be at most 3.4028"),
    ("normal_", (3, 4), {"mean": HUGE}, ValueError, "must be at most 3.4028"),
    ("normal_", (3, 4), {"std": "1"}, TypeError, "std must be a number"),
    ("normal_", (3, 4), {"mean": 1j}, TypeError, "mean must be a number"),
    ("normal_", (3, 4), {"mean": torch.tensor(1j)}, TypeError, "mean must be a number"),
    ("normal_", (3, 4), {"std": np.array([0.5, 0.5])}, TypeError, "std must be a number"),
    ("normal_", (3, 4), {"std": 10**400}, ValueError, "std must be a number that a float holds"),
    ("normal_", (3, 4), {"mean": Decimal("sNaN")}, TypeError, "mean must be a number"),
    ("normal_", (3, 4), {"std": Decimal("NaN")}, ValueError, "std must be finite and at least 0"),
    ("normal_", (3, 4), {"std": META}, TypeError, "std must be a number"),
    ("constant_", (3, 4), {"val": 10**400}, ValueError, "val must be representable"),
    ("constant_", (3, 4), {"val": np.ones(2)}, TypeError, "val must be a number"),
    ("sparse_", (3, 4), {"sparsity": True}, TypeError, "sparsity must be a number, got True"),
    ("uniform_", (3, 4), {"a": np.array([0.5, 0.5])}, TypeError, "a must be a number"),
    (
        "sparse_",
        (3, 4),
        {"sparsity": 0.5, "std": np.array([1.0, 1.0])},
        TypeError,
        "std must be a number",
    ),
    ("kaiming_uniform_", (3, 4), {"a": 10**400}, ValueError, "a must be a number that a float"),
    ("kaiming_uniform_", (3, 4), {"nonlinearity": []}, ValueError, "nonlinearity must be one of"),
    ("normal_", (3, 4), {"mean": [0.0]}, TypeError, "mean must be a number"),
    ("trunc_normal_", (3, 4), {"std": -1.0}, ValueError, "std must be finite and at least 0"),
    ("trunc_normal_", (3, 4), {"std": NAN}, ValueError, "std must be finite and at least 0"),
    ("trunc_normal_", (3, 4), {"std": INF}, ValueError, "std must be finite and at least 0"),
    ("trunc_normal_", (3, 4), {"mean": NAN}, ValueError, "mean must be finite"),
    ("trunc_normal_", (3, 4), {"a": NAN}, ValueError, "a must be a number below infinity"),
    ("trunc_normal_", (3, 4), {"b": NAN}, ValueError, "b must be a number above -infinity"),
    ("trunc_normal_", (3, 4), {"a": INF, "b": INF}, ValueError, "a must be a number below"),
    ("trunc_normal_", (3, 4), {"a": -INF, "b": -INF}, ValueError, "b must be a number above"),
    ("trunc_normal_", (3, 4), {"std": 1e38, "b": INF}, ValueError, "must be at most 3.4028"),
    ("trunc_normal_", (3, 4), {"a": 3.0}, ValueError, "a must be at most b"),
    ("trunc_normal_", (3, 4), {"std": 1e39}, ValueError, "must be at most 3.4028"),
    ("trunc_normal_", (3, 4), {"mean": HUGE}, ValueError, "must be at most 3.4028"),
    ("trunc_normal_", (3, 4), {"a": 0.1, "b": 0.1 + 1e-12}, ValueError, "a and b must be"),
    ("trunc_normal_", (3, 4), {"b": "2"}, TypeError, "b must be a number"),
    ("constant_", (3, 4), {"val": 1e39}, ValueError, "val must be representable in torch.float32"),
    ("constant_", (3, 4), {"val": "1"}, TypeError, "val must be a number"),
    ("constant_", (3, 4), {"val": 1j}, TypeError, "val must be real"),
    ("eye_", (3,), {}, ValueError, "tensor must be of 2 dimensions, got shape (3,)"),
    ("eye_", (3, 3, 3), {}, ValueError, "tensor must be of 2 dimensions"),
    ("dirac_", (3, 3), {}, ValueError, "tensor must be of 3 to 5 dimensions"),
    ("dirac_", (2, 2, 2, 2, 2, 2), {}, ValueError, "tensor must be of 3 to 5 dimensions"),
    ("dirac_", (4, 2, 3), {"groups": 3}, ValueError, "groups must be a divisor of"),
    ("dirac_", (4, 2, 3), {"groups": 0}, ValueError, "groups must be at least 1, got 0"),
    ("dirac_", (4, 2, 3), {"groups": -1}, ValueError, "groups must be at least 1, got -1"),
    ("dirac_", (4, 2, 3), {"groups": 2.0}, TypeError, "groups must be an integer"),
    ("dirac_", (4, 2, 3), {"groups": True}, TypeError, "groups must be an integer, got True"),
    ("xavier_uniform_", (3,), {}, ValueError, "tensor must be of at least two dimensions"),
    ("xavier_uniform_", (), {}, ValueError, "got shape ()"),
    ("xavier_uniform_", (3, 4), {"gain": NAN}, ValueError, "gain must be finite"),
    ("xavier_uniform_", (3, 4), {"gain": INF}, ValueError, "gain must be finite"),
    ("xavier_uniform_", (3, 4), {"gain": HUGE}, ValueError, "must be at most 3.4028"),
    ("xavier_uniform_", (3, 4), {"gain": "1"}, TypeError, "gain must be a number"),
    ("xavier_normal_", (3,), {}, ValueError, "tensor must be of at least two dimensions"),
    ("xavier_normal_", (3, 4), {"gain": -INF}, ValueError, "gain must be finite"),
    ("xavier_normal_", (3, 4), {"gain": None}, TypeError, "gain must be a number"),
    ("kaiming_uniform_", (3,), {}, ValueError, "tensor must be of at least two dimensions"),
    ("kaiming_uniform_", (3, 4), {"a": NAN}, ValueError, "a must be a finite number"),
    ("kaiming_uniform_", (3, 4), {"a": True}, ValueError, "a must be a finite number"),
    ("kaiming_uniform_", (3, 4), {"a": "0"}, ValueError, "a must be a finite number"),
    ("kaiming_uniform_", (3, 4), {"mode": "fan"}, ValueError, "mode must be 'fan_in' or"),
    ("kaiming_uniform_", (3, 4), {"mode": None}, ValueError, "mode must be 'fan_in' or"),
    ("kaiming_uniform_", (3, 4), {"nonlinearity": "gelu"}, ValueError, "nonlinearity must be one"),
    ("kaiming_normal_", (), {}, ValueError, "tensor must be of at least two dimensions"),
    ("kaiming_normal_", (3, 4), {"a": INF}, ValueError, "a must be a finite number"),
    ("kaiming_normal_", (3, 4), {"mode": "in"}, ValueError, "mode must be 'fan_in' or"),
    ("kaiming_normal_", (3, 4), {"nonlinearity": ""}, ValueError, "nonlinearity must be one of"),
    ("orthogonal_", (3,), {}, ValueError, "tensor must be of at least 2 dimensions"),
    ("orthogonal_", (3, 4), {"gain": NAN}, ValueError, "gain must be finite"),
    ("orthogonal_", (3, 4), {"gain": HUGE}, ValueError, "|gain| must be at most 3.4028"),
    ("orthogonal_", (3, 4), {"gain": "1"}, TypeError, "gain must be a number"),
    ("sparse_", (3,), {"sparsity": 0.1}, ValueError, "tensor must be of 2 dimensions"),
    ("sparse_", (3, 3, 3), {"sparsity": 0.1}, ValueError, "tensor must be of 2 dimensions"),
    ("sparse_", (3, 4), {"sparsity": -0.5}, ValueError, "sparsity must be in [0, 1], got -0.5"),
    ("sparse_", (3, 4), {"sparsity": 1.5}, ValueError, "sparsity must be in [0, 1], got 1.5"),
    ("sparse_", (3, 4), {"sparsity": NAN}, ValueError, "sparsity must be in [0, 1], got nan"),
    ("sparse_", (3, 4), {"sparsity": "0"}, TypeError, "sparsity must be a number"),
    ("sparse_", (3, 4), {"sparsity": 0.1, "std": -1.0}, ValueError, "std must be finite and"),
    ("sparse_", (3, 4), {"sparsity": 0.1, "std": NAN}, ValueError, "std must be finite and"),
    ("sparse_", (3, 4), {"sparsity": 0.1, "std": 1e38}, ValueError, "must be at most 3.4028"),
]
RANDOM = ("uniform_", "normal_", "trunc_normal_", "xavier_uniform_", "kaiming_normal_", "sparse_")


def describe(case) -> str:
    name, shape, arguments, *_ = case
    return f"{name}{list(shape)}{arguments}"


def fails_untouched(name, tensor, arguments, error, message, *generators):
    with Unchanged(tensor, *generators), pytest.raises(error) as caught:
        getattr(winit, name)(tensor, **arguments)
    assert isinstance(caught.value, RuntimeError) == (error is ValueError or "real" in message)
    assert str(caught.value).startswith(f"{name}: ")
    assert message in str(caught.value)


@pytest.mark.parametrize("backend", ["aten", pytest.param("native", marks=needs_core)])
@pytest.mark.parametrize("case", CASES, ids=describe)
def test_bad_arguments(case, backend):
    name, shape, arguments, error, message = case
    with winit.use_backend(backend):
        fails_untouched(name, torch.full(shape, 7.0), arguments, error, message)


@pytest.mark.parametrize("case", CASES, ids=describe)
def test_bad_arguments_for_tensors_off_the_short_way(case):
    name, shape, arguments, error, message = case
    strided = torch.full((*shape, 2), 7.0)[..., 0]
    fails_untouched(name, strided, arguments, error, message)
    with pytest.raises(error):
        getattr(winit, name)(torch.empty(shape, device="meta"), **arguments)


@pytest.mark.parametrize("case", [c for c in CASES if c[0] in RANDOM], ids=describe)
def test_bad_arguments_with_a_generator(case):
    name, shape, arguments, error, message = case
    generator = torch.Generator().manual_seed(1)
    arguments = {**arguments, "generator": generator}
    fails_untouched(name, torch.full(shape, 7.0), arguments, error, message, generator)


@pytest.mark.parametrize(
    ("dtype", "name", "arguments"),
    [
        (torch.float16, "uniform_", {"b": 1e5}),
        (torch.float16, "normal_", {"std": 11000.0}),
        (torch.float16, "trunc_normal_", {"mean": 1e5}),
        (torch.float16, "trunc_normal_", {"std": 30000.0, "b": 1e6, "a": -1e6}),
        (torch.float16, "trunc_normal_", {"std": 30000.0, "b": 1e6, "a": 0.0}),
        (torch.float16, "trunc_normal_", {"std": 30000.0, "b": 0.0, "a": -1e6}),
        (torch.float16, "trunc_normal_", {"a": 1e5, "b": 2e5}),
        (torch.float16, "trunc_normal_", {"a": 1.0001, "b": 1.0002}),
        (torch.bfloat16, "uniform_", {"a": 1.001, "b": 1.002}),
        (torch.float8_e4m3fn, "uniform_", {"b": 449.0}),
        (torch.float8_e4m3fn, "normal_", {"std": 71.0}),
        (torch.float8_e4m3fn, "xavier_uniform_", {"gain": 1000.0}),
        (torch.float8_e4m3fn, "orthogonal_", {"gain": 449.0}),
        (torch.float8_e5m2, "uniform_", {"a": 3.1, "b": 3.4}),
        (torch.float64, "normal_", {"std": 1e308}),
        (torch.float64, "trunc_normal_", {"mean": 1e308, "std": 1e308, "b": 1.7e308}),
    ],
    ids=str,
)
def test_numbers_that_the_dtype_cannot_hold(dtype, name, arguments):
    tensor = torch.ones(3, 4).to(dtype)
    if name == "trunc_normal_" and dtype == torch.float64:
        getattr(winit, name)(tensor, **arguments)  # cut at b: all of it can be held
        return
    for target in (tensor, tensor.mT):
        with Unchanged(target), pytest.raises(ValueError, match=f"^{name}: "):
            getattr(winit, name)(target, **arguments)


@needs_core
def test_wide_bounds_are_no_mistake_where_values_fit():
    tensor = torch.empty(1000, dtype=torch.float16)
    values = winit.trunc_normal_(tensor, std=0.02, a=-1e6, b=1e6, key=winit.key(0))
    assert values.isfinite().all()
    assert abs(values.float().std() - 0.02) < 0.002
    values = winit.uniform_(torch.empty(1000), -3e38, 3e38, key=winit.key(0))
    assert values.isfinite().all()


def test_an_integer_that_python_does_not_write():
    tensor = torch.full((3, 4), 7.0)
    fails_untouched("normal_", tensor, {"std": 10**5000}, ValueError, "int that cannot be written")


def test_wrong_calls_are_type_errors_as_in_torch():
    for arguments in ((), (torch.ones(2), 0.0, 1.0, None, winit.key(0))):
        with pytest.raises(TypeError):
            winit.uniform_(*arguments)
    with pytest.raises(TypeError):
        winit.ones_(torch.ones(2), key=winit.key(0))


@needs_core
@pytest.mark.parametrize("one_half", [Decimal("0.5"), np.float16(0.5), torch.tensor(0.5).to(FP8)])
def test_numbers_of_other_types_count_as_floats(one_half):
    expected = winit.normal_(torch.empty(3, 4), std=0.5, key=winit.key(1))
    assert torch.equal(winit.normal_(torch.empty(3, 4), std=one_half, key=winit.key(1)), expected)
    expected = winit.sparse_(torch.empty(4, 3), 0.5, key=winit.key(1))
    assert torch.equal(winit.sparse_(torch.empty(4, 3), one_half, key=winit.key(1)), expected)


@needs_core
@pytest.mark.parametrize("name", ["normal_", "orthogonal_", "zeros_"])
def test_a_tensor_whose_storage_was_freed(name):
    tensor = torch.zeros(5, 5)
    tensor.untyped_storage().resize_(0)
    state = torch.get_rng_state()
    with pytest.raises(RuntimeError, match=f"{name}: tensor must be a tensor with memory"):
        getattr(winit, name)(tensor)
    assert torch.equal(torch.get_rng_state(), state)


def test_what_a_signal_handler_raises_stays_what_it_is():
    """It may come in the middle of any of Python's work, such as turning a number into a float."""

    class TimeLimitError(Exception):
        pass

    class Number:
        def __float__(self):
            raise TimeLimitError

    tensor = torch.full((3, 4), 7.0)
    for name, arguments in (("normal_", {"std": Number()}), ("sparse_", {"sparsity": Number()})):
        with Unchanged(tensor), pytest.raises(TimeLimitError):
            getattr(winit, name)(tensor, **arguments)
