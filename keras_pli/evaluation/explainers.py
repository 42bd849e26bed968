"""Methods built on a model, ready to explain the same samples again after its weights have changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..attribution import Attribution, Method
from ..attribution.names import method_name
from ..checks import boolean_masks
from ..network.inputs import GivenTarget
from .scoring import Aim, Scorer, position_maps, single_input

Explain: TypeAlias = Callable[..., "Attribution | ArrayLike"]
# A class such as `Saliency`, or a function of a model that makes a method.
Factory: TypeAlias = Callable[[keras.Model], Explain]


@dataclass(frozen=True, eq=False)
class Explainer:
    """A method with the samples and the targets that it explains.

    Args:
        name: What the method is called.
        explain: A method, or another function of `(x, target)` that gives an array of attributions.
        x: The samples.
        aim: Their targets.
    """

    name: str
    explain: Explain
    x: NDArray[np.float32]
    aim: Aim

    def maps(self) -> NDArray[np.float64]:
        """Explains the samples by the model's weights of the moment; `(samples, *positions)`."""
        found: Any = self.explain(self.x, self.aim)
        return position_maps(found, self.x, f"maps of {self.name!r}")


def maps_by_name(found: Iterable[Explainer]) -> dict[str, NDArray[np.float64]]:
    """Returns what methods explain by the weights of the moment, by their names."""
    return {explainer.name: explainer.maps() for explainer in found}


def named_factories(methods: Factory | Mapping[str, Factory]) -> dict[str, Factory]:
    """Returns factories by name; a single class has its own.

    Raises:
        ValueError: If there is none.
        TypeError: If one is no function or class, or is a method of some model already.
    """
    named = dict(methods) if isinstance(methods, Mapping) else {_name(methods): methods}
    if not named:
        raise ValueError("`methods` must hold at least one method. Received none.")
    for name, factory in named.items():
        if isinstance(factory, Method) or not callable(factory):
            raise TypeError(
                f"`methods` must make methods from a model, as the class Saliency does. {name!r} is "
                f"{type(factory).__name__} object."
            )
    return named


def explainers(
    factories: Mapping[str, Factory], model: keras.Model, x: ArrayLike, target: GivenTarget
) -> list[Explainer]:
    """Builds methods on a model, each with the targets that it keeps when weights change.

    Raises:
        ValueError: If inputs or targets do not fit, or a method explains another model.
        TypeError: If a factory makes nothing that can be called.
    """
    images = single_input(x, model)
    found = []
    for name, factory in factories.items():
        explain = factory(model)
        if not callable(explain):
            raise TypeError(f"{name!r} makes a {type(explain).__name__}, which explains nothing.")
        if isinstance(explain, Method) and explain.network.model is not model:
            raise ValueError(
                f"{name!r} explains another model, {explain.network.model.name!r}, than the one it was "
                f"given, {model.name!r}."
            )
        scorer = Scorer(explain if isinstance(explain, Method) else model)
        found.append(Explainer(name, explain, images, scorer.aim(images, target)))
    return found


def check_channels(model: Any, x: ArrayLike) -> None:
    """Raises a `ValueError` if inputs lack the axis of channels alone that a model's input has."""
    wanted = getattr(model, "input_shape", None)
    given = np.shape(x)
    if not isinstance(wanted, tuple) or len(wanted) < 3 or len(given) != len(wanted) - 1:
        return
    fits = all(one in (None, size) for one, size in zip(wanted[1:-1], given[1:], strict=True))
    if fits and wanted[-1] in (None, 1):
        raise ValueError(
            f"`x` must have an axis of channels behind its positions, as the model's input {wanted[1:]} has: "
            f"`x[..., np.newaxis]`. Received shape {given}."
        )


def checked_within(within: ArrayLike | None, x: ArrayLike) -> NDArray[np.bool_] | None:
    """Returns the positions of each sample that count, booleans `(samples, *positions)`; None for all.

    Args:
        within: Booleans `(*positions)` or `(samples, *positions)`, or None.
        x: Inputs `(samples, *positions, channels)`; of vectors, `(samples, features)`, the features are the
            positions.

    Raises:
        ValueError: If the shape is another, or a sample has fewer than two positions that count.
        TypeError: If they are not boolean.
    """
    if within is None:
        return None
    shape = np.shape(x)
    found = boolean_masks(within, shape if len(shape) == 2 else shape[:-1], "within")
    if (found.reshape(len(found), -1).sum(axis=1) < 2).any():
        raise ValueError("`within` must hold at least two positions of each sample.")
    return found


def _name(factory: Factory) -> str:
    if isinstance(factory, type) and issubclass(factory, Method):
        return method_name(factory)
    return "method"
