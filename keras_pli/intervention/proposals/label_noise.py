"""How likely a label is wrong, told by the labels of a sample's neighbours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import poisson

from .samples import Points, Rows, nearest

Shares = NDArray[np.float64]
# The deepest tenth of a class, but no fewer than fifty samples, tells which labels its samples get.
DEEPEST, FEWEST_DEEP = 0.1, 50
# A pair of classes is mixed up more often than all pairs are if that many labels come by chance this rarely.
SIGNIFICANT = 1e-3
# Classes of which more is labelled as the other, even deep within them, overlap: that says nothing of labels.
# Nor does a class say anything of which so much is labelled as the others together.
OVERLAP = 0.35
_ROUNDS = 5


def neighbor_shares(points: Points, codes: Rows, classes: int, k: int) -> Shares:
    """Returns the share of each class among each sample's k nearest others, `(n, classes)`.

    Of equal samples, only some of which are among the k nearest, all count alike: as often as they would if
    chance chose among them. So the order of the samples says nothing.

    Args:
        points: Where the samples lie, `(n, features)`.
        codes: The classes that they are labelled as, `(n,)`.
        classes: How many there are.
        k: How many neighbours are asked, less than n.

    Example:
        >>> neighbor_shares(np.array([[0.0], [1.0], [3.0]]), np.array([0, 0, 1]), 2, k=1).tolist()
        [[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]
        >>> neighbor_shares(np.zeros((3, 1)), np.array([0, 0, 1]), 2, k=1).tolist()
        [[0.5, 0.5], [0.5, 0.5], [1.0, 0.0]]
    """
    # Adding 0 makes -0.0 and 0.0 one place.
    places, place_of = np.unique(points + 0, axis=0, return_inverse=True)
    place_of = place_of.ravel()
    there = np.zeros((len(places), classes))
    np.add.at(there, (place_of, codes), 1)
    sizes = there.sum(axis=1)
    left = k - np.minimum(sizes - 1, k)
    elsewhere = np.zeros_like(there)
    for column in nearest(places, k).T:
        taken = np.minimum(sizes[column], left)
        elsewhere += there[column] * (taken / sizes[column])[:, None]
        left -= taken
    same = there[place_of]
    same[np.arange(len(points)), codes] -= 1
    others = sizes[place_of] - 1
    same *= (np.minimum(others, k) / np.maximum(others, 1))[:, None]
    return (same + elsewhere[place_of]) / k


def label_transitions(shares: Shares, codes: Rows) -> Shares:
    """Estimates how often a sample of class i is labelled j, from the samples deepest within class i.

    Where classes overlap, neighbours contradict each other for good reasons. Deep within a class only wrong
    labels are left of that, so the labels of the samples there, the anchor points of Patrini et al. (2017,
    section 4.2), tell how often classes are mixed up. A pair that is mixed up significantly more often than
    the others has a rate of its own; the others share one. Of classes that overlap, a pair of them or one
    that the layer does not part from all others together, nothing is told: no sample of the one is taken to
    be labelled as the other.

    Args:
        shares: What `neighbor_shares` returned, without the samples themselves.
        codes: The classes that samples are labelled as, `(n,)`.

    Returns:
        `(classes, classes)`, rows that sum to 1; of a class that is not parted, 1 for itself and 0 else.
    """
    counts = np.zeros((shares.shape[1],) * 2)
    surest = shares.argmax(axis=1)
    for code in range(len(counts)):
        members = np.flatnonzero(surest == code)
        deepest = _deepest(shares[members, code], max(FEWEST_DEEP, int(DEEPEST * len(members))))
        counts[code] = np.bincount(codes[members[deepest]], minlength=len(counts))
    totals = np.broadcast_to(counts.sum(axis=1, keepdims=True), counts.shape)
    other = ~np.eye(len(counts), dtype=bool)
    told = other & (counts <= OVERLAP * totals)
    parted = (counts.diagonal() > 0) & ((counts * told).sum(axis=1) <= OVERLAP * totals[:, 0])
    told &= parted[:, None]
    own_rate = np.zeros_like(other)
    rate = 0.0
    for _ in range(_ROUNDS):
        common = told & ~own_rate
        rate = (counts[common].sum() + 1) / max(totals[common].sum(), 1)
        found = told & (poisson.sf(counts - 1, rate * totals) < SIGNIFICANT)
        if (found == own_rate).all():
            break
        own_rate = found
    rate = min(rate, 0.5 / len(counts))
    rates = counts / np.maximum(totals, 1)
    transitions = np.where(own_rate, rates, rate)
    transitions[~told] = 0
    # More than half of a class under another name could not be told from the other class.
    transitions *= np.minimum(1, 0.49 / np.maximum(transitions.sum(axis=1, keepdims=True), 1e-12))
    transitions[~other] = 1 - transitions.sum(axis=1)
    return transitions


def _deepest(depths: Shares, count: int) -> NDArray[np.bool_]:
    """Returns a mask of the deepest, and of all that lie as deep as the last of them."""
    if len(depths) <= count:
        return np.ones(len(depths), dtype=bool)
    return np.asarray(depths >= np.partition(depths, -count)[-count] - 1e-9)


def wrong_label_chances(
    shares: Shares, codes: Rows, neighbors: int
) -> tuple[Shares, Rows, NDArray[np.bool_]]:
    """Returns how likely each label is wrong, the class that the sample then has, and what the layer parts.

    With p(i) the share of class i around a sample, corrected for wrong labels, and T(i, j) how often i is
    labelled j, a sample labelled j is of class i with a chance proportional to p(i) T(i, j).

    Args:
        shares: What `neighbor_shares` returned.
        codes: The classes that samples are labelled as, `(n,)`.
        neighbors: How many neighbours were asked.

    Returns:
        Chances float64 `(n,)`, classes `(n,)`, and a mask `(classes,)` of those that the layer parts.
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
    parted = transitions.diagonal() < 1
    return others / (others + own), joint.argmax(axis=1), parted
