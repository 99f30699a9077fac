"""Regression in euros and classification together: units, and missing labels.

Prices in euros are out of reach of an optimizer's small steps, and their loss alone decides what
the encoder learns. So they are standardised, and the task gets the `scaling`: it trains on
standardised numbers; predictions and metrics are in euros (`motet.train` does this automatically).
Trains both ways. Prints the error in euros and the accuracy on held-out rows, compared with a
baseline that ignores the inputs, and how many of those rows have a label.
"""

import numpy as np
import torch
from torch import nn

import motet


def main() -> None:
    """Train on unscaled prices, then on standardised ones."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(1500, 5)).astype("float32")
    euros = 250_000 + 60_000 * inputs[:, 0] - 20_000 * inputs[:, 1] ** 2
    euros += rng.normal(0, 10_000, 1500)
    sold = (inputs[:, 2] - inputs[:, 1] + 0.5 * rng.normal(size=1500) > 0).astype("float32")
    euros[rng.random(1500) < 0.3] = np.nan  # not labelled
    sold[rng.random(1500) < 0.3] = np.nan

    standardised = np.nanmean(euros[:1000]), np.nanstd(euros[:1000])  # of the training rows
    for way, (mean, std) in {"as it is": (0.0, 1.0), "standardised": standardised}.items():
        labels = {"price": (euros - mean) / std, "sold": sold}
        train = inputs[:1000], {task: values[:1000] for task, values in labels.items()}
        test = inputs[1000:], {task: values[1000:] for task, values in labels.items()}
        torch.manual_seed(0)
        tasks = [
            motet.tasks.Regression("price", scaling=(mean, std), metrics=["mae", "r2"]),
            motet.tasks.Classification("sold", classes=["no", "yes"], metrics=["accuracy"]),
        ]
        model = motet.MultiTaskModel(nn.Sequential(nn.Linear(5, 64), nn.ReLU()), tasks)
        trainer = motet.Trainer(model, learning_rate=1e-2, batch_size=50)
        trainer.fit(train, epochs=10)

        report = trainer.evaluate(test)
        price, sale, trivial = report["price"], report["sold"], report.trivial
        print(f"price {way}:")
        print(f"  price MAE {price['mae']:,.0f} euros (trivial {trivial['price']['mae']:,.0f})")
        print(f"  sold accuracy {sale['accuracy']:.3f} (trivial {trivial['sold']['accuracy']:.3f})")
    print(f"test rows {len(test[0])}, with price {price['count']}, with sold {sale['count']}")


if __name__ == "__main__":
    main()
