"""A checkpoint of any kind: names, and tensors whose parts are read when they are asked for.

Whatever a file says of itself is taken for a claim. Nothing in one is run: no pickle is read but
with torch's `weights_only`, or by `metadata`, which knows a list of records.
"""

from __future__ import annotations

import importlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .._core.checks import wrong

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_SAFETENSORS = (".safetensors", ".json")
_METADATA = ".metadata"


@contextmanager
def opened(path: Path) -> Iterator[Mapping[str, Any]]:
    """The tensors of a checkpoint by name, while its files are open.

    Raises:
        ValueError: It is no checkpoint, damaged, or holds what may not be read.
        OSError: It cannot be read.
    """
    if path.is_dir():
        kind = "distributed_files" if (path / _METADATA).is_file() else ""
        indices = sorted(path.glob("*.safetensors.index.json"))
        files = sorted(path.glob("*.safetensors"))
        if not kind and len(indices or files) == 1:
            kind, path = "safetensors_files", (indices or files)[0]
        if not kind:
            requirement = "a folder with .metadata, one file of safetensors, or an index of several"
            raise wrong("verify", "the checkpoint", requirement, str(path))
    else:
        is_safe = path.suffix.lower() in _SAFETENSORS
        kind = "safetensors_files" if is_safe else "torch_files"
        with path.open("rb"):  # what is not there is said by the system
            pass
    # Each kind needs packages of its own.
    module = importlib.import_module(f".{kind}", __package__)
    with module.opened(path) as tensors:
        yield tensors
