"""Data classes with slots that torch can refer to.

torch 2.4 guards a compiled program by weak references to what it was given, keys and shards among
them; `dataclass(weakref_slot=True)` is there from Python 3.11 on.
"""

from __future__ import annotations


class WeaklyReferenced:
    """A base that adds the slot for weak references, and nothing else."""

    __slots__ = ("__weakref__",)
