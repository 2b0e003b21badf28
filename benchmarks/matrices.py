"""Matrices with a structure: single ones, a batch, a part of one, and a convolution's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import torch

import winit_cuda

from .cases import (
    DTYPES,
    INITIALIZERS,
    Case,
    Initializer,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Sides = Mapping[str, Callable[[], object]]

ORTHOGONAL = ((512, 512), (1024, 1024), (2048, 2048), (4096, 4096), (16384, 512))


@dataclass(frozen=True, kw_only=True)
class Matrix(Case):
    """One initializer on a matrix of any shape."""

    initializer: Initializer
    sides: tuple[int, int]

    @property
    def name(self) -> str:
        return self.initializer.name

    @property
    def shape(self) -> tuple[int, ...]:
        return self.sides

    @property
    def small(self) -> Case:
        return replace(self, sides=(4, 4))

    def setup(self) -> Sides:
        tensor = torch.empty(self.sides, dtype=DTYPES[self.dtype], device=self.device)
        arguments = (tensor, *self.initializer.arguments)
        return {
            "winit_cuda": partial(getattr(winit_cuda, self.name), *arguments),
            "torch.nn.init": partial(getattr(torch.nn.init, self.name), *arguments),
            "fill_": partial(tensor.fill_, 0.5),
        }


@dataclass(frozen=True, kw_only=True)
class OrthogonalBatch(Case):
    """Many small orthogonal matrices: one call against a loop."""

    name = "orthogonal_, batch"
    count: int = 1000
    side: int = 64

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.count, self.side, self.side)

    @property
    def small(self) -> Case:
        return replace(self, count=2, side=4)

    def setup(self) -> Sides:
        tensor = torch.empty(self.shape, dtype=DTYPES[self.dtype], device=self.device)
        theirs = [partial(torch.nn.init.orthogonal_, matrix) for matrix in tensor]
        return {
            "winit_cuda": partial(winit_cuda.orthogonal_, tensor, batch_dims=1),
            "torch.nn.init": lambda: [call() for call in theirs],
            "fill_": partial(tensor.fill_, 0.5),
        }


@dataclass(frozen=True, kw_only=True)
class OrthogonalColumns(Case):
    """An eighth of the columns of a square orthogonal matrix; torch has to make all of it."""

    name = "orthogonal_, columns"
    side: int = 2048

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.side, self.side // 8)

    @property
    def size(self) -> str:
        return f"{self.side}x{self.side // 8} of {self.side}x{self.side}"

    @property
    def small(self) -> Case:
        return replace(self, side=8)

    def setup(self) -> Sides:
        empty = partial(torch.empty, dtype=DTYPES[self.dtype], device=self.device)
        whole, part = empty(self.side, self.side), empty(self.shape)
        middle = winit_cuda.Shard((self.side, self.side), (0, self.side // 2))
        return {
            "winit_cuda": partial(winit_cuda.orthogonal_, part, shard=middle),
            "torch.nn.init": partial(torch.nn.init.orthogonal_, whole),
            "fill_": partial(part.fill_, 0.5),
        }


@dataclass(frozen=True, kw_only=True)
class DeltaOrthogonal(Case):
    """The weight of a convolution; torch's side is put together of what it has."""

    name = "delta_orthogonal_"
    channels: int = 512
    kernel: int = 3

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.channels, self.channels, self.kernel, self.kernel)

    @property
    def small(self) -> Case:
        return replace(self, channels=4)

    def setup(self) -> Sides:
        empty = partial(torch.empty, dtype=DTYPES[self.dtype], device=self.device)
        tensor, matrix = empty(self.shape), empty(self.channels, self.channels)
        center = tensor[:, :, self.kernel // 2, self.kernel // 2]

        def put_together() -> None:
            tensor.zero_()
            center.copy_(torch.nn.init.orthogonal_(matrix))

        return {
            "winit_cuda": partial(winit_cuda.delta_orthogonal_, tensor),
            "torch.nn.init": put_together,
            "fill_": partial(tensor.fill_, 0.5),
        }


def target_matrices(device: str, threads: int) -> Iterator[Case]:
    """Those with goals, and three for information."""
    orthogonal, sparse = INITIALIZERS["orthogonal_"], INITIALIZERS["sparse_"]
    matrix = partial(Matrix, dtype="float32", threads=threads, device=device)
    for sides in ORTHOGONAL:
        yield matrix(initializer=orthogonal, sides=sides)
    yield matrix(initializer=orthogonal, sides=(1024, 1024), dtype="bfloat16")
    yield OrthogonalBatch(dtype="float32", threads=threads, device=device)
    yield matrix(initializer=sparse, sides=(4096, 4096))
    yield OrthogonalColumns(dtype="float32", threads=threads, device=device)
    yield DeltaOrthogonal(dtype="float32", threads=threads, device=device)
