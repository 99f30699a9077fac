"""Quantiles of a column: standardised labels, and a column for each quantile."""

import json

import numpy as np
import pytest

from motet.data.sources import read
from motet.data.targets import QuantileTarget
from motet.problems import InputError

LEVELS = (0.1, 0.5, 0.9)


def fitted(labels):
    target = QuantileTarget("y", levels=LEVELS)
    target.fit(read({"y": labels}))
    return target


def test_a_loaded_target_standardises_and_names_its_columns_as_before():
    target, again = fitted([10.0, 30.0, None]), QuantileTarget("y")
    again.load(json.loads(json.dumps(target.state())))
    assert again.encode(read({"y": [40.0]})).tolist() == [2.0]
    assert again.learned() == {"scaling": (20.0, 10.0)}
    found = again.predictions(np.array([[1.0, 2.0, 3.0]]))
    assert {name: column.to_pylist() for name, column in found.items()} == {
        "y": [2.0],
        "y_quantile_0.1": [1.0],
        "y_quantile_0.5": [2.0],
        "y_quantile_0.9": [3.0],
    }
    assert again.prediction_names(["y"]) == [*found, "y_true"]


def test_lists_are_refused():
    with pytest.raises(InputError, match="expected one number per row"):
        fitted([[1.0, 2.0], [3.0, 5.0]])
