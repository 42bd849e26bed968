"""Clusters of samples without a label that lie with labelled ones of one class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.cluster import AgglomerativeClustering

from ...brief import counted
from ...checks import checked_number
from ..data_changes import Relabel
from ..values import fraction
from .proposal import Proposal, Proposals, class_name
from .samples import Classes, Points, Rows, nearest_of, points_of, predicted_codes

if TYPE_CHECKING:
    from ...plotting.style import ClassNames

# Ward's method takes time and memory with the square of the points: so many are clustered, and others go with
# the nearest of them.
CLUSTERED = 4000
PER_CLASS = 3  # clusters
_NEAR = 10


def unlabelled_clusters(
    z: ArrayLike,
    labels: ArrayLike,
    outputs: ArrayLike | None = None,
    *,
    most: int = 10,
    clusters: int | None = None,
    agreement: float = 0.8,
    fewest: int = 2,
    class_names: ClassNames | None = None,
    seed: int = 0,
) -> Proposals:
    """Proposes labels for clusters of samples that have none (-1): what a lasso around a cluster would do.

    All samples are clustered in the layer (Ward's method). A cluster is labelled if at least `fewest` of its
    samples have labels and a share of at least `agreement` of those is one class; its unlabelled samples get
    that class. With the classifier's outputs, those alone that it gives that class too, and only where these
    are half of the cluster. No label is looked at but those given.

    What that is worth depends on how well the layer parts the classes: of 4,000 images of Fashion-MNIST with
    100 labels, ten clusters gave 1,383 labels, 86 % of them right, and no accuracy (−.002 [−.010, .007];
    self-training likewise, `examples/label_by_lasso.py`). Look at the images before.

    Args:
        z: Activations `(n, ...)` of all training samples.
        labels: Their labels `(n,)`, ints, -1 for none; some sample has one.
        outputs: Logits or probabilities `(n, classes)` of the classifier, or None.
        most: The most proposals.
        clusters: How many clusters to make; by default three a class.
        agreement: The share of labelled samples that must be of one class, in (0.5, 1].
        fewest: The fewest labelled samples of a cluster.
        class_names: Names of the classes, for the reasons.
        seed: Draws the samples that are clustered where there are more than 4,000.

    Returns:
        `Proposals`, the cluster that gives most labels first; none if every sample has one. Scores are the
        share of a sample's ten nearest neighbours that lie in the same cluster, the greatest first.

    Raises:
        ValueError: If shapes do not fit, a value is not finite, no sample has a label, or labels are no
            columns of the outputs.

    Example:
        >>> z = np.random.default_rng(0).normal(size=(40, 3)) + np.repeat([[0.0], [9.0]], 20, axis=0)
        >>> labels = np.array([0, 0, *[-1] * 18, 1, 1, *[-1] * 18])
        >>> unlabelled_clusters(z, labels, clusters=2).plan().edited_data(labels).counts["unlabelled"]
        0
    """
    most = checked_number(most, "most", least=1, whole=True)
    fewest = checked_number(fewest, "fewest", least=1, whole=True)
    if fraction(agreement, "agreement") <= 0.5:
        raise ValueError(f"`agreement` must lie in (0.5, 1]. Received: {agreement!r}.")
    points = points_of(z)
    return find_clusters(
        points,
        Classes.of(labels, len(points)),
        outputs,
        most=most,
        clusters=clusters,
        agreement=agreement,
        fewest=fewest,
        class_names=class_names,
        seed=seed,
    )


def find_clusters(
    points: Points,
    classes: Classes,
    outputs: ArrayLike | None,
    *,
    most: int = 10,
    clusters: int | None = None,
    agreement: float = 0.8,
    fewest: int = 2,
    class_names: ClassNames | None = None,
    seed: int = 0,
) -> Proposals:
    """Finds what `unlabelled_clusters` proposes, in points and classes that were read."""
    predicted = None if outputs is None else predicted_codes(outputs, classes)
    count = PER_CLASS * len(classes.names) if clusters is None else clusters
    count = checked_number(count, "clusters", least=1, whole=True)
    looked = f"{len(classes.unlabelled)} unlabelled of {counted(len(points), 'sample')}"
    if not len(classes.unlabelled):
        return Proposals((), looked)
    clustered = _clusters(points, classes, min(count, len(points)), seed)
    found = []
    for cluster in range(clustered.max() + 1):
        members = clustered == cluster
        told = classes.codes[members & (classes.codes >= 0)]
        rows = np.flatnonzero(members & (classes.codes == -1))
        counts = np.bincount(told, minlength=1)
        code = int(counts.argmax())
        if len(told) < fewest or counts[code] < agreement * len(told):
            continue
        name = class_name(classes.names[code], class_names)
        also = ""
        if predicted is not None:
            said = predicted[rows] == code
            if 2 * said.sum() < len(rows):
                continue
            rows, also = rows[said], ", classified so too,"
        if not len(rows):
            continue
        reason = f"{counted(len(rows), 'unlabelled sample')}{also} of a cluster in which "
        reason += f"{_of(counts[code], told)} {name}"
        inside = _shares_inside(points, rows, clustered)
        order = np.argsort(-inside, kind="stable")
        found.append(
            Proposal(
                Relabel(rows, classes.names[code], reason=reason),
                "unlabelled cluster",
                rows[order],
                inside[order],
                labels=(-1,) * len(rows),
                beside=np.flatnonzero(members & (classes.codes == code))[:3],
            )
        )
    found.sort(key=lambda proposal: -len(proposal.rows))
    return Proposals(tuple(found[:most]), looked)


def _shares_inside(points: Points, rows: Rows, clustered: Rows) -> NDArray[np.float64]:
    """Returns which share of each row's nearest others lies in its cluster."""
    near = nearest_of(points[rows], points, min(_NEAR + 1, len(points)))[1]
    others = near != rows[:, None]
    same = (clustered[near] == clustered[rows][:, None]) & others
    return same.sum(axis=1) / np.maximum(others.sum(axis=1), 1)


def _of(count: int, told: Rows) -> str:
    if len(told) == 1:
        return "the one labelled sample is"
    return f"{f'all {count}' if count == len(told) else f'{count} of {len(told)}'} labelled samples are"


def _clusters(points: Points, classes: Classes, count: int, seed: int) -> Rows:
    """Returns the cluster of each point."""
    taken = np.arange(len(points))
    if len(points) > CLUSTERED:
        random = np.random.default_rng(seed)
        labelled = random.permutation(classes.labelled)[: CLUSTERED // 2]
        left = CLUSTERED - len(labelled)
        unlabelled = random.permutation(classes.unlabelled)[:left]
        taken = np.sort(np.concatenate([labelled, unlabelled]))
    if len(taken) == 1:
        return np.zeros(len(points), dtype=np.int64)
    found = AgglomerativeClustering(min(count, len(taken))).fit_predict(points[taken])
    clusters = np.empty(len(points), dtype=np.int64)
    clusters[taken] = found
    left_out = np.setdiff1d(np.arange(len(points)), taken)
    if len(left_out):
        clusters[left_out] = found[nearest_of(points[left_out], points[taken], 1)[1][:, 0]]
    return clusters
