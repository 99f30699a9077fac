"""Parts of the rows: none lost, none twice, the same for the same seed."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motet.data.splits import split
from motet.problems import InputError

PARTS = ("train", "validation", "test")


def rows(count):
    return pa.table({"x": range(count)})


def marked(**counts):
    return pa.table({"part": [mark for mark, count in counts.items() for _ in range(count)]})


@given(
    count=st.integers(3, 300),
    validation=st.floats(0.01, 0.49),
    test=st.floats(0.01, 0.49),
    seed=st.integers(0, 2**40),
)
def test_every_row_is_in_exactly_one_part_and_parts_keep_row_order(count, validation, test, seed):
    parts = split(rows(count), validation=validation, test=test, seed=seed)
    found = [getattr(parts, name) for name in PARTS]
    assert sorted(np.concatenate(found)) == list(range(count))
    assert all(len(part) and (np.diff(part) > 0).all() for part in found)
    assert all(part.dtype == np.int64 for part in found)
    assert abs(len(parts.test) - count * test) <= 1


def test_the_seed_alone_decides_which_rows():
    one, same, other = (split(rows(100), seed=seed) for seed in (1, 1, 2))
    assert one.test.tolist() == same.test.tolist() != other.test.tolist()
    assert (len(one.train), len(one.validation), len(one.test)) == (70, 15, 15)


def test_a_test_fraction_of_zero_makes_no_test_part():
    assert split(rows(10), test=0.0).test.tolist() == []


def test_a_column_marks_the_parts():
    parts = split(marked(test=2, train=3, validation=1), column="part")
    assert [getattr(parts, name).tolist() for name in PARTS] == [[2, 3, 4], [5], [0, 1]]
    assert parts.notes == ()


def test_the_marks_may_be_other_values_and_numbers():
    table = pa.table({"fold": [0, 1, 2, 0]})
    parts = split(table, column="fold", train="0", validation="1", test="2")
    assert [getattr(parts, name).tolist() for name in PARTS] == [[0, 3], [1], [2]]


@pytest.mark.parametrize("test", [None, "validation"])
def test_without_validation_rows_some_training_rows_serve_and_a_note_says_so(test):
    table = marked(train=100, **{test or "test": 10})
    parts = split(table, column="part", test=test, seed=3)
    assert (len(parts.train), len(parts.validation), len(parts.test)) == (85, 15, 10)
    assert sorted([*parts.train, *parts.validation]) == list(range(100))
    assert all((np.diff(part) > 0).all() for part in (parts.train, parts.validation))
    assert parts.notes == (
        "column 'part' marks no validation rows: 15 of the 100 training rows (15 %, seed 3) serve "
        "for validation",
    )
    again = split(table, column="part", test=test, seed=3)
    assert again.validation.tolist() == parts.validation.tolist()


@pytest.mark.parametrize(
    ("table", "options", "said"),
    [
        (rows(2), {}, "2 rows are too few"),
        (rows(9), {"validation": 0.5, "test": 0.5}, "validation 0.5 and test 0.5"),
        (rows(9), {"validation": 0.0}, "validation above 0"),
        (rows(9), {"validation": "dev"}, "found 'dev' without a column"),
        (marked(train=9), {"column": "part", "test": 0.2}, "found the fraction 0.2"),
        (marked(train=9), {"column": "prt"}, "no column 'prt' (did you mean 'part'?)"),
        (marked(train=9, dev=1), {"column": "part"}, "has 'dev', which mark no part"),
        (pa.table({"part": ["train", None]}), {"column": "part"}, "has missing values"),
        (marked(test=9, validation=1), {"column": "part"}, "no row of column 'part' is 'train'"),
        (marked(train=1, test=1), {"column": "part"}, "1 training row is too few"),
        (marked(train=9), {"column": "part", "test": "train"}, "expected different values"),
    ],
)
def test_parts_that_cannot_be_made_are_refused(table, options, said):
    with pytest.raises(InputError) as caught:
        split(table, **options)
    assert said in str(caught.value)
