"""Which pairs of tasks are called unsure, where it is known how measurements vary."""

import numpy as np
import pytest

from motet.analysis import cluster, groupings
from motet.analysis.certainty import Measurements, unsure_pairs

BLOCKS = [["a", "b", "c"], ["d", "e", "f"]]
TASKS = tuple("abcdef")
WITHIN = np.kron(np.eye(2), np.ones((3, 3)))


def measured(matrix, error, steps=30):
    shape = matrix.shape
    return Measurements(
        TASKS[: len(matrix)], matrix, np.full(shape, error), np.full(shape, steps, dtype=np.int64)
    )


def drawn(matrix, error, seed):
    """Both directions of a pair vary together."""
    noise = np.triu(np.random.default_rng(seed).normal(size=matrix.shape), 1)
    return measured(matrix + error * (noise + noise.T), error)


def test_groups_that_differ_clearly_are_sure():
    assert unsure_pairs(measured(WITHIN, 0.05), BLOCKS, most=2) == []
    assert unsure_pairs(measured(WITHIN, 0.05), BLOCKS, enough=0.9) == []


def test_only_the_pairs_of_a_task_that_fits_both_groups_are_unsure():
    matrix = WITHIN.copy()
    matrix[2, 3:] = matrix[3:, 2] = 1.0
    found = unsure_pairs(measured(matrix, 0.1), BLOCKS, most=2)
    assert set(found) == {("a", "c"), ("b", "c"), ("c", "d"), ("c", "e"), ("c", "f")}


def test_two_tasks_alone_are_unsure_unless_they_clearly_hurt_each_other():
    matrix = np.zeros((4, 4))
    matrix[0, 1] = matrix[1, 0] = 1.0
    groups = [["a", "b"], ["c"], ["d"]]
    assert unsure_pairs(measured(matrix, 0.01), groups) == [("c", "d")]
    matrix[2, 3] = matrix[3, 2] = -1.0
    assert unsure_pairs(measured(matrix, 0.01), groups) == []


def test_one_group_is_unsure_if_two_might_be_better():
    matrix = 0.95 * np.ones((4, 4)) + 0.05 * np.kron(np.eye(2), np.ones((2, 2)))
    one = [["a", "b", "c", "d"]]
    assert unsure_pairs(measured(matrix, 0.001), one, enough=0.9) == []
    found = unsure_pairs(measured(matrix, 0.2), one, enough=0.9)
    assert {("a", "c"), ("a", "d"), ("b", "c"), ("b", "d")} <= set(found)


def test_two_groups_are_unsure_if_one_might_be_enough():
    matrix = 0.785 * np.ones((6, 6)) + 0.215 * WITHIN
    assert unsure_pairs(measured(matrix, 0.001), BLOCKS, enough=0.9) == []
    found = unsure_pairs(measured(matrix, 0.06), BLOCKS, enough=0.9)
    assert set(found) == {(one, other) for one in BLOCKS[0] for other in BLOCKS[1]}


def test_clusters_are_sure_where_tasks_are_clearly_similar_on_average():
    matrix = np.array([[1, 0.9, 0.1], [0.9, 1, 0.1], [0.1, 0.1, 1]])
    for error, unsure in ((0.01, []), (0.2, [("a", "c"), ("b", "c")])):
        found = Measurements(TASKS[:3], matrix, np.full((3, 3), error), np.full((3, 3), 30))
        groups = cluster(found, distance=1.0)
        assert groups == [["a", "b", "c"]]
        assert unsure_pairs(found, groups, clustered=True) == unsure


@pytest.mark.parametrize("unknown", [{"error": np.nan}, {"error": 0.01, "steps": 1}])
def test_without_standard_errors_nothing_is_sure(unknown):
    assert len(unsure_pairs(measured(WITHIN, **unknown), BLOCKS, most=2)) == 15


def test_of_few_steps_more_is_unsure():
    assert unsure_pairs(measured(WITHIN, 0.2, steps=30), BLOCKS, most=2) == []
    assert unsure_pairs(measured(WITHIN, 0.2, steps=2), BLOCKS, most=2)


def test_groups_of_noise_are_rarely_sure_and_those_of_clear_blocks_rarely_unsure():
    noise = [drawn(np.zeros((6, 6)), 1.0, seed) for seed in range(100)]
    clear = [drawn(WITHIN, 0.2, seed) for seed in range(100)]

    def sure(found):
        return not unsure_pairs(found, groupings(found, groups=2).groups, most=2)

    assert sum(map(sure, noise)) <= 2
    assert sum(map(sure, clear)) >= 95
