"""Types of task with a label per row in whole runs: files, resuming, predictions, mistakes."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
import torch
from quick_cases import others_slow
from safetensors.torch import load_file

import motet
from motet.config import ConfigError
from motet.run.initialising import initialise
from motet.run.preparing import prepare

RNG = np.random.default_rng(0)
X = RNG.normal(size=400)
TRUE = 3 * X + RNG.normal(size=400)
GAPS = RNG.random(400) < 0.1


def with_gaps(values):
    return [None if gap else value for value, gap in zip(values.tolist(), GAPS, strict=True)]


ROWS = {
    "x": X,
    "stars": with_gaps(np.digitize(TRUE, [-2, 0, 2]) + 1),
    "visits": with_gaps(RNG.poisson(np.exp(0.5 * X + 1))),
    "grade": np.where(TRUE > 0, "high", "and low"),
    "spend": with_gaps(100 + 20 * TRUE),
    "assay": [
        None if gap else ">4" if value > 4 else "< -4" if value < -4 else f"{value:.3f}"
        for gap, value in zip(GAPS, TRUE, strict=True)
    ],
    "claims": RNG.negative_binomial(2, 2 / (2 + np.exp(X))),
}
TASKS = {
    "stars": "ordinal",
    "visits": "count",
    "claims": {"type": "count", "loss": "negative_binomial"},
    "spend": {"type": "quantile", "quantiles": [0.2, 0.5, 0.8]},
    "assay": {"type": "regression", "censored": "auto"},
    "grade": {
        "type": "classification",
        "loss": "focal",
        "gamma": 1.5,
        "class_weights": "balanced",
    },
}
COLUMNS = [
    *("stars", *(f"stars_probability_{each}" for each in "1234")),
    "visits",
    "claims",
    *("spend", *(f"spend_quantile_{each}" for each in ("0.2", "0.5", "0.8"))),
    "assay",
    *("grade", "grade_probability_and low", "grade_probability_high"),
]


def config(tasks=TASKS):
    return {
        "inputs": {"x": "number"},
        "tasks": tasks,
        "model": {"encoder": {"type": "mlp", "hidden": [8]}},
        "training": {"epochs": 6, "batch_size": 16, "optimizer": {"learning_rate": 0.01}},
    }


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return motet.train(config(), ROWS, output=tmp_path_factory.mktemp("rows") / "run")


def test_every_type_learns_and_a_loaded_run_has_the_loss_of_the_trained_one(trained):
    last = json.loads((trained.path / "metrics.jsonl").read_text().splitlines()[-1])
    found = motet.load(trained.path).evaluate(ROWS, split="test")
    assert all(found[task]["loss"] == last["tasks"][task]["loss"] for task in TASKS)
    assert all(score > 0.1 for score in found.scores.values()), found.scores


def test_predictions_have_the_columns_of_their_type_without_any_label(trained):
    found = motet.load(trained.path / "model").predict({"x": [-1.0, 0.0, 1.0]})
    assert found.column_names == COLUMNS
    for task in TASKS:
        values = found[task].to_pylist()
        assert values == sorted(values), task


def test_the_card_has_every_task(trained):
    card = (trained.path / "model" / "README.md").read_text()
    assert all(task in card for task in TASKS)


@pytest.mark.slow
def test_a_stopped_run_goes_on_bit_for_bit(trained, tmp_path, monkeypatch):
    def stop(self, batch, after=[]):  # noqa: B006  # counts the steps of this run
        after.append(1)
        self.stop_requested = len(after) == 40
        return step(self, batch)

    step, path = motet.Trainer.train_step, tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(motet.Trainer, "train_step", stop)
        with pytest.raises(KeyboardInterrupt):
            motet.train(config(), ROWS, ["training.checkpoint_every=7"], path)
    resumed = motet.resume(path, data=ROWS)
    ours, theirs = (
        load_file(each.path / "model" / "model.safetensors") for each in (resumed, trained)
    )
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


@pytest.mark.parametrize("balancing", others_slow(["pcgrad"], ["uncertainty", "pcgrad", "dwa"]))
def test_every_type_trains_with_balancers(balancing, tmp_path):
    own = config() | {"balancing": {"type": balancing}}
    run = motet.train(own, ROWS, ["training.epochs=2"], tmp_path / "run")
    found = run.evaluate(ROWS, split="test")
    assert all(np.isfinite(found[task]["loss"]) for task in TASKS)


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        ("stars", {"type": "ordinal", "classes": ["1", "2"]}, "which classes does not name"),
        ("x", "ordinal", "is not a class"),
        ("x", "count", "expected counts"),
        ("spend", {"type": "quantile", "quantiles": [0.9, 0.1]}, "quantiles: .* increasing order"),
        ("assay", "regression", "holds bounds such as '>10' beside numbers"),
        (
            "assay",
            {"type": "regression", "censored": "auto", "loss": "huber"},
            "censored: applies only with loss: mse or mae, found loss: huber",
        ),
        ("visits", {"type": "count", "loss": "mse"}, "the loss 'mse' does not fit here"),
        ("visits", {"type": "count", "metrics": ["kappa"]}, "'kappa' does not suit count"),
    ],
)
def test_mistakes_are_reported_at_their_task(tmp_path, task, options, message):
    own = config({task: options})
    own["inputs"] = {"claims": "number"}
    with pytest.raises(ConfigError, match=message) as raised:
        motet.train(own, ROWS, output=tmp_path / "run")
    assert f"tasks.{task}" in str(raised.value)


def test_init_reads_bounds_and_takes_the_types_that_are_asked_for(tmp_path):
    table = pa.table({**ROWS, "claims": ROWS["claims"].tolist()})
    pa.csv.write_csv(table, tmp_path / "rows.csv")
    path = tmp_path / "config.yaml"
    initialise(str(tmp_path / "rows.csv"), ["assay", "stars:ordinal", "visits:count"], path)
    text = path.read_text()
    assert "assay: {type: regression, censored: auto}  # numbers, " in text
    assert "of them bounds, first " in text
    assert "stars: {type: ordinal}" in text
    assert "visits: {type: count}" in text
    prepared = prepare(path)
    assert [note for note in prepared.notes if "are bounds" in note]
