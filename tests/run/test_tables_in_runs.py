"""Tables in whole runs: logarithms, vectors and encoders, from a config to predictions."""

import numpy as np
import pyarrow as pa
import pytest

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
