"""Predictions that are the same in every row are named with their value."""

import numpy as np
import pytest
import torch

from motet.tasks import Classification, MultiLabel, Regression, SequenceLabelling, TaskMetrics

NAMES = ["no", "yes"]


def note(task, raw, target):
    metrics = TaskMetrics([task])
    metrics.update({task.name: torch.as_tensor(raw)}, {task.name: torch.as_tensor(target)})
    metrics.compute()
    return metrics.notes.get(f"{task.name}.prediction", "")


def test_a_class_that_is_always_predicted_is_named():
    task = Classification("c", classes=NAMES)
    raw = [[2.0, 1.0], [3.0, 0.0], [0.5, 0.0]]
    assert note(task, raw, [0, 1, 0]) == "predicts 'no' in all 3 rows"
    assert note(task, raw, [0, 1, -100]) == "predicts 'no' in all 2 rows"
    assert note(task, [*raw[:2], [0.0, 1.0]], [0, 1, 0]) == ""
    assert note(task, raw, [0, 0, 0]) == ""  # the labels are alike, too


def test_a_number_that_is_always_predicted_is_named():
    task = Regression("r")
    assert note(task, [2.5, 2.5, 2.5], [1.0, 2.0, 3.0]) == "predicts 2.500 in all 3 rows"
    assert note(task, [2.5, 2.5 + 1e-7, 2.5], [1.0, 2.0, 3.0]) != ""
    assert note(task, [2.5, 2.6, 2.5], [1.0, 2.0, 3.0]) == ""
    assert note(task, [np.nan] * 3, [1.0, 2.0, 3.0]) == ""


def test_one_of_several_numbers_may_be_constant():
    task = Regression("r", outputs=2)
    raw, target = [[1.0, 7.0], [2.0, 7.0]], [[1.0, 2.0], [3.0, 4.0]]
    assert note(task, raw, target) == "predicts 7.000 for 1 in all 2 rows"


@pytest.mark.parametrize(
    ("row", "said"), [([-1.0, -1.0], "no label"), ([1.0, -1.0], "'a'"), ([1.0, 1.0], "'a', 'b'")]
)
def test_the_same_labels_in_every_row_are_named(row, said):
    task = MultiLabel("m", classes=["a", "b"])
    target = [[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]]
    assert note(task, [row] * 3, target) == f"predicts {said} in all 3 rows"
    assert note(task, [row, row, [-each for each in row]], target) == ""


def test_one_tag_for_every_word_is_named():
    task = SequenceLabelling("t", classes=["O", "B-x"])
    raw = torch.zeros(2, 3, 2)
    raw[..., 0] = 1
    assert note(task, raw, [[0, 1, -100], [0, -100, -100]]) == "predicts 'O' for every word"
