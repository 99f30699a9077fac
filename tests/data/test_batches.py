"""A batch is a record, whatever users give for it."""

from dataclasses import fields

import numpy as np
import pytest
import torch

from motet.data.arrays import ArrayData
from motet.data.batches import Batch
from motet.problems import InputError


def data(count=10):
    inputs = {"numbers": np.arange(2.0 * count).reshape(count, 2), "deep": {"c": np.arange(count)}}
    return ArrayData(inputs, {"y": np.arange(count)})


def test_a_batch_is_taken_as_it_is_or_from_a_mapping_of_its_fields():
    (batch,) = data(3).batches(3)
    assert Batch.of(batch) is batch
    inputs, targets = object(), {"a": torch.tensor([1, 2]), "b": None}
    taken = Batch.of({"inputs": inputs, "targets": targets, "rows": None})
    assert (taken.inputs, taken.targets, taken.rows) == (inputs, targets, None)


def test_arrays_of_a_batch_become_tensors_as_in_memory():
    taken = Batch.of({"inputs": np.eye(2), "targets": {"a": [0, None], "b": None}})
    assert taken.inputs.dtype == torch.float32
    assert taken.targets["a"][1].isnan()
    assert "b" not in taken.targets


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ([1], r"found a list; expected \{\"inputs"),
        ({}, r"found \{\}; expected"),
        ({"inputs": [1.0]}, "found 'inputs': a list; expected"),
        ({"inputs": [1.0], "targets": [1]}, "found .*'targets': a list; expected"),
        ({"inputs": [1.0], "target": {}}, "found the key 'target'; did you mean 'targets'?"),
    ],
)
def test_what_is_no_batch_is_rejected_with_what_was_found(given, found):
    with pytest.raises(InputError, match=f"batch 3: {found}"):
        Batch.of(given, "batch 3")


def test_every_field_of_a_batch_is_cut_and_moved_alike():
    rows = data(5)
    (batch,) = rows.batches(5, torch.tensor([4, 3, 2, 1, 0]))
    weights = {"y": batch.targets["y"]}
    targets = {**batch.targets, "none": None}
    batch = Batch(batch.inputs, targets, batch.rows, source="x", weights=weights, soft=weights)
    assert len(batch) == 5
    part = batch.cut(1, 3)
    assert len(part) == 2
    assert part.rows.tolist() == part.targets["y"].tolist() == [3, 2]
    assert part.weights["y"].tolist() == [3, 2]
    assert part.inputs["deep"]["c"].tolist() == [3, 2]
    assert part.targets["none"] is None
    moved = batch.to("meta")
    assert part.source == moved.source == "x"
    for field in fields(Batch):
        if field.name in ("source", "share"):
            continue
        tree = getattr(moved, field.name)
        while isinstance(tree, dict):
            tree = next(iter(tree.values()))
        assert tree.device.type == "meta", field.name
