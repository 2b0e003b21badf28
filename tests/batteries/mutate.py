"""Break the sources in small ways and see whether the ordinary tests notice.

    python tests/batteries/mutate.py --json tests/batteries/results/mutations.json

The faults of `mutations/` go into a copy of the tree, with a core of its own, and are tried one
by one. The tests that mirror the file run first; what they do not catch meets the wider suite. A
test counts that fails with the fault and passes without. At least 95% must be caught.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from mutations import MUTATIONS, Mutation
from record import ROOT, write

if TYPE_CHECKING:
    from collections.abc import Iterable

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
# What chooses a fault in the core: where every file sees it, and where it is defined.
CHOICE = {
    "csrc/platform/host_device.h": "\nnamespace winit_cuda {\nextern const int kMutation;\n}\n",
    "csrc/platform/faults.cpp": (
        "\n#include <cstdlib>\nnamespace winit_cuda {\n"
        'static const char* const chosen = std::getenv("MUTATION");\n'
        "extern const int kMutation = chosen ? std::atoi(chosen) : 0;\n}\n"
    ),
}
# A fault that makes a test wait for ever is caught, too.
SECONDS = 600


def main() -> int:
    """Run the mutations, print what becomes of each, and return 1 where too many survive."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, help="where the results go")
    parser.add_argument("--only", help="mutations whose file or name has this text")
    parser.add_argument("--folder", type=Path, help="keep the copy here for the next run")
    parser.add_argument("--resume", action="store_true", help="keep what the results have already")
    parser.add_argument("--list", action="store_true", help="name the mutations and run none")
    options = parser.parse_args()
    chosen = [m for m in MUTATIONS if (options.only or "") in f"{m.file} {m.name}"]
    for mutation in chosen:
        mutation.check(ROOT)
    if options.list:
        for mutation in chosen:
            print(f"{mutation.kind:10}{mutation.file}: {mutation.name}")
        return 0
    with tempfile.TemporaryDirectory(prefix="mutants-") as temporary:
        tree = Tree(options.folder or Path(temporary))
        tree.prepare()
        rows: list[dict[str, object]] = []
        known = json.loads(options.json.read_text())["rows"] if options.resume else []
        for mutation in chosen:
            same = [row for row in known if mutation.made(row)]
            rows.append(same[0] if same else tree.try_out(mutation))
            report(rows, rows[-1], options.json)
        for mutation, row in zip(chosen, rows, strict=True):
            if not row["caught_by"]:
                row.update(tree.try_out(mutation, WIDER))
                report(rows, row, options.json)
        nodes = {str(row["caught_by"]) for row in rows if "::" in str(row["caught_by"])}
        if nodes and (flaky := tree.failed(sorted(nodes))):
            sys.exit(f"fails without a fault, too: {flaky}")
    result = result_of(rows)
    print(f"{result['caught']} of {result['mutations']} caught")
    return 0 if result["passed"] else 1


def report(rows: list[dict[str, object]], row: dict[str, object], path: Path | None) -> None:
    """Print one row, and keep all."""
    print(f"{row['name']}: {row['caught_by'] or 'survives so far'}", flush=True)
    if path:
        write(path, result_of(rows))


def tracked_files() -> list[str]:
    """The files of the repository."""
    command = ["git", "ls-files", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def result_of(rows: list[dict[str, object]]) -> dict[str, object]:
    """The rows, counted."""
    survivors = [row["name"] for row in rows if not row["caught_by"]]
    caught = len(rows) - len(survivors)
    return {
        "battery": "mutation",
        "threshold": LEAST_CAUGHT,
        "passed": caught >= LEAST_CAUGHT * len(rows),
        "mutations": len(rows),
        "not_run": [m.name for m in MUTATIONS if not any(m.made(row) for row in rows)],
        "caught": caught,
        "kinds": dict(Counter(str(row["kind"]) for row in rows)),
        "survivors": survivors,
        "rows": rows,
    }


class Tree:
    """A copy of the tracked files, with a core that has all faults of C++, none of them chosen."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()

    def prepare(self) -> None:
        """Copy and build."""
        contents = {name: (ROOT / name).read_bytes() for name in tracked_files()}
        for number, mutation in enumerate(MUTATIONS, 1):
            if mutation.is_compiled:
                before = contents[mutation.file].decode()
                contents[mutation.file] = mutation.in_core(before, number).encode()
        for name, more in CHOICE.items():
            contents[name] += more.encode()
        for name, content in contents.items():
            self._write(name, content)
        self._build()
        shutil.copy(ROOT / "winit_cuda" / "_build.json", self.folder / "winit_cuda")
        self._see_which_package()

    def _write(self, name: str, content: bytes) -> None:
        """An unchanged file keeps its time, and what was compiled of it."""
        copy = self.folder / name
        if not copy.is_file() or copy.read_bytes() != content:
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(content)

    def _build(self) -> None:
        import pybind11

        folder = self.folder / "build"
        definitions = {
            "CMAKE_BUILD_TYPE": "None",
            "CMAKE_CXX_FLAGS": "-O1 -DNDEBUG",  # half the time to compile; the bits are the same
            "Python_EXECUTABLE": sys.executable,
            "pybind11_DIR": pybind11.get_cmake_dir(),
        }
        configure = ["cmake", "-G", "Ninja", "-S", self.folder / "csrc", "-B", folder]
        configure += [f"-D{name}={value}" for name, value in definitions.items()]
        configure += shlex.split(os.environ.get("CMAKE_ARGS", ""))
        for command in (configure, ["cmake", "--build", folder]):
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        for module in folder.glob("_C*.so"):
            shutil.copy(module, self.folder / "winit_cuda")

    def try_out(self, mutation: Mutation, tests: tuple[str, ...] = ()) -> dict[str, object]:
        """Break, run the tests that mirror the file, or these, and put back."""
        path, begun = self.folder / mutation.file, time.monotonic()
        before = path.read_text(encoding="utf-8")
        number = MUTATIONS.index(mutation) + 1 if mutation.is_compiled else 0
        if not mutation.is_compiled:
            path.write_text(mutation.in_python(before), encoding="utf-8")
        caught_by = None
        try:
            for test in tests or mutation.tests:
                caught_by = caught_by or self.failed((test,), number)
        finally:
            path.write_text(before, encoding="utf-8")
        return {
            **mutation.described,
            "caught_by": caught_by,
            "seconds": round(time.monotonic() - begun),
        }

    def _see_which_package(self) -> None:
        """Stop where Python would import another checkout's."""
        command = [sys.executable, "-c", "import winit_cuda; print(winit_cuda.__file__)"]
        found = subprocess.run(
            command, cwd=self.folder, env=self._environment(), capture_output=True, text=True
        ).stdout
        if not Path(found.strip()).is_relative_to(self.folder):
            sys.exit(f"not the copy in {self.folder} would be tested, but {found}")

    def _environment(self, number: int = 0) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(self.folder), "MUTATION": str(number)}

    def failed(self, tests: Iterable[str], number: int = 0) -> str | None:
        """The first test that fails with a fault of the core's; None where all pass."""
        there = [test for test in tests if (self.folder / test.partition("::")[0]).exists()]
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *there]
        try:
            done = subprocess.run(
                command,
                cwd=self.folder,
                env=self._environment(number),
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return "a test that did not end"
        if done.returncode == 0:
            return None
        lines = [
            line for line in done.stdout.splitlines() if line.startswith(("FAILED ", "ERROR "))
        ]
        if not lines:
            return f"pytest, exit status {done.returncode}"
        return lines[0].split(" ", 1)[1].split(" - ")[0]


if __name__ == "__main__":
    sys.exit(main())
