"""Labels that a loss cannot use are explained in your own loop, too, where nothing checks them.

The last word is that of `Task.check`; a step computes nothing more for it
(`tests/training/test_work_of_a_step.py`).
"""

import pytest
import torch
from torch import nn

from motet import MultiTaskModel
from motet.problems import InputError
from motet.tasks import (
    Auxiliary,
    Classification,
    Custom,
    Generation,
    MultiLabel,
    Ordinal,
    Regression,
    Segmentation,
    SequenceLabelling,
    Task,
    TaskMetrics,
    Triplet,
)

ROWS = torch.randn(3, 3, generator=torch.Generator().manual_seed(0))
WORDS, MAP = ROWS.expand(2, 3, 3), ROWS.expand(2, 3, 3).unsqueeze(2)
CLASSES = "expected a class index from 0 to 2, or -100 or NaN where missing"
TAGS = "expected the place of a tag, from 0 to 2"


def labels(*values, **options):
    return torch.tensor(values, **options)


def of_classes(**options):
    return Classification("a", classes=3, **options)


CLASSIFICATIONS = {
    "cross_entropy": of_classes(),
    "focal": of_classes(loss="focal"),
    "smoothed": of_classes(label_smoothing=0.1),
    "weighted": of_classes(class_weights=[1.0, 2.0, 3.0]),
    "own": of_classes(loss=nn.functional.cross_entropy),
    "custom": Custom("a", loss="cross_entropy", labels="class", classes=3),
}


@pytest.mark.parametrize("name", list(CLASSIFICATIONS))
@pytest.mark.parametrize(
    ("target", "message"),
    [
        (labels(0, 3, 1), f"found the label 3, {CLASSES}; give classes= at least one more"),
        (labels(0, -100, 3), f"found the label 3, {CLASSES}"),
        (labels(0, -1, 1), f"found the label -1, {CLASSES}"),
        (labels(0, 3.7, 1), f"found the label 3.7, {CLASSES}"),
        (labels(0, 123456.75, 1), f"found the label 123456.75, {CLASSES}"),
        (labels(0, 255, 1, dtype=torch.uint8), f"found the label 255, {CLASSES}"),
        (labels([0, 1], [1, 0], [2, 2]), r"labels have the shape \(3, 2\), expected \(B,\)"),
        (torch.ones(3, 4) / 4, r"soft labels have the shape \(3, 4\), expected \(B, 3\)"),
        (labels(0, 1), "found 3 rows of raw outputs and 2 labels; expected a label for each row"),
        ([0, 1, 2], r"found labels of type list, expected a tensor, .* torch.as_tensor\(labels\)"),
    ],
)
def test_labels_that_are_no_classes_are_named_with_the_task(name, target, message):
    with pytest.raises(InputError, match=f"^task 'a': .*{message}"):
        CLASSIFICATIONS[name].loss(ROWS, target)


@pytest.mark.parametrize(
    ("task", "raw", "target", "message"),
    [
        (
            Ordinal("a", classes=3),
            ROWS[0],
            labels(0, 3, 1),
            "found the label 3, expected the place",
        ),
        (Ordinal("a", classes=3), ROWS[0], labels(0, -1, 1), "found the label -1, expected the"),
        (
            Ordinal("a", classes=3),
            ROWS[0],
            labels(*[[0, 1]] * 3),
            r"labels have the shape \(3, 2\)",
        ),
        (MultiLabel("a", classes=3), ROWS, labels(0, 1, 2), r"shape \(3,\), expected \(B, 3\)"),
        (Triplet("a", width=3), ROWS, labels([0, 1], [1, 0], [2, 2]), r"shape \(3, 2\)"),
        (
            Generation("a", vocabulary_size=3, max_length=2),
            WORDS,
            labels([1, 3], [1, 0]),
            "found the token 3, expected 0 to 2",
        ),
        (
            Segmentation("a", classes=3, size=(1, 3)),
            MAP,
            labels([[0, 1, 2]], [[0, 3, 1]]),
            "found the class 3 in row 1 at line 0, column 1 of its labels; expected 0 to 2",
        ),
        (
            Segmentation("a", classes=3, size=(1, 3)),
            MAP,
            labels([0, 1, 2], [0, 1, 1]),
            r"labels have the shape \(2, 3\), expected \(B, H, W\)",
        ),
    ],
)
def test_labels_of_other_kinds_are_named_with_the_task(task, raw, target, message):
    with pytest.raises(InputError, match=f"^task 'a': .*{message}"):
        task.loss(raw, target)


@pytest.mark.parametrize("task", [Regression("a"), MultiLabel("a", classes=3)])
def test_one_label_for_all_rows_is_refused(task):
    with pytest.raises(InputError, match=r"^task 'a': the labels have the shape \(\), expected"):
        task.loss(ROWS[:, : task.outputs], torch.tensor(1.0))


@pytest.mark.parametrize("decoder", ["linear", "crf"])
@pytest.mark.parametrize("wrong", [3, -1])
@pytest.mark.parametrize("last", [0, -100])
def test_tags_that_there_are_not_are_named_with_the_task(decoder, wrong, last):
    task = SequenceLabelling("a", classes=3, decoder=decoder)
    with pytest.raises(InputError, match=f"^task 'a': found the label {wrong}, {TAGS}"):
        task.loss(WORDS, labels([0, wrong, last], [0, 1, 2]))


def test_a_model_explains_labels_of_losses_and_of_heads_that_take_them():
    tasks = [of_classes(), Generation("g", vocabulary_size=5, max_length=3)]
    model = MultiTaskModel(nn.Linear(3, 4), tasks)
    with pytest.raises(InputError, match=f"^task 'a': found the label 3, {CLASSES}") as caught:
        model.losses(model(ROWS, "a"), {"a": labels(0, 3, 1)})
    assert isinstance(caught.value.__cause__, IndexError)  # torch's own, in the traceback
    with pytest.raises(InputError, match=r"^task 'g': found the token 7, expected 0 to 4"):
        model(ROWS, targets={"g": labels(*[[1, 7, 0]] * 3)})
    metrics = TaskMetrics([of_classes()])
    with pytest.raises(InputError, match=f"^task 'a': found the label 3, {CLASSES}"):
        metrics.update({"a": ROWS}, {"a": labels(0, 3, 1)})


class Own(Task):
    """A task of a user's own."""

    labels = "class"
    outputs = 3

    def loss(self, raw, target, weights=None):
        return self.add_up(nn.functional.cross_entropy, raw, target, weights)

    def decode(self, raw): ...

    def check(self, target):
        if bool((target >= 3).any()):
            raise InputError(f"task {self.name!r}: too large")


def test_a_task_of_a_user_is_explained_by_its_own_check():
    with pytest.raises(InputError, match=r"^task 'own': too large"):
        Own("own").loss(ROWS, labels(0, 3, 1))


def test_an_error_that_is_not_about_labels_passes_as_it_is():
    def broken(raw, target):
        raise IndexError("of the user's function")

    task = of_classes(loss=broken)
    with pytest.raises(IndexError, match="of the user's function"):
        task.loss(ROWS, labels(0, 1, 2))
    model = MultiTaskModel(nn.Linear(3, 4), [task])
    with pytest.raises(IndexError, match="of the user's function"):
        model.losses(model(ROWS), {"a": labels(0, 1, 2)})


def test_labels_in_a_form_of_the_users_own_are_not_to_blame():
    class Pairs(Own):
        def loss(self, raw, target, weights=None):
            return super().loss(raw, target["labels"], weights)

    with pytest.raises(KeyError, match="labels"):
        Pairs("own").loss(ROWS, {})


class Static(Own):
    """Its loss needs no task."""

    @staticmethod
    def loss(raw, target, weights=None):
        return nn.functional.cross_entropy(raw, target, reduction="sum"), torch.tensor(3.0)


class Given(Own):
    """Its loss is another function's."""

    @property
    def loss(self):
        return Static.loss


class Renamed(Own):
    """Its arguments have names of its own."""

    def loss(self, outputs, tags, weights=None):
        return super().loss(outputs, tags)


@pytest.mark.parametrize("task", [Static("own"), Given("own"), Renamed("own")])
def test_a_loss_of_a_user_may_be_written_in_other_ways(task):
    target = labels(0, 1, 2)
    expected = nn.functional.cross_entropy(ROWS, target, reduction="sum")
    assert torch.equal(task.loss(ROWS, target)[0], expected)
    if isinstance(task, Renamed):
        assert torch.equal(task.loss(outputs=ROWS, tags=target)[0], expected)


class Broken(Auxiliary):
    def view(self, inputs, generator): ...

    def loss(self, raw, target, weights=None):
        raise IndexError("of the user's function")


def test_targets_that_no_user_gave_are_not_to_blame():
    with pytest.raises(IndexError, match="of the user's function"):
        Broken("b").loss(ROWS, ROWS)


def test_memory_that_runs_out_is_not_explained_by_what_a_teacher_predicts():
    def full(raw, target):
        raise torch.OutOfMemoryError

    task = MultiLabel("a", classes=3, loss=full)
    with pytest.raises(torch.OutOfMemoryError):
        task.soft_loss(ROWS, ROWS.sigmoid(), torch.ones(3, 3))
