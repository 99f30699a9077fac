"""A finished run: predictions in the user's words, evaluation, and loading."""

import json
import random
import shutil

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors import safe_open

import motet
from motet.problems import InputError

CONFIG = {
    "tasks": {"churn": {"type": "classification"}, "spend": {"type": "regression"}},
    "model": {"encoder": {"hidden": [8]}},
    "training": {"epochs": 2, "batch_size": 32},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory, people):
    return motet.train(CONFIG, data=people, output=tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def copy(people):
    """The rows backwards, which are not recognised as those of training."""
    return people.take(pa.array(range(239, -1, -1)))


@pytest.fixture(scope="module")
def rows(people):
    return people.drop_columns(["churn", "spend"])


# Predictions -----------------------------------------------------------------------------------


def test_predictions_are_class_names_probabilities_and_original_units(run, rows, people):
    predicted = run.predict(rows)
    assert predicted.column_names == [
        "churn",
        "churn_probability_no",
        "churn_probability_yes",
        "spend",
    ]
    no, yes = (predicted[f"churn_probability_{name}"].to_numpy() for name in ("no", "yes"))
    np.testing.assert_allclose(no + yes, 1, atol=1e-6)
    expected = np.where(yes > no, "yes", "no").tolist()
    assert predicted["churn"].to_pylist() == expected
    spend = predicted["spend"].to_numpy()
    known = people["spend"].drop_null().to_numpy()
    assert abs(spend.mean() - known.mean()) < known.std()
    assert known.mean() > 5  # so that standardised values would not do


def test_row_order_is_kept_and_a_row_is_predicted_as_if_alone(run, rows):
    whole = run.predict(rows)
    places = [17, 3, 200, 3]
    some = run.predict(rows.take(pa.array(places)))
    assert some["churn"].to_pylist() == [whole["churn"][place].as_py() for place in places]
    np.testing.assert_allclose(
        some["spend"].to_numpy(), whole["spend"].to_numpy()[places], rtol=1e-5
    )
    alone = run.predict(rows.slice(17, 1))
    np.testing.assert_allclose(alone["spend"].to_numpy(), some["spend"].to_numpy()[:1], rtol=1e-5)


def test_values_never_seen_and_missing_values_can_be_predicted(run):
    strange = {
        "age": [None, -5.0, 1e300],
        "income": [None, 1e-300, -1e300],
        "city": ["Atlantis", None, ""],
    }
    predicted = run.predict(strange)
    assert np.isfinite(predicted["spend"].to_numpy()).all()
    assert set(predicted["churn"].to_pylist()) <= {"yes", "no"}


def test_columns_that_are_not_inputs_are_ignored_and_their_order_does_not_matter(run, rows):
    more = rows.select(["city", "income", "age"]).append_column("extra", pa.array(["x"] * 240))
    assert run.predict(more) == run.predict(rows)


def test_only_the_tasks_asked_for_are_predicted(run, rows):
    assert run.predict(rows, tasks=["spend"]).column_names == ["spend"]
    with pytest.raises(InputError, match="tasks: found none; expected one or more tasks"):
        run.predict(rows, tasks=[])
    with pytest.raises(InputError, match="no task is named 'spent'; did you mean 'spend'"):
        run.predict(rows, tasks=["spent"])


def test_an_input_column_that_is_absent_is_named(run, rows):
    with pytest.raises(InputError, match="no column 'city'"):
        run.predict(rows.drop_columns(["city"]))


def test_classes_keep_the_type_they_have_in_the_data(tmp_path, people):
    truth = pa.array(
        [None if each is None else each == "yes" for each in people["churn"].to_pylist()]
    )
    digits = pa.array([None if each is None else 7 + each for each in truth.to_pylist()])
    for name, labels in (("truth", truth), ("digits", digits)):
        table = people.set_column(3, "churn", labels)
        run = motet.train(CONFIG, data=table, output=tmp_path / name)
        found = set(run.predict(table)["churn"].to_pylist())
        assert found <= ({True, False} if name == "truth" else {7, 8})
        assert {type(each) for each in found} == {bool if name == "truth" else int}


# Evaluation ------------------------------------------------------------------------------------


def test_evaluation_has_every_metric_loss_and_count_of_every_task(run, copy):
    report = run.evaluate(copy)
    assert list(report) == ["churn", "spend", "score"]
    assert list(report["churn"]) == ["auroc", "accuracy", "macro_f1", "log_loss", "loss", "count"]
    assert list(report["spend"]) == ["r2", "mae", "rmse", "loss", "count"]
    assert report["spend"]["count"] == 240 - copy["spend"].null_count
    predicted = run.predict(copy)
    pairs = zip(predicted["churn"].to_pylist(), copy["churn"].to_pylist(), strict=True)
    right = np.mean([one == other for one, other in pairs if other is not None])
    assert report["churn"]["accuracy"] == pytest.approx(right)
    known = copy["spend"].is_valid().to_numpy()
    errors = predicted["spend"].to_numpy()[known] - copy["spend"].to_numpy()[known]
    assert report["spend"]["mae"] == pytest.approx(np.abs(errors).mean())


def test_evaluation_of_some_tasks(run, copy):
    assert list(run.evaluate(copy, tasks=["spend"])) == ["spend", "score"]
    assert list(run.evaluate(copy.drop_columns(["churn"]))) == ["spend", "score"]
    with pytest.raises(InputError, match="no labels for churn"):
        run.evaluate(copy.drop_columns(["churn"]), tasks=["churn"])


def test_labels_that_training_did_not_have_are_told(run, copy):
    churn = pa.array(["perhaps", "never", "perhaps", *copy["churn"].to_pylist()[3:]])
    report = run.evaluate(copy.set_column(3, "churn", churn))
    assert "'perhaps' (2), 'never' (1)" in report.notes["churn"]
    assert "spend" not in report.notes
    assert "churn" not in run.evaluate(copy).notes


def test_one_task_may_be_named_alone(run, rows, copy):
    assert run.predict(rows, tasks="spend") == run.predict(rows, tasks=["spend"])
    assert list(run.evaluate(copy, tasks="spend")) == ["spend", "score"]


def test_a_disabled_task_cannot_be_asked_for(tmp_path, people):
    tasks = {**CONFIG["tasks"], "churn": {"type": "classification", "enabled": False}}
    run = motet.train({**CONFIG, "tasks": tasks}, data=people, output=tmp_path / "run")
    for ask in (run.predict, run.evaluate, motet.load(run.path).predict):
        with pytest.raises(InputError, match="task 'churn' is disabled and was not trained"):
            ask(people, tasks=["churn"])


def test_a_task_that_was_added_is_refused_by_the_run_and_predicted_by_a_trainer(run, people, rows):
    loaded = motet.load(run.path)
    loaded.model.add_task(motet.tasks.Classification("rare", classes=2))
    for ask in (loaded.predict, loaded.evaluate, loaded.embed):
        with pytest.raises(InputError, match=r"task 'rare' was added .*motet.Trainer\(run.model\)"):
            ask(people)
    with pytest.raises(InputError, match=r"the others with tasks=\['churn', 'spend'\]"):
        loaded.predict(rows, tasks="rare")
    assert loaded.predict(rows, tasks=["churn", "spend"]) == run.predict(rows)
    predicted = motet.Trainer(loaded.model).predict(loaded.preprocess(rows), "rare")
    assert set(np.unique(predicted["rare"])) <= {0, 1}
    loaded.model.disable_task("rare")
    assert loaded.predict(rows) == run.predict(rows)


# Loading -----------------------------------------------------------------------------------------


def test_a_loaded_run_does_what_the_trained_one_did(run, copy, rows):
    loaded = motet.load(run.path)
    assert loaded.predict(rows) == run.predict(rows)
    assert loaded.evaluate(copy) == run.evaluate(copy)
    assert loaded.evaluate(copy).trivial == run.evaluate(copy).trivial
    assert loaded.history.records == run.history.records
    assert loaded.config.tasks == run.config.tasks
    assert not loaded.model.training


def test_the_model_folder_predicts_without_everything_else(run, rows, tmp_path):
    moved = tmp_path / "elsewhere"
    shutil.copytree(run.path / "model", moved)
    loaded = motet.load(moved)
    assert loaded.predict(rows) == run.predict(rows)
    assert loaded.history.records == []


def test_loading_leaves_the_random_generators_alone(run):
    before = torch.get_rng_state()
    motet.load(run.path)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_weights_are_those_of_the_model_and_plain_tensors(run):
    with safe_open(run.path / "model/model.safetensors", "pt") as file:
        names = set(file.keys())
        for name in names:
            assert torch.equal(file.get_tensor(name), run.model.state_dict()[name])
    assert names == set(run.model.state_dict())


def test_preprocessed_rows_are_what_the_model_takes(run, rows):
    arrays = run.preprocess(rows)
    assert {name: array.dtype for name, array in arrays.items()} == {
        "numbers": np.float32,
        "categories": np.int64,
    }
    raw = run.model({name: torch.from_numpy(array) for name, array in arrays.items()})
    found = run.model.decode(raw)["spend"].value.numpy(force=True)
    np.testing.assert_allclose(found, run.predict(rows)["spend"].to_numpy(), rtol=1e-5)


def damaged(run, folder, name, change):
    shutil.copytree(run.path / "model", folder, dirs_exist_ok=True)
    path = folder / name
    content = change(path.read_bytes())
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    return folder


def without_digests(content):
    kept = {k: v for k, v in json.loads(content).items() if k not in ("digest", "files")}
    return json.dumps(kept, indent=2).encode()


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "preprocessing.json"])
def test_a_single_flipped_bit_is_found(run, tmp_path, name):
    rng = random.Random(0)

    def flip(old):
        place = rng.randrange(len(old))
        return old[:place] + bytes([old[place] ^ (1 << rng.randrange(8))]) + old[place + 1 :]

    for _ in range(20):
        folder = damaged(run, tmp_path / "model", name, flip)
        with pytest.raises(InputError, match=f"{name} (was changed|is not what motet writes)"):
            motet.load(folder)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("model.safetensors", lambda old: None, r"model\.safetensors not found"),
        ("config.json", lambda old: None, r"config\.json not found"),
        ("preprocessing.json", lambda old: None, r"preprocessing\.json not found"),
        ("model.safetensors", lambda old: old[:50], "does not hold this model"),
        ("model.safetensors", lambda old: b"", "does not hold this model"),
        ("config.json", lambda old: old[:50], "is not what motet writes"),
        ("config.json", lambda old: b"[]", "is not what motet writes"),
        ("config.json", lambda old: old.replace(b'"mlp"', b'"mpl"'), "did you mean 'mlp'"),
        ("config.json", lambda old: old.replace(b"8\n", b"9\n", 1), "does not hold this model"),
        ("preprocessing.json", lambda old: old[:50], "not what motet writes"),
        ("preprocessing.json", lambda old: b"\xff", "not what motet writes"),
        ("preprocessing.json", lambda old: old.replace(b'"version": 1', b'"version": 9'), "ion 9"),
        ("preprocessing.json", lambda old: b"{}", r"\(it has no 'version'\)"),
        ("preprocessing.json", lambda old: old.replace(b'"churn": {', b'"chrun": {'), "not fit"),
        ("config.json", lambda old: old.replace(b'"spend": {', b'"spent": {'), "not fit"),
        ("config.json", lambda old: b"{}", "it has no 'config'"),
    ],
)
def test_a_damaged_model_folder_is_told(run, tmp_path, name, change, message):
    def change_unsealed(old):
        return change(without_digests(old) if name == "config.json" else old)

    folder = damaged(run, tmp_path / "model", name, change_unsealed)
    if name != "config.json":  # as in the folder of an earlier version, or made by others
        path = folder / "config.json"
        path.write_bytes(without_digests(path.read_bytes()))
    with pytest.raises(InputError, match=message):
        motet.load(folder)


@pytest.mark.parametrize(
    ("place", "said"), [("nowhere", "there is no folder"), (".", "holds no trained model")]
)
def test_a_folder_without_a_model_is_told(tmp_path, place, said):
    with pytest.raises(InputError, match=said):
        motet.load(tmp_path / place)
