"""The loss of each sample as a function of a model's weights, and its gradients; the model is not touched."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, TypeAlias

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from ...checks import label_array, one_of, quoted
from ...network.forward import Forward, Network
from ...network.inputs import checked_inputs, fixed_batch
from ...network.layers import find_layer
from ...network.runner import Runner, batch_spec, batches
from ...network.unsquashed import final_squashing

Tensor = Any
Array = NDArray[np.float64]
# What a model was trained on: cross-entropy, the mean squared error, or a function of labels and outputs.
Loss: TypeAlias = 'Literal["cross_entropy", "squared_error"] | Callable[[Any, Any], Any]'
# Whether the loss of the labels or of the classes predicted is explained.
Explain: TypeAlias = Literal["label", "predicted"]
LOSSES = ("cross_entropy", "squared_error")
# Inputs and labels, samples first.
Samples: TypeAlias = "tuple[Any, ArrayLike]"
Layers: TypeAlias = "str | keras.Layer | Sequence[str | keras.Layer]"


class SampleLosses:
    """A model with the loss of every sample, which does not mix samples, regularisers not counted.

    Args:
        model: A built Keras model.
        loss: `"cross_entropy"` of a softmax, of a single sigmoid unit, or of outputs that are such logits;
            `"squared_error"`, the mean over outputs; or a function `(labels, outputs) -> (batch,)`.
        output: Which output, where the model has several.
        batch_size: Samples at a time.
    """

    def __init__(
        self,
        model: keras.Model,
        loss: Loss = "cross_entropy",
        *,
        output: int | str | None = None,
        batch_size: int = 256,
    ) -> None:
        if not callable(loss):
            one_of(loss, LOSSES, "loss")
        self.loss = loss
        score: Any = "logits" if loss == "cross_entropy" else "output"
        self.network = Network(model, output=output, score=score)
        self.model = model
        self.runner = Runner([model], batch_size=batch_size)
        # Of the output, without samples, as soon as a pass was traced.
        self.output_shape: tuple[int | None, ...] | None = None

    def samples(self, given: Samples, name: str) -> tuple[Any, NDArray[Any]]:
        """Returns inputs and labels, checked.

        Raises:
            TypeError: If it is no pair.
            ValueError: If shapes or labels do not fit.
        """
        if not isinstance(given, tuple | list) or len(given) != 2:
            raise TypeError(
                f"`{name}` must be a pair of inputs and labels, (x, y). Received: {type(given).__name__}."
            )
        try:
            x = checked_inputs(given[0], self.model)
            return x, self._labels(given[1], len(tf.nest.flatten(x)[0]), f"{name}[1]")
        except ValueError as error:
            single = tuple(getattr(self.model, "input_shape", None) or ())[1:]
            if not isinstance(given[0], dict | list | tuple) and np.shape(given[0]) == single:
                raise ValueError(
                    f"`{name}[0]` has the shape of one sample, {single}, and a batch is needed: "
                    f"x[i : i + 1] with y[i : i + 1]. {error}"
                ) from error
            raise

    def explained(
        self, test: tuple[Any, NDArray[Any]], explain: Explain, *, verbose: int = 0
    ) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Returns the labels whose loss is explained, and the classes predicted; none for other losses.

        Raises:
            ValueError: If classes predicted are to be explained, and the loss is not the cross-entropy.
        """
        one_of(explain, ("label", "predicted"), "explain")
        if self.loss != "cross_entropy":
            if explain == "predicted":
                raise ValueError("explain='predicted' is for the loss 'cross_entropy'.")
            return test[1], np.zeros(0, np.int64)
        predicted = self.predicted(test[0], verbose=verbose)
        return (predicted.astype(np.int32) if explain == "predicted" else test[1]), predicted

    def predicted(self, x: Any, *, verbose: int = 0) -> NDArray[np.int64]:
        """Returns the class that the model predicts for each sample, `(samples,)`."""

        def run(inputs: Any, weights: Any) -> Tensor:
            logits = self.forward(inputs, weights).logits
            single = logits.shape[-1] == 1
            return tf.cast(logits[:, 0] > 0, tf.int64) if single else tf.argmax(logits, axis=-1)

        weights = self.weights()
        traced = self.runner.traced(run, [batch_spec(x), tensor_specs(weights)], "predicted")
        found = self.runner.over(lambda rows: traced(rows, weights), [x], verbose=verbose)
        return np.asarray(found, np.int64)

    def _labels(self, labels: ArrayLike, samples: int, name: str) -> NDArray[Any]:
        array = np.asarray(labels)
        if self.loss != "cross_entropy":
            if array.shape[:1] != (samples,):
                raise ValueError(
                    f"`{name}` must have one entry for each of the {samples} samples. "
                    f"Received shape {array.shape}."
                )
            kept = array.dtype.kind in "iu" and callable(self.loss)
            return array if kept else array.astype(np.float32).reshape(samples, -1)
        array = label_array(array, samples, name)
        whole = array.dtype.kind in "iub" or (array.dtype.kind == "f" and np.all(array % 1 == 0))
        if not whole or array.min() < 0:
            raise ValueError(
                f"`{name}` must hold classes from 0 on. Received dtype {array.dtype}, values "
                f"{quoted(np.unique(array))}."
            )
        return array.astype(np.int32)

    def weights(self, given: Sequence[Any] | None = None) -> list[Tensor]:
        """Returns tensors of all weights: those given, or those that the model has now."""
        held = self.model.weights
        if given is None:
            return self._finite([tf.convert_to_tensor(variable.value) for variable in held])
        shapes = [tuple(np.shape(value)) for value in given]
        if shapes != [tuple(variable.shape) for variable in held]:
            raise ValueError(
                f"A checkpoint must hold the weights of {self.model.name!r} as `get_weights` gives them, "
                f"{len(held)} arrays. Received: {len(shapes)} of shapes {quoted(shapes)}."
            )
        pairs = zip(given, held, strict=True)
        return self._finite(
            [tf.convert_to_tensor(value, variable.dtype) for value, variable in pairs]
        )

    def _finite(self, weights: list[Tensor]) -> list[Tensor]:
        for tensor, variable in zip(weights, self.model.weights, strict=True):
            if tensor.dtype.is_floating and not tf.reduce_all(tf.math.is_finite(tensor)):
                raise ValueError(
                    f"The weights of {self.model.name!r} must be finite. {variable.path!r} holds NaN or "
                    "infinity; did the training diverge?"
                )
        return weights

    def check_labels(self, y: NDArray[Any]) -> None:
        """Raises a `ValueError` for labels that do not fit the output, once a pass was traced."""
        if self.loss == "squared_error":
            self._check_width(y.shape[1])
        classes = self.network.classes
        if self.loss == "cross_entropy" and classes is not None and y.max() >= max(classes, 2):
            raise ValueError(
                f"{self.model.name!r} tells {max(classes, 2)} classes apart, 0 to {max(classes, 2) - 1}. "
                f"Received labels up to {y.max()}."
            )

    def _check_width(self, received: int) -> None:
        shape = self.output_shape
        if shape is None or None in shape or math.prod(size or 0 for size in shape) == received:
            return
        raise ValueError(
            f"Labels must have the shape of the outputs of {self.model.name!r} for the squared error, "
            f"{shape} for each sample. Received labels of {received} for each sample, {(received,)}."
        )

    def forward(self, inputs: Any, weights: Sequence[Tensor]) -> Forward:
        """Runs a batch with the weights given, in a graph.

        Raises:
            ValueError: If the loss is the cross-entropy, and a class does not say what the outputs should be.
        """
        found = self.network.forward(inputs, list(zip(self.model.weights, weights, strict=True)))
        outputs = self.network.explained(found.outputs)
        self.output_shape = tuple(outputs.shape[1:])
        if self.loss == "cross_entropy":
            self._check_one_class(found, outputs)
        return found

    def _check_one_class(self, forward: Forward, outputs: Tensor) -> None:
        logits = forward.logits
        if logits.shape.rank != 2:
            raise ValueError(
                f"{self.model.name!r} gives logits of shape {tuple(logits.shape)}, and not one set a sample. "
                "Pass a function as `loss`."
            )
        if forward.squashing == "Sigmoid" and not _is_single(outputs):
            raise ValueError(
                f"{self.model.name!r} ends in {outputs.shape[-1]} sigmoid units, and classes do not say what "
                "each of them should be. Pass a function as `loss`."
            )

    def losses(
        self, inputs: Any, labels: Tensor, weights: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Returns each sample's loss, `(batch,)`, and tensors that it is a function of, in a graph.

        Of a function's loss these are what a final softmax or sigmoid receives, where there is one, and the
        outputs.
        """
        forward = self.forward(inputs, weights)
        outputs = self.network.explained(forward.outputs)
        if self.loss == "cross_entropy":
            return self._cross_entropy(forward, outputs, labels), [forward.logits]
        received = [] if self.loss == "squared_error" else _received(outputs, inputs)
        outputs = tf.cast(outputs, tf.float32)
        if self.loss == "squared_error":
            flat = tf.reshape(outputs, (tf.shape(outputs)[0], -1))
            self._check_width(labels.shape[-1])
            flat = tf.ensure_shape(flat, (None, labels.shape[-1]))  # else broadcast
            return tf.reduce_mean((flat - labels) ** 2, axis=1), [outputs]
        found = self.loss(labels, outputs)
        if found.shape.rank != 1:
            raise ValueError(
                "`loss` must return one number for each sample, as with reduction=None. "
                f"Received shape {found.shape}."
            )
        return tf.cast(found, tf.float32), [*received, outputs]

    def _cross_entropy(self, forward: Forward, outputs: Tensor, labels: Tensor) -> Tensor:
        if _is_single(outputs):
            z = forward.logits[:, -1]
            return tf.nn.sigmoid_cross_entropy_with_logits(tf.cast(labels, z.dtype), z)
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, forward.logits)

    def chosen(self, layers: Layers) -> list[int]:
        """Returns the places among the model's weights of those of some layers that can be trained.

        Raises:
            ValueError: If there is no such layer, or they have no weights.
        """
        if isinstance(layers, str) and layers == "all":
            held = self.model.trainable_variables
        else:
            paths = [layers] if isinstance(layers, str | keras.Layer) else list(layers)
            held = [v for path in paths for v in find_layer(self.model, path).trainable_variables]
        ids = {id(variable) for variable in held}
        places = [place for place, v in enumerate(self.model.weights) if id(v) in ids]
        if not places:
            raise ValueError(
                f"`layers` must name layers with weights to train. Received: {layers!r}."
            )
        return places

    def gradient(self, sample: Any, label: Tensor, weights: Sequence[Tensor], of: list[int]) -> Any:
        """Returns the gradient of one sample's loss by the weights at some places, flat, in a graph."""
        size = fixed_batch(self.model) or 1
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            chosen = [weights[place] for place in of]
            tape.watch(chosen)
            inputs = tf.nest.map_structure(lambda leaf: tf.repeat(leaf[None], size, axis=0), sample)
            loss = self.losses(inputs, tf.repeat(label[None], size, axis=0), weights)[0][0]
        found = tape.gradient(loss, chosen, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        found = [tf.convert_to_tensor(part) for part in found]  # of embeddings they are sparse
        return tf.concat([tf.cast(tf.reshape(part, [-1]), tf.float32) for part in found], axis=0)

    def per_sample(
        self,
        samples: tuple[Any, NDArray[Any]],
        of: list[int],
        reduced: Callable[..., Tensor],
        *,
        weights: Sequence[Tensor],
        given: Sequence[Tensor] = (),
        key: Any,
        verbose: int = 0,
    ) -> NDArray[Any]:
        """Returns what is made of each sample's gradient, which is held for one sample at a time.

        Args:
            samples: Inputs and labels.
            of: Places of the weights.
            reduced: From a flat gradient and tensors to a tensor.
            weights: All weights.
            given: The tensors.
            key: What tells the function from others.
            verbose: 1 draws a progress bar.
        """
        x, y = samples

        def run(inputs: Any, labels: Tensor, held: Any, extra: Any) -> Tensor:
            def one(pair: Any) -> Tensor:
                sample, label = pair
                return reduced(self.gradient(sample, label, held, of), *extra)

            spec = tf.TensorSpec(None, tf.float32)
            return tf.map_fn(one, (inputs, labels), fn_output_signature=spec)

        signature = [batch_spec(x), batch_spec(y), tensor_specs(weights), tensor_specs(given)]
        traced = self.runner.traced(run, signature, ("gradient", tuple(of), key))
        self.check_labels(y)
        held, extra = list(weights), list(given)
        runner = self.runner if self.runner.fixed_batch is None else Runner([], batch_size=256)
        return np.asarray(
            runner.over(lambda a, b: traced(*_leaves([a, b, held, extra])), [x, y], verbose=verbose)
        )

    def blocks(self, samples: tuple[Any, NDArray[Any]]) -> Iterator[tuple[Any, Any, Tensor]]:
        """Yields batches of inputs and labels with a weight for each sample, 0 for what fills up."""
        x, y = samples
        size = self.runner.batch_size
        fixed = self.runner.fixed_batch
        fill = self.runner.jit_compile or fixed is not None
        for rows, count in batches(len(y), size, fill=fill, least=fixed or 1):
            counts = (np.arange(len(rows)) < count).astype(np.float32)
            yield tf.nest.map_structure(lambda a, rows=rows: a[rows], x), y[rows], counts


def _received(outputs: Tensor, inputs: Any) -> list[Tensor]:
    """What a final softmax or sigmoid receives; nothing where the model ends in none that can be found."""
    try:
        squashing = final_squashing(outputs, inputs)
    except ValueError:
        return []
    return [] if squashing is None else [squashing.inputs[0]]


def _is_single(outputs: Tensor) -> bool:
    return bool(outputs.shape.rank == 1 or outputs.shape[-1] == 1)


def tensor_specs(tensors: Sequence[Tensor]) -> list[Any]:
    """Returns shapes and types of tensors."""
    return [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in tensors]


def _leaves(structure: Any) -> list[Any]:
    """Tensors in the structure that a concrete function takes by position."""
    return [tf.nest.map_structure(tf.convert_to_tensor, part) for part in structure]
