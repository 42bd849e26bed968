"""Phantoms of chest radiographs whose heart's width decides a BNP reading, seen by two scanners."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from ..brief import brief_repr
from ..checks import checked_number, one_of
from ..images import scale_bnp

Array = NDArray[Any]
SMALLEST = 32
RATIOS = (0.36, 0.68)
# The heart's width against the thorax above which it counts as enlarged, and the BNP that is given to it.
CUTOFF, READING = 0.5, 100.0
# Natural logarithms of BNP for each unit of the ratio.
SLOPE = 22.0
HEALTHY, ENLARGED = 0.42, 0.60
MOST_IMAGES = 4
# Brightness, before a scanner sees it.
_AIR, _TISSUE, _LUNG, _SPINE, _HEART, _RIB = -0.95, 0.05, -0.65, 0.25, 0.45, 0.16
# A pixel counts as the heart's border where heart and counterpart differ by this share of what the heart
# stands out from the lung.
_VISIBLE = 0.02


@dataclass(frozen=True)
class _Scanner:
    """How a scanner draws: value = gain · (blurred truth) + offset, and noise of a standard deviation."""

    gain: float
    offset: float
    blur: float  # standard deviation in pixels of an image of 32
    noise: float


SCANNERS = {"a": _Scanner(1.0, 0.0, 0.3, 0.03), "b": _Scanner(0.72, 0.12, 0.65, 0.06)}


@dataclass(frozen=True, eq=False)
class ChestPhantoms:
    """Images of patients, with the readings that their hearts decide.

    Attributes:
        images: float32 `(samples, size, size, 1)`, in [−1, 1].
        counterparts: The same patients, noise and all, with another heart: one of healthy width
            (`HEALTHY`, unless asked otherwise) where it is enlarged, and an enlarged one (`ENLARGED`) where
            it is not.
        targets: ln(BNP) / 10, float32 `(samples,)`: what to regress (see `scale_bnp`).
        bnp: Readings in ng/L.
        labels: 1 where the reading is above 100 ng/L, `(samples,)`.
        masks: The heart's border: where it is and its counterpart's heart is not, or the other way round,
            bool `(samples, size, size)`. Images and counterparts differ only here.
        ratios: The heart's width over that of the thorax.
        groups: The patient of each image; one has up to `MOST_IMAGES`.
        scanner: Which scanner drew them.
    """

    images: NDArray[np.float32]
    counterparts: NDArray[np.float32]
    targets: NDArray[np.float32]
    bnp: NDArray[np.float64]
    labels: NDArray[np.int64]
    masks: NDArray[np.bool_]
    ratios: NDArray[np.float64]
    groups: NDArray[np.int64]
    scanner: str

    __repr__ = brief_repr

    class_names = ("healthy heart", "enlarged heart")

    @property
    def differences(self) -> NDArray[np.float32]:
        """The true signed rationales, image less counterpart."""
        return self.images - self.counterparts


@dataclass(frozen=True, eq=False)
class _Anatomy:
    """What a body is drawn from, each `(samples, 1, 1)`, in units of half an image."""

    middle: Array  # of the thorax
    height: Array  # of its middle
    thorax: Array  # half its inner width
    lung: Array  # half the lungs' height
    heart_top: Array  # half the heart's height
    left_share: Array  # of the heart's width, on the patient's left
    ribs: Array  # their phase
    ratio: Array

    def with_ratio(self, ratio: Array) -> _Anatomy:
        return replace(self, ratio=ratio)


def chest_phantoms(
    samples: int = 2000,
    *,
    size: int = 32,
    scanner: Literal["a", "b"] = "a",
    healthy: float = HEALTHY,
    seed: int = 0,
) -> ChestPhantoms:
    """Makes chest-radiograph-like images whose heart's width against the thorax decides a BNP reading.

    Each has two dark lung fields with ribs, a spine and a heart between them. The ratio of the heart's width
    to the thorax's, uniform over `RATIOS`, decides the reading, ln BNP = ln 100 + 22 (ratio − 0.5), and
    nothing else does: thoraxes differ in width, so that the heart's own width is not enough. Patients have
    one to four images, with hearts of similar width.

    Scanner `"b"` has less contrast, a brighter black, more blur and more noise. The same seed gives the same
    patients and hearts on either scanner, as for the cross-institution test of Seah et al. (2018).

    Args:
        samples: Number of images.
        size: Height and width, at least 32.
        scanner: `"a"` or `"b"`.
        healthy: The ratio that enlarged hearts have in their counterparts, at most `CUTOFF`: with `CUTOFF`
            the difference is the least that makes a heart healthy. It changes no image.
        seed: Seed of everything random.

    Returns:
        `ChestPhantoms`.

    Raises:
        ValueError: If there is no sample, no such scanner, `size` is too small, or `healthy` is no ratio of
            a healthy heart.

    Example:
        >>> chests = chest_phantoms(50)
        >>> chests.images.shape, bool(((chests.bnp > 100) == (chests.ratios > 0.5)).all())
        ((50, 32, 32, 1), True)
        >>> bool((chests.differences[~chests.masks] == 0).all())
        True
    """
    checked_number(samples, "samples", least=1, whole=True)
    checked_number(size, "size", least=SMALLEST, whole=True)
    one_of(scanner, SCANNERS, "scanner")
    if not RATIOS[0] <= healthy <= CUTOFF:
        raise ValueError(
            f"`healthy` must be a ratio from {RATIOS[0]} to {CUTOFF}. Received: {healthy!r}."
        )
    random = np.random.default_rng(seed)
    groups = _groups(samples, random)
    anatomy = _anatomy(groups, random)
    ratios = anatomy.ratio[:, 0, 0]
    enlarged = anatomy.ratio > CUTOFF
    other = anatomy.with_ratio(np.where(enlarged, healthy, ENLARGED))
    seen, instead = (_blurred(_body(body, size), scanner) for body in (anatomy, other))
    masks = abs(seen - instead) > _VISIBLE * (_HEART - _LUNG) * SCANNERS[scanner].gain
    noise = SCANNERS[scanner].noise * random.standard_normal(seen.shape)
    images = np.clip(seen + noise, -1.0, 1.0).astype(np.float32)
    counterparts = np.clip(instead + noise, -1.0, 1.0).astype(np.float32)
    readings = np.exp(np.log(READING) + SLOPE * (ratios - CUTOFF))
    return ChestPhantoms(
        images=images[..., None],
        counterparts=np.where(masks, counterparts, images)[..., None],
        targets=scale_bnp(readings),
        bnp=readings,
        labels=enlarged[:, 0, 0].astype(np.int64),
        masks=masks,
        ratios=ratios,
        groups=groups,
        scanner=scanner,
    )


def _groups(samples: int, random: np.random.Generator) -> NDArray[np.int64]:
    """The patient of each image, in random order."""
    counts = random.integers(1, MOST_IMAGES + 1, size=samples)
    return random.permutation(np.repeat(np.arange(samples), counts)[:samples])


def _anatomy(groups: NDArray[np.int64], random: np.random.Generator) -> _Anatomy:
    """Bodies that are the same in all images of a patient, but for breath, position and the heart's width."""
    patients = groups.max() + 1

    def own(low: float, high: float, varying: float = 0.0) -> Array:
        values = random.uniform(low, high, patients)[groups]
        return (values + varying * random.uniform(-1, 1, len(groups)))[:, None, None]

    low, high = RATIOS
    ratio = own(low, high, varying=0.04)
    return _Anatomy(
        middle=own(-0.05, 0.05, varying=0.03),
        height=own(-0.08, 0.02, varying=0.03),
        thorax=own(0.58, 0.78),
        lung=own(0.58, 0.68, varying=0.02),
        heart_top=own(0.28, 0.36),
        left_share=own(0.6, 0.7),
        ribs=own(0.0, 1.0),
        # Folded back where the variation leads out of the range.
        ratio=np.where(
            ratio < low, 2 * low - ratio, np.where(ratio > high, 2 * high - ratio, ratio)
        ),
    )


def _body(body: _Anatomy, size: int) -> Array:
    """Draws bodies without blur or noise, `(samples, size, size)`."""
    y, x = (np.mgrid[:size, :size] + 0.5) * (2 / size) - 1
    x, y = x - body.middle, y - body.height
    edge = 1.5 / size
    trunk = _inside(np.hypot(x / (body.thorax + 0.18), y / 1.3), edge)
    image = _AIR + (_TISSUE - _AIR) * trunk
    half = 0.45 * body.thorax
    lungs = sum(
        _inside(np.hypot((x - side * (body.thorax - half)) / half, y / body.lung), edge)
        for side in (-1, 1)
    )
    diaphragm = _below(y, body.lung - 0.18 + 0.5 * (abs(x) - body.thorax / 2) ** 2, edge)
    arches = np.cos(2 * np.pi * (4.5 * (y + 0.35 * x**2) + body.ribs))
    image = image + lungs * (1 - diaphragm) * (_LUNG - _TISSUE + _RIB * (arches > 0.3))
    image = _over(image, _SPINE, _inside(abs(x) / 0.09, edge))
    return _over(image, _HEART, _heart(body, x, y, edge))


def _heart(body: _Anatomy, x: Array, y: Array, edge: float) -> Array:
    """Two half ellipses that meet below the spine; the patient's left is on the right of the image."""
    width = 2 * body.ratio * body.thorax
    across = np.where(x > 0, x / (body.left_share * width), x / ((1 - body.left_share) * width))
    return _inside(np.hypot(across, (y - 0.2) / body.heart_top), edge)


def _inside(distance: Array, edge: float) -> Array:
    """1 inside the unit circle and 0 outside, with a soft edge."""
    return 0.5 - 0.5 * np.tanh((distance - 1) / (3 * edge))


def _below(y: Array, line: Array, edge: float) -> Array:
    return 0.5 + 0.5 * np.tanh((y - line) / edge)


def _over(image: Array, brightness: float, cover: Array) -> Array:
    return image + (brightness - image) * cover


def _blurred(bodies: Array, scanner: str) -> Array:
    """What a scanner makes of bodies, but for its noise."""
    settings = SCANNERS[scanner]
    width = settings.blur * bodies.shape[-1] / 32
    return settings.gain * gaussian_filter(bodies, (0, width, width)) + settings.offset
