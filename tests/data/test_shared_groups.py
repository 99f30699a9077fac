"""Groups that several tables have in common."""

import numpy as np
import pyarrow as pa

from motet.data.shared_groups import groups_apart
from motet.data.splits.base import Splits


def test_a_group_that_trains_in_one_table_and_calibrates_in_another_is_counted():
    names = pa.table({"who": ["ann", "bob", None]})
    trains = Splits.of(np.array([0, 0, 0]))
    none = np.empty(0, np.int64)
    calibrates = Splits(np.array([0, 2]), none, none, calibration=np.array([1]))
    splits = {"a": trains, "b": calibrates}
    assert groups_apart({"a": names, "b": names}, splits, "who") == {"b": 1}
