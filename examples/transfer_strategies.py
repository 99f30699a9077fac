"""Six ways to use a pretrained encoder, on real reviews with few labels.

An encoder learns from 4,039 clothing reviews: their stars, which are close to the later task, or
the department of the piece, which is not. Then 150 of them get a label that says whether the
customer recommends the piece, and every strategy learns that. Prints the AUROC on 1,145 reviews of
other pieces: the mean over seeds and its 95 % interval (Student's t). The seed sets the initial
weights, the order of batches and the choice of 150 reviews. Takes two minutes on one core.

    python examples/transfer_strategies.py [--seeds 5] [--few 150] [--epochs 12] [--rows 4039]
"""

import argparse
import copy
from typing import Any

import pyarrow as pa
import torch

import motet
from motet.analysis import interval
from motet.data import TextData, from_texts
from motet.data.sources import read
from motet.encoders import LSTM

SOURCES = ("rating", "department")
STRATEGIES: dict[str, dict[str, Any]] = {
    "from scratch": {},
    "entire network": {},
    "backbone frozen": {"freeze": ["encoder"]},
    "gradual unfreezing": {"freeze": ["encoder"], "unfreeze": {"every": 4}},
    "selective": {"freeze": ["*.embedding"]},
    "layer decay": {"layer_decay": 0.3},
}


def main() -> None:
    """Pretrain on each source and run each strategy, several times; print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--few", type=int, default=150, help="rows with labels of the new task")
    parser.add_argument("--epochs", type=int, default=12, help="with these rows")
    parser.add_argument("--rows", type=int, help="rows for pretraining, all if left out")
    given = parser.parse_args()

    table = read("motet://clothing")
    splits = {split: rows_of(table, split) for split in ("train", "test")}
    rows = splits["train"].slice(0, given.rows)
    print("| strategy | " + " | ".join(f"after {source}" for source in SOURCES) + " |")
    print("|---" * (1 + len(SOURCES)) + "|")
    found: dict[tuple[str, str], list[float]] = {}
    for source in SOURCES:
        data = from_texts(pairs(rows), labels(rows, source), tokenizer="words", max_length=48)
        for seed in range(given.seeds):
            encoder = pretrained(data, source, seed)
            drawn = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
            few = recommendations(rows.take(drawn[: given.few].tolist()), data)
            test = recommendations(splits["test"], few)
            for strategy, options in STRATEGIES.items():
                start = new_encoder(data, seed) if strategy == "from scratch" else encoder
                trainer = transfer(start, options, few, given.epochs, seed)
                auroc = trainer.evaluate(test)["recommended"]["auroc"]
                found.setdefault((strategy, source), []).append(auroc)
    for strategy in STRATEGIES:
        cells = [shown(found[strategy, source]) for source in SOURCES]
        print(f"| {strategy} | " + " | ".join(cells) + " |")


def rows_of(table: pa.Table, split: str) -> pa.Table:
    """Select the reviews of a split."""
    return table.filter([each == split for each in table["split"].to_pylist()])


def pairs(rows: pa.Table) -> list[tuple[str | None, str | None]]:
    """Join title and text."""
    return list(zip(rows["title"].to_pylist(), rows["text"].to_pylist(), strict=True))


def labels(rows: pa.Table, task: str) -> dict[str, list[str]]:
    """Name the classes of a task: stars are numbers."""
    return {task: [str(each) for each in rows[task].to_pylist()]}


def recommendations(rows: pa.Table, like: TextData) -> TextData:
    """Prepare the new task with the tokens of the first."""
    return from_texts(pairs(rows), labels(rows, "recommended"), like=like)


def new_encoder(data: TextData, seed: int) -> LSTM:
    """Create an untrained encoder."""
    torch.manual_seed(seed)
    return LSTM(data.sizes.vocabulary, data.sizes.segments, width=64)


def pretrained(data: TextData, source: str, seed: int) -> LSTM:
    """Create an encoder and train it on one task."""
    encoder = new_encoder(data, seed)
    task = motet.tasks.Classification(source, classes=data.classes[source])
    model = motet.MultiTaskModel(encoder, [task])
    motet.Trainer(model, learning_rate=5e-3, batch_size=32, seed=seed).fit(data, epochs=4)
    return encoder


def transfer(
    encoder: LSTM, options: dict[str, Any], few: TextData, epochs: int, seed: int
) -> motet.Trainer:
    """Learn the new task from a few rows, starting from a copy of the encoder."""
    task = motet.tasks.Classification("recommended", classes=2, metrics=["auroc"])
    model = motet.MultiTaskModel(copy.deepcopy(encoder), [task])
    trainer = motet.Trainer(model, learning_rate=3e-3, batch_size=16, seed=seed, **options)
    trainer.fit(few, epochs=epochs)
    return trainer


def shown(values: list[float]) -> str:
    """Format the mean and half of its interval."""
    found = interval(values)
    return f"{found.mean:.3f} ± {found.high - found.mean:.3f}"


if __name__ == "__main__":
    main()
