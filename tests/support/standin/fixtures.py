"""For a conftest.py: the fixture `machine`, by which a test runs with CUDA devices of some kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from winit_cuda._core import backend

from . import installed, is_not_needed

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test runs on a GPU where there is one, or else on the stand-in; its name says on which.

    The marker `cuda` is for a test that asks what only a GPU can tell.
    """
    if "machine" not in metafunc.fixturenames:
        return
    if metafunc.definition.get_closest_marker("cuda") or is_not_needed():
        place = pytest.param("gpu", marks=pytest.mark.cuda)
    else:
        place = pytest.param("stand-in")
    metafunc.parametrize("machine", [place], indirect=True)


@pytest.fixture
def machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The stand-in; None where a GPU is in use."""
    if request.param == "gpu":
        yield None
        return
    if backend.loaded is None:
        pytest.skip(f"needs the native core: {backend.import_error}")
    with installed(monkeypatch) as machine:
        yield machine
