"""Amounts over decades: their logarithm, when it is taken, and how it is undone."""

import json

import numpy as np
import pyarrow as pa
import pytest
import torch

from motet.data.inputs.logarithm import log_scale, spans_decades, to_log
from motet.data.inputs.number import Number
from motet.data.targets.number import NumberTarget
from motet.problems import InputError
from motet.tasks import Regression
from motet.tasks.scaling import restored

DRAW = np.random.default_rng(0)
AMOUNTS = DRAW.lognormal(5, 2, 400)


def fitted(values, /, **options):
    number = Number("x", **options)
    number.observe(pa.table({"x": values}))
    number.finish()
    return number


def test_it_is_the_signed_logarithm_in_units_of_the_scale_and_is_undone_exactly():
    values = np.array([0.0, 3.0, -3.0, 1e-300, 1e300, np.nan])
    logs = to_log(values, 3.0)
    expected = np.sign(values) * (np.log1p(np.abs(values) / 3.0))
    np.testing.assert_allclose(logs[:5], expected[:5], rtol=1e-12)
    assert np.isnan(logs[5])
    known = torch.tensor([0.0, 3.0, -3.0, 250.0, 1e20]).double()
    undone = restored(torch.from_numpy(to_log(known.numpy(), 3.0)), None, 3.0)
    torch.testing.assert_close(undone, known, rtol=1e-12, atol=0)


def test_the_scale_is_that_of_small_amounts_whatever_the_zeros():
    amounts = np.arange(1.0, 102.0)
    assert log_scale(amounts) == log_scale(np.concatenate([np.zeros(900), -amounts])) == 11.0
    assert log_scale(np.zeros(3)) == 1.0


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (DRAW.normal(size=500), False),
        (DRAW.uniform(1, 9999, 500), False),
        (DRAW.exponential(size=500), False),
        (DRAW.lognormal(0, 2, 500), True),
        (np.concatenate([np.zeros(900), DRAW.lognormal(0, 2, 300)]), True),
        (np.tile([1.0, 1e6], 300), False),  # two values are not skewed
        (DRAW.lognormal(0, 2, 10), False),  # too few to know
    ],
)
def test_amounts_that_are_skewed_over_decades_are_found(values, expected):
    assert bool(spans_decades(values)) == expected


def test_auto_takes_the_logarithm_where_it_fits_and_reports_it():
    auto = fitted(AMOUNTS, scaling="standard", transform="auto")
    log = fitted(AMOUNTS, scaling="standard", transform="log")
    rows = pa.table({"x": [0.0, 10.0, -10.0, None]})
    np.testing.assert_array_equal(auto.apply(rows)[0]["numbers"], log.apply(rows)[0]["numbers"])
    (note,) = auto.notes
    assert "skewed" in note
    assert "logarithm" in note
    plain = fitted(DRAW.normal(size=400), transform="auto")
    assert not plain.notes
    assert "log" not in plain.state()


@pytest.mark.parametrize("scaling", ["standard", "quantile", "piecewise"])
def test_a_number_is_the_logarithm_scaled(scaling):
    log = log_scale(AMOUNTS)
    found = fitted(AMOUNTS, scaling=scaling, transform="log").apply(pa.table({"x": AMOUNTS}))[0]
    before = pa.table({"x": to_log(AMOUNTS, log)})
    expected = fitted(to_log(AMOUNTS, log), scaling=scaling).apply(before)[0]
    np.testing.assert_array_equal(found["numbers"], expected["numbers"])


def test_a_model_without_data_refuses_what_only_data_decide():
    with pytest.raises(InputError, match="learned from training values"):
        Number("x", transform="auto").declared()


# Labels ------------------------------------------------------------------------------------------


def target(values, transform):
    made = NumberTarget("y", transform=transform)
    made.fit(pa.table({"y": pa.array(list(values))}))
    return made


@pytest.mark.parametrize("lists", [False, True])
def test_a_regression_is_trained_on_logarithms_and_restores_the_labels(lists):
    labels = np.stack([AMOUNTS, DRAW.normal(size=400)], axis=1) if lists else AMOUNTS
    made = target(labels.tolist(), "auto")
    encoded = made.encode(pa.table({"y": labels.tolist()}))
    np.testing.assert_allclose(encoded.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(encoded.std(axis=0), 1, atol=1e-5)
    first = encoded[:, 0] if lists else encoded
    logs = to_log(AMOUNTS, log_scale(AMOUNTS))
    np.testing.assert_allclose(first, (logs - logs.mean()) / logs.std(), atol=1e-5)
    task = Regression("y", **made.learned())
    found = task.restore(torch.from_numpy(encoded)).numpy()
    np.testing.assert_allclose(found, labels, rtol=1e-4, atol=1e-5)
    assert "skewed" in made.notes[0]

    again = NumberTarget("y")
    again.load(json.loads(json.dumps(made.state())))
    assert again.learned() == made.learned()
    np.testing.assert_array_equal(again.encode(pa.table({"y": labels.tolist()})), encoded)


def test_auto_leaves_other_labels_as_they_are():
    labels = DRAW.normal(size=100)
    auto, plain = target(labels, "auto"), target(labels, "none")
    table = pa.table({"y": labels})
    np.testing.assert_array_equal(auto.encode(table), plain.encode(table))
    task = Regression("y", **auto.learned())
    assert task.log_scale is None
    assert not auto.notes


def test_lists_of_one_number_are_restored():
    made = target([[each] for each in AMOUNTS], "log")
    task = Regression("y", **made.learned())
    encoded = torch.from_numpy(made.encode(pa.table({"y": [[3.0], [70.0]]})))
    torch.testing.assert_close(
        task.restore(encoded).flatten(), torch.tensor([3.0, 70.0]).double(), rtol=1e-5, atol=0
    )


def test_predictions_far_away_are_finite():
    task = Regression("y", transform="log", log_scale=2.0, scaling=(0.0, 10.0))
    assert task.decode(torch.tensor([1e30, -1e30])).value.isfinite().all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"transform": "log"}, "learned from the labels of a run"),
        ({"log_scale": 1.0}, "set transform: log too"),
        ({"transform": "log", "log_scale": -1.0}, "expected a number > 0"),
        ({"transform": "log", "log_scale": (1.0, 2.0)}, "for each of 1 outputs"),
        ({"transform": "log", "log_scale": 1.0, "censored": "auto"}, "not supported with censored"),
        ({"transform": "logs"}, "did you mean 'log'"),
    ],
)
def test_options_of_a_task_that_cannot_act_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        Regression("y", **options)
