"""Your own encoder of a table: layers that multiply columns with each other.

`Cross` is the cross network of Wang et al. (WWW 2021, arXiv:2008.13535). A table encoder is made
with the number of number columns and the sizes of the categories, and reads both as one mapping;
its keyword-only arguments are its options in a config. Here one target is a product of columns, the
other depends on a category. Prints R2 on test rows.
"""

import tempfile
from collections.abc import Mapping, Sequence
from typing import final

import numpy as np
import torch
from torch import Tensor, nn

import motet
from motet.encoders import Encoder
from motet.options import PositiveInt, checked


@final
class Cross(Encoder):
    """Each layer multiplies its output with the row itself, feature by feature.

    Args:
        layers: How many layers; each allows products of one more column.
    """

    @checked
    def __init__(
        self, numbers: int, categories: Sequence[int] = (), *, layers: PositiveInt = 2
    ) -> None:
        super().__init__()
        self.vectors = nn.ModuleList(nn.Embedding(values, 4) for values in categories)
        self.width = numbers + 4 * len(categories)
        self.layers = nn.ModuleList(nn.Linear(self.width, self.width) for _ in range(layers))

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        columns = inputs["categories"].unbind(1) if self.vectors else ()
        found = [vector(column) for vector, column in zip(self.vectors, columns, strict=True)]
        row = state = torch.cat([inputs["numbers"], *found], dim=1)
        for layer in self.layers:
            state = row * layer(state) + state
        return state


def main() -> None:
    """Register the encoder, train with it, and load the run."""
    motet.register("encoder", "cross", Cross)
    number = {"type": "number", "scaling": "standard"}  # this encoder does not read bins
    config = {
        "inputs": {"x": number, "y": number, "city": "category"},
        "tasks": {"product": "regression", "price": "regression"},
        "model": {"encoder": {"type": "cross", "layers": 2}},
        "training": {"epochs": 10, "batch_size": 32, "optimizer": {"learning_rate": 2e-2}},
    }
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 800))
    city = rng.choice(["Kyoto", "Lima"], 800)
    data = {"x": x, "y": y, "city": city, "product": x * y, "price": x + 2 * (city == "Lima")}
    with tempfile.TemporaryDirectory() as folder:
        motet.train(config, data, output=folder)
        report = motet.load(folder).evaluate(data, split="test")
    for task in ("product", "price"):
        print(f"{task}: R2 {report[task]['r2']:.3f}")


if __name__ == "__main__":
    main()
