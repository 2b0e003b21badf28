"""Prove what a checkpoint was initialized with: `python examples/verify.py`.

A model is planned, built and saved; its plan is a small file beside the checkpoint. Who has both
can tell that each weight is the planned one, and of which seed. Then one element of one weight is
changed, and found.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import nn

import winit_cuda as winit

WIDTH, LAYERS = 64, 2


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.up = nn.Linear(WIDTH, 4 * WIDTH)
        self.down = nn.Linear(4 * WIDTH, WIDTH)
        nn.init.orthogonal_(self.up.weight)
        nn.init.trunc_normal_(self.down.weight, std=0.02)


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(1000, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))


def save(model: nn.Module, path: Path) -> None:
    torch.save({"model": model.state_dict(), "step": 0}, path)


def main() -> None:
    plan = winit.plan(Model)
    model = winit.build(Model, seed=7).to(torch.bfloat16)
    with TemporaryDirectory() as folder:
        path = Path(folder, "checkpoint.pt")
        save(model, path)
        plan.save(Path(folder, "init.json"))
        plan = winit.Plan.load(Path(folder, "init.json"))
        print(winit.verify(path, plan, seed=7), end="\n\n")
        with torch.no_grad():
            model.get_parameter("blocks.1.down.weight")[3, 200] = 0.5
        save(model, path)
        print(winit.verify(path, plan, seed=7), end="\n\n")
        print(winit.verify(path, plan, seed=0, seeds=range(10)))


if __name__ == "__main__":
    main()
