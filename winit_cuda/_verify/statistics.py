"""How ``winit-cuda demo`` shows that two initializations of one model agree.

The law that every parameter is meant to have is noted by running the model's own initialization
function against a recorder. Each group of parameters of one law is then tested: the moments of
winit_cuda's values against the law, and moments and distribution function of both sides against
each other. Every test gives a z-score, so one limit serves all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Two-sided, 5 standard errors happen once in 1.7 million tests when both sides are right. The
# demo makes a few hundred tests.
Z_LIMIT = 5.0

_SAMPLE_PER_TENSOR = 1 << 14
# Small enough for the cache: the sums run over a chunk several times.
_CHUNK = 1 << 15


@dataclass(frozen=True)
class Law:
    """The distribution that a parameter is meant to have."""

    name: str
    mean: float
    std: float
    low: float = -math.inf
    high: float = math.inf


def _uniform(name: str, low: float, high: float) -> Law:
    return Law(name, (low + high) / 2, (high - low) / math.sqrt(12), low, high)


def _constant(value: float) -> Law:
    return Law("constant", value, 0.0, value, value)


def _fans(tensor: Tensor) -> tuple[int, int]:
    receptive_field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * receptive_field, tensor.shape[0] * receptive_field


class LawRecorder:
    """Takes the place of ``torch.nn.init`` in an initialization function and notes the laws.

    It computes scales from the formulas of the papers, on its own, and writes nothing, so that it
    runs on a model on the meta device. The last call for a parameter counts.
    """

    def __init__(self, model: nn.Module) -> None:
        self._names = {id(parameter): name for name, parameter in model.named_parameters()}
        self.laws: dict[str, Law] = {}

    def _note(self, tensor: Tensor, law: Law) -> Tensor:
        self.laws[self._names[id(tensor)]] = law
        return tensor

    def uniform_(self, tensor: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
        """Uniform on [a, b)."""
        return self._note(tensor, _uniform("uniform", a, b))

    def normal_(self, tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
        """Normal, as given."""
        return self._note(tensor, Law("normal", mean, std))

    def constant_(self, tensor: Tensor, val: float) -> Tensor:
        """The constant ``val``."""
        return self._note(tensor, _constant(val))

    def ones_(self, tensor: Tensor) -> Tensor:
        """The constant 1."""
        return self._note(tensor, _constant(1.0))

    def zeros_(self, tensor: Tensor) -> Tensor:
        """The constant 0."""
        return self._note(tensor, _constant(0.0))

    def xavier_uniform_(self, tensor: Tensor, gain: float = 1.0) -> Tensor:
        """Uniform within gain * sqrt(6 / (fan_in + fan_out))."""
        bound = gain * math.sqrt(6 / sum(_fans(tensor)))
        return self._note(tensor, _uniform("xavier_uniform", -bound, bound))

    def kaiming_uniform_(
        self, tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
    ) -> Tensor:
        """Uniform within sqrt(3) times the standard deviation of Kaiming."""
        bound = math.sqrt(3) * self._kaiming_std(tensor, a, mode, nonlinearity)
        return self._note(tensor, _uniform("kaiming_uniform", -bound, bound))

    def kaiming_normal_(
        self, tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
    ) -> Tensor:
        """Normal with the standard deviation of Kaiming, gain / sqrt(fan)."""
        std = self._kaiming_std(tensor, a, mode, nonlinearity)
        return self._note(tensor, Law("kaiming_normal", 0.0, std))

    @staticmethod
    def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
        slope = a if nonlinearity == "leaky_relu" else 0.0
        if nonlinearity not in ("relu", "leaky_relu"):
            raise ValueError(f"the demo knows relu and leaky_relu, got {nonlinearity!r}")
        return math.sqrt(2 / (1 + slope**2) / _fans(tensor)[mode == "fan_out"])


@dataclass(frozen=True)
class Moments:
    """What a group of tensors looks like: moments, range and an evenly spaced sample."""

    count: int
    mean: float
    variance: float
    fourth: float  # fourth central moment
    low: float
    high: float
    sample: Tensor

    @property
    def std(self) -> float:
        """Standard deviation."""
        return math.sqrt(self.variance)

    @property
    def mean_error(self) -> float:
        """Standard error of the mean."""
        return math.sqrt(self.variance / self.count)

    @property
    def variance_error(self) -> float:
        """Standard error of the variance."""
        return math.sqrt(max(self.fourth - self.variance**2, 0.0) / self.count)


def measure(tensors: Iterable[Tensor], center: float) -> Moments:
    """Moments of all elements, summed in float64 about ``center`` (the mean that is expected)."""
    count, low, high = 0, math.inf, -math.inf
    sums = [0.0] * 4
    samples = []
    for tensor in tensors:
        flat = tensor.detach().flatten()
        count += flat.numel()
        samples.append(flat[:: max(1, flat.numel() // _SAMPLE_PER_TENSOR)].float().cpu())
        for chunk in torch.split(flat, _CHUNK):
            low, high = min(low, chunk.min().item()), max(high, chunk.max().item())
            deviation = chunk.double() - center
            square = deviation * deviation
            powers = (deviation, square, square * deviation, square * square)
            sums = [total + power.sum().item() for total, power in zip(sums, powers, strict=True)]
    first, second, third, fourth = (total / count for total in sums)
    return Moments(
        count,
        mean=center + first,
        variance=max(second - first**2, 0.0),
        fourth=fourth - 4 * first * third + 6 * first**2 * second - 3 * first**4,
        low=low,
        high=high,
        sample=torch.cat(samples),
    )


@dataclass(frozen=True)
class Verdict:
    """Whether two samples and their law agree, and by which margin."""

    agree: bool
    z: float  # the largest z-score of all tests, 0 where the law is a constant
    reason: str  # empty where they agree


def compare(law: Law, torch_side: Moments, winit_side: Moments) -> Verdict:
    """Tests winit_cuda's values against the law and against those of torch.nn.init."""
    for name, side in (("torch.nn.init", torch_side), ("winit_cuda", winit_side)):
        if not math.isfinite(side.mean + side.variance):
            return Verdict(False, math.inf, f"{name} has values that are not finite")
        # A bound is rounded to the tensor's dtype; float32 moves it by 6e-8 of itself.
        if side.low < law.low - 1e-6 * abs(law.low) or side.high > law.high + 1e-6 * abs(law.high):
            return Verdict(False, math.inf, f"{name} leaves [{law.low:.4g}, {law.high:.4g}]")
    if law.std == 0:
        return Verdict(True, 0.0, "")
    scores = {
        "mean": _z(winit_side.mean - law.mean, winit_side.mean_error),
        "std": _z(winit_side.variance - law.std**2, winit_side.variance_error),
        "mean of both": _z(
            winit_side.mean - torch_side.mean,
            math.hypot(winit_side.mean_error, torch_side.mean_error),
        ),
        "std of both": _z(
            winit_side.variance - torch_side.variance,
            math.hypot(winit_side.variance_error, torch_side.variance_error),
        ),
        "shape": kolmogorov_smirnov_z(winit_side.sample, torch_side.sample),
    }
    worst = max(scores, key=scores.__getitem__)
    agree = scores[worst] <= Z_LIMIT
    return Verdict(agree, scores[worst], "" if agree else f"{worst} differs")


def _z(difference: float, standard_error: float) -> float:
    if standard_error == 0:
        return 0.0 if difference == 0 else math.inf
    return abs(difference) / standard_error


def kolmogorov_smirnov_z(first: Tensor, second: Tensor) -> float:
    """The two-sample Kolmogorov-Smirnov test, its p-value turned into a two-sided z-score."""
    first, second = first.sort().values, second.sort().values
    both = torch.cat((first, second))
    below_first = torch.searchsorted(first, both, right=True) / len(first)
    below_second = torch.searchsorted(second, both, right=True) / len(second)
    distance = (below_first - below_second).abs().max().item()
    scaled = distance * math.sqrt(len(first) * len(second) / (len(first) + len(second)))
    p = 2 * math.exp(-2 * scaled**2)  # the first term of Kolmogorov's series
    if p >= 1:
        return 0.0
    # Below 1e-15 a float has no room for 1 - p; the tails then fall alike at z = 2 * scaled.
    return -NormalDist().inv_cdf(p / 2) if p > 1e-15 else 2 * scaled


def group_parameters(laws: dict[str, Law], all_layers: bool) -> list[tuple[str, Law, list[str]]]:
    """Groups parameters of one law that differ only in the numbers of their blocks.

    Returns ``(label, law, parameter names)`` in the order of the model; constants, which need no
    statistics, make one group for each value. ``all_layers`` keeps every parameter on its own.
    """
    groups: dict[object, list[str]] = {}
    for name, law in laws.items():
        pattern = tuple("*" if part.isdigit() else part for part in name.split("."))
        key = name if all_layers else law if law.std == 0 else (pattern, law)
        groups.setdefault(key, []).append(name)
    grouped = []
    for names in groups.values():
        law = laws[names[0]]
        constant = law.std == 0 and len(names) > 1
        grouped.append((f"all that are {law.mean:g}" if constant else _label(names), law, names))
    return sorted(grouped, key=lambda group: group[1].std == 0)


def _label(names: Sequence[str]) -> str:
    """The common name, with ``*`` where block numbers differ."""
    columns = zip(*(name.split(".") for name in names), strict=True)
    return ".".join(parts[0] if len(set(parts)) == 1 else "*" for parts in columns)
