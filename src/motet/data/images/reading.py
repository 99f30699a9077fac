"""One image: from a file or bytes to 8-bit pixels, by Pillow, within `motet.limits`.

Only raster formats are opened: no format starts another program, as EPS does. Everything that can
be wrong with a file of unknown origin is a `Corrupt`.
"""

import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from motet import limits
from motet.extras import imported

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm")
_MAGIC = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"P5", b"P6")
_GREY = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N", "F")
_ON_THEIR_SIDE = (5, 6, 7, 8)
"""Orientations in EXIF data that exchange height and width."""
_DEEP = ("I", "I;16", "I;16B", "I;16L", "I;16N")

Resize = Literal["stretch", "crop", "pad", "refuse"]
Pixels = NDArray[np.uint8]


class Corrupt(Exception):
    """An image that cannot be used, and why."""


class Header(NamedTuple):
    """What is known of an image before its pixels are read."""

    height: int
    width: int
    channels: int
    """1 if it is grey, else 3."""


def library() -> Any:
    """Import Pillow.

    Returns:
        Its module ``PIL.Image``.

    Raises:
        InputError: If it is not installed.
    """
    return imported("PIL.Image", "images need")


def is_image(content: bytes) -> bool:
    """Return whether bytes begin as those of an image file do."""
    return content.startswith(_MAGIC) or (content[:4] == b"RIFF" and content[8:12] == b"WEBP")


def file_of(path: Path) -> bytes:
    """Read the file of an image.

    Returns:
        Its bytes.

    Raises:
        Corrupt: If it cannot be read, or is too large.
    """
    try:
        _check_bytes(path.stat().st_size)
        return path.read_bytes()
    except FileNotFoundError:
        raise Corrupt("does not exist") from None
    except (OSError, ValueError) as error:  # a path with a zero byte
        raise Corrupt(f"cannot be read ({getattr(error, 'strerror', None) or error})") from None


def header(content: bytes | Path) -> Header:
    """Read the size of an image, as it is shown: after the rotation that its EXIF data ask for.

    Returns:
        Size and channels.

    Raises:
        Corrupt: If it is not an image, or too large.
    """
    found: Header = _read(content, _header)
    return found


def decode(content: bytes | Path, channels: int, size: tuple[int, int], resize: Resize) -> Pixels:
    """Read an image as 8-bit pixels.

    It is turned as its EXIF data ask for. Grey images have three equal channels if three are
    wanted; coloured ones become grey by the luma of ITU-R 601-2. Transparency is dropped. 16 bits
    become 8: value / 257, rounded. Of several frames, the first is read.

    Args:
        content: The file, or its bytes.
        channels: 1 or 3.
        size: Height and width.
        resize: See `resized`.

    Returns:
        Pixels (H, W, C).

    Raises:
        Corrupt: If it cannot be read, is too large, or has another size where that is refused.
    """

    def pixels(image: Any) -> Pixels:
        shown = resized(_of_channels(_upright(image), channels), size, resize)
        return np.asarray(shown).reshape(*size, channels)

    found: Pixels = _read(content, pixels)
    return found


def decode_numbers(content: bytes | Path) -> NDArray[Any]:
    """Read an image of one channel whose pixels are no brightness, but classes or measurements.

    Grey images give their values, of 8, 16 or 32 bits; images with a palette the places in it, not
    its colours. It is turned as its EXIF data ask for.

    Args:
        content: The file, or its bytes.

    Returns:
        Numbers (H, W).

    Raises:
        Corrupt: If it cannot be read, is too large, or has several channels.
    """

    def numbers(image: Any) -> NDArray[Any]:
        if image.mode not in (*_GREY, "P"):
            raise Corrupt(
                f"has the channels {image.mode}, expected one: grey values, or a palette whose "
                "places are meant"
            )
        upright = _upright(image)
        found = np.asarray(upright.getchannel(0) if image.mode in ("LA", "La") else upright)
        return found.astype(np.uint8) if found.dtype == np.bool_ else found

    found: NDArray[Any] = _read(content, numbers)
    return found


def resized(image: Any, size: tuple[int, int], how: Resize) -> Any:
    """Resize a Pillow image, antialiased (bilinear over the area that a pixel stands for).

    Args:
        image: The image.
        size: Height and width.
        how: ``stretch`` the whole to the size; ``crop`` the centre that has its proportions; or
            ``pad`` the whole with black on both sides. ``refuse``: another size is an error.

    Returns:
        An image of the size.

    Raises:
        Corrupt: If another size is refused.
    """
    bilinear, wanted = library().Resampling.BILINEAR, size[::-1]
    if image.size == wanted:
        return image
    if how == "refuse":
        width, height = image.size
        raise Corrupt(
            f"has {height} x {width} pixels, expected {size[0]} x {size[1]}; give size, or resize, "
            "to resize images"
        )
    if how == "stretch":
        return image.resize(wanted, bilinear)
    ratios = [goal / given for goal, given in zip(wanted, image.size, strict=True)]
    if how == "crop":
        inner = [goal / max(ratios) for goal in wanted]
        start = [(given - part) / 2 for given, part in zip(image.size, inner, strict=True)]
        box = (*start, *(first + part for first, part in zip(start, inner, strict=True)))
        return image.resize(wanted, bilinear, box=box)
    inside = [max(round(given * min(ratios)), 1) for given in image.size]
    canvas = library().new(image.mode, wanted)
    place = [(goal - part) // 2 for goal, part in zip(wanted, inside, strict=True)]
    canvas.paste(image.resize(tuple(inside), bilinear), tuple(place))
    return canvas


def _header(image: Any) -> Header:
    width, height = image.size
    has_exif = image.format != "PNG" or "exif" in image.info  # else it would be decoded
    if has_exif and image.getexif().get(0x0112, 1) in _ON_THEIR_SIDE:
        width, height = height, width
    grey = image.mode in _GREY or (image.mode in ("P", "PA") and _is_grey(image))
    return Header(height, width, 1 if grey else 3)


def _is_grey(image: Any) -> bool:
    palette = np.array(image.getpalette("RGB") or [0, 0, 1], np.uint8).reshape(-1, 3)
    return bool((palette == palette[:, :1]).all())


def _upright(image: Any) -> Any:
    from PIL import ImageOps

    return ImageOps.exif_transpose(image)


def _of_channels(image: Any, channels: int) -> Any:
    if image.mode == "F":
        raise Corrupt("holds floating-point numbers; give them as arrays instead")
    if image.mode in _DEEP:
        image = _of_8_bits(image)
    elif image.mode in ("P", "PA"):  # transparency in a palette is read by this mode alone
        image = image.convert("RGBA")
    mode = "L" if channels == 1 else "RGB"
    return image if image.mode == mode else image.convert(mode)


def _of_8_bits(image: Any) -> Any:
    values = np.asarray(image).astype(np.int64)
    if values.size and (values.min() < 0 or values.max() > 0xFFFF):
        raise Corrupt("holds numbers of more than 16 bits; give them as arrays instead")
    return library().fromarray(((values + 128) // 257).astype(np.uint8))


def _read(content: bytes | Path, made: Callable[[Any], Any]) -> Any:
    """Open an image and make something of it; whatever goes wrong is a `Corrupt`."""
    from PIL import Image, UnidentifiedImageError

    try:
        if isinstance(content, bytes):
            _check_bytes(len(content))
        opened: Any = BytesIO(content) if isinstance(content, bytes) else content
        with Image.open(opened, formats=FORMATS) as image:
            width, height = image.size
            if width * height > limits.IMAGE_PIXELS:
                raise Corrupt(_too_large(f"{height:,} x {width:,} pixels"))
            return made(image)
    except Corrupt:
        raise
    except FileNotFoundError:
        raise Corrupt("does not exist") from None
    except UnidentifiedImageError:
        raise Corrupt(f"is not an image of the formats {', '.join(FORMATS)}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Corrupt(_too_large("too many pixels")) from None
    except _BROKEN as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise Corrupt(f"cannot be decoded ({reason})") from None


_BROKEN = (
    *(OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, ArithmeticError),
    *(struct.error, zlib.error, AttributeError, NotImplementedError, MemoryError, RuntimeError),
    UserWarning,
)
"""What Pillow raises for files that are damaged, warnings among it where they are errors."""


def _check_bytes(size: int) -> None:
    if size > limits.IMAGE_BYTES:
        raise Corrupt(f"has {size:,} bytes, expected at most {limits.IMAGE_BYTES:,.0f}")
    if not size:
        raise Corrupt("is empty")


def _too_large(found: str) -> str:
    return f"has {found}, expected at most {limits.IMAGE_PIXELS:,}"
