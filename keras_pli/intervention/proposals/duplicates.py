"""Training samples that the test set holds too, or nearly."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...brief import counted
from ...checks import checked_number
from ..data_changes import Exclude
from .proposal import Proposal, Proposals
from .samples import MOST_FEATURES, Points, flat, nearest_of, principal

_CANDIDATES, _SAMPLES = 3, 1000
_TWINS = 9  # near copies of a training sample that may lie among the others
_ENTRIES = 4_000_000  # numbers held at a time


def near_duplicates(train: ArrayLike, test: ArrayLike, *, closeness: float = 0.2) -> Proposals:
    """Proposes to leave out training samples of which the test set holds a near-duplicate.

    What is tested on would otherwise have been trained on. A training sample is a near-duplicate of a test
    sample if it is closer to it than `closeness` times the typical distance from a training sample to its
    nearest other. Near-twins among the training samples, such as augmented copies, do not count there: up to
    nine others are passed over that are closer by that much than the next.

    Args:
        train: Inputs or activations `(n, ...)` of the training samples.
        test: The same of the test samples.
        closeness: How close, as a share of the typical distance, in [0, 1); at 0 only equal samples are
            found.

    Returns:
        `Proposals`: one for samples that are equal, one for those that are nearly. Scores are 1 less the
        distance in units of the typical one; `beside` are the test samples.

    Raises:
        ValueError: If there are fewer than two training samples, shapes do not fit, or a value is not finite.

    Example:
        >>> train = np.random.default_rng(0).normal(size=(50, 8))
        >>> near_duplicates(train, train[[7]])
        1 proposal of 50 training samples beside 1 test sample
          1. exclude point 7: duplicate, 1 sample
             because: 1 training sample is equal to a test sample
    """
    closeness = checked_number(closeness, "closeness", least=0, below=1)
    own, other = flat(train, "train"), flat(test, "test")
    if own.shape[1] != other.shape[1]:
        raise ValueError(
            f"`train` and `test` must hold samples of one shape. Received {np.shape(train)[1:]} and "
            f"{np.shape(test)[1:]}."
        )
    if len(own) < 2:
        raise ValueError(f"At least two training samples are needed. Received: {len(own)}.")
    points, queries = _reduced(own, other)
    candidates = nearest_of(points, queries, min(_CANDIDATES, len(queries)))[1]
    distances = _distances(own, other, candidates)
    best = distances.argmin(axis=1)
    rows = np.arange(len(own))
    distances, partners = distances[rows, best], candidates[rows, best]
    some = np.linspace(0, len(own) - 1, min(_SAMPLES, len(own))).astype(np.int64)
    near = nearest_of(points[some], points, min(_TWINS + 2, len(points)))[1]
    typical = _typical(_distances(own[some], own, near), closeness)
    equal = distances == 0
    close = (distances < closeness * typical) & ~equal
    proposals = []
    for kind, mask, said in (
        ("duplicate", equal, "equal to a test sample"),
        ("near-duplicate", close, "nearly equal to a test sample"),
    ):
        found = np.flatnonzero(mask)
        if len(found):
            found = found[np.argsort(distances[found], kind="stable")]
            scores = 1 - distances[found] / typical if typical > 0 else np.ones(len(found))
            are = "is" if len(found) == 1 else "are"
            reason = f"{counted(len(found), 'training sample')} {are} {said}"
            if kind != "duplicate":
                reason += (
                    f": no farther from it than {closeness:g} of the typical distance to the next"
                )
            proposals.append(
                Proposal(
                    Exclude(found, reason=reason),
                    kind,
                    found,
                    scores,
                    beside=partners[found],
                    beside_in="test",
                )
            )
    looked = f"{counted(len(own), 'training sample')} beside {counted(len(other), 'test sample')}"
    return Proposals(tuple(proposals), looked)


def _typical(distances: NDArray[np.float64], closeness: float) -> float:
    """The median distance to the nearest other that is no near-twin; 0 if all are equal.

    Args:
        distances: Those of some samples from themselves and their nearest others.
        closeness: The share of the distance to the next from which others are near-twins.
    """
    distances = np.sort(distances, axis=1)[:, 1:]
    jumps = distances[:, :-1] <= closeness * distances[:, 1:]
    jumps &= distances[:, 1:] > 0
    # The place after the last jump, and the nearest where there is none.
    places = np.where(jumps, np.arange(1, distances.shape[1]), 0).max(axis=1, initial=0)
    return float(np.median(distances[np.arange(len(distances)), places]))


def _reduced(own: NDArray[Any], other: NDArray[Any]) -> tuple[Points, Points]:
    """Both along the principal axes of the first; distances only shrink by that."""
    points, queries = own.astype(np.float32), other.astype(np.float32)
    if own.shape[1] <= MOST_FEATURES:
        return points, queries
    fitted = points[:: -(-len(points) // 10_000)]
    points, queries = principal(fitted, points, queries)
    return points, queries


def _distances(
    own: NDArray[Any], other: NDArray[Any], candidates: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Returns the distance of each sample from its candidates, of the differences: 0 for equal samples."""
    distances = np.empty(candidates.shape)
    step = max(1, _ENTRIES // (own.shape[1] * candidates.shape[1]))
    for start in range(0, len(own), step):
        part = slice(start, start + step)
        differences = own[part, None].astype(np.float64) - other[candidates[part]]
        distances[part] = np.sqrt((differences**2).sum(axis=-1))
    return distances
