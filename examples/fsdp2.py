"""Train a small GPT with FSDP2, on CPUs or GPUs: `torchrun --nproc-per-node 2 examples/fsdp2.py`.

On 1, 2 or 4 processes it prints the same hash of the weights and, to rounding, the same losses,
because each weight is filled under its own name, wherever its rows are. No process holds the whole
model or sends anything until the hash is taken.
"""

from __future__ import annotations

import hashlib
import os

import torch
from torch import distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn import functional

import winit_cuda as winit

VOCABULARY, CONTEXT, WIDTH, HEADS, LAYERS = 97, 32, 64, 4, 2
BATCH, STEPS = 16, 20


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(WIDTH)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)
        self.mlp_norm = nn.LayerNorm(WIDTH)
        self.up = nn.Linear(WIDTH, 4 * WIDTH)
        self.down = nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        heads = self.qkv(self.attention_norm(x)).unflatten(-1, (3, HEADS, -1))
        q, k, v = heads.transpose(1, 3).unbind(2)
        attended = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(attended.transpose(1, 2).flatten(2))
        return x + self.down(functional.gelu(self.up(self.mlp_norm(x))))


class GPT(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Embedding(VOCABULARY, WIDTH)
        self.position = nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, VOCABULARY, bias=False)
        self.head.weight = self.token.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.token(tokens) + self.position.weight
        return self.head(self.norm(self.blocks(x)))


def initialize(model: nn.Module, seed: int) -> None:
    """Fill this process's part of each parameter, under the parameter's name."""
    root = winit.key(seed)
    for name, parameter in model.named_parameters():
        key = winit.fold_in(root, name)
        if name.endswith("norm.weight"):
            winit.ones_(parameter)
        elif name.endswith("bias"):
            winit.zeros_(parameter)
        elif name.endswith(("out.weight", "down.weight")):  # the ends of residual branches
            winit.normal_(parameter, std=0.02 / (2 * LAYERS) ** 0.5, key=key)
        else:
            winit.trunc_normal_(parameter, std=0.02, a=-0.06, b=0.06, key=key)


def hash_of(model: nn.Module) -> str:
    """The SHA-256 of the whole weights; this does gather them, one at a time."""
    digest = hashlib.sha256()
    for parameter in model.parameters():
        assert isinstance(parameter, DTensor)
        whole = parameter.full_tensor().detach().cpu()
        digest.update(bytes(whole.flatten().view(torch.uint8).tolist()))
    return digest.hexdigest()


def batch_of(step: int) -> torch.Tensor:
    """The batch of all processes together: sequences that count up from anywhere."""
    chance = torch.Generator().manual_seed(step)
    start = torch.randint(VOCABULARY, (BATCH, 1), generator=chance)
    return (start + torch.arange(CONTEXT + 1)) % VOCABULARY


def main() -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group()
    rank, world = distributed.get_rank(), distributed.get_world_size()
    mesh = init_device_mesh(device, (world,))

    with torch.device("meta"):
        model = GPT()
    for block in model.blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
    model.to_empty(device=device)
    initialize(model, seed=0)
    weights = hash_of(model)
    if rank == 0:
        print(f"weights {weights}")

    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(STEPS):
        mine = batch_of(step).chunk(world)[rank].to(device)
        logits = model(mine[:, :-1])
        loss = functional.cross_entropy(logits.flatten(0, 1), mine[:, 1:].flatten())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        total = loss.detach()
        distributed.all_reduce(total)
        if rank == 0 and step in (0, STEPS - 1):
            print(f"loss of step {step} {total / world:.6f}")
    distributed.barrier()  # else a thread of gloo may let go of the last tensor after Python's end
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
