"""Kinds of label: four by name, and those of users."""

import pytest
import torch

from motet.problems import InputError
from motet.tasks import Prediction, Task, TaskMetrics
from motet.tasks.kinds import LabelKind, label_kind

NAN = torch.nan


@pytest.mark.parametrize(
    ("labels", "target", "expected"),
    [
        ("class", torch.tensor([1, -100, 0]), [True, False, True]),
        ("class", torch.tensor([1.0, NAN, -100.0]), [True, False, False]),
        ("class", torch.tensor([[1], [-100]]), [True, False]),
        ("class", torch.tensor([156], dtype=torch.uint8), [True]),
        ("class", torch.tensor([[0.5, 0.5], [NAN, NAN]]), [True, False]),
        ("number", torch.tensor([-100.0, NAN]), [True, False]),
        ("number", torch.tensor([-100, 3]), [True, True]),
        ("number", torch.tensor([[1.0, NAN]]), [[True, False]]),
        ("indicators", torch.tensor([[1, -100]]), [[True, False]]),
        ("indicators", torch.tensor([[NAN], [0.0]]), [[False], [True]]),
        ("indicators", torch.tensor([[True, False]]), [[True, True]]),
    ],
)
def test_missing_labels_are_found_in_every_form(labels, target, expected):
    assert label_kind(labels).present(target).tolist() == expected


class Pixels(LabelKind):
    """One class per pixel, (B, H, W)."""

    name = "pixels"


class Segmentation(Task):
    kind, labels, outputs = "segmentation", Pixels(), 2

    def loss(self, raw, target):
        loss = torch.nn.functional.cross_entropy(raw, target, reduction="sum")  # -100 is left out
        return loss, self.label_kind.present(target).sum()

    def decode(self, raw):
        return Prediction(raw.argmax(dim=1))


def test_a_row_of_a_kind_with_many_labels_is_labelled_if_one_of_them_is_there():
    target = torch.full((3, 2, 2), -100)
    target[1, 0, 1] = 0
    assert Pixels().labelled(target).tolist() == [False, True, False]
    assert Pixels().present_or_none(torch.zeros(1, 2, 2)) is None


def test_a_task_may_have_a_kind_of_label_of_its_own():
    def pixel_accuracy(predictions, targets):
        return (predictions == targets)[targets >= 0].mean()

    target = torch.tensor([[[0, 1], [1, -100]], [[-100, -100], [-100, -100]]])
    metrics = TaskMetrics([Segmentation("mask", metrics=[pixel_accuracy])])
    raw = torch.zeros(2, 2, 2, 2)
    raw[:, 1] = 1
    metrics.update({"mask": raw}, {"mask": target})
    found = metrics.compute("mask")
    assert found["pixel_accuracy"] == pytest.approx(2 / 3)
    assert found["count"] == 1


def test_a_kind_of_label_that_does_not_exist_is_an_error_where_the_task_is_defined():
    with pytest.raises(InputError, match=r"labels: found 'numbers'; .* did you mean 'number'"):
        type("Wrong", (Task,), {"labels": "numbers"})
    assert label_kind("tags").name == "tags"
