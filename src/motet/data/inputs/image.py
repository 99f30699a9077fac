"""An image per row: a path, bytes or an array; pixels are made ahead of the step."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, final

import numpy as np
from numpy.typing import NDArray

from motet.data.images.columns import arrays_of, encoded_of, fitted, holds_arrays
from motet.data.images.normalising import agreed
from motet.data.images.opening import Encoded, Opening, in_threads, opened
from motet.data.images.reading import Corrupt, Resize, library
from motet.data.inputs.base import Input, Rows
from motet.data.inputs.image_learning import Image as Given
from motet.data.inputs.image_learning import Seen
from motet.data.inputs.shapes import BranchShape
from motet.data.notes import Finding, Notes
from motet.data.row_folders import folder_of
from motet.data.selection import column_of
from motet.options import (
    AugmentationOptions,
    Chosen,
    Mapping,
    NonNegativeFloat,
    Place,
    PositiveFloat,
    PositiveInt,
    Real,
    checked,
)
from motet.problems import InputError, RowError

Numbers = tuple[float, ...]

_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_MISSING = Finding("have no image")
_CORRUPT = Finding("have an image that cannot be used, and count as rows without one")


@final
class Image(Input):
    """An image per row, of a path, of bytes, or as an array.

    A column of texts holds paths, relative to the folder of the data file; one of bytes holds the
    files themselves, as PNG or JPEG; one of structs, as Hugging Face `datasets` write them, both;
    one of nested lists (H, W) or (H, W, C), or a NumPy array (N, H, W) or (N, H, W, C), pixels:
    whole numbers from 0 to 255, or any floating-point numbers, which are only normalised.

    Pixels are 8 bits deep, from 0 to 1, and normalised by channel. They are read in threads ahead
    of the step, and kept in memory if they are few.

    Args:
        name: The input's name.
        column: Column to read; the input's name if left out.
        root: Folder of relative paths; that of the data file if left out.
        size: Height and width that images are resized to; if left out, that of the training images,
            which must be alike.
        channels: 1 for grey or 3 for red, green and blue; if left out, 1 if all training images are
            grey.
        resize: How images become the size, antialiased: stretch the whole, crop the centre of its
            proportions, or pad the whole with black; refuse takes other sizes for corrupt. stretch
            if size is given, else refuse.
        mean: Mean of each channel of pixels from 0 to 1, one number or one for each, or imagenet
            for the usual numbers of encoders that were pre-trained on it; if left out, that of a
            pretrained encoder, else learned.
        std: Standard deviation of each channel, given with mean.
        augmentation: Changes of training images, drawn anew for each row and epoch.
        corrupt: What to do with an image that is missing, damaged or too large: error names its
            row; skip takes the row for one without an image, and counts such rows.
        cache: Gigabytes of pixels, of all rows, up to which they are decoded once and kept in
            memory; larger ones are decoded anew in each epoch.
        workers: Threads that decode; one for each core, and at most 16, if left out.
        encoder: Encoder of the pixels.

    Raises:
        InputError: If an option is unknown or wrong, or Pillow is not installed.

    Example:
        >>> import pyarrow as pa
        >>> scan = Image("scan")
        >>> rows = pa.table({"scan": [[[0, 255]], [[255, 255]]]})
        >>> scan.observe(rows)
        >>> scan.finish()
        >>> scan.shape().arguments
        (1, 1, 2)
        >>> scan.apply(rows)[0][0:1]["pixels"].round(decimals=3)
        tensor([[[[-1.7320,  0.5770]]]])
    """

    @checked
    def __init__(
        self,
        name: str,
        *,
        column: str | None = None,
        root: Annotated[str, Place()] | None = None,
        size: tuple[PositiveInt, PositiveInt] | None = None,
        channels: Literal[1, 3] | None = None,
        resize: Literal["stretch", "crop", "pad", "refuse"] | None = None,
        mean: Literal["imagenet"] | Real | tuple[Real, ...] | None = None,
        std: PositiveFloat | tuple[PositiveFloat, ...] | None = None,
        augmentation: AugmentationOptions | None = None,
        corrupt: Literal["error", "skip"] = "error",
        cache: NonNegativeFloat = 1.0,
        workers: PositiveInt | None = None,
        encoder: Annotated[Mapping[str, Any] | str, Chosen("encoder", default="cnn")] = "cnn",
    ) -> None:
        library()
        self.name, self._column = name, column or name
        self.root = root
        """Folder of relative paths; a model folder has none."""
        self._size, self._channels = size, channels
        self._resize: Resize = resize or ("refuse" if size is None else "stretch")
        given = _moments(mean, std, f"input {name!r}")
        self._given = agreed(given, encoder, name)
        self._own_moments = given is not None
        self._augmentation = {k: v for k, v in (augmentation or {}).items() if v is not None}
        self._skips = corrupt == "skip"
        self._cache, self._workers = cache, workers
        self._how: Opening | None = None
        self._floats = False
        self._lacking = False
        self._seen = Seen()

    @property
    def resize(self) -> Resize:
        """How images become the size, which labels of their pixels follow."""
        return self._resize if self._how is None else self._how.resize

    def columns(self, available: Sequence[str]) -> tuple[str, ...]:
        return (self._column,)

    def observe(self, rows: Rows) -> None:
        images = self._images(rows)
        if isinstance(images, Encoded):
            given: list[Given | None] = [images.at(row) for row in range(len(rows))]
        else:
            given = list(images)
        problems = self._seen.add(given, self._workers)
        if problems and not self._skips:
            raise self._bad(images, problems)
        self._lacking |= bool(problems) or any(each is None for each in given)

    def finish(self) -> None:
        seen, self._seen = self._seen, Seen()
        if not seen.images:
            raise InputError(
                f"column {self._column!r} has no image in the {seen.rows:,} training rows; "
                "remove it"
            )
        if len(seen.kinds) > 1:
            raise InputError("some arrays hold whole numbers, and others do not; give one type")
        self._floats = seen.kinds == {"numbers"}
        self._check_colours()
        size = self._size or seen.size()
        channels = self._channels or max(seen.channels)
        mean: Sequence[float]
        std: Sequence[float]
        if self._given is None:
            mean, std = seen.moments(channels, size, self._resize, self._workers)
            self.notes = tuple(
                f"{note} (mean and std)" for note in seen.sample.notes(f"input {self.name!r}")
            )
        else:
            mean, std = (self._of_channels(each, channels) for each in self._given)
        self._how = Opening(
            channels,
            size,
            self._resize,
            tuple(mean),
            tuple(std),
            self._lacking or self._skips,
            self._augmentation or None,
            self._workers,
        )

    def apply(self, rows: Rows) -> tuple[Any, Notes]:
        """Read the images of rows, so that those that cannot be used are known.

        Returns:
            `motet.data.images.stored.Images`, whose batches are "pixels", float32 (B, C, H, W),
            and, where rows can lack an image, "present", bool (B,); and notes.
        """
        from motet.data.images.stored import Images  # here, as checking a config needs no torch

        assert self._how is not None
        images, how = self._images(rows), self._how
        count = len(rows)
        if isinstance(images, Encoded):
            there = images.content.is_valid().to_numpy(zero_copy_only=False)
            shape = (count, *how.size, how.channels)
            pixels = np.zeros(shape, np.uint8) if self._fits(shape) else None
            problems = opened(images, range(count), how, pixels)
        else:
            there = np.array([each is not None for each in images], np.bool_)
            pixels, problems = self._fitted(images)
        if problems and not self._skips:
            raise self._bad(images, problems)
        present = there.copy()
        present[list(problems)] = False
        encoded = images if isinstance(images, Encoded) else None
        found = {_MISSING: int((~there).sum()), _CORRUPT: len(problems)}
        return Images(how, encoded, present, pixels), Notes(count, found, _first(problems, images))

    def shape(self) -> BranchShape:
        assert self._how is not None
        return BranchShape("image", (self._how.channels, *self._how.size))

    def declared(self) -> BranchShape:
        for option, value in (("size", self._size), ("channels", self._channels)):
            if value is None:
                example = "[224, 224]" if option == "size" else "3"
                raise InputError(
                    f"the {option} of the images is unknown without data; give it, for example "
                    f"{option}: {example}",
                    option=option,
                    owner=f"input {self.name!r}",
                )
        assert self._size is not None
        return BranchShape("image", (self._channels, *self._size))

    def state(self) -> dict[str, Any]:
        assert self._how is not None
        how = self._how
        return {
            "column": self._column,
            "channels": how.channels,
            "size": list(how.size),
            "resize": how.resize,
            "mean": list(how.mean),
            "std": list(how.std),
            "lacking": how.lacking,
            "floats": self._floats,
            "corrupt": "skip" if self._skips else "error",
            "cache": self._cache,
        }

    def load(self, state: dict[str, Any]) -> None:
        self._column, self._floats = state["column"], state["floats"]
        self._skips, self._cache = state["corrupt"] == "skip", state["cache"]
        self._how = Opening(
            state["channels"],
            tuple(state["size"]),
            state["resize"],
            tuple(state["mean"]),
            tuple(state["std"]),
            state["lacking"],
        )

    # Reading -------------------------------------------------------------------------------------

    def _images(self, rows: Rows) -> Encoded | list[NDArray[Any] | None]:
        what = f"column {self._column!r}"
        column = column_of(rows, self._column, f"input {self.name!r}")
        if holds_arrays(column.type, what):
            return arrays_of(column)

        def root() -> Path:
            return folder_of(rows.schema, what) if self.root is None else Path(self.root)

        return encoded_of(column, root)

    def _fitted(self, images: list[NDArray[Any] | None]) -> tuple[NDArray[Any], dict[int, str]]:
        """Return the pixels of arrays, and their problems by row."""
        how = self._how
        assert how is not None
        kind = np.float32 if self._floats else np.uint8
        pixels = np.zeros((len(images), *how.size, how.channels), kind)

        def one(numbered: tuple[int, NDArray[Any] | None]) -> str:
            row, each = numbered
            if each is None:
                return ""
            try:
                found = fitted(each, how.channels, how.size, how.resize)
                if found.dtype != kind and not self._floats:
                    raise Corrupt("holds floating-point numbers, training rows whole ones")
            except Corrupt as error:
                return str(error)
            pixels[row] = found
            return ""

        found = in_threads(one, list(enumerate(images)), self._workers)
        return pixels, {row: each for row, each in enumerate(found) if each}

    def _fits(self, shape: tuple[int, ...]) -> bool:
        return float(np.prod(shape, dtype=np.float64)) <= self._cache * 1e9

    def _bad(self, images: Any, problems: Mapping[int, str]) -> RowError:
        row, problem = next(iter(problems.items()))
        also = f" ({len(problems):,} rows have such images)" if len(problems) > 1 else ""
        return RowError(
            f"column {self._column!r}:",
            row,
            f": {_described(images, row)} {problem}{also}; correct or remove it, or set corrupt: "
            "skip, so that such rows count as rows without an image",
        )

    def _of_channels(self, values: Numbers, channels: int) -> Numbers:
        if len(values) == 1:
            return values * channels
        if len(values) == channels:
            return values
        if self._own_moments:
            raise InputError(
                f"found {len(values)} numbers, but the images have {channels} channel; give one "
                "number, or set channels: 3",
                option="mean",
                owner=f"input {self.name!r}",
            )
        return (sum(values) / len(values),)

    def _check_colours(self) -> None:
        if self._floats and self._augmentation.get("color_jitter"):
            raise InputError(
                "applies to pixels of 8 bits, found arrays of floating-point numbers; remove it, "
                "or give whole numbers from 0 to 255",
                option="augmentation.color_jitter",
            )


def _described(images: Any, row: int) -> str:
    if isinstance(images, Encoded):
        found = images.at(row)
        return str(found) if isinstance(found, Path) else "the image"
    return "the array"


def _first(problems: Mapping[int, str], images: Any) -> tuple[str, ...]:
    """Report the first image that cannot be used."""
    if not problems:
        return ()
    row, problem = next(iter(problems.items()))
    return (f"for example, {_described(images, row)} {problem}",)


def _moments(mean: Any, std: Any, owner: str) -> tuple[Numbers, Numbers] | None:
    """Return the given means and standard deviations, one or three each; None to learn them."""
    if mean == "imagenet" and std is None:
        return _IMAGENET
    if mean is None and std is None:
        return None
    if mean is None or std is None or mean == "imagenet":
        given, other = ("std", "mean") if mean is None or mean == "imagenet" else ("mean", "std")
        raise InputError(
            f"found {given} alone; expected both mean and std, or mean: imagenet, or neither",
            option=other,
            owner=owner,
        )
    both = [(each,) if isinstance(each, (int, float)) else tuple(each) for each in (mean, std)]
    for option, values in zip(("mean", "std"), both, strict=True):
        if len(values) not in (1, 3):
            raise InputError(
                f"found {len(values)} numbers; expected one, or one for each of 3 channels",
                option=option,
                owner=owner,
            )
    return both[0], both[1]
