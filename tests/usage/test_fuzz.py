"""Random calls of the whole public interface: as many as fit half a minute, others every day.

A failure prints a line that makes one call again. `--fuzz-calls 1000000` makes more of them.
"""

from __future__ import annotations

import datetime
import re
import time
import traceback
import warnings
from collections import Counter
from typing import TYPE_CHECKING

from fuzzing import calls, checks

if TYPE_CHECKING:
    import pytest

AGAIN = "pytest tests/usage/test_fuzz.py"
SECONDS = 30
MOST = 30
"""Kinds of faults after which the run ends."""


# What is known and not mended yet: patterns of the kind of fault and of the call. Delete a line
# when its fault is mended; `--fuzz-known` reports these, too.
KNOWN = (
    # numbers
    (r"Exceeds the limit \(4300 digits\)", r"10\*\*5000"),
    (r"leaks OverflowError|type c10::complex", r"constant_?\(.*(complex|conj)"),
    (r"type c10::Float8_", r"constant_?\(.*e8m0fnu"),
    (r"truth value of an", r"(kaiming_|calculate_gain).*np.array"),
    (r"Tensor.item", r"constant_?\(.*torch.tensor\(0.5,device='meta'\)"),
    (r"expects to-from", r"xavier_uniform_?\("),
    # dtypes without a kernel in torch
    (r"not implemented for", r"zeros_\("),
    # lazy signs
    (r"values outside|other values", r"\.conj\(\)\.imag"),
    # torch's own errors
    (r"view size|generator has moved|DispatchKey", r"(orthogonal|trunc_normal).*backend\('aten'\)"),
    # torch.func and fake tensors
    (r"tangent is not 0", r"in jvp"),
    (r"after the version has moved|after something was written", r"in vmap"),
    (r"leaks|does not name", r"in (vmap|jvp)|FakeTensorMode"),
)


def is_known(kind: str, call: calls.Call) -> bool:
    return any(re.search(one, kind) and re.search(other, str(call)) for one, other in KNOWN)


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
    known: Counter[str] = Counter()
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
                if is_known(kind, call) and not option("--fuzz-known"):
                    known[kind] += 1
                    continue
                example = f"{call}\n{details[:600]}\n{again}"
                faults.setdefault(kind, (example, Counter()))[1][call.name] += 1
    print(f"{number - first} calls, {known.total()} known faults of {len(known)} kinds")
    shown = [
        f"{kind} ({', '.join(f'{each} {count}x' for each, count in functions.items())})\n{example}"
        for kind, (example, functions) in faults.items()
    ]
    assert not faults, "\n\n".join([f"{len(faults)} kinds of faults", *shown])
