"""Run the tests on other releases of torch, each in a fresh environment that is deleted afterwards.

    python tests/support/releases.py 2.4.1 2.15.0 --tests tests/winit_cuda/model

An environment takes some 5 GB, one at a time. The package is installed from the checkout, editable.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[2]
COUNTS = ("tests", "failures", "errors", "skipped", "time")


def main() -> int:
    """Print a row for each release, and return how many have a failure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("releases", nargs="+", help="of torch, as pip names them")
    parser.add_argument("--tests", nargs="+", default=["tests"], help="what pytest runs (all)")
    parser.add_argument(
        "--extras", default="bench,test", help="what else is installed (bench,test)"
    )
    options = parser.parse_args()
    rows = []
    for release in options.releases:
        with tempfile.TemporaryDirectory(prefix=f"torch-{release}-") as folder:
            install(release, options.extras, Path(folder))
            rows.append((release, *run(options.tests, Path(folder))))
    for row in (("torch", *COUNTS), *rows):
        print("".join(f"{value:>10}" for value in row))
    return sum(row[2:4] != ("0", "0") for row in rows)


def install(release: str, extras: str, folder: Path) -> None:
    """A release of torch, and this checkout."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    wanted = [f"torch=={release}", "--editable", f"{ROOT}[{extras}]"]
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted], check=True)


def run(tests: list[str], folder: Path) -> tuple[str, ...]:
    """What pytest counts, and its seconds."""
    report = folder / "report.xml"
    command = [folder / "bin" / "python", "-m", "pytest", "-q", f"--junit-xml={report}", *tests]
    alone = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    subprocess.run(command, cwd=ROOT, env=alone, check=False)
    suite = ElementTree.parse(report).getroot().find("testsuite")
    assert suite is not None
    return tuple(suite.attrib[count] for count in COUNTS)


if __name__ == "__main__":
    sys.exit(main())
