"""Encoder of images: a small residual network, for 8 x 8 digits as for photos."""

import math
from typing import Any, Literal, final

from torch import Tensor, nn

from motet.encoders.base import Encoder
from motet.encoders.pixels import checked_pixels
from motet.options import Fraction, PositiveInt, Sequence, checked
from motet.problems import InputError

_FEWEST = 4
"""Places on the shorter side of a map that a stride of its own choice leaves at least."""
_GROUP = 8
"""Channels that GroupNorm normalises together."""


@final
class CNN(Encoder):
    """Encode images (B, C, H, W) into maps (B, D, h, w) by residual blocks of 3 x 3 filters.

    The blocks are those of He et al. (CVPR 2016, arXiv:1512.03385). Differs from the paper in that
    blocks that halve a map average 2 x 2 places in their shortcut, where the paper drops three of
    four (He et al., CVPR 2019, arXiv:1812.01187), and in the norm, see below. A place of the map
    stands for ``stride`` x ``stride`` pixels: h is H / stride, rounded up. Where a stage would
    halve the map and the stride does not allow it, its filters are dilated instead, so that they
    see as much of the image (Chen et al. 2017, arXiv:1706.05587).

    GroupNorm (Wu & He, ECCV 2018, arXiv:1803.08494) computes the same of a row whatever batch it is
    in. BatchNorm does not: what it computes depends on how rows are cut into micro-batches and
    among processes, so that their gradients are not those of the whole batch, gradient balancers
    cannot compute gradients row by row, and several sources or processes refuse it.

    Args:
        channels: Channels of an image, C.
        height: Rows of pixels, H.
        width: Columns of pixels, W.
        widths: Channels of the stages; the last is the width of the map, D.
        blocks: Residual blocks in each stage.
        stride: How many pixels, in each direction, one place of the map stands for, a power of two;
            if left out, the largest that leaves 4 places on the shorter side: 2 for 8 x 8 pixels,
            8 for 32 x 32 and, with three stages, 16 for photos. Segmentation needs small ones.
        norm: ``group`` normalises 8 channels of a row together, all of them where a width is no
            multiple of 8; ``batch`` each channel over all rows.
        dropout: Dropout inside each block.

    Raises:
        InputError: If the stride is no power of two, larger than stages can make it, or larger than
            the image.

    Example:
        >>> import torch
        >>> encoder = CNN(1, 8, 8, widths=(8, 16), blocks=1)
        >>> encoder(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 16, 4, 4])
    """

    reads = "image"
    gives = "map"
    more_stages = "each width in `widths` is a stage"

    @checked
    def __init__(
        self,
        channels: PositiveInt,
        height: PositiveInt,
        width: PositiveInt,
        *,
        widths: Sequence[PositiveInt] = (32, 64, 128),
        blocks: PositiveInt = 2,
        stride: PositiveInt | None = None,
        norm: Literal["group", "batch"] = "group",
        dropout: Fraction = 0.0,
    ) -> None:
        super().__init__()
        if not widths:
            raise InputError("found none, expected at least one stage", option="widths")
        most = 2 ** (len(widths) + 1)
        self.stride = _own_stride(min(height, width), most) if stride is None else stride
        _check_stride(self.stride, most, min(height, width))
        halved = _halved(int(math.log2(self.stride)), len(widths))
        self.stages = nn.ModuleList([_Stem(channels, widths[0], norm, halved[0])])
        dilation, before = 1, widths[0]
        for place, after in enumerate(widths, start=1):
            dilation *= 2 if place > 1 and not halved[place] else 1
            layers = [_Block(before, after, norm, halved[place], dilation, dropout)]
            layers += [
                _Block(after, after, norm, False, dilation, dropout) for _ in range(1, blocks)
            ]
            self.stages.append(nn.Sequential(*layers))
            before = after
        self.width = widths[-1]

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode normalised pixels (B, C, H, W); other sizes than the encoder was made for do, too.

        Returns:
            Maps (B, D, h, w).

        Raises:
            InputError: If they are not floating-point numbers of so many channels.
        """
        state = pixels
        for stage in self.stages:
            state = stage(state)
        return state


def _own_stride(side: int, most: int) -> int:
    stride = 1
    while stride < most and side >= 2 * stride * _FEWEST:
        stride *= 2
    return stride


def _check_stride(stride: int, most: int, side: int) -> None:
    powers = [2**k for k in range(int(math.log2(most)) + 1) if 2**k <= side]
    if stride not in powers:
        shown = ", ".join(map(str, powers))
        raise InputError(
            f"found {stride}, expected a power of two that {int(math.log2(most)) - 1} stages can "
            f"make and {side} pixels have room for: {shown}",
            option="stride",
        )


def _halved(halvings: int, stages: int) -> list[bool]:
    """Return whether the stem and each stage halve the map: stages after the first do so first."""
    order = [*range(2, stages + 1), 0, 1][:halvings]
    return [place in order for place in range(stages + 1)]


def _norm(kind: str, channels: int) -> nn.Module:
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    return nn.GroupNorm(channels // _GROUP if channels % _GROUP == 0 else 1, channels)


def _filters(before: int, after: int, halves: bool, dilation: int = 1) -> nn.Conv2d:
    return nn.Conv2d(
        before, after, 3, 2 if halves else 1, padding=dilation, dilation=dilation, bias=False
    )


class _Stem(nn.Sequential):
    def __init__(self, channels: int, width: int, norm: str, halves: bool) -> None:
        super().__init__(_filters(channels, width, halves), _norm(norm, width), nn.ReLU())
        self.channels = channels

    def forward(self, pixels: Tensor) -> Tensor:
        state = checked_pixels(pixels, self.channels)
        for layer in self:
            state = layer(state)
        return state


class _Block(nn.Module):
    """Two layers of filters, added to what they got."""

    def __init__(
        self, before: int, after: int, norm: str, halves: bool, dilation: int, dropout: float
    ) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _filters(before, after, halves, dilation),
            _norm(norm, after),
            nn.ReLU(),
            nn.Dropout(dropout),
            _filters(after, after, False, dilation),
            _norm(norm, after),
        )
        shortcut: list[nn.Module] = []
        if halves:
            shortcut.append(nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False))
        if before != after:
            shortcut += [nn.Conv2d(before, after, 1, bias=False), _norm(norm, after)]
        self.shortcut = nn.Sequential(*shortcut)
        self.after = nn.ReLU()

    def forward(self, state: Tensor) -> Tensor:
        added: Any = self.after(self.layers(state) + self.shortcut(state))
        given: Tensor = added
        return given
