"""Runs whose rows lack modalities: from a config to predictions, records and a loaded folder."""

import json
from itertools import product

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from quick_cases import others_slow
from small_runs import records, weights

import motet
from motet.config import ConfigError
from motet.model import MultiTaskModel
from motet.run import check
from tests.run.stopped_runs import stopped

ROWS = 60


def data(seed=0):
    rng = np.random.default_rng(seed)
    y = rng.normal(size=ROWS)
    there = rng.random((ROWS, 3)) < 0.7
    there[:5] = False, True, True
    there[5] = False
    parts = {
        "v": [[each, 1.0, each] for each in y],
        "s": [[[each, each]] * (1 + row % 3) for row, each in enumerate(y)],
        "t": ["good shoe" if each > 0 else "bad boot" for each in y],
    }
    made = {
        name: [each if kept else None for each, kept in zip(values, there[:, k], strict=True)]
        for k, (name, values) in enumerate(parts.items())
    }
    return pa.table({**made, "y": y, "sign": y > 0})


TEXT = {"type": "text", "tokenizer": "words", "encoder": {"type": "lstm", "width": 4}}
CONFIG = {
    "inputs": {
        "v": {"type": "vector", "encoder": {"type": "mlp", "hidden": [4]}},
        "s": {"type": "sequence", "encoder": {"type": "lstm", "width": 4}},
        "t": TEXT,
    },
    "tasks": {"y": "regression", "sign": "classification"},
    "training": {"epochs": 2, "batch_size": 16, "early_stopping": None},
}
FUSIONS = {
    "concat": {"type": "concat", "missing": "learned", "modality_dropout": 0.3},
    "attention": {"type": "attention", "heads": 2, "modality_dropout": 0.3},
    "hierarchical": {"type": "hierarchical", "groups": {"seen": ["v", "s"]}, "width": 4,
                     "across": "gating", "within": {"type": "attention", "heads": 2}},
    "cross_attention": {"type": "cross_attention", "attends": {"t": ["s"]}, "heads": 2},
}  # fmt: skip


QUICK = [("hierarchical", False), ("attention", False), ("cross_attention", True)]


@pytest.mark.parametrize(("name", "stream"), others_slow(QUICK, [*product(FUSIONS, (False, True))]))
def test_a_run_on_rows_that_lack_modalities_is_recorded_and_loaded(tmp_path, name, stream):
    fusion = FUSIONS[name]
    if stream and fusion["type"] not in ("attention", "cross_attention"):
        pytest.skip("streaming does not depend on the fusion")
    config = {**CONFIG, "model": {"fusion": fusion}}
    if stream:
        pq.write_table(data(), tmp_path / "rows.parquet")
        config["data"] = {"source": str(tmp_path / "rows.parquet"), "stream": True}
    given = {} if stream else {"data": data()}
    run = motet.train(config, output=tmp_path / "run", **given)
    weights = run.evaluate(data(1)).fusion
    if fusion["type"] == "concat":
        assert weights == {}
    else:
        assert list(weights) == ["t", "v", "s"]
        assert sum(weights.values()) == pytest.approx(1)
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    records = [json.loads(each) for each in lines]
    held_out = [each for each in records if each["split"] in ("validation", "test")]
    assert held_out
    assert all(("fusion" in each) == (fusion["type"] != "concat") for each in held_out)
    again = motet.load(tmp_path / "run")
    assert again.predict(data()).equals(run.predict(data()))
    assert run.model.describe()["fusion"]["modalities"] == ["t", "v", "s"]


@pytest.mark.slow
def test_a_run_with_modality_dropout_resumes_exactly(tmp_path):
    config = {**CONFIG, "model": {"fusion": FUSIONS["attention"]}}
    motet.train(config, data(), output=tmp_path / "whole")
    stopped(config, tmp_path / "parts", data=data(), step=4)  # within the second epoch
    motet.resume(tmp_path / "parts", data=data())
    assert weights(tmp_path / "whole") == weights(tmp_path / "parts")
    assert records(tmp_path / "whole") == records(tmp_path / "parts")


def tensors(tree):
    return {
        name: tensors(each) if isinstance(each, dict) else torch.as_tensor(each[:ROWS])
        for name, each in tree.items()
    }


def test_an_ensemble_weighs_its_table_and_a_text_that_rows_may_lack(tmp_path):
    config = {
        **CONFIG,
        "inputs": {"x": "number", "t": TEXT},
        "model": {
            "encoder": {"type": "ensemble", "members": 3, "hidden": [4]},
            "fusion": FUSIONS["attention"],
        },
    }
    rows, others = (each.append_column("x", each["y"]) for each in (data(1), data()))
    run = motet.train(config, others, output=tmp_path / "run")
    found = run.evaluate(rows).fusion
    assert list(found) == ["table", "t"]
    assert sum(found.values()) == pytest.approx(1)
    raw = run.model.eval()(tensors(run.preprocess(rows)))
    assert raw["y"].shape[:2] == (ROWS, 3)
    of_rows = run.model.fusion.weights.reshape(ROWS, -1, 2)
    lacking = torch.tensor([each is None for each in rows["t"].to_pylist()])
    assert lacking.any()
    assert not of_rows[lacking][..., 1].any()
    assert (of_rows[~lacking] > 0).all()
    loaded = motet.load(tmp_path / "run")
    predicted = loaded.predict(rows, spread=True)
    assert predicted.equals(run.predict(rows, spread=True))
    assert min(predicted["y_spread"].to_pylist()) > 0


@pytest.mark.parametrize("name", ["v", "s", "t"])
def test_a_modality_that_is_missing_everywhere_is_an_error_that_names_it(name):
    rows = data()
    kind = rows.schema.field(name)
    rows = rows.set_column(rows.column_names.index(name), kind, pa.nulls(len(rows), kind.type))
    with pytest.raises(ConfigError, match=f"inputs.{name}.*no (value|frame|word).*remove it"):
        check(CONFIG, data=rows)


def test_problems_of_a_fusion_point_at_its_place_in_the_config():
    wrong = {"type": "hierarchical", "groups": {"seen": ["v", "image"]}}
    with pytest.raises(ConfigError, match=r"model.fusion.groups.*'image'"):
        check({**CONFIG, "model": {"fusion": wrong}}, data=data())
    with pytest.raises(
        ConfigError, match="bag is not an encoder of sequence inputs; expected lstm"
    ):
        check({**CONFIG, "inputs": {"s": {"type": "sequence", "encoder": "bag"}}}, data=data())


def test_a_model_without_data_has_vectors_and_sequences_as_modalities():
    inputs = {
        "v": {**CONFIG["inputs"]["v"], "width": 3},
        "s": {**CONFIG["inputs"]["s"], "width": 2},
    }
    config = {"inputs": inputs, "tasks": {"y": "regression"}, "model": {"fusion": "gating"}}
    model = MultiTaskModel.from_config(config).eval()
    given = {"v": torch.zeros(2, 3), "s": torch.zeros(2, 5, 2)}
    assert model(given)["y"].shape == (2,)
    hidden = {**given, "v": {"values": given["v"], "present": torch.tensor([True, False])}}
    model(hidden)
    assert model.fusion.weights[1].tolist() == [0, 1]
