"""How often `motet.compare` is wrong, on scores and on tasks whose truth is planted.

First the statistics alone, on simulated scores of many tables: the share of tables with any false
verdict where methods do not differ (at most 5 % is promised), how often Delta_m's interval covers
its true value, and how often a true difference is found. Then the suggestion of ``--suggest``, from
simulated predictions for validation and test rows to what is said: the share of sets in which any
task is called not worse that is worse by exactly the margin, and how often a model is called not
worse that is as good as the single-task models. Then whole comparisons, from rows to verdicts and
suggestions, of two tasks each, or four in blocks:

identical   both measure one function, each is labelled in few rows of its own: sharing helps
opposed     the encoder has room for one of two functions, and takes that with less noise: sharing
            hurts the other task
unrelated   different functions, enough room and labels: sharing changes next to nothing
blocks      two pairs of tasks, of which each measures a function: the groups are the pairs

What is said of a suggested model is checked on fresh rows of the same kind.

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
from motet import writing
from motet.comparing import estimating
from motet.comparing.margins import Levels, served, tested
from motet.comparing.summary import TaskMetric, summarise
from motet.planning import local, working

KINDS = ("identical", "opposed", "unrelated", "blocks")
ROWS, LABELLED, INPUTS, FRESH = 300, 30, 20, 20_000
"""Rows of each split, training rows with a label of each task where labels are few, inputs, and
fresh rows."""
UNITS = {"identical": 1, "opposed": 1, "unrelated": 32, "blocks": 8}
"""Units of the encoder."""
METRICS = {
    "accuracy": TaskMetric("accuracy", True, 1.0),
    "rmse": TaskMetric("rmse", False, 0.0),
}
MARGINS = {"accuracy": 0.02, "rmse": 0.05}
"""Of accuracy in its unit, of the RMSE as a share of the single-task model's."""
SUGGESTIONS = [
    (metric, rows, worse, candidates)
    for metric in METRICS
    for rows, worse, candidates in [
        *((rows, 1.0, count) for rows in (300, 2000) for count in (1, 6)),
        *((rows, 0.0, 6) for rows in (300, 1000, 2000, 5000)),
    ]
]
"""Metric, rows, truth as a share of the margin, candidates."""
MARGIN = 0.05
"""Of R2, in whole comparisons."""
NOISE = {("opposed", "a"): 0.25, ("opposed", "b"): 1.0}
"""Standard deviation of the noise of labels, where it is not 0.5; that of the signal is about 1."""
LINEAR = {"activation": "tanh", "dropout": 0.0}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sets", type=int, default=2000, help="simulated sets of scores")
    parser.add_argument("--comparisons", type=int, default=20, help="whole comparisons of a kind")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--kinds", nargs="+", default=KINDS, choices=KINDS)
    options = parser.parse_args()
    for repeats in (3, 5, 10) if options.sets else ():
        print(simulated(options.sets, repeats))
    for metric, rows, worse, candidates in SUGGESTIONS if options.sets else ():
        print(suggestions(options.sets, metric, rows, worse, candidates), flush=True)
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


def suggestions(sets, metric, rows, worse, count, tasks=3):
    """Simulate suggestions whose candidates are all worse by a share of the margin, or as good."""
    random = np.random.default_rng([rows, count, int(10 * worse)])
    levels = Levels(MARGINS[metric], 0.05)
    metrics = {f"task {number}": METRICS[metric] for number in range(tasks)}
    every, said, any_served, tests = 0, 0, 0, 0
    for _ in range(sets):
        shift = worse * levels.margin
        valid, test = (predicted(random, metric, rows, tasks, count, shift) for _ in range(2))
        values = {k: [own.on(slice(None)) for own in each] for k, each in valid.items()}
        sign = 1 if METRICS[metric].higher else -1
        best = max(range(1, count + 1), key=lambda k: sign * np.mean(values[k]))
        pairs = dict(zip(metrics, zip(values[best], values[0], strict=True), strict=True))
        ours, alone = (dict(zip(metrics, test[k], strict=True)) for k in (best, 0))
        verdicts = [each.verdict for each in tested(ours, alone, metrics, levels).values()]
        every += "not worse" in verdicts
        chosen = served(pairs, metrics, levels)
        found = tested({task: ours[task] for task in chosen}, alone, metrics, levels)
        verdicts = [each.verdict for each in found.values()]
        any_served += bool(chosen)
        said += "not worse" in verdicts
        tests += verdicts.count("not worse")
    truth = "worse by the margin" if worse == 1 else "as good"
    rate = (
        f"any task called not worse in {_share(said, sets)} of sets; {_share(every, sets)} if all "
        "tasks are tested"
        if worse == 1
        else f"called not worse {_share(tests, sets * tasks)} of tasks"
    )
    return (
        f"{metric}, margin {levels.margin:g}, {rows} validation rows, {rows} test rows, "
        f"{tasks} tasks {truth}, best of {count} on validation rows: "
        f"shared in {_share(any_served, sets)}; {rate}"
    )


def predicted(random, metric, rows, tasks, count, shift):
    """Return the predictions of single-task models, by task, and of each candidate."""
    shape = (count, tasks, rows)
    if (
        metric == "accuracy"
    ):  # a candidate is wrong in a tenth of the rows that single-task has right
        right = random.random((tasks, rows)) < 0.8
        lost, gained = random.random(shape) < 0.1, random.random(shape) < 0.4 - 5 * shift
        others = np.where(right, ~lost, gained)
        found = [right, *others]
    else:  # residuals, correlated by 0.9
        own = random.normal(size=(tasks, rows))
        others = (1 + shift) * (0.9 * own + np.sqrt(0.19) * random.normal(size=shape))
        found = [own, *others]
    kind = Right if metric == "accuracy" else Residuals
    return {k: [kind(each) for each in own] for k, own in enumerate(found)}


class Right:
    """Rows that are predicted right or wrong, in place of `motet.run.scoring.Scored`."""

    units = weights = None

    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def on(self, rows):
        return self.rows[rows].mean()

    def right(self):
        return self.rows.astype(float)


class Residuals(Right):
    """The same of numbers."""

    def on(self, rows):
        return np.sqrt(np.square(self.rows[rows]).mean())


def whole_comparisons(kind, count, seeds):
    """Compare tables of one kind of planted tasks; count the verdicts on the config's model."""
    verdicts, chosen, said, wrong, groups = Counter(), Counter(), 0, 0, 0
    for number in range(count):
        with tempfile.TemporaryDirectory() as folder:
            found = compared(kind, number, seeds, Path(folder) / "compared")
            checked = checked_suggestion(found, kind, number)
        verdicts.update(each.verdict for each in found.methods["config"].tasks.values())
        shared = found.suggestion.choice.shared
        chosen[found.suggestion.choice.method if shared else "single-task models"] += 1
        said += len(checked)
        wrong += checked.count(False)
        groups += "groups" in found.ran and found.ran["groups"].what.endswith(": a, b; c, d")
    total = sum(verdicts.values())
    shares = (f"{verdict} {_share(verdicts[verdict], total)}" for verdict in sorted(verdicts))
    names = ", ".join(f"{name} {times}" for name, times in chosen.most_common())
    return (
        f"{kind}, {count} comparisons of {total // count} tasks, {seeds} seeds: "
        f"{', '.join(shares)}; suggested: {names}; {said} tasks called not worse, of which {wrong} "
        "are worse by more than the margin on fresh rows"
        + (f"; the groups are the blocks in {_share(groups, count)}" if kind == "blocks" else "")
    )


def compared(kind, number, seeds, output):
    """Compare one planted table, from its rows to the verdicts and the suggestion."""
    asked = {"seeds": seeds, "candidates": 0, "suggest": True, "margin": MARGIN}
    return motet.compare(planted_config(kind), planted(kind, number), output=output, **asked)


def checked_suggestion(found, kind, number):
    """Return for each task that is called not worse whether that is true of fresh rows."""
    table, right = planted(kind, number, fresh=True), []
    for task, test in found.suggestion.tests.items():
        if test.verdict == "not worse":
            place = list(found.metrics).index(task) + 1
            paths = found.suggestion.runs[task], f"runs/single-{place}.{task}-seed-0"
            runs = (motet.load(found.path / each) for each in paths)
            ours, alone = (run.evaluate(table, tasks=[task])[task]["r2"] for run in runs)
            right.append(ours >= alone - MARGIN)
    return right


def planted(kind, number, fresh=False):
    """Return a table of tasks whose truth is known, or fresh rows of the same kind."""
    functions = np.random.default_rng(number).normal(size=(2, INPUTS)) / np.sqrt(INPUTS)
    random = np.random.default_rng([number, fresh])
    x = random.normal(size=(FRESH if fresh else 3 * ROWS, INPUTS))
    one, other = (x @ each for each in functions)
    signals = {"a": one, "b": one if kind in ("identical", "blocks") else other}
    if kind == "blocks":
        signals |= {"c": other, "d": other}
    table = {f"x{place}": x[:, place] for place in range(INPUTS)}
    for task, values in signals.items():
        table[task] = values + NOISE.get((kind, task), 0.5) * random.normal(size=len(values))
    if not fresh:
        table["part"] = np.repeat(["train", "validation", "test"], ROWS)
        if kind == "identical":
            table["a"][LABELLED:ROWS] = np.nan
            table["b"][: ROWS - LABELLED] = np.nan
    return table


def planted_config(kind):
    """Return the config for a planted table."""
    return {
        "data": {"split": {"column": "part"}},
        "tasks": dict.fromkeys("abcd" if kind == "blocks" else "ab", "regression"),
        "model": {"encoder": {"type": "mlp", "hidden": [UNITS[kind]], **LINEAR}},
        "training": {
            "epochs": 30,
            "evaluate_every": {"epochs": 5},
            "batch_size": 60,
            "early_stopping": None,
            "analysis": {"every": 10, "layers": False} if kind == "blocks" else None,
            "optimizer": {"type": "adamw", "learning_rate": 2e-2},
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
    writing.sync = lambda _: None  # which no power cut needs here
    main()
