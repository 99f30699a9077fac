"""Splits that keep groups whole, follow time, or divide rows into folds."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motet.data.splits import split
from motet.problems import InputError, RowError

SPLITS = ("train", "validation", "test")


def of_each(found):
    return [getattr(found, name) for name in SPLITS]


@given(
    groups=st.lists(st.integers(0, 12), min_size=20, max_size=120),
    seed=st.integers(0, 100),
)
def test_every_row_is_in_one_split_and_no_group_is_in_two(groups, seed):
    if len(set(groups)) < 3:
        return
    found = of_each(split(pa.table({"customer": groups}), group="customer", seed=seed))
    assert sorted(np.concatenate(found)) == list(range(len(groups)))
    assert all(len(rows) and rows.dtype == np.int64 for rows in found)
    names = [{groups[row] for row in rows} for rows in found]
    assert not (names[0] & names[1])
    assert not (names[0] & names[2])
    assert not (names[1] & names[2])


def test_fractions_hold_for_rows_labels_and_classes_of_every_task():
    rng = np.random.default_rng(0)
    customers = rng.geometric(0.02, 6000)  # of very different sizes
    rare = (rng.random(6000) < 0.04).astype(int)
    spend = np.where(rng.random(6000) < 0.7, None, rng.random(6000))
    table = pa.table({"customer": customers, "churn": rare, "spend": spend})
    found = split(table, group="customer", labels=["churn", "spend"], seed=3)
    for rows, share in zip(of_each(found), (0.7, 0.15, 0.15), strict=True):
        known = np.array([value is not None for value in spend])
        assert abs(len(rows) / 6000 - share) < 0.01
        assert abs(rare[rows].sum() / rare.sum() - share) < 0.02
        assert abs(known[rows].sum() / known.sum() - share) < 0.02
    assert found.notes == ()


def test_the_seed_decides_which_groups_are_held_out():
    table = pa.table({"customer": np.arange(300) // 3})
    one, same, other = (split(table, group="customer", seed=seed).test for seed in (1, 1, 2))
    assert one.tolist() == same.tolist() != other.tolist()


def test_a_group_that_is_too_large_trains_and_a_note_gives_the_shares():
    table = pa.table({"customer": ["a"] * 90 + ["b"] * 5 + ["c"] * 5})
    found = split(table, group="customer")
    assert [len(rows) for rows in of_each(found)] == [90, 5, 5]
    assert "the train split has 90 % of the rows instead of 70 %" in found.notes[0]


def test_every_split_has_a_group_whatever_the_fractions():
    found = split(pa.table({"customer": ["a"] * 5 + ["b"] * 5}), group="customer", test=0.0)
    assert [len(rows) for rows in of_each(found)] == [5, 5, 0]
    names = pa.table({"customer": ["a", "b", "c"] * 30})
    found = split(names, group="customer", validation=0.01, test=0.01)
    assert [len(rows) for rows in of_each(found)] == [30, 30, 30]


def test_rows_without_a_group_are_groups_alone():
    found = split(pa.table({"customer": [None] * 50 + ["a"] * 50}), group="customer")
    assert "no value in 50 rows; each of them is a group alone" in found.notes[0]
    assert any(0 < (rows < 50).sum() < 50 for rows in of_each(found))


def test_too_few_groups_are_an_error():
    with pytest.raises(InputError, match="column 'customer' has 2 groups; expected at least 3"):
        split(pa.table({"customer": ["a", "b"] * 5}), group="customer")


def test_later_rows_are_the_test_split():
    days = [dt.date(2026, 1, 1) + dt.timedelta(days=day) for day in range(100)]
    order = np.random.default_rng(0).permutation(100)
    table = pa.table({"day": [days[place] for place in order]})
    found = split(table, time="day")
    assert [len(rows) for rows in of_each(found)] == [70, 15, 15]
    train, validation, test = (order[rows] for rows in of_each(found))
    assert train.max() < validation.min()
    assert validation.max() < test.min()
    assert found.notes == ("column 'day': validation from 2026-03-12, test from 2026-03-27 on",)


@pytest.mark.parametrize(
    "times",
    [
        [2019, 2020, 2021] * 10,
        [f"2026-01-{day:02d} 12:00:00" for day in (1, 2, 3)] * 10,
        [f"2026-01-{day:02d}T12:00:00Z" for day in (1, 2, 3)] * 10,
    ],
)
def test_rows_of_one_time_are_in_one_split(times):
    found = split(pa.table({"t": times}), time="t")
    assert [{times[row] for row in rows} for rows in of_each(found)] == [
        {times[place]} for place in range(3)
    ]


def test_points_in_time_may_count_nanoseconds():
    times = pa.array([1, 2_001, 3_000_001, 4_000_000_007], pa.timestamp("ns"))
    found = split(pa.table({"t": times}), time="t")
    assert [rows.tolist() for rows in of_each(found)] == [[0, 1], [2], [3]]


def test_without_a_test_fraction_the_last_rows_are_validation():
    found = split(pa.table({"t": range(10)}), time="t", validation=0.2, test=0.0)
    assert [rows.tolist() for rows in of_each(found)] == [[*range(8)], [8, 9], []]


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([1, 1, 2], "has 2 different times; expected at least 3"),
        ([1, None, 2], "has no value in 1 of 3 rows"),
        (["31/12/2025", "x", "y"], "has '31/12/2025'"),
        (["2026-01-01T12:00:00Z", "x", "y"], "has 'x' in row 1, expected a time such as"),
        (["2026-01-01", "2026-01-02T12:00:00Z"], "in row 1, expected a time zone in all rows"),
        (["2026-01-02T12:00:00Z", "2026-01-01"], "in row 1, expected a time zone in all rows"),
        ([[1], [2], [3]], "holds lists of numbers, expected dates, times or numbers"),
    ],
)
def test_a_column_without_usable_times_is_an_error(times, message):
    with pytest.raises((InputError, RowError), match=message):
        split(pa.table({"t": times}), time="t")


@pytest.mark.parametrize("options", [{}, {"stratify": "y"}, {"group": "g", "labels": ["y"]}])
def test_every_row_is_in_the_test_split_of_one_fold(options):
    rng = np.random.default_rng(0)
    y = (rng.random(203) < 0.1).astype(int)
    table = pa.table({"y": y, "g": np.arange(203) // 4})
    runs = [split(table, folds=5, fold=fold, **options) for fold in range(1, 6)]
    assert sorted(np.concatenate([run.test for run in runs])) == list(range(203))
    for run in runs:
        assert sorted(np.concatenate(of_each(run))) == list(range(203))
        assert 38 <= len(run.test) <= 43
        if options:
            assert 3 <= y[run.test].sum() <= 5 + (y.sum() > 25)
        if "group" in options:
            groups = [set(table["g"].to_numpy()[rows]) for rows in of_each(run)]
            assert not (groups[0] & groups[1])
            assert not (groups[0] & groups[2])
            assert not (groups[1] & groups[2])


def test_more_folds_than_rows_are_an_error():
    with pytest.raises(InputError, match="found 4; expected at most 3, the rows"):
        split(pa.table({"x": range(3)}), folds=4)
