"""What is measured at every point: Keras losses, a value for each sample, and metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from ...checks import quoted

Tensor = Any


class _EachSample(keras.losses.Loss):
    """A loss without its reduction; the caller's own, of which a copy would be a stored one, keeps it."""

    def __init__(self, given: Callable[..., Any]) -> None:
        name = given.name if isinstance(given, keras.losses.Loss) else _name_of(given)
        super().__init__(name=name, reduction="none", dtype=getattr(given, "dtype", None))
        self.given = given

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns one value for each sample, or position."""
        if isinstance(self.given, keras.losses.Loss):
            return self.given.call(y_true, y_pred)
        if len(y_true.shape) == len(y_pred.shape) - 1 and y_pred.shape[-1] == 1:  # as Keras does
            y_true = keras.ops.expand_dims(y_true, -1)
        return self.given(y_true, y_pred)


@dataclass(frozen=True, eq=False)
class Criterion:
    """The loss of one output: its weight in the total, and by what a sum over samples is divided."""

    loss: _EachSample
    weight: float
    divide_by_weights: bool

    @classmethod
    def of(cls, loss: Any, weight: float, y: Any, predicted: Any) -> Criterion:
        """Takes a loss as `compile` takes it."""
        if isinstance(loss, str) and loss.lower() in ("crossentropy", "ce"):
            loss = _by_kind(y, predicted, "{}_crossentropy")
        loss = keras.losses.get(loss)
        by_weights = getattr(loss, "reduction", None) == "mean_with_sample_weight"
        return cls(_EachSample(loss), float(weight), by_weights)

    def sums(
        self, y: Tensor, predicted: Tensor, kept: Tensor, sample_weight: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Returns the sum of the loss over a batch, and what the mean divides it by.

        Args:
            y: What was to be predicted.
            predicted: What the model says.
            kept: 1 for each sample that counts and 0 for others, float32 `(batch,)`.
            sample_weight: Weights of the samples, or of their positions, float32.
        """
        values = tf.cast(self.loss(y, predicted), tf.float32)
        if values.shape.rank == 0:
            raise ValueError(
                f"The loss {self.loss.name!r} must give one value for each sample. Received: one for the "
                "whole batch. Leave the mean over samples to Keras."
            )
        counted = like(kept, values) * tf.ones_like(values)
        mask = getattr(predicted, "_keras_mask", None)  # Keras has applied it to the values
        if mask is not None:
            counted *= tf.cast(like(mask, values), tf.float32)
        weights = counted * like(sample_weight, values)
        # A sample that does not count may well be infinite.
        total = tf.reduce_sum(tf.math.multiply_no_nan(values, weights))
        return total, tf.reduce_sum(weights if self.divide_by_weights else counted)


def criteria_for(
    model: keras.Model, loss: Any, loss_weights: Any, y: Sequence[Any], predicted: Any
) -> list[Criterion]:
    """Returns the loss of each output, those that a model was compiled with where none is given.

    Raises:
        ValueError: If none is given and the model was not compiled with one, or their number does not fit.
    """
    if loss is None:
        loss = getattr(model, "loss", None) if model.compiled else None
        if loss is None:
            raise ValueError(
                f"{model.name!r} is not compiled with a loss. Pass one: loss='mse', for instance."
            )
        # Keras's own face of it, `get_compile_config`, writes everything out as JSON and may not be able to.
        compiled = getattr(model, "_compile_config", None)
        loss_weights = None if compiled is None else compiled.config.get("loss_weights")
    outputs = tf.nest.flatten(predicted)
    losses = by_output(model, loss, predicted, "loss")
    weights = by_output(
        model, 1.0 if loss_weights is None else loss_weights, predicted, "loss_weights"
    )
    found = [
        None if one is None else Criterion.of(one, weight, target, output)
        for one, weight, target, output in zip(losses, weights, y, outputs, strict=True)
    ]
    if None in found:
        raise ValueError("Every output must have a loss. Received None for one of them.")
    return [criterion for criterion in found if criterion is not None]


def metrics_for(
    model: keras.Model, metrics: Iterable[Any], y: Sequence[Any], predicted: Any
) -> list[keras.metrics.Metric]:
    """Returns metrics of our own, built, from names, functions or the caller's metrics.

    Raises:
        ValueError: If there are some, and the model has several outputs.
    """
    if isinstance(metrics, str) or not isinstance(metrics, Iterable):
        raise TypeError(f"`metrics` must be a list, such as ['accuracy']. Received: {metrics!r}.")
    metrics = list(metrics)
    if not metrics:
        return []
    outputs = tf.nest.flatten(predicted)
    if len(outputs) > 1:
        raise ValueError(
            f"`metrics` are for models of one output. {model.name!r} has {len(outputs)}."
        )
    made = [_own_metric(metric, y[0], outputs[0]) for metric in metrics]
    for metric in made:
        metric.update_state(y[0], outputs[0])  # some make their variables here
        if len(metric.result().shape):
            raise ValueError(
                f"A metric must give one number. {metric.name!r} gives shape {metric.result().shape}."
            )
        metric.reset_state()
    return made


def by_output(model: keras.Model, given: Any, predicted: Any, name: str) -> list[Any]:
    """Returns what is given for each output in the order in which TensorFlow flattens them.

    Args:
        model: The model, for the outputs' names.
        given: One for all, a list, or a dict by output.
        predicted: What the model gives.
        name: What the caller calls the argument.

    Raises:
        ValueError: If the number or the names are others than those of the outputs.
    """
    outputs = tf.nest.flatten(predicted)
    if isinstance(given, Mapping):
        names = sorted(predicted) if isinstance(predicted, Mapping) else list(model.output_names)
        if set(names) != set(given):
            raise ValueError(
                f"`{name}` must name the outputs {quoted(names)}. Received: {quoted(given)}."
            )
        return [given[key] for key in names]
    if isinstance(given, list | tuple):
        if len(given) != len(outputs):
            raise ValueError(
                f"`{name}` must have one entry for each of {len(outputs)} outputs. Received: {len(given)}."
            )
        return list(given)
    return [given] * len(outputs)


def _own_metric(metric: Any, y: Any, predicted: Any) -> keras.metrics.Metric:
    is_accuracy = isinstance(metric, str) and metric.lower() in ("accuracy", "acc")
    found = keras.metrics.get(_by_kind(y, predicted, "{}_accuracy") if is_accuracy else metric)
    if isinstance(found, keras.metrics.Metric):
        made = type(found).from_config(found.get_config())
    else:
        made = keras.metrics.MeanMetricWrapper(found, name=_name_of(found))
    if isinstance(metric, str):
        made.name = metric
    return made


def _by_kind(y: Any, predicted: Any, name: str) -> str:
    """A name with the kind of labels, as Keras tells them apart."""
    if predicted.shape[-1] == 1:
        return name.format("binary")
    is_sparse = len(y.shape) < len(predicted.shape) or y.shape[-1] == 1
    return name.format("sparse_categorical" if is_sparse else "categorical")


def _name_of(function: Any) -> str:
    """A function's name, as TensorFlow allows names."""
    return str(getattr(function, "__name__", "loss")).strip("<>_")


def like(weights: Tensor, values: Tensor) -> Tensor:
    """Adds axes, or takes off one of a single entry, until weights fit values."""
    while weights.shape.rank > values.shape.rank and weights.shape[-1] == 1:
        weights = tf.squeeze(weights, -1)
    for _ in range(values.shape.rank - weights.shape.rank):
        weights = tf.expand_dims(weights, -1)
    return weights
