"""Maps of a cohort: their mean in the space of a template, and what they hold in each region of an atlas."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ...attribution import Attribution
from ...checks import label_array, one_of, quoted
from ...intervals import mean_interval
from ...optional import imported
from .checked_volumes import Maps, Masks, volume_maps, volume_masks

Affine = NDArray[np.float64]
ELSEWHERE, OUTSIDE = "elsewhere", "outside the brain"


def mean_map(
    maps: ArrayLike | Attribution | Sequence[ArrayLike],
    affines: Any,
    template: Any = None,
    *,
    scaling: Literal["none", "share"] = "none",
) -> Any:
    """Returns the mean of the maps of several subjects in the space of a template, as a NIfTI image.

    Each map is resampled trilinearly onto the template's grid through the two affines, by nilearn; a voxel
    that a map's grid does not cover is left out of that voxel's mean. No map is warped: affines bring
    subjects together only as far as their volumes were registered to the template, or made on one grid,
    before.

    Args:
        maps: `(samples, X, Y, Z)`, perhaps with channels, which are summed; what a method found; or a
            sequence of maps `(X, Y, Z)` of different sizes.
        affines: From voxels to millimetres: `(4, 4)` for all maps, or one for each; or what has an
            `affine`, as a `PreprocessedVolume` or a nibabel image, one or one for each map.
        template: A nibabel image or the path of one, whose grid the mean has. None takes MNI152 at 2 mm, from
            nilearn.
        scaling: `"share"` divides each map by the sum of its absolute values, so that each subject counts the
            same; a map of zeros stays one.

    Returns:
        A `nibabel.Nifti1Image` of float32 with the template's affine; 0 where no map covers a voxel.

    Raises:
        ValueError: If there is not one affine for each map, one is not invertible, or a map is not finite.
        ImportError: If nibabel or nilearn cannot be imported.

    Example:
        >>> import nibabel
        >>> template = nibabel.Nifti1Image(np.zeros((6, 6, 6), np.float32), np.diag([2.0, 2, 2, 1]))
        >>> image = mean_map(np.ones((3, 6, 6, 6)), np.diag([2.0, 2, 2, 1]), template)
        >>> image.shape, float(image.get_fdata().mean())
        ((6, 6, 6), 1.0)
    """
    one_of(scaling, ("none", "share"), "scaling")
    nibabel = imported("nibabel", "A map in a template's space")
    resampled = imported("nilearn.image", "A map in a template's space").resample_to_img
    given = _separate_maps(maps)
    placed = _affines(affines, len(given))
    goal = _template(template)
    options = {"interpolation": "linear", "force_resample": True, "copy_header": True}
    total, covered = np.zeros(goal.shape), np.zeros(goal.shape)
    for values, affine in zip(given, placed, strict=True):
        size = np.abs(values).sum()
        if scaling == "share" and size:
            values = values / size
        # What lies outside of a map's grid is told apart from zeros in it.
        with warnings.catch_warnings():  # a map of two values is a map all the same
            warnings.filterwarnings("ignore", message="Resampling binary images")
            one = resampled(nibabel.Nifti1Image(values, affine), goal, fill_value=np.nan, **options)
        inside = np.isfinite(one.get_fdata())
        total += np.where(inside, one.get_fdata(), 0.0)
        covered += inside
    mean = np.divide(total, covered, out=np.zeros_like(total), where=covered > 0)
    return nibabel.Nifti1Image(mean.astype(np.float32), goal.affine)


def region_table(
    maps: ArrayLike | Attribution,
    label_image: Any,
    names: Mapping[int, str] | None = None,
    *,
    brain: ArrayLike | None = None,
    classes: ArrayLike | None = None,
    affine: ArrayLike | None = None,
) -> pd.DataFrame:
    """Returns what maps hold in each region of a label image.

    Args:
        maps: `(samples, X, Y, Z)`, perhaps with channels, which are summed; what a method found; or a single
            map `(X, Y, Z)`.
        label_image: Whole numbers `(X, Y, Z)` on the maps' grid, 0 outside of all regions; or a nibabel image
            or the path of one. An image on another grid than the `affine` says is resampled, each voxel to
            the nearest label, by nilearn; a region that gets no voxel so keeps its row, with 0 `voxels`.
        names: The regions' names by their labels, such as a full lookup table: those that the image lacks
            have no effect. Regions without a name are called by their label, and those named as the table's
            own rows get it behind.
        brain: Booleans `(X, Y, Z)` or `(samples, X, Y, Z)`. Outside of it nothing counts to a region, but to
            a row of its own, `"outside the brain"`: an unstripped volume shows there what it gives away.
        classes: A class of each sample, by which rows are told apart; None takes all samples together.
        affine: The maps' affine, `(4, 4)`, for volumes in ml; or one of each map, `(samples, 4, 4)`, where
            their grids differ: the label image, which needs its own affine then, is brought to each. None
            takes that of a label image that has one.

    Returns:
        A data frame with a row for each class and region in the order of labels, behind them `"elsewhere"`
        for label 0, and `"outside the brain"` where one is given, whose label is −1 (or where the image has
        negative labels, the next below). Columns: `class`, `label`, `region`;
        `samples`; `voxels`, their mean number; `volume_ml`, NaN without an affine; `mean`, the mean
        attribution in the region, over samples; `share`, the share of a map's absolute attribution that lies
        there, with `low` and `high`, the 95 % interval of its mean over samples by Student's t; and
        `enrichment`, that share over the region's share of the voxels: 1 by chance. Where a `brain` is given,
        both shares are those of the brain for what lies inside: the region's part of the attribution inside
        the brain, over its part of the brain's voxels. So what an unstripped volume gives away outside
        changes no region's enrichment, only the row of its own, which is in relation to the whole volume.
        Shares of a class add up to 1; maps of zeros have none and are left out of `share`, as those of zeros
        in the brain are of `enrichment`.

    Raises:
        ValueError: If shapes do not fit, labels are not whole numbers or none is in the image, all names are
            of labels that it has not, or a map is not finite.
        TypeError: If `brain` is not boolean.
        ImportError: If the label image has to be read or resampled, and nibabel or nilearn cannot be
            imported.

    Example:
        >>> labels, maps = np.zeros((4, 4, 4), int), np.ones((2, 4, 4, 4))
        >>> labels[0], maps[:, 0] = 3, -3.0
        >>> table = region_table(maps, labels, {3: "hippocampus"}, affine=np.diag([10.0, 10, 10, 1]))
        >>> table[["region", "volume_ml", "mean", "share", "enrichment"]]
                region  volume_ml  mean  share  enrichment
        0  hippocampus       16.0  -3.0    0.5    2.000000
        1    elsewhere       48.0   1.0    0.5    0.666667
    """
    values = volume_maps(maps)
    labels, voxel_ml, present = _labels_of_each(label_image, values.shape, affine)
    known = _named(present, names)
    groups = (
        np.zeros(len(values), int)
        if classes is None
        else label_array(classes, len(values), "classes")
    )
    inside = np.ones(values.shape, bool)
    if brain is not None:
        inside = volume_masks(brain, values.shape, "brain")
    rows = []
    for group in np.unique(groups):
        chosen = groups == group
        heading = {"class": "all" if classes is None else group}
        for label, name, places in _places(
            labels[chosen], known, inside[chosen], brain is not None
        ):
            whole = np.ones_like(places) if name == OUTSIDE else inside[chosen]
            row = _row(values[chosen], places, whole, voxel_ml[chosen])
            rows.append({**heading, "label": label, "region": name, **row})
    return pd.DataFrame(rows)


def _row(
    values: Maps, places: Masks, whole: Masks, voxel_ml: NDArray[np.float64]
) -> dict[str, float]:
    """What the maps of one class hold at some places of each, whose enrichment is that within a whole."""
    axes = (1, 2, 3)
    counts, sizes = places.sum(axis=axes), np.abs(values).sum(axis=axes)
    held = np.where(places, values, 0)
    filled = counts > 0
    means = held.sum(axis=axes)[filled] / counts[filled]
    sums = np.abs(held).sum(axis=axes)
    share, low, high = mean_interval(sums[sizes > 0] / sizes[sizes > 0])
    within = np.abs(np.where(whole, values, 0)).sum(axis=axes)
    known = within > 0
    part = float((counts / whole.sum(axis=axes))[known].mean()) if known.any() else 0.0
    return {
        "samples": len(values),
        "voxels": float(counts.mean()),
        "volume_ml": float((counts * voxel_ml).mean()),
        "mean": float(means.mean()) if len(means) else np.nan,
        "share": share,
        "low": low,
        "high": high,
        "enrichment": float(np.mean(sums[known] / within[known])) / part if part else np.nan,
    }


def _places(
    labels: NDArray[np.int64], known: Mapping[int, str], inside: Masks, has_brain: bool
) -> list[tuple[int, str, Masks]]:
    """Label, name and places `(samples, X, Y, Z)` of each row."""
    found = [(label, name, inside & (labels == label)) for label, name in known.items()]
    found.append((0, ELSEWHERE, inside & (labels == 0)))
    return [*found, (min(0, *known) - 1, OUTSIDE, ~inside)] if has_brain else found


def _named(present: list[int], names: Mapping[int, str] | None) -> dict[int, str]:
    """The name of each region, in the order of labels."""
    if not present:
        raise ValueError("`label_image` has no region: all its labels are 0.")
    given = names or {}
    if given and not any(label in given for label in (0, *present)):
        raise ValueError(
            f"`names` has only labels that the image has not: {quoted(given)}. It has {quoted(present)}."
        )
    called = {label: str(given.get(label, label)) for label in present}
    own = (ELSEWHERE, OUTSIDE)
    return {label: f"{name} ({label})" if name in own else name for label, name in called.items()}


def _labels_of_each(
    label_image: Any, shape: tuple[int, ...], affine: ArrayLike | None
) -> tuple[NDArray[np.int64], NDArray[np.float64], list[int]]:
    """The labels on the grid of each map, its voxel in ml (NaN where not known), and all regions."""
    several = None if affine is None else np.asarray(affine, dtype=np.float64)
    if several is None or several.ndim != 3:
        labels, placed, present = _label_array(label_image, shape[1:], affine)
        ml = np.nan if placed is None else abs(np.linalg.det(placed[:3, :3])) / 1000
        return np.broadcast_to(labels, shape), np.full(shape[0], ml), present
    image = _loaded(label_image)
    if image is None:
        raise ValueError(
            "`label_image` must be a nibabel image or the path of one where each map has an affine of its "
            f"own. Received: {type(label_image).__name__}."
        )
    placed_each = _affines(several, shape[0])
    found = [_label_array(image, shape[1:], one) for one in placed_each]
    voxels = np.array([abs(np.linalg.det(one[:3, :3])) / 1000 for one in placed_each])
    return np.stack([labels for labels, _, _ in found]), voxels, found[0][2]


def _label_array(
    label_image: Any, sizes: tuple[int, ...], affine: ArrayLike | None
) -> tuple[NDArray[np.int64], Affine | None, list[int]]:
    """The labels on the maps' grid, its affine where that is known, and the regions of the whole image."""
    placed = None if affine is None else _checked_affine(affine, "affine")
    image = _loaded(label_image)
    if image is None:
        array = _checked_labels(label_image)
        present = array
    else:
        placed = image.affine if placed is None else placed
        array = present = _checked_labels(image.dataobj)
        if array.shape != sizes or not np.allclose(image.affine, placed, atol=1e-4):
            kind = imported("nibabel", "A label image on another grid").Nifti1Image
            flat = kind(array.astype(np.int32), image.affine)
            array = _checked_labels(_resampled_labels(flat, placed, sizes).dataobj)
    if array.shape != sizes:
        raise ValueError(
            f"`label_image` must have the shape of the maps, {sizes}. Received shape {array.shape}."
        )
    return array, placed, [int(label) for label in np.unique(present) if label]


def _checked_labels(labels: Any) -> NDArray[np.int64]:
    """Whole numbers `(X, Y, Z)`; a fourth axis of one image is dropped."""
    array = np.asarray(labels)
    if array.ndim == 4 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim != 3:
        raise ValueError(
            "`label_image` must be one image (X, Y, Z) of labels; of an atlas with an image for each region, "
            f"take the strongest in each voxel. Received shape {array.shape}."
        )
    if array.dtype.kind not in "iuf" or not np.isfinite(array).all() or (array % 1).any():
        raise ValueError(f"`label_image` must hold whole numbers. Received dtype {array.dtype}.")
    return array.astype(np.int64)


def _resampled_labels(image: Any, affine: Affine, sizes: tuple[int, ...]) -> Any:
    resample = imported("nilearn.image", "A label image on another grid").resample_img
    return resample(
        image,
        target_affine=affine,
        target_shape=sizes,
        interpolation="nearest",
        force_resample=True,
        copy_header=True,
    )


def _separate_maps(maps: Any) -> list[Maps]:
    """One map after another, which may differ in size where they come as a sequence."""
    if isinstance(maps, Sequence) and not isinstance(maps, Attribution):
        if not len(maps):
            raise ValueError("`maps` holds no map.")
        return [volume_maps(np.asarray(one), f"maps[{i}]")[0] for i, one in enumerate(maps)]
    return list(volume_maps(maps))


def _affines(affines: Any, count: int) -> list[Affine]:
    one = getattr(affines, "affine", affines)
    if (
        isinstance(one, Sequence)
        and not np.isscalar(one[0])
        and len(one)
        and hasattr(one[0], "affine")
    ):
        one = [volume.affine for volume in one]
    array = np.asarray(one, dtype=np.float64)
    if array.shape == (4, 4):
        array = np.broadcast_to(array, (count, 4, 4))
    if array.shape != (count, 4, 4):
        raise ValueError(
            f"`affines` must have the shape (4, 4), or ({count}, 4, 4) for each of the maps. Received shape "
            f"{array.shape}."
        )
    return [_checked_affine(affine, f"affines[{i}]") for i, affine in enumerate(array)]


def _checked_affine(affine: ArrayLike, name: str) -> Affine:
    array = np.asarray(affine, dtype=np.float64)
    if array.shape != (4, 4) or not np.isfinite(array).all() or not np.linalg.det(array[:3, :3]):
        raise ValueError(
            f"`{name}` must be an invertible matrix (4, 4). Received: {array.tolist()}."
        )
    return array


def _template(template: Any) -> Any:
    if template is None:
        load = imported("nilearn.datasets", "The MNI152 template").load_mni152_template
        return load(resolution=2)
    image = _loaded(template)
    if image is None:
        raise ValueError(
            "`template` must be a nibabel image or the path of one. "
            f"Received: {type(template).__name__}."
        )
    return image


def _loaded(image: Any) -> Any:
    """A nibabel image as it is, or read from its path; None for anything else."""
    if isinstance(image, str | Path):
        return imported("nibabel", "A NIfTI file").load(image)
    return image if hasattr(image, "affine") and hasattr(image, "dataobj") else None
