"""Fills of a plan: which tensors are what they are for, and the values of single calls."""

from __future__ import annotations

import operator

import pytest
import torch

import winit_cuda as winit
from initializers import needs_core
from winit_cuda._core.dtypes import CODES
from winit_cuda._dispatch.items import Job, planned_item
from winit_cuda._dispatch.many import Batch
from winit_cuda._dispatch.planned import PlannedFills, can_run
from winit_cuda._fills.constants import CONSTANT, EYE
from winit_cuda._fills.elementwise import NORMAL, TRUNC_NORMAL, UNIFORM
from winit_cuda._fills.structured import ORTHOGONAL

pytestmark = [
    needs_core,
    pytest.mark.skipif(
        not hasattr(torch.Tensor, "__dlpack_c_exchange_api__"),
        reason="before torch 2.10 tensors have no C interface of DLPack's",
    ),
]
LAWS = [
    (NORMAL, winit.normal_, (0.1, 0.02)),
    (UNIFORM, winit.uniform_, (-1.0, 1.0)),
    (UNIFORM, winit.uniform_, (0.3, 0.3)),
    (TRUNC_NORMAL, winit.trunc_normal_, (0.0, 1.0, 1.5, 3.0)),
    (CONSTANT, winit.constant_, (0.3,)),
]


def planned(*fills, dtype=torch.float32):
    """Of (name, name of the key, shape, fill, numbers)."""
    return PlannedFills(
        [
            (name, key, shape, planned_item(fill, dtype, torch.Size(shape).numel(), numbers))
            for name, key, shape, fill, numbers in fills
        ]
    )


def normals(shape=(3, 4), dtype=torch.float32, names=("w",)):
    return planned(*((name, "w", shape, NORMAL, (0.0, 1.0)) for name in names), dtype=dtype)


@pytest.mark.parametrize("dtype", CODES, ids=str)
def test_values_of_single_calls(dtype):
    """Of every law, in any order."""
    fills = [
        (f"ü.{i}", f"{i}.ä", (70, 3 + i), law, numbers) for i, (law, _, numbers) in enumerate(LAWS)
    ]
    numbers = [4, 0, 3, 2, 1]
    tensors = [torch.zeros(fills[number][2], dtype=dtype) for number in numbers]
    own = {str(number): tensor for number, tensor in zip(numbers, tensors, strict=True)}
    found, others = planned(*fills, dtype=dtype).of([("ü", own)])
    assert others == []
    assert found.names == [fills[number][0] for number in numbers]
    assert all(map(operator.is_, found.tensors, tensors))
    assert found.elements == sum(map(torch.Tensor.numel, tensors))
    assert not found.overlap
    versions = [tensor._version for tensor in tensors]
    found.run(winit.key(5))
    for tensor, number, version in zip(tensors, numbers, versions, strict=True):
        key = {"key": winit.fold_in(winit.key(5), fills[number][1])}
        _, function, arguments = LAWS[number]
        alone = function(torch.empty_like(tensor), *arguments, **(key if number < 4 else {}))
        assert torch.equal(tensor, alone), function
        assert tensor._version > version


def ordinary(dtype):
    yield torch.empty(3, 4, dtype=dtype)
    yield torch.nn.Parameter(torch.empty(5, dtype=dtype))
    yield torch.empty((), dtype=dtype)
    yield torch.empty(4, 6, dtype=dtype)[2:]  # behind the start of its memory
    yield torch.empty(3, 1, 4, dtype=dtype).as_strided((3, 1, 4), (4, 99, 1))


@pytest.mark.parametrize("dtype", CODES, ids=str)
def test_ordinary_tensors(dtype):
    for tensor in ordinary(dtype):
        found, others = normals(tuple(tensor.shape), dtype).of([("", {"w": tensor})])
        assert others == []
        found.run(winit.key(0))
        key = winit.fold_in(winit.key(0), "w")
        with torch.no_grad():
            assert torch.equal(tensor, winit.normal_(torch.empty_like(tensor), key=key))


class Subclass(torch.Tensor):
    pass


def odd():
    yield "another shape", torch.empty(4, 3)
    yield "another rank", torch.empty(3, 4, 1)
    yield "another dtype", torch.empty(3, 4, dtype=torch.double)
    yield "half of the bits", torch.empty(3, 4, dtype=torch.half)
    yield "integers", torch.empty(3, 4, dtype=torch.int32)
    yield "transposed", torch.empty(4, 3).t()
    yield "expanded", torch.empty(1, 4).expand(3, 4)
    yield "negated", torch.empty(3, 4, dtype=torch.complex64).conj().imag.clone()._neg_view()
    yield "meta", torch.empty(3, 4, device="meta")
    yield "sparse", torch.ones(3, 4).to_sparse()
    yield "quantized", torch.quantize_per_tensor(torch.ones(3, 4), 0.1, 0, torch.qint8)
    yield "nested", torch.nested.nested_tensor([torch.ones(2, 4), torch.ones(3, 4)])
    yield "zero tensor", torch._efficientzerotensor(3, 4)
    freed = torch.empty(3, 4)
    freed.untyped_storage().resize_(0)
    yield "freed", freed
    yield "subclass", torch.empty(3, 4).as_subclass(Subclass)
    yield "no tensor", [1.0]
    with torch.inference_mode():
        yield "inference", torch.empty(3, 4)


@pytest.mark.filterwarnings("ignore")
def test_others_beside_ordinary_tensors():
    names, tensors = zip(*odd(), strict=True)
    good = [torch.zeros(3, 4), torch.zeros(3, 4)]
    mixed = dict(zip(("first", *names, "last"), (good[0], *tensors, good[1]), strict=True))
    found, others = normals(names=mixed).of([("", mixed)])
    assert others == [(0, 1, name, one) for name, one in zip(names, tensors, strict=True)]
    assert found.names == ["first", "last"]
    assert found.elements == 24
    found.run(winit.key(0))
    assert torch.equal(*good)
    assert good[0].any()


@pytest.mark.parametrize(
    ("dtype", "other"),
    [
        (torch.half, torch.bfloat16),
        (torch.bfloat16, torch.half),
        (torch.float8_e5m2, torch.float8_e4m3fn),
        (torch.float8_e5m2, torch.int8),
        (torch.float, torch.int32),
        (torch.double, torch.complex64),
    ],
    ids=str,
)
def test_dtypes_of_one_size(dtype, other):
    tensor = torch.empty(3, 4, dtype=other)
    found, others = normals(dtype=dtype).of([("", {"w": tensor})])
    assert found.names == []
    assert len(others) == 1


def test_names_and_places():
    """The name of the owner counts, None is no tensor, and others know what comes before them."""
    one, two, three, four = (torch.empty(3, 4) for _ in range(4))
    owners = [
        ("", {"w": one, "a.w": None}),
        ("a", None),
        ("a", {"b.w": two, "none": None, "w": three}),
        ("b", {}),
        ("a.b", {"w": four, "v": one}),
    ]
    found, others = normals(names=("w", "a.w", "a.b.w")).of(owners)
    assert found.names == ["w", "a.b.w", "a.w", "a.b.w"]
    assert all(map(operator.is_, found.tensors, (one, two, three, four)))
    assert others == [(1, 1, None, None), (4, 4, "a.b.v", one)]
    assert found.elements == 48


def test_doubts():
    """They are asked of tensors that a fill is for, and errors of theirs are passed on."""
    asked = []
    items = [("w", "w", (3,), planned_item(NORMAL, torch.float32, 3, (0.0, 1.0)))]

    def is_marked(tensor):
        asked.append(tensor)
        return tensor.mark

    fills = PlannedFills(items, doubts=(is_marked,))
    tensor = torch.empty(3)
    for tensor.mark, is_ordinary in ((False, True), (True, False), (0, False)):
        found, others = fills.of([("", {"v": torch.empty(3), "w": tensor})])
        assert (len(found.tensors), len(others)) == ((1, 1) if is_ordinary else (0, 2))
    assert all(one is tensor for one in asked)
    del tensor.mark
    with pytest.raises(AttributeError, match="mark"):
        fills.of([("", {"w": tensor})])


@pytest.mark.parametrize("owners", [[("a", [torch.ones(3)])], [("a", 5)], [5], [(5, {})]])
def test_what_is_no_owner(owners):
    with pytest.raises((RuntimeError, TypeError, ValueError)):
        normals().of(owners)


def test_what_is_no_fill_of_one_call():
    assert planned_item(EYE, torch.float32, 9, ()) is None
    assert planned_item(ORTHOGONAL, torch.float32, 9, (1.0,)) is None
    assert planned_item(NORMAL, torch.float32, 0, (0.0, 1.0)) is None
    assert planned_item(NORMAL, torch.int32, 9, (0.0, 1.0)) is None
    assert planned_item(NORMAL, torch.half, 9, (0.0, 1e9)) is None  # the single call says why


def test_overlap():
    memory = torch.empty(24)
    first, second, third = memory[:12].view(3, 4), memory[6:18].view(3, 4), memory[12:].view(3, 4)
    fills = normals(names=("v", "w"))
    assert fills.of([("", {"v": first, "w": second})])[0].overlap
    found, _ = fills.of([("", {"v": first, "w": third})])
    assert not found.overlap
    rest = torch.empty(12)
    for tensor, overlaps in ((second, True), (second.t(), True), (rest, False)):
        batch = Batch([Job(NORMAL, "normal_", tensor, (0.0, 1.0))])
        assert batch.overlaps(found) == overlaps


def test_where_they_serve():
    assert can_run()
    with winit.use_backend("aten"):
        assert not can_run()
    with torch.autograd.forward_ad.dual_level():
        assert not can_run()
    if torch.set_flush_denormal(True):
        try:
            assert not can_run()
        finally:
            torch.set_flush_denormal(False)
