"""How to scale numbers for the table MLP: `scaling` of number inputs, on motet://adult.

Trains the demo config with each scaling and several seeds (of the validation split and of training)
and prints the mean of the best epoch's metrics on the *validation* set. The test set is not used.

    python benchmarks/number_scaling.py [--seeds 3]
"""

import argparse
import statistics
import tempfile
from pathlib import Path

import motet
from motet.datasets import DEMO

NUMBERS = ("age", "education_num", "capital_gain", "capital_loss")
CATEGORIES = ("workclass", "education", "occupation", "race", "sex", "native_country")
SHOWN = (("income", "auroc"), ("never_married", "auroc"), ("hours_per_week", "r2"))


def best_epoch(scaling, seed, folder):
    overrides = [f"inputs.{name}.type=number" for name in NUMBERS]
    overrides += [f"inputs.{name}.scaling={scaling}" for name in NUMBERS]
    overrides += [f"inputs.{name}=category" for name in CATEGORIES]
    overrides += [f"data.split.seed={seed}", f"training.seed={seed}"]
    run = motet.train(DEMO, overrides=overrides, output=folder / f"{scaling}-{seed}")
    return [run.history.best["tasks"][task][metric] for task, metric in SHOWN]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    seeds = range(parser.parse_args().seeds)
    print(f"{'scaling':10}" + "".join(f"  {f'{task} {metric}':>20}" for task, metric in SHOWN))
    with tempfile.TemporaryDirectory() as folder:
        for scaling in ("standard", "quantile", "piecewise"):
            rows = [best_epoch(scaling, seed, Path(folder)) for seed in seeds]
            means = [statistics.mean(column) for column in zip(*rows, strict=True)]
            print(f"{scaling:10}" + "".join(f"  {mean:20.4f}" for mean in means))


if __name__ == "__main__":
    main()
