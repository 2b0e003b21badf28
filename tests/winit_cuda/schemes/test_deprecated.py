"""The names without underscore: a FutureWarning that points at the caller, and the new function."""

from __future__ import annotations

import pytest
import torch

import winit_cuda as winit

OLD = {
    "uniform": (0.0, 2.0),
    "normal": (0.0, 0.5),
    "constant": (0.5,),
    "eye": (),
    "dirac": (),
    "xavier_uniform": (0.5,),
    "xavier_normal": (0.5,),
    "kaiming_uniform": (),
    "kaiming_normal": (),
    "orthogonal": (),
    "sparse": (0.5,),
}


@pytest.mark.parametrize("name", OLD)
def test_old_names_warn_and_work(name):
    tensor = torch.zeros(4, 4, 3) if name == "dirac" else torch.zeros(4, 4)
    expected = tensor.clone()
    torch.manual_seed(0)
    with pytest.warns(FutureWarning, match=rf"winit_cuda\.{name} .* winit_cuda\.{name}_") as caught:
        assert getattr(winit, name)(tensor, *OLD[name]) is tensor
    assert caught[0].filename == __file__
    torch.manual_seed(0)
    assert torch.equal(tensor, getattr(winit, f"{name}_")(expected, *OLD[name]))


def test_the_modules_do_not_hide_the_old_names():
    assert all(callable(getattr(winit, name)) for name in OLD)
    assert winit.orthogonal.__name__ == "orthogonal"


def test_errors_name_the_new_function():
    with pytest.warns(FutureWarning), pytest.raises(ValueError, match="xavier_normal_: tensor"):
        winit.xavier_normal(torch.zeros(3))
