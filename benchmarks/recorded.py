"""Print the quick figures of the benchmarks beside those recorded last.

    python benchmarks/recorded.py [--only step_cost,text] [--threads 1] [--full] [--record]

Each of SCRIPTS has a function ``figures(quick)`` that yields (name, value, goal): ratios of times
or of memory within one run, seconds, milliseconds or counts, of which less is better; and the most
that it should be, or None. Each runs in a process of its own. ``--record`` writes what was found to
recorded.json, with the version of torch, the number of threads and the processor.
"""

import argparse
import json
import os
import platform
import time
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path

SCRIPTS = (
    "step_cost",
    "solvers",
    "peak_memory",
    "training_overhead",
    "first_step",
    "text",
    "sharing_cost",
    "compiling",
)
FILE = Path(__file__).with_suffix(".json")


def found(script, quick, threads):
    """Return all figures of a script."""
    import torch

    torch.set_num_threads(threads)
    return list(import_module(script).figures(quick))


def machine(threads):
    """Say in words on what figures were found."""
    import torch

    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    processor = models[0] if models else platform.processor() or platform.machine()
    plural = "s" if threads > 1 else ""
    return f"torch {torch.__version__}, {threads} thread{plural}, {os.cpu_count()} x {processor}"


def line(name, value, goal, before):
    """Return a line of the table."""
    change = f"{100 * (value / before - 1):+8.0f} %" if before else ""  # some figures are 0
    was, most = (f"{each:9.2f}" if each is not None else 9 * " " for each in (before, goal))
    over = "  over the goal" if goal is not None and value > goal else ""
    return f"{name:44}{most}{was}{value:9.2f}{change:>10}{over}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(SCRIPTS), help="scripts, without .py")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--full", action="store_true", help="more rounds and rows")
    parser.add_argument("--record", action="store_true", help="write the figures")
    given = parser.parse_args()
    recorded = json.loads(FILE.read_text()) if FILE.exists() else {}
    os.environ["OMP_NUM_THREADS"] = str(given.threads)  # of the processes
    here, pool = machine(given.threads), get_context("spawn")
    print(here)
    print(f"{'':44}{'goal':>9}{'recorded':>9}{'now':>9}{'change':>10}")
    for script in given.only.split(","):
        key, start = f"{script}, {given.threads} threads", time.perf_counter()
        before = recorded.get(key, {"on": here, "figures": {}})
        with ProcessPoolExecutor(1, mp_context=pool) as process:
            figures = process.submit(found, script, not given.full, given.threads).result()
        other = "" if before["on"] == here else f"; recorded on {before['on']}"
        print(f"{script} ({time.perf_counter() - start:.0f} s){other}")
        for name, value, goal in figures:
            print(line(f"  {name}", value, goal, before["figures"].get(name)))
        recorded[key] = {"on": here, "figures": {name: round(v, 3) for name, v, _ in figures}}
        if given.record:
            FILE.write_text(json.dumps(recorded, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
