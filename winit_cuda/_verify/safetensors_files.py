"""Files of safetensors, one or several with an index; slices are read when they are asked for.

The package safetensors checks sizes, names and dtypes of a header against the file.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import torch

from .files import damaged, inside
from .stored import Part, Stored

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What a header calls the dtypes.
_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "U16": torch.uint16,
    "U32": torch.uint32,
    "U64": torch.uint64,
    "BOOL": torch.bool,
    "C64": torch.complex64,
}
if hasattr(torch, "float8_e8m0fnu"):  # since torch 2.7
    _DTYPES["F8_E8M0"] = torch.float8_e8m0fnu


@contextmanager
def opened(path: Path) -> Iterator[dict[str, Stored]]:
    """The tensors of a file, or of those that an index names.

    Raises:
        ValueError: The package is missing, or a file is damaged.
    """
    if importlib.util.find_spec("safetensors") is None:
        raise ValueError("verify: this needs safetensors: pip install 'winit_cuda[verify]'")
    safetensors: Any = importlib.import_module("safetensors")
    with ExitStack() as stack:
        found: dict[str, Stored] = {}
        file = path
        try:
            for file, names in _files(path).items():
                handle = stack.enter_context(safetensors.safe_open(file, "pt", device="cpu"))
                there = set(handle.keys())
                absent = sorted(names - there)
                if absent:
                    raise damaged(path, f"{absent[0]} is not in {file.name}, where it should be")
                found |= {name: _stored(handle, file, name) for name in sorted(names or there)}
        except safetensors.SafetensorError as error:
            raise damaged(file, error) from error
        yield found


def _files(path: Path) -> dict[Path, set[str]]:
    """The files, each with the names that an index expects there; of a single file, none."""
    if path.suffix.lower() != ".json":
        return {path: set()}
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        places = index["weight_map"]
        files: dict[Path, set[str]] = {}
        for name, file in places.items():
            files.setdefault(inside(path.parent, file), set()).add(name)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = f"no index of safetensors files ({type(error).__name__}: {error})"
        raise damaged(path, reason) from error
    return files


def _stored(handle: Any, file: Path, name: str) -> Stored:
    """A tensor of which slices are read when they are asked for."""
    lazy = handle.get_slice(name)
    shape, word = tuple(lazy.get_shape()), lazy.get_dtype()
    if word not in _DTYPES:
        raise damaged(file, f"{name} is of dtype {word}, which is not known here")

    def read(where: tuple[slice, ...]) -> torch.Tensor:
        values: torch.Tensor = lazy[where] if where else handle.get_tensor(name)
        return values

    part = Part((0,) * len(shape), shape, read)
    return Stored(shape, _DTYPES[word], torch.device("cpu"), (part,))
