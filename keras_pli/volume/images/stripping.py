"""The brain within a head, as a mask: given, warped from a template by the affines, or guessed."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ...checks import one_of
from ...optional import imported
from .grids import Grid, grid_of, resampled
from .reading import Image, PathLike, VolumeError, name_of, read_volume

Mask = NDArray[np.bool_]

# How far the brain is cut free of what touches it, and grown back, in mm; at least by a voxel.
_CUT_MM = 4.0
# A mask that lies on another grid must keep this much of its volume on the image's.
_LEAST_KEPT = 0.5


def brain_mask(
    image: Image | PathLike,
    *,
    method: Literal["threshold", "template"] = "threshold",
    template: Image | PathLike | None = None,
) -> Mask:
    """Returns which voxels of an image show the brain, by a simple rule.

    Neither rule replaces a tool made for it. Before a study, strip by SynthStrip (any contrast), HD-BET,
    FSL's BET or `antspynet.brain_extraction`, look at the masks, and give them to a cohort in a column
    `mask`.

    - `"threshold"` takes what is brighter than Otsu's threshold, cuts off what hangs on by less than 8 mm (an
      erosion and a dilation by 4 mm, at least a voxel), keeps the largest piece and fills its holes. It works
      on T1 images where dark fluid or bone lies around the brain; it may keep eyes, muscles or dura, and lose
      the lowest slices.
    - `"template"` lays the brain mask of a template on the image by the two affines. It is right for images
      that have been registered to the template's space, and for no others.

    Args:
        image: A nibabel image or a file's path; three axes.
        method: The rule.
        template: For `"template"`: the template's brain mask, an image or its path; None: that of MNI152 as
            nilearn ships it.

    Returns:
        A boolean array of the image's shape, in its own order of axes.

    Raises:
        VolumeError: If the mask found is empty, or the template lies mostly outside of the image.
        ValueError: If `method` is unknown.

    Example:
        >>> import nibabel as nib
        >>> from scipy.ndimage import distance_transform_edt
        >>> center = np.ones((40, 40, 40)); center[20, 20, 20] = 0
        >>> brain = distance_transform_edt(center) < 14
        >>> image = nib.Nifti1Image(100.0 * brain, np.eye(4))
        >>> bool((brain_mask(image) == brain).mean() > 0.999)
        True
    """
    one_of(method, ["threshold", "template"], "method")
    if isinstance(image, str | os.PathLike):
        image = read_volume(image)
    grid = grid_of(image)
    if method == "template":
        return mask_on_grid(mni152_mask() if template is None else template, grid)
    values = np.asarray(image.get_fdata(dtype=np.float32, caching="unchanged"))
    mask = _by_threshold(values.reshape(grid.shape), grid.spacing)
    if not mask.any():
        raise VolumeError(f"{name_of(image)}: no brain is found by threshold; give a mask.")
    return mask


def mask_on_grid(mask: Image | PathLike | NDArray[Any], grid: Grid) -> Mask:
    """Returns a mask at the voxels of a grid, by the nearest voxel where it lies on another.

    Args:
        mask: A nibabel image, a file's path, or an array of the grid's shape. What is above 0.5 counts, in a
            mask of 0 and 255 or a label image as well as in probabilities.
        grid: Where it is wanted.

    Raises:
        VolumeError: If it is empty, holds NaN, infinity or no real numbers, has another shape without an
            affine to lay it out by, or lies mostly outside of the grid.
    """
    if isinstance(mask, np.ndarray):
        if mask.shape != grid.shape:
            raise VolumeError(
                f"the mask has shape {mask.shape} and the image {grid.shape}; an array must have the image's."
            )
        given, own = mask, grid
    else:
        image = _mask_image(mask)
        given, own = np.asarray(image.get_fdata(dtype=np.float32)), grid_of(image)
        given = given.reshape(own.shape)
    name = name_of(mask)
    if given.dtype.kind not in "iufb":
        raise VolumeError(f"{name}: a mask must hold real numbers. Received {given.dtype}.")
    unknown = int((~np.isfinite(given)).sum())
    if unknown:
        raise VolumeError(
            f"{name}: {unknown} of the mask's {given.size} voxels are NaN or infinite."
        )
    inside = given > 0.5
    if not inside.any():
        raise VolumeError(f"{name}: the mask is empty, no value is above 0.5.")
    if own.is_same(grid):
        return inside.copy()
    found = resampled(inside, own, grid, order=0) > 0.5
    kept = found.sum() * grid.voxel_volume / (inside.sum() * own.voxel_volume)
    if kept < _LEAST_KEPT:
        raise VolumeError(
            f"{name}: only {kept:.0%} of the mask's volume lies on the image by their affines (the mask's "
            f"shape {own.shape}, the image's {grid.shape}); is it the mask of another image?"
        )
    return found


def otsu_threshold(values: NDArray[Any]) -> float:
    """Otsu's threshold of a volume, of 100,000 voxels or more; single ones beyond measure have no say."""
    filters = imported("skimage.filters", "Otsu's threshold")
    seen = values.ravel(order="K")[:: max(1, values.size // 100_000) | 1]
    low, high = np.percentile(seen, [0.1, 99.9])
    return float(filters.threshold_otsu(seen.clip(low, high) if low < high else seen))


@lru_cache(maxsize=1)
def mni152_mask() -> Image:
    """The brain mask of nilearn's MNI152 template, at 2 mm."""
    return imported(
        "nilearn.datasets", "A mask from the MNI152 template", extra="volume"
    ).load_mni152_brain_mask(resolution=2)


def _mask_image(mask: Image | PathLike) -> Image:
    """A mask as an image; a constant one is met where it is found empty, or full."""
    return mask if not isinstance(mask, str | os.PathLike) else read_volume(mask)


def _by_threshold(values: NDArray[np.float32], spacing: NDArray[Any]) -> Mask:
    bright = values > otsu_threshold(values)
    # The world around the volume is not of the brain.
    depth = ndimage.distance_transform_edt(np.pad(bright, 1), sampling=spacing)[1:-1, 1:-1, 1:-1]
    far = max(_CUT_MM, spacing.max() * 1.001)
    cut = _largest(depth > far)
    if not cut.any():  # a head of few voxels
        return _filled(_largest(bright))
    # A voxel further than it was cut: between voxels, distances round up both ways.
    grown = ndimage.distance_transform_edt(~cut, sampling=spacing) <= far + spacing.max()
    return _filled(_largest(grown & bright))


def _largest(mask: Mask) -> Mask:
    pieces, count = ndimage.label(mask)
    if count < 2:
        return mask
    return np.asarray(pieces == 1 + np.bincount(pieces.ravel())[1:].argmax())


def _filled(mask: Mask) -> Mask:
    """A mask with its holes filled, also those that are open in space and closed in a slice (ventricles)."""
    mask = ndimage.binary_fill_holes(mask)
    for axis in range(3):
        for number in range(mask.shape[axis]):
            at = (slice(None),) * axis + (number,)
            mask[at] = ndimage.binary_fill_holes(mask[at])
    return np.asarray(mask)
