"""From a checked call to a written tensor: by the core, by ATen, or through an operator of torch.

`fill` is the fast path, an ordinary tensor that the core writes at once: a dozen attribute reads
and one call, so that a small tensor costs no more than in `torch.nn.init`. Everything else goes
`_elsewhere`, where each kind of tensor has its line.

Nothing is written and no generator is drawn from before the last check has passed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from .._core import backend, target
from .._core.checks import unfit
from .._core.dtypes import CODES, COMPONENTS, FLOATING
from .._core.torch_internals import (
    cuda_stream,
    dispatch_modes,
    dispatches_itself,
    increment_version,
    is_tracing_tensor,
    transforms_active,
)
from .._fills.constants import as_element
from .._fills.elementwise import CONSTANT
from .._keys import generators
from .._keys.generators import buffer
from . import aten

if TYPE_CHECKING:
    from .._fills.elementwise import Fill, Numbers

_Tensor, _Parameter = torch.Tensor, torch.nn.Parameter
_threads = torch.get_num_threads
_is_compiling = torch.compiler.is_dynamo_compiling

# What a fill that is not random gets for a key.
_NO_WORDS = (0, 0, 0)
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
    kind = type(tensor)
    core = None if _is_compiling() else backend.core
    if core is None or (kind is not _Tensor and kind is not _Parameter) or dispatch_modes():
        return _elsewhere(what, function, tensor, numbers, generator, key)
    code = CODES.get(tensor.dtype, -1)
    try:
        pointer = (
            code >= 0
            and tensor.is_contiguous()
            and not tensor.is_nested
            and tensor._version >= 0  # noqa: SLF001  (an inference tensor has none, and says so)
            and tensor.data_ptr()
        )
    except RuntimeError:  # nor have sparse layouts, or tensors under torch.func, an address
        pointer = 0
    numel = tensor.numel()
    # Of real tensors with the lazy sign, x.conj().imag, only those of one element are contiguous.
    if not pointer or (numel == 1 and tensor.is_neg()):
        return _elsewhere(what, function, tensor, numbers, generator, key)
    device, stream, threads = -1, 0, 1
    if tensor.is_cpu:
        if numel > _ONE_THREAD:
            threads = _threads()
    else:
        device = tensor.get_device()
        if not tensor.is_cuda or backend.cuda_problem(device) is not None:
            return _elsewhere(what, function, tensor, numbers, generator, key)
        stream = cuda_stream(device)
    if what.is_random:
        for number in numbers:
            if type(number) is not float:
                numbers = what.as_floats(function, numbers)
                break
    is_direct = what.check(function, code, numbers)
    words = _NO_WORDS
    if what.is_random:
        if key is None and generator is None and device < 0:
            draw, words = buffer.draw_and_words
            draw()
        else:
            words = generators.words(function, device, generator, key)
    if is_direct and device < 0:
        address, seed, word = words
        first, second = numbers
        what.quick(pointer, code, numel, threads, address, seed, word, first, second)
    else:
        place = (pointer, code, numel, None, device, stream, threads)
        what.write(place, words, numbers, tensor)
    increment_version((tensor,))
    return tensor


def _elsewhere(
    what: Fill,
    function: str,
    tensor: torch.Tensor,
    numbers: Numbers,
    generator: Any,
    key: Any,
) -> torch.Tensor:
    if not _is_compiling():
        target.check(function, tensor)
    if what is CONSTANT:
        return _constant_elsewhere(function, tensor, numbers[0])
    traced = is_seen_by_torch(tensor)
    if what.is_random:
        if not traced:  # a traced number may be a symbol
            numbers = what.as_floats(function, numbers)
        what.check(function, random_code(function, tensor.dtype), numbers)
        generators.check(function, tensor, generator, key)
    if traced:
        _through_operator(what, function, tensor, numbers, generator, key)
        return tensor
    if tensor.is_meta or tensor.numel() == 0:
        return tensor
    target.check_overlap(function, tensor)
    target.check_memory(function, tensor)
    reason = backend.problem(tensor)
    if reason is None and tensor.dtype not in CODES:
        reason = f"the native core does not fill {tensor.dtype}"
    if reason is not None:
        aten.run(what, function, tensor, numbers, generator, key, reason)
    elif dispatches_itself(tensor) or not target.can_describe(tensor):
        values = torch.empty(tensor.shape, dtype=tensor.dtype, device=tensor.device)
        fill(what, function, values, numbers, generator, key)
        _copy(values, tensor)
    else:
        place = target.describe(tensor)
        words = _NO_WORDS
        if what.is_random:
            words = generators.words(function, place[4], generator, key)
        what.write(place, words, numbers, tensor)
        increment_version((tensor,))
    return tensor


def _constant_elsewhere(function: str, tensor: torch.Tensor, value: Any) -> torch.Tensor:
    element: Any = as_element(function, tensor.dtype, value)
    if is_seen_by_torch(tensor):
        return _fill_by_torch(tensor, element)
    if tensor.is_meta or tensor.numel() == 0:
        return tensor
    target.check_overlap(function, tensor)
    target.check_memory(function, tensor)
    reason = backend.problem(tensor)
    if reason is None and tensor.dtype not in CODES and not isinstance(element, int):
        reason = f"the native core does not fill {tensor.dtype}"
    if reason is not None:
        aten.refuse_native_only(function, None, reason)
        return _fill_by_torch(tensor, element)
    if dispatches_itself(tensor) or not target.can_describe(tensor):
        return _fill_by_torch(tensor, element)
    place = target.describe(tensor)
    if tensor.dtype in CODES:
        CONSTANT.write(place, _NO_WORDS, (element,), tensor)
    else:
        itemsize = tensor.dtype.itemsize
        backend.loaded.constant_bits(*place, element & (1 << 8 * itemsize) - 1, itemsize)
    increment_version((tensor,))
    return tensor


def random_code(function: str, dtype: torch.dtype) -> int:
    """The code of the dtype that random numbers are rounded to."""
    code = CODES.get(COMPONENTS.get(dtype, dtype))
    if code is None:
        names = ", ".join(described.name for described in FLOATING)
        requirement = f"one of {names} or complex for random values"
        raise unfit(function, "the dtype of tensor", requirement, str(dtype))
    return code


def is_seen_by_torch(tensor: torch.Tensor) -> bool:
    """Whether torch has to see the write: compilation, tracing, fake tensors, `torch.func`."""
    return (
        _is_compiling() or dispatch_modes() > 0 or transforms_active() or is_tracing_tensor(tensor)
    )


def _through_operator(
    what: Fill,
    function: str,
    tensor: torch.Tensor,
    numbers: Numbers,
    generator: Any,
    key: Any,
) -> None:
    """Call the operator of `operators`, which comes back to `fill` when the program runs."""
    seed, stream = (None, None) if key is None else (key.signed_seed, key.signed_stream)
    padded = (*numbers, 0.0, 0.0, 0.0)[:4]
    transformed = not _is_compiling() and transforms_active()
    if transformed and not hasattr(torch.library, "register_vmap"):
        raise RuntimeError(
            f"{function}: inside torch.func transforms this needs torch 2.5 or later"
        )
    with torch.no_grad():
        if what.is_random and key is None and transformed:
            # Whether vmap allows a random call here is for torch to say: ask it with one that
            # draws nothing.
            tensor.new_empty(0, dtype=torch.float32).uniform_()
        torch.ops.winit_cuda.fill_.default(
            tensor, function, what.name, *padded, what.structure, seed, stream, generator
        )


def _fill_by_torch(tensor: torch.Tensor, value: complex) -> torch.Tensor:
    with torch.no_grad():
        return tensor.fill_(value)


def _copy(values: torch.Tensor, tensor: torch.Tensor) -> None:
    with torch.no_grad():
        tensor.copy_(values)


def negate(tensor: torch.Tensor) -> torch.Tensor:
    """Flip the sign of every element and return `tensor`."""
    with torch.no_grad():
        if tensor.dtype.itemsize == 1:  # torch has no arithmetic in float8
            tensor.view(torch.uint8).bitwise_xor_(0x80)
        else:
            tensor.neg_()
    return tensor
