"""Priorities among tasks: known answers, a slow reference, and what no lower task may do."""

import itertools

import numpy as np
import pytest
import torch
from gradients import jacobians
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from motet.balancing import PCD, PCGrad, create
from motet.problems import InputError
from motet.tasks import Regression

LEVELS = ("low", "normal", "high", "critical")


def names(count):
    return [f"t{index}" for index in range(count)]


def balancer(levels, **options):
    return PCD(
        names(len(levels)),
        priorities=dict(zip(names(len(levels)), levels, strict=True)),
        scale="paper",
        **options,
    )


def direction(found, rows):
    rows = torch.as_tensor(rows, dtype=torch.float64)
    return found(rows @ rows.T) @ rows


def projected(vector, walls):
    """Project on {d: walls d >= 0}, by trying every set of walls that may hold it."""
    best = None
    for count in range(len(walls) + 1):
        for held in itertools.combinations(range(len(walls)), count):
            wall = walls[list(held)]
            step = np.linalg.pinv(wall.T) @ -vector if count else np.zeros(0)
            d = vector + wall.T @ step
            distance = np.linalg.norm(d - vector)
            inside = (walls @ d >= -1e-9 * np.linalg.norm(walls, axis=1)).all()
            if inside and (best is None or distance < best[0]):
                best = (distance, d)
    return best[1]


def naive(levels, rows):
    order = np.array([LEVELS.index(level) for level in levels])
    parts = [
        projected(rows[order == level].sum(axis=0), rows[order > level]) for level in set(order)
    ]
    return sum(parts)


@st.composite
def cases(draw, kinds=("plain", "agreeing", "conflicting", "dependent"), largest=6):
    rows = draw(jacobians(kinds, smallest=2, largest=largest))
    levels = draw(st.lists(st.sampled_from(LEVELS), min_size=len(rows), max_size=len(rows)))
    if len(set(levels)) == 1:
        levels[0] = "low" if levels[0] != "low" else "high"
    return levels, rows


@pytest.mark.parametrize(
    ("levels", "rows", "d"),
    [
        (["high", "low"], [[1, 0], [-1, 1]], [1, 1]),  # the lower one goes around the wall
        (["low", "high"], [[1, 0], [-1, 1]], [-0.5, 1.5]),
        (["high", "low"], [[3, 0], [0, 4]], [3, 4]),  # no conflict: the sum
        (["high", "low"], [[1, 0], [-3, 0]], [1, 0]),  # opposed: the lower one may do nothing
        (["high", "high", "low"], [[1, 0], [-1, 2], [0, -3]], [0, 2]),  # a pointed cone
        (["critical", "high", "low"], [[1, 0, 0], [-1, 1, 0], [0, -2, 1]], [1, 1, 1]),
        (["high", "high", "low"], [[1, 0], [-3, 0], [1, 1]], [-2, 1]),  # equals may conflict
    ],
)
def test_known_directions(levels, rows, d):
    found = balancer(levels)
    assert_close(direction(found, rows), torch.tensor(d).double(), rtol=0, atol=1e-9)
    assert found.status == "ok"


@given(case=cases())
def test_it_is_the_sum_of_the_projected_levels(case):
    levels, rows = case
    expected = torch.as_tensor(naive(levels, rows))
    size = float(np.abs(rows).max())
    assert_close(direction(balancer(levels), rows), expected, rtol=1e-6, atol=1e-6 * size)


@given(case=cases(largest=9))
def test_no_task_is_slowed_down_by_those_of_lower_priority(case):
    levels, rows = case
    order = np.array([LEVELS.index(level) for level in levels])
    d = direction(balancer(levels), rows).numpy()
    lengths = np.linalg.norm(rows, axis=1)
    for level in set(order):
        here = order >= level
        if len(set(order[here])) > 1:
            kept = direction(balancer([LEVELS[k] for k in order[here]]), rows[here]).numpy()
        else:
            kept = rows[here].sum(axis=0)
        gains, before = rows[order == level] @ d, rows[order == level] @ kept
        room = 1e-7 * lengths[order == level] * (np.linalg.norm(d) + np.linalg.norm(kept))
        assert (gains >= before - room - 1e-9).all()


@given(case=cases(largest=9))
def test_weights_are_at_least_those_of_the_plain_sum(case):
    levels, rows = case
    rows = torch.as_tensor(rows)
    assert (balancer(levels)(rows @ rows.T) >= 1 - 1e-9).all()


@given(rows=jacobians(("plain", "conflicting", "uneven"), smallest=2, largest=2))
def test_with_two_tasks_it_is_pcgrad_for_the_lower_one(rows):
    gramian = torch.as_tensor(rows @ rows.T)
    both = PCGrad(names(2))(gramian)
    assert_close(balancer(["high", "low"])(gramian), torch.stack([both[0], torch.ones(())]))


@given(case=cases(largest=5), weight=st.floats(0.1, 10))
def test_a_task_weight_scales_the_gradient(case, weight):
    levels, rows = case
    weighted, scaled = balancer(levels), rows.copy()
    weighted.set_weight("t0", weight)
    scaled[0] *= weight
    size = float(np.abs(scaled).max())
    assert_close(
        direction(weighted, rows), direction(balancer(levels), scaled), rtol=1e-6, atol=1e-7 * size
    )


def test_absent_tasks_leave_the_levels_of_the_others_as_they_are():
    rows = torch.tensor([[1.0, 0.0], [-1.0, 1.0]]).double()
    found = balancer(["normal", "high", "low"])
    weights = found(rows @ rows.T, None, torch.tensor([0, 2]))
    assert_close(weights @ rows, torch.tensor([1.0, 1.0]).double())
    assert_close(found(rows @ rows.T, None, torch.tensor([0, 1]))[0], torch.tensor(1.0).double())


@pytest.mark.parametrize(
    ("priorities", "levels"),
    [
        (["b", "a", "c"], [1, 2, 0]),
        ([["a", "c"], "b"], [1, 0, 1]),
        ({"b": "high"}, [1, 2, 1]),
        ({"a": "critical", "c": "low"}, [3, 1, 0]),
        (None, [2, 1, 0]),
    ],
)
def test_priorities_are_named_or_listed(priorities, levels):
    assert PCD(["a", "b", "c"], priorities=priorities).levels == levels


def test_priorities_are_filled_in_from_the_tasks():
    tasks = [Regression("a"), Regression("b", main=True), Regression("c")]
    assert create("pcd", tasks).levels == [1, 2, 1]
    assert create("pcd", tasks, priorities=["a", "b", "c"]).levels == [2, 1, 0]
    tasks[2] = Regression("c", priority="critical")
    assert create("pcd", tasks).levels == [1, 1, 3]
    with pytest.raises(InputError, match="priorities: found some here and a priority of task 'c'"):
        create("pcd", tasks, priorities=["a", "b", "c"])


@pytest.mark.parametrize(
    ("priorities", "message"),
    [
        ({"a": "high", "b": "high"}, "one priority for all tasks"),
        ([["a", "b"]], "one priority for all tasks"),
        (["a"], "no value for b"),
        (["a", "b", "a"], "'a' twice"),
        (["a", "z"], "'z', which is not a task"),
        ({"z": "high"}, "'z', which is not a task"),
        ({"a": "urgent"}, "expected"),
        ("ab", "expected"),
    ],
)
def test_wrong_priorities_are_a_clear_error(priorities, message):
    with pytest.raises(InputError, match=rf"priorities.*{message}"):
        PCD(["a", "b"], priorities=priorities)
