"""Python's and NumPy's generators are afterwards as they were, and those used are named."""

from __future__ import annotations

import random
import sys

import pytest

from winit_cuda._core.global_generators import generators_kept

numpy = pytest.importorskip("numpy")


def drawn():
    return random.random(), numpy.random.rand()


@pytest.fixture
def following():
    """The next draws of both."""
    states = random.getstate(), numpy.random.get_state()
    values = drawn()
    random.setstate(states[0])
    numpy.random.set_state(states[1])
    return values


def test_both_are_put_back_and_named(following):
    with generators_kept() as used:
        drawn()
    assert used == ["Python's random", "numpy.random"]
    assert drawn() == following


@pytest.mark.parametrize(
    ("draw", "name"), [(random.random, "Python's random"), (numpy.random.rand, "numpy.random")]
)
def test_only_what_was_used_is_named(draw, name, following):
    with generators_kept() as used:
        pass
    assert used == []
    with generators_kept() as used:
        draw()
    assert used == [name]
    assert drawn() == following


def test_after_an_error_too(following):
    def draws_and_fails():
        with generators_kept():
            drawn()
            raise KeyError

    with pytest.raises(KeyError):
        draws_and_fails()
    assert drawn() == following


def test_without_numpy(monkeypatch):
    monkeypatch.delitem(sys.modules, "numpy")
    with generators_kept() as used:
        random.random()
    assert used == ["Python's random"]
