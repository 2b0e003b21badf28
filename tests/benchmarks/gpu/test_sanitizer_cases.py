"""The program that compute-sanitizer watches: it covers every kernel, and sees what is wrong."""

from __future__ import annotations

import importlib
from unittest.mock import Mock

import pytest
import torch

_C = pytest.importorskip("winit_cuda._C", reason="winit_cuda was installed without its core")
sanitizer_cases = importlib.import_module("benchmarks.gpu.sanitizer_cases")
CASES = list(sanitizer_cases.cases())
LABELS = [case.label for case in CASES]


def test_every_case_agrees(capsys):
    assert sanitizer_cases.main(["--device", "cpu"]) == 0
    assert f"{len(LABELS)} of {len(LABELS)} cases are as on the CPU" in capsys.readouterr().out


@pytest.mark.parametrize("law", ["uniform", "normal", "trunc_normal"])
@pytest.mark.parametrize("dtype", _C.DTYPES)
def test_every_law_dtype_and_layout_is_run(law, dtype):
    ours = [label for label in LABELS if label.startswith(law) and f" {dtype}, " in label]
    for where in (*sanitizer_cases.LAYOUTS, "key in memory"):
        assert any(label.endswith(where) for label in ours)


KINDS = [
    *("constant of 8", "sparse bfloat16", "sparse float32, 20000x2"),
    *("reflectors", "orthogonal_batch bfloat16", "split_keys", "words", "tiny sparse bfloat16"),
]


@pytest.mark.parametrize("kind", KINDS)
def test_the_other_kernels_are_run(kind):
    assert any(label.startswith(kind) for label in LABELS)


@pytest.mark.parametrize("dtype", _C.DTYPES)
def test_truncation_on_both_sides_and_on_one_is_run(dtype):
    """Around the mean, evenly and not, above it and below it: three maps."""
    for numbers in sanitizer_cases.LAWS["trunc_normal"]:
        for where in sanitizer_cases.LAYOUTS:
            assert f"trunc_normal{numbers} {dtype}, {where}" in LABELS


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("law", sanitizer_cases.LAWS)
def test_tiny_spreads_are_run(law, dtype):
    for numbers in sanitizer_cases.TINY[law]:
        spread = numbers[1] - numbers[0] if law == "uniform" else numbers[1]
        assert 0 < spread < 2**-90
        assert f"tiny {law}{numbers} {dtype}, whole groups" in LABELS


def test_labels_are_unique():
    assert len(set(LABELS)) == len(LABELS)


def test_layouts_are_what_they_are_called():
    layouts = sanitizer_cases.LAYOUTS
    assert layouts["odd size"].fills_its_memory
    assert layouts["transposed"].fills_its_memory
    assert not layouts["misaligned"].fills_its_memory
    assert not layouts["with gaps"].fills_its_memory
    assert layouts["with gaps"].reach == 3 + 4 * 101 + 5 * 16 + 6 * 2 + 1


class Beside:
    """The core, but for one function on devices."""

    def __init__(self, core, name, instead):
        self._core, self._name, self._instead = core, name, instead

    def __getattr__(self, name):
        real = getattr(self._core, name)
        if name != self._name:
            return real
        return lambda *arguments: self._instead(real, *arguments)


def core_of(machine):
    return _C if machine is None else machine.core


NAMES = ["normal", "FillList", "sparse", "reflectors", "orthogonal_batch", "split_keys", "words"]


@pytest.mark.parametrize("name", NAMES)
def test_a_kernel_that_does_nothing_is_noticed(name, machine, monkeypatch, capsys):
    def only_on_the_cpu(real, *arguments):
        return real(*arguments) if sanitizer_cases.CPU in arguments else Mock()

    label = "constant" if name == "FillList" else name.partition("_")[0]
    own = [case for case in CASES if case.label.startswith(label)][:40]
    monkeypatch.setattr(sanitizer_cases, "cases", lambda: own)
    monkeypatch.setattr(sanitizer_cases, "_C", Beside(core_of(machine), name, only_on_the_cpu))
    assert sanitizer_cases.main(["--device", "cuda"]) == 1
    assert f"NOT as on the CPU: {own[0].label}" in capsys.readouterr().out


def test_a_write_beside_the_elements_is_noticed(machine, monkeypatch):
    def one_more(real, pointer, code, numel, box, device, *rest):
        real(pointer, code, numel, box, device, *rest)
        if device >= 0:
            real(pointer - 4, code, 1, None, device, *rest)

    monkeypatch.setattr(sanitizer_cases, "_C", Beside(core_of(machine), "normal", one_more))
    layout = sanitizer_cases.LAYOUTS["misaligned"]
    arguments = ((0.0, 1.0), _C.DTYPES["float32"], torch.float32.itemsize, layout)
    case = sanitizer_cases.random_fill("normal", "normal", *arguments)
    assert not case.agrees(sanitizer_cases.CUDA)


def test_an_error_of_the_device_is_told(monkeypatch, capsys):
    def fail(*_):
        raise RuntimeError("an illegal memory access")

    monkeypatch.setattr(sanitizer_cases, "cases", lambda: CASES[-1:])
    monkeypatch.setattr(_C, "words", fail)
    assert sanitizer_cases.main(["--device", "cpu"]) == 1
    assert "words: an illegal memory access" in capsys.readouterr().out


def test_no_law_of_the_core_is_left_out():
    assert set(_C.LAWS) == set(sanitizer_cases.LAWS) == set(sanitizer_cases.TINY)
