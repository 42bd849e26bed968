"""Samples as small pictures: the bytes of PNG files."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ...checks import checked_number
from ...plotting.images import natural_range, scaled_pixels
from ...retraining.data import Inputs
from .sample_shape import SampleShape

Bytes = NDArray[np.uint8]

LARGEST = 2048  # pixels of a picture's longer edge
_LOOKED_AT = 512  # samples whose values tell the range from black to white
_LINE = "#2A80BE"  # a contrast of 4 on white and on the dark ground of a page
_FINER = 4  # times as many pixels as a curve is drawn in, before it is reduced
_ASPECT = 0.5  # height of a signal's picture as a share of its width
_GAP = 2  # pixels between slices


@dataclass(frozen=True)
class Picture:
    """A picture of a sample.

    Attributes:
        png: The bytes of a PNG file.
        width: Its width in pixels.
        height: Its height in pixels.
    """

    png: bytes
    width: int
    height: int


class Pictures:
    """Draws samples: images as they are, signals as curves, volumes by their three middle slices.

    All samples share one scale from black to white, that of `plotting.image_strip`, so that they compare. A
    curve has a clear ground, for a light page as for a dark one.

    Args:
        x: Inputs, `(samples, ...)`; of a list, tuple or dict of them the first that can be drawn is.
        model: What takes them, which tells channels from slices and ids from numbers.

    Attributes:
        shape: What samples are; its `why` says why they cannot be shown, where they cannot.

    Example:
        >>> pictures = Pictures(np.zeros((5, 8, 8, 1)))
        >>> picture = pictures.of(2, size=64)
        >>> picture.png[1:4], picture.width
        (b'PNG', 64)
    """

    def __init__(self, x: Inputs, model: keras.Model | None = None) -> None:
        self.x = x
        self.shape = SampleShape.of(x, model)
        self.value_range = (0.0, 1.0) if self.shape.why else _range_of(self._drawn)

    def of(self, index: int, *, size: int = 96) -> Picture:
        """Returns the picture of a sample.

        Args:
            index: The sample.
            size: Pixels of the longer edge; of a signal and of the slices of a volume, of the width.

        Raises:
            ValueError: If samples of this kind cannot be shown, there is no such sample, or it holds NaN or
                infinity.
        """
        if self.shape.why:
            raise ValueError(self.shape.why)
        index = checked_number(index, "index", least=0, below=len(self._drawn), whole=True)
        size = checked_number(size, "size", least=1, below=LARGEST + 1, whole=True)
        values = np.asarray(self._drawn[index])
        if values.dtype.name == "bfloat16":
            values = values.astype(np.float32)
        wrong = int((~np.isfinite(np.asarray(values, np.float64))).sum())
        if wrong:
            raise ValueError(
                f"Sample {index} cannot be shown: {wrong} of its {values.size} values are NaN or infinite."
            )
        if self.shape.kind == "signal":
            return _encoded(_curve(values, size, self.value_range))
        if self.shape.kind == "image":
            return _encoded(_resized(self._pixels(values), size))
        return _encoded(_slices(self._pixels(values, volume=True), size))

    @property
    def _drawn(self) -> Any:
        return keras.tree.flatten(self.x)[self.shape.place]

    def _pixels(self, values: NDArray[Any], *, volume: bool = False) -> Bytes:
        """Values from black to white as bytes: `(…, height, width)`, or with a last axis of 3."""
        # To `scaled_pixels` a volume is its slices, an image one.
        images = values if volume else values[np.newaxis]
        shown = np.rint(255 * scaled_pixels(images, self.value_range)).astype(np.uint8)
        return shown if volume else shown[0]


def _range_of(values: Any) -> tuple[float, float]:
    """The values drawn black and white, from samples spread over all; those that are not finite left out."""
    rows = np.unique(np.linspace(0, len(values) - 1, min(len(values), _LOOKED_AT)).astype(np.intp))
    seen = np.stack([np.asarray(values[row]) for row in rows])  # also of a tensor, or from disk
    if seen.dtype.kind == "f" or seen.dtype.name == "bfloat16":
        seen = seen.astype(np.float64)
        seen = seen[np.isfinite(seen)]
    return natural_range(seen) if seen.size else (0.0, 1.0)


def _resized(pixels: Bytes, size: int) -> Image.Image:
    """An image whose longer edge has so many pixels; where it grows its pixels stay squares."""
    image = Image.fromarray(pixels)
    scale = size / max(image.size)
    edges = (max(1, round(scale * image.width)), max(1, round(scale * image.height)))
    if edges == image.size:
        return image
    return image.resize(edges, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX)


def _slices(volume: Bytes, width: int) -> Image.Image:
    """The middle slices across depth, height and width, side by side, on a clear ground."""
    depth, height, across = (length // 2 for length in volume.shape[:3])
    planes = (volume[depth], volume[:, height], volume[:, :, across])
    columns = sum(plane.shape[1] for plane in planes)
    room = max(1, width - 2 * _GAP)
    # One scale for all, so that lengths compare.
    images = [
        _resized(plane, max(1, round(max(plane.shape[:2]) * room / columns))) for plane in planes
    ]
    used = sum(image.width for image in images) + 2 * _GAP
    strip = Image.new("RGBA", (used, max(image.height for image in images)), (0, 0, 0, 0))
    left = 0
    for image in images:
        strip.paste(image.convert("RGBA"), (left, (strip.height - image.height) // 2))
        left += image.width + _GAP
    return strip


def _curve(values: NDArray[Any], width: int, value_range: tuple[float, float]) -> Image.Image:
    """A signal as a line, several channels one below the other, on a clear ground."""
    signal = values.astype(np.float64).reshape(len(values), -1)
    channels = signal.shape[1]
    low, high = min(value_range[0], signal.min()), max(value_range[1], signal.max())
    height = max(1, round(width * min(1.0, _ASPECT * max(1.0, channels / 4))))
    wide, high_pixels = _FINER * width, _FINER * height
    image = Image.new("L", (wide, high_pixels), 0)
    draw = ImageDraw.Draw(image)
    # So wide that a level line covers a row of pixels wholly, wherever it runs.
    line = max(2 * _FINER - 1, _FINER * width // 90)
    if channels > 1:
        line = max(_FINER, line // 2)
    lane = (high_pixels - 2 * line) / channels
    x = np.linspace(line, wide - 1 - line, len(signal)) if len(signal) > 1 else np.array([wide / 2])
    for channel in range(channels):
        share = (signal[:, channel] - low) / ((high - low) or 1.0)
        y = line + lane * (channel + 1 - share)
        draw.line(np.stack([x, y], axis=1).ravel().tolist(), fill=255, width=line, joint="curve")
    drawn = Image.new("RGBA", (width, height), _LINE)
    drawn.putalpha(image.resize((width, height), Image.Resampling.BOX))
    return drawn


def _encoded(image: Image.Image) -> Picture:
    stream = io.BytesIO()
    image.save(stream, format="PNG", compress_level=3)
    return Picture(stream.getvalue(), image.width, image.height)
