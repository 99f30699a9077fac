import numpy as np
import pytest

from motet.problems import InputError
from motet.tasks import Classification, TaskMetrics
from motet.tasks.labels import as_tensor


def test_none_in_a_list_or_an_object_array_is_a_missing_label():
    for values in ([1.0, None], np.array([1, None], dtype=object)):
        assert as_tensor(values).isnan().tolist() == [False, True]


def test_arrays_are_copied_so_that_a_reused_buffer_changes_nothing():
    array = np.zeros(2)
    kept = as_tensor(array)
    array[:] = 1
    assert kept.tolist() == [0, 0]


@pytest.mark.parametrize("labels", [["x", "y"], np.array(["x", None]), [[0], [0, 1]]])
def test_what_is_no_array_of_numbers_is_an_error_in_words(labels):
    metrics = TaskMetrics([Classification("a", classes=2)])
    with pytest.raises(InputError, match="expected an array of numbers; turn texts into numbers"):
        metrics.update({"a": [[0.0, 1.0]] * 2}, {"a": labels})
