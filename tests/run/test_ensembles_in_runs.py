"""Ensembles in runs: trained, resumed, saved, predicted with their spread, alone and of folds."""

import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import motet
from motet.problems import InputError
from tests.run.stopped_runs import stopped

K = 3
GENERATOR = np.random.default_rng(0)
N = 96
X = GENERATOR.normal(size=N).round(3)
ROWS = {
    "x": X.tolist(),
    "z": GENERATOR.normal(size=N).tolist(),
    "job": ["cook", "smith", None, "clerk"] * (N // 4),
    "price": (10 + 2 * X).tolist(),
    "kind": ["yes" if each > 0 else "no" for each in X],
    "stars": [int(each > 0) + int(each > 1) + 1 for each in X],
    "visits": [int(each > 0) * 3 for each in X],
    "wait": [None if place % 5 == 0 else 5 * each for place, each in enumerate(X)],
}
CONFIG = {
    "inputs": {"x": "number", "z": "number", "job": "category"},
    "tasks": {
        "price": "regression",
        "kind": "classification",
        "stars": "ordinal",
        "visits": "count",
        "wait": {"type": "quantile", "quantiles": [0.1, 0.5, 0.9]},
        "cells": "denoising",
    },
    "model": {"encoder": {"type": "ensemble", "members": K, "hidden": [8]}},
    "balancing": "upgrad",
    "training": {"epochs": 3, "batch_size": 16},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return motet.train(CONFIG, data=ROWS, output=tmp_path_factory.mktemp("ensemble") / "run")


def test_predictions_come_with_the_spread_over_members(run):
    plain, found = run.predict(ROWS), run.predict(ROWS, spread=True)
    assert found.select(plain.column_names).equals(plain)
    more = [name for name in found.column_names if name not in plain.column_names]
    assert set(more) == {
        "price_spread",
        *(f"kind_probability_{each}_spread" for each in ("no", "yes")),
        *(f"stars_probability_{each}_spread" for each in (1, 2, 3)),
        "visits_spread",
        *(f"wait_quantile_{each}_spread" for each in (0.1, 0.5, 0.9)),
    }
    parts = run.model.decode(run.model(_tensors(run)))
    np.testing.assert_allclose(found["price_spread"], parts["price"].spread, rtol=1e-4)
    assert min(found["price_spread"].to_pylist()) > 0


def _tensors(run):
    import torch

    run.model.eval()
    return {name: torch.as_tensor(each) for name, each in run.preprocess(ROWS).items()}


def test_the_model_folder_alone_predicts(run, tmp_path):
    shutil.copytree(run.path / "model", tmp_path / "moved")
    alone = motet.load(tmp_path / "moved")
    assert alone.model.members == K
    assert alone.predict(ROWS, spread=True).equals(run.predict(ROWS, spread=True))


def test_a_run_of_an_ensemble_resumes_exactly(run, tmp_path):
    resumed = motet.resume(stopped(CONFIG, tmp_path / "parts", data=ROWS, step=7), data=ROWS)
    assert resumed.predict(ROWS).equals(run.predict(ROWS))


def test_an_embedding_is_the_mean_of_the_members(run):
    states = run.model.states(_tensors(run))["price"]
    np.testing.assert_allclose(run.embed(ROWS), states.mean(dim=1).detach(), rtol=1e-5, atol=1e-6)


def test_a_streamed_run_of_an_ensemble_predicts(tmp_path):
    pq.write_table(pa.table(ROWS), tmp_path / "rows.parquet", row_group_size=30)
    data = {"source": str(tmp_path / "rows.parquet"), "stream": True}
    training = {"epochs": 1, "batch_size": 16, "keep": "each"}
    streamed = motet.train({**CONFIG, "data": data, "training": training}, output=tmp_path / "run")
    found = streamed.predict(ROWS, weights="each", spread=True)
    assert found.num_rows == N
    streamed.evaluate(ROWS, split="test")


def test_runs_of_folds_add_the_spread_over_models_to_that_over_members(tmp_path):
    config = {
        **CONFIG,
        "tasks": {"price": "regression", "kind": "classification"},
        "data": {"split": {"folds": 2}},
        "training": {"epochs": 1, "batch_size": 32},
    }
    run = motet.train(config, data=ROWS, output=tmp_path / "run")
    found = run.predict(ROWS, spread=True)
    each = [part.predict(ROWS, spread=True) for part in run.members]
    for name in ("price", "kind_probability_yes"):
        means = np.stack([part[name].to_numpy() for part in each])
        inner = np.stack([part[f"{name}_spread"].to_numpy() for part in each])
        expected = np.sqrt(means.var(axis=0) + (inner**2).mean(axis=0))
        np.testing.assert_allclose(found[f"{name}_spread"], expected, rtol=1e-6)


def test_a_spread_needs_members_and_a_free_name(run, tmp_path):
    tasks = {"price": "regression"}
    training = {"epochs": 1, "batch_size": 32}
    mlp = {"inputs": {"x": "number"}, "tasks": tasks, "training": training}
    mlp["model"] = {"encoder": "mlp"}
    alone = motet.train(mlp, data=ROWS, output=tmp_path / "mlp")
    with pytest.raises(InputError, match="spread: found true, but a single model predicts"):
        alone.predict(ROWS, spread=True)
    rows = {**ROWS, "price_spread": ROWS["price"]}
    tasks = {"price": "regression", "price_spread": "regression"}
    config = {**mlp, "tasks": tasks, "model": {"encoder": {"type": "ensemble", "members": 2}}}
    both = motet.train(config, data=rows, output=tmp_path / "both")
    with pytest.raises(InputError, match="another column 'price_spread'; rename its task"):
        both.predict(rows, spread=True)


def test_members_are_joined_with_the_features_of_texts(tmp_path):
    rows = {**ROWS, "note": ["good thing", "bad", "", "so so"] * (N // 4)}
    inputs = {"x": "number", "note": {"type": "text", "encoder": {"type": "lstm", "width": 4}}}
    config = {
        "inputs": inputs,
        "tasks": {"price": "regression"},
        "model": CONFIG["model"],
        "training": {"epochs": 1, "batch_size": 32},
    }
    run = motet.train(config, data=rows, output=tmp_path / "run")
    assert run.model.members == K
    assert min(run.predict(rows, spread=True)["price_spread"].to_pylist()) > 0
    words = {**config, "tasks": {"tags": {"type": "sequence_labelling", "column": "tags"}}}
    tagged = {**rows, "note": [["a", "b"]] * N, "tags": [["O", "B-x"]] * N}
    with pytest.raises(InputError, match=r"gives 3 members.*words of 'note'"):
        motet.train(words, data=tagged, output=tmp_path / "words")
