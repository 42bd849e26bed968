"""The mean loss over data as a function of a model's weights, which are handed in and never assigned."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from ...checks import check_options
from ...identity import model_identity, value_identity
from ...network.inputs import checked_inputs, fixed_batch, of_fixed_batch
from ...network.runner import Runner
from ...parts import digest
from .batches import checked_sample_weights, checked_targets, in_batches
from .criteria import criteria_for, losses_for
from .directions import trainable_variables
from .flat_weights import FlatWeights
from .metrics import Metrics

Tensor = Any


class DataLoss(FlatWeights):
    """The mean loss of a model over data, as a function of its weights.

    Weights are one vector: those of `variables`, one after another. They are put in place of the model's own
    within a compiled function (`keras.StatelessScope`), so that the model itself is never written to. It runs
    in inference mode: no dropout, and batch normalisation by its moving statistics, which stay as they are.

    The mean is the one that `evaluate` gives for all data in one batch, whatever `batch_size` is: the sum of
    the weighted losses over the number of samples (of positions that no mask hides, nor a class that the loss
    ignores); over the sum of the weights, or over nothing, where a loss's reduction is
    "mean_with_sample_weight" or "sum".

    Args:
        model: A Keras model with its weights.
        x: Inputs, `(samples, ...)`, or a structure of them.
        y: What was to be predicted, samples first; of several outputs a list or dict.
        loss: A Keras loss, its name, a function of `(y_true, y_pred)`, or, of several outputs, a list or
            dict, with None for those that have none; None for what the model was compiled with.
        loss_weights: Weights of several outputs' losses.
        metrics: Names such as "accuracy", functions or Keras metrics, for a model of one output. They leave
            `sample_weight` aside, as those of `compile` do.
        weighted_metrics: Likewise, weighted by `sample_weight`.
        sample_weight: `(samples,)`, or with positions, or None; of several outputs also a list or dict.
        regularization: Whether the regularizers' penalties on weights are added; those on activations, and
            what layers add by `add_loss`, never are.
        batch_size: Most samples at a time.
        jit_compile: Whether XLA compiles; `"auto"` does so where there is a GPU.
        variables: The variables that the weights are; None for the trainable ones.

    Raises:
        ValueError: If data, loss and model do not fit, or there are no weights.
        TypeError: If `model` is not a Keras model, or data are not numbers.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
        >>> loss = DataLoss(model, np.eye(2), np.zeros((2, 1)), loss="mse")
        >>> loss([3.0, 1.0])[0]
        5.0
    """

    def __init__(
        self,
        model: keras.Model,
        x: Any,
        y: Any,
        *,
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Iterable[Any] = (),
        weighted_metrics: Iterable[Any] = (),
        sample_weight: Any = None,
        regularization: bool = False,
        batch_size: int = 256,
        jit_compile: bool | Literal["auto"] = "auto",
        variables: Sequence[Any] | None = None,
    ) -> None:
        super().__init__(model, trainable_variables(model) if variables is None else variables)
        self.regularization = regularization
        self._runner = Runner([model], batch_size=batch_size, jit_compile=jit_compile)
        x = checked_inputs(x, model)
        self.samples = len(tf.nest.flatten(x)[0])
        first = np.resize(np.arange(self.samples), fixed_batch(model) or 1)
        predicted = self._predicted(tf.nest.map_structure(lambda array: array[first], x))
        losses, scales = losses_for(model, loss, loss_weights, predicted)
        has_loss = [one is not None for one in losses]
        targets = checked_targets(model, y, predicted, self.samples, has_loss)
        self._criteria = criteria_for(losses, scales, targets, predicted)
        labels = [one[first] for one in targets]
        self._metrics = Metrics(model, metrics, weighted_metrics, labels, predicted)
        weights = checked_sample_weights(model, sample_weight, predicted, self.samples)
        self._depends_on = {
            "data": digest(*tf.nest.flatten(x), *targets, *weights),
            "measured": value_identity(
                [[c.loss.given for c in self._criteria], *self._metrics.settings]
            ),
            "loss_weights": [criterion.weight for criterion in self._criteria],
            "regularization": bool(regularization),
        }
        self._data = in_batches([x, targets, weights], self._runner.batch_size, fixed_batch(model))
        self._start: tuple[float, Tensor] | None = None

    @property
    def metric_names(self) -> list[str]:
        """What the metrics are called, in their order."""
        return [metric.name for metric in self._metrics.all]

    def check_finite(self) -> None:
        """Raises a `ValueError` if the loss where the model is, is not finite: it has no curvature there."""
        loss, _ = self._at_start()
        if not np.isfinite(loss):
            raise ValueError(
                f"The loss of {self.model.name!r} is {loss} where it is, so there is no curvature. Look for "
                "NaN in `x` and `y`, or for a training that diverged."
            )

    def identity(self) -> dict[str, Any]:
        """Returns what the loss depends on, in a form for JSON."""
        return {**model_identity(self.model), **self._depends_on}

    def __call__(self, weights: ArrayLike) -> tuple[float, NDArray[np.float64]]:
        """Returns the mean loss and the metrics at some weights."""
        return self.at([weights])([1.0])

    def at(
        self, vectors: Sequence[ArrayLike]
    ) -> Callable[[ArrayLike], tuple[float, NDArray[np.float64]]]:
        """Returns a function of coefficients: loss and metrics where the weights are that sum of vectors."""
        stack = tf.constant(np.stack([np.asarray(one, self.dtype) for one in vectors]))
        run = self._traced(self._measured, [stack, tf.zeros(len(vectors), stack.dtype)], "measured")

        def measured(coefficients: ArrayLike) -> tuple[float, NDArray[np.float64]]:
            loss, metrics, _ = run(stack, tf.constant(coefficients, stack.dtype), *self._flat_data)
            return float(loss), np.asarray(metrics, np.float64)

        return measured

    def gradient(self, weights: ArrayLike) -> tuple[float, NDArray[np.float64]]:
        """Returns the mean loss and its gradient by the weights."""
        given = [tf.constant(weights, self.dtype), self._divided_by()]
        run = self._traced(self._gradient, given, "gradient")
        loss, gradient = run(*given, *self._flat_data)
        return float(loss), gradient.numpy()

    def hessian_product(self, weights: ArrayLike) -> Callable[[ArrayLike], NDArray[np.float64]]:
        """Returns a function of a vector: the mean loss's Hessian at some weights, times the vector."""
        at, divisors = tf.constant(weights, self.dtype), self._divided_by()
        run = self._traced(self._product, [at, at, divisors], "product")

        def product(vector: ArrayLike) -> NDArray[np.float64]:
            given = tf.constant(np.ravel(vector), self.dtype)
            found = run(at, given, divisors, *self._flat_data).numpy()
            if not np.isfinite(found).all():
                raise ValueError(
                    f"A product with the Hessian of {self.model.name!r} is not finite, but the loss is: an "
                    "operation has no second derivative there, or one that overflows in its precision."
                )
            return found

        return product

    # Within compiled functions

    def _measured(self, stack: Tensor, coefficients: Tensor, *data: Tensor) -> Any:
        """Loss and metrics where the weights are a sum of vectors."""
        # A product of matrices would round to fewer bits on some accelerators.
        flat = tf.add_n([coefficients[i] * stack[i] for i in range(stack.shape[0])])

        def of_batch(x: Any, y: Any, kept: Tensor, weights: Any, states: Any) -> Any:
            predicted = self._predicted(x, flat)
            sums = self._sums(predicted, y, kept, weights)
            # Metrics are for models of one output.
            output = tf.nest.flatten(predicted)[0]
            updated = self._metrics.updated(states[1], y[0], output, kept, weights[0])
            return [states[0] + tf.cast(sums, tf.float64), updated]

        start = [
            tf.zeros((len(self._criteria), 2), tf.float64),
            self._metrics.start(),
        ]
        sums, states = self._over(data, of_batch, start)
        scale = tf.constant([criterion.weight for criterion in self._criteria], tf.float64)
        is_sum = tf.constant([criterion.is_sum for criterion in self._criteria])
        divisors = tf.where(is_sum, tf.ones_like(sums[:, 1]), sums[:, 1])
        loss = tf.reduce_sum(scale * tf.math.divide_no_nan(sums[:, 0], divisors))
        return (
            loss + tf.cast(self._penalty(flat), tf.float64),
            self._metrics.results(states),
            divisors,
        )

    def _gradient(self, flat: Tensor, divisors: Tensor, *data: Tensor) -> Any:
        def of(objective: Callable[[], Tensor]) -> list[Tensor]:
            with tf.GradientTape() as tape:
                tape.watch(flat)
                value = objective()
            slope = tape.gradient(value, flat, unconnected_gradients="zero")
            return [tf.cast(value, tf.float64), tf.cast(slope, tf.float64)]

        start = [tf.zeros((), tf.float64), tf.zeros(flat.shape, tf.float64)]
        return self._total(flat, divisors, data, of, start)

    def _product(self, flat: Tensor, vector: Tensor, divisors: Tensor, *data: Tensor) -> Tensor:
        def of(objective: Callable[[], Tensor]) -> list[Tensor]:
            with tf.GradientTape() as outer:
                outer.watch(flat)
                with tf.GradientTape() as inner:
                    inner.watch(flat)
                    value = objective()
                slope = inner.gradient(value, flat, unconnected_gradients="zero")
            product = outer.gradient(
                slope, flat, output_gradients=vector, unconnected_gradients="zero"
            )
            return [tf.cast(product, tf.float64)]

        return self._total(flat, divisors, data, of, [tf.zeros(flat.shape, tf.float64)])[0]

    def _total(
        self, flat: Tensor, divisors: Tensor, data: Any, of: Callable[..., Any], start: list[Tensor]
    ) -> list[Tensor]:
        """Sums what `of` gives for the objective of each batch, and once for the penalty."""
        scale = tf.constant([criterion.weight for criterion in self._criteria], tf.float64)

        def of_batch(x: Any, y: Any, kept: Tensor, weights: Any, states: Any) -> Any:
            def objective() -> Tensor:
                sums = self._sums(self._predicted(x, flat), y, kept, weights)[:, 0]
                return tf.reduce_sum(
                    sums * tf.cast(tf.math.divide_no_nan(scale, divisors), sums.dtype)
                )

            return [state + part for state, part in zip(states, of(objective), strict=True)]

        totals = self._over(data, of_batch, start)
        if not self._penalized():
            return totals
        return [a + b for a, b in zip(totals, of(lambda: self._penalty(flat)), strict=True)]

    def _over(self, data: Any, of_batch: Callable[..., Any], start: Any) -> Any:
        """Runs a function over all batches; it gets each one and what it gave for those before."""
        x, y, weights, kept = tf.nest.pack_sequence_as(self._data, list(data))

        def body(index: Tensor, states: Any) -> Any:
            batch = tf.nest.map_structure(lambda array: array[index], [x, y, kept, weights])
            return index + 1, of_batch(*batch, states)

        count = kept.shape[0]
        _, states = tf.while_loop(
            lambda index, _: index < count, body, (tf.constant(0), start), parallel_iterations=1
        )
        return states

    def _predicted(self, x: Any, flat: Tensor | None = None) -> Any:
        mapping = [] if flat is None else self.mapping(flat)
        with keras.StatelessScope(mapping):
            return self.model(
                of_fixed_batch(self.model, tf.nest.map_structure(tf.convert_to_tensor, x)),
                training=False,
            )

    def _sums(self, predicted: Any, y: Any, kept: Tensor, weights: Any) -> Tensor:
        """Sum and divisor of each loss, `(losses, 2)`."""
        outputs = tf.nest.flatten(predicted)
        places = [criterion.output for criterion in self._criteria]
        return tf.stack(
            [
                tf.stack(criterion.sums(y[i], outputs[i], kept, weights[i]))
                for criterion, i in zip(self._criteria, places, strict=True)
            ]
        )

    def _penalized(self) -> list[int]:
        if not self.regularization:
            return []
        return [
            i for i, v in enumerate(self.variables) if getattr(v, "regularizer", None) is not None
        ]

    def _penalty(self, flat: Tensor) -> Tensor:
        """The sum of the penalties on weights."""
        sizes = [int(np.prod(variable.shape)) for variable in self.variables]
        parts = tf.split(flat, sizes)
        terms = [
            self.variables[i].regularizer(tf.reshape(parts[i], self.variables[i].shape))
            for i in self._penalized()
        ]
        return (
            tf.add_n([tf.cast(term, flat.dtype) for term in terms])
            if terms
            else tf.zeros((), flat.dtype)
        )

    # Around them

    @property
    def _flat_data(self) -> list[Tensor]:
        return tf.nest.flatten(self._data)

    def _traced(self, function: Callable[..., Any], given: Sequence[Tensor], key: str) -> Any:
        tensors = [*given, *self._flat_data]
        signature = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in tensors]
        found = self._runner.traced(function, signature, key)
        self.check_handed_in(found)
        return found

    def _divided_by(self) -> Tensor:
        """By what each output's sum over the data is divided; found by one pass."""
        return self._at_start()[1]

    def _at_start(self) -> tuple[float, Tensor]:
        """The loss where the model is, and the divisors."""
        if self._start is None:
            stack = tf.constant(self.weights()[np.newaxis])
            one = tf.ones(1, stack.dtype)
            run = self._traced(self._measured, [stack, one], "measured")
            loss, _, divisors = run(stack, one, *self._flat_data)
            self._start = float(loss), divisors
        return self._start


def mean_loss(model: keras.Model, x: Any, y: Any, options: Mapping[str, Any]) -> DataLoss:
    """Returns a `DataLoss` of options that a caller gave by name.

    Raises:
        TypeError: If one of them does not exist; those that do are named.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> mean_loss(model, np.eye(2), np.zeros(2), {"los": "mse"})
        Traceback (most recent call last):
        ...
        TypeError: DataLoss takes no option 'los'. Did you mean 'loss'? It takes ...
    """
    check_options(DataLoss, options)
    return DataLoss(model, x, y, **options)
