"""The text projects with several seeds: test metrics with their interval, and the cost of a run.

Trains examples/clothing.yaml and examples/snips.yaml with seeds 0, 1, 2, from scratch and, with
``--encoder FOLDER``, from a small Hugging Face model; prints the mean and its 95 % interval
(Student's t over seeds), compared with single-task linear models (linear_texts.py). SNIPS needs
snips.parquet; ``whole`` is the clothing project on all reviews of clothing_reviews.parquet.

    OMP_NUM_THREADS=2 python benchmarks/text_projects.py [--seeds 3] [--projects clothing,snips]
        [--shared ../shared/data] [--encoder FOLDER] [key=value ...]
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import linear_texts
import numpy as np
import pyarrow.compute as pc

import motet
from motet.analysis import interval
from motet.data.sources import read

ROOT = Path(__file__).resolve().parents[1]


class Project:
    """A config, its training rows, and how it starts from an encoder."""

    def __init__(self, config, source, text, tested):
        self.config = ROOT / "examples" / f"{config}.yaml"
        self.source, self.text, self.tested = source, text, tested

    def overrides(self, encoder):
        if encoder is None:
            return [f"data.source={self.source}"]
        started = f"{{type: pretrained, path: {encoder}, learning_rate: 1.0e-4}}"
        return [
            f"data.source={self.source}",
            f"inputs.{self.text}.tokenizer={encoder}",
            f"inputs.{self.text}.encoder={started}",
            "training.epochs=4",
            "training.precision=bfloat16",
            "training.batch_size=32",
            "training.optimizer.learning_rate=1.0e-3",
        ]


def projects(shared):
    return {
        "clothing": Project("clothing", "motet://clothing", "review", "test"),
        "whole": Project("clothing", shared / "clothing_reviews.parquet", "review", "test"),
        "snips": Project("snips", shared / "snips.parquet", "tokens", "validation"),
    }


def linear(project):
    """Return ``{task: {metric: value}}`` of linear models."""
    table = read(str(project.source))
    if project.tested == "test":
        table = table.filter(pc.field("split") != "validation")
    test = np.array([part == project.tested for part in table["split"].to_pylist()])
    columns = {name: table[name].to_pylist() for name in table.column_names}
    if project.text == "tokens":
        texts = columns["text"]
        found = {"slots": linear_texts.tags(columns["tokens"], columns["slots"], test)}
        classes = ["intent"]
    else:
        pairs = zip(columns["title"], columns["text"], strict=True)
        texts = [f"{title or ''} . {text or ''}" for title, text in pairs]
        found, classes = {}, ["recommended", "rating", "department"]
    return {
        **{task: linear_texts.classes(texts, columns[task], test) for task in classes},
        **found,
    }


def tested(project, overrides, seed):
    """Train once; return the test metrics and the time in seconds."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        changes = [*overrides, f"training.seed={seed}"]
        run = motet.train(project.config, overrides=changes, output=f"{folder}/run")
        *_, last = (run.path / "metrics.jsonl").read_text().splitlines()  # of the test set
    return json.loads(last)["tasks"], time.perf_counter() - start


def report(title, runs, beside):
    seeds = len(runs)
    print(f"\n{title}: {seeds} seeds, {statistics.mean(s for _, s in runs):.0f} s a run")
    for task, metrics in beside.items():
        for metric, value in metrics.items():
            values = [tasks[task][metric] for tasks, _ in runs if metric in tasks[task]]
            if not values:
                continue
            found = interval(values)
            print(
                f"  {task:12} {metric:15} {found.mean:.4f} +- {found.high - found.mean:.4f}   "
                f"linear {value:.4f}   seeds {' '.join(f'{each:.4f}' for each in values)}",
                flush=True,
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--projects", default="clothing,whole,snips")
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--encoder", type=Path, help="folder of a Hugging Face model")
    parser.add_argument("overrides", nargs="*")
    arguments = parser.parse_args()
    known = projects(arguments.shared)
    for name in arguments.projects.split(","):
        project = known[name]
        if isinstance(project.source, Path) and not project.source.is_file():
            print(f"\n{name}: {project.source} is not there; name its folder: --shared")
            continue
        beside = linear(project)
        overrides = [*project.overrides(arguments.encoder), *arguments.overrides]
        runs = [tested(project, overrides, seed) for seed in range(arguments.seeds)]
        start = "from scratch" if arguments.encoder is None else f"from {arguments.encoder.name}"
        report(f"{name} {start}", runs, beside)


if __name__ == "__main__":
    main()
