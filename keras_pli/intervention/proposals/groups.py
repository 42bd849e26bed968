"""Small groups of a class that lie apart from the rest of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binom
from sklearn.cluster import HDBSCAN

from ...brief import counted
from ...checks import checked_number
from ..data_changes import Weigh
from .proposal import Proposal, Proposals, class_name
from .samples import Classes, Points, Rows, nearest_of, points_of, predicted_codes

if TYPE_CHECKING:
    from ...plotting.style import ClassNames

# HDBSCAN takes time with the square of the points: of larger classes that many are clustered, the others
# go with the nearest of them.
CLUSTERED = 4000
CORE = 5  # neighbours that make a point dense
APART = 0.98  # share of the neighbours of a group's samples, of their class, that lie in it
SURE = 0.01  # errors of a group are more than those of the rest if chance makes so many this rarely


def small_groups(
    z: ArrayLike,
    labels: ArrayLike,
    outputs: ArrayLike | None = None,
    *,
    smallest: int = 10,
    largest: float = 0.25,
    most_weight: float = 20.0,
    class_names: ClassNames | None = None,
    seed: int = 0,
) -> Proposals:
    """Proposes to weigh small groups of a class that lie apart from the rest of it in a layer.

    The samples of each class are clustered by HDBSCAN (Campello et al. 2013). All clusters but the largest
    are groups; with the classifier's outputs, only those where it errs significantly more than on the rest of
    the class. Chance makes clusters as well, in few dimensions above all: without outputs, only those are
    groups whose samples have hardly a neighbour of the class outside (at most one of fifty), with at least
    six samples and in two features or more. A group is weighed so that it counts as much as the rest.

    On digits of two classes whose colour agrees with the class in 95 %, the groups found were those of the
    other colour, nearly sample by sample. Wrong labels lie apart as well: see the images, or relabel first.

    Args:
        z: Activations `(n, ...)` of all training samples.
        labels: Their labels `(n,)`, ints if there are outputs; samples without one (-1) are left aside.
        outputs: Logits or probabilities `(n, classes)` of the classifier, or None.
        smallest: The fewest samples of a group; at least 1 % of the class.
        largest: The largest share of its class that a group may be, in (0, 1).
        most_weight: The largest factor proposed.
        class_names: Names of the classes, for the reasons.
        seed: Draws the samples that are clustered where a class has more than 4,000.

    Returns:
        `Proposals`, most errors above those of the rest first; without outputs, the largest group first.
        Scores are 1 for samples that are classified wrongly and 0 for others; without outputs, 1.

    Raises:
        ValueError: If shapes do not fit, a value is not finite, or labels are no columns of the outputs.

    Example:
        >>> z = np.random.default_rng(0).normal(size=(200, 2))
        >>> z[:20] += 30
        >>> small_groups(z, np.zeros(200, int))
        1 proposal of the clusters of 1 class in 2 features
          1. weigh 20 points (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, … (10 more)) by 9: small group, 20 samples
             because: 20 of 200 samples of class 0 lie apart from the rest
    """
    smallest = checked_number(smallest, "smallest", least=2, whole=True)
    largest = checked_number(largest, "largest", least=0, below=1)
    most_weight = checked_number(most_weight, "most_weight", least=1)
    points = points_of(z)
    classes = Classes.of(labels, len(points))
    return find_groups(
        points,
        classes,
        outputs,
        smallest=smallest,
        largest=largest,
        most_weight=most_weight,
        class_names=class_names,
        seed=seed,
    )


def find_groups(
    points: Points,
    classes: Classes,
    outputs: ArrayLike | None,
    *,
    smallest: int = 10,
    largest: float = 0.25,
    most_weight: float = 20.0,
    class_names: ClassNames | None = None,
    seed: int = 0,
) -> Proposals:
    """Finds what `small_groups` proposes, in points and classes that were read."""
    wrong = None if outputs is None else predicted_codes(outputs, classes) != classes.codes
    random = np.random.default_rng(seed)
    found: list[tuple[float, Proposal]] = []
    for code, name in enumerate(classes.names):
        members = classes.members(code)
        if not len(members):
            continue
        clusters = _clusters(points[members], max(smallest, len(members) // 100), random)
        sizes = np.bincount(clusters[clusters >= 0], minlength=1)
        for group in range(len(sizes)):
            if group == sizes.argmax() or sizes[group] > largest * len(members):
                continue
            rows, rest = members[clusters == group], members[clusters != group]
            told = class_name(name, class_names)
            reason = f"{len(rows)} of {counted(len(members), 'sample')} of {told} lie apart from the rest"
            scores, above = np.ones(len(rows)), float(len(rows))
            if wrong is None:
                if _inside(points[members], clusters == group) < APART:
                    continue
            else:
                rate = wrong[rest].mean()
                if binom.sf(wrong[rows].sum() - 1, len(rows), rate) > SURE:
                    continue
                reason += f"; {wrong[rows].mean():.0%} of them are classified wrongly, {rate:.0%} of the rest"
                rows = rows[np.argsort(~wrong[rows], kind="stable")]
                scores, above = wrong[rows].astype(np.float64), wrong[rows].sum() - rate * len(rows)
            factor = float(np.clip(len(rest) / len(rows), 1, most_weight))
            change = Weigh(rows, round(factor, 2), reason=reason)
            beside = random.choice(rest, min(3, len(rest)), replace=False)
            proposal = Proposal(change, "small group", rows, scores, (name,) * len(rows), beside)
            found.append((above, proposal))
    found.sort(key=lambda pair: -pair[0])
    of = "1 class" if len(classes.names) == 1 else f"{len(classes.names)} classes"
    looked = f"the clusters of {of} in {points.shape[1]} features"
    return Proposals(tuple(proposal for _, proposal in found), looked)


def _inside(points: Points, group: NDArray[np.bool_]) -> float:
    """Returns which share of the nearest others of a group's points lies in it; 0 where chance decides."""
    if points.shape[1] < 2 or group.sum() <= CORE:
        return 0.0
    near = nearest_of(points[group], points, CORE + 1)[1]
    others = near != np.flatnonzero(group)[:, None]
    return float(group[near][others].mean())


def _clusters(points: Points, smallest: int, random: np.random.Generator) -> Rows:
    """Returns the cluster of each point, -1 for those that lie in none."""
    clusters: NDArray[np.int64] = np.full(len(points), -1, dtype=np.int64)
    if len(points) < 2 * smallest:
        return clusters
    taken = np.arange(len(points))
    if len(points) > CLUSTERED:
        taken = np.sort(random.choice(len(points), CLUSTERED, replace=False))
        smallest = max(2, round(smallest * CLUSTERED / len(points)))
    search = HDBSCAN(min_cluster_size=smallest, min_samples=min(CORE, smallest), copy=True)
    clusters[taken] = search.fit_predict(points[taken])
    left = np.setdiff1d(np.arange(len(points)), taken)
    if len(left):
        clusters[left] = clusters[taken][nearest_of(points[left], points[taken], 1)[1][:, 0]]
    return clusters
