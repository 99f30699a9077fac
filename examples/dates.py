"""Generate texts: dates as people write them, in the form 2019-05-03, beside the season of each.

A GRU decoder attends to the words of the date and spells the answer letter by letter. Every tenth
label is missing. Prints the share of 300 new dates that are right in every letter, and some of
them.
"""

import calendar
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import motet

CONFIG: dict[str, Any] = {
    "inputs": {
        "written": {
            "type": "text",
            "tokenizer": "words",
            "min_count": 1,
            "encoder": {"type": "lstm", "width": 48, "dropout": 0.0},
        }
    },
    "tasks": {
        "iso": {"type": "generation", "tokenizer": "characters", "width": 48, "dropout": 0.0},
        "season": "classification",
    },
    "data": {"split": {"validation": 0.1, "test": 0}},
    "training": {"epochs": 12, "batch_size": 32, "optimizer": {"learning_rate": 1e-2}},
}
SEASONS = ("winter", "spring", "summer", "autumn")


def dates(count: int, seed: int) -> dict[str, list[Any]]:
    """Draw dates, each written in one of three ways."""
    rng = np.random.default_rng(seed)
    found: dict[str, list[Any]] = {"written": [], "iso": [], "season": []}
    for _ in range(count):
        year, month, day = (int(n) for n in rng.integers([1990, 1, 1], [2020, 13, 29]))
        name = calendar.month_name[month]
        ways = (f"{day} {name} {year}", f"{name} {day}, {year}", f"{name[:3]} {day} in {year}")
        found["written"].append(ways[rng.integers(3)])
        found["iso"].append(f"{year}-{month:02}-{day:02}")
        found["season"].append(SEASONS[month % 12 // 3])
    return found


def main() -> None:
    """Train on 1,500 dates, and write 300 others."""
    rows = dates(1500, seed=0)
    rows["iso"][::10] = [None] * 150
    new = dates(300, seed=1)
    with tempfile.TemporaryDirectory() as folder:
        run = motet.train(CONFIG, rows, output=Path(folder) / "run")
        report = run.evaluate(new)
        right, perplexity = report["iso"]["exact_match"], report["iso"]["perplexity"]
        print(f"right: {right:.3f}, perplexity: {perplexity:.3f}")
        print(f"season: {report['season']['accuracy']:.3f}")
        texts = run.predict(new)["iso"].to_pylist()
        for written, iso in zip(new["written"][:3], texts[:3], strict=True):
            print(f"{written}: {iso}")


if __name__ == "__main__":
    main()
