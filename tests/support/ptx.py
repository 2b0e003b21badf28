"""PTX, as nvcc writes it, made into the instructions of the emulated device (csrc/testing).

Every opcode, operand and directive must be known here: what is not is an error, never a guess.
"""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ptx_registers import NO_REGISTER, Registers, UnknownPtxError, bytes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SPACES = {"global": 0, "shared": 1, "param": 2, "generic": 3}
PLACES = ("%tid.x", "%ctaid.x", "%ntid.x", "%nctaid.x")

# Modifiers without a meaning for the result here: how a branch is taken, how memory is cached.
_SILENT = {"bra": {"uni"}, "ld": {"nc", "volatile"}, "st": {"volatile"}}
_SIGNLESS = {
    "add",
    "sub",
    "mul.lo",
    "mad.lo",
    "and",
    "or",
    "xor",
    "not",
    "shl",
    "mov",
    "selp",
    "neg",
}
_ALIGNED = 16  # the dynamic shared memory of a block

_TABLE = re.compile(
    r"\.(global|const)\s+\.align\s+\d+\s+\.b8\s+(\S+?)\[(\d+)\]\s*=\s*\{([^}]*)\}\s*;"
)
_SHARED = re.compile(r"(\.extern\s+)?\.shared\s+\.align\s+(\d+)\s+\.b8\s+([^\s\[]+)\[(\d*)\]")
_ENTRY = re.compile(r"\.entry\s+(\S+?)\(([^)]*)\)([^{]*)\{")
_PARAMETER = re.compile(r"\.param\s+(?:\.align\s+(\d+)\s+)?\.(\w+)\s+([^\s\[,]+)(?:\[(\d+)\])?")
_STATEMENT = re.compile(r"(?:@(!?)(%\w+)\s+)?([a-z][\w.]*)\s*(.*)$", re.DOTALL)
_ADDRESS = re.compile(r"\[\s*([^\s\]+]+)\s*(?:\+\s*(-?\d+))?\s*\]")


@dataclass
class Instruction:
    """As csrc/testing/program.h has it."""

    operation: str
    registers: list[int]
    line: int
    space: str = "global"
    count: int = 0
    bytes: int = 0
    register_bytes: int = 0
    address_bytes: int = 0
    guard: int = NO_REGISTER
    guarded_by_zero: bool = False
    immediate: int = 0


@dataclass
class Kernel:
    """As csrc/testing/program.h has it."""

    name: str
    instructions: list[Instruction] = field(default_factory=list)
    constants: list[tuple[int, int, int]] = field(default_factory=list)
    parameters: list[tuple[int, int]] = field(default_factory=list)
    parameter_bytes: int = 0
    static_shared_bytes: int = 0
    dynamic_shared_offset: int = 0
    lane_bytes: int = 0
    most_threads: int = 1024
    has_barrier: bool = False
    reads_sums: bool = False
    places: tuple[int, ...] = ()


class Module:
    """The kernels of one .ptx file, each read when it is asked for."""

    def __init__(self, text: str, place_table: Callable[[bytes], int]) -> None:
        """`place_table` puts the bytes of a table where kernels read it, and gives the address."""
        self.text = re.sub(r"//[^\n]*", "", text)
        self._line_starts = [match.start() for match in re.finditer(r"^", self.text, re.MULTILINE)]
        target = re.search(r"\.target\s+sm_(\d+)", self.text)
        if target is None:
            raise UnknownPtxError("no .target")
        self.architecture = int(target[1])
        self.tables = {
            match[2]: place_table(bytes(map(int, match[4].split(","))).ljust(int(match[3]), b"\0"))
            for match in _TABLE.finditer(self.text)
        }
        declared = re.findall(r"\.(?:global|const)\s+\.align\s[^;{]*", self.text)
        if len(declared) != len(self.tables):
            raise UnknownPtxError("a variable in device memory that is not a table of constants")
        self.entries = {match[1]: match for match in _ENTRY.finditer(self.text)}
        shared = list(_SHARED.finditer(self.text))
        self.dynamic = {match[3] for match in shared if match[1]}
        self.static = {m[3]: (int(m[2]), int(m[4])) for m in shared if not m[1]}

    @property
    def kernels(self) -> tuple[str, ...]:
        return tuple(self.entries)

    def line(self, position: int) -> int:
        """The number of the line that a position in the text lies in."""
        return bisect.bisect_right(self._line_starts, position)

    def kernel(self, name: str) -> Kernel:
        return _Reader(self, self.entries[name]).kernel


class _Reader:
    """Reads one kernel."""

    def __init__(self, module: Module, entry: re.Match[str]) -> None:
        self._module = module
        self.kernel = Kernel(entry[1])
        self._registers = Registers()
        self._labels: dict[str, int] = {}
        self._branches: list[tuple[Instruction, str]] = []
        limit = re.search(r"\.maxntid\s+(\d+)", entry[3])
        if limit:
            self.kernel.most_threads = int(limit[1])
        self._read_parameters(entry[2])
        self._text = body = self._body(entry)
        self._place_shared(body)
        self.kernel.places = tuple(self._registers.declare(name, 4) for name in PLACES)
        for position, statement in self._statements(body, entry.end()):
            self._read(statement, position)
        for instruction, label in self._branches:
            instruction.immediate = self._labels[label]
        self.kernel.constants = self._registers.constants
        self.kernel.lane_bytes = self._registers.lane_bytes

    def _body(self, entry: re.Match[str]) -> str:
        text, depth, end = self._module.text, 1, entry.end()
        for brace in re.finditer(r"[{}]", text[end:]):
            depth += 1 if brace[0] == "{" else -1
            if depth == 0:
                return text[end : end + brace.start()]
        raise UnknownPtxError(f"{entry[1]} does not end")

    def _read_parameters(self, text: str) -> None:
        end = 0
        for align, kind, name, length in _PARAMETER.findall(text):
            size = int(length) if length else bytes_of(kind)
            step = int(align) if align else size
            begin = -(-end // step) * step
            self._registers.symbols[name] = begin
            self.kernel.parameters.append((begin, size))
            end = begin + size
        self.kernel.parameter_bytes = end

    def _place_shared(self, body: str) -> None:
        module, end = self._module, 0
        for name, (align, size) in module.static.items():
            if name in body:
                begin = -(-end // align) * align
                self._registers.symbols[name] = begin
                end = begin + size
        self.kernel.static_shared_bytes = end
        self.kernel.dynamic_shared_offset = -(-end // _ALIGNED) * _ALIGNED
        for name in module.dynamic:
            self._registers.symbols[name] = self.kernel.dynamic_shared_offset
        self._registers.symbols |= module.tables

    # ------------------------------------------------------------------------- statements

    def _statements(self, body: str, offset: int) -> Iterator[tuple[int, str]]:
        scopes: list[set[str]] = []
        for match in re.finditer(r"[^;]*;|[^;]+$", body):
            statement, position = match[0].rstrip(";"), offset + match.start()
            while True:
                before = re.match(r"\s*([{}]|\$\w+:)?", statement)
                assert before is not None
                statement, position = statement[before.end() :], position + before.end()
                mark = before[1]
                if mark is None:
                    break
                if mark == "{" or mark == "}":
                    scopes = (
                        self._end_scope(scopes) if mark == "}" else [*scopes, self._registers.names]
                    )
                else:
                    self._labels[mark[:-1]] = len(self.kernel.instructions)
            if statement.strip():
                yield position, statement.strip()

    def _end_scope(self, scopes: list[set[str]]) -> list[set[str]]:
        """Forget the names that the scope has declared beside the kernel's classes."""
        self._registers.forget(self._registers.names - scopes[-1])
        return scopes[:-1]

    def _read(self, statement: str, position: int) -> None:
        if statement.startswith(".reg"):
            declared = re.fullmatch(r"\.reg\s+\.(\w+)\s+(%[a-z]+)(<\d+>)?", statement)
            if declared is None:
                raise UnknownPtxError(statement)
            kind, name, many = declared.groups()
            if many:
                self._registers.declare_class(name, bytes_of(kind))
            else:
                self._registers.declare(name, bytes_of(kind))
            return
        if statement.startswith((".shared", ".pragma", ".loc")):
            return
        match = _STATEMENT.match(statement)
        if match is None:
            raise UnknownPtxError(f"{self.kernel.name}: {statement!r}")
        begin = len(self.kernel.instructions)
        line = self._module.line(position)
        try:
            self._decode(match[3], _split(match[4]), line)
        except (UnknownPtxError, KeyError, IndexError, ValueError) as error:
            raise UnknownPtxError(f"line {line}: {statement!r} ({error!r})") from error
        if match[2]:
            for instruction in self.kernel.instructions[begin:]:
                instruction.guard = self._registers.named(match[2], 4)
                instruction.guarded_by_zero = match[1] == "!"

    def _decode(self, opcode: str, operands: list[str], line: int) -> None:
        name, *modifiers = opcode.split(".")
        modifiers = [each for each in modifiers if each not in _SILENT.get(name, ())]
        if name in ("ld", "st"):
            self._memory(name, modifiers, operands, line)
        elif name == "bra":
            self._branches.append((self._add("bra", [], line), operands[0]))
        elif name == "ret":
            self._add("ret", [], line)
        elif opcode == "bar.sync" and operands == ["0"]:
            self.kernel.has_barrier = True
            self._add("bar_sync", [], line)
        elif opcode == "atom.shared.add.u32":
            found = operands[0] if self._is_used(operands[0]) else "_"
            self.kernel.reads_sums |= found != "_"
            values = [self._registers.result(found, 4), self._registers.operand(operands[2], 4)]
            self._access("atom_add_u32", "shared", values, operands[1], 4, 4, line)
        elif name == "mov" and "{" in operands[0] + operands[1]:
            self._pack(operands, bytes_of(modifiers[-1]), line)
        elif name == "cvta":
            self._cvta(modifiers, operands, line)
        elif name == "cvt":
            self._cvt(modifiers, operands, line)
        else:
            self._compute(name, modifiers, operands, line)

    def _is_used(self, register: str) -> bool:
        """Whether more than one statement names it."""
        return len(re.findall(rf"{re.escape(register)}\b", self._text)) > 1

    def _memory(self, name: str, modifiers: list[str], operands: list[str], line: int) -> None:
        *rest, kind = modifiers
        vector = [each for each in rest if re.fullmatch(r"v[24]", each)]
        spaces = [each for each in rest if each not in vector] or ["generic"]
        address, values = (operands[1], operands[0]) if name == "ld" else operands
        names = _split(values.strip("{}"))
        if len(spaces) != 1 or len(names) != (int(vector[0][1]) if vector else 1):
            raise UnknownPtxError(name)
        if kind.startswith("s") and bytes_of(kind) < 4:
            raise UnknownPtxError("a signed load of a short integer")
        sizes = {self._registers.size_of(each) for each in names if each.startswith("%")}
        size = sizes.pop() if sizes else bytes_of(kind)
        if sizes or size < bytes_of(kind):
            raise UnknownPtxError("registers of several sizes")
        pick = self._registers.result if name == "ld" else self._registers.operand
        registers = [pick(each, size) for each in names]
        self._access(name, spaces[0], registers, address, bytes_of(kind), size, line)

    def _access(
        self,
        operation: str,
        space: str,
        values: list[int],
        address: str,
        size: int,
        register_bytes: int,
        line: int,
    ) -> None:
        match = _ADDRESS.fullmatch(address)
        if match is None:
            raise UnknownPtxError(address)
        base, offset = match[1], int(match[2] or 0)
        width = self._registers.size_of(base) if base.startswith("%") else 8
        padded = values + [NO_REGISTER] * (4 - len(values))
        instruction = self._add(operation, [*padded, self._registers.operand(base, width)], line)
        instruction.space, instruction.immediate = space, offset
        instruction.count, instruction.bytes = len(values), size
        instruction.register_bytes, instruction.address_bytes = register_bytes, width

    def _pack(self, operands: list[str], size: int, line: int) -> None:
        result, source = operands
        if source.startswith("{"):
            low, high = (
                self._registers.operand(each, size // 2) for each in _split(source.strip("{}"))
            )
            self._add(f"pack_b{8 * size}", [self._registers.result(result, size), low, high], line)
            return
        low, high = (self._registers.result(each, size // 2) for each in _split(result.strip("{}")))
        whole = self._registers.operand(source, size)
        if low != NO_REGISTER:
            self._add(f"cvt_u{4 * size}_u{8 * size}", [low, whole], line)
        if high != NO_REGISTER:
            self._add(f"high_b{8 * size}", [high, whole], line)

    def _cvta(self, modifiers: list[str], operands: list[str], line: int) -> None:
        registers = [
            self._registers.result(operands[0], 8),
            self._registers.operand(operands[1], 8),
        ]
        *to, space, _ = modifiers
        if space == "global":
            self._add("mov_b64", registers, line)
        elif not to:
            self._add(f"cvta_{space}", registers, line)
        else:
            raise UnknownPtxError("cvta.to")

    def _cvt(self, modifiers: list[str], operands: list[str], line: int) -> None:
        *_, result, source = modifiers
        sizes = [
            2
            if result in ("e4m3x2", "e5m2x2")
            else 4
            if result.endswith("x2")
            else bytes_of(result)
        ]
        values = [self._narrowed(each, bytes_of(source), line) for each in operands[1:]]
        self._add(
            "_".join(["cvt", *modifiers]),
            [self._registers.result(operands[0], sizes[0]), *values],
            line,
        )

    def _narrowed(self, operand: str, size: int, line: int) -> int:
        """The low bytes of a register that is wider than the type which an instruction reads."""
        held = self._registers.size_of(operand) if operand.startswith("%") else size
        if held == size:
            return self._registers.operand(operand, size)
        low = self._registers.new(size)
        self._add(
            f"cvt_u{8 * size}_u{8 * held}", [low, self._registers.operand(operand, held)], line
        )
        return low

    def _compute(self, name: str, modifiers: list[str], operands: list[str], line: int) -> None:
        *middle, kind = modifiers
        size = bytes_of(kind)
        dotted = ".".join([name, *middle])
        if kind == "pred":  # 0 or 1 in a word
            kind = "pred" if name == "not" else "b32"
        elif dotted in _SIGNLESS or dotted in ("setp.eq", "setp.ne"):
            if not kind.startswith("f") or name in ("mov", "selp"):
                kind = f"b{8 * size}"
        elif kind.startswith("b") and name == "shr":
            kind = f"u{8 * size}"
        sizes = [size] * len(operands)
        if name == "setp":
            sizes[0] = 4
        elif name == "selp":
            sizes[3] = 4
        elif name in ("shl", "shr"):
            sizes[2] = 4
        elif name == "bfi":
            sizes[3:] = [4, 4]
        elif middle == ["wide"]:
            sizes[0] = 2 * size
            sizes[3:] = [2 * size] * (len(operands) - 3)
        registers = [self._registers.result(operands[0], sizes[0])]
        registers += [
            self._registers.operand(*each) for each in zip(operands[1:], sizes[1:], strict=True)
        ]
        self._add("_".join([name, *middle, kind]), registers, line)

    # ------------------------------------------------------------------------- instructions

    def _add(self, operation: str, registers: list[int], line: int) -> Instruction:
        padded = registers + [NO_REGISTER] * (5 - len(registers))
        self.kernel.instructions.append(Instruction(operation, padded, line))
        return self.kernel.instructions[-1]


def _split(text: str) -> list[str]:
    """The operands between the commas that no brace encloses."""
    parts = re.findall(r"(?:\{[^}]*\}|\[[^\]]*\]|[^,{\[])+", text)
    return [part.strip() for part in parts if part.strip()]
