"""Pretrained encoders of images, from a folder on this machine."""

from typing import Any, Literal, NamedTuple, final

import torch
from torch import Tensor, nn

from motet.encoders.base import Encoder
from motet.encoders.hugging_face import LEARNING_RATE, loaded, plain
from motet.encoders.pixels import checked_pixels
from motet.options import (
    Annotated,
    FolderPath,
    Mapping,
    Place,
    PositiveFloat,
    PositiveInt,
    StrictBool,
    checked,
)
from motet.problems import InputError, reason


class _Grid(NamedTuple):
    """How states of an image become a map."""

    stride: int
    """Pixels, in each direction, that a place stands for."""
    before: int | None
    """States before those of places, such as a class token; None if they are a map already."""


@final
class PretrainedImages(Encoder):
    """Start from a Hugging Face vision model in a local folder: ViT, DINOv2, ConvNeXt, ResNet, ...

    It is the encoder ``pretrained`` of an input of images. Nothing is downloaded, and no code in
    the folder is run. What it gives is the last hidden state as a map (B, D, h, w): that of a
    convolutional network as it is, that of a transformer as the grid of its patches. Class and
    register tokens are dropped: tasks that read rows get the mean of the patches. Parameters that
    the map does not depend on, such as those of poolers, are not trained.

    Args:
        channels: Channels of an image.
        height: Rows of pixels.
        width: Columns of pixels.
        path: Folder with config and weights. An input of images takes mean and std from its
            preprocessor_config.json.
        architecture: A Hugging Face config, as a mapping with ``model_type``, in place of ``path``:
            the same model with random first weights.
        layers: How many layers to keep, the first ones; all if left out. Networks without a number
            of layers, such as ResNet, cannot be cut.
        pool: How a whole image gets one state from those of its places.
        checkpointing: Keep only the states between layers and compute the rest again in the
            backward pass: less memory, about a third more time.
        learning_rate: Learning rate of the encoder's parameters; 2e-5 with ``path``, the
            optimizer's with ``architecture``, if left out.

    Raises:
        InputError: If the folder does not hold such a model, it does not fit the images, or
            ``transformers`` is not installed.
    """

    reads = "image"
    more_stages = ""
    gives = "map"
    is_pretrained = True

    @checked
    def __init__(
        self,
        channels: PositiveInt,
        height: PositiveInt,
        width: PositiveInt,
        *,
        path: Annotated[FolderPath | None, Place()] = None,
        architecture: Mapping[str, Any] | None = None,
        layers: PositiveInt | None = None,
        pool: Literal["mean"] = "mean",
        checkpointing: StrictBool = False,
        learning_rate: PositiveFloat | None = None,
    ) -> None:
        super().__init__()
        model, config = loaded(path, architecture, layers)
        self.channels, self.kind = channels, str(config.model_type)
        self._check(model, config)
        self.model: nn.Module = model
        self.architecture = plain(config)
        self.own_learning_rate = learning_rate or (LEARNING_RATE if path is not None else None)
        self._resizes = self.kind in _RESIZING
        self._grid, self.width = self._tried(height, width, getattr(config, "patch_size", None))
        if checkpointing:
            self._save_memory()

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode normalised pixels (B, C, H, W).

        Returns:
            Maps (B, D, h, w).

        Raises:
            InputError: If they are not floating-point numbers of so many channels.
        """
        pixels = checked_pixels(pixels, self.channels)
        states = self._states(pixels)
        if self._grid.before is None:
            return states
        places = states[:, self._grid.before :].transpose(1, 2)
        height, width = (side // self._grid.stride for side in pixels.shape[2:])
        return places.reshape(*places.shape[:2], height, width)

    def portable_options(self) -> dict[str, Any]:
        """Return options that make the same model without the folder, its weights aside."""
        return {
            "path": None,
            "architecture": self.architecture,
            "learning_rate": self.own_learning_rate,
        }

    def _states(self, pixels: Tensor) -> Tensor:
        more = {"interpolate_pos_encoding": True} if self._resizes else {}
        states: Tensor = self.model(pixel_values=pixels, **more).last_hidden_state
        return states

    def _check(self, model: Any, config: Any) -> None:
        if getattr(model, "main_input_name", None) != "pixel_values":
            raise InputError(
                f"{self.kind} reads {getattr(model, 'main_input_name', 'something else')}, "
                "expected a model of images"
            )
        known = getattr(config, "num_channels", self.channels)
        if known != self.channels:
            raise InputError(
                f"the images have {self.channels} channel{'s' * (self.channels != 1)}, but the "
                f"model reads {known}; give the input channels: {known}"
            )

    def _tried(self, height: int, width: int, patch: Any) -> tuple[_Grid, int]:
        """Encode an empty image, and learn from it what a map will be."""
        image = torch.zeros(1, self.channels, height, width)
        self.model.eval()
        try:
            states = self._states(image)
        except (RuntimeError, ValueError, TypeError, AttributeError) as error:
            raise InputError(
                f"{self.kind} cannot read images of {height} x {width} pixels: {reason(error)}; "
                "give the input a size that the model takes"
            ) from None
        trained = [each for each in self.model.parameters() if each.requires_grad]
        reached = torch.autograd.grad(states.sum(), trained, allow_unused=True)
        for parameter, gradient in zip(trained, reached, strict=True):
            parameter.requires_grad_(gradient is not None)
        self.model.train()
        if states.dim() == 4:
            return _Grid(height // states.shape[2], None), states.shape[1]
        found = _grid(states.shape[1], height, width, patch) if states.dim() == 3 else None
        if found is None:
            raise InputError(
                f"{self.kind} gave states {tuple(states.shape)} of an image of {height} x {width} "
                f"pixels, which are no grid{_advice(patch, height, width)}"
            )
        return found, states.shape[2]

    def _save_memory(self) -> None:
        model: Any = self.model
        if not getattr(model, "supports_gradient_checkpointing", False):
            raise InputError(
                f"{self.kind} cannot recompute its layers; remove checkpointing",
                option="checkpointing",
            )
        kind = "activation" if hasattr(model, "activation_checkpointing_enable") else "gradient"
        enable: Any = getattr(model, f"{kind}_checkpointing_enable")
        enable({"use_reentrant": False})  # the reentrant form knows no gradients of single tasks


_RESIZING = ("vit", "deit", "ijepa", "vit_msn")
"""Models that interpolate the vectors of their places only if they are asked to."""


def _grid(length: int, height: int, width: int, patch: Any) -> _Grid | None:
    """Find the grid of so many states; those before it are few."""
    if not isinstance(patch, int):
        return None
    for stride in (patch, 2 * patch, 4 * patch, 8 * patch):
        if height % stride == 0 and width % stride == 0:
            before = length - (height // stride) * (width // stride)
            if 0 <= before <= 8 and (stride == patch or before == 0):
                return _Grid(stride, before)
    return None


def _advice(patch: Any, height: int, width: int) -> str:
    if not isinstance(patch, int) or not (height % patch or width % patch):
        return ""
    near = [max(round(side / patch), 1) * patch for side in (height, width)]
    return f"; its patches are {patch} x {patch}: give the input size: {near}"
