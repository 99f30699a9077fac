"""Your own auxiliary task: rows and targets that it makes itself, trained beside the others.

`DenoiseCells` replaces some numbers of each row by those of other rows, and learns to restore the
row. It needs no labels, so it also learns from rows that have none, and it is left out of
predictions. Prints its loss on held-out rows after the first and the last epoch, the columns of the
predictions, and the R2 of the other task.
"""

import tempfile
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

import motet
from motet.options import AuxiliaryOptions, PositiveFloat, Unpack, checked
from motet.tasks import Auxiliary


@final
class DenoiseCells(Auxiliary):
    """Restore numbers of a table that were swapped between rows.

    Args:
        name: The task's name.
        share: Share of the numbers that is swapped.
        **common: Options of every auxiliary task.
    """

    kind = "denoise_cells"

    @checked
    def __init__(
        self, name: str, *, share: PositiveFloat = 0.3, **common: Unpack[AuxiliaryOptions]
    ) -> None:
        super().__init__(name, **common)
        self.share = share

    def read_shapes(self, shapes: Any) -> None:
        self.outputs = len(shapes.table.numbers)

    def view(self, inputs: Any, generator: torch.Generator) -> tuple[Any, Tensor]:
        cells = inputs["numbers"]
        draw = {"generator": generator, "device": cells.device}
        others = cells[torch.randperm(len(cells), **draw)]
        swapped = torch.where(torch.rand(cells.shape, **draw) < self.share, others, cells)
        return {**inputs, "numbers": swapped}, cells

    def loss(self, raw: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        return self.add_up(lambda raw, target: (raw - target) ** 2, raw, target)


def main() -> None:
    """Register the task, and train a table with it."""
    motet.register("auxiliary", "denoise_cells", DenoiseCells)
    config = {
        "tasks": {
            "price": {"type": "regression"},
            "cells": {"type": "denoise_cells", "share": 0.2, "weight": 0.5},
        },
        "training": {"epochs": 12, "batch_size": 64, "optimizer": {"learning_rate": 3e-3}},
    }
    rng = np.random.default_rng(0)
    x = rng.normal(size=(800, 1)) + 0.3 * rng.normal(size=(800, 4))
    data = {f"x{column}": x[:, column] for column in range(4)}
    data["price"] = np.where(np.arange(800) % 4 == 0, x.mean(axis=1), np.nan)  # few rows have one

    with tempfile.TemporaryDirectory() as folder:
        run = motet.train(config, data, output=folder)
        losses = run.history.curve("cells", "loss")
        print(f"cells: loss {losses[0]:.3f}, then {losses[-1]:.3f}")
        print("predicted:", *run.predict(data).column_names)
        report = motet.load(folder).evaluate(data, split="test")
        print(f"price: R2 {report['price']['r2']:.3f}")


if __name__ == "__main__":
    main()
