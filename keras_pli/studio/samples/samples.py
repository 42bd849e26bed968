"""The samples of a session as a page shows them, in whichever round it looks at."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..session.given import StudioData
from ..session.rounds import Round
from .columns import Columns
from .explanations import Explanations
from .neighbors import LayerNeighbors
from .newest_first import NewestFirst
from .outlines import MapOutlines, map_outlines
from .pictures import Pictures
from .predictions import class_probabilities
from .sample_card import SampleCards
from .sample_rationales import SampleRationales

_MOST_OUTLINES = 6


class RoundSamples:
    """What one round's classifier says of the samples.

    Args:
        data: What the studio was opened with.
        entered: The round.
        pictures: What draws samples.

    Attributes:
        columns: What points can be coloured by.
        cards: What is known of a sample.
        explanations: What decided about a sample.
        rationales: What would have to change for another decision; None without networks for it.
    """

    def __init__(self, data: StudioData, entered: Round, pictures: Pictures) -> None:
        self.round = entered
        labels, names, classifier = data.labels, data.class_names, entered.classifier
        probabilities = class_probabilities(entered.outputs, classifier)
        neighbors = LayerNeighbors(lambda: entered.activations)
        self.columns = Columns(labels, probabilities, names, neighbors=neighbors, group=data.group)
        self.cards = SampleCards(labels, probabilities, names, neighbors, group=data.group)
        self.explanations = Explanations(
            classifier,
            data.train[0],
            class_names=names,
            shape=pictures.shape,
            value_range=pictures.value_range,
        )
        self.rationales = None
        if data.rationale is not None:
            self.rationales = SampleRationales(
                data.rationale, classifier, data.train[0], class_names=names
            )
        # With the map, so that its `id` stands for no other one as long as its outlines are kept.
        self._outlines: dict[Any, tuple[NDArray[np.float32], MapOutlines]] = {}
        self._drawing = threading.Lock()

    def outlines(self, of: Any, points: NDArray[np.float32], labels: NDArray[Any]) -> MapOutlines:
        """Returns the outlines of classes on a map; the last few are kept.

        Args:
            of: What tells its labels from those of others.
            points: The map, `(samples, 2)`.
            labels: Classes, `(samples,)`.
        """
        key = (of, id(points))
        with self._drawing:
            if key not in self._outlines:
                self._outlines[key] = points, map_outlines(points, labels)
            for oldest in list(self._outlines)[:-_MOST_OUTLINES]:
                del self._outlines[oldest]
            return self._outlines[key][1]


class Samples:
    """What a session shows of its samples.

    Args:
        data: What the studio was opened with.

    Attributes:
        lane: Where explanations and rationales wait for each other.
    """

    def __init__(self, data: StudioData) -> None:
        self._data = data
        self.lane = NewestFirst()
        self._lock = threading.Lock()
        self._pictures: Pictures | None = None
        self._last: RoundSamples | None = None

    @property
    def pictures(self) -> Pictures:
        """What draws them."""
        with self._lock:
            return self._drawn()

    def of(self, entered: Round) -> RoundSamples:
        """Returns what a round's classifier says of them; that of the last round asked for is kept."""
        with self._lock:
            if self._last is None or self._last.round is not entered:
                self._last = RoundSamples(self._data, entered, self._drawn())
            return self._last

    def _drawn(self) -> Pictures:
        if self._pictures is None:
            self._pictures = Pictures(self._data.train[0], self._data.classifier)
        return self._pictures
