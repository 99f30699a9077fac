"""The command line, end to end on a made-up table: exit codes, messages, and what is written."""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import forked
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from motet import cli

CONFIG = """\
data:
  source: people.csv
tasks:
  churn: {type: classification}
  spend: {type: regression}
model:
  encoder: {hidden: [8]}
training:
  epochs: 2
  batch_size: 32
"""


def listing(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture
def here(tmp_path, people, monkeypatch):
    """A working folder with a table and its config."""
    monkeypatch.chdir(tmp_path)
    pa.csv.write_csv(people, "people.csv")
    (tmp_path / "people.yaml").write_text(CONFIG)
    return tmp_path


@pytest.fixture
def motet(monkeypatch, capsys):
    """Run a command; return its exit code, its output and its errors."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["motet", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        return left.value.code, *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory, people):
    """A finished run of the config."""
    from motet.run import train

    folder = tmp_path_factory.mktemp("runs")
    pa.csv.write_csv(people, folder / "people.csv")
    (folder / "people.yaml").write_text(CONFIG)
    return train(folder / "people.yaml", output=folder / "run").path


# Training, evaluating, predicting --------------------------------------------------------------


def test_train_leaves_numbered_run_folders_and_says_what_comes_next(here, motet):
    code, out, err = motet("train", "people.yaml", "training.epochs=1")
    assert (code, err) == (0, "")
    assert "saved      runs/people-001" in out
    assert "motet predict runs/people-001" in out
    assert motet("train", "people.yaml", "training.epochs=1")[0] == 0
    assert listing(here / "runs")[0] == "people-001"
    assert (here / "runs/people-002/model/model.safetensors").is_file()
    assert "Traceback" not in out


def test_train_prints_labelled_counts_an_epoch_a_line_and_a_table_against_trivial(here, motet):
    _, out, _ = motet("train", "people.yaml", "--output", "run")
    lines = out.splitlines()
    known = pyarrow.csv.read_csv("people.csv")["spend"]
    counts = [line for line in lines if "labelled:" in line]
    assert len(counts) == 2
    printed = sum(
        int(word.replace(",", ""))
        for word, part in zip(counts[1].split(), counts[1].split()[1:], strict=False)
        if part in ("train", "validation", "test")
    )
    assert printed == len(known) - known.null_count
    epochs = [line for line in lines if line.startswith("epoch")]
    assert len(epochs) == 2
    assert all("churn auroc" in line and "spend r2" in line for line in epochs)
    assert any("model" in line and "trivial" in line and "score" in line for line in lines)


def test_validate_trains_nothing_and_writes_nothing(here, motet):
    before = listing(here)
    code, out, err = motet("validate", "people.yaml")
    assert (code, err) == (0, "")
    assert "people.yaml is valid" in out
    assert "labelled:" in out
    assert "hard sharing, " in out
    assert listing(here) == before


def test_validate_says_of_rates_and_freezing_what_train_says(here, motet):
    options = [
        "training.freeze=[encoder]",
        "training.unfreeze={every: 1}",
        "training.shared_learning_rate=0.0001",
    ]
    said = []
    for command in ("validate", "train"):
        code, out, _ = motet(command, "people.yaml", *options)
        assert code == 0
        lines = out.splitlines()
        start = next(place for place, line in enumerate(lines) if line.startswith("rates"))
        said.append(lines[start : start + 3])
    assert said[0] == said[1]
    assert "0.0001 (" in said[0][0]
    assert said[0][1].startswith("frozen ")
    assert "are trained from epoch 2: " in said[0][2]


def test_predict_writes_a_row_for_every_row_in_order(here, motet, run, people):
    rows = people.drop_columns(["churn", "spend"])
    pq.write_table(rows, "rows.parquet")
    code, out, _ = motet("predict", run, "rows.parquet", "--output", "out.csv")
    assert code == 0
    assert "240 rows to out.csv" in out
    predicted = pyarrow.csv.read_csv("out.csv")
    assert predicted.column_names == [
        "churn",
        "churn_probability_no",
        "churn_probability_yes",
        "spend",
    ]
    pq.write_table(rows.take(pa.array(range(239, -1, -1))), "backwards.parquet")
    motet("predict", run, "backwards.parquet", "--output", "backwards.csv")
    backwards = pyarrow.csv.read_csv("backwards.csv")
    np.testing.assert_allclose(
        backwards["spend"].to_numpy()[::-1], predicted["spend"].to_numpy(), rtol=1e-5
    )
    assert backwards["churn"].to_pylist()[::-1] == predicted["churn"].to_pylist()


def test_predict_and_evaluate_say_what_of_the_rows_is_not_known_or_not_read(here, motet, tmp_path):
    rows = {"review": ["good shoes", "bad hats"] * 30, "city": ["Lima", "Rom"] * 30}
    pa.csv.write_csv(pa.table({**rows, "mood": ["glad", "sad"] * 30}), "reviews.csv")
    (here / "reviews.yaml").write_text(
        """\
        data: {source: reviews.csv}
        inputs:
          review: {type: text, tokenizer: words, max_length: 3, encoder: {width: 4}}
          city: category
        tasks: {mood: classification}
        training: {epochs: 1}
        """
    )
    motet("train", "reviews.yaml", "--output", "run")
    later = {"review": ["good", "a long text", "", "bad"], "city": ["Rom", "Bonn", "Ulm", None]}
    pa.csv.write_csv(pa.table({**later, "mood": ["glad"] * 4}), "later.csv")
    told = (
        "input 'review': 1 of 4 rows have more than 3 tokens, the rest is cut off (max_length)",
        "input 'review': 1 of 4 rows have no text",
        "input 'city': 2 of 4 rows have a value that was rare (min_count) or unseen in training",
    )
    _, out, _ = motet("predict", "run", "later.csv", "-o", "out.csv")
    assert out.splitlines()[:3] == [f"note       {each}" for each in told]
    _, out, _ = motet("evaluate", "run", "later.csv")
    assert out.splitlines()[-3:] == [f"note: {each}" for each in told]
    _, out, _ = motet("predict", "run", "reviews.csv", "-o", "others.csv")
    assert "note" not in out


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_predictions_can_be_written_in_every_format(here, motet, run, suffix):
    assert motet("predict", run, "people.csv", "-o", f"out.{suffix}")[0] == 0
    read = pyarrow.csv.read_csv if suffix == "csv" else pq.read_table
    assert len(read(f"out.{suffix}")) == 240


def test_predict_can_be_asked_for_some_tasks(here, motet, run):
    assert motet("predict", run, "people.csv", "-o", "out.csv", "--tasks", "spend")[0] == 0
    assert pyarrow.csv.read_csv("out.csv").column_names == ["spend"]


def test_evaluate_shows_every_metric_beside_the_trivial_one(here, motet, run):
    code, out, _ = motet("evaluate", run, "people.csv", "--split", "test")
    assert code == 0
    for word in ("task", "trivial", "auroc", "accuracy", "r2", "rmse", "mean score"):
        assert word in out
    code, out, _ = motet("evaluate", run, "people.csv", "--split", "test", "--tasks", "spend")
    assert "churn" not in out


def test_the_model_folder_alone_is_enough(here, motet, run):
    assert motet("predict", run / "model", "people.csv", "-o", "a.csv")[0] == 0
    assert motet("predict", run, "people.csv", "-o", "b.csv")[0] == 0
    assert (here / "a.csv").read_text() == (here / "b.csv").read_text()


# Lists ---------------------------------------------------------------------------------------


def test_list_names_every_member_with_its_first_line(motet):
    from motet.registry import KINDS

    code, out, _ = motet("list")
    assert code == 0
    for registry in KINDS.values():
        assert all(f"  {name} " in out for name in registry)
    assert "Add up the losses, each times its task's weight" in out
    code, out, _ = motet("list", "losses")
    assert {line.split()[0] for line in out.splitlines()} == set(KINDS["loss"])


def test_schema_prints_json(motet):
    code, out, _ = motet("schema")
    assert code == 0
    assert json.loads(out)["title"] == "Config"


# Bad input: one clear message, exit code 2, nothing written -------------------------------------


def refused(motet, here, *command):
    """Check that a command is refused with one line and writes nothing; return the line."""
    before = listing(here)
    code, out, err = motet(*command)
    assert code == 2, out + err
    assert out == ""
    assert len(err.splitlines()) == 1, err
    assert listing(here) == before
    return err


def test_five_mistakes_are_five_lines_with_positions(here, motet):
    (here / "bad.yaml").write_text(
        "data: {source: people.csv, splitt: 0.1}\n"
        "tasks:\n"
        "  churn: {type: clasification}\n"
        "  spend: {type: regression, weight: heavy}\n"
        "balancing: equall\n"
        "training:\n"
        "  epohcs: 3\n"
    )
    before = listing(here)
    for command in ("train", "validate"):
        code, out, err = motet(command, "bad.yaml")
        assert (code, out) == (2, "")
        lines = err.splitlines()
        assert [line.split("  ")[0] for line in lines] == [
            f"bad.yaml:{place}" for place in ("1:28", "3:17", "4:37", "5:12", "7:3")
        ]
        assert all("did you mean" in line for line in lines if "weight" not in line)
    assert listing(here) == before


def test_a_misspelt_source_is_one_mistake(here, motet):
    (here / "bad.yaml").write_text(CONFIG.replace("source:", "sorce:"))
    message = refused(motet, here, "train", "bad.yaml")
    assert message == "bad.yaml:2:3  data.sorce: unknown key; did you mean 'source'?\n"


def test_mistakes_in_config_and_data_are_told_together(here, motet):
    (here / "bad.yaml").write_text(CONFIG.replace("spend:", "spent:") + "  epohcs: 3\n")
    code, _, err = motet("train", "bad.yaml")
    assert code == 2
    first, second = err.splitlines()
    assert first.startswith("bad.yaml:5:3  tasks.spent: ")
    assert "did you mean 'spend'?" in first
    assert second.startswith("bad.yaml:11:3  training.epohcs: ")


def change(table, name, values):
    return table.set_column(table.column_names.index(name), name, pa.array(values))


def many_floats(table):
    table = pa.concat_tables([table] * 42)
    return change(table, "spend", np.linspace(0, 1, len(table)).tolist())


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["training.epohcs=3"], "'epochs'"),
        (["banana=3"], "banana: unknown key"),
        (["training.epochs=many"], "found 'many', expected a whole number"),
        (["tasks.spend.type=regresion"], "did you mean 'regression'"),
        (["data.source=missing.csv"], "there is no file"),
        (["data.source=pepole.csv"], "people.csv"),
        (["data.source=empty.csv"], "is empty"),
        (["data.source=text.parquet"], "not a Parquet file"),
        (["data.source=binary.csv"], "binary.csv"),
        (["data.source=folder"], "is a folder"),
        (["data.source=motet://adlut"], "did you mean 'adult'"),
        (["tasks.spend.column=spent"], "did you mean 'spend'"),
        (["data.source=doubled.csv"], "'age'"),
        (["inputs={age: number, agee: number}"], "did you mean 'age'"),
        (["inputs={age: number, spend: number}"], "is the target of task 'spend'"),
        (["inputs={v: {type: vector, columns: 's*'}}"], "'spend'"),
        (["tasks.churn.column=city", "inputs={city: category}"], "is the target of task 'churn'"),
        (["data.source=one_class.csv"], "churn"),
        (["data.source=no_labels.csv"], "spend"),
        (["data.source=infinite.csv", "inputs={income: number}"], "infinite in 1 of"),
        (["data.source=infinite.csv", "tasks.income.type=regression"], "infinite in 1 of"),
        (["data.source=many.csv", "tasks={spend: {type: classification}}"], "spend"),
        (["inputs={city: number}"], "expected a number"),
        (["tasks.city.type=regression"], "expected a number"),
        (["data.split={validation: 0.6, test: 0.5}"], "sum is below 1"),
        (["data.split={column: city}"], "city"),
        (["training.monitor=spent"], "did you mean 'spend'"),
        (["balancing=uncertainty", "tasks.spend.weight=2"], "takes no weight"),
        (["balancing={type: manual, weights: {churn: 1}}"], "found no value for spend"),
        (["training.optimizer={type: adamw, betas: [0.9]}"], "betas"),
        (["training.device=cuda:9"], "training.device: found 'cuda:9', which cannot be used here"),
        (["tasks.spend.outputs=3"], "outputs"),
        (["tasks.churn.metrics=[r2]"], "does not suit"),
        (["training.epochs"], "expected key=value"),
    ],
)
def test_bad_input_is_one_clear_message_and_nothing_is_written(
    here, motet, people, overrides, message
):
    rows = {
        "one_class": change(people, "churn", ["yes"] * 240),
        "no_labels": change(people, "spend", pa.nulls(240, pa.float64())),
        "infinite": change(people, "income", [np.inf, *people["income"].to_pylist()[1:]]),
        "many": many_floats(people),
    }
    for name, table in rows.items():
        if any(name in override for override in overrides):
            pa.csv.write_csv(table, f"{name}.csv")
    (here / "empty.csv").touch()
    (here / "text.parquet").write_text("age,income\n1,2\n")
    pq.write_table(people, "binary.csv")
    (here / "folder").mkdir()
    (here / "doubled.csv").write_text("age,age,churn,spend\n1,2,yes,3\n4,5,no,6\n")
    for command in ("validate", "train"):
        assert message in refused(motet, here, command, "people.yaml", *overrides)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "there is no file 'config.yaml'"),
        ("", "tasks: missing"),
        ("a: [", "not valid YAML"),
        ("- a", "expected a mapping"),
        ("\x00\xff", "YAML"),
    ],
)
def test_a_config_that_is_none_is_told(here, motet, text, message):
    if text is not None:
        (here / "config.yaml").write_text(text, encoding="latin-1")
    assert message in refused(motet, here, "train", "config.yaml")


def test_an_output_that_cannot_be_used_is_told_before_training(here, motet):
    (here / "full").mkdir()
    (here / "full/file").touch()
    for place in ("full", "people.csv", "people.csv/run"):
        message = refused(motet, here, "train", "people.yaml", "--output", place)
        assert f"the output folder {place} " in message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["RUN", "no_city.csv", "-o", "out.csv"], "no column 'city'"),
        (["RUN", "people.csv", "-o", "there.csv"], "there.csv exists; name another"),
        (["RUN", "people.csv", "-o", "missing/out.csv"], "the folder of the output"),
        (["RUN", "people.csv", "-o", "out.xlsx"], "ends in .xlsx, expected .csv or .parquet"),
        (["RUN", "people.csv", "-o", "out.csv", "--tasks", "spent"], "did you mean 'spend'"),
        (["RUN", "missing.csv", "-o", "out.csv"], "there is no file"),
        (["RUN", "texts.csv", "-o", "out.csv"], "column 'age' has 'old' in row"),
        (["RUN", "people.csv"], "Missing option '--output'"),
        ([".", "people.csv", "-o", "out.csv"], "holds no trained model"),
        (["nowhere", "people.csv", "-o", "out.csv"], "there is no folder 'nowhere'"),
    ],
)
def test_predict_refuses_what_it_cannot_do(here, motet, run, people, arguments, message):
    pa.csv.write_csv(people.drop_columns(["city"]), "no_city.csv")
    pa.csv.write_csv(change(people, "age", ["old"] * 240), "texts.csv")
    (here / "there.csv").touch()
    arguments = [run if each == "RUN" else each for each in arguments]
    assert message in refused(motet, here, "predict", *arguments)


def test_evaluate_needs_labels(here, motet, run, people):
    pa.csv.write_csv(people.drop_columns(["churn", "spend"]), "rows.csv")
    assert "no labels for churn, spend" in refused(motet, here, "evaluate", run, "rows.csv")
    pa.csv.write_csv(people.drop_columns(["spend"]).slice(0, 100), "rows.csv")
    assert motet("evaluate", run, "rows.csv")[0] == 0
    message = refused(motet, here, "evaluate", run, "rows.csv", "--tasks", "spend")
    assert "no labels for spend" in message
    strange = change(people.drop_columns(["spend"]), "churn", ["perhaps"] * 240)
    pa.csv.write_csv(strange, "strange.csv")
    assert "no row has a label of churn" in refused(motet, here, "evaluate", run, "strange.csv")


def test_a_folder_of_nearly_that_name_is_named(here, motet, run):
    (here / "kept").symlink_to(run)
    for command in (["resume", "kep"], ["predict", "kep", "people.csv", "-o", "out.csv"]):
        assert "did you mean 'kept'?" in refused(motet, here, *command)


def test_a_finished_run_says_how_to_train_longer(here, motet, run):
    message = refused(motet, here, "resume", run)
    assert f"motet train {run / 'config.yaml'} training.epochs=N" in message


def test_a_warning_is_a_line_without_code(here, motet, monkeypatch):
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # put back afterwards
    apart = ["model.sharing={type: hard, groups: [[churn], [spend]]}", "balancing=pcgrad"]
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        code, _, err = motet("train", "people.yaml", "training.epochs=1", *apart)
    assert code == 0
    assert err.startswith("warning    the tasks share no parameter")
    assert ".py" not in err


@pytest.mark.parametrize(
    ("value", "said"),
    [(-0.00001, "-1.000e-05"), (0.25, "0.2500"), (-1234.5, "-1,234"), (3.3e12, "3.3e+12")],
)
def test_numbers_are_easy_to_read(value, said):
    from motet.figures import figure

    assert figure(value) == said


def test_the_version_is_printed(motet):
    code, out, _ = motet("--version")
    assert (code, out.split()[0]) == (0, "motet")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian", "people.yaml"], "No such command 'trian'"),
        (["train"], "Missing argument 'config'; see motet train --help"),
        (["train", "people.yaml", "--outptu", "x"], "No such option"),
        (["list", "balancer"], "did you mean 'balancers'"),
    ],
)
def test_a_wrong_command_is_told(here, motet, arguments, message):
    assert message in refused(motet, here, *arguments)


def test_a_mistake_of_ours_is_exit_code_1_and_debug_shows_where(here, motet, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("broken")

    monkeypatch.setattr("motet.run.train", broken)
    code, _, err = motet("train", "people.yaml")
    assert code == 1
    assert err == "motet: RuntimeError: broken (motet --debug ... shows where)\n"
    for arguments in (["--debug", "train", "people.yaml"], ["train", "people.yaml", "--debug"]):
        code, _, err = motet(*arguments)
        assert code == 1
        assert "Traceback" in err
        assert "in broken" in err


def test_debug_does_not_change_the_exit_code_of_wrong_input(here, motet):
    code, _, err = motet("--debug", "train", "people.yaml", "training.epochs=none")
    assert code == 2
    assert "Traceback" in err
    assert "training.epochs: found 'none', expected a whole number" in err


def test_help_names_every_format(motet):
    for command in ("predict", "evaluate"):
        _, out, _ = motet(command, "--help")
        assert ".csv" in out
        assert ".parquet" in out
        assert ".jsonl" in out


def test_a_run_that_diverges_is_exit_code_1(here, motet):
    code, _, err = motet(
        "train", "people.yaml", "training.optimizer={type: sgd, learning_rate: 1e30}",
        "training.batch_size=8",
    )  # fmt: skip
    assert code == 1
    assert "not finite in 10 steps in a row" in err
    assert "Traceback" not in err


def piped(*arguments):
    """Run a command whose output nobody reads after the first line."""
    (read, write), errors = os.pipe(), Path("errors.txt")
    with os.fdopen(write, "w") as output, errors.open("w") as file:
        process = forked.start(*arguments, output=output, errors=file, without=[read])
    with os.fdopen(read) as output:
        first = output.readline()
    process.join(timeout=60)
    return process.exitcode, first, errors.read_text()


def test_a_closed_output_does_not_end_training(here):
    code, first, errors = piped("train", "people.yaml", "--output", "run")
    assert (code, first[:4]) == (0, "data")
    assert (
        errors
        == "warning    the output is closed; the run continues without it (Ctrl-C stops it)\n"
    )
    assert (here / "run/model/config.json").is_file()
    assert len((here / "run/metrics.jsonl").read_text().splitlines()) == 5


def test_a_closed_output_is_no_error_of_other_commands(here):
    assert piped("list") == (0, "balancers\n", "")


def test_the_cache_is_listed_and_cleared(here, motet, monkeypatch):
    monkeypatch.setenv("MOTET_CACHE", str(here / "cache"))
    nothing = f"0 files, 0.0 MB of at most 10.0 GB in {here / 'cache/frozen'}\n"
    assert motet("cache") == (0, nothing, "")
    (here / "cache/frozen").mkdir(parents=True)
    (here / "cache/frozen/a.safetensors").write_bytes(bytes(2_000_000))
    _, out, _ = motet("cache")
    assert f"2.0 MB  {here / 'cache/frozen/a.safetensors'}" in out
    assert motet("cache", "--clear") == (0, "removed    1 file, 2.0 MB\n", "")
    assert motet("cache") == (0, nothing, "")


def test_rows_of_training_are_evaluated_with_a_warning_or_by_split(here, motet, run, monkeypatch):
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # put back afterwards
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        code, out, err = motet("evaluate", run, "people.csv")
        assert code == 0
        assert err.startswith("warning    the run was trained on 168 of these 240 rows")
        assert "--split test" in err
        code, held_out, err = motet("evaluate", run, "people.csv", "--split", "test")
    assert (code, err) == (0, "")
    assert held_out != out
    assert "--split" in refused(motet, here, "evaluate", run, "people.csv", "--split", "tset")


def test_a_warning_of_a_check_is_not_repeated_by_the_run(here, motet, tmp_path, monkeypatch):
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # put back afterwards
    kind, mood = ["train"] * 40 + ["validation"] * 8, ["good", "bad"] * 20 + ["good"] * 8
    table = pa.table(
        {"x": np.arange(48) % 7, "size": np.arange(48) % 5, "mood": mood, "kind": kind}
    )
    pa.csv.write_csv(table, tmp_path / "rows.csv")
    (tmp_path / "config.yaml").write_text(
        "data: {source: rows.csv, split: {column: kind}}\ninputs: {x: number}\n"
        "tasks: {size: regression, mood: classification}\ntraining: {epochs: 1}\n"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        code, _, errors = motet("train", tmp_path / "config.yaml", "--output", tmp_path / "run")
    assert code == 0
    assert errors.count("over 1 of 2 tasks") == 1


def test_an_interrupted_command_is_exit_code_130(here, motet, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("motet.run.train", interrupted)
    assert motet("train", "people.yaml")[0] == 130


def test_the_exit_code_reaches_the_shell(here):
    environment = {**os.environ, "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, "-m", "motet", "train", "poeple.yaml"],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert "there is no file 'poeple.yaml'" in done.stderr
