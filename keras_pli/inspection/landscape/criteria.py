"""What is measured at every point: Keras losses, a value for each sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ...checks import quoted

Tensor = Any


class _EachSample(keras.losses.Loss):
    """A loss without its reduction; the caller's own, of which a copy would be a stored one, keeps it."""

    def __init__(self, given: Callable[..., Any]) -> None:
        name = given.name if isinstance(given, keras.losses.Loss) else name_of(given)
        super().__init__(name=name, reduction="none", dtype=getattr(given, "dtype", None))
        self.given = given

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns one value for each sample, or position."""
        if isinstance(self.given, keras.losses.Loss):
            return self.given.call(y_true, y_pred)
        if len(y_true.shape) == len(y_pred.shape) - 1 and y_pred.shape[-1] == 1:  # as Keras does
            y_true = keras.ops.expand_dims(y_true, -1)
        return self.given(y_true, y_pred)

    def values(self, y_true: Any, y_pred: Any) -> tuple[Tensor, list[Tensor]]:
        """Returns a value for each sample or position, float32, and masks of those that count."""
        mask = getattr(y_pred, "_keras_mask", None)
        y_true, y_pred = (keras.ops.convert_to_tensor(one, self.dtype) for one in (y_true, y_pred))
        found = keras.ops.convert_to_tensor(self.call(y_true, y_pred), self.dtype)
        # A loss that ignores a class says so by a mask of its own.
        masks = [one for one in (mask, getattr(found, "_keras_mask", None)) if one is not None]
        return tf.cast(found, tf.float32), masks


@dataclass(frozen=True, eq=False)
class Criterion:
    """The loss of one output.

    Attributes:
        loss: A value for each sample or position.
        weight: Its weight in the total.
        output: The place of the output among all.
        reduction: Keras's name of how a batch's values become one.
    """

    loss: _EachSample
    weight: float
    output: int
    reduction: str | None

    @classmethod
    def of(cls, loss: Any, weight: Any, output: int, y: Any, predicted: Any) -> Criterion:
        """Takes a loss as `compile` takes it.

        Raises:
            ValueError: If samples of a batch are compared with each other.
        """
        if isinstance(loss, str) and loss.lower() in ("crossentropy", "ce"):
            loss = by_kind(y, predicted, "{}_crossentropy")
        loss = keras.losses.get(loss)
        if getattr(loss, "__name__", type(loss).__name__).lower() == "circle":
            raise ValueError(
                "The loss 'circle' compares the samples of a batch with each other, so it is no mean over "
                "samples. Pass a loss that has one value for each."
            )
        given = getattr(loss, "reduction", "sum_over_batch_size")
        reduction = None if given == "none" else given
        return cls(_EachSample(loss), float(1.0 if weight is None else weight), output, reduction)

    @property
    def is_sum(self) -> bool:
        """Whether the values are added up and divided by nothing."""
        return self.reduction == "sum"

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
        values, masks = self.loss.values(y, predicted)
        ones = tf.ones_like(values)
        counted = shown = like(kept, values) * ones
        for mask in masks:
            shown *= tf.cast(like(mask, values), tf.float32)
        weights = like(sample_weight, values)
        # A sample that does not count may well be infinite.
        total = tf.reduce_sum(tf.math.multiply_no_nan(values, shown * weights))
        if self.reduction == "mean_with_sample_weight":
            # Keras adds weights up as they come: one of a sample counts once, whatever its positions are,
            # unless a mask has spread it over them.
            spread = masks or sample_weight.shape.rank < values.shape.rank
            divisor = shown * weights if spread else like(kept, weights) * weights
        else:
            # Without a reduction, Keras's mean counts also what is hidden.
            divisor = counted if self.reduction is None else shown
        return total, tf.reduce_sum(divisor)

    def check(self, y: Any, predicted: Any) -> None:
        """Tries the loss at the door, where an error can still quote the caller's labels.

        Args:
            y: What was to be predicted, all of it.
            predicted: What the model gives for a first batch.

        Raises:
            ValueError: If labels do not fit the output, or there is not a value for each sample.
        """
        check_classes(self.loss, y, predicted)
        # As many samples as no other axis has entries: Keras would broadcast one along it.
        taken = {*predicted.shape, *y.shape[1:]}
        count = next(n for n in range(2, len(taken) + 3) if n not in taken)
        output = tf.repeat(predicted[:1], count, axis=0)
        try:
            values, _ = self.loss.values(np.resize(y[:1], (count, *y.shape[1:])), output)
        except (ValueError, TypeError, tf.errors.InvalidArgumentError) as error:
            shape = len(y), *predicted.shape[1:]
            reason = str(error).strip().partition("\n")[0]
            raise ValueError(
                f"The loss {self.loss.name!r} does not take `y` of shape {y.shape} with an output of "
                f"shape {tuple(shape)}: {reason:.200}"
            ) from error
        if values.shape.rank == 0 or values.shape[0] != count:
            what = "one for the whole batch" if values.shape.rank == 0 else f"shape {values.shape}"
            raise ValueError(
                f"The loss {self.loss.name!r} must give one value for each sample. Received: {what}. "
                "Leave the mean over samples to Keras."
            )


def check_classes(loss: _EachSample, y: Any, predicted: Any) -> None:
    """Raises a `ValueError` if labels of a sparse cross-entropy are no classes; the first few are quoted."""
    given = loss.given
    is_sparse = isinstance(given, keras.losses.SparseCategoricalCrossentropy)
    if not is_sparse and given is not keras.losses.sparse_categorical_crossentropy:
        return
    settings = {**getattr(given, "_fn_kwargs", {})}
    classes = predicted.shape[settings.get("axis", -1)]
    labels = np.unique(np.asarray(y))
    ignored = settings.get("ignore_class")
    if ignored is not None:
        labels = labels[labels != ignored]
    wrong = labels[~((labels >= 0) & (labels < classes))]
    if len(wrong):
        raise ValueError(
            f"`y` must hold classes from 0 to {classes - 1}, as the model's output has shape "
            f"{(len(y), *predicted.shape[1:])}. Received: {quoted(wrong.tolist())}."
        )


def losses_for(
    model: keras.Model, loss: Any, loss_weights: Any, predicted: Any
) -> tuple[list[Any], list[Any]]:
    """Returns the loss and its weight for each output, those a model was compiled with where none is given.

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
    losses = by_output(model, loss, predicted, "loss", may_lack=True)
    if all(one is None for one in losses):
        raise ValueError(f"At least one output must have a loss. Received: {loss!r}.")
    weights = 1.0 if loss_weights is None else loss_weights
    return losses, by_output(model, weights, predicted, "loss_weights", may_lack=True)


def criteria_for(
    losses: Sequence[Any], weights: Sequence[Any], y: Sequence[Any], predicted: Any
) -> list[Criterion]:
    """Returns what is measured at each output that has a loss, once it is tried.

    Raises:
        ValueError: If labels do not fit an output.
    """
    outputs = tf.nest.flatten(predicted)
    found = [
        Criterion.of(loss, weights[place], place, y[place], outputs[place])
        for place, loss in enumerate(losses)
        if loss is not None
    ]
    for one in found:
        one.check(y[one.output], outputs[one.output])
    return found


def by_output(
    model: keras.Model, given: Any, predicted: Any, name: str, *, may_lack: bool = False
) -> list[Any]:
    """Returns what is given for each output in the order in which TensorFlow flattens them.

    Args:
        model: The model, for the outputs' names.
        given: One for all, a list, or a dict by output.
        predicted: What the model gives.
        name: What the caller calls the argument.
        may_lack: Whether a dict may leave outputs out, for which there is then None.

    Raises:
        ValueError: If the number or the names are others than those of the outputs.
    """
    outputs = tf.nest.flatten(predicted)
    if isinstance(given, Mapping):
        names = sorted(predicted) if isinstance(predicted, Mapping) else list(model.output_names)
        fits = given and set(given) <= set(names) if may_lack else set(names) == set(given)
        if not fits:
            raise ValueError(
                f"`{name}` must name the outputs {quoted(names)}. Received: {quoted(given)}."
            )
        return [given.get(key) for key in names]
    if isinstance(given, list | tuple):
        if len(given) != len(outputs):
            raise ValueError(
                f"`{name}` must have one entry for each of {len(outputs)} outputs. Received: {len(given)}."
            )
        return list(given)
    return [given] * len(outputs)


def by_kind(y: Any, predicted: Any, name: str) -> str:
    """Returns a name with the kind of labels, as Keras tells them apart."""
    if predicted.shape[-1] == 1:
        return name.format("binary")
    is_sparse = len(y.shape) < len(predicted.shape) or y.shape[-1] == 1
    return name.format("sparse_categorical" if is_sparse else "categorical")


def name_of(function: Any) -> str:
    """Returns a function's name, as TensorFlow allows names."""
    return str(getattr(function, "__name__", "loss")).strip("<>_")


def like(weights: Tensor, values: Tensor) -> Tensor:
    """Adds axes, or takes off one of a single entry, until weights fit values."""
    while weights.shape.rank > values.shape.rank and weights.shape[-1] == 1:
        weights = tf.squeeze(weights, -1)
    for _ in range(values.shape.rank - weights.shape.rank):
        weights = tf.expand_dims(weights, -1)
    return weights
