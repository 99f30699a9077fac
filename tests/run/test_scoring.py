"""Metrics of a run on some of the rows that it predicted."""

import numpy as np
import pytest
from small_runs import CONFIG, rows

import motet
from motet.data.sources import read
from motet.run.scoring import scored


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return motet.train(CONFIG, rows(), output=tmp_path_factory.mktemp("runs") / "run")


def test_the_metric_on_all_rows_is_that_of_an_evaluation(run):
    table = read({**rows(), "b": np.where(np.arange(200) % 5, rows()["b"], np.nan)})
    table = table.slice(0, 190)  # not the rows of the run as a whole, which would be noted
    found = scored(run, table, ["a", "b"])
    report = run.evaluate(table)
    assert len(found["a"]) == 190
    assert len(found["b"]) == 152
    for task, metric in {"a": "auroc", "b": "r2"}.items():
        assert found[task].metric.name == metric
        everything = np.arange(len(found[task]))
        assert found[task].on(everything) == pytest.approx(report[task][metric])


def test_some_rows_and_rows_that_are_right(run):
    found = scored(run, read(rows()), ["a"])["a"]
    some = np.arange(0, 200, 3)
    part = {name: values[some] for name, values in rows().items()}
    report = run.evaluate(part)
    assert found.on(some) == pytest.approx(report["a"]["auroc"])
    assert found.right()[some].mean() == pytest.approx(report["a"]["accuracy"])
    assert found.units is None


def test_rows_count_by_their_weights(tmp_path):
    weights = np.arange(200) % 4
    table = {**rows(), "w": weights}
    tasks = {**CONFIG["tasks"], "a": {"type": "classification", "row_weight": "w"}}
    run = motet.train({**CONFIG, "tasks": tasks}, table, output=tmp_path / "run")
    found = scored(run, read(table), ["a"])["a"]
    assert len(found) == (weights > 0).sum()
    some = np.arange(0, len(found), 3)
    kept = np.flatnonzero(weights)[some]
    report = run.evaluate({name: values[kept] for name, values in table.items()})
    assert found.on(some) == pytest.approx(report["a"][found.metric.name])
