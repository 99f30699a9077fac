"""One config for several data sets without a row in common: trained, resumed, predicted."""

import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import yaml
from power_cuts import cut_short
from quick_cases import others_slow

import motet
from motet.config import ConfigError
from motet.data import Sources
from motet.problems import InputError
from motet.run.building import check
from motet.run.lines import data_lines
from motet.run.preparing import prepare, read_sources
from motet.run.source_lines import source_lines

GOOD, BAD = ["great", "lovely"], ["awful", "poor"]
RANDOM = random.Random(0)


def reviews(count=90):
    rows = {"review": [], "label": [], "stars": []}
    for number in range(count):
        good = RANDOM.random() < 0.5
        words = RANDOM.choices(["the", "shoe", "is"], k=RANDOM.randint(1, 4))
        rows["review"].append(" ".join([*words, RANDOM.choice(GOOD if good else BAD)]))
        rows["label"].append("pos" if good else "neg")
        rows["stars"].append(None if number % 3 else float(RANDOM.randint(1, 5)))
    return pa.table(rows)


def utterances(count=50):
    rows = {"utterance": [], "slots": [], "label": [], "age": []}
    for number in range(count):
        words = RANDOM.choices(["fly", "to", "rome", "paris"], k=RANDOM.randint(2, 5))
        rows["utterance"].append(" ".join(words))
        rows["slots"].append(" ".join("B" if w in ("rome", "paris") else "O" for w in words))
        rows["label"].append("ab"[number % 2])
        rows["age"].append(RANDOM.randint(20, 60))
    return pa.table(rows)


def people(count=70):
    rows = {"age": [], "job": [], "spend": []}
    for number in range(count):
        age = RANDOM.randint(20, 60)
        rows["age"].append(age)
        rows["job"].append(RANDOM.choice(["cook", "smith"]))
        rows["spend"].append(None if number % 5 == 0 else 2.0 * age)
    return pa.table(rows)


TABLES = {"reviews": reviews(), "utterances": utterances(), "people": people()}
CONFIG = """\
data:
  sources:
    reviews: {source: reviews.csv, inputs: {text: review}}
    utterances: {source: utterances.csv, inputs: {text: utterance, age: age}}
    people: {source: people.csv}
inputs:
  text: {type: text, split: spaces, tokenizer: words, encoder: {type: lstm, width: 8}}
  age: number
  job: category
tasks:
  sentiment: {type: classification, column: label, source: reviews}
  stars: {type: regression, source: reviews, weight: 0.5}
  slots: {type: sequence_labelling, source: utterances, batch_size: 16}
  topic: {type: classification, column: label, source: utterances}
  spend: {type: regression, source: people}
model: {encoder: {type: mlp, hidden: [8]}}
balancing: pcgrad
training: {epochs: 2, batch_size: 24, checkpoint_every: 1}
"""


@pytest.fixture
def config(tmp_path, monkeypatch):
    for name, table in TABLES.items():
        pa.csv.write_csv(table, tmp_path / f"{name}.csv")
    (tmp_path / "config.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "config.yaml"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    for name, table in TABLES.items():
        pa.csv.write_csv(table, folder / f"{name}.csv")
    (folder / "config.yaml").write_text(CONFIG)
    lines = []
    run = motet.train(folder / "config.yaml", output=folder / "run", say=lines.append)
    return run, lines


def records(path):
    lines = (path / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def test_the_rows_of_each_source_are_reported_before_training_and_recorded_after(trained):
    run, lines = trained
    shown = " ".join(" ".join(lines).split())
    assert "data reviews: reviews.csv: 90 rows: 64 train, 13 validation, 13 test" in shown
    assert "utterances: utterances.csv: 50 rows: 36 train, 7 validation, 7 test" in shown
    assert "reviews inputs text tasks sentiment, stars 64 rows per epoch 24 per step" in shown
    assert "utterances inputs text, age tasks slots, topic 36 rows per epoch 16 per step" in shown
    assert "people inputs age, job tasks spend 50 rows per epoch 24 per step" in shown
    assert "utterances lacks job: missing in all of its rows" in shown
    assert "3 steps per epoch, each with a batch of every source" in shown
    seen = [each["rows"] for each in records(run.path) if "rows" in each]
    assert seen[0] == {"reviews": 64, "utterances": 36, "people": 50}


def test_test_predictions_name_the_source_and_the_row_in_it(trained):
    run, _ = trained
    found = pq.read_table(run.path / "predictions" / "test.parquet")
    assert found.column_names[:2] == ["source", "row"]
    assert set(found["source"].to_pylist()) == set(TABLES)
    for each in found.to_pylist():
        table, row = TABLES[each["source"]], each["row"]
        if each["source"] == "people":
            assert each["spend_true"] == table["spend"][row].as_py()
            assert each["spend"] is not None
            assert each["sentiment"] is None
        else:
            task = "sentiment" if each["source"] == "reviews" else "topic"
            assert each[f"{task}_true"] == table["label"][row].as_py()
            assert each["spend"] is None
    for source, tasks in (("people", ["spend"]), ("utterances", ["slots", "topic"])):
        own = found.filter(pa.compute.equal(found["source"], source))
        again = run.predict(TABLES[source].take(own["row"]), tasks=tasks)
        for task in tasks:
            assert again[task].to_pylist() == own[task].to_pylist()


def test_a_task_is_predicted_where_the_inputs_of_its_source_are(trained):
    run, _ = trained
    alone = motet.load(run.path / "model")
    rows = pa.table({"review": ["great shoe", "poor"]})
    found = alone.predict(rows, tasks=["sentiment", "stars"])
    assert found.column_names[0] == "sentiment"
    assert alone.predict(rows.rename_columns(["text"]), tasks=["stars"])["stars"].equals(
        found["stars"]
    )
    with pytest.raises(InputError) as caught:
        alone.predict(rows)
    assert "the data lack inputs of slots, topic, spend: utterances has text, age" in str(
        caught.value
    )
    assert "they lack 'utterance', 'age'" in str(caught.value)
    assert "it can be used for --tasks sentiment,stars" in str(caught.value)
    more = rows.append_column("age", pa.array([30, 40]))
    assert alone.predict(more, tasks=["stars"])["stars"].equals(found["stars"])
    assert alone.embed(rows, task="stars").shape == (2, 16)
    assert alone.preprocess(rows, "reviews").keys() == {"texts"}


def test_evaluation_is_of_one_source(trained):
    run, _ = trained
    test = records(run.path)[-1]["tasks"]
    for source, tasks in (("reviews", {"sentiment", "stars"}), ("people", {"spend"})):
        report = run.evaluate(TABLES[source], split="test")
        assert report.tasks.keys() == tasks
        for task in tasks:
            assert report[task]["loss"] == pytest.approx(test[task]["loss"], rel=1e-5)
    with pytest.warns(UserWarning, match="trained on 50 of these 70 rows"):
        assert run.evaluate(TABLES["people"], source="people")["spend"]["count"] == 56
    with pytest.raises(InputError, match="no source is named 'reviws'; did you mean 'reviews'"):
        run.evaluate(TABLES["reviews"], source="reviws")
    with pytest.raises(InputError, match="the rows fit no source: reviews has text"):
        run.evaluate(pa.table({"label": ["pos"]}))


@pytest.mark.parametrize("after", others_slow([4], [2, 4, 6]))
def test_a_run_that_died_ends_as_if_it_had_never_stopped(trained, config, monkeypatch, after):
    whole, _ = trained
    cut_short(config, "parts", monkeypatch, after)
    parts = motet.resume("parts")
    name = "model/model.safetensors"
    assert (parts.path / name).read_bytes() == (whole.path / name).read_bytes()
    assert records(parts.path) == records(whole.path)


def test_sources_from_python_are_those_of_the_config(tmp_path):
    settings = yaml.safe_load(CONFIG)
    del settings["data"]
    settings["training"]["epochs"] = 1
    renamed = {
        "reviews": TABLES["reviews"].rename_columns({"review": "text"}),
        "utterances": TABLES["utterances"].rename_columns({"utterance": "text"}),
        "people": TABLES["people"],
    }
    first = motet.train(settings, renamed, output=tmp_path / "first")
    second = motet.train(settings, Sources(renamed), output=tmp_path / "second")
    assert records(first.path) == records(second.path)
    with pytest.raises(ConfigError, match=r"sentiment.source: found 'reviews', and one table"):
        prepare(settings, data=TABLES["people"])


def test_an_input_that_a_source_lacks_is_missing_there(config):
    parts = prepare(config).parts
    numbers = parts["utterances"].inputs["numbers"]
    categories = parts["utterances"].inputs["categories"]
    assert numbers.shape[1] == 1
    assert set(categories[:, 0]) == {1}  # missing, not unknown
    assert "numbers" not in parts["reviews"].inputs
    assert "texts" not in parts["people"].inputs


def test_numbers_that_only_some_sources_have_get_a_marker(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = {
        "tasks": {
            "a": {"type": "regression", "source": "x"},
            "b": {"type": "regression", "source": "y"},
        },
        "training": {"epochs": 1, "batch_size": 8},
    }
    tables = {
        "x": pa.table({"age": [float(n) for n in range(40)], "a": [1.0 * n for n in range(40)]}),
        "y": pa.table({"size": [0.5 * n for n in range(30)], "b": [2.0 * n for n in range(30)]}),
    }
    found = prepare(settings, data=tables)
    assert dict(found.config.inputs).keys() == {"age", "size"}
    assert found.preprocessing.shapes().table.names == (
        "age",
        "age_missing",
        "size",
        "size_missing",
    )
    for source, marker in (("x", 3), ("y", 1)):
        numbers = found.parts[source].inputs["numbers"]
        assert (numbers[:, marker] == 1).all()
        assert (numbers[:, marker - 1] == 0).all()
    run = motet.train(settings, tables)
    assert run.predict(pa.table({"age": [3.0]}), tasks="a").num_rows == 1
    with pytest.raises(InputError, match="lack inputs of b: y has size, and they lack 'size'"):
        run.predict(pa.table({"age": [3.0]}))


def refused(config, *overrides):
    with pytest.raises(ConfigError) as caught:
        read_sources(config, overrides=overrides)
    return str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["tasks.spend.source=peple"],
            "tasks.spend.source: no source is named 'peple'; did you mean",
        ),
        (
            ["tasks.spend={type: regression}"],
            "tasks.spend: the data have several sources; give source",
        ),
        (
            ["data.sources.people.inputs=[agee]"],
            "data.sources.people.inputs.0: no input is named 'agee'; did you mean 'age'",
        ),
        (
            ["tasks.spend.column=spent"],
            "tasks.spend: source 'people': the data have no column 'spent' (did you mean 'spend'",
        ),
        (
            ["tasks.topic.batch_size=8"],
            "tasks.topic.batch_size: found 8, but 16 for 'slots', whose labels are in the same",
        ),
        (
            ["data.sources.people.inputs=[text]"],
            "data.sources.people.inputs: the data have no column 'text'",
        ),
        (
            ["data.sources.reviews.inputs={text: reviw}"],
            "data.sources.reviews: the data have no column 'reviw' (did you mean 'review'",
        ),
        (["inputs.jobb=category"], "inputs.jobb: no source has it: in 'people', the data have no"),
        (
            ["tasks.spend.source=reviews", "tasks.spend.column=stars"],
            "tasks 'spend' and 'stars' both",
        ),
        (
            ["tasks.spend.source=reviews"],
            "data.sources.people: no task names it as its source; remove it, or give some task",
        ),
        (["data.split.folds=3"], "folds of several sources are not supported; remove folds"),
        (["data.split.column=part"], "data.split: source 'reviews': "),
        (
            ["data.split.stratify=lable"],
            "data.split.stratify: no source has the column 'lable'; did you mean 'label'?",
        ),
    ],
)
def test_what_does_not_fit_the_sources_is_reported_at_its_place(config, overrides, message):
    assert message in refused(config, *overrides)


def test_a_column_that_no_source_uses_is_listed_once():
    names = [f"customer {number}" for number in range(60)]
    rows = {"y": [number / 7 for number in range(60)], "id": names}
    tasks = {name: {"type": "regression", "source": name, "column": "y"} for name in ("a", "b")}
    with pytest.raises(ConfigError) as caught:
        prepare({"tasks": tasks}, data={"a": rows, "b": rows})
    assert [".".join(each.key) for each in caught.value.problems] == ["inputs"]
    rows |= {"x": [number * 7 % 11 for number in range(60)]}
    prepared = prepare({"tasks": tasks}, data={"a": rows, "b": rows})
    assert sum("not used" in line for line in data_lines(prepared)) == 1


def test_an_empty_source_is_reported_with_its_name(config, tmp_path):
    (tmp_path / "people.csv").write_text("age,job,spend\n")
    assert "data.sources.people: " in (found := refused(config))
    assert "row" in found


def test_several_mistakes_are_reported_together(config):
    found = refused(config, "tasks.spend.source=peple", "tasks.stars.column=starz")
    assert "'peple'" in found
    assert "source 'reviews': the data have no column 'starz'" in found


@pytest.mark.parametrize("option", ["source: people", "batch_size: 4"])
def test_one_table_has_neither_sources_nor_batch_sizes_of_tasks(config, option):
    config.write_text(
        f"data: {{source: people.csv}}\ntasks: {{spend: {{type: regression, {option}}}}}\n"
    )
    found = refused(config)
    assert f"config.yaml:2:35  tasks.spend.{option.split(':')[0]}: found" in found
    assert "and one table, whose rows are those of all tasks; remove it" in found


def test_a_task_may_have_labels_in_several_sources(config):
    parts = {
        "reviews": TABLES["reviews"].rename_columns({"review": "text"}),
        "more": pa.table(
            {"text": ["great"] * 10 + ["poor"] * 10, "label": ["pos"] * 10 + ["neg"] * 10}
        ),
    }
    settings = {
        "inputs": {
            "text": {"type": "text", "tokenizer": "words", "encoder": {"type": "lstm", "width": 8}}
        },
        "tasks": {
            "sentiment": {
                "type": "classification",
                "column": "label",
                "source": ["reviews", "more"],
            },
            "stars": {"type": "regression", "source": "reviews"},
        },
        "training": {"epochs": 1, "batch_size": 16},
    }
    run = motet.train(settings, parts, output="run")
    assert records(run.path)[-1]["tasks"]["sentiment"]["count"] == 13 + 3
    assert run.predict(pa.table({"text": ["great"]})).num_rows == 1


PROOF = """\
data:
  sources: {visits: {source: visits.csv}, notes: {source: notes.csv}}
inputs:
  text: {type: text, split: spaces, tokenizer: words, encoder: {type: lstm, width: 8}}
  age: number
  job: category
tasks:
  stay: {type: regression, source: visits, row_weight: trust}
  rooms: {type: count, source: visits, weight: 0.5}
  mood: {type: classification, source: notes, rows: age > 30}
  slots: {type: sequence_labelling, source: notes, row_weight: trust, batch_size: 12}
model: {encoder: {type: mlp, hidden: [8]}}
balancing: upgrad
training: {epochs: 2, batch_size: 16, checkpoint_every: 2}
"""


@pytest.fixture(scope="module")
def proof(tmp_path_factory):
    """Four tasks of four kinds over two sources with holes and weights."""
    folder = tmp_path_factory.mktemp("proof")
    visits, notes = people(60), utterances(40)
    trust = [RANDOM.choice([0.0, 0.5, 2.0]) for _ in range(60)]
    columns = {"rooms": [None if n % 4 == 0 else n % 3 for n in range(60)], "trust": trust}
    visits = pa.table({**visits.rename_columns({"spend": "stay"}).to_pydict(), **columns})
    names = {"utterance": "text", "label": "mood"}
    notes = pa.table({**notes.rename_columns(names).to_pydict(), "trust": trust[:40]})
    pa.csv.write_csv(visits, folder / "visits.csv")
    pa.csv.write_csv(notes, folder / "notes.csv")
    (folder / "config.yaml").write_text(PROOF)
    return folder / "config.yaml", motet.train(folder / "config.yaml", output=folder / "whole")


@pytest.mark.parametrize("after", others_slow([3], [2, 3, 5]))
def test_four_kinds_of_task_with_holes_and_weights_resume_bit_for_bit(
    proof, tmp_path, monkeypatch, after
):
    config, whole = proof
    cut_short(config, tmp_path / "parts", monkeypatch, after)
    parts = motet.resume(tmp_path / "parts")
    for name in ("model/model.safetensors", "predictions/test.parquet"):
        assert (parts.path / name).read_bytes() == (whole.path / name).read_bytes()
    assert records(parts.path) == records(whole.path)
    tasks = records(whole.path)[-1]["tasks"]
    assert tasks.keys() == {"stay", "rooms", "mood", "slots"}
    assert all(each["count"] > 0 for each in tasks.values())


def test_weights_and_conditions_hold_in_their_source(proof):
    config, _ = proof
    parts = prepare(config).parts
    stay, trust = parts["visits"].targets["stay"], parts["visits"].rows.table["trust"].to_pylist()
    spent = parts["visits"].rows.table["stay"].to_pylist()
    known = [value is not None and weight > 0 for value, weight in zip(spent, trust, strict=True)]
    assert (~pa.compute.is_nan(pa.array(stay)).to_numpy(zero_copy_only=False)).tolist() == known
    assert parts["visits"].weights.keys() == {"stay"}
    assert parts["notes"].weights.keys() == {"slots"}
    ages = parts["notes"].rows.table["age"].to_pylist()
    assert (parts["notes"].targets["mood"] >= 0).tolist() == [age > 30 for age in ages]


@pytest.mark.slow
def test_three_corpora_without_a_sentence_in_common_train_one_encoder(tmp_path):
    config = Path(__file__).parents[2] / "examples" / "three_corpora.yaml"
    run = motet.train(config, output=tmp_path / "run")
    for task in ("recommended", "places", "topic"):
        values = records(run.path)[-1]["tasks"][task]
        assert next(iter(values.values())) > 0.8, task
    found = run.predict(pa.table({"question": ["was my card charged twice ?"]}), tasks="topic")
    assert found["topic"].to_pylist() == ["payment"]
    assert run.predict(pa.table({"text": ["fly me from Oslo to Rome"]}))["places"].to_pylist() == [
        ["O", "O", "O", "B-from", "O", "B-to"]
    ]


def test_auxiliary_tasks_train_where_their_input_is(config):
    text = CONFIG.replace("tokenizer: words", "tokenizer: wordpiece").replace(
        "model:", "  hidden: {type: masked_language_modelling}\nmodel:"
    )
    config.write_text(text)
    run = motet.train(config, output="run")
    assert records(run.path)[0]["tasks"]["hidden"]["loss"] > 0
    config.write_text(text.replace("modelling}", "modelling, source: people}"))
    with pytest.raises(ConfigError, match=r"tasks\.hidden\.source: found people, without the"):
        check(config)


ORDERS = {"x": [float(row % 7) for row in range(60)], "who": [row // 4 for row in range(60)]}
GIVEN = {
    "orders": {**ORDERS, "amount": [2.0 * x for x in ORDERS["x"]]},
    "visits": {**ORDERS, "length": [1.0 - x for x in ORDERS["x"]]},
}
FROM_PYTHON = {
    "inputs": {"x": "number"},
    "tasks": {
        "amount": {"type": "regression", "source": "orders"},
        "length": {"type": "regression", "source": "visits"},
    },
    "training": {"epochs": 1, "batch_size": 16},
}


def test_sources_from_python_are_checked_like_those_of_a_config():
    for given, message in (
        ({**GIVEN, "more": GIVEN["visits"]}, "data.sources.more: no task names it as its source"),
        ({"orders": GIVEN["orders"]}, "tasks.amount.source: found 'orders', and one table"),
        ({"orders": GIVEN["orders"], "visit": ORDERS}, "no source is named 'visits'; did you mean"),
        (GIVEN["orders"], "tasks.amount.source: found 'orders', and one table"),
    ):
        with pytest.raises(ConfigError) as caught:
            check(FROM_PYTHON, data=given)
        assert message in str(caught.value)
    one = {"amount": {"type": "regression", "batch_size": 8}}
    with pytest.raises(ConfigError, match=r"tasks.amount.batch_size: found 8, and one table"):
        check({**FROM_PYTHON, "tasks": one}, data=GIVEN["orders"])


def test_groups_that_sources_split_apart_are_reported():
    config = {**FROM_PYTHON, "data": {"split": {"group": "who"}}}
    fewer = {name: values[:44] for name, values in GIVEN["visits"].items()}
    others = {**fewer, "who": [who + 100 for who in fewer["who"]]}
    for visits, cut in ((fewer, True), (others, False)):
        first, second = check(config, data={**GIVEN, "visits": visits}).parts.values()
        notes = " ".join(second.rows.split.notes)
        assert ("groups of 'who' are in another split of another source" in notes) == cut
        places = [
            {
                ORDERS["who"][row]: split
                for split in ("train", "validation", "test")
                for row in getattr(part.rows.split, split)
            }
            for part in (first, second)
        ]
        apart = sum(places[0][who] != place for who, place in places[1].items())
        assert f"{apart} groups" in notes or not cut


def test_an_evaluation_names_the_tasks_whose_labels_are_not_there(tmp_path):
    run = motet.train(FROM_PYTHON, data=GIVEN, output=tmp_path / "run")
    with pytest.raises(InputError, match="source: found 'orders', which has no labels of length"):
        run.evaluate(GIVEN["orders"], tasks="length", source="orders")
    with pytest.raises(InputError, match="the data have no labels for length; expected"):
        run.evaluate(GIVEN["orders"], source="visits", split="test")


def test_a_source_whose_tasks_are_all_disabled_is_trained_and_tested_without(proof, tmp_path):
    changes = ["tasks.mood.enabled=false", "tasks.slots.enabled=false", "training.epochs=1"]
    run = motet.train(proof[0], overrides=changes, output=tmp_path / "run")
    found = pq.read_table(run.path / "predictions/test.parquet")
    assert set(found["source"].to_pylist()) == {"visits"}
    assert {"stay", "rooms"} <= set(found.column_names)


def test_the_rows_of_an_epoch_are_at_most_so_many_where_steps_train_some_tasks(proof):
    cycle = prepare(proof[0], overrides=["scheduling={type: random, combine: cycle}"])
    lines = "\n".join(source_lines(cycle))
    assert "up to 42 rows per epoch" in lines
    assert "3 draws per epoch, each with a batch of each source of the tasks" in lines
    assert "3 steps per epoch, each with a batch of every source" in "\n".join(
        source_lines(prepare(proof[0]))
    )


def test_sources_without_an_enabled_task_are_not_used(tmp_path):
    lines = []
    longer = {name: values * 3 for name, values in GIVEN["orders"].items()}
    data = {**GIVEN, "orders": longer}
    run = motet.train(
        FROM_PYTHON, data, tasks=["length"], output=tmp_path / "run", say=lines.append
    )
    shown = " ".join(" ".join(lines).split())
    assert "orders inputs x tasks amount not used" in shown
    assert "3 steps per epoch" in shown
    assert [each["rows"] for each in records(run.path) if "rows" in each] == [{"visits": 42}]
    found = pq.read_table(run.path / "predictions/test.parquet")
    assert set(found["source"].to_pylist()) == {"visits"}
    assert run.evaluate(GIVEN["visits"], split="test")["length"]["count"] == found.num_rows


def test_a_source_that_serves_auxiliary_tasks_alone_has_no_predictions(tmp_path):
    tasks = {
        "amount": {"type": "regression", "source": "orders"},
        "noise": {"type": "denoising", "source": "visits"},
    }
    run = motet.train({**FROM_PYTHON, "tasks": tasks}, GIVEN, output=tmp_path / "run")
    assert next(each["rows"] for each in records(run.path) if "rows" in each)["visits"] > 0
    found = pq.read_table(run.path / "predictions/test.parquet")
    assert set(found["source"].to_pylist()) == {"orders"}


def test_a_split_is_found_again_where_a_source_has_another_name_for_its_column(tmp_path):
    for name, rows in GIVEN.items():
        table = pa.table(rows)
        if name == "orders":
            table = table.rename_columns(["quantity", *table.column_names[1:]])
        pa.csv.write_csv(table, tmp_path / f"{name}.csv")
    sources = {
        "orders": {"source": str(tmp_path / "orders.csv"), "inputs": {"x": "quantity"}},
        "visits": {"source": str(tmp_path / "visits.csv")},
    }
    config = {**FROM_PYTHON, "data": {"sources": sources, "split": {"group": "x"}}}
    config["training"] = {"epochs": 1, "monitor": "loss"}
    run = motet.train(config, output=tmp_path / "run")
    report = run.evaluate(tmp_path / "orders.csv", source="orders", split="test")
    found = pq.read_table(run.path / "predictions/test.parquet")
    assert report["amount"]["count"] == found["source"].to_pylist().count("orders")
