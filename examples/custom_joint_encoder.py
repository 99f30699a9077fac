"""Your own encoder of all inputs at once, in place of an encoder for each and a fusion.

`Conditioned` reads the words of a text by what the other columns say: numbers and categories scale
each component of the words' vectors (FiLM; Perez et al., AAAI 2018, arXiv:1709.07871). It declares
``reads = "inputs"``, so that it is made with the shapes of all inputs and called with all of them.
Whether "warm" is praise depends on the season here, so a model needs both at once. Prints the
accuracy beside that of an LSTM and a table whose features stand side by side under a linear head,
and that the loaded run predicts the same.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn

import motet
from motet.data.inputs.shapes import InputShapes, TableShape, TextSizes
from motet.encoders import Encoder
from motet.options import PositiveInt, checked
from motet.problems import InputError

CONFIG = """
inputs:
  review: {type: text, tokenizer: words}
  season: category
  stars: number
tasks:
  liked: {type: classification}
  stars_next: regression
model:
  encoder: {type: conditioned, width: 16}
training: {epochs: 12, batch_size: 32, early_stopping: null, optimizer: {learning_rate: 1.0e-2}}
"""


@final
class Conditioned(Encoder):
    """Vectors of words, scaled by the columns beside them, and their mean."""

    reads = "inputs"
    gives = "rows"

    @checked
    def __init__(self, shapes: InputShapes, *, width: PositiveInt = 32) -> None:
        super().__init__()
        self.shapes, self.width = shapes, width
        named = shapes.by_name.items()
        self.texts = [name for name, each in named if isinstance(each, TextSizes)]
        self.tables = [name for name, each in named if isinstance(each, TableShape)]
        left = [name for name in shapes.by_name if name not in (*self.texts, *self.tables)]
        if left or not self.texts or not self.tables:
            raise InputError("it reads texts, and numbers or categories; expected both alone")
        self.words = nn.ModuleList(
            nn.Embedding(shapes.texts[name].vocabulary, width, padding_idx=0) for name in self.texts
        )
        self.categories = nn.ModuleList(nn.Embedding(n, width) for n in shapes.table.categories)
        self.numbers = nn.Linear(len(shapes.table.numbers), width)

    def forward(self, inputs: Mapping[str, Any]) -> Tensor:
        given = self.shapes.split(inputs)  # the tree of each input by its name
        tables = [given[name] for name in self.tables]
        columns = [each["categories"] for each in tables if "categories" in each]
        indices = torch.cat(columns, dim=1).unbind(1) if columns else ()
        numbers = torch.cat([each["numbers"] for each in tables if "numbers" in each], dim=1)
        scale = 1 + self.numbers(numbers)
        for embedding, index in zip(self.categories, indices, strict=True):
            scale = scale + embedding(index)
        found = torch.zeros_like(scale)
        for name, embedding in zip(self.texts, self.words, strict=True):
            ids = given[name]["ids"]
            there = (ids != 0).sum(1, keepdim=True).clamp(min=1)
            found = found + embedding(ids).sum(1) / there
        return found * scale


def rows(count: int, seed: int) -> dict[str, Any]:
    """Draw reviews of clothes, which are liked if they are warm in winter or light in summer."""
    rng = np.random.default_rng(seed)
    winter, warm = rng.random((2, count)) < 0.5
    stars = rng.normal(size=count)
    reviews = [
        " ".join(rng.permutation(["warm" if each else "light", "coat", "the", "it"]))
        for each in warm
    ]
    return {
        "review": reviews,
        "season": np.where(winter, "winter", "summer"),
        "stars": stars,
        "liked": winter == warm,
        "stars_next": stars + 0.1 * rng.normal(size=count),
    }


def main() -> None:
    """Register the encoder, train with it and with a fusion, and load the run."""
    motet.register("encoder", "conditioned", Conditioned)
    test = rows(300, seed=1)
    side_by_side = [
        "model.encoder={type: identity}",
        "inputs.review.encoder={type: lstm, width: 16}",
    ]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.yaml"
        file.write_text(CONFIG, encoding="utf-8")
        for name, changes in {"conditioned": [], "side by side": side_by_side}.items():
            run = motet.train(file, rows(600, seed=0), overrides=changes, output=file.parent / name)
            found = run.evaluate(test)
            print(f"{name}: accuracy {found['liked']['accuracy']:.3f}", end=", ")
            print(f"stars r2 {found['stars_next']['r2']:.3f}")
            same = motet.load(run.path).predict(test).equals(run.predict(test))
            print("loaded run predicts the same:", same)


if __name__ == "__main__":
    main()
