"""`motet tune`: what it tries, keeps and writes, and that it never reads test rows."""

import json

import numpy as np
import pyarrow.csv
import pytest
import yaml
from in_process import in_process
from typer.testing import CliRunner

import motet
from motet.cli import app
from motet.config import Config, ConfigError
from motet.problems import InputError
from motet.tuning.ranges import override

pytest.importorskip("optuna", reason="needs Optuna, an extra")

__all__ = ["in_process"]
RATE = "training.optimizer.learning_rate"
CONFIG = {
    "tasks": {"a": "regression"},
    "model": {"encoder": {"type": "mlp", "hidden": [4]}},
    "training": {"epochs": 9, "batch_size": 64, "device": "cpu", "early_stopping": None},
    "tuning": {"ranges": {RATE: {"low": 1e-4, "high": 1e-1, "log": True}}, "trials": 9},
}


def rows(count=200):
    x = np.random.default_rng(0).normal(size=(count, 2))
    return {"x0": x[:, 0], "x1": x[:, 1], "a": x @ [1.0, -2.0]}


def tuning(**changes):
    return {**CONFIG, "tuning": {**CONFIG["tuning"], **changes}}


@pytest.fixture(scope="module")
def search(tmp_path_factory):
    path = tmp_path_factory.mktemp("search") / "tuned"
    lines = []
    return motet.tune(CONFIG, rows(), output=path, say=lines.append), lines


def test_the_best_third_goes_on_with_three_times_the_epochs(search):
    tuned, lines = search
    assert [each.epochs for each in tuned.trials] == [9, *[3] * 2, *[1] * 6]
    assert [each.status for each in tuned.trials] == ["finished", *["pruned"] * 8]
    assert "9 with 1 epoch, 3 with 3 epochs, 1 with 9 epochs" in lines[0]
    for rung in (1, 2):
        run = tuned.path / "plans" / f"round-01-rung-{rung}" / "runs"
        went_on = {each.number for each in tuned.trials if each.rung >= rung}
        scores = {int(path.name[-3:]): _score(path) for path in run.iterdir()}
        assert set(sorted(scores, key=scores.get)[-len(went_on) :]) == went_on


def test_rungs_have_the_epochs_that_a_late_task_needs(tmp_path):
    late = ["tasks.b={type: regression, enabled: {from: 2}}", "tuning.trials=3"]
    table, lines = rows(), []
    table["b"] = table["a"]
    tuned = motet.tune(CONFIG, table, overrides=late, output=tmp_path / "t", say=lines.append)
    assert "3 with 3 epochs, 1 with 9 epochs" in lines[0]
    assert [each.status for each in tuned.trials] == ["finished", "pruned", "pruned"]


def _score(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return max(line["monitored"] for line in lines if line["split"] == "validation")


def test_the_best_config_trains_as_the_best_trial_did(search, tmp_path):
    tuned, _ = search
    best = yaml.safe_load(tuned.config.read_text())
    assert best["training"]["optimizer"]["learning_rate"] == tuned.best.values[RATE]
    assert best["training"]["epochs"] == 9
    assert "tuning" not in best or best["tuning"] is None
    run = motet.train(best, rows(), output=tmp_path / "run")
    weights = [path / "model/model.safetensors" for path in (run.path, tuned.best.run)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert (run.path / "predictions/test.parquet").is_file()


def test_test_rows_change_nothing(search, tmp_path):
    tuned, _ = search
    assert not list(tuned.path.rglob("test.parquet"))
    other = rows()
    other["a"][_test_rows(other, tmp_path)] = 1e3
    again = motet.tune(CONFIG, other, output=tmp_path / "other")
    assert again.table().drop(["trial"]).equals(tuned.table().drop(["trial"]))


def _test_rows(table, folder):
    path = motet.train(CONFIG, table, overrides=["training.epochs=1"], output=folder / "r").path
    return pyarrow.parquet.read_table(path / "predictions/test.parquet")["row"].to_numpy()


def test_a_search_continues_where_it_was_interrupted(search, tmp_path, monkeypatch):
    tuned, _ = search
    path, before = tmp_path / "tuned", motet.planning.Plan.carry_out

    def interrupted(self, **options):
        if "rung-2" in str(self.path):
            raise KeyboardInterrupt
        return before(self, **options)

    monkeypatch.setattr(motet.planning.Plan, "carry_out", interrupted)
    with pytest.raises(KeyboardInterrupt):
        motet.tune(CONFIG, rows(), output=path)
    monkeypatch.undo()
    first = path / "plans/round-01-rung-1/runs/trial-001/metrics.jsonl"
    made = first.stat().st_mtime_ns
    again = motet.tune(CONFIG, rows(), output=path)
    assert again.table().equals(tuned.table())
    assert first.stat().st_mtime_ns == made


def test_a_search_starts_each_trial_from_an_earlier_run(tmp_path):
    config = CONFIG | {"training": CONFIG["training"] | {"epochs": 1}}
    earlier = motet.train({**config, "tuning": None}, rows(), output=tmp_path / "earlier").path
    table = rows() | {"b": rows()["x0"]}
    config = tuning(trials=1) | {"tasks": {"b": "regression"}, "from_run": str(earlier)}
    del config["model"]  # that of the earlier run
    given = {"overrides": ["training.epochs=1"], "output": tmp_path / "tuned"}
    tuned = motet.tune(config, table, **given)
    changed = motet.load(tuned.best.run).changes()["a"]
    expected = motet.load(earlier).evaluate(table, split="validation")["a"]["mae"]
    assert changed.before["mae"] == pytest.approx(expected, rel=1e-5)
    assert yaml.safe_load(tuned.config.read_text())["from_run"]["path"] == str(earlier)
    fixed = ["tuning.ranges={model.encoder.hidden: [[4], [8]]}"]
    expected = r"^tuning.ranges, model.encoder.hidden=\[8\]: .*hidden: found \[8\], expected \[4\]"
    with pytest.raises(InputError, match=expected):
        motet.tune(config, table, overrides=fixed, output=tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_later_rounds_learn_from_earlier_ones_and_repeat_exactly(tmp_path):
    config = tuning(
        ranges={"balancing": ["equal", {"type": "uncertainty"}], "training.epochs": [1, 2]},
        trials=3,
        seed=5,
    )
    found = [motet.tune(config, rows(), output=tmp_path / name).table() for name in ("a", "b")]
    assert found[0].equals(found[1])
    assert found[0]["status"].to_pylist() == ["finished"] * 3
    assert set(found[0]["balancing"].to_pylist()) <= {"equal", "{type: uncertainty}"}


def test_a_trial_that_fails_is_ranked_last_and_the_reason_is_told(tmp_path):
    config = tuning(ranges={RATE: [1e-3, 1e30]}, trials=4)
    tuned = motet.tune(config, rows(), output=tmp_path / "t", overrides=["training.epochs=1"])
    failed = [each for each in tuned.trials if each.status == "failed"]
    assert failed == list(tuned.trials[-len(failed) :])
    assert {(each.values[RATE], "NaN" in each.error) for each in failed} == {(1e30, True)}


# Mistakes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ({RATE: {"low": 1.0, "high": 0.1}}, "expected low < high"),
        ({RATE: {"low": 0.0, "high": 0.1, "log": True}}, "expected low > 0"),
        ({RATE: {"low": 0.1, "high": 0.2, "log": True, "step": 0.1}}, "log: true and step"),
        ({RATE: [0.1]}, "at least 2"),
        ({}, "at least one|at least 1|>= 1"),
    ],
)
def test_ranges_are_checked(ranges, message):
    with pytest.raises(ConfigError, match=message) as raised:
        Config(**tuning(ranges=ranges))
    assert len(raised.value.problems) == 1


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ({"training.optimiser.learning_rate": [0.1, 0.2]}, r"training.optimiser.*optimizer"),
        ({"model.sharing": ["hard", "mmo"]}, "mmoe"),
        ({RATE: {"low": -1.0, "high": 0.1}}, r"learning_rate=-1.0"),
    ],
)
def test_every_end_and_choice_must_fit_the_config(ranges, message, tmp_path):
    with pytest.raises(InputError, match=message):
        motet.tune(tuning(ranges=ranges), rows(), output=tmp_path / "t")
    assert not (tmp_path / "t").exists()


def test_another_search_does_not_continue_in_the_same_folder(search):
    with pytest.raises(InputError, match="another config"):
        motet.tune(tuning(seed=9), rows(), output=search[0].path)


def test_a_search_needs_ranges_and_validation_rows():
    with pytest.raises(InputError, match="found no ranges"):
        motet.tune({**CONFIG, "tuning": None}, rows())
    with pytest.raises(InputError, match="folds"):
        motet.tune({**CONFIG, "data": {"split": {"folds": 3}}}, rows())
    with pytest.raises(InputError, match="trials"):
        motet.tune(CONFIG, rows(), trials=0)


def test_values_are_overrides_that_read_back():
    for value in (1e-5, 3, "a", None, True, {"type": "mmoe", "experts": 4}, [256, 128]):
        key, _, text = override("k", value).partition("=")
        assert key == "k"
        assert yaml.safe_load(text) == value


# The command -----------------------------------------------------------------------------------


def test_the_command_ranks_trials_and_says_what_is_next(tmp_path):
    columns = rows(60)
    pyarrow.csv.write_csv(pyarrow.table(columns), tmp_path / "rows.csv")
    config = {"data": {"source": "rows.csv"}, **tuning(ranges={"training.epochs": [1, 2]})}
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(config))
    asked = ["tune", str(tmp_path / "small.yaml"), "--trials", "2", "-o", str(tmp_path / "t")]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 0, result.output
    assert "rank" in result.output
    assert f"motet train {tmp_path / 't' / 'best.yaml'}" in result.output
    assert (tmp_path / "t/ranking.csv").is_file()
    best = yaml.safe_load((tmp_path / "t/best.yaml").read_text())
    assert best["data"]["source"] == str(tmp_path / "rows.csv")


def test_training_says_that_ranges_are_left_out(tmp_path):
    lines = []
    given = {**CONFIG, "training": {**CONFIG["training"], "epochs": 1}}
    motet.train(given, rows(), output=tmp_path / "run", say=lines.append)
    assert any("motet tune" in line for line in lines)
