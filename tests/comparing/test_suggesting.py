"""Suggestions in special cases; those of a whole comparison are in `test_comparisons`."""

import numpy as np
import pytest
import torch
from in_process import in_process

import motet
from motet.analysis.certainty import Measurements
from motet.comparing import estimating, margins
from motet.comparing.summary import TaskMetric
from motet.problems import InputError
from motet.run.scoring import Scored
from motet.tasks import Classification, Prediction, Regression

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


@pytest.mark.parametrize("labels", [0, 1])
def test_a_task_with_too_few_labels_in_the_test_rows_leaves_others_their_tests(labels):
    noise = torch.randn(2, 400, generator=torch.Generator().manual_seed(0)).double()
    few = torch.zeros(labels, dtype=torch.int64)
    scored = {
        "a": Scored(Regression("a"), Prediction(noise[0] + 0.1 * noise[1]), noise[0]),
        "b": Scored(Regression("b"), Prediction(few.double()), few.double()),
        "c": Scored(Classification("c", classes=2), Prediction(few), few),
    }
    metrics = dict.fromkeys("ab", TaskMetric("r2", True, 1.0))
    metrics["c"] = TaskMetric("accuracy", True, 1.0)
    found = margins.tested(scored, scored, metrics, margins.Levels(0.05, 0.05))
    verdicts = {task: each.verdict for task, each in found.items()}
    assert verdicts == {"a": "not worse", "b": "cannot tell", "c": "cannot tell"}
    assert found["b"].rows == labels


def test_affinity_of_runs_of_which_one_did_not_measure_a_rare_task():
    def measured(tasks):
        shape = (len(tasks),) * 2
        value, error = np.full(shape, float(len(tasks))), np.full(shape, 0.3)
        return Measurements(tuple(tasks), value, error, np.full(shape, 4))

    for runs in (["ab", "abc"], ["abc", "ab"]):
        found = Measurements.joined([measured(tasks) for tasks in runs])
        a, b, c = map(found.tasks.index, "abc")
        assert found.matrix[a, b] == 2.5
        assert found.matrix[c, a] == found.matrix[a, c] == 3.0
        assert found.errors[a, b] == pytest.approx(0.3 / 2**0.5)  # of two runs
        assert found.errors[a, c] == pytest.approx(0.3)
        assert (found.steps[a, b], found.steps[a, c]) == (8, 4)
