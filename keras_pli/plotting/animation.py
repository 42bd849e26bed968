"""A map over epochs as an animated picture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.animation import PillowWriter
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from ..checks import finite_array
from ..files import atomic_path
from .frame import fitting_limits
from .maps import embedding_map
from .outlines import class_outlines, told_apart
from .style import MUTED, SMALL_SIZE, ClassNames, class_labels


def animate_maps(
    frames: Sequence[ArrayLike],
    labels: ArrayLike | None,
    path: str | os.PathLike[str],
    *,
    titles: Sequence[str] | None = None,
    class_names: ClassNames | None = None,
    contours: bool | None = None,
    fps: float = 4,
    dpi: float = 90,
) -> Path:
    """Stores maps, one an epoch, as an animated GIF with limits that stand still.

    Class names stand in a legend, for names within the map would jump from frame to frame. The
    file appears only when it is complete.

    Args:
        frames: Positions of the same samples over time, each of shape `(samples, 2)`.
        labels: Classes, shape `(samples,)`, or None.
        path: Where to store it; must end in ".gif".
        titles: One a frame, such as "epoch 3"; a counter stands under the map in any case.
        class_names: A sequence that integer labels index, or a mapping from label to name.
        contours: Whether to draw contour lines; by default, as in `embedding_map`, if those of the last map
            can be told apart.
        fps: Frames a second.
        dpi: Dots an inch; a frame is some 8 by 7 inches.

    Returns:
        The path.

    Raises:
        ValueError: If there is no frame, frames differ in shape or hold NaN, titles are of another
            number, `fps` is not positive, or the ending is another.

    Example:
        >>> import tempfile
        >>> points = [[0.0, 0.0], [1.0, 0.5], [0.0, 1.0]]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     animate_maps([points, points[::-1]], None, folder + "/map.gif", dpi=30).name
        'map.gif'
    """
    target = Path(path)
    if target.suffix.lower() != ".gif":
        raise ValueError(f"`path` must end in .gif. Received: {str(path)!r}.")
    if len(frames) == 0:
        raise ValueError("`frames` must hold at least one map. Received none.")
    if not fps > 0:
        raise ValueError(f"`fps` must be positive. Received: {fps}.")
    maps = [finite_array(frame, f"frames[{i}]", ndim=2) for i, frame in enumerate(frames)]
    shapes = [frame.shape for frame in maps]
    if len(set(shapes)) > 1 or shapes[0][1] != 2:
        raise ValueError(f"All frames must have one shape (samples, 2). Received shapes {shapes}.")
    if titles is not None and len(titles) != len(maps):
        raise ValueError(f"`titles` must have {len(maps)} entries. Received: {len(titles)}.")
    limits, contours = _for_all_frames(maps, labels, contours)

    def draw(index: int, ax: Axes | None) -> Figure:
        return embedding_map(
            maps[index],
            labels,
            class_names=class_names,
            title=titles[index] if titles else " ",
            contours=contours,
            direct_labels=False,
            limits=limits,
            ax=ax,
            legend=labels is not None,
        )

    figure = draw(0, None)
    # The layout is solved once and then held: the map must not wobble.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    writer = PillowWriter(fps=fps)  # type: ignore[arg-type]
    # Not `writer.saving`: it would write half an animation, and set global options meanwhile.
    with atomic_path(target) as temporary:
        writer.setup(figure, str(temporary), dpi)
        for index in range(len(maps)):
            ax = figure.axes[0]
            ax.clear()
            draw(index, ax)
            _draw_counter(ax, index + 1, len(maps))
            writer.grab_frame()
        writer.finish()
    return target


def _for_all_frames(
    maps: Sequence[NDArray[Any]], labels: ArrayLike | None, contours: bool | None
) -> tuple[tuple[float, ...], bool]:
    """Returns the limits that fit all maps with their contours, and whether there are contours."""
    limits = fitting_limits(maps)
    if labels is None or contours is False:
        return limits, False
    classes = class_labels(labels, len(maps[0]))
    outlines = [class_outlines(frame, classes, width=limits[1] - limits[0]) for frame in maps]
    # A map is seen to gain its order, and the lines that it ends with must not come and go on the way.
    if contours is None and not told_apart([(outlines[-1].values(), maps[-1])]):
        return limits, False
    corners = [outline.corners for found in outlines for outline in found.values()]
    return fitting_limits([*maps, *(pair for pair in corners if len(pair))]), True


def _draw_counter(ax: Axes, number: int, count: int) -> None:
    """Draws how far the animation has run; also keeps a GIF from dropping a frame like the last."""
    ax.text(
        0.0,
        -0.02,
        f"{number} / {count}",
        transform=ax.transAxes,
        va="center",
        fontsize=SMALL_SIZE,
        color=MUTED,
    )
