"""Runs that compile text encoders train as those that do not."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import motet
from tests.quick_compiling import quick  # noqa: F401  # a fixture of all tests
from tests.run.test_inputs_over_processes import BAG, ENCODERS, TASKS, TEXT, table

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
"""While torch traces, its own warnings would be errors inside."""

DATA = table("text", "slots", "kind")


RECURRENT = {"letters beside bag"}  # refused: it has no other layers


@pytest.mark.parametrize("name", [name for name in ENCODERS if name not in RECURRENT])
def test_text_encoders_train_compiled_as_without(name, tmp_path):
    tasks = {"kind": "classification"} if "bag" in name else TASKS
    assert_same_training({**TEXT, "encoder": ENCODERS[name]}, tasks, tmp_path)


def test_a_bag_trains_compiled_as_without(tmp_path):
    text = {"type": "text", "encoder": {"type": "bag", **BAG}}
    assert_same_training(text, {"kind": "classification"}, tmp_path)


def test_pretrained_encoders_train_compiled_as_without(tmp_path):
    pytest.importorskip("transformers")
    from motet.data.tokeniser_training import train
    from tests.pretrained_models import tiny

    tiny(tmp_path / "tiny")
    tokenizer = train("words", DATA["text"].to_pylist(), vocabulary=60, min_count=1)
    (tmp_path / "tiny" / "tokenizer.json").write_text(tokenizer.to_json())
    encoder = {"type": "pretrained", "path": str(tmp_path / "tiny")}
    assert_same_training(
        {"type": "text", "tokenizer": str(tmp_path / "tiny"), "encoder": encoder},
        {"kind": "classification"},
        tmp_path,
    )


def assert_same_training(text, tasks, folder):
    found = []
    for on in (False, True):
        config = {
            "inputs": {"text": text},
            "tasks": tasks,
            "training": {"epochs": 1, "batch_size": 9, "compile": on, "device": "cpu"},
        }
        run = motet.train(config, DATA, output=folder / f"{on}")
        found.append(pq.read_table(run.path / "predictions/test.parquet"))
    for column in found[0].column_names:
        if pa.types.is_floating(found[0][column].type):
            np.testing.assert_allclose(found[1][column], found[0][column], rtol=1e-4, atol=1e-5)
