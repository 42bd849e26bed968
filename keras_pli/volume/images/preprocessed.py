"""A volume as a network receives it, and the way of a map back to the subject's own grid."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...brief import brief_repr
from ...checks import one_of
from .grids import Grid, resampled
from .reading import Image


@dataclass(frozen=True, repr=False)
class SourceImage:
    """The image as the file gave it, all but its numbers.

    Args:
        path: The file, or None where the image came from memory.
        shape: Voxels along its own three axes.
        affine: From its voxel indices to mm, of shape `(4, 4)`.
        header: nibabel's header, of the file's format.
    """

    path: Path | None
    shape: tuple[int, int, int]
    affine: NDArray[np.float64]
    header: Any
    __repr__ = brief_repr

    @property
    def grid(self) -> Grid:
        """Where its voxels lie."""
        return Grid(self.shape, self.affine)


@dataclass(frozen=True, repr=False)
class PreprocessedVolume:
    """A volume as a network receives it; made by `Preprocessing`.

    Args:
        values: float32 of shape `(X, Y, Z)`, axes in RAS order: x to the right, y anterior, z superior.
        affine: From voxel indices to mm in the subject's space, of shape `(4, 4)`. A volume enlarged by
            `scale` has voxels smaller by it, so that positions stay true.
        brain: The brain's voxels, boolean of the same shape; None where no mask was given or made.
        source: What it was made from.
        brain_volume: The brain in millilitres, of the mask in the subject's own voxels: neither `scale` nor a
            grid that is too small changes it. None without a mask.
    """

    values: NDArray[np.float32]
    affine: NDArray[np.float64]
    brain: NDArray[np.bool_] | None
    source: SourceImage
    brain_volume: float | None = None
    __repr__ = brief_repr

    @property
    def grid(self) -> Grid:
        """Where its voxels lie."""
        x, y, z = self.values.shape
        return Grid((x, y, z), self.affine)

    def map_to_subject(self, attribution: ArrayLike, *, order: Literal[0, 1] = 1) -> Image:
        """Returns a map as an image on the subject's own grid.

        The image has the file's shape, axes, affine, qform and sform with their codes, and units, so that it
        lies on the file in any viewer; its numbers are float32 and unscaled. Where the preprocessed volume
        does not reach, it is 0. From a format other than NIfTI (MGH, Analyze, …) the affine is kept, as the
        sform and as far as it can hold it the qform, in scanner coordinates.

        Args:
            attribution: Of the shape of `values`; a leading axis of one sample or a trailing axis of one
                channel is dropped.
            order: 1: trilinear; 0: of the nearest voxel, for labels and masks.

        Raises:
            ValueError: If the shape is another, or a number is not finite.
        """
        one_of(order, [0, 1], "order")
        values = self.checked_map(attribution)
        on_subject = resampled(values, self.grid, self.source.grid, order=order)
        return _nifti(on_subject, self.source)

    def map_image(self, attribution: ArrayLike) -> Image:
        """Returns a map as an image on the preprocessed grid, none of its numbers changed.

        Args:
            attribution: As for `map_to_subject`.

        Raises:
            ValueError: As `map_to_subject`.
        """
        return nifti_image(self.checked_map(attribution), self.affine)

    def checked_map(self, attribution: ArrayLike) -> NDArray[np.float32]:
        """Returns a map as float32 of the shape of `values`, or raises as `map_to_subject`."""
        given = np.asarray(attribution)
        found, shape = given, self.values.shape
        if found.ndim > 3 and found.shape[-1] == 1:
            found = found[..., 0]
        if found.ndim > 3 and found.shape[0] == 1:
            found = found[0]
        if found.shape != shape:
            hint = ""
            if given.shape[:3] == shape or given.shape[1:4] == shape:
                hint = " Take one sample, and one channel or the sum over them."
            raise ValueError(
                f"`attribution` must have the preprocessed volume's shape {shape}. Received shape "
                f"{given.shape}.{hint}"
            )
        if found.dtype.kind not in "iufb":
            raise ValueError(f"`attribution` must hold real numbers. Received dtype {found.dtype}.")
        found = found.astype(np.float32)
        if not np.isfinite(found).all():
            count = int((~np.isfinite(found)).sum())
            raise ValueError(f"`attribution` must be finite. {count} of its voxels are not.")
        return found


def nifti_image(values: NDArray[Any], affine: NDArray[np.float64]) -> Image:
    """A float32 NIfTI image in scanner coordinates, in mm."""
    import nibabel as nib

    image = nib.Nifti1Image(np.asarray(values, dtype=np.float32), affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, code="scanner")
    if np.allclose(_angles(affine), np.eye(3), atol=1e-4):  # no qform holds a shear
        image.set_qform(affine, code="scanner")
    return image


def _nifti(values: NDArray[np.float32], source: SourceImage) -> Image:
    """The image of a map with what the source's header says of the space."""
    import nibabel as nib

    if not isinstance(source.header, nib.Nifti1Header):
        return nifti_image(values, source.affine)
    header = source.header.copy()
    header.set_data_shape(values.shape)
    header.set_data_dtype(np.float32)
    header["cal_min"] = header["cal_max"] = 0  # the window of the image
    header["intent_code"], header["intent_name"] = 0, b""
    header["descrip"] = b"attribution"
    header.extensions.clear()  # they may hold the DICOM header, and with it who the subject is
    is_second = isinstance(header, nib.Nifti2Header)
    kind = nib.Nifti2Image if is_second else nib.Nifti1Image
    # The affine is the header's own, so that nibabel leaves qform, sform and codes as they are.
    return kind(values, source.affine, header)


def _angles(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """The cosines of the angles between the axes."""
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return np.asarray(axes.T @ axes)
