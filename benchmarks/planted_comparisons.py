"""How often `motet.compare` is wrong, on scores and on tasks whose truth is planted.

First the statistics alone, on simulated scores of many tables: the share of tables with any false
verdict where methods do not differ (at most 5 % is promised), how often Delta_m's interval covers
its true value, and how often a true difference is found. Then whole comparisons, from rows to
verdicts, of two tasks each:

identical   both measure one function, each is labelled in few rows of its own: sharing helps
opposed     the encoder has room for one of the two functions: sharing hurts
unrelated   different functions, enough room and labels: sharing changes next to nothing

Every share is printed with its 95 % interval (Wilson). Run it as
`python benchmarks/planted_comparisons.py`, or with `--comparisons 0` for the statistics alone.
"""

import argparse
import tempfile
from collections import Counter
from math import sqrt
from pathlib import Path

import numpy as np
import torch

import motet
from motet.comparing import estimating
from motet.comparing.summary import TaskMetric, summarise
from motet.planning import local, working

KINDS = ("identical", "opposed", "unrelated")
ROWS, LABELLED, INPUTS = 300, 30, 20
"""Rows of each split, training rows with a label of each task where labels are few, inputs."""
UNITS = {"identical": 1, "opposed": 1, "unrelated": 32}
"""Units of the encoder."""
LINEAR = {"activation": "tanh", "dropout": 0.0}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sets", type=int, default=2000, help="simulated sets of scores")
    parser.add_argument("--comparisons", type=int, default=20, help="whole comparisons of a kind")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--kinds", nargs="+", default=KINDS, choices=KINDS)
    options = parser.parse_args()
    for repeats in (3, 5, 10):
        print(simulated(options.sets, repeats))
    for kind in options.kinds if options.comparisons else ():
        print(whole_comparisons(kind, options.comparisons, options.seeds))


def simulated(sets, repeats, tasks=3, methods=3, effect=3.0):
    """Simulate scores of a baseline and other methods; one task of one method truly differs."""
    random = np.random.default_rng(repeats)
    metrics = {f"task {number}": TaskMetric("accuracy", True) for number in range(tasks)}
    false, found, wrong_sign, covered = 0, 0, 0, 0
    for _ in range(sets):
        noise = random.normal(size=(methods + 1, tasks, repeats))
        null = summarise(_scores(100 + noise, metrics), metrics, "baseline")
        false += any(v in ("helps", "hurts") for v in _verdicts(null).values())
        delta = null["method 1"].delta_m
        covered += delta.low <= 0 <= delta.high
        noise[1, 0] += effect
        verdicts = _verdicts(summarise(_scores(100 + noise, metrics), metrics, "baseline"))
        found += verdicts["method 1", "task 0"] == "helps"
        wrong_sign += verdicts["method 1", "task 0"] == "hurts"
    return (
        f"{repeats} seeds, {sets} sets of {methods} methods x {tasks} tasks: "
        f"any false verdict {_share(false, sets)}, interval of Delta_m covers "
        f"{_share(covered, sets)}, a difference of {effect:g} standard deviations found "
        f"{_share(found, sets)}, with the wrong sign {_share(wrong_sign, sets)}"
    )


def _scores(values, metrics):
    names = ["baseline", *(f"method {number}" for number in range(1, len(values)))]
    return {
        name: dict(zip(metrics, own.tolist(), strict=True))
        for name, own in zip(names, values, strict=True)
    }


def _verdicts(results):
    return {
        (method, task): found.verdict
        for method, result in results.items()
        for task, found in result.tasks.items()
    }


def whole_comparisons(kind, count, seeds):
    """Compare tables of one kind of planted tasks; count the verdicts on the config's model."""
    verdicts = Counter()
    for number in range(count):
        found = compared(kind, number, seeds)
        verdicts.update(each.verdict for each in found.methods["config"].tasks.values())
    total = sum(verdicts.values())
    shares = (f"{verdict} {_share(verdicts[verdict], total)}" for verdict in sorted(verdicts))
    return f"{kind}, {count} comparisons of 2 tasks, {seeds} seeds: {', '.join(shares)}"


def compared(kind, number, seeds):
    """Compare one planted table, from its rows to the verdicts."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "compared"
        return motet.compare(
            planted_config(kind), planted(kind, number), output=output, seeds=seeds, candidates=0
        )


def planted(kind, number):
    """Return a table of two tasks whose truth is known."""
    random = np.random.default_rng(number)
    x = random.normal(size=(3 * ROWS, INPUTS))
    one, other = random.normal(size=(2, INPUTS)) / np.sqrt(INPUTS)
    a = x @ one
    b = a if kind == "identical" else x @ other
    table = {f"x{place}": x[:, place] for place in range(INPUTS)}
    table["part"] = np.repeat(["train", "validation", "test"], ROWS)
    for task, values in (("a", a), ("b", b)):
        table[task] = values + 0.5 * random.normal(size=len(values))
    if kind == "identical":
        table["a"][LABELLED:ROWS] = np.nan
        table["b"][: ROWS - LABELLED] = np.nan
    return table


def planted_config(kind):
    """Return the config for a planted table."""
    return {
        "data": {"split": {"column": "part"}},
        "tasks": {"a": "regression", "b": "regression"},
        "model": {"encoder": {"type": "mlp", "hidden": [UNITS[kind]], **LINEAR}},
        "training": {
            "epochs": 60,
            "batch_size": 64,
            "optimizer": {"type": "adamw", "learning_rate": 1e-2},
        },
    }


def in_this_process(works, *, processes, threads, say):
    """Execute the runs of a plan here, as processes that start take longer than these runs."""
    for work in works:
        yield working.carry_out(work, 1)


def _share(count, total):
    z, p = 1.96, count / total
    middle = (p + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z / (1 + z**2 / total) * sqrt(p * (1 - p) / total + z**2 / (4 * total**2))
    return f"{p:.1%} ({max(middle - half, 0):.1%} to {min(middle + half, 1):.1%})"


if __name__ == "__main__":
    torch.set_num_threads(1)
    local.carried_out = in_this_process
    estimating.SECONDS = 0.05
    main()
