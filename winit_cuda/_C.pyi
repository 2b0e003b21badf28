"""Types of the native core, csrc/bindings: pointers, boxes and keys, and nothing of torch.

Every fill begins with the same seven positional arguments:

    pointer      address of the first element of the local tensor (`tensor.data_ptr()`)
    dtype        a code from `DTYPES`
    numel        number of local elements
    box          None: the local tensor is contiguous and whole, element i lies at
                 pointer + i * itemsize and has global index i.
                 Otherwise (sizes, strides, index_strides, index_offset), counted in elements:
                 (x0, x1, ...) lies at pointer + sum(x * strides) and has the row-major index
                 index_offset + sum(x * index_strides) in the global tensor.
    device       k >= 0: CUDA device k, which must be the thread's current one. -1: the CPU.
    cuda_stream  `torch.cuda.current_stream(device).cuda_stream`; 0 on the CPU
    threads      CPU threads to use at most; ignored on CUDA

Random fills go on with the key:

    key          0; or the address, in the memory of `device`, of two uint64 (seed, stream) that
                 are read in place of the next two arguments; or what draws them, when all else is
                 ready: it returns them, or puts them at the address, in memory of the host, that
                 `seed` then is
    seed, stream the two words of the key, each in [0, 2**64)

ValueError names a bad argument, RuntimeError a CUDA failure; nothing is written before either is
raised. The GIL is released around the work.
"""

from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias, TypedDict

Draw: TypeAlias = Callable[[], object]
"""What draws a key."""

Box: TypeAlias = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], int]
"""(sizes, strides, index_strides, index_offset)."""

class BuildInfo(TypedDict):
    """What was compiled, and what this machine can use of it."""

    cuda: bool
    cuda_version: str | None
    cuda_architectures: list[str]
    compiler: str
    simd: list[str]
    simd_active: str

class CudaStatus(TypedDict):
    """What the CUDA runtime says of this machine; 12040 is version 12.4."""

    devices: int
    error: str
    """Why it sees no device, in its words; empty where it sees one."""
    driver: int
    """The newest CUDA that the driver knows; 0 where there is no driver."""
    runtime: int
    """The CUDA that the core was linked with; 0 where it was built without."""

DTYPES: Final[dict[str, int]]
"""Name of a floating dtype, as in `str(torch.float32)` without "torch.", to its code."""

LAWS: Final[tuple[str, ...]]
"""The laws that elements follow, each the name of a function."""

def uniform(
    pointer: int,
    dtype: int,
    numel: int,
    box: Box | None,
    device: int,
    cuda_stream: int,
    threads: int,
    key: int | Draw,
    seed: int,
    stream: int,
    low: float,
    high: float,
    /,
) -> None:
    """Draw from the uniform law on [low, high)."""

def normal(
    pointer: int,
    dtype: int,
    numel: int,
    box: Box | None,
    device: int,
    cuda_stream: int,
    threads: int,
    key: int | Draw,
    seed: int,
    stream: int,
    mean: float,
    std: float,
    /,
) -> None:
    """Draw from the normal law."""

def trunc_normal(
    pointer: int,
    dtype: int,
    numel: int,
    box: Box | None,
    device: int,
    cuda_stream: int,
    threads: int,
    key: int | Draw,
    seed: int,
    stream: int,
    mean: float,
    std: float,
    a: float,
    b: float,
    /,
) -> None:
    """Draw from the normal law of `mean` and `std`, given that the value lies in [a, b]."""

def sparse(
    pointer: int,
    dtype: int,
    numel: int,
    box: Box | None,
    device: int,
    cuda_stream: int,
    threads: int,
    key: int | Draw,
    seed: int,
    stream: int,
    rows: int,
    columns: int,
    zeros_per_column: int,
    std: float,
    workspace: int,
    /,
) -> None:
    """Draw from the normal law N(0, std^2), with `zeros_per_column` zeros in every column.

    `rows` and `columns` are those of the global matrix. `workspace` is the address of 16 bytes a
    local column, aligned to 8, in the memory of a CUDA device; on the CPU nothing is read from it.
    """

SparsePart: TypeAlias = tuple[int, int, list[tuple[int, int, Box]]]
"""(first_column, column_count, [(pointer, numel, box), ...]): boxes in these columns."""

def sparse_boxes(
    parts: list[SparsePart],
    dtype: int,
    device: int,
    cuda_stream: int,
    threads: int,
    key: int | Draw,
    seed: int,
    stream: int,
    rows: int,
    columns: int,
    zeros_per_column: int,
    std: float,
    workspace: int,
    /,
) -> None:
    """Write boxes of a matrix of `sparse`, with one selection for all of a part.

    The memory for all of them is there before the key is drawn and the first one written.
    `workspace` as in `sparse`, for the columns of all parts together.
    """

def orthogonal(
    pointer: int,
    dtype: int,
    numel: int,
    box: Box | None,
    device: int,
    cuda_stream: int,
    threads: int,
    key: int | Draw,
    seed: int,
    stream: int,
    rows: int,
    columns: int,
    first_row: int,
    row_count: int,
    first_column: int,
    column_count: int,
    gain: float,
    /,
) -> None:
    """Write a part of gain times the orthogonal matrix of the key, on the CPU.

    The matrix has `rows` by `columns`; the target's elements, in row-major order, are those of
    `row_count` rows from `first_row` on and `column_count` columns from `first_column` on. The bits
    do not depend on the instruction set or on the number of threads.
    """

OrthogonalBox: TypeAlias = tuple[int, int, Box | None, int, int, int, int]
"""(pointer, numel, box, first_row, row_count, first_column, column_count): a part of a matrix as in
`orthogonal`."""

OrthogonalMatrix: TypeAlias = tuple[int, int, int, bool, list[tuple[int, int]], list[OrthogonalBox]]
"""(child, rows, columns, are_columns, ranges, boxes): the matrix of child `child` of the key, or of
the key itself where that is -1. Its boxes are made of the columns, or rows, in the ranges of
(first, count), which ascend; each lies in one of them.
"""

def orthogonal_boxes(
    matrices: list[OrthogonalMatrix],
    dtype: int,
    key: int | Draw,
    seed: int,
    stream: int,
    gain: float,
    threads: int,
    /,
) -> None:
    """Write boxes of several matrices on the CPU; those of one item meet its reflectors once.

    The memory for all of them is there before the key is drawn and the first one written.
    """

def orthogonal_is_slow(rows: int, columns: int, /) -> bool:
    """Whether products of torch make such a matrix sooner on the CPU than `orthogonal`.

    So it is on the instruction sets without vectors of fused multiply-adds, but for small matrices.
    """

def orthogonal_batch_takes(rows: int, columns: int, /) -> bool:
    """Whether `orthogonal_batch` takes such matrices on CUDA."""

def orthogonal_batch_workspace(count: int, rows: int, columns: int, device: int, /) -> int:
    """Bytes of workspace that `orthogonal_batch` needs; 0 where a matrix fits a block's memory."""

def orthogonal_batch(
    pointer: int,
    dtype: int,
    numel: int,
    box: Box | None,
    device: int,
    cuda_stream: int,
    threads: int,
    key: int | Draw,
    seed: int,
    stream: int,
    count: int,
    rows: int,
    columns: int,
    gain: float,
    workspace: int,
    /,
) -> None:
    """Write gain times `count` orthogonal matrices, matrix j that of child j of the key.

    The elements [j * rows * columns, (j + 1) * rows * columns) of the box, in its own row-major
    order, are those of matrix j. `workspace` is the address of `orthogonal_batch_workspace` bytes,
    aligned to 8, in the memory of `device`.
    """

def reflectors(
    pointer: int,
    dtype: int,
    rows: int,
    columns: int,
    first: int,
    count: int,
    signs_pointer: int,
    device: int,
    cuda_stream: int,
    threads: int,
    key: int | Draw,
    seed: int,
    stream: int,
    /,
) -> None:
    """Write Stewart's reflectors, of which `orthogonal_` makes its matrix: columns of all of them.

    Column i of the rows by columns matrix of reflectors, rows >= columns, is v_i: zero above row i,
    |v_i|^2 = 2 (the last reflector of a square matrix is 0). `pointer` gets rows `first` and below
    of the columns [first, first + count), contiguous in row-major order, float32 or float64; the
    `count` signs, of the same dtype, go to `signs_pointer`.
    """

def reflector_head(first: float, square: float, is_last_row: bool, /) -> tuple[float, float, float]:
    """(sigma, v[0], v / x below it) of the reflector of x with x[0] and |x|^2, for tests."""

def philox4x32_10(
    counter: tuple[int, int, int, int], key: tuple[int, int], /
) -> tuple[int, int, int, int]:
    """One Philox4x32-10 block, for tests against the published known answers."""

def words(
    pointer: int,
    count: int,
    seed: int,
    stream: int,
    domain: int,
    index: int,
    device: int,
    cuda_stream: int,
    /,
) -> None:
    """Write the uint32 words index, index + 1, ... of a domain of the key to memory, for tests.

    The domains are those of `Domain` in csrc/values/philox.h; 0 is the element stream. The
    counter of word `index` is (block_lo, block_hi, stream_lo, stream_hi) with block =
    domain * 2^61 + index // 4.
    """

def fused_lanes(dtype: int, a: int, b: int, c: int, count: int, out: int, /) -> None:
    """Write a * b + c, rounded once, as the active instruction set's fills of a dtype do it.

    All four are addresses of `count` elements, a multiple of 16, of float32, or of float64 where
    that is the dtype. For tests.
    """

def split_keys(
    pointer: int,
    count: int,
    device: int,
    cuda_stream: int,
    key: int | Draw,
    seed: int,
    stream: int,
    /,
) -> None:
    """Write the keys of children 0, 1, ... of a key, as uint64 (seed, stream) each.

    They go to the memory of `device`. Child j is `winit_cuda.fold_in(key, j)`.
    """

def named_keys(pointer: int, names: list[str], seed: int, stream: int, /) -> None:
    """Write the keys of the children with these names, as uint64 (seed, stream) each.

    They go to memory of the host. That of a name is `winit_cuda.fold_in(key, name)`.
    """

def drawn(key: int | Draw, seed: int, stream: int, /) -> tuple[int, int]:
    """(seed, stream) of a key, drawn where that is to be done; an address is one of the host."""

def advance(generator: Any, step: int, /) -> tuple[int, int]:
    """(seed, offset) of a CUDA generator of torch's, whose offset moves on by `step`."""

def child_stream(seed: int, stream: int, j: int, /) -> int:
    """The stream of child j of a key, 0 <= j < 2**64."""

def listed_groups(
    dtype: int, numel: int, tile: int, thread: int, limit: int, /
) -> tuple[int, list[list[int]]]:
    """Return which groups of elements a thread of a list's CUDA kernel makes, for tests.

    The list has one contiguous tensor of `numel` elements, which is not there: nothing is written.
    The first number is how many tiles it has. Groups are counted anew every 2^32 elements.

    RuntimeError: the thread makes more than `limit` groups.
    """

def fail_after(kind: str, passing: int, /) -> None:
    """Let something fail in the CPU core, after `passing` more that do not. For tests.

    The kinds are "allocation", of memory; "thread_start", after which a call goes on with fewer
    threads; and "worker_range", a part of the work of a thread that is not the caller's. It fails
    once; a negative number lets nothing fail.
    """

def divisions(keep: bool, /) -> list[tuple[int, int, int]]:
    """What the CPU core's loops were divided into since the last call that said True. For tests.

    (count, length of a range, number of threads) of each; nothing is kept after False.
    """

def build_info() -> BuildInfo:
    """What was compiled, and what this machine can use of it."""

def set_simd(name: str | None, /) -> None:
    """Force "portable", "avx2" or "avx512"; None takes the best again. For tests."""

def free_kept_memory() -> int:
    """Give back what orthogonal matrices left for the next ones; bytes, at most 64 MB."""

def cuda_status() -> CudaStatus:
    """What the CUDA runtime says of this machine; never raises."""

FillListItem: TypeAlias = tuple[str | int | float | Box | None, ...]
"""(law, pointer, dtype, numel, box, *numbers): a fill, as above, of at least one element.

The laws are those of the functions "uniform", "normal" and "trunc_normal", with the numbers that
these end with; "constant" with a value, which is rounded once to `dtype`; and "constant_bits" with
bits and an item size (1, 2, 4 or 8), which writes the low bytes of the bits, whatever `dtype`.
"""

def cuda_current_device() -> int:
    """The CUDA device that the core would launch on, -1 where there is no driver; never raises.

    `torch.cuda.current_device()` may name another one, which torch only makes current when it has
    work for it.
    """

def set_cuda_device(device: int, /) -> None:
    """Make a CUDA device current in this thread; for use inside of `torch.cuda.device`."""

def reader(
    exchange: object, classes: tuple[type, ...], doubts: tuple[Callable[[Any], object], ...], /
) -> Callable[[object], tuple[int, int, int] | None]:
    """A function that gives address, number of elements and dtype of contiguous tensors on the CPU.

    It reads tensors of these classes, not of derived ones, by `exchange`, their capsule
    `__dlpack_c_exchange_api__`. None for those of other dtypes than `DTYPES`, without elements or
    memory, or of which one of the `doubts` is not False, and for other objects.
    """

def quick(
    law: str,
    exchange: object,
    classes: tuple[type, ...],
    doubts: tuple[Callable[[Any], object], ...],
    threads: Callable[[], int],
    written: Callable[[tuple[Any]], object],
    /,
) -> Callable[
    [object, tuple[int | Draw, int, int], tuple[object, ...]],
    Literal[True] | tuple[int, int, int] | None,
]:
    """A function that fills a tensor by a law, one of `LAWS`.

    It takes a tensor, (key, seed, stream), and the numbers of the law, and returns True. For all
    that a `reader` does not read, for numbers that are neither int nor float or not in order, and
    where the dtype does not have the values, it neither draws nor writes, and returns what a
    `reader` does. `threads` says how many threads it may take, and `written` is told, in a tuple,
    what it wrote.
    """

class NamedFills:
    """Fills of contiguous tensors on the CPU, each with the name of its key."""

    @property
    def elements(self) -> int:
        """How many elements they write."""

    @property
    def overlap(self) -> bool:
        """Whether two of them write the same memory."""

    def run(self, seed: int, stream: int, threads: int, /) -> None:
        """Write all tensors, each with the child of this key that its name names."""

class PlannedFills:
    """Fills of all elements of one contiguous tensor on the CPU each, but for where that lies."""

    def __init__(
        self,
        exchange: object,
        classes: tuple[type, ...],
        doubts: tuple[Callable[[Any], object], ...],
        fills: list[tuple[str, str, tuple[int, ...], FillListItem]],
        /,
    ) -> None:
        """Set up the fills: of each the names of its tensor and its key, the sizes, and its item.

        Its item has the pointer 0 and no box. The rest is as of `reader`.
        """

    def of(
        self, owners: list[tuple[str, dict[str, Any] | None]], /
    ) -> tuple[
        NamedFills,
        list[str],
        list[Any],
        list[tuple[int, int, str, Any] | tuple[int, int, None, None]],
    ]:
        """Find the tensors of the fills: those of the owners, by their names behind the owner's.

        A fill is for one of its name that a `reader` reads, if it has the sizes and the dtype of
        the fill. No reference to the tensors is kept.

        Returns:
            The fills, the names of their tensors, and these; and all others in turn, each as
            (number of its owner, how many tensors of fills come before it, name, tensor). An owner
            with None has such a row, too, with None for the name and the tensor.
        """

class FillList:
    """Fills of one device, set up once and run many times with other keys.

    Every value is the one that the fill alone writes. On the CPU all fills are one stretch of work
    for the threads; on CUDA they are one launch, or several where their descriptors are more than a
    kernel's parameters hold and are not passed in memory.
    """

    def __init__(self, device: int, items: list[FillListItem], /) -> None:
        """Set up the fills of `device`, a code as above.

        ValueError: an item is not one, or two fills write the same memory. Seen are fills that
        begin at one address, and contiguous ones that overlap.
        """

    def overlaps(self, others: NamedFills, /) -> bool:
        """Whether two fills of this list and of the others write the same memory."""

    @property
    def memory_bytes(self) -> int:
        """Bytes that one launch of all fills needs; 0 on the CPU and where parameters hold them."""

    def write(self, memory: int, keys: int, /) -> None:
        """Write `memory_bytes` bytes to CPU memory, for a copy to the device before `run`.

        `memory` is aligned to 16; `keys` are as for `run`, in CPU memory, or 0 where `run` gets
        keys in the memory of the device.
        """

    def run(
        self, keys: int, keys_there: bool, cuda_stream: int, threads: int, memory: int, /
    ) -> None:
        """Write all tensors.

        `keys` is the address of two uint64 (seed, stream) for each item in turn, of CPU memory or,
        with `keys_there`, of the device's. `memory` is the address, on the device, of a copy of
        what `write` wrote; 0 launches in parts.
        """

    def run_named(self, names: list[str], seed: int, stream: int, threads: int, /) -> None:
        """Write all tensors of a list on the CPU, item i with the child `names[i]` of a key.

        ValueError: there are more or fewer names than items, or one has a lone surrogate.
        """
