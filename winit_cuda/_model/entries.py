"""What a plan knows of one parameter."""

from dataclasses import dataclass

from .._initializers.base import Initializer


@dataclass(frozen=True)
class Entry:
    """One parameter of a model."""

    name: str
    """Its name, without those of wrappers, which names its key, too."""
    shape: tuple[int, ...]
    """The shape of the whole."""
    dtype: str
    """The dtype it has in the model that was planned; an instance may have another."""
    initializer: Initializer | None
    """Its law; None where no rule says one."""
    aliases: tuple[str, ...] = ()
    """Other names of the same parameter, where it is tied."""
