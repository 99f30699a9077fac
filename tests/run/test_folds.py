"""Runs of folds: every row predicted by a model that did not see it, and the models as one."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import motet
from motet.config import ConfigError
from motet.config.only_tasks import only_tasks
from motet.problems import InputError
from motet.run import check, ensemble
from motet.run.ensembles import Ensemble
from motet.run.folder import folds_of
from motet.tuning import ranges

ROWS = {
    "x": [float(row % 30) for row in range(90)],
    "who": [row // 3 for row in range(90)],
    "kind": ["rare" if row in (0, 1) else "ab"[row % 30 > 14] for row in range(90)],
    "spend": [2.0 * (row % 30) for row in range(90)],
}
CONFIG = {
    "data": {"split": {"folds": 3, "group": "who"}},
    "inputs": {"x": "number"},
    "tasks": {"kind": "classification", "spend": "regression"},
    "training": {"epochs": 2, "batch_size": 32},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return motet.train(CONFIG, data=ROWS, output=tmp_path_factory.mktemp("folds") / "run")


def test_every_row_is_predicted_by_the_model_that_did_not_see_it(run):
    assert isinstance(run, Ensemble)
    table = pq.read_table(run.path / "predictions/test.parquet")
    assert table["row"].to_pylist() == list(range(90))
    for fold in (1, 2, 3):
        own = motet.load(run.path / "folds" / str(fold))
        split = own.config.data.split
        assert (split.folds, split.fold) == (3, fold)
        held_out = pq.read_table(own.path / "predictions/test.parquet")
        rows = held_out["row"].to_pylist()
        whole = own.predict({name: [ROWS[name][row] for row in rows] for name in ("x",)})
        np.testing.assert_allclose(whole["spend"], held_out["spend"], rtol=1e-5)
        assert table.take(rows)["spend"].equals(held_out["spend"])


def test_the_ensemble_predicts_the_mean_from_its_model_folder_alone(run, tmp_path):
    moved = (run.path / "model").rename(tmp_path / "model")
    alone = motet.load(moved)
    members = [each.predict({"x": [3.0, 25.0]}) for each in alone.members]
    found = alone.predict({"x": [3.0, 25.0]})
    moved.rename(run.path / "model")
    for column in ("spend", "kind_probability_a", "kind_probability_rare"):
        mean = np.mean([each[column].to_numpy() for each in members], axis=0)
        np.testing.assert_allclose(found[column], mean)


def test_all_members_know_classes_that_some_folds_lack(run):
    names = {each.predict(ROWS).column_names.index("kind_probability_rare") for each in run.members}
    assert len(names) == 1


def test_an_ensemble_is_evaluated_on_new_rows_with_the_mean_loss_of_its_members(run):
    new = {name: values[:60] for name, values in ROWS.items()}
    report = run.evaluate(new)
    losses = [each.evaluate(new)["spend"]["loss"] for each in run.members]
    mae = np.abs(run.predict(new)["spend"].to_numpy() - np.array(new["spend"])).mean()
    assert report["spend"]["mae"] == pytest.approx(mae)
    assert report["spend"]["loss"] == pytest.approx(np.mean(losses))
    assert report["spend"]["count"] == 60


def test_evaluation_on_the_rows_of_the_run_warns_and_has_no_split(run):
    with pytest.warns(UserWarning, match="rows that the models were trained on"):
        run.evaluate(ROWS)
    with pytest.raises(InputError, match="every row trained some of the models"):
        run.evaluate(ROWS, split="test")
    with pytest.raises(InputError, match="a representation for each of its models"):
        run.embed(ROWS)


def test_a_run_that_was_stopped_between_folds_ends_as_if_it_had_not(run, tmp_path, monkeypatch):
    from motet.run import folds

    real, begun = folds.train_one, []

    def stop_in_third(*arguments, **options):
        begun.append(1)
        if len(begun) == 3:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    monkeypatch.setattr(folds, "train_one", stop_in_third)
    with pytest.raises(KeyboardInterrupt):
        motet.train(CONFIG, data=ROWS, output=tmp_path / "again")
    monkeypatch.undo()
    again = motet.resume(tmp_path / "again", data=ROWS)
    assert again.predict(ROWS).equals(run.predict(ROWS))
    first, second = (pq.read_table(each.path / "predictions/test.parquet") for each in (run, again))
    assert first.equals(second)
    with pytest.raises(InputError, match="is finished; there is nothing to resume"):
        motet.resume(again.path, data=ROWS)


def test_ctrl_c_in_a_fold_names_the_run_that_continues_with_all_folds(tmp_path, monkeypatch):
    real, said = motet.Trainer.train_step, []

    def step(self, batch):
        self.stop_requested = True
        return real(self, batch)

    with monkeypatch.context() as patched:
        patched.setattr(motet.Trainer, "train_step", step)
        with pytest.raises(KeyboardInterrupt):
            motet.train(CONFIG, data=ROWS, output=tmp_path / "run", say=said.append)
    assert said[-1] == f"stopped    at step 1; continue with: motet resume {tmp_path / 'run'}"
    assert isinstance(motet.resume(tmp_path / "run", data=ROWS), Ensemble)


def test_a_run_that_was_stopped_while_folds_were_calibrated_continues_there(tmp_path, monkeypatch):
    training = {"epochs": 1, "batch_size": 32, "calibrate": True}
    config = {**CONFIG, "data": {"split": {"folds": 2}}, "training": training}

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("motet.run.folds_together._scores_of", stop)
        with pytest.raises(KeyboardInterrupt):
            motet.train(config, data=ROWS, output=tmp_path / "run")
    again = motet.resume(tmp_path / "run", data=ROWS)
    assert again.calibration.tasks["spend"].source == "folds"
    assert "spend_low" in again.predict(ROWS, intervals=0.8).column_names
    assert motet.load(again.path).calibration.tasks.keys() == again.calibration.tasks.keys()


def test_folds_of_a_file_beside_its_config_are_calibrated_from_any_folder(tmp_path, monkeypatch):
    pq.write_table(pa.table(ROWS), tmp_path / "rows.parquet")
    (tmp_path / "config.yaml").write_text(
        "{data: {source: rows.parquet, split: {folds: 2}}, inputs: {x: number}, "
        "tasks: {spend: regression}, training: {epochs: 1, calibrate: true}}"
    )
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    found = motet.train(tmp_path / "config.yaml", output=tmp_path / "run")
    assert found.calibration.tasks.keys() == {"spend"}


def test_one_override_may_be_given_alone(tmp_path):
    assert check(CONFIG, data=ROWS, overrides="training.epochs=1").config.training.epochs == 1
    overrides = only_tasks(CONFIG, ["spend"], "training.epochs=1")
    assert overrides == ["training.epochs=1", "tasks.kind.enabled=false"]
    ranges.check(CONFIG, "training.epochs=1", {"training.seed": (1, 2)})


def test_one_fold_can_be_trained_alone_and_its_models_be_tested_together(tmp_path):
    config = {**CONFIG, "data": {"split": {"folds": 3, "fold": 2}}}
    found = motet.train(config, data=ROWS, output=tmp_path / "run")
    assert not isinstance(found, Ensemble)
    assert len(pq.read_table(found.path / "predictions/test.parquet")) == 30
    other = motet.train(config, ROWS, ["training.seed=1"], tmp_path / "other")
    both = ensemble([found.path, other.path], tmp_path / "both")
    assert both.evaluate(ROWS, split="test")["spend"]["count"] == 30


def test_too_few_groups_for_the_folds_are_reported_before_anything_is_written(tmp_path):
    config = {**CONFIG, "data": {"split": {"folds": 31, "group": "who"}}}
    for call in (check, lambda c, data: motet.train(c, data=data, output=tmp_path / "run")):
        with pytest.raises(ConfigError, match="column 'who' has 30 groups; expected at least 31"):
            call(config, data=pa.table(ROWS))
    assert not (tmp_path / "run").exists()


def test_embeddings_of_folds_are_refused_as_their_axes_differ(tmp_path):
    config = {**CONFIG, "tasks": {"who": {"type": "triplet", "width": 2}}}
    config |= {"data": {"split": {"folds": 3}}, "training": {"monitor": "loss"}}
    with pytest.raises(ConfigError, match=r"split.folds: task 'who' learns an embedding"):
        motet.train(config, data=ROWS, output=tmp_path / "run")
    check({**config, "data": {"split": {"folds": 3, "fold": 1}}}, data=ROWS)


def test_classes_of_folds_are_those_of_the_rows_that_the_task_is_judged_on(tmp_path):
    task = {"type": "classification", "rows": "x > 1"}
    config = {**CONFIG, "tasks": {"kind": task}, "training": {"epochs": 1, "batch_size": 32}}
    found = motet.train(config, data=ROWS, output=tmp_path / "run")
    assert found.config.tasks["kind"].options()["classes"] == ("a", "b")


def test_weights_and_conditions_hold_in_every_fold_and_in_the_ensemble(tmp_path):
    table = {**ROWS, "w": [float(row % 4) for row in range(90)]}
    tasks = {
        "kind": {"type": "classification", "rows": "spend > 10", "classes": ["a", "b", "rare"]},
        "spend": {"type": "regression", "row_weight": "w", "weighted_metrics": True},
    }
    config = {**CONFIG, "tasks": tasks}
    run = motet.train(config, data=table, output=tmp_path / "run")
    w, spend = np.array(table["w"]), np.array(ROWS["spend"])
    held_out = pq.read_table(run.path / "predictions/test.parquet")
    assert held_out.num_rows == 90  # predictions are made for all rows
    for each in run.members:
        task, mean = each.model.tasks["spend"], each.model.tasks["spend"].row_weights.mean
        assert mean == pytest.approx(2, abs=0.3)  # of the rows whose weight is not 0
        assert task.weighted_metrics
    with pytest.warns(UserWarning, match="these are the rows that the models were trained on"):
        found = run.evaluate(table)
    error = np.abs(run.predict(table)["spend"].to_numpy() - spend)
    assert found["spend"]["mae"] == pytest.approx((w * error).sum() / w.sum(), rel=1e-4)
    assert found["spend"]["count"] == (w > 0).sum()
    assert found["kind"]["count"] == (spend > 10).sum()
    with pytest.warns(UserWarning, match="these are the rows that the models were trained on"):
        heavy = run.evaluate({**table, "w": (w * 100).tolist()})
    assert heavy["spend"]["loss"] == pytest.approx(found["spend"]["loss"], rel=1e-5)


def test_a_fold_that_cannot_be_trained_is_reported_before_the_first(tmp_path):
    few = ["b" if row == 40 else ["a", None][row % 2] for row in range(90)]
    config = {**CONFIG, "data": {"split": {"folds": 6}}, "training": {"monitor": "spend"}}
    with pytest.raises(ConfigError, match=r"tasks.kind: fold \d: column 'kind'"):
        motet.train(config, data={**ROWS, "kind": few}, output=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_two_groups_are_too_few_for_two_folds(tmp_path):
    rows = {**ROWS, "who": [row // 45 for row in range(90)]}
    config = {**CONFIG, "data": {"split": {"folds": 2, "group": "who"}}}
    with pytest.raises(ConfigError, match="all but fold 1 have one group of 'who'"):
        check(config, data=rows)


def test_folds_are_in_the_order_of_their_numbers(tmp_path):
    for name in ("2", "10", "1", "other"):
        (tmp_path / "folds" / name).mkdir(parents=True)
    assert [each.name for each in folds_of(tmp_path)] == ["1", "2", "10"]
