"""Whole runs on adult with motet, and with Ludwig where it is installed: seconds and test metrics.

    python benchmarks/whole_runs.py [--ludwig PYTHON] [--epochs 5] [--seeds 3] [--threads 1]

The same rows to train, validate and test on, two tasks (income, hours per week), two hidden layers
[256, 128], batches of 512, Adam at 0.001, plain sum of the losses, no early stopping; what numbers
and categories become before the layers is each library's default. Each run is a process of its own,
in turn; its seconds are those of the processor, imports, reading and evaluation included. Metrics
are computed here from the predictions of both: accuracy and mean absolute error.

PYTHON is an interpreter of another environment, as Ludwig needs other versions of what motet uses:
``python -m venv ludwig; ludwig/bin/pip install torch==2.13.0; ludwig/bin/pip install ludwig``.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

TASKS = {"income": "category", "hours_per_week": "number"}
NUMBERS = ("age", "education_num", "capital_gain", "capital_loss")
CATEGORIES = ("workclass", "education", "occupation", "race", "sex", "native_country")
HIDDEN, BATCH, RATE = [256, 128], 512, 1e-3
PARTS = ("train", "validation", "test")


# In a process of its own: each trains, and returns predictions of the test rows -------------------


def motet(folder, epochs, seed):
    import pyarrow.parquet as pq

    import motet

    config = {
        "data": {"source": str(folder / "rows.csv"), "split": {"column": "split"}},
        "model": {"encoder": {"type": "mlp", "hidden": HIDDEN}},
        "tasks": {"income": {"type": "classification"}, "hours_per_week": {"type": "regression"}},
        "training": {
            "epochs": epochs,
            "batch_size": BATCH,
            "optimizer": {"type": "adam", "learning_rate": RATE},
            "early_stopping": None,
            "seed": seed,
            "device": "cpu",
        },
    }
    run = motet.train(config, output=folder / "run")
    found = pq.read_table(run.path / "predictions" / "test.parquet")
    return {task: found[task].to_pylist() for task in TASKS}


def ludwig(folder, epochs, seed):
    import pandas
    from ludwig.api import LudwigModel

    layers = [{"output_size": width} for width in HIDDEN]
    config = {
        "input_features": [
            *({"name": name, "type": "number"} for name in NUMBERS),
            *({"name": name, "type": "category"} for name in CATEGORIES),
        ],
        "combiner": {"type": "concat", "fc_layers": layers},
        "output_features": [{"name": name, "type": kind} for name, kind in TASKS.items()],
        "preprocessing": {"split": {"type": "fixed", "column": "part"}},
        "trainer": {
            "epochs": epochs,
            "batch_size": BATCH,
            "learning_rate": RATE,
            "optimizer": {"type": "adam"},
            "early_stop": -1,
        },
    }
    os.chdir(folder)  # where Ludwig keeps encoded rows
    rows = pandas.read_csv(folder / "rows.csv")
    model = LudwigModel(config, backend="local")
    model.train(rows, random_seed=seed, output_directory=str(folder / "run"))
    found, _ = model.predict(rows[rows.split == "test"])
    return {task: found[f"{task}_predictions"].tolist() for task in TASKS}


# What is compared -------------------------------------------------------------------------------


def write_rows(folder):
    """Write the rows for both; return the labels of the test rows."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet as pq

    from motet.datasets import adult

    table = pq.read_table(adult())
    names, seen = [], 0
    for name in table["split"].to_pylist():
        seen += name == "train"
        names.append("validation" if name == "train" and seen % 7 == 0 else name)
    table = table.drop_columns(["split", "never_married"]).append_column("split", pa.array(names))
    table = table.append_column("part", pa.array([PARTS.index(name) for name in names]))
    pyarrow.csv.write_csv(table, folder / "rows.csv")
    test = table.filter(pa.array([name == "test" for name in names]))
    return {task: test[task].to_pylist() for task in TASKS}


def run(python, who, epochs, seed, threads):
    """Return the processor seconds of a run, and its metrics; a line in their place if it fails."""
    with tempfile.TemporaryDirectory() as name:
        labels, before = write_rows(Path(name)), resource.getrusage(resource.RUSAGE_CHILDREN)
        call = [python, __file__, "--work", who, name, str(epochs), str(seed)]
        more = {"OMP_NUM_THREADS": str(threads), "CUDA_VISIBLE_DEVICES": ""}
        done = subprocess.run(call, capture_output=True, text=True, env=os.environ | more)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            return (done.stderr.strip().splitlines() or ["failed"])[-1]
        found = json.loads((Path(name) / "found.json").read_text())
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    right = statistics.mean(a == b for a, b in zip(found["income"], labels["income"], strict=True))
    pairs = zip(found["hours_per_week"], labels["hours_per_week"], strict=True)
    return seconds, right, statistics.mean(abs(a - b) for a, b in pairs)


def main():
    if sys.argv[1:2] == ["--work"]:
        who, name, epochs, seed = sys.argv[2:]
        found = {"motet": motet, "ludwig": ludwig}[who](Path(name), int(epochs), int(seed))
        (Path(name) / "found.json").write_text(json.dumps(found))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ludwig", default=None, help="an interpreter that has Ludwig")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    contenders = {"motet": sys.executable}
    if given.ludwig is None:
        print("without Ludwig: give --ludwig an interpreter that has it")
    else:
        contenders["ludwig"] = given.ludwig
    found = {who: [] for who in contenders}
    for seed in range(given.seeds):
        for who, python in contenders.items():
            found[who].append(run(python, who, given.epochs, seed, given.threads))
    for who, runs in found.items():
        if failed := [each for each in runs if isinstance(each, str)]:
            print(f"{who:8}{failed[0][:120]}")
            continue
        seconds, right, error = (statistics.mean(each) for each in zip(*runs, strict=True))
        print(f"{who:8}{seconds:8.1f} s   accuracy {right:.4f}   mean absolute error {error:.3f}")


if __name__ == "__main__":
    main()
