"""Clusters and groups of tasks: planted blocks, SciPy's linkage, exhaustive search."""

import numpy as np
import pytest
from scipy.cluster.hierarchy import average, fcluster
from scipy.spatial.distance import squareform

from motet.analysis import Similarity, affinity, cluster, first_order_affinity, groupings
from motet.analysis.clusters import laplacian
from motet.analysis.groupings import _value
from motet.problems import InputError

TASKS = ("a", "b", "c", "d", "e")


def of(matrix):
    return Similarity(TASKS[: len(matrix)], np.array(matrix), np.ones_like(matrix, dtype=int))


def blocks(between=0.0):
    matrix = np.full((5, 5), between)
    matrix[:3, :3] = matrix[3:, 3:] = 0.8
    np.fill_diagonal(matrix, 1)
    return matrix


@pytest.mark.parametrize("between", [0.0, -0.5])
@pytest.mark.parametrize("method", ["average", "spectral"])
@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [3, 0, 4, 1, 2]])
def test_blocks_are_found_by_both_methods_in_order_of_their_first_tasks(between, method, order):
    matrix = blocks(between)[np.ix_(order, order)]
    expected = sorted([[i for i in range(5) if (order[i] < 3) is first] for first in (True, False)])
    found = cluster(of(matrix), groups=2, method=method)
    assert found == [[TASKS[i] for i in group] for group in expected]


def test_the_laplacian_of_blocks_has_its_known_eigenvalues():
    found = np.linalg.eigvalsh(laplacian(blocks()))
    assert found == pytest.approx([0, 0, 0.889, 0.923, 0.923], abs=1e-3)


@pytest.mark.parametrize(("distance", "groups"), [(0.1, 5), (0.2, 2), (0.99, 2), (1.0, 1)])
def test_blocks_merge_at_their_distances(distance, groups):
    assert len(cluster(of(blocks()), distance=distance)) == groups


def test_average_linkage_is_that_of_scipy():
    rng = np.random.default_rng(0)
    for _ in range(20):
        matrix = np.tanh(rng.normal(size=(5, 5)))
        matrix = (matrix + matrix.T) / 2
        np.fill_diagonal(matrix, 1)
        tree = average(squareform(1 - matrix, checks=False))
        for groups in range(1, 6):
            labels = fcluster(tree, groups, "maxclust")
            expected = sorted([np.flatnonzero(labels == k).tolist() for k in set(labels)])
            found = cluster(of(matrix), groups=groups)
            assert found == [[TASKS[i] for i in group] for group in expected]


def test_points_on_a_line_do_not_chain():
    points = np.array([0, 1, 2.1, 3.3, 4.6, 6])
    values = {
        str(i): {str(j): 1 - abs(a - b) for j, b in enumerate(points)} for i, a in enumerate(points)
    }
    assert cluster(values, groups=2) == [["0", "1", "2", "3"], ["4", "5"]]


def test_affinities_of_quadratics_are_their_closed_form():
    theta, rate = np.array([2.0, 3.0]), 0.1
    targets = {"a": np.array([1.0, 0.0]), "b": np.array([0.0, 2.0])}

    def losses(at):
        return {task: float(np.square(at - own).sum() / 2) for task, own in targets.items()}

    gradients = {task: theta - own for task, own in targets.items()}
    exact = affinity(losses(theta), {t: losses(theta - rate * g) for t, g in gradients.items()})
    first = first_order_affinity(gradients, losses(theta), rate)
    assert exact["a"]["b"] == pytest.approx(0.18)
    assert first["a"]["b"] == pytest.approx(0.20)


def partitions(tasks, limit):
    if not tasks:
        yield []
        return
    first, *rest = tasks
    for groups in partitions(rest, limit):
        for place in range(len(groups)):
            yield [*groups[:place], [first, *groups[place]], *groups[place + 1 :]]
        if len(groups) < limit:
            yield [[first], *groups]


@pytest.mark.parametrize("limit", [1, 2, 3, 6])
def test_the_best_groups_are_those_of_exhaustive_search(limit):
    rng = np.random.default_rng(limit)
    for _ in range(6):
        z = rng.normal(0, 1, (6, 6))
        np.fill_diagonal(z, 0)
        values = {str(i): {str(j): z[i, j] for j in range(6) if j != i} for i in range(6)}
        found = groupings(values, groups=limit)
        expected = max(_value(z, groups) for groups in partitions(list(range(6)), limit))
        assert found.value == pytest.approx(expected)
        assert found.optimal


def test_the_value_is_the_mean_affinity_from_the_others_of_the_group():
    z = {"a": {"b": 1.0, "c": 2.0}, "b": {"a": 3.0, "c": 4.0}, "c": {"a": 5.0, "b": 6.0}}
    assert groupings(z, groups=1).value == pytest.approx((3 + 5) / 2 + (1 + 6) / 2 + (2 + 4) / 2)


def test_planted_blocks_of_thirty_tasks_are_found_and_not_called_optimal():
    rng = np.random.default_rng(0)
    block = np.repeat(np.arange(5), 6)
    z = np.where(block[:, None] == block, 0.3, -0.1) + rng.normal(0, 0.05, (30, 30))
    names = tuple(f"t{i}" for i in range(30))
    found = groupings(Similarity(names, z, np.ones((30, 30), dtype=int)), groups=5)
    assert found.groups == tuple(tuple(names[6 * k : 6 * k + 6]) for k in range(5))
    assert not found.optimal


def test_as_few_groups_as_nearly_suffice_are_found_where_no_number_is_given():
    z = np.where(np.eye(4, dtype=bool), 1.0, 0.01)
    z[0, 1] = z[1, 0] = z[2, 3] = z[3, 2] = 0.5
    z[1, 2] = z[2, 1] = -0.2
    assert groupings({"a": {"b": -1.0}, "b": {"a": -1.0}}).groups == (("a",), ("b",))
    found = groupings(Similarity(TASKS[:4], z, np.ones((4, 4), dtype=int)))
    assert found.groups == (("a", "b"), ("c", "d"))
    even = np.full((4, 4), 0.3)
    assert len(groupings(Similarity(TASKS[:4], even, np.ones((4, 4), dtype=int))).groups) == 1


def test_tasks_that_harm_each_other_stay_alone_where_models_suffice():
    harm = {"a": {"b": -1.0}, "b": {"a": -1.0}}
    assert groupings(harm, groups=2).groups == (("a",), ("b",))
    assert groupings(harm, groups=1).groups == (("a", "b"),)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cluster(of(blocks())), "groups: expected groups or distance"),
        (lambda: cluster(of(blocks()), groups=6), "groups: found 6; expected a number from 1 to 5"),
        (lambda: cluster(of(blocks()), distance=1, method="spectral"), "distance: spectral"),
        (lambda: cluster({"a": {"b": 1}, "b": {"a": 0}}, groups=1), "is not symmetric"),
        (lambda: cluster({"a": {"b": np.nan}, "b": {"a": 0}}, groups=1), "no finite value for 'a'"),
        (lambda: groupings({"a": {"b": 1}}, groups=1), "found values for 'b' and no row of it"),
        (lambda: groupings({"a": {}}, groups=0), "groups: found 0"),
        (lambda: first_order_affinity({"a": [1]}, {"a": 0}, 1), "loss of 'a': found 0"),
        (lambda: affinity({"old": 1}, {"old": {"odl": 1}}), "no loss of 'odl'; did you mean 'old'"),
        (lambda: first_order_affinity({"a": [1], "b": [1, 2]}, {}, 1), "1 of 'a', 2 of 'b'"),
    ],
)
def test_matrices_that_cannot_be_used_are_named(call, message):
    with pytest.raises(InputError, match=message):
        call()
