"""Numbers that are missing only after training are noted."""

import pyarrow as pa
import pytest

from motet.data.inputs.number import Number
from motet.data.inputs.vector import Vector


@pytest.mark.parametrize("kind", [Number, lambda name: Vector(name, columns=["x"])])
def test_a_missing_number_is_noted_where_training_had_none(kind):
    whole, gap = pa.table({"x": [1.0, 2.0]}), pa.table({"x": [3.0, None, None]})
    made = kind("x")

    def notes(table):
        return list(made.apply(table)[1].lines("input 'x'"))

    made.observe(whole)
    made.finish()
    assert notes(gap) == [
        "input 'x': 2 of 3 rows lack a number, which no training row did; the mean is used"
    ]
    assert notes(whole) == []
    made.observe(gap)
    made.finish()
    assert notes(gap) == []  # an extra column marks them
