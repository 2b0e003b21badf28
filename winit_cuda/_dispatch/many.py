"""Many tensors filled at once: in one pass over all of them on the CPU, in one launch on a GPU.

A `Batch` is set up once: every check of a single call is made, and the core is told of every
tensor. After that a run costs little more than the work itself, with new keys each time. Every
value is the one that the single call with this key writes.

What the core's lists do not take (other fills, dtypes and devices, tensors with operators of their
own) is filled by single calls after them.
"""

from __future__ import annotations

import operator
import re
from array import array
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any

import torch

from .._core import backend, target
from .._core.dtypes import CODES
from .._core.subnormals import SMALLEST, kept
from .._core.torch_internals import (
    cuda_stream,
    increment_version,
    is_tracing_tensor,
    local_tensor,
    writes_are_seen,
)
from .._fills.constants import FixedFill
from .._keys import generators
from .._keys.keys import Key, fold_in, named_words
from . import aten, fixed, single
from .items import CPU, NOTHING, SINGLE, Job, Listed, items_of, local_job, ordinary_items

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .planned import NamedFills


_data_ptr, _numel, _stride = torch.Tensor.data_ptr, torch.Tensor.numel, torch.Tensor.stride
_is_contiguous = torch.Tensor.is_contiguous
_dtype, _shape = attrgetter("dtype"), attrgetter("shape")

_NO_KEY = Key(0, 0)


class Batch:
    """Fills that are checked and set up once, and run as often as wanted with new keys.

    A tensor whose memory, dtype or strides have changed since, as `module.to` changes them, is
    checked and set up anew by the next run.

    Args:
        jobs: The fills, of any devices and dtypes. No two may write the same memory.

    Raises:
        TypeError: A tensor is not dense, or not of a dtype that its fill has values in.
        ValueError: A number is none that its single call takes, or two jobs write the same memory;
            seen are tensors with one address, and contiguous ones that overlap.
        RuntimeError: Elements of one tensor share memory, its storage was freed, or it is an
            inference tensor outside `torch.inference_mode()`.

    Example:
        >>> import torch, winit_cuda as winit
        >>> from winit_cuda._fills.elementwise import NORMAL, UNIFORM
        >>> from winit_cuda._dispatch.many import Batch
        >>> from winit_cuda._dispatch.items import Job
        >>> w, b = torch.empty(3, 5), torch.empty(3)
        >>> batch = Batch(
        ...     [Job(NORMAL, "normal_", w, (0.0, 0.02)), Job(UNIFORM, "uniform_", b, (-1.0, 1.0))]
        ... )
        >>> batch.run(winit.split(winit.key(0), 2))
        >>> key = winit.fold_in(winit.key(0), 0)
        >>> torch.equal(w, winit.normal_(torch.empty(3, 5), std=0.02, key=key))
        True
    """

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._given = tuple(jobs)
        self._set_up()

    def run(self, keys: Sequence[Key | None]) -> None:
        """Write all tensors, job i with key i.

        Args:
            keys: A key for each job; None for one that draws nothing, or that only ATen can do,
                from torch's generator.

        Raises:
            TypeError: A key is none.
            ValueError: There are more or fewer keys than jobs.
            RuntimeError: A key goes to a tensor that the core does not serve, or a CUDA launch
                fails. Before all errors but that of a launch nothing is written.
        """
        self._check_count(keys)
        if writes_are_seen():
            for job, key in zip(self._given, keys, strict=True):
                _fill_single(job, key)
            return
        self._renew()
        self._write(_words(self._checked(keys)), {i: keys[i] for i in self._singles})

    def run_named(self, parent: Key, names: list[str], *, may_have_moved: bool = True) -> None:
        """Write all tensors, job i with the key `fold_in(parent, names[i])`.

        Args:
            parent: The key that the others are children of.
            names: A name for each job.
            may_have_moved: Whether other code may have run since the batch was set up, which moves
                tensors; else nothing is looked at again.

        Raises:
            ValueError: There are more or fewer names than jobs, or one has a lone surrogate.
            RuntimeError: As `run` does.
        """
        self._check_count(names)
        if writes_are_seen():
            self.run([fold_in(parent, name) for name in names])
            return
        if may_have_moved:
            self._renew()
        singles = {i: fold_in(parent, names[i]) for i in self._singles}
        if [lot.device for lot in self._lots] == [CPU]:
            self._check_singles(singles)
            self._lots[0].run_named(parent, names)
            self._write_singles(singles)
        else:  # all names are read before anything is written
            self._write(named_words(parent, names) if self._lots else array("Q"), singles)

    def overlaps(self, others: NamedFills) -> bool:
        """Whether one of the others writes the memory of a job of the CPU."""
        return any(lot.device == CPU and lot.overlaps(others) for lot in self._lots)

    def _check_count(self, given: Sequence[object]) -> None:
        count = len(self._given)
        if len(given) != count:
            raise ValueError(f"fill_many: {count} jobs need as many keys, got {len(given)}")

    def _renew(self) -> None:
        """Set up anew what no longer holds."""
        if not self._is_current():
            self._set_up()

    def _write(self, words: array[int], singles: Mapping[int, Key | None]) -> None:
        """Write all tensors: by the words of all keys, and by single calls with their own."""
        self._check_singles(singles)
        for lot in self._lots:
            lot.run(words)
        self._write_singles(singles)

    def _check_singles(self, keys: Mapping[int, Key | None]) -> None:
        for i, key in keys.items():
            _check_single(self._jobs[i], key)

    def _write_singles(self, keys: Mapping[int, Key | None]) -> None:
        for i, key in keys.items():
            _fill_single(self._jobs[i], key)
        increment_version(self._dtensors)

    def _is_current(self) -> bool:
        """Whether what was set up still holds."""
        return (
            backend.core is self._core
            and all(map(operator.is_, map(local_tensor, self._dtensors), self._locals))
            and all(lot.is_current() for lot in self._lots)
        )

    def _set_up(self) -> None:
        if not SMALLEST:
            with kept():
                self._set_up()
            return
        jobs = list(self._given)
        dtensors: list[torch.Tensor] = []
        singles: list[int] = []
        listed, others = ordinary_items(jobs)
        counts = {device: len(own.items) for device, own in listed.items()}
        for i in others:
            jobs[i] = local_job(self._given[i])
            if jobs[i] is not self._given[i] and not jobs[i].tensor.is_meta:
                dtensors.append(self._given[i].tensor)
            found = items_of(jobs[i])
            if found is SINGLE:
                singles.append(i)
            elif found is not NOTHING:
                device, items = found
                own = listed.setdefault(device, Listed([], []))
                own.items.extend(items)
                own.indices.extend([i] * len(items))
        self._lots = [
            _Lot(device, own, counts.get(device, 0), jobs) for device, own in listed.items()
        ]
        self._jobs, self._singles, self._core = jobs, singles, backend.core
        self._dtensors = tuple(dtensors)
        self._locals = tuple(map(local_tensor, dtensors))

    def _checked(self, keys: Sequence[Key | None]) -> Sequence[Key]:
        """The keys, with one in the place of each None."""
        if set(map(type, keys)) == {Key}:
            return keys  # type: ignore[return-value]
        singles = set(self._singles)
        for i, (job, key) in enumerate(zip(self._jobs, keys, strict=True)):
            if key is not None or (job.fill.is_random and i not in singles):
                generators.check_key(job.function, None, key)
        return [_NO_KEY if key is None else key for key in keys]


def fill_many(jobs: Iterable[Job], keys: Sequence[Key | None]) -> None:
    """Fill the tensors of all jobs, job i with key i: a `Batch` that runs once.

    Args:
        jobs: The fills.
        keys: A key for each.

    Raises:
        TypeError: As `Batch` and its `run` do.
        ValueError: As `Batch` and its `run` do.
        RuntimeError: As `Batch` and its `run` do.

    Example:
        >>> import torch, winit_cuda as winit
        >>> from winit_cuda._fills.elementwise import NORMAL
        >>> from winit_cuda._dispatch.items import Job
        >>> from winit_cuda._dispatch.many import fill_many
        >>> weights = [torch.empty(2, 2), torch.empty(3)]
        >>> jobs = [Job(NORMAL, "normal_", weight, (0.0, 1.0)) for weight in weights]
        >>> fill_many(jobs, winit.split(winit.key(0), 2))
    """
    Batch(jobs).run(keys)


class _Lot:
    """The jobs that are done together: those of one device."""

    def __init__(self, device: int, listed: Listed, count: int, jobs: Sequence[Job]) -> None:
        """The first `count` items are those of ordinary tensors, each of one."""
        items, indices = listed
        self.device, self._items = device, items[:count]
        # Of which job each item is; None where item i is of job i.
        self._indices = None if count == len(items) == len(jobs) else indices
        self._ordinary = [jobs[i].tensor for i in indices[:count]]
        odd = [jobs[i] for i in dict.fromkeys(indices[count:])]  # a job may have several items
        self._odd = [job.tensor for job in odd]
        self._strided = [tensor for tensor in self._odd if not tensor.is_contiguous()]
        self._inference = [job for job in odd if job.tensor.is_inference()]
        self._tensors = (*self._ordinary, *self._odd)
        self._written = self._find_odd()
        try:
            self._list = backend.loaded.FillList(device, items)
        except ValueError as error:  # it counts its items where the caller counts jobs
            numbers = sorted(indices[int(number)] for number in re.findall(r"\d+", str(error)))
            text = re.sub(r"\d+", "{}", str(error)).format(*numbers)
            raise ValueError(f"fill_many: {text.replace('of the list', 'of the jobs')}") from None

    def is_current(self) -> bool:
        """Whether the core's list still says what memory the tensors have.

        The address alone would not do: memory that a tensor has given up may come back to it when
        it is shorter, and the old description reaches beyond its end.
        """
        for job in self._inference:
            target.check(job.function, job.tensor)
        tensors, items = self._ordinary, self._items
        return (
            list(map(_data_ptr, tensors)) == list(map(itemgetter(1), items))
            and list(map(CODES.get, map(_dtype, tensors))) == list(map(itemgetter(2), items))
            and list(map(_numel, tensors)) == list(map(itemgetter(3), items))
            and all(map(_is_contiguous, tensors))
            and self._find_odd() == self._written
        )

    def _find_odd(self) -> list[list[Any]]:
        """Where the elements of tensors that are not ordinary lie, and what they are."""
        tensors, strided = self._odd, self._strided
        found = [list(map(read, tensors)) for read in (_data_ptr, _dtype, _numel, _is_contiguous)]
        return [*found, *(list(map(read, strided)) for read in (_shape, _stride))]

    def run(self, words: array[int]) -> None:
        """Write the tensors; `words` are those of the keys of all jobs."""
        if self._indices is not None:
            words = _chosen(words, self._indices)
        address, _ = words.buffer_info()
        if self.device == CPU:
            self._list.run(address, False, 0, torch.get_num_threads(), 0)
        elif backend.loaded.cuda_current_device() == self.device:
            self._launch(address)
        else:
            with target.on_device(self.device):
                self._launch(address)
        increment_version(self._tensors)

    def run_named(self, parent: Key, names: list[str]) -> None:
        """Write the tensors of the CPU; the names of the keys of all jobs are hashed by the core.

        That is where each tensor is filled, on as many threads.
        """
        if self._indices is not None:
            names = [names[i] for i in self._indices]
        self._list.run_named(names, parent.seed, parent.stream, torch.get_num_threads())
        increment_version(self._tensors)

    def overlaps(self, others: NamedFills) -> bool:
        """As that of a batch."""
        found: bool = self._list.overlaps(others.fills)
        return found

    def _launch(self, keys: int) -> None:
        """One launch: what exceeds a kernel's parameters goes ahead of it in one copy.

        A captured graph would copy again from pinned memory that has long had another use, so
        there all goes by parameters, in several launches.
        """
        size, memory = self._list.memory_bytes, 0
        if size and not generators.is_capturing(self.device):
            pinned = torch.empty(size, dtype=torch.uint8, device="cpu", pin_memory=True)
            self._list.write(pinned.data_ptr(), keys)
            there = torch.empty(size, dtype=torch.uint8, device=f"cuda:{self.device}")
            there.copy_(pinned, non_blocking=True)
            memory = there.data_ptr()
        self._list.run(keys, False, cuda_stream(self.device), 1, memory)


def _words(keys: Sequence[Key]) -> array[int]:
    """Seed and stream of each key in turn, as the core reads them."""
    words = [0] * (2 * len(keys))
    words[::2] = [key.seed for key in keys]
    words[1::2] = [key.stream for key in keys]
    return array("Q", words)


def _chosen(words: array[int], indices: list[int]) -> array[int]:
    """The words of some of the keys."""
    chosen = array("Q", bytes(16 * len(indices)))
    for half in (0, 1):
        own = words[half::2]
        chosen[half::2] = array("Q", [own[i] for i in indices])
    return chosen


def _fill_single(job: Job, key: Key | None) -> None:
    if isinstance(job.fill, FixedFill):
        fixed.fill(job.fill, job.function, job.tensor, job.numbers)
    else:
        single.fill(job.fill, job.function, job.tensor, job.numbers, key=key)


def _check_single(job: Job, key: Key | None) -> None:
    """Raise where the single call would, for its key: the other checks are made."""
    fill, function, tensor, _ = job
    if key is not None:
        generators.check_key(function, None, key)
    if fill.is_random and not is_tracing_tensor(tensor):
        reason = target.problem(tensor)
        if reason is not None:
            aten.refuse_native_only(function, key, reason, fill.shard)
