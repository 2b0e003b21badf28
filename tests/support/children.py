"""Work in a forked child process, which has no threads of the core's yet."""

from __future__ import annotations

import os
import select
import signal
import warnings
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


def in_a_child(work: Callable[[], bytes], timeout: float = 60) -> bytes:
    """What work() returns, a bytes object, in a forked child process."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking a process with threads
        child = os.fork()
    if child == 0:
        try:
            os.write(writer, work())
        finally:
            os._exit(0)
    os.close(writer)
    try:
        if not select.select([reader], [], [], timeout)[0]:
            os.kill(child, signal.SIGKILL)
            pytest.fail("the forked child hangs")
        return os.read(reader, 1 << 16)
    finally:
        os.close(reader)
        os.waitpid(child, 0)
