"""Run the tests on other releases of Python and torch, each in a fresh environment.

    python tests/support/releases.py python3.10:2.4.1 python3.13:2.14.1

The package is installed from the checkout, editable, and so built for each Python. An environment
takes some 5 GB, one at a time, and is deleted afterwards, unless `--keep` names a folder for them,
where the next run finds them. What a release does not have is skipped, with the reason.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
COUNTS = ("tests", "failures", "errors", "skipped", "time")
VERSIONS = """
import json, platform, numpy, torch
print(json.dumps({"python": platform.python_version(), "torch": torch.__version__,
                  "numpy": numpy.__version__}))
"""


def main() -> int:
    """Print a row for each release, and return how many have a failure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "releases", nargs="+", help="of torch, as pip names them, or PYTHON:TORCH (this Python)"
    )
    parser.add_argument("--tests", nargs="+", default=["tests"], help="what pytest runs (all)")
    parser.add_argument(
        "--extras", default="bench,test", help="what else is installed (bench,test)"
    )
    parser.add_argument("--keep", type=Path, help="a folder for the environments")
    parser.add_argument("--json", type=Path, help="write the results there")
    options = parser.parse_args()
    head = {"commit": commit(), "date": time.strftime("%Y-%m-%d"), "machine": platform.machine()}
    rows: list[dict[str, object]] = []
    for python, release in map(pair, options.releases):
        with environment(options.keep, f"{Path(python).name}-torch-{release}") as folder:
            installed = install(python, release, options.extras, folder)
            rows.append({**installed, **run(options.tests, folder)})
        if options.json:  # a later release may fail to install
            found = {**head, "tests": options.tests, "releases": rows}
            options.json.write_text(json.dumps(found, indent=1) + "\n")
    for row in (dict(zip(rows[0], rows[0], strict=True)), *rows):
        print("".join(f"{row[name]!s:>12}" for name in ("python", "torch", *COUNTS)))
    return sum((row["failures"], row["errors"]) != (0, 0) for row in rows)


def pair(named: str) -> tuple[str, str]:
    """The interpreter and the release of torch of `PYTHON:TORCH`."""
    python, _, release = named.rpartition(":")
    return python or sys.executable, release


@contextlib.contextmanager
def environment(kept: Path | None, name: str) -> Iterator[Path]:
    """A folder for an environment: one that stays, or one that is deleted."""
    if kept:
        yield kept.resolve() / name
        return
    with tempfile.TemporaryDirectory(prefix=f"{name}-") as folder:
        yield Path(folder)


def install(python: str, release: str, extras: str, folder: Path) -> dict[str, str]:
    """A release of torch, and this checkout.

    Returns:
        The versions that pip chose.
    """
    if not (folder / "bin").exists():
        subprocess.run([python, "-m", "venv", folder], check=True)
    wanted = [f"torch=={release}", "--editable", f"{ROOT}[{extras}]"]
    own = folder / "bin" / "python"
    subprocess.run([own, "-m", "pip", "install", "--quiet", *wanted], check=True)
    found = subprocess.run([own, "-c", VERSIONS], check=True, capture_output=True, text=True)
    versions: dict[str, str] = json.loads(found.stdout)
    return versions


def run(tests: list[str], folder: Path) -> dict[str, object]:
    """What pytest counts, its seconds, and what fails."""
    report = folder / "report.xml"
    programs = folder / "bin"
    spread = ("-n", "auto", "--dist", "loadfile", "-p", "no:cacheprovider")
    command = [programs / "python", "-m", "pytest", "-q", *spread, f"--junit-xml={report}", *tests]
    alone = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    alone["PATH"] = f"{programs}{os.pathsep}{alone['PATH']}"  # of what tests start by its name
    subprocess.run(command, cwd=ROOT, env=alone, check=False)
    suite = ElementTree.parse(report).getroot().find("testsuite")
    assert suite is not None
    counts = {name: int(suite.attrib[name]) for name in COUNTS[:-1]}
    failed = [
        f"{case.attrib['classname']}::{case.attrib['name']}"
        for case in suite.iter("testcase")
        if case.find("failure") is not None or case.find("error") is not None
    ]
    return {**counts, "time": round(float(suite.attrib["time"])), "failed": failed}


def commit() -> str:
    """What is tested."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
