"""One rank of a sharded model, in a process of its own: shard, allocate, fill, compare.

The process group is torch's fake one, of any size, which sends nothing and needs no other process.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor.debug import CommDebugMode
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    ParallelStyle,
    RowwiseParallel,
    parallelize_module,
)
from torch.testing._internal.distributed.fake_pg import FakeStore

from .llama import CONFIGS, SPLIT, Config, Llama, initializer

if TYPE_CHECKING:
    from collections.abc import Iterator


class Clock:
    """Seconds since it was last asked."""

    def __init__(self) -> None:
        self._before = time.perf_counter()

    def __call__(self) -> float:
        before, self._before = self._before, time.perf_counter()
        return self._before - before


def peak_bytes() -> int:
    """The most memory that the process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def shard(model: Llama, mesh: Any) -> None:
    """Tensor parallelism, then FSDP2 over it, a unit a layer."""
    warnings.simplefilter("ignore")  # FSDP2 misses an accelerator
    # A table of embeddings is divided by columns there, other weights by rows.
    styles: dict[str, ParallelStyle] = {
        name: ColwiseParallel() if name == "tok_embeddings" or dim == 0 else RowwiseParallel()
        for name, dim in SPLIT.items()
    }
    for part in (model, *model.layers):
        own = {name: styles[name] for name, _ in part.named_children() if name in styles}
        parallelize_module(part, mesh["tp"], own, src_data_rank=None)
    for layer in model.layers:
        fully_shard(layer, mesh=mesh["dp"])
    fully_shard(model, mesh=mesh["dp"])


def compared(config: Config) -> Iterator[str]:
    """Names of parameters to compare: of the first, the middle and the last layer, and the rest."""
    yield from ("tok_embeddings.weight", "norm.weight", "output.weight")
    one_layer = [name for name, _ in Llama(CONFIGS["tiny"]).layers[0].named_parameters()]
    for number in sorted({0, config.layers // 2, config.layers - 1}):
        yield from (f"layers.{number}.{name}" for name in one_layer)


def slice_of(whole: torch.Tensor, name: str, mesh: Any) -> torch.Tensor:
    """The rank's part: tensor parallelism first, then rows for FSDP2, each by torch.chunk."""
    part = whole
    module = name.removesuffix(".weight").rpartition(".")[2]
    for axis, dim in (("tp", SPLIT.get(module)), ("dp", 0)):
        if dim is not None:
            chunks = part.chunk(mesh[axis].size(), dim)
            rank = mesh[axis].get_local_rank()
            part = chunks[rank] if rank < len(chunks) else part.narrow(dim, 0, 0)
    return part


def run(rank: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """What one rank took, and which of the compared parameters are not the slice of the whole."""
    config = CONFIGS[arguments.model]
    world = arguments.dp * arguments.tp
    torch.set_num_threads(arguments.threads)
    torch.set_default_dtype(getattr(torch, arguments.dtype))
    distributed.init_process_group("fake", rank=rank, world_size=world, store=FakeStore())
    mesh = init_device_mesh("cpu", (arguments.dp, arguments.tp), mesh_dim_names=("dp", "tp"))
    clock = Clock()
    with torch.device("meta"):
        model = Llama(config)
    construct = clock()
    shard(model, mesh)
    sharding = clock()
    model.to_empty(device="cpu")
    parameters = dict(model.named_parameters())
    sharded: list[Any] = list(parameters.values())
    local = [parameter.to_local().detach() for parameter in sharded]
    for each in local:  # the system gives memory where it is first written
        each.zero_()
    allocate = clock()
    before = peak_bytes()
    for name, parameter in parameters.items():
        initializer(name, config)(parameter)
    fill = clock()
    grown = peak_bytes() - before
    communication: Any = CommDebugMode()  # type: ignore[no-untyped-call]
    with communication:
        for name, parameter in parameters.items():
            initializer(name, config)(parameter)
    return {
        "rank": rank,
        "tensors": len(parameters),
        "parameters": sum(parameter.numel() for parameter in parameters.values()),
        "local_elements": sum(map(torch.Tensor.numel, local)),
        "local_bytes": sum(each.numel() * each.element_size() for each in local),
        "construct_s": construct,
        "shard_s": sharding,
        "allocate_s": allocate,
        "fill_s": fill,
        "peak_growth_bytes": grown,
        "collectives": communication.get_total_counts(),
        "different": list(differing(parameters, config, mesh)),
        "compared": len(list(compared(config))),
    }


def differing(parameters: dict[str, nn.Parameter], config: Config, mesh: Any) -> Iterator[str]:
    """Names of parameters that are not the rank's slice of the tensor filled as a whole."""
    for name in compared(config):
        parameter: Any = parameters[name]
        whole = initializer(name, config)(torch.empty(parameter.shape, dtype=parameter.dtype))
        if not torch.equal(parameter.to_local(), slice_of(whole, name, mesh)):
            yield name


def main() -> int:
    """Run one rank and print what it found as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("rank", type=int)
    parser.add_argument("--model", choices=tuple(CONFIGS))
    parser.add_argument("--dtype")
    for name in ("dp", "tp", "threads"):
        parser.add_argument(f"--{name}", type=int)
    arguments = parser.parse_args()
    print(json.dumps(run(arguments.rank, arguments)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
