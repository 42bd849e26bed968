"""Metrics of our own beside the loss, weighted or not, in states that are handed in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import keras
import tensorflow as tf

from .criteria import by_kind, like, name_of

Tensor = Any


class Metrics:
    """Metrics of a model of one output: those that leave weights of samples aside, then those that do not.

    Args:
        model: The model.
        metrics: Names, functions or Keras metrics; no weights count.
        weighted_metrics: Likewise, weighted.
        y: What was to be predicted for a first batch, for each output.
        predicted: What the model gives for it.

    Raises:
        ValueError: If there are some, and the model has several outputs, or one gives no number.
        TypeError: If they are not listed.
    """

    def __init__(
        self,
        model: keras.Model,
        metrics: Iterable[Any],
        weighted_metrics: Iterable[Any],
        y: Sequence[Any],
        predicted: Any,
    ) -> None:
        asked = {"metrics": metrics, "weighted_metrics": weighted_metrics}
        made = [metrics_for(model, given, y, predicted, name) for name, given in asked.items()]
        self.all, self._unweighted = made[0] + made[1], len(made[0])

    @property
    def settings(self) -> list[Any]:
        """What the results depend on."""
        return [self.all, self._unweighted]

    def start(self) -> list[list[Tensor]]:
        """Returns the states before the first batch."""
        return [[tf.identity(v.value) for v in metric.variables] for metric in self.all]

    def updated(
        self, states: Sequence[Any], y: Tensor, predicted: Tensor, kept: Tensor, weights: Tensor
    ) -> list[list[Tensor]]:
        """Returns the states after a batch.

        Args:
            states: Those before it.
            y: What was to be predicted.
            predicted: What the model says.
            kept: 1 for each sample that counts and 0 for others, float32 `(batch,)`.
            weights: Weights of the samples, or of their positions, float32.
        """
        mask = getattr(predicted, "_keras_mask", None)
        if mask is not None:
            # Keras multiplies weights by a mask without fitting their axes.
            kept, weights = like(kept, mask), like(weights, mask)
        weighted = weights * like(kept, weights)
        updated = [
            metric.stateless_update_state(
                state, y, predicted, sample_weight=kept if place < self._unweighted else weighted
            )
            for place, (metric, state) in enumerate(zip(self.all, states, strict=True))
        ]
        return [list(state) for state in updated]

    def results(self, states: Sequence[Any]) -> Tensor:
        """Returns the metrics, float64 `(metrics,)`."""
        results = [
            tf.cast(metric.stateless_result(state), tf.float64)
            for metric, state in zip(self.all, states, strict=True)
        ]
        return tf.stack(results) if results else tf.zeros(0, tf.float64)


def metrics_for(
    model: keras.Model, metrics: Iterable[Any], y: Sequence[Any], predicted: Any, name: str
) -> list[keras.metrics.Metric]:
    """Returns metrics of our own, built, from names, functions or the caller's metrics.

    Raises:
        ValueError: If there are some, and the model has several outputs.
    """
    if isinstance(metrics, str) or not isinstance(metrics, Iterable):
        raise TypeError(f"`{name}` must be a list, such as ['accuracy']. Received: {metrics!r}.")
    metrics = list(metrics)
    if not metrics:
        return []
    outputs = tf.nest.flatten(predicted)
    if len(outputs) > 1:
        raise ValueError(
            f"`{name}` are for models of one output. {model.name!r} has {len(outputs)}."
        )
    made = [_own(metric, y[0], outputs[0]) for metric in metrics]
    for metric in made:
        metric.update_state(y[0], outputs[0])  # some make their variables here
        if len(metric.result().shape):
            raise ValueError(
                f"A metric must give one number. {metric.name!r} gives shape {metric.result().shape}."
            )
        metric.reset_state()
    return made


def _own(metric: Any, y: Any, predicted: Any) -> keras.metrics.Metric:
    is_accuracy = isinstance(metric, str) and metric.lower() in ("accuracy", "acc")
    found = keras.metrics.get(by_kind(y, predicted, "{}_accuracy") if is_accuracy else metric)
    if isinstance(found, keras.metrics.Metric):
        made = type(found).from_config(found.get_config())
    else:
        made = keras.metrics.MeanMetricWrapper(found, name=name_of(found))
    if isinstance(metric, str):
        made.name = metric
    return made
