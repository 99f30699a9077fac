"""Vectors: from lists and from blocks of columns."""

import json

import numpy as np
import pyarrow as pa
import pytest

from motet.data.inputs.number import Number
from motet.data.inputs.vector import Vector
from motet.data.sources import read
from motet.problems import InputError


def fitted(data, /, **options):
    vector = Vector("v", **options)
    vector.observe(read(data))
    vector.finish()
    return vector


def test_each_component_is_standardised():
    values = np.random.default_rng(0).normal([5, -3, 0], [1, 10, 0], (400, 3)).astype(np.float32)
    found = fitted({"v": values}).apply(read({"v": values}))[0]["numbers"]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(found.std(axis=0), [1, 1, 0], atol=1e-5)


@pytest.mark.parametrize("kind", [pa.list_(pa.float64()), pa.list_(pa.float32(), 2)])
def test_missing_rows_are_zero_and_marked_if_training_had_some(kind):
    table = pa.table({"v": pa.array([[1.0, 0.0], None, [3.0, 4.0]], kind)})
    marked, unmarked = Vector("v"), Vector("v")
    for vector, rows in ((marked, table), (unmarked, table.take([0, 2]))):
        vector.observe(rows)
        vector.finish()
    assert marked.apply(table)[0]["numbers"].tolist() == [[-1, -1, 0], [0, 0, 1], [1, 1, 0]]
    assert unmarked.apply(table)[0]["numbers"].tolist() == [[-1, -1], [0, 0], [1, 1]]
    assert marked.shape().names == ("v_0", "v_1", "v_missing")


def test_a_slice_of_a_table_gives_the_rows_of_the_slice():
    table = pa.table({"v": pa.array([[1.0], None, [3.0], [5.0]], pa.list_(pa.float64(), 1))})
    vector = Vector("v")
    vector.observe(table)
    vector.finish()
    whole = vector.apply(table)[0]["numbers"]
    np.testing.assert_array_equal(vector.apply(table.slice(1, 2))[0]["numbers"], whole[1:3])
    joined = pa.concat_tables([table.slice(2), table.slice(0, 2)])
    np.testing.assert_array_equal(vector.apply(joined)[0]["numbers"], whole[[2, 3, 0, 1]])


def test_columns_come_in_the_order_of_training():
    vector = fitted({"b_1": [0.0, 2.0], "a": [1, 2], "b_0": [0.0, 4.0]}, columns="b_*")
    assert vector.columns(["b_0", "b_1", "b_2"]) == ("b_1", "b_0")
    later = read({"b_0": [4.0], "b_2": [9.0], "b_1": [0.0]})
    assert vector.apply(later)[0]["numbers"].tolist() == [[-1.0, 1.0]]
    assert vector.shape().names == ("b_1", "b_0")


def test_a_missing_component_leaves_the_others_as_they_are():
    vector = fitted({"a": [0.0, 2.0, None], "b": [1.0, 3.0, 5.0]}, columns=["a", "b"])
    found = vector.apply(read({"a": [None, 2.0], "b": [3.0, 3.0]}))[0]["numbers"]
    assert found.tolist() == [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]


def test_a_row_of_another_length_is_named():
    with pytest.raises(InputError, match="list of 3 in row 2, expected 2 numbers"):
        fitted({"v": [[1.0, 2.0], None, [1.0, 2.0, 3.0]]})
    vector = fitted({"v": [[1.0, 2.0]]})
    with pytest.raises(InputError, match="list of 1 in row 0, expected 2"):
        vector.apply(read({"v": [[1.0]]}))


@pytest.mark.parametrize(
    ("columns", "options", "said"),
    [
        ({"v": [1.0]}, {}, "holds numbers, expected a list of numbers"),
        ({"v": [["a"]]}, {}, "has 'a' in row 0, expected a number"),
        ({"v": [[np.inf, 1.0]]}, {}, "infinite in 1 of 1 rows"),
        ({"v": [None]}, {}, "expected a list"),
        ({"a_0": [None, 1.0], "a_1": [None, None]}, {"columns": "a_*"}, "in component 1"),
        ({"b": [1.0]}, {"columns": "a_*"}, "no column matches 'a_*'"),
        ({"b": [1.0]}, {"columns": "b", "column": "b"}, "columns: found column too"),
    ],
)
def test_what_is_no_vector_is_refused(columns, options, said):
    with pytest.raises(InputError) as caught:
        fitted(columns, **options)
    assert said in str(caught.value)


@pytest.mark.parametrize("options", [{}, {"columns": "c_*"}])
def test_a_loaded_vector_gives_the_same_arrays(options):
    rng = np.random.default_rng(1)
    columns = {"v": rng.normal(size=(9, 2)), "c_0": rng.normal(size=9), "c_1": [1.0, None, 3.0] * 3}
    vector = fitted(columns, **options)
    loaded = Vector("v")
    loaded.load(json.loads(json.dumps(vector.state(), allow_nan=False)))
    np.testing.assert_array_equal(
        loaded.apply(read(columns))[0]["numbers"], vector.apply(read(columns))[0]["numbers"]
    )
    assert loaded.shape().names == vector.shape().names
    assert loaded.columns([]) == vector.columns([])


def test_all_rows_missing_later_is_no_mistake():
    vector = fitted({"v": [[1.0, 2.0], None]})
    assert vector.apply(read({"v": [None, None]}))[0]["numbers"].tolist() == [[0, 0, 1]] * 2


@pytest.mark.parametrize("transform", ["none", "log", "auto"])
@pytest.mark.parametrize("scaling", ["standard", "quantile", "piecewise"])
def test_components_are_scaled_as_the_same_numbers_in_columns_are(scaling, transform):
    draw = np.random.default_rng(0)
    values = np.column_stack([draw.lognormal(0, 2, 300), draw.normal(size=300), np.ones(300)])
    options = {"scaling": scaling, "transform": transform}
    vector = Vector("v", **options)
    for start in range(0, 300, 100):
        vector.observe(pa.table({"v": values[start : start + 100].tolist()}))
    vector.finish()
    found = vector.apply(pa.table({"v": values.tolist()}))[0]["numbers"]
    for place, column in enumerate(values.T):
        number = Number("x", **options)
        number.observe(pa.table({"x": column}))
        number.finish()
        expected = number.apply(pa.table({"x": column}))[0]["numbers"][:, 0]
        np.testing.assert_allclose(found[:, place], expected, rtol=1e-6, atol=1e-6)
        assert vector.shape().expansions[place] == number.shape().expansions[0]
    assert bool(vector.notes) == (transform == "auto")


@pytest.mark.parametrize("option", [{"transform": "log"}, {"scaling": "piecewise", "bins": 4}])
def test_a_model_without_data_refuses_what_only_training_values_determine(option):
    with pytest.raises(InputError, match="learned from training values"):
        Vector("v", width=3, **option).declared()
