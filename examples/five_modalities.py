"""A hierarchy of five modalities from a config, on rows that lack some of them.

Makes recordings of which each modality shows a part: the image and the transcript show the mood,
the frames of the video and the speech and the music show the energy. Trains the config beside this
file, and prints scores, the mean weight of each modality, and what the model predicts of rows of
which one modality is left.
"""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import motet

CONFIG = Path(__file__).with_suffix(".yaml")
WORDS = {"calm": ["quiet", "slow", "soft"], "tense": ["loud", "sharp", "fast"]}
MISSING = 0.15


def make_rows(count: int = 500, seed: int = 0) -> pa.Table:
    """Make recordings with their labels.

    Args:
        count: Number of rows.
        seed: Seed of the random numbers.

    Returns:
        A table with a column for each modality, null where it is missing, and the labels.
    """
    rng = np.random.default_rng(seed)
    calm, energy = rng.random(count) < 0.5, rng.normal(size=count)

    def noisy(signal: np.ndarray, width: int, noise: float) -> np.ndarray:
        direction = np.random.default_rng(width).normal(size=width)
        found = signal[:, None] * direction + noise * rng.normal(size=(count, width))
        return found.astype(np.float32)

    def frames(width: int) -> list[np.ndarray]:
        lengths = rng.integers(3, 9, count)
        direction = np.random.default_rng(width).normal(size=width)
        return [
            each * direction + 2 * rng.normal(size=(length, width))
            for each, length in zip(energy, lengths, strict=True)
        ]

    columns = {
        "image": list(noisy(np.where(calm, 1.0, -1.0), 2048, 8.0)),
        "video": frames(16),
        "speech": frames(12),
        "music": list(noisy(energy, 128, 4.0)),
        "transcript": [
            " ".join(rng.choice([*WORDS["calm" if each else "tense"], "and", "the"], size=6))
            for each in calm
        ],
    }
    made = {}
    for name, values in columns.items():
        there = rng.random(count) >= MISSING
        plain = [each.tolist() if isinstance(each, np.ndarray) else each for each in values]
        made[name] = [each if kept else None for each, kept in zip(plain, there, strict=True)]
    made["mood"] = np.where(calm, "calm", "tense")
    return pa.table({**made, "energy": energy})


def scores(report: Mapping[str, Any]) -> str:
    """Return the first metrics of both tasks."""
    accuracy, r2 = report["mood"]["accuracy"], report["energy"]["r2"]
    return f"mood accuracy {accuracy:.3f}, energy r2 {r2:.3f}"


def main() -> None:
    """Train the config, and read the weights of its fusion."""
    with TemporaryDirectory() as folder:
        data = Path(folder) / "five_modalities.parquet"
        pq.write_table(make_rows(), data)
        output = Path(folder) / "run"
        run = motet.train(CONFIG, overrides=[f"data.source={data}"], output=output)
        rows = make_rows(200, seed=1)
        report = run.evaluate(rows)
        print(f"all: {scores(report)}")
        for name, weight in report.fusion.items():
            print(f"weight of {name}: {weight:.3f}")
        for kept in ("image", "video", "transcript"):
            hidden = [name for name in rows.column_names[:5] if name != kept]
            alone = rows
            for name in hidden:
                place, field = alone.column_names.index(name), alone.schema.field(name)
                alone = alone.set_column(place, field, pa.nulls(len(alone), field.type))
            print(f"{kept} alone: {scores(run.evaluate(alone))}")


if __name__ == "__main__":
    main()
