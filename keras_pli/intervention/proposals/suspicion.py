"""Labels that the neighbours of a sample contradict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...brief import counted
from ...checks import checked_number, one_of
from ..data_changes import DataChange, Exclude, Relabel
from ..values import fraction
from .label_noise import Shares, neighbor_shares, wrong_label_chances
from .proposal import Proposal, Proposals, class_name
from .samples import Classes, Points, Rows, nearest_of, points_of

if TYPE_CHECKING:
    from ...plotting.style import ClassNames

_BESIDE, _NAMED = 3, 10
FEWEST = 5  # neighbours that are a sign of anything
PAIR = 10  # suspects of one pair of classes that make a proposal of their own


def suspicious_labels(
    z: ArrayLike,
    labels: ArrayLike,
    *,
    act: Literal["relabel", "exclude"] = "relabel",
    least: float = 0.5,
    share: float | None = None,
    neighbors: int = 50,
    class_names: ClassNames | None = None,
) -> Proposals:
    """Proposes to relabel, or to leave out, samples whose label their neighbours in a layer contradict.

    A label's chance of being wrong comes from the labels of the nearest neighbours, and from how often the
    classes are mixed up deep within a class, where they do not overlap (the anchor points of Patrini et al.
    2017). So a Shirt among T-shirts is hardly suspicious where the two overlap anyhow, and very much so where
    many labels of the two were swapped. Of classes that the layer does not part from the others nothing is
    said, since there overlap and wrong labels look alike; `looked_at` names them. Where classes overlap, but
    less, up to 2 % of right labels are proposed (two normal classes of which a third lies on the other side).

    The layer before the logits serves best; logits have learned the wrong labels more. Of 6,000 images of
    Fashion-MNIST with 5 % of the labels changed to any other, 83 % of the 5 % most suspicious were changed
    ones (81 % by logits; means of four trainings). Of 4,000 with 10 % of Sneakers and Ankle boots swapped, 79
    % of as many as were swapped (60 % by logits), and of Pullovers and Coats, which the network hardly tells
    apart, 30 %. Look at the images: a rare kind of a class, or one that the network gets wrong by its colour,
    may look like a wrong label; `Weigh` it where the label is right. Unseen, they gained little there
    (`examples/label_noise.py`): accuracy +.0035 [.0001, .0070] for relabelling with 20 % swapped and nothing
    certain with 10 %, where all right labels would have gained .0077 and .0014.

    Args:
        z: Activations `(n, ...)` of all training samples.
        labels: Their labels `(n,)`; samples without one (-1) are left aside.
        act: Whether to relabel them, or to leave them out.
        least: The chance of being wrong from which a label is suspicious, in [0, 1).
        share: The largest share of all labelled samples to propose; None for all that are suspicious.
        neighbors: How many neighbours are asked; at most half of what the typical class has. Where that has
            fewer than ten samples, nothing is proposed.
        class_names: Names of the classes, for the reasons.

    Returns:
        `Proposals`, those with most wrong labels first: one for each pair of the class that samples are
        labelled as and the class that they look like, where it has at least ten, and one for the others that
        look like a class; for `"exclude"`, one for each class they are labelled as. Scores are the chances
        of being wrong.

    Raises:
        ValueError: If shapes do not fit, a value is not finite, no sample has a label, or there are fewer
            than two labelled samples.

    Example:
        >>> z = np.random.default_rng(0).normal(size=(40, 3)) + np.repeat([[0.0], [9.0]], 20, axis=0)
        >>> labels = np.repeat([0, 1], 20)
        >>> labels[3] = 1
        >>> suspicious_labels(z, labels, neighbors=10)[0].rows.tolist()
        [3]
    """
    one_of(act, ("relabel", "exclude"), "act")
    least = checked_number(least, "least", least=0, below=1)
    neighbors = checked_number(neighbors, "neighbors", least=1, whole=True)
    share = 1.0 if share is None else fraction(share, "share")
    points = points_of(z)
    classes = Classes.of(labels, len(points))
    labelled = len(classes.labelled)
    if labelled < 2:
        raise ValueError(f"At least two labelled samples are needed. Received: {labelled}.")
    return find_suspicious(
        points,
        classes,
        act=act,
        least=least,
        share=share,
        neighbors=neighbors,
        class_names=class_names,
    )


def find_suspicious(
    points: Points,
    classes: Classes,
    *,
    act: Literal["relabel", "exclude"] = "relabel",
    least: float = 0.5,
    share: float = 1.0,
    neighbors: int = 50,
    class_names: ClassNames | None = None,
) -> Proposals:
    """Finds what `suspicious_labels` proposes, in points and classes that were read."""
    rows = classes.labelled
    points, codes = points[rows], classes.codes[rows]
    if not len(rows):
        return Proposals((), "0 labels")
    # Of a class with fewer samples than neighbours are asked, others would always contradict.
    typical = int(np.median(np.bincount(codes)))
    asked = min(neighbors, typical // 2, len(rows) - 1)
    if asked < min(neighbors, FEWEST):
        return Proposals((), f"{counted(len(rows), 'label')}, too few a class to tell")
    shares = neighbor_shares(points, codes, len(classes.names), asked)
    chances, others, parted = wrong_label_chances(shares, codes, asked)
    # Many are certain; of those the ones come first that fewest neighbours speak for.
    order = np.lexsort((shares[np.arange(len(rows)), codes], -chances.round(3)))
    order = order[(chances[order] >= least) & (chances[order] > 0)][: round(share * len(rows))]
    proposals = []
    for places in _grouped(order, codes, others if act == "relabel" else None):
        code, other = codes[places[0]], others[places[0]]
        to = classes.names[other] if act == "relabel" else None
        reason = _reason(places, codes, chances, classes, to, class_names)
        change: DataChange = Exclude(rows[places], reason=reason)
        if to is not None:
            change = Relabel(rows[places], to, reason=reason)
        shown = np.flatnonzero(codes == (code if to is None else other))
        near = nearest_of(points[places[:1]], points[shown], 1)[1][0]
        deep = np.argsort(-shares[shown, codes[shown[0]]], kind="stable")
        beside = shown[list(dict.fromkeys([*near, *deep[:_BESIDE]]))]
        proposals.append(
            Proposal(
                change,
                "suspicious label",
                rows[places],
                chances[places],
                labels=tuple(classes.names[code] for code in codes[places]),
                beside=rows[beside[:_BESIDE]],
            )
        )
    proposals.sort(key=lambda proposal: -proposal.scores.sum())
    looked = f"{counted(len(rows), 'label')} beside those of {counted(asked, 'neighbour')} each"
    if len(parted) > 1:
        looked += _not_parted(
            [classes.names[code] for code in np.flatnonzero(~parted)], parted, class_names
        )
    return Proposals(tuple(proposals), looked)


def _not_parted(labels: list[Any], parted: NDArray[np.bool_], names: ClassNames | None) -> str:
    """Of which classes nothing is said; nothing where all are told apart."""
    if not labels:
        return ""
    told = [class_name(label, names) for label in labels[:_NAMED]]
    told += [f"{len(labels) - _NAMED} more"] if len(labels) > _NAMED else []
    which = ", ".join(told) if parted.any() else "any class"
    return f" (the layer does not part {which} from the others: of their labels nothing is said)"


def _grouped(order: Rows, codes: Rows, others: Rows | None) -> list[Rows]:
    """Suspects by the classes that they are labelled as and look like; small groups by the latter alone."""
    if others is None:
        return [order[codes[order] == code] for code in np.unique(codes[order])]
    groups = []
    for other in np.unique(others[order]):
        alike = order[others[order] == other]
        several = []
        for code in np.unique(codes[alike]):
            pair = alike[codes[alike] == code]
            if len(pair) >= PAIR:
                groups.append(pair)
            else:
                several.append(code)
        if several:
            groups.append(alike[np.isin(codes[alike], several)])
    return groups


def _reason(
    places: Rows, codes: Rows, chances: Shares, classes: Classes, to: Any, names: ClassNames | None
) -> str:
    """How many samples of what lie among what, and the chances that their labels are wrong."""
    alike = codes == codes[places[0]]
    own = alike[places].all()
    of = class_name(classes.names[codes[places[0]]], names) if own else "all classes"
    total = alike.sum() if own else len(codes)
    among = "other classes" if to is None else class_name(to, names)
    lie, their = ("lies", "its label is") if len(places) == 1 else ("lie", "their labels are")
    low, high = f"{chances[places].min():.2f}", f"{chances[places].max():.2f}"
    chance = low if low == high else f"{low} to {high}"
    samples = f"{len(places)} of {counted(int(total), 'sample')} of {of}"
    return f"{samples} {lie} among {among}; {their} wrong with a chance of {chance}"
