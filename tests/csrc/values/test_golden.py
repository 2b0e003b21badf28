"""The frozen stream: hashes of what every law, dtype, key and domain gives, in data/golden.json.

A hash that changes means that the same seed gives other weights. That is a new stream version,
which users choose by name; it never replaces the hashes of an old one. So

    python tests/csrc/values/test_golden.py --write

adds the hashes of cases that the file lacks, and refuses to change any that it has.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import pytest
import torch

import reference
import winit_cuda as winit
from core import CPU, CUDA, DTYPES, bits, everywhere, fill, sparse, words
from laws import Law
from reference import Key

FILE = Path(__file__).parents[2] / "data" / "golden.json"
COUNT = 4099
LAWS = [
    Law("uniform", (0.0, 1.0)),
    Law("uniform", (-0.05, 0.05)),
    Law("uniform", (0.1, 0.3)),
    Law("normal", (0.0, 1.0)),
    Law("normal", (0.5, 0.02)),
    Law("trunc_normal", (0.0, 1.0, -2.0, 2.0)),
    Law("trunc_normal", (0.0, 0.02, -0.04, 0.05)),
    Law("trunc_normal", (0.0, 1.0, 3.0, 6.0)),
    Law("trunc_normal", (1.0, 0.5, -2.0, 0.75)),
]
KEYS = [Key(0, 0), Key(0x0123456789ABCDEF, 0xFEDCBA9876543210)]
INDICES = [0, (1 << 33) + 5]
DOMAINS = {
    "element": reference.ELEMENT,
    "element, low": reference.ELEMENT_LOW,
    "orthogonal": reference.ORTHOGONAL,
    "orthogonal, low": reference.ORTHOGONAL_LOW,
    "sparse": reference.SPARSE,
}
SPARSE = [((64, 64), 32), ((1000, 3), 100), ((7, 500), 6)]


def digest(tensor):
    pattern = bits(tensor)
    little_endian = pattern.astype(pattern.dtype.newbyteorder("<"), copy=False)
    return hashlib.blake2b(little_endian.tobytes(), digest_size=16).hexdigest()


def name_of(dtype):
    return str(dtype).removeprefix("torch.")


def cases():
    """Name and function, of the place to fill at, of every case."""
    for law in LAWS:
        for dtype in DTYPES:
            for key in KEYS:
                for index in INDICES:
                    name = f"{law} {name_of(dtype)} key {key.seed:x} {key.stream:x} at {index}"
                    yield name, fill_case(law, dtype, key, index)
    for domain, code in DOMAINS.items():
        for key in KEYS:
            name = f"words ({domain}) key {key.seed:x} {key.stream:x}"
            yield name, words_case(code, key)
    for shape, zeros in SPARSE:
        for dtype in DTYPES:
            name = f"sparse {shape[0]}x{shape[1]}, {zeros} zeros a column, {name_of(dtype)}"
            yield name, sparse_case(shape, zeros, dtype)
    for dtype in DTYPES:
        yield f"constant 0.1 {name_of(dtype)}", fixed_case(winit.constant_, dtype, 0.1)
        yield f"dirac {name_of(dtype)}", fixed_case(winit.dirac_, dtype, 2)


def fill_case(law, dtype, key, index):
    box = ((COUNT,), (1,), (1,), index) if index else None

    def run(place):
        values = torch.empty(COUNT, dtype=dtype)
        return fill(law.name, values, *law.numbers, key=key, place=place, box=box)

    return run


def words_case(domain, key):
    return lambda place: torch.from_numpy(words(COUNT, domain, 3, key, place).view("int32"))


def sparse_case(shape, zeros, dtype):
    return lambda place: sparse(
        torch.empty(shape, dtype=dtype), zeros, 1.0, key=KEYS[1], place=place
    )


def fixed_case(function, dtype, number):
    """By the public function, on the device of the place."""

    def run(place):
        device = "cuda" if place == CUDA else "cpu"
        return function(torch.empty(6, 5, 3, 3, dtype=dtype, device=device), number).cpu()

    return run


CASES = dict(cases())


def hashes_in(file):
    return json.loads(file.read_text())["hashes"] if file.exists() else {}


@everywhere
def test_the_stream_is_frozen(place):
    stored = hashes_in(FILE)
    changed = [name for name, run in CASES.items() if digest(run(place)) != stored.get(name)]
    assert not changed, f"{len(changed)} of {len(CASES)}, first {changed[:5]}"


def test_the_file_has_every_case():
    stored = json.loads(FILE.read_text())
    assert stored["stream_version"] == winit.STREAM_VERSION
    assert list(stored["hashes"]) == list(CASES)


def test_no_two_cases_are_alike():
    hashes = list(hashes_in(FILE).values())
    assert len(set(hashes)) == len(hashes)


def test_writing_changes_no_hash(tmp_path):
    file = tmp_path / "golden.json"
    first, second = list(CASES)[:2]
    hashes = {first: digest(CASES[first](CPU)), second: "0" * 32}
    text = json.dumps({"stream_version": winit.STREAM_VERSION, "hashes": hashes})
    file.write_text(text)
    with pytest.raises(SystemExit, match="new stream version"):
        write(file)
    assert file.read_text() == text


def test_writing_adds_hashes(tmp_path, capsys):
    file = tmp_path / "golden.json"
    file.write_text(FILE.read_text().replace("normal(0, 1)", "a case that is gone"))
    write(file)
    assert file.read_text() == FILE.read_text()
    assert " added" in capsys.readouterr().out


def write(file):
    stored = hashes_in(file)
    made = {name: digest(run(CPU)) for name, run in CASES.items()}
    changed = [name for name, value in stored.items() if made.get(name, value) != value]
    if changed:
        sys.exit(
            f"The values of {len(changed)} cases changed, first {changed[:3]}: the same seed would "
            "give other weights. That is a new stream version, with hashes of its own beside "
            f"these; {file.name} is left as it was."
        )
    content = {"stream_version": winit.STREAM_VERSION, "hashes": made}
    file.write_text(json.dumps(content, indent=1) + "\n")
    print(f"{len(made.keys() - stored.keys())} hashes added, {len(made)} in {file}")


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit(__doc__)
    write(FILE)
