"""Each solver against optimality conditions, slow references, closed forms and known answers."""

import numpy as np
import pytest
from gradients import INDEPENDENT, KINDS, gradients, jacobians
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.optimize import minimize, nnls

from motet.balancing.solvers import (
    OK,
    aligned,
    conflict_averse,
    fair_weights,
    given_cosines,
    min_norm_point,
    project_on_dual_cone,
    project_on_simplex,
)

O = np.array([[3.0, 0.0], [0.0, 4.0]])  # noqa: E741  # the name in methods.md
C = np.array([[1.0, 0.0], [-1.0, 1.0]])
N = np.array([[1.0, 0.0, 0.0], [-1.0, 0.5, 0.0], [-0.5, -1.0, 1.0]])
SCALES = st.sampled_from([1e-8, 1e-3, 1.0, 1e8])


def cone(gramian):
    return project_on_dual_cone(gramian, np.eye(len(gramian)) / len(gramian))


SOLVERS = {
    "min_norm_point": (min_norm_point, 0),
    "dual_cone": (cone, 0),
    "conflict_averse": (lambda g: conflict_averse(g, 0.4), 0),
    "nash": (fair_weights, -1),
    "fair 0.5": (lambda g: fair_weights(g, 0.5), -2 / 3),
    "fair 2": (lambda g: fair_weights(g, 2.0), -4 / 3),
    "fair 20": (lambda g: fair_weights(g, 20.0), -40 / 21),
    "aligned": (lambda g: aligned(g, np.full(len(g), 1 / len(g))), 0),
}
"""Solver, and the degree of its weights in the gradients."""


# All of them ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SOLVERS)
@given(rows=jacobians(), scale=SCALES)
def test_weights_are_homogeneous_in_the_size_of_the_gradients(name, rows, scale):
    solve, degree = SOLVERS[name]
    one, other = solve(rows @ rows.T), solve(scale**2 * (rows @ rows.T))
    assert one.status == other.status
    expected = one.weights @ rows * (scale**degree if np.any(rows) else 1)
    size = np.abs(one.weights).sum() * np.abs(rows).max() * scale**degree
    assert_allclose(other.weights @ rows, expected, atol=1e-5 * size)


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 2, 3, 16, 33, 64])
def test_every_kind_of_gradients_is_solved_or_reported(name, kind, count):
    rows = gradients(kind, count, seed=count)
    with np.errstate(all="raise", under="ignore"):
        solution = SOLVERS[name][0](rows @ rows.T)
    assert np.isfinite(solution.weights).all()
    if kind in INDEPENDENT:
        assert solution.status == OK
    if solution.status == OK:
        assert solution.residual <= 1e-6


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_comes_out_as_nan_and_is_reported(name, value):
    gramian = np.eye(3)
    gramian[0, 1] = value
    solution = SOLVERS[name][0](gramian)
    assert np.isnan(solution.weights).any()
    assert "not finite" in solution.status


@pytest.mark.parametrize("name", SOLVERS)
@given(rows=jacobians(("plain", "agreeing", "dependent", "identical"), smallest=2))
def test_a_gramian_in_float32_is_good_enough(name, rows):
    """It may be slightly indefinite; the direction is off by no more than its rounding."""
    single = rows.astype(np.float32)
    solve, _ = SOLVERS[name]
    exact, rounded = solve(rows @ rows.T), solve((single @ single.T).astype(np.float64))
    assert np.isfinite(rounded.weights).all()
    if exact.status == rounded.status == OK and rounded.residual < 1e-6:
        worst = (rows @ (np.atleast_2d(rounded.weights).sum(axis=0) @ rows)).min()
        if name not in ("conflict_averse", "aligned"):  # which may conflict
            length = np.linalg.norm(rows, axis=1).max()
            assert worst >= -1e-2 * length**2


# Minimum-norm point --------------------------------------------------------------------------


@given(rows=jacobians())
def test_the_minimum_norm_point_meets_its_optimality_conditions(rows):
    w = min_norm_point(rows @ rows.T).weights
    d = w @ rows
    assert w.min() >= 0
    assert w.sum() == pytest.approx(1)
    lengths = np.linalg.norm(rows, axis=1)
    assert (rows @ d >= d @ d - 1e-8 * lengths * np.linalg.norm(w * lengths)).all()


@given(rows=jacobians(("plain", "agreeing", "conflicting", "dependent"), smallest=2, largest=6))
def test_the_minimum_norm_point_is_what_a_general_solver_finds(rows):
    gramian, count = rows @ rows.T, len(rows)
    found = minimize(
        lambda w: w @ gramian @ w,
        np.full(count, 1 / count),
        jac=lambda w: 2 * gramian @ w,
        bounds=[(0, 1)] * count,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": np.ones_like},
        options={"ftol": 1e-14, "maxiter": 500},
    )
    w = min_norm_point(gramian).weights
    assert w @ gramian @ w <= found.fun + 1e-9 * np.trace(gramian)
    assert_allclose(w @ rows, found.x @ rows, atol=1e-3 * np.abs(rows).max())


@given(rows=jacobians(INDEPENDENT, smallest=2, largest=2))
def test_two_gradients_have_a_closed_form(rows):
    a, b = rows
    first = np.clip((b - a) @ b / ((a - b) @ (a - b)), 0, 1)
    assert_allclose(min_norm_point(rows @ rows.T).weights, [first, 1 - first], atol=1e-8)


@pytest.mark.parametrize(
    ("rows", "weights"),
    [
        (O, [0.64, 0.36]),
        (C, [0.6, 0.4]),
        ([[1.0, 0.0], [2.0, 0.0]], [1.0, 0.0]),
        ([[1e-3, 0.0], [0.0, 1.0]], [1 - 1e-6 / (1 + 1e-6), 1e-6 / (1 + 1e-6)]),
        ([[1e-8, 0.0], [0.0, 1e8]], [1.0, 0.0]),
        ([[0.0, 0.0], [0.0, 1.0]], [1.0, 0.0]),
    ],
)
def test_known_minimum_norm_points(rows, weights):
    rows = np.array(rows)
    assert_allclose(min_norm_point(rows @ rows.T).weights, weights, rtol=1e-9, atol=1e-30)


# Dual cone -----------------------------------------------------------------------------------


@given(rows=jacobians())
def test_projections_meet_their_optimality_conditions(rows):
    u = np.eye(len(rows)) / len(rows)
    v = cone(rows @ rows.T).weights
    lengths = np.linalg.norm(rows, axis=1)
    for combination, weights in zip(u, v, strict=True):
        d, added = weights @ rows, weights - combination
        size = np.linalg.norm(combination @ rows) * lengths
        assert added.min() >= 0
        assert (rows @ d >= -1e-5 * size).all()
        assert abs(added @ rows @ d) <= 1e-5 * np.linalg.norm(combination @ rows) ** 2


@given(rows=jacobians(("plain", "agreeing", "conflicting", "dependent", "identical")))
def test_projections_are_what_nnls_finds(rows):
    """v = u + x: x ≥ 0 minimises ‖Jᵀx + Jᵀu‖ (scipy, one right-hand side at a time)."""
    u = np.vstack([np.eye(len(rows)), np.random.default_rng(0).normal(size=(2, len(rows)))])
    for combination, ours in zip(u, project_on_dual_cone(rows @ rows.T, u).weights, strict=True):
        x, _ = nnls(rows.T, -combination @ rows)
        assert_allclose(ours @ rows, (combination + x) @ rows, atol=1e-5 * np.abs(rows).max())


def test_several_combinations_are_projected_as_one_by_one():
    rows = gradients("conflicting", 12, seed=4)
    u = np.random.default_rng(0).normal(size=(7, 12))
    together = project_on_dual_cone(rows @ rows.T, u).weights
    apart = [project_on_dual_cone(rows @ rows.T, each[None]).weights[0] for each in u]
    assert_allclose(together, apart, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("count", [24, 64])
def test_more_tasks_than_parameters_are_solved_where_exchanging_faces_would_cycle(count):
    rows = np.random.default_rng(count).normal(size=(count, count // 3))
    solution = cone(rows @ rows.T)
    assert solution.residual < 1e-9


def deficient(kind, count):
    """Gradients (T, P) of less than full rank, of unit size."""
    rng = np.random.default_rng(count)
    width = {"third": count // 3, "half": count // 2, "four": 4}.get(kind, 2 * count)
    rows = rng.normal(size=(count, width))
    if kind == "twice":
        rows[count // 2 :] = rows[: count - count // 2]
    if kind == "opposed":
        rows[1] = -rows[0]
    if kind == "sum zero":
        rows -= rows.mean(axis=0)
    return rows


@pytest.mark.parametrize("kind", ["third", "half", "four", "twice", "opposed", "sum zero"])
@pytest.mark.parametrize("count", [5, 32, 64])
def test_projections_of_dependent_gradients_are_exact(kind, count):
    rows = deficient(kind, count)
    solution = cone(rows @ rows.T)
    found, lengths = count * solution.weights @ rows, np.linalg.norm(rows, axis=1)
    assert solution.status == OK
    assert solution.residual < 1e-9
    assert (found @ rows.T >= -1e-9 * lengths[:, None] * lengths).all()
    nearest = [row + nnls(rows.T, -row, maxiter=100 * count)[0] @ rows for row in rows]
    assert_allclose(found, nearest, atol=1e-8 * lengths.max())


@pytest.mark.parametrize("angle", [1e-2, 1e-3, 1e-4, 1e-5])
@pytest.mark.parametrize("count", [3, 8, 16])
def test_no_task_is_harmed_by_the_projections_of_nearly_opposed_gradients(angle, count):
    rows = np.random.default_rng(count).normal(size=(count, 2 * count))
    rows[1] = angle * rows[1] - rows[0]
    found = count * cone(rows @ rows.T).weights @ rows
    lengths = np.linalg.norm(rows, axis=1)
    assert (found @ rows.T >= -1e-9 * lengths[:, None] * lengths).all()


def test_weights_stay_moderate_where_every_projection_is_zero():
    rows = deficient("third", 32)
    weights = cone(rows @ rows.T).weights
    assert_allclose(weights @ rows, 0, atol=1e-12)
    assert weights.max() < 10


# Fairness ------------------------------------------------------------------------------------


@given(rows=jacobians(INDEPENDENT, smallest=1), alpha=st.sampled_from([0.3, 0.5, 1.0, 2.0, 5.0]))
def test_fair_weights_solve_their_equation(rows, alpha):
    solution = fair_weights(rows @ rows.T, alpha)
    w = solution.weights
    assert solution.status == OK
    gains, expected = rows @ (w @ rows), w ** (-1 / alpha)
    rounding = 1e-13 * np.abs(rows @ rows.T) @ w  # large terms may cancel in a gain
    assert (np.abs(gains - expected) <= 1e-6 * expected + rounding).all()


@pytest.mark.parametrize("alpha", [0.05, 0.3, 2.0, 10.0, 20.0, 100.0, 1000.0])
@pytest.mark.parametrize("kind", ["plain", "agreeing", "conflicting"])
@pytest.mark.parametrize("count", [2, 5, 32])
def test_fair_weights_are_found_for_every_alpha_and_very_uneven_lengths(alpha, kind, count):
    for seed in range(4):
        lengths = 10 ** np.random.default_rng(seed).uniform(-4, 4, size=count)
        rows = gradients(kind, count, seed) * lengths[:, None]
        solution = fair_weights(rows @ rows.T, alpha)
        assert solution.status == OK
        w = solution.weights
        gains, expected = (rows @ rows.T) @ w, np.exp(-np.log(np.maximum(w, 1e-300)) / alpha)
        rounding = 1e-13 * np.abs(rows @ rows.T) @ w
        known = w > 1e-290  # a smaller weight is 0 to the others
        assert (np.abs(gains - expected) <= 1e-6 * expected + rounding)[known].all()
        assert (gains >= -rounding).all()


@given(rows=jacobians(("plain", "agreeing", "conflicting"), smallest=2, largest=5))
def test_nash_is_what_a_general_solver_finds(rows):
    gramian = rows @ rows.T
    start = 1 / np.sqrt(np.diag(gramian))
    found = minimize(
        lambda y: 0.5 * np.exp(y) @ gramian @ np.exp(y) - y.sum(),
        np.log(start),
        jac=lambda y: np.exp(y) * (gramian @ np.exp(y)) - 1,
        options={"gtol": 1e-9},
    )
    assert_allclose(fair_weights(gramian).weights, np.exp(found.x), rtol=1e-4)


@given(rows=jacobians(("plain",), smallest=2, largest=2))
def test_nash_for_two_tasks_has_a_closed_form(rows):
    lengths = np.linalg.norm(rows, axis=1)
    rho = rows[0] @ rows[1] / lengths.prod()
    expected = 1 / (lengths * np.sqrt(1 + rho))
    assert_allclose(fair_weights(rows @ rows.T).weights, expected, rtol=1e-7)


def test_fairness_goes_from_the_sum_to_the_minimum_norm():
    assert_allclose(fair_weights(C @ C.T, 1e-3).weights, 1, rtol=1e-2)
    d = fair_weights(C @ C.T, 2000.0).weights @ C
    assert_allclose(d / np.linalg.norm(d), np.array([1, 2]) / np.sqrt(5), rtol=1e-3)
    assert_allclose(fair_weights(O @ O.T, 2.0).weights, [0.231120, 0.157490], atol=5e-7)
    for alpha in (0.5, 1.0, 3.0):
        exponent = -2 * alpha / (1 + alpha)
        assert_allclose(fair_weights(O @ O.T, alpha).weights, [3**exponent, 4**exponent])


@pytest.mark.parametrize("alpha", [0.2, 1.0, 2.0, 10.0])
@pytest.mark.parametrize(
    "rows",
    [
        [[1.0, 0.0], [-2.0, 0.0]],
        [[1.0, 0.0], [-2.0, 0.0], [0.0, 3.0]],
        [[1.0, 0.0], [-0.5, 1.0], [-0.5, -1.0]],
        [[1e-4, 0.0], [-1e4, 0.0]],
        [[1e-15, 0.0, 0.0], [-1.0, 0.0, 0.0], [0.3, 1.0, 0.5]],
    ],
)
def test_no_common_descent_is_recognised_and_the_direction_is_zero(rows, alpha):
    rows = np.array(rows)
    solution = fair_weights(rows @ rows.T, alpha)
    assert "0 is in the convex hull" in solution.status
    assert np.linalg.norm(solution.weights @ rows) < 1e-5 * (solution.weights @ np.abs(rows)).max()


def test_nash_and_fairgrad_leave_a_gradient_of_zero_out_and_say_so():
    rows = np.vstack([O, np.zeros(2)])
    solution = fair_weights(rows @ rows.T)
    assert_allclose(solution.weights, [1 / 3, 1 / 4, 0])
    assert "its weight is 0" in solution.status
    assert "every gradient is 0" in fair_weights(np.zeros((2, 2))).status


# CAGrad --------------------------------------------------------------------------------------


@given(
    rows=jacobians(("plain", "agreeing", "conflicting", "uneven"), smallest=2, largest=5),
    c=st.sampled_from([0.1, 0.4, 0.9, 2.0]),
)
def test_cagrad_has_no_better_weights_on_the_simplex(rows, c):
    """Its dual value, at weights read off the answer, against many starts of a general solver."""
    gramian, count = rows @ rows.T, len(rows)
    scale = gramian.max()
    radius = c * np.sqrt(gramian.mean() / scale)

    def dual(w):
        return w @ gramian.mean(axis=1) / scale + radius * np.sqrt(w @ gramian @ w / scale)

    best = min(
        minimize(
            dual,
            start,
            bounds=[(0, 1)] * count,
            constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
            options={"ftol": 1e-13, "maxiter": 300},
        ).fun
        for start in np.vstack(
            [np.full(count, 1 / count), np.random.default_rng(0).dirichlet(np.ones(count), 3)]
        )
    )
    total = conflict_averse(gramian, c).weights
    w = (total - 1 / count) / (total - 1 / count).sum()
    assert w.min() >= -1e-9
    assert dual(w) <= best + 1e-7 * (np.sqrt(gramian.mean() / scale))


def nearest_with_gain(rows, point, gain):
    """The d nearest to a point with g_k·d ≥ gain for every k, by least distance programming."""
    system = np.vstack([rows.T, gain - rows @ point])
    u, _ = nnls(system, np.eye(len(system))[-1], maxiter=10_000)
    missing = system @ u - np.eye(len(system))[-1]
    if np.linalg.norm(missing) < 1e-9 or missing[-1] >= 0:
        return None
    return point - missing[:-1] / missing[-1]


def greatest_gain(rows, c):
    """max min_k g_k·d over ‖d - g₀‖ ≤ c‖g₀‖, by bisection; rows of size 1."""
    mean = rows.mean(axis=0)
    radius = c * np.linalg.norm(mean)
    low, high = (rows @ mean).min(), (rows @ mean + radius * np.linalg.norm(rows, axis=1)).min()
    for _ in range(60):
        middle = (low + high) / 2
        d = nearest_with_gain(rows, mean, middle)
        inside = d is not None and np.linalg.norm(d - mean) <= radius * (1 + 1e-12)
        low, high = (middle, high) if inside else (low, middle)
    return low


@given(
    rows=jacobians(KINDS, smallest=1, largest=8),
    c=st.sampled_from([0.1, 0.4, 0.9, 1.0, 1.5, 3.0]),
    scale=SCALES,
)
def test_no_direction_of_its_ball_is_better_for_the_worst_off_than_that_of_cagrad(rows, c, scale):
    size = max(np.linalg.norm(rows, axis=1).max(), 1e-300)
    rows = rows / size
    solution = conflict_averse(scale**2 * (rows @ rows.T), c)
    assert solution.status == OK
    d, mean = solution.weights @ rows, rows.mean(axis=0)
    slack = 1e-6 * max((1 + c) * np.linalg.norm(mean), 1e-3)
    assert (rows @ d).min() >= greatest_gain(rows, c) - slack
    assert np.linalg.norm(d - mean) <= c * np.linalg.norm(mean) + slack


@pytest.mark.parametrize("c", [0.4, 0.9, 1.0, 3.0])
def test_cagrad_harms_nobody_that_it_need_not_if_a_gradient_is_zero(c):
    rows = np.array([[0.0, 0.0], [-2.0, -2.0], [1.0, 2.0]])
    solution = conflict_averse(rows @ rows.T, c)
    assert solution.status == OK
    assert (rows @ (solution.weights @ rows)).min() == pytest.approx(
        min(greatest_gain(rows, c), 0.0), abs=1e-9
    )


@given(rows=jacobians(KINDS, smallest=1), c=st.sampled_from([0.0, 0.1, 0.5, 0.9, 2.0, 100.0]))
def test_cagrad_stays_in_its_ball(rows, c):
    mean = rows.mean(axis=0)
    d = conflict_averse(rows @ rows.T, c).weights @ rows
    slack = 1e-5 * (np.linalg.norm(mean) + 1e-3 * np.linalg.norm(rows, axis=1).mean())
    assert np.linalg.norm(d - mean) <= c * np.linalg.norm(mean) + slack * max(1, c)


def test_known_answers_of_cagrad():
    same = np.array([[1.0, 1.0], [1.0, -1.0]])  # S
    assert_allclose(conflict_averse(same @ same.T, 0.4).weights @ same, [1.4, 0], atol=1e-9)
    t = (24 + np.sqrt(107.25)) / 50
    assert t == pytest.approx(0.687123, abs=5e-7)
    assert_allclose(conflict_averse(O @ O.T, 0.5).weights @ O, [4 * t, 3 * t], rtol=1e-9)
    assert_allclose(conflict_averse(C @ C.T, 0.0).weights, 0.5)
    far = conflict_averse(C @ C.T, 1e4).weights @ C
    assert_allclose(far / np.linalg.norm(far), np.array([1, 2]) / np.sqrt(5), rtol=1e-3)
    assert (N @ (conflict_averse(N @ N.T, 0.5).weights @ N)).min() < 0  # c < 1 may conflict


def test_cagrad_projects_where_its_formula_is_undefined():
    """0 is in the hull, and the ball reaches the dual cone: max-min is 0, at the projection."""
    rows = np.array([[1.0, 0.1], [-1.0, 0.0], [0.0, 3.0]])
    rows[0] = -2 * rows[1]  # opposed
    d = conflict_averse(rows @ rows.T, 0.9).weights @ rows
    assert_allclose(d, [0, 1], atol=1e-9)


# Eigenvalues ---------------------------------------------------------------------------------


@given(rows=jacobians(INDEPENDENT, smallest=1))
def test_given_cosines_are_reached_by_independent_gradients(rows):
    targets = np.linspace(1, 2, len(rows))
    v, reached = given_cosines(rows @ rows.T, targets)
    lengths = np.linalg.norm(rows, axis=1)
    assert_allclose(rows @ ((v / lengths) @ rows) / lengths, targets, rtol=1e-6)
    assert_allclose(reached, targets, rtol=1e-6)


@given(rows=jacobians(("plain", "agreeing"), smallest=2))
def test_aligned_gradients_are_orthogonal_and_of_one_length(rows):
    weights = [aligned(rows @ rows.T, e).weights for e in np.eye(len(rows))]
    singular = np.linalg.svd(np.array(weights).T @ rows, compute_uv=False)
    assert singular.max() / singular.min() == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("scaling", ["min", "median", "rmse"])
@pytest.mark.parametrize("tiny", [1e-6, 1e-14, 1e-15, 1e-16, 1e-17, 1e-40])
@pytest.mark.parametrize("count", [2, 3, 6])
def test_aligned_is_exact_however_short_a_gradient_is(count, tiny, scaling):
    """All weights together are the one symmetric, positive matrix that makes J orthogonal."""
    rows = np.random.default_rng(count).normal(size=(count, 2 * count))
    rows[0] *= tiny
    gramian = rows @ rows.T
    solutions = [aligned(gramian, e, scaling) for e in np.eye(count)]
    assert {solution.status for solution in solutions} == {OK}
    weights = np.array([solution.weights for solution in solutions])
    assert_allclose(weights, weights.T, rtol=1e-9)
    assert (np.diag(weights) > 0).all()
    turned = weights @ rows
    turned /= np.linalg.norm(turned, axis=1).mean()
    assert_allclose(turned @ turned.T, np.eye(count), atol=1e-9)


@pytest.mark.parametrize(
    ("rows", "reported"),
    [
        ([[1.0, 2.0], [1.0, 2.0], [1.0, -1.0]], OK),
        ([[1.0, 2.0], [-1.0, -2.0]], OK),
        ([[1.0, 2.0], [1.0, 2.0], [1e-14, 0.0]], "very uneven length"),
        ([[1.0, 0.0], [1.0, 3e-7]], "as far as rounding"),
        ([[1.0, 0.0], [0.0, 0.0]], "a gradient is 0: its weight is 0"),
        ([[0.0, 0.0], [0.0, 0.0]], "every gradient is 0"),
    ],
)
def test_aligned_reports_where_its_rank_is_that_of_rounding(rows, reported):
    rows = np.array(rows)
    solution = aligned(rows @ rows.T, np.full(len(rows), 1 / len(rows)), tolerance=1e-14)
    assert reported in solution.status
    assert np.isfinite(solution.weights).all()


def test_aligned_ignores_directions_that_are_only_rounding():
    rows = np.array([[1.0, 2.0, 2.0], [1.0, 2.0, 2.0], [0.1, 0.0, 0.0]])
    weights = aligned(rows @ rows.T, np.ones(3), tolerance=1e-12).weights
    assert np.linalg.norm(weights @ rows) > 0.1


@pytest.mark.parametrize(
    ("scaling", "length"), [("min", 3), ("median", 4), ("rmse", np.sqrt(74 / 3))]
)
def test_the_common_length_of_aligned_gradients(scaling, length):
    gramian = np.diag([9.0, 16.0, 49.0])
    assert_allclose(aligned(gramian, np.ones(3), scaling).weights, length / np.array([3, 4, 7]))


# The simplex ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("point", "nearest"),
    [
        ([0.6, 0.6], [0.5, 0.5]),
        ([2.0, 0.0], [1.0, 0.0]),
        ([0.5, 0.2, -0.1], [0.63333333, 0.33333333, 0.03333333]),
        ([7.0], [1.0]),
    ],
)
def test_known_projections_on_the_simplex(point, nearest):
    assert_allclose(project_on_simplex(np.array(point)), nearest, atol=1e-8)


@given(point=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=12).map(np.array))
def test_a_projection_is_the_nearest_point_of_the_simplex(point):
    """No corner lies on the far side of the plane through the projection: (v - w)·(e - w) ≤ 0."""
    w = project_on_simplex(point)
    assert w.min() >= 0
    assert w.sum() == pytest.approx(1)
    away = point - w
    assert (away - away @ w).max() <= 1e-9 * max(1.0, np.abs(point).max())


def test_a_projection_passes_on_what_is_not_finite():
    assert np.isnan(project_on_simplex(np.array([1.0, np.inf]))).all()
