"""What a pickle may not ask for: memory and time that do not come with bytes of the file."""

from __future__ import annotations

import io
import pickle
import struct

import pytest

from winit_cuda._verify.metadata import _Unpickler
from winit_cuda._verify.pickle_limits import check


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x80\x02Nr" + struct.pack("<I", 1 << 29) + b".", "keeps objects far out"),
        (b"\x80\x02}N" + b"\x85" * 100_000 + b"Ns.", "nested too deeply"),
        (b"\x80\x02}N" + b"2\x86" * 40 + b"Ns.", "operation DUP"),
        # (x, x) of (x, x) of ... , by the memo
        (b"\x80\x02}N" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(40)) + b"Ns.", "nested"),
        # A list that is kept before it gets its values shares them all the same.
        (
            b"\x80\x02N"
            + b"".join(b"q%c0]q%c(h%ch%ceh%c\x85" % (i, i + 100, i, i, i + 100) for i in range(40))
            + b".",
            "nested",
        ),
        (b"\x80\x02q\x00.", "keeps objects"),
        (b"\x80\x02h\x00.", "is not kept"),
        (b"\x80\x02Nt.", "a mark is missing"),
        (b"\x80\x02N\x86.", "takes what is not there"),
        (b"\x80\x02\x82\x01.", "operation EXT1"),
        (b"P1\n.", "operation PERSID"),
    ],
)
def test_what_is_refused(data, message):
    with pytest.raises(pickle.UnpicklingError, match=message):
        check(data)


def test_what_ends_too_soon():
    whole = pickle.dumps({"a": [1, 2.5, "three"], "b": (None, b"4")})
    for size in range(len(whole)):
        with pytest.raises((ValueError, pickle.UnpicklingError)):
            check(whole[:size])


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_what_is_saved_is_not(protocol):
    shared = ("shared", 2**80)
    value = {
        (name, shared): [{"shape": (3, 4), "more": shared}, {1, 2}, frozenset({3}), 1e300, True]
        for name in map(str, range(1000))
    }
    check(pickle.dumps(value, protocol))


@pytest.mark.parametrize("bit", range(8))
def test_a_bit_that_is_flipped(bit):
    """Whatever is left is read in no more memory than the whole takes."""
    whole = pickle.dumps({str(i): [(i, "x"), {"y": i}] for i in range(20)}, 2)
    for place in range(len(whole)):
        data = bytearray(whole)
        data[place] ^= 1 << bit
        try:
            check(bytes(data))
            _Unpickler(io.BytesIO(data)).load()
        except Exception as error:
            assert not isinstance(error, MemoryError)  # noqa: PT017
