"""Every kind of input, and every text encoder, in several processes: the run of one."""

import random

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import motet
from tests.gloo import in_processes
from tests.run.test_runs_over_processes import assert_same_run, trained

RANDOM = random.Random(5)
WORDS = ["fly", "to", "rome", "paris", "now", "please", "unfortunately"]
TEXT = {"type": "text", "split": "spaces", "tokenizer": "words", "min_count": 1}
TRAINING = {"epochs": 2, "batch_size": 9, "device": "cpu"}
LETTERS = {"type": "lstm", "width": 8, "characters": {"width": 6}}
BAG = {"width": 8, "buckets": 300}
TABLE = {
    "day": {"type": "time", "parts": ["weekday", "trend"], "gaps": ["since"]},
    "since": {"type": "time", "parts": ["year_day"]},
    "tags": {"type": "set", "min_count": 1},
    "shop": {"type": "category", "hash": 20, "hashes": 2},
}


def words(count):
    return RANDOM.choices(WORDS, k=count)


def rows(count):
    """Rows with each kind of input; some cells of each are empty."""
    texts = [words(1 + row % 5) for row in range(count)]
    days = np.array([None if row % 7 == 3 else 18_000 + 5 * row for row in range(count)])
    return {
        "text": [" ".join(each) for each in texts],
        "day": pa.array(days, pa.date32()),
        "since": pa.array([17_000 + 3 * row for row in range(count)], pa.date32()),
        "tags": [None if row % 6 == 5 else words(row % 4) for row in range(count)],
        "shop": [None if row % 9 == 8 else f"shop{row % 30}" for row in range(count)],
        "slots": [
            " ".join("B" if word in ("rome", "paris") else "O" for word in each) for each in texts
        ],
        "kind": [each[-1] in WORDS[3:] for each in texts],
        "spend": [float(len(each)) + row % 3 for row, each in enumerate(texts)],
    }


def table(*columns, count=60):
    return pa.table({name: values for name, values in rows(count).items() if name in columns})


TASKS = {"slots": {"type": "sequence_labelling", "decoder": "crf"}, "kind": "classification"}
ENCODERS = {
    "letters": LETTERS,
    "letters beside bag": {"type": "bag+lstm", "bag": BAG, "lstm": {"width": 8}},
    "attention beside bag": {
        "type": "bag+transformer",
        "bag": BAG,
        "transformer": {"width": 8, "heads": 2, "layers": 1},
    },
    "letters with attention": {
        "type": "transformer",
        "width": 8,
        "heads": 2,
        "layers": 1,
        "characters": {"width": 6},
    },
    "hidden words": {**LETTERS, "word_dropout": 0.3},
}


@pytest.mark.parametrize(
    "name",
    ["letters", *(pytest.param(name, marks=pytest.mark.slow) for name in list(ENCODERS)[1:])],
)
def test_text_encoders_and_averaged_weights_are_those_of_one_process(name, tmp_path):
    config = {
        "inputs": {"text": {**TEXT, "encoder": ENCODERS[name]}},
        "tasks": {"kind": "classification"} if "bag" in name else TASKS,
        "balancing": "upgrad",
        "training": {**TRAINING, "average": "ema"},
    }
    data = table("text", "slots", "kind")
    alone = motet.train(config, data=data, output=tmp_path / "one").path
    found = in_processes(2, trained, config, data, tmp_path / "two")
    assert_same_run(found[0][0], alone)


SOURCES = {
    "visits": table("text", "day", "since", "tags", "slots", "kind", count=60),
    "orders": table("tags", "shop", "since", "day", "spend", count=40),
    "calls": table("text", "shop", "kind", count=50),
}


def of_sources(**training):
    return {
        "model": {"encoder": {"type": "mlp", "hidden": [8]}},
        "balancing": "upgrad",
        "inputs": {"text": {**TEXT, "encoder": LETTERS}, **TABLE},
        "tasks": {
            "slots": {**TASKS["slots"], "source": "visits"},
            "kind": {"type": "classification", "source": ["visits", "calls"]},
            "spend": {"type": "regression", "source": "orders"},
        },
        "training": {**TRAINING, **training},
    }


@pytest.mark.parametrize(
    "training",
    [
        pytest.param({"average": "ema", "accumulate": 2}, id="both"),
        pytest.param({"average": "ema"}, id="whole", marks=pytest.mark.slow),
        pytest.param({"accumulate": 2}, id="parts", marks=pytest.mark.slow),
    ],
)
def test_sources_with_every_kind_of_input_are_those_of_one_process(training, tmp_path):
    config = of_sources(**training)
    alone = motet.train(config, data=SOURCES, output=tmp_path / "one").path
    found = in_processes(2, trained, config, SOURCES, tmp_path / "two")
    assert_same_run(found[0][0], alone)


def test_rows_of_a_source_are_predicted_alone_as_among_those_of_all(tmp_path):
    run = motet.train(of_sources(epochs=1), data=SOURCES, output=tmp_path / "run")
    tested = pq.read_table(run.path / "predictions/test.parquet")
    for source, task in (("visits", "kind"), ("orders", "spend"), ("calls", "kind")):
        of_source = tested.filter(pc.equal(tested["source"], source))
        alone = run.predict(SOURCES[source].take(of_source["row"]), tasks=[task])
        for name in alone.column_names:
            if pa.types.is_floating(alone[name].type):
                np.testing.assert_allclose(alone[name], of_source[name], rtol=1e-5, atol=1e-6)
            else:
                assert alone[name].equals(of_source[name])
