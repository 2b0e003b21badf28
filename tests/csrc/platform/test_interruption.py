"""Ctrl-C, or what else a signal's handler raises, ends a fill that takes long."""

from __future__ import annotations

import signal
import time

import numpy as np
import pytest
import torch

from children import in_a_child
from core import _C, CODES, bits

F32 = CODES[torch.float32]
N, SIDE = 1 << 38, 30000
MOST = 30
"""Seconds: each fill takes minutes or more."""


# They write the same memory again and again, by strides of zero.
def one_stretch(p, _, threads):
    _C.normal(p, F32, N, ((N,), (0,), (1,), 0), -1, 0, threads, 0, 1, 2, 0.0, 1.0)


def a_constant_index(p, _, threads):
    _C.normal(p, F32, N, ((N,), (0,), (3,), 0), -1, 0, threads, 0, 1, 2, 0.0, 1.0)


def tall_orthogonal(p, _, threads):
    part = (3, 1, 4900, 1)
    _C.orthogonal(p, F32, 1, None, -1, 0, threads, 0, 1, 2, 1 << 19, 5000, *part, 1.0)


def large_orthogonal(p, _, threads):
    box = ((SIDE, SIDE), (0, 0), (1, 1), 0)
    part = (0, SIDE, 0, SIDE)
    _C.orthogonal(p, F32, SIDE * SIDE, box, -1, 0, threads, 0, 1, 2, SIDE, SIDE, *part, 1.0)


def one_sparse_column(p, q, threads):
    box = ((3, 3), (3, 1), (1 << 20, 1), 0)
    _C.sparse(p, F32, 9, box, -1, 0, threads, 0, 1, 2, 1 << 40, 1 << 20, 1 << 39, 1.0, q)


def wide_sparse(p, q, threads):
    box = ((1 << 14, 1 << 20), (0, 0), (1 << 20, 1), 0)
    _C.sparse(p, F32, 1 << 34, box, -1, 0, threads, 0, 1, 2, 1 << 14, 1 << 20, 1 << 13, 1.0, q)


LONG = (
    one_stretch,
    a_constant_index,
    tall_orthogonal,
    large_orthogonal,
    one_sparse_column,
    wide_sparse,
)


class Stop(Exception):  # noqa: N818
    """What the handler raises."""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there are no timers here")
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("fill", LONG, ids=lambda fill: fill.__name__)
def test_a_handler_that_raises_ends_it(fill, threads):
    def stop(*_):
        raise Stop

    memory, after, expected = torch.full((64,), 2.0), torch.empty(1 << 18), torch.empty(1 << 18)
    thresholds = torch.empty(2 << 20, dtype=torch.int64)

    def normal(tensor, threads):
        where = (tensor.data_ptr(), F32, tensor.numel(), None, -1, 0, threads)
        _C.normal(*where, 0, 1, 2, 0.0, 1.0)

    normal(expected, 1)

    def work():  # where the core has started no thread yet, and torch's are gone
        signal.signal(signal.SIGALRM, stop)
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        begin = time.monotonic()
        try:
            fill(memory.data_ptr(), thresholds.data_ptr(), threads)
        except Stop:
            seconds = time.monotonic() - begin
        else:
            return b"ended by itself"
        normal(after, threads)  # the core is as good as before
        is_right = seconds < MOST and np.array_equal(bits(after), bits(expected))
        return b"stopped" if is_right else b"broken"

    assert in_a_child(work, 2 * MOST) == b"stopped"
