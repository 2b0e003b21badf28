"""Jobs of lists of fills, and the same fill alone."""

from __future__ import annotations

import torch

import winit_cuda as winit
from winit_cuda._dispatch import many
from winit_cuda._fills.constants import CONSTANT
from winit_cuda._fills.elementwise import NORMAL, TRUNC_NORMAL, UNIFORM

SENTINEL = 7.0
LAWS = [
    (NORMAL, winit.normal_, (0.1, 0.02)),
    (NORMAL, winit.normal_, (0.5, 0.0)),
    (UNIFORM, winit.uniform_, (-1.0, 1.0)),
    (UNIFORM, winit.uniform_, (0.3, 0.3)),
    (TRUNC_NORMAL, winit.trunc_normal_, (0.0, 1.0, -2.0, 2.0)),
    (TRUNC_NORMAL, winit.trunc_normal_, (0.0, 1.0, 1.5, 3.0)),
    (TRUNC_NORMAL, winit.trunc_normal_, (0.0, 0.0, 0.3, 0.4)),
    (TRUNC_NORMAL, winit.trunc_normal_, (0.0, 1.0, 0.5, 0.5)),
    (CONSTANT, winit.constant_, (0.3,)),
]


def job(law, tensor):
    fill, function, numbers = law
    return many.Job(fill, function.__name__, tensor, numbers)


def alone(law, tensor, key):
    """A copy of the tensor, filled by the public function."""
    fill, function, numbers = law
    copy = torch.empty_like(tensor)
    return function(copy, *numbers, key=key) if fill.is_random else function(copy, *numbers)


def normals(count, size=5):
    return [job(LAWS[0], torch.full((size,), SENTINEL)) for _ in range(count)]


def is_untouched(jobs):
    return all((each.tensor == SENTINEL).all() and not each.tensor._version for each in jobs)
