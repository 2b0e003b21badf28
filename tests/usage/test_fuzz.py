"""Random calls of the whole public interface: as many as fit 10 seconds, others every day.

A failure prints a line that makes one call again. `--fuzz-calls 1000000` makes more of them.
"""

from __future__ import annotations

import datetime
import time
import traceback
import warnings
from collections import Counter
from typing import TYPE_CHECKING

from fuzzing import calls, checks
from initializers import needs_core

if TYPE_CHECKING:
    import pytest

AGAIN = "pytest tests/usage/test_fuzz.py"
SECONDS = 10
MOST = 30
"""Kinds of faults after which the run ends."""


@needs_core
def test_random_calls(request: pytest.FixtureRequest) -> None:
    option = request.config.getoption
    seed, first = option("--fuzz-seed"), option("--fuzz-first")
    seed = (
        int(datetime.datetime.now(tz=datetime.timezone.utc).strftime("%Y%m%d"))
        if seed is None
        else seed
    )
    print(f"--fuzz-seed {seed} --fuzz-first {first}")
    number, wanted, end = first, option("--fuzz-calls"), time.monotonic() + SECONDS
    faults: dict[str, tuple[str, Counter[str]]] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        while len(faults) < MOST and (
            time.monotonic() < end if wanted is None else number < first + wanted
        ):
            call = calls.draw(seed, number)
            again = f"{AGAIN} --fuzz-seed {seed} --fuzz-first {number} --fuzz-calls 1"
            number += 1
            try:
                checks.check(call)
            except Exception as error:
                kind, _, details = str(error).partition("\n")
                if not isinstance(error, checks.BrokenError):  # a fault of the checks
                    kind, details = f"{type(error).__name__} {kind}", traceback.format_exc(limit=-3)
                example = f"{call}\n{details[:600]}\n{again}"
                faults.setdefault(kind, (example, Counter()))[1][call.name] += 1
    print(f"{number - first} calls")
    shown = [
        f"{kind} ({', '.join(f'{each} {count}x' for each, count in functions.items())})\n{example}"
        for kind, (example, functions) in faults.items()
    ]
    assert not faults, "\n\n".join([f"{len(faults)} kinds of faults", *shown])
