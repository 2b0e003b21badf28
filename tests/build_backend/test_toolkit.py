"""nvcc: where it is searched, which is too old, and what pip has to install for it."""

from __future__ import annotations

import platform
import re
import sys
from importlib.metadata import Distribution
from typing import TYPE_CHECKING

import pytest

from build_backend import toolkit
from build_backend.driver import Driver
from machine import nvcc, program

if TYPE_CHECKING:
    from pathlib import Path

posix = pytest.mark.skipif(sys.platform == "win32", reason="the fake compilers are shell scripts")


@posix
def test_nvcc_is_searched_in_order(tmp_path: Path) -> None:
    places = [tmp_path / name for name in ("home", "path", "PATH", "default")]
    environment = {
        "CUDA_HOME": str(places[0]),
        "CUDA_PATH": str(places[1]),
        "PATH": str(places[2] / "bin"),
    }
    default = str(places[3])
    assert list(toolkit.system_nvccs(environment, default)) == []
    expected = []
    for minor, place in enumerate(reversed(places)):
        path = program(place / "bin", "nvcc", nvcc(f"12.{minor}"))
        expected.insert(0, toolkit.Nvcc(str(path), (12, minor)))
        assert list(toolkit.system_nvccs(environment, default)) == expected
    assert list(toolkit.system_nvccs({}, default)) == expected[-1:]


@posix
@pytest.mark.parametrize(
    ("script", "shown", "too_old"),
    [
        (nvcc("11.5"), "nvcc 11.5", True),
        (nvcc("12.0"), "nvcc 12.0", True),
        (nvcc("12.1"), "nvcc 12.1", False),
        (nvcc("13.10"), "nvcc 13.10", False),
        ("exit 1", "nvcc", False),  # compiling with it will tell
    ],
)
def test_the_version_is_told(tmp_path: Path, script: str, shown: str, too_old: bool) -> None:
    path = program(tmp_path / "bin", "nvcc", script)
    (found,) = toolkit.system_nvccs({}, str(tmp_path))
    assert str(found) == f"{shown} ({path})"
    assert found.too_old == too_old
    assert found.libraries is None


def install(folder: Path, names: list[str]) -> None:
    """Lay PyPI's packages out as pip does."""
    root = folder / "nvidia" / "cu13"
    for name in names:
        path = root / toolkit.PACKAGES[name]
        program(path.parent, path.name, nvcc("13.0"))
        information = folder / f"{name.replace('-', '_')}-13.0.88.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(f"Name: {name}\nVersion: 13.0.88\n")
        record = path.relative_to(folder).as_posix()
        (information / "RECORD").write_text(f"nvidia/cu13/bin/crt/link.stub,,\n{record},,\n")


@posix
@pytest.mark.parametrize("missing", [None, *toolkit.PACKAGES])
def test_the_packages_of_pypi_are_found_where_they_are_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str | None
) -> None:
    install(tmp_path, [name for name in toolkit.PACKAGES if name != missing])

    def distribution(name: str) -> Distribution:
        found = list(Distribution.discover(name=name, path=[str(tmp_path)]))
        return found[0] if found else Distribution.from_name("no-such-package")

    monkeypatch.setattr(toolkit, "distribution", distribution)
    found = toolkit.installed_nvcc()
    if missing:
        assert found is None
    else:
        root = tmp_path / "nvidia" / "cu13"
        assert found == toolkit.Nvcc(str(root / "bin" / "nvcc"), (13, 0), from_pypi=True)
        assert str(found) == "nvcc 13.0 from PyPI"
        assert found.libraries == root / "lib"


@pytest.mark.parametrize(
    ("driver", "versions"),
    [
        ((13, 0), ">=13.0,<13.1"),
        ((13, 10), ">=13.0,<13.11"),
        ((14, 2), ">=13.0,<14.0"),
        (None, ">=13.0,<14.0"),
    ],
)
def test_no_package_is_newer_than_the_driver(driver: tuple[int, int] | None, versions: str) -> None:
    assert toolkit.requirements(driver and Driver(driver, ())) == (
        f"nvidia-cuda-nvcc{versions}",
        f"nvidia-cuda-crt{versions}",
        f"nvidia-cuda-runtime{versions}",
        f"nvidia-nvvm{versions}",
    )


@pytest.mark.parametrize(
    ("system", "machine", "libc", "driver", "why"),
    [
        ("linux", "x86_64", "glibc", (13, 0), None),
        ("linux", "aarch64", "glibc", None, None),
        ("linux", "x86_64", "glibc", (12, 9), "takes CUDA up to 12.9, PyPI has nvcc from 13.0 on"),
        ("linux", "x86_64", "", (13, 0), "PyPI has no nvcc for this machine"),
        ("linux", "ppc64le", "glibc", (13, 0), r"for this machine \(linux, ppc64le\)"),
        ("darwin", "arm64", "", None, r"for this machine \(darwin, arm64\)"),
    ],
)
def test_not_every_machine_has_an_nvcc_on_pypi(
    monkeypatch: pytest.MonkeyPatch,
    system: str,
    machine: str,
    libc: str,
    driver: tuple[int, int] | None,
    why: str | None,
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "libc_ver", lambda: (libc, "2.36"))
    said = toolkit.why_not_from_pypi(driver and Driver(driver, ()))
    assert said is None if why is None else re.search(why, said or "")
