"""Maps written as NIfTI files that lie on the subject's image in any viewer."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ...checks import one_of
from ...files import atomic_path
from .preprocessed import PreprocessedVolume, nifti_image
from .reading import Image, PathLike, read_volume


def write_map(
    path: PathLike,
    attribution: ArrayLike,
    volume: PreprocessedVolume,
    *,
    like_input: bool = True,
    order: Literal[0, 1] = 1,
) -> Path:
    """Writes a map as a NIfTI file in the subject's space.

    Args:
        path: Where to, ending in `.nii` or `.nii.gz`; written whole or not at all.
        attribution: Of the preprocessed volume's shape `(X, Y, Z)`; a leading axis of one sample or a
            trailing axis of one channel is dropped.
        volume: What was explained, as `Preprocessing` or `Cohort.volume` gives it.
        like_input: Resample to the grid of the subject's file, with its qform, sform, codes and units, so
            that the map lies on it in viewers that go by voxels, too. False: the map's own grid, none of its
            numbers changed; viewers that go by millimetres lay it on the image all the same.
        order: 1: trilinear; 0: of the nearest voxel, for labels and masks.

    Returns:
        The path.

    Raises:
        ValueError: If the ending, or the map's shape, is another, a number is not finite, or `path` is the
            subject's own image.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from nibabel.testing import data_path
        >>> from keras_pli.volume import Preprocessing, read_volume
        >>> volume = Preprocessing(voxel_size=4.0)(f"{data_path}/anatomical.nii")
        >>> with TemporaryDirectory() as folder:
        ...     file = write_map(f"{folder}/map.nii.gz", abs(volume.values), volume)
        ...     read_volume(file).shape  # as anatomical.nii
        (33, 41, 25)
    """
    one_of(order, [0, 1], "order")
    _check_ending(path)
    _check_not_source(Path(path), volume)
    image = (
        volume.map_to_subject(attribution, order=order)
        if like_input
        else volume.map_image(attribution)
    )
    return _write(path, image)


def write_pair(
    folder: PathLike,
    attribution: ArrayLike,
    volume: PreprocessedVolume,
    *,
    name: str | None = None,
    like_input: bool = True,
) -> tuple[Path, Path]:
    """Writes an image and its map side by side, for a viewer (FSLeyes, MRIcroGL, ITK-SNAP, NiiVue, Freeview).

    Args:
        folder: Where to; made if it is missing.
        attribution: As for `write_map`.
        volume: As for `write_map`.
        name: How both files begin; no path. None: as the subject's file is called.
        like_input: The subject's own image, a NIfTI file copied byte by byte and other formats converted, and
            the map on its grid. False: the preprocessed volume, and the map on that.

    Returns:
        The paths of `{name}_image.nii.gz` (of a copied `.nii` file `.nii`) and `{name}_map.nii.gz`.

    Raises:
        ValueError: As `write_map`; if a file to write is the subject's own; or if the volume came from
            memory, so that there is no file to copy.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from nibabel.testing import data_path
        >>> from keras_pli.volume import Preprocessing
        >>> volume = Preprocessing()(f"{data_path}/anatomical.nii")
        >>> with TemporaryDirectory() as folder:
        ...     [file.name for file in write_pair(folder, volume.values, volume)]
        ['anatomical_image.nii', 'anatomical_map.nii.gz']
    """
    source = volume.source.path
    if like_input and source is None:
        raise ValueError(
            "The subject's image has no file, as it came from memory. `like_input=False` writes the "
            "preprocessed volume."
        )
    if name is None:
        name = "volume" if source is None else _stem(source)
    if Path(name).name != name:
        raise ValueError(f"`name` must be a file's name, without folders. Received: {name!r}.")
    image = Path(folder) / f"{name}_image.nii.gz"
    attributed = Path(folder) / f"{name}_map.nii.gz"
    for path in (image, image.with_suffix(""), attributed):
        _check_not_source(path, volume)
    if not like_input:
        _write(image, volume.map_image(volume.values))
    elif source is not None:
        image = _copy(source, image)
    return image, write_map(attributed, attribution, volume, like_input=like_input)


def _check_ending(path: PathLike) -> None:
    if not os.fspath(path).endswith((".nii", ".nii.gz")):
        raise ValueError(f"A map is written to '.nii' or '.nii.gz'. Received: {os.fspath(path)}.")


def _check_not_source(path: Path, volume: PreprocessedVolume) -> None:
    """The subject's image is the caller's, under whatever spelling of its path."""
    source = volume.source.path
    if source is not None and path.exists() and source.exists() and path.samefile(source):
        raise ValueError(f"{path} is the subject's own image; it is not overwritten.")


def _write(path: PathLike, image: Image) -> Path:
    """Writes an image whole, with the window for viewers: symmetric about 0 where it has signs."""
    most = float(np.abs(np.asarray(image.dataobj)).max())
    lowest = float(np.asarray(image.dataobj).min())
    image.header["cal_max"], image.header["cal_min"] = most, -most if lowest < 0 else 0
    with atomic_path(path) as temporary:
        image.to_filename(temporary)
    return Path(path)


def _copy(source: Path, target: Path) -> Path:
    """Copies a NIfTI file as it is, and makes one of another format."""
    if source.name.endswith(".nii"):
        target = target.with_name(target.name.removesuffix(".gz"))
    if source.name.endswith((".nii", ".nii.gz")):
        with atomic_path(target) as temporary:
            shutil.copyfile(source, temporary)
        return target
    image = read_volume(source)
    return _write(target, nifti_image(np.asarray(image.dataobj), image.affine))


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").rpartition(".")[0] or path.name
