"""Batches that others make give what the same rows in memory give."""

import weakref

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from motet.data import learner
from motet.data.arrays import ArrayData
from motet.data.loaders import LoaderData, as_data
from motet.problems import InputError
from motet.tasks import Regression, statistics

INPUTS = np.arange(20.0).reshape(10, 2)
BATCHES = [
    {"inputs": INPUTS[:4], "targets": {"a": [0, 1, 2, 3], "b": None}},
    {"inputs": INPUTS[4:8], "targets": {"b": [4.0, None, 6.0, 7.0]}},
    {"inputs": INPUTS[8:], "targets": {"a": [8, 9], "b": [8.0, 9.0]}},
]
TASKS = {name: Regression(name).statistics for name in "abc"}


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


class Counted(list):
    """A loader that counts how often it is gone through."""

    passes = 0

    def __iter__(self):
        self.passes += 1
        return super().__iter__()


@pytest.mark.parametrize("at_once", [1, 5, 8192])
def test_statistics_are_those_of_the_batches_merged_in_order(at_once, monkeypatch):
    monkeypatch.setattr(learner, "ROWS_AT_ONCE", at_once)
    found = LoaderData(BATCHES).label_statistics(TASKS)
    assert found["a"].sample.rows.tolist() == [0, 1, 2, 3, 8, 9]
    assert (found["b"].rows, found["b"].labelled) == (6, 5)
    assert found["b"].moments.means.item() == pytest.approx(6.8)
    assert "c" not in found


def test_the_first_pass_checks_counts_and_learns():
    loader, checked = Counted(BATCHES), []
    data = LoaderData(loader)
    data.inspect(lambda batch, name: checked.append((len(batch), name)), TASKS)
    assert loader.passes == 0
    assert data.labelled == {"a", "b"}
    assert data.steps(1) == 3
    assert data.label_statistics({"b": TASKS["b"]})["b"].labelled == 5
    assert checked == [(4, "batch 0"), (4, "batch 1"), (2, "batch 2")]
    assert loader.passes == 1
    other = Regression("a").statistics
    assert data.label_statistics({"a": other})["a"].labelled == 6
    assert loader.passes == 2


def test_a_check_may_be_made_in_the_pass_that_reads_rows_once():
    loader, checked = Counted(BATCHES), []
    data = LoaderData(loader)
    data.inspect(lambda batch, name: checked.append(name), {})
    assert len(list(data.once(1))) == loader.passes * 3 == 3
    assert checked == ["batch 0", "batch 1", "batch 2"]


def test_a_task_that_is_none_in_every_batch_is_named_but_not_labelled():
    data = LoaderData([{"inputs": INPUTS, "targets": {"a": None, "b": INPUTS[:, 0]}}])
    memory = ArrayData(INPUTS, {"a": None, "b": INPUTS[:, 0]}).to("cpu")
    for each in (data, memory):
        assert each.named == {"a", "b"}
        assert each.labelled == {"b"}


def test_memory_does_not_grow_with_the_rows(monkeypatch):
    monkeypatch.setattr(statistics, "MOST", 16)
    monkeypatch.setattr(learner, "ROWS_AT_ONCE", 8)
    alive = []

    class Loader:
        def __iter__(self):
            for number in range(200):
                batch = {"inputs": torch.zeros(4, 2), "targets": {"a": torch.arange(4.0) + number}}
                alive.extend(weakref.ref(each) for each in (batch["inputs"], batch["targets"]["a"]))
                yield batch

    data = LoaderData(Loader())
    found = data.label_statistics(TASKS)["a"]
    assert (found.labelled, len(found.sample.rows)) == (800, 16)
    assert len(alive) == 400
    assert not any(each() is not None for each in alive)
    assert sum(map(len, found.sample.parts)) <= 32


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
    assert moved._first is data._first
    assert moved.steps(1) == 3


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
