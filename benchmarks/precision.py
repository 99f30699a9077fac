"""Whether half precision trains as well as float32, with every balancer, on 8,000 rows of adult.

Trains the demo's three tasks with each balancer, precision and seed (of training and of the
validation split), and prints the mean score on 4,000 test rows: 0 is the best constant, 1 is
perfect. Noise is the standard deviation over seeds in float32, pooled over balancers; a difference
between two means of n seeds has the standard error noise * sqrt(2 / n). Also prints the processor
time of a run compared with float32, and in how many steps float16 overflowed. It runs on the GPU if
there is one.

    python benchmarks/precision.py [--seeds 3] [--epochs 4] [--balancers equal,upgrad]
"""

import argparse
import math
import statistics
import tempfile
from pathlib import Path
from time import process_time

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
import yaml

import motet
from motet.datasets import DEMO, adult
from motet.registry import BALANCERS
from motet.training.checkpoint import read_checkpoint

PRECISIONS = ("float32", "bfloat16", "float16")
OPTIONS = {"manual": {"weights": {"income": 1.0, "never_married": 2.0, "hours_per_week": 1.0}}}


def rows():
    """8,000 rows to train and validate on, and 4,000 to test on."""
    table = pq.read_table(adult())
    parts = [
        table.filter(pc.equal(table["split"], split)).slice(0, count)
        for split, count in (("train", 8000), ("test", 4000))
    ]
    return pa.concat_tables(parts)


def trained(data, balancer, precision, seed, epochs, path):
    """Return the test score, the processor time, and the steps in which float16 overflowed."""
    config = {
        "data": {"split": {"column": "split", "seed": seed}},
        "tasks": yaml.safe_load(DEMO.read_text())["tasks"],
        "balancing": {"type": balancer, **OPTIONS.get(balancer, {})},
        "training": {"precision": precision, "seed": seed, "epochs": epochs, "batch_size": 256},
    }
    started = process_time()
    run = motet.train(config, data, output=path)
    seconds = process_time() - started
    newest = max((path / "checkpoints" / "last").iterdir())
    progress = read_checkpoint(newest)[1]["progress"]
    return run.evaluate(data, split="test")["score"], seconds, progress["overflowed"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--balancers", default=",".join(BALANCERS))
    chosen = parser.parse_args()
    names, count, data = chosen.balancers.split(","), chosen.seeds, rows()
    gpu = torch.cuda.is_available()
    print(torch.cuda.get_device_name() if gpu else f"CPU, {torch.get_num_threads()} threads")
    trained(data, "equal", "bfloat16", 0, 1, Path(tempfile.mkdtemp()) / "warm-up")
    print(f"{'test score':15}" + "".join(f"{p:>10}" for p in PRECISIONS) + "   overflows")
    found = {}
    for name in names:
        overflows = 0
        for precision in PRECISIONS:
            with tempfile.TemporaryDirectory() as folder:
                results = [
                    trained(data, name, precision, seed, chosen.epochs, Path(folder) / str(seed))
                    for seed in range(count)
                ]
            scores, seconds, skipped = zip(*results, strict=True)
            found[name, precision] = scores, statistics.mean(seconds)
            overflows += sum(skipped)
        means = [statistics.mean(found[name, precision][0]) for precision in PRECISIONS]
        print(
            f"{name:15}" + "".join(f"{mean:10.4f}" for mean in means) + f"{overflows:12}",
            flush=True,
        )
    noise = math.sqrt(statistics.mean(statistics.variance(found[n, "float32"][0]) for n in names))
    error = noise * math.sqrt(2 / count)
    print(f"\nnoise: {noise:.4f} between seeds in float32; of a difference, {error:.4f}")
    for precision in PRECISIONS[1:]:
        found_by_name = {
            name: statistics.mean(found[name, precision][0])
            - statistics.mean(found[name, "float32"][0])
            for name in names
        }
        worst = max(names, key=lambda name: abs(found_by_name[name]))
        times = [found[n, precision][1] / found[n, "float32"][1] for n in names]
        print(
            f"{precision}: mean difference {statistics.mean(found_by_name.values()):+.4f}, largest "
            f"{found_by_name[worst]:+.4f} ({worst}, {found_by_name[worst] / error:+.1f} standard "
            f"errors); {statistics.median(times):.2f} times the processor time of float32"
        )


if __name__ == "__main__":
    main()
