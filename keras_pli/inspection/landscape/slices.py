"""What slices of the loss surface give: values on a line or a plane, that are stored and drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...brief import brief_repr
from ...stored_result import StoredResult


@dataclass(frozen=True, eq=False)
class LossLine(StoredResult):
    """The loss along a line in weight space.

    Attributes:
        alphas: Where, float64 `(points,)`.
        losses: Mean loss at each, float64 `(points,)`.
        metrics: Each metric's values, float64 `(metrics, points)`.
        about: `metrics`, the names of the metrics, `samples`, how many there were, and what else belongs to
            it.
    """

    alphas: NDArray[np.float64]
    losses: NDArray[np.float64]
    metrics: NDArray[np.float64]
    about: Mapping[str, Any]

    @property
    def barrier(self) -> float:
        """How far the loss rises above the straight line between its ends, at least 0.

        max over a of L(a) - ((1 - a) L(0) + a L(1)), where the ends are the first and the last point
        (Entezari et al. 2022, "The Role of Permutation Invariance in Linear Mode Connectivity", eq. 1).
        """
        if self.alphas[-1] == self.alphas[0]:
            return 0.0
        share = (self.alphas - self.alphas[0]) / (self.alphas[-1] - self.alphas[0])
        straight = (1 - share) * self.losses[0] + share * self.losses[-1]
        return float(np.max(self.losses - straight))

    def plot(self, **options: Any) -> Any:
        """Draws the line; see `plotting.loss_curve`. Between two solutions, the barrier is drawn."""
        from ...plotting import loss_curve

        steps, order = np.unique(self.alphas, return_index=True)
        metrics = dict(zip(self.about["metrics"], self.metrics[:, order], strict=True))
        losses, ends = self.losses[order], self.about.get("ends")
        told = [f"{self.about['samples']} samples"] if "samples" in self.about else []
        if ends is not None:
            told.insert(0, f"barrier {self.barrier:.3g}")
        elif 0 in steps:
            told.insert(0, f"loss {losses[np.flatnonzero(steps == 0)[0]]:.3g} at 0")
        return loss_curve(
            steps, losses, metrics, **{"ends": ends, "title": ", ".join(told) or None, **options}
        )

    def __repr__(self) -> str:
        return brief_repr(self)


@dataclass(frozen=True, eq=False)
class LossSurface(StoredResult):
    """The loss on a plane in weight space.

    Attributes:
        alphas: Steps along the first direction, float64 `(alphas,)`.
        betas: Steps along the second, float64 `(betas,)`.
        losses: Mean loss at each point, float64 `(alphas, betas)`.
        metrics: Each metric's values, float64 `(metrics, alphas, betas)`.
        about: `metrics`, the names of the metrics, `samples`, how many there were, and what else belongs to
            it.
    """

    alphas: NDArray[np.float64]
    betas: NDArray[np.float64]
    losses: NDArray[np.float64]
    metrics: NDArray[np.float64]
    about: Mapping[str, Any]

    def plot(self, **options: Any) -> Any:
        """Draws the surface as contours, and the trajectory it covers; see `plotting.loss_contours`.

        The title says the loss at the solution, the number of samples and that of points.
        """
        from ...plotting import loss_contours

        alphas, first = np.unique(self.alphas, return_index=True)
        betas, second = np.unique(self.betas, return_index=True)
        told = [f"{len(alphas)} × {len(betas)} points"]
        if "samples" in self.about:
            told.insert(0, f"{self.about['samples']} samples")
        at = [f"loss {self.about['loss']:.3g} at the cross"] if "loss" in self.about else []
        given: dict[str, Any] = {"title": "\n".join([*at, ", ".join(told)])}
        if "trajectory" in self.about:
            given["trajectory"] = self.about["trajectory"]
            given["marks"] = {int(place): text for place, text in self.about["marks"]}
            given["labels"] = self.about["labels"]
        return loss_contours(
            alphas, betas, self.losses[np.ix_(first, second)], **{**given, **options}
        )

    def __repr__(self) -> str:
        return brief_repr(self)
