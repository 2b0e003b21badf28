"""From a checked call to a tensor of random values: by the core, ATen, or an operator of torch.

`fill` is the fast path: an ordinary tensor and plain numbers are one call of the core, for which
Python has no more to ask than what torch is doing at the time. What that call leaves alone has its
checks here, and other tensors go `_elsewhere`, where each kind has its line. Nothing is written and
no generator is drawn from before the last check has passed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import torch
from torch.profiler import record_function

from .._core import backend, target
from .._core.checks import is_from_below, reraise
from .._core.dtypes import CODES
from .._core.subnormals import SMALLEST, kept
from .._core.target import address, place_of
from .._core.torch_internals import (
    cuda_stream,
    dispatch_modes,
    dispatches_itself,
    forward_ad,
    increment_version,
    is_dtensor,
    is_functional_tensor,
    is_jit_tracing,
    is_tracing_tensor,
    local_tensor,
    profiler,
    transforms_active,
    writes_are_seen,
)
from .._distributed.dtensor import written
from .._fills.fill import random_code
from .._keys import generators
from .._keys.generators import buffer
from . import aten

if TYPE_CHECKING:
    from .._core.target import Place
    from .._fills.fill import Fill, Numbers
    from .._keys.generators import Words

_threads = torch.get_num_threads
_is_compiling = torch.compiler.is_dynamo_compiling

# Fewer elements than this are written before a second thread has woken up.
_ONE_THREAD = 4096


def fill(
    what: Fill,
    function: str,
    tensor: torch.Tensor,
    numbers: Numbers,
    generator: Any = None,
    key: Any = None,
) -> torch.Tensor:
    """Fill `tensor` and return it; errors name `function`, the public one."""
    if not SMALLEST and not _is_compiling():
        with kept():
            return fill(what, function, tensor, numbers, generator, key)
    core = None if _is_compiling() else backend.core
    if core is None or dispatch_modes() or forward_ad._current_level >= 0:  # noqa: SLF001
        return _elsewhere(what, function, tensor, numbers, generator, key)
    if profiler._is_profiler_enabled:  # noqa: SLF001
        with record_function(f"winit_cuda::{function}"):
            return _elsewhere(what, function, tensor, numbers, generator, key)
    words: Words | None = buffer.from_default
    if key is not None or generator is not None:
        words = generators.ready(generator, key)
    ordinary = None
    if not is_jit_tracing():
        quick = what.quick
        if quick is None or words is None:
            ordinary = place_of(tensor)
        else:
            try:
                ordinary = quick(tensor, words, numbers)
            except BaseException as error:
                _failed(function, tensor, words, error)
            if ordinary is True:
                return tensor
    return _with_checks(what, function, tensor, ordinary, words, numbers, generator, key)


def _with_checks(
    what: Fill,
    function: str,
    tensor: torch.Tensor,
    ordinary: tuple[int, int, int] | None,
    words: Words | None,
    numbers: Numbers,
    generator: Any,
    key: Any,
) -> torch.Tensor:
    """Fill a tensor that torch is not looking at.

    `ordinary` is its place by `place_of`, and `words` are those for the CPU if they were ready.
    """
    place: Place | None = None
    device = -1
    if ordinary is None:
        place = _described(tensor)
        if place is None:
            return _elsewhere(what, function, tensor, numbers, generator, key)
        _, code, _, _, device, _, _ = place
    else:
        pointer, numel, code = ordinary
        threads = 1 if numel <= _ONE_THREAD else _threads()
    for number in numbers:
        if type(number) is not float:
            numbers = what.as_floats(function, numbers)
            break
    what.check(function, code, numbers)
    if device >= 0:
        words = None
    try:
        if words is None:
            words = generators.words(
                function, device, generator, key, is_shard=what.shard is not None
            )
        if place is not None:
            _write_natively(what, place, words, numbers, tensor)
        else:
            what.write((pointer, code, numel, None, -1, 0, threads), words, numbers, tensor)
        increment_version((tensor,))
    except BaseException as error:
        _failed(function, tensor, words, error)
    return tensor


def _elsewhere(
    what: Fill,
    function: str,
    tensor: torch.Tensor,
    numbers: Numbers,
    generator: Any,
    key: Any,
) -> torch.Tensor:
    target.check(function, tensor)
    if not _is_compiling() and is_dtensor(tensor):
        return _fill_part(what, function, tensor, numbers, generator, key)
    traced = is_seen_by_torch(tensor)
    if traced:
        if not _is_compiling():
            numbers = what.as_floats(function, numbers)
        what.check(function, random_code(function, tensor.dtype), numbers)
    else:
        numbers = what.prepared(function, tensor.dtype, numbers)
    generators.check(function, tensor, generator, key)
    if traced:
        _through_operator(what, function, tensor, numbers, generator, key)
        return tensor
    return write(what, function, tensor, numbers, generator, key)


def _described(tensor: torch.Tensor) -> Place | None:
    """Where a tensor of the core's lies, in any layout; None where that takes a closer look."""
    pointer = address(tensor)
    code = CODES.get(tensor.dtype, -1) if pointer else -1
    if code < 0 or tensor.is_neg():
        return None
    numel = tensor.numel()
    if type(numel) is not int:  # torch.jit.trace has symbols for sizes
        return None
    box = None
    if not tensor.is_contiguous():
        box = target.box_of(tensor)
        if box is None:
            return None
    if tensor.is_cpu:
        return pointer, code, numel, box, -1, 0, 1 if numel <= _ONE_THREAD else _threads()
    device = tensor.get_device()
    if not tensor.is_cuda or backend.cuda_problem(device) is not None:
        return None
    return pointer, code, numel, box, device, cuda_stream(device), 1


def _fill_part(
    what: Fill,
    function: str,
    dtensor: torch.Tensor,
    numbers: Numbers,
    generator: Any,
    key: Any,
) -> torch.Tensor:
    """Fill what this rank has of a DTensor, by the same call for a part of the whole."""
    with written(function, dtensor) as (local, shard):
        fill(what.part(shard), function, local, numbers, generator, key)
    return dtensor


def write(
    what: Fill,
    function: str,
    tensor: torch.Tensor,
    numbers: Numbers,
    generator: Any,
    key: Any,
) -> torch.Tensor:
    """Fill any tensor that has passed the checks of `target`; nothing of torch's looks on."""
    if tensor.is_meta or tensor.numel() == 0:
        if what.is_empty_part and not tensor.is_meta:
            _draw_as_others(what, function, tensor, generator, key)
        return tensor
    target.check_overlap(function, tensor)
    target.check_memory(function, tensor)
    reason, words = target.problem(tensor), None
    try:
        if reason is not None and not tensor.is_neg():
            aten.run(what, function, tensor, numbers, generator, key, reason)
        elif dispatches_itself(tensor) or not target.can_describe(tensor):
            # Of one dimension at first, which can be described whatever the shape is.
            values = torch.empty(tensor.numel(), dtype=tensor.dtype, device=tensor.device)
            write(what, function, values.view(tensor.shape), numbers, generator, key)
            _copy(values.view(tensor.shape), tensor)
        else:
            place = target.describe(tensor)
            words = generators.words(
                function, place[4], generator, key, is_shard=what.shard is not None
            )
            _write_natively(what, place, words, numbers, tensor)
            increment_version((tensor,))
    except BaseException as error:
        _failed(function, tensor, words, error)
    return tensor


def _draw_as_others(
    what: Fill, function: str, tensor: torch.Tensor, generator: Any, key: Any
) -> None:
    """Draw, or raise, as where the part of the tensor has elements; there is nothing to write."""
    reason = target.problem(tensor)
    if reason is not None:
        aten.refuse_native_only(function, key, reason, what.shard)
    device = tensor.get_device() if tensor.is_cuda else -1
    generators.drawn(generators.words(function, device, generator, key, is_shard=True))


def _write_natively(
    what: Fill, place: Place, words: Words, numbers: Numbers, tensor: torch.Tensor
) -> None:
    """Fill by the core, on the current device."""
    device = place[4]
    if device < 0 or backend.loaded.cuda_current_device() == device:
        what.write(place, words, numbers, tensor)
    else:
        with target.on_device(device):
            what.write(place, words, numbers, tensor)


def _failed(
    function: str, tensor: torch.Tensor, words: Words | None, error: BaseException
) -> NoReturn:
    """Raise an error of a write, in its handler."""
    if is_from_below(function, error):
        generators.put_back(words)
    else:  # a signal handler's, in the middle of the work
        increment_version((tensor,))
    reraise(function, error)


def is_seen_by_torch(tensor: torch.Tensor) -> bool:
    """Whether torch has to see the write: compilation, tracing, fake tensors, `torch.func`."""
    return writes_are_seen() or is_tracing_tensor(tensor)


def _through_operator(
    what: Fill,
    function: str,
    tensor: torch.Tensor,
    numbers: Numbers,
    generator: Any,
    key: Any,
) -> None:
    """Call the operator of `operators`, which comes back to `write` when the program runs."""
    seed, stream = (None, None) if key is None else (key.signed_seed, key.signed_stream)
    padded = (*numbers, 0.0, 0.0, 0.0, 0.0)[:4]
    transformed = not _is_compiling() and transforms_active()
    if transformed and not hasattr(torch.library, "register_vmap"):
        raise RuntimeError(
            f"{function}: inside torch.func transforms this needs torch 2.5 or later"
        )
    words = None
    if transformed:
        target.check_examples(function, tensor)
        # The examples of a batch are only known to the operator, which draws for them. Whether
        # vmap allows that is for torch to say: ask it with a call that draws nothing.
        if key is None:
            tensor.new_empty(0, dtype=torch.float32).uniform_()
    elif key is None and generator is None and _draws(what, function, tensor):
        # The words that `Tensor.random_` gives, too.
        words = torch.ops.aten.random.default(torch.empty(2, dtype=torch.int64, device="cpu"))
    arguments = (function, what.name, *padded, what.structure, seed, stream, words, generator)
    if _is_compiling() and not tensor.requires_grad:
        call_operator(tensor, *arguments)  # torch.export could not save a block that has no results
    else:
        with torch.no_grad():
            call_operator(tensor, *arguments)


def call_operator(tensor: torch.Tensor, *arguments: Any) -> None:
    """Fill a tensor by the operator that can: `torch.func.functionalize` takes none in place."""
    if not _is_compiling() and is_functional_tensor(tensor):
        tensor.copy_(torch.ops.winit_cuda.filled.default(tensor, *arguments))
    else:
        torch.ops.winit_cuda.fill_.default(tensor, *arguments)


def _draws(what: Fill, function: str, tensor: torch.Tensor) -> bool:
    """Whether a key is drawn for a tensor that torch looks at; raise where none may be."""
    if backend.core is None or tensor.dtype not in CODES:
        return False  # torch's own functions draw
    if _is_compiling() or is_jit_tracing():
        return True
    if is_tracing_tensor(tensor):
        return dispatch_modes() > 0  # else nothing would keep the draw from happening
    if tensor.is_meta:
        return False
    if tensor.numel() == 0:
        return what.is_empty_part
    if not dispatches_itself(tensor):
        target.check_overlap(function, tensor)
        target.check_memory(function, tensor)
    return True


def _copy(values: torch.Tensor, tensor: torch.Tensor) -> None:
    with torch.no_grad():
        tensor.copy_(values)


def negate(tensor: torch.Tensor) -> torch.Tensor:
    """Flip the sign of every element and return `tensor`, which has just been filled."""
    memory = local_tensor(tensor) if not _is_compiling() and is_dtensor(tensor) else tensor
    with torch.no_grad():
        if tensor.dtype.itemsize == 1:  # torch has no arithmetic in float8
            memory.view(torch.uint8).bitwise_xor_(0x80)
        else:
            memory.neg_()
    return tensor
