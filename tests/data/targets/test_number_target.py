"""Labels that are numbers: standardised by training, missing where missing."""

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motet.data.sources import read
from motet.data.targets import NumberTarget
from motet.problems import InputError

LABELS = st.lists(st.floats(-1e6, 1e6) | st.none(), min_size=2, max_size=30).filter(
    lambda labels: len({round(x, 2) for x in labels if x is not None}) > 1
)


def fitted(labels, **options):
    target = NumberTarget("y", **options)
    target.fit(read({"y": labels}))
    return target


@given(LABELS)
def test_scaling_says_how_to_get_the_labels_back(labels):
    target = fitted(labels)
    loaded = NumberTarget("y")
    loaded.load(json.loads(json.dumps(target.state(), allow_nan=False)))
    encoded = loaded.encode(read({"y": labels}))
    mean, std = loaded.scaling
    wanted = np.array(labels, float)
    np.testing.assert_allclose(
        encoded.astype(float) * std + mean, wanted, rtol=1e-5, atol=1e-5 * std
    )
    np.testing.assert_allclose([np.nanmean(encoded), np.nanstd(encoded)], [0, 1], atol=1e-4)


def test_without_scaling_labels_stay_as_they_are():
    target = fitted([10, 30, None], scale=False)
    assert target.scaling is None
    np.testing.assert_array_equal(target.encode(read({"y": [10, None]})), [10, np.nan])


def test_lists_are_several_numbers_scaled_each_by_itself():
    target = fitted(np.array([[0.0, 10.0], [2.0, 30.0]]))
    assert target.outputs == 2
    assert target.scaling == ((1.0, 20.0), (1.0, 10.0))
    encoded = target.encode(read({"y": [[2.0, 10.0], None]}))
    np.testing.assert_array_equal(encoded, [[1, -1], [np.nan, np.nan]])
    found = target.predictions(np.array([[1.5, 2.5]]))
    assert {name: column.to_pylist() for name, column in found.items()} == {
        "y_0": [1.5],
        "y_1": [2.5],
    }


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_predictions_are_in_original_units_already(shape):
    found = fitted([10.0, 30.0]).predictions(np.arange(3.0).reshape(shape))
    assert found["y"].to_pylist() == [0.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([5.0, 5.0, None], "is the same in every training row"),
        ([5.0, None], "has 1 labels in the 2 training rows, expected at least 2"),
        ([1.0, np.inf, -np.inf], "infinite in 2 of 3 rows"),
        (["1", "many"], "has 'many' in row 1, expected a number"),
        ([[1.0, 2.0], [3.0, 2.0]], "number 1 of its lists is the same"),
    ],
)
def test_labels_that_cannot_be_learned_from_are_refused(labels, said):
    with pytest.raises(InputError) as caught:
        fitted(labels)
    assert said in str(caught.value)


def test_another_number_of_outputs_later_is_refused():
    with pytest.raises(InputError, match="holds lists of numbers, expected one number per row"):
        fitted([1.0, 2.0]).encode(read({"y": [[1.0, 2.0]]}))
    with pytest.raises(InputError, match="holds numbers, expected lists of 2 numbers as in"):
        fitted([[1.0, 2.0], [2.0, 3.0]]).encode(read({"y": [1.0]}))


def test_no_rows_are_no_labels():
    assert fitted([1.0, 2.0]).encode(pa.table({"y": pa.array([], pa.float64())})).shape == (0,)


@pytest.mark.parametrize("scale", [True, False])
def test_a_label_beyond_what_float32_holds_is_refused_with_its_row(scale):
    target = NumberTarget("y", scale=scale)
    target.fit(read({"y": [1.0, 2.0]}))
    with pytest.raises(InputError, match="too large in row 1: beyond 3e38"):
        target.encode(read({"y": [1.0, 1e300]}))
