"""Correlations of tasks without anything in common are taken for different ones rarely."""

import numpy as np
import pytest

from motet.analysis import Similarity, similarity
from motet.analysis.heterogeneity import pairs_differ


@pytest.mark.parametrize(("tasks", "rows"), [(3, 40), (6, 100), (12, 300)])
def test_unrelated_tasks_are_told_apart_no_more_often_than_stated(tasks, rows):
    random = np.random.default_rng(0)
    names, counts = tuple(map(str, range(tasks))), np.full((tasks, tasks), rows)
    found = 0
    for _ in range(2000):
        measured = Similarity(names, np.corrcoef(random.normal(size=(tasks, rows))), counts)
        found += pairs_differ(measured, error=0.05)
    assert found / 2000 < 0.065


def test_blocks_are_told_from_noise():
    random = np.random.default_rng(0)
    common = random.normal(size=(2, 200))
    values = {t: common["abcdef".index(t) % 2] + random.normal(size=200) for t in "abcdef"}
    assert pairs_differ(similarity(values, by="performance"))


def test_one_pair_or_none_cannot_differ():
    two = Similarity(("a", "b"), np.array([[1, 0.9], [0.9, 1]]), np.full((2, 2), 100))
    assert not pairs_differ(two)
    nothing = Similarity(tuple("abc"), np.full((3, 3), np.nan), np.zeros((3, 3), int))
    assert not pairs_differ(nothing)
