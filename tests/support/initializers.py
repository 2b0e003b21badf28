"""Every initializer with a tensor it takes, shared by the tests that go over all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import torch

import winit_cuda as winit
from winit_cuda._core import backend

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Initializer:
    """A public function, the shape of a tensor for it, and its other arguments.

    Compiled functions call it, which torch 2.4 does not allow of a named tuple.
    """

    name: str
    shape: tuple[int, ...]
    arguments: tuple[Any, ...] = ()
    is_random: bool = True

    @property
    def ours(self) -> Callable[..., torch.Tensor]:
        return getattr(winit, self.name)

    @property
    def theirs(self) -> Callable[..., torch.Tensor]:
        return THEIRS.get(self.name) or getattr(torch.nn.init, self.name)

    def empty(self, **options: Any) -> torch.Tensor:
        """A tensor to fill, of values that no initializer leaves."""
        return torch.full(self.shape, 7.0).to(**options)

    def __call__(self, tensor: torch.Tensor, **options: Any) -> torch.Tensor:
        return self.ours(tensor, *self.arguments, **options)

    def __str__(self) -> str:
        return self.name


def _delta_orthogonal(tensor: torch.Tensor, **options: Any) -> torch.Tensor:
    """What torch lacks, of what it has: its orthogonal_ at the center of a kernel of one size."""
    matrix = torch.empty(tensor.shape[:2], dtype=tensor.dtype)
    torch.nn.init.orthogonal_(matrix, **options)
    tensor.zero_()
    tensor[..., tensor.shape[2] // 2] = matrix
    return tensor


THEIRS = {"delta_orthogonal_": _delta_orthogonal}

RANDOM = [
    Initializer("uniform_", (6, 5), (-0.5, 2.0)),
    Initializer("normal_", (6, 5), (0.25, 0.5)),
    Initializer("trunc_normal_", (6, 5), (0.0, 0.5, -0.75, 1.0)),
    Initializer("xavier_uniform_", (6, 5)),
    Initializer("xavier_normal_", (6, 5)),
    Initializer("kaiming_uniform_", (6, 5)),
    Initializer("kaiming_normal_", (6, 5)),
    Initializer("orthogonal_", (6, 5)),
    Initializer("delta_orthogonal_", (6, 5, 3)),
    Initializer("sparse_", (6, 5), (0.3,)),
]
FIXED = [
    Initializer("constant_", (6, 5), (0.25,), is_random=False),
    Initializer("ones_", (6, 5), is_random=False),
    Initializer("zeros_", (6, 5), is_random=False),
    Initializer("eye_", (6, 5), is_random=False),
    Initializer("dirac_", (6, 5, 3), is_random=False),
]
ORTHOGONAL = ("orthogonal_", "delta_orthogonal_")
"""Those that agree between devices to rounding only."""
ELEMENTWISE = [entry for entry in RANDOM if entry.name not in (*ORTHOGONAL, "sparse_")]

every = pytest.mark.parametrize("initializer", RANDOM + FIXED, ids=str)
every_random = pytest.mark.parametrize("initializer", RANDOM, ids=str)
every_fixed = pytest.mark.parametrize("initializer", FIXED, ids=str)
every_elementwise = pytest.mark.parametrize("initializer", ELEMENTWISE, ids=str)
needs_core = pytest.mark.skipif(
    backend.loaded is None, reason=f"needs the native core: {backend.import_error}"
)


def _fills_float8() -> bool:
    try:
        torch.empty(1, dtype=torch.float8_e5m2).fill_(1)
    except RuntimeError:
        return False
    return True


needs_float8_fill = pytest.mark.skipif(
    not _fills_float8(), reason="this torch has no fill_ of float8 on the CPU"
)


class Unchanged:
    """Asserts that a block leaves a tensor, its version and the generators as they were."""

    def __init__(self, tensor: torch.Tensor, *generators: torch.Generator) -> None:
        self._tensor = tensor
        self._generators = (torch.default_generator, *generators)

    def _state(self) -> tuple[Any, ...]:
        tensor = self._tensor
        inference = tensor.is_inference()
        return (
            tensor.detach().clone(),
            None if inference else tensor._version,
            [generator.get_state() for generator in self._generators],
        )

    def __enter__(self) -> None:
        self._values, self._version, self._states = self._state()

    def __exit__(self, *_: object) -> None:
        values, version, states = self._state()
        if values.layout == torch.strided and not values.is_nested and not values.is_quantized:
            bits = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
            kind = bits.get(values.dtype.itemsize, values.dtype)
            assert torch.equal(values.view(kind), self._values.view(kind))
        assert version == self._version
        for ours, theirs in zip(states, self._states, strict=True):
            assert torch.equal(ours, theirs)
