"""Run the tests on other releases of torch and Python, each in a fresh environment.

    python tests/support/releases.py 2.4.1 2.14.1 --tests tests/winit_cuda/model

An environment takes some 5 GB, one at a time, and is deleted afterwards. The package is installed
from the checkout, editable. `--python` names the interpreters that the machine has, and `--json` a
file for the results.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from xml.etree import ElementTree

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
    parser.add_argument("releases", nargs="+", help="of torch, as pip names them")
    parser.add_argument("--tests", nargs="+", default=["tests"], help="what pytest runs (all)")
    parser.add_argument(
        "--extras", default="bench,test", help="what else is installed (bench,test)"
    )
    parser.add_argument(
        "--python", nargs="+", default=[sys.executable], help="interpreters (this one)"
    )
    parser.add_argument("--json", type=Path, help="write the results there")
    options = parser.parse_args()
    head = {"commit": commit(), "date": time.strftime("%Y-%m-%d"), "machine": platform.machine()}
    rows: list[dict[str, object]] = []
    for python in options.python:
        for release in options.releases:
            with tempfile.TemporaryDirectory(prefix=f"torch-{release}-") as folder:
                installed = install(python, release, options.extras, Path(folder))
                rows.append({**installed, **run(options.tests, Path(folder))})
            if options.json:  # a later release may fail to install
                found = {**head, "tests": options.tests, "releases": rows}
                options.json.write_text(json.dumps(found, indent=1) + "\n")
    for row in (dict(zip(rows[0], rows[0], strict=True)), *rows):
        print("".join(f"{row[name]:>12}" for name in ("python", "torch", *COUNTS)))
    return sum((row["failures"], row["errors"]) != (0, 0) for row in rows)


def install(python: str, release: str, extras: str, folder: Path) -> dict[str, str]:
    """A release of torch, and this checkout.

    Returns:
        The versions that pip chose.
    """
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
    command = [folder / "bin" / "python", "-m", "pytest", "-q", f"--junit-xml={report}", *tests]
    alone = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
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
