"""Small runs of every kernel, compared with the CPU: the program that compute-sanitizer watches.

``python -m benchmarks.gpu.sanitizer_cases --device cuda`` calls the core itself, so that no
kernel of another library runs among its own. ``--device cpu`` shows without a GPU that the program
runs: it compares the CPU with itself.

Memory that a kernel has to write whole comes to it uninitialized, and a kernel reads it before it
is copied back, so that initcheck sees every element left out. Other memory comes with a pattern,
and what lies between the elements is compared too.
"""

from __future__ import annotations

import argparse
import math
import sys
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from winit_cuda import _C

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

# The device codes of the core.
CPU, CUDA = -1, 0

KEY = (0x0123456789ABCDEF, 0x0FEDCBA987654321)  # (seed, stream), both below 2**63 for torch
PATTERN = 0xA5
THREADS = 2  # of the CPU

# The numbers of each law. Truncated evenly, unevenly and on one side of the mean, it has maps of
# its own, and the last a table.
LAWS: dict[str, list[tuple[float, ...]]] = {
    "uniform": [(-1.0, 1.0)],
    "normal": [(0.0, 1.0)],
    "trunc_normal": [
        (0.0, 1.0, -2.0, 2.0),
        (0.0, 1.0, -1.0, 3.0),
        (0.0, 1.0, 1.0, 3.0),
        (0.5, 2.0, -30.0, -1.0),
    ],
}
# Spreads below 2^-90 are made on another scale, by other kernels, in the dtypes that hold them.
TINY: dict[str, list[tuple[float, ...]]] = {
    "uniform": [(-1e-30, 1e-30)],
    "normal": [(0.0, 1e-30), (0.0, 1e-40)],
    "trunc_normal": [(0.0, 1e-30, -2e-30, 2e-30), (0.0, 1e-30, 1e-30, 3e-30)],
}
TINY_DTYPES = ("float32", "bfloat16")


@dataclass(frozen=True)
class Layout:
    """Where the elements lie, and which elements of a larger tensor they are."""

    sizes: tuple[int, ...]
    strides: tuple[int, ...] | None = None  # None: contiguous, without a box
    offset: int = 0  # in elements, from an allocation's own alignment
    steps: tuple[int, ...] = ()  # of the larger tensor, in elements; (): none is larger
    first: int = 0

    @property
    def box(self) -> tuple[Any, ...] | None:
        if self.strides is None:
            return None
        steps = self.steps or contiguous_strides(self.sizes)
        return self.sizes, self.strides, steps, self.first

    @property
    def numel(self) -> int:
        return math.prod(self.sizes)

    @property
    def reach(self) -> int:
        """How many elements the memory has to hold."""
        strides = self.strides or contiguous_strides(self.sizes)
        pairs = zip(self.sizes, strides, strict=True)
        return self.offset + sum((size - 1) * stride for size, stride in pairs) + 1

    @property
    def fills_its_memory(self) -> bool:
        return self.reach == self.numel


def contiguous_strides(sizes: Sequence[int]) -> tuple[int, ...]:
    return tuple(math.prod(sizes[d + 1 :]) for d in range(len(sizes)))


LAYOUTS = {
    "one element": Layout((1,)),
    "whole groups": Layout((1024,)),
    "odd size": Layout((1003,)),
    "misaligned": Layout((1003,), offset=1),
    "transposed": Layout((17, 31), (1, 17)),
    "with gaps": Layout((5, 6, 7), (101, 16, 2), offset=3),
    "shard": Layout((9, 20), (20, 1), steps=(50, 1), first=3 * 50 + 7),
    "far shard": Layout((9, 20), (20, 1), steps=(1 << 31, 1), first=(1 << 34) - 3),
}
# More than one pass of the grid on any device.
SEVERAL_PASSES = Layout(((1 << 21) + 3,))


@dataclass(frozen=True)
class Case:
    """One call of the core on memory of so many bytes."""

    label: str
    nbytes: int
    call: Callable[[int, int, int], None]  # (address, device, stream)
    fills_its_memory: bool = False
    compare: Callable[[torch.Tensor, torch.Tensor], bool] = torch.equal

    def run(self, device: int) -> torch.Tensor:
        """The bytes of the memory after the call, on the CPU."""
        memory = torch.full((self.nbytes,), PATTERN, dtype=torch.uint8)
        if device < 0:
            self.call(memory.data_ptr(), device, 0)
            return memory
        there = memory.to(torch_device(device))
        if self.fills_its_memory:
            there = torch.empty_like(there)
        self.call(there.data_ptr(), device, torch.cuda.current_stream(device).cuda_stream)
        return there.bitwise_xor(0).cpu()

    def agrees(self, device: int) -> bool:
        return self.compare(self.run(device), self.run(CPU))


def cases() -> Iterator[Case]:
    """Every kernel, dtype and layout."""
    yield from random_fills()
    yield from constants()
    yield from sparse_matrices()
    yield from all_reflectors()
    yield from orthogonal_batches()
    yield split_keys("split_keys", 1003)
    yield words("words", 1003)


def dtypes() -> Iterator[tuple[str, int, int]]:
    """Name, code and itemsize of each dtype of the core."""
    for name, code in _C.DTYPES.items():
        yield name, code, getattr(torch, name).itemsize


def random_fills() -> Iterator[Case]:
    for name, code, itemsize in dtypes():
        for kind, laws in (("", LAWS), ("tiny ", TINY if name in TINY_DTYPES else {})):
            for law, numbers in ((each, numbers) for each in laws for numbers in laws[each]):
                for where, layout in LAYOUTS.items():
                    label = f"{kind}{law}{numbers} {name}, {where}"
                    yield random_fill(label, law, numbers, code, itemsize, layout)
        for law, numbers in ((each, numbers) for each in LAWS for numbers in LAWS[each]):
            label = f"{law}{numbers} {name}, key in memory"
            yield random_fill(label, law, numbers, code, itemsize, LAYOUTS["odd size"], True)
    for law, variants in LAWS.items():
        label = f"{law} float32, several passes"
        yield random_fill(label, law, variants[0], _C.DTYPES["float32"], 4, SEVERAL_PASSES)


def random_fill(
    label: str,
    law: str,
    numbers: tuple[float, ...],
    code: int,
    itemsize: int,
    layout: Layout,
    key_in_memory: bool = False,
) -> Case:
    def call(address: int, device: int, stream: int) -> None:
        place = (address + layout.offset * itemsize, code, layout.numel, layout.box)
        if key_in_memory:
            key = torch.tensor(KEY).to(torch_device(device))
            getattr(_C, law)(*place, device, stream, THREADS, key.data_ptr(), 0, 0, *numbers)
            wait(device)  # before the key's memory goes
        else:
            getattr(_C, law)(*place, device, stream, THREADS, 0, *KEY, *numbers)

    return Case(label, layout.reach * itemsize, call, layout.fills_its_memory)


def constants() -> Iterator[Case]:
    for where, layout in {**LAYOUTS, "several passes": SEVERAL_PASSES}.items():
        for itemsize in (1, 2, 4, 8):
            yield constant(f"constant of {itemsize} bytes, {where}", layout, itemsize)


def constant(label: str, layout: Layout, itemsize: int) -> Case:
    """By a list of one: the core fills constants in lists only."""

    def call(address: int, device: int, stream: int) -> None:
        place = (address + layout.offset * itemsize, 0, layout.numel, layout.box)
        item = ("constant_bits", *place, 0x0123456789ABCDEF, itemsize)
        no_key = array("Q", (0, 0))
        _C.FillList(device, [item]).run(no_key.buffer_info()[0], False, stream, THREADS, 0)

    return Case(label, layout.reach * itemsize, call, layout.fills_its_memory)


def sparse_matrices() -> Iterator[Case]:
    for rows, columns in ((1, 1), (7, 3), (64, 33), (300, 70)):
        for zeros in sorted({0, rows // 2, rows}):
            for name, code, itemsize in dtypes():
                label = f"sparse {name}, {rows}x{columns} with {zeros} zeros a column"
                yield sparse(label, rows, columns, zeros, code, itemsize)
    code, itemsize = _C.DTYPES["float32"], 4
    for rows, columns in ((20_000, 2), (40, 1001)):  # a few tall columns, and many tiles of them
        label = f"sparse float32, {rows}x{columns} with {rows // 2} zeros a column"
        yield sparse(label, rows, columns, rows // 2, code, itemsize)
    for name in TINY_DTYPES:
        code, itemsize = _C.DTYPES[name], getattr(torch, name).itemsize
        yield sparse(f"tiny sparse {name}", 64, 33, 32, code, itemsize, std=1e-30)


def sparse(
    label: str,
    rows: int,
    columns: int,
    zeros: int,
    code: int,
    itemsize: int,
    std: float = 0.5,
) -> Case:
    def call(address: int, device: int, stream: int) -> None:
        room = torch.empty(2 * columns, dtype=torch.int64, device=torch_device(device))
        place = (address, code, rows * columns, None, device, stream, THREADS)
        _C.sparse(*place, 0, *KEY, rows, columns, zeros, std, room.data_ptr())
        wait(device)  # before the thresholds' memory goes

    return Case(label, rows * columns * itemsize, call, True)


def all_reflectors() -> Iterator[Case]:
    for name, tolerance in (("float32", 1e-6), ("float64", 1e-14)):
        for rows, columns in ((1, 1), (5, 5), (70, 64), (200, 3)):
            label = f"reflectors {name}, {rows}x{columns}"
            yield reflectors(label, rows, columns, getattr(torch, name), tolerance)


def reflectors(label: str, rows: int, columns: int, dtype: torch.dtype, tolerance: float) -> Case:
    """The vectors, and behind them the signs: the same up to the order of their sums."""
    code = _C.DTYPES[str(dtype).removeprefix("torch.")]

    def call(address: int, device: int, stream: int) -> None:
        signs = address + rows * columns * dtype.itemsize
        place = (address, code, rows, columns, 0, columns, signs, device, stream, THREADS)
        _C.reflectors(*place, 0, *KEY)

    def compare(found: torch.Tensor, expected: torch.Tensor) -> bool:
        return torch.allclose(found.view(dtype), expected.view(dtype), rtol=0, atol=tolerance)

    return Case(label, (rows + 1) * columns * dtype.itemsize, call, True, compare)


def orthogonal_batches() -> Iterator[Case]:
    """With a matrix in a block's own memory, and in the workspace."""
    shapes = ((1, 1), (7, 5), (5, 7), (64, 64), (70, 70), (200, 3), (200, 200))
    for rows, columns in shapes:
        name = f"orthogonal_batch float64, {rows}x{columns}"
        yield orthogonal_batch(name, 3, Layout((3, rows, columns)), "float64", 1e-14)
    for name, _, _ in dtypes():
        tolerance = max(torch.finfo(getattr(torch, name)).eps, 1e-14)
        yield orthogonal_batch(f"orthogonal_batch {name}", 9, Layout((9, 6, 5)), name, tolerance)
    transposed = Layout((4, 6, 5), (1, 4, 24))
    yield orthogonal_batch("orthogonal_batch, transposed", 4, transposed, "float32", 1e-6)


def orthogonal_batch(label: str, count: int, layout: Layout, name: str, tolerance: float) -> Case:
    dtype, (_, rows, columns) = getattr(torch, name), layout.sizes

    def call(address: int, device: int, stream: int) -> None:
        needed = _C.orthogonal_batch_workspace(count, rows, columns, device)
        room = torch.empty(needed // 8, dtype=torch.float64, device=torch_device(device))
        place = (address, _C.DTYPES[name], layout.numel, layout.box, device, stream, THREADS)
        _C.orthogonal_batch(*place, 0, *KEY, count, rows, columns, 1.0, room.data_ptr())
        wait(device)  # before the workspace goes

    def compare(found: torch.Tensor, expected: torch.Tensor) -> bool:
        values = found.view(dtype).double(), expected.view(dtype).double()
        return torch.allclose(*values, rtol=0, atol=tolerance)

    return Case(label, layout.numel * dtype.itemsize, call, True, compare)


def split_keys(label: str, count: int) -> Case:
    def call(address: int, device: int, stream: int) -> None:
        _C.split_keys(address, count, device, stream, 0, *KEY)

    return Case(label, 16 * count, call, True)


def words(label: str, count: int) -> Case:
    def call(address: int, device: int, stream: int) -> None:
        _C.words(address, count, *KEY, 0, 5, device, stream)

    return Case(label, 4 * count, call, True)


def torch_device(device: int) -> torch.device:
    return torch.device("cpu") if device < 0 else torch.device("cuda", device)


def wait(device: int) -> None:
    if device >= 0:
        torch.cuda.synchronize(device)


def main(argv: Sequence[str] | None = None) -> int:
    """Run every case; 1 where one fails or differs from the CPU."""
    parser = argparse.ArgumentParser(description="Run every kernel once, and compare with the CPU.")
    parser.add_argument("--device", choices=("cpu", "cuda"), required=True)
    device = CUDA if parser.parse_args(argv).device == "cuda" else CPU
    total, wrong = 0, []
    for case in cases():
        total += 1
        try:
            agrees = case.agrees(device)
        except RuntimeError as error:  # what CUDA reports; the next cases then say the same
            print(f"{case.label}: {error}")
            agrees = False
        if not agrees:
            wrong.append(case.label)
    for label in wrong[:20]:
        print(f"NOT as on the CPU: {label}")
    print(f"{total - len(wrong)} of {total} cases are as on the CPU")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
