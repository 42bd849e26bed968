"""Images that activate a unit most: X* = arg max S(X) − λ‖X‖²."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from ..attribution.deletion import shifted, widened
from ..checks import checked_number, one_of
from ..network.adam import Moments, adam_step
from ..network.backward import backpropagate
from ..network.backward_rules import straight
from ..network.forward import Network, probabilities
from ..network.graph import operations_between
from ..network.inputs import PlacedTarget, check_classes, checked_target
from ..network.runner import Runner, batch_spec
from ..network.targets import AtPosition, target_scores, target_spec
from ..network.whole_numbers import check_steps
from .canvas import Canvas, FrequencyCanvas, GeneratorCanvas, PixelCanvas, total_variation
from .input_layout import input_layout
from .maximized_images import MaximizedImages

Tensor = Any
Units: TypeAlias = "int | ArrayLike | AtPosition | None"
Parameterization: TypeAlias = Literal["auto", "pixels", "frequency"]

_RECTIFIERS = ("Relu", "Relu6")
MOST_UNITS = 64  # of a layer that are maximised where none is named


class ActivationMaximization:
    """Searches for images that activate classes, channels or neurons most (Simonyan et al. 2013).

    X* = arg max S(X) − λ‖X‖², by Adam, for many units and starts in one compiled loop. S is a class score,
    and not its probability, which holds the other classes, too; or a channel or neuron of a layer. Samples
    share nothing but the jitter of a step.

    What the search finds is whatever excites the unit, and need not look like anything that the network was
    trained on. Smooth images come of the frequencies, of blur, total variation and jitter; realistic ones of
    a generator.

    Args:
        model: A built Keras model with one input, `(batch, ...)`, channels last.
        layer: The layer whose units are maximised, or its path; None for the classes.
        output: Position or name of the output, where the model has several.
        steps: Steps of Adam.
        learning_rate: Its step size. Pixels are a sigmoid of what it moves.
        l2: λ, the weight of ‖X‖², the mean over the pixels; with a generator, over its code. Weights are in
            units of what S could rise by from the start, to first order, within the range, and pixels count
            as shares of it: so they suit scores and ranges of any size.
        total_variation: Weight of the mean absolute difference of neighbouring pixels.
        jitter: By how many positions each step shifts the image, at most, in either direction along each
            axis. None takes one for each 14 positions of the shortest axis.
        blur: Standard deviation of a Gaussian, in positions, that the image is made with; 0 for none.
        parameterization: `"pixels"`; `"frequency"`, the coefficients of a cosine transform, with which an
            image grows from coarse to fine; `"auto"` for frequencies where the input has positions.
        value_range: The least and the largest value of a pixel as the model takes them; None for any.
        generator: A Keras model from codes `(batch, latent)` to images as the model takes them, to search
            among its images; jitter and total variation count, the other options of pixels do not.
        shape: Of one input, where the model does not say it.
        batch_size: Images in the loop at a time.
        jit_compile: Whether XLA compiles; `"auto"` does so where there is a GPU.

    Raises:
        ValueError: If the model is not built, has several inputs, an unknown shape, or no such layer; or if
            an option is out of range.

    Example:
        >>> model = keras.Sequential(
        ...     [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3, activation="softmax")]
        ... )
        >>> found = ActivationMaximization(model, steps=30)([0, 2], starts=2)
        >>> found.images.shape, found.activations.shape
        ((2, 2, 8, 8, 1), (2, 2))
        >>> bool((found.history[..., -1] > found.history[..., 0]).all())
        True
    """

    def __init__(
        self,
        model: keras.Model,
        *,
        layer: str | keras.Layer | None = None,
        output: int | str | None = None,
        steps: int = 256,
        learning_rate: float = 0.1,
        l2: float = 0.2,
        total_variation: float = 0.4,
        jitter: int | None = None,
        blur: float = 0.0,
        parameterization: Parameterization = "auto",
        value_range: tuple[float, float] | None = (0.0, 1.0),
        generator: keras.Model | None = None,
        shape: Sequence[int] | None = None,
        batch_size: int = 32,
        jit_compile: bool | Literal["auto"] = "auto",
    ) -> None:
        self.network = Network(model, layer=layer, output=output)
        self.steps = checked_number(steps, "steps", least=1, whole=True)
        self.learning_rate = checked_number(learning_rate, "learning_rate", least=0)
        self.l2 = checked_number(l2, "l2", least=0)
        self.total_variation = checked_number(total_variation, "total_variation", least=0)
        self.blur = checked_number(blur, "blur", least=0)
        self.value_range = _checked_range(value_range)
        one_of(parameterization, ("auto", "pixels", "frequency"), "parameterization")
        self.layout = input_layout(self.network, shape)
        sizes = self.layout.sizes
        if jitter is None:
            jitter = min(sizes, default=0) // 14
        self.jitter = checked_number(jitter, "jitter", least=0, whole=True)
        if not sizes and (self.jitter or self.blur or parameterization == "frequency"):
            raise ValueError(
                f"Jitter, blur and frequencies are of positions, and {model.name!r} takes vectors, shape "
                f"{self.layout.shape}. Received: jitter={jitter}, blur={blur}, "
                f"parameterization={parameterization!r}."
            )
        waves = bool(sizes) and parameterization != "pixels"
        self.parameterization = "frequency" if waves else "pixels"
        self.canvas = self._canvas(generator)
        self.runner = Runner(
            [model, *self.canvas.models], batch_size=batch_size, jit_compile=jit_compile
        )

    def __call__(
        self, units: Units = None, *, starts: int = 1, seed: int = 0, verbose: int = 0
    ) -> MaximizedImages:
        """Searches for images of each unit.

        Args:
            units: A class or channel, several, or None for all, of a layer at most the first 64;
                `AtPosition(channels, positions)` for single neurons.
            starts: Searches for each unit, from different noise or codes.
            seed: Seed of the starts and the jitter. A start does not depend on the other units.
            verbose: 1 draws a progress bar.

        Returns:
            A `MaximizedImages`.

        Raises:
            ValueError: If a unit or position does not exist.
        """
        starts = checked_number(starts, "starts", least=1, whole=True)
        seed = checked_number(seed, "seed", least=0, whole=True)
        target = self._target(units)
        drawn = [self.canvas.start(np.random.default_rng([seed, start])) for start in range(starts)]
        count = len(tf.nest.flatten(target)[0])
        values = np.tile(np.stack(drawn), (count, *[1] * drawn[0].ndim))
        aims = tf.nest.map_structure(lambda part: np.repeat(part, starts, axis=0), target)
        search = self._traced(values, aims)

        def searched(rows: Any, aim: Any) -> Any:
            given = tf.nest.map_structure(tf.constant, (rows, aim))
            return search(*given, tf.constant(seed, tf.int32))

        found = self.runner.over(searched, (values, aims), verbose=verbose)
        images, activations, shares, history = (
            array.reshape(count, starts, *array.shape[1:]) for array in found
        )
        classes = target if isinstance(target, np.ndarray) else target.classes
        about = {**self.settings(), "seed": seed, "target": repr(units)}
        return MaximizedImages(classes, images, activations, shares, history, about)

    def settings(self) -> dict[str, Any]:
        """Returns what the images depend on beside the networks and the units."""
        names = ["steps", "learning_rate", "l2", "total_variation", "jitter", "blur"]
        generated = isinstance(self.canvas, GeneratorCanvas)
        return {
            **{name: getattr(self, name) for name in names},
            "parameterization": "generator" if generated else self.parameterization,
            "value_range": None if generated else self.value_range,
            "has_channels": len(self.layout.sizes) < len(self.layout.shape),
            **self.network.settings(),
        }

    def _canvas(self, generator: keras.Model | None) -> Canvas:
        shape = self.layout.with_channels
        if generator is not None:
            return GeneratorCanvas(generator, _checked_latent(generator, self.layout.shape), shape)
        kind = FrequencyCanvas if self.parameterization == "frequency" else PixelCanvas
        return kind(shape, self.value_range, self.blur)

    def _target(self, units: Units) -> Any:
        """The units as int32 classes, or a `Spot` for each."""
        model, logits = self.network.model, self._logits_shape()
        if isinstance(units, PlacedTarget):
            if not isinstance(units, AtPosition) or units.target is None:
                raise ValueError(
                    "A neuron is AtPosition(channel, position), or several of them. "
                    f"Received: {units!r}."
                )
            places = max(np.size(units.target), len(np.atleast_2d(np.asarray(units.position))))
            return units.placed(logits, places, model)
        if units is None:
            most = None if self.network.layer is None else MOST_UNITS
            return np.arange(logits[-1], dtype=np.int32)[:most]
        if not np.size(units):
            raise ValueError(f"`units` must name at least one. Received: {units!r}.")
        classes: NDArray[np.int32] = checked_target(units, np.size(units))
        check_classes(classes, int(logits[-1]), model)
        return classes

    def _logits_shape(self) -> Any:
        spec = tf.TensorSpec((None, *self.layout.shape))
        function = self.runner.traced(
            lambda x: self.network.forward(x).logits, [spec], "logits of units"
        )
        return function.structured_outputs.shape

    def _traced(self, values: NDArray[np.float32], aims: Any) -> Any:
        signature = [batch_spec(values), target_spec(aims), tf.TensorSpec((), tf.int32)]
        return self.runner.traced(self._search, signature, "maximise")

    def _search(self, values: Tensor, aim: Any, seed: Tensor) -> tuple[Tensor, ...]:
        """The images, activations, probabilities and history of a batch."""

        def score(images: Tensor) -> Tensor:
            return target_scores(self.network.forward(self._shaped(images)).logits, aim)

        def advanced(
            step: Tensor, values: Tensor, moments: Moments, history: Any
        ) -> tuple[Tensor, Tensor, Moments, Any]:
            def shown(values: Tensor) -> Tensor:
                wide = widened(self.canvas.images(values), self._shifts)
                return score(shifted(wide, self._shifts, seed, step))

            scores, slopes = self._rising(shown, values)
            if self._has_penalty:
                penalty = rise * self._penalty(values, self.canvas.images(values))
                slopes -= backpropagate(penalty, values)
            move, moments = adam_step(moments, slopes, step + 1, self.learning_rate)
            return step + 1, values + move, moments, history.write(step, scores)

        rise = self._possible_rise(score, values)
        history = tf.TensorArray(tf.float32, self.steps, element_shape=values.shape[:1])
        state = (tf.constant(0), values, Moments.none(values), history)
        _, values, _, history = tf.while_loop(
            lambda step, *_: step < self.steps, advanced, state, parallel_iterations=1
        )
        images = self.canvas.images(values)
        forward = self.network.forward(self._shaped(images))
        shares = probabilities(forward)
        if self.network.layer is not None or shares.shape.rank != 2:
            shares = tf.zeros((tf.shape(images)[0], 0))
        found = target_scores(forward.logits, aim), shares, tf.transpose(history.stack())
        return self._shaped(images), *found

    @property
    def _shifts(self) -> tuple[int, ...]:
        return (self.jitter,) * len(self.layout.sizes) if self.jitter else ()

    def _rising(self, score: Callable[[Tensor], Tensor], values: Tensor) -> tuple[Tensor, Tensor]:
        """Scores and their gradients; of a unit that is off, the direction in which it turns on.

        A rectified unit that is off has no gradient. Its own is then taken as if rectifiers handed all on.
        """
        scores = score(values)
        check_steps(self.network.model, values, scores)
        slopes = backpropagate(scores, values)
        operations = operations_between(values, scores)
        if not any(operation.type in _RECTIFIERS for operation in operations):
            return scores, slopes
        axes = list(range(1, values.shape.rank))
        off = tf.reduce_all(tf.equal(slopes, 0), axis=axes, keepdims=True)

        def redirected() -> Tensor:
            given = tf.identity(values)  # a branch is a graph of its own, with its own pass
            return backpropagate(score(given), given, dict.fromkeys(_RECTIFIERS, straight))

        found = tf.cond(tf.reduce_any(off), redirected, lambda: slopes)
        return scores, tf.where(off, found, slopes)

    def _possible_rise(self, score: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
        """By how much scores could rise from their start, to first order, within the range of pixels."""
        _, slopes = self._rising(score, self.canvas.images(values))
        axes = list(range(1, slopes.shape.rank))
        return tf.stop_gradient(self._span * tf.reduce_sum(tf.abs(slopes), axis=axes))

    @property
    def _span(self) -> float:
        low, high = self.value_range or (0.0, 1.0)
        return high - low

    def _shaped(self, images: Tensor) -> Tensor:
        return tf.reshape(images, (-1, *self.layout.shape))

    @property
    def _has_penalty(self) -> bool:
        return bool(self.l2 or self.total_variation)

    def _penalty(self, values: Tensor, images: Tensor) -> Tensor:
        images = images / self._span
        kept = self.canvas.kept_small(values, images)
        axes = list(range(1, kept.shape.rank))
        penalty = self.l2 * tf.reduce_mean(tf.square(kept), axis=axes)
        pixels = float(np.prod(images.shape[1:]))
        return penalty + self.total_variation * total_variation(images) / pixels


def _checked_range(value_range: Any) -> tuple[float, float] | None:
    if value_range is None:
        return None
    if np.shape(value_range) != (2,):
        raise ValueError(
            f"`value_range` must be the least and the largest value, or None. Received: {value_range!r}."
        )
    low, high = (checked_number(value, "value_range") for value in value_range)
    if not low < high:
        raise ValueError(f"`value_range` must be increasing. Received: {value_range}.")
    return low, high


def _checked_latent(generator: Any, shape: tuple[int, ...]) -> int:
    """Entries of a generator's code."""
    if not isinstance(generator, keras.Model):
        raise TypeError(f"`generator` must be a Keras model. Received: {type(generator).__name__}.")
    given, made = generator.input_shape, generator.output_shape
    if isinstance(given, list | dict) or len(given) != 2 or given[1] is None:
        raise ValueError(f"`generator` must take codes (batch, latent). It takes: {given}.")
    if isinstance(made, list | dict) or tuple(made[1:]) != shape:
        raise ValueError(
            f"`generator` must make what the model takes, shape {shape}. It makes: {made}."
        )
    return int(given[1])
