"""The head that brain phantoms are warped from: MNI152 with a head made around it, and its regions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..optional import imported

Array = NDArray[Any]
STEP = 3  # mm between points of the template
# Intensities, of 1 for the brightest white matter.
FLUID, BONE, MUSCLE, FAT, AIR = 0.2, 0.1, 0.42, 0.72, 0.0
# Margins in mm around the file's box, (x, y, z), for the head.
_MARGIN = ((12, 12), (12, 12), (48, 12))
_SKULL, _SCALP, _SKIN = (
    3.0,
    8.0,
    14.0,
)  # mm from the brain: where skull and scalp begin, and the skin ends
AIRWAY = (0.0, 12.0, -60.0)  # centre of the nasopharynx, mm
AIRWAY_RADII = (11.0, 13.0, 17.0)


@dataclass(frozen=True)
class Place:
    """A pair of tubes along polylines, mirrored left and right, where tissue may be lost.

    Attributes:
        points: The right one's corners in mm, (corners, 3).
        radius: Half of its width in mm.
        pull: 1 where what remains shrinks towards the middle line, −1 where it widens (ventricles).
    """

    points: Array
    radius: float
    pull: float

    def from_middle(self, q: Array) -> tuple[Array, Array]:
        """Vectors from the nearer middle line to points (..., 3), and their lengths in mm."""
        side = np.where(q[..., :1] < 0, -1.0, 1.0)
        mirrored = q * np.concatenate([side, np.ones_like(q[..., 1:])], axis=-1)
        best = np.full(q.shape[:-1], np.inf)
        vectors = np.zeros_like(q)
        for start, end in zip(self.points[:-1], self.points[1:], strict=True):
            along = end - start
            share = np.clip((mirrored - start) @ along / (along @ along), 0, 1)
            offset = mirrored - start - share[..., None] * along
            length = np.sqrt((offset**2).sum(axis=-1))
            nearer = length < best
            best = np.where(nearer, length, best)
            vectors = np.where(nearer[..., None], offset, vectors)
        vectors[..., :1] *= side
        return vectors, best

    def inside(self, lengths: Array) -> Array:
        """How far points at these distances belong to it, from 0 to 1; the edge is 3 mm wide."""
        return np.clip((self.radius - lengths) / 3 + 0.5, 0, 1)


PLACES = {
    "hippocampi": Place(
        np.array([[24.0, -9.0, -22.0], [28.0, -20.0, -16.0], [27.0, -30.0, -8.0], [20, -37, -1]]),
        7.0,
        1.0,
    ),
    "ventricles": Place(
        np.array([[11.0, 26.0, 6.0], [14.0, 0.0, 21.0], [17.0, -25, 21], [24.0, -42.0, 10.0]]),
        8.0,
        -1.0,
    ),
}

_LOBES = ("frontal lobe", "parietal lobe", "temporal lobe", "occipital lobe")
_PAIRED = ("hippocampus", "ventricle", *_LOBES, "deep grey matter")
REGION_NAMES: Mapping[int, str] = dict(
    enumerate(
        [f"{side} {part}" for part in _PAIRED for side in ("left", "right")]
        + ["cerebellum", "brain stem"],
        start=1,
    )
)


@dataclass(frozen=True)
class Template:
    """Images on a grid of `STEP` mm whose first point lies at `origin` (mm); `brain` from 0 to 1."""

    head: NDArray[np.float32]
    brain: NDArray[np.float32]
    origin: Array

    def at(self, image: Array, q: Array) -> Array:
        """Values of an image at points (..., 3) in mm; 0 outside of it."""
        indices = np.moveaxis((q - self.origin.astype(np.float32)) / np.float32(STEP), -1, 0)
        return ndimage.map_coordinates(image, indices, order=1, prefilter=False)


@lru_cache(maxsize=4)
def load_template(blur: float = 0.0) -> Template:
    """Makes the head from nilearn's MNI152 T1, smoothed by a Gaussian of `blur` mm as large voxels do."""
    datasets = imported("nilearn.datasets", "A brain phantom")
    image = datasets.load_mni152_template(resolution=1)
    values = np.pad(np.asarray(image.dataobj, dtype=np.float32), _MARGIN)
    origin = image.affine[:3, 3] - np.array([before for before, _ in _MARGIN])
    values = _averaged(values / values.max())
    origin = origin + (STEP - 1) / 2
    axes = [
        start + STEP * np.arange(size) for start, size in zip(origin, values.shape, strict=True)
    ]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    brain = ndimage.binary_fill_holes(ndimage.binary_closing(values > 0.1, iterations=2))
    head = np.where(brain, np.maximum(values, FLUID * 0.8), _around(brain, points))
    head, soft = (_smooth(part, blur / STEP) for part in (head, brain))
    return Template(head, soft, origin)


def _smooth(image: Array, deviation: float) -> NDArray[np.float32]:
    """Smoothed and locked: it is shared by all who ask."""
    image = image.astype(np.float32)
    image = ndimage.gaussian_filter(image, deviation) if deviation else image
    image.setflags(write=False)
    return image


def _averaged(values: Array) -> Array:
    """Means of cubes of `STEP` voxels; what is over at the end is left off."""
    a, b, c = (size // STEP for size in values.shape)
    cubes = values[: a * STEP, : b * STEP, : c * STEP].reshape(a, STEP, b, STEP, c, STEP)
    return cubes.mean(axis=(1, 3, 5))


def _around(brain: Array, points: Array) -> Array:
    """Fluid, skull and scalp around the brain, a face and a neck below it, made of simple bodies."""
    grown = ndimage.distance_transform_edt(~brain) <= 24 / STEP
    hull = (
        ndimage.distance_transform_edt(grown) > 24 / STEP
    )  # without the folds and the notch below
    distance = ndimage.distance_transform_edt(~(hull | brain)) * STEP
    wider = np.clip((points[..., 2] + 75) / 45, 0, 1) ** 2  # towards the head
    neck = _ellipse(points[..., :2], (0, -32), (50, 56)) < 1 + 0.5 * wider
    neck &= points[..., 2] < -30
    face = _ellipse(points, (0, 38, -62), (56, 48, 52)) < 1
    body = (distance < _SKIN) | neck | face
    depth = ndimage.distance_transform_edt(body) * STEP
    values = np.where(body, MUSCLE, AIR)
    values[body & (depth < 6)] = FAT
    spine = _ellipse(points[..., :2], (0, -62), (15, 15)) < 1
    values[spine & (points[..., 2] < -60) & body & (depth > 6)] = 0.3
    for x, y, z, radii, value in _FACE:
        for side in {x, -x}:
            values[_ellipse(points, (side, y, z), radii) < 1] = value
    skull = distance < _SCALP
    values[skull] = BONE
    values[distance < _SKULL] = FLUID
    return values


# Centre, radii and value of eyes, maxillary sinuses and the nasal cavity, in mm.
_FACE = (
    (31, 62, -38, (13, 13, 13), FLUID),
    (29, 50, -70, (12, 15, 14), AIR),
    (0, 55, -58, (8, 26, 16), AIR),
)


def _ellipse(points: Array, centre: Any, radii: Any) -> Array:
    return (((points - np.asarray(centre)) / np.asarray(radii)) ** 2).sum(axis=-1)


def regions_at(q: Array, brain: Array) -> NDArray[np.int16]:
    """Numbers of `REGION_NAMES` at points (..., 3) in mm of the template, 0 outside the brain.

    Lobes are cut by planes: coarse, for tables of a phantom, and no atlas.
    """
    x, y, z = np.moveaxis(q, -1, 0)
    wide = abs(x)
    parts = np.full(x.shape, _PAIRED.index("frontal lobe"))
    parts[y < -12 - 0.3 * z] = _PAIRED.index("parietal lobe")
    parts[(y < -68) & (z < 45) | (y < -88)] = _PAIRED.index("occipital lobe")
    parts[(wide > 20) & (z < 2 - 0.25 * (y + 20)) & (y > -68) & (y < 25)] = _PAIRED.index(
        "temporal lobe"
    )
    parts[(wide < 34) & (y > -38) & (y < 24) & (z > -12) & (z < 26)] = _PAIRED.index(
        "deep grey matter"
    )
    for name, place in (("ventricle", "ventricles"), ("hippocampus", "hippocampi")):
        lengths = PLACES[place].from_middle(q)[1]
        parts[PLACES[place].inside(lengths) > 0.5] = _PAIRED.index(name)
    found = 2 * parts + 1 + (x >= 0)
    planted = parts < _PAIRED.index(_LOBES[0])
    below = z < -18 - 0.25 * (y + 50)
    found[(y < -36) & below & ~planted] = 2 * len(_PAIRED) + 1
    stem = (wide < 17) & (y > -46) & (y < -8) & (z < -8)
    found[stem & ~planted] = 2 * len(_PAIRED) + 2
    return np.where(brain, found, 0).astype(np.int16)
