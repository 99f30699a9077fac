"""Predicting and evaluating many rows with the command line: seconds and peak memory.

Trains a small table model, then runs ``motet predict`` and ``motet evaluate`` on generated files of
growing size, each in a fresh process; 15 columns, of which three are labels. The first line of each
format is that of a single row: what the process takes by itself.

    python benchmarks/prediction.py [--millions 1] [--formats parquet,csv]
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

import motet

NUMBERS, CATEGORIES, MILLION = 8, 4, 1_000_000
CONFIG = {
    "tasks": {"spend": "regression", "churn": "classification", "visits": "count"},
    "training": {"epochs": 2},
}

COMMAND = """
from motet.cli import main
try:
    main()
finally:
    status = open("/proc/self/status").read()
    print(status.partition("VmHWM:")[2].split()[0])
"""


def rows(count, seed):
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(NUMBERS, count)).astype(np.float32)
    words = np.array(["north", "east", "south", "west", "none"])
    columns = {f"number_{place}": each for place, each in enumerate(numbers)}
    columns |= {
        f"category_{place}": words[rng.integers(0, len(words), count)]
        for place in range(CATEGORIES)
    }
    columns["spend"] = numbers[0] + 0.5 * numbers[1]
    columns["churn"] = np.where(numbers[2] + rng.normal(size=count) > 0, "yes", "no")
    columns["visits"] = rng.poisson(np.exp(np.clip(numbers[3], -2, 2)))
    return pa.table({name: pa.array(each) for name, each in columns.items()})


def write(path, count):
    """Write rows of which no more than a million are in memory."""
    first = rows(min(count, MILLION), 0)
    if path.suffix == ".csv":
        writer = pa.csv.CSVWriter(path, first.schema)
    else:
        writer = pq.ParquetWriter(path, first.schema)
    with writer:
        writer.write_table(first)
        for number in range(1, -(-count // MILLION)):
            writer.write_table(rows(min(MILLION, count - number * MILLION), number))


def measured(*arguments):
    """Run the command line in a fresh process, and return its seconds and peak memory in MiB."""
    start = time.perf_counter()
    found = subprocess.run(
        [sys.executable, "-c", COMMAND, *map(str, arguments)], capture_output=True, text=True
    )
    if found.returncode:
        raise SystemExit(found.stderr)
    return time.perf_counter() - start, int(found.stdout.split()[-1]) / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--millions", default="1", help="millions of rows, separated by commas")
    parser.add_argument("--formats", default="parquet,csv")
    options = parser.parse_args()
    sizes = [int(float(each) * MILLION) for each in options.millions.split(",")]
    print(f"{'rows':>12}  {'format':8}  {'predict':>18}  {'evaluate':>18}")
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder, "run")
        motet.train(CONFIG, data=rows(20_000, -1 % 2**32), output=run)
        for kind in options.formats.split(","):
            for count in (1, *sizes):
                data, output = Path(folder, f"rows.{kind}"), Path(folder, "found.parquet")
                write(data, count)
                predict = measured("predict", run, data, "--output", output)
                output.unlink()
                evaluate = measured("evaluate", run, data)
                data.unlink()
                found = "  ".join(f"{s:7.1f} s {mib:5,.0f} MiB" for s, mib in (predict, evaluate))
                print(f"{count:12,}  {kind:8}  {found}", flush=True)


if __name__ == "__main__":
    main()
