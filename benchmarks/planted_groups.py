"""How often groups of tasks are the planted ones, and what finding them costs.

Six tasks in two blocks: those of a block have labels of the same direction of eight numbers, plus
noise of half its standard deviation that differs between tasks; directions of different blocks are
orthogonal. First, `soft` sharing finds two groups at the end of every epoch. Prints, for each way
to compare tasks, the share of seeds in which the groups are the blocks after the first, the second
and the last epoch, and the mean similarity within and between blocks at the last. Then groups that
a finished run of hard sharing suggests, with numbers in bins (the default of so many rows) or
scaled, and how many are called sure. Last the time of a step with groups by gradients, compared
with the same training where all tasks stay one group.

    python benchmarks/planted_groups.py [--seeds 20] [--rows 1000] [--epochs 8] [--only PART]
"""

import argparse
import statistics
import tempfile
import warnings

import numpy as np
import torch
from interleaved import steps_in_turn
from planted_blocks import BLOCKS, NUMBERS, TASKS, planted, split, table, trainer

import motet
from motet.data.arrays import ArrayData

WAYS = ("gradients", "performance", "data")


def found(seed, kind, by, rows, epochs):
    """Train once; return the part of each epoch's record that has the groups."""
    one = trainer(
        {"by": by, "number": 2},
        seed=seed,
        kind=kind,
        hidden=(32, 16),
        learning_rate=1e-3,
        patience=None,
    )
    one.fit(*split(planted(seed, rows, kind)), epochs=epochs)
    return [record["groups"] for record in one.history if "groups" in record]


def rates(seeds, rows, epochs):
    within = np.array(
        [[{a, b} <= {*BLOCKS[0]} or {a, b} <= {*BLOCKS[1]} for b in TASKS] for a in TASKS]
    )
    apart = ~np.eye(len(TASKS), dtype=bool)
    print(f"{seeds} seeds, {rows:,} rows, {epochs} epochs; share of seeds with the planted groups")
    print("compared by    labels    epoch 1  epoch 2  last   within  between")
    for by in WAYS:
        for kind in ("numbers", "classes"):
            runs = [found(seed, kind, by, rows, epochs) for seed in range(seeds)]
            right = np.array([[each["groups"] == BLOCKS for each in run] for run in runs])
            last = [np.array(run[-1]["similarity"], dtype=float) for run in runs]
            same = np.mean([each[within & apart].mean() for each in last])
            other = np.mean([each[~within].mean() for each in last])
            first, second, end = right.sum(axis=0)[[0, 1, -1]]
            print(
                f"{by:14} {kind:9} {first:3}/{seeds:<4} {second:3}/{seeds:<4} {end:3}/{seeds:<4}"
                f" {same:6.2f}  {other:6.2f}",
                flush=True,
            )


def suggested(seed, rows, scaling):
    """Train once with hard sharing; return what is suggested in each of three ways."""
    numbers = {f"x{number}": {"type": "number"} | scaling for number in range(NUMBERS)}
    config = {
        "inputs": numbers,
        "tasks": dict.fromkeys(TASKS, "regression"),
        "model": {"encoder": {"type": "mlp", "hidden": [16], "dropout": 0.0}},
        "training": {
            "epochs": 6,
            "batch_size": 32,
            "optimizer": {"type": "adamw", "learning_rate": 0.01},
            "seed": seed,
            "analysis": {"every": 2},
        },
    }
    with tempfile.TemporaryDirectory() as folder:
        run = motet.train(config, data=table(seed, rows), output=f"{folder}/run")
        return {
            "affinity": run.suggest_groups(),
            "affinity, two": run.suggest_groups(2),
            "gradients, two": run.suggest_groups(2, by="gradients"),
        }


def suggestions(seeds, rows):
    print(f"{seeds} seeds, {rows:,} rows; suggested groups, and how many are called sure")
    print("numbers   by              right  of them sure  wrong  of them sure")
    for name, scaling in {"in bins": {}, "scaled": {"scaling": "standard"}}.items():
        runs = [suggested(seed, rows, scaling) for seed in range(seeds)]
        for by in runs[0]:
            found = [run[by] for run in runs]
            right = [[list(group) for group in each.groups] == BLOCKS for each in found]
            sure = [not each.unsure for each in found]
            both = sum(one and other for one, other in zip(right, sure, strict=True))
            print(
                f"{name:9} {by:15} {sum(right):5} {both:13} {seeds - sum(right):6}"
                f" {sum(sure) - both:13}",
                flush=True,
            )


def overhead(epochs):
    x, y = planted(0, 20_000, "numbers")
    data = ArrayData(x, y)
    given = {"hidden": (256, 128), "batch_size": 512, "learning_rate": 1e-3, "analysis": None}
    runs = {
        "by gradients": trainer({"by": "gradients", "number": 2}, **given),
        "one group": trainer(None, **given),
    }
    times = {name: [] for name in runs}
    warnings.filterwarnings("ignore", r"\d+ steps were made by train_step")
    for number in range(epochs):
        batches = data.epoch(512, seed=0, number=number)
        for name, _, seconds in steps_in_turn(runs, batches):
            times[name].append(seconds)
    print(f"six tasks, MLP [256, 128] each, batch 512, {torch.get_num_threads()} threads")
    medians = {name: statistics.median(each) for name, each in times.items()}
    for name, each in times.items():
        print(f"{name:12} {1000 * medians[name]:7.2f} ms a step (median of {len(each)})")
    print(f"ratio        {medians['by gradients'] / medians['one group']:7.3f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--only", choices=("while", "suggested", "overhead"))
    arguments = parser.parse_args()
    wanted = (arguments.only,) if arguments.only else ("while", "suggested", "overhead")
    if arguments.seeds and "while" in wanted:
        rates(arguments.seeds, arguments.rows, arguments.epochs)
    if arguments.seeds and "suggested" in wanted:
        suggestions(arguments.seeds, arguments.rows)
    if "overhead" in wanted:
        overhead(arguments.epochs)


if __name__ == "__main__":
    main()
