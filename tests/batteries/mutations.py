"""What `mutate.py` breaks: small faults of the kinds that would change weights without an error.

Each is an exact text of one file and its replacement, and the tests that mirror the file. In C++
the text is an expression: all faults are compiled into one core, each behind a question for its
number. A text that is not there exactly once is refused, so that the list cannot fall behind the
sources.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

GOLDEN = "tests/csrc/values/test_golden.py"
VALUES, FILL, SPARSE = "tests/csrc/values", "tests/csrc/fill", "tests/csrc/sparse"
MANY, ORTHOGONAL = "tests/csrc/many", "tests/csrc/orthogonal"
KEYS, DISTRIBUTED = "tests/winit_cuda/keys", "tests/winit_cuda/distributed"
DISPATCH, MODEL = "tests/winit_cuda/dispatch", "tests/winit_cuda/model"


@dataclass(frozen=True)
class Mutation:
    """A fault: `text` of `file` becomes `replacement`."""

    name: str
    kind: str  # index, rounding, carry, order or version
    file: str
    text: str
    replacement: str
    tests: tuple[str, ...]

    @property
    def is_compiled(self) -> bool:
        """Whether the fault is one of the core's."""
        return self.file.startswith("csrc/")

    @property
    def described(self) -> dict[str, str]:
        """The fault as results keep it."""
        names = ("name", "kind", "file", "text", "replacement")
        return {name: getattr(self, name) for name in names}

    def made(self, row: dict[str, object]) -> bool:
        """Whether a row of results is of this fault."""
        return self.described.items() <= row.items()

    def check(self, root: Path) -> None:
        """Raise ValueError where the text does not name one place."""
        found = (root / self.file).read_text(encoding="utf-8").count(self.text)
        if found != 1:
            raise ValueError(f"{self.name}: its text is {found} times in {self.file}, not once")

    def in_python(self, content: str) -> str:
        """The file with the fault."""
        return content.replace(self.text, self.replacement)

    def in_core(self, content: str, number: int) -> str:
        """The file with the fault where `number` is chosen."""
        return content.replace(
            self.text, f"(kMutation == {number} ? ({self.replacement}) : ({self.text}))"
        )


MUTATIONS = (
    # ---------------------------------------------------------------------------------- csrc/values
    Mutation(
        "Philox has nine rounds",
        "version",
        "csrc/values/philox.h",
        "round < kLast",
        "round < kLast - 1",
        (GOLDEN,),
    ),
    Mutation(
        "domains begin elsewhere in the counter",
        "index",
        "csrc/values/philox.h",
        "static_cast<uint64_t>(domain) << kDomainShift",
        "static_cast<uint64_t>(domain) << (kDomainShift - 1)",
        (GOLDEN,),
    ),
    Mutation(
        "a single word is of the other half of its block",
        "order",
        "csrc/values/philox.h",
        "(index & 2) ? pair[1] : pair[0]",
        "(index & 2) ? pair[0] : pair[1]",
        (GOLDEN, SPARSE),
    ),
    Mutation(
        "a distance from the end is rounded up",
        "rounding",
        "csrc/values/scalar.h",
        "size & ~(size >> 24)",
        "size & ~(size >> 25)",
        (GOLDEN, VALUES),
    ),
    Mutation(
        "float64 refines the tails twice as much",
        "rounding",
        "csrc/values/scalar.h",
        "0x1p-56",
        "0x1p-55",
        (GOLDEN, VALUES),
    ),
    Mutation(
        "ties round away from zero",
        "rounding",
        "csrc/values/dtype.h",
        "((1u << (kDropped - 1)) - 1) + ((magnitude >> kDropped) & 1u)",
        "1u << (kDropped - 1)",
        (GOLDEN, VALUES),
    ),
    Mutation(
        "bfloat16 ties round away from zero",
        "rounding",
        "csrc/values/dtype.h",
        "bits + 0x7FFFu + ((bits >> 16) & 1u)",
        "bits + 0x8000u",
        (GOLDEN, VALUES),
    ),
    Mutation(
        "a bound in the dtype lies above the bound",
        "rounding",
        "csrc/values/limits.cpp",
        "static_cast<double>(value) > x",
        "static_cast<double>(value) < x",
        (GOLDEN, VALUES),
    ),
    Mutation(
        "the open end of an interval is closed",
        "rounding",
        "csrc/values/limits.cpp",
        "std::nextafter(x, -kInfinity)",
        "x",
        (GOLDEN, VALUES),
    ),
    Mutation(
        "a tie above the largest value goes the other way",
        "rounding",
        "csrc/values/limits.cpp",
        "kTieGoesDown && size == middle",
        "!kTieGoesDown && size == middle",
        ("tests/csrc/many/test_constants.py", VALUES),
    ),
    Mutation(
        "probabilities may reach a half",
        "rounding",
        "csrc/values/distributions.cpp",
        "fused(Real(0x1p31), numbers.tail_slope, numbers.tail_start) > kBelowHalf<Real>",
        "fused(Real(0x1p31), numbers.tail_slope, numbers.tail_start) > kBelowOne<Real>",
        (GOLDEN, VALUES),
    ),
    Mutation(
        "tiny spreads keep their scale",
        "rounding",
        "csrc/values/distributions.cpp",
        "spread < 0x1p-90",
        "spread < 0x1p-140",
        (f"{VALUES}/test_limits.py", GOLDEN, VALUES),
    ),
    Mutation(
        "a kept table of another interval is taken",
        "index",
        "csrc/values/distributions.cpp",
        "table->alpha == alpha",
        "table->alpha >= alpha",
        (GOLDEN, VALUES),
    ),
    Mutation(
        "a one-sided interval is turned round",
        "order",
        "csrc/values/distributions.cpp",
        "direction > 0 ? 0 : 1",
        "direction > 0 ? 1 : 0",
        (GOLDEN,),
    ),
    Mutation(
        "a name that fills its block of the hash has another one",
        "carry",
        "csrc/values/child_key.h",
        "begin + kBlockBytes >= bytes",
        "begin + kBlockBytes > bytes",
        (f"{KEYS}/test_keys.py", VALUES),
    ),
    # ------------------------------------------------------------------------------------ csrc/fill
    Mutation(
        "a dimension moves on by the step of the one within it",
        "carry",
        "csrc/fill/box.h",
        "box.index_stride[d - 1] - static_cast<uint64_t>(box.size[d]) * box.index_stride[d]",
        "box.index_stride[d] - static_cast<uint64_t>(box.size[d]) * box.index_stride[d]",
        (f"{FILL}/test_box.py", FILL),
    ),
    Mutation(
        "the last block of a chunk does not carry",
        "carry",
        "csrc/fill/words.h",
        "low > UINT32_MAX - (L::kBlocks - 1)",
        "low > UINT32_MAX - (L::kBlocks - 2)",
        (f"{VALUES}/test_philox.py", VALUES, FILL),
    ),
    Mutation(
        "the second of two chunks does not carry",
        "carry",
        "csrc/fill/words.h",
        "high_of(second + (L::kBlocks - 1)) == high_",
        "high_of(second) == high_",
        (f"{VALUES}/test_philox.py", VALUES, FILL),
    ),
    Mutation(
        "blocks repeat where the counter carries",
        "index",
        "csrc/fill/words.h",
        "philox_block(key_, block + i, plain[i])",
        "philox_block(key_, block + (i & 1), plain[i])",
        (f"{VALUES}/test_philox.py", VALUES, FILL),
    ),
    Mutation(
        "a start within a block is forgotten",
        "index",
        "csrc/fill/lanes.h",
        "values + skipped",
        "values",
        (GOLDEN,),
    ),
    Mutation(
        "long strided rows repeat their beginning",
        "index",
        "csrc/fill/lanes.h",
        "run.index + static_cast<uint64_t>(done)",
        "run.index + static_cast<uint64_t>(done % 4)",
        (f"{FILL}/test_box.py", FILL),
    ),
    Mutation(
        "rows of tiles end within a chunk",
        "carry",
        "csrc/fill/lanes.h",
        "(skipped + count + C::kElements - 1) / C::kElements",
        "(count + C::kElements - 1) / C::kElements",
        (f"{FILL}/test_tiles.py", FILL),
    ),
    Mutation(
        "rows of a shard are taken for one stretch",
        "index",
        "csrc/fill/tiles.h",
        "row.index_stride == static_cast<uint64_t>(stretch)",
        "row.index_stride >= static_cast<uint64_t>(stretch)",
        (f"{FILL}/test_tiles.py", FILL),
    ),
    Mutation(
        "the last bytes of a column are not written",
        "carry",
        "csrc/fill/columns.h",
        "copy_and_advance<2>(from, out)",
        "copy_and_advance<1>(from, out)",
        (f"{FILL}/test_tiles.py", FILL),
    ),
    Mutation(
        "children are numbered from one",
        "index",
        "csrc/fill/cpu.cpp",
        "child_of(key, static_cast<uint64_t>(j))",
        "child_of(key, static_cast<uint64_t>(j + 1))",
        (f"{VALUES}/test_child_key.py", VALUES),
    ),
    # ---------------------------------------------------------------------------------- csrc/sparse
    Mutation(
        "the word of the threshold is no zero in float64",
        "order",
        "csrc/sparse/lanes.h",
        "word <= limit[i]",
        "word < limit[i]",
        (f"{SPARSE}/test_sparse.py", SPARSE),
    ),
    Mutation(
        "narrow matrices lose their column from chunk to chunk",
        "carry",
        "csrc/sparse/columns.h",
        "step < columns ? step : step % columns",
        "step < columns ? step : (step + 1) % columns",
        (f"{SPARSE}/test_sparse.py", SPARSE),
    ),
    Mutation(
        "ties are not parted by row",
        "order",
        "csrc/sparse/select.cpp",
        "rank == sharing",
        "rank <= sharing",
        (f"{SPARSE}/test_sparse.py", SPARSE),
    ),
    Mutation(
        "a single row that is left over is not looked at",
        "carry",
        "csrc/sparse/select.cpp",
        "tiled_.rest() > 0",
        "tiled_.rest() > 1",
        (f"{SPARSE}/test_sparse.py", SPARSE),
    ),
    Mutation(
        "the twin that is zero gets its value back",
        "order",
        "csrc/sparse/cpu.cpp",
        "row > threshold.row",
        "row >= threshold.row",
        (f"{SPARSE}/test_sparse.py", SPARSE),
    ),
    Mutation(
        "limits begin with another column",
        "index",
        "csrc/sparse/cpu.cpp",
        "(fill.columns - before) % fill.columns",
        "0 * before",
        (f"{SPARSE}/test_sparse.py", SPARSE),
    ),
    Mutation(
        "words that share a half are all zero",
        "order",
        "csrc/sparse/kept.cpp",
        "zeros == shared",
        "zeros <= shared",
        (f"{SPARSE}/test_kept.py", SPARSE),
    ),
    Mutation(
        "the bound itself is collected twice",
        "index",
        "csrc/sparse/kept.cpp",
        "bounds_[lane] + 1",
        "bounds_[lane] + 0",
        (f"{SPARSE}/test_kept.py", SPARSE),
    ),
    # ------------------------------------------------------------------------------------ csrc/many
    Mutation(
        "tensors of a list take the keys of others",
        "index",
        "csrc/many/cpu.cpp",
        "keys[number]",
        "keys[number / 2 * 2]",
        (f"{MANY}/test_many.py", MANY),
    ),
    Mutation(
        "the end of a constant is not written",
        "carry",
        "csrc/many/cpu.cpp",
        "count / kWide * kWide",
        "count",
        (f"{MANY}/test_constants.py", MANY),
    ),
    # ------------------------------------------------------------------------------ csrc/orthogonal
    Mutation(
        "the last sign of a square matrix is always plus",
        "order",
        "csrc/orthogonal/reflectors.h",
        "negative ? -1.0 : 1.0",
        "1.0",
        (f"{ORTHOGONAL}/test_reflectors.py", ORTHOGONAL),
    ),
    Mutation(
        "a panel draws the words of another place",
        "index",
        "csrc/orthogonal/reflector_panels.cpp",
        "static_cast<uint64_t>(panel.first) * static_cast<uint64_t>(columns_ + 1)",
        "static_cast<uint64_t>(panel.first) * static_cast<uint64_t>(columns_)",
        (f"{ORTHOGONAL}/test_orthogonal.py", ORTHOGONAL),
    ),
    Mutation(
        "the last reflector but one is taken for the last",
        "index",
        "csrc/orthogonal/reflector_panels.cpp",
        "panel.first + i == rows_ - 1",
        "panel.first + i == rows_ - 2",
        (f"{ORTHOGONAL}/test_orthogonal.py", ORTHOGONAL),
    ),
    Mutation(
        "panels that come one after the other come in one order",
        "order",
        "csrc/orthogonal/blocked.cpp",
        "plan_.by_columns ? plan_.panels - done - count : done",
        "done",
        (f"{ORTHOGONAL}/test_boxes.py", ORTHOGONAL),
    ),
    Mutation(
        "the first line of a range is taken for the one behind the last",
        "index",
        "csrc/orthogonal/blocked.cpp",
        "vector >= range->count",
        "vector > range->count",
        (f"{ORTHOGONAL}/test_boxes.py", ORTHOGONAL),
    ),
    Mutation(
        "entries are rounded past the largest value",
        "rounding",
        "csrc/orthogonal/write.h",
        "std::max(-largest_, std::min(wide, largest_))",
        "wide",
        (f"{ORTHOGONAL}/test_orthogonal.py", ORTHOGONAL),
    ),
    Mutation(
        "matrices of a batch are numbered from one",
        "index",
        "csrc/orthogonal/cpu.cpp",
        "child_of(key, static_cast<uint64_t>(j))",
        "child_of(key, static_cast<uint64_t>(j + 1))",
        (f"{ORTHOGONAL}/test_batch.py", ORTHOGONAL),
    ),
    # ----------------------------------------------------------------------------------- winit_cuda
    Mutation(
        "keys are of another version",
        "version",
        "winit_cuda/_keys/keys.py",
        '_PERSON = b"winit_cuda v1"',
        '_PERSON = b"winit_cuda v2"',
        (f"{KEYS}/test_keys.py",),
    ),
    Mutation(
        "negative numbers name the children of others",
        "index",
        "winit_cuda/_keys/keys.py",
        'number.to_bytes(16, "little", signed=True)',
        '(number & MASK).to_bytes(16, "little")',
        (f"{KEYS}/test_keys.py", KEYS),
    ),
    Mutation(
        "streams of children change their sign early",
        "carry",
        "winit_cuda/_keys/keys.py",
        "stream - 2**64 if stream >> 63 else stream",
        "stream - 2**64 if stream >> 62 else stream",
        (f"{KEYS}/test_keys.py", KEYS),
    ),
    Mutation(
        "boxes lie in the whole where they lie in the local tensor",
        "index",
        "winit_cuda/_fills/parts.py",
        "index = _dot(box.offsets, index_strides)",
        "index = _dot(box.local_offsets, index_strides)",
        (f"{DISTRIBUTED}/test_boxes.py", DISTRIBUTED),
    ),
    Mutation(
        "chunks of a mesh are rounded down",
        "rounding",
        "winit_cuda/_distributed/layout.py",
        "chunk = -(-(last - first) // step.ranks)",
        "chunk = (last - first) // step.ranks",
        (f"{DISTRIBUTED}/test_layout.py", DISTRIBUTED),
    ),
    Mutation(
        "autograd does not see a fill",
        "version",
        "winit_cuda/_dispatch/single.py",
        "increment_version((tensor,))\n    except BaseException as error:\n"
        "        _failed(function, tensor, words, error)\n    return tensor\n\n\ndef _elsewhere(",
        "pass\n    except BaseException as error:\n"
        "        _failed(function, tensor, words, error)\n    return tensor\n\n\ndef _elsewhere(",
        (f"{DISPATCH}/test_versions.py",),
    ),
    Mutation(
        "autograd does not see a list of fills",
        "version",
        "winit_cuda/_dispatch/many.py",
        "self._launch(address)\n        increment_version(self._tensors)",
        "self._launch(address)",
        (f"{DISPATCH}/test_many.py",),
    ),
    Mutation(
        "autograd does not see a DTensor of a list",
        "version",
        "winit_cuda/_dispatch/many.py",
        "increment_version(self._dtensors)",
        "pass",
        (f"{DISPATCH}/test_many.py", DISTRIBUTED, MODEL),
    ),
    Mutation(
        "a run counts a tensor's pieces as no writes",
        "version",
        "winit_cuda/_model/fill.py",
        "increment_version(tuple("
        "slot.tensor for slot, entry in pairs if entry.pieces or entry.program))",
        "pass",
        (f"{MODEL}/test_fill.py", MODEL),
    ),
)
