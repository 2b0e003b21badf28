"""Random calls of the whole public interface: as many as fit half a minute, others every day.

A failure prints a line that makes one call again. `--fuzz-calls 1000000` makes more of them.
"""

from __future__ import annotations

import datetime
import time
import traceback
import warnings

import pytest

from fuzzing import calls, checks

SECONDS = 30
MOST = 30
"""Kinds of faults after which the run ends."""


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
    faults: dict[str, str] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        while len(faults) < MOST and (
            time.monotonic() < end if wanted is None else number < first + wanted
        ):
            call = calls.draw(seed, number)
            try:
                checks.check(call)
            except Exception as error:
                kind, _, details = str(error).partition("\n")
                if not isinstance(error, checks.BrokenError):  # a fault of the checks
                    kind, details = type(error).__name__, traceback.format_exc(limit=-3)
                again = f"pytest tests/usage/test_fuzz.py --fuzz-seed {seed} --fuzz-first {number}"
                faults.setdefault(
                    f"{call.name}: {kind}", f"{call}\n{details[:1000]}\n{again} --fuzz-calls 1"
                )
            number += 1
    print(f"{number - first} calls")
    report = "\n\n".join(f"{kind}\n{fault}" for kind, fault in faults.items())
    assert not faults, f"{len(faults)} faults\n\n{report}"
