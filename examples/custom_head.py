"""Three ways to choose a head: options of the built-in one, your own class, its name.

A head that ends in softplus cannot predict a negative price, whatever the input; a plain head can.
Prints how well each fits, and the lowest price it predicts far from the training data.
"""

import numpy as np
import torch
from torch import Tensor, nn

import motet


class Positive(nn.Module):
    """Predict numbers > 0: a hidden layer, a linear layer, softplus.

    Args:
        width: Number of input features.
        outputs: Numbers per row to predict.
        hidden: Width of the hidden layer.
    """

    def __init__(self, width: int, outputs: int, *, hidden: int = 16) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, outputs), nn.Softplus()
        )

    def forward(self, features: Tensor) -> Tensor:
        return self.layers(features)


def main() -> None:
    """Train one task three times, each time with another head."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(1000, 4)).astype("float32")
    price = np.exp(inputs[:, 0])
    targets = dict.fromkeys(["plain", "by_class", "by_name"], price)

    motet.register("head", "positive", Positive)  # a config can now say `type: positive`
    torch.manual_seed(0)
    tasks = [
        motet.tasks.Regression("plain", head={"hidden": [16], "activation": "gelu"}),
        motet.tasks.Regression("by_class", head=Positive),  # called with (width, outputs)
        motet.tasks.Regression("by_name", head={"type": "positive", "hidden": 32}),
    ]
    model = motet.MultiTaskModel(nn.Sequential(nn.Linear(4, 32), nn.ReLU()), tasks)
    trainer = motet.Trainer(model, learning_rate=1e-2, batch_size=100)
    trainer.fit((inputs, targets), epochs=8)

    report = trainer.evaluate((inputs, targets))
    lowest = {task: prices.min() for task, prices in trainer.predict(4 * inputs).items()}
    for task in model.tasks.names:
        print(f"{task}: R2 {report[task]['r2']:.3f}, lowest price {lowest[task]:.3f}")


if __name__ == "__main__":
    main()
