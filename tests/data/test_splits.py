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
        "column 'part' marks no validation rows: 15 of the 100 training rows (15 %, seed 3) are "
        "used for validation",
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
        (marked(train=9, dev=1), {"column": "part"}, "has 'dev', which mark no split"),
        (pa.table({"part": ["train", None]}), {"column": "part"}, "has missing values"),
        (marked(test=9, validation=1), {"column": "part"}, "no row of column 'part' is 'train'"),
        (marked(train=1, test=1), {"column": "part"}, "found 1 training row, from which no"),
        (marked(train=9), {"column": "part", "test": "train"}, "expected different values"),
    ],
)
def test_parts_that_cannot_be_made_are_refused(table, options, said):
    with pytest.raises(InputError) as caught:
        split(table, **options)
    assert said in str(caught.value)


CLASSES = st.lists(st.sampled_from("aaaaaaabbbcd") | st.none(), min_size=30, max_size=300)


@given(
    labels=CLASSES,
    validation=st.floats(0.15, 0.4),
    test=st.floats(0.15, 0.4) | st.just(0.0),
    seed=st.integers(0, 99),
)
def test_every_split_has_its_fraction_of_all_rows_and_of_every_class(
    labels, validation, test, seed
):
    table = pa.table({"y": pa.array(labels, pa.string())})
    parts = split(table, validation=validation, test=test, seed=seed, stratify="y")
    found = [getattr(parts, name) for name in PARTS]
    fractions = [1 - validation - test, validation, test]
    assert sorted(np.concatenate(found)) == list(range(len(labels)))
    assert all((np.diff(part) > 0).all() for part in found)
    for part, fraction in zip(found, fractions, strict=True):
        assert abs(len(part) - len(labels) * fraction) <= 1
    for label in set(labels):
        rows = labels.count(label)
        for part, fraction in zip(found, fractions, strict=True):
            count = [labels[row] for row in part].count(label)
            if fraction and rows * min(filter(None, fractions)) >= 2:
                assert count >= 1
                assert abs(count - rows * fraction) < 3  # smaller classes have a row in each, too


def test_rounding_per_class_does_not_add_up():
    table = pa.table({"y": [f"c{place}" for place in range(40) for _ in range(10)]})
    parts = split(table, validation=0.15, test=0.14, stratify="y")
    assert (len(parts.train), len(parts.validation), len(parts.test)) == (284, 60, 56)
    for name, fewest in (("train", 7), ("validation", 1), ("test", 1)):
        counts = np.bincount(getattr(parts, name) // 10, minlength=40)
        assert set(counts.tolist()) <= {fewest, fewest + 1}


def test_classes_too_small_for_all_splits_are_split_together_and_a_note_says_so():
    table = pa.table({"y": ["a"] * 20 + ["b"] * 2 + ["c"]})
    parts = split(table, stratify="y")
    assert [len(getattr(parts, name)) for name in PARTS] == [17, 3, 3]
    assert parts.notes == (
        "column 'y': too few rows for one in each split have 'b' (2), 'c' (1); their 3 rows are "
        "split together",
    )


@pytest.mark.parametrize("size", [2, 3])
def test_many_rare_classes_are_in_every_split_by_the_fractions(size):
    labels = ["a"] * 100 + ["b"] * 100 + [f"r{place}" for place in range(100) for _ in range(size)]
    parts = split(pa.table({"y": labels}), stratify="y", seed=3)
    for name, fraction in (("train", 0.7), ("validation", 0.15), ("test", 0.15)):
        found = [labels[row][0] for row in getattr(parts, name)]
        assert len(found) == len(labels) * fraction
        assert found.count("a") == found.count("b") == 100 * fraction
        assert found.count("r") == 100 * size * fraction
    assert {labels[row] for row in parts.train} == set(labels)
    assert "and 95 more" in parts.notes[0]
    again = split(pa.table({"y": labels}), stratify="y", seed=3)
    assert again.test.tolist() == parts.test.tolist()
    other = split(pa.table({"y": labels}), stratify="y", seed=4)
    assert other.test.tolist() != parts.test.tolist()


def test_a_few_classes_of_few_rows_have_a_row_in_every_split():
    labels = ["a"] * 500 + ["b"] * 480 + ["c"] * 5 + ["d"] * 4
    parts = split(pa.table({"y": labels}), stratify="y")
    for name in PARTS:
        assert {labels[row] for row in getattr(parts, name)} == set("abcd")
    assert parts.notes == ()


def test_few_numbers_are_stratified_by_fewer_ranges():
    values = list(np.random.default_rng(0).permutation(40).astype(float))
    parts = split(pa.table({"y": values}), validation=0.25, test=0.25, stratify="y")
    for name, count in (("train", 5), ("validation", 2.5), ("test", 2.5)):
        rows = getattr(parts, name)
        quarters = np.histogram([values[row] for row in rows], 4, (0, 40))[0]
        assert (abs(quarters - count) <= 1).all()


def test_splits_without_strata_are_those_of_earlier_versions():
    parts = split(rows(20), seed=7)
    assert (parts.validation.tolist(), parts.test.tolist()) == ([7, 9, 11], [3, 13, 17])


def test_rows_without_a_label_are_a_class_of_their_own():
    table = pa.table({"y": ["a"] * 40 + [None] * 20})
    parts = split(table, validation=0.25, test=0.25, stratify="y")
    assert [sum(row >= 40 for row in getattr(parts, name)) for name in PARTS] == [10, 5, 5]


def test_many_numbers_are_parted_by_their_tenths():
    values = [float(value) for value in np.random.default_rng(0).permutation(1000)]
    parts = split(pa.table({"y": [*values, None, None, None]}), stratify="y", seed=2)
    for name, expected in (("train", 70), ("validation", 15), ("test", 15)):
        rows = getattr(parts, name)
        tenths = np.histogram([values[row] for row in rows if row < 1000], 10, (0, 1000))[0]
        assert (abs(tenths - expected) <= 1).all()
        assert (rows >= 1000).sum() == 1


def test_infinite_numbers_can_be_stratified():
    values = [*map(float, range(60)), float("inf"), float("-inf")]
    assert len(split(pa.table({"y": values}), stratify="y").train) > 40


def test_with_a_column_stratify_serves_the_validation_part_drawn_from_train():
    table = marked(train=100, test=10).append_column("y", pa.array(["a"] * 80 + ["b"] * 30))
    parts = split(table, column="part", stratify="y")
    assert [sum(row >= 80 for row in rows) for rows in (parts.train, parts.validation)] == [17, 3]
    assert len(parts.validation) == 15
    assert "15 of the 100 training rows" in parts.notes[0]


@pytest.mark.parametrize(
    ("table", "options", "said"),
    [
        (marked(train=9, validation=3), {"column": "part", "stratify": "part"}, "no effect"),
        (
            pa.table({"y": ["a", "b", "c", "d"]}),
            {"stratify": "y"},
            "its classes, or the splits (of 2, 1, 1 rows), have too few rows",
        ),
        (
            pa.table({"y": ["a", "b"] * 50}),
            {"stratify": "y", "validation": 0.01, "test": 0.01},
            "the splits (of 98, 1, 1 rows), have too few rows for one of each class",
        ),
        (pa.table({"y": [["a"], ["b"]] * 4}), {"stratify": "y"}, "holds lists of texts"),
        (pa.table({"yy": ["a"] * 9}), {"stratify": "y"}, "no column 'y' (did you mean 'yy'?)"),
    ],
)
def test_columns_that_cannot_be_stratified_by_are_refused(table, options, said):
    with pytest.raises(InputError) as caught:
        split(table, **options)
    assert said in str(caught.value)


@pytest.mark.parametrize("options", [{"validation": float("nan")}, {"test": float("nan")}])
def test_a_fraction_that_is_no_number_is_refused(options):
    with pytest.raises(InputError, match=r"found .*nan.*expected fractions"):
        split(pa.table({"x": range(20)}), **options)
