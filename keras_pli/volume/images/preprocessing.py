"""From a file to what a network receives: orientation, grid, brain, intensities."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...checks import check_options, checked_number, one_of
from .grids import Grid, grid_of, regular_grid, resampled, to_ras, zoomed
from .preprocessed import PreprocessedVolume, SourceImage
from .reading import (
    Image,
    PathLike,
    VolumeError,
    checked_fill,
    checked_image,
    name_of,
    read_volume,
)
from .stripping import brain_mask, mask_on_grid, otsu_threshold

Values = NDArray[np.float32]
Mask = NDArray[np.bool_]

# Of a volume with at least this share of exact zeros they are the background.
_ZEROS_OF_BACKGROUND = 0.05


@dataclass(frozen=True)
class Preprocessing:
    """Brings a volume of any orientation and resolution to the form that a network receives.

    In this order:

    1. axes are ordered and flipped to RAS (x to the right, y anterior, z superior), without interpolation;
    2. the brain's mask is found, in the subject's own voxels;
    3. volume and mask are resampled trilinearly to the grid asked for, along the axes of the world. Where
       voxels grow by a factor f > 1, a Gaussian of σ = (f − 1) / 2 voxels smooths first, so that nothing is
       aliased. Where the skull is stripped, only voxels of the brain enter (the weights of the others are
       left out), so that neither skull nor the dark outside colours the brain's edge;
    4. intensities are normalised by those of the brain;
    5. outside the brain everything is exactly 0, where the skull is stripped.

    Args:
        shape: The voxels `(X, Y, Z)` of the result. None: as many as cover the field of view.
        voxel_size: In mm, one number or three. None, with `shape`: isotropic and as small as the field of
            view fits in, so that the size of a brain depends on the field of view; give both for brains of
            true relative size. None, without `shape`: the voxels stay as they are, oblique ones also.
        skull_stripping: `"none"`; `"mask"`: by the mask given with the volume; `"template"` or `"threshold"`:
            by `brain_mask`, which says what to use before.
        normalization: `"zscore"`: mean 0 and standard deviation 1 within the brain; `"percentile"`: the lower
            of `percentiles` within the brain becomes 0 and the upper 1, and what lies beyond is clipped;
            `"none"`. Without a mask, the brain is taken to be what differs from 0 where at least 5 % of the
            voxels are exactly 0, and else what is brighter than Otsu's threshold.
        percentiles: For `"percentile"`, two numbers from 0 to 100.
        scale: Enlarges the brain by this factor about its centre (of the mask; without one, about the middle
            of the image). `optimal_scales` gives it for each subject.
        center: What lies in the middle of the result: `"image"`, the middle of the field of view; `"brain"`,
            the centre of the mask; or a position in mm, such as `(0, 0, 0)` for registered images of
            different fields of view.
        template: For `"template"`: a brain mask, an image or its path. None: MNI152's.
        fill_nonfinite: As for `read_volume`.

    Raises:
        ValueError: If an option is none of those named.

    Example:
        >>> from nibabel.testing import data_path
        >>> prepare = Preprocessing(shape=(24, 28, 24), voxel_size=3.0)
        >>> volume = prepare(f"{data_path}/anatomical.nii")
        >>> volume.values.shape, volume.affine.diagonal().tolist()
        ((24, 28, 24), [3.0, 3.0, 3.0, 1.0])
        >>> volume.map_to_subject(abs(volume.values)).shape  # as the file
        (33, 41, 25)
    """

    shape: tuple[int, int, int] | None = None
    voxel_size: float | tuple[float, float, float] | None = None
    skull_stripping: Literal["none", "mask", "template", "threshold"] = "none"
    normalization: Literal["zscore", "percentile", "none"] = "zscore"
    percentiles: tuple[float, float] = (1.0, 99.0)
    scale: float = 1.0
    center: Literal["image", "brain"] | tuple[float, float, float] = "image"
    template: Any = None
    fill_nonfinite: float | None = None

    def __post_init__(self) -> None:
        stripping = ["none", "mask", "template", "threshold"]
        one_of(self.skull_stripping, stripping, "skull_stripping")
        one_of(self.normalization, ["zscore", "percentile", "none"], "normalization")
        if self.shape is not None:
            lengths = _three(self.shape, "shape", "whole numbers (X, Y, Z)")
            for length in lengths:
                checked_number(length, "shape", least=1, whole=True)
            object.__setattr__(self, "shape", tuple(int(length) for length in lengths))
        if self.voxel_size is not None:
            sizes = self.voxel_size
            sizes = (sizes,) * 3 if np.ndim(sizes) == 0 else _three(sizes, "voxel_size", "mm")
            for size in sizes:
                _positive(size, "voxel_size")
            object.__setattr__(self, "voxel_size", tuple(float(size) for size in sizes))
        object.__setattr__(self, "scale", _positive(self.scale, "scale"))
        object.__setattr__(self, "fill_nonfinite", checked_fill(self.fill_nonfinite))
        self._check_center()
        self._check_percentiles()
        if isinstance(self.template, os.PathLike):
            object.__setattr__(self, "template", os.fspath(self.template))
        if self.template is not None and self.skull_stripping != "template":
            raise ValueError(
                "`template` is for skull_stripping='template'. Received "
                f"skull_stripping={self.skull_stripping!r}."
            )

    def __call__(
        self,
        volume: Image | PathLike,
        *,
        mask: Image | PathLike | NDArray[Any] | None = None,
        scale: float | None = None,
    ) -> PreprocessedVolume:
        """Returns a volume in the form that a network receives.

        Args:
            volume: A file's path or a nibabel image. Neither is changed.
            mask: The brain's mask: a path, an image (on another grid it is laid out by the affines, the
                nearest voxel counts) or an array of the volume's own shape; what is above 0.5 counts. Without
                stripping it says where intensities are taken from.
            scale: In place of the instance's.

        Raises:
            VolumeError: If the volume or the mask cannot be used (as `read_volume`, `brain_mask`), the brain
                is constant or lies outside of the grid, or a mask is needed and not given.
        """
        image, path = _image(volume, self.fill_nonfinite)
        name = name_of(volume)
        scale = self.scale if scale is None else _positive(scale, "scale")
        own = grid_of(image)
        brain = self._brain(image, own, mask, name)
        volume_in_ml = None if brain is None else float(brain.sum() * own.voxel_volume / 1000)
        values = np.asarray(image.get_fdata(dtype=np.float32, caching="unchanged"))
        values, source = to_ras(values.reshape(own.shape), own)
        brain = None if brain is None else to_ras(brain, own)[0]
        grid = self._grid(source, brain, scale, name)
        found, brain = self._resampled(values, brain, source, grid)
        if brain is not None and not brain.any():
            raise VolumeError(f"{name}: no voxel of the brain lies within the grid asked for.")
        if self.normalization != "none":
            inside = _foreground(found, values) if brain is None else brain
            found = self._normalised(found, inside, name)
        if self.skull_stripping != "none" and brain is not None:
            found[~brain] = 0
        origin = SourceImage(path, own.shape, own.affine, image.header.copy())
        return PreprocessedVolume(found, grid.affine, brain, origin, volume_in_ml)

    def to_dict(self) -> dict[str, Any]:
        """Returns the options in a form that JSON can hold; `from_dict` reads it.

        Raises:
            ValueError: If `template` is an image in memory, which has no name to be found by.

        Example:
            >>> Preprocessing(shape=(24, 28, 24), scale=np.float32(0.5)).to_dict()["shape"]
            [24, 28, 24]
        """
        if not isinstance(self.template, str | None):
            raise ValueError(
                "To be stored, a `template` must be a file's path: save the image, and give its path. "
                f"Received: an image, {type(self.template).__name__}."
            )
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
        }

    @classmethod
    def from_dict(cls, options: Mapping[str, Any]) -> Preprocessing:
        """Returns the preprocessing of `to_dict`'s options.

        Raises:
            TypeError: If an option is unknown.
            ValueError: If the value of one is.

        Example:
            >>> prepare = Preprocessing(voxel_size=2.0, center="brain", skull_stripping="threshold")
            >>> Preprocessing.from_dict(prepare.to_dict()) == prepare
            True
        """
        check_options(cls, options)
        return cls(**options)

    def _brain(self, image: Image, grid: Grid, mask: Any, name: str) -> Mask | None:
        """The brain in the subject's own voxels."""
        if self.skull_stripping in ("template", "threshold"):
            return brain_mask(image, method=self.skull_stripping, template=self.template)
        if mask is not None:
            try:
                return mask_on_grid(mask, grid)
            except VolumeError as error:
                raise VolumeError(f"{name}: {error}") from error
        if self.skull_stripping == "mask":
            raise VolumeError(f"{name}: skull_stripping='mask' needs a `mask`, and none was given.")
        if self.center == "brain":
            raise VolumeError(f"{name}: center='brain' needs a mask or stripping.")
        return None

    def _grid(self, source: Grid, brain: Mask | None, scale: float, name: str) -> Grid:
        """Where the voxels of the result lie in the subject's space."""
        middle = source.center
        if brain is not None:
            middle = source.to_mm(np.argwhere(brain).mean(axis=0))
        center = {"image": source.center, "brain": middle}.get(str(self.center))
        if center is None:
            center = np.array(self.center, dtype=np.float64)
        kept = self.shape is None and self.voxel_size is None
        if kept and self.center == "image":
            grid = source
        elif kept:
            step = source.affine[:3, :3] @ (np.array(source.shape) - 1) / 2
            affine = source.affine.copy()
            affine[:3, 3] = center - step
            grid = Grid(source.shape, affine)
        else:
            size = None if self.voxel_size is None else np.array(self.voxel_size)
            grid = regular_grid(source, self.shape, size, center)
        if np.prod([float(length) for length in grid.shape]) > 2**31:
            raise VolumeError(f"{name}: the grid asked for would have {grid.shape} voxels.")
        return grid if scale == 1 else zoomed(grid, scale, middle)

    def _resampled(
        self, values: Values, brain: Mask | None, source: Grid, grid: Grid
    ) -> tuple[Values, Mask | None]:
        if brain is None:
            return resampled(values, source, grid, fill=min(0.0, float(values.min()))), None
        weights = resampled(brain, source, grid)
        inside = weights >= 0.5
        if self.skull_stripping == "none":
            return resampled(values, source, grid, fill=min(0.0, float(values.min()))), inside
        found = resampled(np.where(brain, values, 0), source, grid)
        return np.divide(found, weights, out=np.zeros_like(found), where=inside), inside

    def _normalised(self, values: Values, inside: Mask, name: str) -> Values:
        seen = values[inside].astype(np.float64)
        if not len(seen):
            raise VolumeError(f"{name}: nothing of the head lies within the grid asked for.")
        if self.normalization == "zscore":
            low, width = seen.mean(), seen.std()
        else:
            low, high = np.percentile(seen, self.percentiles)
            width = high - low
        if not width > 1e-6 * np.abs(seen).max():
            raise VolumeError(f"{name}: is constant within the brain, at {low:g}.")
        found = ((values - low) / width).astype(np.float32)
        return found if self.normalization == "zscore" else found.clip(0, 1)

    def _check_center(self) -> None:
        if isinstance(self.center, str):
            one_of(self.center, ["image", "brain"], "center")
            return
        position = _three(self.center, "center", "mm, or 'image' or 'brain'")
        for number in position:
            checked_number(number, "center", least=-1e6, below=1e6)
        object.__setattr__(self, "center", tuple(float(number) for number in position))

    def _check_percentiles(self) -> None:
        ends = np.asarray(self.percentiles, dtype=np.float64)
        if ends.shape != (2,) or not 0 <= ends[0] < ends[1] <= 100:
            raise ValueError(
                f"`percentiles` must be two numbers from 0 to 100, rising. Received: {self.percentiles!r}."
            )
        object.__setattr__(self, "percentiles", (float(ends[0]), float(ends[1])))


def _image(volume: Image | PathLike, fill_nonfinite: float | None) -> tuple[Image, Path | None]:
    if isinstance(volume, str | os.PathLike):
        return read_volume(volume, fill_nonfinite=fill_nonfinite), Path(volume)
    if not hasattr(volume, "affine") or not hasattr(volume, "get_fdata"):
        raise TypeError(
            f"A volume must be a file's path or a nibabel image. Received: {type(volume).__name__}."
        )
    return checked_image(volume, fill_nonfinite=fill_nonfinite), None


def _foreground(values: Values, original: Values) -> Mask:
    """What of a volume is taken to be the head; by its own numbers, as resampling may have added air."""
    if (original == 0).mean() >= _ZEROS_OF_BACKGROUND:
        return values != 0
    return values > otsu_threshold(original)


def _positive(value: Any, name: str) -> float:
    if checked_number(value, name, least=0) == 0:
        raise ValueError(f"`{name}` must be above 0. Received: {value!r}.")
    return float(value)


def _three(value: Any, name: str, what: str) -> tuple[Any, ...]:
    found = tuple(np.ravel(value).tolist()) if np.ndim(value) == 1 else ()
    if len(found) != 3:
        raise ValueError(f"`{name}` must be three {what}. Received: {value!r}.")
    return found
