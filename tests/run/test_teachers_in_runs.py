"""Distillation in runs: single-task runs teach a multi-task run."""

import numpy as np
import pyarrow as pa
import pytest

import motet
from motet.problems import InputError
from motet.run.teachers import soft_targets_of, teachers_of

CONFIG = {
    "inputs": {f"x{i}": "number" for i in range(3)},
    "tasks": {"a": "classification", "b": "regression", "n": "count"},
    "model": {"encoder": {"type": "mlp", "hidden": [8]}},
    "training": {"epochs": 3, "batch_size": 32, "device": "cpu", "seed": 1},
}
rng = np.random.default_rng(0)
X = rng.normal(size=(200, 3))
ROWS = {
    **{f"x{i}": X[:, i] for i in range(3)},
    "a": np.where(X[:, 0] > 0, "yes", "no"),
    "b": 100 + 50 * X[:, 1],
    "n": rng.poisson(np.exp(X[:, 2] / 2)),
    "words": pa.array([["the", "red", "car"][: 1 + i % 3] for i in range(200)]),
    "tags": pa.array([["O", "B-x", "I-x"][: 1 + i % 3] for i in range(200)]),
}


def single(folder, task, **changes):
    overrides = [f"tasks.{each}.enabled=false" for each in CONFIG["tasks"] if each != task]
    return motet.train({**CONFIG, **changes}, ROWS, overrides=overrides, output=folder / task).path


@pytest.fixture(scope="module")
def teachers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teachers")
    return [str(single(folder, task)) for task in CONFIG["tasks"]]


def taught(teachers, **training):
    given = {**CONFIG["training"], "teachers": teachers, **training}
    return {**CONFIG, "training": given}


def bits(path):
    return (path / "model/model.safetensors").read_bytes()


def test_soft_targets_are_what_teachers_predict_in_the_form_of_the_labels(teachers):
    prepared = motet.run.prepare(taught(teachers), data=ROWS)
    trainer = motet.run.build_trainer(prepared)
    found = teachers_of(prepared, {name: trainer.model.tasks[name] for name in CONFIG["tasks"]})
    soft = soft_targets_of(found, prepared, print)
    table = prepared.table_of("train")
    for place, task in enumerate(CONFIG["tasks"]):
        predicted = motet.load(teachers[place]).predict(table)
        if task == "a":
            expected = np.stack(
                [predicted[f"a_probability_{name}"].to_numpy() for name in ("no", "yes")], axis=1
            )
        else:
            expected = predicted[task].to_numpy()
        if task == "b":  # standardised, as its labels
            known = prepared.labels("train")["b"], table["b"].to_numpy()
            expected = np.interp(expected, *(np.sort(each) for each in reversed(known)))
        inside = slice(None) if task != "b" else np.abs(soft[task]) < 1.5
        np.testing.assert_allclose(soft[task][inside], expected[inside], rtol=1e-3, atol=1e-3)


def test_a_run_learns_from_its_teachers_and_says_so(teachers, tmp_path):
    lines = []
    run = motet.train(taught(teachers), ROWS, output=tmp_path / "run", say=lines.append)
    assert sum(line.startswith("teacher ") for line in lines) == 3
    plain = motet.train(CONFIG, ROWS, output=tmp_path / "plain")
    assert bits(run.path) != bits(plain.path)
    zero = motet.train(taught(teachers, teacher_weight=0.0), ROWS, output=tmp_path / "zero")
    assert bits(zero.path) == bits(plain.path)
    assert not motet.load(run.path / "model").config.training.teachers


def test_it_resumes_bit_for_bit(teachers, tmp_path):
    whole = motet.train(taught(teachers), ROWS, output=tmp_path / "whole")
    stopped = tmp_path / "stopped"

    def stop(line):
        if line.startswith("epoch") and "2/3" in line:
            raise KeyboardInterrupt

    config = taught(teachers, checkpoint_every=2)
    with pytest.raises(KeyboardInterrupt):
        motet.train(config, ROWS, output=stopped, say=stop)
    resumed = motet.resume(stopped, ROWS)
    assert bits(resumed.path) == bits(whole.path)


def test_one_teacher_of_some_tasks_is_enough(teachers, tmp_path):
    lines = []
    motet.train(taught(teachers[:1]), ROWS, output=tmp_path / "run", say=lines.append)
    assert any("from labels alone: b, n" in line for line in lines)


def test_tags_are_taught_by_the_probabilities_of_words(tmp_path):
    config = {
        "inputs": {
            "words": {"type": "text", "tokenizer": "words", "encoder": {"type": "lstm", "width": 8}}
        },
        "tasks": {"tags": "sequence_labelling", "a": "classification"},
        "training": {"epochs": 2, "batch_size": 64, "device": "cpu"},
    }
    alone = motet.train(config, ROWS, overrides=["tasks.a.enabled=false"], output=tmp_path / "t")
    given = {**config, "training": {**config["training"], "teachers": [str(alone.path)]}}
    run = motet.train(given, ROWS, output=tmp_path / "s")
    plain = motet.train(config, ROWS, output=tmp_path / "p")
    assert bits(run.path) != bits(plain.path)


# Mistakes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tasks": {"c": {"type": "regression", "column": "b"}}}, "expected one of the tasks c"),
        ({"tasks": {"a": {"type": "classification", "column": "n"}}}, "other classes"),
        (
            {
                "tasks": {
                    "a": "classification",
                    "b": {"type": "quantile", "quantiles": [0.5]},
                    "n": "count",
                }
            },
            "cannot learn from a teacher",
        ),
        (
            {"tasks": {"a": "classification", "b": "regression", "n": "regression"}},
            "of kind 'count', expected 'regression'",
        ),
        ({"data": {"split": {"seed": 7}}}, "in another split"),
        ({"data": {"split": {"folds": 2}}}, "in another split"),
    ],
)
def test_teachers_that_do_not_fit_are_refused_and_nothing_is_written(
    changes, message, teachers, tmp_path
):
    with pytest.raises(InputError, match=message):
        motet.train({**taught(teachers), **changes}, ROWS, output=tmp_path / "run")
    assert not (tmp_path / "run/metrics.jsonl").exists()


def test_a_teacher_of_another_split_is_recognised_by_numbers_and_in_an_ensemble(teachers, tmp_path):
    other = single(tmp_path, "b", training={**CONFIG["training"], "seed": 2})
    both = motet.run.ensemble([teachers[1], other], tmp_path / "both")
    for teacher in (teachers[1], str(both.path)):
        config = {**taught([teacher]), "data": {"split": {"seed": 7}}}
        with pytest.raises(InputError, match="in another split"):
            motet.train(config, ROWS, output=tmp_path / "run")


def test_a_folder_that_is_no_run_and_a_weight_without_teachers_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"teachers: .*(no trained model|there is no)"):
        motet.train(taught([str(tmp_path)]), ROWS, output=tmp_path / "run")
    with pytest.raises(InputError, match="no teachers"):
        motet.train(taught([], teacher_weight=0.5), ROWS, output=tmp_path / "run")
