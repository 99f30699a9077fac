"""Your own fusion: features of modalities are multiplied, not put side by side.

`Products` is a low-rank tensor fusion (Liu et al., ACL 2018, arXiv:1806.00064): each modality is
projected, with a 1 beside it, and projections are multiplied. A modality that a row lacks is a
factor of 1. The class of a row is whether two vectors agree, which neither shows alone. Prints the
accuracy of the fusion beside that of `concat`, whose features a linear head cannot multiply, and
what is left where one of the vectors is missing.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn

import motet
from motet.encoders import Fusion
from motet.options import Fraction, PositiveInt, checked

CONFIG = """
inputs:
  left: {type: vector, encoder: identity}
  right: {type: vector, encoder: identity}
tasks:
  agree: {type: classification}
  size: regression
model:
  fusion: {type: products, width: 16, modality_dropout: 0.05}
training: {epochs: 15, batch_size: 32, early_stopping: null, optimizer: {learning_rate: 1.0e-2}}
"""


@final
class Products(Fusion):
    """The product of a linear projection of each modality."""

    @checked
    def __init__(
        self,
        widths: Sequence[int],
        *,
        width: PositiveInt = 32,
        modality_dropout: Fraction = 0.0,
    ) -> None:
        super().__init__()
        self.width, self.modality_dropout = width, modality_dropout
        self.factors = nn.ModuleList(nn.Linear(each, width) for each in widths)

    def forward(self, features: Sequence[Tensor], present: Tensor | None) -> Tensor:
        joined = torch.ones((), device=features[0].device)
        for place, (factor, given) in enumerate(zip(self.factors, features, strict=True)):
            found = factor(given)
            if present is not None:
                found = torch.where(present[..., place, None], found, 1.0)
            joined = joined * found
        return joined


def rows(count: int, seed: int) -> dict[str, Any]:
    """Draw two vectors, whose first numbers have the same sign or not; some rows lack one."""
    rng = np.random.default_rng(seed)
    left, right = rng.normal(size=(2, count, 4))
    agree = left[:, 0] * right[:, 0] > 0
    lacking = rng.random(count) < 0.1
    shown = [None if gone else each.tolist() for each, gone in zip(right, lacking, strict=True)]
    return {"left": left.tolist(), "right": shown, "agree": agree, "size": left[:, 1]}


def main() -> None:
    """Register the fusion, train with it and with `concat`, and hide one vector."""
    motet.register("fusion", "products", Products)
    test = rows(500, seed=1)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.yaml"
        file.write_text(CONFIG, encoding="utf-8")
        for name, changes in {"products": [], "concat": ["model.fusion=concat"]}.items():
            run = motet.train(
                file, rows(1000, seed=0), overrides=changes, output=file.parent / name
            )
            found = motet.load(run.path).evaluate(test)
            print(f"{name}: accuracy {found['agree']['accuracy']:.3f}")
            alone = motet.load(run.path).evaluate({**test, "right": [None] * 500})
            print(f"{name}, left alone: size r2 {alone['size']['r2']:.3f}")


if __name__ == "__main__":
    main()
