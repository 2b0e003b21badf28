"""TestU01 on the words behind what users get.

    python tests/batteries/crush.py --testu01 PREFIX --json tests/batteries/results/smallcrush.json

PREFIX is where TestU01 is installed; README.md says how. Each stream of `streams.py` goes through
SmallCrush, or Crush, as it is and with the bits of each word reversed. A Philox of 4 rounds is
the control: it must fail, or the battery would say nothing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import winit_cuda as winit
from record import write
from streams import STREAMS, philox, philox_stream
from winit_cuda import _C  # type: ignore[attr-defined]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streams import Words

# A p-value closer to 0 or 1 fails. SmallCrush has 15 of them: 9 streams in both directions are 270,
# and in one run of 2000 one of these would fail by chance.
LEAST_P = 1e-6
# The control has to fail without doubt.
LEAST_P_OF_CONTROL = 1e-10
DIRECTIONS = ("forward", "reversed")


def main() -> int:
    """Run the battery on the streams and on the control; 1 where one is not as it must be."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--testu01", type=Path, required=True, help="where it is installed")
    parser.add_argument("--battery", choices=("small", "crush"), default="small")
    parser.add_argument("--streams", nargs="+", choices=tuple(STREAMS), default=list(STREAMS))
    parser.add_argument("--directions", nargs="+", choices=DIRECTIONS, default=list(DIRECTIONS))
    parser.add_argument(
        "--control", type=int, nargs="*", default=[4], metavar="ROUNDS", help="of Philox (4)"
    )
    parser.add_argument("--json", type=Path, help="where the results go")
    parser.add_argument("--resume", action="store_true", help="keep what the results have already")
    options = parser.parse_args()
    check_control()
    with tempfile.TemporaryDirectory() as folder:
        program = compiled(options.testu01, Path(folder))
        rows = json.loads(options.json.read_text())["rows"] if options.resume else []
        known = {(row["stream"], row["direction"]) for row in rows}
        for name, source, must_fail in sources(options.streams, options.control):
            for direction in options.directions:
                if (name, direction) in known:
                    continue
                rows.append(tried(program, options.battery, name, source, direction, must_fail))
                print(described(rows[-1]), flush=True)
                if options.json:
                    write(options.json, result_of(options.battery, rows))
    return 0 if result_of(options.battery, rows)["passed"] else 1


def check_control() -> None:
    """The control differs from the core's engine in the number of rounds alone."""
    words = np.empty(64, dtype=np.uint32)
    _C.words(words.ctypes.data, words.size, 7, 11, 0, 1 << 40, -1, 0)
    blocks = np.arange(1 << 38, (1 << 38) + 16, dtype=np.uint64)
    assert np.array_equal(philox(10, blocks, winit.Key(7, 11)), words)


def sources(
    streams: list[str], control: list[int]
) -> Iterator[tuple[str, Callable[[], Iterator[Words]], bool]]:
    """Name, words, and whether they must fail; the control first."""
    for rounds in control:
        yield f"Philox of {rounds} rounds", philox_stream(rounds), True
    for name in streams:
        yield name, STREAMS[name], False


def compiled(prefix: Path, folder: Path) -> Path:
    """The program of crush.c."""
    program = folder / "crush"
    source = Path(__file__).with_suffix(".c")
    libraries = ("-ltestu01", "-lprobdist", "-lmylib", "-lm")
    command = ["cc", "-O2", f"-I{prefix}/include", source, f"-L{prefix}/lib", *libraries]
    subprocess.run([*command, "-o", program], check=True)
    return program


def tried(
    program: Path,
    battery: str,
    name: str,
    source: Callable[[], Iterator[Words]],
    direction: str,
    must_fail: bool,
) -> dict[str, object]:
    """The p-values of one stream, and whether it is as it must be."""
    begun = time.monotonic()
    with subprocess.Popen(
        [program, battery, direction], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=False
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            for words in source():
                process.stdin.write(np.ascontiguousarray(words).data)
        except BrokenPipeError:  # it has read enough
            pass
        output = process.stdout.read().decode()
    assert process.returncode == 0, output
    lines = [line.partition(" ")[2] for line in output.splitlines() if line.startswith("p ")]
    statistics = [(line.partition("\t")[0], float(line.partition("\t")[2])) for line in lines]
    assert len(statistics) >= 15, output
    nearest = min(min(p, 1 - p) for _, p in statistics)
    passed = nearest < LEAST_P_OF_CONTROL if must_fail else nearest >= LEAST_P
    return {
        "stream": name,
        "direction": direction,
        "must_fail": must_fail,
        "passed": passed,
        "statistics": len(statistics),
        "nearest_to_0_or_1": nearest,
        "beyond_0.001": [[test, p] for test, p in statistics if min(p, 1 - p) < 1e-3],
        "words": int(output.rpartition("words ")[2]),
        "seconds": round(time.monotonic() - begun, 1),
    }


def result_of(battery: str, rows: list[dict[str, object]]) -> dict[str, object]:
    """The rows with what they are held to."""
    return {
        "battery": {"small": "TestU01 SmallCrush", "crush": "TestU01 Crush"}[battery],
        "threshold": LEAST_P,
        "threshold_of_control": LEAST_P_OF_CONTROL,
        "passed": all(row["passed"] for row in rows),
        "not_run": [
            f"{name}, {direction}"
            for name in STREAMS
            for direction in DIRECTIONS
            if (name, direction) not in {(row["stream"], row["direction"]) for row in rows}
        ],
        "rows": rows,
    }


def described(row: dict[str, object]) -> str:
    """A line for the terminal."""
    said = "as it must" if row["passed"] else "NOT as it must"
    return (
        f"{row['stream']}, {row['direction']}: nearest p {row['nearest_to_0_or_1']:.2g} of "
        f"{row['statistics']}, {said}, {row['seconds']} s"
    )


if __name__ == "__main__":
    sys.exit(main())
