"""README.md, CONTRIBUTING.md and docs/: every Python block runs, and every link leads somewhere.

A block runs in a namespace of its own, so a reader can copy any one of them. Only the comments in
`EXCUSES`, on the line before a block, keep it from being run.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

import winit_cuda
from initializers import needs_core

ROOT = next(
    folder for folder in Path(__file__).resolve().parents if (folder / "pyproject.toml").is_file()
)
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXCUSES = {"<!-- needs a GPU -->", "<!-- needs several processes -->"}
LANGUAGES = {"python", "sh"}  # a block of "py" would not be run
MOST_WORDS = 1100


class Block(NamedTuple):
    """A fenced block of a page."""

    page: Path
    line: int
    """That of the fence, from 1 on."""
    language: str
    text: str
    before: str
    """The line before the fence."""

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT).as_posix()}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    found, lines = [], page.read_text(encoding="utf-8").splitlines()
    start = None
    for number, line in enumerate(lines):
        if not line.lstrip().startswith("```"):
            continue
        if start is None:
            start = number
            continue
        language = lines[start].strip().removeprefix("```")
        text = "\n".join(lines[start + 1 : number])
        found.append(Block(page, start + 1, language, text, lines[start - 1].strip()))
        start = None
    assert start is None, f"{page.name}: the block of line {start} has no end"
    return found


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
PYTHON = [block for block in BLOCKS if block.language == "python"]


def prose_of(page: Path) -> str:
    """The page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def links_of(page: Path) -> list[str]:
    prose = re.sub(r"`[^`\n]*`", "code", prose_of(page))
    return re.findall(r"\]\(([^)\s]+)\)", prose)


def anchors_of(page: Path) -> set[str]:
    """The names that a code host gives the headings."""
    headings = re.findall(r"^#+ +(.+?) *$", prose_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.fixture
def _as_before():
    """Leave threads, generator and backend as they were, whatever a block does to them."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]), winit_cuda.use_backend("auto"):
        yield
    torch.set_num_threads(threads)


@needs_core
@pytest.mark.usefixtures("_as_before")
@pytest.mark.parametrize("block", [b for b in PYTHON if b.before not in EXCUSES], ids=str)
def test_block_runs(block):
    code = "\n" * block.line + block.text  # errors name the line of the page
    exec(compile(code, str(block.page), "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_block_compiles(block):
    compile(block.text, str(block.page), "exec")


def test_blocks_are_found():
    assert {block.language for block in BLOCKS} <= LANGUAGES
    pages = {block.page.name for block in PYTHON}
    assert {"README.md", "values.md", "differences.md"} <= pages


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    dead = []
    for link in links_of(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        is_there = target.exists() and target.is_relative_to(ROOT)
        if not is_there or (anchor and anchor not in anchors_of(target)):
            dead.append(link)
    assert not dead


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= MOST_WORDS


def test_the_readme_says_on_which_gpu_it_was_verified():
    beginning = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## ")[0]
    assert re.search(r"^> \*\*Verified on which GPU: \S.*\*\*", beginning, re.MULTILINE)
