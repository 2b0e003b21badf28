"""The console command: what it prints and its exit codes."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

import pytest

import winit_cuda
from winit_cuda._command import cli, demo, info
from winit_cuda._command.console import CommandError

if TYPE_CHECKING:
    from pathlib import Path

VERSIONS = f"winit_cuda {winit_cuda.__version__}, stream version {winit_cuda.STREAM_VERSION}\n"


def test_console_script_is_installed() -> None:
    (script,) = entry_points(group="console_scripts", name="winit-cuda")
    assert script.load() is cli.main


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == VERSIONS


def test_info_says_what_each_device_uses(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["info"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(str(winit_cuda.backend_info()))
    for use in winit_cuda.backend_info().devices:
        assert f"{use.backend}: {use.reason}" in printed
    for word in ("threads", "processor", "driver", "Python", "platform"):
        assert f"\n{word}" in printed


def test_info_without_the_core(capsys: pytest.CaptureFixture[str]) -> None:
    with winit_cuda.use_backend("aten"):
        assert cli.main(["info"]) == 0
    assert "aten" in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["fly"], ["demo", "--models", "unknown"]])
def test_bad_arguments_exit_with_2(words: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(words)
    assert stop.value.code == 2


@pytest.mark.parametrize("command", ["demo", "bench"])
@pytest.mark.parametrize("file", ["/nowhere/x.json", "/"])
def test_a_file_that_cannot_be_written_is_found_first(
    command: str, file: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in (demo, cli._benchmarks()):
        monkeypatch.setattr(module, "machine", None)  # no work begins
    assert cli.main([command, "--json", file]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    error = captured.err.splitlines()[-1]  # behind what torch may say
    assert error.startswith("winit-cuda: ")
    assert file in error


def test_interrupt_exits_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(info, "run", interrupted)
    assert cli.main(["info"]) == 130


def test_a_closed_pipe_ends_the_command() -> None:
    program = "import sys; from winit_cuda._command.cli import main; sys.exit(main(['info']))"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 141  # no verdict


def test_a_name_that_the_terminal_has_no_letters_for(tmp_path: Path) -> None:
    text = "import torch\nmake = lambda: torch.nn.ModuleDict({'\u00e9': torch.nn.Linear(2, 2)})\n"
    (tmp_path / "accented.py").write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "winit_cuda", "plan", "accented:make"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "\\xe9.weight" in done.stdout


def test_a_model_that_ends_the_program(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ends(_: object) -> int:
        raise SystemExit(0)

    monkeypatch.setattr(info, "run", ends)
    assert cli.main(["info"]) == 2
    assert "the model ended the program (0)" in capsys.readouterr().err


def test_errors_are_no_commands_to_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(_: object) -> int:
        raise CommandError("\x1b[2J\nname")

    monkeypatch.setattr(info, "run", fails)
    assert cli.main(["info"]) == 2
    assert capsys.readouterr().err == "winit-cuda: \\x1b[2J\nname\n"


def test_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "winit_cuda", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == VERSIONS


def test_seed_that_torch_does_not_take(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["demo", "--seed", str(2**64)])
    assert stop.value.code == 2
    assert "argument --seed: invalid seed_of_torch value" in capsys.readouterr().err
