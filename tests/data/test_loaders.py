"""Batches that others make give what the same rows in memory give."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from motet.data.arrays import ArrayData
from motet.data.loaders import LoaderData, as_data
from motet.problems import InputError

INPUTS = np.arange(20.0).reshape(10, 2)
BATCHES = [
    {"inputs": INPUTS[:4], "targets": {"a": [0, 1, 2, 3], "b": None}},
    {"inputs": INPUTS[4:8], "targets": {"b": [4.0, None, 6.0, 7.0]}},
    {"inputs": INPUTS[8:], "targets": {"a": [8, 9], "b": [8.0, 9.0]}},
]


class Rows(torch.utils.data.Dataset):
    def __len__(self):
        return 10

    def __getitem__(self, row):
        return {"inputs": INPUTS[row], "targets": {"a": row}}


def test_batches_are_tensors_as_arrays_in_memory_would_be():
    first, second, third = LoaderData(BATCHES).batches(512)
    assert first.inputs.dtype == torch.float32
    assert first.inputs.tolist() == INPUTS[:4].tolist()
    assert list(first.targets) == ["a"]
    assert second.targets["b"].isnan().tolist() == [False, True, False, False]
    assert third.targets["a"].tolist() == [8, 9]


def test_all_targets_are_those_of_the_batches_in_order():
    targets = LoaderData(BATCHES).targets
    assert targets["a"].tolist() == [0, 1, 2, 3, 8, 9]
    assert targets["b"].shape == (6,)


def test_a_data_loader_of_dicts_serves_epoch_after_epoch():
    data = LoaderData(DataLoader(Rows(), batch_size=4))
    memory = ArrayData(INPUTS, {"a": list(range(10))})
    assert data.steps(999) == memory.steps(4) == 3
    for _ in range(2):
        pairs = zip(data.batches(0), memory.batches(4), strict=True)
        for one, other in pairs:
            assert one.inputs.dtype == torch.float32
            assert one.inputs.tolist() == other.inputs.tolist()
            assert one.targets["a"].tolist() == other.targets["a"].tolist()


@pytest.mark.parametrize("data", [LoaderData(BATCHES), ArrayData(INPUTS, {"b": INPUTS[:, 0]})])
def test_batches_done_before_are_left_out_of_an_epoch(data):
    whole = list(data.epoch(4, seed=3, number=1))
    rest = list(data.epoch(4, seed=3, number=1, done=2))
    assert len(whole) == 3
    assert [each.inputs.tolist() for each in rest] == [whole[2].inputs.tolist()]


def test_moving_keeps_what_was_counted():
    data = LoaderData(BATCHES)
    assert data.steps(1) == 3
    moved = data.to("cpu")
    assert moved._known is not None
    assert moved.targets["a"].tolist() == data.targets["a"].tolist()


def test_the_sampler_of_a_distributed_loader_is_told_the_epoch():
    class Sampler(torch.utils.data.SequentialSampler):
        def set_epoch(self, number):
            self.epoch = number

    loader = DataLoader(Rows(), batch_size=5, sampler=Sampler(Rows()))
    list(LoaderData(loader).epoch(0, seed=0, number=7))
    assert loader.sampler.epoch == 7


@pytest.mark.parametrize(
    ("batches", "said"),
    [
        ([(INPUTS, {})], "batch 0: found a tuple; expected {"),
        ([BATCHES[0], {"input": INPUTS}], "batch 1: found the key 'input'; did you mean 'inputs'?"),
        ([{"targets": {"a": [1]}}], "batch 0: found 'targets': a dict; expected {"),
        ([{"inputs": INPUTS, "targets": [1]}], "expected {"),
        ([{"inputs": INPUTS, "targets": {"a": [1]}}], "batch 0: the numbers of rows differ"),
        ([], "data: found a loader without batches"),
    ],
)
def test_what_is_no_batch_is_refused_with_its_number(batches, said):
    with pytest.raises(InputError) as caught:
        LoaderData(batches).steps(1)
    assert said in str(caught.value)


def test_what_can_be_gone_through_only_once_is_refused():
    with pytest.raises(InputError, match="only once"):
        LoaderData(iter(BATCHES))


def test_what_a_user_gives_is_told_apart():
    memory = ArrayData(INPUTS, {})
    assert as_data(memory, "the data") is memory
    assert isinstance(as_data((INPUTS, {"a": None}), "the data"), ArrayData)
    assert isinstance(as_data(BATCHES, "the data"), LoaderData)
    for wrong in (INPUTS, "rows.csv", {"inputs": INPUTS}, (INPUTS, INPUTS), None):
        with pytest.raises(InputError, match="the data: found a"):
            as_data(wrong, "the data")
