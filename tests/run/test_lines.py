"""What a run reports: what the labels already show, and lines that can be read with many tasks."""

import json
import math
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import motet
from motet.config import ConfigError
from motet.problems import InputError
from motet.run import build_trainer, check, data_lines, report_lines, training_lines
from motet.run.layout import WIDTH, wrapped
from motet.run.lines import epoch_lines
from motet.run.shortened import MANY, merged
from motet.training import EvaluationRecord, StepRecord
from motet.training.display import step_line
from motet.training.evaluation import Report

RNG = np.random.default_rng(0)
ROWS = 400
X = RNG.normal(size=ROWS)
FOLD = np.array((["train"] * 8 + ["validation", "test"]) * 40)
PARTS = ("train", "validation", "test")
HELD_OUT = np.flatnonzero(FOLD == "validation")


def config(**tasks):
    return {
        "data": {"split": {"column": "fold"}},
        "inputs": {"x": "number"},
        "tasks": tasks,
        "model": {"encoder": {"hidden": [4]}},
        "training": {"epochs": 2, "batch_size": 100},
    }


def rows(**labels):
    table = {"x": X, "fold": FOLD, "sign": np.where(X > 0, "plus", "minus"), "size": X}
    return pa.table({**table, **labels})


def rare(positives):
    """Labels "yes" in 20 training rows and in some validation rows."""
    labels = np.full(ROWS, "no", object)
    labels[np.flatnonzero(FOLD == "train")[:20]] = "yes"
    labels[HELD_OUT[:positives]] = "yes"
    return labels.tolist()


def first_lines(config, table):
    prepared = check(config, data=table)
    return [*data_lines(prepared), *training_lines(prepared, build_trainer(prepared))]


# Labels ------------------------------------------------------------------------------------------


def test_every_class_is_counted_in_every_split():
    lines = first_lines(config(churn="classification"), rows(churn=rare(4)))
    start = next(place for place, each in enumerate(lines) if each.startswith("labels"))
    assert [each.split() for each in lines[start : start + 3]] == [
        ["labels", "train", "validation", "test"],
        ["churn", "no", "300", "36", "40"],
        ["yes", "20", "4", "0"],
    ]


def test_of_many_classes_the_rarest_are_counted():
    place = np.arange(ROWS)
    labels = np.where(place < 30, place % 3 + 7, place % 7)
    lines = first_lines(config(kind="classification"), rows(kind=labels))
    start = next(place for place, each in enumerate(lines) if each.startswith("labels"))
    assert [each.split()[-4] for each in lines[start + 1 : start + 6]][:3] == ["7", "8", "9"]
    assert lines[start + 6].split() == ["(rarest", "of", "10)"]


def test_positives_of_each_label_and_words_of_each_tag_are_counted():
    place = np.arange(ROWS)
    moods = [["glad"] if each % 4 == 0 else [] for each in place]
    words = [["a", "b"] if each % 2 else ["c"] for each in place]
    tags = [["O", "B-x"] if each % 2 else ["O"] for each in place]
    made = config(mood="multi_label", slots="sequence_labelling")
    made["inputs"] = {"words": {"type": "text", "split": "spaces", "encoder": {"width": 4}}}
    made["training"]["monitor"] = "loss"  # no validation row has a span
    del made["model"]
    lines = first_lines(made, rows(words=words, slots=tags, mood=moods))
    for name, positive in {"glad": place % 4 == 0, "B-x": place % 2 == 1}.items():
        counts = [str((positive & (fold == FOLD)).sum()) for fold in PARTS]
        assert any(each.split()[-4:] == [name, *counts] for each in lines)


def test_a_share_is_100_percent_only_of_all_rows():
    sizes = X.copy()
    sizes[0] = np.nan
    lines = first_lines(config(size="regression"), rows(size=sizes))
    line = next(each for each in lines if each.startswith("tasks"))
    assert "319 train (>99%), 40 validation (100%), 40 test (100%)" in line


def test_rows_without_any_label_are_counted():
    sizes, signs = X.copy(), np.where(X > 0, "plus", "minus").astype(object)
    sizes[:30], signs[:20] = np.nan, None
    made = config(size="regression", sign="classification")
    lines = first_lines(made, rows(size=sizes, sign=signs.tolist()))
    assert any(
        "20 rows have no label of any task: 16 train, 2 validation, 2 test" in e for e in lines
    )
    assert not any("no label of any task" in each for each in first_lines(made, rows()))


def test_a_score_that_rests_on_few_labels_is_told_with_what_depends_on_it():
    made = config(churn="classification", size="regression", sign="classification")
    (line,) = [each for each in first_lines(made, rows(churn=rare(4))) if "noisy" in each]
    assert "churn: 4 rows of 'yes' in validation; its score is noisy" in line
    assert "the mean score of 3 tasks" in line
    made["training"]["monitor"] = "churn"
    (line,) = [each for each in first_lines(made, rows(churn=rare(1))) if "noisy" in each]
    assert "churn: 1 row of 'yes' in validation" in line
    assert "it alone chooses the best epoch" in line
    made["training"]["monitor"] = "size"
    assert not any("noisy" in each for each in first_lines(made, rows(churn=rare(4))))
    made["training"]["monitor"] = "mean"
    assert not any("noisy" in each for each in first_lines(made, rows(churn=rare(12))))


@pytest.mark.filterwarnings("ignore:monitor is 'mean', over 2 of 3 tasks")
def test_a_mean_is_said_to_be_over_the_tasks_that_have_a_score():
    sizes = X.copy()
    sizes[HELD_OUT[6:]] = np.nan
    made = config(churn="classification", size="regression", sign="classification")
    (line,) = [e for e in first_lines(made, rows(churn=rare(0), size=sizes)) if "noisy" in e]
    assert "size: 6 labelled rows in validation; its score is noisy" in line
    assert "the mean score of 2 tasks" in line


def test_few_labelled_rows_make_a_score_noisy_too():
    sizes = X.copy()
    sizes[HELD_OUT[6:]] = np.nan
    lines = first_lines(config(size="regression"), rows(size=sizes))
    assert any("size: 6 labelled rows in validation; its score is noisy" in e for e in lines)


def test_a_monitored_task_without_usable_validation_labels_is_refused_by_check(tmp_path):
    made = config(churn="classification", size="regression")
    made["training"]["monitor"] = "churn"
    unlabelled = np.where(FOLD == "validation", None, np.where(X > 0, "yes", "no")).tolist()
    for labels, reason in ((rare(0), "auroc is NaN"), (unlabelled, "no row has a label")):
        found = r"training\.monitor: found 'churn', which is not a number.*" + reason
        with pytest.raises(ConfigError, match=found):
            check(made, data=rows(churn=labels))
        with pytest.raises(ConfigError, match=found):
            motet.train(made, data=rows(churn=labels), output=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_mean_over_some_tasks_says_so_before_training():
    made = config(churn="classification", size="regression")
    with pytest.warns(UserWarning, match="over 1 of 2 tasks: .*churn: auroc is NaN"):
        check(made, data=rows(churn=rare(0)))


# Epochs ------------------------------------------------------------------------------------------


def record(tasks, **more):
    at = {"step": 60, "epoch": 3, "seconds": 1.0, "learning_rate": 1e-3}
    found = {"event": "epoch", "score": 0.5, "monitored": 0.5, "best": True}
    return EvaluationRecord(tasks=tasks, **at, **found, **more)


def test_an_epoch_is_a_line_and_nan_has_its_reason():
    tasks = {"a": {"auroc": math.nan, "loss": 1.0}, "b": {"r2": 0.000123456, "loss": 1.0}}
    notes = {"a.auroc": "no row has a label", "b.prediction": "predicts 2 in all 3 rows"}
    (line,) = epoch_lines(record(tasks, notes=notes), 20)
    expected = "epoch       3/20  a auroc nan (no row has a label)  b r2 0.0001235  score 0.5000 *"
    assert line == f"{expected}  1.0 s"


@pytest.mark.parametrize("count", [12, 24])
def test_an_epoch_of_many_tasks_goes_on_in_the_next_line(count):
    tasks = {f"a_long_name_{n}": {"auroc": 0.5} for n in range(count)}
    lines = list(epoch_lines(record(tasks), 20))
    assert len(lines) > 1
    assert all(len(each) <= WIDTH for each in lines)
    text = "  ".join(lines)
    assert all(f"{name} auroc 0.5000" in text for name in tasks)
    assert [each for each in lines if not each.startswith(" ")] == [lines[0]]


def test_an_epoch_of_very_many_tasks_is_summarised_by_metric():
    tasks = {f"c{n}": {"auroc": n / 200} for n in range(101)}
    tasks |= {f"r{n}": {"r2": math.nan if n == 3 else -n} for n in range(27)}
    notes = {"r3.r2": "no row has a label"}
    lines = list(epoch_lines(record(tasks, notes=notes), 20))
    assert len(lines) <= 4
    assert all(len(each) <= WIDTH for each in lines)
    text = " ".join(lines)
    assert "auroc of 101 tasks: lowest 0 (c0), median 0.2500, highest 0.5000 (c100)" in text
    assert "r2 of 27 tasks: lowest -26.00 (r26), median -13.50, highest 0 (r0), nan r3" in text
    assert "nan r3 (no row has a label)" in text


def test_a_step_names_some_of_many_tasks():
    tasks = {f"t{n}": {"loss": 1e-7} for n in range(128)}
    at = {"step": 50, "epoch": 1, "seconds": 1.0, "learning_rate": 1e-3}
    line = step_line(StepRecord(tasks=tasks, balancer="equal", gradient_norm=1.0, **at), 20)
    assert line.startswith("epoch 1/20  step 50  t0 loss 1.000e-07  t1 loss 1.000e-07")
    assert line.endswith("and 122 more")


def test_a_run_of_many_tasks_prints_what_can_be_read(tmp_path):
    rng = np.random.default_rng(1)
    names = [f"t{n}" for n in range(40)]
    table = {"x": X, "fold": FOLD}
    for place, name in enumerate(names):
        values = X * place + 20 * rng.normal(size=ROWS)
        table[name] = np.where(values > 0, "yes", "no") if place % 2 else values
    kinds = {n: "classification" if place % 2 else "regression" for place, n in enumerate(names)}
    lines = []
    run = motet.train(
        config(**kinds) | {"training": {"epochs": 1}},
        data=table,
        output=tmp_path / "run",
        say=lines.append,
    )
    assert len(lines) < 90
    assert all(len(each) <= WIDTH + 20 for each in lines)
    text = "\n".join(lines)
    assert "t0, t2, t4 and 17 more" in text
    assert "and 16 more tasks" not in text  # 20 tasks have classes
    report = run.evaluate(table, split="test")
    shown = list(report_lines(run.model, report))
    assert len([each for each in shown if each.startswith("t")]) == 17
    assert "(24 more)" in shown
    low = min(report.scores, key=lambda name: report.scores[name])
    assert shown[1].split()[0] == low
    card = (run.path / "model" / "README.md").read_text()
    assert card.startswith("# A model for 40 tasks: t0, t1")


def test_rows_of_a_table_are_merged_only_where_there_are_many():
    few = [(f"x{n}", "number") for n in range(MANY)]
    assert list(merged(few, "inputs")) == few
    many = [(f"x{n}", f"{n // 2} values") for n in range(100)]
    found = list(merged(many, "inputs"))
    assert found[0] == ("x0, x1", "0 values")
    assert found[-1] == ("and 52 more inputs", "")
    assert len(found) == MANY + 1


def test_a_list_is_wrapped_between_its_items():
    items = [f"item number {n}" for n in range(40)]
    lines = list(wrapped("title", items))
    assert all(len(each) <= WIDTH for each in lines)
    assert ", ".join(each[11:].rstrip(",") for each in lines) == ", ".join(items)
    assert list(wrapped("title", ["one"])) == ["title      one"]


# The report --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    made, lines = config(sign="classification", size="regression", churn="classification"), []
    table = rows(churn=rare(12))  # no test row is positive
    output = tmp_path_factory.mktemp("runs") / "run"
    return motet.train(made, data=table, output=output, say=lines.append), lines, table


def test_the_mean_score_says_over_how_many_tasks_it_is(run):
    trained, lines, _ = run
    (line,) = [each for each in lines if each.startswith("mean score")]
    assert "over 2 of 3 tasks (no score: churn)" in line
    whole = Report({"sign": {"auroc": 0.7, "count": 3}, "score": 0.4})
    whole.scores, whole.trivial = {"sign": 0.4}, {"sign": {"auroc": 0.5}}
    (line,) = [e for e in report_lines(trained.model, whole) if e.startswith("mean score")]
    assert "mean score 0.4000 over 1 task (" in line


@pytest.mark.parametrize("test", ["test", None])
def test_a_task_that_predicts_a_constant_is_reported_once_with_the_value(test, tmp_path):
    signs = np.where(np.arange(ROWS) % 8 == 3, "yes", "no")  # too rare to be predicted from noise
    folds = np.where(np.arange(ROWS) % 10 > 6, test or "validation", FOLD)
    folds[np.arange(ROWS) % 10 == 5] = "validation"
    made, lines = config(sign="classification"), []
    made["training"] |= {"optimizer": {"learning_rate": 1e-3}, "average": None}
    made["model"] = {"encoder": "mlp"}
    table = rows(sign=signs, x=RNG.normal(size=ROWS), fold=folds)
    motet.train(made, table, output=tmp_path / "run", say=lines.append)
    (line,) = [each for each in lines if "predicts" in each]
    assert re.fullmatch(r"note:? +sign.prediction: predicts 'no' in all \d+ rows", line)


def test_test_predictions_say_which_row_of_the_source_each_is(run):
    trained, _, table = run
    found = pq.read_table(trained.path / "predictions" / "test.parquet")
    assert found["row"].to_pylist() == np.flatnonzero(FOLD == "test").tolist()
    joined = table.take(found["row"])
    assert joined["size"].to_pylist() == found["size_true"].to_pylist()
    expected = trained.predict(joined)
    assert found["sign"].to_pylist() == expected["sign"].to_pylist()


def test_a_task_may_not_be_called_row_as_its_column_would_be():
    with pytest.raises(ConfigError, match=r"tasks\.row: its predictions would have a column 'row'"):
        check(config(row={"type": "regression", "column": "size"}), data=rows())


# Rows of training --------------------------------------------------------------------------------


def test_rows_of_training_are_evaluated_with_a_warning(run):
    trained, _, table = run
    for again in (table, table.to_pandas(), table.drop_columns(["sign"])):
        with pytest.warns(UserWarning, match="trained on 320 of these 400 rows.*--split test"):
            motet.load(trained.path).evaluate(again)
    trained.evaluate(table.slice(1))  # without one, as these are others


def test_a_split_is_evaluated_as_the_run_made_it(run):
    trained, _, table = run
    records = [json.loads(e) for e in (trained.path / "metrics.jsonl").read_text().splitlines()]
    report = trained.evaluate(table, split="test")
    assert report["sign"] == pytest.approx(records[-1]["tasks"]["sign"])
    for name in PARTS:
        report = trained.evaluate(table, split=name)
        own = table.filter(pa.array(name == FOLD))
        assert report["size"] == pytest.approx(trained.evaluate(own)["size"])
        assert report["size"]["count"] == (name == FOLD).sum()


def test_a_split_that_was_drawn_is_drawn_again(tmp_path):
    made = config(sign="classification", size="regression") | {"data": {"split": {"seed": 5}}}
    table = rows().drop_columns("fold")
    trained = motet.train(made, data=table, output=tmp_path / "run")
    kept = pq.read_table(trained.path / "predictions" / "test.parquet")
    report = motet.load(trained.path).evaluate(table, split="test")
    errors = kept["size"].to_numpy() - kept["size_true"].to_numpy()
    assert report["size"]["mae"] == pytest.approx(np.abs(errors).mean())


def test_a_split_of_other_rows_is_refused(run):
    trained, _, table = run
    backwards = table.take(pa.array(range(ROWS - 1, -1, -1)))
    for other in (table.slice(0, 399), backwards):
        with pytest.raises(
            InputError, match=r"split: found rows that are not the 400 rows, in ord"
        ):
            trained.evaluate(other, split="test")
    with pytest.raises(InputError, match="holds only a model"):
        motet.load(trained.path / "model").evaluate(table, split="test")
    with pytest.raises(InputError, match="found 'tset'; did you mean 'test'"):
        trained.evaluate(table, split="tset")
