"""Break the sources in small ways and see whether the ordinary tests notice.

    python tests/batteries/mutate.py --json tests/batteries/results/mutations.json

Each of the faults in `mutations.py` goes alone into a copy of the tree, with a build of its own.
The tests that mirror the file run first; what they do not catch meets the wider suite. At least 95%
must be caught.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from mutations import MUTATIONS, Mutation
from record import ROOT, write

LEAST_CAUGHT = 0.95
# What a fault that the mirroring tests let through has to get past. The random calls are not among
# them: they differ from day to day.
WIDER = (
    "tests/csrc",
    *(f"tests/winit_cuda/{folder}" for folder in ("keys", "fills", "distributed", "dispatch")),
    *(f"tests/winit_cuda/{folder}" for folder in ("initializers", "model", "schemes")),
    "tests/usage/test_laws.py",
    "tests/usage/test_usage.py",
    "tests/usage/test_flows.py",
)
# A fault that makes a test wait for ever is caught, too.
SECONDS = 600


def main() -> int:
    """Run the mutations, print what becomes of each, and return 1 where too many survive."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, help="where the results go")
    parser.add_argument("--only", help="mutations whose name contains this text")
    parser.add_argument("--folder", type=Path, help="keep the copy here for the next run")
    parser.add_argument("--list", action="store_true", help="name the mutations and run none")
    options = parser.parse_args()
    chosen = [m for m in MUTATIONS if not options.only or options.only in m.name]
    for mutation in chosen:
        mutation.of(ROOT)  # refused before anything is built
    if options.list:
        for mutation in chosen:
            print(f"{mutation.kind:10}{mutation.file}: {mutation.name}")
        return 0
    with tempfile.TemporaryDirectory(prefix="mutants-") as temporary:
        tree = Tree(options.folder or Path(temporary))
        tree.prepare()
        rows = []
        for mutation in chosen:
            rows.append(tree.try_out(mutation))
            print(f"{rows[-1]['caught_by'] or 'SURVIVED':45}{mutation.name}", flush=True)
            if options.json:
                write(options.json, result_of(rows))
    result = result_of(rows)
    print(f"{result['caught']} of {result['mutations']} caught")
    return 0 if result["passed"] else 1


def result_of(rows: list[dict[str, object]]) -> dict[str, object]:
    """The rows, counted."""
    survivors = [row["name"] for row in rows if not row["caught_by"]]
    caught = len(rows) - len(survivors)
    return {
        "battery": "mutation",
        "threshold": LEAST_CAUGHT,
        "passed": caught >= LEAST_CAUGHT * len(rows),
        "mutations": len(rows),
        "caught": caught,
        "kinds": dict(Counter(str(row["kind"]) for row in rows)),
        "survivors": survivors,
        "rows": rows,
    }


class Tree:
    """A copy of the tracked files, with a build that is kept from one mutation to the next."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.build = self.folder / "build" / "mutants"

    def prepare(self) -> None:
        """Copy, build, and see that the tests pass before anything is broken."""
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout
        for name in filter(None, listed.split("\0")):
            source, copy = ROOT / name, self.folder / name
            content = source.read_bytes() if source.is_file() else None
            if content is None or (copy.is_file() and copy.read_bytes() == content):
                continue  # an unchanged file keeps its time, and what was compiled of it
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(content)
        import pybind11

        subprocess.run(
            [
                *("cmake", "-G", "Ninja", "-S", self.folder / "csrc", "-B", self.build),
                "-DCMAKE_BUILD_TYPE=None",
                "-DCMAKE_CXX_FLAGS=-O1 -DNDEBUG",  # half the time to compile; the bits are the same
                f"-DPython_EXECUTABLE={sys.executable}",
                f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
                *shlex.split(os.environ.get("CMAKE_ARGS", "")),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        if not self._compile():
            sys.exit("the sources as they are do not compile")
        shutil.copy(ROOT / "winit_cuda" / "_build.json", self.folder / "winit_cuda")
        self._see_which_package()
        own = sorted({test for mutation in MUTATIONS for test in mutation.tests})
        if failed := self._failed(own):
            sys.exit(f"the tests fail before anything is broken: {failed}")

    def _see_which_package(self) -> None:
        """Stop where Python would import another checkout's."""
        command = [sys.executable, "-c", "import winit_cuda; print(winit_cuda.__file__)"]
        found = subprocess.run(
            command, cwd=self.folder, env=self._environment(), capture_output=True, text=True
        ).stdout
        if not Path(found.strip()).is_relative_to(self.folder):
            sys.exit(f"not the copy in {self.folder} would be tested, but {found}")

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(self.folder)}

    def try_out(self, mutation: Mutation) -> dict[str, object]:
        """Break, build, test, and put the file back."""
        path = self.folder / mutation.file
        before, begun = path.read_text(encoding="utf-8"), time.monotonic()
        path.write_text(mutation.of(self.folder), encoding="utf-8")
        try:
            caught_by = None if self._compile() else "compiler"
            for tests in (*((test,) for test in mutation.tests), WIDER):
                caught_by = caught_by or self._failed(tests)
        finally:
            path.write_text(before, encoding="utf-8")
        return {
            "name": mutation.name,
            "kind": mutation.kind,
            "file": mutation.file,
            "text": mutation.text,
            "replacement": mutation.replacement,
            "caught_by": caught_by,
            "seconds": round(time.monotonic() - begun),
        }

    def _compile(self) -> bool:
        """Bring the core up to date: after a fault in C++, so that the next one is alone."""
        done = subprocess.run(
            ["cmake", "--build", self.build], stdout=subprocess.DEVNULL, check=False
        )
        if done.returncode:
            return False
        for module in self.build.glob("_C*.so"):
            shutil.copy(module, self.folder / "winit_cuda")
        return True

    def _failed(self, tests: tuple[str, ...] | list[str]) -> str | None:
        """The first test that fails; None where all pass."""
        there = [test for test in tests if (self.folder / test).exists()]
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *there]
        try:
            done = subprocess.run(
                command,
                cwd=self.folder,
                env=self._environment(),
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return "a test that did not end"
        if done.returncode == 0:
            return None
        failed = [
            line.split()[1]
            for line in done.stdout.splitlines()
            if line.startswith(("FAILED ", "ERROR "))
        ]
        return failed[0] if failed else f"pytest, exit status {done.returncode}"


if __name__ == "__main__":
    sys.exit(main())
