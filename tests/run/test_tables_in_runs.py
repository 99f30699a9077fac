"""Tables in whole runs: logarithms, vectors and encoders, from a config to predictions."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import motet

TRAINING = {"epochs": 2, "batch_size": 32, "seed": 0}


def rows(seed=0, count=120):
    draw = np.random.default_rng(seed)
    size = draw.lognormal(3, 2, count)
    return pa.table(
        {
            "size": size,
            "place": pa.array(draw.normal(size=(count, 3)).tolist()),
            "spend": size * draw.lognormal(0, 0.3, count),
        }
    )


def train(path, inputs, tasks, data=None, **more):
    config = {"inputs": inputs, "tasks": tasks, "training": TRAINING, **more}
    said = []
    data = rows() if data is None else data
    return motet.train(config, data=data, output=path / "run", say=said.append), "\n".join(said)


def test_a_task_on_logarithms_predicts_and_scores_in_original_units(tmp_path):
    run, said = train(
        tmp_path,
        {
            "size": {"type": "number", "transform": "log"},
            "place": {"type": "vector", "scaling": "piecewise", "bins": 8},
        },
        {"spend": {"type": "regression", "transform": "auto"}},
        model={"encoder": {"type": "tabular_transformer", "width": 8, "heads": 2, "layers": 1}},
    )
    assert "task 'spend': nine tenths of the sizes" in " ".join(said.split())
    later = rows(seed=1)
    again = motet.load(run.path)
    predicted = again.predict(later)["spend"].to_numpy()
    np.testing.assert_array_equal(predicted, run.predict(later)["spend"].to_numpy())
    truth = later["spend"].to_numpy()
    assert truth.min() / 10 < predicted.mean() < truth.max()
    metrics = again.evaluate(later)["spend"]
    assert metrics["mae"] == pytest.approx(np.abs(predicted - truth).mean(), rel=1e-5)


def visits(count=160):
    draw = np.random.default_rng(0)
    tags = [[f"t{t}" for t in draw.integers(0, 6, draw.integers(0, 4))] for _ in range(count)]
    hours = draw.integers(0, 24 * 90, count)
    return pa.table(
        {
            "at": pa.array(np.datetime64("2026-01-01T00", "s") + hours * np.timedelta64(3600, "s")),
            "tags": pa.array(
                [None if place % 11 == 0 else each for place, each in enumerate(tags)]
            ),
            "who": [f"w{who}" for who in draw.integers(0, 10**6, count)],
            "many": ["t0" in each for each in tags],
            "late": (hours % 24 / 24.0).tolist(),
        }
    )


INPUTS = {
    "at": {"type": "time", "parts": ["hour", "trend"]},
    "tags": {"type": "set", "min_count": 1},
    "who": {"type": "category", "hash": 50, "hashes": 2},
}
TASKS = {"many": "classification", "late": "regression"}


@pytest.mark.parametrize("encoder", ["mlp", "tabular_transformer"])
def test_times_sets_and_hashed_names_train_stream_and_predict_alike(tmp_path, encoder):
    options = {"hidden": [8]} if encoder == "mlp" else {"width": 8, "heads": 2, "layers": 1}
    model = {"encoder": {"type": encoder, **options}}
    pq.write_table(visits(), tmp_path / "visits.parquet")
    source = {"source": str(tmp_path / "visits.parquet"), "stream": True}
    config = {"inputs": INPUTS, "tasks": TASKS, "model": model, "training": TRAINING}
    config |= {"balancing": {"type": "upgrad"}, "data": source}
    run = motet.train(config, output=tmp_path / "run")
    later = pa.table(
        {
            "at": ["2031-01-01T05:00:00", None],
            "tags": [["t0", "never"], []],
            "who": ["someone new", None],
        }
    )
    found = motet.load(run.path).predict(later)
    assert found.to_pydict() == run.predict(later).to_pydict()
    assert np.isfinite(found["late"].to_numpy()).all()
    arrays = run.preprocess(later)
    assert arrays["sets"]["tags"][0:2].tolist() == [[2, 3], [0, 0]]
    assert arrays["categories"].shape == (2, 2)


def test_an_encoder_that_cannot_read_sets_is_refused():
    class Plain(torch.nn.Module):
        def __init__(self, numbers, categories):
            super().__init__()
            self.width = 3

    motet.register("encoder", "without_sets", Plain)
    config = {
        "inputs": {"tags": {"type": "set", "size": 5}},
        "tasks": {"many": {"type": "classification", "classes": 2}},
        "model": {"encoder": "without_sets"},
    }
    with pytest.raises(motet.config.ConfigError, match="does not read sets of values"):
        motet.MultiTaskModel.from_config(config)
