"""What would have to change about one sample for the classifier to decide otherwise."""

from __future__ import annotations

import threading
from dataclasses import dataclass, fields, replace
from typing import Any

import keras
import numpy as np

from ...checks import checked_number
from ...plotting.export import figure_to_png_bytes
from ...rationale import Rationale, RationaleGenerator
from ...retraining.data import Inputs, rows_of

_DPI = 120


@dataclass(frozen=True, eq=False)
class SampleRationale:
    """A rationale of one sample.

    Attributes:
        status: Whether the search arrived, one of `rationale.STATUSES`.
        words: From what to what, how surely, at what cost.
        pngs: The images before and after with the change, and the way between them, as PNG files.
        found: All that was found.
    """

    status: str
    words: str
    pngs: tuple[bytes, ...]
    found: Rationale


class SampleRationales:
    """Finds rationales for a classifier by the networks of a `RationaleGenerator`.

    Args:
        given: What draws images, for this classifier or the one that it was retrained from.
        model: The classifier. Where it takes what the generator draws, its own decisions are explained; where
            the given classifier takes codes, that one's are.
        x: Images `(samples, height, width, channels)` in the generator's range.
        class_names: One name a class.

    Example:
        >>> rationales = SampleRationales(generator, classifier, x)  # doctest: +SKIP
        >>> rationales.of(3, target=7).words  # doctest: +SKIP
        '2 → 7: p .01 → .90 in 41 steps; 44 pixels removed, 36 added; reconstruction error .010'
    """

    def __init__(
        self,
        given: RationaleGenerator,
        model: keras.Model,
        x: Inputs,
        *,
        class_names: tuple[str, ...] | None = None,
    ) -> None:
        self.x, self.class_names = x, class_names
        self._given, self._model = given, model
        self._made: RationaleGenerator | None = None
        self._lock = threading.Lock()

    def of(self, index: int, *, target: int | None = None) -> SampleRationale:
        """Finds the rationale of a sample.

        Args:
            index: The sample.
            target: The class to change to; None for the runner-up.

        Raises:
            ValueError: If there is no such sample, it is no image that the networks take, or the target is no
                class or the one predicted.
        """
        if keras.tree.is_nested(self.x):
            raise ValueError("Rationales are found for a classifier of one input.")
        index = checked_number(index, "index", least=0, below=len(self.x), whole=True)
        image = np.asarray(rows_of(self.x, slice(index, index + 1)))
        with self._lock:
            found = self._generator(image)(image, target)
        if found.about["class_names"] is None:
            found = replace(found, about={**found.about, "class_names": self.class_names})
        figures = (found.plot(), found.plot_path())
        return SampleRationale(
            str(found.status[0]),
            found.verdicts[0],
            tuple(figure_to_png_bytes(figure, dpi=_DPI) for figure in figures),
            found,
        )

    def _generator(self, image: Any) -> RationaleGenerator:
        if self._made is None:
            given = self._given
            if given.settings.classifies == "images" and given.classifier is not self._model:
                settings = {
                    entry.name: getattr(given.settings, entry.name)
                    for entry in fields(given.settings)
                }
                given = RationaleGenerator(given.generator, given.encoder, self._model, **settings)
            self._made = given
        return self._made
