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
from torch import distributed
from torch.distributed import tensor as api
from torch.distributed.tensor.debug import CommDebugMode

import winit_cuda as winit

from . import calls, tensors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

    from .calls import Error
    from .cases import Case


class Filled(NamedTuple):
    """What a rank found, as plain data."""

    is_member: bool
    """Whether the rank is in the mesh."""
    positions: bytes
    """The indices in the whole of what it has, int64, in the order of its local tensor."""
    values: bytes
    error: Error | None
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
        self._case, self._made = case, tensors.make(case, self._mesh(case))

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
        case, made = self._case, self._made
        if case.route == "shard" and not made.is_member:
            return Filled(False, b"", b"", None, b"", ())
        options, generator = calls.source(case)
        state, version = generator.get_state(), made.tensor._version
        address, values = made.local.data_ptr(), calls.bytes_of(made.local)
        sent = self._sent()
        counts, found, error = CommDebugMode(), None, None
        try:
            with _mode(case, counts):
                found = self._filled(options)
        except Exception as raised:
            error = calls.described(raised)
        faults = self._faults(address)
        if self._sent() != sent or (case.mode == "watched" and counts.get_total_counts()):
            faults.append("something was sent")
        if error is None:
            if found is not made.tensor:
                faults.append("another object is returned")
            size = math.prod(case.shape) if case.route == "dtensor" else made.local.numel()
            if size and made.tensor._version <= version:
                faults.append("the version has not moved")
        elif made.tensor._version != version or not torch.equal(generator.get_state(), state):
            faults.append("after an error the version or the generator is not as it was")
        now = calls.bytes_of(made.local)
        if now != values and (error is not None or not made.is_member):
            faults.append("there are values where an error was raised, or outside of the mesh")
        return Filled(
            made.is_member,
            calls.bytes_of(made.positions),
            now if made.is_member else b"",
            error,
            calls.bytes_of(generator.get_state()),
            tuple(faults),
        )

    def _faults(self, address: int) -> list[str]:
        """What is wrong with the tensor, whose memory was at this address."""
        made, faults = self._made, []
        local = made.tensor._local_tensor if self._case.route == "dtensor" else made.tensor
        if local.data_ptr() != address:
            faults.append("the memory is another")
        if not made.tensor.is_leaf or made.tensor.requires_grad != self._case.requires_grad:
            faults.append("it is no leaf any more, or requires_grad has changed")
        if not made.is_kept_around():
            faults.append("memory around it was written")
        return faults

    def _filled(self, options: dict[str, Any]) -> torch.Tensor:
        """What the call returns, with the fault of the case if it has one."""
        fault, made, rank = self._case.fault, self._made, distributed.get_rank()
        if fault == "waits":
            distributed.all_reduce(torch.ones(1))
        elif fault == "dies":
            os._exit(1)
        elif fault == "sends":
            self._unfinished = distributed.isend(torch.ones(1), 1 - rank)
        elif fault == "raises" and rank == 1:
            raise ValueError(fault)
        elif fault == "skips":
            return made.tensor
        elif fault == "differs" and rank == 1:
            options = {"key": winit.key(rank)}
        found = calls.fill(self._case, made.tensor, **options, **made.options)
        if fault == "draws" and rank == 1:
            torch.rand(1)
        elif fault == "copies":
            made.tensor._local_tensor = made.local.clone()
        elif fault == "spills":
            made.around[0].fill_(1.0)
        return found

    def _sent(self) -> list[int]:
        return [group._get_sequence_number_for_group() for group in self._groups]

    def fill_without_room(self, case: Case) -> str:
        """Fill a part of a tensor for the whole of which there is no memory; return what failed.

        The case is of a float32 tensor, its first dimension divided by all ranks.
        """
        rows, *columns = case.shape
        local = torch.zeros(rows // case.world, *columns)
        dtensor = tensors.from_local(case, self._mesh(case), [api.Shard(0)], local)
        options, _ = calls.source(case)
        with _room_for(local.element_size() * math.prod(case.shape) // 2):
            try:
                torch.empty(case.shape)
            except RuntimeError:
                pass
            else:
                return "there is room for the whole"
            try:
                calls.fill(case, dtensor, **options)
            except (MemoryError, RuntimeError) as error:
                return str(error)
        return ""


def _mode(case: Case, counts: CommDebugMode) -> contextlib.AbstractContextManager[Any]:
    if case.mode == "watched":
        return counts
    return torch.no_grad() if case.mode == "no_grad" else contextlib.nullcontext()


@contextlib.contextmanager
def _room_for(size: int) -> Iterator[None]:
    """No more than so many bytes of address space beyond what the process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
