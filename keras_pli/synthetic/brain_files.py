"""A cohort of brain phantoms as NIfTI files with a table, on one grid or on grids as of several scanners."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from ..files import atomic_path
from ..optional import imported

if TYPE_CHECKING:
    from .brains import BrainPhantoms

Array = NDArray[Any]
_UNITS = 1000  # of stored whole numbers for white matter
_TYPES = tuple(np.dtype(name) for name in ("int16", "uint16", "float32"))


def write_cohort(data: BrainPhantoms, folder: Path, *, varied: bool, seed: int) -> Path:
    """Does what `BrainPhantoms.write` says."""
    nibabel = imported("nibabel", "Writing NIfTI files")
    random = np.random.default_rng(seed)
    rows = []
    for i, subject in enumerate(map(str, data.subjects)):
        affine, kind = data.affine, _TYPES[0]
        shape = data.images.shape[1:]
        if varied:
            affine, shape = _another_grid(data.affine, shape, random)
            kind = _TYPES[random.integers(len(_TYPES))]
        row: dict[str, Any] = {"subject": subject, "label": int(data.labels[i])}
        for column, values in (
            ("path", data.images[i]),
            ("mask", data.brain[i]),
            ("truth", data.truth[i]),
        ):
            stored = _resampled(values, data.affine, affine, shape) if varied else values
            stored = _as_type(stored, kind) if column == "path" else (stored > 0.5).astype(np.uint8)
            name = f"{subject}_{'T1w' if column == 'path' else column}.nii.gz"
            _write(nibabel, stored, affine, folder / name)
            row[column] = name
        row |= {"site": str(data.sites[i]), "age": int(data.ages[i])}
        rows.append({**row, "brain_volume": round(float(data.brain_volumes[i]), 2)})
    _write(nibabel, data.regions, data.affine, folder / "regions.nii.gz")
    names = pd.DataFrame(sorted(data.region_names.items()), columns=["label", "name"])
    columns = ["path", "label", "subject", "mask", "truth", "site", "age", "brain_volume"]
    for name, table in (("regions.csv", names), ("cohort.csv", pd.DataFrame(rows)[columns])):
        with atomic_path(folder / name) as temporary:
            table.to_csv(temporary, index=False)
    return folder / "cohort.csv"


def _as_type(values: Array, kind: np.dtype[Any]) -> Array:
    return values.astype(kind) if kind.kind == "f" else np.rint(values * _UNITS).astype(kind)


def _resampled(values: Array, affine: Array, to: Array, shape: tuple[int, ...]) -> Array:
    """Values on another grid, trilinearly; 0 outside of theirs."""
    indices = np.linalg.inv(affine) @ to
    return ndimage.affine_transform(
        np.asarray(values, np.float32), indices[:3, :3], indices[:3, 3], shape, order=1
    )


def _write(nibabel: Any, values: Array, affine: Array, path: Path) -> None:
    image = nibabel.Nifti1Image(values, affine)
    image.set_sform(affine, "scanner")
    image.set_qform(affine, "scanner")
    image.header.set_xyzt_units("mm")
    with atomic_path(path) as temporary:
        image.to_filename(temporary)


def _another_grid(
    affine: Array, shape: tuple[int, ...], random: np.random.Generator
) -> tuple[Array, tuple[int, ...]]:
    """A grid over the same box with its axes in any order and direction, other voxels, turned a little."""
    box = np.linalg.norm(affine[:3, :3], axis=0) * shape
    voxels = np.linalg.norm(affine[:3, :3], axis=0) * random.uniform(0.8, 1.15, size=3)
    sizes = np.ceil(box / voxels).astype(int)
    middle = affine[:3, :3] @ ((np.array(shape) - 1) / 2) + affine[:3, 3]
    axes = np.diag(random.choice([-1.0, 1.0], size=3))
    turned = Rotation.from_rotvec(random.normal(size=3) * np.deg2rad(4)).as_matrix() @ axes
    order = random.permutation(3)
    grid = np.eye(4)
    grid[:3, :3] = (turned * voxels)[:, order]
    grid[:3, 3] = middle - grid[:3, :3] @ ((sizes[order] - 1) / 2)
    return grid, tuple(int(size) for size in sizes[order])
