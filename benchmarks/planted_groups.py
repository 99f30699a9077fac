"""How often groups that are found while training are the planted ones, and what finding them costs.

Six tasks in two blocks: those of a block have labels of the same direction of eight numbers, plus
noise of half its standard deviation that differs between tasks; directions of different blocks are
orthogonal. `soft` sharing finds two groups at the end of every epoch. Prints, for each way to
compare tasks, the share of seeds in which the groups are the blocks after the first, the second and
the last epoch, and the mean similarity within and between blocks at the last. Then the time of a
step with groups by gradients, compared with the same training where all tasks stay one group.

    python benchmarks/planted_groups.py [--seeds 20] [--rows 1000] [--epochs 8]
"""

import argparse
import statistics
import time
import warnings

import numpy as np
import torch
from interleaved import steps_in_turn
from torch import nn

import motet
from motet.data.arrays import ArrayData

BLOCKS = [["a", "c", "e"], ["b", "d", "f"]]
TASKS = sorted(task for block in BLOCKS for task in block)
NUMBERS = 8
WAYS = ("gradients", "performance", "data")


def planted(seed, rows, kind):
    """Inputs (N, 8), and the targets of six tasks, numbers or classes."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, NUMBERS))
    directions = np.linalg.qr(random.normal(size=(NUMBERS, NUMBERS)))[0]
    targets = {}
    for block, direction in zip(BLOCKS, directions, strict=False):
        for task in block:
            y = x @ direction + 0.5 * random.normal(size=rows)
            targets[task] = torch.tensor(y).float() if kind == "numbers" else torch.tensor(y > 0)
    return torch.tensor(x).float(), {task: each * 1 for task, each in sorted(targets.items())}


def trainer_of(seed, kind, groups, hidden=(32, 16), **options):
    torch.manual_seed(seed)
    layers = []
    for before, after in zip((NUMBERS, *hidden), hidden, strict=False):
        layers += [nn.Linear(before, after), nn.ReLU()]
    make = {
        "numbers": motet.tasks.Regression,
        "classes": lambda name: motet.tasks.Classification(name, classes=2),
    }[kind]
    sharing = motet.sharing.create("soft", groups=groups)
    model = motet.MultiTaskModel(nn.Sequential(*layers), list(map(make, TASKS)), sharing=sharing)
    return motet.Trainer(model, learning_rate=1e-3, seed=seed, device="cpu", **options)


def found(seed, kind, by, rows, epochs):
    """Train once; return the part of each epoch's record that has the groups."""
    x, y = planted(seed, rows, kind)
    cut = rows * 3 // 4
    trainer = trainer_of(seed, kind, {"by": by, "number": 2}, batch_size=32, patience=None)
    training, held_out = (
        (x[part], {task: each[part] for task, each in y.items()})
        for part in (slice(None, cut), slice(cut, None))
    )
    trainer.fit(training, held_out, epochs=epochs)
    return [record["groups"] for record in trainer.history if "groups" in record]


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


def overhead(epochs):
    x, y = planted(0, 20_000, "numbers")
    data = ArrayData(x, y)
    given = {"hidden": (256, 128), "batch_size": 512, "analysis": None}
    runs = {
        "by gradients": trainer_of(0, "numbers", {"by": "gradients", "number": 2}, **given),
        "one group": trainer_of(0, "numbers", None, **given),
    }
    times = {name: [] for name in runs}
    clock = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter
    warnings.filterwarnings("ignore", r"\d+ steps were made by train_step")
    for number in range(epochs):
        batches = data.epoch(512, seed=0, number=number)
        for name, _, seconds in steps_in_turn(runs, batches, clock):
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
    arguments = parser.parse_args()
    if arguments.seeds:
        rates(arguments.seeds, arguments.rows, arguments.epochs)
    overhead(arguments.epochs)


if __name__ == "__main__":
    main()
