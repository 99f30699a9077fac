"""Regression in euros and classification together: units, missing labels, two balancers.

A loss in squared euros would drown a cross-entropy. So the prices are standardised, and the task is
told how (`scaling`): it trains on the standardised numbers and answers in euros. Prints, for equal
weights and for learned uncertainty, the error in euros and the accuracy on rows that training never
saw, beside what a predictor reaches that ignores the inputs.
"""

import numpy as np
import torch
from torch import nn

import motet


def main() -> None:
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(1500, 5)).astype("float32")
    euros = 250_000 + 60_000 * inputs[:, 0] - 20_000 * inputs[:, 1] ** 2
    euros += rng.normal(0, 10_000, 1500)
    sold = (inputs[:, 2] - inputs[:, 1] + 0.5 * rng.normal(size=1500) > 0).astype("float32")
    euros[rng.random(1500) < 0.3] = np.nan  # not labelled
    sold[rng.random(1500) < 0.3] = np.nan

    mean, std = np.nanmean(euros[:1000]), np.nanstd(euros[:1000])  # of the training rows
    labels = {"price": (euros - mean) / std, "sold": sold}
    train, test = (
        (inputs[part], {task: values[part] for task, values in labels.items()})
        for part in (slice(0, 1000), slice(1000, None))
    )
    for balancer in ("equal", "uncertainty"):
        torch.manual_seed(0)
        tasks = [
            motet.tasks.Regression("price", scaling=(mean, std), metrics=["mae", "r2"]),
            motet.tasks.Classification("sold", classes=["no", "yes"], metrics=["accuracy"]),
        ]
        model = motet.MultiTaskModel(nn.Sequential(nn.Linear(5, 64), nn.ReLU()), tasks)
        trainer = motet.Trainer(model, balancer, learning_rate=1e-2, batch_size=50)
        trainer.fit(train, epochs=10)

        report, prices = trainer.evaluate(test), trainer.predict(test[0])["price"]
        price, sale, trivial = report["price"], report["sold"], report.trivial
        print(f"{balancer}: predicted prices around {prices.mean():,.0f} euros")
        print(f"  price MAE {price['mae']:,.0f} euros (trivial {trivial['price']['mae']:,.0f})")
        print(f"  sold accuracy {sale['accuracy']:.3f} (trivial {trivial['sold']['accuracy']:.3f})")
        print(f"  labelled rows: price {price['count']}, sold {sale['count']} of {len(test[0])}")


if __name__ == "__main__":
    main()
