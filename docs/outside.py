"""A hook of MkDocs: pages may link to files outside docs/, which become part of the site.

On a code host `../benchmarks/results/x.svg` works as it is. Here the file is added to the site, at
the same place below its root, under the name by which the pages link to it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File, InclusionLevel

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

OUTSIDE = (
    "benchmarks/results/*.json",
    "benchmarks/results/*.md",
    "benchmarks/results/*.svg",
    "benchmarks/gpu/*.md",
    "examples/*.py",
    "tests/batteries/results/*.json",
    "tests/data/*",
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files of `OUTSIDE`."""
    root = Path(config.config_file_path).parent
    for path in sorted(path for pattern in OUTSIDE for path in root.glob(pattern)):
        name = f"../{path.relative_to(root).as_posix()}"
        file = File.generated(
            config, name, abs_src_path=str(path), inclusion=InclusionLevel.NOT_IN_NAV
        )
        file.dest_uri = file.dest_uri.removeprefix("../")
        files.append(file)
    return files
