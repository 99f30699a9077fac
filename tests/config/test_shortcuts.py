"""Configs made in Python are what the same YAML would be."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

import motet
from motet.config import Config, classification_task, multi_label_task, regression_task, table
from motet.config.shortcuts import named_tasks
from motet.data.inference import Guess
from motet.problems import InputError

ROWS = {
    "x": np.arange(60.0),
    "churn": ["yes", "no", "no"] * 20,
    "spend": np.linspace(0, 9, 60),
    "tags": [["red"], [], ["red", "big"]] * 20,
}


def test_types_of_tasks_are_inferred_and_the_rest_is_default():
    config = table(ROWS, targets=["churn", "spend", "tags"])
    assert config == Config(
        tasks={
            "churn": classification_task(),
            "spend": regression_task(),
            "tags": multi_label_task(),
        }
    )


def test_a_source_that_is_a_place_is_written_down(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("x,y\n1,2\n3,4\n")
    assert table(path, targets=["y"]).data.source == str(path)
    assert table([path], targets=["y"]).data.source == (str(path),)


def test_given_types_and_sections_go_into_the_config():
    config = table(
        ROWS,
        {"churn": "classification", "money": regression_task(column="spend", weight=2.0)},
        training={"epochs": 3},
        data={"split": {"stratify": "churn"}},
    )
    assert config.tasks["money"].options()["weight"] == 2.0
    assert config.training.epochs == 3
    assert config.data.split.stratify == "churn"


def test_a_column_that_marks_the_parts_is_used_unless_a_split_is_given():
    rows = {**ROWS, "fold": ["train", "train", "dev"] * 20}
    found = table(rows, ["churn"]).data.split
    assert (found.column, found.train, found.validation) == ("fold", None, "dev")
    assert table(rows, ["churn"], data={"split": {"seed": 1}}).data.split.column is None


@pytest.mark.parametrize(
    ("targets", "sections", "said"),
    [
        (["chrun"], {}, "no column 'chrun' (did you mean 'churn'?)"),
        ({"churn": "clasification"}, {}, "did you mean 'classification'?"),
        (["churn"], {"trainig": {}}, "trainig: unknown key; did you mean 'training'?"),
        ({"churn": classification_task(wieght=2)}, {}, "did you mean 'weight'?"),
    ],
)
def test_mistakes_are_told_as_in_yaml(targets, sections, said):
    with pytest.raises(InputError) as caught:
        table(ROWS, targets, **sections)
    assert said in str(caught.value)


def test_tasks_are_named_as_their_columns_but_for_names_that_no_task_can_have():
    columns = ["a.b", "a_b", "score", "c"]
    tasks = named_tasks([Guess(column, "regression", "") for column in columns])
    assert {name: task.get("column", name) for name, task in tasks.items()} == {
        "a_b_": "a.b",
        "a_b": "a_b",
        "score_": "score",
        "c": "c",
    }


def test_one_target_may_stand_alone():
    assert table(ROWS, "churn") == table(ROWS, ["churn"])


def test_columns_of_given_types_are_looked_for():
    with pytest.raises(InputError, match=r"no column 'chrun' \(did you mean 'churn'\?\)"):
        table(ROWS, {"chrun": "classification"})
    with pytest.raises(InputError, match="no column 'money'"):
        table(ROWS, {"spend": regression_task(column="money")})


def test_auxiliary_tasks_need_no_column():
    words = motet.config.masked_language_modelling_task()
    config = table(ROWS | {"fold": ["train", "dev"] * 30}, {"churn": "classification", "w": words})
    assert list(config.tasks) == ["churn", "w"]
    assert config.data.split.column == "fold"


def test_a_target_that_is_named_otherwise_does_not_mark_the_parts():
    rows = {**ROWS, "fold": ["train", "train", "dev"] * 20}
    config = table(rows, {"part_of": classification_task(column="fold")})
    assert config.data.split.column is None


def test_such_a_config_trains(tmp_path):
    config = table(ROWS, ["churn", "spend"], training={"epochs": 1})
    run = motet.train(config, data=ROWS, output=tmp_path / "run")
    assert run.predict(pa.table({"x": [1.0], "tags": [["red"]]})).column_names[0] == "churn"


def test_reading_a_config_needs_no_arrow():
    program = """
import sys
import motet.config
motet.config.read({"tasks": {"a": "regression"}})
assert not {"torch", "pyarrow"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_helpers_of_sharing_and_auxiliary_tasks_make_configs_that_train(tmp_path):
    rng = np.random.default_rng(0)
    words = [" ".join(rng.choice(list("abcdefgh"), 6)) for _ in range(80)]
    rows = {"review": words, "stars": rng.normal(size=80), "good": rng.integers(0, 2, 80)}
    encoder = {"type": "lstm", "width": 8}
    for sharing in (
        motet.config.soft_sharing(strength=0.1, regularizer="l2"),
        motet.config.hard_sharing(),
        motet.config.mmoe_sharing(experts=2, expert_width=8),
    ):
        config = Config(
            inputs={"review": {"type": "text", "tokenizer": "words", "encoder": encoder}},
            tasks={
                "stars": regression_task(),
                "good": classification_task(),
                "words": motet.config.masked_language_modelling_task(0.5, every=2),
            },
            model={"sharing": sharing},
            training={"epochs": 1, "batch_size": 16},
        )
        assert config.tasks["words"].options()["frequency"] == {"every": 2}
        run = motet.train(config, rows, output=tmp_path / sharing["type"])
        assert run.history.curve("words", "loss")[0] > 0
    default = motet.config.masked_language_modelling_task()
    assert default["frequency"] == {"every": 10}
    rare = motet.config.masked_language_modelling_task(frequency={"probability": 0.1}, share=0.3)
    assert (rare["frequency"], rare["share"]) == ({"probability": 0.1}, 0.3)


def test_wrong_options_of_helpers_are_reported_with_their_place():
    tasks = {"a": regression_task(), "w": motet.config.masked_language_modelling_task(-1, every=0)}
    sharing = motet.config.soft_sharing(strength="much")
    with pytest.raises(InputError) as caught:
        Config(tasks=tasks, model={"sharing": sharing})
    for message in (
        "tasks.w.weight: found -1, expected a number > 0",
        "tasks.w.frequency.every: found 0, expected a number > 0",
        "model.sharing.strength: found 'much', expected a number",
    ):
        assert message in str(caught.value)
