"""The backward rules of ε-LRP: what relevance an operation hands on, as a slope.

Ancona et al. (2018, "Towards better understanding of gradient-based attribution methods", proposition 1)
write ε-LRP (Bach et al. 2015, equation 58) as a backward pass with the slope f(z) / z at each nonlinearity;
for normalization, products and softmax, the rules are those of Achtibat et al. (2024, AttnLRP). For a rule,
see `backward.Rule`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from .backward import Rule, native_gradient
from .backward_rules import Gradients, only_at, precise, straight, summed_like
from .kinds import PRODUCTS
from .operations import ELEMENTWISE, STRAIGHT, dependent_places, is_normalizer

Tensor = Any
Operation = Any

# f(z) = 0 for z < 0, so that no sign need be looked at there.
_ZERO_BELOW = frozenset({"Relu", "Relu6"})


def stabilized(values: Tensor, epsilon: float) -> Tensor:
    """Moves values away from zero by epsilon, with the sign of zero taken as positive."""
    return tf.where(values >= 0, values + epsilon, values - epsilon)


@dataclass(frozen=True)
class EpsilonRules:
    """The rules of ε-LRP.

    An operation without a rule here has its own derivative: linear ones, maxima, which give all to the
    winner, and softmax, for which that is AttnLRP's Taylor rule, Rᵢ = zᵢ (Rᵢ(s) − sᵢ Σⱼ Rⱼ(s)). What a mask
    hides or shows is held.

    Attributes:
        dependent: Names of the tensors that depend on the inputs, and not through masks alone.
        epsilon: What is added to the size of each z.
    """

    dependent: Collection[str]
    epsilon: float

    def by_type(self) -> dict[str, Rule]:
        """A rule for each type of operation that shall not have its own derivative."""
        return {
            **dict.fromkeys(ELEMENTWISE, self._elementwise),
            **dict.fromkeys(STRAIGHT, straight),
            **dict.fromkeys(PRODUCTS, self._product),
            "RealDiv": self._quotient,
            "SquaredDifference": self._squared_difference,
        }

    def _elementwise(self, operation: Operation, gradients: Gradients) -> Gradients:
        """f(z) / (z + ε sign z) as the slope of f."""
        places = dependent_places(operation, self.dependent)
        if not places:
            return [None] * len(operation.inputs)
        z, y = precise(operation.inputs[places[0]]), precise(operation.outputs[0])
        if operation.type in _ZERO_BELOW:
            denominator = tf.nn.relu(z) + self.epsilon
        else:
            denominator = stabilized(z, self.epsilon)
        return only_at(places[0], operation, precise(gradients[0]) * y / denominator)

    def _product(self, operation: Operation, gradients: Gradients) -> Gradients:
        """Half to each of two factors, but nothing to one that normalizes.

        These are AttnLRP's uniform rule and its identity rule: with one over the size of x held, layer
        normalization is linear, and x less its mean hands on the relevance that it gets.
        """
        found = native_gradient(operation, gradients)
        places = dependent_places(operation, self.dependent)
        if len(places) == 1:
            return found
        normalizing = [is_normalizer(operation.inputs[place], self.dependent) for place in places]
        if sum(normalizing) == 1:
            found[places[normalizing.index(True)]] = None
            return found
        return [None if gradient is None else gradient / 2 for gradient in found]

    def _quotient(self, operation: Operation, gradients: Gradients) -> Gradients:
        """The denominator, which normalizes, is held; one alone is a nonlinearity."""
        if dependent_places(operation, self.dependent) != [1]:
            numerator, _ = native_gradient(operation, gradients)
            return [numerator, None]
        given = operation.inputs[1]
        relevance = summed_like(precise(gradients[0]) * precise(operation.outputs[0]), given)
        return only_at(1, operation, relevance / stabilized(precise(given), self.epsilon))

    def _squared_difference(self, operation: Operation, gradients: Gradients) -> Gradients:
        """(a − b)² as the square of a difference: z² / (z + ε sign z) for z = a − b."""
        a, b = operation.inputs
        slope = precise(operation.outputs[0]) / stabilized(precise(a) - precise(b), self.epsilon)
        passed = tf.cast(precise(gradients[0]) * slope, a.dtype)
        return [summed_like(passed, a), summed_like(-passed, b)]
