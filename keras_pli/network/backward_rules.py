"""Derivatives instead of an operation's own: those of guided backpropagation, deconvnets, LRP and DeepLIFT.

Ancona et al. (2018, "Towards better understanding of gradient-based attribution methods", section 2) write
ε-LRP and DeepLIFT (Rescale) as a backward pass with another slope at each nonlinearity. For a rule, see
`backward.Rule`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import tensorflow as tf

from .backward import Rule, native_gradient
from .kinds import MAXIMA, RECTIFIERS
from .operations import COMPARISONS, ELEMENTWISE, STRAIGHT, dependent_places, is_rectifier
from .pooling import box_max_gradient

Tensor = Any
Operation = Any
# One for each output or input; None where there is none.
Gradients: TypeAlias = Sequence[Tensor]

# Differences below this are lost in float32's rounding; the slope is then the derivative.
_NEAR = 1e-6
# f(z) = 0 for z < 0, so that no sign need be looked at there.
_ZERO_BELOW = frozenset({"Relu", "Relu6"})
# Whose slopes take both runs.
_SECANT = ELEMENTWISE | COMPARISONS | MAXIMA | {"Mul", "SelectV2"}


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


def stabilized(values: Tensor, epsilon: float) -> Tensor:
    """Moves values away from zero by epsilon, with the sign of zero taken as positive."""
    return tf.where(values >= 0, values + epsilon, values - epsilon)


@dataclass(frozen=True)
class EpsilonRules:
    """The rules of ε-LRP (Bach et al. 2015, equation 58; as slopes, Ancona et al. 2018, proposition 1).

    Attributes:
        dependent: Names of the tensors that depend on the inputs.
        epsilon: What is added to the size of each z.
    """

    dependent: Collection[str]
    epsilon: float

    def by_type(self) -> dict[str, Rule]:
        """A rule for each type of operation that shall not have its own derivative."""
        return {
            **dict.fromkeys(ELEMENTWISE, self._elementwise),
            **dict.fromkeys(STRAIGHT, _straight),
            "Mul": self._product,
        }

    def _elementwise(self, operation: Operation, gradients: Gradients) -> Gradients:
        """f(z) / (z + ε sign z) as the slope of f."""
        (place,) = dependent_places(operation, self.dependent)
        z, y = _precise(operation.inputs[place]), _precise(operation.outputs[0])
        if operation.type in _ZERO_BELOW:
            denominator = tf.nn.relu(z) + self.epsilon
        else:
            denominator = stabilized(z, self.epsilon)
        return _at(place, operation, _precise(gradients[0]) * y / denominator)

    def _product(self, operation: Operation, gradients: Gradients) -> Gradients:
        """Half to each of two factors (the uniform rule of Achtibat et al. 2024, AttnLRP)."""
        found = native_gradient(operation, gradients)
        if len(dependent_places(operation, self.dependent)) == 1:
            return found
        return [None if gradient is None else gradient / 2 for gradient in found]


@dataclass(frozen=True)
class RescaleRules:
    """The rules of DeepLIFT (Rescale): slopes of the secants from a reference to x.

    What is passed back, times the difference of the inputs from the reference, adds up to the difference of
    the score at every step: a finite chain rule (Shrikumar et al. 2017, section 3).

    Attributes:
        references: What each tensor that depends on the inputs is at the reference, by name; of the batch, or
            of one sample for all.
    """

    references: Mapping[str, Tensor]

    @classmethod
    def pairing(
        cls,
        dependent: Collection[str],
        operations: Sequence[Operation],
        others: Sequence[Operation],
    ) -> RescaleRules | None:
        """Returns the rules between two runs of a network; None where the runs cannot stand side by side.

        Args:
            dependent: Names of the tensors that depend on the inputs.
            operations: What ran on the inputs.
            others: What ran on the reference.
        """
        wanted = [operation for operation in operations if operation.type in _SECANT]
        found = [operation for operation in others if operation.type in _SECANT]
        if [operation.type for operation in wanted] != [operation.type for operation in found]:
            return None
        references = {}
        for operation, other in zip(wanted, found, strict=True):
            tensors = (*operation.inputs, *operation.outputs)
            for tensor, reference in zip(tensors, (*other.inputs, *other.outputs), strict=True):
                if tensor.name in dependent:
                    references[tensor.name] = reference
                    if not _side_by_side(tensor, reference):
                        return None
        return cls(references)

    def by_type(self) -> dict[str, Rule]:
        """A rule for each type of operation that shall not have its own derivative."""
        return {
            **dict.fromkeys(ELEMENTWISE | COMPARISONS, self._elementwise),
            **dict.fromkeys(MAXIMA, self._maximum),
            **dict.fromkeys(STRAIGHT, _straight),
            "Mul": self._product,
            "SelectV2": self._choice,
        }

    def _elementwise(self, operation: Operation, gradients: Gradients) -> Gradients:
        """(f(z) − f(z̄)) / (z − z̄), and the derivative where the two are near (section 3.5.1)."""
        (place,) = dependent_places(operation, self.references)
        (gradient,) = gradients
        run = self._difference(operation.inputs[place])
        rise = self._difference(operation.outputs[0])
        near = tf.abs(run) < _NEAR
        secant = tf.math.divide_no_nan(_precise(gradient) * rise, run)
        tangent = tf.zeros_like(secant)
        if operation.type not in COMPARISONS:
            tangent = _precise(native_gradient(operation, gradients)[place])
        # `tf.where`, which could also broadcast, takes three times as long on a CPU.
        slope = tf.raw_ops.Select(condition=near, x=tangent, y=secant)
        return _at(place, operation, slope)

    def _product(self, operation: Operation, gradients: Gradients) -> Gradients:
        """Δ(ab) = Δa (b + b̄) / 2 + Δb (a + ā) / 2."""
        if len(dependent_places(operation, self.references)) == 1:
            return native_gradient(operation, gradients)
        (gradient,) = gradients
        a, b = operation.inputs
        return [
            _summed_like(gradient * self._mean(b), a),
            _summed_like(gradient * self._mean(a), b),
        ]

    def _choice(self, operation: Operation, gradients: Gradients) -> Gradients:
        """Of c ? a : b, the rule of products for c · a + (1 − c) · b."""
        (gradient,) = gradients
        condition, a, b = operation.inputs
        chosen = tf.cast(self._mean(condition), gradient.dtype)
        return [
            _summed_like(gradient * (self._mean(a) - self._mean(b)), condition),
            _summed_like(gradient * chosen, a),
            _summed_like(gradient * (1 - chosen), b),
        ]

    def _maximum(self, operation: Operation, gradients: Gradients) -> Gradients:
        """What rises goes to where the maximum is at x, what falls to where it was at the reference.

        With p and q the places of the maxima of x and x̄, the slope at p is max(y − ȳ, 0) / (x − x̄) and at q
        min(y − ȳ, 0) / (x − x̄). The paper leaves pooling open; SHAP and Captum do the same. Where a numerator
        is not zero, x − x̄ is at least as large.
        """
        (gradient,) = gradients
        x, y = operation.inputs[0], operation.outputs[0]
        x_bar = tf.broadcast_to(self.references[x.name], tf.shape(x))
        change = y - self.references[y.name]
        risen = _at_maxima(operation, x, gradient * tf.maximum(change, 0))
        fallen = _at_maxima(operation, x_bar, gradient * tf.minimum(change, 0))
        run = x - self.references[x.name]
        return _at(0, operation, tf.math.divide_no_nan(risen + fallen, run))

    def _difference(self, tensor: Tensor) -> Tensor:
        return _precise(tensor) - _precise(self.references[tensor.name])

    def _mean(self, tensor: Tensor) -> Tensor:
        """The middle between a tensor at x and at the reference; a constant is itself."""
        reference = self.references.get(tensor.name)
        if tensor.dtype.is_bool:
            tensor, reference = _precise(tensor), None if reference is None else _precise(reference)
        return tensor if reference is None else (tensor + reference) / 2


def _side_by_side(tensor: Tensor, reference: Tensor) -> bool:
    """Whether a reference, of the batch or of one sample, has its values where a tensor has them."""
    samples, positions = tensor.shape[:1], tensor.shape[1:]
    return reference.shape[1:] == positions and reference.shape[:1] in (samples, [1])


def _straight(operation: Operation, gradients: Gradients) -> Gradients:
    return gradients


def _at_maxima(operation: Operation, x: Tensor, gradient: Tensor) -> Tensor:
    """The derivative of a maximum as if `x` were its input."""
    if operation.type == "MaxPool3D":
        return box_max_gradient(operation, x, gradient)
    if operation.type == "MaxPool":
        same = ("ksize", "strides", "padding", "explicit_paddings", "data_format")
        attributes = {name: operation.get_attr(name) for name in same}
        pooled = operation.outputs[0]
        if x.name != operation.inputs[0].name:
            # Pooling once more costs little: a CPU's fast derivative needs a pooling beside it.
            pooled = tf.raw_ops.MaxPool(input=x, **attributes)
        return tf.raw_ops.MaxPoolGrad(orig_input=x, orig_output=pooled, grad=gradient, **attributes)
    axes = operation.inputs[1]
    highest = tf.reduce_max(x, axes, keepdims=True)
    winners = tf.cast(x == highest, gradient.dtype)
    shares = winners / tf.reduce_sum(winners, axes, keepdims=True)
    return shares * tf.reshape(gradient, tf.shape(highest))


def _at(place: int, operation: Operation, gradient: Tensor) -> Gradients:
    """A gradient for one of the inputs, in its precision."""
    kind = operation.outputs[0].dtype
    passed: list[Tensor | None] = [None] * len(operation.inputs)
    passed[place] = tf.cast(gradient, kind) if kind.is_floating else gradient
    return passed


def _summed_like(gradient: Tensor, tensor: Tensor) -> Tensor:
    """Sums a gradient over the axes along which its tensor was broadcast."""
    axes, _ = tf.raw_ops.BroadcastGradientArgs(s0=tf.shape(tensor), s1=tf.shape(gradient))
    return tf.reshape(tf.reduce_sum(gradient, axes), tf.shape(tensor))


def _precise(tensor: Tensor) -> Tensor:
    # ε and small differences have no room in half precision.
    return tf.cast(tensor, tf.float32)
