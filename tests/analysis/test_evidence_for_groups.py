"""Right groups are given up for others rarely, and wrong ones where there is evidence."""

import numpy as np
import pytest
from quick_cases import others_slow

from motet.analysis import Similarity, cluster, similarity
from motet.analysis.evidence import favours

BLOCKS = [["a", "c", "e"], ["b", "d", "f"]]
TASKS = "abcdef"


@pytest.mark.parametrize(
    ("tasks", "rows", "groups"), others_slow([(6, 100, 2)], [(3, 40, 2), (6, 100, 2), (12, 300, 4)])
)
def test_unrelated_tasks_stay_one_group(tasks, rows, groups):
    random = np.random.default_rng(0)
    names, counts = tuple(map(str, range(tasks))), np.full((tasks, tasks), rows)
    given_up = 0
    for _ in range(1000):
        found = Similarity(names, np.corrcoef(random.normal(size=(tasks, rows))), counts)
        given_up += favours(found, cluster(found, groups=groups), [names], error=0.05)
    assert given_up / 1000 < 0.065


def in_blocks(random, rows, strength):
    common = random.normal(size=(2, rows))
    own = random.normal(size=(6, rows))
    values = {t: strength * common[at % 2] + own[at] for at, t in enumerate(TASKS)}
    return similarity(values, by="performance")


@pytest.mark.parametrize("strength", others_slow([0.2], [0.2, 0.35, 0.5]))
def test_right_groups_are_kept_also_where_correlations_are_weak(strength):
    random = np.random.default_rng(0)
    given_up = 0
    for _ in range(500):
        found = in_blocks(random, 200, strength)
        other = cluster(found, groups=2)
        given_up += other != BLOCKS and favours(found, other, BLOCKS, error=0.05)
    assert given_up / 500 < 0.065


@pytest.mark.parametrize("wrong", [[list(TASKS)], [["a", "b", "c", "e"], ["d", "f"]]])
def test_wrong_groups_are_given_up(wrong):
    random = np.random.default_rng(0)
    assert all(favours(in_blocks(random, 300, 0.6), BLOCKS, wrong) for _ in range(50))


def test_one_pair_or_none_is_no_evidence():
    two = Similarity(("a", "b"), np.array([[1, 0.9], [0.9, 1]]), np.full((2, 2), 100))
    assert not favours(two, [["a"], ["b"]], [["a", "b"]])
    nothing = Similarity(tuple("abc"), np.full((3, 3), np.nan), np.zeros((3, 3), int))
    assert not favours(nothing, [["a", "b"], ["c"]], [["a", "b", "c"]])
