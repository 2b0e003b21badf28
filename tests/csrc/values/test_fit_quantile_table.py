"""The tables of the normal quantile: fitted by the script, continuous, of the stated accuracy."""

from __future__ import annotations

import importlib.util
import random
import re
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from mpmath import mp, mpf

CSRC = Path(__file__).parents[3] / "csrc"
SCRIPT = CSRC / "values" / "fit_quantile_table.py"
HEADER = (CSRC / "values" / "quantile_table.h").read_text()


def load_script():
    spec = importlib.util.spec_from_file_location(SCRIPT.stem, SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[SCRIPT.stem] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


script = load_script()
TABLES = (script.FLOAT, script.DOUBLE)
each_table = pytest.mark.parametrize("table", TABLES, ids=lambda table: table.type)


def parse(table):
    """Returns the center and the coefficients of every segment as the header has them."""
    body = re.search(rf"{table.name}\[.*?= {{(.*?)\n}};", HEADER, re.DOTALL).group(1)
    rows = re.findall(r"{  // (?:centers|u\^\d+)\n(.*?)}", body, re.DOTALL)
    numbers = [
        [float.fromhex(x) for x in re.findall(r"-?0x[0-9a-f.]+p[-+]\d+", row)] for row in rows
    ]
    assert [len(row) for row in numbers] == [script.SEGMENTS] * (table.degree + 2)
    return [[mpf(row[s]) for row in numbers] for s in range(script.SEGMENTS)]


FITS = {table: parse(table) for table in TABLES}


def stated_error(table):
    """Returns the error that the header's comment states, plus what its two digits round off."""
    return float(re.search(rf"{table.name} (\d\.\de-\d+)", HEADER).group(1)) * 1.05


@each_table
@pytest.mark.parametrize("segment", [0, 67, 111, 116, 120, 127])
def test_header_holds_what_the_script_fits(table, segment):
    assert script.fit(segment, table) == FITS[table][segment]


def test_header_is_laid_out_as_the_script_does():
    assert f"kFloatDegree = {script.FLOAT.degree};" in HEADER
    assert f"kDoubleDegree = {script.DOUBLE.degree};" in HEADER
    for table in TABLES:
        assert script.definition(table, FITS[table]) in HEADER
    assert max(map(len, HEADER.splitlines())) <= 100


def in_order():
    """Returns the segments from f = 1 to f = 2^31: that of octave 0 are the last ones."""
    return [*range(124, 128), *range(120)]


def factor_by_table(table, segment, m):
    center, *coefficients = FITS[table][segment]
    return mp.ldexp(script.horner(coefficients, m - center), 32)


@each_table
def test_segments_meet_at_their_borders(table):
    order = in_order()
    with mp.workdps(script.DIGITS):
        for left, right in pairwise(order):
            jump = factor_by_table(table, left, mpf(1.25)) / factor_by_table(table, right, mpf(1))
            assert abs(jump - 1) < 2 * stated_error(table)


@each_table
def test_relative_error_is_what_the_header_says(table):
    draw = random.Random(0)
    with mp.workdps(script.DIGITS):
        for segment in in_order():
            for _ in range(4):
                m = mpf(draw.uniform(1, 1.25))
                true = script.factor(script.probability(segment, m))
                error = factor_by_table(table, segment, m) / true - 1
                assert abs(error) < stated_error(table)


@each_table
def test_the_last_octave_is_one_half(table):
    with mp.workdps(script.DIGITS):
        for segment in range(120, 124):
            found = factor_by_table(table, segment, mpf(1))
            assert abs(found / mp.sqrt(2 * mp.pi) - 1) < mpf(2) ** -table.precision


def test_float32_coefficients_of_u0_are_exact():
    # To a hundredth of the step of a float32, which is why the centers are not the middles.
    with mp.workdps(script.DIGITS):
        for segment in in_order():
            center, first, *_ = FITS[script.FLOAT][segment]
            true = script.factor(script.probability(segment, center))
            step = mpf(2) ** (mp.frexp(true)[1] - 24)
            assert abs(mp.ldexp(first, 32) - true) <= step / 100
            assert abs(center - mpf(1.125)) < 1e-3


def test_reference_quantile():
    # Phi(1) to 40 digits, and the ends of the range.
    with mp.workdps(40):
        tail = mpf("0.1586552539314570514147674543679620775220870")
        assert abs(script.quantile(tail) - 1) < mpf("1e-38")
        smallest = script.probability(124, mpf(1))
        assert smallest == mpf(2) ** -32
        assert script.probability(0, mpf(1)) == 2 * smallest
        assert abs(mp.ncdf(-script.quantile(smallest)) / smallest - 1) < mpf("1e-36")
        largest = mpf(0.5) - mpf(2) ** -33
        assert abs(script.factor(largest) - mp.sqrt(2 * mp.pi)) < mpf("1e-18")
