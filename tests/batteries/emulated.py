"""NEON by emulation: its bits against those of this machine, and how many instructions it takes.

    python tests/batteries/emulated.py --json tests/batteries/results/emulated.json

`emulated.cpp` is compiled with the core's CPU code, for this machine and for aarch64, and QEMU runs
the latter. Fills of each law and dtype in four layouts, sparse and orthogonal matrices must have
the same bits by every instruction set of both. The instructions of fills are counted by QEMU: of a
fill less those of one of half the length. They say nothing of time. It takes some minutes, and
needs a compiler and an emulator, of Debian's packages g++-aarch64-linux-gnu and qemu-user-static.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import sysconfig
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from compilers import build, version_of
from record import ROOT, write

OWN, FOREIGN = ("portable", "sse2", "avx2", "avx512"), ("portable", "neon")
LAWS, DTYPES = ("uniform", "normal", "trunc_normal"), ("float32", "bfloat16", "float64")
COUNT = 1 << 13


class Program(NamedTuple):
    """emulated.cpp for a processor, and what runs it."""

    path: Path
    runner: tuple[str, ...] = ()

    def output(self, *words: str, log: Path | None = None) -> str:
        """What it prints, with each instruction it executes in a line of the log."""
        logged = ("-singlestep", "-d", "exec,nochain", "-D", log) if log else ()
        command = [*self.runner, *logged, self.path, *words]
        return subprocess.check_output(command, text=True)

    def hashes(self) -> dict[str, dict[str, str]]:
        """By case and instruction set."""
        found: dict[str, dict[str, str]] = defaultdict(dict)
        for line in self.output("hashes").splitlines():
            isa, case, digest = line.split("\t")
            found[case][isa] = digest
        return found

    def instructions(self, isa: str, law: str, dtype: str, folder: Path) -> float:
        """How many an element takes."""
        log = folder / "executed"
        executed = []
        for count in (COUNT, 2 * COUNT):
            self.output("fill", isa, law, dtype, str(count), log=log)
            with log.open("rb") as lines:
                executed.append(sum(1 for _ in lines))
        return round((executed[1] - executed[0]) / COUNT, 2)


def main() -> int:
    """Compile, run and compare; 1 where a hash differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, help="where the results go")
    parser.add_argument("--compiler", default="aarch64-linux-gnu-g++")
    parser.add_argument("--emulator", default="qemu-aarch64-static")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        own = Program(compiled("g++", folder / "own", OWN))
        processor = {
            "CMAKE_SYSTEM_NAME": "Linux",
            "CMAKE_SYSTEM_PROCESSOR": "aarch64",
            "Python_INCLUDE_DIR": sysconfig.get_path("include"),  # looked for, and not used
        }
        path = compiled(options.compiler, folder / "foreign", FOREIGN, **processor)
        foreign = Program(path, (options.emulator,))
        here, there = own.hashes(), foreign.hashes()
        differ = [case for case in here if len({*here[case].values(), *there[case].values()}) > 1]
        counts = {
            f"{law} {dtype}": {
                isa: foreign.instructions(isa, law, dtype, folder) for isa in FOREIGN
            }
            for law in LAWS
            for dtype in DTYPES
        }
    result = {
        "battery": "NEON by emulation",
        "passed": not differ and here.keys() == there.keys(),
        "compiler": version_of(options.compiler),
        "emulator": version_of(options.emulator),
        "cases": len(here),
        "instruction_sets": [
            sorted({isa for each in found.values() for isa in each}) for found in (here, there)
        ],
        "differ": differ,
        "instructions_an_element": counts,
    }
    for key, value in result.items():
        print(f"{key}: {value}")
    if options.json:
        write(options.json, result)
    return 0 if result["passed"] else 1


def compiled(compiler: str, folder: Path, isas: tuple[str, ...], **definitions: str) -> Path:
    """The program, linked with the core's CPU code."""
    targets = ("core", *(f"core_{isa}" for isa in isas))
    build(compiler, "-O3 -DNDEBUG", folder, *targets, **definitions)
    program = folder / "emulated"
    source = Path(__file__).with_suffix(".cpp")
    command = [compiler, "-std=c++17", "-O2", "-static", "-pthread", f"-I{ROOT / 'csrc'}", source]
    subprocess.run([*command, *folder.rglob("*.o"), "-o", program], check=True)
    return program


if __name__ == "__main__":
    sys.exit(main())
