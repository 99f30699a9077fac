"""Checks of a config against its data: all told at once, each at the key that caused it."""

import pytest
import torch

from motet.config import ConfigError
from motet.config.shortcuts import table
from motet.run import check, data_lines
from motet.run.folder import created
from motet.run.preparing import prepare, read_rows

ROWS = {
    "x": [float(row) for row in range(60)],
    "churn": ["yes", "no", "no"] * 20,
    "spend": [row / 7 for row in range(60)],
    "part": ["train"] * 40 + ["validation"] * 10 + ["test"] * 10,
}
SPLIT = {"split": {"column": "part"}}


def problems(call, tasks, rows=ROWS, **sections):
    with pytest.raises(ConfigError) as caught:
        call({"data": SPLIT, "tasks": tasks, **sections}, data=rows)
    return {".".join(map(str, each.key)): each.message for each in caught.value.problems}


@pytest.mark.parametrize("other", ["churn_probability_no", "churn_true"])
def test_two_tasks_whose_predictions_have_one_name_are_refused(other):
    tasks = {"churn": "classification", other: {"type": "regression", "column": "spend"}}
    found = problems(prepare, tasks)
    assert list(found) == [f"tasks.{other}"]
    assert f"those of task 'churn' both have a column '{other}'" in found[f"tasks.{other}"]


def test_all_bad_columns_outside_the_training_part_are_told_each_at_its_key():
    bad = {name: [*range(59), float("inf")] for name in ("a", "b", "c", "d")}
    found = problems(
        prepare,
        {"c": "regression", "d": "regression"},
        {**ROWS, **bad},
        inputs={"a": "number", "b": "number", "x": "number"},
    )
    assert list(found) == ["inputs.a", "inputs.b", "tasks.c", "tasks.d"]
    assert all("infinite" in message for message in found.values())


@pytest.mark.parametrize("bad", ["?", "inf"])
@pytest.mark.parametrize("section", ["inputs", "tasks"])
def test_a_bad_row_is_counted_in_the_whole_table(bad, section):
    values = [str(row) for row in range(60)]
    values[7] = bad
    rows = {**ROWS, "value": values, "part": ["test"] * 5 + ROWS["part"][:55]}  # 7 trains third
    tasks = {"spend": "regression"}
    sections = {"inputs": {"value": "number"}}
    if section == "tasks":
        tasks, sections = {"value": "regression"}, {"inputs": {"x": "number"}}
    (message,) = problems(prepare, tasks, rows, **sections).values()
    assert "in row 7" in message


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ([], "has an empty list in row 6"),
        ([1.0], "has a list of 2 in row 7"),
        (["1", "?"], "has '?' in row 6"),
        ([float("inf"), 1.0], "first in row 6"),
    ],
)
def test_a_bad_list_is_counted_in_the_whole_table(cell, said):
    kind = str if "?" in cell else float
    values = [[kind(row), kind(row + 1)] for row in range(60)]
    values[5], values[6] = None, cell
    if cell == []:
        values[7:] = [None] * 53
    rows = {**ROWS, "value": values, "part": ["test"] * 5 + ROWS["part"][:55]}
    (message,) = problems(
        prepare, {"spend": "regression"}, rows, inputs={"value": "vector"}
    ).values()
    assert said in message


def test_infinite_classes_are_counted_among_all_rows():
    classes = [None, 0.5, float("inf"), *[1.5, 2.5] * 28, 1.5]
    (message,) = problems(prepare, {"k": "classification"}, {**ROWS, "k": classes}).values()
    assert "infinite in 1 of 40 rows, first in row 2" in message


def test_a_class_that_is_given_twice_is_refused():
    churn = {"type": "classification", "classes": ["no", "yes", "no"]}
    found = problems(prepare, {"churn": churn})
    assert found["tasks.churn.classes"].endswith("found 'no' twice; keep one")


def test_a_message_does_not_repeat_its_key():
    found = problems(prepare, {"chrun": "classification"}, inputs={"agee": "number"})
    assert found["tasks.chrun"].startswith("the data have no column 'chrun'")
    assert found["inputs.agee"].startswith("the data have no column 'agee'")
    found = problems(prepare, {"churn": "regression"})
    assert found["tasks.churn"].startswith("column 'churn' has 'yes'")


@pytest.mark.skipif(torch.cuda.is_available(), reason="the device can be used")
def test_a_device_that_cannot_be_used_is_told_at_its_key():
    found = problems(check, {"churn": "classification"}, training={"device": "cuda"})
    assert list(found) == ["training.device"]


def test_types_of_inputs_are_inferred_from_training_rows_alone():
    constant = {**ROWS, "flag": [1.0] * 40 + [2.0] * 20}
    rows = read_rows({"data": SPLIT, "tasks": {"churn": "classification"}}, data=constant)
    assert list(rows.config.inputs) == ["x", "spend"]
    assert "same value" in next(each.reason for each in rows.guesses if each.column == "flag")


def made(name):
    with created(None, name) as path:
        return path.name


def test_two_runs_started_at_once_take_two_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pathlib.Path.iterdir", lambda self: iter(()))  # none sees the other
    assert [made("run") for _ in range(3)] == ["run-001", "run-002", "run-003"]


def test_numbers_of_runs_are_those_of_the_very_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("[ab]-004", "a-007", "[ab]-more-009", "[ab]-x"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    assert made("[ab]") == "[ab]-005"
    assert made("a") == "a-008"


def test_an_output_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="cannot be written"), created(tmp_path / "file", "run"):
        pass


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("rows.csv", "x,y\n{}", 9),
        ("rows.csv", '\nx,y\n"1\n",2\n\n{}', 13),
        ("rows.jsonl", "{}", 8),
        ("rows.jsonl", '{{"x": "1", "y": "1"}}\n\n{}', 10),
    ],
)
@pytest.mark.parametrize("what", ["inputs", "tasks"])
def test_a_bad_row_of_a_text_file_is_named_with_its_line(tmp_path, name, content, line, what):
    values = [(f"{row}", f"{row % 9}") for row in range(60)]
    values[7] = ("inf", "1") if what == "inputs" else ("1", "inf")
    spelt = '{{"x": "{}", "y": "{}"}}' if name.endswith("jsonl") else "{},{}"
    content = content.format("\n".join(spelt.format(*pair) for pair in values))
    path = tmp_path / name
    path.write_text(content)
    row = 7 if content.count("\n") == 59 or content.startswith("x,y") else 8
    with pytest.raises(ConfigError) as caught:
        prepare(
            {"data": {"source": str(path)}, "inputs": {"x": "number"}, "tasks": {"y": "regression"}}
        )
    assert f"row {row} (line {line} of {path})" in str(caught.value)


def test_lines_are_counted_in_the_file_that_has_the_row(tmp_path):
    for place in range(3):
        cells = [f"{row},{row % 7}" for row in range(20)]
        if place == 2:
            cells[4] = "?,1"
        (tmp_path / f"{place}.csv").write_text("\n".join(["x,y", *cells, ""]))
    with pytest.raises(ConfigError) as caught:
        prepare(
            {
                "data": {"source": str(tmp_path / "*.csv")},
                "inputs": {"x": "number"},
                "tasks": {"y": "regression"},
            }
        )
    assert f"'?' in row 44 (line 6 of {tmp_path / '2.csv'})" in str(caught.value)


def test_splits_without_labels_of_a_task_or_with_one_class_are_reported():
    rows = {
        **ROWS,
        "churn": ["yes", "no"] * 20 + ["no"] * 10 + ["yes", "no"] * 5,
        "spend": [*ROWS["spend"][:50], *[None] * 10],
    }
    prepared = prepare(
        {
            "data": SPLIT,
            "inputs": {"x": "number"},
            "tasks": {"churn": "classification", "spend": "regression"},
        },
        data=rows,
    )
    notes = [line.strip() for line in data_lines(prepared) if "task '" in line]
    assert notes == [
        "task 'churn': the 10 labelled validation rows are all 'no', so there is little to score",
        "task 'spend': the test rows have no label, so it is not scored on them",
    ]


def test_a_task_without_a_label_in_training_is_refused():
    found = problems(
        prepare, {"churn": "classification"}, {**ROWS, "churn": [None] * 40 + ["yes", "no"] * 10}
    )
    assert "has no label in the 40 training rows" in found["tasks.churn"]


@pytest.mark.parametrize(("later", "said"), [("week 9", True), ("week 1", False)])
def test_a_category_unseen_in_every_validation_and_test_row_is_reported(later, said):
    weeks = ["week 1"] * 20 + ["week 2"] * 20 + ["week 8"] * 19 + [later]
    prepared = prepare(
        {
            "data": SPLIT,
            "inputs": {"x": "number", "w": "category"},
            "tasks": {"churn": "classification"},
        },
        data={**ROWS, "w": weeks},
    )
    every = (
        "input 'w': every validation and test row has an unseen category, so it only helps on "
        "training rows; leave it out"
    )
    count = "input 'w': 19 of 60 rows have a value that was rare (min_count) or unseen in training"
    assert prepared.notes == ((every if said else count),)


def test_blank_cells_among_numbers_of_a_file_change_nothing_but_that_they_are_missing(tmp_path):
    prepared = []
    for blank in ("", " ", "NA", "  "):
        cells = [blank if row % 9 == 4 else f"{row * 7 % 61 / 4}" for row in range(60)]
        labels = [blank if row % 7 == 3 else f"{row * 11 % 59}" for row in range(60)]
        lines = [f"{x},{y},{row % 5}" for row, (x, y) in enumerate(zip(cells, labels, strict=True))]
        path = tmp_path / "rows.csv"
        path.write_text("\n".join(["x,y,z", *lines, ""]))
        config = table(path, ["y"])
        prepared.append(prepare(config))
    first = prepared[0]
    assert first.config.inputs["x"].type == "number"
    assert first.config.tasks["y"].type == "regression"
    for other in prepared[1:]:
        assert other.config == first.config
        assert other.rows.guesses == first.rows.guesses
        assert torch.equal(*(torch.from_numpy(each.inputs["numbers"]) for each in (other, first)))
        assert other.targets["y"].tobytes() == first.targets["y"].tobytes()


def test_columns_of_groups_and_times_are_no_inputs_unless_named():
    rows = {
        **ROWS,
        "who": [row // 3 for row in range(60)],
        "year": [2000 + row for row in range(60)],
    }
    for split in ({"group": "who"}, {"time": "year"}):
        (column,) = split.values()
        config = {"data": {"split": split}, "tasks": {"spend": "regression"}}
        assert column not in prepare(config, data=rows).config.inputs
        named = {**config, "inputs": {"x": "number", column: "number"}}
        assert column in prepare(named, data=rows).config.inputs


def test_a_missing_column_of_groups_is_reported_at_its_key():
    sections = {"data": {"split": {"group": "wo"}}}
    found = problems(read_rows, {"spend": "regression"}, {**ROWS, "who": ROWS["x"]}, **sections)
    assert "did you mean 'who'" in found["data.split.group"]
