"""Models that FSDP2 shards, and shows gathered at times."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import nn

# Where releases of torch have the class `FSDPModule`.
_HOMES = ("torch.distributed.fsdp", "torch.distributed._composable.fsdp")


def sharded(modules: Iterable[nn.Module]) -> list[Any]:
    """Those of the modules that FSDP2 has made its own."""
    # Whoever has such a module has imported its class.
    homes = [sys.modules[home] for home in _HOMES if home in sys.modules]
    if not homes:
        return []
    kinds = {getattr(home, "FSDPModule", None) for home in homes}
    types = tuple(kind for kind in kinds if kind is not None)
    return [module for module in modules if isinstance(module, types)]


def reshard(modules: Iterable[nn.Module]) -> None:
    """Have the sharded parameters of the modules in their places again.

    After a forward pass those of the root are gathered copies, and what is written to them is lost.
    """
    for module in sharded(modules):
        module.reshard()
