"""Your own kind of label: a class for every pixel, each of which may be missing.

It is a small version of what the built-in task `segmentation` does. `PixelLabels` is the kind,
`Masks` makes arrays of its column and columns of predictions, and `OwnSegmentation` is a task with
such labels, which reads a map (B, D, H, W). A run that was stopped after three epochs is resumed.
Prints the share of right pixels of the loaded run, that of a constant, and whether the resumed run
has the same weights as one without a break.
"""

import contextlib
import tempfile
from collections.abc import Mapping, Sequence
from math import isqrt
from pathlib import Path
from typing import Annotated, Any, final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import motet
from motet.data.inputs.base import Input, Rows
from motet.data.inputs.shapes import BranchShape
from motet.data.notes import Notes
from motet.data.selection import column_of
from motet.data.targets import NO_INPUTS, Target
from motet.data.values import as_matrix
from motet.encoders import Encoder
from motet.options import Chosen, PositiveInt, TaskOptions, TwoOrMore, Unpack, checked
from motet.tasks import Prediction, Task
from motet.tasks.kinds import LabelKind
from motet.tasks.statistics import LabelStatistics

CONFIG = {
    "inputs": {"image": "pixels"},
    "tasks": {"mask": "own_segmentation", "brightness": "regression"},
    "training": {"epochs": 6, "batch_size": 64, "optimizer": {"learning_rate": 1e-2}},
}


# The kind of label ---------------------------------------------------------------------------


def pixel_accuracy(predictions: NDArray[Any], targets: NDArray[Any]) -> float:
    """Return the share of right pixels among those that have a label."""
    known = targets >= 0
    return float((predictions == targets)[known].mean())


pixel_accuracy.best = 1.0  # type: ignore[attr-defined]  # of a perfect model


class PixelLabels(LabelKind):
    """Whole numbers (B, H, W), -100 where missing."""

    name = "pixels"
    default_metrics = (pixel_accuracy,)


@final
class Masks(Target):
    """A column of lists of H x H whole numbers."""

    side = classes = 0

    def fit(self, table: pa.Table, inputs: Mapping[str, Input] = NO_INPUTS) -> None:
        values = as_matrix(table[self.column], f"task {self.name!r}")
        self.side, self.classes = isqrt(values.shape[1]), int(np.nanmax(values)) + 1

    def encode(self, table: pa.Table, inputs: Mapping[str, Input] = NO_INPUTS) -> NDArray[Any]:
        values = as_matrix(table[self.column], f"task {self.name!r}", self.side**2)
        return np.nan_to_num(values, nan=-100).astype(np.int64).reshape(-1, self.side, self.side)

    def learned(self) -> dict[str, Any]:
        return {"classes": self.classes}

    def predictions(self, value: NDArray[Any], *_: Any) -> dict[str, pa.Array]:
        return {self.name: pa.array(list(value.reshape(len(value), -1)))}

    def state(self) -> dict[str, Any]:
        return {"column": self.column, "side": self.side, "classes": self.classes}

    def load(self, state: dict[str, Any]) -> None:
        self.column, self.side, self.classes = state["column"], state["side"], state["classes"]


@final
class OwnSegmentation(Task):
    """One of C classes for every pixel."""

    kind, labels, reads_state = "own_segmentation", PixelLabels(), "map"

    @checked
    def __init__(
        self, name: str, *, classes: TwoOrMore | None = None, **common: Unpack[TaskOptions]
    ) -> None:
        super().__init__(name, **common)
        self.outputs = classes or 0

    def loss(self, raw: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        return cross_entropy(raw, target, reduction="sum"), self.count(target)  # without -100

    def count(self, target: Tensor) -> Tensor:
        return self.label_kind.present(target).sum().float()

    def decode(self, raw: Tensor) -> Prediction:
        return Prediction(raw.argmax(dim=1))

    def trivial(self, labels: LabelStatistics, metric: str) -> Prediction:
        masks = labels.sample.rows
        return Prediction(masks[masks >= 0].mode().values.expand(1, *masks.shape[1:]))


# Images, and an encoder that gives a map -----------------------------------------------------


@final
class Pixels(Input):
    """A grey image of 8 x 8 pixels per row, in a column of lists of numbers."""

    @checked
    def __init__(
        self,
        name: str,
        *,
        encoder: Annotated[Mapping[str, Any] | str, Chosen("encoder", "conv")] = "conv",
    ) -> None:
        self.name = name

    def columns(self, available: Sequence[str]) -> tuple[str, ...]:
        return (self.name,)

    def apply(self, rows: Rows) -> tuple[Any, Notes]:
        where = f"input {self.name!r}"
        flat = as_matrix(column_of(rows, self.name, where), where, 64)
        return flat.reshape(-1, 1, 8, 8).astype(np.float32), Notes(len(rows))

    def shape(self) -> BranchShape:
        return BranchShape("pixels")

    def state(self) -> dict[str, Any]:
        return {}

    def load(self, state: dict[str, Any]) -> None:
        pass


@final
class Conv(Encoder):
    """Two layers of 3 x 3 filters."""

    reads, gives = "pixels", "map"

    @checked
    def __init__(self, *, channels: PositiveInt = 16) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
        )
        self.width = channels

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.layers(images)
        return found


# ---------------------------------------------------------------------------------------------


def squares(count: int) -> dict[str, Any]:
    """Draw noisy images of a bright square; the mask marks it, and every tenth pixel is unknown."""
    rng = np.random.default_rng(0)
    images, masks = rng.normal(0, 0.4, (count, 8, 8)), np.zeros((count, 8, 8))
    for image, mask, (top, left, side) in zip(
        images, masks, rng.integers([0, 0, 3], [4, 4, 5], (count, 3)), strict=True
    ):
        mask[top : top + side, left : left + side] = 1
        image += mask
    brightness = images.mean(axis=(1, 2))
    masks[rng.random(masks.shape) < 0.1] = np.nan
    flat = (count, -1)
    return {"image": images.reshape(flat), "mask": masks.reshape(flat), "brightness": brightness}


def main() -> None:
    """Register the kind and what it needs, train, stop, resume, and predict."""
    motet.register("label", "pixels", Masks)
    motet.register("task", "own_segmentation", OwnSegmentation)
    motet.register("encoder", "conv", Conv)
    motet.register("input", "pixels", Pixels)
    rows = squares(600)

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
        trivial = found.trivial["mask"]["pixel_accuracy"]
        print(f"pixel accuracy: {found['mask']['pixel_accuracy']:.3f} (a constant: {trivial:.3f})")
        print(f"brightness R2: {found['brightness']['r2']:.3f}")
        same = all(bool((one[name] == other[name]).all()) for name in one)
        print("resumed run equals the whole one:", same)
        print("first row:", loaded.predict(rows)["mask"][0].as_py()[:8])


if __name__ == "__main__":
    main()
