"""How the array of a volume lies in the body: its planes, their letters, positions in millimetres."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

PLANES = ("sagittal", "coronal", "axial")
# Where each axis of the body starts and ends: from left to right, back to front, below to above.
LETTERS = (("L", "R"), ("P", "A"), ("I", "S"))
# Of a grid turned by more degrees, a slice has no one position: over 10 cm one degree is 2 mm.
_OBLIQUE = 1.0
_FINE = 1.0  # millimetres; positions on finer grids get a decimal


@dataclass(frozen=True, eq=False)
class Anatomy:
    """The grid of a volume in the body, its axes brought in the order right, anterior, superior.

    Every axis of the array is that of the body to which it is nearest, no two the same.

    Attributes:
        shape: Voxels of the upright array along x (to the right), y (anterior) and z (superior).
        affine: From an index of the upright array to millimetres, shape `(4, 4)`.
        order: The axes of the given array that run along x, y and z.
        flips: Whether those ran the other way.
        degrees: Largest angle between an axis of the array and that of the body.
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]
    order: tuple[int, int, int]
    flips: tuple[bool, bool, bool]
    degrees: float

    @classmethod
    def of(cls, shape: Sequence[int], affine: ArrayLike) -> Anatomy:
        """Reads how an array of a shape lies in the body.

        Args:
            shape: Voxels along the array's three axes.
            affine: From an index to millimetres in a space whose axes run to the right, to the front and
                up, as nibabel gives it; shape `(4, 4)`.

        Raises:
            ValueError: If it is not such an affine, or cannot be inverted.

        Example:
            >>> anatomy = Anatomy.of((8, 9, 10), np.diag([-2.0, 2.0, 3.0, 1.0]))
            >>> anatomy.flips, anatomy.position(0, (7, 0, 0))
            ((True, False, False), 'x = 0 mm')
        """
        given = checked_affine(affine)
        columns = given[:3, :3]
        cosines = columns / np.linalg.norm(columns, axis=0)
        _, order = linear_sum_assignment(-np.abs(cosines))
        along = cosines[np.arange(3), order]
        turn = np.zeros((4, 4))
        turn[3, 3] = 1.0
        for axis, (source, cosine) in enumerate(zip(order, along, strict=True)):
            turn[source, axis] = np.sign(cosine)
            turn[source, 3] = 0.0 if cosine > 0 else shape[source] - 1
        return cls(
            shape=tuple(int(shape[source]) for source in order),  # type: ignore[arg-type]
            affine=given @ turn,
            order=tuple(int(source) for source in order),  # type: ignore[arg-type]
            flips=tuple(bool(cosine < 0) for cosine in along),  # type: ignore[arg-type]
            degrees=float(np.degrees(np.arccos(np.clip(np.abs(along).min(), 0.0, 1.0)))),
        )

    @property
    def edges(self) -> NDArray[np.float64]:
        """Edges of a voxel along x, y and z, in millimetres."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    @property
    def oblique(self) -> bool:
        """Whether the axes are turned so much that positions and letters are approximate."""
        return self.degrees > _OBLIQUE

    def upright(self, values: NDArray[Any]) -> NDArray[Any]:
        """Returns an array's first three axes in the order x, y, z, each growing as the body's does."""
        turned = np.moveaxis(values, self.order, (0, 1, 2))
        return turned[tuple(slice(None, None, -1 if flip else 1) for flip in self.flips)]

    def voxel(self, index: Sequence[int]) -> tuple[int, ...]:
        """Returns where a voxel of the given array lies in the upright one."""
        own = [index[source] for source in self.order]
        ends = zip(own, self.shape, self.flips, strict=True)
        return tuple(size - 1 - place if flip else place for place, size, flip in ends)

    def nearest(self, at_mm: ArrayLike) -> tuple[int, ...]:
        """Returns the voxel of the upright array that a position in millimetres lies in.

        Raises:
            ValueError: If it is not three finite numbers, or lies outside the volume.
        """
        position = np.asarray(at_mm, np.float64)
        if position.shape != (3,) or not np.isfinite(position).all():
            raise ValueError(f"`at_mm` must be x, y and z in millimetres. Received: {at_mm!r:.80}.")
        index = np.linalg.solve(self.affine[:3, :3], position - self.affine[:3, 3])
        place = tuple(int(i) for i in np.rint(index))
        if not all(0 <= i < size for i, size in zip(place, self.shape, strict=True)):
            corners = self.millimetres(np.stack([np.zeros(3), np.subtract(self.shape, 1)]))
            raise ValueError(
                f"`at_mm` must lie within the volume, which reaches from {corners[0].round(1).tolist()} "
                f"to {corners[1].round(1).tolist()} mm. Received: {position.tolist()}."
            )
        return place

    def millimetres(self, voxels: ArrayLike) -> NDArray[np.float64]:
        """Returns positions of voxels of the upright array, shape `(..., 3)`."""
        return np.asarray(voxels) @ self.affine[:3, :3].T + self.affine[:3, 3]

    def position(self, axis: int, voxel: Sequence[int], *, named: bool = True) -> str:
        """Writes where the slice across an axis through a voxel lies, such as "x = −24 mm"."""
        digits = 0 if self.edges.min() >= _FINE else 1
        # Adding zero makes a negative zero positive.
        millimetres = round(float(self.millimetres(voxel)[axis]), digits) + 0.0
        text = f"{millimetres:.{digits}f}".replace("-", "\N{MINUS SIGN}")
        sign = "≈" if self.oblique else "="
        return f"{'xyz'[axis]} {sign} {text} mm" if named else text


def checked_affine(affine: ArrayLike) -> NDArray[np.float64]:
    """Returns an affine from voxels to millimetres as float64.

    Raises:
        ValueError: If it is not of shape `(4, 4)` with the last row 0, 0, 0, 1, or cannot be inverted.

    Example:
        >>> checked_affine(np.zeros((4, 4)))
        Traceback (most recent call last):
        ...
        ValueError: `affine` must end in the row 0, 0, 0, 1. Received: [0.0, 0.0, 0.0, 0.0].
    """
    matrix = np.asarray(affine, np.float64)
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
        raise ValueError(
            "`affine` must be finite and of shape (4, 4), such as that of a NIfTI image. "
            f"Received shape {matrix.shape}: {matrix.ravel()[:16].tolist()}."
        )
    if not np.allclose(matrix[3], (0, 0, 0, 1)):
        raise ValueError(
            f"`affine` must end in the row 0, 0, 0, 1. Received: {matrix[3].tolist()}."
        )
    # The volume of a voxel over that of a box with the same edges: 0 where two axes are parallel.
    edges = np.linalg.norm(matrix[:3, :3], axis=0)
    if not edges.all() or abs(np.linalg.det(matrix[:3, :3] / edges)) < 1e-6:
        raise ValueError(
            f"`affine` must be invertible. Received: {matrix[:3, :3].tolist()} in its first three rows."
        )
    return matrix


def checked_voxel(at: Sequence[int], shape: Sequence[int]) -> tuple[int, ...]:
    """Returns an index into a volume if it lies within it.

    Example:
        >>> checked_voxel((0, 5, 0), (4, 5, 6))
        Traceback (most recent call last):
        ...
        ValueError: `at` must be the index of a voxel of the volume of shape (4, 5, 6). Received: (0, 5, 0).
    """
    voxel = tuple(operator.index(place) for place in at)
    if len(voxel) != 3 or not all(0 <= i < size for i, size in zip(voxel, shape, strict=True)):
        raise ValueError(
            f"`at` must be the index of a voxel of the volume of shape {tuple(shape)}. "
            f"Received: {voxel}."
        )
    return voxel
