"""Rationales: what an image loses and gains on the way to another decision, and the way itself."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.animation import PillowWriter
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike, NDArray

from ..files import atomic_path
from .attributions import axes_at, draw_heat, draw_picture
from .heatmaps import Heatmap, faded, finite_values, number, picture
from .images import natural_range
from .style import (
    FRAME,
    INK,
    MUTED,
    SMALL_SIZE,
    TEXT_SIZE,
    TITLE_SIZE,
    class_styles,
    new_figure,
    plain,
    quiet_axes,
)

_GAP = 0.08
_HEAD = 0.22
_CAPTION = 0.27
_KEY = 0.62
_ALPHA = 0.9
# Rationale over the original, then the residual on the same scale, so that their sizes compare.
_COLUMNS = ("original", "reconstruction", "changed", "rationale", "residual")


def rationale_grid(
    originals: ArrayLike,
    reconstructions: ArrayLike,
    images: ArrayLike,
    *,
    captions: Sequence[str] | None = None,
    value_range: tuple[float, float] | None = None,
    percentile: float = 99.5,
    title: str | None = None,
) -> Figure:
    """Draws each sample before and after the change, the signed rationale over it, and the residual apart.

    The rationale, reconstruction less changed image, is vermilion where brightness is taken away and blue
    where it is added. The residual, original less reconstruction, is what the generator cannot draw; it has
    the scale of the rationales, one for all samples, so that its size can be held against theirs.

    Args:
        originals: Images `(samples, height, width, channels)`, of 1 or 3 channels.
        reconstructions: What the generator makes of them, of the same shape.
        images: The changed images.
        captions: One text a sample, such as its verdict.
        value_range: The values drawn black and white; by default as in `image_strip`, of the originals.
        percentile: Share of the rationales' values, in percent, that lie within the scale.
        title: What stands above.

    Returns:
        A new figure with five axes a sample, and the scale.

    Raises:
        ValueError: If shapes differ, a value is not finite, or captions are of another number.

    Example:
        >>> blank = np.zeros((2, 8, 8, 1))
        >>> figure = rationale_grid(blank, blank, blank + 0.5, captions=["9 → 4", "9 → 4"])
        >>> [ax.get_title() for ax in figure.axes[:5]]
        ['original', 'reconstruction', 'changed', 'rationale', 'residual']
    """
    before, start, after = _same_shape(
        {"originals": originals, "reconstructions": reconstructions, "images": images}
    )
    texts = _checked_captions(captions, len(before))
    span = value_range or natural_range(np.asarray(originals))
    shown = [picture(values, dimensions=3, value_range=span) for values in (before, start, after)]
    changes, rests = (start - after).mean(axis=-1), (before - start).mean(axis=-1)
    limit = _limit(changes, percentile)
    wide, high = _cell_size(before.shape[1:3])
    across = len(_COLUMNS) * (wide + _GAP)
    top = 0.3 if title else 0.02
    row = high + (_CAPTION if any(texts) else _GAP)
    figure = new_figure(across, top + _HEAD + len(before) * row + _KEY)
    figure.set_layout_engine("none")
    for i, text in enumerate(texts):
        down = top + _HEAD + i * row
        axes = [axes_at(figure, j * (wide + _GAP), down, wide, high) for j in range(len(_COLUMNS))]
        for ax, column in zip(axes, shown, strict=False):
            draw_picture(ax, column[i])
        for ax, heat in zip(axes[3:], (changes[i], rests[i]), strict=True):
            draw_picture(ax, faded(shown[0][i]))
            draw_heat(ax, Heatmap(heat, signed=True, limit=limit), _ALPHA)
        if text:
            y = 1 - (down + high + 0.06) / figure.get_figheight()
            figure.text(0.0, y, plain(text), fontsize=SMALL_SIZE, color=INK, va="top")
        if i == 0:
            for ax, name in zip(axes, _COLUMNS, strict=True):
                ax.set_title(name, fontsize=TEXT_SIZE, color=INK, pad=4)
    _draw_scale(figure, top + _HEAD + len(before) * row + 0.1, limit, percentile)
    _draw_heading(figure, title)
    return figure


def morph_strip(
    frames: ArrayLike,
    outputs: ArrayLike,
    *,
    columns: Mapping[int, str] | None = None,
    level: float | None = None,
    probability: bool = True,
    value_range: tuple[float, float] | None = None,
    title: str | None = None,
) -> Figure:
    """Draws the way from a reconstruction to its changed image, with the classifier's outputs below.

    Args:
        frames: Images on the way `(points, height, width, channels)`.
        outputs: What the classifier says about each, `(points, classes)`.
        columns: Outputs to draw, with their names; by default the two that change most.
        level: The confidence or cutoff to reach, drawn as a line.
        probability: Whether outputs are probabilities, with an axis from 0 to 1.
        value_range: The values drawn black and white; by default as in `image_strip`.
        title: What stands above.

    Returns:
        A new figure: one axes a frame, then that of the curves.

    Raises:
        ValueError: If numbers of frames and outputs differ or a value is not finite.

    Example:
        >>> frames = np.linspace(0, 1, 5).reshape(5, 1, 1, 1) * np.ones((8, 8, 1))
        >>> chances = np.linspace([1, 0], [0, 1], 5)
        >>> figure = morph_strip(frames, chances, columns={0: "9", 1: "4"}, level=0.9)
        >>> len(figure.axes)
        6
    """
    values, said = finite_values(frames, "frames"), finite_values(outputs, "outputs")
    if values.ndim != 4 or said.ndim != 2 or len(values) != len(said):
        raise ValueError(
            "`frames` must have shape (points, height, width, channels) and `outputs` (points, classes). "
            f"Received shapes {values.shape} and {said.shape}."
        )
    if columns is None:
        changed = np.argsort(-np.ptp(said, axis=0))[:2]
        columns = {int(column): str(column) for column in sorted(changed)}
    shown = picture(
        values, dimensions=3, value_range=value_range or natural_range(np.asarray(frames))
    )
    wide, high = _cell_size(values.shape[1:3], most=min(1.35, 10.0 / len(values)))
    left, right = 0.55, 0.25 + 0.075 * max(len(name) for name in columns.values())
    across, top = left + len(values) * (wide + _GAP) + right, 0.3 if title else 0.02
    figure = new_figure(across, top + high + 1.75)
    figure.set_layout_engine("none")
    for index, image in enumerate(shown):
        draw_picture(axes_at(figure, left + index * (wide + _GAP), top, wide, high), image)
    run = len(values) * (wide + _GAP)
    chart = axes_at(figure, left - _GAP / 2, top + high + 0.12, run, 1.15)
    _draw_curves(chart, said, columns, level, probability)
    _draw_heading(figure, title)
    return figure


def animate_morphs(
    frames: ArrayLike,
    path: str | os.PathLike[str],
    *,
    captions: Sequence[Sequence[str]] | None = None,
    columns: int = 8,
    value_range: tuple[float, float] | None = None,
    fps: float = 8,
    dpi: float = 90,
) -> Path:
    """Stores the ways of several samples, there and back, as an animated GIF.

    The file appears only when it is complete.

    Args:
        frames: Images `(samples, points, height, width, channels)`.
        path: Where to store it; must end in ".gif".
        captions: For each sample one text a point, such as "4: .93".
        columns: Images in a row.
        value_range: The values drawn black and white; by default as in `image_strip`.
        fps: Frames a second.
        dpi: Dots an inch.

    Returns:
        The path.

    Raises:
        ValueError: If the shape is another, a value is not finite, captions are of another number, `fps`
            is not positive, or the ending is another.

    Example:
        >>> import tempfile
        >>> frames = np.random.default_rng(0).random((2, 3, 8, 8, 1))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     animate_morphs(frames, folder + "/morph.gif", dpi=30).name
        'morph.gif'
    """
    target = Path(path)
    if target.suffix.lower() != ".gif":
        raise ValueError(f"`path` must end in .gif. Received: {str(path)!r}.")
    if not fps > 0 or columns < 1:
        raise ValueError(f"`fps` and `columns` must be positive. Received: {fps}, {columns}.")
    values = finite_values(frames, "frames")
    if values.ndim != 5:
        raise ValueError(
            "`frames` must have shape (samples, points, height, width, channels). "
            f"Received shape {values.shape}."
        )
    samples, points = values.shape[:2]
    texts = captions or [[""] * points] * samples
    if [len(row) for row in texts] != [points] * samples:
        raise ValueError(f"`captions` must hold {points} texts for each of {samples} samples.")
    shown = picture(
        values, dimensions=4, value_range=value_range or natural_range(np.asarray(frames))
    )
    figure, axes = _gallery(samples, min(columns, samples), values.shape[2:4])
    # A pause at either end: there the images are that one came to compare.
    order = [0] * 4 + [*range(points)] + [points - 1] * 6 + [*range(points - 1, -1, -1)]
    writer = PillowWriter(fps=fps)  # type: ignore[arg-type]
    with atomic_path(target) as temporary:
        writer.setup(figure, str(temporary), dpi)
        for point in order:
            for ax, images, row in zip(axes, shown, texts, strict=True):
                ax.clear()
                draw_picture(ax, images[point])
                ax.set_xlabel(plain(row[point]), fontsize=SMALL_SIZE, color=INK, labelpad=2)
            _draw_progress(figure, point / max(points - 1, 1))
            writer.grab_frame()
        writer.finish()
    return target


def _gallery(samples: int, columns: int, size: Sequence[int]) -> tuple[Figure, list[Axes]]:
    wide, high = _cell_size(size)
    rows = -(-samples // columns)
    figure = new_figure(columns * (wide + _GAP) + _GAP, rows * (high + _CAPTION) + 0.2)
    figure.set_layout_engine("none")
    axes = [
        axes_at(
            figure,
            _GAP + (index % columns) * (wide + _GAP),
            _GAP + (index // columns) * (high + _CAPTION),
            wide,
            high,
        )
        for index in range(samples)
    ]
    return figure, axes


def _draw_progress(figure: Figure, share: float) -> None:
    """Draws how far along the way it is; also keeps a GIF from dropping a frame like the last."""
    for line in list(figure.lines):
        line.remove()
    for end, color in ((1.0, FRAME), (share, INK)):
        places = [0.02, 0.02 + 0.96 * end]
        figure.add_artist(Line2D(places, [0.02, 0.02], color=color, linewidth=1.5))


def _draw_curves(
    ax: Axes,
    outputs: NDArray[np.float64],
    columns: Mapping[int, str],
    level: float | None,
    probability: bool,
) -> None:
    """Draws outputs over the frames that they belong to, named at their ends."""
    styles = class_styles(list(columns), dict(columns))
    places = np.arange(len(outputs))
    for column, style in styles.items():
        line = outputs[:, column]
        ax.plot(places, line, color=style.color, marker="o", markersize=3.5, linewidth=1.6)
        ax.annotate(
            plain(style.name),
            (places[-1], line[-1]),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            fontsize=TEXT_SIZE,
            color=style.ink,
            annotation_clip=False,
        )
    quiet_axes(ax, grid="y")
    if level is not None:
        # It ends before the names of the curves.
        ends = (-0.5, places[-1] + 0.05)
        ax.plot(ends, (level, level), color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
        ax.annotate(
            f"aim {number(level, digits=4)}",
            (-0.5, level),
            xytext=(3, 2),
            textcoords="offset points",
            fontsize=SMALL_SIZE,
            color=MUTED,
        )
    ax.set_xlim(-0.5, len(outputs) - 0.5)
    if probability:
        ax.set_ylim(-0.04, 1.04)
        ax.set_yticks([0.0, 0.5, 1.0])
    ax.set_ylabel("probability" if probability else "output", fontsize=SMALL_SIZE, color=INK)
    ax.set_xticks([0, len(outputs) - 1], ["reconstruction", "changed"])
    ax.get_xticklabels()[0].set_horizontalalignment("left")
    ax.get_xticklabels()[-1].set_horizontalalignment("right")


def _draw_scale(figure: Figure, top: float, limit: float, percentile: float) -> None:
    """Draws the bar of colours with its two words, and the note on the scale."""
    ax = axes_at(figure, 0.02, top, 1.8, 0.1)
    ramp = Heatmap(np.linspace(-1.0, 1.0, 256)[np.newaxis], signed=True, limit=1.0)
    draw_heat(ax, ramp, _ALPHA, extent=(-1.0, 1.0, 0.0, 1.0), aspect="auto")
    end = number(limit)
    ax.set_xticks([-1, 0, 1], [f"added {end}", "0", f"removed {end}"])
    ax.get_xticklabels()[0].set_horizontalalignment("left")
    ax.get_xticklabels()[-1].set_horizontalalignment("right")
    ax.set_yticks([])
    ax.tick_params(length=0, pad=2, labelsize=SMALL_SIZE, labelcolor=INK)
    ax.spines[:].set_visible(False)
    note = (
        "Residual: what the generator cannot draw of the original, on the rationales' scale\n"
        f"(percentile {percentile:g} of their absolute values)."
    )
    x = 2.1 / figure.get_figwidth()
    y = 1 - (top - 0.02) / figure.get_figheight()
    figure.text(x, y, note, fontsize=SMALL_SIZE, color=MUTED, va="top", linespacing=1.25)


def _draw_heading(figure: Figure, title: str | None) -> None:
    if title:
        y = 1 - 0.05 / figure.get_figheight()
        figure.text(0.0, y, plain(title), fontsize=TITLE_SIZE, color=INK, va="top")


def _same_shape(given: Mapping[str, ArrayLike]) -> list[NDArray[np.float64]]:
    arrays = {name: finite_values(values, name) for name, values in given.items()}
    shapes = {name: values.shape for name, values in arrays.items()}
    if len(set(shapes.values())) > 1 or any(len(shape) != 4 for shape in shapes.values()):
        raise ValueError(
            f"All images must have one shape (samples, height, width, channels). Received: {shapes}."
        )
    return list(arrays.values())


def _checked_captions(captions: Sequence[str] | None, samples: int) -> list[str]:
    texts = [""] * samples if captions is None else [str(text) for text in captions]
    if len(texts) != samples:
        raise ValueError(f"`captions` must have {samples} entries. Received: {len(texts)}.")
    return texts


def _limit(changes: NDArray[np.float64], percentile: float) -> float:
    sizes = np.abs(changes)
    return float(np.percentile(sizes, percentile)) or float(sizes.max())


def _cell_size(size: Sequence[int], most: float = 1.35) -> tuple[float, float]:
    """Width and height of a picture in inches."""
    height, width = size
    side = most / max(height, width)
    return side * width, side * height
