"""The batteries: what they would overlook, whether they fit the sources, and their results."""

from __future__ import annotations

import json
from collections import Counter
from itertools import islice

import numpy as np
import pytest
import torch
from scipy.stats import ortho_group

import crush
import distributions
import every_word
import haar
import mutate
import streams
import winit_cuda as winit
from core import words
from laws import Law
from mutations import MUTATIONS
from record import ROOT
from reference import Key

RESULTS = sorted((ROOT / "tests" / "batteries" / "results").glob("*.json"))


# ------------------------------------------------------------------------------------- mutation


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_every_mutation_fits_the_sources(mutation):
    mutation.check(ROOT)
    assert mutation.text != mutation.replacement
    assert all((ROOT / test).exists() for test in mutation.tests)


def test_there_are_enough_mutations_of_every_kind():
    kinds = Counter(mutation.kind for mutation in MUTATIONS)
    assert len(MUTATIONS) >= 40
    assert kinds.keys() == {"index", "rounding", "carry", "order", "version"}
    assert min(kinds.values()) >= 5
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS)


def test_a_mutation_that_no_longer_fits_is_refused(tmp_path):
    mutation = MUTATIONS[0]
    path = tmp_path / mutation.file
    path.parent.mkdir(parents=True)
    for content, times in ((" ", 0), (mutation.text * 2, 2)):
        path.write_text(content)
        with pytest.raises(ValueError, match=f"its text is {times} times"):
            mutation.check(tmp_path)


def test_too_many_survivors_fail():
    rows = [{"name": str(i), "kind": "index", "caught_by": "a test"} for i in range(19)]
    survivor = {"name": "one", "kind": "index", "caught_by": None}
    assert mutate.result_of([*rows, survivor])["passed"]
    assert not mutate.result_of([*rows, survivor, survivor])["passed"]


# --------------------------------------------------------------------------------------- streams


def first_of(name, count=1 << 12):
    chunks, found = streams.STREAMS[name](), 0
    parts = []
    for chunk in chunks:
        assert chunk.dtype == np.uint32
        parts.append(chunk)
        found += chunk.size
        if found >= count:
            return np.concatenate(parts)[:count]
    raise AssertionError(name)


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(streams, "LONG", 1 << 15)
    monkeypatch.setattr(streams, "MEMBERS", 16)


def words_of(key, count=1 << 12):
    """The core's, counted from the lower end of the interval; to them 0 is its middle."""
    return words(count, key=Key(key.seed, key.stream)) ^ np.uint32(1 << 31)


def test_streams_are_the_words_of_their_keys():
    key = winit.fold_in(streams.ROOT_KEY, "one stream")
    assert np.array_equal(first_of("one long stream"), words_of(key))
    seeds = first_of("adjacent seeds", 16 * 64).reshape(64, 16)
    for seed in range(16):
        assert np.array_equal(seeds[:, seed], words_of(winit.key(seed), 64))


@pytest.mark.parametrize(
    ("name", "key_name"),
    [
        ("normals mapped back", "normals"),
        ("truncated normals mapped back", "truncated"),
        ("one-sided truncated normals mapped back", "tail"),
    ],
)
def test_values_mapped_back_are_the_words(name, key_name):
    own = words_of(winit.fold_in(streams.ROOT_KEY, key_name))
    if key_name == "tail":  # mapped back from above
        own = ~own
    distance = np.abs(first_of(name).astype(np.int64) - own.astype(np.int64))
    assert distance.max() <= 1


def test_no_two_streams_are_alike():
    found = [first_of(name) for name in streams.STREAMS]
    assert len({part.tobytes() for part in found}) == len(found)
    for part in found:  # half of all bits are set
        assert abs(np.unpackbits(part.view(np.uint8)).mean() - 0.5) < 0.01


def test_the_control_differs_in_its_rounds_alone():
    crush.check_control()
    (few,) = islice(streams.philox_stream(4)(), 1)
    (more,) = islice(streams.philox_stream(5)(), 1)
    assert not np.array_equal(few, more)


# ------------------------------------------------------------------------- distributions and Haar


def test_distributions_that_are_a_little_off_are_seen(monkeypatch):
    key = winit.key(0)
    law = Law("normal", (0.0, 1.0))
    assert distributions.wide(law, torch.float32, 100_000, key)["p_ks"] > 1e-3
    right = distributions.values_of

    def wider(*arguments):
        return (1.03 * part for part in right(*arguments))

    def rounded_down(law, dtype, *arguments):
        for part in right(law, torch.float32, *arguments):
            yield (part - 0.1).to(dtype)

    monkeypatch.setattr(distributions, "values_of", wider)
    found = distributions.wide(law, torch.float32, 100_000, key)
    assert min(found["p_ks"], found["p_chi_square"]) < distributions.LEAST_P
    assert abs(found["moments_z"][1]) > distributions.MOST_DEVIATIONS
    monkeypatch.setattr(distributions, "values_of", rounded_down)
    found = distributions.short(law, torch.bfloat16, 100_000, key)
    assert found["p_chi_square"] < distributions.LEAST_P


def test_values_that_no_law_has_are_seen(monkeypatch):
    monkeypatch.setattr(
        distributions, "values_of", lambda *_: [torch.tensor([0.5, 1.0], dtype=torch.bfloat16)]
    )
    law = Law("uniform", (0.0, 1.0))
    found = distributions.short(law, torch.bfloat16, 2, winit.key(0))
    assert found["not_values_of_the_law"] == 1
    assert found["p_chi_square"] == 0


@pytest.mark.parametrize("law", distributions.LAWS, ids=str)
def test_the_share_below_is_the_distribution_function(law):
    values = np.linspace(*law.bounds, 101)
    assert np.allclose(distributions.share_below(law, values), law.exact.cdf(values), atol=1e-12)


def all_p(matrices):
    found = (haar.entries, haar.determinants, haar.traces, haar.angles)
    return {name: p for each in found for name, p in each(matrices).items()}


def test_matrices_that_are_not_haars_are_seen():
    matrices = ortho_group.rvs(8, size=4000, random_state=1)
    assert min(all_p(matrices).values()) > haar.LEAST_P
    generator = np.random.default_rng(1)
    q, _ = np.linalg.qr(generator.normal(size=(4000, 8, 8)))  # without the signs of R
    q[:, :, -1] *= generator.choice([-1.0, 1.0], size=4000)[:, None]  # both determinants
    seen = {name for name, p in all_p(q).items() if p < haar.LEAST_P}
    assert {"entry 0, 0", "trace of power 1", "angle, determinant +1"} <= seen
    matrices[:, :, -1] *= np.linalg.det(matrices)[:, None]  # rotations alone
    assert haar.determinants(matrices)["determinant"] < haar.LEAST_P


@pytest.mark.parametrize(("sign", "pairs"), [(1, 3), (1, 24), (-1, 2), (-1, 23)])
def test_the_law_of_angles_is_a_distribution_function(sign, pairs):
    share = haar.angle_law(np.linspace(0, np.pi, 1001), sign, pairs)
    assert share[0] == 0
    assert share[-1] == pytest.approx(1)
    assert np.all(np.diff(share) > -1e-15)


# --------------------------------------------------------------------------------------- results


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_results_passed_on_a_machine_that_is_named(path):
    result = json.loads(path.read_text())
    assert result["passed"], result["battery"]
    assert {"cpu", "torch", "python", "commit", "date"} <= result["machine"].keys()


def test_the_accuracy_is_held_to_what_is_promised():
    assert f"at most {every_word.MOST_ULP} ulp" in (ROOT / "docs" / "values.md").read_text()
