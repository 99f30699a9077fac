"""Settings for every test."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# the first call of a property imports and compiles, so it is slow; CI repeats itself
settings.register_profile("quick", deadline=None, derandomize=True, max_examples=15)
settings.register_profile("thorough", deadline=None, derandomize=True, max_examples=100)


def pytest_configure(config):
    """Properties see 15 examples each in ``make test``, and 100 where slow tests run too."""
    settings.load_profile("quick" if config.option.markexpr == "not slow" else "thorough")


SHARED = Path(os.environ.get("SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def shared_data():
    """The path of a file of real rows by its name; the test is skipped where it is not there."""

    def path(name):
        if not (SHARED / name).is_file():
            pytest.skip(f"{name} is not there; $SHARED_DATA names its folder")
        return SHARED / name

    return path


@pytest.fixture(scope="session")
def for_editors():
    """Judges configs by the JSON schema, as an editor does; preparing it takes seconds."""
    from jsonschema import Draft202012Validator

    from motet.config import json_schema

    return Draft202012Validator(json_schema())


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
