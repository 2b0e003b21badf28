import pytest

from meshes import fake_group


@pytest.fixture
def fake_ranks():
    """Ranks in one process; see `meshes`."""
    with fake_group():
        yield
