"""Faults of the Python package."""

from __future__ import annotations

from mutations.mutation import Mutation

KEYS, DISTRIBUTED = "tests/winit_cuda/keys", "tests/winit_cuda/distributed"
DISPATCH, MODEL = "tests/winit_cuda/dispatch", "tests/winit_cuda/model"

OF_PACKAGE = (
    Mutation(
        "keys are of another version",
        "version",
        "winit_cuda/_keys/keys.py",
        '_PERSON = b"winit_cuda v1"',
        '_PERSON = b"winit_cuda v2"',
        (f"{KEYS}/test_keys.py",),
    ),
    Mutation(
        "negative numbers name the children of others",
        "index",
        "winit_cuda/_keys/keys.py",
        'number.to_bytes(16, "little", signed=True)',
        '(number & MASK).to_bytes(16, "little")',
        (f"{KEYS}/test_keys.py", KEYS),
    ),
    Mutation(
        "streams of children change their sign early",
        "carry",
        "winit_cuda/_keys/keys.py",
        "stream - 2**64 if stream >> 63 else stream",
        "stream - 2**64 if stream >> 62 else stream",
        (f"{KEYS}/test_keys.py", KEYS),
    ),
    Mutation(
        "boxes lie in the whole where they lie in the local tensor",
        "index",
        "winit_cuda/_fills/parts.py",
        "index = _dot(box.offsets, index_strides)",
        "index = _dot(box.local_offsets, index_strides)",
        (f"{DISTRIBUTED}/test_boxes.py", DISTRIBUTED),
    ),
    Mutation(
        "chunks of a mesh are rounded down",
        "rounding",
        "winit_cuda/_distributed/layout.py",
        "chunk = -(-(last - first) // step.ranks)",
        "chunk = (last - first) // step.ranks",
        (f"{DISTRIBUTED}/test_layout.py", DISTRIBUTED),
    ),
    Mutation(
        "autograd does not see a fill",
        "version",
        "winit_cuda/_dispatch/single.py",
        "increment_version((tensor,))\n    except BaseException as error:\n"
        "        _failed(function, tensor, words, error)\n    return tensor\n\n\ndef _elsewhere(",
        "pass\n    except BaseException as error:\n"
        "        _failed(function, tensor, words, error)\n    return tensor\n\n\ndef _elsewhere(",
        (f"{DISPATCH}/test_versions.py",),
    ),
    Mutation(
        "autograd does not see a fill that is one call of the core",
        "version",
        "csrc/bindings/quick.cpp",
        "PyObject_CallOneArg(written.ptr(), one.ptr())",
        "Py_NewRef(Py_None)",
        (f"{DISPATCH}/test_versions.py",),
    ),
    Mutation(
        "autograd does not see a list of fills",
        "version",
        "winit_cuda/_dispatch/many.py",
        "self._launch(address)\n        increment_version(self._tensors)",
        "self._launch(address)",
        (f"{DISPATCH}/test_many.py",),
    ),
    Mutation(
        "autograd does not see a DTensor of a list",
        "version",
        "winit_cuda/_dispatch/many.py",
        "increment_version(self._dtensors)",
        "pass",
        (f"{DISPATCH}/test_many.py", DISTRIBUTED, MODEL),
    ),
    Mutation(
        "a run counts a tensor's pieces as no writes",
        "version",
        "winit_cuda/_model/fill.py",
        "increment_version(tuple("
        "slot.tensor for slot, entry in pairs if entry.pieces or entry.program))",
        "pass",
        (f"{MODEL}/test_fill.py", MODEL),
    ),
)
