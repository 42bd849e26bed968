"""What the points of a map can be coloured by."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...checks import label_array, one_of
from ...intervention.data_changes import is_unlabelled
from ...plotting.page import dark_color
from ...plotting.style import NO_LABEL, ClassStyle, class_styles
from .neighbors import LayerNeighbors, disagreement
from .predictions import Probabilities, decided

Kind = Literal["class", "flag", "number"]

# Codes are uint16, and this one would stand for no category.
_MOST_CATEGORIES = 65_535
# More groups than this are drawn by their size where they are numbers: nobody tells so many colours apart.
_MOST_GROUPS = 192
# A word for a menu, and what a legend adds to it.
_TITLES = {
    "label": "label",
    "prediction": "prediction",
    "error": "right or wrong",
    "confidence": "confidence: probability of the predicted class",
    "entropy": "entropy: how the prediction is spread over classes",
    "loss": "loss: −log of the label's probability",
    "disagreement": "disagreement: share of the neighbours with another label",
    "group": "group",
}
NO_GROUP = "no group"
UNDECIDED = "no prediction"
# Pale to dark violet, as maps without signs are drawn: what is large stands out on a white ground, and, the
# other way round, on a dark one; lightness alone tells the values, for every eye.
_RAMP = ("#E3A9D3", "#C272B6", "#A23B98", "#6F2579", "#3B0F5C")
_DARK_RAMP = ("#6B3A7E", "#94509C", "#BF6CB5", "#E09BD0", "#FBD9F1")
_RIGHT, _WRONG = "#4F97CB", "#B94500"
_GREY = "#8A8A8A"
_PATIENCE = 1.0  # seconds that a thread waits for neighbours, before the page is told to ask again
_TAIL = 99.0  # percent of the losses that lie within the scale


@dataclass(frozen=True)
class Category:
    """One of the values that points have in a column.

    Attributes:
        name: What a legend calls it.
        color: Colour of its points on a light ground, hexadecimal.
        dark: Colour of its points on a dark ground.
        shape: Matplotlib marker of its points.
        count: How many points have it.
    """

    name: str
    color: str
    dark: str
    shape: str
    count: int


@dataclass(frozen=True, eq=False)
class Column:
    """A value for each point, and how it is drawn.

    Attributes:
        name: What a page asks for it by.
        title: What it is called.
        kind: "class" for one of several categories, "flag" for one of few that say right or wrong, "number".
        values: uint16 positions in `categories`, or float32 numbers, NaN for points that have none.
        categories: In the order of a legend; empty for numbers. What points may lack, such as a label, is a
            grey category of its own, the last one.
        low: The number that has the first colour of the ramp, and smaller ones too.
        high: The number that has the last one.
        ramp: Colours from low to high, on a light ground.
        dark_ramp: The same on a dark ground.
    """

    name: str
    title: str
    kind: Kind
    values: NDArray[Any]
    categories: tuple[Category, ...] = ()
    low: float = 0.0
    high: float = 1.0
    ramp: tuple[str, ...] = ()
    dark_ramp: tuple[str, ...] = ()

    def of_code(self, code: int) -> NDArray[np.bool_]:
        """Returns which points have a category, booleans `(samples,)`; raises ValueError if there is none."""
        if not 0 <= code < len(self.categories):
            raise ValueError(
                f"The column {self.name!r} has {len(self.categories)} categories. Received: {code}."
            )
        return np.asarray(self.values == code)

    def within(self, least: float, most: float) -> NDArray[np.bool_]:
        """Returns which points have a number in [least, most]; raises ValueError if they have categories."""
        if self.kind != "number":
            raise ValueError(f"The column {self.name!r} holds categories, and no numbers.")
        return (self.values >= least) & (self.values <= most)


class Columns:
    """The columns of a map: each is computed when it is first asked for, and kept.

    - `label`, `prediction`: classes.
    - `error`: right, wrong, or not known for want of a label.
    - `confidence`: probability of the class predicted.
    - `entropy`: −∑ p log p of the prediction, as a share of the most there can be.
    - `loss`: −log of the label's probability.
    - `disagreement`: share of the nearest neighbours in the layer's activations whose label differs. They are
      looked for in the background when it is first asked for.
    - `group`: what the caller knows of the samples.

    Args:
        labels: Classes, integers `(samples,)`; -1 for samples without a label.
        probabilities: Of each class, `(samples, classes)`.
        class_names: One name a class.
        neighbors: Where neighbours are looked for; None for no `disagreement`.
        group: Integers, strings or numbers, `(samples,)`; NaN, None or, of integers, -1 for none. None for no
            such column.

    Raises:
        ValueError: If lengths differ.
        NotYetError: When asked for `disagreement` before the neighbours of many samples are found.

    Example:
        >>> columns = Columns(np.array([0, 1, 1]), np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]]), ["a", "b"])
        >>> columns.names
        ['label', 'prediction', 'error', 'confidence', 'entropy', 'loss']
        >>> [(category.name, category.count) for category in columns["error"].categories]
        [('right', 2), ('wrong', 1)]
    """

    def __init__(
        self,
        labels: NDArray[Any],
        probabilities: Probabilities,
        class_names: Sequence[str],
        *,
        neighbors: LayerNeighbors | None = None,
        group: NDArray[Any] | None = None,
    ) -> None:
        self.labels = label_array(labels, len(probabilities))
        if probabilities.shape[1] != len(class_names):
            raise ValueError(
                f"`class_names` must name the {probabilities.shape[1]} classes. Received: {len(class_names)}."
            )
        self.probabilities = probabilities
        self.class_names = tuple(class_names)
        self.neighbors = neighbors
        self.group = None if group is None else label_array(group, len(self.labels), "group")
        self.unlabelled = is_unlabelled(self.labels)
        self._makers: dict[str, Callable[[], Column]] = {
            "label": self._label,
            "prediction": self._prediction,
            "error": self._error,
            "confidence": self._confidence,
            "entropy": self._entropy,
            "loss": self._loss,
        }
        if neighbors is not None:
            self._makers["disagreement"] = self._disagreement
        if group is not None:
            self._makers["group"] = self._group
        self._kept: dict[str, Column] = {}
        self._locks = {name: threading.Lock() for name in self._makers}

    @property
    def names(self) -> list[str]:
        """Names of all columns."""
        return list(self._makers)

    @property
    def titles(self) -> dict[str, str]:
        """What each is called, by name."""
        return {name: _TITLES[name] for name in self._makers}

    def __getitem__(self, name: str) -> Column:
        one_of(name, self._makers, "column")
        with self._locks[name]:  # two pages may ask at once
            if name not in self._kept:
                self._kept[name] = self._makers[name]()
            return self._kept[name]

    def _label(self) -> Column:
        codes = np.where(self.unlabelled, len(self.class_names), self.labels)
        return self._of_classes("label", codes, NO_LABEL)

    def _prediction(self) -> Column:
        said = decided(self.probabilities)
        codes = np.where(said < 0, len(self.class_names), said)
        return self._of_classes("prediction", codes, UNDECIDED)

    def _of_classes(self, name: str, codes: NDArray[Any], missing: str) -> Column:
        styles = class_styles(np.arange(len(self.class_names)), self.class_names)
        return _categorical(name, "class", codes, [*styles.values(), _lacking(missing)])

    def _error(self) -> Column:
        wrong = decided(self.probabilities) != self.labels
        codes = np.where(self.unlabelled, 2, wrong)
        styles = [
            ClassStyle("right", _RIGHT, "o"),
            ClassStyle("wrong", _WRONG, "X"),
            _lacking(NO_LABEL),
        ]
        return _categorical("error", "flag", codes, styles)

    def _confidence(self) -> Column:
        values = self.probabilities.max(axis=1)
        # What the classifier is unsure of is what one looks for: that stands out.
        return _numeric(
            "confidence",
            values,
            low=float(np.min(values, initial=1 / len(self.class_names), where=np.isfinite(values))),
            high=1.0,
            turned=True,
        )

    def _entropy(self) -> Column:
        sums = self.probabilities.sum(axis=1, keepdims=True)
        share = self.probabilities / np.where(
            sums > 0, sums, 1.0
        )  # of sigmoids, which need not add up to 1
        terms = share * np.log(np.maximum(share, np.finfo(np.float32).tiny))
        values = np.abs(terms.sum(axis=1)) / np.log(len(self.class_names))
        return _numeric("entropy", values)

    def _loss(self) -> Column:
        own = np.where(self.unlabelled, 0, self.labels).astype(np.int64)
        chances = self.probabilities[np.arange(len(own)), own]
        values = -np.log(np.maximum(chances, np.finfo(np.float32).tiny))
        values = np.where(self.unlabelled, np.nan, np.abs(values))
        finite = values[np.isfinite(values)]
        high = float(np.percentile(finite, _TAIL)) if len(finite) else 0.0
        return _numeric("loss", values, high=high)

    def _disagreement(self) -> Column:
        assert self.neighbors is not None
        values = disagreement(self.labels, self.neighbors.of_all(patience=_PATIENCE))
        return _numeric("disagreement", values)

    def _group(self) -> Column:
        assert self.group is not None
        given = self.group
        codes, found = pd.factorize(given, sort=True)
        if given.dtype.kind in "iuf" and len(found) > _MOST_GROUPS:
            values = given.astype(np.float32)
            low, high = float(np.nanmin(values)), float(np.nanmax(values))
            return _numeric("group", values, low=low, high=high)
        if len(found) >= _MOST_CATEGORIES:
            raise ValueError(
                f"`group` has {len(found)} different values, and at most {_MOST_CATEGORIES - 1} can be shown."
            )
        places = np.arange(len(found))
        if given.dtype.kind in "iu" and len(found) > 2 and found[0] == -1:
            codes, found, places = codes - 1, found[1:], places[:-1]
        names = [f"{value:g}" if isinstance(value, float) else str(value) for value in found]
        styles = class_styles(places, names) if len(places) else {}
        codes = np.where(codes < 0, len(found), codes)
        return _categorical("group", "class", codes, [*styles.values(), _lacking(NO_GROUP)])


def _lacking(name: str) -> ClassStyle:
    return ClassStyle(name, _GREY, "o")


def _categorical(
    name: str, kind: Kind, codes: NDArray[Any], styles: Sequence[ClassStyle]
) -> Column:
    """A column of codes; the last category stands for what is missing, and is left out where nothing is."""
    values = codes.astype(np.uint16)
    counts = np.bincount(values, minlength=len(styles))
    shown = len(styles) if counts[-1] else len(styles) - 1
    categories = tuple(
        Category(style.name, style.color.lower(), dark_color(style.color), style.marker, int(count))
        for style, count in zip(styles[:shown], counts, strict=False)
    )
    return Column(name, _TITLES[name], kind, values, categories)


def _numeric(
    name: str,
    values: NDArray[Any],
    *,
    low: float = 0.0,
    high: float = 1.0,
    turned: bool = False,
) -> Column:
    """A column of numbers; `turned` lets the low ones stand out."""
    step = -1 if turned else 1
    return Column(
        name,
        _TITLES[name],
        "number",
        values.astype(np.float32),
        low=low,
        high=high if high > low else low + 1.0,
        ramp=_RAMP[::step],
        dark_ramp=_DARK_RAMP[::step],
    )
