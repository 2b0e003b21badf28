"""``winit-cuda bench``: files, folders, bad choices."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from winit_cuda.benchmarks import command, isa

from initializers import needs_core
from winit_cuda._command import cli
from winit_cuda._core import backend

if TYPE_CHECKING:
    from pathlib import Path


ONE_CASE = ["bench", "--quick", "--device", "cpu", "--sizes", "16", "--threads", "1"]


ONE_CASE += ["--dtypes", "float32", "--initializers", "ones"]


def test_bench_writes_json_and_markdown(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.main([*ONE_CASE, "--output", str(tmp_path / "new")]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"^ones_ +float32 +4x4 +1 ", printed, re.MULTILINE)
    page, data = sorted((tmp_path / "new").iterdir(), key=lambda path: path.suffix, reverse=True)
    assert (page.suffix, data.suffix) == (".md", ".json")
    assert f"wrote {page}" in printed
    written = json.loads(data.read_text())
    assert written["command"].startswith("winit-cuda bench --quick")
    assert [row["initializer"] for row in written["rows"]] == ["ones_"]


def test_json_alone_writes_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main([*ONE_CASE, "--json", "only.json"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["only.json"]


def test_results_folder_of_a_checkout_is_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "csrc").mkdir()
    (tmp_path / "winit_cuda").mkdir()
    assert cli.main(ONE_CASE) == 0
    assert len(list(command.RESULTS.iterdir())) == 2


@needs_core
def test_the_core_is_held_to_each_instruction_set(tmp_path: Path) -> None:
    before = backend.loaded.build_info()["simd_active"]
    assert cli.main([*ONE_CASE, "--isa", "all", "--json", str(tmp_path / "all.json")]) == 0
    rows = json.loads((tmp_path / "all.json").read_text())["rows"]
    assert [row["isa"] for row in rows] == isa.usable()
    assert isa.usable()[-1] == "portable"
    assert backend.loaded.build_info()["simd_active"] == before
    with isa.forced("portable"):
        assert backend.loaded.build_info()["simd_active"] == "portable"


def test_an_unknown_instruction_set_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*ONE_CASE, "--isa", "mmx"]) == 2
    assert "--isa mmx: " in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["--threads", "0"],
        ["--threads", "many"],
        ["--initializers", "unknown"],
        ["--dtypes", "int8"],
        ["--sizes", "100"],
    ],
)
def test_bad_choices_exit_with_2(words: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["bench", *words])
    assert stop.value.code == 2


def test_targets_take_no_choices(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "--preset", "targets", "--sizes", "16"]) == 2
    assert "fixed list" in capsys.readouterr().err
