"""Does masked language modelling help with few labels? 1,000 labelled, 10,000 unlabelled reviews.

Reads clothing_reviews.parquet. Trains an LSTM on three tasks (recommended, rating, department) with
the same labelled rows: alone; and with masked language modelling on all 11,000 texts, with several
weights. Both have the tokenizer of all texts. The weight is the one with the best mean score on the
validation set over all seeds; the test set is used once, for what was chosen. Every run keeps the
weights of its best epoch.

    nice python benchmarks/masked_words.py [--seeds 3] [--weights 1,0.3] [--epochs 12]
        [--shared ../shared/data] [--runs FOLDER]
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import motet
from motet.data.sources import read
from motet.data.tokeniser_training import train

ROOT = Path(__file__).resolve().parents[1]
TASKS = {"recommended": "auroc", "rating": "accuracy", "department": "macro_f1"}
LABELLED, UNLABELLED = 1_000, 10_000
HELD_OUT = 1_000
"""Validation rows: a model is chosen on no more rows than it is trained on."""


def rows_of(table, seed):
    """Return the rows of a seed: labelled and unlabelled ones to train on, and held-out ones."""
    rng = np.random.default_rng(seed)
    split = np.array(table["split"].to_pylist())
    pool = rng.permutation(np.flatnonzero(split == "train"))[: LABELLED + UNLABELLED]
    valid = rng.permutation(np.flatnonzero(split == "validation"))[:HELD_OUT]
    chosen = np.concatenate([pool, valid, np.flatnonzero(split == "test")])
    rows = table.take(pa.array(chosen))
    hidden = (np.arange(len(chosen)) >= LABELLED) & (np.arange(len(chosen)) < len(pool))
    for task in TASKS:
        labels = [
            None if hide else label
            for hide, label in zip(hidden, rows[task].to_pylist(), strict=True)
        ]
        rows = rows.set_column(rows.column_names.index(task), task, pa.array(labels))
    return rows, rows.filter(pa.array(~hidden))


def tokenizer_of(rows, folder):
    """Save a tokenizer that is trained on all training texts, and return its path."""
    texts = rows.filter(pc.equal(rows["split"], "train"))["text"].drop_null().to_pylist()
    path = folder / "tokenizer.json"
    path.write_text(train("words", texts, vocabulary=4000).to_json(), encoding="utf-8")
    return str(path)


def config(weight, seed, epochs, tokenizer):
    """Return the config of a run; without a weight it trains on labels alone."""
    tasks = {
        task: {"type": "classification", "metrics": [metric]} for task, metric in TASKS.items()
    }
    if weight is not None:
        tasks["words"] = {"type": "masked_language_modelling", "weight": weight}
    encoder = {"type": "lstm", "width": 48, "dropout": 0.3}
    review = {"type": "text", "column": "text", "tokenizer": tokenizer, "max_length": 32}
    return {
        "data": {"split": {"column": "split"}},
        "inputs": {"review": {**review, "encoder": encoder}},
        "tasks": tasks,
        "training": {
            "epochs": epochs,
            "batch_size": 32 if weight is None else 352,  # 32 of which are labelled, on average
            "optimizer": {"learning_rate": 3e-3},
            "early_stopping": {"patience": 6},
            "seed": seed,
        },
    }


def trained(chosen, rows, folder):
    """Train a run, or load it if it is there."""
    if (folder / "model" / "README.md").is_file():
        return motet.load(folder)
    return motet.train(chosen, rows, output=folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--weights", default="1")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--runs", type=Path, help="where runs are kept, and found")
    given = parser.parse_args()
    source = given.shared / "clothing_reviews.parquet"
    if not source.is_file():
        print(f"{source} is not there; --shared names its folder")
        return
    table = read(source)
    test = table.filter(pc.equal(table["split"], "test"))
    with tempfile.TemporaryDirectory() as folder:
        folder = given.runs or Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        weights = [None, *map(float, given.weights.split(","))]
        scores, runs = {}, {}
        for weight in weights:
            for seed in range(given.seeds):
                whole, labelled = rows_of(table, seed)
                started = time.perf_counter()
                run = trained(
                    config(weight, seed, given.epochs, tokenizer_of(whole, folder)),
                    labelled if weight is None else whole,
                    folder / f"{weight}-{seed}",
                )
                best = run.history.best
                scores[weight, seed], runs[weight, seed] = best["score"], run
                print(
                    f"weight {weight} seed {seed}: validation score {best['score']:.4f}, epoch "
                    f"{best['epoch']}, {time.perf_counter() - started:.0f} s",
                    flush=True,
                )
        means = {
            weight: statistics.mean(scores[weight, seed] for seed in range(given.seeds))
            for weight in weights
        }
        print("mean validation score: " + ", ".join(f"{w}: {m:.4f}" for w, m in means.items()))
        chosen = max((weight for weight in weights if weight), key=lambda weight: means[weight])
        for weight in (None, chosen):
            found = [
                [runs[weight, seed].evaluate(test)[task][metric] for task, metric in TASKS.items()]
                for seed in range(given.seeds)
            ]
            columns = zip(TASKS.items(), zip(*found, strict=True), strict=True)
            shown = "  ".join(
                f"{task} {metric} {statistics.mean(each):.4f} ({min(each):.4f} to {max(each):.4f})"
                for (task, metric), each in columns
            )
            print(f"test, {'without' if weight is None else f'weight {weight}'}: {shown}")


if __name__ == "__main__":
    main()
