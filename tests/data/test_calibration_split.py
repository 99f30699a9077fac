"""Rows for calibration: in no other split, drawn as the others are."""

import numpy as np
import pyarrow as pa
import pytest

from motet.data.splits import split
from motet.problems import InputError

TABLE = pa.table(
    {
        "x": range(100),
        "group": [f"g{i // 5}" for i in range(100)],
        "time": [i // 2 for i in range(100)],
        "mark": ["train"] * 70 + ["held"] * 10 + ["validation"] * 10 + ["test"] * 10,
        "label": ["a", "b"] * 50,
    }
)


@pytest.mark.parametrize(
    "options",
    [{}, {"group": "group"}, {"time": "time"}, {"stratify": "label"}, {"folds": 5, "fold": 2}],
    ids=str,
)
def test_every_row_is_in_one_split_and_calibration_has_its_share(options):
    held = {} if "folds" in options else {"test": 0.2}
    found = split(TABLE, validation=0.2, calibration=0.1, **held, **options)
    parts = [found.train, found.validation, found.test, found.calibration]
    assert sorted(np.concatenate(parts)) == list(range(100))
    assert len(found.calibration) == pytest.approx(8 if "folds" in options else 10, abs=5)
    assert len(found.validation) > len(found.calibration)
    if "group" in options:
        groups = [set(TABLE["group"].take(pa.array(own)).to_pylist()) for own in parts]
        assert sum(map(len, groups)) == 20
    if "time" in options:
        assert found.validation.max() < found.calibration.min()
        assert found.calibration.max() < found.test.min()
        assert any("calibration from" in note for note in found.notes)


def test_without_calibration_the_splits_are_as_before():
    assert len(split(TABLE).calibration) == 0
    one, other = split(TABLE, validation=0.3), split(TABLE, validation=0.2, calibration=0.1)
    assert np.array_equal(one.train, other.train)
    assert np.array_equal(one.test, other.test)


def test_a_column_marks_calibration_rows():
    found = split(TABLE, column="mark", calibration="held")
    assert found.calibration.tolist() == list(range(70, 80))
    assert found.validation.tolist() == list(range(80, 90))
    assert found.test.tolist() == list(range(90, 100))
    with pytest.raises(InputError, match="no row of column 'mark' is 'gone'; set calibration"):
        split(TABLE, column="mark", calibration="gone")


@pytest.mark.parametrize(
    ("value", "message"), [(0.0, "found 0; expected"), (0.9, "sum is below 1")]
)
def test_a_share_that_leaves_nothing_is_refused(value, message):
    with pytest.raises(InputError, match=message):
        split(TABLE, calibration=value)
