"""What ``python -m benchmarks.builds`` measures of whole models, with the goals."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

import winit_cuda as winit
from winit_cuda._command import demo_plan
from winit_cuda._command.demo_models import initialize_decoder

from .many import Matrix, small_matrices

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from winit_cuda._initializers.base import Initializer


@dataclass(frozen=True)
class Case:
    """Work that torch does, and what takes its place."""

    name: str
    plain: Callable[[], object]
    ours: Callable[[], object]
    context: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext
    """In which ours runs."""
    calls: int = 1
    """How many in a row are timed."""
    is_wall: bool = False
    """Whether it is timed by the clock on the wall, on all threads; else by the processor's, on
    one."""
    goal: float | None = None
    """The least ratio of the times, of plain by ours."""


@dataclass(frozen=True)
class PlanCase:
    """A plan that is made once."""

    name: str
    make: Callable[[], winit.Plan]
    most_seconds: float | None = None
    most_growth: int | None = None
    """By how many bytes the peak of the process's memory may grow."""


def plan_cases() -> Iterator[PlanCase]:
    """Plans, before there is another model in memory."""
    yield PlanCase("first plan of a process, of a Linear", partial(winit.plan, partial(_linear, 2)))
    large = demo_plan.large()
    yield PlanCase(f"plan of {large.title}", partial(winit.plan, large.factory), 2.0, 500_000_000)
    with torch.device("meta"):
        many = nn.ParameterList(torch.empty(64, 64) for _ in range(10_000))
    normal = winit.Normal(std=0.02)
    rules: dict[Any, Any] = {"*1": normal, "*2": normal, "*3": normal, "*": winit.XavierUniform()}
    yield PlanCase("plan of 10,000 tensors by 4 rules", partial(winit.plan, many, rules), 0.3)


def cases() -> Iterator[Case]:
    """What is timed against torch."""
    build = demo_plan.gpt2
    of_size = "a decoder of GPT-2's size"
    yield _accelerated(f"construction of {of_size}: accelerate()", build, is_wall=True, goal=4.5)
    yield Case(
        f"construction of {of_size}: build", build, lambda: winit.build(build, 0),
        is_wall=True, goal=6.0,
    )  # fmt: skip
    model, laws = build(), winit.plan(build)
    yield Case(
        f"initialization of {of_size}: plan.run",
        lambda: initialize_decoder(model, nn.init),
        lambda: laws.run(model, 0),
        is_wall=True,
        goal=10.0,
    )
    yield _small_tensors()
    perceptron = nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU())
    layer = nn.TransformerEncoderLayer(128, 4, 256, batch_first=True)
    small, sequences = torch.randn(8, 32), torch.randn(4, 32, 128)
    tensor = torch.empty(4, 4)
    step = partial(_step, perceptron, small)
    yield _accelerated("step of a small perceptron: accelerate()", step, 100, goal=1 / 1.05)
    step = partial(_step, layer, sequences)
    yield _accelerated("step of a Transformer layer: accelerate()", step, 10, goal=1 / 1.05)
    for call, name, calls in (
        # Looked up in each call, as by their users: a bound method would be torch's own.
        (lambda: tensor.normal_(), "Tensor.normal_", 5000),
        (lambda: tensor.uniform_(), "Tensor.uniform_", 5000),
        (lambda: nn.init.normal_(tensor), "nn.init.normal_", 5000),
        (lambda: nn.init.xavier_uniform_(tensor), "nn.init.xavier_uniform_", 2000),
        (lambda: nn.init.zeros_(tensor), "nn.init.zeros_", 5000),
    ):
        yield _accelerated(f"4x4 {name}: accelerate()", call, calls)


def _accelerated(
    name: str, call: Callable[[], object], calls: int = 1, *, is_wall: bool = False,
    goal: float | None = None,
) -> Case:  # fmt: skip
    return Case(name, call, call, winit.accelerate, calls, is_wall, goal)


def _linear(width: int) -> nn.Module:
    return nn.Linear(width, width)


def _step(model: nn.Module, batch: torch.Tensor) -> None:
    model(batch).square().mean().backward()


def _small_tensors() -> Case:
    """300 of them: the loop of torch.nn.init against plan.run, with the keys of their names."""
    matrices = small_matrices()
    model = nn.ParameterList(torch.empty(one.rows, one.columns) for one in matrices)
    rules: dict[Any, Any] = {str(i): _initializer(one) for i, one in enumerate(matrices)}
    laws = winit.plan(model, rules)
    loop = [
        partial(getattr(nn.init, one.initializer), parameter)
        for one, parameter in zip(matrices, model, strict=True)
    ]
    return Case(
        f"initialization of {len(matrices)} small tensors: plan.run",
        lambda: [call() for call in loop],
        lambda: laws.run(model, 0),
        is_wall=True,
        goal=8.5,
    )


def _initializer(matrix: Matrix) -> Initializer:
    """The function of a matrix as data."""
    found: dict[str, Initializer] = {
        "kaiming_uniform_": winit.KaimingUniform(),
        "xavier_normal_": winit.XavierNormal(),
        "normal_": winit.Normal(),
        "uniform_": winit.Uniform(),
    }
    return found[matrix.initializer]
