"""Proposes a plan: reads which classes a classifier confuses and moves their clusters apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import finite_array, label_array, quoted
from .data_changes import lacks_label
from .free_room import FreeRoom, Way, ways_apart
from .move import Move
from .moves import Contract, Separate
from .plan import InterventionPlan
from .values import brief, positive

STRONGEST_CONTRACTION = 0.5
MILD_CONTRACTION = 0.8
PARTS_OF_THE_WAY = (1, 2 / 3, 1 / 3)
# Centres are means of float32 positions; a pair at its old distance may seem closer by that much.
ROUNDING = 1e-5


def suggest(
    classifier_outputs: ArrayLike,
    labels: ArrayLike,
    embedding: ArrayLike,
    *,
    pairs: int = 2,
    class_names: Sequence[str] | None = None,
    gap: float = 2.0,
    reach: float = 0.5,
    wide: float = 1.5,
    free_room: bool = True,
    on_step: Callable[[str], object] | None = None,
) -> InterventionPlan:
    """Proposes moves against the confusions that a classifier makes most often.

    Takes the unordered pairs of classes with the largest share of confused samples, (errors i as j
    + errors j as i) / (samples of i and j), and separates their clusters, as Hinterreiter et al.
    (2020, section 3.1) did by hand for Truck and Auto. The *spread* of a cluster is the median
    distance of its points from their centre. A confused class much wider than the typical class is
    contracted first, to no less than half its size.

    Too severe alterations are not preserved by retraining (section 4), so the plan is moderate: a
    pair is moved only until its centres are `gap` sums of the two spreads apart, and no further
    than `reach` spreads of the whole map. A pair that is separated never ends with closer centres
    than it had. Where separating would do nothing or harm (the clusters are apart already, or a
    pair separated before would come closer) both are contracted mildly, which draws in strays.

    A cluster that is pushed into a third class asks the classifier for what cannot be had. So a move is
    proposed only if no class gains more than .02 of another's ten nearest neighbours on the edited map
    (see `keras_pli.intervention.occupancy`). Where straight apart fails this, other ways are looked at:
    sixteen directions (both on a map of one component, 33 on one of three or more), either cluster alone or
    both, at the whole of the distance, two thirds and one third of the way. Of those that pass, at the
    largest part of the way for which any does, the shortest is taken of those that leave the pair within .01
    of the fewest neighbours of other classes. A pair for which none passes is contracted mildly, if at least
    that passes, or left out.

    Args:
        classifier_outputs: Logits or probabilities of shape `(n, classes)`.
        labels: True classes, ints of shape `(n,)` in [0, classes), -1 for samples that have no label; these
            are left aside.
        embedding: Positions of shape `(n, components)` of the same samples.
        pairs: How many pairs to treat at most, an int of at least 1.
        class_names: One name a class, for the reasons given.
        gap: Distance asked for between two centres, in sums of the two spreads; circles of twice
            the median distance hold about 94 % of a 2-D normal cluster, and touch at 2.
        reach: How much further apart a pair may be moved, in spreads of the whole map.
        wide: From how many times the median spread of the classes a cluster is contracted.
        free_room: Whether to propose only moves to where no other class lives; False looks at the two
            classes of a pair and at nothing else.
        on_step: Called with what is looked at next, in words; what it raises ends the search.

    Returns:
        The plan, worst pair first, each move with its reason; empty if nothing is confused. Pairs
        of which a class has no sample are left out, as they have no cluster.

    Raises:
        ValueError: If shapes do not agree, there are fewer points than classes, a value is NaN or
            infinite, or a label is no int in [0, classes).

    Example:
        >>> outputs = np.eye(2)[[0, 0, 0, 1, 1, 1, 1, 0]]
        >>> embedding = [[0, 0], [2, 0], [0, 2], [2, 2], [3, 0], [5, 0], [3, 2], [5, 2]]
        >>> labels = [0, 0, 0, 0, 1, 1, 1, 1]
        >>> plan = suggest(outputs, labels, embedding, class_names=["Auto", "Truck"])
        >>> print(plan.moves[0])
        separate class 0 and class 1 to a distance of 3.953
        >>> print(plan.moves[0].reason.replace("; ", "\\n"))
        Auto and Truck: 2 of 8 samples confused (25.0 %)
        their clusters lie 1.1 spreads apart
        the way is free
    """
    outputs = finite_array(classifier_outputs, "classifier_outputs", ndim=2)
    positions = finite_array(embedding, "embedding", ndim=2)
    if len(positions) != len(outputs):
        raise ValueError(
            f"`embedding` must have one row for each of the {len(outputs)} rows of "
            f"`classifier_outputs`. Received {len(positions)} rows."
        )
    known = ~lacks_label(label_array(labels, len(outputs)))
    outputs, positions = outputs[known], positions[known]
    classes = _checked_labels(np.asarray(labels).reshape(-1)[known], outputs.shape)
    names = _checked_names(class_names, outputs.shape[1])
    if isinstance(pairs, bool) or not isinstance(pairs, int | np.integer) or pairs < 1:
        raise ValueError(f"`pairs` must be an int of at least 1. Received: {pairs!r}.")
    proposal = _Proposal(
        positions,
        classes,
        names,
        positive(gap, "gap"),
        positive(reach, "reach"),
        positive(wide, "wide"),
        FreeRoom(positions, classes) if free_room else None,
    )
    for pair in _most_confused(outputs.argmax(axis=1), classes, outputs.shape[1])[:pairs]:
        if on_step is not None:
            on_step(f"Looking for a free way between {proposal.title(pair)}")
        proposal.treat(pair)
    return InterventionPlan(proposal.plan)  # in which nothing is left to redo


@dataclass(frozen=True)
class _Pair:
    first: int
    second: int
    errors: int
    samples: int

    @property
    def rate(self) -> float:
        return self.errors / self.samples

    def __str__(self) -> str:
        return f"{self.errors} of {self.samples} samples confused ({100 * self.rate:.1f} %)"


class _Proposal:
    """A plan in the making; each pair is treated on the map as the moves so far leave it."""

    def __init__(
        self,
        embedding: NDArray[np.float32],
        labels: NDArray[Any],
        names: list[str],
        gap: float,
        reach: float,
        wide: float,
        room: FreeRoom | None,
    ) -> None:
        self.embedding, self.labels, self.names, self.room = embedding, labels, names, room
        self.gap, self.reach, self.wide = gap, reach, wide
        self.plan = InterventionPlan()
        self.extent = _spread(embedding)
        self.typical = float(
            np.median([_spread(embedding[labels == c]) for c in np.unique(labels)])
        )
        self.separated: list[_Pair] = []

    @property
    def contracted(self) -> set[Any]:
        """The classes contracted so far."""
        return set(InterventionPlan(m for m in self.plan if isinstance(m, Contract)).labels_used)

    def treat(self, pair: _Pair) -> None:
        start = len(self.plan)
        for label in (pair.first, pair.second):
            self._contract_if_wide(label, pair)
        positions, _ = self.plan.apply(self.embedding, self.labels)
        at_first, _ = self._distance_and_spreads(pair, self.embedding)
        present, spreads = self._distance_and_spreads(pair, positions)
        asked = max(at_first, min(self.gap * spreads, present + self.reach * self.extent))
        if present <= np.finfo(np.float32).eps * np.abs(positions).max():
            self._contract_mildly(pair, "their centres coincide, so no direction leads apart")
        elif asked <= present:
            lie = f"their clusters already lie {_apart(present, spreads)}"
            self._contract_mildly(pair, f"{lie}, so only strays are drawn in")
        else:
            self._separate(pair, asked)
        while self.room and len(self.plan) > start and self.room.collisions(self.plan):
            self.plan.undo()

    def _contract_if_wide(self, label: int, pair: _Pair) -> None:
        spread = _spread(self.embedding[self.labels == label])
        if self.typical == 0 or spread <= self.wide * self.typical or label in self.contracted:
            return
        reason = (
            f"{self.title(pair)}: {pair}; {self.names[label]} is spread "
            f"{spread / self.typical:.1f} times as wide as the typical class"
        )
        factor = max(STRONGEST_CONTRACTION, self.typical / spread)
        self.plan.add(Contract(label, factor=factor, reason=reason))
        collisions = self.room.collisions(self.plan) if self.room else ()
        # The pair's own two are about to be taken apart.
        if any({each.label, each.other} != {pair.first, pair.second} for each in collisions):
            self.plan.undo()

    def _separate(self, pair: _Pair, distance: float) -> None:
        lie = f"their clusters lie {_apart(*self._distance_and_spreads(pair, self.embedding))}"
        reason = f"{self.title(pair)}: {pair}; {lie}"
        straight = Separate(pair.first, pair.second, distance=distance)
        harm = self._harm(straight, pair)
        if harm is None:
            free = "; the way is free" if self.room else ""
            self._add([replace(straight, reason=f"{reason}{free}")], pair)
            return
        harm = f"moving them {'straight ' if self.room else ''}apart would bring {harm}"
        way, looked_at = self._way_around(pair, distance)
        if self.room is None or way is None:
            among = f", and none of {looked_at} ways apart is free" if looked_at else ""
            self._contract_mildly(pair, f"{harm}{among}")
            return
        ids = (pair.first, pair.second)
        before, after = self.room.foreign(InterventionPlan([*self.plan, *way.moves]), ids)
        found = (
            f"of {looked_at} ways apart that were looked at, this is the shortest of the best: neighbours of "
            f"other classes {before:.2f} before and {after:.2f} after"
        )
        self._add([replace(m, reason=f"{reason}; {harm}; {found}") for m in way.moves], pair)

    def _way_around(self, pair: _Pair, distance: float) -> tuple[Way | None, int]:
        """The best way apart to where nobody else lives, the farthest possible, and how many were tried."""
        if self.room is None:
            return None, 0
        positions, _ = self.plan.apply(self.embedding, self.labels)
        first, second = (self._centre(positions, c) for c in (pair.first, pair.second))
        present, looked_at = float(np.linalg.norm(first - second)), 0
        for part in PARTS_OF_THE_WAY:
            asked = present + part * (distance - present)
            ways = list(ways_apart(pair.first, pair.second, first - second, asked))
            looked_at += len(ways)
            kept = [way for way in ways if self._brought_closer(way.moves) is None]
            best = self.room.best(self.plan, kept, (pair.first, pair.second))
            if best is not None:
                return best, looked_at
        return None, looked_at

    def _harm(self, move: Move, pair: _Pair) -> str | None:
        """What a move of a pair, added to the plan, would bring to where it should not be."""
        closer = self._brought_closer([move])
        if closer is not None:
            return f"{self.title(closer)} closer"
        collisions = self.room.collisions(InterventionPlan([*self.plan, move])) if self.room else ()
        if not collisions:
            return None
        moved = (each for each in collisions if each.label in (pair.first, pair.second))
        worst = next(moved, collisions[0])
        return (
            f"{self.names[worst.label]} into {self.names[worst.other]} "
            f"({worst.before:.2f} of its neighbours before, {worst.after:.2f} after)"
        )

    def _brought_closer(self, moves: Sequence[Move]) -> _Pair | None:
        positions, _ = InterventionPlan([*self.plan, *moves]).apply(self.embedding, self.labels)
        for pair in self.separated:
            at_first, _ = self._distance_and_spreads(pair, self.embedding)
            if self._distance_and_spreads(pair, positions)[0] < at_first * (1 - ROUNDING):
                return pair
        return None

    def _add(self, moves: Sequence[Move], pair: _Pair) -> None:
        for move in moves:
            self.plan.add(move)
        self.separated.append(pair)

    def _contract_mildly(self, pair: _Pair, cause: str) -> None:
        for label in (pair.first, pair.second):
            points = self.embedding[self.labels == label]
            if label not in self.contracted and _spread(points) > 0:
                reason = f"{self.title(pair)}: {pair}; {cause}"
                self.plan.add(Contract(label, factor=MILD_CONTRACTION, reason=reason))

    def _centre(self, positions: NDArray[np.float32], label: int) -> NDArray[np.float64]:
        return np.asarray(positions[self.labels == label].mean(axis=0, dtype=np.float64))

    def _distance_and_spreads(
        self, pair: _Pair, positions: NDArray[np.float32]
    ) -> tuple[float, float]:
        first, second = (positions[self.labels == c] for c in (pair.first, pair.second))
        way = self._centre(positions, pair.first) - self._centre(positions, pair.second)
        return float(np.linalg.norm(way)), _spread(first) + _spread(second)

    def title(self, pair: _Pair) -> str:
        return f"{self.names[pair.first]} and {self.names[pair.second]}"


def _apart(distance: float, spreads: float) -> str:
    return f"{distance / spreads:.1f} spreads apart" if spreads else f"{brief(distance)} apart"


def _spread(points: NDArray[np.float32]) -> float:
    centre = points.mean(axis=0, dtype=np.float64)
    return float(np.median(np.linalg.norm(points - centre, axis=1)))


def _most_confused(predicted: NDArray[Any], labels: NDArray[Any], classes: int) -> list[_Pair]:
    counts = np.bincount(labels * classes + predicted, minlength=classes**2)
    confusion = counts.reshape(classes, classes)
    support = confusion.sum(axis=1)
    pairs = [
        _Pair(i, j, int(confusion[i, j] + confusion[j, i]), int(support[i] + support[j]))
        for i, j in combinations(range(classes), 2)
        if confusion[i, j] + confusion[j, i] > 0 and support[i] > 0 and support[j] > 0
    ]
    return sorted(pairs, key=lambda pair: -pair.rate)


def _checked_labels(labels: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.int64]:
    samples, classes = shape
    array = label_array(labels, samples)
    if classes < 2:
        raise ValueError(
            "`classifier_outputs` must have one column a class. Received 1 column; "
            "for a sigmoid p, stack 1 - p and p."
        )
    if samples < classes:
        raise ValueError(
            f"At least as many points as classes are needed. "
            f"Received {samples} points and {classes} classes."
        )
    if array.dtype.kind not in "iu":
        raise ValueError(f"`labels` must be ints. Received dtype {array.dtype}: {quoted(array)}.")
    outside = np.unique(array[(array < 0) | (array >= classes)])
    if len(outside):
        raise ValueError(
            f"`labels` must lie in [0, {classes}), the columns of `classifier_outputs`. "
            f"Received: {quoted(outside)}."
        )
    return array.astype(np.int64)


def _checked_names(class_names: Sequence[str] | None, classes: int) -> list[str]:
    names = [f"class {label}" for label in range(classes)] if class_names is None else class_names
    if len(names) != classes:
        raise ValueError(
            f"`class_names` must have one entry for each of the {classes} classes. "
            f"Received {len(names)}: {quoted(names)}."
        )
    return [str(name) for name in names]
