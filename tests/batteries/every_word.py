"""All 2**32 words: accuracy of normals, rounding to the short types, every instruction set.

    python tests/batteries/every_word.py --json tests/batteries/results/every_word.json

`every_word.cpp` is compiled with the headers of csrc/values and the lanes of each instruction set
that this machine has. The normal float32 of each word is held against the quantile in float64; the
rounding to each short type against arithmetic in float64, for every float32 value; the values of
each law, by a hash, against those of the other instruction sets. It takes some minutes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from record import ROOT, write
from winit_cuda import _C  # type: ignore[attr-defined]

# What docs/values.md promises.
MOST_ULP = 1.87
AVX2 = ("-mavx2", "-mfma", "-mf16c")
FLAGS = {
    "avx2": AVX2,
    "avx512": (*AVX2, *(f"-mavx512{part}" for part in ("f", "bw", "dq", "vl", "cd"))),
}


def main() -> int:
    """Compile, run, print, and return 1 where a threshold is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, help="where the results go")
    parser.add_argument(
        "--percent",
        type=int,
        nargs=2,
        default=(0, 100),
        metavar=("FROM", "TO"),
        help="of the words",
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    sets = _C.build_info()["simd"]
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        programs = {isa: compiled(isa, Path(folder)) for isa in sets}

        def run(isa: str, mode: str) -> dict[str, list[str]]:
            words = [str(number) for number in (*options.percent, options.threads)]
            print(f"{mode}, {isa} ...", flush=True)
            output = subprocess.check_output([programs[isa], mode, *words], text=True)
            return {line.split("\t")[0]: line.split("\t")[1:] for line in output.splitlines()}

        accuracy = run(sets[-1], "accuracy")
        counts = {mode: run(sets[-1], mode) for mode in ("rounding", "bounds")}
        hashes = {isa: {law: found[0] for law, found in run(isa, "hash").items()} for isa in sets}
    ulp, asymmetric = float(accuracy["ulp"][0]), int(accuracy["asymmetric"][0])
    wrong = sum(int(found[1]) for each in counts.values() for found in each.values())
    equal = all(found == hashes[sets[0]] for found in hashes.values())
    result = {
        "battery": "every word",
        "percent_of_words": list(options.percent),
        "threshold_ulp": MOST_ULP,
        "passed": ulp <= MOST_ULP and not asymmetric and not wrong and equal,
        "normal_float32": {
            "worst_ulp": ulp,
            "at_word": int(accuracy["word"][0]),
            "not_minus_the_mirrored_word's": asymmetric,
        },
        **{
            mode: {
                name: {"checked": int(found[0]), "wrong": int(found[1])}
                for name, found in each.items()
            }
            for mode, each in counts.items()
        },
        "instruction_sets": {"equal": equal, "hashes": hashes},
        "seconds": round(time.monotonic() - begun),
    }
    for name in ("passed", "normal_float32", *counts, "instruction_sets"):
        print(f"{name}: {result[name]}")
    if options.json:
        write(options.json, result)
    return 0 if result["passed"] else 1


def compiled(isa: str, folder: Path) -> Path:
    """The program with the lanes of an instruction set; contraction is off, as in the core."""
    program = folder / isa
    csrc = ROOT / "csrc"
    sources = [Path(__file__).with_suffix(".cpp"), *sorted((csrc / "values").glob("*.cpp"))]
    sources += [*sorted((csrc / "platform").glob("*.cpp")), csrc / "simd" / "choice.cpp"]
    command = ["c++", "-std=c++17", "-O2", "-ffp-contract=off", *FLAGS.get(isa, ()), f"-I{csrc}"]
    command += [f'-DWINIT_ISA_HEADER="simd/{isa}.h"', *map(str, sources), "-pthread"]
    subprocess.run([*command, "-o", str(program)], check=True)
    return program


if __name__ == "__main__":
    sys.exit(main())
