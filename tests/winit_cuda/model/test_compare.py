"""Two samples: of one law nothing is said, of two it is."""

from __future__ import annotations

import pytest
import torch

from winit_cuda._model.compare import summaries


def summary(tensor):
    return summaries([tensor])[0]


def drawn(law, shape, seed):
    generator = torch.Generator().manual_seed(seed)
    tensor = torch.empty(shape)
    if law == "uniform":
        return tensor.uniform_(-(3**0.5), 3**0.5, generator=generator)
    return tensor.normal_(0.0, float(law), generator=generator)


@pytest.mark.parametrize("shape", [(16,), (40, 40), (300, 200)], ids=str)
@pytest.mark.parametrize("law", ["uniform", "1.0"])
def test_one_law(shape, law):
    pairs = ((summary(drawn(law, shape, s)), summary(drawn(law, shape, -1 - s))) for s in range(20))
    assert not any(one.differs(other) for one, other in pairs)


@pytest.mark.parametrize(
    ("one", "other", "shape"),
    [
        ("1.0", "3.0", (150,)),
        ("1.0", "1.1", (300, 200)),
        ("1.0", "uniform", (300, 200)),
        ("uniform", "0.9", (300, 200)),
    ],
)
def test_two_laws(one, other, shape):
    pairs = ((summary(drawn(one, shape, s)), summary(drawn(other, shape, s))) for s in range(20))
    assert all(a.differs(b) and b.differs(a) for a, b in pairs)


def test_a_mean():
    assert summary(drawn("1.0", (40, 40), 0)).differs(summary(drawn("1.0", (40, 40), 1) + 0.5))


def test_bounds():
    few, other = summary(torch.tensor([0.5, 1.5])), summary(torch.tensor([-0.9, 0.8]))
    assert few.differs(other, -1.0, 1.0)
    assert not few.differs(other, -2.0, 2.0)


def test_constants():
    ones, values = torch.ones(3), drawn("1.0", (3,), 0)
    assert not summary(ones).differs(summary(torch.ones(3)))
    assert summary(ones).differs(summary(torch.full((3,), 2.0)))
    assert summary(ones).differs(summary(values))
    assert summary(values).differs(summary(ones))
    assert summary(values[:1]).differs(summary(torch.zeros(1)))
    assert summary(torch.zeros(1)).differs(summary(values[:1]))
    assert not summary(torch.zeros(1)).differs(summary(torch.zeros(1)))


def test_where_nothing_can_be_said():
    few = summary(torch.tensor([1.0, 2.0]))
    assert not few.differs(summary(torch.tensor([100.0, 200.0])))
    assert not summary(torch.tensor(1.0)).differs(summary(torch.tensor(2.0)))
    broken = summary(torch.full((100, 100), torch.nan))
    assert not broken.differs(summary(torch.ones(100, 100)))
    assert summary(torch.empty(0)) is None
    assert summary(torch.empty(3, device="meta")) is None


def test_in_words():
    assert str(summary(torch.zeros(5))) == "0"
    assert str(summary(drawn("0.02", (300, 200), 0))) == "std 0.02"
    assert str(summary(drawn("0.5", (300, 200), 0) + 3)) == "mean 2.99, std 0.5"


def test_parts_of_a_large_tensor_are_all_looked_at():
    """A sample of its first elements would not see the rest."""
    whole = drawn("1.0", (1024, 512), 0)
    changed = whole.clone()
    changed[512:] *= 2
    assert summary(whole).differs(summary(changed))
    assert summary(whole).size < 1 << 15


def test_each_tensor_has_its_own():
    tensors = [torch.ones(3), torch.empty(0), torch.arange(20.0)]
    assert summaries(tensors) == [summary(each) for each in tensors]
    assert [each and each.high for each in summaries(tensors)] == [1.0, None, 19.0]
