"""The temperature is that which made the logits too sure."""

import numpy as np
import pytest

from motet.analysis import temperature
from motet.analysis.calibration import HIGHEST, LOWEST, best_temperature
from motet.problems import InputError


@pytest.mark.parametrize("true", [0.4, 1.0, 3.0])
def test_the_temperature_of_logits_is_found_again(true):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 4)) * 2
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (p.cumsum(axis=1) < rng.random((20_000, 1))).sum(axis=1)
    assert temperature(logits * true, labels) == pytest.approx(true, rel=0.05)
    with np.errstate(divide="ignore"):
        logs = np.log(p) * true + 7
    assert temperature(logs, labels) == pytest.approx(true, rel=0.05)


def test_the_search_finds_the_lowest_point_and_stays_in_its_range():
    assert best_temperature(lambda t: (t - 2.5) ** 2) == pytest.approx(2.5, rel=1e-6)
    assert best_temperature(lambda t: t) == pytest.approx(LOWEST, rel=1e-6)
    assert best_temperature(lambda t: -t) == pytest.approx(HIGHEST, rel=1e-6)


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        ([[0.0, 1.0]], [1, 0], r"found logits \(1, 2\) and labels \(2,\)"),
        ([[0.0, 1.0]], [2], "labels: found labels from 2 to 2; expected places of 2 classes"),
        ([[0.0, np.nan]], [0], "logits: found a row whose largest is nan; expected a finite one"),
        ([[-np.inf, -np.inf]], [0], "logits: found a row whose largest is -inf"),
    ],
)
def test_logits_and_labels_that_do_not_fit_are_named(logits, labels, message):
    with pytest.raises(InputError, match=message):
        temperature(logits, labels)
