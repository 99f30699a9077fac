"""What is learned of training images: their size, their channels, and the moments of pixels."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motet.data.images.columns import fitted, shape_of
from motet.data.images.opening import in_threads
from motet.data.images.reading import Corrupt, Header, Resize, decode, file_of, header
from motet.data.inputs.samples import Sample
from motet.problems import InputError

LARGEST = 2000
"""Images from which means and standard deviations are learned; of fewer, all are read."""

Image = bytes | Path | NDArray[Any]


@dataclass
class Seen:
    """What was observed of the training rows."""

    sample: Sample = field(default_factory=lambda: Sample(LARGEST))
    rows: int = 0
    images: int = 0
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    channels: set[int] = field(default_factory=set)
    kinds: set[str] = field(default_factory=set)
    """"8 bits" or "numbers"."""

    def add(self, images: list[Image | None], workers: int | None) -> dict[int, str]:
        """Learn from rows.

        Args:
            images: Their images; None where there is none.
            workers: Number of threads.

        Returns:
            Problems by row.
        """
        found = in_threads(_header, images, workers)
        problems = {row: each for row, each in enumerate(found) if isinstance(each, str)}
        good = [row for row, each in enumerate(found) if isinstance(each, Header)]
        for row in good:
            known: Any = found[row]
            self.sizes[known.height, known.width] += 1
            self.channels.add(known.channels)
            each = images[row]
            floats = isinstance(each, np.ndarray) and each.dtype.kind == "f"
            self.kinds.add("numbers" if floats else "8 bits")
        if good:
            values = np.empty(len(good), object)
            for place, row in enumerate(good):
                values[place] = images[row]
            self.sample.add(values, np.array(good, np.int64) + self.rows)
        self.rows += len(images)
        self.images += len(good)
        return problems

    def size(self) -> tuple[int, int]:
        """Return the size that all images have.

        Raises:
            InputError: If they have several.
        """
        if len(self.sizes) > 1:
            common = ", ".join(
                f"{height} x {width} ({count:,})"
                for (height, width), count in self.sizes.most_common(3)
            )
            raise InputError(
                f"missing; the training images have {len(self.sizes):,} sizes, height x width: "
                f"{common}{', ...' * (len(self.sizes) > 3)}; give the one to resize them to, for "
                "example size: [224, 224]",
                option="size",
            )
        return next(iter(self.sizes))

    def moments(
        self, channels: int, size: tuple[int, int], resize: Resize, workers: int | None
    ) -> tuple[list[float], list[float]]:
        """Return the mean and standard deviation of each channel, over all pixels of the sample."""

        def sums(image: Image) -> NDArray[np.float64] | None:
            try:
                pixels = pixels_of(image, channels, size, resize)
            except Corrupt:  # reported where rows are read
                return None
            scaled = pixels.astype(np.float64) / (255 if pixels.dtype == np.uint8 else 1)
            return np.stack([scaled.sum(axis=(0, 1)), (scaled**2).sum(axis=(0, 1))])

        found = in_threads(sums, list(self.sample.values()), workers)
        known = [each for each in found if each is not None]
        if not known:
            return [0.0] * channels, [1.0] * channels
        mean, square = np.sum(known, axis=0) / (len(known) * size[0] * size[1])
        std = np.sqrt(np.maximum(square - mean**2, 0))
        return mean.tolist(), np.where(std > 1e-6, std, 1).tolist()


def pixels_of(image: Image, channels: int, size: tuple[int, int], resize: Resize) -> NDArray[Any]:
    """Return the pixels (H, W, C) of an image of any kind; one that is damaged is a `Corrupt`."""
    if isinstance(image, np.ndarray):
        return fitted(image, channels, size, resize)
    content = file_of(image) if isinstance(image, Path) else image
    return decode(content, channels, size, resize)


def _header(image: Image | None) -> Header | str | None:
    try:
        if image is None:
            return None
        if isinstance(image, np.ndarray):
            return Header(*shape_of(image))
        return header(image)
    except Corrupt as error:
        return str(error)
