"""What torch.cuda says and does on a machine with two devices, as far as it is asked here."""

from __future__ import annotations

import contextlib
import functools
import itertools
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch

from .memory import Memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

DEVICES = 2
CAPABILITY = (9, 0)
NAME = "a stand-in"

_HostGenerator = torch.Generator


class CudaGenerator(torch.Generator):
    """A CUDA generator: a seed and an offset."""

    def __new__(cls, index: int) -> Any:  # noqa: ARG004
        return super().__new__(cls)

    def __init__(self, index: int) -> None:
        self._device, self._seed, self._offset = torch.device("cuda", index), 67280421310721, 0

    device = property(lambda self: self._device)

    def manual_seed(self, seed: int) -> CudaGenerator:
        self._seed, self._offset = seed, 0
        return self

    def initial_seed(self) -> int:
        return self._seed

    def get_offset(self) -> int:
        return self._offset

    def set_offset(self, offset: int) -> None:
        self._offset = offset

    def get_state(self) -> torch.Tensor:
        state = f"{self._seed} {self._offset}".encode().ljust(48)
        return torch.frombuffer(bytearray(state), dtype=torch.uint8)

    def set_state(self, state: torch.Tensor) -> CudaGenerator:
        self._seed, self._offset = map(int, bytes(state.tolist()).split())
        return self

    def next(self) -> torch.Generator:
        """What torch's own fills draw from, for one of them."""
        mixed = hash((self._seed, self._offset)) & (2**63 - 1)
        self._offset += 4
        return _HostGenerator().manual_seed(mixed)


class _GeneratorKind(type(torch.Generator)):  # type: ignore[misc]
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _HostGenerator)


class Stream:
    """A stream, which has a handle. What is put into one happens at once."""

    _handles = itertools.count(0x5000)
    machine: Machine

    def __init__(self, device: Any = None) -> None:
        self.device = torch.device("cuda", self.machine.index_of(device))
        self.cuda_stream = next(self._handles)

    def wait_stream(self, other: Any) -> None:
        pass

    wait_event = wait_stream

    def synchronize(self) -> None:
        self.machine.synchronize()

    def record_event(self) -> object:
        return object()

    def query(self) -> bool:
        """Whether the host has waited for the stream's work."""
        return self.machine.is_idle


class CUDAGraph:
    """A graph: what was called between begin and end, to be called again."""

    machine: Machine

    def __init__(self) -> None:
        self._calls: list[Callable[[], object]] = []

    def capture_begin(self) -> None:
        machine = self.machine
        self._stream = machine.current_stream().cuda_stream
        self._before = machine.memory.contents()
        self._offsets = [generator.get_offset() for generator in machine.generators]
        machine.capturing[self._stream] = self

    def capture_end(self) -> None:
        """From here on nothing of it has happened: neither were values written nor drawn."""
        machine = self.machine
        del machine.capturing[self._stream]
        machine.memory.restore(self._before)
        for generator, offset in zip(machine.generators, self._offsets, strict=True):
            generator.set_offset(offset)

    def record(self, call: Callable[[], object]) -> None:
        self._calls.append(call)

    def replay(self) -> None:
        with torch._C.DisableTorchFunction():
            for call in self._calls:
                call()


class _Thread(threading.local):
    """What each thread has of its own."""

    def __init__(self) -> None:
        self.device = 0
        self.streams: dict[int, Stream] = {}


class Machine:
    """The devices, and what `torch.cuda` says of them."""

    core: Any

    def __init__(self) -> None:
        self.memory = Memory()
        self.generators = tuple(CudaGenerator(index) for index in range(DEVICES))
        for generator in self.generators:  # as the CPU's, unless a program says otherwise
            generator.manual_seed(torch.default_generator.initial_seed())
        self.capturing: dict[int, CUDAGraph] = {}
        self.synchronizations = 0
        self.is_idle = True
        self.device_switches = 0
        self._thread = _Thread()
        self.Stream = type("Stream", (Stream,), {"machine": self})
        self.CUDAGraph = type("CUDAGraph", (CUDAGraph,), {"machine": self})
        self._default_streams = [self.Stream(index) for index in range(DEVICES)]

    def index_of(self, device: Any = None) -> int:
        """The number of a device, however it is named; of the current one, if it is not."""
        if isinstance(device, int):
            return device
        index = None if device is None else torch.device(device).index
        return self._thread.device if index is None else index

    def current_device(self) -> int:
        return self._thread.device

    def set_device(self, device: Any) -> None:
        self.device_switches += 1
        self._thread.device = self.index_of(device)

    @contextlib.contextmanager
    def device(self, device: Any) -> Iterator[None]:
        before = self._thread.device
        self.set_device(device)
        try:
            yield
        finally:
            self.set_device(before)

    def current_stream(self, device: Any = None) -> Stream:
        index = self.index_of(device)
        return self._thread.streams.get(index, self._default_streams[index])

    def raw_stream(self, index: int) -> int:
        return self.current_stream(index).cuda_stream

    @contextlib.contextmanager
    def stream(self, stream: Stream) -> Iterator[None]:
        index = self.index_of(stream.device)
        before = self._thread.streams.get(index)
        self._thread.streams[index] = stream
        try:
            with self.device(index):
                yield
        finally:
            if before is None:
                del self._thread.streams[index]
            else:
                self._thread.streams[index] = before

    @contextlib.contextmanager
    def graph(self, graph: CUDAGraph) -> Iterator[None]:
        with self.stream(self.Stream()):
            graph.capture_begin()
            try:
                yield
            finally:
                graph.capture_end()

    def is_current_stream_capturing(self) -> bool:
        return self.current_stream().cuda_stream in self.capturing

    def synchronize(self, device: Any = None) -> None:  # noqa: ARG002
        """The host waits, which no captured stream allows."""
        if self.capturing:
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing")
        self.synchronizations += 1
        self.is_idle = True

    def sleep(self, cycles: int) -> None:  # noqa: ARG002
        """Keep a stream busy, until the host waits for it."""
        self.is_idle = False

    def manual_seed(self, seed: int) -> None:
        self.generators[self._thread.device].manual_seed(seed)

    def manual_seed_all(self, seed: int) -> None:
        for generator in self.generators:
            generator.manual_seed(seed)

    def replace_torch_cuda(self, patch: pytest.MonkeyPatch) -> None:
        """Put this machine's answers in the place of torch's."""
        names = (
            "current_device set_device device current_stream stream Stream CUDAGraph graph"
            " is_current_stream_capturing synchronize manual_seed manual_seed_all"
        )
        for name in names.split():
            patch.setattr(torch.cuda, name, getattr(self, name))
        patch.setattr(torch.cuda, "_sleep", self.sleep)
        patch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
        patch.setattr(torch.cuda, "is_available", lambda: True)
        patch.setattr(torch.cuda, "device_count", lambda: DEVICES)
        patch.setattr(torch.cuda, "default_generators", self.generators)
        patch.setattr(torch.cuda, "get_device_capability", lambda _=None: CAPABILITY)
        patch.setattr(torch.cuda, "get_device_name", lambda _=None: NAME)
        properties = SimpleNamespace(name=NAME, major=CAPABILITY[0], minor=CAPABILITY[1])
        patch.setattr(torch.cuda, "get_device_properties", lambda _=None: properties)

        @functools.wraps(_HostGenerator, updated=())
        class Generator(metaclass=_GeneratorKind):
            def __new__(cls, device: Any = "cpu") -> Any:
                if torch.device(device).type == "cuda":
                    return CudaGenerator(self.index_of(device))
                return _HostGenerator(device)

        patch.setattr(torch, "Generator", Generator)
