"""Initializers as data: made, compared, written down, read again, and called as the functions."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import pickle

import pytest
import torch

import standin
import winit_cuda as winit
from initializers import Unchanged, needs_core

KEY = winit.fold_in(winit.key(1), "weight")
INF = math.inf

# Each with the function that it stands for and its arguments, and a shape.
PAIRS = [
    (winit.Constant(0.25), winit.constant_, (0.25,), (6, 5)),
    (winit.Constant(True), winit.constant_, (True,), (3,)),
    (winit.Zeros(), winit.zeros_, (), (6, 5)),
    (winit.Ones(), winit.ones_, (), (7,)),
    (winit.Uniform(-0.5, 2.0), winit.uniform_, (-0.5, 2.0), (6, 5)),
    (winit.Normal(0.25, 0.5), winit.normal_, (0.25, 0.5), (6, 5)),
    (winit.TruncNormal(0.5, 0.5, -1, INF), winit.trunc_normal_, (0.5, 0.5, -1, INF), (6, 5)),
    (
        winit.TruncNormal(1.0, 0.5, -3, INF, "sigma"),
        winit.trunc_normal_,
        (1.0, 0.5, -0.5, INF),
        (6, 5),
    ),
    (
        winit.TruncNormal(1.0, 0.0, -INF, 2, "sigma"),
        winit.trunc_normal_,
        (1.0, 0.0, 1.0, 1.0),
        (6, 5),
    ),
    (winit.XavierUniform(-1.5), winit.xavier_uniform_, (-1.5,), (6, 5)),
    (winit.XavierNormal(2), winit.xavier_normal_, (2,), (6, 5, 3)),
    (winit.XavierNormal(-2), winit.xavier_normal_, (-2,), (6, 5)),
    (
        winit.KaimingUniform(0.1, "FAN_OUT"),
        winit.kaiming_uniform_,
        (0.1, "fan_out"),
        (6, 5, 3),
    ),
    (
        winit.KaimingNormal(nonlinearity="relu"),
        winit.kaiming_normal_,
        (0, "fan_in", "relu"),
        (6, 5),
    ),
    (winit.Eye(), winit.eye_, (), (6, 5)),
    (winit.Dirac(2), winit.dirac_, (2,), (6, 5, 3)),
    (winit.Orthogonal(2.0), winit.orthogonal_, (2.0,), (6, 5)),
    (winit.DeltaOrthogonal(2.0), winit.delta_orthogonal_, (2.0,), (6, 5, 3)),
    (winit.Sparse(0.3, 1.0), winit.sparse_, (0.3, 1.0), (6, 5)),
]
OTHERS = [
    winit.VarianceScaling(2.0, "fan_geo_avg", "uniform", in_axis=(1, 2), out_axis=-1),
    winit.LecunUniform(batch_axis=0, in_axis=2, out_axis=1),
    winit.LecunNormal(groups=2, chunks=3),
    winit.Orthogonal(batch_dims=1, chunks=2),
    winit.Composite(winit.TruncNormal(b=INF), {0: winit.Zeros(), (1, 3): winit.Ones()}, chunks=4),
]
ALL = [entry[0] for entry in PAIRS] + OTHERS
every_pair = pytest.mark.parametrize(("initializer", "function", "arguments", "shape"), PAIRS)
every = pytest.mark.parametrize("initializer", ALL, ids=repr)


def options_of(function):
    fixed = (winit.constant_, winit.zeros_, winit.ones_, winit.eye_, winit.dirac_)
    return {} if function in fixed else {"key": KEY}


@needs_core
@every_pair
def test_the_values_of_the_function(initializer, function, arguments, shape):
    for dtype in (torch.float32, torch.bfloat16, torch.float64):
        expected = function(torch.empty(shape, dtype=dtype), *arguments, **options_of(function))
        tensor = torch.full(shape, 7.0, dtype=dtype)
        assert initializer(tensor, key=KEY) is tensor
        assert torch.equal(tensor, expected)


@every_pair
def test_the_draws_of_the_function(initializer, function, arguments, shape):
    found, expected = torch.full(shape, 7.0), torch.full(shape, 7.0)
    torch.manual_seed(3)
    function(expected, *arguments)
    after = torch.get_rng_state()
    torch.manual_seed(3)
    initializer(found)
    assert torch.equal(found, expected)
    assert torch.equal(torch.get_rng_state(), after)
    initializer(found, generator=torch.Generator().manual_seed(3))
    assert torch.equal(found, expected)


@needs_core
@every_pair
def test_a_part_of_a_tensor(initializer, function, arguments, shape):
    whole = function(torch.empty(shape), *arguments, **options_of(function))
    part = winit.Shard(shape, (1, *(0,) * (len(shape) - 1)))
    local = initializer(torch.full((2, *shape[1:]), 7.0), key=KEY, shard=part)
    assert torch.allclose(
        local, whole[1:3], rtol=0, atol=1e-6 if "rthogonal" in repr(initializer) else 0
    )


def test_every_class_is_here():
    classes = {type(initializer) for initializer in ALL}
    public = [getattr(winit, name) for name in winit.__all__]
    known = {
        each for each in public if isinstance(each, type) and issubclass(each, winit.Initializer)
    }
    assert classes == known - {winit.Initializer}


@every
def test_written_down_and_read_again(initializer):
    text = initializer.to_json()
    described = json.loads(text, parse_constant=lambda word: pytest.fail(f"no JSON: {word}"))
    assert described == initializer.as_dict()
    assert winit.Initializer.from_json(text) == initializer
    assert type(winit.Initializer.from_json(text)) is type(initializer)
    assert eval(repr(initializer), vars(winit).copy()) == initializer
    for copied in (copy.deepcopy(initializer), pickle.loads(pickle.dumps(initializer))):
        assert copied == initializer
        assert hash(copied) == hash(initializer)


@every
def test_frozen(initializer):
    field = next(iter(dataclasses.fields(initializer)), None)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(initializer, field.name if field else "std", 1.0)


def test_compared_by_kind_and_fields():
    assert len(set(ALL)) == len(ALL)
    assert winit.Normal(0, 1) == winit.Normal()
    assert winit.XavierUniform() != winit.XavierNormal()
    assert winit.Normal(std=0.02) != winit.Normal(std=0.03)
    assert winit.LecunNormal(in_axis=[1]) == winit.LecunNormal()


def test_only_what_differs_from_the_defaults_is_shown():
    assert repr(winit.KaimingNormal(mode="fan_out", chunks=3)) == (
        "KaimingNormal(chunks=3, mode='fan_out')"
    )
    assert repr(winit.TruncNormal(b=INF)) == 'TruncNormal(b=float("inf"))'


def test_not_a_number():
    text = winit.Constant(math.nan).to_json()
    assert text == '{"initializer": "Constant", "val": "nan"}'
    assert repr(winit.Initializer.from_json(text)) == 'Constant(val=float("nan"))'


def test_defaults_of_what_is_not_written():
    assert winit.Initializer.from_json('{"initializer": "Normal"}') == winit.Normal()
    assert winit.Initializer.from_json('{"initializer": "Constant", "val": true}').val is True


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("{", ValueError, "from_json: text must be JSON"),
        ("[1]", ValueError, "from_json: text must be a JSON object"),
        ("[" * 100_000, ValueError, "from_json: text must be JSON"),
        (b"{}", TypeError, "from_json: text must be a string, got bytes"),
        ("{}", ValueError, "from_dict: initializer must be one of Composite, .* got None"),
        ('{"initializer": "Initializer"}', ValueError, "must be one of"),
        ('{"initializer": "_Xavier"}', ValueError, "must be one of"),
        ('{"initializer": "os.system"}', ValueError, "must be one of"),
        ('{"initializer": ["Normal"]}', ValueError, "must be one of"),
        ('{"initializer": "Normal", "sd": 1}', ValueError, "a field of Normal must be one of mean"),
        ('{"initializer": "Normal", "std": -1}', ValueError, "Normal: std must be"),
        ('{"initializer": "Normal", "std": "1"}', TypeError, "Normal: std must be a number"),
        ('{"initializer": "Normal", "std": true}', TypeError, "std of Normal must be a number or"),
        ('{"initializer": "LecunNormal", "groups": true}', TypeError, "groups of LecunNormal must"),
        (
            '{"initializer": "Composite", "pieces": [],'
            ' "base": {"initializer": "Normal", "std": true}}',
            TypeError,
            "std of Normal must be a number or a word, got True",
        ),
        ('{"initializer": "Composite", "base": "Zeros", "pieces": []}', TypeError, "base must be"),
        ('{"initializer": "Constant"}', ValueError, "from_dict: val of Constant must be given"),
    ],
)
def test_what_is_no_initializer(text, error, message):
    with pytest.raises(error, match=message):
        winit.Initializer.from_json(text)


def test_the_base_class_has_no_law():
    with pytest.raises(TypeError, match="Initializer: its law must be that of a class such as"):
        winit.Initializer()(torch.empty(3))


def test_what_is_no_mapping():
    with pytest.raises(TypeError, match="described must be a mapping"):
        winit.Initializer.from_dict([("initializer", "Zeros")])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: winit.Normal(std=-1), "Normal: std must be finite and at least 0, got -1.0"),
        (lambda: winit.Normal(mean=INF), "Normal: mean must be finite"),
        (lambda: winit.Uniform(1, 0), "Uniform: a must be at most b = 0.0, got 1.0"),
        (lambda: winit.TruncNormal(a=math.nan), "TruncNormal: a must be a number below"),
        (lambda: winit.TruncNormal(bounds="std"), "TruncNormal: bounds must be 'absolute' or"),
        (lambda: winit.Constant(1j), "Constant: val must be a real number"),
        (lambda: winit.Constant("1"), "Constant: val must be a number"),
        (lambda: winit.Sparse(1.5), r"Sparse: sparsity must be in \[0, 1\]"),
        (lambda: winit.Sparse(True), "Sparse: sparsity must be a number"),
        (lambda: winit.Dirac(0), "Dirac: groups must be at least 1"),
        (lambda: winit.Orthogonal(math.nan), "Orthogonal: gain must be finite"),
        (lambda: winit.Orthogonal(batch_dims=-1), "Orthogonal: batch_dims must be at least 0"),
        (lambda: winit.Orthogonal(chunks=0), "Orthogonal: chunks must be at least 1"),
        (lambda: winit.DeltaOrthogonal("1"), "DeltaOrthogonal: gain must be a number"),
        (lambda: winit.XavierNormal(INF), "XavierNormal: gain must be finite"),
        (lambda: winit.KaimingNormal(mode="fan"), "KaimingNormal: mode must be 'fan_in' or"),
        (lambda: winit.KaimingUniform(nonlinearity="r"), "KaimingUniform: nonlinearity must be"),
        (lambda: winit.VarianceScaling(-1), "VarianceScaling: scale must be finite and at least 0"),
        (lambda: winit.VarianceScaling(1, "avg"), "VarianceScaling: mode must be one of fan_in"),
        (lambda: winit.VarianceScaling(1, "fan_in", "n"), "VarianceScaling: distribution must be"),
        (lambda: winit.LecunNormal(in_axis=1.0), "LecunNormal: in_axis must be an integer"),
        (lambda: winit.LecunNormal(groups=0), "LecunNormal: groups must be at least 1"),
    ],
)
def test_wrong_fields(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


@pytest.mark.parametrize(
    ("initializer", "shape", "message"),
    [
        (winit.Eye(), (3,), "^Eye: tensor must be of 2 dimensions"),
        (winit.Dirac(2), (3, 3, 3), r"^Dirac: groups must be a divisor of tensor.shape\[0\] = 3"),
        (winit.Orthogonal(chunks=2), (3, 3), "^Orthogonal: chunks must be a divisor"),
        (winit.Orthogonal(batch_dims=1), (3, 3), "^Orthogonal: batch_dims must be in"),
        (winit.DeltaOrthogonal(), (2, 3, 1), "^DeltaOrthogonal: tensor must be of no more input"),
        (winit.Sparse(0.5), (3,), "^Sparse: tensor must be of 2 dimensions"),
        (winit.XavierNormal(), (3,), "^XavierNormal: tensor must be of at least two dimensions"),
        (winit.Uniform(0, 1e39), (3,), "^Uniform: b must be at most"),
        (winit.Constant(1e39), (3,), "^Constant: val must be representable"),
    ],
)
def test_tensors_that_do_not_fit(initializer, shape, message):
    tensor = torch.full(shape, 7.0)
    with Unchanged(tensor), pytest.raises(ValueError, match=message):
        initializer(tensor)


def test_no_tensor():
    with pytest.raises(TypeError, match=r"^Normal: tensor must be a torch\.Tensor, got int"):
        winit.Normal()(3)


@pytest.mark.skipif(standin.is_not_needed(), reason="the mode of the stand-in is not installed")
def test_an_override_of_torch_functions():
    class Replaced(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return func.__qualname__, kwargs["key"]

    with torch._C.DisableTorchFunctionSubclass():
        tensor = torch.zeros(3).as_subclass(Replaced)
    assert winit.Normal()(tensor, key=KEY) == ("Initializer.__call__", KEY)


@needs_core
def test_in_one_graph():
    """Of sizes that change, too."""
    initializers = [winit.XavierUniform(-1.0), winit.Sparse(0.5)]
    if torch.__version__ >= (2, 5):  # before, no bounds of a size that changes
        initializers.append(winit.LecunNormal(groups=2))
    for initializer in initializers:
        torch._dynamo.reset()
        compiled = torch.compile(
            lambda tensor, one=initializer: one(tensor, key=KEY), backend="eager", fullgraph=True
        )
        for shape in ((6, 4), (8, 4), (10, 6)):
            expected = initializer(torch.empty(shape), key=KEY)
            assert torch.equal(compiled(torch.empty(shape)), expected)


@needs_core
def test_shards_of_more_rows_than_floats_count():
    shard = winit.Shard((2**54, 2), (0, 0))
    for initializer in (winit.Sparse(0.5), winit.Orthogonal()):
        with pytest.raises(ValueError, match=r"at most 2\*\*53 rows and columns"):
            initializer(torch.empty(2, 2), shard=shard)
