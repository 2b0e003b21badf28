"""The tests of this folder run on a GPU, or on stand-ins for two of them where there is none."""

from __future__ import annotations

from typing import Any

import pytest

from standin.fixtures import machine as machine
from standin.fixtures import pytest_generate_tests as pytest_generate_tests


@pytest.fixture(autouse=True)
def _every_test(machine: Any) -> None:
    """Every test needs the devices."""
