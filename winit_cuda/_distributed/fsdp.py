"""Models that FSDP2 shards, and shows gathered at times."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

# Where releases of torch have the class `FSDPModule`.
_HOMES = ("torch.distributed.fsdp", "torch.distributed._composable.fsdp")


def reshard(model: nn.Module) -> None:
    """Have the sharded parameters in their places again.

    After a forward pass those of the root are gathered copies, and what is written to them is lost.
    """
    # Whoever has such a module has imported its class.
    kinds = {getattr(sys.modules.get(home), "FSDPModule", None) for home in _HOMES}
    types = tuple(kind for kind in kinds if kind is not None)
    if not types:
        return
    for module in model.modules():
        if isinstance(module, types):
            module.reshard()
