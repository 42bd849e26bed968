"""Digits with an attribute that says nothing about them, and so has to stay when the digit changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from ..brief import brief_repr
from ..checks import checked_number, one_of, quoted
from ..images import letterbox

SMALLEST = 16
SIDES = ("top", "right", "bottom", "left")
_BLACK, _WHITE = -1.0, 1.0


@dataclass(frozen=True, eq=False)
class DigitsWithAttribute:
    """Digits in a border, one of whose four sides or corners is bright.

    Attributes:
        images: float32 `(samples, size, size, 1)`, in [−1, 1].
        labels: The digits, as positions in `class_names`, `(samples,)`.
        attributes: Which side or corner is bright, 0 to 3, `(samples,)`. Equally often each for every digit.
        masks: Where an image is bright by its attribute, bool `(samples, size, size)`.
        attribute_masks: The same for each value of the attribute, bool `(4, size, size)`.
        class_names: The digits in writing.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    attributes: NDArray[np.int64]
    masks: NDArray[np.bool_]
    attribute_masks: NDArray[np.bool_]
    class_names: tuple[str, ...]

    __repr__ = brief_repr

    @property
    def border(self) -> NDArray[np.bool_]:
        """Where the attribute may be; no digit reaches there. Bool `(size, size)`."""
        return np.asarray(self.attribute_masks.any(axis=0))

    def with_attributes(self, attributes: NDArray[np.integer]) -> NDArray[np.float32]:
        """Returns the same digits with other attributes: what a change of the attribute alone looks like."""
        images = np.where(self.border[None, ..., None], np.float32(_BLACK), self.images)
        images[self.attribute_masks[attributes]] = _WHITE
        return images


def digits_with_attribute(
    samples: int | None = None,
    *,
    size: int = 16,
    attribute: Literal["side", "corner"] = "side",
    digits: Sequence[int] = tuple(range(10)),
    seed: int = 0,
) -> DigitsWithAttribute:
    """Makes scikit-learn's handwritten digits with a bright bar at one side, or a bright corner.

    The factor is drawn apart from the digit, as in FakeMNIST (Hvilshøj et al. 2021, "On Quantitative
    Evaluations of Counterfactuals") with the roles exchanged: here the digit decides, and a rationale that
    changes it has to leave the attribute alone.

    Args:
        samples: How many, at most as many as there are; None for all, 1,797 of ten digits.
        size: Height and width, at least 16; digits fill all but a border.
        attribute: `"side"` or `"corner"`.
        digits: Which digits to take; their order is that of the classes.
        seed: Seed of the order and of the attributes.

    Returns:
        `DigitsWithAttribute`.

    Raises:
        ValueError: If there are not as many samples, digits are not among 0 to 9, or `size` is too small.

    Example:
        >>> data = digits_with_attribute(40, digits=[4, 9])
        >>> data.images.shape, data.class_names
        ((40, 16, 16, 1), ('4', '9'))
        >>> changed = data.with_attributes((data.attributes + 1) % 4) != data.images
        >>> bool((changed[..., 0] <= data.border).all())
        True
    """
    checked_number(size, "size", least=SMALLEST, whole=True)
    one_of(attribute, ("side", "corner"), "attribute")
    if len(set(digits)) != len(digits) or not set(digits) <= set(range(10)) or not digits:
        raise ValueError(
            f"`digits` must be different ones from 0 to 9. Received: {quoted(digits)}."
        )
    random = np.random.default_rng(seed)
    pictures, labels = _chosen(samples, digits, random)
    margin = max(2, round(size / 9))
    inner = letterbox(pictures, size - 2 * margin)
    images = np.pad(inner, [(0, 0), *[(margin, margin)] * 2], constant_values=_BLACK)
    attributes = _balanced(labels, random)
    data = DigitsWithAttribute(
        images=images[..., None],
        labels=labels,
        attributes=attributes,
        masks=(attribute_masks := _attribute_masks(size, margin, attribute))[attributes],
        attribute_masks=attribute_masks,
        class_names=tuple(map(str, digits)),
    )
    data.images[data.masks] = _WHITE
    return data


def _chosen(
    samples: int | None, digits: Sequence[int], random: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Digits of 8 × 8 in [−1, 1] in random order, and their classes."""
    given = load_digits()
    rows = random.permutation(np.flatnonzero(np.isin(given.target, digits)))
    samples = len(rows) if samples is None else samples
    checked_number(samples, "samples", least=1, whole=True)
    if samples > len(rows):
        raise ValueError(
            f"There are {len(rows)} images of the digits {quoted(digits)}. Asked for: {samples}."
        )
    rows = rows[:samples]
    labels = np.array([list(digits).index(digit) for digit in given.target[rows]])
    return (given.images[rows] / 8 - 1).astype(np.float32), labels


def _balanced(labels: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
    """Attributes that are equally frequent in each class, so that they tell nothing about it."""
    attributes = np.empty_like(labels)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        attributes[rows] = random.permutation(np.arange(len(rows)) % len(SIDES))
    return attributes


def _attribute_masks(size: int, margin: int, attribute: str) -> NDArray[np.bool_]:
    """Marks that leave one dark pixel to the digit: a bar along a side, or an angle in a corner."""
    thick = margin - 1
    mask = np.zeros((size, size), dtype=bool)
    mask[:thick, thick:-thick] = attribute == "side"
    if attribute == "corner":
        mask[: 2 * thick, :thick] = mask[:thick, : 2 * thick] = True
    return np.stack([np.rot90(mask, -turn) for turn in range(len(SIDES))])
