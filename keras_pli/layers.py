"""Finding a layer in a model by its path, and reading its output while the model runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from inspect import signature
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike, NDArray

from .checks import quoted

Tensor = Any
LOGITS = "logits"


def layer_paths(model: keras.Model) -> dict[str, keras.Layer]:
    """Returns every layer of a model by its path, nested ones as `"backbone/conv3"`, in the model's order.

    Example:
        >>> backbone = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="a")], name="backbone")
        >>> head = keras.layers.Dense(2, name="head")
        >>> list(layer_paths(keras.Sequential([backbone, head])))
        ['backbone', 'backbone/a', 'head']
    """
    paths: dict[str, keras.Layer] = {}

    def walk(container: Any, prefix: str) -> None:
        for layer in _children(container):
            if isinstance(layer, keras.layers.InputLayer):
                continue
            paths.setdefault(prefix + layer.name, layer)
            walk(layer, f"{prefix}{layer.name}/")

    walk(model, "")
    return paths


def find_layer(model: keras.Model, path: str) -> keras.Layer:
    """Returns the layer at a path.

    Args:
        model: Any Keras model.
        path: Name of a layer, or a path through nested models. The first part may be left out where the
            rest is unique.

    Raises:
        ValueError: If there is no such layer, or several; near names are offered.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="head")])
        >>> find_layer(model, "head").units
        3
    """
    paths = layer_paths(model)
    if path in paths:
        return paths[path]
    ends = [full for full in paths if full.endswith(f"/{path}")]
    if len(ends) == 1:
        return paths[ends[0]]
    if ends:
        raise ValueError(f"`layer` {path!r} is ambiguous in {model.name!r}: {quoted(ends)}.")
    near = get_close_matches(path, paths, n=3, cutoff=0.4)
    hint = f" Did you mean {quoted(near)}?" if near else ""
    raise ValueError(
        f"There is no layer {path!r} in {model.name!r}.{hint} Its layers are {quoted(paths, most=40)}."
    )


@contextmanager
def recorded_outputs(layer: keras.Layer) -> Iterator[list[Any]]:
    """Yields a list that a layer's outputs are appended to, one for each time it runs within the block.

    Example:
        >>> layer = keras.layers.Dense(3)
        >>> with recorded_outputs(layer) as outputs:
        ...     _ = layer(np.zeros((2, 4)))
        >>> outputs[0].shape
        TensorShape([2, 3])
    """
    outputs: list[Any] = []
    original = layer.call

    def call(*args: Any, **kwargs: Any) -> Any:
        outputs.append(original(*args, **kwargs))
        return outputs[-1]

    with _hidden(layer, "call", call):
        yield outputs


class Tap:
    """Reads a layer's activations during a forward pass of its model.

    The pass itself is not repeated and the model is not rebuilt, so that subclassed models, nested ones and
    shared layers are all met. Gradients flow through what is read.

    Args:
        model: Any Keras model.
        layer: Path of a layer (see `find_layer`), or `"logits"` for what the final softmax or sigmoid
            receives: as an activation argument, a layer or an operation of a functional model. A model that
            ends linearly has its output as logits.

    Raises:
        ValueError: If there is no such layer, or no logits can be found.
    """

    def __init__(self, model: keras.Model, layer: str = LOGITS) -> None:
        self.model = model
        self.path = layer
        wants_logits = layer == LOGITS and LOGITS not in layer_paths(model)
        self._target = _output_operation(model) if wants_logits else find_layer(model, layer)
        self._before_squashing = _squashes(self._target)

    def run(self, inputs: Any, *, training: bool | None = None) -> tuple[Any, Tensor]:
        """Runs the model on a batch and returns `(outputs, activations)`, the latter `(batch, features)`.

        Raises:
            ValueError: If the layer did not run, or ran more than once.
        """
        with self._recording() as recorded:
            outputs = (
                self.model(inputs) if training is None else self.model(inputs, training=training)
            )
        if len(recorded) != 1:
            times = f"ran {len(recorded)} times" if recorded else "did not run"
            raise ValueError(
                f"Layer {self.path!r} {times} in a pass through {self.model.name!r}; "
                "its activations can only be read where it runs once."
            )
        features = ops.cast(recorded[0], "float32")
        return outputs, ops.reshape(
            features, (ops.shape(features)[0], int(np.prod(features.shape[1:])))
        )

    @contextmanager
    def _recording(self) -> Iterator[list[Tensor]]:
        """Yields what the layer puts out, one entry for each time it runs."""
        if not self._before_squashing:
            with recorded_outputs(self._target) as recorded:
                yield recorded
            return
        recorded = []
        with _hidden(self._target, *self._before(recorded)):
            yield recorded

    def _before(self, recorded: list[Tensor]) -> tuple[str, Any]:
        """What stands in for the activation or the layer, and records what it receives."""
        if hasattr(self._target, "activation") and _has_weights(self._target):
            activation = self._target.activation

            def squash(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
                recorded.append(x)
                return activation(x, *args, **kwargs)

            return "activation", squash

        original = self._target.call

        def call(*args: Any, **kwargs: Any) -> Any:
            # By position or by name, the first argument is the input.
            received = signature(original).bind(*args, **kwargs).arguments
            recorded.append(next(iter(received.values())))
            return original(*args, **kwargs)

        return "call", call


class ActivationReader(keras.Model):
    """A model from a classifier's inputs to the activations of one of its layers, in inference mode.

    It shares the classifier's weights, and so gives what the classifier holds at the time.

    Args:
        model: Any Keras model.
        layer: Path of a layer, or `"logits"` (see `Tap`).

    Raises:
        ValueError: If there is no such layer.

    Example:
        >>> classifier = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
        >>> ActivationReader(classifier).predict(np.zeros((5, 4)), verbose=0).shape
        (5, 3)
    """

    def __init__(self, model: keras.Model, layer: str = LOGITS) -> None:
        super().__init__(name="activations")
        self.model = model
        self._tap = Tap(model, layer)

    def call(self, inputs: Any) -> Tensor:
        """The activations of a batch, `(batch, features)`."""
        return self._tap.run(inputs, training=False)[1]


def activations(
    model: keras.Model,
    x: ArrayLike,
    layer: str = LOGITS,
    *,
    batch_size: int = 256,
    verbose: Any = 0,
) -> NDArray[np.float32]:
    """Returns the activations of one layer for many inputs, in inference mode.

    Args:
        model: Any Keras model.
        x: Inputs of shape `(samples, ...)`, or a `tf.data.Dataset` of batches.
        layer: Path of a layer, or `"logits"` (see `Tap`). A softmax or sigmoid at the layer is undone.
        batch_size: Inputs run at a time.
        verbose: As in Keras.

    Returns:
        float32 array of shape `(samples, features)`.

    Raises:
        ValueError: If there is no such layer or it does not run exactly once.

    Example:
        >>> classifier = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
        >>> activations(classifier, np.zeros((5, 4))).shape
        (5, 3)
    """
    found = ActivationReader(model, layer).predict(x, batch_size=batch_size, verbose=verbose)
    return np.asarray(found, dtype=np.float32)


def ends_squashed(model: keras.Model) -> bool:
    """Whether a model's output has gone through a softmax or sigmoid, as far as can be seen.

    Example:
        >>> ends_squashed(keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]))
        False
    """
    return _squashes(_output_operation(model))


@contextmanager
def _hidden(owner: Any, name: str, replacement: Any) -> Iterator[None]:
    """Lets an attribute of the instance hide a method for the length of the block; nothing stays behind."""
    had = owner.__dict__.get(name)
    object.__setattr__(owner, name, replacement)
    try:
        yield
    finally:
        if had is None:
            object.__delattr__(owner, name)
        else:
            object.__setattr__(owner, name, had)


def _children(container: Any) -> list[keras.Layer]:
    if isinstance(container, keras.Model):
        return list(container.layers)
    wrapped = getattr(container, "layer", None)
    return [wrapped] if isinstance(wrapped, keras.Layer) else []


def _has_weights(operation: Any) -> bool:
    return bool(getattr(operation, "weights", []))


def _output_operation(model: keras.Model) -> Any:
    """The operation that makes a model's output: the one in which a softmax would stand."""
    if not isinstance(model, keras.Model):
        raise ValueError(
            f"A Keras model is needed to find logits. Received: {type(model).__name__}."
        )
    try:
        outputs = model.outputs
    except AttributeError:
        outputs = None
    if not outputs:
        layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
        if not layers:
            raise ValueError(
                f"No logits can be found in {model.name!r}: it has no layers yet. Name a `layer`."
            )
        last = layers[-1]
    else:
        if len(outputs) != 1:
            raise ValueError(
                f"{model.name!r} has {len(outputs)} outputs; name the `layer` whose output is meant."
            )
        last = outputs[0]._keras_history.operation
    return _output_operation(last) if isinstance(last, keras.Model) else last


def _squashes(operation: Any) -> bool:
    if isinstance(operation, keras.layers.Softmax):
        return True
    activation = getattr(operation, "activation", None)
    name = getattr(activation, "__name__", type(operation).__name__).lower()
    return name in {"softmax", "sigmoid"}
