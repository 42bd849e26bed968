"""Finding logits: what a model's final softmax or sigmoid receives, or an output that is one already.

The search goes back from the output, over the operations of a Keras graph (`keras_graph`) or of TensorFlow's
(`graph`), which it knows by their kinds alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from .kinds import (
    AFFINE,
    BOUNDED,
    CARRIERS,
    CURVES,
    INVERSES,
    MIXTURES,
    OPAQUE,
    PRODUCTS,
    QUOTIENTS,
    RECTIFIERS,
    SQUASHES,
)

Place = Any


@dataclass(frozen=True)
class Step:
    """How a tensor is made.

    Attributes:
        kind: Kind of the operation, one of the names in `kinds`; others are taken for learned layers.
        inputs: What it is made from, as far as that depends on the model's inputs.
        operation: The operation itself.
        by_constant: Whether the other factors of a product are constants, and not weights.
    """

    kind: str
    inputs: Sequence[Place]
    operation: Any
    by_constant: bool = False


# From a place in a graph, such as a tensor, to how it is made; None for the model's inputs and constants.
Reader: TypeAlias = Callable[[Place], "Step | None"]


def squashing_of(
    output: Place, read: Reader, *, through: Collection[str] = CARRIERS
) -> Step | None:
    """Returns the softmax or sigmoid that made an output; what it receives are the logits.

    None if the output is linear, a logit itself.

    Args:
        output: The output's place in a graph.
        read: How the graph is read.
        through: Kinds of operations that may stand between, which only hand values on.

    Raises:
        ValueError: If the output is neither: no softmax or sigmoid of anything, and no logit.
    """
    step = _behind(output, read, through)
    if step is None:
        return None
    if step.kind in SQUASHES:
        return step
    if step.kind in CURVES:
        raise ValueError(f"the output ends in {step.kind}")
    if step.kind in OPAQUE:
        raise ValueError(f"the output is made within {step.kind}, which cannot be looked into")
    bounded = _bounded_source(output, read)
    if bounded == step.kind:
        raise ValueError(f"the output is made by {bounded} of values that both depend on the input")
    if bounded is not None:
        raise ValueError(f"the output is made by {step.kind} from what {bounded} gave")
    curve = _behind(output, read, CARRIERS | AFFINE)
    curved = curve is not None and (curve.kind in CURVES - RECTIFIERS or _clips(curve, read))
    if curve is not None and (curved or _is_limit(step)):
        raise ValueError(f"the output ends in {curve.kind}")
    return None


def _is_limit(step: Step) -> bool:
    """Whether a step is a maximum or minimum with a constant, as a ReLU and clipped values are."""
    return step.kind in ("Maximum", "Minimum") and len(step.inputs) == 1


def _clips(step: Step, read: Reader) -> bool:
    """Whether a step is the second of two limits, by which values are clipped."""
    first = _behind(step.inputs[0], read, CARRIERS) if _is_limit(step) else None
    return first is not None and _is_limit(first)


def _behind(output: Place, read: Reader, kinds: Collection[str]) -> Step | None:
    """The step behind operations of some kinds that have one input."""
    step = read(output)
    while step is not None and step.kind in kinds and len(step.inputs) == 1:
        step = read(step.inputs[0])
    return step


def _bounded_source(output: Place, read: Reader) -> str | None:
    """The kind of operation that an output has its bounds from; None if it is linear in a learned layer."""

    def source(place: Place) -> str | None:
        step = read(place)
        if step is None:
            return None
        if step.kind in BOUNDED:
            return step.kind
        normalizes = step.kind in QUOTIENTS and len(step.inputs) > 1  # as to a sum of 1
        passes = step.kind in MIXTURES | QUOTIENTS or (step.kind in PRODUCTS and step.by_constant)
        if not passes:
            return None
        found = [source(place) for place in step.inputs]
        if step.kind in PRODUCTS and len(found) > 1:
            for place in step.inputs:
                factor = _behind(place, read, CARRIERS)
                if factor is not None and factor.kind in INVERSES:
                    return factor.kind
            if None in found:
                return None  # features times their gate
        kinds = [kind for kind in found if kind is not None]
        return kinds[0] if kinds else step.kind if normalizes else None

    return source(output)
