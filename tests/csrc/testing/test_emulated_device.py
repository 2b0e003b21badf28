"""The emulated device sees what is wrong with a kernel: here kernels are wrong on purpose."""

from __future__ import annotations

import ctypes
import re

import numpy as np
import pytest
import torch

from core import EMULATED, draw, name_of, same_bits
from emulated_device import EmulatedDevice, emulated_device

if not EMULATED:
    pytest.skip(str(emulated_device()), allow_module_level=True)

each_architecture = pytest.mark.parametrize("place", EMULATED, ids=name_of)
FAULTS = (
    "nothing",
    "load outside",
    "store outside",
    "store to table",
    "shared outside",
    "misaligned",
    "no barrier",
    "no second barrier",
    "barrier of some",
    "barriers apart",
    "two blocks store",
    "two blocks read and write",
    "division by zero",
    "order of threads",
)
SAID = {
    "load outside": "a load out of bounds of 4 bytes .* by thread 31 of block 2",
    "store outside": "a store out of bounds of 4 bytes",
    "store to table": "a store out of bounds of 4 bytes",
    "shared outside": "an access outside shared memory",
    "misaligned": "a misaligned access of 4 bytes",
    "no barrier": "a race: a load",
    "no second barrier": "a race: ",
    "barrier of some": "16 of 32 threads of a block wait at a barrier; the others have ended",
    "barriers apart": "threads of a block wait at different barriers",
    "two blocks store": "a race: a store",
    "two blocks read and write": "a race: ",
    "division by zero": "a division by zero",
    "order of threads": "the order of the threads changes the result",
}
BLOCKS, THREADS = 3, 32


@pytest.fixture(params=[True, False], ids=["in step", "one by one"])
def device(place, request):
    device = emulated_device()
    assert isinstance(device, EmulatedDevice)
    device.configure(place.device, in_step=request.param)
    yield device
    device.configure(place.device)


def sums(device, fault, threads=THREADS):
    """The running sums within each block, and what was said."""
    run = device.library.faulty_sums
    run.restype = ctypes.c_char_p
    values = torch.arange(1, BLOCKS * threads + 1, dtype=torch.int32)
    with device.memory(values.untyped_storage()):
        pointer = ctypes.c_void_p(values.data_ptr())
        said = run(pointer, BLOCKS, threads, FAULTS.index(fault))
    return values.numpy().reshape(BLOCKS, threads), said and said.decode()


@each_architecture
@pytest.mark.parametrize("threads", [1, 2, 31, 32, 33, 100, 256])
def test_a_right_kernel(device, threads):
    found, said = sums(device, "nothing", threads)
    assert said is None
    values = np.arange(1, BLOCKS * threads + 1).reshape(BLOCKS, threads)
    table = (np.arange(BLOCKS * threads) % 4 + 1).reshape(BLOCKS, threads)
    assert np.array_equal(found, values.cumsum(1) + table)


@each_architecture
@pytest.mark.parametrize("fault", FAULTS[1:])
def test_a_fault_is_told(device, fault):
    _, said = sums(device, fault)
    assert said is not None
    assert re.search(SAID[fault], said), said
    assert "sums_kernel" in said
    assert sums(device, "nothing")[1] is None  # nothing is left of it


@each_architecture
@pytest.mark.parametrize(
    ("threads", "said"), [(1025, "error 9"), (0, "error 9")], ids=["too many threads", "none"]
)
def test_a_launch_that_no_device_takes(device, threads, said):
    assert said in str(sums(device, "nothing", threads)[1])


@each_architecture
def test_a_fault_is_an_exception_of_the_core(place):
    values = torch.empty(100)
    with pytest.raises(RuntimeError, match="kernel launch: a store out of bounds of 16 bytes"):
        place.core.uniform(values.data_ptr(), 0, 100, None, place.device, 0, 1, 0, 1, 2, 0.0, 1.0)


# Hardware that computes something else: the comparison with the CPU has to see it.
PLANTED = {
    "fma_rn_f32": "mul_rn_f32",
    "xor_b32": "or_b32",
    "mul_wide_u32": "mul_wide_s32",
    "cvt_rz_f32_s32": "cvt_rn_f32_s32",
    "cvt_rn_bf16x2_f32": "cvt_rn_f16x2_f32",
}


@pytest.mark.parametrize("right", PLANTED)
def test_wrong_hardware_is_seen(right, monkeypatch):
    place = EMULATED[-1]
    dtype = torch.bfloat16 if "bf16" in right else torch.float32
    device = emulated_device()
    assert isinstance(device, EmulatedDevice)
    expected = draw("normal", 3000, dtype, 0, 1)
    device.calls()
    assert same_bits(draw("normal", 3000, dtype, 0, 1, place=place), expected)
    (kernel,) = (call[1] for call in device.calls() if call[0] == "launch")
    monkeypatch.setitem(device.operations, right, device.operations[PLANTED[right]])
    device.forget(place.architecture, kernel)
    try:
        found = draw("normal", 3000, dtype, 0, 1, place=place)
    finally:
        monkeypatch.undo()
        device.forget(place.architecture, kernel)
    assert not same_bits(found, expected)


@each_architecture
def test_every_instruction_is_known(place):
    """Of all kernels, those too that no other test launches."""
    device = emulated_device()
    assert isinstance(device, EmulatedDevice)
    kernels = device.kernels(place.architecture)
    assert len(kernels) > 100
    assert all(device.load(place.architecture, name) for name in kernels)
