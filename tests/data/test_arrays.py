"""Rows in memory: every row once, types kept, nothing done per row."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from motet.data.arrays import ArrayData
from motet.problems import InputError


def data(count=10):
    inputs = {"numbers": np.arange(2.0 * count).reshape(count, 2), "deep": {"c": np.arange(count)}}
    return ArrayData(inputs, {"y": np.arange(count)})


@given(count=st.integers(1, 50), size=st.integers(1, 60), seed=st.integers(0, 9))
def test_an_epoch_has_every_row_once_in_the_drawn_order(count, size, seed):
    rows = data(count)
    order = rows.order(seed, epoch=1)
    batches = list(rows.batches(size, order))
    assert [len(batch.targets["y"]) for batch in batches[:-1]] == [size] * (len(batches) - 1)
    targets = torch.cat([batch.targets["y"] for batch in batches])
    assert targets.tolist() == order.tolist()
    assert sorted(order.tolist()) == list(range(count))
    for batch in batches:
        assert batch.inputs["deep"]["c"].tolist() == batch.targets["y"].tolist()
        assert batch.inputs["numbers"][:, 0].tolist() == (2 * batch.targets["y"]).tolist()


def test_without_an_order_batches_are_views_in_the_rows_own_order():
    rows = data(5)
    batches = list(rows.batches(2))
    assert [batch.targets["y"].tolist() for batch in batches] == [[0, 1], [2, 3], [4]]
    numbers = rows.inputs["numbers"]
    storage = numbers.untyped_storage().data_ptr()
    assert batches[1].inputs["numbers"].untyped_storage().data_ptr() == storage


def test_evaluation_takes_rows_of_one_length_as_they_are():
    rows = data(5)
    numbers, batches = zip(*rows.once(2), strict=True)
    assert numbers == (None, None, None)
    assert [batch.targets["y"].tolist() for batch in batches] == [[0, 1], [2, 3], [4]]


def test_batches_kept_in_a_list_do_not_change_later():
    rows = data(4)
    batches = list(rows.batches(2, torch.tensor([3, 2, 1, 0])))
    assert [batch.targets["y"].tolist() for batch in batches] == [[3, 2], [1, 0]]


def test_the_order_depends_on_seed_and_epoch_alone():
    rows = data(100)
    torch.manual_seed(1)
    first = rows.order(0, 1).tolist()
    torch.manual_seed(2)
    assert rows.order(0, 1).tolist() == first
    assert rows.order(0, 2).tolist() != first
    assert rows.order(1, 1).tolist() != first


@pytest.mark.parametrize(
    ("given_type", "kept"),
    [
        (np.float64, torch.float32),
        (np.float32, torch.float32),
        (np.float16, torch.float16),
        (np.int64, torch.int64),
        (np.int32, torch.int32),
        (np.uint8, torch.uint8),
        (np.uint16, torch.int64),
        (np.bool_, torch.bool),
        (">f4", torch.float32),
        (">i4", torch.int32),
    ],
)
def test_arrays_keep_their_type_but_for_float64(given_type, kept):
    rows = ArrayData(np.ones((3, 2), given_type), {})
    assert rows.inputs.dtype == kept
    (batch,) = rows.batches(3, torch.arange(3))
    assert batch.inputs.tolist() == np.ones((3, 2), given_type).tolist()


def test_tensors_are_used_as_they_are():
    inputs = torch.ones(3, 2, dtype=torch.float64)
    assert ArrayData(inputs, {}).inputs is inputs


def test_float32_arrays_are_not_copied_and_odd_ones_are():
    array = np.zeros((4, 3), np.float32)
    assert ArrayData(array, {}).inputs.data_ptr() == array.ctypes.data
    array.setflags(write=False)
    assert ArrayData(array[::-1], {}).inputs.shape == (4, 3)


def test_none_means_missing_in_a_list_and_absent_for_a_task():
    rows = ArrayData(np.zeros((3, 1)), {"a": [1.0, None, 2.0], "b": None})
    assert list(rows.targets) == ["a"]
    assert rows.targets["a"].isnan().tolist() == [False, True, False]


def test_a_subset_and_a_move_have_the_same_rows():
    part = data().rows(np.array([7, 2]))
    assert len(part) == 2
    assert part.targets["y"].tolist() == [7, 2]
    assert part.to("cpu").targets["y"].tolist() == [7, 2]
    assert part.to("cpu").device == torch.device("cpu")


def test_columns_of_pandas_are_arrays():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1.0, 2.0], "y": [0, 1]})
    rows = ArrayData(frame[["a"]], {"y": frame["y"]})
    assert rows.inputs.shape == (2, 1)
    assert rows.targets["y"].dtype == torch.int64


@pytest.mark.parametrize(
    ("inputs", "targets", "said"),
    [
        (np.zeros((3, 1)), {"a": [1, 2]}, "differ: inputs 3, targets['a'] 2"),
        ({"x": np.zeros(3), "z": np.zeros(2)}, {}, "inputs['x'] 3, inputs['z'] 2"),
        (
            np.zeros(2),
            {"a": ["yes", "no"]},
            "targets of task 'a' is ['yes', 'no'], expected an array",
        ),
        (np.zeros(2), {"a": 3}, "single number 3"),
        ({}, {}, "inputs is an empty mapping"),
        (np.array([1j]), {}, "expected an array of numbers"),
        ([[1.0], [1.0, 2.0]], {}, "expected an array of numbers"),
    ],
)
def test_what_are_no_rows_is_refused(inputs, targets, said):
    with pytest.raises(InputError) as caught:
        ArrayData(inputs, targets)
    assert said in str(caught.value)
