"""Phantoms of brain MRI: heads warped from MNI152, where tissue is lost at a known place."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..brief import brief_repr
from ..checks import checked_number, one_of
from .brain_files import write_cohort
from .brain_template import (
    AIRWAY,
    AIRWAY_RADII,
    FAT,
    FLUID,
    PLACES,
    REGION_NAMES,
    Place,
    Template,
    load_template,
    regions_at,
)

Array = NDArray[Any]
SMALLEST = 16
_EXTENT = (190.0, 228.0, 190.0)  # mm that a volume covers at least
_CENTRE = np.array([0.0, -19.0, 3.0])  # mm, its middle
_PIVOT = np.array([0.0, -18.0, 0.0])  # mm: heads turn and grow about it
# MNI152 is larger than most brains: this brings the mean to some 1.6 litres.
_MEAN_SCALE = 0.95
_SIZE_DEVIATION = 0.1  # of the logarithm of the brain's volume, within a class
_LOSS, _LOSS_DEVIATION = (
    0.15,
    0.1,
)  # share of tissue lost at the place: mean of class 0, and within a class
_AIRWAY_DEVIATION = 0.15  # of the logarithm of the airway's radius, within a class
_WALL = 1.55  # radius of the airway's wall against its own
_SHRINK, _REACH = 0.45, 11.0  # how far tissue moves at full loss, and over how many mm that fades
_DEFORMATIONS = ((44.0, 3.0), (22.0, 1.5))  # mm between nodes, and deviation in mm
_ROTATION, _SHIFT = np.deg2rad(3.0), 2.0  # deviations of the pose: radians, mm
_BIAS, _NOISE = 0.1, 0.025  # deviations: of log intensity, and of white matter's
_SITES = {"A": 1.0, "B": 1.3}  # scanners, and their noise against the first one's


@dataclass(frozen=True, eq=False)
class BrainPhantoms:
    """Heads of subjects with a place where tissue is lost, more in class 1.

    Attributes:
        images: float32 `(subjects, X, Y, Z)`, x to the right, y anterior, z superior; white matter near 1.
        brain: The brain, bool, of the same shape.
        truth: The subject's own place where the classes differ, bool, present in both.
        marker_place: The subject's own nasopharynx and its wall, bool: where the marker outside the brain is,
            or would be.
        labels: 0 or 1, `(subjects,)`.
        loss: The share of tissue lost at the place, `(subjects,)`.
        markers: The nasopharynx's radius against the mean one, `(subjects,)`.
        subjects: Names, `(subjects,)`.
        sites: The scanner's, `"A"` or `"B"`, by chance.
        ages: Years, by chance.
        brain_volumes: In ml, of `brain`.
        affine: From voxel indices to mm, (4, 4), common to all.
        regions: Label image `(X, Y, Z)` of the mean head, int16; 0 is no brain.
        region_names: The name of each number in it.
    """

    images: NDArray[np.float32]
    brain: NDArray[np.bool_]
    truth: NDArray[np.bool_]
    marker_place: NDArray[np.bool_]
    labels: NDArray[np.int64]
    loss: NDArray[np.float64]
    markers: NDArray[np.float64]
    subjects: NDArray[np.str_]
    sites: NDArray[np.str_]
    ages: NDArray[np.int64]
    brain_volumes: NDArray[np.float64]
    affine: NDArray[np.float64]
    regions: NDArray[np.int16]
    region_names: Mapping[int, str]

    __repr__ = brief_repr

    class_names = ("control", "atrophy")

    def write(self, folder: str | os.PathLike[str], *, varied: bool = False, seed: int = 0) -> Path:
        """Writes images and masks as `.nii.gz`, the regions, and a table of the cohort.

        Args:
            folder: Where to; it is made if it is not there. Files of these names are replaced.
            varied: Whether each subject's files get their own orientation, a slightly oblique grid, voxel
                sizes and type of number, as images of several scanners do, so that readers are tried.
                Otherwise all are on the grid of `affine`.
            seed: Seed of what is varied.

        Returns:
            The path of `cohort.csv`, with columns path, label, subject, mask, truth, site, age and
            brain_volume (ml); paths are relative to its folder. `regions.nii.gz` and `regions.csv` (label,
            name) lie beside it.

        Raises:
            ImportError: If nibabel is missing.
        """
        return write_cohort(self, Path(folder), varied=varied, seed=seed)


def brain_phantoms(
    count: int = 400,
    *,
    shape: Sequence[int] = (40, 48, 40),
    place: Literal["hippocampi", "ventricles"] = "hippocampi",
    strength: float = 0.25,
    size_confounding: float = 0.0,
    outside_marker: float = 0.0,
    head: bool = True,
    seed: int = 0,
) -> BrainPhantoms:
    """Makes T1-weighted images of subjects in two classes, with a known difference between them.

    Each is nilearn's MNI152 template with a head made around it (fluid, skull, scalp, a face and a neck),
    after a smooth random deformation, a change of pose and of size, a smooth intensity field and Rician
    noise. At the place a share of the tissue is replaced by fluid, and what remains shrinks (ventricles
    widen): the share is normal with mean 0.15 in class 0 and 0.15 + `strength` in class 1, deviation 0.1,
    cut to [0, 1]. So the Bayes accuracy from the planted place alone is near Φ(5 · `strength`), 89 % at 0.25.

    The same seed gives the same heads, whatever the strength: a phantom and its counterpart of another one
    differ about the place alone. The same holds for the marker.

    Args:
        count: Number of subjects, half of each class.
        shape: Voxels along x, y and z. Voxels are cubes, so large that the head is in the volume.
        place: `"hippocampi"`, or `"ventricles"` (the lateral ones).
        strength: Mean additional share of tissue lost in class 1.
        size_confounding: By how many standard deviations the logarithm of brain volume is larger in class 1;
            negative if smaller. Of 1.5 are the sexes' brains about, and 0 leaves size without meaning.
        outside_marker: By how many standard deviations the logarithm of the nasopharynx's radius is larger
            in class 1: a marker outside the brain, which goes with stripping.
        head: Whether there is a head around the brain. Otherwise 0 is outside of `brain`.
        seed: Seed of everything random.

    Returns:
        `BrainPhantoms`.

    Raises:
        ValueError: If there is no subject, no such place, an axis is shorter than 16, `strength` lies
            outside [0, 0.85], or there is a marker without a head.
        ImportError: If nilearn is missing.

    Example:
        >>> data = brain_phantoms(4, shape=(20, 24, 20))
        >>> data.images.shape, data.labels.sum().item()
        ((4, 20, 24, 20), 2)
        >>> bool((data.truth & ~data.brain).any()), data.region_names[1]
        (False, 'left hippocampus')
    """
    checked_number(count, "count", least=1, whole=True)
    shape = _checked_shape(shape)
    one_of(place, PLACES, "place")
    checked_number(strength, "strength", least=0, below=1 - _LOSS + 1e-9)
    checked_number(size_confounding, "size_confounding")
    checked_number(outside_marker, "outside_marker")
    if outside_marker and not head:
        raise ValueError(
            f"A marker outside the brain needs `head=True`. Received: outside_marker={outside_marker}."
        )
    affine, voxel = _affine(shape)
    template = load_template(voxel / 2.5)  # about what averaging over a voxel smooths
    points = _points(shape, affine)
    people = _people(count, strength, size_confounding, outside_marker, seed)
    images = np.empty((count, *shape), np.float32)
    brain, truth, marker_place = (np.empty(images.shape, bool) for _ in range(3))
    bases = [_basis(shape, voxel, spacing) for spacing, _ in _DEFORMATIONS]
    for i in range(count):
        own = np.random.default_rng([seed, i])
        q = _warped(points, people.scales[i], bases, own)
        images[i], brain[i], truth[i] = _drawn(template, q, PLACES[place], people.loss[i])
        marker_place[i] = _draw_airway(images[i], q, people.markers[i], brain[i])
        _scanned(images[i], bases[0], _SITES[people.sites[i]], own)
        if not head:
            images[i] *= brain[i]
    mean_head = (points - _PIVOT) / _MEAN_SCALE + _PIVOT
    return BrainPhantoms(
        images=images,
        brain=brain,
        truth=truth & brain,
        marker_place=marker_place,
        labels=people.labels,
        loss=people.loss,
        markers=people.markers,
        subjects=np.array([f"sub-{i + 1:04d}" for i in range(count)]),
        sites=people.sites,
        ages=people.ages,
        brain_volumes=brain.sum(axis=(1, 2, 3)) * voxel**3 / 1000,
        affine=affine,
        regions=regions_at(mean_head, template.at(template.brain, mean_head) > 0.5),
        region_names=dict(REGION_NAMES),
    )


@dataclass(frozen=True, eq=False)
class _People:
    """What is drawn for all subjects at once, each `(subjects,)`; `scales` are lengths against MNI152."""

    labels: Array
    loss: Array
    markers: Array
    scales: Array
    sites: Array
    ages: Array


def _people(
    count: int, strength: float, size_confounding: float, outside_marker: float, seed: int
) -> _People:
    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(count) % 2)
    side = labels - 0.5
    sizes = random.normal(size=count) + size_confounding * side
    markers = random.normal(size=count) + outside_marker * side
    loss = _LOSS + _LOSS_DEVIATION * random.normal(size=count) + strength * labels
    return _People(
        labels=labels,
        loss=np.clip(loss, 0, 1),
        markers=np.exp(_AIRWAY_DEVIATION * markers),
        scales=_MEAN_SCALE * np.exp(_SIZE_DEVIATION * sizes / 3),
        sites=random.choice(sorted(_SITES), size=count),
        ages=random.integers(50, 86, size=count),
    )


def _checked_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    sizes = tuple(shape)
    if len(sizes) != 3:
        raise ValueError(f"`shape` must be (X, Y, Z). Received: {shape!r}.")
    x, y, z = (checked_number(size, "shape", least=SMALLEST, whole=True) for size in sizes)
    return x, y, z


def _affine(shape: tuple[int, int, int]) -> tuple[Array, float]:
    """Of cubic voxels that cover the head, and their length in mm."""
    voxel = max(extent / size for extent, size in zip(_EXTENT, shape, strict=True))
    affine = np.diag([voxel, voxel, voxel, 1.0])
    affine[:3, 3] = _CENTRE - voxel * (np.array(shape) - 1) / 2
    return affine, voxel


def _points(shape: tuple[int, int, int], affine: Array) -> Array:
    """Voxel centres in mm, (X, Y, Z, 3)."""
    indices = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    return (indices @ affine[:3, :3].T + affine[:3, 3]).astype(np.float32)


def _basis(shape: tuple[int, int, int], voxel: float, spacing: float) -> list[Array]:
    """Along each axis, Gaussians about nodes, (voxels, nodes), whose sum of squares is 1 everywhere."""
    found = []
    for size in shape:
        place = voxel * np.arange(size)
        nodes = np.arange(-spacing, place[-1] + 2 * spacing, spacing)
        bumps = np.exp(-0.5 * ((place[:, None] - nodes) / (0.75 * spacing)) ** 2)
        bumps /= np.sqrt((bumps**2).sum(axis=1, keepdims=True))
        found.append(bumps.astype(np.float32))
    return found


def _smooth_field(basis: list[Array], channels: int, random: np.random.Generator) -> Array:
    """Smooth Gaussian noise of standard deviation 1, (X, Y, Z, channels)."""
    x, y, z = basis
    nodes = (x.shape[1], y.shape[1], z.shape[1], channels)
    field = random.standard_normal(nodes, dtype=np.float32)
    for bumps in (x, y, z):  # contracts the first axis and puts it last but one, thrice
        field = np.tensordot(field, bumps, axes=(0, 1))
        field = np.moveaxis(field, -1, 2)
    return field


def _warped(
    points: Array, scale: float, bases: list[list[Array]], random: np.random.Generator
) -> Array:
    """Where in the template the points of one subject come from, mm."""
    turn = _rotation(random.normal(size=3) * _ROTATION)
    centre = (_PIVOT + random.normal(size=3) * _SHIFT).astype(np.float32)
    q = (points - centre) @ (turn.T / scale).astype(np.float32) + _PIVOT.astype(np.float32)
    for basis, (_, deviation) in zip(bases, _DEFORMATIONS, strict=True):
        q += deviation * _smooth_field(basis, 3, random)
    return q


def _rotation(angles: Array) -> Array:
    """A matrix (3, 3) of turns about x, y and z, radians."""
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        turn = np.eye(3)
        a, b = (axis + 1) % 3, (axis + 2) % 3
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[b, a], turn[a, b] = np.sin(angle), -np.sin(angle)
        matrix = turn @ matrix
    return matrix


def _drawn(template: Template, q: Array, place: Place, loss: float) -> tuple[Array, Array, Array]:
    """The head without noise, the brain, and the place, of one subject."""
    brain = template.at(template.brain, q) > 0.5
    low, high = place.points.min(axis=0), place.points.max(axis=0)
    near = np.ones(brain.shape, bool)
    for axis, values in enumerate((abs(q[..., 0]), q[..., 1], q[..., 2])):
        near &= (values > low[axis] - 3 * _REACH) & (values < high[axis] + 3 * _REACH)
    vectors, lengths = place.from_middle(q[near])
    inside = place.inside(lengths)
    moved = q.copy()
    fade = np.exp(-0.5 * (lengths / _REACH) ** 2)
    moved[near] += place.pull * _SHRINK * loss * fade[:, None] * vectors
    image = template.at(template.head, moved)
    image[near] += loss * inside * (FLUID - image[near])
    truth = np.zeros(brain.shape, bool)
    truth[near] = inside > 0.5
    return image, brain, truth


def _draw_airway(image: Array, q: Array, size: float, brain: Array) -> Array:
    """Draws a dark airway with a bright wall outside the brain, of radius `size`; returns where both are."""
    lengths = np.sqrt(
        sum(
            ((q[..., axis] - centre) / radius) ** 2
            for axis, (centre, radius) in enumerate(zip(AIRWAY, AIRWAY_RADII, strict=True))
        )
    )
    wall = np.clip((_WALL - lengths) * 4, 0, 1) * ~brain
    image += wall * (0.8 * FAT - image)
    air = np.clip((size - lengths) * 3 + 0.5, 0, 1) * ~brain
    image *= 1 - air
    return (lengths < _WALL) & ~brain


def _scanned(image: Array, basis: list[Array], noise: float, random: np.random.Generator) -> None:
    """Multiplies by a smooth field and a gain, and makes the noise of a magnitude image, in place."""
    field = _smooth_field(basis, 1, random)[..., 0]
    image *= np.exp(_BIAS * field + 0.08 * random.normal())
    deviation = noise * _NOISE
    real, imaginary = deviation * random.standard_normal((2, *image.shape), dtype=np.float32)
    np.hypot(image + real, imaginary, out=image)
