"""What is done for a kernel before its first launch, by the calls that an emulated device gets.

Each test has a process of its own: what is done once for a kernel is done when another test runs.
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


{calls}
print(json.dumps(shown))
"""

RELAXED, GLOBAL = "2", "0"


def calls_of(calls: str) -> list[list[list[str]]]:
    """The runtime's calls for each step of the program."""
    support = str(Path(emulated.__file__).parent)
    path = os.pathsep.join([support, *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("{calls}", calls)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shown: list[list[list[str]]] = json.loads(done.stdout)
    return shown


def names(calls: list[list[str]]) -> list[str]:
    return [call[0] for call in calls]


@pytest.mark.parametrize("call", ["normal()", "list_of_one()"])
def test_a_kernel_is_loaded_once_with_captures_relaxed(call):
    first, second = calls_of(f"{call}\n{call}")
    exchange = "cudaThreadExchangeStreamCaptureMode"
    assert names(first) == [exchange, "cudaFuncGetAttributes", exchange, "launch"]
    assert [each[1] for each in first if each[0] == exchange] == [RELAXED, GLOBAL]
    assert first[1][1] == first[3][1]  # the kernel that is launched
    assert names(second) == ["launch"]


def test_each_kernel_is_loaded():
    shown = calls_of("normal()\nnormal('float64')")
    assert all("cudaFuncGetAttributes" in names(calls) for calls in shown)


def test_shared_memory_is_allowed_once_and_all_of_it():
    """A smaller launch after a larger one, in another thread perhaps, leaves the limit alone."""
    first, smaller, larger = calls_of("batch(40)\nbatch(8)\nbatch(64)")
    (limit,) = (call for call in first if call[0] == "cudaFuncSetAttribute")
    assert limit[2] == str(227 * 1024)
    assert names(smaller) == names(larger) == ["launch"]
