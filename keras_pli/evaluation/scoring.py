"""What evaluations share: the scores of many inputs by one compiled function, and maps over positions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from ..attribution import Attribution, Method
from ..attribution.attribution import PositionAttribution
from ..checks import finite_array, one_of
from ..network.forward import Network, probabilities
from ..network.inputs import GivenTarget, check_classes, checked_inputs
from ..network.runner import batch_spec
from ..network.targets import (
    Region,
    Spot,
    held_target,
    rows_of,
    target_scores,
    target_spec,
)

Tensor = Any
Array = NDArray[Any]
Score: TypeAlias = Literal["logits", "probabilities"]
# int32 classes, one for each sample; the same at a place of each; or a callable on the values of all classes.
Aim: TypeAlias = "NDArray[np.int32] | Region | Spot | Callable[[Tensor], Tensor]"


class Scorer:
    """The scores that a model gives to targets, for any number of inputs.

    Every measure of faithfulness makes one from the model it receives. Handed the same scorer, several
    measures do not trace the model again.

    Args:
        model: A built Keras model with one input, or an attribution method, whose `layer`, `output` and
            `score` then hold.
        batch_size: Inputs that run through the model at a time. It changes no sample's score beyond rounding.

    Raises:
        ValueError: If the model is not built, or the size is not a whole number from 1.
        TypeError: If `model` is neither.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
        >>> Scorer(model)(np.ones((5, 4)), target=2, score="probabilities").shape
        (5,)
    """

    def __init__(self, model: keras.Model | Method, *, batch_size: int = 128) -> None:
        method = model if isinstance(model, Method) else Method(model)
        # What the method has traced is kept, so that measuring it again does not trace again.
        self.method = method.running_on(method.runner.sized(batch_size))

    @property
    def model(self) -> keras.Model:
        """The model that scores."""
        return self.method.network.model

    def inputs(self, x: ArrayLike) -> NDArray[np.float32]:
        """Returns checked inputs.

        Raises:
            ValueError: If the model takes several inputs, a shape does not fit, or a value is not finite.
        """
        return single_input(x, self.model)

    def aim(self, x: NDArray[np.float32], target: GivenTarget) -> Aim:
        """Returns a target with None replaced by the classes predicted for `x`.

        Raises:
            ValueError: If a class or place does not exist.
        """
        found: Any = self.method.aim(x, target)
        if found is None:
            return self.predicted(x)
        if isinstance(found, Region | Spot):
            return found._replace(classes=self._held(x, found))
        if not callable(found):
            check_classes(found, self.method.classes(x), self.model)
        return found

    def predicted(self, x: NDArray[np.float32]) -> NDArray[np.int32]:
        """Returns the class of the largest logit of each of some checked inputs."""
        function = self.method.scoring(x)
        return self.method.runner.over(lambda rows: function(tf.constant(rows))[1], [x])

    def __call__(
        self, x: ArrayLike, target: GivenTarget = None, *, score: Score = "logits"
    ) -> NDArray[np.float32]:
        """Returns the score of each input's target, `(samples,)`.

        Args:
            x: Inputs `(samples, ...)`.
            target: As in `Method`: a class, one class for each input, a callable, or None for the predicted
                class. A callable receives what `score` names.
            score: `"logits"` for what a final softmax or sigmoid receives, or `"probabilities"`. Of a method
                with `score="output"`, both are the output. Both are summed over the positions of an output
                that has some, as far as the target names no place.

        Raises:
            ValueError: If a shape does not fit, a class does not exist, or there is no probability.
        """
        images = self.inputs(x)
        return self.scores(images, self.aim(images, target), score)

    def scores(self, x: NDArray[np.float32], aim: Aim, score: Score) -> NDArray[np.float32]:
        """Returns the scores of checked inputs and targets (see `inputs` and `aim`)."""
        one_of(score, ("logits", "probabilities"), "score")
        function = self._function(x, score, aim)
        given = [x] if callable(aim) else [x, aim]
        return self.method.runner.over(_on_arrays(function), given)

    def variants(
        self,
        make: Callable[[Array, Array], Array],
        shape: tuple[int, int],
        aim: Aim,
        score: Score,
        *,
        verbose: int = 0,
    ) -> NDArray[np.float64]:
        """Returns the scores of several variants of each sample, made as they are needed.

        Args:
            make: From the numbers of samples and of variants, each `(batch,)`, to float32 inputs.
            shape: The number of samples, and of variants of each.
            aim: As `aim` gives it.
            score: As in the call.
            verbose: 1 draws a progress bar.

        Returns:
            float64 array of `shape`.
        """
        numbers = np.divmod(np.arange(shape[0] * shape[1]), shape[1])

        def scored(samples: Array, variants: Array) -> Array:
            found = self.scores(make(samples, variants), rows_of(aim, samples), score)
            return found.astype(np.float64)

        return self.method.runner.over(scored, numbers, verbose=verbose).reshape(shape)

    def _held(self, x: Array, aim: Region | Spot) -> NDArray[np.int32]:
        """The classes of a target at a place, with the ones predicted there where none are named."""

        def function(inputs: Tensor, target: Region | Spot) -> Tensor:
            return held_target(self.method.network.forward(inputs).logits, target).classes

        signature = [batch_spec(x), target_spec(aim)]
        held = self.method.runner.traced(function, signature, "held")
        return self.method.runner.over(_on_arrays(held), [x, aim])

    def _function(self, x: Array, score: str, aim: Aim) -> Any:
        """The concrete function of inputs like `x`, and of targets like these where they are no callable."""

        def function(inputs: Tensor, *given: Any) -> Tensor:
            return target_scores(_values(self.method.network, inputs, score), *(given or (aim,)))

        signature = [batch_spec(x)]
        if not callable(aim):
            signature.append(target_spec(aim))
        key = aim if callable(aim) else None
        return self.method.runner.traced(function, signature, ("score", score, key))


def as_scorer(model: keras.Model | Method | Scorer) -> Scorer:
    """Returns a scorer as it is, or one of a model or method."""
    return model if isinstance(model, Scorer) else Scorer(model)


def single_input(x: ArrayLike, model: keras.Model) -> NDArray[np.float32]:
    """Returns the checked inputs of a model that takes one array.

    Raises:
        ValueError: If it takes several, a shape does not fit, or a value is not finite.
    """
    images = checked_inputs(x, model)
    if not isinstance(images, np.ndarray):
        raise ValueError(
            f"Evaluations take a single array of inputs. Received: {type(images).__name__} of "
            f"{len(images)}. Evaluate a model of one input, with the others held fixed inside."
        )
    return images


def position_maps(
    attributions: ArrayLike | Attribution, x: Array, name: str = "attributions"
) -> NDArray[np.float64]:
    """Returns one value for each position, channels summed, as float64 `(samples, *positions)`.

    Of vectors, `(samples, features)`, the features are the positions; else the last axis holds channels. What
    a method found that hides whole positions, and gives each channel the same value, is taken once.

    Args:
        attributions: An `Attribution`, or its array: shaped like `x`, or without the channels as class
            activation maps are.
        x: The explained inputs.
        name: What errors call the attributions.

    Raises:
        ValueError: If the shape is another, or a value is not finite.

    Example:
        >>> position_maps(np.ones((2, 8, 8, 3)), np.ones((2, 8, 8, 3))).shape
        (2, 8, 8)
    """
    given = attributions.attributions if isinstance(attributions, Attribution) else attributions
    maps = finite_array(given, name).astype(np.float64)
    positions = x.shape if x.ndim == 2 else x.shape[:-1]
    if maps.shape == positions:
        return maps
    if maps.shape == x.shape or maps.shape == (*positions, 1):
        repeated = isinstance(attributions, PositionAttribution)
        return maps[..., 0] if repeated else maps.sum(axis=-1)
    raise ValueError(
        f"`{name}` must be shaped like the inputs, {x.shape}, or without their channels, {positions}. "
        f"Received shape {maps.shape}."
    )


def over_channels(values: Array, x: Array) -> Array:
    """Gives values at positions an axis to broadcast over the channels of `x`, where it has some."""
    return values if x.ndim == 2 else values[..., None]


def _on_arrays(function: Any) -> Callable[..., Any]:
    return lambda *given: function(*tf.nest.map_structure(tf.constant, given))


def _values(network: Network, inputs: Tensor, score: str) -> Tensor:
    forward = network.forward(inputs)
    if score == "logits" or network.score != "logits":
        return forward.logits
    if network.layer is not None and forward.squashing is None:
        raise ValueError(
            f"Layer {network.layer!r} has no probabilities. Pass score='logits' to score its units."
        )
    return probabilities(forward)
