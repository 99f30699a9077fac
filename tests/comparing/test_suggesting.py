"""Suggestions in special cases; those of a whole comparison are in `test_comparisons`."""

import numpy as np
import pytest
from in_process import in_process

import motet
from motet.comparing import estimating
from motet.problems import InputError

__all__ = ["in_process"]
CONFIG = {
    "tasks": {"a": "classification", "b": "regression"},
    "model": {"encoder": {"type": "mlp", "hidden": [8]}},
    "training": {
        "epochs": 12,
        "batch_size": 64,
        "early_stopping": None,
        "optimizer": {"learning_rate": 0.03},
    },
}
ASKED = {"seeds": 2, "candidates": 0, "suggest": True}


def rows(count=400):
    random = np.random.default_rng(0)
    x = random.normal(size=(count, 3))
    z = x @ [1.0, -1.0, 0.5]
    columns = {f"x{place}": values for place, values in enumerate(x.T)}
    return columns | {"a": np.where(z > 0, "yes", "no"), "b": z + 0.1 * random.normal(size=count)}


@pytest.fixture(scope="module", autouse=True)
def _estimated_at_once():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(estimating, "SECONDS", 0.01)
        yield


def test_tasks_that_sharing_hurts_keep_their_own_models(tmp_path):
    """One unit for two unrelated tasks, of which the second gets almost no weight."""
    random = np.random.default_rng(1)
    x = random.normal(size=(200, 2))
    table = {"x0": x[:, 0], "x1": x[:, 1], "a": x[:, 0], "b": x[:, 1]}
    config = {
        "tasks": {"a": {"type": "regression", "weight": 1000.0}, "b": "regression"},
        "model": {"encoder": {"type": "mlp", "hidden": [1], "dropout": 0.0}},
        "training": {
            "epochs": 4,
            "batch_size": 16,
            "early_stopping": None,
            "optimizer": {"learning_rate": 0.1},
        },
    }
    found = motet.compare(config, table, output=tmp_path / "c", **{**ASKED, "seeds": 1})
    assert found.suggestion.choice.shared == []
    assert found.suggestion.tests == {}
    assert {*found.suggestion.runs.values()} == {"runs/single-1.a-seed-0", "runs/single-2.b-seed-0"}
    assert "single-task models for all tasks" in str(found)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"margin": 0.0}, "margin"),
        ({"error": 0.7}, "error"),
        ({"single_task": False}, "suggest: found no single-task models"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    with pytest.raises(InputError, match=message):
        motet.compare(CONFIG, rows(), **{**ASKED, **changes})
