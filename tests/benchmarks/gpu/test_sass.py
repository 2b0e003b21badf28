"""Counting instructions: reading listings, finding the main loop, what follows for a GPU."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.gpu import roofline, sass

DATA = Path(__file__).parents[2] / "data"
SAMPLE = "_Z11fill_kernelIfEvPT_j"  # sass_sample.cu for sm_90, as nvcc 13.0 compiles it
NO_RESOURCES = sass.Resources(registers=16, spilled_bytes=0, local_bytes=0, shared_bytes=0)
H200 = next(gpu for gpu in roofline.GPUS if gpu.name == "H200")

needs_compiler = pytest.mark.skipif(
    sass.find_tool("nvcc") is None or sass.find_tool("nvdisasm") is None,
    reason="needs nvcc and nvdisasm (pip install nvidia-cuda-nvdisasm)",
)


@pytest.fixture(scope="module")
def sample() -> list[sass.Instruction]:
    return sass.parse_listing((DATA / "sass_sample.sass").read_text())[SAMPLE]


# ---------------------------------------------------------------------------- listings


def test_every_instruction_is_read(sample: list[sass.Instruction]) -> None:
    assert [each.address for each in sample] == list(range(0, 0x380, 16))
    assert sample[0] == sass.Instruction(0, "LDC", "R1, c[0x0][0x28]")
    assert sample[12] == sass.Instruction(0xC0, "BRA", "`(.L_x_1)", target=0x1B0)
    assert sample[23].opcode == "STG.E.128"


def test_two_functions_do_not_share_instructions() -> None:
    text = (DATA / "sass_sample.sass").read_text()
    other = text.replace(SAMPLE, "other").replace(".L_x_", ".L_y_")
    functions = sass.parse_listing(text + other)
    assert list(functions) == [SAMPLE, "other"]
    assert len(functions[SAMPLE]) == len(functions["other"]) == 56


@pytest.mark.parametrize(
    ("opcode", "stored"),
    [
        ("STG.E", 4),
        ("STG.E.64", 8),
        ("STG.E.EF.128", 16),
        ("STG.E.U8", 1),
        ("STG.E.U16", 2),
        ("STS.128", 0),
        ("LDG.E.128", 0),
    ],
)
def test_bytes_stored(opcode: str, stored: int) -> None:
    assert sass.bytes_stored(sass.Instruction(0, opcode, "")) == stored


# ---------------------------------------------------------------------------- main loop


def test_the_main_loop_is_the_one_with_wide_stores(sample: list[sass.Instruction]) -> None:
    loop = sass.find_main_loop(sample)
    assert loop is not None
    assert (loop[0].address, loop[-1].address) == (0xF0, 0x1A0)


def test_of_nested_loops_the_inner_one_counts(sample: list[sass.Instruction]) -> None:
    store = replace(sample[27], opcode="STG.E.128")
    outer = replace(sample[28], opcode="BRA", target=0)
    loop = sass.find_main_loop([*sample[:27], store, outer, *sample[29:]])
    assert loop is not None
    assert loop[0].address == 0xF0


def test_of_loops_that_store_the_same_the_shorter_one_counts(
    sample: list[sass.Instruction],
) -> None:
    loop = [replace(each, address=each.address + 0x400) for each in sample[15:27]]
    branch = replace(loop[-1], target=loop[2].address)
    found = sass.find_main_loop([*sample, *loop[:-1], branch])
    assert found is not None
    assert found[0].address == loop[2].address


def test_stores_for_the_tail_make_no_elements(sample: list[sass.Instruction]) -> None:
    tail = replace(sample[22], opcode="STG.E")
    cost = sass.cost("sample", 4, "sm_90", [*sample[:22], tail, *sample[23:]], NO_RESOURCES)
    assert cost is not None
    assert cost.elements == 4
    assert cost.bytes_per_store == 10


def test_a_loop_without_stores_is_no_main_loop(sample: list[sass.Instruction]) -> None:
    assert sass.find_main_loop([each for each in sample if "STG" not in each.opcode]) is None


def test_cost(sample: list[sass.Instruction]) -> None:
    cost = sass.cost("sample", 4, "sm_90", sample, NO_RESOURCES)
    assert cost is not None
    assert cost.elements == 4
    assert cost.instructions == 12 / 4
    assert cost.by_pipe == {
        "fma": 1 / 4,
        "imad": 2 / 4,
        "alu": 7 / 4,
        "lsu": 1 / 4,
        "control": 1 / 4,
    }
    assert cost.bytes_per_store == 16
    assert [line.gpu for line in cost.rooflines] == ["H100", "H200"]


def test_a_kernel_of_narrow_stores_is_left_out(sample: list[sass.Instruction]) -> None:
    narrow = [replace(each, opcode=each.opcode.replace(".128", ".64")) for each in sample]
    assert sass.cost("sample", 4, "sm_90", narrow, NO_RESOURCES) is None


# ---------------------------------------------------------------------------- pipes and rooflines


@pytest.mark.parametrize(
    ("opcode", "pipe", "clocks"),
    [
        ("FFMA", "fma", 1),
        ("IMAD.WIDE.U32", "imad", 2),
        ("IMAD.MOV.U32", "imad", 1),
        ("LOP3.LUT", "alu", 1),
        ("I2FP.F32.S32", "alu", 1),
        ("F2FP.BF16.F32.PACK_AB", "alu", 1),
        ("I2F", "xu", 1),
        ("I2F.F64.S64", "xu", 1),
        ("DFMA", "fp64", 1),
        ("LDS.128", "lsu", 4),
        ("LDS", "lsu", 1),
        ("STG.E.128", "lsu", 4),
        ("UIADD3", "uniform", 1),
        ("BRA", "control", 1),
        ("HMMA", "other", 1),
    ],
)
def test_pipes(opcode: str, pipe: str, clocks: int) -> None:
    assert roofline.pipe_of(opcode) == pipe
    assert roofline.clocks_of(opcode) == clocks


def test_every_opcode_of_the_sample_has_a_pipe(sample: list[sass.Instruction]) -> None:
    assert "other" not in {roofline.pipe_of(each.opcode) for each in sample}


def test_few_instructions_leave_memory_the_bound() -> None:
    line = roofline.roofline(H200, ["FFMA", "STG.E.128"], elements=4, bytes_per_element=4)
    assert line.bound == "memory"
    assert line.elements_per_second == 4.8e12 / 4


def test_issue_slots_bind() -> None:
    loop = ["FFMA"] * 60 + ["LOP3.LUT"] * 60
    line = roofline.roofline(H200, loop, elements=4, bytes_per_element=4)
    assert line.bound == "issue"
    assert line.elements_per_second == pytest.approx(132 * 1.98e9 * 4 * 128 / 120)
    assert line.of_memory["issue"] == pytest.approx(line.elements_per_second / 1.2e12)


def test_integer_products_take_half_of_the_pipe_for_floats() -> None:
    products = roofline.roofline(H200, ["IMAD"] * 200, elements=4, bytes_per_element=4)
    assert products.bound == "imad"
    wide = roofline.roofline(H200, ["IMAD.WIDE.U32"] * 200, elements=4, bytes_per_element=4)
    assert wide.elements_per_second == products.elements_per_second / 2
    floats = roofline.roofline(H200, ["FFMA"] * 200, elements=4, bytes_per_element=4)
    assert floats.elements_per_second == products.elements_per_second * 2


def test_integers_and_floats_share_their_pipe() -> None:
    a100 = next(gpu for gpu in roofline.GPUS if gpu.name == "A100")
    line = roofline.roofline(a100, ["FFMA", "IMAD"] * 100, elements=4, bytes_per_element=4)
    assert line.bound == "fma"
    assert line.elements_per_second == pytest.approx(108 * 1.41e9 * 4 * 64 / 200)


# ---------------------------------------------------------------------------- compilation


def test_resources() -> None:
    messages = """ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_Z1aPf' for 'sm_90'
ptxas info    : Function properties for _Z1aPf
    16 bytes stack frame, 4 bytes spill stores, 8 bytes spill loads
ptxas info    : Used 40 registers, used 1 barriers, 16 bytes cumulative stack size, 2048 bytes smem
ptxas info    : Compile time = 7.129 ms
ptxas info    : Compiling entry function '_Z1bPf' for 'sm_90'
ptxas info    : Function properties for _Z1bPf
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 8 registers, used 0 barriers
"""
    assert sass.parse_resources(messages) == {
        "_Z1aPf": sass.Resources(40, spilled_bytes=4, local_bytes=16, shared_bytes=2048),
        "_Z1bPf": sass.Resources(8, spilled_bytes=0, local_bytes=0, shared_bytes=0),
    }


@pytest.mark.parametrize(
    ("demangled", "name"),
    [
        (
            "void winit_cuda::(anonymous namespace)::fill_span_kernel<winit_cuda::BFloat16, "
            "winit_cuda::TruncNormalMap<winit_cuda::Scalar32>, int>(winit_cuda::Span)",
            ("fill_span trunc_normal bfloat16", 2),
        ),
        ("void winit_cuda::set_aligned_kernel<unsigned char>(int)", ("set_aligned 1 byte", 1)),
        ("void winit_cuda::words_kernel(int)", None),
    ],
)
def test_kernel_names(demangled: str, name: tuple[str, int] | None) -> None:
    assert sass.kernel_name(demangled) == name


def test_the_flags_are_those_of_the_build(tmp_path: Path) -> None:
    lists = tmp_path / "CMakeLists.txt"
    lists.write_text("set(cuda_flags --fmad=false --threads=2)\n")
    assert sass.compiler_flags(lists) == ["-std=c++17", "-O3", "-DNDEBUG", "--fmad=false"]
    lists.write_text("\n")
    with pytest.raises(ValueError, match="sets no cuda_flags"):
        sass.compiler_flags(lists)


@needs_compiler
def test_a_kernel_compiled_here() -> None:
    source = DATA / "sass_sample.cu"
    bodies, resources = sass.compile_and_disassemble(source, "sm_90", ["-O3"])
    cost = sass.cost("sample", 4, "sm_90", bodies[SAMPLE], resources[SAMPLE])
    assert cost is not None
    assert cost.elements == 4
    assert cost.by_opcode["IMAD.WIDE.U32"] >= 1
    assert cost.resources.registers > 0
    assert cost.resources.local_bytes == 0


@needs_compiler
def test_the_command_writes_all_it_counts(tmp_path: Path, capsys) -> None:
    (tmp_path / "CMakeLists.txt").write_text("set(cuda_flags --fmad=false)\n")
    source = tmp_path / "fill.cu"
    source.write_text((DATA / "sass_sample.cu").read_text())
    out = tmp_path / "counts.json"
    assert sass.main(["--source", str(source), "--arch", "sm_80", "--json", str(out)]) == 0
    assert "fill float32" in capsys.readouterr().out
    (record,) = json.loads(out.read_text())
    assert record["architecture"] == "sm_80"
    assert record["rooflines"][0]["gpu"] == "A100"


def test_a_source_that_is_not_there_is_one_line(tmp_path: Path, capsys) -> None:
    assert sass.main(["--source", str(tmp_path / "none.cu")]) == 1
    assert capsys.readouterr().err.startswith("sass: ")


@needs_compiler
def test_the_kernels_keep_their_cost() -> None:
    source = Path(__file__).parents[3] / "csrc" / "fill" / "cuda.cu"
    costs = {cost.kernel: cost for cost in sass.count_kernels(source, "sm_90", "fill_(span|keyed)")}
    assert len(costs) == 2 * 5 * 6  # with the key as an argument or in memory; laws; dtypes
    for cost in costs.values():
        assert cost.bytes_per_store == 16
        assert cost.branches == 1
        assert cost.resources.spilled_bytes == cost.resources.local_bytes == 0
        assert cost.resources.registers <= 64
    limits = {"uniform": 15, "normal": 31, "symmetric_trunc_normal": 36}
    limits |= {"trunc_normal": 40, "tail_normal": 38}
    for law, limit in limits.items():
        for dtype in ("float32", "float16", "bfloat16", "float8_e4m3fn"):
            assert costs[f"fill_span {law} {dtype}"].instructions < limit
    # A block of four words: 18 products of 32 bits, each one instruction.
    uniform = costs["fill_span uniform float32"]
    assert uniform.by_opcode["IMAD.WIDE.U32"] / (uniform.elements / 4) < 19
