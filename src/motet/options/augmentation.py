"""Options of the augmentation of images, as the input ``image`` takes them."""

from typing import Annotated, NotRequired

from pydantic import AfterValidator, ConfigDict, Field
from typing_extensions import TypedDict

from motet.options.numbers import (
    Degrees,
    PositiveFloat,
    PositiveInt,
    PositiveShare,
    Share,
    ordered,
)


class ResizedCrop(TypedDict):
    """A part of the image, resized to the whole."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]  # pydantic's own hook

    scale: Annotated[
        tuple[PositiveShare, PositiveShare],
        AfterValidator(ordered),
        Field(description="Smallest and largest share of the area."),
    ]
    ratio: NotRequired[
        Annotated[
            tuple[PositiveFloat, PositiveFloat],
            AfterValidator(ordered),
            Field(description="Smallest and largest width per height; 3/4 and 4/3."),
        ]
    ]


class ColorJitter(TypedDict):
    """Changes of colours, each by a factor between 1 - x and 1 + x."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]  # pydantic's own hook

    brightness: NotRequired[Annotated[Share, Field(description="Of all pixels.")]]
    contrast: NotRequired[
        Annotated[Share, Field(description="Of the distance to the mean grey of the image.")]
    ]
    saturation: NotRequired[
        Annotated[Share, Field(description="Of the distance to the pixel's own grey.")]
    ]


class Erasing(TypedDict):
    """A rectangle that is replaced by the mean."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]  # pydantic's own hook

    probability: NotRequired[Annotated[Share, Field(description="For each image; 0.5.")]]
    scale: NotRequired[
        Annotated[
            tuple[PositiveShare, PositiveShare],
            AfterValidator(ordered),
            Field(description="Smallest and largest share of the area; 0.02 and 0.33."),
        ]
    ]


class AugmentationOptions(TypedDict):
    """Changes of training images, drawn anew for each row in each epoch."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]  # pydantic's own hook

    horizontal_flip: NotRequired[
        Annotated[Share, Field(description="Probability of left and right being exchanged.")]
    ]
    vertical_flip: NotRequired[
        Annotated[Share, Field(description="Probability of top and bottom being exchanged.")]
    ]
    random_crop: NotRequired[
        Annotated[
            PositiveInt,
            Field(description="Pixels by which the image is moved at most, black outside."),
        ]
    ]
    random_resized_crop: NotRequired[
        Annotated[ResizedCrop, Field(description="A part of the image becomes the whole.")]
    ]
    rotation: NotRequired[
        Annotated[
            Degrees, Field(description="Degrees of rotation at most, either way; black outside.")
        ]
    ]
    color_jitter: NotRequired[
        Annotated[ColorJitter, Field(description="Changes of brightness, contrast, saturation.")]
    ]
    random_erasing: NotRequired[
        Annotated[Erasing, Field(description="A rectangle becomes the mean.")]
    ]
