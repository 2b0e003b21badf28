"""Subnormal numbers, in a thread that flushes them to zero (`torch.set_flush_denormal`).

The core computes its values with the processor's default settings whatever the thread's are. What
Python and ATen compute before, a bound, a std, a constant, is to be the same, too.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

SMALLEST = 5e-324
"""The smallest float; as good as 0, thus false, where subnormal numbers are flushed.

It is to be asked outside of `torch.compile` only: torch 2.4 makes a float32 of it there, which is 0
everywhere, and no release lets a whole graph switch the setting.
"""


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Let the thread, which flushes subnormal numbers, compute with them."""
    torch.set_flush_denormal(False)
    try:
        yield
    finally:
        torch.set_flush_denormal(True)
