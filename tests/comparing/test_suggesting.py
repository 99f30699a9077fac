"""What a comparison suggests to deploy, and the tests of it on the test rows."""

import json

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


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    path = tmp_path_factory.mktemp("suggested") / "compared"
    return motet.compare(CONFIG, rows(), output=path, margin=0.2, **ASKED)


def test_the_single_task_models_teach_one_model_in_every_seed(found):
    assert "distilled" in found.methods
    for seed in (0, 1):
        config = motet.load(found.path / f"runs/distilled-seed-{seed}").config
        assert (
            config.data.split == motet.load(found.path / "runs/single-1.a-seed-0").config.data.split
        )
        text = (found.path / f"runs/distilled-seed-{seed}/config.yaml").read_text()
        assert f"single-1.a-seed-{seed}" in text
        assert f"single-2.b-seed-{seed}" in text


def test_the_choice_is_the_best_on_validation_rows_and_is_written_down_first(found):
    choices = json.loads((found.path / "choices.json").read_text())
    whole = {name: np.mean(choices["validation"][name]) for name in ("config", "distilled")}
    suggestion = found.suggestion
    assert choices["suggestion"]["method"] == suggestion.choice.method == max(whole, key=whole.get)
    assert choices["suggestion"]["shared"] == list(suggestion.choice.shared)


def test_tasks_that_share_are_tested_once_against_single_task_models(found):
    suggestion = found.suggestion
    assert suggestion.choice.shared == ["a", "b"]
    ours = motet.load(found.path / suggestion.runs["a"])
    alone = motet.load(found.path / "runs/single-1.a-seed-0")
    reports = [each.evaluate(rows(), split="test", tasks=["a"])["a"] for each in (ours, alone)]
    test = suggestion.tests["a"]
    assert test.difference == pytest.approx(reports[0]["auroc"] - reports[1]["auroc"], abs=1e-6)
    assert test.bound < test.difference
    assert test.verdict == ("not worse" if test.p <= 0.05 else "cannot tell")
    assert any("tested" in text and "a: " in text for text in str(found).splitlines())


def test_a_smaller_margin_cannot_be_told_from_few_rows(tmp_path):
    few = motet.compare(
        CONFIG, rows(120), output=tmp_path / "c", margin=1e-6, **{**ASKED, "seeds": 1}
    )
    tests = few.suggestion.tests.values()
    assert all(each.verdict == "cannot tell" for each in tests if each.bound < -1e-6)
    saved = json.loads((few.path / "results.json").read_text())["suggestion"]
    assert saved["levels"] == {"margin": 1e-6, "error": 0.05}


def test_tasks_that_sharing_hurts_keep_their_own_models(tmp_path):
    """One unit for two unrelated tasks, of which the second gets almost no weight."""
    random = np.random.default_rng(1)
    x = random.normal(size=(400, 2))
    table = {"x0": x[:, 0], "x1": x[:, 1], "a": x[:, 0], "b": x[:, 1]}
    config = {
        "tasks": {"a": {"type": "regression", "weight": 1000.0}, "b": "regression"},
        "model": {"encoder": {"type": "mlp", "hidden": [1], "dropout": 0.0}},
        "training": {
            "epochs": 15,
            "batch_size": 32,
            "early_stopping": None,
            "optimizer": {"learning_rate": 0.03},
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
        ({"single_task": False}, "single-task models are the teachers"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    with pytest.raises(InputError, match=message):
        motet.compare(CONFIG, rows(), **{**ASKED, **changes})
