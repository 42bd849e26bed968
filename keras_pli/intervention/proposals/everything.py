"""All proposals that apply, in the order in which they are best looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from .duplicates import near_duplicates
from .groups import find_groups
from .proposal import Proposal, Proposals
from .samples import Classes, points_of
from .suspicion import find_suspicious
from .unlabelled import find_clusters

if TYPE_CHECKING:
    from ...plotting.style import ClassNames


def propose(
    z: ArrayLike,
    labels: ArrayLike,
    outputs: ArrayLike | None = None,
    *,
    test: ArrayLike | None = None,
    inputs: ArrayLike | None = None,
    class_names: ClassNames | None = None,
    seed: int = 0,
    on_step: Callable[[str], object] | None = None,
) -> Proposals:
    """Proposes changes of the training data that a layer's activations speak for.

    Looks, in this order, for near-duplicates across the split (`near_duplicates`), suspicious labels
    (`suspicious_labels`), unlabelled clusters (`unlabelled_clusters`) and small groups (`small_groups`). A
    sample is in one proposal at most: a duplicate is neither relabelled nor weighed, and one whose label is
    suspicious belongs to no small group. Proposals are to be looked at before they are made: `plot` shows
    them, `pick` chooses, `plan` makes a plan.

    Args:
        z: Activations `(n, ...)` of all training samples; the layer before the logits serves best.
        labels: Their labels `(n,)`, -1 for none.
        outputs: Logits or probabilities `(n, classes)` of the classifier, or None.
        test: The test samples to look for duplicates of, or None: their activations, or with `inputs` their
            inputs.
        inputs: The training inputs `(n, ...)`. Samples that are alike in a layer need not be the same.
        class_names: Names of the classes, for the reasons.
        seed: Draws samples where there are too many to cluster.
        on_step: Called with what is looked for next, in words; what it raises ends the search.

    Returns:
        `Proposals`.

    Raises:
        ValueError: If shapes do not fit, a value is not finite, no sample has a label, labels are no columns
            of the outputs, or there are test samples and fewer than two others.

    Example:
        >>> z = np.random.default_rng(0).normal(size=(40, 3)) + np.repeat([[0.0], [9.0]], 20, axis=0)
        >>> labels = np.array([0, 0, *[-1] * 18, 1, 1, *[-1] * 18])
        >>> found = propose(z, labels, test=z[[5]])
        >>> [proposal.kind for proposal in found]
        ['duplicate', 'unlabelled cluster']
    """
    points = points_of(z)
    classes = Classes.of(labels, len(points))
    found: list[Proposal] = []
    looking = on_step or (lambda words: None)
    if test is not None:
        looking("Looking for samples that are held out too")
        found += near_duplicates(z if inputs is None else inputs, test)
        classes = _left(classes, found)
    looking("Looking for labels that may be wrong")
    suspects = find_suspicious(points, classes, class_names=class_names)
    found += suspects
    classes = _left(classes, found)
    looking("Looking for clusters without labels")
    found += find_clusters(points, classes, outputs, class_names=class_names, seed=seed)
    looking("Looking for small groups that are taken for others")
    found += find_groups(points, classes, outputs, class_names=class_names, seed=seed)
    looked = f"{len(points)} samples" + (
        "" if test is None else f" beside {len(np.asarray(test))} held out"
    )
    # What the search for labels says of classes that the layer does not part holds for all.
    said = suspects.looked_at.partition(" (")
    return Proposals(tuple(found), looked + "".join(said[1:]))


def _left(classes: Classes, found: Iterable[Proposal]) -> Classes:
    """The classes without samples that something was proposed for."""
    for proposal in found:
        classes = classes.without(proposal.rows)
    return classes
