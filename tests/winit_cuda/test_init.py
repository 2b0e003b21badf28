"""The public interface against torch's: names, signatures, doctests, and what an import costs."""

from __future__ import annotations

import doctest
import inspect
import pkgutil
import subprocess
import sys
import typing
from importlib import import_module

import pytest
import torch

import winit_cuda as winit
from initializers import needs_core
from winit_cuda import init
from winit_cuda._core.target import exchange

RANDOM = {
    "uniform",
    "normal",
    "trunc_normal",
    "xavier_uniform",
    "xavier_normal",
    "kaiming_uniform",
    "kaiming_normal",
    "orthogonal",
    "sparse",
}


def theirs() -> set[str]:
    """The public functions of torch.nn.init; older releases have no __all__."""
    return {
        name
        for name, value in vars(torch.nn.init).items()
        if inspect.isfunction(value)
        and not name.startswith("_")
        and value.__module__ == "torch.nn.init"
    }


OURS_ALONE = {"delta_orthogonal_"}
# What a function takes besides torch's own arguments, shard and key.
MORE = {"orthogonal_": {"batch_dims": 0, "chunks": 1}}


def test_names_are_torch_s():
    expected = theirs()
    assert (
        set(init.__all__) - OURS_ALONE
        == expected
        == set(getattr(torch.nn.init, "__all__", expected))
    )
    assert init.__all__ == sorted(init.__all__)


@pytest.mark.parametrize("name", init.__all__)
def test_names_are_at_the_top_too(name):
    assert getattr(winit, name) is getattr(init, name)
    assert name in winit.__all__


@pytest.mark.parametrize("name", sorted(set(init.__all__) - OURS_ALONE))
def test_signatures_are_torch_s_plus_key(name):
    original = getattr(torch.nn.init, name)
    current = name if name.endswith("_") or name == "calculate_gain" else f"{name}_"
    expected = inspect.signature(getattr(torch.nn.init, current), follow_wrapped=True)
    ours = dict(inspect.signature(getattr(init, name)).parameters)
    key = ours.pop("key", None)
    shared = {} if name == "calculate_gain" else {"shard": None}
    for argument, default in {**shared, **MORE.get(current, {})}.items():
        own = ours.pop(argument)
        assert (own.kind, own.default) == (inspect.Parameter.KEYWORD_ONLY, default)
    assert [(p.name, p.kind, p.default) for p in ours.values()] == [
        (p.name, p.kind, p.default) for p in expected.parameters.values()
    ]
    if name.rstrip("_") in RANDOM:
        assert key.kind is inspect.Parameter.KEYWORD_ONLY
        assert key.default is None
    else:
        assert key is None
    assert callable(original)


@pytest.mark.parametrize("name", init.__all__)
def test_every_function_is_documented(name):
    function = getattr(init, name)
    text = inspect.getdoc(function)
    if name.endswith("_"):
        assert all(section in text for section in ("Args:", "Raises:", "Example:", ">>>"))
        assert all(f"{parameter}:" in text for parameter in inspect.signature(function).parameters)


MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(winit.__path__, "winit_cuda.")
    if not module.name.startswith(("winit_cuda._C", "winit_cuda.benchmarks", "winit_cuda.__main__"))
)
WITH_EXAMPLES = ("_core.backend", "_keys.keys", "_schemes.structured", "_dispatch.many")


@needs_core
@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    if name == "winit_cuda._dispatch.planned" and exchange is None:
        pytest.skip("before torch 2.10 there are no such fills")
    flags = doctest.NORMALIZE_WHITESPACE
    results = doctest.testmod(import_module(name), optionflags=flags, verbose=False)
    assert results.failed == 0
    assert results.attempted or name.removeprefix("winit_cuda.") not in WITH_EXAMPLES


@pytest.mark.parametrize("name", winit.__all__)
def test_annotations_resolve(name):
    public = getattr(winit, name)
    if callable(public):
        assert typing.get_type_hints(public) or not inspect.isfunction(public)
    for method in vars(public).values() if inspect.isclass(public) else ():
        if inspect.isfunction(method):
            typing.get_type_hints(method)


def test_the_fans_that_libraries_ask_for():
    for shape in ((3, 5), (4, 3, 2, 7)):
        tensor = torch.empty(shape)
        theirs = torch.nn.init._calculate_fan_in_and_fan_out(tensor)
        assert init._calculate_fan_in_and_fan_out(tensor) == theirs
        for mode in ("fan_in", "fan_out", "FAN_OUT"):
            ours = init._calculate_correct_fan(tensor, mode)
            assert ours == torch.nn.init._calculate_correct_fan(tensor, mode)
    with pytest.raises(ValueError, match="_calculate_fan_in_and_fan_out: tensor must be of at"):
        init._calculate_fan_in_and_fan_out(torch.empty(3))
    with pytest.raises(ValueError, match="_calculate_correct_fan: mode must be"):
        init._calculate_correct_fan(torch.empty(3, 3), "fan")


def test_import_is_light():
    """Only what torch has loaded already, and the standard library's small modules."""
    code = (
        "import sys, torch; before = set(sys.modules); import winit_cuda; "
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}), "
        "*[name for name in sys.modules if name.startswith('torch._dynamo')])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    interpreters = {"_interpreters", "_xxsubinterpreters"}  # part of Python itself
    assert set(printed) <= {"winit_cuda", "__future__", "hashlib", "_hashlib", "_blake2"} | (
        interpreters
    )


def test_from_import():
    namespace: dict[str, object] = {}
    exec("from winit_cuda.init import *; from winit_cuda import init, key, fold_in", namespace)
    assert namespace["kaiming_normal_"] is winit.kaiming_normal_
    assert namespace["init"] is init
    everything: dict[str, object] = {"__version__": "mine"}
    exec("from winit_cuda import *", everything)
    assert everything["kaiming_normal_"] is winit.kaiming_normal_
    assert everything["__version__"] == "mine"


def test_import_in_a_subinterpreter():
    """torch's import would hang there for ever."""
    code = """
try:
    import _interpreters as interpreters
    run = interpreters.exec
except ImportError:
    import _xxsubinterpreters as interpreters
    run = interpreters.run_string
try:
    print(run(interpreters.create(), "import winit_cuda"))
except Exception as error:
    print(error)
"""
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "work in the main interpreter only" in done.stdout
