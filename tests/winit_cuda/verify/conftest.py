import pytest

import winit_cuda as winit
from verified import RULES, Model
from winit_cuda._verify import compare


@pytest.fixture
def plan():
    return winit.plan(Model, RULES)


@pytest.fixture
def model(plan):
    model = Model()
    plan.run(model, seed=3)
    return model


@pytest.fixture
def small_tiles(monkeypatch):
    """Tiles that cut rows, columns and single rows of these models."""
    for name, size in (("_TILE", 23), ("_TOGETHER", 100), ("_PROBE", 3)):
        monkeypatch.setattr(compare, name, size)
