"""What a report has: a row for each parameter, and what is odd about the whole."""

from __future__ import annotations

from dataclasses import dataclass

# Annotations are for everyone to resolve.
from .._model.expectation import Expectation  # noqa: TC001
from .activity import Activity  # noqa: TC001
from .findings import Finding, Scores  # noqa: TC001
from .tensor_statistics import Statistics  # noqa: TC001


@dataclass(frozen=True)
class ParameterReport:
    """What a report has of one parameter."""

    name: str
    """Its name, without those of wrappers; tied parameters have one row."""
    shape: tuple[int, ...]
    """The shape of the whole."""
    dtype: str
    law: str
    """The planned law in words; empty without a plan."""
    statistics: Statistics
    """Of all elements of the whole tensor."""
    expected: Expectation | None
    """What its law expects; None where no law is known."""
    planned_histogram: tuple[float, ...]
    """What its law expects in the bins; empty where that is not known."""
    scores: Scores
    """The distances of mean and std from the law, in standard errors."""
    findings: tuple[Finding, ...]
    """What is odd, the worst first."""

    @property
    def severity(self) -> int:
        """2 where something is wrong, 1 where something is odd, else 0."""
        return severity(self.findings)


@dataclass(frozen=True, repr=False)  # which would be pages
class ReportData:
    """What a report has, of which `ModelReport` makes what a person reads."""

    title: str
    """The class of the model."""
    parameters: tuple[ParameterReport, ...]
    """In the order of the model."""
    findings: tuple[Finding, ...]
    """What is odd about the model as a whole, or about what the batch did."""
    activity: Activity | None
    """What the batch did; None without one."""
    is_planned: bool
    """Whether there was a plan."""
    limit: float
    """The z-score beyond which a parameter is not of its law."""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong; what is only odd does not count."""
        return max(self.wrong, severity(self.findings) == 2) == 0

    @property
    def wrong(self) -> int:
        """How many parameters have something wrong."""
        return sum(row.severity == 2 for row in self.parameters)

    @property
    def odd(self) -> int:
        """How many parameters have something odd, but nothing wrong."""
        return sum(row.severity == 1 for row in self.parameters)

    @property
    def elements(self) -> int:
        """How many elements all parameters have."""
        return sum(row.statistics.count for row in self.parameters)

    @property
    def tests(self) -> int:
        """How many tests against laws were made."""
        return sum(row.scores.count for row in self.parameters)

    @property
    def worst_first(self) -> list[ParameterReport]:
        """The parameters, those with something wrong first, then those furthest from their law."""
        return sorted(
            self.parameters,
            key=lambda row: (row.severity, row.scores.worst if row.severity else 0),
            reverse=True,
        )


def severity(findings: tuple[Finding, ...]) -> int:
    """2 where one is wrong, 1 where one is odd, else 0."""
    return max((1 + (finding.severity == "wrong") for finding in findings), default=0)
