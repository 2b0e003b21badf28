"""What is done for a kernel before its first launch, by the calls that an emulated device gets.

They run in a process of their own: what is done once for a kernel is done when another test runs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

emulated = pytest.importorskip("emulated_device", reason="there is no emulated device")
why_not = emulated.find_build()
pytestmark = pytest.mark.skipif(isinstance(why_not, str), reason=str(why_not))

PROGRAM = """
import json, torch
from emulated_device import emulated_device

device = emulated_device()
device.configure(1)  # of sm_90
core, shown = device.core, []


def show():
    shown.append(device.calls())


def normal(dtype="float32"):
    tensor = torch.zeros(300, dtype=getattr(torch, dtype))
    with device.memory(tensor.untyped_storage()):
        core.normal(
            tensor.data_ptr(), core.DTYPES[dtype], 300, None, 1, 0, 1, 0, 1, 2, 0.0, 1.0
        )
    show()


def batch(n):
    matrices = torch.zeros(2, n, n)
    room = torch.zeros(core.orthogonal_batch_workspace(2, n, n, 1) + 16, dtype=torch.uint8)
    with device.memory(matrices.untyped_storage()), device.memory(room.untyped_storage()):
        core.orthogonal_batch(
            matrices.data_ptr(), 0, 2 * n * n, None, 1, 0, 1, 0, 1, 2, 2, n, n, 1.0, room.data_ptr()
        )
    show()


def list_of_one():
    tensor = torch.zeros(300)
    keys = torch.tensor([1, 2])
    fills = core.FillList(1, [("normal", tensor.data_ptr(), 0, 300, None, 0.0, 1.0)])
    with device.memory(tensor.untyped_storage()):
        fills.run(keys.data_ptr(), False, 0, 1, 0)
    show()


for dtype in ("float32", "float32", "float64"):
    normal(dtype)
for _ in range(2):
    list_of_one()
for n in (40, 8, 64):
    batch(n)
print(json.dumps(shown))
"""

RELAXED, GLOBAL = "2", "0"


@pytest.fixture(scope="module")
def steps() -> dict[str, list[list[list[str]]]]:
    """The runtime's calls for each step of the program."""
    support = str(Path(emulated.__file__).parent)
    path = os.pathsep.join([support, *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shown: list[list[list[str]]] = json.loads(done.stdout)
    return {"normal": shown[:3], "list": shown[3:5], "batch": shown[5:]}


def names(calls: list[list[str]]) -> list[str]:
    return [call[0] for call in calls]


@pytest.mark.parametrize("fill", ["normal", "list"])
def test_a_kernel_is_loaded_once_with_captures_relaxed(steps, fill):
    first, second = steps[fill][:2]
    exchange = "cudaThreadExchangeStreamCaptureMode"
    assert names(first) == [exchange, "cudaFuncGetAttributes", exchange, "launch"]
    assert [each[1] for each in first if each[0] == exchange] == [RELAXED, GLOBAL]
    assert first[1][1] == first[3][1]  # the kernel that is launched
    assert names(second) == ["launch"]


def test_each_kernel_is_loaded(steps):
    float32, _, float64 = steps["normal"]
    assert all("cudaFuncGetAttributes" in names(calls) for calls in (float32, float64))


def test_shared_memory_is_allowed_once_and_all_of_it(steps):
    """A smaller launch after a larger one, in another thread perhaps, leaves the limit alone."""
    first, smaller, larger = steps["batch"]
    (limit,) = (call for call in first if call[0] == "cudaFuncSetAttribute")
    assert limit[2] == str(227 * 1024)
    assert names(smaller) == names(larger) == ["launch"]
