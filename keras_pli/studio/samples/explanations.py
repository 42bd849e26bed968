"""What decided about one sample: maps by several methods, drawn over it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ...attribution import Attribution, Deconvnet, GuidedBackprop, GuidedGradCAM, Method
from ...brief import percent
from ...checks import checked_number, one_of, quoted
from ...network.inputs import checked_inputs
from ...plotting.attributions import attribution_overlay
from ...plotting.export import figure_to_png_bytes
from ...plotting.style import new_figure
from ...plotting.volumes import volume_slices
from ...retraining.data import Inputs, rows_of
from .fitting_methods import FittingMethods, fitting_methods, method_title
from .sample_shape import SampleShape

# Small, so that text can be read beside others in a column, and drawn finely, to be enlarged.
_DPI = 240
_EDGE = 1.1  # inches of an image's longer edge; its scale has the rest
_SIGNAL = (2.4, 1.2)
_VOLUME_DPI = 120
_TOO_FAR = 0.05  # share of the score's difference that a sum may miss without a word of warning
_SHOWN = 0.005  # less would be written as 0 %
_BLIND = (GuidedBackprop, Deconvnet, GuidedGradCAM)


@dataclass(frozen=True, eq=False)
class ExplainedSample:
    """What a method found about a sample.

    Attributes:
        method: The method's name.
        title: What a page calls it.
        png: The map over the sample, the bytes of a PNG file.
        note: How far to believe it, in a sentence or two; may be empty.
        score: The explained score.
        found: The map itself and all that came with it, for one sample.
    """

    method: str
    title: str
    png: bytes
    note: str
    score: float
    found: Attribution


@dataclass(frozen=True)
class Explained:
    """What methods found about a sample.

    Attributes:
        target: The class that is explained.
        maps: By the methods that could.
        refused: Titles of the others, and why.
    """

    target: int
    maps: tuple[ExplainedSample, ...]
    refused: tuple[tuple[str, str], ...] = ()


class Explanations:
    """Explains samples of one classifier; methods are kept, so that each is traced once.

    Args:
        model: The classifier, which stays as it is.
        x: Inputs, `(samples, ...)`, or a structure of arrays.
        shape: What samples are to the eye; None finds out.
        class_names: One name a class.
        value_range: Values drawn black and white, of images.

    Raises:
        ValueError: When first asked, if the classifier has several outputs.

    Example:
        >>> keras.utils.set_random_seed(0)
        >>> model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(2)])
        >>> explanations = Explanations(model, np.ones((5, 8, 8, 1), np.float32), class_names=["cat", "dog"])
        >>> explanations.default
        ['integrated_gradients', 'occlusion']
        >>> (found,) = explanations.of(2, ["integrated_gradients"], target=1).maps
        >>> found.png[1:4], found.note
        (b'PNG', 'The values add up to the score above that of an input of zeros.')
    """

    def __init__(
        self,
        model: keras.Model,
        x: Inputs,
        *,
        class_names: Sequence[str],
        shape: SampleShape | None = None,
        value_range: tuple[float, float] | None = None,
    ) -> None:
        self.model, self.x = model, x
        self.class_names = tuple(class_names)
        self.shape = SampleShape.of(x, model) if shape is None else shape
        self.value_range = value_range
        self._fitting: FittingMethods | None = None
        self._made: dict[str, Method] = {}
        self._lock = threading.Lock()  # methods trace, which two threads at once would do twice

    @property
    def fitting(self) -> FittingMethods:
        """The methods that fit the classifier, and why others do not."""
        with self._lock:
            if self._fitting is None:
                self._fitting = fitting_methods(self.model, self._sample(0))
            return self._fitting

    @property
    def names(self) -> list[str]:
        """Names of the methods that fit."""
        return list(self.fitting.kinds)

    @property
    def default(self) -> list[str]:
        """Those to begin with."""
        return self.fitting.default

    def of(
        self, index: int, methods: Sequence[str] | None = None, *, target: int | None = None
    ) -> Explained:
        """Explains a sample.

        Args:
            index: The sample.
            methods: Names of methods; None takes the default ones.
            target: The class to explain; None for the one predicted.

        Raises:
            ValueError: If there is no such sample, class or method, or none of the methods could explain it.
        """
        names = self.default if methods is None else list(methods)
        for name in names:
            if name in self.fitting.refused:
                raise ValueError(
                    f"{method_title(name)} does not fit this classifier. {self.fitting.refused[name]}"
                )
            one_of(name, self.names, "methods")
        if not names:
            raise ValueError(f"Name a method. There are {quoted(self.names, most=30)}.")
        samples = len(keras.tree.flatten(self.x)[0])
        index = checked_number(index, "index", least=0, below=samples, whole=True)
        row = self._sample(index)
        with self._lock:
            if target is None:
                target = self._predicted(names[0], row)
            below = len(self.class_names)
            target = checked_number(target, "target", least=0, below=below, whole=True)
            maps, refused = [], []
            for name in names:
                try:
                    maps.append(self._explained(name, index, row, target))
                except (ValueError, TypeError, ImportError) as error:
                    refused.append((method_title(name), str(error)))
        if not maps:
            raise ValueError(" ".join(f"{title}: {why}" for title, why in refused))
        return Explained(target, tuple(maps), tuple(refused))

    def _sample(self, index: int) -> Inputs:
        """A batch of one sample, as the classifier takes it."""
        return checked_inputs(rows_of(self.x, slice(index, index + 1)), self.model)

    def _method(self, name: str) -> Method:
        if name not in self._made:
            assert self._fitting is not None
            self._made[name] = self._fitting.kinds[name](self.model, **self._fitting.options[name])
        return self._made[name]

    def _predicted(self, name: str, row: Inputs) -> int:
        scoring = self._method(name).scoring(row)
        return int(scoring(tf.nest.map_structure(tf.constant, row))[1][0])

    def _explained(self, name: str, index: int, row: Inputs, target: int) -> ExplainedSample:
        method = self._method(name)
        found = method(row, target)
        heat = np.asarray(keras.tree.flatten(found.attributions)[self._place(found)])[0]
        figure = self._figure(self.shape.of_sample(self.x, index), heat)
        return ExplainedSample(
            method=name,
            title=method_title(name),
            png=figure_to_png_bytes(figure, dpi=_VOLUME_DPI if self.shape.axes == 3 else _DPI),
            note=self._note(method, found, heat, target),
            score=float(found.scores[0]),
            found=found,
        )

    def _place(self, found: Attribution) -> int:
        return self.shape.place if keras.tree.is_nested(found.attributions) else 0

    def _figure(self, sample: NDArray[Any], heat: NDArray[Any]) -> Figure:
        if self.shape.axes == 3:
            return volume_slices(sample, heat, value_range=self.value_range)
        images = self.shape.axes == 2
        ax = new_figure(*(_image_size(sample.shape) if images else _SIGNAL)).add_subplot()
        figure = attribution_overlay(
            sample,
            heat,
            ax=ax,
            dimensions=self.shape.axes,
            value_range=self.value_range if images else None,
        )
        for beside in figure.axes:  # the page has words for what the scale measures
            beside.set(xlabel="", ylabel="")
        if sample.dtype.kind in "iu" and not images:  # ids, whose values say nothing to the eye
            for line in [*ax.lines]:
                line.remove()
            ax.set_yticks([])
        return figure

    def _note(self, method: Method, found: Attribution, heat: NDArray[Any], target: int) -> str:
        """How far to believe a map."""
        said = []
        if not heat.any():
            said.append(f"Zero everywhere: nothing here speaks for {self.class_names[target]}.")
        if found.delta is not None:
            said.append(_completeness(method, found))
        if "r2" in found.details:
            said.append(
                f"The linear model behind it tells {percent(float(found.details['r2'][0]))} of how the score "
                "changes as parts are hidden."
            )
        if "map" in found.details:
            sizes = " × ".join(map(str, np.shape(found.details["map"])[1:]))
            said.append(f"Made of {sizes} places, enlarged.")
        channels = heat.shape[-1] if heat.ndim > self.shape.axes else 1
        if channels > 1 and not method.same_over_channels:
            said.append(f"Summed over {channels} channels.")
        if isinstance(method, _BLIND):
            said.append("Looks sharp, and hardly depends on the class or the upper layers.")
        if method.network.score == "output":
            said.append("Explains the output as it is: no logits can be found.")
        return " ".join(said)


def _completeness(method: Method, found: Attribution) -> str:
    """How much of what they should add up to the values miss."""
    missing = float(found.delta[0])
    total = float(sum(np.sum(part) for part in keras.tree.flatten(found.attributions)))
    wanted = total - missing
    if abs(wanted) < 1e-6 * max(1.0, abs(float(found.scores[0]))):
        return "The score is that of the baseline: there is nothing to share out."
    share = abs(missing / wanted)
    what = "the score above that of an input of zeros" if method.takes_baseline else "the score"
    but = f", but for {percent(share)} of it" if share >= _SHOWN else ""
    told = f"The values add up to {what}{but}."
    return told if share <= _TOO_FAR else f"{told} Read it with care."


def _image_size(shape: Sequence[int]) -> tuple[float, float]:
    height, width = shape[:2]
    side = _EDGE / max(height, width)
    return max(side * width, 0.5) + 0.5, max(side * height, 0.7) + 0.1
