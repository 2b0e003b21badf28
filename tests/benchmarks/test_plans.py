"""The presets and what is chosen in their place."""

from __future__ import annotations

from winit_cuda.benchmarks import cases, many, matrices, plans


def test_full_preset_spans_sizes_dtypes_and_threads() -> None:
    full = plans.plan("full", "cpu", 2).cases
    assert {each.numel for each in full} == {1 << exponent for exponent in range(4, 27, 2)}
    assert {each.threads for each in full} == {1, 2}
    assert {"float32", "bfloat16", "float16", "float64"} < {each.dtype for each in full}
    assert {each.name for each in full} == set(cases.INITIALIZERS)
    assert max(each.numel for each in full if each.name == "sparse_") == 1 << 22


def test_one_thread_and_more_are_measured_one_after_the_other() -> None:
    full = plans.plan("full", "cpu", 2).cases
    for one, two in zip(full[::2], full[1::2], strict=True):
        assert (one.label, one.threads, two.threads) == (two.label, 1, 2)


def test_choices_take_the_place_of_the_preset() -> None:
    chosen = plans.plan("quick", "cpu", 2, [24], ["float64"], [1], ["sparse_"]).cases
    assert [each.label for each in chosen] == ["sparse_ float64 2^24"]
    assert chosen[0].threads == 1


GOALS_AT_16M = {
    ("uniform_", "float32"): cases.Goal(10, 0.45),
    ("xavier_uniform_", "float32"): cases.Goal(10, 0.45),
    ("normal_", "float32"): cases.Goal(8, 0.22),
    ("kaiming_normal_", "float32"): cases.Goal(8, 0.22),
    ("trunc_normal_", "float32"): cases.Goal(80, 0.20),
    ("constant_", "float32"): None,
    ("uniform_", "bfloat16"): cases.Goal(12),
    ("normal_", "bfloat16"): cases.Goal(9),
    ("uniform_", "float64"): cases.Goal(5),
    ("normal_", "float64"): cases.Goal(5),
}


def test_targets_hold_the_goals() -> None:
    targets = plans.plan("targets", "cpu", 2).cases
    goals = {
        (each.name, each.dtype, each.numel): cases.goal(each, all_threads=2) for each in targets
    }
    expected = {(*fill, 1 << 24): goal for fill, goal in GOALS_AT_16M.items()}
    expected |= {(name, "float32", 16): cases.Goal(1) for name in cases.INITIALIZERS}
    small = many.SmallTensors(dtype="float32", threads=2, device="cpu")
    expected[small.name, "float32", small.numel] = cases.Goal(10)
    expected |= {
        (each.name, each.dtype, each.numel): each.goal
        for each in matrices.target_matrices("cpu", 2)
    }
    assert goals == expected
