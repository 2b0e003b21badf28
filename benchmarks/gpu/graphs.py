"""How launches are timed: in captured graphs, between events, in turns.

A graph holds enough launches that what the host does between them does not show, each on memory of
its own, several times what the L2 cache holds: repeated fills of one small tensor would stay there.
All sides take turns, back and forth, so that a clock that changes meets all of them.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    # A launch on the slice of that number.
    Launch = Callable[[int], object]

_POOL_BYTES = 512 << 20
_MOST_LAUNCHES = 400


@dataclass(frozen=True)
class Times:
    """Seconds of one launch, for each round."""

    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    @property
    def spread(self) -> float:
        """The interquartile range as a part of the median."""
        if len(self.rounds) < 2:
            return 0.0
        first, _, third = statistics.quantiles(self.rounds, n=4, method="inclusive")
        return (third - first) / self.median


def relative(sides: Mapping[str, Times], side: str, to: str) -> float:
    """Time of `to` / time of `side`, the median over the rounds."""
    pairs = zip(sides[to].rounds, sides[side].rounds, strict=True)
    return statistics.median(theirs / ours for theirs, ours in pairs)


def slices(elements: int, dtype: torch.dtype, device: str) -> list[torch.Tensor]:
    """Tensors of so many elements side by side, as many as one graph fills."""
    # Each begins at a multiple of 256 bytes, as an allocation does.
    step = -(-elements * dtype.itemsize // 256) * 256 // dtype.itemsize
    pool_bytes = _POOL_BYTES if device == "cuda" else 1 << 16
    count = max(1, min(_MOST_LAUNCHES, pool_bytes // (step * dtype.itemsize)))
    pool = torch.empty(count * step, dtype=dtype, device=device)
    return [pool[i * step : i * step + elements] for i in range(count)]


def take_turns(
    sides: Mapping[str, Launch], launches: int, rounds: int, device: str
) -> dict[str, Times]:
    """Time so many launches of each side a round; on the CPU by the clock, to see that it runs."""
    if device != "cuda":
        clock = {name: _on_the_host(launch, launches) for name, launch in sides.items()}
    else:
        clock = {name: _in_a_graph(launch, launches) for name, launch in sides.items()}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(-1, rounds):  # the first one warms up
        for name in reversed(clock) if number % 2 else clock:
            taken = clock[name]()
            if number >= 0:
                seconds[name].append(taken / launches)
    return {name: Times(tuple(each)) for name, each in seconds.items()}


def _in_a_graph(launch: Launch, launches: int) -> Callable[[], float]:
    launch(0)  # a kernel is loaded at its first launch, which a capture does not allow
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    # `with torch.cuda.graph` would also collect garbage and empty the cache, for each of hundreds.
    with torch.cuda.stream(torch.cuda.Stream()):  # type: ignore[no-untyped-call]
        graph.capture_begin()
        try:
            for number in range(launches):
                launch(number)
        finally:
            graph.capture_end()
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]

    def replay() -> float:
        begin.record()
        graph.replay()
        end.record()
        end.synchronize()
        milliseconds: float = begin.elapsed_time(end)
        return milliseconds / 1e3

    return replay


def _on_the_host(launch: Launch, launches: int) -> Callable[[], float]:
    def run() -> float:
        began = time.perf_counter()
        for number in range(launches):
            launch(number)
        return time.perf_counter() - began

    return run


def seconds_of_a_call(call: Callable[[], object], device: str, calls: int = 20) -> float:
    """What a call takes as users make it, the launches included: the median of three rounds."""
    wait = torch.cuda.synchronize if device == "cuda" else _no_wait
    call()
    rounds = []
    for _ in range(3):
        wait()
        began = time.perf_counter()
        for _ in range(calls):
            call()
        wait()
        rounds.append((time.perf_counter() - began) / calls)
    return statistics.median(rounds)


def _no_wait() -> None:
    """On the CPU a call returns when it is done."""
