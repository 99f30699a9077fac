"""Weighted losses have the same optimum for batches of every size.

A model without inputs, only a bias, meets the weights where it has to: balanced weights make both
classes equally probable. The expectation over all batches is computed exactly, not sampled.
"""

import itertools
import math

import pytest
import torch
from torch.testing import assert_close

from motet.tasks import Classification, MultiLabel, SequenceLabelling

SIZES = [1, 2, 8, 32]
RARE = 0.05
LABELS = torch.tensor([0] * 19 + [1])
COMMON, SPECIAL = torch.tensor([0.9, 0.1]), torch.tensor([0.3, 0.7])
"""Soft labels of common and of rare rows."""


def batches(size, labelled):
    """Yield how many common, rare and unlabelled rows a batch has, and how probable that is."""
    kinds = (labelled * (1 - RARE), labelled * RARE, 1 - labelled)
    for common, rare in itertools.product(range(size + 1), repeat=2):
        counts = (common, rare, size - common - rare)
        if counts[2] >= 0 and common + rare:
            ways = math.factorial(size) / math.prod(map(math.factorial, counts))
            yield counts, ways * math.prod(p**n for p, n in zip(kinds, counts, strict=True))


def expected_slope(task, size, target_of, raw_of, bias, labelled=1.0):
    """The slope of the expected loss of a batch in the score of the rare class."""
    slope = 0.0
    for counts, probability in batches(size, labelled):
        if probability == 0:
            continue
        score = torch.tensor(bias, dtype=torch.float64, requires_grad=True)
        total, count = task.loss(raw_of(score, size), target_of(counts))
        assert_close(task.count(target_of(counts)), count, rtol=0, atol=0)
        slope += probability * torch.autograd.grad(total / count, score)[0].item()
    return slope


def logits(score, size):
    return torch.stack([torch.zeros_like(score), score]).expand(size, 2)


def classes(counts):
    return torch.tensor([0, 1, -100]).repeat_interleave(torch.tensor(counts))


def shares(counts):
    missing = torch.full((2,), torch.nan)
    kinds = torch.stack([COMMON, SPECIAL, missing])
    return kinds.repeat_interleave(torch.tensor(counts), dim=0)


@pytest.mark.parametrize("labelled", [1.0, 0.3])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("weights", ["balanced", [1.0, 19.0]])
def test_balanced_classes_are_equally_probable_for_every_batch_size(weights, size, labelled):
    task = Classification("a", classes=2, class_weights=weights)
    task.prepare(LABELS)
    slope = expected_slope(task, size, classes, logits, 0.0, labelled)
    assert slope == pytest.approx(0.0, abs=1e-7)


@pytest.mark.parametrize("size", SIZES)
def test_smoothed_labels_have_one_optimum_for_every_batch_size(size):
    task = Classification("a", classes=2, class_weights=[1.0, 19.0], label_smoothing=0.2)
    task.prepare(LABELS)
    rare, common = 19 * (0.8 * RARE + 0.1), 0.8 * (1 - RARE) + 0.1
    slope = expected_slope(task, size, classes, logits, math.log(rare / common), 0.5)
    assert slope == pytest.approx(0.0, abs=1e-7)


@pytest.mark.parametrize("labelled", [1.0, 0.3])
@pytest.mark.parametrize("size", SIZES)
def test_soft_labels_have_one_optimum_for_every_batch_size(size, labelled):
    task = Classification("a", classes=2, class_weights=[1.0, 19.0])
    task.prepare(torch.stack([*[COMMON] * 19, SPECIAL, torch.full((2,), torch.nan)]))
    mean = (1 - RARE) * COMMON + RARE * SPECIAL
    best = math.log(19 * mean[1] / mean[0])
    slope = expected_slope(task, size, shares, logits, best, labelled)
    assert slope == pytest.approx(0.0, abs=1e-7)


@pytest.mark.parametrize("labelled", [1.0, 0.3])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("weights", ["balanced", [19.0]])
def test_weighted_ones_of_a_label_have_one_optimum_for_every_batch_size(weights, size, labelled):
    task = MultiLabel("a", classes=1, pos_weight=weights)
    task.prepare(LABELS[:, None])
    slope = expected_slope(
        task,
        size,
        lambda counts: classes(counts)[:, None],
        lambda score, size: score.expand(size, 1),
        0.0,
        labelled,
    )
    assert slope == pytest.approx(0.0, abs=1e-7)


@pytest.mark.parametrize("labelled", [1.0, 0.3])
@pytest.mark.parametrize("size", [2, 8, 32])
@pytest.mark.parametrize("weights", ["balanced", [1.0, 19.0]])
def test_balanced_tags_are_equally_probable_for_every_number_of_rows(weights, size, labelled):
    task = SequenceLabelling("a", classes=2, class_weights=weights)
    task.prepare(LABELS.view(10, 2))
    slope = expected_slope(
        task,
        size,
        lambda counts: classes(counts).view(-1, 2),
        lambda score, size: logits(score, size).reshape(-1, 2, 2),
        0.0,
        labelled,
    )
    assert slope == pytest.approx(0.0, abs=1e-7)


def test_a_weighted_loss_is_divided_by_labels_times_the_mean_weight_of_the_training_labels():
    task = Classification("a", classes=2, class_weights=[1.0, 19.0])
    raw, target = torch.zeros(4, 2), torch.tensor([0, 1, -100, 0])
    assert task.count(target).item() == 1 + 19 + 1
    task.prepare(torch.cat([LABELS, torch.tensor([-100])]))
    assert task.count(target).item() == pytest.approx(3 * (19 + 19) / 20)
    total, count = task.loss(raw, target)
    assert total.item() == pytest.approx(21 * math.log(2))
    assert count == task.count(target)


def test_a_mean_weight_comes_back_with_a_saved_model_and_is_not_asked_of_an_older_one():
    task, again, older = (Classification("a", classes=2, class_weights=[1.0, 19.0]) for _ in "abc")
    task.prepare(LABELS)
    again.load_state_dict(task.state_dict())
    assert again.prepared
    assert_close(again.count(LABELS), task.count(LABELS), rtol=0, atol=0)
    saved = {name: each for name, each in task.state_dict().items() if name != "weights.mean"}
    older.load_state_dict(saved)
    assert not older.prepared
    assert older.count(torch.tensor([0, 0])).item() == 2  # the batch's own weights


def test_training_labels_that_are_all_missing_teach_nothing():
    task = Classification("a", classes=2, class_weights=[1.0, 19.0])
    task.prepare(torch.full((3,), -100))
    assert task.count(torch.tensor([0, 1])).item() == 20


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_learned_weights_keep_their_precision_in_a_narrow_model(dtype):
    tasks = [
        Classification("a", classes=2, class_weights="balanced"),
        MultiLabel("b", classes=1, pos_weight="balanced"),
    ]
    found = []
    for _ in "ab":
        tasks[0].prepare(torch.tensor([0, 0, 1]))
        tasks[1].prepare(torch.tensor([[1], [0], [0], [1], [1]]))
        found.append([tasks[0].weights().clone(), tasks[0].count(LABELS), tasks[1].weights()])
        torch.nn.ModuleList(tasks).to(dtype)
    assert_close(found[0], found[1], rtol=0, atol=0)
    assert_close(tasks[0].weights(), torch.tensor([0.75, 1.5]), rtol=0, atol=0)
