"""Images of N rows as data keep them: a leaf of inputs whose batches are pixels.

Indexing gives the tree that encoders of images read: "pixels", normalised float32 (B, C, H, W), and
"present", bool (B,), where rows can lack an image; their pixels are zeros.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, final

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from motet.data.images.augmentation import Augmentation, Drawn
from motet.data.images.opening import Encoded, Opening, opened
from motet.data.ragged import Ragged
from motet.problems import InputError

Tree = dict[str, Tensor]


@final
class Images:
    """Images of N rows.

    Args:
        how: How pixels are made.
        encoded: Paths or bytes; None if there are only pixels.
        present: Which rows have an image, (N,).
        pixels: (N, H, W, C), 8-bit, which are scaled to 0 to 1, or other numbers, which are not;
            None if they are decoded anew each time.

    Example:
        >>> how = Opening(1, (1, 2), "refuse", mean=(0.5,), std=(0.5,))
        >>> both = np.array([[[[0], [255]]], [[[255], [255]]]], np.uint8)
        >>> Images(how, None, np.array([True, True]), both)[0:1]
        {'pixels': tensor([[[[-1.,  1.]]]])}
    """

    def __init__(
        self,
        how: Opening,
        encoded: Encoded | None,
        present: NDArray[np.bool_],
        pixels: NDArray[Any] | None = None,
    ) -> None:
        assert encoded is not None or pixels is not None
        self.how, self.encoded, self.present, self.pixels = how, encoded, present, pixels
        self.device = torch.device("cpu")
        """Where batches are; what is kept stays in main memory."""
        self.dtype = torch.float32
        """Type of the pixels of a batch."""
        self._lacking = how.lacking or not present.all()
        self._augmentation = Augmentation(how.augmentation or {}, how.size)
        self._draws: tuple[int, int] | None = None
        self._numbers: Tensor | None = None

    def __len__(self) -> int:
        return len(self.present)

    def __getitem__(self, rows: slice) -> Tree:
        return self._made(np.arange(len(self))[rows])

    def index_select(self, dim: int, rows: Tensor) -> Tree:
        """Return rows (B,) as pixels."""
        assert dim == 0
        return self._made(rows.cpu().numpy())

    def take(self, rows: Any, axis: int = 0) -> "Images":
        """Return some rows as images again, as `numpy.ndarray.take` does."""
        assert axis == 0
        chosen = np.asarray(rows)
        encoded = None if self.encoded is None else self.encoded.take(chosen)
        pixels = None if self.pixels is None else self.pixels[chosen]
        return self._like(Images(self.how, encoded, self.present[chosen], pixels))

    def to(self, device: torch.device | str) -> "Images":
        """Return the same rows, whose batches are on a device."""
        made = self._like(Images(self.how, self.encoded, self.present, self.pixels))
        made.device = torch.device(device)
        return made

    def augmented(self, seed: int, epoch: int, numbers: Tensor | None = None) -> "Images":
        """Return the same rows as training sees them in an epoch.

        Args:
            seed: Seed of the order of the rows.
            epoch: Number of the epoch.
            numbers: Numbers of the rows in their data set, (N,), which draws depend on; 0 to N - 1
                if left out.
        """
        made = self.to(self.device)
        if self.how.augmentation:
            made._draws, made._numbers = (seed, epoch), numbers
        return made

    @property
    def geometric(self) -> dict[str, Any]:
        """The changes that labels per pixel follow, where rows are augmented."""
        return self._augmentation.geometric if self._draws is not None else {}

    def drawn(self, rows: Tensor) -> Drawn:
        """Return what was drawn for rows (B,) of the epoch; nothing if they are not augmented."""
        if self._draws is None:
            return Drawn(self.how.size)
        numbers = rows if self._numbers is None else self._numbers[rows.cpu()]
        seed, epoch = self._draws
        return self._augmentation.draw(numbers, seed=seed, epoch=epoch)

    def _like(self, made: "Images") -> "Images":
        made.device = self.device
        return made

    def _made(self, rows: NDArray[np.int64]) -> Tree:
        raw = torch.from_numpy(self._raw(rows)).to(self.device).movedim(-1, 1)
        how, drawn = self.how, self.drawn(torch.from_numpy(rows))
        if not drawn.interpolated:  # moved whole, which costs least of 8 bits
            raw, drawn = drawn.moved(raw), replace(drawn, places=None)
        values = raw.to(torch.float32, memory_format=torch.contiguous_format, copy=True)
        if raw.dtype == torch.uint8:
            values /= 255
        mean, std = (values.new_tensor(each)[:, None, None] for each in (how.mean, how.std))
        values = drawn.pixels(values, fill=values.new_tensor(how.mean)).sub_(mean).div_(std)
        if not self._lacking:
            return {"pixels": values}
        present = torch.from_numpy(self.present[rows]).to(self.device)
        values = torch.where(present[:, None, None, None], values, 0)
        return {"pixels": values, "present": present}

    def _raw(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Return pixels (B, H, W, C) as they are in the image."""
        if self.pixels is not None:
            return self.pixels[rows]
        assert self.encoded is not None
        found = np.zeros((len(rows), *self.how.size, self.how.channels), np.uint8)
        here = np.flatnonzero(self.present[rows])
        whole = len(here) == len(rows)
        into = found if whole else found[here]
        if problems := opened(self.encoded, rows[here].tolist(), self.how, into):
            raise changed(self.encoded, problems)
        if not whole:
            found[here] = into
        return found

    # Parts, as arrays ----------------------------------------------------------------------------

    def parts(self) -> dict[str, Any]:
        """Return what is kept as arrays and `Ragged`, N rows each, for a file; see `of_parts`."""
        if self.encoded is None:
            return {"present": self.present, "pixels": self.pixels}
        content = self.encoded.content.fill_null(b"")
        offsets = np.frombuffer(content.buffers()[1], np.int64)
        offsets = offsets[content.offset : content.offset + len(content) + 1]
        data = content.buffers()[2]
        flat = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
        flat = flat[offsets[0] : offsets[-1]].copy()
        lengths = torch.from_numpy(np.diff(offsets))
        return {
            "present": self.present,
            "paths": self.encoded.paths,
            "checksums": self.encoded.checksums,
            "content": Ragged(torch.from_numpy(flat), lengths, fill=0),
        }

    @staticmethod
    def of_parts(how: Opening, parts: Mapping[str, Any]) -> "Images":
        """Return the images of which `parts` returned the arrays."""
        present = parts["present"]
        if "pixels" in parts:
            return Images(how, None, present, parts["pixels"])
        ragged = parts["content"]
        offsets = np.concatenate([[0], ragged.lengths.numpy().cumsum()]).astype(np.int64)
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(ragged.values.numpy())]
        content = pa.Array.from_buffers(pa.large_binary(), len(present), buffers)
        encoded = Encoded(content, parts["paths"], parts["checksums"].copy())
        return Images(how, encoded, present)

    def fingerprint(self) -> tuple[NDArray[Any], ...]:
        """Return what changes when an image does, whatever its path."""
        if self.encoded is None:
            assert self.pixels is not None
            return self.present, self.pixels
        return self.present, self.encoded.checksums


def changed(images: Encoded, problems: Mapping[int, str]) -> InputError:
    """Make the error about images that could be read when the rows were checked, and no longer."""
    row, problem = next(iter(problems.items()))
    content = images.at(row)
    what = content if not isinstance(content, bytes) else f"the image of row {row:,}"
    return InputError(f"{what} {problem}; it could be read before: put it back, and resume")


def with_draws(tree: Any, seed: int, epoch: int, numbers: Tensor | None = None) -> Any:
    """Return a tree of inputs whose images are augmented; see `Images.augmented`."""
    if isinstance(tree, Mapping):
        return {name: with_draws(each, seed, epoch, numbers) for name, each in tree.items()}
    return tree.augmented(seed, epoch, numbers) if isinstance(tree, Images) else tree


def images_in(tree: Any) -> list[Images]:
    """Return the images among the leaves of a tree."""
    if isinstance(tree, Mapping):
        return [found for each in tree.values() for found in images_in(each)]
    return [tree] if isinstance(tree, Images) else []


def followed(targets: Mapping[str, Any], inputs: Any, rows: Tensor) -> Mapping[str, Any]:
    """Move labels per pixel as the images of their rows were.

    Args:
        targets: By task; those of (B, ..., h, w), three axes or more, are labels per pixel.
        inputs: The inputs of all rows, which ``rows`` are taken from.
        rows: Places of the rows (B,).

    Returns:
        The targets.

    Raises:
        InputError: If several inputs of images move differently, so that labels cannot follow both.
    """
    moved = [each for each in images_in(inputs) if each.geometric]
    maps = [task for task, each in targets.items() if each is not None and each.ndim >= 3]
    if not (moved and maps):
        return targets
    kinds = {repr((each.how.size, sorted(each.geometric.items()))) for each in images_in(inputs)}
    if len(kinds) > 1:
        raise InputError(
            f"the labels per pixel of {', '.join(map(repr, maps))} follow the augmentation of the "
            "image, and several inputs have images that are moved differently; give them the same "
            "size and augmentation"
        )
    drawn = moved[0].drawn(rows)
    return {task: drawn.labels(each) if task in maps else each for task, each in targets.items()}
