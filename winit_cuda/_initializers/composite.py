"""Initializers whose rows or blocks have laws of their own: padding, gates, fused weights."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor

from .._core import checks, target
from .._core.checks import WrongValueError, unfit, wrong
from .._core.torch_internals import is_dtensor, local_tensor
from .._dispatch.items import Job
from .._dispatch.many import Batch
from .._dispatch.single import is_seen_by_torch, negate
from .._distributed.shard import Shard, Shards
from .._keys import generators
from .._keys.keys import Key, fold_in
from .._schemes.shapes import whole_shape
from .base import Initializer, Law
from .boxes import box_fills, narrowed

# One of the blocks, or from which on to before which.
Where = int | tuple[int, int]


class Block(NamedTuple):
    """A block of a tensor of some shape, and its law."""

    offsets: tuple[int, ...]
    sizes: tuple[int, ...]
    initializer: Initializer
    draw: int
    """Its number among the draws of the tensor, from 0 on; -1 of what draws nothing."""


@dataclass(frozen=True, repr=False)
class Composite(Initializer):
    """An initializer of which some rows or blocks of rows have a law of their own.

    Dimension `dim` is cut into `chunks` equal blocks, or into its single rows. Block i of a tensor
    w is w[i n / chunks : (i + 1) n / chunks], n = w.shape[0]; its law is that of a tensor of its
    own size. What `pieces` does not name has the law of `base`, which is that of the whole.

    Of the draws of a tensor, the first has the tensor's key k, and draw j, in the order of `base`
    and `pieces`, has fold_in(k, j). In a plan the keys are those of `name`, `name#1` and so on, as
    where a plan is read from a constructor. Where torch traces a call without a key, each draw is
    one of its generator; `torch.compile` breaks its graph at the call.

    Args:
        base: The law of the whole.
        pieces: A mapping from blocks to initializers, or such pairs. A block is an index, negative
            from the end, or (start, stop) for several that are one piece.
        chunks: How many blocks there are: 4 for an LSTM's gates. None for single rows.
        dim: The dimension that is cut.

    Raises:
        TypeError: What should be an initializer is none, or a Composite; an index, `chunks` or
            `dim` is not an integer.
        ValueError: A range is empty or begins below 0, or chunks < 1.

    Example:
        An embedding with a padding row, and a bias whose forget gate, the second of four, is 1:

        >>> import torch, winit_cuda as winit
        >>> padded = winit.Composite(winit.Normal(), {0: winit.Zeros()})
        >>> w = padded(torch.empty(10, 4), key=winit.key(0))
        >>> w[0]
        tensor([0., 0., 0., 0.])
        >>> torch.equal(w[1:], winit.normal_(torch.empty(10, 4), key=winit.key(0))[1:])
        True
        >>> winit.Composite(winit.Zeros(), {1: winit.Ones()}, chunks=4)(torch.empty(8))
        tensor([0., 0., 1., 1., 0., 0., 0., 0.])
    """

    base: Initializer
    pieces: Mapping[Any, Initializer] | Sequence[tuple[Where, Initializer]]
    chunks: int | None = None
    dim: int = 0

    def __post_init__(self) -> None:
        function = "Composite"
        given: Any = self.pieces
        pairs = tuple(given.items()) if isinstance(given, Mapping) else given
        are_pairs = isinstance(pairs, (tuple, list)) and all(
            isinstance(pair, (tuple, list)) and len(pair) == 2 for pair in pairs
        )
        if not are_pairs:
            requirement = "a mapping from blocks to initializers"
            raise wrong(function, "pieces", requirement, given, TypeError)
        pieces = tuple((_checked(where), one) for where, one in pairs)
        for name, one in (("base", self.base), *((f"piece {where}", one) for where, one in pieces)):
            if not isinstance(one, Initializer) or type(one) in (Initializer, Composite):
                requirement = "an initializer with one law, such as Normal"
                raise wrong(function, name, requirement, one, TypeError)
        chunks = self.chunks
        self._set(
            pieces=pieces,
            chunks=chunks if chunks is None else checks.count(function, "chunks", chunks),
            dim=checks.integer(function, "dim", self.dim),
        )

    def law(self, shape: Sequence[int]) -> Law:
        """There is none for a whole tensor."""
        raise wrong(
            "Composite", "its use", "where a tensor may have several laws", shape, TypeError
        )

    def blocks(self, shape: Sequence[int]) -> list[Block]:
        """Return the whole, as the first, and the blocks in a tensor of this shape.

        Raises:
            ValueError: The shape has no such dimension or block, its size is no multiple of
                `chunks`, two blocks overlap, or an initializer does not take its block.
        """
        zeros = (0,) * len(shape)
        draws = 0
        found = []
        boxes = [(zeros, tuple(shape), self.base), *self._boxes(shape)]
        for offsets, sizes, initializer in boxes:
            is_random = initializer.law(sizes).fill.is_random
            found.append(Block(offsets, sizes, initializer, draws if is_random else -1))
            draws += is_random
        return found

    def _boxes(
        self, shape: Sequence[int]
    ) -> list[tuple[tuple[int, ...], tuple[int, ...], Initializer]]:
        """Offsets, sizes and law of each piece."""
        function, received = "Composite", f"shape {tuple(shape)}"
        if not -len(shape) <= self.dim < len(shape):
            requirement = f"of a dimension {self.dim}, as dim is"
            raise unfit(function, "tensor", requirement, received, WrongValueError)
        dim = self.dim % len(shape)
        count = shape[dim] if self.chunks is None else self.chunks
        if count and shape[dim] % count:
            requirement = f"of a multiple of chunks = {count} in dimension {dim}"
            raise unfit(function, "tensor", requirement, received, WrongValueError)
        size = shape[dim] // count if count else 0
        boxes = []
        ends: list[tuple[int, int]] = []
        pieces: Any = self.pieces
        for where, initializer in pieces:
            start, stop = where if isinstance(where, tuple) else (where, where + 1)
            if start < 0:
                start, stop = start + count, stop + count
            if not 0 <= start < stop <= count:
                requirement = f"of a block {where} in dimension {dim}, as pieces has it"
                raise unfit(function, "tensor", requirement, received, WrongValueError)
            if any(start < b and a < stop for a, b in ends):
                raise wrong(function, "pieces", "of different blocks", [one for one, _ in pieces])
            ends.append((start, stop))
            offsets, sizes = [0] * len(shape), list(shape)
            offsets[dim], sizes[dim] = start * size, (stop - start) * size
            boxes.append((tuple(offsets), tuple(sizes), initializer))
        return boxes

    def _fill(
        self,
        tensor: Tensor,
        generator: Generator | None,
        key: Key | None,
        shard: Shard | Shards | None,
    ) -> Tensor:
        function = type(self).__name__
        whole, *rest = self.blocks(whole_shape(function, tensor, shard))
        target.check(function, tensor)
        generators.check(function, tensor, generator, key)
        law = whole.initializer.law(whole.sizes)
        own = law.fill if shard is None else law.fill.part(shard)
        first = Batch([Job(own, function, tensor, law.numbers)])
        fills = [
            (fill, block)
            for block in rest
            for fill in box_fills(block.offsets, block.sizes, block.initializer, tensor, shard)
        ]
        later = Batch([fill.job for fill, _ in fills])
        if tensor.is_meta:
            return tensor
        if key is None and shard is None and _is_traced(tensor):
            for block in (whole, *rest):
                part = narrowed(tensor, block.offsets, block.sizes)
                block.initializer(part, generator=generator)
            return tensor
        with contextlib.ExitStack() as stack:
            if max(block.draw for block in (whole, *rest)) >= 0:
                key = stack.enter_context(_key(function, tensor, generator, key, shard))
            first.run([_child(key, whole)])
            if law.is_negative:
                negate(tensor)
            later.run([_child(key, block) for _, block in fills])
        for fill, _ in fills:
            if fill.is_negative:
                negate(fill.job.tensor)
        return tensor


def _is_traced(tensor: Tensor) -> bool:
    """Whether draws are to be torch's own operators; `torch.compile` does not come that far."""
    return not torch.compiler.is_dynamo_compiling() and is_seen_by_torch(tensor)


def _checked(where: Any) -> Where:
    """An index or a range of blocks."""
    function, name = "Composite", "a block of pieces"
    ends = where if isinstance(where, (tuple, list)) else (where,)
    if len(ends) not in (1, 2) or any(map(checks.is_bool, ends)):
        raise wrong(function, name, "an integer or (start, stop)", where, TypeError)
    numbers = tuple(checks.integer(function, name, end) for end in ends)
    if len(numbers) == 2:
        start, stop = numbers
        if not 0 <= start < stop:
            raise wrong(function, name, "a range (start, stop) with 0 <= start < stop", where)
        return start, stop
    return numbers[0]


@contextlib.contextmanager
def _key(
    function: str,
    tensor: Tensor,
    generator: Generator | None,
    key: Key | None,
    shard: Shard | Shards | None,
) -> Iterator[Key]:
    """The key of a tensor, drawn where none is given, which is undone where the work fails.

    Raises:
        RuntimeError: The core does not serve the tensor.
    """
    local = local_tensor(tensor) if is_dtensor(tensor) else tensor
    reason = target.problem(local)
    if reason is not None:
        raise RuntimeError(f"{function}: its draws need keys, and so the native core, but {reason}")
    if key is not None:
        yield key
        return
    device = local.get_device() if local.is_cuda else -1
    is_shard = shard is not None or local is not tensor
    words = generators.words(function, device, generator, None, is_shard=is_shard)
    with generators.put_back_on_failure(words) as undone:
        yield generators.key_of(undone)


def _child(key: Key | None, block: Block) -> Key | None:
    """The key of a block's draw."""
    if key is None or block.draw < 0:
        return None
    return fold_in(key, block.draw) if block.draw else key
