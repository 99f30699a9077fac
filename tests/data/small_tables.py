"""A table with one input and one task of several kinds, and its preprocessing."""

import numpy as np

from motet.data.inputs.category import Category
from motet.data.inputs.number import Number
from motet.data.inputs.vector import Vector
from motet.data.preprocessing import Preprocessing
from motet.data.sources import read
from motet.data.targets import ClassTarget, IndicatorTarget, NumberTarget

TABLE = read(
    {
        "age": [20.0, None, 40.0, 30.0],
        "job": ["cook", "nurse", "cook", None],
        "clip": np.arange(8.0).reshape(4, 2),
        "size": [1, 2, 3, 4],
        "churn": ["yes", "no", None, "yes"],
        "spend": [1.0, None, 3.0, 5.0],
        "t_a": [1, 0, 1, None],
        "t_b": [0, 1, 1, 1],
    }
)


def made():
    """Return the preprocessing, fitted on the table."""
    inputs = {
        "age": Number("age"),
        "job": Category("job"),
        "clip": Vector("clip"),
        "size": Number("size", scaling="piecewise", bins=2),
    }
    targets = {
        "churn": ClassTarget("churn"),
        "spend": NumberTarget("spend"),
        "tags": IndicatorTarget("tags", columns="t_*"),
    }
    preprocessing = Preprocessing(inputs, targets)
    preprocessing.fit(TABLE)
    return preprocessing
