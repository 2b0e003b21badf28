"""Fill parts of tensors on real processes and compare with one process: `proof` as a command.

    python tests/support/prove.py --cases 500 --worlds 2-8 --json FILE

A fault prints the case and the command that makes it again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
import warnings
from pathlib import Path

from proof import cases, rules
from winit_cuda._command import machine


def main(arguments: list[str] | None = None) -> int:
    """Run the cases, write what was found, and return how many have a fault."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cases", type=int, default=500, help="how many (500)")
    parser.add_argument("--first", type=int, default=0, help="the number of the first (0)")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other cases (1)")
    parser.add_argument("--worlds", type=_worlds, default="2-8", help="sizes of the group (2-8)")
    parser.add_argument("--json", type=Path, help="the file to write")
    parser.add_argument("--verbose", action="store_true", help="print every case")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    begin = time.monotonic()
    failed = 0
    with contextlib.closing(rules.Proof()) as proof:
        for number in range(options.first, options.first + options.cases):
            case = cases.draw(options.seed, number, options.worlds)
            if options.verbose:
                print(number, case, flush=True)
            if faults := proof.check(case):
                failed += 1
                print(*explained(case, faults), sep="\n", flush=True)
    seconds = round(time.monotonic() - begin, 1)
    print(f"{options.cases} cases, {failed} with a fault, {seconds} s")
    for kind, counts in proof.summary().items():
        print(f"{kind}: {', '.join(f'{name} {count}' for name, count in counts.items())}")
    print(f"orthogonal: at most {proof.worst:.3f} of what rounding may be")
    if options.json is not None:
        worlds = f"{options.worlds[0]}-{options.worlds[-1]}"
        command = f"prove.py --cases {options.cases} --worlds {worlds} --seed {options.seed}"
        found = {
            "command": f"python tests/support/{command}",
            "cases": options.cases,
            "failed": failed,
            "seconds": seconds,
            "orthogonal_difference_of_allowed": round(proof.worst, 4),
            "counts": proof.summary(),
            "machine": machine.describe(),
        }
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    return failed


def explained(case: cases.Case, faults: list[str]) -> list[str]:
    """The faults of a case, and how to see them again."""
    again = f"--seed {case.seed} --first {case.number} --cases 1 --worlds {case.world}"
    return [str(case), *faults, f"python tests/support/prove.py {again}"]


def _worlds(text: str) -> tuple[int, ...]:
    """2-8 as the sizes from 2 to 8."""
    first, _, last = text.partition("-")
    return tuple(range(int(first), int(last or first) + 1))


if __name__ == "__main__":
    sys.exit(main() > 0)
