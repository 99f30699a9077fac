"""What a new user types by mistake in the first hour gets an answer that says what to type."""

import sys

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from torch import nn

import motet
from motet import cli
from motet.problems import InputError

ROWS = {
    "age": np.arange(60) % 7,
    "city": ["Kyoto", "Lima"] * 30,
    "spend": np.linspace(0, 1, 60),
    "name": [f"person {row}" for row in range(60)],
}
CONFIG = "data: {{source: rows.csv}}\ninputs: {{age: number}}\ntasks: {tasks}\n"


@pytest.fixture
def answer(tmp_path, monkeypatch, capsys):
    """Call a command in a folder with data; return what it says is wrong."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "configs").mkdir()
    (tmp_path / "runs/first-001/model").mkdir(parents=True)
    for file in ("rows.csv", "data/rows.csv"):
        pa.csv.write_csv(pa.table(ROWS), tmp_path / file)
    (tmp_path / "configs/first.yaml").write_text(CONFIG.format(tasks="{city: classification}"))
    (tmp_path / "runs/first-001/config.yaml").touch()
    (tmp_path / "damaged.parquet").write_bytes(b"PAR1")

    def called(*arguments):
        monkeypatch.setattr(sys, "argv", ["motet", *arguments])
        with pytest.raises(SystemExit) as left:
            cli.main()
        assert left.value.code == 2
        return capsys.readouterr().err

    return called


INIT = ("--targets", "city", "--output", "new.yaml")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("init", "data", *INIT), "data is a folder, expected a file; give data/rows.csv"),
        (("init", "runs", *INIT), "runs is a folder, expected a file; it holds no data files"),
        (("init", "."), "Missing option '--targets'"),
        (("init", ".", *INIT), "it holds damaged.parquet, rows.csv\n"),
        (("init", "http://host/x.csv", *INIT), "address http://host/x.csv, expected a file on"),
        (("init", "damaged.parquet", *INIT), "is a damaged Parquet file: "),
        (("init", "rows.csv", "--targets", "City"), "no column 'City' (did you mean 'city'?)"),
        (("init", "rows.csv", "--targets", "city", "--output", "data"), "such as data/NAME.yaml"),
        (("validate", "configs"), "is a folder, expected a YAML file; give configs/first.yaml"),
        (("train", "runs/first-001"), "expected a YAML file; give runs/first-001/config.yaml"),
        (("validate", "rows.csv"), "a file of data, expected a YAML config; motet init rows.csv"),
        (("train", "x.yaml", "--processes", "0"), "'--processes': "),
        (("predict", "rows.csv", "runs", "-o", "p.csv"), "'rows.csv' is a file, expected a run"),
        (("predict", "runs", "rows.csv", "-o", "p.csv"), "folder, such as runs/first-001\n"),
    ],
)
def test_a_path_of_another_kind_is_answered_with_what_to_give(answer, arguments, message):
    said = answer(*arguments)
    assert message in said
    assert ".;" not in said
    assert "Input should" not in said


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ("{spend: classification}", "tasks.spend: column 'spend' has another value in each of 42"),
        ("{name: classification}", "expected classes that several rows have; choose another col"),
        ("{city: sequence_labelling}", "it labels the words of a text, and no input is a text;"),
    ],
)
def test_a_type_of_task_that_the_column_does_not_fit_is_named_with_the_column(
    answer, tmp_path, tasks, message
):
    (tmp_path / "first.yaml").write_text(CONFIG.format(tasks=tasks))
    assert message in answer("validate", "first.yaml")


X = np.zeros((6, 3), dtype="float32")


@pytest.mark.parametrize(
    ("called", "message"),
    [
        (lambda trainer: trainer.evaluate((X, {})), "have no targets; expected those of a: "),
        (lambda trainer: trainer.predict((X, {"a": X[:, 0]})), r"inputs alone: predict\(inputs\)"),
        (lambda trainer: trainer.model(X), r"Convert arrays before: torch.as_tensor\(inputs\)"),
        (lambda _: motet.load(None), "found null, expected the path of a run folder"),
    ],
)
def test_python_that_is_nearly_right_is_answered_with_what_to_write(called, message):
    model = motet.MultiTaskModel(nn.Linear(3, 2), [motet.tasks.Regression("a")])
    with pytest.raises(InputError, match=message):
        called(motet.Trainer(model))
