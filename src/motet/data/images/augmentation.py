"""Augmentation of images: draws for each row of an epoch, applied to pixels and to labels alike.

A draw depends on (seed, epoch, row) and nothing else: neither batches, threads nor processes change
it, and a resumed run draws what it would have drawn. Geometric changes are composed into one map of
places, so that pixels are interpolated once at most, and labels per pixel are looked up at the same
places.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from motet.row_hashes import row_hashes
from motet.seeds import derive

_GREY = (0.299, 0.587, 0.114)
"""Luma of red, green and blue (ITU-R 601-2), as Pillow has it."""
_GEOMETRIC = ("horizontal_flip", "vertical_flip", "random_crop", "random_resized_crop", "rotation")
_INTERPOLATED = ("random_resized_crop", "rotation")


@dataclass(frozen=True)
class Drawn:
    """What was drawn for B rows."""

    size: tuple[int, int]
    """Height and width of the images."""
    places: Tensor | None = None
    """For each row the affine map from a place of the result to one of the image, both as (x, y)
    from -1 to 1, edge to edge, float64 (B, 2, 3); None without geometric changes."""
    interpolated: bool = False
    """Whether pixels fall between those of the image; else they are moved whole."""
    factors: Mapping[str, Tensor] | None = None
    """Factors (B,) of brightness, contrast and saturation, of those that change."""
    erased: Tensor | None = None
    """Rectangle of each row that is erased: top, left, bottom, right in pixels, int64 (B, 4); empty
    where nothing is."""

    def pixels(self, batch: Tensor, fill: Tensor | None = None) -> Tensor:
        """Change pixels: geometry, then colours, then erasing.

        Args:
            batch: (B, C, H, W), numbers from 0 to 1 where colours change.
            fill: Value of erased pixels by channel, (C,); 0 if left out.

        Returns:
            As many pixels. Outside the image they are 0.
        """
        if self.places is not None:
            batch = self.moved(batch)
        if self.factors:
            batch = _recoloured(batch, self.factors)
        if self.erased is not None:
            rows = torch.arange(batch.shape[-2], device=batch.device)[:, None]
            columns = torch.arange(batch.shape[-1], device=batch.device)
            top, left, bottom, right = self.erased.to(batch.device)[:, :, None, None].unbind(1)
            inside = (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)
            value = batch.new_zeros(batch.shape[1]) if fill is None else fill.to(batch)
            batch = torch.where(inside[:, None], value[:, None, None], batch)
        return batch

    def labels(self, maps: Tensor, missing: float | None = None) -> Tensor:
        """Move labels per pixel as the pixels were, by the nearest one.

        Args:
            maps: (B, ..., h, w), of the whole image at any resolution.
            missing: Value of places outside the image; if left out -100 of whole numbers, NaN of
                others.

        Returns:
            The labels at the new places.
        """
        if self.places is None:
            return maps
        if missing is None:
            missing = math.nan if maps.is_floating_point() else -100
        return _nearest(maps, self.places.to(maps.device), missing)

    def moved(self, batch: Tensor) -> Tensor:
        """Change the geometry alone; pixels that are moved whole may be of any type."""
        if self.places is None:
            return batch
        places = self.places.to(batch.device)
        if not self.interpolated:
            return _whole(batch, places) if batch.is_cpu else _nearest(batch, places, 0)
        grid = functional.affine_grid(places, list(batch.shape), align_corners=False)
        return functional.grid_sample(batch, grid.to(batch.dtype), align_corners=False)


@final
class Augmentation:
    """Changes of the images of a training batch.

    Args:
        options: As ``augmentation`` of the input ``image`` has them.
        size: Height and width of the images.

    Example:
        >>> flips = Augmentation({"horizontal_flip": 0.5}, (1, 2))
        >>> drawn = flips.draw(torch.arange(4), seed=0, epoch=0)
        >>> drawn.labels(torch.tensor([[[0, 1]]] * 4)).flatten(1)
        tensor([[1, 0],
                [0, 1],
                [1, 0],
                [1, 0]])
    """

    def __init__(self, options: Mapping[str, Any], size: tuple[int, int]) -> None:
        self.options, self.size = dict(options), size

    @property
    def geometric(self) -> dict[str, Any]:
        """The options that move pixels, which labels per pixel follow."""
        return {name: each for name, each in self.options.items() if name in _GEOMETRIC}

    def draw(self, rows: Tensor, *, seed: int, epoch: int) -> Drawn:
        """Draw the changes of some rows.

        Args:
            rows: Their numbers in the data set, (B,).
            seed: Seed of the data's order.
            epoch: Number of the epoch.

        Returns:
            What was drawn.
        """
        draws = _Draws(rows.cpu().numpy().astype(np.int64), seed, epoch)
        return Drawn(
            self.size,
            self._places(draws),
            any(name in self.options for name in _INTERPOLATED),
            self._factors(draws),
            self._erased(draws),
        )

    def _places(self, draws: "_Draws") -> Tensor | None:
        given, (height, width) = self.options, self.size
        if not self.geometric:
            return None
        found = _affine(len(draws), 1.0, 1.0, 0.0, 0.0)
        if "random_resized_crop" in given:
            found = found @ self._crop(draws, given["random_resized_crop"])
        if "rotation" in given:
            angle = np.radians(draws.between("rotation", -given["rotation"], given["rotation"]))
            turned = _affine(len(draws), np.cos(angle), np.cos(angle), 0.0, 0.0)
            turned[:, 0, 1] = -np.sin(angle) * height / width
            turned[:, 1, 0] = np.sin(angle) * width / height
            found = found @ turned
        if "random_crop" in given:
            most = given["random_crop"]
            down, right = (draws.whole(f"random_crop/{a}", -most, most) for a in ("y", "x"))
            found = found @ _affine(len(draws), 1.0, 1.0, 2 * right / width, 2 * down / height)
        for name, axis in (("horizontal_flip", 0), ("vertical_flip", 1)):
            if name in given:
                signs = np.where(draws.uniform(name) < given[name], -1.0, 1.0)
                kept = np.ones_like(signs)
                across, down = (signs, kept) if axis == 0 else (kept, signs)
                found = found @ _affine(len(draws), across, down, 0.0, 0.0)
        return torch.from_numpy(np.ascontiguousarray(found[:, :2]))

    def _crop(self, draws: "_Draws", given: Mapping[str, Any]) -> NDArray[np.float64]:
        height, width = self.size
        area = draws.between("crop/area", *given["scale"])
        ratio = np.log(given.get("ratio", (3 / 4, 4 / 3)))
        shape = np.exp(draws.between("crop/ratio", *ratio))  # width per height, in pixels
        across = np.minimum(np.sqrt(area * shape * height / width), 1)  # shares of the sides
        down = np.minimum(np.sqrt(area / shape * width / height), 1)
        x = (1 - across) * draws.between("crop/x", -1, 1)
        y = (1 - down) * draws.between("crop/y", -1, 1)
        return _affine(len(draws), across, down, x, y)

    def _factors(self, draws: "_Draws") -> dict[str, Tensor] | None:
        jitter = self.options.get("color_jitter", {})
        found = {
            name: torch.from_numpy(draws.between(name, 1 - jitter[name], 1 + jitter[name])).float()
            for name in ("brightness", "contrast", "saturation")
            if jitter.get(name)
        }
        return found or None

    def _erased(self, draws: "_Draws") -> Tensor | None:
        given = self.options.get("random_erasing")
        if given is None:
            return None
        height, width = self.size
        area = draws.between("erasing/area", *given.get("scale", (0.02, 0.33))) * height * width
        shape = np.exp(draws.between("erasing/ratio", np.log(0.3), np.log(1 / 0.3)))
        down = np.clip(np.rint(np.sqrt(area / shape)), 1, height)
        across = np.clip(np.rint(np.sqrt(area * shape)), 1, width)
        here = draws.uniform("erasing") < given.get("probability", 0.5)
        top = np.floor(draws.uniform("erasing/y") * (height - down + 1))
        left = np.floor(draws.uniform("erasing/x") * (width - across + 1))
        box = np.stack([top, left, top + down * here, left + across * here], axis=1)
        return torch.from_numpy(box.astype(np.int64))


class _Draws:
    """Random numbers of rows, by purpose."""

    def __init__(self, rows: NDArray[np.int64], seed: int, epoch: int) -> None:
        self._rows, self._seed, self._epoch = rows, seed, epoch

    def __len__(self) -> int:
        return len(self._rows)

    def uniform(self, purpose: str) -> NDArray[np.float64]:
        """Return numbers from 0 up to, not including, 1, (B,)."""
        key = derive(self._seed, f"augmentation/{purpose}", self._epoch)
        hashes = row_hashes(self._rows, key) >> np.uint64(11)
        return hashes.astype(np.float64) * 2.0**-53

    def between(self, purpose: str, low: Any, high: Any) -> NDArray[np.float64]:
        """Return numbers from ``low`` to ``high``."""
        found: NDArray[np.float64] = low + (high - low) * self.uniform(purpose)
        return found

    def whole(self, purpose: str, low: int, high: int) -> NDArray[np.float64]:
        """Return whole numbers from ``low`` to ``high``."""
        return np.floor(self.between(purpose, low, high + 1))


def _affine(count: int, across: Any, down: Any, x: Any, y: Any) -> NDArray[np.float64]:
    """Return matrices (B, 3, 3) that scale and shift."""
    found = np.zeros((count, 3, 3))
    found[:, 0, 0], found[:, 1, 1], found[:, 2, 2] = across, down, 1
    found[:, 0, 2], found[:, 1, 2] = x, y
    return found


def _whole(batch: Tensor, places: Tensor) -> Tensor:
    """Mirror images (B, C, H, W) and move them by whole pixels: as `_nearest`, by slices."""
    height, width = batch.shape[-2:]
    found = torch.zeros_like(batch, memory_format=torch.contiguous_format)
    mirrored = places[:, [1, 0], [1, 0]].lt(0).tolist()
    shifts = (places[:, [1, 0], [2, 2]] * torch.tensor([height, width]) / 2).round().long().tolist()
    for row, (flips, (down, right)) in enumerate(zip(mirrored, shifts, strict=True)):
        image = batch[row].flip([axis + 1 for axis in (0, 1) if flips[axis]])
        if flips[0]:
            down = -down
        if flips[1]:
            right = -right
        to, of = _overlap(height, down), _overlap(height, -down)
        to_right, of_right = _overlap(width, right), _overlap(width, -right)
        found[row, :, to, to_right] = image[:, of, of_right]
    return found


def _overlap(side: int, shift: int) -> slice:
    """Return where a side still has pixels of the image once that was moved back by ``shift``."""
    return slice(max(-shift, 0), min(side - shift, side)) if abs(shift) < side else slice(0)


def _nearest(maps: Tensor, places: Tensor, outside: float) -> Tensor:
    """Look up the nearest place of the result in ``maps`` (B, ..., h, w)."""
    height, width = maps.shape[-2:]
    y = (2 * torch.arange(height, device=maps.device, dtype=torch.float64) + 1) / height - 1
    x = (2 * torch.arange(width, device=maps.device, dtype=torch.float64) + 1) / width - 1
    m = places[:, :, :, None, None]
    found_x = m[:, 0, 0] * x + m[:, 0, 1] * y[:, None] + m[:, 0, 2]
    found_y = m[:, 1, 0] * x + m[:, 1, 1] * y[:, None] + m[:, 1, 2]
    columns = ((found_x + 1) * width / 2).floor().long()
    rows = ((found_y + 1) * height / 2).floor().long()
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    index = rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)
    flat = maps.reshape(len(maps), -1, height * width)
    taken = flat.gather(2, index.flatten(1)[:, None].expand(-1, flat.shape[1], -1))
    taken = taken.masked_fill(~inside.flatten(1)[:, None], outside)
    return taken.reshape(maps.shape)


def _recoloured(pixels: Tensor, factors: Mapping[str, Tensor]) -> Tensor:
    """Change brightness, then contrast, then saturation; each result is cut to 0 to 1."""
    for name, each in factors.items():
        factor = each.to(pixels)[:, None, None, None]
        if name == "brightness":
            pixels = pixels * factor
        else:
            grey = _grey(pixels)
            if name == "contrast":
                grey = grey.mean(dim=(2, 3), keepdim=True)
            pixels = grey + (pixels - grey) * factor
        pixels = pixels.clamp(0, 1)
    return pixels


def _grey(pixels: Tensor) -> Tensor:
    if pixels.shape[1] == 1:
        return pixels
    return (pixels * pixels.new_tensor(_GREY)[:, None, None]).sum(dim=1, keepdim=True)
