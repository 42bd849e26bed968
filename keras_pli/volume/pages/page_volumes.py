"""The volumes of a subject's page: upright, cropped, and in 8 bits."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...plotting.anatomy import Anatomy
from ...plotting.body import body, body_range, box_around
from ...plotting.heatmaps import Heatmap, central_peak, finite_values, heatmap, picture
from ...plotting.slice_panels import checked_mask

BEYOND = 127  # what a map's value beyond the scale is stored as; the scale's end is one less
_STRONG = 0.5  # of a map's scale; what is stronger is never cropped away


@dataclass(frozen=True, eq=False)
class PageVolumes:
    """What a page draws, all of it upright and on one grid.

    Attributes:
        image: The image in [0, 1] of its window.
        window: The image's values drawn black and white.
        maps: The maps by name.
        outlines: Masks by name, as shares of a voxel.
        affine: From an index to millimetres.
        degrees: Largest angle between an axis of the grid and that of the body.
        oblique: Whether that makes the places of slices approximate.
        start: Where the page opens, in millimetres.
    """

    image: NDArray[np.float64]
    window: tuple[float, float]
    maps: dict[str, Heatmap]
    outlines: dict[str, NDArray[np.float64]]
    affine: NDArray[np.float64]
    degrees: float
    oblique: bool
    start: NDArray[np.float64]

    @property
    def start_voxel(self) -> list[int]:
        """The voxel nearest to where the page opens."""
        away = np.linalg.solve(self.affine[:3, :3], self.start - self.affine[:3, 3])
        return [int(i) for i in np.clip(np.rint(away), 0, np.subtract(self.image.shape, 1))]

    def cropped(self, box: tuple[tuple[int, int], ...]) -> PageVolumes:
        """Returns the part between first and last voxels along the axes."""
        part = tuple(slice(first, last + 1) for first, last in box)
        moved = self.affine.copy()
        moved[:3, 3] += self.affine[:3, :3] @ [first for first, _ in box]
        return self._changed(lambda values: values[part], moved)

    def shrunk(self, factor: int) -> PageVolumes:
        """Returns means over blocks of voxels, which hold the place of their middles."""
        if factor == 1:
            return self
        scale = np.diag([factor, factor, factor, 1.0])
        scale[:3, 3] = (factor - 1) / 2
        return self._changed(lambda values: _block_means(values, factor), self.affine @ scale)

    def packed(self) -> dict[str, str]:
        """Returns the volumes as compressed bytes in letters, by the names of the page's elements."""
        stored = {"image": np.rint(255 * self.image).astype(np.uint8)}
        for index, heat in enumerate(self.maps.values()):
            stored[f"map-{index}"] = _eight_bits(heat)
        for index, mask in enumerate(self.outlines.values()):
            stored[f"mask-{index}"] = (mask >= 0.5).astype(np.uint8)
        return {name: _letters(values) for name, values in stored.items()}

    def described(self) -> dict[str, Any]:
        """Returns what the page must know of them, ready for JSON."""
        edges = np.linalg.norm(self.affine[:3, :3], axis=0)
        return {
            "shape": list(self.image.shape),
            "affine": self.affine.tolist(),
            "inverse": np.linalg.inv(self.affine).tolist(),
            "edges": edges.tolist(),
            "digits": 0 if edges.min() >= 1.0 else 1,
            "oblique": self.oblique,
            "window": list(self.window),
            "start": self.start_voxel,
            "outlines": list(self.outlines),
            "maps": [
                {
                    "name": name,
                    "signed": heat.signed,
                    "limit": heat.limit or 1.0,
                    "measure": heat.reduction,
                }
                for name, heat in self.maps.items()
            ],
        }

    def _changed(self, change: Any, affine: NDArray[np.float64]) -> PageVolumes:
        return replace(
            self,
            image=change(self.image),
            maps={
                name: replace(heat, values=change(heat.values)) for name, heat in self.maps.items()
            },
            outlines={name: change(mask) for name, mask in self.outlines.items()},
            affine=affine,
        )


def page_volumes(
    image: Any,
    maps: Mapping[str, ArrayLike],
    *,
    affine: ArrayLike | None,
    outlines: Mapping[str, ArrayLike],
    at_mm: ArrayLike | None,
    value_range: tuple[float, float] | None,
    scale: dict[str, Any],
) -> PageVolumes:
    """Checks the arguments of `subject_page`, and brings them on one upright grid, cropped to the body."""
    array, matrix = _with_affine(image, affine)
    values = finite_values(array, "image")
    if values.ndim not in (3, 4):
        raise ValueError(
            f"`image` must be a volume, with or without channels. Received shape {values.shape}."
        )
    anatomy = Anatomy.of(values.shape, matrix)
    heats = {
        name: heatmap(one, values.shape, dimensions=3, name=f"maps[{name!r}]", **scale)
        for name, one in maps.items()
    }
    masks = {
        name: checked_mask(one, values.shape[:3], f"outlines[{name!r}]")
        for name, one in outlines.items()
    }
    grey = values.mean(axis=-1) if values.ndim == 4 else values
    inside = body(grey)
    window = body_range(grey, inside) if value_range is None else value_range
    whole = np.zeros(grey.shape, dtype=bool)
    for seen in [*masks.values(), *(heat.strength >= _STRONG for heat in heats.values())]:
        whole |= seen
    volumes = PageVolumes(
        image=anatomy.upright(picture(grey, dimensions=3, value_range=window)),
        window=window,
        maps={
            name: replace(heat, values=anatomy.upright(heat.values)) for name, heat in heats.items()
        },
        outlines={name: anatomy.upright(mask.astype(np.float64)) for name, mask in masks.items()},
        affine=anatomy.affine,
        degrees=anatomy.degrees,
        oblique=anatomy.oblique,
        start=np.zeros(3),
    )
    strongest = [np.abs(heat.values) for heat in volumes.maps.values()] or [np.zeros(anatomy.shape)]
    voxel = central_peak(strongest[0]) if at_mm is None else anatomy.nearest(at_mm)
    box = box_around(anatomy.upright(inside), anatomy.edges, whole=anatomy.upright(whole))
    # The place asked for is kept in the picture, wherever it is.
    ends = zip(box, voxel, strict=True)
    box = tuple((min(first, place), max(last, place)) for (first, last), place in ends)
    return replace(volumes.cropped(box), start=anatomy.millimetres(voxel))


def _with_affine(image: Any, affine: ArrayLike | None) -> tuple[Any, ArrayLike]:
    """Returns an image's values and its affine: its own, or that which is given beside an array."""
    found = getattr(image, "affine", None) if affine is None else affine
    if found is None:
        raise ValueError(
            "The page needs the `affine`, from voxels to millimetres. Received none, and an image "
            f"without one: {type(image).__name__}."
        )
    if hasattr(image, "get_fdata"):
        return image.get_fdata(), found
    return getattr(image, "values", image), found


def _block_means(values: NDArray[np.float64], factor: int) -> NDArray[np.float64]:
    # The last block is filled up with its own border, so that it does not fade.
    more = [(0, -size % factor) for size in values.shape]
    filled = np.pad(values, more, mode="edge")
    blocks = [part for size in filled.shape for part in (size // factor, factor)]
    return filled.reshape(blocks).mean(axis=(1, 3, 5))


def _eight_bits(heat: Heatmap) -> NDArray[np.uint8]:
    """Returns a map as signed bytes: the scale's ends are ±126, and ±127 what lies beyond."""
    stored = np.rint(heat.values / (heat.limit or 1.0) * (BEYOND - 1))
    beyond = np.abs(heat.values) > heat.limit
    stored[beyond] = BEYOND * np.sign(heat.values[beyond])
    return stored.astype(np.int8).view(np.uint8)


def _letters(values: NDArray[np.uint8]) -> str:
    # Without a time the same volumes give the same page.
    return base64.b64encode(
        gzip.compress(np.ascontiguousarray(values).tobytes(), 6, mtime=0)
    ).decode("ascii")
