"""The part of a classifier behind the layer that is embedded, run from given activations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from ...checks import quoted
from ...network.activations import LOGITS, final_squashing, squashes
from ...network.layers import layer_paths
from ...network.recording import applies_activation
from ..outputs import only_output

Tensor = Any
Run = Callable[[Tensor], Tensor]


def head_of(classifier: keras.Model, layer: str = LOGITS) -> Run:
    """Returns the function from the activations of a layer to the classifier's output.

    The classifier's own layers are run, with the weights they hold at the time; none is copied or changed.

    Args:
        classifier: A functional or `Sequential` model with one output, or for `"logits"` any Keras model.
        layer: Path of the layer that was embedded, or `"logits"` (see `keras_pli.activations`).

    Returns:
        A function from activations `(batch, features)` to outputs `(batch, classes)`. A softmax or sigmoid
        at the layer, which reading it undoes, is applied.

    Raises:
        ValueError: If the output depends on more than the layer's activations, as where a connection leads
            around it, or the model is no graph of layers.

    Example:
        >>> classifier = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation="softmax")])
        >>> ops.convert_to_numpy(head_of(classifier)(ops.zeros((1, 2)))).tolist()
        [[0.5, 0.5]]
    """
    if layer == LOGITS and LOGITS not in layer_paths(classifier):
        return _squashed(classifier)
    return _behind(classifier, layer.split("/"), layer)


def _squashed(classifier: keras.Model) -> Run:
    """From logits to the output: the softmax or sigmoid that the model ends in, or nothing."""
    step = final_squashing(classifier)
    if step is None:
        return _unchanged
    operation = step.operation
    shape = _shape_received(operation)
    run = operation.activation if applies_activation(operation) else operation

    def head(logits: Tensor) -> Tensor:
        outputs = run(ops.reshape(logits, (-1, *shape)) if shape else logits)
        return ops.reshape(outputs, (-1, logits.shape[1]))

    return head


def _shape_received(operation: Any) -> tuple[int, ...]:
    """Shape of the logits of a sample where they are no plain row, as before a final flattening."""
    if applies_activation(operation):
        return ()  # what its activation receives is as wide as what it gives, in the last axis
    try:
        shape = tuple(operation.input.shape[1:])
    except (AttributeError, ValueError):  # of a subclassed model, or a shared operation
        return ()
    return shape if len(shape) > 1 and None not in shape else ()


def _behind(model: Any, path: list[str], layer: str) -> Run:
    """From what the layer at a path gives to what a model gives, through the models that it is nested in."""
    names = {found.name: found for found in getattr(model, "layers", ())}
    if path[0] not in names:
        raise _none(model, layer, "the layer lies within a layer that is no model")
    found = names[path[0]]
    try:
        (end,) = model.outputs
        given = _given_by(found, end)
        rest = _unchanged if end is given else keras.Function(given, end)
    except (AttributeError, TypeError, ValueError) as error:
        raise _none(model, layer, error) from None
    shape = tuple(given.shape[1:])
    if len(path) > 1:
        inner = _behind(found, path[1:], layer)
        return lambda features: rest(inner(features))
    activate = _activation(found)

    def head(features: Tensor) -> Tensor:
        shaped = ops.reshape(features, (-1, *shape))
        return only_output(model, rest(activate(shaped)))

    return head


def _given_by(layer: Any, end: Any) -> Any:
    """The symbolic tensor that a layer gives on the way to an output."""
    found, seen, waiting = [], {id(end)}, [end]
    while waiting:
        tensor = waiting.pop()
        operation, node, _ = tensor._keras_history
        if operation is layer:
            found.append(tensor)
        for source in operation._inbound_nodes[node].input_tensors:
            if id(source) not in seen:
                seen.add(id(source))
                waiting.append(source)
    if len(found) != 1:
        raise ValueError(f"the output is made from {len(found)} outputs of that layer")
    return found[0]


def _activation(layer: Any) -> Run:
    """What a layer does to the activations that are read of it: they stand before a softmax or sigmoid."""
    if not squashes(layer):
        return _unchanged
    return layer.activation if applies_activation(layer) else layer


def _unchanged(values: Tensor) -> Tensor:
    return values


def _none(model: keras.Model, layer: str, why: Any) -> ValueError:
    known = quoted(list(layer_paths(model)))
    return ValueError(
        f"{model.name!r} cannot be run from the activations of {layer!r}: {str(why).rstrip('.')}. Embed the "
        f"logits, or a layer that all ways to the output lead through. Layers: {known}."
    )
