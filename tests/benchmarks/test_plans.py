"""The presets and what is chosen in their place."""

from __future__ import annotations

from winit_cuda.benchmarks import cases, goals, plans


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


def test_targets_are_what_the_goals_are_for() -> None:
    isas = ("avx512", "avx2", "sse2", "portable")
    targets = plans.plan("targets", "cpu", 2, isas=isas).cases
    assert [each.isa for each in targets[:4]] == list(isas)  # of one case, one after the other
    assert [each.label for each in targets[:2]] == [
        "300 small tensors float32 3,638,082 avx512",
        "300 small tensors float32 3,638,082 avx2",
    ]
    for isa in isas:
        own = {(each.name, each.dtype, each.size): each for each in targets if each.isa == isa}
        for what in goals.GOALS[isa]:
            assert what in own
        for name in cases.INITIALIZERS:
            size = "2x2x4" if name == "dirac_" else "4x4"
            assert own[name, "float32", size].goal == goals.Goal(1.1)
        assert own["constant_", "float32", "4096x4096"].goal is None
