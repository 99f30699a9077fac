"""Losses against what a teacher predicts, beside the formulas written out."""

import pytest
import torch
from torch.nn import functional

from motet import tasks
from motet.problems import InputError
from motet.tasks.members import loss_of, soft_loss_of, soft_of

NAN = torch.nan


def test_classes_are_compared_by_cross_entropy_where_there_is_a_label():
    task = tasks.Classification("a", classes=3)
    raw = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    soft = torch.tensor([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]])
    target = torch.tensor([0, -100, 2, 1])
    found = task.soft_loss(raw, soft, target)
    expected = -(soft.double() * raw.log_softmax(-1)).sum(-1)[[0, 2, 3]].sum()
    torch.testing.assert_close(found, expected)
    weights = torch.tensor([2.0, 1.0, 0.5, 0.0])
    weighted = -(weights * (soft * raw.log_softmax(-1)).sum(-1))[[0, 2, 3]].sum()
    torch.testing.assert_close(task.soft_loss(raw, soft, target, weights), weighted)


def test_a_teacher_that_is_certain_is_a_label():
    generator = torch.Generator().manual_seed(1)
    for task, target in (
        (tasks.Classification("a", classes=3), torch.tensor([0, 2, -100])),
        (
            tasks.Classification("a", classes=3, class_weights=[1.0, 2.0, 4.0]),
            torch.tensor([0, 2, 1]),
        ),
        (
            tasks.SequenceLabelling("a", classes=["O", "B-x", "I-x"]),
            torch.tensor([[0, 1], [2, -100]]),
        ),
        (
            tasks.SequenceLabelling("a", classes=["O", "B-x", "I-x"], decoder="crf"),
            torch.tensor([[0, 1], [1, -100]]),
        ),
    ):
        raw = torch.randn(*target.shape, 3, generator=generator)
        if target.ndim == 2:
            raw[target == -100] = NAN
        task.prepare(target)
        soft = functional.one_hot(target.clamp(min=0), 3).float()
        total, _ = task.loss(raw, target)
        torch.testing.assert_close(task.soft_loss(raw, soft, target), total)


def test_numbers_and_cells_are_compared_as_labels_are():
    raw, soft = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.0, 0.0, 1.0])
    target = torch.tensor([9.0, NAN, 9.0])
    assert tasks.Regression("a").soft_loss(raw, soft, target) == 1 + 4
    count = tasks.Count("a").soft_loss(raw, soft, target)
    torch.testing.assert_close(
        count, tasks.Count("a").loss(raw, soft.where(~target.isnan(), NAN))[0]
    )
    cells = torch.tensor([[0.9, 0.2]])
    found = tasks.MultiLabel("a", classes=2).soft_loss(
        torch.tensor([[0.5, -1.0]]), cells, torch.tensor([[1.0, NAN]])
    )
    expected = functional.binary_cross_entropy_with_logits(torch.tensor(0.5), torch.tensor(0.9))
    torch.testing.assert_close(found, expected)


def test_words_that_a_teacher_did_not_see_count_by_their_labels():
    task = tasks.SequenceLabelling("a", classes=["O", "B-x", "I-x"])
    raw = torch.randn(1, 3, 3, generator=torch.Generator().manual_seed(2))
    target = torch.tensor([[1, 2, 0]])
    soft = torch.full((1, 3, 3), NAN)
    soft[0, 0] = torch.tensor([0.5, 0.25, 0.25])
    found = task.soft_loss(raw, soft, target)
    log_p = raw[0].log_softmax(-1)
    torch.testing.assert_close(found, -(soft[0, 0] @ log_p[0]) - log_p[1, 2] - log_p[2, 0])


def test_what_a_teacher_gives_are_probabilities_and_numbers_in_their_unit():
    raw = torch.tensor([[0.0, 1.0]])
    torch.testing.assert_close(tasks.Classification("a", classes=2).soft(raw), raw.softmax(-1))
    scaled = tasks.Regression("a", scaling=(10.0, 2.0))
    torch.testing.assert_close(scaled.soft(torch.tensor([1.5])).float(), torch.tensor([13.0]))
    crf = tasks.SequenceLabelling("a", classes=["O", "B-x"], decoder="crf")
    soft = crf.soft(torch.tensor([[[5.0, 0.0], [0.0, 5.0], [NAN, NAN]]]))
    assert soft[0, :2].tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert soft[0, 2].isnan().all()


def test_members_teach_their_mean_and_learn_each_for_itself():
    task = tasks.Classification("a", classes=2)
    task.members = 2
    raw = torch.randn(3, 2, 2, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(soft_of(task, raw), raw.softmax(-1).mean(1))
    target = torch.tensor([0, 1, -100])
    soft = functional.one_hot(target.clamp(min=0), 2).float()
    torch.testing.assert_close(soft_loss_of(task, raw, soft, target), loss_of(task, raw, target)[0])


@pytest.mark.parametrize(
    ("task", "soft", "message"),
    [
        (tasks.Classification("a", classes=3), torch.ones(2, 2), r"\(2,\), expected \(3,\)"),
        (tasks.Regression("a"), torch.tensor([NAN, 1.0]), "not finite"),
        (tasks.Quantile("a", quantiles=[0.5]), torch.ones(2), "cannot learn from a teacher"),
        (tasks.Regression("a", censored="auto"), torch.ones(2), "cannot learn from a teacher"),
    ],
)
def test_soft_targets_that_do_not_fit_are_refused(task, soft, message):
    with pytest.raises(InputError, match=message):
        task.check_soft(soft, torch.zeros(2))


@pytest.mark.parametrize("decoder", ["linear", "crf"])
def test_a_batch_may_have_more_words_than_labels_and_what_its_teacher_gives(decoder):
    task = tasks.SequenceLabelling("a", classes=["O", "B-x", "I-x"], decoder=decoder)
    raw = torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(4))
    target = torch.tensor([[0, 1], [2, -100]])
    soft = functional.one_hot(target.clamp(min=0), 3).float()
    task.check_soft(soft, target)
    torch.testing.assert_close(task.soft_loss(raw, soft, target), task.loss(raw, target)[0])
