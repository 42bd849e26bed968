"""What is known of one sample: its label, what the classifier says of it, and its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...checks import checked_number
from ...intervention.data_changes import is_unlabelled
from ...plotting.style import NO_LABEL
from .neighbors import LayerNeighbors
from .predictions import Probabilities, decided

MOST_CLASSES = 5
MOST_NEIGHBORS = 8


@dataclass(frozen=True)
class Neighbor:
    """A sample near another one in the layer's activations.

    Attributes:
        index: Which one.
        name: Name of its label.
        predicted_name: Name of the class predicted.
        distance: How far it is, in the unit of the activations.
    """

    index: int
    name: str
    predicted_name: str
    distance: float


@dataclass(frozen=True)
class SampleCard:
    """A sample.

    Attributes:
        index: Which one.
        label: Its label; None where it has none.
        name: The label's name.
        predicted: The class of the largest probability; None where the outputs are not finite.
        predicted_name: That class's name.
        confidence: The largest probability; None where the outputs are not finite.
        probabilities: Names and probabilities of the likeliest classes, the likeliest first.
        group: What the caller knows of it, as text; None where nothing is.
        neighbors: Its nearest neighbours in the layer's activations, the nearest first.
    """

    index: int
    label: int | None
    name: str
    predicted: int | None
    predicted_name: str
    confidence: float | None
    probabilities: tuple[tuple[str, float], ...]
    group: str | None
    neighbors: tuple[Neighbor, ...]


class SampleCards:
    """Makes the cards of samples.

    Args:
        labels: Classes, integers `(samples,)`; -1 for samples without a label.
        probabilities: Of each class, `(samples, classes)`.
        class_names: One name a class.
        neighbors: Where neighbours are looked for.
        group: What the caller knows of the samples, `(samples,)`, or None.

    Example:
        >>> chances = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
        >>> neighbors = LayerNeighbors(np.array([[0.0], [4.0], [1.0]]))
        >>> cards = SampleCards(np.array([0, 1, -1]), chances, ["cat", "dog"], neighbors)
        >>> card = cards.of(2)
        >>> card.name, card.predicted_name, [neighbor.index for neighbor in card.neighbors]
        ('no label', 'cat', [0, 1])
    """

    def __init__(
        self,
        labels: NDArray[Any],
        probabilities: Probabilities,
        class_names: Sequence[str],
        neighbors: LayerNeighbors,
        *,
        group: NDArray[Any] | None = None,
    ) -> None:
        self.labels, self.probabilities = labels, probabilities
        self.class_names = tuple(class_names)
        self.neighbors, self.group = neighbors, group
        self._unlabelled = is_unlabelled(labels)
        self._predicted = decided(probabilities)

    def of(self, index: int, *, neighbors: int = MOST_NEIGHBORS) -> SampleCard:
        """Returns the card of a sample.

        Args:
            index: The sample.
            neighbors: How many neighbours at most.

        Raises:
            ValueError: If there is no such sample.
        """
        index = checked_number(index, "index", least=0, below=len(self.labels), whole=True)
        chances, said = self.probabilities[index], int(self._predicted[index])
        likeliest = np.argsort(-chances, kind="stable")[: MOST_CLASSES if said >= 0 else 0]
        group = None if self.group is None else str(self.group[index])
        return SampleCard(
            index=index,
            label=None if self._unlabelled[index] else int(self.labels[index]),
            name=self._label_name(index),
            predicted=None if said < 0 else said,
            predicted_name=self._predicted_name(index),
            confidence=None if said < 0 else float(chances[said]),
            probabilities=tuple((self.class_names[k], float(chances[k])) for k in likeliest),
            group=group,
            neighbors=self._neighbors(index, neighbors),
        )

    def _neighbors(self, index: int, count: int) -> tuple[Neighbor, ...]:
        if not count:
            return ()
        try:
            found, distances = self.neighbors.of(index, count=count)
        except ValueError:  # its activations are not finite; all else can be told
            return ()
        return tuple(
            Neighbor(
                int(other), self._label_name(other), self._predicted_name(other), float(distance)
            )
            for other, distance in zip(found, distances, strict=True)
        )

    def _label_name(self, index: Any) -> str:
        return NO_LABEL if self._unlabelled[index] else self.class_names[int(self.labels[index])]

    def _predicted_name(self, index: Any) -> str:
        said = int(self._predicted[index])
        return "no prediction" if said < 0 else self.class_names[said]
