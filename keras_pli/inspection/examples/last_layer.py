"""The layer that makes the logits, in closed form: gradients and Hessian of its weights from its inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.sparse.linalg import LinearOperator
from scipy.special import expit, softmax

from ...network.recording import listening_to
from ...network.runner import batch_spec
from .sample_losses import Array, SampleLosses, tensor_specs

_ROWS = 4096  # whose features are held in float64 at a time
_NUMBERS = 2**23  # held at a time where the Hessian is formed
_MOST_EXACT = 4000  # weights up to which the Hessian is always held and factorised
MOST_FACTORISED = 10_000  # weights up to which it is where many systems are to be solved


@dataclass(frozen=True, eq=False)
class LastLayer:
    """What a dense layer received for some samples, and what their loss says of its outputs.

    The gradient of a sample's loss by the layer's weights is the outer product of its features and errors.

    Args:
        features: float32 `(samples, inputs)`, with a last column of ones where the layer has a bias.
        errors: Derivative of the loss by the layer's outputs, float64 `(samples, outputs)`.
        curvatures: Second derivatives of each loss by the outputs.
        penalty: Second derivative of the regularisers by each weight, `(inputs, outputs)`.
        shifts: Whether the loss is blind to what all outputs have in common, as that of a softmax is.
        path: Name of the layer.
    """

    features: NDArray[np.float32]
    errors: Array
    curvatures: OutputCurvatures
    penalty: Array
    shifts: bool
    path: str

    @property
    def shape(self) -> tuple[int, int]:
        """Number of inputs, the constant one among them, and of outputs."""
        return self.features.shape[1], self.errors.shape[1]

    def products(self, other: LastLayer) -> Array:
        """Returns inner products of all gradients with all of another, `(samples, others)`."""
        inner = self.features.astype(np.float64) @ other.features.astype(np.float64).T
        inner *= self.errors @ other.errors.T
        return inner

    def along(self, directions: Array) -> Array:
        """Returns inner products of all gradients with directions `(number, inputs, outputs)`."""
        flat = np.moveaxis(directions, 0, 1).reshape(self.shape[0], -1)
        found = np.empty((len(directions), len(self.errors)))
        for rows in self._blocks():
            seen = (self.features[rows] @ flat).reshape(-1, len(directions), self.shape[1])
            found[:, rows] = np.einsum("stc,sc->ts", seen, self.errors[rows])
        return found

    def gradients(self) -> Array:
        """Returns all gradients, `(samples, inputs, outputs)`."""
        return self.features[:, :, None].astype(np.float64) * self.errors[:, None, :]

    def hessian_product(self, direction: Array, damping: float) -> Array:
        """Returns the Hessian of the mean loss and the regularisers, times a direction."""
        found = np.zeros(self.shape)
        for rows in self._blocks():
            features = self.features[rows].astype(np.float64)
            found += features.T @ self.curvatures.product(features @ direction, rows)
        return found / len(self.errors) + (self.penalty + damping) * direction

    def solver(
        self, damping: float, systems: int = 1, *, verbose: int = 0
    ) -> Callable[[Array], Array]:
        """Returns what multiplies directions `(number, inputs, outputs)` by the inverse of the Hessian.

        Exact where the Hessian can be held and that takes less time, or by conjugate gradients to a relative
        error of 1e-8.

        Args:
            damping: What is added to the diagonal.
            systems: How many directions there will be.
            verbose: 1 draws a progress bar.

        Raises:
            ValueError: If the Hessian is singular.
        """
        if not self._is_exact(systems):
            return self._by_conjugate_gradients(damping, verbose)
        try:
            factor = cho_factor(self._hessian(damping, verbose), overwrite_a=True)
        except LinAlgError as error:
            raise ValueError(
                f"The Hessian of {self.path!r} is singular, so weights that fit as well lie all around. Pass "
                f"`damping` above {damping:g}."
            ) from error
        return lambda given: cho_solve(factor, given.reshape(len(given), -1).T).T.reshape(
            given.shape
        )

    def _is_exact(self, systems: int) -> bool:
        size, count = int(np.prod(self.shape)), len(self.errors)
        if size <= _MOST_EXACT or size > MOST_FACTORISED:
            return size <= _MOST_EXACT
        # Multiplications: of the Hessian and its factor, against those of some 200 steps of each system.
        return count * size**2 + size**3 / 3 <= systems * 200 * 4 * count * size

    def _hessian(self, damping: float, verbose: int = 0) -> Array:
        """The Hessian, `(weights, weights)`, from few large products: small ones cost threads their time."""
        inputs, outputs = self.shape
        size = inputs * outputs
        hessian, diagonal = np.zeros((size, size)), np.zeros((inputs, outputs, inputs))
        blocks = self._blocks(max(256, _NUMBERS // size))
        progress = keras.utils.Progbar(len(blocks), verbose=verbose, unit_name="block")
        for rows in blocks:
            features = self.features[rows].astype(np.float64)
            own = self.curvatures.diagonal[rows, :, None] * features[:, None, :]
            diagonal += (features.T @ own.reshape(len(features), -1)).reshape(diagonal.shape)
            if self.curvatures.common is not None:
                common = features[:, :, None] * self.curvatures.common[rows, None, :]
                flat = common.reshape(len(features), size)
                hessian -= flat.T @ flat
            progress.add(1)
        parted = hessian.reshape(inputs, outputs, inputs, outputs)
        for unit in range(outputs):
            parted[:, unit, :, unit] += diagonal[:, unit]
        hessian /= len(self.errors)
        hessian[np.diag_indices_from(hessian)] += (self.penalty + damping).ravel()
        if self.shifts:
            # Gradients have no part along shifts of all outputs, so that a curvature there changes nothing.
            scale = np.trace(hessian) / size
            for place in range(inputs):
                parted[place, :, place, :] += scale / outputs
        return hessian

    def _by_conjugate_gradients(self, damping: float, verbose: int) -> Callable[[Array], Array]:
        from .conjugate_gradients import solved

        size = int(np.prod(self.shape))
        operator = LinearOperator(
            (size, size),
            matvec=lambda v: self.hessian_product(v.reshape(self.shape), damping).ravel(),
            dtype=np.float64,
        )
        return lambda given: solved(
            operator, given.reshape(len(given), -1), verbose=verbose
        ).reshape(given.shape)

    def _blocks(self, size: int = _ROWS) -> list[slice]:
        count = len(self.errors)
        return [slice(start, min(start + size, count)) for start in range(0, count, size)]


@dataclass(frozen=True, eq=False)
class OutputCurvatures:
    """Second derivatives of each sample's loss by its outputs: diag(d) − c cᵀ.

    Args:
        diagonal: d, float64 `(samples, outputs)`.
        common: c, likewise, or None for zero.
    """

    diagonal: Array
    common: Array | None = None

    def product(self, change: Array, rows: slice) -> Array:
        """Returns the changes of the first derivatives of some rows where outputs change."""
        found = self.diagonal[rows] * change
        if self.common is not None:
            common = self.common[rows]
            found -= common * (common * change).sum(axis=1, keepdims=True)
        return np.asarray(found)


class LastLayerReader:
    """Finds the dense layer whose outputs are the logits, and reads what it receives.

    Args:
        losses: The model and its loss.
    """

    def __init__(self, losses: SampleLosses) -> None:
        if callable(losses.loss):
            raise ValueError(
                "The last layer is known in closed form for the losses 'cross_entropy' and 'squared_error'. "
                "Name `layers` for a function."
            )
        self.losses = losses
        self._found: keras.layers.Dense | None = None

    @cached_property
    def _candidates(self) -> list[keras.layers.Dense]:
        layers = [
            layer
            for layer in self.losses.model._flatten_layers()
            if isinstance(layer, keras.layers.Dense)
        ]
        return layers[::-1]

    def read(
        self, samples: tuple[Any, NDArray[Any]], weights: Sequence[Any], *, verbose: int = 0
    ) -> LastLayer:
        """Returns the layer's inputs and the errors at its outputs.

        Args:
            samples: Inputs and labels.
            weights: All weights of the model.
            verbose: 1 draws a progress bar.

        Raises:
            ValueError: If no dense layer makes the logits.
        """
        x, y = samples
        losses = self.losses
        traced = losses.runner.traced(
            self._pass, [batch_spec(x), tensor_specs(weights)], "last layer"
        )
        losses.check_labels(y)
        held = list(weights)
        read = losses.runner.over(lambda rows: traced(rows, held), [x], verbose=verbose)
        values = dict(
            zip((id(variable) for variable in losses.model.weights), weights, strict=True)
        )
        layer, features = self._making(read, values)
        kernel, bias = _weights(layer, values)
        if bias is not None:
            ones = np.ones((len(features), 1), np.float32)
            features = np.concatenate([features, ones], axis=1)
            kernel = np.concatenate([kernel, bias[None]])
        logits = features.astype(np.float64) @ kernel
        errors, curvatures = _derivatives(losses.loss, logits, y)
        return LastLayer(
            features,
            errors,
            curvatures,
            _penalty(layer, kernel.shape),
            shifts=losses.loss == "cross_entropy" and logits.shape[1] > 1,
            path=layer.name,
        )

    def _pass(self, inputs: Any, weights: Any) -> dict[str, Any]:
        import tensorflow as tf

        heard = _Received(self._candidates)
        with listening_to(heard):
            forward = self.losses.forward(inputs, weights)
        outputs = self.losses.network.explained(forward.outputs)
        single = outputs.shape.rank == 1 or outputs.shape[-1] == 1
        logits = forward.logits
        if self.losses.loss == "squared_error":
            logits = tf.cast(tf.reshape(outputs, (tf.shape(outputs)[0], -1)), tf.float32)
        found = {"logits": logits[:, -1:] if single else logits}
        for number, layer in enumerate(self._candidates):
            received = heard.found.get(id(layer), [])
            if len(received) == 1 and received[0].shape.rank == 2:
                found[f"input_{number}"] = tf.cast(received[0], tf.float32)
        return found

    def _making(self, read: dict[str, Any], values: dict[int, Any]) -> tuple[Any, Any]:
        logits = read["logits"]
        for number, layer in enumerate(self._candidates):
            features = read.get(f"input_{number}")
            kernel, bias = _weights(layer, values)
            if features is None or logits.ndim != 2 or kernel.shape[1] != logits.shape[1]:
                continue
            some = features[:256].astype(np.float64)
            made = some @ kernel + (0.0 if bias is None else bias)
            # Half precision of a mixed policy has three digits.
            close = 2e-2 if "16" in str(layer.compute_dtype) else 1e-3
            if np.allclose(made, logits[:256], rtol=close, atol=close * (1 + np.abs(made).max())):
                return layer, features
        raise ValueError(
            f"No dense layer of {self.losses.model.name!r} makes its logits, as the closed form wants. Name "
            "`layers` whose weights are meant."
        )


@dataclass(frozen=True, eq=False)
class _Received:
    """A listener that keeps what layers receive."""

    layers: Sequence[Any]

    @cached_property
    def found(self) -> dict[int, list[Any]]:
        """What each has received, by its id."""
        return {id(layer): [] for layer in self.layers}

    def call(self, original: Callable[..., Any], operation: Any, *args: Any, **kwargs: Any) -> Any:
        if id(operation) in self.found:
            self.found[id(operation)].append(args[0] if args else kwargs["inputs"])
        return original(operation, *args, **kwargs)


def _weights(layer: Any, values: dict[int, Any]) -> tuple[Array, Array | None]:
    kernel, bias = getattr(layer, "_kernel", layer.kernel), layer.bias
    found = [
        None if variable is None else np.asarray(values[id(variable)], np.float64)
        for variable in (kernel, bias)
    ]
    assert found[0] is not None
    return found[0], found[1]


def _derivatives(loss: Any, logits: Array, y: NDArray[Any]) -> tuple[Array, OutputCurvatures]:
    """First and second derivatives of each loss by its logits."""
    count, outputs = logits.shape
    if loss == "squared_error":
        factor = 2.0 / outputs
        return factor * (logits - y), OutputCurvatures(np.full(logits.shape, factor))
    if outputs == 1:
        p = expit(logits)
        return p - y[:, None], OutputCurvatures(p * (1 - p))
    p = softmax(logits, axis=1)
    errors = p.copy()
    errors[np.arange(count), y] -= 1.0
    return errors, OutputCurvatures(p, p)


def _penalty(layer: Any, shape: tuple[int, ...]) -> Array:
    """Second derivatives of the layer's regularisers, which for L1 are zero."""
    found = np.zeros(shape)
    inputs = layer.kernel.shape[0]
    places = [(slice(0, inputs), layer.kernel_regularizer)]
    if layer.bias is not None:
        places.append((slice(inputs, None), layer.bias_regularizer))
    for rows, regularizer in places:
        if regularizer is None:
            continue
        if not isinstance(
            regularizer, keras.regularizers.L1 | keras.regularizers.L2 | keras.regularizers.L1L2
        ):
            raise ValueError(
                f"The regulariser of {layer.name!r} must be L1, L2 or both for the closed form. Received: "
                f"{type(regularizer).__name__}. Name `layers` instead."
            )
        found[rows] = 2.0 * float(getattr(regularizer, "l2", 0.0))
    return found
