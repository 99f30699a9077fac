"""What is true of every kind of task; a new one is tested the day it is registered."""

import copy
import pickle
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from motet.registry import AUXILIARY, TASKS
from motet.tasks import (
    Classification,
    Count,
    Custom,
    Generation,
    MultiLabel,
    Ordinal,
    PixelRegression,
    Quantile,
    Ranking,
    Regression,
    Segmentation,
    SequenceLabelling,
    Triplet,
    WordRegression,
)
from motet.tasks.base import Task

NAN = torch.nan
ROWS = 8
LIST = 4
"""Rows of a list of a ranking."""


def weighed(task, target):
    task.prepare(target)
    return task


def classes(generator):
    return torch.randint(0, 3, (ROWS,), generator=generator)


def shares(generator):
    return torch.rand(ROWS, 3, generator=generator).softmax(dim=-1)


def number(generator):
    return torch.randn(ROWS, generator=generator)


def intervals(generator):
    """Numbers, bounds below and above."""
    ends = torch.randn(ROWS, 1, generator=generator).repeat(1, 2)
    ends[1::3, 0], ends[2::3, 1] = -torch.inf, torch.inf
    return ends


def word_numbers(generator):
    return torch.randn(ROWS, 4, generator=generator)


def counts(generator):
    return torch.randint(0, 9, (ROWS,), generator=generator).float()


def numbers(generator):
    return torch.randn(ROWS, 3, generator=generator)


def indicators(generator):
    return torch.randint(0, 2, (ROWS, 3), generator=generator).float()


def tags(generator):
    return torch.randint(0, 3, (ROWS, 4), generator=generator)


def relevances(generator):
    """Two lists, one after the other."""
    relevance = torch.randint(0, 3, (ROWS,), generator=generator)
    return torch.stack([relevance, torch.arange(ROWS) // LIST], dim=1).float()


def texts(generator):
    tokens = torch.randint(2, 6, (ROWS, 4), generator=generator)
    tokens[:, 3] = 0  # the end
    return tokens


def pixel_classes(generator):
    return torch.randint(0, 3, (ROWS, 2, 4), generator=generator)


def pixel_numbers(generator):
    return torch.randn(ROWS, 2, 4, generator=generator)


def absolute(raw, target):
    return (raw - target).abs()


def mean_absolute(raw, target):
    return (raw - target).abs().mean()


CE = torch.nn.CrossEntropyLoss
CASES = {
    "classification": [
        (Classification("a", classes=3), classes),
        (Classification("a", classes=3), shares),
        (Classification("a", classes=3, class_weights=[1.0, 2.0, 5.0]), classes),
        (Classification("a", classes=3, class_weights=[1.0, 2.0, 5.0]), shares),
        (
            Classification("a", classes=3, class_weights=[1.0, 2.0, 5.0], label_smoothing=0.1),
            classes,
        ),
        (Classification("a", classes=3, loss="focal"), classes),
        (
            Classification("a", classes=3, loss="focal", class_weights=[1.0, 2.0, 5.0]),
            shares,
        ),
        (Classification("a", classes=3, loss=CE()), classes),
        (Classification("a", classes=3, loss=CE(reduction="none")), shares),
    ],
    "regression": [
        *((Regression("a", loss=loss), number) for loss in ("mse", "mae", "huber", "log_cosh")),
        *((Regression("a", loss=loss, outputs=3), numbers) for loss in ("mse", "huber")),
        (Regression("a", scaling=(3.0, 2.0)), number),
        *((Regression("a", loss=loss, censored="auto"), intervals) for loss in ("mse", "mae")),
        (Regression("a", loss=mean_absolute), number),
        (Regression("a", loss=absolute, outputs=3), numbers),
    ],
    "multi_label": [
        (MultiLabel("a", classes=3), indicators),
        (MultiLabel("a", classes=3, pos_weight=[1.0, 2.0, 5.0]), indicators),
        (
            MultiLabel("a", classes=3, loss=torch.nn.BCEWithLogitsLoss(reduction="none")),
            indicators,
        ),
    ],
    "ranking": [
        (Ranking("a", form="pointwise"), relevances),
        (Ranking("a", form="pairwise"), relevances),
        (Ranking("a", form="pairwise", weighting="ndcg"), relevances),
        (Ranking("a", form="listwise"), relevances),
    ],
    "triplet": [
        (Triplet("a", width=3, distance="euclidean"), classes),
        (Triplet("a", width=3, distance="squared"), classes),
        (Triplet("a", width=3, distance="cosine"), classes),
    ],
    "sequence_labelling": [
        *(
            (SequenceLabelling("a", classes=["O", "B", "I"], decoder=decoder), tags)
            for decoder in ("linear", "lstm", "crf")
        ),
        (SequenceLabelling("a", classes=3, decoder="crf"), tags),
        (SequenceLabelling("a", classes=3, class_weights=[1.0, 2.0, 5.0]), tags),
    ],
    "count": [(Count("a", loss=loss), counts) for loss in ("poisson", "negative_binomial")],
    "word_regression": [
        *((WordRegression("a", loss=loss), word_numbers) for loss in ("mse", "huber")),
        (WordRegression("a", loss=absolute, scaling=(3.0, 2.0)), word_numbers),
    ],
    "custom": [
        (Custom("a", loss=absolute), number),
        (Custom("a", loss="mse", outputs=3), numbers),
        (Custom("a", loss="cross_entropy", labels="class", classes=3), classes),
        (Custom("a", loss=CE(reduction="none"), labels="class", classes=3), shares),
        (Custom("a", loss="binary_cross_entropy", labels="indicators", classes=3), indicators),
    ],
    "quantile": [
        (Quantile("a"), number),
        (Quantile("a", quantiles=[0.3], scaling=(3.0, 2.0)), number),
    ],
    "generation": [(Generation("a", vocabulary_size=6, max_length=4), texts)],
    "segmentation": [
        (Segmentation("a", classes=3), pixel_classes),
        (Segmentation("a", classes=4, ignore_index=3, label_smoothing=0.1), pixel_classes),
        (Segmentation("a", classes=3, class_weights=[1.0, 2.0, 5.0]), pixel_classes),
        (Segmentation("a", classes=3, loss="focal", class_weights=[1.0, 2.0, 5.0]), pixel_classes),
        (Segmentation("a", classes=3, loss=CE(reduction="none")), pixel_classes),
    ],
    "pixel_regression": [
        *((PixelRegression("a", loss=loss), pixel_numbers) for loss in ("mse", "mae", "huber")),
        (PixelRegression("a", loss=absolute, scaling=(3.0, 2.0)), pixel_numbers),
    ],
    "ordinal": [(Ordinal("a", classes=3), classes)],
}
ALL = [pytest.param(*case, id=f"{kind}{i}") for kind in CASES for i, case in enumerate(CASES[kind])]
ADDITIVE = [each for each in ALL if each.values[0].additive]
"""Not triplets, which compare all rows of a batch with each other."""
SEEDS = st.integers(0, 2**32)


def case(task, make, seed):
    """Raw outputs, complete targets, and the same with a row and some cells missing."""
    generator = torch.Generator().manual_seed(seed)
    width = () if task.label_kind.flat and task.outputs == 1 else (task.outputs,)
    target = make(generator)
    if make in (pixel_classes, pixel_numbers):
        raw = 3 * torch.randn(ROWS, task.outputs, *target.shape[1:], generator=generator)
        gaps = torch.rand(target.shape, generator=generator) < 0.3
        gaps[0] = True
        return raw, target, target.masked_fill(gaps, -100 if make is pixel_classes else NAN)
    raw = 3 * torch.randn(
        *target.shape[: 2 if make in (tags, texts, word_numbers) else 1],
        *width,
        generator=generator,
    )
    gaps = torch.rand(target.shape, generator=generator) < 0.3
    if make in (shares, texts, intervals):
        gaps = gaps.any(dim=-1, keepdim=True).expand_as(gaps).clone()
    gaps[0] = True
    return raw, target, target.masked_fill(gaps, -100 if make in (classes, tags, texts) else NAN)


def test_every_kind_of_task_has_a_case():
    labelled = [name for name in TASKS if name not in AUXILIARY]
    assert set(CASES) == {name for name in labelled if isinstance(TASKS.place(name), str)}
    assert all(task.kind == kind for kind in CASES for task, _ in CASES[kind])


@pytest.mark.parametrize(("task", "make"), ADDITIVE)
@given(seed=SEEDS, cuts=st.lists(st.integers(0, ROWS), max_size=3))
def test_sums_and_counts_of_parts_add_up_to_those_of_the_whole(task: Task, make, seed, cuts):
    raw, _, target = case(task, make, seed)
    total, count = task.loss(raw, target)
    if make is relevances:  # lists are never cut
        cuts = [cut // LIST * LIST for cut in cuts]
    edges = [0, *sorted(cuts), ROWS]
    parts = [task.loss(raw[a:b], target[a:b]) for a, b in pairwise(edges)]
    assert_close(sum(part[0] for part in parts), total, atol=1e-4, rtol=1e-4)
    assert_close(sum(part[1] for part in parts), count)


@pytest.mark.parametrize(("task", "make"), ALL)
@given(seed=SEEDS)
def test_the_count_needs_no_forward_pass(task: Task, make, seed):
    raw, complete, target = case(task, make, seed)
    for labels in (complete, target):
        assert_close(task.count(labels), task.loss(raw, labels)[1])


@pytest.mark.parametrize(("task", "make"), ALL)
@given(seed=SEEDS)
def test_complete_labels_give_what_they_give_beside_a_row_without(task, make, seed):
    """Complete labels go a shorter way."""
    raw, complete, target = case(task, make, seed)
    raw = raw.requires_grad_()
    total, count = task.loss(raw, complete)
    more, count_of_more = task.loss(torch.cat([raw, raw[:1]]), torch.cat([complete, target[:1]]))
    assert_close((total, count), (more, count_of_more))
    assert_close(*(torch.autograd.grad(each, raw)[0] for each in (total, more)))


@pytest.mark.parametrize(("task", "make"), ALL)
@given(seed=SEEDS)
def test_rows_without_labels_leave_no_trace_even_if_their_outputs_are_nan(task, make, seed):
    raw, _, target = case(task, make, seed)
    known = task.labelled(target)
    assert not known[0]
    expected = task.loss(raw[known], target[known])
    raw[~known] = NAN
    raw.requires_grad_()
    found = task.loss(raw, target)
    assert_close(found, expected)
    if known.any():
        found[0].backward()
        assert raw.grad.isfinite().all()
        assert (raw.grad[~known] == 0).all()


@pytest.mark.parametrize(("task", "make"), ALL)
def test_no_label_at_all_is_a_zero_count_and_never_nan(task, make):
    raw, _, target = case(task, make, 0)
    total, count = task.loss(raw[:1], target[:1])
    assert (total.item(), count.item()) == (0, 0)
    total, count = task.loss(raw[:0], target[:0])
    assert (total.item(), count.item()) == (0, 0)


@pytest.mark.parametrize(("task", "make"), ALL)
def test_the_loss_falls_under_gradient_descent(task, make):
    raw, complete, target = case(task, make, 0)
    target = complete if make is relevances else target  # gaps leave no pair
    raw.requires_grad_()
    before = task.loss(raw, target)[0]
    before.backward()
    after = task.loss(raw - 1e-3 * raw.grad, target)[0]
    assert after < before


@pytest.mark.parametrize(("task", "make"), ALL)
def test_labels_pass_the_check_and_give_predictions_in_their_own_form(task, make):
    raw, complete, target = case(task, make, 0)
    for labels in (complete, target):
        task.check(labels)
    prediction, truth = task.decode(raw), task.restore(target)
    truth = truth[:, 0] if make is relevances else truth
    form = (*truth.shape, len(task.levels)) if task.levels else truth.shape
    embeds = task.label_kind.name == "identity"
    form = (ROWS, task.outputs) if embeds else form
    assert prediction.value.shape == form
    assert len(task.labelled(target)) == ROWS
    if prediction.probabilities is not None:
        assert prediction.probabilities.shape == (ROWS, getattr(task, "classes", task.outputs))
    for metric in task.metrics:
        constant = task.trivial(task.statistics(target), metric)
        if make in (pixel_classes, pixel_numbers):  # one for every pixel
            constant = task.label_kind.repeated(constant, truth[:1])
        one_for_any_length = make in (tags, word_numbers) or embeds
        assert constant.value.shape == ((1, 1) if one_for_any_length else (1, *form[1:]))
        assert constant.value.dtype == prediction.value.dtype


@pytest.mark.parametrize(("task", "make"), ALL)
def test_half_precision_outputs_are_added_up_in_single_precision(task, make):
    raw, _, target = case(task, make, 0)
    total, count = task.loss(raw.bfloat16(), target)
    assert total.dtype == count.dtype == torch.float32
    assert_close(total, task.loss(raw.bfloat16().float(), target)[0])


@pytest.mark.parametrize(("task", "make"), ALL)
def test_a_raw_output_of_the_wrong_width_is_an_error_in_words(task, make):
    _, _, target = case(task, make, 0)
    with pytest.raises(ValueError, match="task 'a': the raw output has the shape"):
        task.loss(torch.zeros(ROWS, 7), target)


@pytest.mark.parametrize(("task", "make"), ALL)
def test_a_task_survives_copying_and_pickling(task, make):
    raw, _, target = case(task, make, 0)
    for again in (copy.deepcopy(task), pickle.loads(pickle.dumps(task))):
        assert_close(again.loss(raw, target), task.loss(raw, target))


@pytest.mark.parametrize(("task", "make"), ALL)
@given(seed=SEEDS)
def test_a_row_of_weight_2_counts_as_two_rows_and_one_of_weight_0_as_none(task, make, seed):
    if make is relevances or not task.additive or getattr(task, "loss_name", "") == "custom":
        return  # lists are weighted as wholes, pairs by both rows; a user's mean has no weights
    raw, _, target = case(task, make, seed)
    weights = torch.randint(0, 3, (ROWS,), generator=torch.Generator().manual_seed(seed))
    total, count = task.loss(raw, target, weights.float())
    again = [each.repeat_interleave(weights, dim=0) for each in (raw, target)]
    expected, expected_count = task.loss(*again)
    assert_close(total, expected, atol=1e-4, rtol=1e-4)
    assert_close(count, expected_count)
    assert_close(task.count(target, weights.float()), count)
