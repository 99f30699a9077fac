"""A model of several modalities beside one of each, and what it predicts where one is missing.

Trains examples/clothing_modalities.yaml with seeds 0, 1, 2: with its fusion, with ``concat``, with
each modality as the only input, and with title and text as one text without the table; then removes
one modality from the test rows of the first two, without training again. Prints the mean accuracy
of each task over seeds, and the standard deviation; macro F1 of the department, whose classes are
uneven. ``--rows`` counts training and validation rows; all test rows of the file are judged.

    OMP_NUM_THREADS=2 python benchmarks/modalities.py [--seeds 3] [--rows 2000]
        [--source ../shared/data/clothing_reviews.parquet] [key=value ...]
"""

import argparse
import statistics
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml

import motet
from motet.data.sources import read

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / "examples" / "clothing_modalities.yaml"
METRICS = {"recommended": "accuracy", "rating": "accuracy", "department": "macro_f1"}
MODALITIES = {"title": ["title"], "text": ["text"], "table": ["age", "feedback_count"]}


def taken(table, count):
    """Return so many rows, drawn alike from training and validation."""
    table = table.filter(pc.not_equal(table["split"], "test"))
    if count is None or count >= len(table):
        return table
    drawn = np.random.default_rng(0).permutation(len(table))[:count]
    return table.take(np.sort(drawn))


def without(rows, columns):
    """Return the rows with columns that are null everywhere."""
    for name in columns:
        kind = rows.schema.field(name)
        rows = rows.set_column(rows.column_names.index(name), kind, pa.nulls(len(rows), kind.type))
    return rows


def alone(config, columns):
    """Return the config with these inputs alone, and nothing to join."""
    return without_fusion(config, {name: config["inputs"][name] for name in columns})


def one_text(config):
    """Return the config with title and text as one text, and no other input."""
    review = {**config["inputs"]["text"], "columns": ["title", "text"]}
    return without_fusion(config, {"review": review})


def without_fusion(config, inputs):
    """Return the config with other inputs, which are one text or those of one table."""
    is_text = any(isinstance(each, dict) and each["type"] == "text" for each in inputs.values())
    model = {} if is_text else {"encoder": config["model"]["encoder"]}
    return {**config, "inputs": inputs, "model": model}


def trained(config, rows, seed, changes):
    """Train once, and return the run in memory."""
    with tempfile.TemporaryDirectory() as folder:
        config = {**config, "data": {**config["data"], "source": None}}
        overrides = [*changes, f"training.seed={seed}"]
        return motet.load(motet.train(config, rows, overrides, f"{folder}/run").path)


def scored(run, rows):
    """Return the metric of each task."""
    found = run.evaluate(rows)
    return {task: found[task][metric] for task, metric in METRICS.items()}


def one_seed(config, train, test, seed, changes):
    """Return the scores of every row of the table."""
    found = {}
    for fusion in (config["model"]["fusion"]["type"], "concat"):
        chosen = {**config["model"]["fusion"], "type": fusion}
        run = trained(
            {**config, "model": {**config["model"], "fusion": chosen}}, train, seed, changes
        )
        found[f"{fusion}: all"] = scored(run, test)
        for name, columns in MODALITIES.items():
            if name != "table":  # rows cannot lack the columns of a table, only their numbers
                found[f"{fusion}: without {name}"] = scored(run, without(test, columns))
    for name, columns in MODALITIES.items():
        found[f"{name} alone"] = scored(trained(alone(config, columns), train, seed, changes), test)
    found["title and text as one"] = scored(trained(one_text(config), train, seed, changes), test)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=int, help="training and validation rows; all if left out")
    shared = ROOT.parent / "shared" / "data" / "clothing_reviews.parquet"
    parser.add_argument("--source", type=Path, default=shared)
    parser.add_argument("overrides", nargs="*")
    arguments = parser.parse_args()
    config = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    table = read(str(arguments.source))
    rows, test = taken(table, arguments.rows), table.filter(pc.equal(table["split"], "test"))
    seeds = [
        one_seed(config, rows, test, seed, arguments.overrides) for seed in range(arguments.seeds)
    ]
    drawn = f"{len(rows):,} training and validation rows, {len(test):,} test rows"
    print(f"{drawn}, {len(seeds)} seeds")
    print(f"| {'inputs':24} | " + " | ".join(f"{t} {m}" for t, m in METRICS.items()) + " |")
    print("|---" * (1 + len(METRICS)) + "|")
    for name in seeds[0]:
        values = {task: [each[name][task] for each in seeds] for task in METRICS}
        cells = [
            f"{statistics.mean(each):.3f} ± {statistics.stdev(each) if len(each) > 1 else 0:.3f}"
            for each in values.values()
        ]
        print(f"| {name:24} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
