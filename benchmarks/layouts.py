"""Tensors that do not lie in row-major order, against contiguous ones of the same shape."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import torch

import winit_cuda

from .cases import DTYPES, INITIALIZERS, Case, Initializer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

MOST = 2.0
"""The longest time that a layout may take, in times of the contiguous tensor."""

DTYPES_OF_LAYOUTS = ("float32", "bfloat16", "float16", "float64", "float8_e5m2")
FILLS_OF_LAYOUTS = ("uniform_", "normal_")


@dataclass(frozen=True)
class Layout:
    """Where the elements of a tensor lie: a view of dense memory."""

    memory: tuple[int, ...]
    view: Callable[[torch.Tensor], torch.Tensor]


def _permuted(*order: int) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda memory: memory.permute(order)


# channels_last is memory of (N, H, W, C); the rest are views as users take them.
LAYOUTS = {
    "transposed, 4096x4096": Layout((4096, 4096), torch.t),
    "transposed, 1000x3000": Layout((3000, 1000), torch.t),
    "transposed, 1001x3003": Layout((3003, 1001), torch.t),
    "transposed, 128x768": Layout((768, 128), torch.t),
    "transposed, 64x64": Layout((64, 64), torch.t),
    "channels_last, 3x3": Layout((512, 3, 3, 512), _permuted(0, 3, 1, 2)),
    "channels_last, 1x1": Layout((512, 1, 1, 512), _permuted(0, 3, 1, 2)),
    "channels_last, 7x7, 3 channels": Layout((512, 7, 7, 3), _permuted(0, 3, 1, 2)),
    "channels_last_3d, 3x3x3": Layout((256, 3, 3, 3, 128), _permuted(0, 4, 1, 2, 3)),
    "columns [:, :1000]": Layout((1000, 1024), lambda memory: memory[:, :1000]),
    "columns [:, :40]": Layout((16384, 64), lambda memory: memory[:, :40]),
    "rows [::2]": Layout((2048, 1024), lambda memory: memory[::2]),
    "columns [:, ::2]": Layout((1024, 2048), lambda memory: memory[:, ::2]),
    "transposed rows [::2]": Layout((1024, 2048), lambda memory: memory.t()[::2]),
    "permuted, runs of 8": Layout((64, 32, 16, 8), _permuted(2, 0, 1, 3)),
    "permuted, backwards": Layout((64, 32, 16, 8), _permuted(3, 2, 1, 0)),
    "permuted, 3-D": Layout((64, 96, 128), _permuted(2, 0, 1)),
}


@dataclass(frozen=True, kw_only=True)
class LayoutFill(Case):
    """One initializer on a tensor of a layout; a contiguous one takes turns with it."""

    initializer: Initializer
    layout: str

    @property
    def name(self) -> str:
        return f"{self.initializer.name} {self.layout}"

    @property
    def kind(self) -> str:
        """Transposed, channels_last, permuted or sliced."""
        return "sliced" if "[" in self.layout else re.split("_3d|,", self.layout)[0]

    @property
    def shape(self) -> tuple[int, ...]:
        layout = LAYOUTS[self.layout]
        return tuple(layout.view(torch.empty(layout.memory, device="meta")).shape)

    @property
    def small(self) -> Case:
        return replace(self, layout="transposed, 64x64")

    def setup(self) -> Mapping[str, Callable[[], object]]:
        layout = LAYOUTS[self.layout]
        empty = partial(torch.empty, dtype=DTYPES[self.dtype], device=self.device)
        tensor, contiguous = layout.view(empty(layout.memory)), empty(self.shape)
        ours = getattr(winit_cuda, self.initializer.name)
        return {
            "winit_cuda": partial(ours, tensor),
            "contiguous": partial(ours, contiguous),
            "torch.nn.init": partial(getattr(torch.nn.init, self.initializer.name), tensor),
            "fill_": partial(tensor.fill_, 0.5),
        }


def layout_cases(
    device: str,
    threads: Sequence[int],
    dtypes: Sequence[str] | None,
    initializers: Sequence[str] | None,
) -> Iterator[Case]:
    """Every layout for two fills and five dtypes, unless others are chosen."""
    for name in initializers or FILLS_OF_LAYOUTS:
        for dtype in dtypes or DTYPES_OF_LAYOUTS:
            for layout in LAYOUTS:
                for count in threads:
                    yield LayoutFill(
                        initializer=INITIALIZERS[name],
                        layout=layout,
                        dtype=dtype,
                        threads=count,
                        device=device,
                    )
