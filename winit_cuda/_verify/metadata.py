"""The metadata of a distributed checkpoint, which is a pickle, read without running any of it.

It is made of a few classes of torch.distributed.checkpoint. An unpickler that knows their names
puts records of this module in their places, and plain values in those of torch's; any other name
is refused. So neither torch's code nor anybody else's runs.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from .._distributed.shard import Box, Shards
from .files import damaged, inside
from .pickle_limits import check

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Record:
    """An object of the pickle: its fields, of whatever values the file has."""

    fields: Mapping[str, Any] = MappingProxyType({})
    values: tuple[Any, ...] = ()

    def __init__(self, *_: Any) -> None:
        """Take what the file has for its class, and keep nothing."""

    def __setstate__(self, state: Any) -> None:
        self.fields = state if isinstance(state, dict) else {}
        self.values = state if isinstance(state, tuple) else ()


class TensorRecord(Record):
    """That of a tensor; others of the same kind are of plain data."""


def _tuple(values: Any = ()) -> tuple[Any, ...]:
    return tuple(values)


def _nothing(*_: Any) -> None:
    """What stands for an object that nobody asks for."""


_CHECKPOINT = "torch.distributed.checkpoint"
_KNOWN = {
    (f"{_CHECKPOINT}.metadata", "TensorStorageMetadata"): TensorRecord,
    **{
        (f"{_CHECKPOINT}.metadata", name): Record
        for name in (
            "Metadata",
            "TensorProperties",
            "ChunkStorageMetadata",
            "BytesStorageMetadata",
            "MetadataIndex",
            "StorageMeta",
        )
    },
    (f"{_CHECKPOINT}.metadata", "_MEM_FORMAT_ENCODING"): _nothing,
    (f"{_CHECKPOINT}.filesystem", "_StorageInfo"): Record,
    ("torch", "Size"): _tuple,
    ("torch.serialization", "_get_layout"): str,
    ("collections", "OrderedDict"): OrderedDict,
    **{
        (module, name): _nothing
        for module in ("pathlib", "pathlib._local")
        for name in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")
    },
}


class _Unpickler(pickle.Unpickler):
    """An unpickler of records and plain data."""

    def find_class(self, module: str, name: str) -> Any:
        """What stands for a name of the list; there is nothing else."""
        found: Any = _KNOWN.get((module, name))
        if found is None and module == "torch":
            dtype = vars(torch).get(name)
            found = dtype if isinstance(dtype, torch.dtype) else None
        if found is None:
            raise pickle.UnpicklingError(f"refused, as it names {module}.{name}")
        return found


class Chunk(NamedTuple):
    """A box of a tensor, and where it is saved."""

    box: Box
    file: Path
    offset: int
    length: int


class Saved(NamedTuple):
    """A tensor of a distributed checkpoint."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    chunks: tuple[Chunk, ...]


def saved_tensors(path: Path) -> dict[str, Saved]:
    """What a file of metadata says of its tensors, whose chunks are the whole of each.

    Raises:
        ValueError: The file is none of metadata, names what is not on the list, or leaves a part of
            a tensor out.
    """
    try:
        data = path.read_bytes()
        check(data)
        metadata = _Unpickler(io.BytesIO(data)).load()
        places = _places(metadata, path.parent)
        return {
            name: _saved(name, one, places)
            for name, one in metadata.fields["state_dict_metadata"].items()
            if isinstance(one, TensorRecord) and isinstance(name, str)
        }
    except OSError:
        raise
    except Exception as error:  # a pickle may be wrong in any way
        is_ours = isinstance(error, (ValueError, pickle.UnpicklingError))
        reason = error if is_ours else f"no metadata of a checkpoint ({error!r})"
        raise damaged(path, reason) from error


Places = dict[tuple[str, tuple[int, ...]], tuple["Path", int, int]]


def _places(metadata: Any, folder: Path) -> Places:
    """File, offset and length of each chunk, by its name and where it begins."""
    found: Places = {}
    for index, info in metadata.fields["storage_data"].items():
        name, begin = index.fields["fqn"], index.fields.get("offset")
        if begin is None:  # plain data
            continue
        own = info.fields
        if own.get("transform_descriptors"):
            raise ValueError(f"{name} is compressed, which is not read here")
        offset, length = own["offset"], own["length"]
        if type(offset) is not int or type(length) is not int or min(offset, length) < 0:
            raise ValueError(f"{name} lies at {offset!r}, of length {length!r}")
        found[name, begin] = inside(folder, own["relative_path"]), offset, length
    return found


def _saved(name: str, record: TensorRecord, places: Places) -> Saved:
    shape, properties = record.fields["size"], record.fields["properties"]
    dtype = properties.values[0] if properties.values else properties.fields["dtype"]
    if not isinstance(dtype, torch.dtype):
        raise ValueError(f"{name} is of no dtype")  # noqa: TRY004
    chunks = []
    for one in record.fields["chunks"]:
        begin, sizes = one.fields["offsets"], one.fields["sizes"]
        chunks.append(Chunk(Box(begin, sizes, begin), *places[name, begin]))
    # In the whole tensor, too, they are disjoint and leave no gap.
    Shards(tuple(chunk.box for chunk in chunks), shape).check(name, shape)
    return Saved(shape, dtype, tuple(chunks))
