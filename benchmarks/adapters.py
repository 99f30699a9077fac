"""Adapters beside full fine-tuning and a frozen encoder: scores, time and memory, by seed.

Trains SNIPS (snips_joint.parquet) and the clothing reviews (motet://clothing) from a Hugging Face
model in four ways: ``frozen``, an adapter that tasks share (``shared``), one for each task
(``per_task``), and the whole model (``full``). Each run is a process of its own; its line has
validation and test metrics, seconds of processor time and the process's peak memory, and is kept in
``--results``, so that a benchmark that was stopped goes on where it was. Choose by the validation
column.

    OMP_NUM_THREADS=1 python benchmarks/adapters.py --folder MODEL [--projects snips,clothing]
        [--ways frozen,shared,per_task,full] [--seeds 0] [--rows 2000]
        [--held-out 1500] [--epochs 4] [--shared ../shared/data] [--results FILE] [key=value ...]
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from process_memory import peak

import motet
from motet.data.sources import read

ROOT = Path(__file__).resolve().parents[1]
INPUTS = {"snips": "tokens", "clothing": "review"}
RATES = {"snips": 2e-4, "clothing": 1e-4}
"""Learning rate of the whole model."""
SHOWN = {"snips": {"intent": "accuracy", "slots": "span_f1"}}
SHOWN["clothing"] = {"recommended": "macro_f1", "rating": "macro_f1", "department": "macro_f1"}
ADAPTERS = {"shared": "{type: lora, rank: 8}", "per_task": "{type: lora, rank: 8, per_task: true}"}
WAYS = ("frozen", *ADAPTERS, "full")


def rows_of(project, shared, counts, seed):
    """Return a table with at most ``counts[split]`` rows of each split, None for all of them.

    The training rows differ by seed, those of the other splits do not.
    """
    place = str(shared / "snips_joint.parquet") if project == "snips" else "motet://clothing"
    table = read(place)
    splits = np.array(table["split"].to_pylist())
    chosen = [
        np.random.default_rng(seed if split == "train" else 0).permutation(
            np.flatnonzero(splits == split)
        )[:count]
        for split, count in counts.items()
    ]
    return table.take(pa.array(np.sort(np.concatenate(chosen))))


def changes(project, way, folder, epochs, seed):
    """Return what a way changes in the config of a project."""
    text = f"inputs.{INPUTS[project]}"
    encoder = f"{{type: pretrained, path: {folder}, "
    if way in ADAPTERS:
        encoder += f"adapter: {ADAPTERS[way]}}}"
    else:
        encoder += f"learning_rate: {RATES[project]}}}"
    return [
        f"{text}.tokenizer={folder}",
        f"{text}.encoder={encoder}",
        f"training.epochs={epochs}",
        f"training.seed={seed}",
        "training.batch_size=32",
        "training.precision=bfloat16",
        "training.optimizer.learning_rate=1.0e-3",
        *(["training.freeze=[pretrained]"] if way == "frozen" else []),
    ]


def one(arguments, project, way, seed):
    """Train once in this process, and print what it cost and reached as JSON."""
    config = ROOT / "examples" / ("snips_minilm.yaml" if project == "snips" else "clothing.yaml")
    held_out = arguments.held_out
    counts = {"train": arguments.rows, "validation": held_out, "test": held_out}
    rows = rows_of(project, arguments.shared, counts, seed)
    overrides = changes(project, way, arguments.folder.resolve(), arguments.epochs, seed)
    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        pq.write_table(rows, f"{folder}/rows.parquet")
        overrides += [f"data.source={folder}/rows.parquet", *arguments.overrides]
        run = motet.train(config, overrides=overrides, output=f"{folder}/run")
        seconds = time.process_time() - start
        *_, last = (run.path / "metrics.jsonl").read_text().splitlines()  # of the test rows
        found = {"validation": run.history.best["tasks"], "test": json.loads(last)["tasks"]}
    trained = sum(p.numel() for p in run.model.parameters() if p.requires_grad)
    print(json.dumps({**found, "seconds": seconds, "peak": peak(), "trained": trained}))


def report(project, way, found):
    """Print the means over seeds."""
    seeds = len(found)
    mean = {key: statistics.mean(each[key] for each in found) for key in ("seconds", "peak")}
    cells = [
        f"{task} {statistics.mean(each['validation'][task][metric] for each in found):.4f} "
        f"({statistics.mean(each['test'][task][metric] for each in found):.4f})"
        for task, metric in SHOWN[project].items()
    ]
    print(
        f"{project:9} {way:9} {seeds} seeds  {'  '.join(cells)}  {mean['seconds']:.0f} s  "
        f"{mean['peak']:.0f} MB  {found[0]['trained']:,} trained",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="folder of the model")
    parser.add_argument("--projects", default="snips,clothing")
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--rows", type=int, default=2000, help="training rows")
    parser.add_argument("--held-out", type=int, help="validation and test rows each; else all")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--results", type=Path, help="file that keeps finished runs")
    parser.add_argument("--one", action="store_true", help="train the first of all and print JSON")
    parser.add_argument("overrides", nargs="*")
    arguments = parser.parse_args()
    projects, ways = arguments.projects.split(","), arguments.ways.split(",")
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    if arguments.one:
        one(arguments, projects[0], ways[0], seeds[0])
        return
    known = {}
    if arguments.results and arguments.results.is_file():
        known = dict(map(json.loads, arguments.results.read_text().splitlines()))
    print("validation (test), processor time, peak memory of the process")
    for project in projects:
        for way in ways:
            found = []
            for seed in seeds:
                counts = [arguments.rows, arguments.held_out or "all"]
                options = [*counts, arguments.epochs, *arguments.overrides]
                key = " ".join(map(str, [project, way, seed, *options]))
                if key not in known:
                    chosen = ["--projects", project, "--ways", way, "--seeds", str(seed)]
                    command = [sys.executable, __file__, *sys.argv[1:], *chosen, "--one"]
                    done = subprocess.run(command, capture_output=True, text=True)
                    if done.returncode:
                        raise SystemExit(done.stderr)
                    known[key] = json.loads(done.stdout.splitlines()[-1])
                    if arguments.results:
                        with arguments.results.open("a") as file:
                            file.write(json.dumps([key, known[key]]) + "\n")
                found.append(known[key])
            report(project, way, found)


if __name__ == "__main__":
    main()
