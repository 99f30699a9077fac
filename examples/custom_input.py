"""Your own kind of input: images, which have a branch of the model and an encoder to themselves.

`Pixels` turns a column of lists of numbers into images (B, 1, H, W), which the model finds under
the input's name, and `Conv` is an encoder that reads them; both are chosen by name in the config. A
run that was stopped after three epochs is resumed. Prints the accuracy of the loaded run on images
of bars, that of a constant, and whether the resumed run has the same weights as one without a
break.
"""

import contextlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, final

import numpy as np
from torch import Tensor, nn

import motet
from motet.data.inputs.base import Input, Rows
from motet.data.inputs.shapes import BranchShape
from motet.data.notes import Notes
from motet.data.selection import column_of
from motet.data.values import as_matrix
from motet.encoders import Encoder
from motet.options import Chosen, PositiveInt, checked

CONFIG = {
    "inputs": {"image": {"type": "pixels", "height": 8, "width": 8}, "light": "number"},
    "tasks": {"bar": "classification", "brightness": "regression"},
    "model": {"encoder": {"hidden": [8]}},
    "training": {"epochs": 6, "batch_size": 64, "optimizer": {"learning_rate": 5e-3}},
}


@final
class Pixels(Input):
    """A grey image per row, in a column of lists of height x width numbers."""

    @checked
    def __init__(
        self,
        name: str,
        *,
        height: PositiveInt = 8,
        width: PositiveInt = 8,
        encoder: Annotated[Mapping[str, Any] | str, Chosen("encoder", "conv")] = "conv",
    ) -> None:
        self.name, self._size = name, (height, width)

    def columns(self, available: Sequence[str]) -> tuple[str, ...]:
        return (self.name,)

    def apply(self, rows: Rows) -> tuple[Any, Notes]:
        where = f"input {self.name!r}"
        column = column_of(rows, self.name, where)
        flat = np.nan_to_num(as_matrix(column, where, self._size[0] * self._size[1]))
        return flat.reshape(-1, 1, *self._size).astype(np.float32), Notes(len(rows))

    def shape(self) -> BranchShape:
        return BranchShape("pixels", self._size)

    def state(self) -> dict[str, Any]:
        return {"size": list(self._size)}

    def load(self, state: dict[str, Any]) -> None:
        self._size = tuple(state["size"])


@final
class Conv(Encoder):
    """Two layers of 3 x 3 filters and the mean over the image."""

    reads = "pixels"

    @checked
    def __init__(self, height: int, width: int, *, channels: PositiveInt = 8) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
        )
        self.width = channels

    def forward(self, images: Tensor) -> Tensor:
        pooled: Tensor = self.layers(images).mean(dim=(2, 3))
        return pooled


def bars(count: int) -> dict[str, Any]:
    """Draw images of a horizontal or a vertical bar, in noise and more or less light."""
    rng = np.random.default_rng(0)
    images, light = rng.normal(0, 0.3, (count, 8, 8)), rng.uniform(0.5, 1.5, count)
    upright, place = rng.random(count) < 0.5, rng.integers(8, size=count)
    for image, is_upright, at in zip(images, upright, place, strict=True):
        image[(slice(None), at) if is_upright else at] += 1.5
    images *= light[:, None, None]
    brightness = images.mean(axis=(1, 2))
    names = np.where(upright, "vertical", "horizontal")
    return {
        "image": images.reshape(count, -1),
        "light": light,
        "bar": names,
        "brightness": brightness,
    }


def main() -> None:
    """Register the input and its encoder, train, stop, resume, and predict."""
    motet.register("encoder", "conv", Conv)
    motet.register("input", "pixels", Pixels)
    rows = bars(800)

    def stop(line: str) -> None:
        if line.startswith("epoch") and " 3/6 " in line:
            raise KeyboardInterrupt

    with tempfile.TemporaryDirectory() as folder:
        whole = motet.train(CONFIG, rows, output=Path(folder) / "whole")
        with contextlib.suppress(KeyboardInterrupt):
            motet.train(CONFIG, rows, output=Path(folder) / "stopped", say=stop)
        resumed = motet.resume(Path(folder) / "stopped", rows)
        one, other = (run.model.state_dict() for run in (whole, resumed))
        loaded = motet.load(resumed.path)
        found = loaded.evaluate(rows, split="test")
        share = np.mean(rows["bar"] == "vertical")
        print(f"accuracy: {found['bar']['accuracy']:.3f} (a constant: {max(share, 1 - share):.3f})")
        print(f"brightness R2: {found['brightness']['r2']:.3f}")
        same = all(bool((one[name] == other[name]).all()) for name in one)
        print("resumed run equals the whole one:", same)
        print("images:", loaded.preprocess(rows)["image"].shape)
        print("first rows:", loaded.predict(rows)["bar"].to_pylist()[:3])


if __name__ == "__main__":
    main()
