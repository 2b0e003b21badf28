"""The build backend of pyproject.toml (PEP 517, PEP 660): setuptools, and nvcc where it is lacking.

Where there is an NVIDIA driver, or WINIT_CUDA_BUILD=cuda, and no nvcc, the compiler is one of the
packages that pip installs into the environment of the build, and forgets with it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from setuptools import build_meta
from setuptools.build_meta import (
    build_editable,
    build_sdist,
    build_wheel,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

from .plan import fail, plan_build

if TYPE_CHECKING:
    from collections.abc import Mapping

    ConfigSettings = Mapping[str, str | list[str] | None] | None

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]


def get_requires_for_build_wheel(config_settings: ConfigSettings = None) -> list[str]:
    """Return what the build needs besides build-system.requires; end it where it cannot be done."""
    plan = plan_build(os.environ)
    if plan.problem and not plan.requirements:
        fail(plan.problem)
    return [*build_meta.get_requires_for_build_wheel(config_settings), *plan.requirements]


get_requires_for_build_editable = get_requires_for_build_wheel


def get_requires_for_build_sdist(config_settings: ConfigSettings = None) -> list[str]:
    """Return what setuptools needs: an sdist is packed, not compiled."""
    return list(build_meta.get_requires_for_build_sdist(config_settings))
