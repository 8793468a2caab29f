"""Pictures as feeds: read, turned upright, resized to the input, scaled."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np

from graphkit.errors import FeedError, FormatError, InputError, MissingError
from graphkit.ir.dims import dims_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt
    import onnx_ir as ir

    Layout: TypeAlias = Literal["NCHW", "NHWC"]

__all__ = ["SUFFIXES", "Scaling", "read_pictures"]

SUFFIXES: Final = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"},
)
"""Suffixes of the files that are read as pictures."""
_FORMATS: Final = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""Pillow's names of their formats: it takes files for what they hold, and would run Ghostscript for some."""
_MODES: Final = {1: "L", 3: "RGB", 4: "RGBA"}
"""Pillow's name of the colours that so many channels hold."""
_DEEP: Final = ("I", "F")
"""How Pillow's names of pictures with more than 8 bits a channel begin."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """What is done to the numbers of a picture: (x / 255 - mean) / std.

    Attributes:
        mean: One number, or one for each channel.
        std: Likewise.

    Raises:
        InputError: A deviation is 0, or a number is not finite.
    """

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        """Refuse what would give numbers that are none."""
        if not all(self.std):
            raise InputError("A picture cannot be divided by a standard deviation of 0; correct --std.")
        if not np.isfinite([*self.mean, *self.std]).all():
            raise InputError("The mean and the standard deviation of pictures have to be finite numbers.")

    @property
    def neutral(self) -> bool:
        """Whether it does nothing but divide by 255."""
        return set(self.mean) == {0.0} and set(self.std) == {1.0}

    def applied(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
        """Numbers for pixels of height × width × channels."""
        for name, numbers in (("mean", self.mean), ("std", self.std)):
            if len(numbers) not in (1, pixels.shape[-1]):
                raise InputError(
                    f"--{name} gives {len(numbers)} numbers for {pixels.shape[-1]} channels; give one for each or "
                    f"one for all."
                )
        found: npt.NDArray[np.float64] = (pixels / 255.0 - np.array(self.mean)) / np.array(self.std)
        return found


def read_pictures(
    paths: Sequence[Path], value: ir.Value, scaling: Scaling
) -> tuple[npt.NDArray[np.generic], list[str]]:
    """Files of pictures as the array for one input, and sentences that say what was done.

    A picture is turned as its camera noted, given the channels of the input (grey, RGB, RGBA), resized to the height
    and width of the input where these are fixed (bilinear, averaging where it shrinks; its proportions are not kept),
    and laid out as the input has it. For floats it is scaled to 0 … 1 and by ``scaling``; bytes stay as they are.
    Several pictures make a batch; one alone fills a batch of fixed size.

    Args:
        paths: The files.
        value: The input.
        scaling: What is done to the numbers, for floats.

    Raises:
        FeedError: The input is no place for pictures, or they have different sizes.
        FormatError: A file is damaged or no picture.
        InputError: A file cannot be opened, or the scaling does not fit the input.
        MissingError: Pillow is not installed.
    """
    layout, batch, size, channels = _place(value, paths[0])
    whole = value.dtype is not None and value.dtype.name == "UINT8"
    if whole and not scaling.neutral:
        raise InputError(f"Input {value.name!r} takes bytes, which are not scaled; leave --mean and --std out.")
    read = [_pixels(path, channels, size) for path in paths]
    shapes = {pixels.shape for pixels, _ in read}
    if len(shapes) > 1:
        told = " and ".join(sorted(f"{height}×{width}" for height, width, _ in shapes))
        raise FeedError(
            f"The pictures for input {value.name!r} have different sizes, {told}, and the input leaves its size free; "
            f"resize them, or give the size: --input {value.name}:{_example(layout, channels)}."
        )
    numbers: npt.NDArray[Any] = np.stack([pixels if whole else scaling.applied(pixels) for pixels, _ in read])
    if batch is not None and batch != len(paths):
        if len(paths) > 1:
            raise FeedError(
                f"Input {value.name!r} takes a batch of {batch}, {len(paths)} pictures were given for it; give one "
                f"or {batch}."
            )
        numbers = numbers.repeat(batch, axis=0)
    if layout == "NCHW":
        numbers = numbers.transpose(0, 3, 1, 2)
    dtype = np.dtype(np.float32) if value.dtype is None else value.dtype.numpy()
    scaled = f"{_scaled(whole, scaling)}, laid out as {layout}"
    done = [
        f"Input {value.name!r} is the picture {path}: {', '.join([*how, scaled])}."
        for path, (_, how) in zip(paths, read, strict=True)
    ]
    if batch is not None and batch != len(paths):
        done.append(f"Input {value.name!r} has the same picture {batch} times, as its batch is fixed.")
    return np.ascontiguousarray(numbers.astype(dtype)), done


def _place(value: ir.Value, path: Path) -> tuple[Layout, int | None, tuple[int | None, int | None], int]:
    """Layout, batch size, height and width, and number of channels of an input that takes pictures."""
    dims = dims_of(value)
    kind = "float32" if value.dtype is None else value.dtype.name.lower()
    shown = "unknown shape" if dims is None else "×".join(str(dim or "?") for dim in dims) or "no axes"
    lead = f"{path} is a picture, but input {value.name!r} is {kind} of {shown}"
    if value.dtype is not None and not value.dtype.is_floating_point() and value.dtype.name != "UINT8":
        raise FeedError(f"{lead}; pictures go to inputs of floats or uint8. Give an array: {value.name}=x.npy.")
    if dims is None or len(dims) != 4:
        raise FeedError(
            f"{lead}; pictures go to inputs of four axes, batch × channels × height × width or with the channels "
            "last. Give "
            f"an array: {value.name}=x.npy."
        )
    sizes = [dim if isinstance(dim, int) else None for dim in dims]
    layouts: tuple[tuple[Layout, int], ...] = (("NCHW", 1), ("NHWC", 3))
    for layout, axis in layouts:
        if (channels := sizes[axis]) in _MODES:
            assert channels is not None
            height, width = [size for place, size in enumerate(sizes) if place not in (0, axis)]
            return layout, sizes[0], (height, width), channels
    raise FeedError(
        f"{lead}; neither its second nor its last axis is known to be of 1, 3 or 4 channels. Give its shape if it is "
        f"free (--input {value.name}:?x3x224x224), else an array."
    )


def _pixels(path: Path, channels: int, size: tuple[int | None, int | None]) -> tuple[npt.NDArray[np.uint8], list[str]]:
    """Bytes of height × width × channels, and what was done to get them."""
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise MissingError(f"Reading {path} needs Pillow; run: pip install 'graphkit[image]'.") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with Image.open(path, formats=_FORMATS) as file:
                picture = ImageOps.exif_transpose(file)
                picture.load()
    except OSError as error:
        if error.errno is not None:
            raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
        raise FormatError(f"{path} cannot be read as a picture: {_clause(error)}; give one that is whole.") from error
    except Exception as error:  # Pillow's decoders raise all sorts of things on damaged files
        raise FormatError(f"{path} cannot be read as a picture: {_clause(error)}; give one that is whole.") from error
    if picture.mode.startswith(_DEEP):
        raise FormatError(
            f"{path} has more than 8 bits a channel (Pillow's mode {picture.mode}), and how they are to be scaled is "
            f"not known; convert it to 8 bits, or give an array."
        )
    done = []
    mode = _MODES[channels]
    if picture.mode != mode:
        done.append(f"{picture.mode} made {mode}")
        picture = picture.convert(mode)
    wanted = tuple(given or own for given, own in zip(size, (picture.height, picture.width), strict=True))
    if wanted != (picture.height, picture.width):
        done.append(f"resized from {picture.height}×{picture.width} to {wanted[0]}×{wanted[1]}")
        picture = picture.resize((wanted[1], wanted[0]), Image.Resampling.BILINEAR)
    pixels = np.asarray(picture, np.uint8).reshape(*wanted, channels)
    return pixels, done


def _scaled(whole: bool, scaling: Scaling) -> str:
    if whole:
        return "its bytes as they are"
    if scaling.neutral:
        return "scaled to 0 … 1"
    return f"scaled to 0 … 1, minus {_numbers(scaling.mean)}, divided by {_numbers(scaling.std)}"


def _numbers(numbers: tuple[float, ...]) -> str:
    return ", ".join(f"{number:g}" for number in numbers) if len(numbers) == 1 else f"({', '.join(map(str, numbers))})"


def _example(layout: str, channels: int) -> str:
    return f"?x{channels}x224x224" if layout == "NCHW" else f"?x224x224x{channels}"


def _clause(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
