"""`motet init` writes a config that is valid as it stands, and says why it guessed what."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import motet
from motet.config import read
from motet.config.shortcuts import table
from motet.config.yaml_positions import parse_value
from motet.data.inference import inputs
from motet.problems import InputError
from motet.registry import TASKS
from motet.run import check, initial_config, initialise
from motet.run.commented_yaml import on_one_line
from motet.run.initialising import SCHEMA
from motet.settings import Rule, Setting, resolving
from motet.tasks import Task
from motet.tasks.kinds import TagLabels

ROWS = 60
COLUMNS = {
    "age": [(17 * row) % 50 for row in range(ROWS)],
    "job": ["cook", "nurse", None] * (ROWS // 3),
    "row_name": [f"id{row}" for row in range(ROWS)],
    "day": pa.array([18_000 + row for row in range(ROWS)], pa.date32()),
    "no": [1.5, 2.5] * (ROWS // 2),
    "1e5": [3, 4, 5] * (ROWS // 3),
    "a: b # c": ["x", "y"] * (ROWS // 2),
    "churn": ["yes", "no", "no"] * (ROWS // 3),
    "spend.total": list(np.linspace(0, 9, ROWS)),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    pa.csv.write_csv(pa.table(COLUMNS), tmp_path / "rows.csv")
    pq.write_table(pa.table(COLUMNS), tmp_path / "rows.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("source", ["rows.csv", "rows.parquet", "rows.*v", "motet://adult"])
def test_what_it_writes_is_valid_as_it_stands(folder, source):
    targets = ["income", "hours_per_week"] if "://" in source else ["churn", "spend.total"]
    path = initialise(source, targets, "config.yaml")
    prepared = check(path)
    assert [task.type for task in prepared.config.tasks.values()] == [
        "classification",
        "regression",
    ]
    assert prepared.rows.guesses == ()  # every input is spelled out


def test_every_guess_has_its_reason_beside_it(folder):
    lines = initial_config("rows.csv", ["churn", "spend.total"]).splitlines()
    told = {line.partition("#")[0].strip(): line.partition("#")[2].strip() for line in lines}
    assert told["age: number"] == "37 distinct whole numbers"  # of training rows alone
    assert told["job: category"] == "2 distinct texts, 36 % missing"
    assert told["churn: {type: classification}"] == "2 distinct texts"
    assert told["spend_total: {type: regression, column: spend.total}"] == "60 distinct numbers"
    assert told["split: {validation: 0.15, test: 0.15, seed: 0, stratify: churn}"] == (
        "drawn at random, class by class"
    )
    unused = [line for line in lines if line.startswith("  # ") and ":  " in line]
    assert [line.split()[1] for line in unused] == ["row_name:"]
    assert "as if it named them" in unused[0]
    assert told["day: time"] == "dates"


@pytest.mark.parametrize("source", ["rows.csv", "motet://adult"])
def test_the_settings_in_comments_are_the_defaults(folder, source):
    target = "churn" if source == "rows.csv" else "income"
    text = initial_config(source, [target])
    beginning, _, settings = text.partition("What follows are defaults")
    settings = re.sub(r"^( *)# ", r"\1", settings.partition("\n")[2], flags=re.MULTILINE)
    with_settings, without = (folder / name for name in ("with.yaml", "without.yaml"))
    with_settings.write_text(f"{beginning}\n{settings}")
    without.write_text(text)
    assert read(with_settings)[0] == read(without)[0]
    assert "training:" in settings


def test_the_first_line_names_a_schema_that_lies_beside_and_fits(folder):
    path = initialise("rows.csv", ["churn"], "config.yaml")
    assert path.read_text().startswith(f"# yaml-language-server: $schema={SCHEMA}\n")
    schema = json.loads((folder / SCHEMA).read_text())
    Draft202012Validator(schema).validate(yaml.safe_load(path.read_text()))
    initialise("rows.csv", ["churn"], "second.yml")  # the schema is shared


def test_few_rows_train_in_small_batches_for_many_epochs(folder):
    initialise("rows.csv", ["churn"], "few.yaml")
    training = read("few.yaml")[0].training
    assert (training.batch_size, training.epochs) == (32, 300)
    assert training.early_stopping.patience == 75
    text = Path("few.yaml").read_text()
    assert re.search(r"  batch_size: 32 +# chosen: 42 training rows, 2 steps an", text)
    assert re.search(r"  epochs: 300 +# chosen: 600 steps in all", text)
    initialise("motet://adult", ["income"], "many.yaml")
    assert read("many.yaml")[0].training.batch_size == 256


def test_what_rules_choose_is_written_where_it_belongs_with_the_reason(folder, monkeypatch):
    """Once a rule becomes the default, `init` writes what a run would choose by itself."""
    table = {"text": [f"word{i} other{i % 7}" * 3 for i in range(60)], "y": ["a", "b"] * 30}
    pq.write_table(pa.table(table), folder / "texts.parquet")
    rules = (
        Rule("inputs.*.encoder", lambda case: Setting({"type": "bag"}, "few texts"), True),
        Rule("tasks.*.label_smoothing", lambda case: Setting(0.1, "few rows"), True),
        Rule("balancing", lambda case: Setting({"type": "uncertainty"}, "it wins"), True),
        Rule("training.optimizer.learning_rate", lambda case: Setting(0.02, "a bag"), True),
        Rule("training.average", lambda case: Setting("ema", "noise"), True),
    )
    monkeypatch.setattr(resolving.rules, "RULES", rules)
    path = initialise("texts.parquet", ["y"], "texts.yaml")
    text, config = path.read_text(), read(path)[0]
    assert config.inputs["text"].encoder.type == "bag"
    assert config.tasks["y"].label_smoothing == 0.1
    assert config.stages[0].type == "uncertainty"
    assert config.training.optimizer.learning_rate == 0.02
    assert config.training.average == "ema"
    for reason in ("; few texts", "; few rows", "# it wins", ": a bag", ": noise"):
        assert reason in text
    assert "# examples/clothing.yaml of the repository" in text
    monkeypatch.setattr(resolving.rules, "RULES", ())
    check(path)


def test_the_source_is_relative_to_the_config(folder):
    (folder / "configs").mkdir()
    path = initialise("rows.csv", ["churn"], "configs/churn.yaml")
    assert read(path)[0].data.source == "../rows.csv"
    assert check(path)
    assert "source: rows.csv" in initial_config("rows.csv", ["churn"])


def test_a_column_that_marks_the_parts_is_found(folder):
    marked = {**COLUMNS, "fold": ["train", "val", "test", "train"] * (ROWS // 4)}
    pq.write_table(pa.table(marked), "marked.parquet")
    text = initial_config("marked.parquet", ["churn"])
    assert "split: {column: fold, validation: val}" in text
    assert "# marks train and validation and test" in text
    assert "\n  fold:" not in text


@pytest.mark.parametrize(
    ("targets", "output", "said"),
    [
        (["chrun"], "c.yaml", "no column 'chrun' (did you mean 'churn'?)"),
        (["row_name"], "c.yaml", "cannot predict 'row_name'"),
        (["churn", "churn"], "c.yaml", "none twice"),
        ([], "c.yaml", "expected at least one column"),
        (["churn"], "c.txt", "expected .yaml or .yml"),
        (["churn"], "there.yaml", "exists"),
        (["churn"], "none/c.yaml", "does not exist"),
    ],
)
def test_mistakes_are_told_and_nothing_is_written(folder, targets, output, said):
    (folder / "there.yaml").write_text("mine")
    before = sorted(folder.iterdir())
    with pytest.raises(InputError) as caught:
        initialise("rows.csv", targets, output)
    assert said in str(caught.value)
    assert sorted(folder.iterdir()) == before
    assert (folder / "there.yaml").read_text() == "mine"


def test_few_rows_of_many_classes_are_drawn_without_regard_to_them(folder):
    columns = {"x": list(range(8)), "y": ["a", "b", "c", "d"] * 2}
    pq.write_table(pa.table(columns), "few.parquet")
    assert "split: {validation: 0.15, test: 0.15, seed: 0}  " in initial_config(
        "few.parquet", ["y"]
    )


def test_a_column_of_many_rare_classes_is_not_stratified_by(folder):
    rare = ["a", "b"] * 100 + [f"r{row // 2}" for row in range(200)]
    columns = {"x": [row % 7 for row in range(400)], "rare": rare, "kind": ["a", "b"] * 200}
    pq.write_table(pa.table(columns), "rare.parquet")
    assert "seed: 0}  " in initial_config("rare.parquet", ["rare"])
    assert "stratify: kind}" in initial_config("rare.parquet", ["rare", "kind"])


def test_a_table_of_texts_alone_shows_the_encoder_of_texts_and_no_other(folder):
    reviews = [f"some words and {row} more" for row in range(ROWS)]
    pq.write_table(pa.table({"review": reviews, "stars": [0, 1, 2] * 20}), "texts.parquet")
    text = initial_config("texts.parquet", ["stars"])
    assert "  review: {type: text, encoder: {type: bag}}  #" in text
    assert "mlp" not in text
    mixed = {"review": reviews, "age": COLUMNS["age"], "stars": [0, 1, 2] * 20}
    pq.write_table(pa.table(mixed), "mixed.parquet")
    text = initial_config("mixed.parquet", ["stars"])
    assert "encoder: {type: bag}" in text
    assert "#   encoder: {type: mlp" in text


def test_a_type_asked_for_is_written_and_the_other_reading_is_named_beside_a_guess(folder):
    columns = {"x": COLUMNS["age"], "a": [0, 1, 3, 5] * 15, "b": ["x", "y"] * 30}
    pq.write_table(pa.table(columns), "rows.parquet")
    text = initial_config("rows.parquet", ["a", "b"])
    assert re.search(
        r"a: {type: classification} +# 4 dist.*; if they are amounts: regression", text
    )
    path = initialise("rows.parquet", ["a:regression", "b"], "asked.yaml")
    assert [task.type for task in check(path).config.tasks.values()] == [
        "regression",
        "classification",
    ]
    assert table("rows.parquet", ["a:regression", "b"]).tasks["a"].type == "regression"
    with pytest.raises(InputError, match="did you mean 'regression'"):
        initialise("rows.parquet", ["a:regresion"], "wrong.yaml")


def test_a_type_of_ones_own_is_written_as_its_kind_of_label_needs(folder, monkeypatch):
    class Ordinal(Task):
        labels = "class"
        loss = decode = None

    class Tagging(Task):
        labels = TagLabels()
        loss = decode = None

    for name, task in (("ordinal", Ordinal), ("tagging", Tagging)):
        monkeypatch.setitem(TASKS._own, name, task)
    columns = {
        "x": COLUMNS["age"],
        "stars": [0, 1, 2] * 20,
        "words": ["to Rome", "go"] * 30,
        "tags": ["O B-city", "O"] * 30,
    }
    pq.write_table(pa.table(columns), "rows.parquet")
    text = initial_config("rows.parquet", ["stars:ordinal", "tags:tagging"])
    assert "stratify: stars}" in text
    assert "  words: {type: text, split: spaces, encoder: lstm}" in text
    assert "stratify" not in initial_config("rows.parquet", ["stars:regression"])


def test_shares_of_classes_are_not_stratified_by(folder):
    columns = {"x": COLUMNS["age"], "shares": [[0.5, 0.5], [0.25, 0.75]] * 30}
    pq.write_table(pa.table(columns), "rows.parquet")
    assert "seed: 0}  " in initial_config("rows.parquet", ["shares:classification"])


def test_tags_in_a_csv_file_label_the_words_of_the_column_that_has_as_many(folder):
    rows = [("to Rome", "O B-city"), ("go", "O"), ("to New York", "O B-city I-city")] * 250
    columns = {
        "n": COLUMNS["age"][:30] * 25,
        "words": [a for a, _ in rows],
        "slots": [b for _, b in rows],
    }
    pa.csv.write_csv(pa.table({**columns, "kinds": columns["slots"]}), "slots.csv")
    path = initialise("slots.csv", ["slots"], "slots.yaml")
    text = path.read_text()
    encoder = "{type: lstm, characters: {width: 48}, word_dropout: 0.15, dropout: 0.5}"
    assert f"  words: {{type: text, split: spaces, encoder: {encoder}, tokenizer: words}}" in text
    assert "  slots: {type: sequence_labelling, decoder: crf}  # BIO tags" in text
    assert "  # kinds:" in text
    assert check(path).config.tasks["slots"].type == "sequence_labelling"


def test_a_table_without_anything_to_see_is_refused(folder):
    pq.write_table(pa.table({"churn": COLUMNS["churn"]}), "only.parquet")
    with pytest.raises(InputError, match="at least one column that the model can see"):
        initial_config("only.parquet", ["churn"])


VALUES = st.recursive(
    st.text() | st.sampled_from(["no", "1e3", "null", "~", "a: b", "x #y", "<<", "=", "motet://a"])
    | st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-1e300, 1e300),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


@given(VALUES)
def test_every_reader_of_yaml_reads_the_same_value(value):
    text = f"key: {on_one_line(value)}\n"
    assert parse_value(text) == yaml.safe_load(text) == {"key": value}


def test_it_needs_no_torch(folder):
    program = """
import sys
sys.argv = ["motet", "init", "rows.csv", "--targets", "churn, spend.total", "-o", "config.yaml"]
from motet.cli import main
try:
    main()
except SystemExit as done:
    assert not done.code
assert "torch" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert "wrote      config.yaml" in done.stdout
    assert (folder / "config.yaml").is_file()


def test_rows_that_repeat_a_name_are_split_by_it(folder):
    visits = pa.table(
        {
            "customer_id": [row // 3 for row in range(300)],
            "age": [row % 50 for row in range(300)],
            "churn": ["yes", "no", "no"] * 100,
        }
    )
    pq.write_table(visits, "visits.parquet")
    text = initial_config("visits.parquet", ["churn"])
    assert "split: {group: customer_id, validation: 0.15, test: 0.15, seed: 0}" in text
    assert "100 distinct names in 300 rows: rows of one are in one split" in text
    assert "customer_id: number" not in text


def test_sets_and_very_many_categories_are_written_with_their_reasons_and_train(
    folder, monkeypatch
):
    monkeypatch.setattr(inputs, "_MOST_LISTED", 11)
    words = ["red", "big", "new", "odd"]
    tags = [
        [word for place, word in enumerate(words) if row >> place & 1 or place == row % 4]
        for row in range(ROWS)
    ]
    rows = {
        "tags": tags,
        "genres": [", ".join(each) for each in tags],
        "visitor_id": [row % 30 for row in range(ROWS)],  # split by it
        "shop_id": [row % 12 for row in range(ROWS)],
        "age": COLUMNS["age"],
        "churn": COLUMNS["churn"],
    }
    pq.write_table(pa.table(rows), "tagged.parquet")
    text = initialise("tagged.parquet", ["churn"], "tagged.yaml").read_text()
    assert re.search(r"  tags: set +# lists of 4 distinct texts, .* in a row; if they are", text)
    assert re.search(r"  genres: {type: set, separator: .,.} +# texts of 4 distinct values", text)
    assert re.search(
        r"  shop_id: {type: category, hash: 100000, hashes: 2} +# 12 .*; hashed, as they", text
    )
    run = motet.train("tagged.yaml", overrides=["training.epochs=1"], output=folder / "run")
    assert len(run.predict(pa.table(rows))) == ROWS


def test_labels_in_texts_with_separators_train_and_are_refused_without_the_separator(folder):
    words = ["red", "very big", "new"]
    labels = [[word for place, word in enumerate(words) if row >> place & 1] for row in range(ROWS)]
    cells = [", ".join(each) or "[]" for each in labels]
    pa.csv.write_csv(pa.table({"age": COLUMNS["age"], "tags": cells}), "labels.csv")
    text = initialise("labels.csv", ["tags"], "labels.yaml").read_text()
    assert re.search(r"  tags: {type: multi_label, separator: .,.} +# texts of 3 distinct", text)
    run = motet.train("labels.yaml", overrides=["training.epochs=1"], output=folder / "run")
    assert set(motet.load(run.path / "model").predict(pa.table(COLUMNS)).column_names[1:]) == {
        f"tags_probability_{word}" for word in words
    }
    Path("labels.yaml").write_text(re.sub(", separator: .,.}", "}", text))
    with pytest.raises(InputError) as caught:
        motet.train("labels.yaml")
    assert "tasks.tags.separator: found none, so that texts are split at white space" in str(
        caught.value
    )
