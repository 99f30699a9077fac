"""Encoders of images from the library timm, by name, with weights from a local file."""

from typing import Any, final

import torch
from torch import Tensor

from motet.encoders.base import Encoder
from motet.encoders.hugging_face import LEARNING_RATE
from motet.encoders.pixels import checked_pixels
from motet.extras import imported
from motet.options import Annotated, FolderPath, Place, PositiveFloat, PositiveInt, Whole, checked
from motet.problems import InputError, reason


@final
class Timm(Encoder):
    """Encode images by a model of timm (Wightman, 2019), into the maps (B, D, h, w) of a level.

    Nothing is downloaded. Its norms are those of the model, most often BatchNorm.

    Args:
        channels: Channels of an image; the first filters of weights for three are added up for one.
        height: Rows of pixels.
        width: Columns of pixels.
        model: Name of the model, such as resnet18.
        weights: A file of its weights, .safetensors, as timm publishes them; random ones if left
            out. The input takes the mean and std that timm knows of ``model``, whose name may have
            a tag for that, such as resnet18.a1_in1k; weights of others need them given.
        level: Which of the maps that the model gives: 1 is the finest, -1 the last one.
        learning_rate: Learning rate of the encoder's parameters; 2e-5 with ``weights``, else the
            optimizer's, if left out.

    Raises:
        InputError: If timm is not installed, knows no such model, or the weights do not fit.
    """

    reads = "image"
    gives = "map"
    more_stages = ""
    is_pretrained = True

    @checked
    def __init__(
        self,
        channels: PositiveInt,
        height: PositiveInt,
        width: PositiveInt,
        *,
        model: str,
        weights: Annotated[FolderPath | None, Place()] = None,
        level: Whole = -1,
        learning_rate: PositiveFloat | None = None,
    ) -> None:
        super().__init__()
        if weights is not None and not weights.endswith(".safetensors"):
            raise InputError(
                f"found {weights!r}, expected a file .safetensors; others are pickles, which can "
                "hold code",
                option="weights",
            )
        self.channels = channels
        self.model: Any = _made(
            imported("timm", "the encoder timm needs"), model, weights, channels
        )
        self.own_learning_rate = learning_rate or (LEARNING_RATE if weights is not None else None)
        maps = self._tried(height, width)
        if not (1 <= level <= len(maps) or -len(maps) <= level <= -1):
            raise InputError(
                f"found {level}, but {model} gives {len(maps)} maps; expected 1 to {len(maps)}, or "
                "-1 for the last",
                option="level",
            )
        self._place = level - 1 if level > 0 else level
        self.width = int(self.model.feature_info.channels()[self._place])
        known, shape = getattr(self.model, "output_fmt", None), maps[self._place].shape
        self._channels_last = known == "NHWC" or shape[1] != self.width  # such as those of Swin
        if shape[-1 if self._channels_last else 1] != self.width:
            raise InputError("the model gives no maps (B, D, h, w); choose another", option="model")

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode normalised pixels (B, C, H, W).

        Returns:
            Maps (B, D, h, w).

        Raises:
            InputError: If they are not floating-point numbers of so many channels.
        """
        states: Tensor = self.model(checked_pixels(pixels, self.channels))[self._place]
        return states.movedim(-1, 1) if self._channels_last else states

    def portable_options(self) -> dict[str, Any]:
        """Return options that make the same model without the file of weights."""
        return {"weights": None, "learning_rate": self.own_learning_rate}

    def _tried(self, height: int, width: int) -> list[Tensor]:
        self.model.eval()
        try:
            with torch.no_grad():
                maps = list(self.model(torch.zeros(1, self.channels, height, width)))
        except (RuntimeError, AssertionError, ValueError) as error:
            raise InputError(
                f"the model cannot read images of {height} x {width} pixels: {reason(error)}"
            ) from None
        self.model.train()
        if not maps or any(each.dim() != 4 for each in maps):
            raise InputError("the model gives no maps (B, D, h, w); choose another", option="model")
        return maps


def _made(timm: Any, name: str, weights: str | None, channels: int) -> Any:
    if not timm.is_model(name):
        raise InputError(
            f"timm {timm.__version__} has no model {name!r}; timm.list_models('*resnet*') lists "
            "some",
            option="model",
        )
    more = {} if weights is None else {"pretrained_cfg_overlay": {"file": weights}}
    try:
        return timm.create_model(
            name, pretrained=weights is not None, features_only=True, in_chans=channels, **more
        )
    except (RuntimeError, ValueError, KeyError, OSError) as error:
        option = "model" if weights is None else "weights"
        raise InputError(f"{name} cannot be made: {reason(error)}", option=option) from None
