"""The orthogonal matrix of a key as matrix products of torch: whole, in parts, and in batches.

Stewart's construction needs no factorization. With independent Gaussian vectors x_i of length
m - i, reflector i is H_i = I - v_i v_i^T, v_i along x_i + sign(x_i[0]) |x_i| e_1 and |v_i|^2 = 2,
and Q = H_0 H_1 ... H_{n-1} [I; 0] diag(sigma) with sigma_i = -sign(x_i[0]) has the Haar law. The
core writes V = [v_0 ... v_{n-1}] and sigma. A product of neighboring reflectors P is
I - P M^{-1} P^T with M the unit upper triangle of P^T P (Puglisi's and Joffrain's UT form).

Which products are taken depends on the part of the matrix that is wanted:

- Up to 1024 reflectors are one such product, whose part is written at once: few launches. Not so
  for a small part, or where V is large beside what a call may use.
- More are taken panel by panel. Each column of Q is H_0 ... H_{c} e_c sigma_c by itself, panels
  applied from the last to the first, and each row is e_r^T H_0 ... H_{n-1} diag(sigma), panels from
  the first to the last. Whichever of rows or columns are fewer are the rows of the matrix X that
  the panels are applied to, from the right: the long sums then run along contiguous memory.

A wide matrix is the transpose of the tall one. Boxes of one matrix are made together, as columns
or rows of it (lines.py): the reflectors are made once for all of them.

Papers:
    G. W. Stewart, "The efficient generation of random orthogonal matrices with an application to
    condition estimators", SIAM J. Numer. Anal. 17(3), 1980.
    T. Joffrain, T. M. Low, E. S. Quintana-Orti, R. van de Geijn, F. G. Van Zee, "Accumulating
    Householder transformations, revisited", ACM Trans. Math. Softw. 32(2), 2006.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from .._core.dtypes import CODES
from .._keys.generators import drawn
from .._keys.keys import MASK
from .lines import Lines, Part, lines_of, merged
from .precision import compute_dtype, no_autocast, within_reach

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .._core.target import Place
    from .._keys.generators import Words
    from .lines import Box

# Up to this many reflectors are one product: beyond, its triangle costs more than the panels do.
_MEDIUM = 1024
# Reflectors of a panel: the products are as fast as longer ones, the triangles still cheap.
_PANEL = 128
# What a call may use beside the tensor, however small that is.
_SPARE_BYTES = 2**26


class _Source(NamedTuple):
    """Where reflectors come from, and in what precision."""

    core: Any
    place: Place
    words: Words
    dtype: torch.dtype
    device: torch.device

    def reflectors(self, part: Part, first: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The columns [first, first + count) of V from row `first` down, and their signs."""
        vectors = torch.empty(part.rows - first, count, dtype=self.dtype, device=self.device)
        signs = torch.empty(count, dtype=self.dtype, device=self.device)
        self.write(part, first, vectors, signs)
        return vectors, signs

    def write(self, part: Part, first: int, vectors: torch.Tensor, signs: torch.Tensor) -> None:
        """The same into contiguous tensors."""
        columns = part.rows, part.columns, first, vectors.shape[1]
        addresses = vectors.data_ptr(), CODES[self.dtype], *columns, signs.data_ptr()
        self.core.reflectors(*addresses, *self.place[4:], *self.words)


def serves(core: Any, device: int, rows: int, columns: int) -> bool:
    """Whether matrices on the device are made here: on CUDA, and on CPUs whose core is slow."""
    return device >= 0 or core.orthogonal_is_slow(rows, columns)


def write_orthogonal(
    core: Any, place: Place, words: Words, gain: float, part: Part, tensor: torch.Tensor
) -> None:
    """Write a part of gain times the (semi-)orthogonal matrix of the key, rounded once.

    `tensor` has the part's elements in row-major order, in any shape and layout; it is written at
    once, when nothing can fail any more. Beside it the call needs about as much memory as the
    tensor, twice as much where it works in pieces, and the cost falls with the part's rows or
    columns.
    """
    if not tensor.numel():
        return
    dtype = compute_dtype(core, tensor, part)
    sides = max(part.rows, part.columns), min(part.rows, part.columns)
    if part == Part.whole(part.rows, part.columns) and _is_one_product(*sides, dtype):
        _reserve(tensor, tensor.numel())
        source = _Source(core, place, drawn(words), dtype, tensor.device)
        with (
            torch.no_grad(),
            no_autocast(tensor.device.type),
            within_reach(gain, [tensor]) as own_gain,
        ):
            tensor.copy_(_whole(source, own_gain, part).reshape(tensor.shape))
    else:
        write_boxes(core, place, words, gain, [(part, tensor)])


def _is_one_product(rows: int, reflectors: int, dtype: torch.dtype) -> bool:
    """Whether so many reflectors are one product, of a V not large beside what a call may use."""
    return reflectors <= _MEDIUM and rows * reflectors * dtype.itemsize <= _SPARE_BYTES


def _whole(source: _Source, gain: float, part: Part) -> torch.Tensor:
    """As `multiply_out`, in few calls: of a small matrix they take most of the time."""
    tall = part if part.rows >= part.columns else part.transposed()
    vectors, signs = source.reflectors(tall, 0, tall.columns)
    negative = signs.mul_(-gain)
    gram = torch.mm(vectors.t(), vectors)
    weights = torch.linalg.solve_triangular(
        gram, vectors[: tall.columns].t(), upper=True, unitriangular=True
    )
    product = torch.mm(vectors, weights.mul_(negative))
    product.diagonal().sub_(negative)
    return product if tall is part else product.t()


def write_boxes(core: Any, place: Place, words: Words, gain: float, boxes: Sequence[Box]) -> None:
    """Write several parts of the matrix, none empty, in tensors of one dtype and device."""
    first, tensor = boxes[0]
    _reserve(tensor, sum(tensor.numel() for _, tensor in boxes))
    source = _Source(core, place, drawn(words), compute_dtype(core, tensor, first), tensor.device)
    views = [(part, _as_matrix(out, part.row_count, part.column_count)) for part, out in boxes]
    pieces = [piece for lines in lines_of(views) for piece in _pieces(lines, source)]
    if len(pieces) > 1:
        views = [
            (part, torch.empty(matrix.shape, dtype=matrix.dtype, device=matrix.device))
            for part, matrix in views
        ]
        pieces = [piece for lines in lines_of(views) for piece in _pieces(lines, source)]
    outs = [out for _, out in boxes]
    with (
        torch.no_grad(),
        no_autocast(tensor.device.type),
        within_reach(gain, outs) as own_gain,
    ):
        for piece in pieces:
            _write(source, own_gain, piece)
        for (_, matrix), (_, out) in zip(views, boxes, strict=True):
            if matrix.data_ptr() != out.data_ptr():
                out.copy_(matrix.view(out.shape))


def write_batch(
    core: Any,
    place: Place,
    words: Words,
    gain: float,
    count: int,
    rows: int,
    columns: int,
    tensor: torch.Tensor,
) -> None:
    """Write gain times the matrices of the children 0, 1, ... of a key, each rounded once.

    `tensor`, which lies at `place`, has the matrices one after the other in row-major order.
    """
    if not tensor.numel():
        return
    by_products = serves(core, place[4], rows, columns)
    if not by_products or (place[4] >= 0 and core.orthogonal_batch_takes(rows, columns)):
        needed = core.orthogonal_batch_workspace(count, rows, columns, place[4])
        workspace = torch.empty(needed, dtype=torch.uint8, device=tensor.device)
        core.orthogonal_batch(*place, *words, count, rows, columns, gain, workspace.data_ptr())
        return
    part = Part.whole(rows, columns)
    together = _most_together(core, tensor, part)
    matrices = _as_matrix(tensor, count * rows, columns).view(count, rows, columns)
    if together < count:  # the tensor gets all of them at the end, or none
        matrices = torch.empty(matrices.shape, dtype=tensor.dtype, device=tensor.device)
    _reserve(tensor, tensor.numel())
    children = _child_words(core, place, words, count, tensor.device)
    if together:
        with torch.no_grad(), within_reach(gain, [matrices]) as own_gain:
            _write_together(core, place, children, own_gain, part, matrices, together)
    else:
        for child, matrix in zip(children, matrices, strict=True):
            write_orthogonal(core, place, child, gain, part, matrix)
    if matrices.data_ptr() != tensor.data_ptr():
        tensor.copy_(matrices.view(tensor.shape))


def _most_together(core: Any, tensor: torch.Tensor, part: Part) -> int:
    """Of how many matrices a batched product may be; 0 where they are too large for one."""
    long, short = max(part.rows, part.columns), min(part.rows, part.columns)
    if short > _MEDIUM:
        return 0
    spare = max(_SPARE_BYTES, tensor.numel() * tensor.element_size())
    itemsize = compute_dtype(core, tensor, part).itemsize
    return max(1, spare // (itemsize * (2 * long + 2 * short) * short))


def _write_together(
    core: Any,
    place: Place,
    children: list[Words],
    gain: float,
    part: Part,
    matrices: torch.Tensor,
    together: int,
) -> None:
    """Batched products, each of so many matrices together."""
    is_wide = part.rows < part.columns
    tall = part.transposed() if is_wide else part
    m, n = tall.rows, tall.columns
    dtype, device = compute_dtype(core, matrices, part), matrices.device
    with torch.no_grad(), no_autocast(device.type):
        for begin in range(0, len(children), together):
            words = children[begin : begin + together]
            vectors = torch.empty(len(words), m, n, dtype=dtype, device=device)
            signs = torch.empty(len(words), n, dtype=dtype, device=device)
            for each, child in enumerate(words):
                source = _Source(core, place, child, dtype, device)
                source.write(tall, 0, vectors[each], signs[each])
            (product,) = multiply_out(vectors, signs.mul_(gain), [tall])
            found = product.mT if is_wide else product
            matrices[begin : begin + together].copy_(found)


def multiply_out(
    vectors: torch.Tensor, scales: torch.Tensor, parts: Sequence[Part]
) -> Iterator[torch.Tensor]:
    """Parts of ([I; 0] - V M^{-1} V[:n]^T) diag(scales), for one V or a batch of them.

    V has all rows and the columns of as many reflectors as the parts need.
    """
    ranges = merged(part.lines(are_columns=True) for part in parts)
    columns = Lines(True, ranges, ())
    taken = torch.cat([vectors[..., first:end, :] for first, end in ranges], dim=-2)
    gram = torch.matmul(vectors.mT, vectors)
    weights = torch.linalg.solve_triangular(gram, taken.mT, upper=True, unitriangular=True)
    own_scales = torch.cat([scales[..., None, first:end] for first, end in ranges], dim=-1)
    weights.mul_(own_scales.neg_())
    for part in parts:
        first_row, last_row = part.lines(are_columns=False)
        first_column, last_column = part.lines(are_columns=True)
        at = columns.number(first_column)
        own = weights[..., at : at + part.column_count]
        product = torch.matmul(vectors[..., first_row:last_row, :], own)
        first, last = max(first_row, first_column), min(last_row, last_column)
        if first < last:
            ones = product[..., first - first_row :, first - first_column :]
            ones.diagonal(dim1=-2, dim2=-1).add_(scales[..., first:last])
        yield product


def multiply_columns(source: _Source, gain: float, lines: Lines) -> torch.Tensor:
    """Return columns as rows of X = Q^T, panels applied from the last to the first."""
    part, end = lines.boxes[0][0], lines.ranges[-1][1]
    x = torch.zeros(lines.total, part.rows, dtype=source.dtype, device=source.device)
    for start in reversed(range(0, end, _PANEL)):
        count = min(_PANEL, end - start)
        vectors, signs = source.reflectors(part, start, count)
        signs.mul_(gain)
        for number, first, behind in lines.numbered():
            # The columns that the panel meets for the first time.
            begin, last = max(start, first), min(start + count, behind)
            if begin < last:
                fresh = x[number + begin - first :, begin:].diagonal()[: last - begin]
                fresh.copy_(signs[begin - start : last - start])
        below = x[lines.number(start) :, start:]
        weights = torch.mm(torch.mm(below, vectors), _inverse(vectors).t())
        below.addmm_(weights, vectors.t(), alpha=-1)
    return x


def multiply_rows(source: _Source, gain: float, lines: Lines) -> torch.Tensor:
    """Return rows as those of X = E^T, panels applied from the first to the last.

    As far as the boxes go: columns behind them are not right.
    """
    part, end = lines.boxes[0][0], max(part.reflector_count for part, _ in lines.boxes)
    x = torch.zeros(lines.total, part.rows, dtype=source.dtype, device=source.device)
    for number, first, behind in lines.numbered():
        x[number:, first:].diagonal()[: behind - first].fill_(gain)
    for start in range(0, end, _PANEL):
        vectors, signs = source.reflectors(part, start, min(_PANEL, end - start))
        behind_start = x[:, start:]
        weights = torch.mm(torch.mm(behind_start, vectors), _inverse(vectors))
        behind_start.addmm_(weights, vectors.t(), alpha=-1)
        behind_start[:, : len(signs)].mul_(signs)  # no later panel comes back to these columns
    return x


def _inverse(panel: torch.Tensor) -> torch.Tensor:
    """M^{-1} of a panel, of float64 products: they are few, and every column meets them."""
    double = panel.double()
    gram = torch.mm(double.t(), double)
    identity = torch.eye(len(gram), dtype=torch.float64, device=panel.device)
    inverse: torch.Tensor = torch.linalg.solve_triangular(
        gram, identity, upper=True, unitriangular=True
    )
    return inverse.to(panel.dtype)


def _write(source: _Source, gain: float, lines: Lines) -> None:
    """Write boxes of a tall matrix."""
    parts = [part for part, _ in lines.boxes]
    rows, reflectors = parts[0].rows, max(part.reflector_count for part in parts)
    if 2 * lines.total >= reflectors and _is_one_product(rows, reflectors, source.dtype):
        vectors, signs = source.reflectors(parts[0], 0, reflectors)
        products = multiply_out(vectors, signs.mul_(gain), parts)
        for (_, out), product in zip(lines.boxes, products, strict=True):
            out.copy_(product)
        return
    multiply = multiply_columns if lines.are_columns else multiply_rows
    x = multiply(source, gain, lines)
    for part, out in lines.boxes:
        first, end = part.lines(lines.are_columns)
        number = lines.number(first)
        across, behind = part.lines(not lines.are_columns)
        found = x[number : number + end - first, across:behind]
        out.copy_(found.t() if lines.are_columns else found)


def _pieces(lines: Lines, source: _Source) -> Iterator[Lines]:
    """Boxes of the matrix, made tall, that need no more memory at a time than all of them have."""
    part, tensor = lines.boxes[0]
    if part.rows < part.columns:
        lines = lines.transposed()
    size = sum(out.numel() for _, out in lines.boxes) * tensor.element_size()
    spare = max(_SPARE_BYTES, size)
    most = max(_PANEL, spare // (max(part.rows, part.columns) * source.dtype.itemsize))
    return lines.stretches(most)


def _as_matrix(tensor: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """The tensor as a matrix, or where its layout allows none, a matrix to be copied from."""
    try:
        return tensor.detach().view(rows, columns)
    except RuntimeError:  # dimensions that do not lie one behind the other
        return torch.empty(rows, columns, dtype=tensor.dtype, device=tensor.device)


def _reserve(tensor: torch.Tensor, count: int) -> None:
    """Raise where the device has no memory for so many elements, before a key is drawn.

    That is about what a call needs; torch's allocator keeps the block for what is asked for next.
    """
    torch.empty(count, dtype=tensor.dtype, device=tensor.device)


class _Children(list["Words"]):
    """The words of child keys, with the tensor that holds them where they are on the device."""

    memory: torch.Tensor


def _child_words(
    core: Any, place: Place, words: Words, count: int, device: torch.device
) -> _Children:
    """The words of children 0, 1, ...; like their parent's, on the device or on the host."""
    is_there = isinstance(words[0], int) and words[0] != 0
    memory = torch.empty(count, 2, dtype=torch.int64, device=device if is_there else "cpu")
    where = place[4:6] if is_there else (-1, 0)
    core.split_keys(memory.data_ptr(), count, *where, *words)
    if is_there:
        children = _Children((memory.data_ptr() + 16 * j, 0, 0) for j in range(count))
    else:
        children = _Children((0, seed & MASK, stream & MASK) for seed, stream in memory.tolist())
    children.memory = memory
    return children
