"""Boxes on a noisy background: a class with two pieces of evidence, either of which would do to tell it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from ..brief import brief_repr
from ..checks import checked_number, one_of

SMALLEST = 16
# Mean and standard deviation of the background, where it is cut off in standard deviations, and what a box
# adds to it; the sum stays within [−1, 1].
MEAN, DEVIATION, CUT_OFF = -0.4, 0.15, 3.0
EFFECT = 0.7
# Of an image of 112 pixels, in the proportions of Baumgartner et al.
_REFERENCE, _HALF_SIDE, _JITTER = 112, 10, 5
# Where the second box lies, as shares of the size: above to the left, or below to the right. However they
# are moved, boxes are whole and apart.
_PLACES = np.array([[0.2, 0.15], [0.85, 0.85]])


@dataclass(frozen=True, eq=False)
class Boxes:
    """Images with and without two boxes, on the same backgrounds.

    Attributes:
        images: float32 `(samples, size, size, 1)`, in [−1, 1].
        counterparts: The same backgrounds in the other class: without the boxes where an image has them. An
            image without them has one counterpart among many, with boxes at the places of its mask.
        labels: 1 for two boxes and 0 for none, `(samples,)`.
        masks: Where both boxes are, or would be, bool `(samples, size, size)`.
        centre_masks: Where the box in the centre is, or would be.
        places: Which of the two places the other box has, or would have, `(samples,)`.
    """

    images: NDArray[np.float32]
    counterparts: NDArray[np.float32]
    labels: NDArray[np.int64]
    masks: NDArray[np.bool_]
    centre_masks: NDArray[np.bool_]
    places: NDArray[np.int64]

    __repr__ = brief_repr

    class_names = ("no boxes", "boxes")

    @property
    def differences(self) -> NDArray[np.float32]:
        """The true signed rationales, image less counterpart."""
        return self.images - self.counterparts


def boxes(
    samples: int = 2000,
    *,
    size: int = 28,
    shape: Literal["box", "disc"] = "box",
    seed: int = 0,
) -> Boxes:
    """Makes images of noise, half of them with a box in the centre and another one beside it.

    After the synthetic data of Baumgartner et al. (2018, "Visual Feature Attribution Using Wasserstein
    GANs"), in their proportions: the background is smooth noise; the positive class has a box at the centre
    and one at either of two places off it, both moved at random. To tell the classes the box in the centre
    is enough, and many attribution methods find only this; all the evidence are both.

    Args:
        samples: Number of images, half of each class.
        size: Height and width, at least 16.
        shape: `"box"`, or `"disc"` for discs instead.
        seed: Seed of everything random.

    Returns:
        `Boxes`.

    Raises:
        ValueError: If there is no sample, such shape, or `size` is too small.

    Example:
        >>> data = boxes(6, size=28)
        >>> data.images.shape, data.labels.sum().item()
        ((6, 28, 28, 1), 3)
        >>> bool(((data.differences[..., 0] != 0) == data.masks).all())
        True
    """
    checked_number(samples, "samples", least=1, whole=True)
    checked_number(size, "size", least=SMALLEST, whole=True)
    one_of(shape, ("box", "disc"), "shape")
    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(samples) % 2)
    places = random.integers(len(_PLACES), size=samples)
    centre = _drawn(np.full((samples, 2), 0.5), size, shape, random)
    beside = _drawn(_PLACES[places], size, shape, random)
    masks = centre | beside
    without = _background(samples, size, random)
    having = without + np.float32(EFFECT) * masks
    positive = (labels == 1)[:, None, None]
    return Boxes(
        images=np.where(positive, having, without)[..., None],
        counterparts=np.where(positive, without, having)[..., None],
        labels=labels,
        masks=masks,
        centre_masks=centre,
        places=places,
    )


def _drawn(
    where: NDArray[np.float64], size: int, shape: str, random: np.random.Generator
) -> NDArray[np.bool_]:
    """Masks of one object an image, at most moved by the jitter from where it should be."""
    half, jitter = (max(1, size * part // _REFERENCE) for part in (_HALF_SIDE, _JITTER))
    moved = random.integers(-jitter, jitter + 1, size=where.shape)
    middle = np.rint(where * (size - 1)).astype(int) + moved
    rows, columns = (abs(np.arange(size) - middle[:, [axis]]) for axis in (0, 1))
    rows, columns = rows[:, :, None], columns[:, None, :]
    if shape == "disc":
        return rows**2 + columns**2 <= (half + 0.5) ** 2
    return (rows <= half) & (columns <= half)


def _background(samples: int, size: int, random: np.random.Generator) -> NDArray[np.float32]:
    noise = random.standard_normal((samples, size, size), dtype=np.float32)
    grain = size / 10
    smooth = gaussian_filter(noise, (0, grain, grain), mode="wrap")
    smooth *= DEVIATION / smooth.std()
    return MEAN + np.clip(smooth, -CUT_OFF * DEVIATION, CUT_OFF * DEVIATION)
