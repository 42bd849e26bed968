"""What measures by removal start from: checked inputs, maps and targets, and what removed positions show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter

from ..attribution import Attribution, Method
from ..network.inputs import GivenTarget, checked_baseline
from .scoring import Aim, Array, Scorer, as_scorer, over_channels, position_maps

Fill: TypeAlias = "ArrayLike | Literal['blur']"
BLUR_WIDTH = 1 / 8  # standard deviation of the blur, in lengths of the axis


@dataclass(frozen=True, eq=False)
class Removal:
    """Samples with their maps, and what takes the place of what is removed.

    Args:
        scorer: What scores.
        x: The inputs, `(samples, ...)`.
        maps: Their attribution at each position, `(samples, *positions)`.
        fill: What removed positions show, shaped like `x`.
        aim: The targets, fixed for `x`.
    """

    scorer: Scorer
    x: NDArray[np.float32]
    maps: NDArray[np.float64]
    fill: NDArray[np.float32]
    aim: Aim

    @classmethod
    def of(
        cls,
        model: keras.Model | Method | Scorer,
        x: ArrayLike,
        attributions: ArrayLike | Attribution,
        target: GivenTarget,
        baseline: Fill,
    ) -> Removal:
        """Checks what a measure was given."""
        scorer = as_scorer(model)
        images = scorer.inputs(x)
        maps = position_maps(attributions, images)
        fill = removed_fill(baseline, images)
        return cls(scorer, images, maps, fill, scorer.aim(images, target))

    @property
    def flat_maps(self) -> NDArray[np.float64]:
        """The maps as `(samples, positions)`."""
        return self.maps.reshape(len(self.maps), -1)

    def removed(self, rows: Array, gone: Array) -> NDArray[np.float32]:
        """Returns the inputs of some samples with positions replaced, `gone` being `(rows, positions)`."""
        places = over_channels(gone.reshape(len(rows), *self.maps.shape[1:]), self.x)
        return np.where(places, self.fill[rows], self.x[rows])


def removed_fill(baseline: Fill, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns what removed positions show, shaped like `x`.

    Args:
        baseline: A number, an array shaped like one sample or like `x`, or `"blur"` for the input itself
            blurred along its positions by a Gaussian, an eighth of each axis wide.
        x: Inputs `(samples, *positions, channels)`, or `(samples, features)`.

    Raises:
        ValueError: If a shape is another, a value is not finite, or vectors shall be blurred.

    Example:
        >>> removed_fill("blur", np.ones((2, 8, 8, 1), np.float32)).shape
        (2, 8, 8, 1)
    """
    if not isinstance(baseline, str):
        return checked_baseline(baseline, x)
    if baseline != "blur":
        raise ValueError(
            f"`baseline` must be a number, an array or 'blur'. Received: {baseline!r}."
        )
    if x.ndim == 2:
        raise ValueError(
            "Features have no neighbours to blur with. Pass a number or an array as `baseline`."
        )
    widths = [0.0, *(BLUR_WIDTH * length for length in x.shape[1:-1]), 0.0]
    return np.asarray(gaussian_filter(x, widths, mode="nearest"), dtype=np.float32)
