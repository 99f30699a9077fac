"""What a config leaves to the data is chosen before anything is built, reported, and written."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from small_runs import records, rows, weights

import motet
from motet.problems import InputError
from motet.run import check
from motet.run.facts import SplitRows, facts_of
from motet.settings import Setting, resolving
from motet.settings.rules import Rule

OPEN = {
    "batch_size": "auto",
    "epochs": "auto",
    "early_stopping": {"patience": {"share": 0.2}},
    "monitor_smoothing": "auto",
}
SMALL = {"encoder": {"type": "mlp", "hidden": [4]}}
TASKS = {"a": "classification", "b": "regression"}


def config(**training):
    return {"tasks": TASKS, "model": SMALL, "training": {"device": "cpu", **training}}


def test_what_was_chosen_is_reported_with_the_reason_and_written_as_numbers(tmp_path):
    lines = []
    few = {name: values[:40] for name, values in rows().items()}
    # nothing improves, so that training stops at once
    slow = "training.optimizer.learning_rate=1e-12"
    overrides = ["training.early_stopping.patience={steps: 2}", slow]
    run = motet.train(
        config(**OPEN), data=few, output=tmp_path / "run", say=lines.append, overrides=overrides
    )
    said = [" ".join(line.removeprefix("chosen").split()) for line in lines]
    assert "training.batch_size: 32 28 training rows, 1 step an epoch" in said
    assert "training.epochs: 300 300 steps in all, 1 step an epoch" in said
    assert "training.early_stopping.patience: 2 2 steps, of 300 evaluations in all" in said
    assert any(line.startswith("training.monitor_smoothing: 0.7 6 validation") for line in said)
    written = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["training"]
    assert (written["epochs"], written["batch_size"]) == (300, 32)
    assert written["early_stopping"] == {"patience": 2}
    assert run.config.training.epochs == 300
    assert motet.load(tmp_path / "run" / "model").config.training.epochs == 300
    assert any("note" in line and "early stopping ended training" in line for line in lines)


def test_a_run_that_is_stopped_resumes_with_the_same_numbers_to_the_bit(tmp_path):
    given = config(**{**OPEN, "epochs": 4, "average": "ema", "checkpoint_every": 2})
    motet.train(given, data=rows(), output=tmp_path / "whole")
    whole = [tmp_path / "whole", weights(tmp_path / "whole")]

    def stop(line):
        if line.startswith("epoch") and " 2/4" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        motet.train(given, data=rows(), output=tmp_path / "cut", say=stop)
    motet.resume(tmp_path / "cut", data=rows())
    assert weights(tmp_path / "cut") == whole[1]
    assert records(tmp_path / "cut") == records(whole[0])


def test_rules_that_become_defaults_later_do_not_change_a_run_that_is_resumed(
    tmp_path, monkeypatch
):
    given = config(epochs=3)

    def stop(line):
        if line.startswith("epoch"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        motet.train(given, data=rows(), output=tmp_path / "run", say=stop)
    written = (tmp_path / "run" / "config.yaml").read_text()
    without = "\n".join(each for each in written.splitlines() if "  average:" not in each)
    (tmp_path / "run" / "config.yaml").write_text(without + "\n")
    rule = Rule("training.average", lambda case: Setting("ema", "it wins"), left_out=True)
    monkeypatch.setattr(resolving.rules, "RULES", (rule,))
    run = motet.resume(tmp_path / "run", data=rows())
    assert run.config.training.average is None
    assert check(given, data=rows()).config.training.average == "ema"


def test_epochs_of_tasks_are_checked_against_the_number_that_was_chosen():
    given = {**config(epochs="auto"), "balancing": [{"until": 900, "type": "equal"}, "pcgrad"]}
    with pytest.raises(InputError, match=r"balancing.*found 900, expected an epoch before 300"):
        check(given, data={name: each[:40] for name, each in rows().items()})
    given["balancing"][0]["until"] = 5
    check(given, data=rows())


def reason_of(key, chosen):
    (found,) = [each.reason for each in chosen if each.key == key]
    return found


def test_rows_of_several_sources_and_streams_are_counted():
    shops = {"one": rows(), "two": {name: each[:80] for name, each in rows().items()}}
    tasks = {"a": {"type": "classification", "source": "one"}, "b": {"type": "regression"}}
    tasks["b"]["source"] = "two"
    given = {**config(**OPEN), "tasks": tasks}
    found = check(given, data=shops)
    assert found.config.training.epochs == 300  # of 140 rows, those of the larger source
    chosen = next(iter(found.parts.values())).rows.chosen
    assert reason_of("training.batch_size", chosen).startswith("140 training rows")


def test_a_stream_has_the_numbers_of_its_rows(tmp_path):
    table = pa.table({name: list(each) for name, each in rows().items()})
    pq.write_table(table, tmp_path / "rows.parquet")
    data = {"source": str(tmp_path / "rows.parquet"), "stream": True}
    found = check({**config(**OPEN), "data": data})
    count = found.counts["train"]
    assert reason_of("training.batch_size", found.rows.chosen).startswith(f"{count} training rows")
    assert found.config.training.batch_size == 32


def test_folds_are_trained_with_the_same_numbers(tmp_path):
    given = {**config(**{**OPEN, "epochs": 1}), "data": {"split": {"folds": 2}}}
    given["training"]["batch_size"] = "auto"
    motet.train(given, data=rows(), output=tmp_path / "run")
    for name in (".", "folds/1", "folds/2"):
        written = yaml.safe_load((tmp_path / "run" / name / "config.yaml").read_text())
        assert written["training"]["batch_size"] == 32
        assert written["training"]["early_stopping"] == {"patience": 1}


def test_which_texts_have_labelled_words_and_which_tags_spell_spans():
    words = {"words": [["to", "Rome"], ["go"], ["a", "b"]], "title": ["x", "y", "z"]}
    tags = {
        "spans": [["O", "B-city"], ["O"], None],
        "listed": ["O O", "O", "O O"],
        "plain": [["p", "n"], ["v"], ["p", "v"]],
        "chosen": [["O", "B-city"], ["O"], None],
        "numbers": [[0.1, 0.2], [0.3], None],
    }
    tasks = {name: {"type": "sequence_labelling"} for name in tags}
    tasks["listed"]["classes"] = ["O", "B-a", "I-a"]
    tasks["chosen"]["scheme"] = "plain"
    tasks["numbers"]["type"] = "word_regression"
    inputs = {name: {"type": "text"} for name in words}
    table = pa.table({**words, **tags})
    only = table.select(["title"])  # a source of other tasks
    sources = [SplitRows(only, np.arange(3), 3, 0, "a"), SplitRows(table, np.arange(3), 3, 0, "b")]
    facts = facts_of(sources, inputs, tasks)
    assert facts.span_tags == {"spans": 2, "listed": 3}
    assert facts.inputs["words"].labelled_words
    assert not facts.inputs["title"].labelled_words
    assert not facts_of(sources, inputs, {}).inputs["words"].labelled_words


def test_the_words_of_texts_are_counted_in_the_training_rows():
    texts = pa.table({"text": ["One two", "two three three", None, "held out words"]})
    train = np.array([0, 1, 2])
    tasks = {"tag": {"type": "sequence_labelling"}, "off": {"type": "count", "enabled": False}}
    facts = facts_of([SplitRows(texts, train, 3, 1)], {"text": {"type": "text"}}, tasks)
    assert facts.inputs["text"].distinct_words == 3
    assert facts.inputs["text"].words == 5
    assert facts.tasks == {"tag": "sequence_labelling"}
    assert (facts.rows, facts.validation_rows) == (3, 1)
