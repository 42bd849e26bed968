"""Rationales in words: one line a sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .rationale import Rationale

# Share of the images' range by which a pixel must change to be counted.
PIXEL_SHARE = 0.1


def verdict(rationale: Rationale, index: int, *, cost: bool = True) -> str:
    """Returns a line on one sample: from what to what, how surely and, if asked for, at what cost.

    Example:
        "9 → 4: p .02 → .93 in 41 steps; 41 pixels removed, 3 added; reconstruction error .009".
    """
    steps = int(rationale.steps[index])
    parts = [f"{_course(rationale, index)} in {steps} step{'s' if steps != 1 else ''}"]
    if rationale.status[index] == "reconstruction too far":
        parts.append(_why_too_far(rationale, index))
    elif not rationale.reached[index]:
        parts.append("stopped at the limit")
    if cost:
        removed, added = rationale.removed[index], rationale.added[index]
        parts.append(f"{removed} pixel{'s' if removed != 1 else ''} removed, {added} added")
        error = f"{rationale.reconstruction_errors[index]:.3f}".removeprefix("0")
        parts.append(f"reconstruction error {error}")
    return "; ".join(parts)


def _course(rationale: Rationale, index: int) -> str:
    start, end = rationale.target_outputs[index, [0, -1]]
    if rationale.is_regression:
        return f"{start:.3g} → {end:.3g} (cutoff {rationale.target[index]:.3g})"
    names = [rationale.name_of(label[index]) for label in (rationale.predicted, rationale.target)]
    return f"{names[0]} → {names[1]}: p {probability_text(start)} → {probability_text(end)}"


def _why_too_far(rationale: Rationale, index: int) -> str:
    if rationale.is_regression:
        return "reconstruction too far"
    at_start = rationale.path_probabilities[index, 0].argmax()
    if at_start == rationale.predicted[index]:
        return "reconstruction too far"
    return f"reconstruction too far (decided as {rationale.name_of(at_start)})"


def output_text(rationale: Rationale, label: Any, value: float) -> str:
    """Writes what the classifier says about a target: a probability, or a regressor's value."""
    if rationale.is_regression:
        return f"{value:.3g}"
    return f"p({rationale.name_of(label)}) {probability_text(value)}"


def probability_text(value: float) -> str:
    """Writes a probability in two digits; one that is not quite 1 is not written as 1.

    Example:
        >>> probability_text(0.931), probability_text(0.9996), probability_text(1.0)
        ('.93', '>.99', '1.00')
    """
    if 0.995 <= value < 1:
        return ">.99"
    return f"{value:.2f}".removeprefix("0")
