"""Where the voxels of a volume lie in millimetres, and one grid's values read at another's voxels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[Any]

# Distances in voxels below this are the rounding of affines, which files store in float32.
_ROUNDING = 1e-3
# Grids whose corners are less than this apart, in voxels, are the same one.
_SAME = 1e-2


@dataclass(frozen=True)
class Grid:
    """The voxels of a volume: how many along each axis, and their affine (voxel indices to mm)."""

    shape: tuple[int, int, int]
    affine: Array

    @property
    def spacing(self) -> Array:
        """The distance of neighbours along each axis, in mm."""
        return np.asarray(np.linalg.norm(self.affine[:3, :3], axis=0))

    @property
    def voxel_volume(self) -> float:
        """The size of a voxel, in mm³."""
        return abs(float(np.linalg.det(self.affine[:3, :3])))

    @property
    def center(self) -> Array:
        """The middle of the field of view, in mm."""
        return self.to_mm((np.array(self.shape) - 1) / 2)

    @property
    def corners(self) -> Array:
        """The outer corners of the eight outermost voxels, in mm, of shape `(8, 3)`."""
        ends = np.array([(-0.5, length - 0.5) for length in self.shape])
        return self.to_mm(np.stack(np.meshgrid(*ends, indexing="ij"), axis=-1).reshape(-1, 3))

    def to_mm(self, voxels: Any) -> Array:
        """Positions in mm of voxel indices, of shape `(…, 3)`."""
        return np.asarray(voxels @ self.affine[:3, :3].T + self.affine[:3, 3])

    def is_same(self, other: Grid) -> bool:
        """Whether the voxels of both lie at the same places, to a hundredth of a voxel of whatever size.

        What float32, in which files store affines, cannot tell apart at this distance from 0 is the same.
        """
        if self.shape != other.shape:
            return False
        apart = np.abs(self.corners - other.corners).max()
        rounding = np.finfo(np.float32).eps * np.abs(self.corners).max()
        return bool(apart <= _SAME * self.spacing.min() + rounding)


def grid_of(image: Any) -> Grid:
    """The grid of a nibabel image's first three axes."""
    x, y, z = (int(length) for length in image.shape[:3])
    return Grid((x, y, z), np.asarray(image.affine, dtype=np.float64))


def to_ras(values: Array, grid: Grid) -> tuple[Array, Grid]:
    """Orders and flips axes so that x runs most nearly to the right, y anterior, z superior.

    No value changes. An oblique volume stays oblique.
    """
    from nibabel import orientations

    order = orientations.io_orientation(grid.affine)
    turned = orientations.apply_orientation(values, order)
    affine = grid.affine @ orientations.inv_ornt_aff(order, grid.shape)
    return turned, Grid(turned.shape, affine)


def regular_grid(
    source: Grid,
    shape: tuple[int, int, int] | None,
    voxel_size: Array | None,
    center: Array | None,
) -> Grid:
    """The grid along the axes of the world that holds a volume.

    Args:
        source: Where the volume lies; of its axes in RAS order.
        shape: The number of voxels; None: as many as cover the field of view.
        voxel_size: In mm, of shape `(3,)`; None: isotropic, the field of view just fits into `shape`.
        center: What lies in the middle, in mm; None: the middle of the field of view.
    """
    extent = np.ptp(source.corners, axis=0)
    size = np.full(3, (extent / shape).max()) if voxel_size is None else voxel_size
    if shape is None:
        x, y, z = (max(1, int(count)) for count in np.ceil(extent / size - _ROUNDING))
        shape = (x, y, z)
    middle = source.center if center is None else center
    affine = np.diag([*size, 1.0])
    affine[:3, 3] = middle - size * (np.array(shape) - 1) / 2
    return Grid(shape, affine)


def zoomed(grid: Grid, scale: float, about: Array) -> Grid:
    """The grid whose voxels see a volume enlarged by a factor about a point (mm)."""
    affine = grid.affine.copy()
    affine[:3, :3] /= scale
    affine[:3, 3] = about + (affine[:3, 3] - about) / scale
    return Grid(grid.shape, affine)


def resampled(
    values: Array,
    source: Grid,
    target: Grid,
    *,
    order: Literal[0, 1] = 1,
    fill: float = 0.0,
    antialias: bool = True,
) -> NDArray[np.float32]:
    """Reads the values of one grid at the voxels of another.

    Args:
        values: Of the source's shape.
        source: Where the values lie.
        target: Where they are wanted.
        order: 1: trilinear; 0: of the nearest voxel.
        fill: What stands outside of the source's voxels. Up to half a voxel beyond their centres their values
            go on, as a voxel is half a voxel wide to each side.
        antialias: Where the target's voxels are further apart than the source's by a factor f > 1 along an
            axis of the source, smooth along it first, by a Gaussian of σ = (f − 1) / 2 source voxels
            (scikit-image's rule for `resize`); not for order 0.
    """
    values = np.asarray(values, dtype=np.float32)
    if source.is_same(target):
        return values.copy()
    steps = np.linalg.solve(source.affine, target.affine)
    if antialias and order:
        sigmas = np.maximum(np.linalg.norm(steps[:3, :3], axis=1) - 1, 0) / 2
        if (sigmas > _ROUNDING).any():
            values = ndimage.gaussian_filter(values, sigmas, mode="nearest")
    found = _sampled(values, steps, target.shape, order=order, mode="nearest")
    if not _is_covered(steps, source.shape, target.shape):
        found[~_within(steps, source.shape, target.shape)] = fill
    return found


def _within(steps: Array, source: tuple[int, ...], target: tuple[int, ...]) -> Array:
    """Which of the target's voxels have their centres in a voxel of the source, its outer half counted."""
    if _is_diagonal(steps, target):
        along = [
            np.arange(length) * steps[axis, axis] + steps[axis, 3]
            for axis, length in enumerate(target)
        ]
        x, y, z = ((at >= -0.5) & (at <= n - 0.5) for at, n in zip(along, source, strict=True))
        return np.asarray(x[:, None, None] & y[:, None] & z)
    # With this mode there is a nearest voxel within a voxel's own half, and beyond it none.
    return _sampled(np.ones(source, np.uint8), steps, target, 0, "grid-constant") > 0


def _is_diagonal(steps: Array, shape: tuple[int, ...]) -> bool:
    linear = steps[:3, :3]
    beside = np.abs(linear - np.diag(np.diag(linear))).max()
    return bool(beside * max(shape) < _ROUNDING / 10)


def _sampled(
    values: Array, steps: Array, shape: tuple[int, ...], order: int, mode: str
) -> NDArray[np.float32]:
    linear: Array = steps[:3, :3]
    if _is_diagonal(steps, shape):
        linear = np.diag(linear)  # axis by axis is faster
    return np.asarray(
        ndimage.affine_transform(
            values,
            linear,
            steps[:3, 3],
            output_shape=shape,
            output=np.float32 if order else values.dtype,
            order=order,
            mode=mode,
            prefilter=False,
        )
    )


def _is_covered(steps: Array, source: tuple[int, ...], target: tuple[int, ...]) -> bool:
    """Whether every voxel of the target lies between the centres of the source's outermost voxels."""
    ends = np.stack(np.meshgrid(*[(0, n - 1) for n in target], indexing="ij"), axis=-1)
    at = ends.reshape(-1, 3) @ steps[:3, :3].T + steps[:3, 3]
    return bool((at >= 0).all() and (at <= np.array(source) - 1).all())
