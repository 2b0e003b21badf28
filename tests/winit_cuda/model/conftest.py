import pytest

from meshes import fake_group


@pytest.fixture
def fake_ranks():
    """Ranks in one process; see `meshes`."""
    with fake_group():
        yield


@pytest.fixture
def tensor_api():
    """torch's public module of DTensors, which torch 2.4 does not have yet."""
    api = pytest.importorskip("torch.distributed.tensor")
    if not hasattr(api, "distribute_tensor"):
        pytest.skip("torch has no public DTensor")
    return api
