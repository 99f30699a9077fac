"""Time the T x T solvers, with residuals, compared with general solvers where they are installed.

    python benchmarks/solvers.py            needs the `bench` extra for the comparison

Medians over random gradients of which some conflict; one process, one BLAS thread. Both sides
solve the same problems in the same run, and both residuals are computed here, in the same way. A
second table has cone projections of dependent gradients, by the number of parameters P.
"""

import os

os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")

import importlib.util
import statistics
import time
import warnings

import numpy as np
import torch

from motet.balancing.conflict_free import common_angle
from motet.balancing.gradvac import vaccinate
from motet.balancing.imtl_g import equal_projections
from motet.balancing.pcgrad import project_conflicts, random_orders
from motet.balancing.solvers import (
    aligned,
    conflict_averse,
    fair_weights,
    min_norm_point,
    project_on_dual_cone,
)

COUNTS = (2, 4, 8, 16, 32)
PROBLEMS = 15


def problems(count):
    rng = np.random.default_rng(count)
    for _ in range(PROBLEMS):
        rows = rng.normal(size=(count, 1000)) * 10 ** rng.uniform(-1, 1, size=(count, 1))
        rows -= 0.5 * rows.mean(axis=0)
        yield rows


# Residuals, from w and J alone -----------------------------------------------------------------


def cosines_with(rows, d):
    return rows @ d / (np.linalg.norm(rows, axis=1) * max(np.linalg.norm(d), 1e-300))


def off_min_norm(rows, w):
    d, lengths = w @ rows, np.linalg.norm(rows, axis=1)
    return max((d @ d - rows @ d).max() / (lengths.min() * np.linalg.norm(d)), -w.min(), 0.0)


def off_cone(rows, v):
    worst = 0.0
    for u, weights in zip(np.eye(len(rows)) / len(rows), np.atleast_2d(v), strict=False):
        u = np.full(len(rows), 1 / len(rows)) if np.ndim(v) == 1 else u
        d, x = weights @ rows, weights - u
        slack = abs(x @ rows @ d) / (u @ rows @ (u @ rows))
        worst = max(worst, -cosines_with(rows, d).min(), -x.min(), slack)
    return worst


def off_fair(rows, w, alpha=1.0):
    return np.abs((rows @ (w @ rows)) * w ** (1 / alpha) - 1).max()


# Peers -----------------------------------------------------------------------------------------


def scipy_min_norm(gramian):
    from scipy.optimize import nnls

    values, vectors = np.linalg.eigh(gramian)
    root = np.sqrt(np.maximum(values, 0))[:, None] * vectors.T
    size = np.sqrt(gramian.diagonal().min())
    system = np.vstack([root, np.full(len(gramian), size)])
    w, _ = nnls(system, np.append(np.zeros(len(gramian)), size))
    return w / w.sum()


def quadprog_cone(gramian, combinations):
    import quadprog

    scale = np.trace(gramian)
    regular = gramian / scale + 1e-12 * np.eye(len(gramian))
    zero, identity = np.zeros(len(gramian)), np.eye(len(gramian))
    found = [quadprog.solve_qp(regular, zero, identity, u)[0] for u in np.atleast_2d(combinations)]
    return np.array(found) if np.ndim(combinations) == 2 else found[0]


def cvxpy_nash(gramian):
    import cvxpy

    count, scale = len(gramian), np.trace(gramian) / len(gramian)
    w = cvxpy.Variable(count, pos=True)
    psd = cvxpy.psd_wrap(gramian / scale)
    goal = cvxpy.Minimize(0.5 * cvxpy.quad_form(w, psd) - cvxpy.sum(cvxpy.log(w)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cvxpy.Problem(goal).solve(solver="CLARABEL")
    return w.value / np.sqrt(scale)


def scipy_cagrad(gramian):
    from scipy.optimize import minimize

    count, scale = len(gramian), gramian.max()
    b, radius = gramian.mean(axis=1) / scale, 0.4 * np.sqrt(gramian.mean() / scale)
    found = minimize(
        lambda w: w @ b + radius * np.sqrt(w @ gramian @ w / scale),
        np.full(count, 1 / count),
        bounds=[(0, 1)] * count,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        options={"ftol": 1e-11},
    )
    length = np.sqrt(found.x @ gramian @ found.x / scale)
    return 1 / count + radius * found.x / length


def off_cagrad(rows, weights):
    count = len(rows)
    d, lengths = weights @ rows, np.linalg.norm(rows, axis=1)
    w = (weights - 1 / count) / (weights - 1 / count).sum()
    gains = rows @ d
    return max((w @ gains - gains).max() / (lengths.mean() * np.linalg.norm(d)), -w.min(), 0.0)


# The table -------------------------------------------------------------------------------------


def milliseconds(function, *arguments):
    """Return the minimum of three runs, processor time: other processes do not count."""
    function(*arguments)
    times = []
    for _ in range(3):
        start = time.thread_time()
        function(*arguments)
        times.append(time.thread_time() - start)
    return 1e3 * min(times)


def measure(count, ours, residual, peer):
    own, other, off_own, off_other = [], [], [0.0], [0.0]
    for rows in problems(count):
        gramian = rows @ rows.T
        own.append(milliseconds(ours, gramian))
        if residual:
            off_own.append(residual(rows, ours(gramian)))
        if peer:
            other.append(milliseconds(peer, gramian))
            off_other.append(residual(rows, peer(gramian)))
    cells = [f"{statistics.median(own):8.3f}", f"{max(off_own):9.0e}" if residual else " " * 9]
    if peer:
        ratio = statistics.median(other) / statistics.median(own)
        cells += [f"{statistics.median(other):9.3f}", f"{max(off_other):9.0e}", f"{ratio:7.1f}x"]
    return " ".join(cells)


def orders(count):
    return random_orders(0, count, torch.arange(count))


def each(gramian):
    return np.eye(len(gramian)) / len(gramian)


def mean(gramian):
    return np.full(len(gramian), 1 / len(gramian))


METHODS = [
    ("mgda", lambda g: min_norm_point(g).weights, off_min_norm, "scipy", scipy_min_norm),
    (
        "upgrad",
        lambda g: project_on_dual_cone(g, each(g)).weights,
        off_cone,
        "quadprog",
        lambda g: quadprog_cone(g, each(g)),
    ),
    (
        "dualproj",
        lambda g: project_on_dual_cone(g, mean(g)[None]).weights[0],
        off_cone,
        "quadprog",
        lambda g: quadprog_cone(g, mean(g)),
    ),
    ("nash", lambda g: fair_weights(g).weights, off_fair, "cvxpy", cvxpy_nash),
    (
        "fairgrad 2",
        lambda g: fair_weights(g, 2.0).weights,
        lambda j, w: off_fair(j, w, 2.0),
        "",
        None,
    ),
    ("cagrad", lambda g: conflict_averse(g, 0.4).weights, off_cagrad, "scipy", scipy_cagrad),
    ("aligned", lambda g: aligned(g, mean(g)).weights, None, "", None),
    ("imtl_g", lambda g: equal_projections(g, 1e-14)[0], None, "", None),
    ("conflict_free", lambda g: common_angle(g, np.ones(len(g)), 1e-14)[0], None, "", None),
    ("pcgrad", lambda g: project_conflicts(g, orders(len(g))), None, "", None),
    ("gradvac", lambda g: vaccinate(g, np.zeros_like(g), orders(len(g)), 0.01), None, "", None),
]


def dependent(count, parameters, copies):
    for seed in range(PROBLEMS):
        rows = np.random.default_rng(seed).normal(size=(count // copies, parameters))
        yield np.tile(rows, (copies, 1))


KINDS = [
    ("independent", lambda count: dependent(count, 2 * count, 1)),
    ("P = T - 2", lambda count: dependent(count, count - 2, 1)),
    ("P = T / 2", lambda count: dependent(count, count // 2, 1)),
    ("P = T / 3", lambda count: dependent(count, count // 3, 1)),
    ("P = 4", lambda count: dependent(count, 4, 1)),
    ("each twice", lambda count: dependent(count, 2 * count, 2)),
]


def cones():
    print("{:10}{:>3}  {:13}{:>8} {:>9} {:>9}".format("", "T", "", "ms", "worst ms", "gain"))
    for name, solve in [("upgrad", METHODS[1][1]), ("dualproj", METHODS[2][1])]:
        for kind, rows_of in KINDS:
            for count in (32, 64):
                times, harm = [], 0.0
                for rows in rows_of(count):
                    gramian = rows @ rows.T
                    times.append(milliseconds(solve, gramian))
                    gains = count * np.atleast_2d(solve(gramian)) @ gramian
                    lengths = np.linalg.norm(rows, axis=1)
                    harm = min(harm, (gains / lengths.max() / lengths).min())
                middle = statistics.median(times)
                print(f"{name:10}{count:3d}  {kind:13}{middle:8.3f} {max(times):9.3f} {harm:9.0e}")


def figures(quick):
    for name, solve, *_ in METHODS:
        times = [milliseconds(solve, rows @ rows.T) for rows in problems(32)]
        yield f"{name}, T = 32: milliseconds", statistics.median(times), 0.5


def main():
    missing = {
        name for name in ("scipy", "quadprog", "cvxpy") if not importlib.util.find_spec(name)
    }
    for name in sorted(missing):
        print(f"without {name}, which is not installed: pip install 'motet[bench]'")
    header = ("method", "T", "ms", "residual", "peer ms", "residual", "ratio")
    print("{:14}{:>3} {:>8} {:>9} {:>9} {:>9} {:>8}".format(*header))
    for name, ours, residual, peer_name, peer in METHODS:
        for count in COUNTS:
            usable = peer if peer_name not in missing else None
            shown = f"  {peer_name}" if usable else ""
            print(
                f"{name:14}{count:3d} {measure(count, ours, residual, usable)}{shown}", flush=True
            )
    print("\nDependent gradients; the least gain of a task, relative to the longest gradient")
    cones()


if __name__ == "__main__":
    main()
