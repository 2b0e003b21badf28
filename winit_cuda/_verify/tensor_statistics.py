"""Statistics of whole tensors, summed in float64 over tiles: no tensor is ever copied.

Of a DTensor, each rank sums what it has, and the sums of all ranks are added: the statistics are
those of the whole tensor, on every rank. What several ranks have of it counts once.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from .._core.torch_internals import is_dtensor
from .._distributed.dtensor import local_part

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

BINS = 40
# On a CPU, torch's operators do not wait for threads of theirs up to so many elements, which are
# 256 KiB in float64; elsewhere each operator is a launch.
_TILE = 1 << 15
_TILE_ELSEWHERE = 1 << 22
# A histogram of more elements looks no different.
_SAMPLE = 1 << 15


@dataclass(frozen=True)
class Statistics:
    """What the elements of a tensor are like. NaN and infinities are counted, and left out."""

    count: int
    nan: int
    infinite: int
    zeros: int
    low: float
    """The smallest value; NaN where there is none, as for the other numbers below."""
    high: float
    mean: float
    std: float
    """Of the population: the divisor is the number of elements."""
    histogram: tuple[int, ...]
    """Counts in `BINS` equal parts of [low, high], of evenly spaced elements in a large tensor."""

    @property
    def is_finite(self) -> bool:
        """Whether no element is NaN or infinite."""
        return self.nan == self.infinite == 0

    @property
    def is_constant(self) -> bool:
        """Whether all elements are the same finite number."""
        return self.is_finite and self.low == self.high

    def mean_square(self, center: float) -> float:
        """The mean of (x - center)^2."""
        distance = self.mean - center
        return self.std * self.std + distance * distance


class _Local(NamedTuple):
    """What this process has of a tensor."""

    values: torch.Tensor
    mesh: Any
    """The mesh of the DTensor that it is a part of, or None."""
    counts: bool
    """Whether this process is the one, of those with the same part, whose sums count."""
    size: int
    """How many elements the whole tensor has."""


def statistics_of(tensors: Sequence[torch.Tensor], centers: Sequence[float]) -> list[Statistics]:
    """The statistics of each tensor.

    Every rank of a mesh must give the same DTensors in the same order.

    Args:
        tensors: Dense tensors of any dtype but complex ones, DTensors among them.
        centers: About where the mean of each is, so that no digits cancel.

    Raises:
        ValueError: The part of a DTensor cannot be told; see `local_part`.
    """
    locals_ = [_local(tensor) for tensor in tensors]
    sums = [_sums(own, center) for own, center in zip(locals_, centers, strict=True)]
    _add_up(locals_, sums)
    histograms = [_histogram(own, row) for own, row in zip(locals_, sums, strict=True)]
    _add_up(locals_, histograms)
    return [
        _statistics(row.tolist(), center, histogram[2:].tolist())
        for row, center, histogram in zip(sums, centers, histograms, strict=True)
    ]


@functools.lru_cache(maxsize=64)
def has_numbers(dtype: torch.dtype) -> bool:
    """Whether torch can read the elements; of packed dtypes, such as of 4 bits, it cannot."""
    try:
        torch.empty(1, dtype=dtype).to(torch.float64)
    except (NotImplementedError, RuntimeError):
        return False
    return True


def tiles(tensor: torch.Tensor) -> Iterator[torch.Tensor]:
    """All elements in flat views, or copies of what lies apart, in some order, a tile at a time."""
    order = sorted(range(tensor.dim()), key=tensor.stride, reverse=True)
    size = _TILE if tensor.device.type == "cpu" else _TILE_ELSEWHERE
    if tensor.numel():
        yield from _tiles(tensor.permute(order), size)


def _tiles(tensor: torch.Tensor, size: int) -> Iterator[torch.Tensor]:
    if tensor.is_contiguous():
        yield from torch.split(tensor.view(-1), size)
    elif tensor.numel() <= size:
        yield tensor.reshape(-1)
    else:
        rows = max(1, size * tensor.shape[0] // tensor.numel())
        for part in torch.split(tensor, rows):
            yield from _tiles(part if len(part) > 1 else part[0], size)


def _local(tensor: torch.Tensor) -> _Local:
    if not is_dtensor(tensor):
        return _Local(tensor.detach(), None, True, tensor.numel())
    dtensor: Any = tensor
    values = local_part("report", dtensor).local.detach()
    coordinate = dtensor.device_mesh.get_coordinate()
    if coordinate is None:
        return _Local(values, None, True, tensor.numel())
    first = all(
        index == 0 or not placement.is_replicate()
        for index, placement in zip(coordinate, dtensor.placements, strict=True)
    )
    return _Local(values, dtensor.device_mesh, first, tensor.numel())


def _sums(own: _Local, center: float) -> torch.Tensor:
    """-low and high, then counts of elements, NaN, infinities and zeros, and the power sums."""
    row = torch.zeros(8, dtype=torch.float64, device=own.values.device)
    row[:2] = -math.inf
    if not own.counts or not own.values.numel():
        return row
    power = _power_sums(tiles(own.values), center)
    if not math.isfinite(power[4].item()):
        nan, infinite, power = _finite_sums(own.values, center)
        row[3], row[4] = nan, infinite
    row[:2] = power[:2]
    row[2] = own.values.numel()
    row[5] = row[2:5].dot(row.new_tensor([1.0, -1.0, -1.0])) - power[2]
    row[6:] = power[3:]
    return row


def _finite_sums(values: torch.Tensor, center: float) -> tuple[int, int, torch.Tensor]:
    """How many elements are NaN and infinite, and the sums of the others."""
    nan = infinite = 0

    def finite() -> Iterator[torch.Tensor]:
        nonlocal nan, infinite
        for tile in tiles(values):
            exact = tile.to(torch.float64)  # dtypes of 8 bits lack the functions
            nan += int(exact.isnan().sum())
            infinite += int(exact.isinf().sum())
            yield exact[exact.isfinite()]

    sums = _power_sums(finite(), center)
    return nan, infinite, sums


def _power_sums(parts: Iterable[torch.Tensor], center: float) -> torch.Tensor:
    """-low, high, the count of what is not 0, and the sums of (x - center) and (x - center)^2."""
    rows = []
    buffer = None  # a new one for each part would cost more than the sums
    for part in filter(len, parts):
        if buffer is None or len(buffer) < len(part):
            buffer = torch.empty(len(part), dtype=torch.float64, device=part.device)
        values = buffer[: len(part)].copy_(part)
        low, high = values.aminmax()
        nonzero = values.count_nonzero().to(torch.float64)
        values.sub_(center)
        rows.append((-low, high, nonzero, values.sum(), values.square_().sum()))
    if not rows:
        return torch.tensor([-math.inf, -math.inf, 0.0, 0.0, 0.0], dtype=torch.float64)
    columns = [torch.stack(column) for column in zip(*rows, strict=True)]
    maxima, sums = columns[:2], columns[2:]
    return torch.stack([*(each.amax() for each in maxima), *(each.sum() for each in sums)])


def _histogram(own: _Local, sums: torch.Tensor) -> torch.Tensor:
    """Counts in the bins, behind two numbers that stand where `_sums` has the range."""
    row = torch.zeros(2 + BINS, dtype=torch.float64, device=own.values.device)
    negative_low, high, _, nan, infinite = sums[:5].tolist()
    low = -negative_low
    if not own.counts or not low < high:
        return row
    step, begin, parts = -(-own.size // _SAMPLE), 0, []
    for tile in tiles(own.values):
        parts.append(tile[begin::step].to(torch.float64))
        begin = (begin - len(tile)) % step
    if not parts:
        return row
    sample = torch.cat(parts)
    if nan or infinite:
        sample = sample[sample.isfinite()]
    bins = sample.sub_(low).mul_(BINS / (high - low)).to(torch.int64).clamp_(0, BINS - 1)
    row[2:] = torch.bincount(bins, minlength=BINS)
    return row


def _add_up(locals_: Sequence[_Local], rows: list[torch.Tensor]) -> None:
    """Of DTensors, replace what each rank has by what all have together.

    The first two numbers are maxima, the others sums. There is one message for each mesh.
    """
    meshes: dict[Any, list[int]] = {}
    for i, own in enumerate(locals_):
        if own.mesh is not None:
            meshes.setdefault(own.mesh, []).append(i)
    for mesh, indices in meshes.items():
        together = torch.stack([rows[i] for i in indices]).to(mesh.device_type)
        maxima, sums = together[:, :2].contiguous(), together[:, 2:].contiguous()
        for dim in range(mesh.ndim):
            group = mesh.get_group(dim)
            torch.distributed.all_reduce(maxima, torch.distributed.ReduceOp.MAX, group=group)
            torch.distributed.all_reduce(sums, torch.distributed.ReduceOp.SUM, group=group)
        for i, row in zip(indices, torch.cat((maxima, sums), 1), strict=True):
            rows[i] = row


def _statistics(sums: list[float], center: float, histogram: list[float]) -> Statistics:
    low, high = 0.0 - sums[0], sums[1]
    count, nan, infinite, zeros = map(int, sums[2:6])
    finite = count - nan - infinite
    counts = tuple(map(int, histogram))
    if not finite:
        nothing = math.nan
        return Statistics(count, nan, infinite, zeros, nothing, nothing, nothing, nothing, counts)
    first, second = sums[6] / finite, sums[7] / finite
    variance = second - first * first
    is_constant = low == high
    mean = low if is_constant else center + first
    # Of numbers beyond 1e154 the squares are infinite.
    std = 0.0 if is_constant else math.inf if second == math.inf else math.sqrt(max(variance, 0.0))
    return Statistics(count, nan, infinite, zeros, low, high, mean, std, counts)
