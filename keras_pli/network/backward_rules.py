"""Other derivatives of rectifiers, for guided backpropagation and deconvnets; and what all rules share.

Those of ε-LRP are in `epsilon_rules` and those of DeepLIFT in `rescale_rules`. For a rule, see
`backward.Rule`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import tensorflow as tf

from .backward import Rule, native_gradient
from .kinds import RECTIFIERS
from .operations import is_rectifier

Tensor = Any
Operation = Any
# One for each output or input; None where there is none.
Gradients: TypeAlias = Sequence[Tensor]


def guided_rules() -> dict[str, Rule]:
    """Rectifiers hand on positive gradients where they were active (Springenberg et al. 2015)."""
    return dict.fromkeys((*RECTIFIERS, "Maximum"), _guided)


def deconvolution_rules() -> dict[str, Rule]:
    """Rectifiers hand on positive gradients, active or not (Zeiler & Fergus 2014, section 2.1)."""
    return dict.fromkeys((*RECTIFIERS, "Maximum"), _deconvolved)


def _guided(operation: Operation, gradients: Gradients) -> Gradients:
    if not is_rectifier(operation):
        return native_gradient(operation, gradients)
    (gradient,) = gradients
    positive = tf.nn.relu(gradient)
    if _is_negative_part(operation):
        positive = -tf.nn.relu(-gradient)
    return native_gradient(operation, [positive])


def _deconvolved(operation: Operation, gradients: Gradients) -> Gradients:
    if not is_rectifier(operation):
        return native_gradient(operation, gradients)
    if _is_negative_part(operation):
        return [None]
    (gradient,) = gradients
    constant = [tf.get_static_value(tensor) is not None for tensor in operation.inputs]
    return [None if fixed else tf.nn.relu(gradient) for fixed in constant]


def _is_negative_part(operation: Operation) -> bool:
    """Whether a rectifier is half of another: Keras writes PReLU as relu(x) + (−α) · relu(−x)."""
    negation = operation.inputs[0].op
    if negation.type != "Neg":
        return False
    beside = {user.type for user in negation.inputs[0].consumers()}
    onwards = {user.type for user in operation.outputs[0].consumers()}
    return "Relu" in beside and "Mul" in onwards


def straight(operation: Operation, gradients: Gradients) -> Gradients:
    """Hands gradients on as they are."""
    return gradients


def precise(tensor: Tensor) -> Tensor:
    """A tensor in float32: ε and small differences have no room in half precision."""
    return tf.cast(tensor, tf.float32)


def only_at(place: int, operation: Operation, gradient: Tensor) -> Gradients:
    """A gradient for one of the inputs, in its precision; that of truth values is float32."""
    kind = operation.inputs[place].dtype
    passed: list[Tensor | None] = [None] * len(operation.inputs)
    passed[place] = tf.cast(gradient, kind if kind.is_floating else tf.float32)
    return passed


def summed_like(gradient: Tensor, tensor: Tensor) -> Tensor:
    """Sums a gradient over the axes along which its tensor was broadcast."""
    axes, _ = tf.raw_ops.BroadcastGradientArgs(s0=tf.shape(tensor), s1=tf.shape(gradient))
    return tf.reshape(tf.reduce_sum(gradient, axes), tf.shape(tensor))
