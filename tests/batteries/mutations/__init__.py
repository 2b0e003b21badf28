"""What `mutate.py` breaks: small faults of the kinds that would change weights without an error.

Each is an exact text of one file and its replacement, and the tests that mirror the file. In C++
the text is an expression: all faults are compiled into one core, each behind a question for its
number. A text that is not there exactly once is refused, so that the list cannot fall behind the
sources.
"""

from __future__ import annotations

from mutations.fills import OF_FILLS
from mutations.mutation import Mutation
from mutations.package import OF_PACKAGE
from mutations.values import OF_VALUES

__all__ = ["MUTATIONS", "Mutation"]

MUTATIONS = (*OF_VALUES, *OF_FILLS, *OF_PACKAGE)
