"""Rules of transformers: GPT-2's and Llama's."""

import math
import re
from dataclasses import dataclass

import torch

from .._core import checks
from .._core.checks import wrong
from .._initializers.base import Initializer
from .._initializers.elementwise import Normal, Ones, Zeros
from .._model.rules import Choice, Pattern

# What ends a residual branch, as Hugging Face and Meta call it, and the first number, the layer's.
_RESIDUAL = re.compile(r"(?:.*?\.)??(\d+)\.(?:.*\.)?(?:o_proj|down_proj|wo|w2)\.weight")


@dataclass(frozen=True)
class NormsAndBiases:
    """Chooses zeros for biases, ones for the weights of norms, and a law for all others.

    A bias has "bias" in the last step of its name; a norm's weight is a vector called weight. Of
    other vectors it says nothing.
    """

    others: Initializer

    def __call__(self, name: str, parameter: torch.Tensor) -> Initializer | None:
        """The initializer of a parameter."""
        leaf = name.rpartition(".")[2]
        if "bias" in leaf:
            return Zeros()
        if parameter.dim() > 1:
            return self.others
        return Ones() if leaf == "weight" else None


def gpt2(
    layers: int, *, std: float = 0.02, residual: str = "*c_proj.weight"
) -> dict[Pattern, Choice]:
    """Return the rules of GPT-2, as nanoGPT and Hugging Face have them, too.

    Weights and embeddings have N(0, std^2), those that end a residual branch N(0, std^2 / (2
    layers)): each layer has two such branches, and their sum keeps its variance. Biases are zeros,
    the weights of norms ones.

    Args:
        layers: How many layers the model has.
        std: The standard deviation of the other weights.
        residual: A glob for what ends a residual branch.

    Raises:
        TypeError: `layers` is not an integer, `std` not a number, or `residual` not a string.
        ValueError: layers < 1, or `std` is negative, NaN or infinite.

    Example:
        >>> import winit_cuda as winit
        >>> winit.presets.gpt2(layers=50)["*c_proj.weight"]
        Normal(std=0.002)

    Paper:
        A. Radford et al., "Language models are unsupervised multitask learners", OpenAI 2019.
    """
    function = "presets.gpt2"
    count = checks.count(function, "layers", layers)
    std = checks.deviation(function, "std", std)
    if not isinstance(residual, str):
        raise wrong(function, "residual", "a glob over names", residual, TypeError)
    return {residual: Normal(std=std / math.sqrt(2 * count)), "*": NormsAndBiases(Normal(std=std))}


def llama(std: float = 0.02, *, depth_scaled: bool = False) -> dict[Pattern, Choice]:
    """Return the rules of Llama, as Hugging Face has them, or with deeper layers scaled down.

    Weights and embeddings have N(0, std^2), the weights of norms are ones. With `depth_scaled`,
    what ends a residual branch of layer i (o_proj and down_proj, or wo and w2) has N(0, std^2 / (2
    (i + 1))), i from 0 on, the first number in its name.

    Args:
        std: The standard deviation, Hugging Face's `initializer_range`.
        depth_scaled: Whether the ends of residual branches are scaled by their depth.

    Raises:
        TypeError: `std` is not a number.
        ValueError: `std` is negative, NaN or infinite.

    Example:
        >>> import torch, winit_cuda as winit
        >>> def layer():
        ...     names = ("wq", "wo")
        ...     return torch.nn.ModuleDict({one: torch.nn.Linear(4, 4, False) for one in names})
        >>> model = torch.nn.Sequential(layer(), layer())
        >>> print(winit.plan(model, winit.presets.llama(depth_scaled=True)))
        name                   initializer          shape  dtype    std
        {0-1}.wq.weight  (2)   Normal(std=0.02)     4 x 4  float32  0.02
        0.wo.weight            Normal(std=0.01414)  4 x 4  float32  0.01414
        1.wo.weight            Normal(std=0.01)     4 x 4  float32  0.01
        4 tensors, 64 elements

    Paper:
        B. Zhang, I. Titov & R. Sennrich, "Improving deep transformer with depth-scaled
        initialization and merged attention", EMNLP 2019.
    """
    std = checks.deviation("presets.llama", "std", std)
    rest = NormsAndBiases(Normal(std=std))
    if not depth_scaled:
        return {"*": rest}

    def scaled(name: str, parameter: torch.Tensor) -> Initializer | None:  # noqa: ARG001
        found = _RESIDUAL.fullmatch(name)
        return found and Normal(std=std / math.sqrt(2 * (int(found[1]) + 1)))

    return {_RESIDUAL: scaled, "*": rest}
