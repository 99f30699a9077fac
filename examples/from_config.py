"""One run described three ways: a YAML file, a mapping, and a config made in Python.

The config says all there is to say, seeds too, so the three give the same model. Prints the score
of each on the test part, the keys of the resolved config, and how much the predictions differ from
those of the YAML file: not by a bit. The run folders go to a temporary folder.
"""

import tempfile
from pathlib import Path

import numpy as np

import motet

YAML = """\
data:
  source: houses.csv                # next to this file
tasks:
  price: {type: regression, loss: huber, delta: 1.0}
  sold: classification              # short for {type: classification}
model:
  encoder: {hidden: [32, 32]}
balancing: uncertainty
training: {epochs: 5, batch_size: 64, optimizer: {learning_rate: 1.0e-2}, seed: 7}
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        csv = folder / "houses.csv"
        write_houses(csv)
        (folder / "houses.yaml").write_text(YAML, encoding="utf-8")

        mapping = {
            "data": {"source": str(csv)},
            "tasks": {
                "price": {"type": "regression", "loss": "huber", "delta": 1.0},
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
        python = motet.config.table(
            csv,
            targets={
                "price": motet.config.regression_task(loss="huber", delta=1.0),
                "sold": motet.config.classification_task(),
            },
            model={"encoder": {"hidden": [32, 32]}},
            balancing="uncertainty",
            training=mapping["training"],
        )
        predictions = {}
        for way, config in {
            "YAML": folder / "houses.yaml",
            "mapping": mapping,
            "Python": python,
        }.items():
            run = motet.train(config, output=folder / way)
            predictions[way] = run.predict(csv)
            print(f"{way:<8} score {run.evaluate(csv)['score']:.3f}")
        for way in ("mapping", "Python"):
            print(f"{way} equals YAML:", predictions[way].equals(predictions["YAML"]))
        changed = motet.train(
            folder / "houses.yaml", overrides=["training.seed=8"], output=folder / "changed"
        )
        print("another seed equals YAML:", changed.predict(csv).equals(predictions["YAML"]))


def write_houses(path: Path) -> None:
    rng = np.random.default_rng(0)
    area, rooms = rng.normal(100, 30, 500), rng.integers(1, 6, 500)
    price = 2000 * area + 9000 * rooms + rng.normal(0, 5000, 500)
    sold = np.where(price + rng.normal(0, 20000, 500) < 220_000, "yes", "no")
    rows = [
        f"{a:.1f},{r},{p:.0f},{s}" for a, r, p, s in zip(area, rooms, price, sold, strict=True)
    ]
    path.write_text("\n".join(["area,rooms,price,sold", *rows]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
