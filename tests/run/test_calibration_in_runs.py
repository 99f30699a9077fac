"""Calibration in runs: temperatures and intervals, saved with the weights; joined runs."""

import json
import shutil

import numpy as np
import pytest
from scipy import stats

import motet
from motet.problems import InputError

N = 900


def rows(seed, count=N):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 2))
    noise = rng.normal(size=(3, count))
    stars = np.digitize(x[:, 0] + noise[0], [-1, 0, 1])
    tags = [
        [name for name, own in (("hot", 0), ("new", 1)) if x[i, own] + noise[own, i] > 0.3]
        + (["rare"] if i % 300 == 1 else [])
        for i in range(count)
    ]
    return {
        "x": x[:, 0],
        "z": x[:, 1],
        "price": 3 * x[:, 0] + noise[1] * np.exp(x[:, 1] / 3),
        "kind": np.array(["a", "b", "c"])[np.digitize(x[:, 1] + noise[2], [-0.5, 0.5])],
        "stars": stars,
        "visits": rng.poisson(np.exp(0.5 + x[:, 0] / 2)),
        "wait": x[:, 1] + noise[0] / 2,
        "tags": tags,
        "text": ["word " * (1 + i % 3) for i in range(count)],
    }


CONFIG = {
    "data": {"split": {"validation": 0.1, "test": 0.1, "calibration": 0.3}},
    "inputs": {"x": "number", "z": "number"},
    "tasks": {
        "price": "regression",
        "kind": "classification",
        "stars": "ordinal",
        "visits": "count",
        "wait": {"type": "quantile", "quantiles": [0.1, 0.5, 0.9]},
        "tags": "multi_label",
    },
    "model": {"encoder": {"type": "mlp", "hidden": [16]}},
    "training": {"epochs": 6, "batch_size": 32, "device": "cpu", "calibrate": True},
}
NEW = rows(1, 3000)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    said = []
    found = motet.train(
        CONFIG, data=rows(0), output=tmp_path_factory.mktemp("run") / "run", say=said.append
    )
    found.said = said
    return found


def contains(found, task):
    """Which new rows have their truth in the interval or set."""
    truth = NEW[task]
    if f"{task}_low" in found.column_names:
        low, high = (found[f"{task}_{end}"].to_numpy() for end in ("low", "high"))
        return (low <= truth) & (truth <= high)
    sets = found[f"{task}_set"].to_pylist()
    return np.array([each in own for each, own in zip(truth, sets, strict=True)])


def test_intervals_and_sets_hold_the_truth_of_new_rows_as_often_as_stated(run):
    found = run.predict(NEW, intervals=0.9)
    for task in ("price", "kind", "stars", "visits", "wait"):
        share = contains(found, task).mean()
        # 270 rows of calibration: the coverage of one run is Beta distributed around the level
        assert share >= stats.beta.ppf(1e-4, 243, 28) - 0.02, task
        if task in ("price", "wait"):
            assert share <= stats.beta.ppf(1 - 1e-4, 243, 28) + 0.02, task
    assert found["visits_low"].to_numpy().min() >= 0


def test_each_tag_of_a_row_is_in_its_set_as_often_as_stated_and_rare_ones_always(run):
    found = run.predict(NEW, tasks=["tags"], intervals=0.9)["tags_set"].to_pylist()
    for tag in ("hot", "new"):
        having = [tag in own for own, true in zip(found, NEW["tags"], strict=True) if tag in true]
        assert 0.82 < np.mean(having) < 0.97
    assert all("rare" in own for own in found)
    assert any("too few rows of calibration have them: rare" in note for note in run.notes)


def test_a_higher_level_gives_wider_intervals_and_other_columns_stay(run):
    plain, one, two = run.predict(NEW), *(run.predict(NEW, intervals=p) for p in (0.5, 0.95))
    assert two.select(plain.column_names).equals(plain)
    width = [(t["price_high"].to_numpy() - t["price_low"].to_numpy()).mean() for t in (one, two)]
    assert width[0] < width[1]
    stars = [sorted(own) for own in two["stars_set"].to_pylist()]
    assert all(own == list(range(own[0], own[-1] + 1)) for own in stars)


def test_a_run_reports_its_temperatures_and_predicts_with_them_ever_after(run):
    assert any("temperatures, fitted on validation rows" in line for line in run.said)
    assert any("calibration" in line and "train" in line for line in run.said)
    again = motet.load(run.path)
    temperature = run.calibration.tasks["kind"].temperature
    assert again.model.tasks["kind"].calibration_temperature == temperature != 1
    assert again.predict(NEW, intervals=0.8).equals(run.predict(NEW, intervals=0.8))
    assert again.evaluate(NEW)["kind"] == run.evaluate(NEW)["kind"]


def test_a_temperature_lowers_the_log_loss_of_a_model_that_is_too_sure(tmp_path):
    config = {
        **CONFIG,
        "tasks": {"kind": {"type": "classification", "metrics": ["log_loss", "calibration_error"]}},
        "data": {"split": {"validation": 0.3}},
    }
    config["training"] = {**CONFIG["training"], "calibrate": False, "epochs": 60, "average": None}
    config["training"] |= {"early_stopping": None, "monitor": "loss", "learning_rate": None}
    config["training"].pop("learning_rate")
    run = motet.train(config, data=rows(0, 300), output=tmp_path / "run")
    for parameter in run.model.heads["kind"].parameters():
        parameter.data *= 3  # too sure
    before = run.evaluate(NEW)["kind"]
    found = run.calibrate(rows(2, 400))
    after = run.evaluate(NEW)["kind"]
    assert found.tasks["kind"].temperature > 1
    assert after["log_loss"] < before["log_loss"]
    assert after["calibration_error"] < before["calibration_error"]


def test_a_run_without_calibration_explains_how_to_get_one_and_then_has_it(tmp_path):
    config = {**CONFIG, "training": {**CONFIG["training"], "calibrate": False, "epochs": 1}}
    run = motet.train(config, data=rows(0), output=tmp_path / "run")
    with pytest.raises(InputError, match=r"is not calibrated for price, kind.*motet calibrate RUN"):
        run.predict(NEW, intervals=0.9)
    with pytest.raises(
        InputError, match="trained on 450 of these 900 rows, which cannot calibrate"
    ):
        run.calibrate(rows(0))
    run.calibrate(rows(0), split="calibration")
    assert (
        run.predict(NEW, intervals=0.9).num_columns
        == motet.load(run.path).predict(NEW, intervals=0.9).num_columns
    )
    run.calibrate({"x": [0.1] * 3, "z": [0.2] * 3, "price": [1.0, 2.0, 3.0]})
    with pytest.raises(InputError, match=r"task 'price': found 3 labelled rows.*at least 9"):
        run.predict(NEW, intervals=0.9)
    assert "kind" in run.calibration.tasks


def test_a_task_without_labels_in_the_rows_stays_as_it_is(run, tmp_path):
    copy = motet.load(shutil.copytree(run.path, tmp_path / "run"))
    before = copy.calibration.tasks
    others = rows(5, 60) | {"price": [None] * 60, "kind": ["unseen"] * 60}
    found = copy.calibrate(others)
    assert {"price", "kind"}.isdisjoint(found.tasks)
    assert "stars" in found.tasks
    assert copy.calibration.tasks["price"] is before["price"]
    assert copy.calibration.tasks["kind"] is before["kind"]
    with pytest.raises(InputError, match="no row has a label of price"):
        copy.calibrate(others, tasks=["price"])
    with pytest.raises(InputError, match="level: found 'high'; expected a number between 0 and 1"):
        copy.predict(NEW, intervals="high")


def test_a_calibration_of_other_weights_or_a_lost_one_is_refused(run, tmp_path):
    shutil.copytree(run.path / "model", tmp_path / "model")
    learned = tmp_path / "model/learned.json"
    content = json.loads(learned.read_text())
    learned.unlink()
    with pytest.raises(InputError, match=r"learned.json has no calibration, and the model was"):
        motet.load(tmp_path / "model")
    content.pop("digest")
    content["calibration"]["of"] = "another"
    learned.write_text(json.dumps(content))
    with pytest.raises(InputError, match="of other weights"):
        motet.load(tmp_path / "model")


def test_a_calibration_is_of_the_best_weights_and_those_of_each_task_predict_without_it(tmp_path):
    config = {**CONFIG, "training": {**CONFIG["training"], "epochs": 2, "keep": "each"}}
    run = motet.train(config, data=rows(0), output=tmp_path / "run")
    assert run.predict(NEW, intervals=0.9).num_columns > run.predict(NEW).num_columns
    with pytest.raises(InputError, match="intervals are of the best weights"):
        run.predict(NEW, intervals=0.9, weights="each")
    each = run.predict(NEW, weights="each")
    best = run.predict(NEW)
    for task in run.model.tasks:
        assert task.name != "kind" or task.calibration_temperature != 1
        task.calibration_temperature = 1.0
    assert run.predict(NEW, weights="each").equals(each)
    assert not run.predict(NEW).equals(best)


TAGGED = {
    "text": [["go", "to", "Lima"], ["Oslo", "is", "far"]] * 30,
    "city": [["O", "O", "B-city"], ["B-city", "O", "O"]] * 30,
    "far": ["no", "yes"] * 30,
}


def test_tags_of_words_are_not_calibrated_and_that_is_reported(tmp_path):
    config = {
        "tasks": {"city": "sequence_labelling", "far": "classification"},
        "training": {"epochs": 1, "device": "cpu", "calibrate": True},
    }
    alone = {**config, "tasks": {"city": "sequence_labelling"}}
    with pytest.raises(InputError, match=r"training.calibrate: found tasks that predict neither"):
        motet.train(alone, data=TAGGED, output=tmp_path / "alone")
    assert not (tmp_path / "alone").exists()
    said = []
    run = motet.train(config, data=TAGGED, output=tmp_path / "run", say=said.append)
    assert any("no temperature, intervals or sets" in each and "city" in each for each in said)
    with pytest.raises(InputError, match=r"tasks: found tasks .*: city \(sequence_labelling\)"):
        run.calibrate(TAGGED, tasks=["city"])


def test_rows_of_calibration_give_intervals_and_those_of_validation_temperatures(run, tmp_path):
    shutil.copytree(run.path, tmp_path / "run")
    again = motet.load(tmp_path / "run")
    temperature = run.calibration.tasks["kind"].temperature
    found = again.calibrate(rows(0), split="calibration")
    assert found.tasks["kind"].temperature == pytest.approx(temperature, rel=1e-6)
    assert again.predict(NEW, intervals=0.9).equals(run.predict(NEW, intervals=0.9))
    again.calibrate(rows(0), split="validation", tasks=["kind"])
    again.predict(NEW, tasks=["kind"], intervals=0.9)
    assert any("which also chose the epoch" in note for note in again.notes)
    again.predict(NEW, tasks=["price"], intervals=0.9)
    assert again.notes == ()


def test_intervals_on_validation_rows_come_with_a_note_and_a_level_is_checked(run, tmp_path):
    config = {**CONFIG, "data": {"split": {"validation": 0.3}}}
    config["training"] = {**CONFIG["training"], "epochs": 1}
    own = motet.train(config, data=rows(0), output=tmp_path / "run")
    own.predict(NEW, intervals=0.9)
    assert any("which also chose the epoch" in note for note in own.notes)
    own.predict(NEW)
    assert own.notes == ()
    with pytest.raises(InputError, match="found 90"):
        run.predict(NEW, intervals=90)


# Several runs in one folder ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def pair(run, tmp_path_factory):
    config = {**CONFIG, "training": {**CONFIG["training"], "seed": 5, "calibrate": False}}
    config["model"] = {"encoder": {"type": "mlp", "hidden": [8]}}
    other = motet.train(config, data=rows(0), output=tmp_path_factory.mktemp("other") / "run")
    return run, other


def test_an_ensemble_predicts_the_mean_of_its_runs_and_can_be_moved(pair, tmp_path):
    found = motet.ensemble([each.path for each in pair], output=tmp_path / "both")
    each = [own.predict(NEW) for own in pair]
    shutil.move(tmp_path / "both", tmp_path / "moved")
    for loaded in (found, motet.load(tmp_path / "moved"), motet.load(tmp_path / "moved/model")):
        both = loaded.predict(NEW)
        for column in ("price", "kind_probability_a", "wait_quantile_0.5"):
            mean = np.mean([own[column].to_numpy() for own in each], axis=0)
            assert both[column].to_numpy() == pytest.approx(mean, rel=1e-5, abs=1e-6)
    assert len(found.members) == 2


def test_an_ensemble_knows_the_split_of_its_runs_and_gives_intervals(pair, tmp_path):
    found = motet.ensemble([each.path for each in pair], output=tmp_path / "both")
    assert found.evaluate(rows(0), split="test")["price"]["count"] == 90
    with pytest.warns(UserWarning, match="was trained on 450 of these 900 rows"):
        found.evaluate(rows(0))
    found.calibrate(rows(0), split="calibration")
    again = motet.load(tmp_path / "both")
    made = again.predict(NEW, intervals=0.9, spread=True)
    assert 0.84 < contains(made, "price").mean() < 0.96
    assert made["price_spread"].to_numpy().min() >= 0


def test_rows_of_scores_and_of_temperatures_are_counted_apart(pair):
    own = pair[0].calibration.tasks["kind"]
    assert own.temperature is not None
    assert own.rows == sum(map(len, own.scores.of_outputs)) == 270


def test_the_models_of_folds_have_intervals_from_the_rows_that_each_did_not_see(tmp_path):
    config = {**CONFIG, "data": {"split": {"folds": 3}}}
    said = []
    run = motet.train(config, data=rows(0), output=tmp_path / "run", say=said.append)
    assert any("each row with the model that did not see it" in line for line in said)
    assert run.calibration.tasks["price"].rows == N
    found = motet.load(run.path).predict(NEW, intervals=0.9)
    for task in ("price", "kind", "stars", "visits", "wait"):
        share = contains(found, task).mean()
        assert share >= stats.beta.ppf(1e-4, 811, 90) - 0.015, task
        if task in ("price", "wait"):
            assert share <= 0.95, task
    run.predict(NEW, intervals=0.9)
    assert any("each predicted by the model that did not see it" in note for note in run.notes)
    with pytest.raises(InputError, match=r"which cannot calibrate it; use others$"):
        run.calibrate(rows(0))


TURNED = {"type": "classification", "classes": ["c", "b", "a"]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tasks": {"price": "regression"}}, "have the tasks price, kind.* and price; expected"),
        ({"inputs": {"x": "number"}}, "read different columns: only one reads z"),
        (
            {"tasks": {**CONFIG["tasks"], "kind": TURNED}},
            "classification of a, b, c and .* c, b, a",
        ),
    ],
)
def test_runs_that_predict_something_else_do_not_join(run, tmp_path, change, message):
    config = {**CONFIG, **change, "training": {**CONFIG["training"], "epochs": 1}}
    other = motet.train(config, data=rows(0), output=tmp_path / "run")
    with pytest.raises(InputError, match=message):
        motet.ensemble([run.path, other.path], output=tmp_path / "both")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_one_run_or_a_folder_that_exists_makes_no_ensemble(run, tmp_path):
    with pytest.raises(InputError, match="runs: found 1 run; expected at least two"):
        motet.ensemble([run.path], output=tmp_path / "both")
    with pytest.raises(InputError, match=r"output: .* exists already"):
        motet.ensemble([run.path, run.path], output=tmp_path)
