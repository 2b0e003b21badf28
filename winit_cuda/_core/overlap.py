"""Whether two elements of a strided tensor share memory, decided from its sizes and strides alone.

Elements x and y share an address if their difference d = x - y, which is not 0 and has
|d_i| <= size_i - 1, solves d_1 stride_1 + d_2 stride_2 + ... = 0. Every layout in use is settled
by `_reduced`, which bounds each d_i by what the others reach and divides out what they must have
in common. What is left, from `as_strided`, is searched.
"""

from __future__ import annotations

import math
from typing import NamedTuple

SEARCH_STEPS = 100_000
"""About 0.2 s. Real layouts take less than a hundred; sixteen odd strides can take any number."""

MARKED = 2**25
"""As many addresses are marked one by one, in 4 MB, where the search did not end."""

# Each round of bounding is exact, so that it may end early. Three dimensions can take a million
# rounds to the end, where the search takes a step.
_ROUNDS = 20


class _Dimension(NamedTuple):
    stride: int
    most: int
    """The largest difference of two indices that has to be considered, at least 1."""

    @property
    def reach(self) -> int:
        return self.stride * self.most


class _TooLongError(Exception):
    """The search took more steps than it may."""


def overlaps(sizes: tuple[int, ...], strides: tuple[int, ...]) -> bool | None:
    """Whether two elements of a tensor of these sizes and strides share an address.

    None where that takes too long to find out.
    """
    if 0 in sizes:
        return False
    if len(sizes) == 2:  # most, in a quarter of the time
        (rows, columns), (down, across) = sizes, strides
        if down > across * (columns - 1) > 0 or across > down * (rows - 1) > 0:
            return False
    reach = 0
    for stride, size in sorted(zip(strides, sizes, strict=True)):
        if size > 1:
            if stride <= reach:  # else it passes over all that the smaller strides reach
                break
            reach += stride * (size - 1)
    else:
        return False
    pairs = zip(map(int, strides), map(int, sizes), strict=True)
    return _entangled([_Dimension(stride, size - 1) for stride, size in pairs if size > 1])


def _entangled(dimensions: list[_Dimension]) -> bool | None:
    if any(dimension.stride == 0 for dimension in dimensions):
        return True
    dimensions = _reduced(dimensions)
    try:
        return _Search().finds_zero(dimensions)
    except _TooLongError:
        if sum(dimension.reach for dimension in dimensions) >= MARKED:
            return None
        return _addresses(dimensions) < math.prod(dimension.most + 1 for dimension in dimensions)


def _reduced(dimensions: list[_Dimension]) -> list[_Dimension]:
    """The same question with fewer and smaller differences; all positive strides."""
    rounds, before = 0, None
    while dimensions != before and (rounds < _ROUNDS or len(dimensions) < len(before or ())):
        rounds, before = rounds + 1, dimensions
        total = sum(dimension.reach for dimension in dimensions)
        after: list[_Dimension] = []
        for number, (stride, most) in enumerate(dimensions):
            # The others reach as far, and only multiples of what they have in common.
            bound = min(most, (total - stride * most) // stride)
            others = after + dimensions[number + 1 :]
            common = math.gcd(*(other.stride for other in others))
            factor = common // math.gcd(common, stride) if others else 1
            total -= stride * most
            if bound >= factor:
                after.append(_Dimension(stride * factor, bound // factor))
                total += after[-1].reach
        dimensions = after
    common = math.gcd(*(dimension.stride for dimension in dimensions))
    return [_Dimension(stride // common, most) for stride, most in dimensions]


class _Search:
    """Looks for differences that add up, depth first, and counts its steps."""

    def __init__(self) -> None:
        self.steps = 0

    def finds_zero(self, dimensions: list[_Dimension]) -> bool:
        """Whether differences that are not all 0 add up to 0; `dimensions` are reduced."""
        while dimensions:
            strides = {dimension.stride for dimension in dimensions}
            if len(strides) < len(dimensions):
                return True  # two of them, a step along one and a step back along the other
            addresses = sum(dimension.reach for dimension in dimensions) + 1
            if math.prod(dimension.most + 1 for dimension in dimensions) > addresses:
                return True  # more elements than addresses
            (stride, most), *rest = _order(dimensions)
            ends = _ends(rest)
            for difference in range(1, most + 1):
                if self._finds(stride * difference, rest, ends, 0):
                    return True
            dimensions = _reduced(rest)
        return False

    def _finds(
        self, goal: int, dimensions: list[_Dimension], ends: list[tuple[int, int]], number: int
    ) -> bool:
        """Whether any differences along the dimensions from `number` on add up to `goal`."""
        self.steps += 1
        if self.steps > SEARCH_STEPS:
            raise _TooLongError
        stride, most = dimensions[number]
        reach, common = ends[number + 1]
        candidates = _candidates(goal, stride, most, reach, common)
        if number == len(dimensions) - 2:  # the last one takes any of these
            return bool(candidates)
        return any(
            self._finds(goal - stride * difference, dimensions, ends, number + 1)
            for difference in candidates
        )


def _order(dimensions: list[_Dimension]) -> list[_Dimension]:
    """Those of few differences first, and two at least of many last."""
    left, ordered = list(dimensions), []
    total = sum(dimension.reach for dimension in left)
    while left:
        few = min(left, key=lambda at: (min(at.most, (total - at.reach) // at.stride), -at.stride))
        left.remove(few)
        total -= few.reach
        ordered.append(few)
    return ordered


def _ends(dimensions: list[_Dimension]) -> list[tuple[int, int]]:
    """How far the dimensions from each on reach, and what their strides have in common."""
    ends = [(0, 0)]
    for dimension in reversed(dimensions):
        reach, common = ends[-1]
        ends.append((reach + dimension.reach, math.gcd(common, dimension.stride)))
    return ends[::-1]


def _candidates(goal: int, stride: int, most: int, reach: int, common: int) -> range:
    """The differences x for which goal - stride x is within `reach` and a multiple of `common`."""
    low = max(-most, -((reach - goal) // stride))
    high = min(most, (goal + reach) // stride)
    shared = math.gcd(stride, common)
    if goal % shared or low > high:
        return range(0)
    period = common // shared
    first = goal // shared * pow(stride // shared, -1, period)
    return range(low + (first - low) % period, high + 1, period)


def _addresses(dimensions: list[_Dimension]) -> int:
    """The number of addresses, counted in an integer that has a bit for each."""
    bits = 1
    for stride, most in dimensions:
        indices = 1
        while indices <= most:
            more = min(indices, most + 1 - indices)
            bits |= bits << stride * more
            indices += more
    return bits.bit_count()
