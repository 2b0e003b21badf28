"""Fill a model by the laws of its own constructor: `python examples/plan.py`.

The model is written for torch alone and draws its weights where it is made. A plan reads the laws
from there, on tensors without memory. The model is then made on meta, divided by FSDP2 where
`torchrun --nproc-per-node 2 examples/plan.py` runs several processes, and filled by the plan. The
hash of the weights is the same on any number of them.
"""

from __future__ import annotations

import hashlib
import math
import os

import torch
from torch import distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

import winit_cuda as winit

VOCABULARY, WIDTH, HEADS, LAYERS = 1000, 64, 4, 3


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.up = nn.Linear(WIDTH, 4 * WIDTH)
        self.down = nn.Linear(4 * WIDTH, WIDTH)
        nn.init.trunc_normal_(self.up.weight, std=0.02)
        nn.init.normal_(self.down.weight, std=0.02)
        with torch.no_grad():
            self.down.weight.div_(math.sqrt(2 * LAYERS))  # the end of a residual branch


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH, padding_idx=0)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.decay = nn.Parameter(torch.log(torch.empty(WIDTH).uniform_(1, 16)))
        frequencies = 10000 ** -(torch.arange(0, WIDTH, 2) / WIDTH)
        self.register_buffer("frequencies", frequencies, persistent=False)


def hash_of(model: nn.Module) -> str:
    """The SHA-256 of the whole weights and buffers; this does gather them, one at a time."""
    digest = hashlib.sha256()
    for tensor in (*model.parameters(), *model.buffers()):
        whole = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
        digest.update(bytes(whole.detach().cpu().flatten().view(torch.uint8).tolist()))
    return digest.hexdigest()


def main() -> None:
    plan = winit.plan(Model)
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    with torch.device("meta"):
        model = Model()
    if world > 1:
        distributed.init_process_group("gloo")
        mesh = init_device_mesh("cpu", (world,))
        for block in model.blocks:
            fully_shard(block, mesh=mesh)
        fully_shard(model, mesh=mesh)
    model.to_empty(device="cpu")
    report = plan.run(model, seed=0)
    weights = hash_of(model)
    if rank == 0:
        print(plan, report, f"weights {weights}", sep="\n\n")
    if world > 1:
        distributed.barrier()
        distributed.destroy_process_group()


if __name__ == "__main__":
    main()
