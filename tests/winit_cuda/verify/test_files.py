"""`verify` of files: all kinds of checkpoints, a planted element, and files that lie."""

from __future__ import annotations

import json
import os
import pickle
import struct
import warnings
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

import winit_cuda as winit
from initializers import needs_core
from winit_cuda._verify import compare

safetensors = pytest.importorskip("safetensors.torch")
dcp = pytest.importorskip("torch.distributed.checkpoint")

pytestmark = needs_core


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(50, 12)
        self.layers = nn.ModuleList(nn.Linear(12, 12) for _ in range(3))
        self.gain = nn.Parameter(torch.ones(()))
        nn.init.orthogonal_(self.layers[1].weight)


@pytest.fixture(scope="module")
def plan():
    return winit.plan(Model)


@pytest.fixture
def state():
    return winit.build(Model, seed=3).state_dict()


@pytest.fixture(autouse=True)
def _small_tiles(monkeypatch):
    monkeypatch.setattr(compare, "_TILE", 100)


class Complex(nn.Module):
    """One complex parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.modes = nn.Parameter(torch.randn(4, 4, dtype=torch.complex64))


def save_torch(state, folder):
    torch.save({"model": state, "optimizer": {"lr": 0.1, "x": torch.ones(3)}}, folder / "a.pt")
    return folder / "a.pt"


def save_safetensors(state, folder):
    safetensors.save_file(state, folder / "a.safetensors")
    return folder / "a.safetensors"


def save_index(state, folder):
    """Two files and an index, as transformers writes them; a folder with one index will do."""
    halves = [list(state)[::2], list(state)[1::2]]
    places = {}
    for number, names in enumerate(halves):
        file = f"model-{number}.safetensors"
        safetensors.save_file({name: state[name] for name in names}, folder / file)
        places |= dict.fromkeys(names, file)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return index if len(state) % 2 else folder


def save_distributed(state, folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dcp.save({"model": state, "step": 3}, checkpoint_id=folder / "saved")
    return folder / "saved"


SAVES = [save_torch, save_safetensors, save_index, save_distributed]


@pytest.mark.parametrize("save", SAVES)
def test_a_planted_element(save, plan, state, tmp_path):
    path = save(state, tmp_path)
    result = winit.verify(path, plan, seed=3)
    assert result.ok, result
    assert len(result.matched) == len(state)
    assert result.elements == sum(tensor.numel() for tensor in state.values())
    (tmp_path / "other").mkdir()
    state["embedding.weight"][49, 11] = 0.125
    state["layers.2.bias"][0] = 0.25
    result = winit.verify(str(save(state, tmp_path / "other")), plan, seed=3)
    assert [(one.name.removeprefix("model."), one.index, one.count) for one in sorted(
        result.different, key=lambda one: one.found
    )] == [("embedding.weight", 599, 1), ("layers.2.bias", 0, 1)]  # fmt: skip


@pytest.mark.parametrize(
    ("save", "name"), [(save_safetensors, "A.SAFETENSORS"), (save_index, "A.INDEX.JSON")]
)
def test_endings_in_capitals(save, name, plan, state, tmp_path):
    path = save(state, tmp_path)
    if path.is_dir():
        path /= "model.safetensors.index.json"
    assert winit.verify(path.rename(tmp_path / name), plan, seed=3).ok


@pytest.mark.parametrize("save", SAVES)
def test_bfloat16(save, plan, state, tmp_path):
    path = save({name: tensor.bfloat16() for name, tensor in state.items()}, tmp_path)
    result = winit.verify(path, plan, seed=3)
    assert result.ok, result
    assert list(result.dtypes) == ["bfloat16"]
    result = winit.verify(path, plan, seed=0, seeds=range(5))
    assert {one.seeds for one in result.different} == {(3,)}


class Touch:
    """What writes a file where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


def test_a_pickle_of_torch(plan, state, tmp_path):
    torch.save({"model": state, "more": Touch(tmp_path / "ran")}, tmp_path / "a.pt")
    with pytest.raises(
        ValueError, match=r"a\.pt: refused, as it holds more than tensors and"
    ) as told:
        winit.verify(tmp_path / "a.pt", plan, seed=3)
    assert "weights_only" not in str(told.value)
    assert not (tmp_path / "ran").exists()
    (tmp_path / "b.pt").write_bytes(pickle.dumps(Touch(tmp_path / "ran")))
    with pytest.raises(ValueError, match=r"verify: .*b\.pt: "):
        winit.verify(tmp_path / "b.pt", plan, seed=3)
    assert not (tmp_path / "ran").exists()


PICKLES = {
    "a call": lambda path: pickle.dumps(Touch(path)),
    "a call, in protocol 0": lambda path: pickle.dumps(Touch(path), protocol=0),
    "the system": lambda path: b"cos\nsystem\n(S'touch " + os.fsencode(path) + b"'\ntR.",
    "a name with dots": lambda path: (  # of a module on the list
        b"\x80\x04\x8c\x05torch\x94\x8c\x0dhub.os.system\x94\x93\x94\x8c"
        + bytes([6 + len(os.fsencode(path))])
        + b"touch "
        + os.fsencode(path)
        + b"\x94\x85R."
    ),
    "a function of torch": lambda path: b"ctorch\nload\n(S'" + os.fsencode(path) + b"'\ntR.",
}


@pytest.mark.parametrize("name", PICKLES)
def test_metadata_that_would_run(name, plan, state, tmp_path):
    path = save_distributed(state, tmp_path)
    (path / ".metadata").write_bytes(PICKLES[name](tmp_path / "ran"))
    with pytest.raises(ValueError, match=r"\.metadata: refused, as it names "):
        winit.verify(path, plan, seed=3)
    assert not (tmp_path / "ran").exists()


def test_a_chunk_that_would_run(plan, state, tmp_path):
    """Instead of each chunk there is a pickle, of the length that the metadata say."""
    path = save_distributed(state, tmp_path)
    (file,) = path.glob("*.distcp")
    planted = tmp_path / "planted"
    torch.save(Touch(tmp_path / "ran"), planted)
    with (path / ".metadata").open("rb") as opened:
        metadata = pickle.load(opened)
    for info in metadata.storage_data.values():
        info.offset, info.length = 0, planted.stat().st_size
    (path / ".metadata").write_bytes(pickle.dumps(metadata))
    file.write_bytes(planted.read_bytes())
    with pytest.raises(ValueError, match=r"\.distcp: refused, as it holds more than tensors"):
        winit.verify(path, plan, seed=3)
    assert not (tmp_path / "ran").exists()


def changed(change):
    """Metadata of a checkpoint after a change."""

    def save(state, folder):
        path = save_distributed(state, folder)
        with (path / ".metadata").open("rb") as opened:
            metadata = pickle.load(opened)
        change(metadata)
        (path / ".metadata").write_bytes(pickle.dumps(metadata))
        return path

    return save


def every(what):
    """A change of all places of tensors."""

    def change(metadata):
        for index, info in metadata.storage_data.items():
            if index.offset is not None:
                what(info)

    return changed(change)


def without_a_chunk(metadata):
    metadata.state_dict_metadata["model.embedding.weight"].chunks[0].sizes = torch.Size([49, 12])


def chunk_twice(metadata):
    chunks = metadata.state_dict_metadata["model.embedding.weight"].chunks
    chunks.append(chunks[0])


def another_dtype(metadata):
    metadata.state_dict_metadata["model.embedding.weight"].properties.dtype = torch.float16


def another_place(metadata):
    places = {index.fqn: info for index, info in metadata.storage_data.items()}
    first, second = places["model.embedding.weight"], places["model.gain"]
    first.offset, first.length = second.offset, second.length


@pytest.mark.parametrize(
    ("save", "message"),
    [
        (changed(another_dtype), r"torch\.float32 at \d+, where the metadata has .*torch\.float16"),
        (changed(another_place), r"\(\), torch.* where the metadata has \(50, 12\)"),
        (every(lambda info: setattr(info, "relative_path", "../a.pt")), "none of its folder"),
        (every(lambda info: setattr(info, "relative_path", "/etc/passwd")), "none of its folder"),
        (every(lambda info: setattr(info, "offset", -5)), "lies at -5"),
        (every(lambda info: setattr(info, "offset", 10**9)), "no tensor at 1000000000"),
        (every(lambda info: setattr(info, "offset", info.offset + 7)), "no tensor at|refused"),
        (every(lambda info: setattr(info, "length", 100)), "no tensor at"),
        (every(lambda info: setattr(info, "transform_descriptors", ["x"])), "is compressed"),
        (changed(without_a_chunk), "shard.local_shape must be"),
        (changed(chunk_twice), "disjoint"),
        (changed(lambda metadata: metadata.storage_data.clear()), "KeyError"),
        (changed(lambda metadata: metadata.__dict__.clear()), "no metadata of a checkpoint"),
    ],
)
def test_metadata_that_lie(save, message, plan, state, tmp_path):
    path = save(state, tmp_path)
    with pytest.raises(ValueError, match=message):
        winit.verify(path, plan, seed=3)


@pytest.mark.parametrize(
    "contents", [b"", b"\x80", b"not a pickle", pickle.dumps({}), pickle.dumps([1, 2]), b"(((((((.",
                 b"\x80\x04\x8c\xff"]
)  # fmt: skip
@pytest.mark.parametrize("name", ["saved/.metadata", "a.pt", "a.safetensors", "a.index.json"])
def test_other_files(name, contents, plan, tmp_path):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(contents)
    with pytest.raises(ValueError, match="verify: "):
        winit.verify(path.parent if "saved" in name else path, plan, seed=0)


def test_a_header_that_lies(plan, tmp_path):
    """A size beyond the end of the file, and a header longer than the file."""
    path = tmp_path / "a.safetensors"
    header = {"gain": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"1234")
    with pytest.raises(ValueError, match=r"a\.safetensors: "):
        winit.verify(path, plan, seed=0)
    path.write_bytes(struct.pack("<Q", 1 << 60) + text)
    with pytest.raises(ValueError, match=r"a\.safetensors: "):
        winit.verify(path, plan, seed=0)


@pytest.mark.parametrize(
    "file", ["../a.safetensors", "/etc/passwd", "", "..", ".", "inner", 3, None]
)
def test_an_index_that_leads_elsewhere(file, plan, tmp_path):
    index = tmp_path / "sub" / "model.safetensors.index.json"
    (index.parent / "inner").mkdir(parents=True)
    safetensors.save_file({"gain": torch.ones(())}, tmp_path / "a.safetensors")
    index.write_text(json.dumps({"weight_map": {"gain": file}}))
    with pytest.raises(ValueError, match="none of its folder"):
        winit.verify(index, plan, seed=0)


def test_safetensors_of_every_dtype(tmp_path):
    plan, path = winit.plan(Complex), tmp_path / "a.safetensors"
    state = winit.build(Complex, seed=3).state_dict()
    kinds = [torch.uint16, torch.uint32, torch.uint64, torch.complex64]
    kinds += [torch.float8_e8m0fnu] if hasattr(torch, "float8_e8m0fnu") else []
    others = {str(dtype): torch.ones(2).to(dtype) for dtype in kinds}
    safetensors.save_file({**state, **others}, path)
    result = winit.verify(path, plan, seed=3, strict=False)
    assert result.ok
    assert sorted(result.extra) == sorted(others)
    state["modes"][1, 2] += 1e-3j
    safetensors.save_file(state, path)
    assert winit.verify(path, plan, seed=3).different[0].position == (1, 2)


def test_an_index_of_what_is_not_there(plan, state, tmp_path):
    save_index(state, tmp_path)
    index = tmp_path / "model.safetensors.index.json"
    described = json.loads(index.read_text())
    described["weight_map"]["layers.7.weight"] = "model-1.safetensors"
    index.write_text(json.dumps(described))
    with pytest.raises(ValueError, match=r"layers\.7\.weight is not in model-1\.safetensors"):
        winit.verify(index, plan, seed=0)
    (tmp_path / "model-1.safetensors").unlink()
    with pytest.raises(OSError, match=r"model-1\.safetensors"):
        winit.verify(index, plan, seed=0)


def test_a_damaged_zip(plan, state, tmp_path):
    path = save_torch(state, tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match="verify: "):
        winit.verify(path, plan, seed=0)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", b"nothing")
    with pytest.raises(ValueError, match="verify: "):
        winit.verify(path, plan, seed=0)


def test_a_file_that_ends_too_soon(plan, state, tmp_path):
    """Where its last byte is missing, torch says what the system said, and of no file."""
    path = tmp_path / "a.pt"
    torch.save(state, path)
    whole = path.read_bytes()
    for size in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"verify: .*a\.pt: no file of torch\.save"):
            winit.verify(path, plan, seed=3)


def test_a_folder_of_nothing(plan, tmp_path):
    with pytest.raises(ValueError, match=r"must be a folder with \.metadata, one file of safe"):
        winit.verify(tmp_path, plan, seed=0)


def test_safetensors_that_are_not_installed(plan, state, tmp_path, monkeypatch):
    path = save_safetensors(state, tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"needs safetensors: pip install 'winit_cuda\[verify\]'"):
        winit.verify(path, plan, seed=3)
