"""Images of a head as they lie in files: opened, checked, and refused with the file's name."""

from __future__ import annotations

import gzip
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...checks import checked_number
from ...optional import imported

Image: TypeAlias = Any  # nibabel's SpatialImage; nibabel is imported where a file is read
PathLike: TypeAlias = "str | os.PathLike[str]"

# The determinant of unit axes: below it, two axes are the same to a thousandth of a degree.
_FLAT = 1e-5


class VolumeError(ValueError):
    """An image that cannot be used; the message begins with its file's name."""


def read_volume(path: PathLike, *, fill_nonfinite: float | None = None) -> Image:
    """Returns the image that a file holds, three-dimensional and checked.

    Reads what nibabel reads: NIfTI-1 and NIfTI-2 (`.nii`, `.nii.gz`, `.hdr`/`.img`), MGH (`.mgz`), Analyze,
    MINC, AFNI. Stored numbers are scaled as the header says (`scl_slope`, `scl_inter`), whatever their type
    and byte order. The whole file is read, and the checksum of a compressed one compared.

    Args:
        path: Where the file is.
        fill_nonfinite: What takes the place of NaN and infinity, such as 0 for files of SPM, which are NaN
            outside the brain. None: such files are refused.

    Returns:
        nibabel's image with the file's header and affine (voxel indices to mm), its numbers in memory:
        `image.get_fdata(dtype="float32")`, of shape `(i, j, k)` in the file's own order of axes. A fourth
        axis of one frame is dropped.

    Raises:
        VolumeError: If the file is missing, damaged or cut; is empty, constant or of several frames; holds
            NaN or infinity; or has an affine that cannot be inverted. The error begins with the file's name.
        ValueError: If `fill_nonfinite` is no finite number.
        ImportError: If nibabel is not installed.

    Example:
        >>> from nibabel.testing import data_path
        >>> image = read_volume(f"{data_path}/anatomical.nii")
        >>> image.shape, image.header["qform_code"].item()
        ((33, 41, 25), 2)
    """
    name = os.fspath(path)
    fill_nonfinite = checked_fill(fill_nonfinite)
    image = _unpacked(checked_header(opened(path), name=name), Path(path))
    image = checked_image(image, name=name, fill_nonfinite=fill_nonfinite)
    # Errors do without the name of a file whose ending nibabel reads and would not write.
    with suppress(Exception):
        image.set_filename(name)
    return image


def checked_image(
    image: Image, *, name: str | None = None, fill_nonfinite: float | None = None
) -> Image:
    """Returns a nibabel image checked as `read_volume` says, or raises; `name` is what errors call it."""
    name = name_of(image) if name is None else name
    checked_header(image, name=name)
    return with_values(image, _checked(_values(image, name), name, fill_nonfinite))


def checked_fill(fill_nonfinite: float | None) -> float | None:
    """Returns what takes the place of NaN as a float that float32 can hold, or None.

    Raises:
        ValueError: If it is something else.
    """
    if fill_nonfinite is None:
        return None
    fill = float(checked_number(fill_nonfinite, "fill_nonfinite"))
    if abs(fill) > float(np.finfo(np.float32).max):
        raise ValueError(
            f"`fill_nonfinite` must be a number that float32 can hold. Received: {fill_nonfinite!r}."
        )
    return fill


def checked_header(image: Image, *, name: str | None = None) -> Image:
    """Returns a nibabel image whose shape, type and affine were checked, its numbers unread."""
    name = name_of(image) if name is None else name
    _check_form(image, name)
    _check_affine(image, name)
    return image


def name_of(image: Image | PathLike) -> str:
    """What to call an image in an error: its file, or what it is."""
    if isinstance(image, str | os.PathLike):
        return os.fspath(image)
    file = getattr(image, "get_filename", lambda: None)()
    return file or f"a {type(image).__name__} without a file"


def opened(path: PathLike) -> Image:
    """Returns the image of a file, its header read and its numbers left on disk.

    Raises:
        VolumeError: If the file is missing, or no image can be made of it.
    """
    path = Path(path)
    nib = imported("nibabel", "Reading brain images", extra="volume")
    _check_file(path)
    try:
        # What nibabel warns of is left to be shown: files are read by threads, and to change the filters of
        # warnings in one of them changes those of all.
        image = nib.load(path, mmap=False)
    except Exception as error:  # a damaged file makes nibabel, gzip and zlib raise many kinds
        raise VolumeError(f"{path}: cannot be read as an image ({_told(error)}).") from error
    if not hasattr(image, "affine") or not hasattr(image, "get_fdata"):
        raise VolumeError(f"{path}: holds a {type(image).__name__}, which is no volume.")
    return image


def _unpacked(image: Image, path: Path) -> Image:
    """A compressed file's image, read to the end of the file, where its checksum is."""
    if path.suffix.lower() not in (".gz", ".mgz") or not hasattr(type(image), "from_bytes"):
        return image
    try:
        with gzip.open(path) as stream:
            return type(image).from_bytes(stream.read())
    except Exception as error:  # as in `opened`
        raise VolumeError(f"{path}: cannot be read to its end ({_told(error)}).") from error


def with_values(image: Image, values: NDArray[np.float32]) -> Image:
    """Returns an image of the same kind, affine and header with other numbers, in memory."""
    header = image.header.copy()
    if hasattr(header, "set_data_shape"):
        header.set_data_shape(values.shape)
    return type(image)(values, image.affine, header)


def has_known_orientation(image: Image) -> bool:
    """Whether a file says how its axes lie in the head.

    Analyze files, and NIfTI files whose qform and sform codes are both 0, do not: left and right may be
    swapped without anybody seeing it.
    """
    header = image.header
    if "sform_code" in getattr(header, "keys", list)():
        return bool(header["sform_code"] > 0 or header["qform_code"] > 0)
    return type(image).__name__ not in ("AnalyzeImage", "Spm99AnalyzeImage", "Spm2AnalyzeImage")


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise VolumeError(
            f"{path}: is a folder. A series of DICOM files is made a NIfTI file by `convert_dicom`."
        )
    if not path.is_file():
        raise VolumeError(f"{path}: there is no such file.")
    if path.stat().st_size == 0:
        raise VolumeError(f"{path}: the file is empty.")
    if path.suffix.lower() in (".dcm", ".ima"):
        raise VolumeError(
            f"{path}: is one slice of a DICOM series. Make a NIfTI file of the folder with `convert_dicom`."
        )


def _check_form(image: Image, name: str) -> None:
    shape = tuple(int(length) for length in image.shape)
    if 0 in shape or len(shape) < 3:
        raise VolumeError(f"{name}: must hold a volume of three axes. Received shape {shape}.")
    if any(length != 1 for length in shape[3:]):
        raise VolumeError(
            f"{name}: must hold one volume. Received shape {shape}, that is {np.prod(shape[3:])} frames; "
            "take one of them, or their mean (`nilearn.image.mean_img`)."
        )
    if np.dtype(image.get_data_dtype()).kind not in "iufb":
        raise VolumeError(
            f"{name}: must hold real numbers. Received {np.dtype(image.get_data_dtype())}."
        )


def _check_affine(image: Image, name: str) -> None:
    affine = np.asarray(image.affine, dtype=np.float64)
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(affine).all() or not (sizes > 0).all():
        raise VolumeError(f"{name}: its affine cannot be used: {affine.tolist()}.")
    if abs(np.linalg.det(affine[:3, :3] / sizes)) < _FLAT:
        raise VolumeError(
            f"{name}: its affine cannot be inverted, as axes are parallel: {affine.tolist()}."
        )
    units = getattr(image.header, "get_xyzt_units", lambda: ("mm",))()[0]
    if units in ("meter", "micron"):
        raise VolumeError(
            f"{name}: its header counts in {units}s; positions must be in mm, as every viewer takes them."
        )


def _values(image: Image, name: str) -> NDArray[np.float32]:
    """The numbers of an image, in its first three axes."""
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            values = np.asarray(image.get_fdata(dtype=np.float32, caching="unchanged"))
    except Exception as error:  # as above
        raise VolumeError(f"{name}: cannot be read to its end ({_told(error)}).") from error
    return values.reshape(values.shape[:3])


def _checked(
    values: NDArray[np.float32], name: str, fill_nonfinite: float | None
) -> NDArray[np.float32]:
    finite = np.isfinite(values)
    if not finite.all():
        count = int(values.size - finite.sum())
        if fill_nonfinite is None:
            raise VolumeError(
                f"{name}: {count} of {values.size} voxels are NaN or infinite. If they lie outside the "
                "brain, `fill_nonfinite=0` reads them as 0."
            )
        values = np.where(finite, values, np.float32(fill_nonfinite))
    if values.min() == values.max():
        raise VolumeError(f"{name}: is constant; every voxel is {values.flat[0]:g}.")
    return values


def _told(error: Exception) -> str:
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said}"[:200] if said else type(error).__name__
