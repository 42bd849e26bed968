"""How likely a label is wrong, told by the labels of a sample's neighbours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import poisson

from .samples import Rows

Shares = NDArray[np.float64]
# The deepest tenth of a class, but no fewer than fifty samples, tells which labels its samples get.
DEEPEST, FEWEST_DEEP = 0.1, 50
# A pair of classes is mixed up more often than all pairs are if that many labels come by chance this rarely.
SIGNIFICANT = 1e-3
# Classes of which more is labelled as the other, even deep within them, overlap: that says nothing of labels.
OVERLAP = 0.35
_ROUNDS = 5


def neighbor_shares(found: Rows, codes: Rows, classes: int) -> Shares:
    """Returns the share of each class among each sample's neighbours, `(n, classes)`.

    Example:
        >>> neighbor_shares(np.array([[1, 2], [0, 2], [0, 1]]), np.array([0, 0, 1]), 2).tolist()
        [[0.5, 0.5], [0.5, 0.5], [1.0, 0.0]]
    """
    counts = np.zeros((len(found), classes))
    rows = np.arange(len(found))
    for column in found.T:
        counts[rows, codes[column]] += 1
    return counts / found.shape[1]


def label_transitions(shares: Shares, codes: Rows) -> Shares:
    """Estimates how often a sample of class i is labelled j, from the samples deepest within class i.

    Where classes overlap, neighbours contradict each other for good reasons. Deep within a class only wrong
    labels are left of that, so the labels of the samples there, the anchor points of Patrini et al. (2017,
    section 4.2), tell how often classes are mixed up. A pair that is mixed up significantly more often than
    the others has a rate of its own; the others share one, and so do classes that overlap altogether.

    Args:
        shares: What `neighbor_shares` returned, without the samples themselves.
        codes: The classes that samples are labelled as, `(n,)`.

    Returns:
        `(classes, classes)`, rows that sum to 1.
    """
    counts = np.zeros((shares.shape[1],) * 2)
    surest = shares.argmax(axis=1)
    for code in range(len(counts)):
        members = np.flatnonzero(surest == code)
        order = np.argsort(-shares[members, code], kind="stable")
        deepest = members[order[: max(FEWEST_DEEP, int(DEEPEST * len(members)))]]
        counts[code] = np.bincount(codes[deepest], minlength=len(counts))
    totals = np.broadcast_to(counts.sum(axis=1, keepdims=True), counts.shape)
    other = ~np.eye(len(counts), dtype=bool)
    own_rate = np.zeros_like(other)
    for _ in range(_ROUNDS):
        common = other & ~own_rate
        rate = (counts[common].sum() + 1) / max(totals[common].sum(), 1)
        found = other & (poisson.sf(counts - 1, rate * totals) < SIGNIFICANT)
        if (found == own_rate).all():
            break
        own_rate = found
    rate = min(rate, 0.5 / len(counts))
    rates = counts / np.maximum(totals, 1)
    transitions = np.where(own_rate & (rates <= OVERLAP), rates, rate)
    transitions[~other] = 0
    # More than half of a class under another name could not be told from the other class.
    transitions *= np.minimum(1, 0.49 / np.maximum(transitions.sum(axis=1, keepdims=True), 1e-12))
    transitions[~other] = 1 - transitions.sum(axis=1)
    return transitions


def wrong_label_chances(shares: Shares, codes: Rows, neighbors: int) -> tuple[Shares, Rows]:
    """Returns how likely each label is wrong, and the class that the sample then has.

    With p(i) the share of class i around a sample, corrected for wrong labels, and T(i, j) how often i is
    labelled j, a sample labelled j is of class i with a chance proportional to p(i) T(i, j).

    Args:
        shares: What `neighbor_shares` returned.
        codes: The classes that samples are labelled as, `(n,)`.
        neighbors: How many neighbours were asked.

    Returns:
        Chances float64 `(n,)` and classes `(n,)`.
    """
    transitions = label_transitions(shares, codes)
    corrected = np.clip(shares @ np.linalg.inv(transitions), 0, None)
    # That no neighbour is of a class does not make it impossible.
    corrected += 1 / (10 * neighbors)
    joint = corrected * transitions[:, codes].T
    rows = np.arange(len(codes))
    own = joint[rows, codes]
    joint[rows, codes] = 0
    others = joint.sum(axis=1)
    return others / (others + own), joint.argmax(axis=1)
