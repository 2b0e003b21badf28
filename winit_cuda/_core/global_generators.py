"""The global generators of Python and NumPy, which models may draw from beside torch's."""

from __future__ import annotations

import pickle
import random
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def generators_kept() -> Iterator[list[str]]:
    """Give the generators back the states that they had.

    Yields:
        A list that afterwards has the names of those that were used.
    """
    used: list[str] = []
    numpy: Any = sys.modules.get("numpy")  # who has not imported it, draws nothing
    python = random.getstate()
    arrays = numpy.random.get_state() if numpy else None
    try:
        yield used
    finally:
        if random.getstate() != python:
            used.append("Python's random")
            random.setstate(python)
        if numpy and pickle.dumps(numpy.random.get_state()) != pickle.dumps(arrays):
            used.append("numpy.random")
            numpy.random.set_state(arrays)
