"""What is tried: each variant changes one thing of how the kernels are launched or read memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

AS_BUILT = "as built"


@dataclass(frozen=True)
class Variant:
    """A way to run a kernel; what it does not name is as in the product."""

    knob: str
    value: str
    defines: tuple[tuple[str, str], ...] = ()
    """Macros of the compilation. Variants with the same share a library."""
    blocks_per_processor: int = 0
    """0: as many as fit; -1: as many as there is work for."""
    settings: tuple[str, ...] = field(default=(), compare=False)
    """For WINIT_TUNING, where a build of the package can take it as it is."""

    @property
    def name(self) -> str:
        return f"{self.knob}: {self.value}" if self.value else self.knob


def _built_with(knob: str, value: object, **sizes: int) -> Variant:
    """A variant that platform/tuning.h knows."""
    defines = tuple((f"WINIT_TUNE_{name}", str(size)) for name, size in sizes.items())
    return Variant(
        knob, str(value), defines, settings=tuple(f"{name}={n}" for name, n in sizes.items())
    )


# The second is the first once more: what differs between them is noise.
CONTROL = (Variant(AS_BUILT, ""), Variant("as built, again", ""))

FILLS = (
    *CONTROL,
    *(_built_with("threads of a block", n, FILL_THREADS=n) for n in (128, 512)),
    *(_built_with("blocks of words in flight", n, FILL_WORD_BLOCKS=n) for n in (2, 8)),
    _built_with("threads, blocks of words", "128, 8", FILL_THREADS=128, FILL_WORD_BLOCKS=8),
    _built_with("threads, blocks of words", "512, 2", FILL_THREADS=512, FILL_WORD_BLOCKS=2),
    # Left alone the compiler gives a thread 32 registers: eight blocks of 256 threads, all that a
    # multiprocessor holds.
    *(
        Variant("registers for so many blocks", str(n), (("TUNE_RESIDENT", str(n)),))
        for n in (1, 4, 5, 6)
    ),
    *(
        Variant(
            "blocks a multiprocessor", "as many as there is work for" if n < 0 else str(n), (), n
        )
        for n in (1, 2, 4, -1)
    ),
    # Loads of several numbers hold more registers at once: also with room for them.
    *(
        Variant(f"table{room}", name, (("TUNE_LAYOUT", layout), *bound))
        for room, bound in (("", ()), (", 4 blocks", (("TUNE_RESIDENT", "4"),)))
        for name, layout in (
            ("rows of 2", "Pairs"),
            ("rows of 4 and of 2", "FourAndTwo"),
            ("a segment's 6, by 2", "SegmentsOf6"),
            ("a segment's 6 in 8, by 4", "SegmentsOf8"),
            ("a segment's 6 in 12, by 4", "SegmentsOf12"),
        )
    ),
    _built_with("stores", "8 bytes", STORE_BYTES=8),
    *(
        Variant("stores", hint, (("TUNE_STORE", function),))
        for hint, function in ((".cs", "__stcs"), (".wt", "__stwt"), (".cg", "__stcg"))
    ),
)

LISTS = (
    *CONTROL,
    *(_built_with("threads of a block", n, LIST_THREADS=n) for n in (128, 512)),
    _built_with("threads, blocks", "128, 4", LIST_THREADS=128, LIST_BLOCKS_PER_PROCESSOR=4),
    _built_with("threads, blocks", "512, 1", LIST_THREADS=512, LIST_BLOCKS_PER_PROCESSOR=1),
    *(_built_with("blocks a multiprocessor", n, LIST_BLOCKS_PER_PROCESSOR=n) for n in (1, 3)),
    *(_built_with("blocks of words a thread", n, LIST_WORD_BLOCKS=n) for n in (4, 16, 32)),
)


def on_the_cpu(variant: Variant) -> Variant:
    """The variant as far as it changes what a CPU runs."""
    of_the_device = ("TUNE_RESIDENT", "TUNE_STORE")
    left = tuple(pair for pair in variant.defines if pair[0] not in of_the_device)
    return replace(variant, defines=left)
