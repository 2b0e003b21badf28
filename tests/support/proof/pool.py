"""The processes of a group, which live for many cases."""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .ranks import serve

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

# Imported once, by the process that the others are forked from, in the order that winit_cuda wants.
# The last is for the command of that name, which each of them reads as its main program.
IMPORTED = ["winit_cuda", "torch.distributed.tensor", "torch.distributed.tensor.debug", "pytest"]


class RankError(Exception):
    """A rank failed, died or did not answer in time; the pool is of no more use."""


class Pool:
    """A process for each rank of a group of `world`, each with one end of a pipe."""

    def __init__(self, world: int, seconds: float = 60) -> None:
        self.seconds = seconds
        self._folder = tempfile.TemporaryDirectory()
        store = str(Path(self._folder.name) / "store")
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(IMPORTED)
        self._connections: list[Connection] = []
        self._processes = []
        for rank in range(world):
            ours, theirs = context.Pipe()
            process = context.Process(target=serve, args=(rank, world, store, theirs), daemon=True)
            process.start()
            theirs.close()
            self._connections.append(ours)
            self._processes.append(process)

    def together(self, name: str, *arguments: Any) -> list[Any]:
        """The answers of all ranks, which work side by side."""
        for connection in self._connections:
            self._tell(connection, name, arguments)
        return [self._answer(rank) for rank in range(len(self._connections))]

    def in_turn(self, name: str, *arguments: Any) -> list[Any]:
        """The answers of all ranks, of which one works after another."""
        answers = []
        for rank, connection in enumerate(self._connections):
            self._tell(connection, name, arguments)
            answers.append(self._answer(rank))
        return answers

    def _tell(self, connection: Connection, name: str, arguments: tuple[Any, ...]) -> None:
        try:
            connection.send((name, arguments))
        except OSError:
            self._fail("a rank is dead")

    def _answer(self, rank: int) -> Any:
        connection = self._connections[rank]
        if not connection.poll(self.seconds):
            self._fail(f"rank {rank} gives no answer in {self.seconds} seconds")
        try:
            is_answer, answer = connection.recv()
        except (EOFError, OSError):
            self._fail(f"rank {rank} is dead")
        if not is_answer:
            self._fail(f"rank {rank}: {answer}")
        return answer

    def _fail(self, message: str) -> None:
        self.close()
        raise RankError(message)

    def close(self) -> None:
        """End the processes: those that do not end by themselves are killed."""
        for connection in self._connections:
            connection.close()
        last = time.monotonic() + 1
        for process in self._processes:
            process.join(max(0, last - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()
            process.close()
        self._connections, self._processes = [], []
        self._folder.cleanup()
