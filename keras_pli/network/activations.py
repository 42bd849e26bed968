"""Reading what a layer of a model puts out, or the model's logits, while the model runs."""

from __future__ import annotations

import threading
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike, NDArray

from .keras_graph import KerasPlace, read_keras
from .kinds import SQUASHES
from .layers import built_of, find_layer, layer_path, layer_paths, same_objects
from .logits import Step, squashing_of
from .recording import recorded

Tensor = Any
LOGITS = "logits"


class Tap:
    """Reads a layer's activations during a forward pass of its model.

    The pass itself is not repeated and the model is not rebuilt, so that subclassed models, nested ones and
    shared layers are all met. Gradients flow through what is read.

    Args:
        model: Any Keras model.
        layer: A layer or its path (see `find_layer`), or `"logits"` for what the final softmax or sigmoid
            receives: an activation argument, a layer or an operation, also where layers stand behind it that
            only hand values on. A model that ends linearly has its output as logits. Where TensorFlow traces
            a graph, as in `fit` and `predict`, its operations tell; elsewhere Keras's, which do not see into
            custom layers, and of a subclassed model the last of its `layers` is taken for its end.

    Raises:
        ValueError: If there is no such layer, or no logits can be found.
    """

    def __init__(self, model: keras.Model, layer: str | keras.Layer = LOGITS) -> None:
        self.model = model
        self.path = layer = layer_path(model, layer)
        self._wants_logits = layer == LOGITS and LOGITS not in layer_paths(_checked(model))
        # What is watched, None for the model's own output; and whether for its input, or its activation's.
        self._watched: Any = None
        if not self._wants_logits:
            self._watched = find_layer(model, layer)
        elif _symbolic_outputs(model) is None:
            self._watched = _last_layer(model)
        self._before = self._watched is not None and squashes(self._watched)
        if self._wants_logits and self._watched is None:
            step = final_squashing(model)
            self._watched, self._before = (None, False) if step is None else (step.operation, True)

    def run(self, inputs: Any, *, training: bool | None = None) -> tuple[Any, Tensor]:
        """Runs the model on a batch and returns `(outputs, activations)`, the latter `(batch, features)`.

        Raises:
            ValueError: If the layer did not run, ran more than once, or ran within a function of its own.
        """
        watched = [] if self._watched is None else [self._watched]
        with recorded(watched, before=watched if self._before else []) as recording:
            outputs = (
                self.model(inputs) if training is None else self.model(inputs, training=training)
            )
        if self._wants_logits and hasattr(_only_output(outputs, self.model), "op"):
            found = self._traced_logits(outputs, inputs)
        elif not watched:
            found = _only_output(outputs, self.model)
        else:
            heard = recording.received_by if self._before else recording.of
            found = self._only(heard(self._watched))
            self._check_graph(found, outputs)
        features = ops.cast(found, "float32")
        return outputs, ops.reshape(
            features, (ops.shape(features)[0], int(np.prod(features.shape[1:])))
        )

    def _traced_logits(self, outputs: Any, inputs: Any) -> Tensor:
        from .unsquashed import traced_logits  # with TensorFlow, which other backends do without

        try:
            return traced_logits(_only_output(outputs, self.model), inputs)
        except ValueError as error:
            raise _no_logits(self.model, error) from None

    def _only(self, found: list[Any]) -> Any:
        if len(found) == 1:
            return found[0]
        times = f"ran {len(found)} times" if found else "did not run"
        raise ValueError(
            f"Layer {self.path!r} {times} in a pass through {self.model.name!r}; its activations can only be "
            "read where it runs once, and not within a compiled function."
        )

    def _check_graph(self, found: Any, outputs: Any) -> None:
        """Raises where a layer ran in a graph of its own, such as a loop's or a `tf.function`'s."""
        graphs = {id(getattr(tensor, "graph", None)) for tensor in keras.tree.flatten(outputs)}
        if id(getattr(found, "graph", None)) not in graphs:
            raise ValueError(
                f"Layer {self.path!r} of {self.model.name!r} runs within a compiled function or a loop, "
                "where its activations cannot be read. Name another `layer`."
            )


class ActivationReader(keras.Model):
    """A model from a classifier's inputs to the activations of one of its layers, in inference mode.

    It shares the classifier's weights, and so gives what the classifier holds at the time.

    Args:
        model: Any Keras model.
        layer: A layer or its path, or `"logits"` (see `Tap`).

    Raises:
        ValueError: If there is no such layer.

    Example:
        >>> classifier = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
        >>> ActivationReader(classifier).predict(np.zeros((5, 4)), verbose=0).shape
        (5, 3)
    """

    def __init__(self, model: keras.Model, layer: str | keras.Layer = LOGITS) -> None:
        super().__init__(name="activations")
        self.model = model
        self._tap = Tap(model, layer)

    def call(self, inputs: Any) -> Tensor:
        """The activations of a batch, `(batch, features)`; what stateful layers assign is dropped."""
        if keras.backend.backend() != "tensorflow":  # where `predict` has a scope of its own
            return self._tap.run(inputs, training=False)[1]
        with keras.StatelessScope():
            return self._tap.run(inputs, training=False)[1]


def activations(
    model: keras.Model,
    x: ArrayLike,
    layer: str | keras.Layer = LOGITS,
    *,
    batch_size: int = 256,
    verbose: Any = 0,
) -> NDArray[np.float32]:
    """Returns the activations of one layer for many inputs, in inference mode.

    Args:
        model: Any Keras model.
        x: Inputs of shape `(samples, ...)`, or a `tf.data.Dataset` of batches.
        layer: A layer or its path, or `"logits"` (see `Tap`). A softmax or sigmoid at the layer is undone.
        batch_size: Inputs run at a time.
        verbose: As in Keras.

    Returns:
        float32 array of shape `(samples, features)`.

    Raises:
        ValueError: If there is no such layer or it does not run exactly once, or no logits can be found.

    Example:
        >>> classifier = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
        >>> activations(classifier, np.zeros((5, 4))).shape
        (5, 3)
    """
    reader, lock = _READERS.of(model, layer_path(model, layer))
    with lock:  # Keras's `predict` is for one thread at a time
        found = reader.predict(x, batch_size=batch_size, verbose=verbose)
    return np.asarray(found, dtype=np.float32)


class _Readers:
    """The last readers used, so that reading a layer again does not trace it again.

    They are few, since each keeps its model in memory.
    """

    def __init__(self, most: int = 4) -> None:
        self.most = most
        self._lock = threading.Lock()
        self._kept: dict[tuple[int, str], tuple[ActivationReader, threading.Lock, list[Any]]] = {}

    def of(self, model: keras.Model, layer: str) -> tuple[ActivationReader, threading.Lock]:
        """Returns the reader of a layer, a new one if the model was changed, and its lock."""
        key, built = (id(model), layer), built_of(_checked(model))
        with self._lock:
            kept = self._kept.pop(key, None)
            if kept is None or kept[0].model is not model or not same_objects(kept[2], built):
                kept = ActivationReader(model, layer), threading.Lock(), built
            self._kept[key] = kept
            for oldest in list(self._kept)[: -self.most]:
                del self._kept[oldest]
        return kept[:2]


_READERS = _Readers()


def ends_squashed(model: keras.Model) -> bool:
    """Whether a model's output has gone through a softmax or sigmoid, as far as can be seen.

    Example:
        >>> ends_squashed(keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]))
        False
    """
    try:
        return final_squashing(model) is not None
    except ValueError:
        return True  # such as an average of probabilities


def final_squashing(model: keras.Model) -> Step | None:
    """Returns the softmax or sigmoid that a model ends in; None where its output is a logit itself.

    Raises:
        ValueError: If the output is neither, the model has several outputs, or no layers yet.
    """
    outputs = _symbolic_outputs(_checked(model))
    if outputs is None:
        last = _last_layer(model)
        return Step("Softmax", [], last) if squashes(last) else None
    if len(outputs) != 1:
        raise ValueError(
            f"{model.name!r} has {len(outputs)} outputs; name the `layer` whose output is meant."
        )
    try:
        return squashing_of(KerasPlace(outputs[0]), read_keras)
    except ValueError as error:
        raise _no_logits(model, error) from None


def _no_logits(model: keras.Model, why: Exception) -> ValueError:
    return ValueError(
        f"No logits can be found in {model.name!r}: {why}. Name a `layer` to read instead."
    )


def _checked(model: Any) -> keras.Model:
    if not isinstance(model, keras.Model):
        raise ValueError(
            f"A Keras model is needed to find logits. Received: {type(model).__name__}."
        )
    return model


def _symbolic_outputs(model: keras.Model) -> list[Any] | None:
    try:
        return list(model.outputs) or None
    except (AttributeError, TypeError):
        return None


def _last_layer(model: keras.Model) -> Any:
    """The layer that is taken for the one that makes the output of a model without a graph."""
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    if not layers:
        raise ValueError(
            f"No logits can be found in {model.name!r}: it has no layers yet. Name a `layer`."
        )
    last = layers[-1]
    return _last_layer(last) if isinstance(last, keras.Model) else last


def squashes(operation: Any) -> bool:
    """Whether an operation is a softmax or sigmoid, or a layer that ends in one."""
    if isinstance(operation, keras.layers.Softmax):
        return True
    activation = getattr(operation, "activation", None)
    name = getattr(activation, "__name__", type(operation).__name__).lower()
    return name in {kind.lower() for kind in SQUASHES - {"LogSoftmax"}}


def _only_output(outputs: Any, model: keras.Model) -> Tensor:
    flat = keras.tree.flatten(outputs)
    if len(flat) != 1:
        raise ValueError(
            f"{model.name!r} has {len(flat)} outputs; name the `layer` whose output is meant."
        )
    return flat[0]
