"""What all parts of a report work on: the model, some samples, and what it makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ..checks import checked_number, quoted
from ..inspection.canvas import Layout
from ..inspection.input_layout import input_layout
from ..network.activations import LOGITS
from ..network.forward import Network
from ..network.layers import check_model
from ..plotting.images import natural_range
from .given_data import DrawnSamples, Integers, class_numbers, draw_samples, read_data, rows_of
from .predictions import Array, class_probabilities, one_output, with_two_classes
from .section import DoesNotApplyError


@dataclass(frozen=True, eq=False)
class ReportedSet:
    """Samples of a set, and what the model makes of them.

    Attributes:
        x: Inputs, `(samples, ...)`, or a structure of them.
        labels: Their classes, int64 `(samples,)`.
        probabilities: What the model makes of them, float64 `(samples, classes)`.
        positions: Where in the set each is, `(samples,)`.
        total: Samples of the whole set.
    """

    x: Any
    labels: Integers
    probabilities: Array
    positions: Integers
    total: int

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def predicted(self) -> Integers:
        """The most probable classes."""
        return self.probabilities.argmax(axis=1)

    @property
    def wrong(self) -> NDArray[np.intp]:
        """Rows that the model gets wrong, the surest first."""
        rows = np.flatnonzero(self.predicted != self.labels)
        return rows[np.argsort(-self.probabilities[rows].max(axis=1), kind="stable")]


@dataclass(frozen=True, eq=False)
class Context:
    """What a part is made from; none of it is changed by one.

    Attributes:
        model: The classifier, of one output.
        test: The samples that are reported on.
        train: Those it was trained on, or None where one set was given.
        class_names: One a class.
        layer: The layer whose map is drawn.
        layout: What the axes of an input are; None where they are no picture.
        no_layout: Why there is no `layout`.
        seed: Of everything random.
        verbose: 1 shows progress.
        provenance: What the report was made from, by name.
    """

    model: keras.Model
    test: ReportedSet
    train: ReportedSet | None
    class_names: tuple[str, ...]
    layer: str
    layout: Layout | None
    no_layout: str
    seed: int
    verbose: int
    provenance: Mapping[str, Any]

    @property
    def held_out(self) -> bool:
        """Whether the samples reported on are others than those of the training."""
        return self.train is not None

    @property
    def what(self) -> str:
        """What the samples are called in sentences."""
        return "held-out samples" if self.held_out else "samples"

    @property
    def accuracy(self) -> float:
        """Share of the samples that the model gets right."""
        return float(np.mean(self.test.predicted == self.test.labels))

    @property
    def has_channels(self) -> bool:
        """Whether the last axis of an input is that of channels."""
        return self.layout is not None and len(self.layout.sizes) < len(self.layout.shape)

    @property
    def value_range(self) -> tuple[float, float]:
        """The values of the inputs that are drawn black and white."""
        return natural_range(np.asarray(self.test.x))

    def pictures(self) -> Layout:
        """Returns the layout of inputs that can be drawn.

        Raises:
            DoesNotApplyError: If they cannot.
        """
        if self.layout is None:
            raise DoesNotApplyError(self.no_layout)
        if not self.layout.sizes:
            raise DoesNotApplyError("The inputs are vectors without positions, and no pictures.")
        if len(self.layout.sizes) > 3:
            raise DoesNotApplyError(f"Inputs of shape {self.layout.shape} cannot be drawn.")
        return self.layout

    def name_of(self, label: Any) -> str:
        """Returns the name of a class."""
        return self.class_names[int(label)]


def make_context(
    model: keras.Model,
    data: Any,
    *,
    layer: str | None,
    class_names: Sequence[str] | None,
    output: int | str | None,
    samples: int,
    seed: int,
    verbose: int,
    provenance: Mapping[str, Any],
) -> Context:
    """Checks what a report was asked for, and predicts the samples.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If data, labels, names or the output do not fit.
    """
    check_model(model)
    most = checked_number(samples, "samples", least=1, whole=True)
    seed = checked_number(seed, "seed", least=0, whole=True)
    model = one_output(model, output)
    train, test = read_data(data)
    drawn = draw_samples(model, test, "test" if train else "data", most=most, seed=seed)
    model = with_two_classes(model, drawn.x)
    reported = _reported(model, drawn)
    classes = reported.probabilities.shape[1]
    trained = None
    if train is not None:
        trained = _reported(model, draw_samples(model, train, "train", most=most, seed=seed))
    layout, why = _layout(model, reported.x)
    return Context(
        model=model,
        test=reported,
        train=trained,
        class_names=_names(class_names, classes),
        layer=LOGITS if layer is None else layer,
        layout=layout,
        no_layout=why,
        seed=seed,
        verbose=verbose,
        provenance={**provenance, "most samples of a set": most, "output": output},
    )


def _reported(model: keras.Model, drawn: DrawnSamples) -> ReportedSet:
    shares = class_probabilities(model, drawn.x)
    labels = class_numbers(drawn.y, shares.shape[1], "y")
    return ReportedSet(drawn.x, labels, shares, drawn.positions, drawn.total)


def some_of(part: ReportedSet, rows: Any) -> ReportedSet:
    """Returns some rows of a set."""
    return ReportedSet(
        rows_of(part.x, rows),
        part.labels[rows],
        part.probabilities[rows],
        part.positions[rows],
        part.total,
    )


def _names(given: Sequence[str] | None, classes: int) -> tuple[str, ...]:
    if given is None:
        return tuple(map(str, range(classes)))
    if isinstance(given, str) or len(given) != classes:
        raise ValueError(
            f"`class_names` must name the model's {classes} classes. Received: {quoted(given)}."
        )
    return tuple(map(str, given))


def _layout(model: keras.Model, x: Any) -> tuple[Layout | None, str]:
    if not isinstance(x, np.ndarray):
        return None, f"The model has {len(keras.tree.flatten(x))} inputs; this part reads one."
    try:
        return input_layout(Network(model), x.shape[1:]), ""
    except ValueError as error:
        return None, str(error)
