"""What readers of files share: errors that name the file, and paths that stay in their folder."""

from __future__ import annotations

import re
from pathlib import Path


def damaged(path: Path, reason: object) -> ValueError:
    """The error for a file that cannot be read as what it says it is."""
    text = " ".join(str(reason).split()) or type(reason).__name__
    shown = text if len(text) <= 300 else f"{text[:297]}..."
    return ValueError(f"verify: {path}: {shown}")


def refused(path: Path, error: Exception) -> ValueError:
    """The error for a pickle that torch does not read with `weights_only`.

    Of torch's words only the fault is kept: its hint is to read the file without that.
    """
    fault = re.search(r"WeightsUnpickler error: (.*?)( was not an allowed|\n|$)", str(error))
    what = f" ({fault[1]})" if fault else ""
    return damaged(path, f"refused, as it holds more than tensors and plain data{what}")


def inside(folder: Path, name: object) -> Path:
    """The path of a file that another one names, which has to lie in the folder.

    Raises:
        ValueError: It lies elsewhere.
    """
    if isinstance(name, str) and name and Path(name).name == name and "\0" not in name:
        path = folder / name
        if not path.is_dir():
            return path
    raise ValueError(f"names the file {name!r}, which is none of its folder")
