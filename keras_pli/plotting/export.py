"""Figures into files, bytes and self-contained web pages."""

from __future__ import annotations

import base64
import io
import os
import struct
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ..checks import one_of
from ..files import atomic_path

# A screen's inch in a browser, and how many dots a screen of high resolution has for each of its.
_SCREEN_DPI, _DENSITY = 96, 2
# The same in a page of its own.
_PAGE_DPI, _PAGE_DENSITY = 112, 1.5


def save_figure(figure: Figure, path: str | os.PathLike[str], *, dpi: float = 200) -> Path:
    """Stores a figure, trimmed to what is drawn, whole or not at all.

    Args:
        figure: What to store.
        path: Where; its ending chooses the format, such as ".png", ".svg" or ".pdf". Folders are
            made as needed.
        dpi: Dots an inch of pixel formats and of the points of a map in vector formats.

    Returns:
        The path.

    Raises:
        ValueError: If matplotlib cannot write the ending.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_figure(Figure(), folder + "/map.png").name
        'map.png'
    """
    target = Path(path)
    ending = target.suffix.lower().removeprefix(".")
    one_of(ending, sorted(FigureCanvasAgg(figure).get_supported_filetypes()), "path ending")
    with atomic_path(target) as temporary:
        figure.savefig(temporary, format=ending, dpi=dpi, bbox_inches="tight", pad_inches=0.08)
    return target


def figure_to_png_bytes(figure: Figure, *, dpi: float = 120) -> bytes:
    """Returns a figure as the bytes of a PNG file, the same for the same figure.

    Args:
        figure: What to render.
        dpi: Dots an inch.

    Returns:
        The bytes.

    Example:
        >>> figure_to_png_bytes(Figure())[1:4]
        b'PNG'
    """
    stream = io.BytesIO()
    # Without the name of the software the bytes do not change with matplotlib's version number.
    figure.savefig(
        stream,
        format="png",
        dpi=dpi,
        bbox_inches="tight",
        pad_inches=0.08,
        metadata={"Software": None},
    )
    return stream.getvalue()


def screen_png(figure: Figure) -> tuple[bytes, dict[str, int]]:
    """Returns a figure as a PNG that is sharp on screens of high resolution, and its size on the screen.

    Args:
        figure: What to render.

    Returns:
        The bytes, and `width` and `height` in a browser's pixels, of each of which the picture has two.

    Example:
        >>> png, size = screen_png(Figure(figsize=(1, 1)))
        >>> png[1:4], sorted(size)
        (b'PNG', ['height', 'width'])
    """
    png = figure_to_png_bytes(figure, dpi=_SCREEN_DPI * _DENSITY)
    # A PNG's size stands behind its signature and the head of its first chunk.
    width, height = struct.unpack(">II", png[16:24])
    return png, {"width": width // _DENSITY, "height": height // _DENSITY}


def screen_png_uri(figure: Figure) -> tuple[str, int]:
    """Returns a figure as a `data:` address for a web page, and its width there.

    It is drawn larger than on a screen of 96 dots an inch, as a page's text is, and sharp also on screens of
    higher resolution.

    Args:
        figure: What to render.

    Returns:
        The address, and the width in a browser's pixels.

    Example:
        >>> source, width = screen_png_uri(Figure(figsize=(1, 1)))
        >>> source[:22]
        'data:image/png;base64,'
    """
    png = figure_to_png_bytes(figure, dpi=_PAGE_DPI * _PAGE_DENSITY)
    width = struct.unpack(">I", png[16:20])[0]
    encoded = base64.b64encode(png).decode("ascii")
    return f"data:image/png;base64,{encoded}", round(width / _PAGE_DENSITY)


def to_data_uri(figure: Figure, *, dpi: float = 120) -> str:
    """Returns a figure as a `data:` address, for the `src` of an image in a one-file web page.

    Args:
        figure: What to render.
        dpi: Dots an inch.

    Returns:
        The address, some hundred thousand letters.

    Example:
        >>> to_data_uri(Figure())[:22]
        'data:image/png;base64,'
    """
    encoded = base64.b64encode(figure_to_png_bytes(figure, dpi=dpi)).decode("ascii")
    return f"data:image/png;base64,{encoded}"
