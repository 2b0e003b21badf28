"""Parts of tensors on real processes against one process, and that the comparison finds faults.

`python tests/support/prove.py` makes more cases.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time

import pytest

import winit_cuda as winit
from initializers import needs_core

pytest.importorskip("torch.distributed.tensor.debug", reason="DTensors are public from 2.5 on")
distributed = pytest.importorskip("torch.distributed")
if not distributed.is_gloo_available():
    pytest.skip("torch was built without gloo", allow_module_level=True)

import prove  # noqa: E402  (which needs what is asked for above)
from proof import cases, rules  # noqa: E402

pytestmark = needs_core

SEED, COUNT = 2, 60
WORLDS = tuple(range(2, 9))
SECONDS = 60
PLAIN = cases.Case(
    seed=1,
    number=0,
    world=2,
    mesh=(2,),
    ranks=(0, 1),
    placements=(cases.Placement("S", 0),),
    initializer="normal_",
    shape=(5, 3),
    arguments={},
    dtype="float32",
    source="manual_seed",
    made="local window",
    route="dtensor",
    mode="plain",
    requires_grad=False,
)


# Composite consists of others, and has shards and DTensors in its own tests.
CLASSES = {
    name for name, kind in vars(winit).items() if isinstance(kind, type)
    and issubclass(kind, winit.Initializer) and kind not in (winit.Initializer, winit.Composite)
}  # fmt: skip


@pytest.fixture(scope="module")
def proof():
    with contextlib.closing(rules.Proof(seconds=SECONDS / 2)) as made:
        yield made


def test_random_cases(proof):
    begin = time.monotonic()
    faults = []
    for number in range(COUNT):
        case = cases.draw(SEED, number, WORLDS)
        if found := proof.check(case):
            faults += prove.explained(case, found)
        if time.monotonic() - begin > SECONDS:
            faults.append(f"{number + 1} of {COUNT} cases took more than {SECONDS} seconds")
            break
    print(*faults, sep="\n")
    assert not faults
    counts = proof.counts
    names = {name if name in CLASSES else cases.class_name(name) for name in counts["initializers"]}
    assert names == CLASSES
    assert sorted(counts["placements"]) == ["Partial", "Replicate", "Shard", "_StridedShard"]
    assert sorted(counts["worlds"]) == sorted(map(str, WORLDS))
    assert counts["outcomes"]["filled"] > 0.8 * COUNT
    assert min(counts["ranks"][kind] for kind in ("some", "nothing", "outside")) > 5


def test_every_initializer_has_its_turn():
    functions = {name for name in winit.init.__all__ if name.endswith("_")}
    assert functions == {*cases.SCHEMES} - {*cases.ONLY_CLASSES}
    assert set(map(cases.class_name, cases.SCHEMES)) == CLASSES


@pytest.mark.parametrize(
    ("initializer", "arguments", "shape"),
    [
        ("uniform_", {}, (4096, 4096)),
        ("trunc_normal_", {}, (4096, 4096)),
        ("xavier_normal_", {"gain": -1.0}, (4096, 4096)),
        ("orthogonal_", {}, (4096, 4096)),
        ("delta_orthogonal_", {}, (4096, 1024, 4)),
        ("sparse_", {"sparsity": 0.5}, (4096, 4096)),
        ("eye_", {}, (4096, 4096)),
        ("dirac_", {}, (1 << 20, 2, 8)),
        ("zeros_", {}, (4096, 4096)),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the address space")
def test_nothing_of_the_size_of_the_whole_is_allocated(proof, initializer, arguments, shape):
    case = PLAIN._replace(
        world=4, mesh=(4,), ranks=(0, 1, 2, 3), initializer=initializer, arguments=arguments,
        shape=shape,
    )  # fmt: skip
    assert proof.pool(4).together("fill_without_room", case) == [""] * 4


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("sends", "something was sent"),
        ("raises", "the ranks raise different errors"),
        ("differs", "rank 1: 6 of 6 values differ, first at (3, 0)"),
        ("draws", "ranks [1]: the generator is not where"),
        ("copies", "the memory is another"),
        ("skips", "the version has not moved"),
        ("spills", "memory around it was written"),
    ],
)
def test_faults_are_found(proof, fault, message):
    assert proof.check(PLAIN) == []
    assert message in "\n".join(proof.check(PLAIN._replace(fault=fault)))


@pytest.mark.parametrize(
    ("fault", "message"),
    [("waits", "rank 0 gives no answer in 1 seconds"), ("dies", "rank 0 is dead")],
)
def test_a_pool_whose_ranks_fail_is_made_anew(fault, message):
    with contextlib.closing(rules.Proof(seconds=10)) as proof:
        pool = proof.pool(2)
        pool.together("make", PLAIN)
        pool.seconds = 1
        assert proof.check(PLAIN._replace(fault=fault)) == [message]
        assert proof.check(PLAIN) == []
        assert proof.pool(2) is not pool


def test_refusals_are_asked_for(proof):
    """A rank that fills what all should refuse."""
    for case, reason in (
        (PLAIN._replace(placements=(cases.Placement("P"),)), cases.PARTIAL),
        (PLAIN._replace(dtype=cases.COMPLEX), cases.NO_COMPLEX),
        (PLAIN._replace(initializer="dirac_"), "dirac_: tensor must be"),
    ):
        assert proof.check(case) == []
        faults = "\n".join(proof.check(case._replace(fault="skips")))
        assert f"nothing is raised, in place of {reason}" in faults


def test_the_command(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(prove.machine, "describe", dict)  # takes a second
    file = tmp_path / "found.json"
    assert prove.main(["--cases", "3", "--worlds", "2", "--json", str(file)]) == 0
    found = json.loads(file.read_text())
    assert found["counts"]["worlds"] == {"2": 3}
    assert found["command"] == "python tests/support/prove.py --cases 3 --worlds 2-2 --seed 1"
    assert "3 cases, 0 with a fault" in capsys.readouterr().out
