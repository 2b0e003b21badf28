"""Counts what the CUDA kernels cost, from their compiled code: no GPU is needed.

    pip install nvidia-cuda-nvdisasm       # unless CUDA has brought nvdisasm
    python -m benchmarks.gpu.sass   # in the root of the source tree

compiles csrc/fill/cuda.cu for sm_80, sm_90 and sm_100 with the flags of csrc/CMakeLists.txt,
disassembles it, finds the main loop of every kernel that stores 16 bytes at a time, and prints for
each: instructions an element, in all and by pipe; bytes a store; registers; bytes of local memory,
spilled or not; and, by `roofline`, what binds it on the GPUs of that architecture and which
fraction of the memory limit that leaves.

The main loop is the innermost loop that stores most, the smaller one where two store the same. All
instructions between its head and its branch back count, also those that a branch may skip, but the
elements are those of the widest stores: code for a tail inside the loop shows as its cost.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING

from .roofline import (
    GPUS,
    PIPES,
    Roofline,
    pipe_of,
    roofline,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

CSRC = Path(__file__).parents[2] / "csrc"
SOURCE = CSRC / "fill" / "cuda.cu"
ARCHITECTURES = ("sm_80", "sm_90", "sm_100")
DTYPES = {
    "float": ("float32", 4),
    "double": ("float64", 8),
    "Half": ("float16", 2),
    "BFloat16": ("bfloat16", 2),
    "Float8E4M3FN": ("float8_e4m3fn", 1),
    "Float8E5M2": ("float8_e5m2", 1),
    "unsigned char": ("1 byte", 1),
    "unsigned short": ("2 bytes", 2),
    "unsigned int": ("4 bytes", 4),
    "unsigned long": ("8 bytes", 8),
}


# ---------------------------------------------------------------------------- listings


@dataclass(frozen=True)
class Instruction:
    """One line of SASS. `target` is the address that it branches to."""

    address: int
    opcode: str
    operands: str
    target: int | None = None


_FUNCTION = re.compile(r"^\.text\.(\S+):")
_LABEL = re.compile(r"^(\.L\S+):")
_INSTRUCTION = re.compile(r"^\s+/\*([0-9a-f]{4,})\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)\s*([^;]*);")
_REFERENCE = re.compile(r"`\((\.L\w+)\)")


def parse_listing(listing: str) -> dict[str, list[Instruction]]:
    """Return the instructions of every function in what ``nvdisasm -c`` prints."""
    functions: dict[str, list[Instruction]] = {}
    addresses: dict[str, int] = {}  # of labels, which are unique in a listing
    pending: list[str] = []
    current: list[Instruction] | None = None
    for line in listing.splitlines():
        if function := _FUNCTION.match(line):
            current = functions.setdefault(function[1], [])
        elif label := _LABEL.match(line):
            pending.append(label[1])
        elif current is not None and (found := _INSTRUCTION.match(line)):
            instruction = Instruction(int(found[1], 16), found[2], found[3].strip())
            addresses.update(dict.fromkeys(pending, instruction.address))
            pending = []
            current.append(instruction)
    return {name: [_resolve(each, addresses) for each in body] for name, body in functions.items()}


def _resolve(instruction: Instruction, addresses: dict[str, int]) -> Instruction:
    reference = _REFERENCE.search(instruction.operands)
    if not instruction.opcode.startswith("BRA") or reference is None:
        return instruction
    target = addresses.get(reference[1])
    return Instruction(instruction.address, instruction.opcode, instruction.operands, target)


def bytes_stored(instruction: Instruction) -> int:
    """Return how many bytes an instruction writes to global memory."""
    if not re.match(r"STG\b", instruction.opcode):
        return 0
    width = re.search(r"\.(U8|S8|U16|S16|64|128|256)\b", instruction.opcode)
    return (
        {"U8": 1, "S8": 1, "U16": 2, "S16": 2}.get(width[1]) or int(width[1]) // 8 if width else 4
    )


def find_main_loop(body: Sequence[Instruction]) -> list[Instruction] | None:
    """Return the instructions of the loop that does a kernel's work, or None if there is none."""
    branches = [each for each in body if each.target is not None]
    storing = [
        [each for each in body if (branch.target or 0) <= each.address <= branch.address]
        for branch in branches
    ]
    storing = [loop for loop in storing if any(map(bytes_stored, loop))]
    innermost = [loop for loop in storing if not any(set(other) < set(loop) for other in storing)]
    return max(innermost, key=lambda loop: (bytes_in_widest(loop), -len(loop)), default=None)


def bytes_in_widest(loop: Iterable[Instruction]) -> int:
    """Return the bytes of the widest stores of a loop: the others are for what is left over."""
    stores = [bytes_stored(each) for each in loop]
    return stores.count(max(stores)) * max(stores)


# ---------------------------------------------------------------------------- compilation


@dataclass(frozen=True)
class Resources:
    """What ptxas says that a kernel takes. Local memory holds arrays and spilled registers."""

    registers: int
    spilled_bytes: int
    local_bytes: int
    shared_bytes: int


def parse_resources(messages: str) -> dict[str, Resources]:
    """Return the resources of every kernel in what ``nvcc --resource-usage`` prints."""
    resources = {}
    for part in messages.split("Compiling entry function '")[1:]:
        words = ("Used", "bytes spill stores", "bytes stack frame", "bytes smem")
        found = [re.search(rf"{word} (\d+)|(\d+) {word}", part) for word in words]
        numbers = [int(each[1] or each[2]) if each else 0 for each in found]
        resources[part.split("'", 1)[0]] = Resources(*numbers)
    return resources


def find_tool(name: str) -> str | None:
    """Return nvcc or nvdisasm: of CUDA_HOME, of PATH, of a Python package, of /usr/local/cuda."""
    homes = [os.environ[home] for home in ("CUDA_HOME", "CUDA_PATH") if os.environ.get(home)]
    paths = [*(str(Path(home, "bin")) for home in homes), os.environ.get("PATH", "")]
    try:
        files = distribution("nvidia-cuda-nvdisasm").files or []
    except PackageNotFoundError:
        files = []
    paths += [str(Path(str(file.locate())).parent) for file in files if file.stem == "nvdisasm"]
    found = (shutil.which(name, path=path) for path in (*paths, "/usr/local/cuda/bin"))
    return next(filter(None, found), None)


def compiler_flags(lists: Path) -> list[str]:
    """Return the flags that the CMake file gives nvcc for a release build."""
    flags = re.search(r"set\(cuda_flags ([^)]*)\)", lists.read_text())
    if flags is None:
        raise ValueError(f"{lists} sets no cuda_flags")
    values = [flag for flag in flags[1].split() if not flag.startswith("--threads")]
    return ["-std=c++17", "-O3", "-DNDEBUG", *values]


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(
            f"{Path(command[0]).name} failed: {(done.stderr or done.stdout).strip()}"
        )
    return done


def compile_and_disassemble(
    source: Path, architecture: str, flags: Iterable[str]
) -> tuple[dict[str, list[Instruction]], dict[str, Resources]]:
    """Return the instructions and the resources of every kernel of a .cu file, by mangled name."""
    nvcc, nvdisasm = find_tool("nvcc"), find_tool("nvdisasm")
    if nvcc is None or nvdisasm is None:
        missing = "nvcc" if nvcc is None else "nvdisasm (pip install nvidia-cuda-nvdisasm)"
        raise RuntimeError(f"{missing} was not found")
    with tempfile.TemporaryDirectory() as directory:
        cubin = str(Path(directory, "kernels.cubin"))
        command = [nvcc, *flags, f"-I{CSRC}", f"-arch={architecture}", "-cubin", "--resource-usage"]
        messages = _run(*command, str(source), "-o", cubin).stderr
        listing = _run(nvdisasm, "-c", cubin).stdout
    return parse_listing(listing), parse_resources(messages)


# ---------------------------------------------------------------------------- counts


@dataclass(frozen=True)
class Cost:
    """What the main loop of one kernel costs on one architecture."""

    kernel: str
    architecture: str
    elements: int
    """Elements that a thread writes an iteration."""
    instructions: float
    """Per element, as all of `by_pipe`."""
    by_pipe: dict[str, float]
    by_opcode: dict[str, int]
    bytes_per_store: float
    branches: int
    resources: Resources
    rooflines: tuple[Roofline, ...]


def kernel_name(demangled: str) -> tuple[str, int] | None:
    """Return a short name of a kernel and the bytes of its element; None if it has no element."""
    found = re.search(r"(\w+)_kernel<(.*)>\(", demangled)
    if found is None:
        return None
    arguments = re.sub(r"winit_cuda::|\(anonymous namespace\)::", "", found[2])
    dtype = DTYPES.get(arguments.split(",")[0].strip())
    if dtype is None:
        return None
    law = re.search(r"(\w+)Map<", arguments)
    words = re.findall(r"[A-Z][a-z]+", law[1]) if law else []
    return " ".join(filter(None, [found[1], "_".join(words).lower(), dtype[0]])), dtype[1]


def cost(
    name: str, itemsize: int, architecture: str, body: Sequence[Instruction], resources: Resources
) -> Cost | None:
    """Count a kernel's main loop; None if it has none or does not store 16 bytes at a time."""
    loop = find_main_loop(body)
    stores = [bytes_stored(each) for each in loop or [] if bytes_stored(each)]
    if loop is None or 16 not in stores:
        return None
    elements = bytes_in_widest(loop) // itemsize
    opcodes = [each.opcode for each in loop]
    pipes = Counter(map(pipe_of, opcodes))
    return Cost(
        name,
        architecture,
        elements,
        len(loop) / elements,
        {pipe: pipes[pipe] / elements for pipe in PIPES if pipes[pipe]},
        dict(Counter(opcodes).most_common()),
        sum(stores) / len(stores),
        sum(each.target is not None for each in loop),
        resources,
        tuple(
            roofline(gpu, opcodes, elements, itemsize)
            for gpu in GPUS
            if gpu.architecture == architecture
        ),
    )


def count_kernels(source: Path, architecture: str, pattern: str = "") -> list[Cost]:
    """Compile a .cu file and count every kernel whose short name has the pattern."""
    flags = compiler_flags(CSRC / "CMakeLists.txt")
    bodies, resources = compile_and_disassemble(source, architecture, flags)
    demangled = _run("c++filt", *bodies).stdout.splitlines()
    costs = []
    for mangled, readable in zip(bodies, demangled, strict=True):
        named = kernel_name(readable)
        if named is not None and re.search(pattern, named[0]):
            costs.append(cost(*named, architecture, bodies[mangled], resources[mangled]))
    return sorted((each for each in costs if each), key=lambda each: each.kernel)


def as_text(costs: Sequence[Cost]) -> str:
    """Return the table of one architecture."""
    pipes = [pipe for pipe in PIPES if any(pipe in each.by_pipe for each in costs)]
    gpus = [each.gpu for each in costs[0].rooflines]
    head = ["kernel", "elements", "instr", *pipes, "B/store", "regs", "spill", "local", "smem"]
    rows = [[*head, *gpus]]
    for each in costs:
        taken = each.resources
        rows.append(
            [
                each.kernel,
                str(each.elements),
                f"{each.instructions:.2f}",
                *(f"{each.by_pipe.get(pipe, 0):.2f}" for pipe in pipes),
                f"{each.bytes_per_store:g}",
                *(str(number) for number in (taken.registers, taken.spilled_bytes)),
                *(str(number) for number in (taken.local_bytes, taken.shared_bytes)),
                *(_bound(line) for line in each.rooflines),
            ]
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [f"{row[0]:{widths[0]}}" + _cells(row[1:], widths[1:]) for row in rows]
    return "\n".join([f"{costs[0].architecture}: instructions an element", *lines])


def _cells(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "".join(f"  {cell:>{width}}" for cell, width in zip(cells, widths, strict=True))


def _bound(line: Roofline) -> str:
    if line.bound == "memory":
        return f"memory ({min(line.of_memory.values()):.2f})"
    return f"{line.bound} {line.of_memory[line.bound]:.2f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the counts; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="sass", description=__doc__.split("\n\n")[0])
    parser.add_argument("--source", type=Path, default=SOURCE, metavar="FILE")
    parser.add_argument("--arch", nargs="+", default=ARCHITECTURES, choices=ARCHITECTURES)
    parser.add_argument("--kernels", default="", metavar="REGEX", help="of their short names")
    parser.add_argument("--json", type=Path, metavar="FILE", help="everything, opcodes included")
    chosen = parser.parse_args(arguments)
    everything: list[Cost] = []
    for architecture in chosen.arch:
        try:
            costs = count_kernels(chosen.source, architecture, chosen.kernels)
        except (OSError, RuntimeError, ValueError) as error:
            print(f"sass: {error}", file=sys.stderr)
            return 1
        print(as_text(costs) if costs else f"{architecture}: no such kernel", end="\n\n")
        everything += costs
    print("GPU columns: what binds the loop, and the fraction of the memory limit that leaves;")
    print("in parentheses what would bind next.")
    if chosen.json:
        chosen.json.write_text(json.dumps([asdict(each) for each in everything], indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
