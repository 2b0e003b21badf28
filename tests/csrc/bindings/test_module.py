"""What the module says of itself: the codes of the dtypes, the instruction sets."""

from __future__ import annotations

import pytest

from core import DTYPES
from winit_cuda import _C


def test_codes_of_the_dtypes():
    assert {str(dtype): code for code, dtype in enumerate(DTYPES)} == {
        f"torch.{name}": code for name, code in _C.DTYPES.items()
    }


def test_instruction_sets():
    info = _C.build_info()
    assert info["simd"][0] == "portable"
    assert info["simd_active"] == info["simd"][-1]
    for name in info["simd"]:
        _C.set_simd(name)
        assert _C.build_info()["simd_active"] == name
    _C.set_simd(None)
    assert _C.build_info()["simd_active"] == info["simd"][-1]
    with pytest.raises(ValueError, match="'sse9' is not an instruction set"):
        _C.set_simd("sse9")


def test_what_the_cuda_runtime_says():
    status = _C.cuda_status()
    if not _C.build_info()["cuda"]:
        why = "winit_cuda was built without CUDA"
        assert status == {"devices": 0, "error": why, "driver": 0, "runtime": 0}
    else:
        major, _, _ = _C.build_info()["cuda_version"].partition(".")
        assert status["runtime"] // 1000 == int(major)
        assert (status["devices"] > 0) == (status["error"] == "")
        assert status["driver"] > 0 or status["devices"] == 0
