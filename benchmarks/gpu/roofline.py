"""What a loop of SASS instructions can reach on a GPU: its pipes against its write bandwidth.

A streaming multiprocessor has four schedulers, each of which issues one instruction of a warp a
clock: 128 lanes a clock for all instructions together. Below that, every instruction occupies a
lane of a pipe. A loop is bound by the scarcest of: issue slots, a pipe, memory.

Sources of the figures:

- Lanes a clock by architecture: CUDA C++ Programming Guide, "Arithmetic Instructions", the table
  of results per clock and multiprocessor.
- Which instruction goes to which pipe: Nsight Compute, Kernel Profiling Guide, "Pipelines". From
  compute capability 8.6 on the pipe for float32 has two halves, of which the heavy one alone
  multiplies integers.
- A multiplication with a 64-bit result (IMAD.WIDE, IMAD.HI) is not in the guide's table. It
  occupies its lane for two clocks: 32 a clock were measured on compute capability 8.9; taken for
  all architectures here.
- Shared memory moves 128 bytes a clock and multiprocessor (Programming Guide, "Shared Memory"), so
  a load of 16 bytes a lane takes four clocks. Bank conflicts come on top and are not counted
  (sass_notes.md has an estimate). The same is taken for what stores hand on.
- Multiprocessors, boost clocks and bandwidths: the data sheets of the GPUs. Bandwidths are the
  peak; no fill reaches it.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

ISSUE_LANES = 128  # four schedulers, one warp of 32 a clock each


@dataclass(frozen=True)
class Gpu:
    """A GPU as its data sheet has it."""

    name: str
    architecture: str
    multiprocessors: int
    clock: float
    """Boost clock in Hz."""
    bandwidth: float
    """Peak memory bandwidth in bytes a second."""


GPUS = (
    Gpu("A100", "sm_80", 108, 1.41e9, 2.039e12),  # SXM, 80 GB
    Gpu("H100", "sm_90", 132, 1.98e9, 3.35e12),  # SXM, 80 GB
    Gpu("H200", "sm_90", 132, 1.98e9, 4.8e12),
    Gpu("B200", "sm_100", 148, 1.965e9, 8.0e12),
)

# Lanes a clock and multiprocessor. `imad` is the half of `fma` that multiplies integers.
PIPE_LANES = {
    "sm_80": {"fma": 64, "imad": 64, "alu": 64, "xu": 16, "fp64": 32, "lsu": 32},
    "sm_90": {"fma": 128, "imad": 64, "alu": 64, "xu": 16, "fp64": 64, "lsu": 32},
    "sm_100": {"fma": 128, "imad": 64, "alu": 64, "xu": 16, "fp64": 64, "lsu": 32},
}
PIPES = ("fma", "imad", "alu", "xu", "fp64", "lsu", "uniform", "control", "other")

# The first pattern that matches the opcode, modifiers and all, names the pipe.
_PIPE_OF = tuple(
    (re.compile(pattern), pipe)
    for pattern, pipe in (
        (r"U[A-Z]|R2UR|S2UR|LDCU|VOTEU|CS2UR", "uniform"),
        (r"BRA|BRX|BSSY|BSYNC|EXIT|NOP|WARPSYNC|CALL|RET|BREAK|JMP|YIELD|BAR|DEPBAR", "control"),
        (r"F2F\b|F2I\b|I2F\b|MUFU|POPC|FLO|BREV|I2I\b|FRND", "xu"),
        (r"D(FMA|ADD|MUL|SETP|MNMX)", "fp64"),
        (r"IMAD|IDP|IMUL|HFMA2|HADD2|HMUL2", "imad"),
        (r"FFMA|FMUL|FADD", "fma"),
        (r"LD|ST|ATOM|RED|SHFL|S2R|CS2R|CCTL|MEMBAR|ERRBAR|LEPC", "lsu"),
        (
            r"LOP3|SHF|SHL|SHR|IADD|VIADD|ISETP|FSETP|FMNMX|IMNMX|VIMNMX|F?SEL\b|SEL|PRMT|LEA|MOV|"
            r"PLOP3|I2FP|F2FP|F2IP|IABS|SGXT|BMSK|LOP|P2R|R2P|FCHK|VABSDIFF|I2IP|VOTE|IMAD32",
            "alu",
        ),
    )
)


def pipe_of(opcode: str) -> str:
    """Return the pipe, one of PIPES, that executes the opcode."""
    for pattern, pipe in _PIPE_OF:
        if pattern.match(opcode):
            return pipe
    return "other"


def clocks_of(opcode: str) -> int:
    """Return for how many clocks the opcode occupies a lane of its pipe."""
    if re.match(r"IMAD\.(WIDE|HI)", opcode) or opcode.startswith("FFMA2"):
        return 2
    if pipe_of(opcode) == "lsu":
        return {".128": 4, ".64": 2}.get((re.findall(r"\.128|\.64", opcode) or [""])[0], 1)
    return 1


def lane_clocks(opcodes: Iterable[str]) -> dict[str, int]:
    """Return the clocks of a lane that the opcodes take of each pipe."""
    clocks: Counter[str] = Counter()
    for opcode in opcodes:
        pipe = pipe_of(opcode)
        clocks[pipe] += clocks_of(opcode)
        if pipe == "imad":
            clocks["fma"] += clocks_of(opcode)
    return dict(clocks)


@dataclass(frozen=True)
class Roofline:
    """What a loop can reach on one GPU."""

    gpu: str
    bound: str
    """What it is bound by: "memory", "issue" or a pipe."""
    elements_per_second: float
    of_memory: dict[str, float]
    """What issue slots and every pipe allow, as a fraction of what memory allows."""


def roofline(gpu: Gpu, opcodes: Iterable[str], elements: int, bytes_per_element: float) -> Roofline:
    """Bound a loop whose iteration writes `elements` elements.

    Args:
        gpu: Where it runs.
        opcodes: The opcodes of one iteration.
        elements: The elements that one thread writes an iteration.
        bytes_per_element: The bytes it writes for each.
    """
    opcodes = tuple(opcodes)
    per_second = gpu.multiprocessors * gpu.clock * elements
    limits = {"issue": per_second * ISSUE_LANES / len(opcodes)}
    lanes = PIPE_LANES[gpu.architecture]
    for pipe, clocks in lane_clocks(opcodes).items():
        if pipe in lanes:
            limits[pipe] = per_second * lanes[pipe] / clocks
    memory = gpu.bandwidth / bytes_per_element
    bound = min(limits, key=lambda name: limits[name])
    return Roofline(
        gpu.name,
        bound if limits[bound] < memory else "memory",
        min(memory, limits[bound]),
        {name: limit / memory for name, limit in limits.items()},
    )
