"""What has to hold of a case, asked by a process in no group; and how often what was tried."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from . import calls
from .cases import NO_COMPLEX, PARTIAL
from .pool import Pool, RankError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .cases import Case
    from .ranks import Filled

DOUBT = "pytorch#168134"
REFUSED = {
    NO_COMPLEX: "refused: complex",
    PARTIAL: "refused: Partial",
    DOUBT: "refused: rows in doubt",
}


class Proof:
    """The pools, one for each size of a group, and what was found so far."""

    def __init__(self, seconds: float = 60) -> None:
        self._seconds = seconds
        self._pools: dict[int, Pool] = {}
        self.counts: dict[str, Counter[str]] = {}
        self.worst = 0.0
        """The largest difference of an orthogonal value, as a fraction of what may be."""

    def pool(self, world: int) -> Pool:
        if world not in self._pools:
            self._pools[world] = Pool(world, self._seconds)
        return self._pools[world]

    def check(self, case: Case) -> list[str]:
        """The faults of a case."""
        pool = self.pool(case.world)
        try:
            pool.together("make", case)
            filled: list[Filled] = pool.in_turn("fill")
        except RankError as error:
            del self._pools[case.world]
            return [str(error)]
        asked = {
            rank: each
            for rank, each in enumerate(filled)
            if each.is_member or case.route == "dtensor"
        }
        faults = [f"rank {rank}: {fault}" for rank, each in asked.items() for fault in each.faults]
        whole, error, state = calls.fill_whole(case)
        errors = {each.error for each in asked.values()}
        reasons = case.refusals + ((error[1],) if error else ())
        outcome = "filled"
        if len(errors) > 1:
            faults.append(f"the ranks raise different errors: {errors}")
        elif (found := next(iter(errors))) is not None:
            if case.is_doubtful:
                reasons += (DOUBT,)
            reason = next((each for each in reasons if each in found[1]), None)
            if reason is None:
                faults.append(f"all raise {found}, not {' or '.join(reasons) or 'nothing'}")
            outcome = REFUSED.get(reason, "refused by one process, too")
        elif reasons:
            faults.append(f"nothing is raised, in place of {' or '.join(reasons)}")
        else:
            faults += self._compared(case, whole, asked)
            astray = [rank for rank, each in asked.items() if each.state != state]
            if astray:
                faults.append(f"ranks {astray}: the generator is not where that of one process is")
        self._count(case, outcome, asked.values())
        return faults

    def _compared(self, case: Case, whole: torch.Tensor, filled: dict[int, Filled]) -> list[str]:
        """What differs from the values of one process, or is on no rank."""
        faults = []
        size = whole.dtype.itemsize
        expected = whole.reshape(-1).view(torch.uint8).numpy().reshape(-1, size)
        seen = np.zeros(len(expected), bool)
        for rank, each in filled.items():
            positions = np.frombuffer(each.positions, np.int64)
            values = np.frombuffer(each.values, np.uint8).reshape(-1, size)
            seen[positions] = True
            if len(values) != len(positions):
                faults.append(f"rank {rank} has {len(values)} values, not {len(positions)}")
            elif case.is_orthogonal:
                distance = _distance(expected[positions], values, whole.dtype, case)
                self.worst = max(self.worst, distance)
                if not distance <= 1:
                    faults.append(f"rank {rank} is {distance} times as far off as may be")
            elif not np.array_equal(expected[positions], values):
                wrong = (expected[positions] != values).any(1)
                first = np.unravel_index(positions[wrong.argmax()], case.shape)
                faults.append(
                    f"rank {rank}: {wrong.sum()} of {len(wrong)} values differ, first at "
                    f"{tuple(map(int, first))}"
                )
        if not seen.all():
            faults.append(f"no rank has {(~seen).sum()} of {len(seen)} values")
        return faults

    def _count(self, case: Case, outcome: str, filled: Iterable[Filled]) -> None:
        entries = {
            "outcomes": [outcome],
            "worlds": [str(case.world)],
            "mesh dimensions": [str(len(case.mesh))],
            "placements": sorted({_NAMES[placement.kind] for placement in case.placements}),
            "initializers": [case.initializer],
            "dtypes": [case.dtype],
            "dimensions": [str(len(case.shape))],
            "sources": [case.source if case.is_random else "none"],
            "made": [case.made],
            "routes": [case.route],
            "modes": [case.mode],
            "ranks": [
                ("outside" if not each.is_member else "some" if each.positions else "nothing")
                for each in filled
            ],
        }
        for kind, names in entries.items():
            self.counts.setdefault(kind, Counter()).update(names)

    def summary(self) -> dict[str, Any]:
        """How often what was tried, as plain data."""

        def order(name: str) -> tuple[int, str]:
            return (int(name), "") if name.isdigit() else (-1, name)

        return {
            kind: {name: counter[name] for name in sorted(counter, key=order)}
            for kind, counter in self.counts.items()
        }

    def close(self) -> None:
        for pool in self._pools.values():
            pool.close()
        self._pools = {}


_NAMES = {"R": "Replicate", "S": "Shard", "T": "_StridedShard", "P": "Partial"}


def _distance(expected: Any, found: Any, dtype: torch.dtype, case: Case) -> float:
    """The largest difference of the values, as a fraction of what rounding may be."""
    if not len(expected):
        return 0.0
    rounding = {torch.float64: 1e-14}.get(dtype, max(1e-6, torch.finfo(dtype).eps))
    allowed = rounding * max(1.0, abs(case.arguments.get("gain", 1.0)))
    numbers = [torch.from_numpy(each.copy()).view(dtype).double() for each in (expected, found)]
    return float((numbers[0] - numbers[1]).abs().max()) / allowed
