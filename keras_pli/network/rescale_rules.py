"""The backward rules of DeepLIFT (Rescale): slopes of the secants from a reference to x.

Ancona et al. (2018, "Towards better understanding of gradient-based attribution methods", proposition 2)
write DeepLIFT (Shrikumar et al. 2017) as a backward pass with another slope at each nonlinearity. Functions
of several tensors are written as products, quotients and functions of one. For a rule, see `backward.Rule`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from .backward import Rule, native_gradient
from .backward_rules import Gradients, only_at, precise, straight, summed_like
from .kinds import CARRIERS, PLACINGS, PRODUCTS
from .operations import (
    COMPARISONS,
    ELEMENTWISE,
    EXTREMA,
    FINITENESS,
    LOGIC,
    SOFTMAXES,
    STRAIGHT,
    dependent_places,
    is_normalizer,
)
from .pooling import box_max_gradient, window_max_gradient

Tensor = Any
Operation = Any

# Differences below this are lost in float32's rounding; the slope is then the derivative.
_NEAR = 1e-6
# Infinite where what they receive is zero; there, they count as this.
_POLES = frozenset({"Rsqrt", "Reciprocal", "Inv"})
_INFINITE = 1e20
# A score below this is one that a mask hides from a softmax.
_HIDDEN = -1e4
# Of the extrema, those that take the smallest.
_SMALLEST = frozenset({"Min", "All"})
# Whose slopes take both runs.
_SECANT = (ELEMENTWISE | COMPARISONS | LOGIC | EXTREMA | SOFTMAXES | PRODUCTS) | {
    "SelectV2",
    "SquaredDifference",
    "RealDiv",
}
# Hand truth values on as they do numbers.
_PLACES = (CARRIERS | PLACINGS | {"ConcatV2", "Pack", "Cast"}) - STRAIGHT


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
            if _is_linear(operation, dependent):
                continue
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
            **dict.fromkeys(_PLACES, _placed),
            **dict.fromkeys(STRAIGHT, straight),
            **dict.fromkeys(ELEMENTWISE, self._elementwise),
            **dict.fromkeys(COMPARISONS, self._comparison),
            **dict.fromkeys(LOGIC, self._logic),
            **dict.fromkeys(FINITENESS, _held),
            **dict.fromkeys(EXTREMA, self._extremum),
            **dict.fromkeys(SOFTMAXES, self._softmax),
            **dict.fromkeys(PRODUCTS, self._product),
            "RealDiv": self._quotient,
            "SelectV2": self._choice,
            "SquaredDifference": self._squared_difference,
        }

    def _elementwise(self, operation: Operation, gradients: Gradients) -> Gradients:
        """(f(z) − f(z̄)) / (z − z̄), and the derivative where the two are near (section 3.5.1)."""
        (place,) = dependent_places(operation, self.references)
        (gradient,) = gradients
        given, made = operation.inputs[place], operation.outputs[0]
        run, rise = self._difference(given), self._difference(made)
        near = tf.abs(run) < _NEAR
        secant = tf.math.divide_no_nan(precise(gradient) * rise, run)
        tangent = precise(native_gradient(operation, gradients)[place])
        if operation.type in _POLES:
            tangent = tf.where(tf.math.is_finite(tangent), tangent, 0.0)
        # `tf.where`, which could also broadcast, takes three times as long on a CPU.
        slope = tf.raw_ops.Select(condition=near, x=tangent, y=secant)
        return only_at(place, operation, slope)

    def _comparison(self, operation: Operation, gradients: Gradients) -> Gradients:
        """A step of a − b, from 0 to 1."""
        a, b = operation.inputs
        run = self._difference(a) - self._difference(b)
        rise = precise(gradients[0]) * self._difference(operation.outputs[0])
        slope = tf.where(tf.abs(run) < _NEAR, 0.0, tf.math.divide_no_nan(rise, run))
        return [tf.cast(summed_like(s, of), of.dtype) for s, of in ((slope, a), (-slope, b))]

    def _logic(self, operation: Operation, gradients: Gradients) -> Gradients:
        """Of a ∧ b the rule of products for ab, and of a ∨ b for a + b − ab; ¬a is 1 − a."""
        gradient = precise(gradients[0])
        if operation.type == "LogicalNot":
            return [-gradient]
        a, b = operation.inputs
        others = [self._mean(b), self._mean(a)]
        if operation.type == "LogicalOr":
            others = [1 - other for other in others]
        return [summed_like(gradient * other, of) for other, of in zip(others, (a, b), strict=True)]

    def _product(self, operation: Operation, gradients: Gradients) -> Gradients:
        """Δ(ab) = Δa (b + b̄) / 2 + Δb (a + ā) / 2, also of matrices."""
        if _is_linear(operation, self.references):
            return native_gradient(operation, gradients)
        (gradient,) = gradients
        means = [self._mean(tensor) for tensor in operation.inputs]
        if operation.type != "Mul":
            return _derivative_at(operation, means, gradient)
        a, b = operation.inputs
        normalizing = [is_normalizer(tensor, self.references) for tensor in (a, b)]
        slopes = means[::-1]
        if sum(normalizing) == 1:
            slopes = self._normalized(operation, normalizing.index(True))
        return [summed_like(gradient * slope, of) for slope, of in zip(slopes, (a, b), strict=True)]

    def _normalized(self, operation: Operation, place: int) -> list[Tensor]:
        """The slopes by both factors of a product y = a n that normalizes, with n = 1 / σ at a place.

        The rule of products for a = y σ, which is Δy = (Δa − Δσ (y + ȳ) / 2) / ((σ + σ̄) / 2). What is
        normalized keeps within bounds, and so do these slopes, also where σ̄ is near 0, as it is at
        a constant baseline; those of Δ(a n) would not.
        """
        n, n_bar = self._both(operation.inputs[place])
        middle, mean = self._mean(operation.inputs[place]), self._mean(operation.outputs[0])
        regular = n * n_bar > 0
        by_value = tf.where(regular, tf.math.divide_no_nan(n, middle) * n_bar, middle)
        by_normalizer = tf.where(
            regular,
            tf.math.divide_no_nan(mean, middle),
            self._mean(operation.inputs[1 - place]),
        )
        return [by_value, by_normalizer][:: 1 if place == 1 else -1]

    def _quotient(self, operation: Operation, gradients: Gradients) -> Gradients:
        """Of y = a / b the rule of products for a = y b: Δy = (Δa − Δb (y + ȳ) / 2) / ((b + b̄) / 2).

        Where b changes its sign, that for a and 1 / b, with Δ(1 / b) = −Δb / (b b̄).
        """
        if _is_linear(operation, self.references):
            return native_gradient(operation, gradients)
        (gradient,) = gradients
        a, b = operation.inputs
        _, b_bar = self._both(b)
        middle, mean = self._mean(b), self._mean(operation.outputs[0])
        regular = b * b_bar > 0
        upper = tf.where(regular, 1 / middle, (1 / b + 1 / b_bar) / 2)
        lower = tf.where(regular, mean / middle, self._mean(a) / b / b_bar)
        return [summed_like(gradient * upper, a), summed_like(-gradient * lower, b)]

    def _squared_difference(self, operation: Operation, gradients: Gradients) -> Gradients:
        """Δ(a − b)² = (Δa − Δb) (a − b + ā − b̄)."""
        (gradient,) = gradients
        a, b = operation.inputs
        slope = gradient * (self._mean(a) - self._mean(b)) * 2
        return [summed_like(slope, a), summed_like(-slope, b)]

    def _softmax(self, operation: Operation, gradients: Gradients) -> Gradients:
        """Δsᵢ = λᵢ (Δzᵢ − ΔL), ΔL = Σⱼ λⱼ Δzⱼ / Σⱼ λⱼ, with λ the logarithmic mean of s and s̄.

        Softmax is exp(z − L), with L the logarithm of the sum of exp z. λᵢ is the secant of exp from
        z̄ᵢ − L̄ to zᵢ − L; and as Σ Δsᵢ = 0, ΔL has to be as above. Nothing is changed by what all z have
        in common, and where x is the reference, it is the derivative.
        """
        gradient, pair = precise(gradients[0]), self._both(operation.inputs[0])
        lowest = _lowest(*pair)
        logs = [tf.nn.log_softmax(_raised(precise(z), lowest)) for z in pair]
        weights = _logarithmic_mean(*logs)
        shares = tf.math.divide_no_nan(weights, tf.reduce_sum(weights, axis=-1, keepdims=True))
        if operation.type == "LogSoftmax":
            slope = gradient - shares * tf.reduce_sum(gradient, axis=-1, keepdims=True)
        else:
            slope = weights * (gradient - tf.reduce_sum(shares * gradient, axis=-1, keepdims=True))
        return only_at(0, operation, slope)

    def _choice(self, operation: Operation, gradients: Gradients) -> Gradients:
        """Of c ? a : b, the rule of products for c · a + (1 − c) · b."""
        (gradient,) = gradients
        condition, a, b = operation.inputs
        made = operation.outputs[0]
        chosen = tf.cast(self._mean(condition), gradient.dtype)
        values, slopes = [self._mean(a), self._mean(b)], [chosen, 1 - chosen]
        if any(user.type in SOFTMAXES for user in made.consumers()):
            lowest = tf.cast(_lowest(*self._both(made)), made.dtype)
            slopes = [
                tf.where(value > _HIDDEN, slope, 0.0)
                for value, slope in zip(values, slopes, strict=True)
            ]
            values = [_raised(value, lowest) for value in values]
        return [
            precise(summed_like(gradient * (values[0] - values[1]), condition)),
            summed_like(gradient * slopes[0], a),
            summed_like(gradient * slopes[1], b),
        ]

    def _extremum(self, operation: Operation, gradients: Gradients) -> Gradients:
        """What rises goes to where the maximum is at x, what falls to where it was at the reference.

        With p and q the places of the maxima of x and x̄, the slope at p is max(y − ȳ, 0) / (x − x̄) and at q
        min(y − ȳ, 0) / (x − x̄). The paper leaves pooling open; SHAP and Captum do the same. Where a numerator
        is not zero, x − x̄ is at least as large. A minimum is the maximum of −x with its sign turned.
        """
        (gradient,) = gradients
        x, x_bar = self._both(operation.inputs[0])
        y, y_bar = self._both(operation.outputs[0])
        run, change = x - x_bar, y - y_bar
        x_bar = tf.broadcast_to(x_bar, tf.shape(x))
        if operation.type in _SMALLEST:
            x, x_bar, change, gradient = -x, -x_bar, -change, -gradient
        risen = _at_maxima(operation, x, gradient * tf.maximum(change, 0))
        fallen = _at_maxima(operation, x_bar, gradient * tf.minimum(change, 0))
        return only_at(0, operation, tf.math.divide_no_nan(risen + fallen, run))

    def _difference(self, tensor: Tensor) -> Tensor:
        if tensor.name not in self.references:
            return tf.zeros_like(tensor, tf.float32)
        pair = precise(tensor), precise(self.references[tensor.name])
        if tensor.op.type in _POLES:
            pair = tuple(tf.clip_by_value(value, -_INFINITE, _INFINITE) for value in pair)
        return pair[0] - pair[1]

    def _both(self, tensor: Tensor) -> tuple[Tensor, Tensor]:
        """A tensor at x and at the reference; truth values as 0 and 1."""
        pair = tensor, self.references[tensor.name]
        return tuple(map(precise, pair)) if tensor.dtype.is_bool else pair

    def _mean(self, tensor: Tensor) -> Tensor:
        """The middle between a tensor at x and at the reference; a constant is itself."""
        if tensor.name not in self.references:
            return precise(tensor) if tensor.dtype.is_bool else tensor
        there, reference = self._both(tensor)
        return (there + reference) / 2


def _side_by_side(tensor: Tensor, reference: Tensor) -> bool:
    """Whether a reference, of the batch or of one sample, has its values where a tensor has them."""
    samples, positions = tensor.shape[:1], tensor.shape[1:]
    return reference.shape[1:] == positions and reference.shape[:1] in (samples, [1])


def _is_linear(operation: Operation, dependent: Collection[str]) -> bool:
    """Whether a product or quotient has no more than one factor that depends on x."""
    places = dependent_places(operation, dependent)
    if operation.type == "RealDiv":
        return 1 not in places
    return operation.type in PRODUCTS and len(places) < 2


def _held(operation: Operation, gradients: Gradients) -> Gradients:
    return [None]


def _placed(operation: Operation, gradients: Gradients) -> Gradients:
    """The derivative of what only places values, of truth values as if they were numbers."""
    if not any(tensor.dtype.is_bool for tensor in operation.inputs):
        return native_gradient(operation, gradients)
    if operation.type == "Cast":
        return [precise(gradients[0])]
    values = [precise(each) if each.dtype.is_bool else each for each in operation.inputs]
    return _derivative_at(operation, values, *gradients)


def _derivative_at(operation: Operation, values: Sequence[Tensor], *gradients: Tensor) -> Gradients:
    """The derivative of an operation as if `values` were its inputs; numbers stand for truth values."""
    inputs = [tf.identity(value) for value in values]
    attributes = dict(operation.node_def.attr)
    for name, attribute in attributes.items():
        if attribute.type == tf.bool.as_datatype_enum:
            attributes[name] = type(attribute)(type=tf.float32.as_datatype_enum)
    dtypes = [tf.float32 if each.dtype.is_bool else each.dtype for each in operation.outputs]
    copy = operation.graph.create_op(operation.type, inputs, dtypes, attrs=attributes)
    given = [
        (output, gradient)
        for output, gradient in zip(copy.outputs, gradients, strict=True)
        if gradient is not None
    ]
    numbers = [tensor for tensor in inputs if tensor.dtype.is_floating]
    found = tf.gradients(
        [output for output, _ in given],
        numbers,
        grad_ys=[gradient for _, gradient in given],
        stop_gradients=numbers,
    )
    by_name = {tensor.name: gradient for tensor, gradient in zip(numbers, found, strict=True)}
    return [by_name.get(tensor.name) for tensor in inputs]


def _logarithmic_mean(logs: Tensor, others: Tensor) -> Tensor:
    """(a − b) / (log a − log b) of two numbers given by their logarithms, and a where they are equal."""
    larger = tf.exp(tf.maximum(logs, others))
    apart = -tf.abs(logs - others)
    ratio = tf.where(apart < 0, tf.math.expm1(apart) / tf.where(apart < 0, apart, 1.0), 1.0)
    return tf.where(larger > 0, larger * ratio, 0.0)


def _lowest(z: Tensor, reference: Tensor) -> Tensor:
    """A score for those that a mask hides from a softmax, so low that nothing is left of them.

    What masks write, such as −3e38, leaves no digits for the scores beside them.
    """
    both = [
        tf.reduce_min(tf.where(scores > _HIDDEN, precise(scores), 0.0), axis=-1, keepdims=True)
        for scores in (z, reference)
    ]
    return tf.minimum(*both) - 30.0


def _raised(scores: Tensor, lowest: Tensor) -> Tensor:
    return tf.where(scores > _HIDDEN, scores, lowest)


def _at_maxima(operation: Operation, x: Tensor, gradient: Tensor) -> Tensor:
    """The derivative of a maximum over the windows or axes of an operation, as if `x` were its input."""
    if operation.type == "MaxPool3D":
        return box_max_gradient(operation, x, gradient)
    if operation.type == "MaxPool":
        return window_max_gradient(operation, x, gradient)
    axes = operation.inputs[1]
    highest = tf.reduce_max(x, axes, keepdims=True)
    winners = tf.cast(x == highest, gradient.dtype)
    shares = winners / tf.reduce_sum(winners, axes, keepdims=True)
    return shares * tf.reshape(gradient, tf.shape(highest))
