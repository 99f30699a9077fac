"""`motet compare` on real data: does sharing help, which method, and is the suggestion not worse?

Compares single-task models with the default model of each set: four balancers, one more sharing
scheme, a tuned weighted sum of losses and distillation; then suggests a model for each task and
tests it. Prints the table of every comparison. The sets:

adult                 census, three tasks; all rows
enb, jura, scpf, wq   tables of the folder multi_target: 2, 3, 3 and 14 numbers
clothing              3,000 reviews of the training rows, on kept states of a frozen encoder
snips                 1,000 sentences of the training rows, intent and slots

A comparison that was stopped continues from its folder in ``--output``.

    OMP_NUM_THREADS=1 python benchmarks/comparisons.py [--sets enb jura] [--seeds 3] [--minutes 20]
        [--data ../shared/data] [--folder MODEL] [--output runs/comparisons] [key=value ...]
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from defaults import load

import motet

SETS = ("adult", "enb", "jura", "scpf", "wq", "clothing", "snips")
BALANCERS = ("uncertainty", "famo", "pcgrad", "upgrad")
SCHEMES = {"clothing": {"type": "mmoe", "expert_width": 128}, "snips": "soft"}
"""In place of `mmoe`: experts after the encoder, as it has one stage; one that carries words."""
FEW = {"clothing": 3000, "snips": 1000}
"""Training rows, where not all."""


def rows_of(problem, few):
    """Return all rows of a set; ``split`` says which are for what."""
    rows = pd.concat([problem.seen, problem.held.assign(split="test")], ignore_index=True)
    train = rows.index[rows.split == "train"].to_numpy()
    kept = np.random.default_rng(0).permutation(train)[:few]
    return rows[(rows.split != "train") | rows.index.isin(kept)]


def config_of(name, problem, folder):
    """Return the config: the defaults, and a frozen encoder for the reviews."""
    config = problem.config(0, {})
    del config["training"]["seed"]
    if name == "clothing":
        encoder = {"type": "pretrained", "path": str(folder)}
        config["inputs"]["text"] |= {"tokenizer": str(folder), "encoder": encoder}
        config["training"]["freeze"] = ["pretrained"]
    if name == "adult":  # rare classes: as the defaults were chosen
        for task in ("income", "never_married"):
            config["tasks"][task]["metrics"] = ["auroc", "accuracy"]
    return config


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", default=SETS, choices=SETS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--minutes", type=float, help="budget of each comparison")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--folder", type=Path, help="folder of the model that reads reviews")
    parser.add_argument("--output", type=Path, default=Path("runs/comparisons"))
    parser.add_argument("overrides", nargs="*")
    options = parser.parse_args()
    if "clothing" in options.sets and options.folder is None:
        parser.error("--folder: name the folder of the model that reads reviews")
    for name in options.sets:
        problem = load(name, options.data, "test", 0)
        print(f"\n# {name}", flush=True)
        found = motet.compare(
            config_of(name, problem, options.folder),
            rows_of(problem, FEW.get(name)),
            options.overrides,
            options.output / name,
            balancers=BALANCERS,
            sharing=[SCHEMES.get(name, "mmoe")],
            seeds=options.seeds,
            minutes=options.minutes,
            suggest=True,
            say=lambda line: print(line, flush=True),
        )
        print("", *found.lines(), sep="\n", flush=True)


if __name__ == "__main__":  # each process of a plan reads this file
    main()
