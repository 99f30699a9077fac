"""Statistics of labels are the same however rows are split into batches."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from motet.tasks import Classification, MultiLabel, Regression, SequenceLabelling
from motet.tasks import statistics as module
from motet.tasks.weights import balanced_classes, balanced_labels

RNG = np.random.default_rng(0)
N = 60
CLASSES = torch.from_numpy(RNG.integers(-1, 4, N)).where(torch.arange(N) % 7 > 0, -100).clamp(-100)
CLASSES = CLASSES.where(CLASSES != -1, -100)
SHARES = torch.randn(N, 3, generator=torch.Generator().manual_seed(1)).softmax(dim=-1)
NUMBERS = torch.from_numpy(RNG.normal(1e4, 2.0, (N, 2))).float()
NUMBERS[::3, 0] = torch.nan
NUMBERS[::6] = torch.nan
CELLS = torch.from_numpy(RNG.integers(0, 2, (N, 3))).float()
CELLS[::4, 1] = torch.nan
TAGS = torch.from_numpy(RNG.integers(0, 3, (N, 5)))
TAGS[::2, 3:] = -100
TAGS[::10] = -100
CASES = {
    "classes": (Classification("a", classes=4), CLASSES),
    "shares": (Classification("a", classes=3), SHARES),
    "numbers": (Regression("a", outputs=2), NUMBERS),
    "cells": (MultiLabel("a", classes=3), CELLS),
    "tags": (SequenceLabelling("a", classes=3), TAGS),
}


def merged(task, target, cuts):
    edges = [0, *cuts, len(target)]
    first, *others = (task.statistics(target[a:b]) for a, b in pairwise(edges))
    for other in others:
        first = first.merged(other)
    return first


@pytest.mark.parametrize("case", list(CASES))
@given(st.lists(st.integers(0, N), max_size=5).map(sorted))
def test_statistics_of_batches_are_those_of_all_rows(case, cuts):
    task, target = CASES[case]
    whole, found = task.statistics(target), merged(task, target, cuts)
    assert (found.rows, found.labelled) == (whole.rows, whole.labelled)
    assert torch.equal(found.sample.rows.nan_to_num(), whole.sample.rows.nan_to_num())
    for own, other in ((found.totals, whole.totals), (found.moments, whole.moments)):
        assert_close(own, other, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("case", list(CASES))
def test_constant_predictions_are_those_of_all_rows(case):
    task, target = CASES[case]
    for metric in task.default_metrics:
        whole = task.trivial(task.statistics(target), metric)
        found = task.trivial(merged(task, target, (1, 20, 21)), metric)
        assert_close(found, whole, rtol=0, atol=0)


def test_weights_are_counted():
    task = Classification("a", classes=4, class_weights="balanced")
    task.prepare(CLASSES)
    known = CLASSES[CLASSES >= 0]
    expected = len(known) / (4 * torch.bincount(known, minlength=4))
    assert_close(task.weights.values, expected.float())
    assert_close(task.weights.mean, expected[known].mean().float())
    assert balanced_classes(torch.tensor([3.0, 0.0])).tolist() == [1.0, 3.0]
    assert balanced_labels(torch.tensor([4.0]), torch.tensor([0.0])).tolist() == [4.0]


@pytest.mark.parametrize("size", [7, 30, 100])
def test_of_many_rows_the_sample_is_the_same_for_batches_of_every_size(size, monkeypatch):
    monkeypatch.setattr(module, "MOST", 50)
    target = torch.arange(1000.0)
    task = Regression("a")
    found = merged(task, target, range(size, 1000, size))
    assert found.labelled == 1000
    assert len(found.sample.rows) == 50
    assert torch.equal(found.sample.rows, task.statistics(target).sample.rows)
    assert 300 < found.sample.rows.mean() < 700
    assert sum(map(len, found.sample.parts)) <= 100 + size
    assert found.moments.means.item() == pytest.approx(499.5)


def test_rows_without_any_label_have_statistics():
    for task, target in CASES.values():
        missing = torch.full_like(target, torch.nan if target.is_floating_point() else -100)
        assert task.statistics(missing).labelled == 0
        again = task.statistics(missing).merged(task.statistics(target))
        assert again.labelled == task.statistics(target).labelled
