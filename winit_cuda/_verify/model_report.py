"""The report as a user has it: printed, as data and as files."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

from .._core.checks import wrong
from . import picture, report_table
from .findings import FALSE_ALARM
from .report_data import ReportData

_FORMAT = "winit_cuda report"
_VERSION = 1


class ModelReport(ReportData):
    """What the parameters of a model are like, what is odd, and what a batch did.

    `winit_cuda.report` makes it. `print` shows it as a table in which repeated layers are one row,
    what is wrong first. `ok` is False where anything is wrong.
    """

    def __str__(self) -> str:
        return report_table.table(self)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as what JSON has; numbers that are not finite are None."""
        head = {"format": _FORMAT, "version": _VERSION, "ok": self.ok, "wrong": self.wrong}
        head |= {"odd": self.odd, "tests": self.tests, "false_alarm": FALSE_ALARM}
        described: dict[str, Any] = plain(dataclasses.asdict(self))
        return head | described

    def to_json(self) -> str:
        """Return the report as JSON."""
        return json.dumps(self.as_dict(), indent=1, allow_nan=False)

    def to_html(self) -> str:
        """Return the report as one page that needs nothing else: no network, no other file."""
        from . import html_page  # it takes the escapes of the standard library's html

        return html_page.page(self)

    def save(self, path: str | Path) -> None:
        """Write the report as JSON, HTML or PNG, as the ending of the name says, in either case.

        Raises:
            ValueError: The name ends in none of them.
            ImportError: A PNG needs matplotlib, which the extra `plot` brings.
        """
        path = Path(path)
        ending = path.suffix.lower()
        if ending == ".png":
            picture.draw(self, path)
        elif ending in (".json", ".html"):
            text = self.to_html() if ending == ".html" else self.to_json() + "\n"
            # A name may have halves of characters, which UTF-8 has none for.
            path.write_text(text, encoding="utf-8", errors="xmlcharrefreplace")
        else:
            requirement = "a name that ends in .json, .html or .png"
            raise wrong("ModelReport.save", "path", requirement, str(path))


def plain(value: Any) -> Any:
    """The same without tuples, and without numbers that JSON lacks."""
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
