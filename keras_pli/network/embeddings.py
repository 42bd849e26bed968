"""Ids that a model looks up in embeddings: what the embedding gives takes their place, and has gradients.

The score does not depend on an id in a way that could be differentiated. It does on the vector that the
embedding gives for it: a method works on these vectors, and what it finds is summed over each of them and put
where the id stood (as captum's `LayerIntegratedGradients` does at an embedding layer).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ..checks import quoted
from .graph import operations_between
from .inputs import input_names, of_fixed_batch
from .kinds import CARRIERS, PLACINGS
from .loops import repeated
from .recording import recorded, replaced
from .uncasting import uncast
from .whole_numbers import embedding_layers, is_number, leads_by_ids

Tensor = Any

# Through which no gradient passes, though values go in and come out.
_STEPS = frozenset({"Round", "Rint", "Floor", "Ceil", "Sign", "StopGradient"})
_OTHERWISE = (
    "Explain a model that makes it from its other inputs, as a mask from ids, that takes what is made of it, "
    "such as one-hot codes, or that holds it fixed inside."
)
# Move ids to other places, and never change one.
_MOVES = (CARRIERS | PLACINGS) - {"Pad", "PadV2", "MirrorPad"}


@dataclass(frozen=True, eq=False)
class Lookup:
    """A run of an embedding layer on ids of an input.

    Attributes:
        layer: The layer.
        run: Which of its runs, from 0.
        input: Position of the input among all.
        places: Where in the input each id stood, int32 `(ids,)`; None where they keep their order.
    """

    layer: keras.layers.Layer
    run: int
    input: int
    places: Tensor | None


@dataclass(frozen=True, eq=False)
class Embedded:
    """A batch of inputs in which the vectors of an embedding stand for the ids.

    Attributes:
        x: The inputs, `(batch, ...)` each, in the model's own structure.
        lookups: What the ids are looked up by.
        kept: Positions of the inputs that have gradients themselves.
        logits: What the pass through the model gave.
        values: What methods work on: the inputs that are kept, then the vectors of each lookup.
    """

    x: Any
    lookups: tuple[Lookup, ...]
    kept: tuple[int, ...]
    logits: Tensor
    values: list[Tensor]

    @classmethod
    def of(cls, model: keras.Model, run: Any, x: Any) -> Embedded:
        """Finds the lookups of a model, in the graph that is being traced.

        Args:
            model: The model.
            run: From inputs to what is explained, by a pass through the model.
            x: A batch of inputs.

        Raises:
            ValueError: If an input has neither a gradient nor an embedding, ids reach the score otherwise
                than through an embedding or a mask, or are made by operations that do not tell where they
                come from.
        """
        x = tf.nest.map_structure(tf.identity, x)
        runs, logits = _lookups_in(model, run, x)
        flat, names = tf.nest.flatten(x), input_names(model, x)
        vectors = [vector for *_, vector in runs]
        kept = [i for i, leaf in enumerate(flat) if _has_gradient(leaf, logits, vectors)]
        lookups, used = [], []
        for layer, number, ids, vector in runs:
            index = _looked_up(layer, ids, flat, names)
            if index is not None:
                places = _places(model, layer, number, ids, x, index, names[index])
                lookups.append(Lookup(layer, number, index, places))
                used.append(tf.cast(vector, tf.float32))
        explained = {*kept, *(lookup.input for lookup in lookups)}
        for index, leaf in enumerate(flat):
            if index not in explained and operations_between(leaf, logits):
                raise ValueError(
                    f"The score of {model.name!r} depends on the input {names[index]!r}, which has neither a "
                    "gradient nor an embedding, outside of loops and compiled functions, that looks it up. "
                    f"{_OTHERWISE}"
                )
            if index in explained and index not in kept:
                _check_only_looked_up(model, leaf, names[index], logits, vectors)
        values = [tf.cast(flat[index], tf.float32) for index in kept] + used
        return cls(x, tuple(lookups), tuple(kept), logits, values)

    def vectors_at(self, model: keras.Model, run: Any, x: Any) -> tuple[list[Tensor], Tensor]:
        """Returns what stands for other inputs, as `values` does for these, and the model's logits there."""
        runs, logits = _lookups_in(model, run, x)
        flat = tf.nest.flatten(x)
        vectors = {(id(layer), number): vector for layer, number, _, vector in runs}
        values = [tf.cast(flat[index], tf.float32) for index in self.kept] + [
            tf.cast(vectors[id(lookup.layer), lookup.run], tf.float32) for lookup in self.lookups
        ]
        return values, logits

    def at_inputs(self, found: Sequence[Tensor]) -> Any:
        """Sums what was found for `values` over each vector, at the ids' places, shaped like the inputs."""
        flat = tf.nest.flatten(self.x)
        totals = [tf.zeros(tf.shape(leaf)) for leaf in flat]
        for index, part in zip(self.kept, found, strict=False):
            totals[index] += part
        for lookup, part in zip(self.lookups, found[len(self.kept) :], strict=True):
            leaf = flat[lookup.input]
            summed = tf.reshape(tf.reduce_sum(part, axis=-1), (tf.shape(leaf)[0], -1))
            if lookup.places is not None:
                size = tf.reduce_prod(tf.shape(leaf)[1:])
                summed = tf.transpose(
                    tf.math.unsorted_segment_sum(tf.transpose(summed), lookup.places, size)
                )
            totals[lookup.input] += tf.reshape(summed, tf.shape(leaf))
        shaped = [
            tf.ensure_shape(total, leaf.shape) for total, leaf in zip(totals, flat, strict=True)
        ]
        return tf.nest.pack_sequence_as(self.x, shaped)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Lets passes within the block take `values`, or others like them, for their inputs."""
        token = _ENTERED.set(self)
        try:
            yield
        finally:
            _ENTERED.reset(token)

    def model_inputs(self, values: Sequence[Tensor]) -> tuple[Any, Any]:
        """Returns the model's inputs where methods work on `values`, and what its embeddings shall give.

        The values may be `(times * batch, ...)`: what is not among them, such as the ids, is repeated.
        """
        flat = tf.nest.flatten(self.x)
        times = tf.shape(values[0])[0] // tf.shape(flat[0])[0]
        inputs = repeated(flat, times)
        for index, part in zip(self.kept, values, strict=False):
            inputs[index] = part
        outputs: dict[int, tuple[Any, list[Any]]] = {}
        for lookup, vector in zip(self.lookups, values[len(self.kept) :], strict=True):
            _, of_layer = outputs.setdefault(id(lookup.layer), (lookup.layer, []))
            of_layer += [None] * (lookup.run - len(of_layer))
            of_layer.append(tf.cast(vector, lookup.layer.compute_dtype))
        return tf.nest.pack_sequence_as(self.x, inputs), list(outputs.values())


_ENTERED: ContextVar[Embedded | None] = ContextVar("keras_pli_embedded", default=None)
# Positions of the integer inputs that are given as numbers.
_NUMBERS: ContextVar[tuple[int, ...]] = ContextVar("keras_pli_numbers", default=())


@contextmanager
def integers_as_numbers(model: keras.Model, run: Any, x: Any) -> Iterator[Any]:
    """Yields inputs in which integers that are numbers, as the pixels of an image, are float32.

    Within the block, passes through the model skip its cast to integers of those inputs.

    Args:
        model: The model.
        run: From inputs to what is explained, by a pass through the model.
        x: A batch of inputs, in the graph that is being traced.
    """
    flat = tf.nest.flatten(x)
    if not any(leaf.dtype.is_integer for leaf in flat):
        yield x
        return
    given = [tf.identity(leaf) for leaf in flat]
    logits = run(tf.nest.pack_sequence_as(x, given))
    numbers = tuple(index for index, leaf in enumerate(given) if is_number(leaf, logits))
    for index in numbers:
        flat[index] = tf.cast(flat[index], tf.float32)
    token = _NUMBERS.set(numbers)
    try:
        yield tf.nest.pack_sequence_as(x, flat)
    finally:
        _NUMBERS.reset(token)


@contextmanager
def inputs_of_pass(inputs: Any) -> Iterator[Any]:
    """Yields what a model is to be called on where a method gives these inputs (see `Embedded.entered`)."""
    embedded = _ENTERED.get()
    with ExitStack() as stack:
        if embedded is not None:
            inputs, outputs = embedded.model_inputs(inputs)
            stack.enter_context(replaced(outputs))
        yield inputs


def run_unchanged(
    model: keras.Model, inputs: Any, weights: Sequence[tuple[Any, Tensor]] | None = None
) -> Any:
    """Returns what a model gives in inference mode; what it assigns, as a stateful layer does, is dropped.

    Args:
        model: The model.
        inputs: A batch of its own structure.
        weights: Variables with the values to use in place of their own, which stay as they are.
    """
    scope = keras.StatelessScope(state_mapping=weights)
    with inputs_of_pass(inputs) as given, scope, ExitStack() as stack:
        given = of_fixed_batch(model, given)
        numbers = _NUMBERS.get()
        if numbers:
            flat = tf.nest.flatten(given)
            stack.enter_context(uncast([flat[index] for index in numbers]))
        return model(given, training=False)


def check_gradient(leaf: Tensor, logits: Tensor, name: str, model: keras.Model) -> None:
    """Raises a `ValueError` if the score depends on an input, and has no gradient by it."""
    if not operations_between(leaf, logits) or has_slope(leaf, logits):
        return
    advice = (
        "Pass embeddings='sum' to explain what the embedding gives for them, summed over its dimensions."
        if embedding_layers(model)
        else "If they are numbers, give the model a `keras.Input` of floats and let it compute with them as "
        f"floats; else use a method without gradients, such as Occlusion. {_OTHERWISE}"
    )
    raise ValueError(
        f"The score of {model.name!r} has no gradient by the input {name!r}: its values are rounded, "
        f"compared or looked up as ids, and attributions of 0 would be wrong. {advice}"
    )


def has_slope(source: Tensor, target: Tensor) -> bool:
    """Whether a way of real numbers leads from a tensor to another, on which no value is rounded."""
    reached = {source.name} if _is_real(source) else set()
    for operation in operations_between(source, target):
        if operation.type not in _STEPS and any(t.name in reached for t in operation.inputs):
            reached.update(tensor.name for tensor in operation.outputs if _is_real(tensor))
    return target.name in reached


def _lookups_in(model: keras.Model, run: Any, x: Any) -> tuple[list[Any], Tensor]:
    """Returns `(layer, run, ids, vectors)` for each lookup of a pass, and what `run` gave."""
    layers = embedding_layers(model)
    if not layers:
        raise ValueError(
            f"embeddings='sum' is for models with `Embedding` layers. {model.name!r} has none."
        )
    with recorded(layers, before=layers) as recording:
        logits = run(x)
    runs = [
        (layer, number, ids, vectors)
        for layer in layers
        for number, (ids, vectors) in enumerate(
            zip(recording.received_by(layer), recording.of(layer), strict=True)
        )
    ]
    # A layer may also run in a loop, out of reach, or the other way, from vectors to scores of the ids.
    return [
        (layer, number, ids, vectors)
        for layer, number, ids, vectors in runs
        if vectors.graph is logits.graph and vectors.shape.rank == ids.shape.rank + 1
    ], logits


def _looked_up(
    layer: keras.layers.Layer, ids: Tensor, inputs: Sequence[Tensor], names: Sequence[str]
) -> int | None:
    """The position of the input that ids are made of; None where they are the same for all inputs."""
    found = [index for index, leaf in enumerate(inputs) if _leads_to(leaf, ids)]
    if len(found) > 1:
        raise ValueError(
            f"The ids that {layer.name!r} looks up are made of several inputs, "
            f"{quoted(names[index] for index in found)}. Give each input an embedding of its own."
        )
    return found[0] if found else None


def _leads_to(leaf: Tensor, ids: Tensor) -> bool:
    return leaf.name == ids.name or bool(operations_between(leaf, ids))


def _check_only_looked_up(
    model: keras.Model, leaf: Tensor, name: str, logits: Tensor, vectors: Sequence[Tensor]
) -> None:
    """Raises a `ValueError` if ids reach the score otherwise than through their vectors or a mask."""
    other = leads_by_ids(leaf, logits, {vector.name for vector in vectors})
    if other is not None:
        raise ValueError(
            f"The score of {model.name!r} depends on the ids in the input {name!r} not only through an "
            f"embedding or a mask, but also by {other.type!r} at {other.name!r}, as codes or numbers; "
            "embeddings='sum' would leave that out. Give what is not looked up an input of its own, or use a "
            "method without gradients, such as Occlusion."
        )


def _has_gradient(leaf: Tensor, logits: Tensor, vectors: Sequence[Tensor]) -> bool:
    """Whether an input has a gradient on other ways than through some vectors."""
    if not leaf.dtype.is_floating:
        return False
    found = tf.gradients(logits, leaf, stop_gradients=list(vectors))
    return found[0] is not None


def _places(
    model: keras.Model,
    layer: keras.layers.Layer,
    run: int,
    ids: Tensor,
    x: Any,
    index: int,
    name: str,
) -> Tensor | None:
    """Where in an input the ids that are looked up stood; None where they keep their order."""
    leaf = tf.nest.flatten(x)[index]
    operations = operations_between(leaf, ids)
    kinds = {operation.type for operation in operations}
    same_shape = ids.shape[1:].as_list() == leaf.shape[1:].as_list()
    if kinds <= CARRIERS or (same_shape and not kinds & PLACINGS):
        return None
    single = all(len(_from(operation, operations, leaf)) == 1 for operation in operations)
    if not kinds <= _MOVES or not single or None in leaf.shape[1:].as_list():
        raise ValueError(
            f"It cannot be told which values of the input {name!r} are looked up in {layer.name!r}: the ids "
            f"are made by {quoted(sorted(kinds - CARRIERS))}. Give the ids an input of their own."
        )
    return _numbers_received(model, layer, run, x, index)


def _from(operation: Any, operations: Sequence[Any], leaf: Tensor) -> list[int]:
    made = {leaf.name, *(tensor.name for other in operations for tensor in other.outputs)}
    return [place for place, tensor in enumerate(operation.inputs) if tensor.name in made]


def _numbers_received(
    model: keras.Model, layer: keras.layers.Layer, run: int, x: Any, index: int
) -> Tensor:
    """Which values of an input a layer receives, found by handing it their numbers instead."""
    flat = [tf.zeros_like(leaf) for leaf in tf.nest.flatten(x)]
    shape = flat[index].shape.as_list()[1:]
    flat[index] += tf.constant(np.arange(int(np.prod(shape))).reshape(shape), flat[index].dtype)
    with recorded(before=[layer]) as given:
        run_unchanged(model, tf.nest.pack_sequence_as(x, flat))
    received = given.received_by(layer)[run]
    return tf.reshape(tf.cast(received[0], tf.int32), (-1,))


def _is_real(tensor: Tensor) -> bool:
    # A variant is a list of tensors, as a recurrent layer's loop takes and gives.
    return bool(tensor.dtype.is_floating or tensor.dtype == tf.variant)
