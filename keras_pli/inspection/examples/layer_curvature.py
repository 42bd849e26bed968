"""The curvature of the training objective by the weights of chosen layers, known by its products."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator

from ...network.runner import batch_spec
from .conjugate_gradients import solved
from .sample_losses import Array, SampleLosses, tensor_specs

Curvature: TypeAlias = Literal["hessian", "gauss_newton"]
_MOST_UNITS = 256  # of which second derivatives are looked at
_ROUNDING = 1e-3  # of float32, relative to the largest eigenvalue
CURVATURES: tuple[Curvature, ...] = ("hessian", "gauss_newton")


class LayerCurvature:
    """Multiplies by the Hessian of the mean loss and the regularisers, or its Gauss-Newton part.

    Args:
        losses: The model and its loss.
        places: Places of the weights among the model's.
        samples: Training inputs and labels.
        kind: `"hessian"`, by gradients of gradients, or `"gauss_newton"`, JᵀSJ with the Jacobian J of the
            logits, or else of the outputs, and the second derivatives S of the loss by them.

    Raises:
        ValueError: If S has a negative eigenvalue for either, as JᵀSJ is to have none.
    """

    def __init__(
        self,
        losses: SampleLosses,
        places: list[int],
        samples: tuple[Any, NDArray[Any]],
        kind: Curvature,
    ) -> None:
        self.losses, self.places, self.kind = losses, places, kind
        self.samples = samples
        self.weights = losses.weights()
        self.size = sum(int(np.prod(self.weights[place].shape)) for place in places)
        x, y = samples
        count = tf.TensorSpec((None,), tf.float32)
        direction = tf.TensorSpec((self.size,), tf.float32)
        signature = [batch_spec(x), batch_spec(y), count, tensor_specs(self.weights), direction]
        key = ("curvature", tuple(places), kind)
        # Which of what the loss is a function of, and of how many numbers.
        self._point, self._units = 0, 0
        if kind == "gauss_newton" and callable(losses.loss):
            self._point = self._convex()
        self._traced = losses.runner.traced(self._block, signature, key)

    def product(self, direction: Array) -> Array:
        """Returns the curvature times a direction, `(weights,)`; sums over batches are in float64."""
        v = tf.constant(direction.reshape(-1), tf.float32)
        found = np.zeros(self.size)
        for inputs, labels, counts in self.losses.blocks(self.samples):
            found += self._traced(inputs, labels, counts, self.weights, v).numpy()
        return found / len(self.samples[1])

    def solver(self, damping: float, steps: int, *, verbose: int = 0) -> Callable[[Array], Array]:
        """Returns what multiplies directions `(number, weights)` by the inverse, by conjugate gradients."""
        operator = LinearOperator(
            (self.size, self.size),
            matvec=lambda v: self.product(v) + damping * v.reshape(-1),
            dtype=np.float64,
        )

        def solve(given: Array) -> Array:
            progress = keras.utils.Progbar(len(given), verbose=verbose, unit_name="system")
            found = []
            for right in given:
                # Products are of float32, which carries no smaller error.
                found.append(solved(operator, right[None], tolerance=1e-5, steps=steps)[0])
                progress.add(1)
            return np.array(found)

        return solve

    def _block(
        self, inputs: Any, labels: Any, counts: Any, weights: Sequence[Any], direction: Any
    ) -> Any:
        """The sum over a batch, with the regularisers' share, in a graph."""
        chosen = [weights[place] for place in self.places]
        sizes = [int(np.prod(tensor.shape)) for tensor in chosen]
        parts = [
            tf.cast(tf.reshape(part, tensor.shape), tensor.dtype)
            for part, tensor in zip(tf.split(direction, sizes), chosen, strict=True)
        ]
        losses, points = self.losses.losses(inputs, labels, weights)
        total = tf.reduce_sum(losses * counts)
        penalty = self._penalty(chosen) * tf.reduce_sum(counts)
        if self.kind == "hessian":
            found = _hessian_product(total + penalty, chosen, parts)
        else:
            outputs = points[self._point]
            seen = _jacobian_product(outputs, chosen, parts)
            slope = _gradients(total, [outputs])[0]
            bent = _gradients(slope, [outputs], tf.stop_gradient(seen))[0]
            found = _gradients(outputs, chosen, tf.stop_gradient(bent))
            bends = _hessian_product(penalty, chosen, parts)
            found = [a + b for a, b in zip(found, bends, strict=True)]
        return tf.concat([tf.cast(tf.reshape(p, [-1]), tf.float32) for p in found], axis=0)

    def _convex(self) -> int:
        """Which of what the loss is a function of it is convex in, as some samples say."""
        inputs, labels, _ = next(self.losses.blocks(self.samples))
        x, y = self.samples
        signature = [batch_spec(x), batch_spec(y), tensor_specs(self.weights)]
        signature += [tf.TensorSpec((None,), tf.float32)]
        traced = self.losses.runner.traced(self._bends, signature, "bends")
        if self._units == 0 or self._units > _MOST_UNITS:
            return 0
        columns = [
            traced(inputs, labels, self.weights, row) for row in np.eye(self._units, dtype="f4")
        ]
        for point, rows in enumerate(zip(*columns, strict=True)):
            values = np.linalg.eigvalsh(np.stack(rows, axis=1).astype(np.float64))
            if values.min() >= -_ROUNDING * np.abs(values).max():
                return point
        raise ValueError(
            "`loss` is not convex in what the model gives, nor in the logits, so that its Gauss-Newton "
            "matrix has negative curvature. Pass curvature='hessian' and enough `damping`."
        )

    def _bends(self, inputs: Any, labels: Any, weights: Sequence[Any], along: Any) -> list[Any]:
        """How each sample's slopes change along numbers that the loss is a function of, in a graph."""
        losses, points = self.losses.losses(inputs, labels, weights)
        sizes = points[0].shape[1:]
        self._units = sizes.num_elements() or 0
        found = []
        for point in points:
            rows = tf.shape(point)[0]
            direction = tf.reshape(tf.tile(along[None], [rows, 1]), tf.shape(point))
            slope = _gradients(tf.reduce_sum(losses), [point])
            bent = _gradients(slope, [point], [tf.cast(direction, point.dtype)])[0]
            found.append(tf.cast(tf.reshape(bent, (rows, -1)), tf.float32))
        return found

    def _penalty(self, chosen: Sequence[Any]) -> Any:
        held = [self.losses.model.weights[place] for place in self.places]
        terms = [
            tf.cast(variable.regularizer(tensor), tf.float32)
            for variable, tensor in zip(held, chosen, strict=True)
            if variable.regularizer is not None
        ]
        return tf.add_n(terms) if terms else tf.constant(0.0)


def _gradients(y: Any, x: list[Any], along: Any = None) -> list[Any]:
    zero = tf.UnconnectedGradients.ZERO
    found = tf.gradients(y, x, grad_ys=along, unconnected_gradients=zero)
    # Those of an embedding are sparse, and no gradient of such can be taken.
    return [tf.convert_to_tensor(part) for part in found]


def _hessian_product(value: Any, x: list[Any], direction: list[Any]) -> list[Any]:
    slopes = _gradients(value, x)
    return _gradients(slopes, x, [tf.stop_gradient(part) for part in direction])


def _jacobian_product(outputs: Any, x: list[Any], direction: list[Any]) -> Any:
    """J v, as the derivative of Jᵀu by u, which is linear in u."""
    u = tf.zeros_like(outputs)
    back = _gradients(outputs, x, u)
    return _gradients(back, [u], direction)[0]
