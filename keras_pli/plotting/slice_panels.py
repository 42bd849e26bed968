"""A volume ready to be cut into slices, upright if it is known how it lies in the body."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from ..checks import one_of, quoted
from .anatomy import LETTERS, PLANES, Anatomy
from .attributions import draw_heat, draw_picture
from .body import Box, body, body_range, box_around, surroundings
from .heatmaps import (
    Heatmap,
    checked_alpha,
    faded,
    finite_values,
    heatmap,
    picture,
    spatial_dimensions,
)
from .style import halo

CONVENTIONS = ("neurological", "radiological")
_NAMES = ("depth", "height", "width")
# The axes that a slice shows down and across; it is cut across the remaining one. In a body they run
# up the page.
_GRID = ((1, 2), (0, 2), (0, 1))
_BODY = ((2, 1), (2, 0), (1, 0))
_STRONG = 0.5  # of the map's scale; what is stronger is never cropped away
_BLACK = 0.4  # grey that black tissue becomes below a map
_LINE, _LINE_ON_BLACK = "#111111", "#F0E442"


@dataclass(frozen=True, eq=False)
class SlicedVolume:
    """A volume, its map and what else is drawn, upright if its affine is known.

    Attributes:
        shown: The volume in [0, 1], with a last axis of RGB or none.
        heat: The map.
        outline: Mask whose edge is drawn.
        anatomy: How it lies in the body; None for a mere grid.
        names: What slices across the three axes are called.
        edges: Edges of a voxel.
        extent: First and last voxel of the body along each axis.
        box: Those that are drawn.
        around: What is nothing of the body, as one value fills it.
        radiological: Whether the body's right is drawn on the left, as seen from its feet.
        alpha: Opacity of the map at the end of its scale.
    """

    shown: NDArray[np.float64]
    heat: Heatmap | None
    outline: NDArray[np.bool_] | None
    anatomy: Anatomy | None
    names: tuple[str, ...]
    edges: NDArray[np.float64]
    extent: Box
    box: Box
    around: NDArray[np.bool_]
    radiological: bool
    alpha: float

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along the three axes."""
        return self.shown.shape[:3]

    @property
    def lengths(self) -> NDArray[np.float64]:
        """Lengths of the edges of the box that is drawn."""
        return np.array([last - first + 1 for first, last in self.box]) * self.edges

    def sides(self, cut: int) -> tuple[int, int]:
        """Returns the axes that a slice shows down and across."""
        return (_GRID if self.anatomy is None else _BODY)[cut]

    def inches(self, cut: int) -> NDArray[np.float64]:
        """Returns height and width of a slice in the unit of the edges."""
        return self.lengths[list(self.sides(cut))]

    def where(self, cut: int, voxel: Sequence[int]) -> str:
        """Writes which slice it is: its index, or its place in the body."""
        if self.anatomy is None:
            return f"{self.names[cut]} {voxel[cut]}"
        return self.anatomy.position(cut, voxel)

    @property
    def note(self) -> str:
        """What must be known to read the letters."""
        if self.anatomy is None:
            return ""
        side, name = ("right", "radiological") if self.radiological else ("left", "neurological")
        text = f"left is {side} ({name})"
        if self.anatomy.oblique:
            turned = f"axes oblique by {self.anatomy.degrees:.0f}°"
            text += f"; {turned}: positions and letters are approximate"
        return text

    def letters(self, cut: int) -> tuple[str, str, str, str] | None:
        """Returns what stands left, right, below and above a slice."""
        if self.anatomy is None:
            return None
        down, across = self.sides(cut)
        left, right = LETTERS[across]
        return (right, left, *LETTERS[down]) if self.radiological else (left, right, *LETTERS[down])

    def including(self, voxel: Sequence[int]) -> SlicedVolume:
        """Returns it with a box that a voxel lies in."""
        ends = zip(self.box, voxel, strict=True)
        return replace(self, box=tuple((min(low, i), max(high, i)) for (low, high), i in ends))

    def draw(self, ax: Axes, cut: int, place: int) -> None:
        """Draws the slice across an axis at a place, cropped to the box."""
        index = (slice(None),) * cut + (place,)
        plane = self._turned(self.shown[index])
        draw_picture(ax, plane if self.heat is None else self._below_a_map(plane, index))
        if self.heat is not None:
            draw_heat(ax, _with(self.heat, self._turned(self.heat.values[index])), self.alpha)
        if self.outline is not None:
            self._draw_outline(ax, self._turned(self.outline[index]))
        down, across = self.sides(cut)
        ax.set_aspect(self.edges[down] / self.edges[across])
        (top, bottom), (left, right) = self.box[down], self.box[across]
        ends = [(left - 0.5, right + 0.5), (bottom + 0.5, top - 0.5)]
        if self.anatomy is not None:
            ends[1] = ends[1][::-1]
            # Seen from the feet the right comes first, and seen from the right the face.
            ends[0] = ends[0][::-1] if self.radiological else ends[0]
        ax.set(xlim=ends[0], ylim=ends[1])

    def _below_a_map(self, plane: NDArray[np.float64], index: Any) -> NDArray[np.float64]:
        """Pale greys; what is nothing of the body is left white, as colours would drown in a dark grey."""
        if self.anatomy is None:
            return faded(plane)
        return np.where(self._turned(self.around[index]), 1.0, faded(plane, black=_BLACK))

    def _turned(self, plane: NDArray[Any]) -> NDArray[Any]:
        return plane if self.anatomy is None else np.swapaxes(plane, 0, 1)

    def _draw_outline(self, ax: Axes, mask: NDArray[np.bool_]) -> None:
        if not mask.any():
            return
        # A frame of background closes the line where the mask reaches the edge of the volume.
        framed = np.pad(mask, 1).astype(np.float64)
        down, across = (np.arange(-1, size + 1) for size in mask.shape)
        style: dict[str, Any] = {"levels": [0.5], "linewidths": 1.1}
        color = _LINE if self.heat is not None else _LINE_ON_BLACK
        lines = ax.contour(across, down, framed, colors=[color], **style)
        if self.heat is not None:
            lines.set_path_effects(halo(2.2))


def sliced_volume(
    volume: ArrayLike,
    attribution: ArrayLike | None,
    *,
    affine: ArrayLike | None,
    outline: ArrayLike | None,
    voxel_size: Sequence[float] | None,
    axis_names: Sequence[str] | None,
    convention: str,
    crop: bool,
    alpha: float,
    value_range: tuple[float, float] | None,
    scale: dict[str, Any],
) -> SlicedVolume:
    """Checks a volume and what is drawn over it, and turns all of it upright if the affine is known.

    The arguments are those of `volume_slices`; `scale` holds those of the map's scale.
    """
    values = finite_values(volume, "volume")
    spatial_dimensions(values.shape, (), dimensions=3)
    heat = (
        None if attribution is None else heatmap(attribution, values.shape, dimensions=3, **scale)
    )
    checked_alpha(alpha)
    mask = None if outline is None else checked_mask(outline, values.shape[:3], "outline")
    one_of(convention, CONVENTIONS, "convention")
    anatomy = None if affine is None else Anatomy.of(values.shape, affine)
    edges = _checked_edges(voxel_size, anatomy)
    names = _checked_names(axis_names, PLANES if anatomy is not None else _NAMES)
    grey = values.mean(axis=-1) if values.ndim == 4 else values
    inside = body(grey)
    around = surroundings(grey, inside)
    in_greys = anatomy is not None and values.shape[3:] != (3,)
    if in_greys and value_range is None:
        value_range = body_range(grey, inside)
    shown = picture(volume, dimensions=3, value_range=value_range)
    if anatomy is not None:
        shown = np.where(around, 0.0, shown) if in_greys else shown
        shown, inside, around = (anatomy.upright(array) for array in (shown, inside, around))
        mask = None if mask is None else anatomy.upright(mask)
        heat = None if heat is None else _with(heat, anatomy.upright(heat.values))
    box = tuple((0, size - 1) for size in inside.shape)
    if crop:
        whole = np.zeros(inside.shape, dtype=bool) if mask is None else mask
        box = box_around(inside, edges, whole=whole if heat is None else whole | _strong(heat))
    return SlicedVolume(
        shown=shown,
        heat=heat,
        outline=mask,
        anatomy=anatomy,
        names=names,
        edges=edges,
        extent=box_around(inside, edges, margin=0.0),
        box=box,
        around=around,
        radiological=convention == "radiological",
        alpha=alpha,
    )


def _with(heat: Heatmap, values: NDArray[np.float64]) -> Heatmap:
    return replace(heat, values=values)


def _strong(heat: Heatmap) -> NDArray[np.bool_]:
    """Where a map that is not zero throughout reaches half of its scale."""
    return heat.strength >= _STRONG


def checked_mask(mask: ArrayLike, shape: tuple[int, ...], name: str) -> NDArray[np.bool_]:
    """Returns a mask of a volume's shape as booleans.

    Raises:
        ValueError: If the shape is another, or a value is neither 0 nor 1.
    """
    given = np.asarray(mask)
    if given.shape == (*shape, 1):
        given = given[..., 0]
    if given.shape != shape or not np.isin(given, (0, 1)).all():
        raise ValueError(
            f"`{name}` must be a mask of the volume's shape, {shape}, of 0 and 1. "
            f"Received shape {given.shape}, dtype {given.dtype}."
        )
    return given.astype(bool)


def _checked_edges(
    voxel_size: Sequence[float] | None, anatomy: Anatomy | None
) -> NDArray[np.float64]:
    if anatomy is not None:
        if voxel_size is not None:
            raise ValueError(
                "`affine` gives the edges of a voxel; leave out `voxel_size`. "
                f"Received: {quoted(voxel_size)}."
            )
        return anatomy.edges
    edges = np.asarray((1.0, 1.0, 1.0) if voxel_size is None else voxel_size, np.float64)
    if edges.shape != (3,) or not (np.isfinite(edges) & (edges > 0)).all():
        raise ValueError(f"`voxel_size` must be three positive lengths. Received: {voxel_size}.")
    return edges


def _checked_names(axis_names: Sequence[str] | None, usual: Sequence[str]) -> tuple[str, ...]:
    names = usual if axis_names is None else axis_names
    if len(names) != 3:
        raise ValueError(f"`axis_names` must be three. Received: {quoted(names)}.")
    return tuple(names)
