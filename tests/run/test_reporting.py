"""Reports on run folders: from what is there, without a second file left behind."""

import json
import re
from copy import deepcopy

import numpy as np
import pyarrow as pa
import pytest
from small_runs import CONFIG as SMALL
from small_runs import rows

import motet
from motet.problems import InputError
from motet.report.facts import ClassRows, NumberRows
from motet.run.reporting import run_facts, write_report

CONFIG = {
    **SMALL,
    "tasks": {**SMALL["tasks"], "a": {"type": "classification", "metrics": ["accuracy"]}},
}
"""Without metrics that take seconds to import."""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return motet.train(CONFIG, data=rows(), output=tmp_path_factory.mktemp("runs") / "first")


def text_of(path):
    """The page without its scripts and figures."""
    return re.sub(r"<script.*?</script>", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_a_report_belongs_to_its_run_folder_and_can_be_written_again(run):
    path = run.report()
    assert path == run.path / "report.html"
    assert run.report() == path
    assert "Learning curves" in text_of(path)


def test_scores_of_the_test_are_kept_for_the_report(run):
    facts = run_facts(run.path)
    record = json.loads((run.path / "metrics.jsonl").read_text().splitlines()[-1])
    assert record["event"] == "test"
    assert facts.scores == record["scores"]
    assert np.mean(list(facts.scores.values())) == pytest.approx(record["score"])
    assert record["trivial"]["a"].keys() == record["tasks"]["a"].keys() - {"loss", "count"}


def test_test_rows_give_the_metrics_of_the_test(run):
    facts = run_facts(run.path)
    (classes,), (numbers,) = (facts.tasks[name].test for name in "ab")
    assert isinstance(classes, ClassRows)
    accuracy = (classes.truth == classes.predicted).mean()
    assert accuracy == pytest.approx(facts.test["tasks"]["a"]["accuracy"])
    assert isinstance(numbers, NumberRows)
    mae = np.abs(numbers.truth - numbers.predicted).mean()
    assert mae == pytest.approx(facts.test["tasks"]["b"]["mae"], rel=1e-5)
    assert len(classes.rows) == facts.data["sources"][""]["rows"]["test"]


def test_data_from_python_show_inputs_only_when_given_again(run, tmp_path):
    assert "found no data" in text_of(run.report(tmp_path / "without.html"))
    data = rows()
    worst = text_of(run.report(tmp_path / "with.html", data=data))
    shown = int(re.search(r"most wrong.*?<td class=\"number\">([\d,]+)<", worst, re.DOTALL)[1])
    assert f"x0: {data['x0'][shown]:.6g}" in worst


def test_other_data_than_those_of_the_run_are_not_shown(run, tmp_path):
    fewer = {name: column[:50] for name, column in rows().items()}
    assert "has 50 rows, fewer" in text_of(run.report(tmp_path / "fewer.html", data=fewer))


def test_an_unfinished_run_has_a_report(run, tmp_path):
    for name in ("config.yaml", "environment.json", "data.json"):
        (tmp_path / name).write_text((run.path / name).read_text())
    lines = (run.path / "metrics.jsonl").read_text().splitlines()
    (tmp_path / "metrics.jsonl").write_text("\n".join([*lines[:2], lines[2][:20]]))
    assert "Summary" in text_of(write_report([tmp_path]))


def test_several_runs_are_written_where_they_are_told(run, tmp_path):
    with pytest.raises(InputError, match="name a file"):
        write_report([run.path, run.path])
    path = write_report([run.path, run.path], tmp_path / "both.html")
    assert "The highest mean score" in text_of(path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda run: ([run.path / "model"], None), "is not a run folder"),
        (lambda run: ([run.path / "nothing"], None), "there is no folder"),
        (lambda run: ([run.path], run.path / "report.pdf"), r"expected \.html"),
    ],
)
def test_what_is_no_run_and_no_page_is_refused(make, message, run):
    paths, output = make(run)
    with pytest.raises(InputError, match=message):
        write_report(paths, output)


def test_a_report_replaces_no_other_file(run, tmp_path):
    (tmp_path / "mine.html").write_text("mine")
    with pytest.raises(InputError, match="exists"):
        run.report(tmp_path / "mine.html")
    assert (tmp_path / "mine.html").read_text() == "mine"


def test_rows_that_a_condition_excludes_are_not_among_the_test_rows(tmp_path):
    data = rows() | {"known": np.arange(200) % 2}
    config = deepcopy(CONFIG) | {"inputs": {f"x{i}": "number" for i in range(3)}}
    config["tasks"]["b"] = {"type": "regression", "rows": "known == 1"}
    run = motet.train(config, data=data, output=tmp_path / "run")
    facts = run_facts(run.path, data=data)
    (numbers,) = facts.tasks["b"].test
    assert len(numbers.rows) == facts.test["tasks"]["b"]["count"]
    assert all(number % 2 == 1 for number in numbers.rows)
    note = run_facts(run.path).tasks["b"].note
    assert "known of the data cannot be read" in note


def test_labels_of_other_kinds_are_read(tmp_path):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(160, 2))
    data = pa.table(
        {
            "x0": x[:, 0],
            "x1": x[:, 1],
            "visits": rng.poisson(2.0, 160),
            "size": pa.array([f">{v:.2f}" if v > 1 else f"{v:.2f}" for v in x[:, 0]]),
            "both": pa.array(x.tolist()),
            "topics": pa.array([["red"] if v > 0 else ["blue", "red"] for v in x[:, 1]]),
            "stars": rng.integers(1, 6, 160),
            "clicked": rng.integers(0, 3, 160),
            "search": rng.integers(0, 20, 160),
        }
    )
    tasks = {
        "visits": "count",
        "size": {"type": "regression", "censored": "auto"},
        "both": "regression",
        "topics": {"type": "multi_label", "metrics": ["macro_f1"]},
        "stars": "ordinal",
        "range": {"type": "quantile", "column": "x1_too"},
        "clicked": {"type": "ranking", "query": "search"},
    }
    data = data.append_column("x1_too", data["x1"])
    config = deepcopy(CONFIG) | {"tasks": tasks, "inputs": {"x0": "number", "x1": "number"}}
    config["balancing"] = "equal"
    run = motet.train(config, data=data, output=tmp_path / "run")
    facts = run_facts(run.path, data=data)
    found = {
        name: [type(rows).__name__ for rows in task.test] for name, task in facts.tasks.items()
    }
    assert found == {
        "visits": ["NumberRows"],
        "size": ["NumberRows"],
        "both": ["NumberRows", "NumberRows"],
        "topics": ["TagRows"],
        "stars": ["ClassRows"],
        "range": ["NumberRows"],
        "clicked": ["RankedRows"],
    }
    assert facts.tasks["range"].test[0].quantiles.keys() >= {"0.5"}
    assert len(facts.tasks["size"].test[0].rows) == facts.test["tasks"]["size"]["count"]
    assert "output 1" in text_of(run.report(data=data))


def test_a_run_of_folds_shows_all_rows_and_each_fold(tmp_path):
    config = deepcopy(CONFIG) | {"data": {"split": {"folds": 2}}}
    run = motet.train(config, data=rows(), output=tmp_path / "run")
    facts = run_facts(run.path)
    assert [len(task.test[0].rows) for task in facts.tasks.values()] == [200, 200]
    page = text_of(run.report())
    assert all(f"fold {number}" in page for number in (1, 2))
    assert "most wrong" in page


def test_the_command_line_writes_reports(run, tmp_path, capsys, monkeypatch):
    from motet.cli import main

    output = tmp_path / "page.html"
    monkeypatch.setattr("sys.argv", ["motet", "report", str(run.path), "-o", str(output)])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0
    assert capsys.readouterr().out == f"report     {output}\n"
    assert "Learning curves" in text_of(output)
