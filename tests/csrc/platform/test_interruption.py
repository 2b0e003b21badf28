"""Ctrl-C, or what else a signal's handler raises, ends a fill that takes long."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytest.importorskip("winit_cuda._C", reason="winit_cuda was installed without its core")

SUPPORT = Path(__file__).parents[2] / "support"
FORKS = pytest.mark.skipif(not hasattr(__import__("signal"), "setitimer"), reason="no timers here")

# Each goes on until the test's patience ends, unless it is interrupted; all of them write the same
# memory again and again, by strides of zero, so that none needs much of it.
LONG = {
    "one stretch": "_C.normal(p, F32, N, ((N,), (0,), (1,), 0), -1, 0, T, 0, 1, 2, 0.0, 1.0)",
    "a constant index": "_C.normal(p, F32, N, ((N,), (0,), (3,), 0), -1, 0, T, 0, 1, 2, 0.0, 1.0)",
    "tall orthogonal": (
        "_C.orthogonal(p, F32, 1, None, -1, 0, T, 0, 1, 2, 1 << 22, 5000, 3, 1, 4000, 1, 1.0)"
    ),
    "large orthogonal": (
        "_C.orthogonal(p, F32, M, ((30000, 30000), (0, 0), (1, 1), 0), -1, 0, T, 0, 1, 2,"
        " 30000, 30000, 0, 30000, 0, 30000, 1.0)"
    ),
    "one column, sparse": (
        "_C.sparse(p, F32, 9, ((3, 3), (3, 1), (1 << 20, 1), 0), -1, 0, T, 0, 1, 2,"
        " 1 << 40, 1 << 20, 1 << 39, 1.0, q)"
    ),
    "wide sparse": (
        "_C.sparse(p, F32, 1 << 34, ((1 << 14, 1 << 20), (0, 0), (1 << 20, 1), 0), -1, 0, T,"
        " 0, 1, 2, 1 << 14, 1 << 20, 1 << 13, 1.0, q)"
    ),
}

PROGRAM = """
    import signal, sys, time, torch
    from winit_cuda import _C

    class Stop(Exception): pass
    def stop(*_): raise Stop

    F32, N, M, T = _C.DTYPES["float32"], 1 << 38, 30000 * 30000, {threads}
    memory = torch.full((64,), 2.0)
    thresholds = torch.empty(2 << 20, dtype=torch.int64)
    p, q = memory.data_ptr(), thresholds.data_ptr()
    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.7)
    begin = time.monotonic()
    try:
        {call}
    except Stop:
        print(time.monotonic() - begin)
    after = torch.empty(1 << 20)
    _C.normal(after.data_ptr(), F32, after.numel(), None, -1, 0, T, 0, 1, 2, 0.0, 1.0)
"""


@FORKS
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("call", LONG)
def test_a_handler_that_raises_ends_it(call, threads):
    program = textwrap.dedent(PROGRAM).format(threads=threads, call=LONG[call])
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert 0.6 < float(done.stdout) < 5
