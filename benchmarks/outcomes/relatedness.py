"""Does it help to let tasks choose what they share, and does that depend on how related they are?

Two regressions on 100 numbers x ~ N(0, I), after Ma et al. (KDD 2018): y_k = t + sum_i sin(a_i t +
b_i) + N(0, .01), i to 10, where t = w_k'x. The unit vectors w_1 and w_2 are at a cosine that is the
*relatedness*; a, b ~ N(0, 1) are the same for both tasks. At 1 they differ only in the noise.

All sharing schemes have about the same number of parameters: experts are one layer (PLE: two) on x,
a head has one hidden layer of 8. AdamW; a learning rate that decays to 0, from the same two for
all: the one with the best mean R2 on the validation rows. These choose the epoch, too; the test
rows are used once, by the selected run.

    python benchmarks/outcomes/relatedness.py [--quick] [--seeds 5] [--rows 20000]
        [--relatedness 0 1]

The number of steps does not depend on the rows. Prints the share of unexplained variance, 1 - R2 on
test rows, mean of both tasks and of seeds; how much more that is than with `hard` on the same data,
with a 95 % interval (Student's t); each seed.
"""

import argparse
import math
import statistics

import torch
from torch import nn

import motet
from motet.analysis import interval

TASKS = ("one", "two")
RATES = (1e-2, 3e-2)
BATCH, STEPS = 128, 625
METHODS = {  # sharing scheme, widths of the encoder's layers, options
    "hard": ("hard", [126], {}),
    "apart": ("hard", [68], {"groups": [["one"], ["two"]]}),
    "mmoe": ("mmoe", [16], {"experts": 8}),
    "cgc": ("cgc", [16], {"experts": 4, "task_experts": 2}),
    "ple": ("ple", [13, 13], {"experts": 4, "task_experts": 2}),
}


class Inputs(nn.Identity):
    """The first stage, the input of experts and gates: x itself."""

    width = 100


def parts(relatedness, seed, rows):
    """Inputs (B, 100) and standardised targets {task: (B,)} by part."""
    generator = torch.Generator().manual_seed(seed)
    axes, _ = torch.linalg.qr(torch.randn(100, 2, generator=generator))
    across = math.sqrt(1 - relatedness**2)
    directions = axes @ torch.tensor([[1.0, relatedness], [0.0, across]])
    slopes, shifts = torch.randn(2, 10, 1, 1, generator=generator)
    x = torch.randn(sum(rows.values()), 100, generator=generator)
    t = x @ directions
    y = (
        t
        + torch.sin(slopes * t + shifts).sum(dim=0)
        + 0.1 * torch.randn(t.shape, generator=generator)
    )
    train = y[: rows["train"]]
    y = (y - train.mean(dim=0)) / train.std(dim=0)
    pieces = zip(x.split([*rows.values()]), y.split([*rows.values()]), strict=True)
    return {
        part: (inputs, dict(zip(TASKS, targets.T, strict=True)))
        for part, (inputs, targets) in zip(rows, pieces, strict=True)
    }


def network(name):
    sharing, widths, options = METHODS[name]
    layers = [Inputs()]
    for before, after in zip([100, *widths], widths, strict=False):
        layers.append(nn.Sequential(nn.Linear(before, after), nn.ReLU()))
    tasks = [motet.tasks.Regression(task, head={"hidden": [8], "dropout": 0.0}) for task in TASKS]
    return motet.MultiTaskModel(layers, tasks, sharing=motet.sharing.create(sharing, **options))


def left_over(trainer, data):
    """1 - R2, mean of both tasks."""
    report = trainer.evaluate(data)
    return 1 - statistics.fmean(report[task]["r2"] for task in TASKS)


def outcome(name, data, seed):
    """Return the test variance left unexplained by the run with the best validation R2."""
    trainers, epochs = [], max(1, STEPS * BATCH // len(data["train"][0]))
    for rate in RATES:
        torch.manual_seed(seed)
        trainer = motet.Trainer(
            network(name),
            learning_rate=rate,
            batch_size=BATCH,
            patience=None,
            seed=seed,
            device="cpu",
        )
        trainer.fit(data["train"], data["validation"], epochs=epochs)
        trainers.append(trainer)
    best = min(trainers, key=lambda trainer: left_over(trainer, data["validation"]))
    return left_over(best, data["test"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two seeds")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=20_000, help="rows to train on")
    parser.add_argument("--relatedness", type=float, nargs="+", default=[0.0, 1.0])
    options = parser.parse_args()
    torch.set_num_threads(1)
    seeds = 2 if options.quick else options.seeds
    rows = {"train": options.rows, "validation": 1000, "test": 4000}
    for name in METHODS:
        count = sum(parameter.numel() for parameter in network(name).parameters())
        print(f"{name}: {count} parameters", end="  ")
    print(f"\n\n{'relatedness':>11}  {'':8}{'unexplained':>12}{'beside hard':>22}")
    for relatedness in options.relatedness:
        data = [parts(relatedness, seed, rows) for seed in range(seeds)]
        hard = None
        for name in METHODS:
            found = [outcome(name, each, seed) for seed, each in enumerate(data)]
            hard = hard or found
            more = interval([a - b for a, b in zip(found, hard, strict=True)])
            half = more.high - more.mean
            beside = "" if name == "hard" else f"{more.mean:+.4f} +- {half:.4f}"
            each = " ".join(f"{value:.3f}" for value in found)
            line = f"{relatedness:11g}  {name:8}{statistics.fmean(found):12.4f}{beside:>22}"
            print(f"{line}   {each}", flush=True)


if __name__ == "__main__":
    main()
