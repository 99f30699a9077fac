"""Numbers: scaling, missing values, and what is not a number."""

import json
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from motet.data.inputs.moments import mean_and_std
from motet.data.inputs.number import Number
from motet.data.inputs.scaling import SCALINGS
from motet.encoders.mlp import MLP
from motet.problems import InputError

VALUES = st.floats(-1e300, 1e300, allow_subnormal=True)
COLUMNS = st.lists(VALUES | st.none(), min_size=1, max_size=40).filter(
    lambda column: any(value is not None for value in column)
)


def table(values):
    return pa.table({"x": pa.array(values)})


def fitted(values, **options):
    number = Number("x", **options)
    number.observe(table(values))
    number.finish()
    return number


def numbers(number, values):
    return number.apply(table(values))[0]["numbers"]


@pytest.mark.parametrize("options", [{"scaling": "standard"}, {"scaling": "piecewise"}, {}])
def test_training_values_have_mean_zero_and_deviation_one(options):
    values = np.random.default_rng(0).lognormal(size=500)
    scaled = numbers(fitted(values, **options), values)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose([scaled.mean(), scaled.std()], [0, 1], atol=1e-6)


def test_a_constant_becomes_zero_and_other_values_their_distance():
    number = fitted([0.1] * 3, scaling="standard")
    assert numbers(number, [0.1, 2.1]).tolist() == [[0.0], [2.0]]


def test_missing_values_are_marked_only_if_there_were_some_in_training():
    assert numbers(fitted([1.0, 3.0]), [None, 3.0]).tolist() == [[0.0], [1.0]]
    marked = fitted([1.0, None, 3.0])
    assert numbers(marked, [None, 3.0]).tolist() == [[0.0, 1.0], [1.0, 0.0]]
    assert marked.shape().names == ("x", "x_missing")


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
    with pytest.raises(InputError, match="column 'x' has 'ten' in row 2, expected a num"):
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
        Number("age").observe(table([1.0]))


def test_bins_without_piecewise_would_be_ignored_and_are_refused():
    with pytest.raises(InputError, match="bins: applies only with scaling: piecewise"):
        Number("x", scaling="standard", bins=8)
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


# Piecewise: one column for the place among the knots, spread over the bins by the encoder ------


def spread(number, values):
    """Expand a column as the table MLP does: (N, bins)."""
    encoder = MLP(len(number.shape().names), expansions=number.shape().expansions, hidden=[1])
    column = torch.from_numpy(numbers(number, values))
    return encoder.stages[0]({"numbers": column}).detach().numpy()


def encoded(values, knots):
    """Piecewise-linear encoding by its definition, value by value and bin by bin: (N, T)."""
    rows = []
    for value in values:
        row = []
        for low, high in pairwise(knots):
            share = (value - low) / (high - low)
            row.append(min(max(share, 0.0), 1.0))
        rows.append(row)
    return np.array(rows, np.float64).reshape(len(values), len(knots) - 1)


def standardised(values, training, knots):
    known = encoded(training, knots)
    return (encoded(values, knots) - known.mean(axis=0)) / np.maximum(known.std(axis=0), 0.05)


def knots_of(number):
    return number.state()["fitted"]["knots"]


@pytest.mark.parametrize(
    ("values", "scaling", "knots"),
    [
        (np.arange(3_000.0), "piecewise", 65),
        (np.arange(512.0), "piecewise", 17),  # a bin for 32 values
        (np.arange(511.0), "standard", 0),
        (np.arange(500.0) % 32, "piecewise", 32),  # a bin is a value
        (np.arange(500.0) % 33, "standard", 0),
    ],
)
def test_values_choose_the_scaling_by_default(values, scaling, knots):
    number = fitted(values)
    assert number.state()["scaling"] == scaling
    assert len(number.state()["fitted"].get("knots", ())) == knots
    assert len(knots_of(fitted(values, bins=8))) == 9


def test_numbers_over_decades_become_logarithms_where_values_choose_a_line():
    decades = np.geomspace(1, 1e6, 500)
    assert "log" in fitted(decades).state()
    assert "log" not in fitted(decades, scaling="standard").state()
    assert "log" not in fitted(decades, transform="none").state()


def test_piecewise_has_64_bins_and_one_column():
    values = np.random.default_rng(0).normal(size=500)
    number = fitted(values, scaling="piecewise")
    assert len(knots_of(number)) == 65
    assert number.shape().names == ("x",)
    assert numbers(number, values).shape == (500, 1)
    assert spread(number, values).shape == (500, 64)


def test_piecewise_places_a_value_among_the_knots():
    number = fitted([0.0, 1.0, 2.0, 4.0, 8.0], bins=4)
    fit = number.state()["fitted"]
    assert fit["knots"] == [0.0, 1.0, 2.0, 4.0, 8.0]
    places = numbers(number, [0.5, 3.0, 8.0])[:, 0] * fit["std"] + fit["mean"]
    np.testing.assert_allclose(places, [0.5, 2.5, 4.0], atol=1e-6)


@pytest.mark.parametrize("bins", [1, 2, 5, 64])
def test_the_encoder_spreads_a_value_as_the_paper_does_and_standardises_each_bin(bins):
    rng = np.random.default_rng(bins)
    training = np.exp(2 * rng.normal(size=300))
    number = fitted(training, bins=bins)
    later = np.concatenate([training[:50], np.exp(2 * rng.normal(size=50))])
    expected = standardised(later, training, knots_of(number))
    assert expected.shape == (100, bins)
    np.testing.assert_allclose(spread(number, later), expected, atol=2e-4)


@given(
    training=st.lists(st.floats(-1e300, 1e300), min_size=2, max_size=30, unique=True),
    later=st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=5),
)
def test_the_spread_is_right_whatever_the_range(training, later):
    number = fitted(training, bins=8)
    unit = max(map(abs, training))  # the reference itself would overflow
    knots = np.array(knots_of(number)) / unit
    if np.diff(knots).min() < 1e-12:
        return  # too near for float64 to divide by
    later, training = (np.array(values) / unit for values in (later, training))
    expected = standardised(np.clip(later, -9, 9), training, knots)
    found = spread(number, np.clip(later, -9, 9) * unit if unit < 1e299 else later * unit)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_the_largest_numbers_have_a_place_too():
    number = fitted([-1.7e308, 1.7e308])  # so far apart that the distance is infinite
    expected = standardised([-0.5, 0.25], [-1.0, 1.0], [-1.0, 1.0])
    np.testing.assert_allclose(spread(number, [-0.85e308, 0.425e308]), expected, atol=1e-6)


def test_a_bin_with_few_values_stays_small():
    training = [0.0] * 9999 + [1.0]  # its deviation is 0.01
    found = spread(fitted(training), [1.0])
    np.testing.assert_allclose(found, standardised([1.0], training, [0.0, 1.0]), rtol=1e-4)
    assert 19 < found.item() < 20


def test_values_out_of_range_are_those_at_the_ends():
    number = fitted([0.0, 1.0, 5.0, 9.0])
    found = spread(number, [-1e300, -3.0, 0.0, 9.0, 1e9, 1e300])
    assert (found[:3] == found[2]).all()
    assert (found[3:] == found[3]).all()


def test_missing_values_are_marked_beside_the_bins_and_have_the_mean_place():
    training = [0.0, 1.0, None, 3.0]
    number = fitted(training)
    assert number.shape().names == ("x", "x_missing")
    assert [each is None for each in number.shape().expansions] == [False, True]
    found = spread(number, [None, 1.0])
    # columns taken as they are come first
    assert found[:, 0].tolist() == [1.0, 0.0]
    places = [0, 1, 2]
    mean = np.interp(np.mean(places), places, [0.0, 1.0, 3.0])
    expected = standardised([mean, 1.0], [0.0, 1.0, 3.0], [0.0, 1.0, 3.0])
    np.testing.assert_allclose(found[:, 1:], expected, atol=1e-6)


def test_few_distinct_values_are_all_knots():
    number = fitted([3.0, 1.0, 1.0, 2.0, 3.0], bins=2)
    assert knots_of(number) == [1.0, 2.0, 3.0]


def test_a_value_that_occurs_n_times_counts_sqrt_n_for_the_knots():
    """Half of the knots would be wasted on the zeros if they counted in full."""
    training = [0.0] * 900 + [float(each) for each in range(1, 91)]
    knots = knots_of(fitted(training, bins=12))
    # by the definition: weights 30, 1, 1, ..., 1; places are their running middles
    weights = np.sqrt([900] + [1] * 90)
    middles = np.cumsum(weights) - weights / 2
    levels = (middles - middles[0]) / (middles[-1] - middles[0])
    expected = {int(np.argmax(levels >= level - 1e-9)) for level in np.linspace(0, 1, 13)}
    assert knots == sorted(float(each) for each in expected)
    assert len(knots) >= 11


def test_knots_are_some_of_the_training_values_from_the_least_to_the_greatest():
    training = np.random.default_rng(0).integers(-400, 400, size=700).astype(float)
    knots = knots_of(fitted(training, bins=16))
    assert len(knots) == 17
    assert set(knots) <= set(training)
    assert (knots[0], knots[-1]) == (training.min(), training.max())


def test_a_constant_has_no_bins_and_is_taken_as_it_is():
    number = fitted([3.0, 3.0])
    assert numbers(number, [3.0, 9.0]).tolist() == [[0.0], [0.0]]
    assert number.shape().expansions == (None,)
    marked = fitted([3.0, None])
    assert marked.shape().expansions == (None, None)
    assert spread(marked, [3.0, None]).tolist() == [[0.0, 0.0], [0.0, 1.0]]


def test_other_scalings_have_nothing_to_spread():
    for scaling in ("standard", "quantile"):
        assert fitted([1.0, None, 2.0], scaling=scaling).shape().expansions == (None, None)


@pytest.mark.parametrize("scaling", list(SCALINGS))
@given(training=COLUMNS, later=st.lists(VALUES | st.none(), min_size=1, max_size=10))
def test_a_loaded_number_gives_the_same_finite_arrays(scaling, training, later):
    number = fitted(training, scaling=scaling)
    loaded = Number("x")
    loaded.load(json.loads(json.dumps(number.state(), allow_nan=False)))
    found = numbers(number, later)
    assert np.isfinite(found).all()
    assert found.shape == (len(later), len(number.shape().names))
    np.testing.assert_array_equal(numbers(loaded, later), found)
    assert loaded.shape().names == number.shape().names


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
