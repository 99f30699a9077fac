"""One run described three ways: a YAML file, a mapping, and helpers in Python.

A config describes everything, seeds too, so the three give the same model. Prints the score of
each, and whether its predictions equal those of the YAML file to the last bit; those of a fourth
run, with another seed by an override, do not. The run folders are in a temporary folder.
"""

import tempfile
from pathlib import Path

import numpy as np

import motet

YAML = """\
tasks:
  price: {type: regression, loss: huber, delta: 1.5}
  sold: classification                # short for {type: classification}
model:
  encoder: {hidden: [32, 32]}         # an mlp, as no type is given
balancing: uncertainty
training: {epochs: 5, batch_size: 64, optimizer: {learning_rate: 1.0e-2}, seed: 7}
"""

MAPPING = {
    "tasks": {
        "price": {"type": "regression", "loss": "huber", "delta": 1.5},
        "sold": {"type": "classification"},
    },
    "model": {"encoder": {"type": "mlp", "hidden": [32, 32]}},
    "balancing": {"type": "uncertainty"},
    "training": {
        "epochs": 5,
        "batch_size": 64,
        "optimizer": {"type": "adamw", "learning_rate": 1e-2},
        "seed": 7,
    },
}


def main() -> None:
    """Execute the same run three times, and a fourth with another seed."""
    houses = made_up_houses()
    python = motet.config.table(
        houses,
        targets={
            "price": motet.config.regression_task(loss="huber", delta=1.5),
            "sold": motet.config.classification_task(),
        },
        model={"encoder": {"hidden": [32, 32]}},
        balancing="uncertainty",
        training=MAPPING["training"],
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "houses.yaml"  # with `data: {source: houses.csv}` it needs no data=
        file.write_text(YAML, encoding="utf-8")
        runs = {
            "yaml": motet.train(file, houses, output=folder / "yaml"),
            "mapping": motet.train(MAPPING, houses, output=folder / "mapping"),
            "python": motet.train(python, houses, output=folder / "python"),
            "other seed": motet.train(
                file, houses, overrides=["training.seed=8"], output=folder / "other"
            ),
        }
        expected = runs["yaml"].predict(houses)
        for way, run in runs.items():
            score = run.evaluate(houses, split="test")["score"]
            print(f"{way}: score {score:.3f}, equals yaml: {run.predict(houses).equals(expected)}")


def made_up_houses() -> dict[str, np.ndarray]:
    """Make a table: two inputs and two targets of 500 houses."""
    rng = np.random.default_rng(0)
    area, rooms = rng.normal(100, 30, 500), rng.integers(1, 6, 500)
    price = 2000 * area + 9000 * rooms + rng.normal(0, 5000, 500)
    sold = np.where(price + rng.normal(0, 20000, 500) < 220_000, "yes", "no")
    return {"area": area, "rooms": rooms, "price": price, "sold": sold}


if __name__ == "__main__":
    main()
