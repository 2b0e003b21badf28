"""torch.nn.init, with one seed giving one set of weights on any device, layout and precision.

    import winit_cuda as winit

    winit.kaiming_normal_(w, nonlinearity="relu")       # as torch.nn.init; torch.manual_seed rules
    winit.kaiming_normal_(w, key=winit.fold_in(winit.key(0), "layers.0.weight"))   # or a key does

Every public name of `torch.nn.init` is here and in `winit_cuda.init`, with the same signature plus
key=. `Shard` and `Shards` say which part of a larger tensor a tensor is. `backend_info()` tells
what fills the tensors of each device.
"""

from ._core import interpreter as _interpreter  # noqa: F401  (before anything imports torch)

# isort: split
from . import init, presets
from ._core.backend import BackendInfo, backend_info, use_backend
from ._dispatch import operators as _operators  # noqa: F401  (torch.ops.winit_cuda is there from the start)
from ._distributed.shard import Box, Shard, Shards
from ._initializers.base import Initializer
from ._initializers.composite import Composite
from ._initializers.elementwise import Constant, Normal, Ones, TruncNormal, Uniform, Zeros
from ._initializers.fans import KaimingNormal, KaimingUniform, XavierNormal, XavierUniform
from ._initializers.scaling import LecunNormal, LecunUniform, VarianceScaling
from ._initializers.structured import DeltaOrthogonal, Dirac, Eye, Orthogonal, Sparse
from ._keys.keys import (
    Key,
    fold_in,
    key,
    split,
)
from ._model.accelerate import accelerate, install, uninstall
from ._model.build import build
from ._model.ensemble import Ensemble, ensemble
from ._model.entries import Entry, Piece
from ._model.initialize import InitializeReport, initialize
from ._model.match import Report
from ._model.plan import Plan, plan
from ._verify.findings import Finding
from ._verify.model_report import ModelReport
from ._verify.report import report
from ._verify.report_data import ParameterReport
from ._verify.verdict import Difference, Verification
from ._verify.verify import verify
from ._version import STREAM_VERSION
from ._version import __version__ as __version__
from .init import *  # noqa: F403

__all__ = [
    "STREAM_VERSION",
    "BackendInfo",
    "Box",
    "Composite",
    "Constant",
    "DeltaOrthogonal",
    "Difference",
    "Dirac",
    "Ensemble",
    "Entry",
    "Eye",
    "Finding",
    "InitializeReport",
    "Initializer",
    "KaimingNormal",
    "KaimingUniform",
    "Key",
    "LecunNormal",
    "LecunUniform",
    "ModelReport",
    "Normal",
    "Ones",
    "Orthogonal",
    "ParameterReport",
    "Piece",
    "Plan",
    "Report",
    "Shard",
    "Shards",
    "Sparse",
    "TruncNormal",
    "Uniform",
    "VarianceScaling",
    "Verification",
    "XavierNormal",
    "XavierUniform",
    "Zeros",
    "accelerate",
    "backend_info",
    "build",
    "ensemble",
    "fold_in",
    "init",
    "initialize",
    "install",
    "key",
    "plan",
    "presets",
    "report",
    "split",
    "uninstall",
    "use_backend",
    "verify",
]
__all__ += init.__all__
