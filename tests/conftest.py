"""Settings for every test."""

import pytest
from hypothesis import settings

# the first call of a property imports and compiles, so it is slow; CI repeats itself
settings.register_profile("motet", deadline=None, derandomize=True)
settings.load_profile("motet")

LOOPS = "not installed: pip install 'motet[loops]'"


@pytest.fixture
def lightning():
    """The package, for tests of a loop in it."""
    return pytest.importorskip("pytorch_lightning", reason=LOOPS)


@pytest.fixture
def transformers(monkeypatch):
    """The package, for tests of a loop in it: offline, and not taken in by tests/datasets."""
    package = pytest.importorskip("transformers", reason=LOOPS)
    pytest.importorskip("accelerate", reason=LOOPS)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("transformers.trainer.is_datasets_available", lambda: False)
    return package
