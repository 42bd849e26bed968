"""The operations of a traced TensorFlow graph: which lie between two places, and how a tensor was made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from .kinds import CALLS, FROM_INTEGERS
from .logits import Reader, Step

Tensor = Any
Operation = Any

# What depends on the shape of an input, and not on its values.
_SHAPES = {"Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike"}


def operations_between(sources: Any, target: Tensor) -> list[Operation]:
    """Returns the operations on the ways from the sources to the target, in the order they run.

    A way on which only a shape is handed on is none; one through a source begins there.
    """
    begin = {source.name for source in tf.nest.flatten(sources)}
    reached = set(begin)
    downstream = []
    for operation in target.graph.get_operations():
        if operation.type in _SHAPES:
            continue
        if any(tensor.name in reached for tensor in operation.inputs):
            reached.update(tensor.name for tensor in operation.outputs)
            downstream.append(operation)
    needed = {target.name}
    between = []
    for operation in reversed(downstream):
        if any(tensor.name in needed for tensor in operation.outputs):
            needed.update(tensor.name for tensor in operation.inputs if tensor.name not in begin)
            between.append(operation)
    return between[::-1]


def in_this_graph(x: Any) -> Any:
    """Returns the same tensors; what a loop's body takes from outside is known in it by another name."""
    return tf.nest.map_structure(tf.identity, x)


def reader(sources: Any, output: Tensor) -> Reader:
    """Returns what reads how tensors are made from the sources (see `logits.Reader`).

    A place in the graph is a tensor. What a function made, as a `tf.function` or a SavedModel is one, is
    followed into its body; a step there has no operation, since its tensors cannot be taken out.
    """
    on_the_way = {operation.name for operation in operations_between(sources, output)}
    given = {source.name for source in tf.nest.flatten(sources)}

    def depends(tensor: Tensor) -> bool:
        return tensor.op.name in on_the_way or tensor.name in given

    def read(place: Any) -> Step | None:
        if isinstance(place, _BodyPlace):
            return place.step()
        operation = place.op
        if place.name in given or operation.name not in on_the_way:
            return None
        if operation.type in CALLS:
            dependent = tuple(depends(tensor) for tensor in operation.inputs)
            body = _Body(function_bodies(operation.graph), operation.get_attr("f").name, dependent)
            return body.output(place.value_index).step()
        inputs = [tensor for tensor in operation.inputs if depends(tensor)]
        others = [tensor for tensor in operation.inputs if not depends(tensor)]
        constant = all(tf.get_static_value(tensor) is not None for tensor in others)
        kind = operation.type
        if kind == "Cast" and not operation.inputs[0].dtype.is_floating:
            kind = FROM_INTEGERS
        if kind == "Pow":
            exponent = tf.get_static_value(operation.inputs[1])
            kind = "Pow" if exponent is None or np.all(exponent >= 0) else "Reciprocal"
        return Step(kind, inputs, operation, by_constant=constant)

    return read


def function_bodies(graph: Any) -> dict[str, Any]:
    """Returns the functions that a graph's operations may call, by name, as protocol buffers."""
    library = graph.as_graph_def().library.function
    return {function.signature.name: function for function in library}


@dataclass(frozen=True)
class _Body:
    """The body of a function.

    Attributes:
        bodies: All functions, by name.
        name: This one's.
        dependent: For each of its arguments, whether it depends on the model's inputs.
    """

    bodies: Mapping[str, Any]
    name: str
    dependent: tuple[bool, ...]

    def output(self, index: int) -> _BodyPlace:
        """The place that a function's output is read from."""
        function = self.bodies[self.name]
        returned = function.signature.output_arg[index].name
        return _BodyPlace(self, function.ret[returned])

    def depends(self, reference: str) -> bool:
        """Whether what a reference, `"node:output:0"`, stands for depends on the model's inputs."""
        function = self.bodies[self.name]
        nodes = {node.name: node for node in function.node_def}
        arguments = [argument.name for argument in function.signature.input_arg]
        waiting, seen = [reference.split(":")[0]], set()
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            if name in nodes:
                inputs = nodes[name].input
                waiting += [given.split(":")[0] for given in inputs if not given.startswith("^")]
            elif self.dependent[arguments.index(name)]:
                return True
        return False


@dataclass(frozen=True)
class _BodyPlace:
    """A value within a function."""

    body: _Body
    reference: str

    def step(self) -> Step | None:
        """How it is made; None where it is an argument, or constant."""
        name, *output = self.reference.split(":")
        nodes = {node.name: node for node in self.body.bodies[self.body.name].node_def}
        if name not in nodes:
            return None
        node = nodes[name]
        given = [reference for reference in node.input if not reference.startswith("^")]
        depends = [self.body.depends(reference) for reference in given]
        if node.op in CALLS:
            inner = _Body(self.body.bodies, node.attr["f"].func.name, tuple(depends))
            return inner.output(int(output[1]) if len(output) > 1 else 0).step()
        inputs = [
            _BodyPlace(self.body, reference)
            for reference, dependent in zip(given, depends, strict=True)
            if dependent
        ]
        others = [
            reference for reference, dependent in zip(given, depends, strict=True) if not dependent
        ]
        constant = all(nodes[r.split(":")[0]].op == "Const" for r in others if ":" in r)
        return Step(node.op, inputs, None, by_constant=constant)
