"""Numbers that are missing only after training are told."""

import pyarrow as pa
import pytest

from motet.data.inputs.number import Number
from motet.data.inputs.vector import Vector


@pytest.mark.parametrize("kind", [Number, lambda name: Vector(name, columns=["x"])])
def test_a_missing_number_is_told_where_training_had_all(kind):
    whole, gap = pa.table({"x": [1.0, 2.0]}), pa.table({"x": [3.0, None, None]})
    made = kind("x")
    made.fit(whole)
    made.apply(gap)
    assert made.notes == (
        "input 'x': 2 of 3 rows lack a number, where training lacked none; the mean stands in",
    )
    made.apply(whole)
    assert made.notes == ()
    made.fit(gap)
    made.apply(gap)
    assert made.notes == ()  # a column of its own marks them
