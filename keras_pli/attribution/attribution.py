"""The value that every attribution method returns."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple


class Attribution(NamedTuple):
    """What a method says about each sample.

    Attributes:
        attributions: Shaped like the inputs, `(samples, ...)`, in units of the score (or of the score by
            input unit, for bare gradients); of class activation maps `(samples, *spatial)`. A structure of
            arrays for a model with several inputs.
        scores: The explained score of each sample, `(samples,)`.
        delta: The completeness error of each sample, `(samples,)`: the sum of its attributions less the
            difference in score they should add up to. None for methods that promise no such sum.
        details: More for each sample, by name; see the method.
    """

    attributions: Any
    scores: Any
    delta: Any = None
    details: Mapping[str, Any] = MappingProxyType({})


class PositionAttribution(Attribution):
    """What a method says that hides whole positions: one value for each, the same in each of its channels.

    The channels are not parts of a sum, as those of a gradient are.
    """

    __slots__ = ()
