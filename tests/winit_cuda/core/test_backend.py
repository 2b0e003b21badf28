"""The load policy, the choice of a backend, and what backend_info says of both."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import winit_cuda as winit
from initializers import every_random, needs_core
from winit_cuda._core import backend


def run_without_core(code: str) -> str:
    """Run Python where the import of the core fails, and return what it prints."""
    block = (
        "import sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'winit_cuda._C':\n"
        "            raise ImportError('libcudart.so.99: cannot open shared object file')\n"
        "sys.meta_path.insert(0, Finder())\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", block + code],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_core
def test_info_with_the_core():
    info = winit.backend_info()
    assert info.loaded
    assert info.import_error is None
    assert info.choice == "auto"
    assert info.version == winit.__version__
    assert info.torch_version == torch.__version__
    assert info.core == backend.loaded.build_info()
    assert info.devices[0] == backend.DeviceUse("cpu", "native", "served by the native core")
    lines = str(info).splitlines()
    versions = f"{winit.__version__}, stream version {winit.STREAM_VERSION}"
    assert lines[0] == f"winit_cuda  {versions}, torch {torch.__version__}"
    assert "core        loaded" in str(info)
    assert "cpu         native: served by the native core" in lines


def test_info_says_why_aten_is_used():
    with winit.use_backend("aten"):
        info = winit.backend_info()
    assert info.choice == "aten"
    assert info.devices[0] == backend.DeviceUse("cpu", "aten", 'use_backend("aten") is in force')


def test_the_reason_of_a_failed_import_is_kept():
    printed = run_without_core(
        "import winit_cuda as winit, torch\n"
        "info = winit.backend_info()\n"
        "assert not info.loaded and info.core == {}\n"
        "assert info.devices[0].backend == 'aten'\n"
        "print(info)\n"
        "torch.manual_seed(0); ours = winit.xavier_normal_(torch.empty(3, 3))\n"
        "torch.manual_seed(0); theirs = torch.nn.init.xavier_normal_(torch.empty(3, 3))\n"
        "assert torch.equal(ours, theirs)\n"
        "try: winit.normal_(torch.empty(3), key=winit.key(0))\n"
        "except RuntimeError as error: print(error)\n"
        "try: winit.use_backend('native')\n"
        "except RuntimeError as error: print(error)\n"
    )
    reason = "libcudart.so.99: cannot open shared object file"
    assert f"core        not loaded: {reason}" in printed
    assert f"normal_: key needs the native core, whose values ATen cannot give, but the native " \
        f"core is not there ({reason})" in printed  # fmt: skip
    assert f"use_backend: the native core is not there: {reason}" in printed


def test_unknown_names():
    with pytest.raises(ValueError, match="use_backend: name must be one of auto, native, aten"):
        winit.use_backend("cuda")
    assert backend.choice() == "auto"


def test_context_manager_ends_with_the_block():
    with winit.use_backend("aten"):
        assert backend.choice() == "aten"
        with winit.use_backend("auto"):
            assert backend.choice() == "auto"
        assert backend.choice() == "aten"
    assert backend.choice() == "auto"
    with pytest.raises(KeyError), winit.use_backend("aten"):
        raise KeyError
    assert backend.choice() == "auto"


def test_a_call_holds():
    try:
        winit.use_backend("aten")
        assert backend.choice() == "aten"
        assert backend.core is None
    finally:
        winit.use_backend("auto")
    assert backend.core is backend.loaded


@needs_core
@every_random
def test_the_choice_decides(initializer):
    def values() -> torch.Tensor:
        return initializer(initializer.empty(), generator=torch.Generator().manual_seed(0))

    native = values()
    with winit.use_backend("aten"):
        aten = values()
    with winit.use_backend("native"):
        assert torch.equal(native, values())
    assert not torch.equal(native, aten)


@needs_core
def test_native_does_not_fall_back():
    tensor = torch.zeros(3, dtype=torch.complex64)
    error = pytest.raises(RuntimeError, match=r'use_backend\("native"\).*complex64')
    with winit.use_backend("native"), error:
        winit.normal_(tensor)
    assert not tensor.any()


@pytest.mark.parametrize("choice", ["aten", pytest.param("native", marks=needs_core)])
def test_what_draws_nothing_is_aten_s_work_everywhere(choice):
    with winit.use_backend(choice):
        assert winit.ones_(torch.zeros(3, dtype=torch.complex64)).tolist() == [1, 1, 1]
        assert winit.eye_(torch.ones(2, 2, dtype=torch.int16)).tolist() == [[1, 0], [0, 1]]


@pytest.mark.usefixtures("machine")
def test_each_cuda_device_is_listed():
    devices = winit.backend_info().devices
    assert [use.device for use in devices[1:]] == [
        f"cuda:{index}" for index in range(torch.cuda.device_count())
    ]
    assert devices[1].backend == "native"


def test_a_folder_in_which_nothing_was_built_warns_in_one_line(tmp_path):
    source = tmp_path / "winit_cuda"
    unbuilt = shutil.ignore_patterns("_C.*.so", "_build.json", "__pycache__")
    shutil.copytree(Path(backend.__file__).parents[1], source, ignore=unbuilt)
    code = (
        "import sys; sys.path.insert(0, '')\n"
        "sys.meta_path = [one for one in sys.meta_path if 'editable' not in repr(one).lower()]\n"
        "import winit_cuda; print(winit_cuda.backend_info())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    (warning,) = (line for line in done.stderr.splitlines() if "Warning" in line)
    assert f"UserWarning: winit_cuda was not built in {source}: " in warning
    assert "pip install -e ." in warning
    assert f"winit_cuda was not built in {source}" in done.stdout
