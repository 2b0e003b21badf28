"""What one process does: it is a rank of a group, and fills what it has of a tensor.

It makes the tensor when all do, since making a mesh takes all of them. It fills while the others
wait for something else, so that whatever needed one of them would never end; and what was sent
without waiting for an answer shows in the sequence numbers of the groups.
"""

from __future__ import annotations

import contextlib
import math
import os
import resource
import socket
import traceback
import warnings
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import distributed, nn
from torch.distributed import tensor as api
from torch.distributed.tensor.debug import CommDebugMode
from torch.distributed.tensor.placement_types import _StridedShard

import winit_cuda as winit
from tensor_parts import Part

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

    from .cases import Case, Placement

BEFORE = 7.0
"""What a tensor has before it is filled."""


class Filled(NamedTuple):
    """What a rank found, as plain data."""

    is_member: bool
    """Whether the rank is in the mesh."""
    positions: bytes
    """The indices in the whole of what it has, int64, in the order of its local tensor."""
    values: bytes
    error: tuple[str, str] | None
    """The type and the message."""
    state: bytes
    """That of the generator, afterwards."""
    faults: tuple[str, ...]


def serve(rank: int, world: int, store: str, connection: Connection) -> None:
    """Do as told, until the other end is closed."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    if "lo" in (name for _, name in socket.if_nameindex()):
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # whatever the host's name resolves to
    distributed.init_process_group(
        "gloo",
        init_method=Path(store).as_uri(),
        rank=rank,
        world_size=world,
        timeout=timedelta(minutes=5),
    )
    member = Member()
    with contextlib.suppress(EOFError, OSError):
        while True:
            name, arguments = connection.recv()
            try:
                answer = getattr(member, name)(*arguments)
            except Exception:
                connection.send((False, traceback.format_exc()))
            else:
                connection.send((True, answer))
    os._exit(0)  # what is unfinished in a group would keep it


class Member:
    """A rank, and what it works on."""

    def __init__(self) -> None:
        self._meshes: dict[Any, api.DeviceMesh] = {}
        self._groups = [distributed.group.WORLD]

    def make(self, case: Case) -> None:
        """Make the tensor of a case."""
        mesh = self._mesh(case)
        self._case = case
        self._is_member = mesh.get_coordinate() is not None
        placements = [_placement(placement) for placement in case.placements]
        numbers = torch.arange(math.prod(case.shape)).view(case.shape)
        # Of one rank's sum torch would make a quotient.
        whole = [
            api.Replicate() if placement.is_partial() else placement for placement in placements
        ]
        indices = api.distribute_tensor(numbers, mesh, whole, src_data_rank=None)._local_tensor
        self._positions = indices if self._is_member else indices.new_empty(0)
        local_shape = indices.shape if self._is_member else (0,) * len(case.shape)
        dtensor, self._memory = _dtensor(case, mesh, placements, local_shape)
        if case.requires_grad:
            dtensor = nn.Parameter(dtensor)
        self._local = dtensor._local_tensor
        self._options: dict[str, Any] = {}
        self._tensor: torch.Tensor = dtensor
        if case.route == "shard" and self._is_member:
            self._tensor = nn.Parameter(self._local) if case.requires_grad else self._local
            self._options["shard"] = _shard(case.shape, self._positions)

    def _mesh(self, case: Case) -> api.DeviceMesh:
        described = (case.mesh, case.ranks)
        if described not in self._meshes:
            mesh = api.DeviceMesh("cpu", torch.tensor(case.ranks).view(case.mesh))
            self._meshes[described] = mesh
            if mesh.get_coordinate() is not None:
                self._groups += mesh.get_all_groups()
        return self._meshes[described]

    def fill(self) -> Filled:
        """Fill it, alone."""
        case, tensor, local = self._case, self._tensor, self._local
        if case.route == "shard" and not self._is_member:
            return Filled(False, b"", b"", None, b"", ())
        options, generator = _source(case)
        before = generator.get_state()
        address, version, values = local.data_ptr(), tensor._version, _bytes(local)
        sent, faults, error = self._sent(), [], None
        counts = CommDebugMode() if case.mode == "watched" else None
        try:
            with counts or (
                torch.no_grad() if case.mode == "no_grad" else contextlib.nullcontext()
            ):
                found = self._call(options)
        except Exception as raised:
            error = (type(raised).__name__, str(raised))
            if _bytes(local) != values:
                faults.append("after an error the tensor is not as it was")
            if tensor._version != version:
                faults.append("after an error the version has moved")
            if not torch.equal(generator.get_state(), before):
                faults.append("after an error the generator has moved")
        else:
            if found is not tensor:
                faults.append("another object is returned")
            is_written = math.prod(case.shape) if case.route == "dtensor" else local.numel()
            if tensor._version <= version and is_written:
                faults.append("the version has not moved")
        if counts is not None and counts.get_total_counts():
            faults.append(f"CommDebugMode counts {counts.get_comm_counts()}")
        if self._sent() != sent:
            faults.append("something was sent")
        now = tensor._local_tensor if case.route == "dtensor" else tensor
        if now.data_ptr() != address:
            faults.append("the memory is another")
        if not tensor.is_leaf or tensor.requires_grad != case.requires_grad:
            faults.append("no leaf any more, or requires_grad has changed")
        if self._memory is not None and not _is_kept_around(self._memory, local):
            faults.append("memory around the tensor was written")
        if not self._is_member and _bytes(local) != values:
            faults.append("a rank outside of the mesh has written")
        return Filled(
            self._is_member,
            _bytes(self._positions),
            _bytes(local) if self._is_member else b"",
            error,
            generator.get_state().numpy().tobytes(),
            tuple(faults),
        )

    def _call(self, options: dict[str, Any]) -> torch.Tensor:
        fault, case = self._case.fault, self._case
        rank = distributed.get_rank()
        if fault == "waits":
            distributed.all_reduce(torch.ones(1))
        elif fault == "dies":
            os._exit(1)
        elif fault == "sends":
            self._unfinished = distributed.isend(torch.ones(1), 1 - rank)
        elif fault == "raises" and rank == 1:
            raise ValueError(fault)
        elif fault == "skips":
            return self._tensor
        elif fault == "differs" and rank == 1:
            options = {"key": winit.key(rank)}
        found = call(case, self._tensor, **options, **self._options)
        if fault == "draws" and rank == 1:
            torch.rand(1)
        elif fault == "copies":
            self._tensor._local_tensor = self._local.clone()
        elif fault == "spills":
            self._memory[0].fill_(1.0)
        return found

    def _sent(self) -> list[int]:
        return [group._get_sequence_number_for_group() for group in self._groups]

    def fill_without_room(self, case: Case) -> str:
        """Fill a part of a tensor for the whole of which there is no memory; return what failed.

        The case is of a float32 tensor, its first dimension divided by all ranks.
        """
        rows, *columns = case.shape
        local = torch.zeros(rows // case.world, *columns)
        stride = torch.empty(case.shape, device="meta").stride()
        dtensor = api.DTensor.from_local(
            local, self._mesh(case), [api.Shard(0)], shape=torch.Size(case.shape), stride=stride
        )
        options, _ = _source(case)
        with _room_for(local.element_size() * math.prod(case.shape) // 2):
            try:
                torch.empty(case.shape)
            except RuntimeError:
                pass
            else:
                return "there is room for the whole"
            try:
                call(case, dtensor, **options)
            except (MemoryError, RuntimeError) as error:
                return str(error)
        return ""


def call(case: Case, tensor: torch.Tensor, **options: Any) -> torch.Tensor:
    """Call the initializer."""
    return getattr(winit, case.initializer)(tensor, **case.arguments, **options)


def _source(case: Case) -> tuple[dict[str, Any], torch.Generator]:
    """What to pass to the initializer, and the generator to look at."""
    torch.manual_seed(case.seed + case.number)
    if case.source == "manual_seed" or not case.is_random:
        return {}, torch.default_generator
    if case.source == "key":
        key = winit.fold_in(winit.key(case.seed), case.number)
        return {"key": key}, torch.default_generator
    generator = torch.Generator().manual_seed(case.number)
    return {"generator": generator}, generator


def fill_whole(case: Case) -> tuple[torch.Tensor, tuple[str, str] | None, bytes]:
    """What one process has: the tensor, its error, and the state of its generator."""
    options, generator = _source(case)
    whole = torch.full(case.shape, BEFORE).to(getattr(torch, case.dtype))
    error = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tensors without elements
        try:
            call(case, whole, **options)
        except Exception as raised:
            error = (type(raised).__name__, str(raised))
    return whole, error, generator.get_state().numpy().tobytes()


def _placement(placement: Placement) -> Any:
    makers: dict[str, Callable[[], Any]] = {
        "R": api.Replicate,
        "S": lambda: api.Shard(placement.dim),
        "T": lambda: _StridedShard(placement.dim, split_factor=placement.factor),
        "P": api.Partial,
    }
    return makers[placement.kind]()


def _dtensor(
    case: Case, mesh: api.DeviceMesh, placements: list[Any], local_shape: tuple[int, ...]
) -> tuple[Any, torch.Tensor | None]:
    """The tensor of a case, and the memory around what this rank has of it."""
    dtype = getattr(torch, case.dtype)
    if case.made == "distributed":
        whole = torch.full(case.shape, BEFORE).to(dtype)
        return api.distribute_tensor(whole, mesh, placements, src_data_rank=None), None
    if case.made == "empty":
        # It takes no negative dimensions.
        placements = [
            api.Shard(placement.dim % len(case.shape))
            if type(placement) is api.Shard
            else placement
            for placement in placements
        ]
        dtensor = api.empty(case.shape, dtype=dtype, device_mesh=mesh, placements=placements)
        dtensor._local_tensor.copy_(torch.full(dtensor._local_tensor.shape, BEFORE).to(dtype))
        return dtensor, None
    around = None
    if case.made == "local window":
        around = torch.full([size + 2 for size in local_shape], BEFORE).to(dtype)
        local = around[(slice(1, -1),) * len(local_shape)]
    elif case.made == "local permuted":
        local = torch.full(local_shape[::-1], BEFORE).to(dtype)
        local = local.permute(tuple(reversed(range(len(local_shape)))))
    else:
        local = torch.full(local_shape, BEFORE).to(dtype)
    stride = torch.empty(case.shape, device="meta").stride()
    dtensor = api.DTensor.from_local(
        local, mesh, placements, shape=torch.Size(case.shape), stride=stride
    )
    return dtensor, around


def _is_kept_around(around: torch.Tensor, local: torch.Tensor) -> bool:
    """Whether everything but the local tensor, in its middle, is as it was."""
    if around.dim() == 0 or local.numel() == 0:
        return True
    rest = around.to(torch.complex128)
    rest[(slice(1, -1),) * local.dim()] = BEFORE
    before = torch.full((), BEFORE).to(around.dtype).to(torch.complex128)
    return (
        bool((rest[0] == before).all())
        and bool((rest[-1] == before).all())
        and bool(((rest == before) | (rest == BEFORE)).all())
    )


def _shard(shape: tuple[int, ...], positions: torch.Tensor) -> winit.Shard | winit.Shards:
    """What `shard=` says of these indices, read from the indices themselves."""
    if not shape:
        return winit.Shard((), ())
    indices = torch.unravel_index(positions.reshape(-1), shape) if positions.numel() else None
    intervals = []
    for dim, size in enumerate(positions.shape):
        if indices is None:
            intervals.append([(0, size)])
            continue
        along = indices[dim].view(positions.shape).movedim(dim, 0).reshape(size, -1)[:, 0].tolist()
        starts = [at for at in range(size) if at == 0 or along[at] != along[at - 1] + 1]
        ends = [*starts[1:], size]
        intervals.append([(along[a], along[b - 1] + 1) for a, b in zip(starts, ends, strict=True)])
    return Part(shape, *intervals).shard


def _bytes(tensor: torch.Tensor) -> bytes:
    flat = tensor.detach().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes()


@contextlib.contextmanager
def _room_for(size: int) -> Iterator[None]:
    """No more than so many bytes of address space beyond what the process has."""
    status = Path("/proc/self/statm").read_text()
    used = int(status.split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
