"""Numbers: scaling, missing values, and what is not a number."""

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motet.data.inputs.number import Number
from motet.data.inputs.scaling import SCALINGS, mean_and_std
from motet.problems import InputError

VALUES = st.floats(-1e300, 1e300, allow_subnormal=True)
COLUMNS = st.lists(VALUES | st.none(), min_size=1, max_size=40).filter(
    lambda column: any(value is not None for value in column)
)


def table(values):
    return pa.table({"x": pa.array(values)})


def fitted(values, **options):
    number = Number("x", **options)
    number.fit(table(values))
    return number


def numbers(number, values):
    return number.apply(table(values))["numbers"]


def test_standard_scaling_gives_mean_zero_and_deviation_one():
    values = np.random.default_rng(0).lognormal(size=500)
    scaled = numbers(fitted(values), values)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose([scaled.mean(), scaled.std()], [0, 1], atol=1e-6)


def test_a_constant_becomes_zero_and_other_values_their_distance():
    assert numbers(fitted([0.1] * 3), [0.1, 2.1]).tolist() == [[0.0], [2.0]]


def test_missing_values_are_marked_only_if_there_were_some_in_training():
    assert numbers(fitted([1.0, 3.0]), [None, 3.0]).tolist() == [[0.0], [1.0]]
    marked = fitted([1.0, None, 3.0])
    assert numbers(marked, [None, 3.0]).tolist() == [[0.0, 1.0], [1.0, 0.0]]
    assert marked.number_names == ("x", "x_missing")


def test_a_column_without_any_value_can_be_applied():
    assert numbers(fitted([1.0, 3.0]), [None, None]).tolist() == [[0.0], [0.0]]


def test_only_the_training_part_sets_the_scale():
    number = fitted([0.0, 2.0])
    before = number.state()
    numbers(number, [1e6, -1e6])
    assert number.state() == before


@pytest.mark.parametrize(
    "values",
    [[True, False, True], [2**60, 0, 2**60 + 1], ["1", " 2.5 ", "-3e2"], np.float32([1, 2, 4])],
)
def test_truth_values_integers_and_texts_that_spell_numbers_are_numbers(values):
    assert np.isfinite(numbers(fitted(values), values)).all()


def test_a_text_that_is_no_number_is_named_with_its_row():
    number = fitted(["1", "2"])
    with pytest.raises(
        InputError, match="input 'x': column 'x' has 'ten' in row 2, expected a num"
    ):
        numbers(number, ["3", "", "ten", "?"])


def test_infinite_values_are_counted_and_refused():
    with pytest.raises(InputError, match="infinite in 2 of 4 rows, first in row 1; write missing"):
        fitted([1.0, np.inf, 2.0, -np.inf])


def test_dates_and_lists_are_refused_in_everyday_words():
    with pytest.raises(InputError, match="holds dates, expected numbers"):
        fitted(pa.array([1], pa.int32()).cast(pa.date32()))
    with pytest.raises(InputError, match="holds lists of numbers"):
        fitted([[1.0]])


def test_a_column_without_a_training_value_is_refused():
    with pytest.raises(InputError, match="no value in the 2 training rows"):
        fitted([None, None])


def test_an_absent_column_is_named():
    with pytest.raises(InputError, match="input 'age': the data have no column 'age'"):
        Number("age").fit(table([1.0]))


def test_bins_without_piecewise_would_be_ignored_and_are_refused():
    with pytest.raises(InputError, match="bins is read only with scaling: piecewise"):
        Number("x", bins=8)
    with pytest.raises(InputError, match="did you mean 'quantile'"):
        Number("x", scaling="quantil")


def test_quantile_scaling_is_the_normal_score_of_the_rank():
    values = np.exp(np.random.default_rng(0).normal(size=5000))
    scaled = numbers(fitted(values, scaling="quantile"), np.exp([-1.0, 0.0, 1.0]))[:, 0]
    np.testing.assert_allclose(scaled, [-1.0, 0.0, 1.0], atol=0.05)


def test_quantile_scaling_gives_ties_one_score_in_the_middle_of_their_ranks():
    number = fitted([0.0] * 50 + list(range(1, 51)), scaling="quantile")
    low, end = numbers(number, [0.0, 50.0])[:, 0]
    assert low == pytest.approx(-0.67, abs=0.03)  # the normal score of rank .25
    assert numbers(number, [-9.0, 1e9])[:, 0].tolist() == [low, end]


def test_piecewise_encoding_is_that_of_the_paper_beside_the_standardised_value():
    number = fitted([0.0, 1.0, 2.0, 4.0, 8.0], scaling="piecewise", bins=4)
    assert number.number_names == ("x", "x_bin_0", "x_bin_1", "x_bin_2", "x_bin_3")
    found = numbers(number, [0.5, 3.0, 100.0])[:, 1:]
    assert found.tolist() == [[0.5, 0, 0, 0], [1, 1, 0.5, 0], [1, 1, 1, 1]]


def test_piecewise_bins_that_coincide_are_one():
    number = fitted([0.0] * 95 + [1.0] * 5, scaling="piecewise", bins=10)
    assert numbers(number, [0.0]).shape == (1, 2)
    assert numbers(fitted([3.0, 3.0], scaling="piecewise"), [3.0]).tolist() == [[0.0]]


@pytest.mark.parametrize("scaling", list(SCALINGS))
@given(training=COLUMNS, later=st.lists(VALUES | st.none(), min_size=1, max_size=10))
def test_a_loaded_number_gives_the_same_finite_arrays(scaling, training, later):
    number = fitted(training, scaling=scaling)
    loaded = Number("x")
    loaded.load(json.loads(json.dumps(number.state(), allow_nan=False)))
    found = numbers(number, later)
    assert np.isfinite(found).all()
    assert found.shape == (len(later), len(number.number_names))
    np.testing.assert_array_equal(numbers(loaded, later), found)
    assert loaded.number_names == number.number_names


@pytest.mark.parametrize("scaling", list(SCALINGS))
@given(training=st.lists(st.integers(-1000, 1000), min_size=2), pair=st.tuples(VALUES, VALUES))
def test_no_scaling_changes_the_order_of_values(scaling, training, pair):
    low, high = numbers(fitted(training, scaling=scaling), sorted(pair))
    assert (low <= high).all()


@given(st.lists(st.floats(-1e6, 1e6) | st.just(np.nan), min_size=1))
def test_mean_and_deviation_agree_with_numpy(values):
    values = np.array(values)
    known = values[~np.isnan(values)]
    mean, std = mean_and_std(values)
    np.testing.assert_allclose(mean, known.mean() if len(known) else 0, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(std, known.std() if len(known) else 0, rtol=1e-6, atol=1e-6)
