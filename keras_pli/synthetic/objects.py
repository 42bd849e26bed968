"""The known-truth benchmark: samples whose class is decided by a small object at a known place.

An attribution map of a network that classifies them well should lie on the object: where the data are made,
one knows what decides, as in Arras et al. 2022 (CLEVR-XAI). Nothing is downloaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from ..brief import brief_repr
from ..checks import one_of
from .object_shapes import Shapes, shapes

SIZES = {1: 128, 2: 32, 3: 16}
SMALLEST = {1: 64, 2: 20, 3: 14}  # below, arrangements without overlap are rare
DISTRACTORS = 2
# Standard deviations of the texture's coarse and fine part; the objects' mean is 1.
COARSE, FINE = 0.15, 0.1
GRAIN = 1.5  # of the coarse part, standard deviation of a Gaussian in pixels


@dataclass(frozen=True, eq=False)
class KnownTruth:
    """Samples with their classes and the places that decide them.

    Args:
        x: float32 array of shape `(samples, *spatial, 1)`. The background has mean 0.
        y: Integer classes, `(samples,)`, as many of each as the number of samples allows.
        masks: Booleans `(samples, *spatial)`, True on the object that decides.
        class_names: Names of the classes 0, 1, ….
    """

    x: NDArray[np.float32]
    y: NDArray[np.int64]
    masks: NDArray[np.bool_]
    class_names: tuple[str, ...]

    __repr__ = brief_repr


def known_truth(
    dimensions: int = 2,
    *,
    samples: int = 4000,
    size: int | None = None,
    objects: bool = True,
    seed: int = 0,
) -> KnownTruth:
    """Makes signals, images or volumes whose class is decided by the kind of one small object.

    The object lies at a random place over a textured background, beside two distractors of other kinds that
    have nothing to do with the class. Objects and distractors fill equally many positions with equal values,
    so that neither brightness nor contrast tells a class, nor an edge detector the object. In 1-D the object
    is a rising ramp, a falling ramp or a peak; in 2-D a bar, a plus or a saltire (×); in 3-D a ball, a jack
    (three crossed bars) or a saltire.

    Args:
        dimensions: 1, 2 or 3.
        samples: Number of samples.
        size: Length along every axis; by default 128 in 1-D, 32 in 2-D and 16 in 3-D.
        objects: False leaves the deciding objects away, all else being equal: the counterfactual samples.
            Classes and masks then say what would be there, and where.
        seed: Seed of everything random.

    Returns:
        A `KnownTruth`.

    Raises:
        ValueError: If there is no such dimension, no sample, or `size` leaves no room for the objects.

    Example:
        >>> data = known_truth(2, samples=6)
        >>> data.x.shape, data.masks.shape, data.class_names
        ((6, 32, 32, 1), (6, 32, 32), ('bar', 'plus', 'saltire'))
        >>> without = known_truth(2, samples=6, objects=False)
        >>> bool(((data.x != without.x)[..., 0] == data.masks).all())
        True
    """
    one_of(dimensions, SIZES, "dimensions")
    size = SIZES[dimensions] if size is None else size
    if samples < 1:
        raise ValueError(f"`samples` must be at least 1. Received: {samples}.")
    if size < SMALLEST[dimensions]:
        raise ValueError(
            f"`size` must be at least {SMALLEST[dimensions]} in {dimensions}-D, so that the objects find "
            f"room. Received: {size}."
        )
    random = np.random.default_rng(seed)
    forms = shapes(dimensions)
    classes = len(forms.class_names)
    y = random.permutation(np.arange(samples) % classes)
    others = random.integers(classes, len(forms.cells), size=(samples, DISTRACTORS))
    which = np.column_stack([y, others])
    positions = _positions(forms, which, size, random)
    x = _texture((samples, *[size] * dimensions), random)
    pixels, rows = x.reshape(samples, -1), np.arange(samples)[:, None]
    for slot in range(0 if objects else 1, 1 + DISTRACTORS):
        pixels[rows, positions[:, slot]] += forms.values[which[:, slot]]
    masks = np.zeros(x.shape, dtype=bool)
    masks.reshape(samples, -1)[rows, positions[:, 0]] = True
    return KnownTruth(x[..., None], y, masks, forms.class_names)


def _positions(
    forms: Shapes, which: NDArray[np.int64], size: int, random: np.random.Generator
) -> NDArray[np.int64]:
    """Flat positions of every object, `(samples, slots, volume)`; no two boxes of a sample overlap.

    Places are drawn anew where two overlap, and so are uniform over all arrangements that fit.
    """
    samples, slots = which.shape
    dimensions = forms.cells.shape[-1]
    corners = np.empty((samples, slots, dimensions), dtype=np.int64)
    pending = np.arange(samples)
    while len(pending):
        drawn = random.integers(size - forms.extent + 1, size=(len(pending), slots, dimensions))
        corners[pending] = drawn
        overlaps = [
            (abs(drawn[:, a] - drawn[:, b]) < forms.extent).all(axis=1)
            for a, b in combinations(range(slots), 2)
        ]
        pending = pending[np.any(overlaps, axis=0)]
    places = corners[:, :, None] + forms.cells[which]
    return np.ravel_multi_index(tuple(np.moveaxis(places, -1, 0)), [size] * dimensions)


def _texture(shape: tuple[int, ...], random: np.random.Generator) -> NDArray[np.float32]:
    """Stationary noise of two grains, with mean 0."""
    noise = random.standard_normal((2, *shape), dtype=np.float32)
    coarse = gaussian_filter(noise[0], (0, *[GRAIN] * (len(shape) - 1)), mode="wrap")
    return COARSE * coarse / coarse.std() + FINE * noise[1]
