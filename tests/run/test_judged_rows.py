"""Weights of rows and conditions in runs from configs."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sklearn.metrics as sk

import motet
from motet.config import ConfigError
from motet.run.building import check
from motet.run.lines import data_lines
from tests.run.stopped_runs import same_weights

N = 240


def frame(seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=N)
    click = rng.random(N) < 0.6
    return pa.table(
        {
            "x": x,
            "other": rng.normal(size=N),
            "click": click.astype(int),
            "country": rng.choice(["DE", "FR"], N),
            "buy": np.where(x + rng.normal(size=N) > 0, "yes", "no"),
            "price": x * 3 + 100,
            "w": rng.random(N) * 4,
        }
    )


def config(tasks, **more):
    return {
        "inputs": {"x": "number", "other": "number"},
        "tasks": tasks,
        "training": {"epochs": 2, "batch_size": 32, "device": "cpu"},
        **more,
    }


def changed(table, **columns):
    for name, values in columns.items():
        place = table.column_names.index(name)
        table = table.set_column(place, name, pa.array(values, from_pandas=True))
    return table


def test_rows_on_which_a_condition_is_false_are_as_without_a_label(tmp_path):
    table = frame()
    kept = table["click"].to_numpy() == 1
    blank = changed(
        table,
        buy=np.where(kept, table["buy"].to_numpy(zero_copy_only=False), None),
        price=np.where(kept, table["price"].to_numpy(), np.nan),
    )
    tasks = {"buy": {"type": "classification"}, "price": {"type": "regression"}}
    judged = {name: {**each, "rows": "click == 1"} for name, each in tasks.items()}
    found = motet.train(config(judged), data=table, output=tmp_path / "a")
    wanted = motet.train(config(tasks), data=blank, output=tmp_path / "b")
    assert same_weights(found, wanted)
    assert found.history.records[-1]["tasks"] == wanted.history.records[-1]["tasks"]
    assert found.evaluate(table, split="test") == wanted.evaluate(blank, split="test")
    assert len(found.predict(table.select(["x", "other"]))) == N


def test_a_weight_of_0_is_as_without_a_label_bit_for_bit(tmp_path):
    table = frame()
    kept = table["click"].to_numpy() == 1
    zero = changed(table, w=np.where(kept, table["w"].to_numpy(), 0.0))
    blank = changed(
        zero,
        price=np.where(kept, table["price"].to_numpy(), np.nan),
        w=np.where(kept, table["w"].to_numpy(), 9.0),
    )
    tasks = {"price": {"type": "regression", "row_weight": "w"}}
    found = motet.train(config(tasks), data=zero, output=tmp_path / "a")
    wanted = motet.train(config(tasks), data=blank, output=tmp_path / "b")
    assert same_weights(found, wanted)
    assert found.evaluate(zero, split="test") == wanted.evaluate(blank, split="test")
    assert found.model.tasks["price"].row_weights.mean == pytest.approx(
        motet.load(tmp_path / "a").model.tasks["price"].row_weights.mean
    )


def test_a_run_is_evaluated_as_during_training_and_weights_are_needed_for_it(tmp_path):
    table = frame()
    tasks = {"buy": {"type": "classification", "row_weight": "w", "rows": "country == 'DE'"}}
    run = motet.train(config(tasks), data=table, output=tmp_path / "run")
    known = json.loads((run.path / "metrics.jsonl").read_text().splitlines()[-1])["tasks"]["buy"]
    found = motet.load(run.path).evaluate(table, split="test")["buy"]
    assert found == pytest.approx({name: known[name] for name in found})
    for column in ("w", "country"):
        with pytest.raises(motet.InputError, match=f"the data have no column '{column}'"):
            run.evaluate(table.drop([column]))
    assert len(run.predict(table.drop(["w", "country", "buy"]))) == N


def test_what_a_task_reads_beside_its_labels_is_no_inferred_input():
    tasks = {"buy": {"type": "classification", "row_weight": "w", "rows": "country == 'DE'"}}
    given = {**config(tasks), "inputs": None}
    prepared = check(given, data=frame())
    assert set(prepared.config.inputs) == {"x", "other", "click", "price"}
    text = "\n".join(data_lines(prepared))
    assert "where country == 'DE' and weighted by w" in text
    known = prepared.weights["buy"][prepared.rows.split.train]
    effective = known.sum() ** 2 / (known**2).sum()
    assert f"effective {effective:,.0f}" in text


def test_a_column_of_a_condition_may_be_an_input_and_a_weight_may_not():
    given = config({"buy": {"type": "classification", "rows": "x > 0"}})
    assert (check(given, data=frame()).targets["buy"] >= 0).sum() < N
    given = config({"buy": {"type": "classification", "row_weight": "x"}})
    with pytest.raises(ConfigError, match=r"inputs.x: .*the row_weight of task 'buy'"):
        check(given, data=frame())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"rows": "clik == 1"},
            "tasks.buy.rows: the data have no column 'clik' .did you",
        ),
        ({"rows": "click = 1"}, "tasks.buy.rows: in 'click = 1' found '=' at character 7"),
        ({"rows": "click == 'a'"}, "tasks.buy.rows: column 'click' holds numbers, found the value"),
        ({"weighted_metrics": True}, "tasks.buy.weighted_metrics: found true without row_weight"),
        ({"row_weight": "ww"}, "tasks.buy.row_weight: the data have no column 'ww' .did you mean"),
        ({"row_weight": "country"}, "tasks.buy.row_weight: column 'country' .*'[A-Z]{2}'"),
        ({"rows": "click == 7"}, "buy"),
    ],
)
def test_mistakes_are_reported_at_their_place(options, message):
    given = config({"buy": {"type": "classification", **options}})
    with pytest.raises(ConfigError, match=message):
        check(given, data=frame())


@pytest.mark.parametrize(("value", "found"), [(-1.0, "the weight -1"), (np.nan, "no weight")])
def test_a_weight_that_is_no_number_from_0_is_refused_with_its_row(value, found):
    weights = frame()["w"].to_numpy().copy()
    weights[17] = value
    given = config({"buy": {"type": "classification", "row_weight": "w"}})
    message = f"tasks.buy.* column 'w' has {found} in row 17, which has a label"
    with pytest.raises(ConfigError, match=message):
        check(given, data=changed(frame(), w=weights))
    only = config({"buy": {"type": "classification", "row_weight": "w", "rows": "click == 2"}})
    del only["tasks"]["buy"]["rows"]
    labels = frame()["buy"].to_pylist()
    labels[17] = None
    check(given, data=changed(frame(), w=weights, buy=labels))  # its weight does not matter


def test_conditions_and_weights_of_columns_are_refused_where_there_is_no_table():
    with pytest.raises(motet.InputError, match=r"row_weight: found 'w'.*with arrays, give"):
        motet.tasks.Classification("buy", classes=2, row_weight="w")
    with pytest.raises(motet.InputError, match=r"rows: found 'a == 1'.*set the labels of"):
        motet.tasks.Regression("buy", rows="a == 1")


def test_metrics_count_rows_by_their_weights_if_asked(tmp_path):
    table = frame()
    reports = []
    for weigh in (False, True):
        options = {"row_weight": "w", "weighted_metrics": weigh, "metrics": ["accuracy"]}
        tasks = {"buy": {"type": "classification", **options}}
        run = motet.train(config(tasks), data=table, output=tmp_path / str(weigh))
        reports.append(run.evaluate(table, split="test")["buy"])
    test = pq.read_table(run.path / "predictions" / "test.parquet")
    right = np.array(test["buy"]) == np.array(test["buy_true"])
    weights = table["w"].to_numpy()[test["row"].to_numpy()]
    assert reports[0]["accuracy"] == pytest.approx(right.mean())
    assert reports[1]["accuracy"] == pytest.approx((weights * right).sum() / weights.sum())


def test_people_of_the_census_count_as_often_as_they_stand_for_others(shared_data, tmp_path):
    table = pq.read_table(shared_data("adult.parquet")).slice(0, 3000)
    tasks = {
        "income": {"type": "classification", "row_weight": "fnlwgt", "weighted_metrics": True},
        "hours_per_week": {"type": "regression", "rows": "workclass == 'Private'"},
    }
    training = {"epochs": 2, "batch_size": 64, "device": "cpu"}
    given = {"tasks": tasks, "training": training, "model": {"encoder": "mlp"}}
    run = motet.train(
        given, table, output=tmp_path / "run"
    )  # whose loss is that of its predictions
    held_out = pq.read_table(run.path / "predictions/test.parquet")
    rows = table.take(held_out["row"])
    true = np.array(rows["income"].to_pylist()) == ">50K"
    p = held_out["income_probability_>50K"].to_numpy()
    weights = rows["fnlwgt"].to_numpy()
    found = run.evaluate(table, split="test")
    income = found["income"]
    assert income["auroc"] == pytest.approx(sk.roc_auc_score(true, p, sample_weight=weights))
    entropy = sk.log_loss(true, p, sample_weight=weights)
    assert income["log_loss"] == pytest.approx(entropy, rel=1e-5)
    assert income["loss"] == pytest.approx(entropy, rel=1e-5)  # whatever training rows weigh
    assert found.scores["income"] > 0.5
    private = np.array(rows["workclass"].to_pylist()) == "Private"
    assert found["hours_per_week"]["count"] == private.sum()
    run.predict(table.drop_columns(["fnlwgt", "workclass"]))  # they are no inputs
    card = (run.path / "model" / "README.md").read_text()
    assert "weighted by fnlwgt" in card
    assert "where workclass == 'Private'" in card


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": "click == 7"}, r"tasks.buy.rows: found click == 7, which holds for no training"),
        ({"row_weight": "none"}, r"tasks.buy.row_weight: found none, which is 0 in every training"),
    ],
)
def test_a_task_for_which_no_row_is_left_names_what_left_them_out(options, message):
    table = frame().append_column("none", pa.array(np.zeros(N)))
    with pytest.raises(ConfigError, match=message):
        check(
            config({"buy": {"type": "classification", **options}, "price": "regression"}),
            data=table,
        )
