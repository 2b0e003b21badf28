"""Rules of common initializations, for `winit_cuda.plan`.

    import winit_cuda as winit

    plan = winit.plan(model, {"head.weight": winit.Zeros(), **winit.presets.gpt2(layers=12)})

Each preset is a function that returns an ordinary dict of rules, to be joined, shown and changed.
The first rule that matches decides, so what is to go before a preset stands before it. Presets
whose rules are functions are for plans only: a file of rules has globs and initializers. The plan
itself can be saved.
"""

from ._presets.defaults import torch_defaults
from ._presets.layers import embedding, lstm
from ._presets.mup import mup
from ._presets.transformers import gpt2, llama

__all__ = ["embedding", "gpt2", "llama", "lstm", "mup", "torch_defaults"]
