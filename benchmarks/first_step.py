"""Processor time of `motet train` from a fresh process to its first optimizer step.

A small table in a CSV file (1,000 rows, 8 columns, two tasks), as a command: starting Python and
importing, reading the config and the rows, building the model and the trainer, and all that `fit`
does until the first step is made. Prints the median of several processes, each after one that does
no more than to import torch, as that is most of the time and a busy machine takes longer for both;
on request also the imports that take longest.

    python benchmarks/first_step.py [--repeats 5] [--imports 20]
"""

import argparse
import csv
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

STAGES = ("importing", "reading", "building", "first step")
CONFIG = """
data: {source: rows.csv}
tasks: {class: classification, amount: regression}
"""
TORCH = "import time, torch; print(time.process_time())"
WITHOUT_BYTECODE = "PYTHONDONTWRITEBYTECODE"
CHILD = """
import json, sys, time
ends = []
def end():
    ends.append(time.process_time())
import motet.cli.entry
from motet.cli.console import Console
def timed(owner, name):
    function = getattr(owner, name)
    def called(*arguments, **options):
        found = function(*arguments, **options)
        end()
        return found
    setattr(owner, name, called)
enter = Console.__enter__
def imported(console):  # the command has imported all that training needs, and calls it next
    end()
    import motet.run.training as training
    from motet.training.steps import Steps
    timed(training, "prepare")
    timed(training, "build_trainer")
    make = Steps.make
    def first(*arguments):
        make(*arguments)
        end()
        print("\\n" + json.dumps(ends), flush=True)
        raise SystemExit
    Steps.make = first
    return enter(console)
Console.__enter__ = imported
sys.argv[1:] = ["train", "run.yaml", "--output", "run"]
motet.cli.entry.main()
"""


def write_table(folder, rows=1000):
    draw = random.Random(0)
    with (folder / "rows.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow([*"abcdef", "class", "amount"])
        for _ in range(rows):
            numbers = [round(draw.gauss(0, 1), 3) for _ in range(4)]
            kinds = [draw.choice(["red", "green", "blue"]) for _ in range(2)]
            amount = round(sum(numbers) + (kinds[0] == "red") + draw.gauss(0, 1), 3)
            table.writerow([*numbers, *kinds, "yes" if numbers[0] > 0 else "no", amount])
    (folder / "run.yaml").write_text(CONFIG)


def run(code, *options):
    """Run code in a fresh process, beside the table; return what it printed and its messages."""
    given = {name: value for name, value in os.environ.items() if name != WITHOUT_BYTECODE}
    with tempfile.TemporaryDirectory() as name:
        write_table(Path(name))
        call = [sys.executable, *options, "-c", code]
        return subprocess.run(call, cwd=name, env=given, capture_output=True, text=True, check=True)


def stages():
    """Return the processor seconds of each stage in one process."""
    ends = json.loads(run(CHILD).stdout.splitlines()[-1])
    return [after - before for before, after in zip([0.0, *ends], ends, strict=False)]


def figures(quick):
    stages()
    repeats = range(2 if quick else 5)
    yield "seconds to the first step", statistics.median(sum(stages()) for _ in repeats), 2.5


def longest_imports(count):
    """Return the modules whose import took longest: (milliseconds, with what they import, name)."""
    lines = re.findall(
        r"import time:\s+(\d+) \|\s+(\d+) \|\s+(\S+)", run(CHILD, "-X", "importtime").stderr
    )
    found = [(int(whole) / 1000, int(own) / 1000, name) for own, whole, name in lines]
    return sorted(found, reverse=True)[:count]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--imports", type=int, default=0, help="list so many of the longest")
    given = parser.parse_args()
    stages()  # the first process compiles modules and reads files that are not in memory yet
    alone, found = [], []
    for _ in range(given.repeats):
        alone.append(float(run(TORCH).stdout))
        found.append(stages())
    for name, times in zip(STAGES, zip(*found, strict=True), strict=True):
        print(f"{name:12}{statistics.median(times):6.2f} s")
    totals = [sum(times) for times in found]
    print(
        f"{'together':12}{statistics.median(totals):6.2f} s   "
        f"({given.repeats} processes: {min(totals):.2f} to {max(totals):.2f})"
    )
    ratio = statistics.median(whole / torch for whole, torch in zip(totals, alone, strict=True))
    print(
        f"{'torch alone':12}{statistics.median(alone):6.2f} s   (together: {ratio:.2f} times that)"
    )
    for whole, own, name in longest_imports(given.imports) if given.imports else ():
        print(f"{whole:9.1f} ms, {own:7.1f} of its own  {name}")


if __name__ == "__main__":
    main()
