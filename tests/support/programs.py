"""What the tests of compiled, traced and transformed fills share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from winit_cuda._core.torch_internals import serves_vmap

if TYPE_CHECKING:
    from collections.abc import Callable

needs_vmap_rules = pytest.mark.skipif(
    not serves_vmap, reason="torch has no vmap rules for operators that work"
)
# torch's own use of what it has deprecated.
of_torch_s_own = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning",
    "ignore:.*LeafSpec:FutureWarning",
    "ignore:.*torch.jit.trace:FutureWarning",
)


def compiled(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    return torch.compile(function, fullgraph=True, **{"backend": "aot_eager", **options})
