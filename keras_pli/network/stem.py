"""The affine operations that a network begins with, which a sum of gradients passes only once.

The derivative of an affine operation is the same at all inputs. Of the mean gradient at many points, such as
those of a path, only the part above the first nonlinearity has to be found point by point; the first
convolution, which takes the whole resolution to few channels, is often the most expensive of all to go back
through.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from .backward import backpropagate
from .forward import Network, Target
from .graph import operations_between
from .loops import repeated, summed, weighted
from .operations import dependent_places, is_affine_by_sample
from .targets import target_scores
from .whole_numbers import check_steps

Tensor = Any


@dataclass(frozen=True)
class Stem:
    """The affine operations between some inputs and the first nonlinearities.

    Attributes:
        inputs: Tensor `(batch, ...)`, or a structure of them.
        outputs: What the rest of the network is made from, each `(samples, ...)`; the inputs themselves,
            where it begins with a nonlinearity.
    """

    inputs: Any
    outputs: tuple[Tensor, ...]

    @classmethod
    def between(cls, inputs: Any, logits: Tensor) -> Stem:
        """Returns the stem of a network that ran on some inputs, in the same graph."""
        operations = operations_between(inputs, logits)
        affine = {tensor.name for tensor in tf.nest.flatten(inputs)}
        dependent = affine.union(
            tensor.name for operation in operations for tensor in operation.outputs
        )
        outputs: dict[str, Tensor] = {}
        for operation in operations:
            read = [operation.inputs[place] for place in dependent_places(operation, dependent)]
            below = [tensor for tensor in read if tensor.name in affine]
            if len(below) == len(read) and is_affine_by_sample(operation, dependent):
                affine.update(tensor.name for tensor in operation.outputs)
            else:
                outputs.update((tensor.name, tensor) for tensor in below)
        if logits.name in affine:
            outputs[logits.name] = logits
        return cls(inputs, tuple(outputs.values()))

    def passed_down(self, gradients: Sequence[Tensor]) -> Any:
        """Passes gradients at the outputs back to the inputs."""
        flat = tf.nest.flatten(self.inputs)
        starts = [
            tf.cast(gradient, output.dtype)
            for gradient, output in zip(gradients, self.outputs, strict=True)
        ]
        found = tf.gradients(self.outputs, flat, grad_ys=starts, unconnected_gradients="zero")
        return tf.nest.pack_sequence_as(self.inputs, found)


def mean_gradient(
    network: Network,
    stem: Stem,
    target: Target,
    points: Callable[[Tensor], Any],
    count: int,
    *,
    batch: Tensor,
    room: int,
) -> Any:
    """Returns the mean of the gradients of a score at several points for each sample.

    Args:
        network: Where the score is read from.
        stem: Of the network on the samples.
        target: As in `Method.compute`, but not None.
        points: From positions `(p,)`, int32, to points `(p * batch, ...)`, in the structure of the samples.
        count: Number of points for each sample.
        batch: Number of samples, a scalar.
        room: Inputs that may run through the model at a time.
    """

    def gradients(positions: Tensor, weights: Tensor) -> list[Tensor]:
        inputs = points(positions)
        logits = network.forward(inputs).logits
        scores = target_scores(logits, repeated(target, tf.size(positions)))
        check_steps(network.model, inputs, scores)
        found = backpropagate(scores, Stem.between(inputs, logits).outputs, within=True)
        return [weighted(tf.cast(gradient, tf.float32), weights) for gradient in found]

    zeros = [tf.zeros_like(output, tf.float32) for output in stem.outputs]
    sums = summed(gradients, count, zeros, batch=batch, room=room)
    return stem.passed_down([total / count for total in sums])
