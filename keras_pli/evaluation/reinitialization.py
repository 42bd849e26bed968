"""Giving a model's layers random weights, and all weights back whatever happens in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from ..checks import quoted
from ..network.layers import find_layer, layer_path, layer_paths


@dataclass(frozen=True, eq=False)
class Weight:
    """One of a model's weights.

    Args:
        variable: The variable.
        layer: The layer that made it, and holds its initialiser.
        number: Its place among the model's weights, which its random values depend on.
    """

    variable: Any
    layer: keras.Layer
    number: int

    def randomize(self, seed: int) -> None:
        """Draws new values from the layer's own initialiser, by a seed of this weight.

        A Keras initialiser repeats its values at every call, so that calling it again would give the weights
        that training started from; it is made anew with another seed. Where a matrix or kernel has no
        initialiser with a seed, its values are put into a random order instead.
        """
        shape, dtype = tuple(self.variable.shape), self.variable.dtype
        drawn = np.random.SeedSequence([seed, self.number])
        initializer = self._initializer()
        config: dict[str, Any] = getattr(initializer, "get_config", dict)()
        if "seed" in config:
            config["seed"] = int(drawn.generate_state(1)[0] >> 1)
            values = type(initializer).from_config(config)(shape, dtype=dtype)
        elif initializer is not None and len(shape) < 2:
            values = initializer(shape, dtype=dtype)
        else:
            flat = self.variable.numpy().ravel()
            values = np.random.default_rng(drawn).permutation(flat).reshape(shape)
        self.variable.assign(values)

    def _initializer(self) -> Any:
        """What the layer keeps as `kernel_initializer` for its weight `"kernel"`, and so on."""
        name = self.variable.name
        names = [name, name.removesuffix("_kernel"), *(["depthwise"] if name == "kernel" else [])]
        for candidate in names:
            initializer = getattr(self.layer, f"{candidate}_initializer", None)
            if callable(initializer):
                return initializer
        return None


def weighted_layers(
    model: keras.Model, layers: Sequence[str | keras.Layer] | None = None
) -> dict[str, list[Weight]]:
    """Returns the weights of a model's layers by the layers' paths, from the top down.

    Args:
        model: Any built Keras model.
        layers: Layers or their paths, in the order wanted; a nested model stands for all its layers. None
            takes every layer with weights of its own, the last in the model's order first; a shared layer
            where it stands last.

    Raises:
        ValueError: If there is no such layer, it has no weights, or no layer has any.
    """
    weights = {id(weight.variable): weight for weight in _all_weights(model)}
    if layers is not None:
        found = {
            layer_path(model, layer): _within(find_layer(model, layer), weights) for layer in layers
        }
        empty = [path for path, held in found.items() if not held]
        if empty or not found:
            raise ValueError(
                f"`layers` must name layers with weights. Without: {quoted(empty)}. "
                f"With weights: {quoted(weighted_layers(model), most=40)}."
            )
        return found
    own: dict[str, list[Weight]] = {}
    # Innermost first, so that a nested model keeps only what none of its layers has.
    for path, layer in reversed(layer_paths(model).items()):
        held = _within(layer, weights)
        for weight in held:
            del weights[id(weight.variable)]
        if held:
            own[path] = held
    if weights:
        own = {model.name: list(weights.values())} | own
    if not own:
        raise ValueError(f"{model.name!r} has no weights to randomise.")
    return own


def randomize(weights: Sequence[Weight], seed: int) -> None:
    """Gives weights random values; the same for the same seed, whichever others are drawn."""
    for weight in weights:
        weight.randomize(seed)


@contextmanager
def restored_weights(model: keras.Model) -> Iterator[Callable[[], None]]:
    """Gives a model its weights back at the end of the block, bit for bit, whatever ends it.

    Yields a function that does so at any time. The weights are changed in place and not in a clone, since
    subclassed models cannot be cloned and what has been traced reads the model's own variables.
    """
    kept = [(variable, variable.numpy().copy()) for variable in model.variables]

    def put_back() -> None:
        for variable, values in kept:
            variable.assign(values)

    try:
        yield put_back
    finally:
        try:
            put_back()
        except KeyboardInterrupt:  # pressed once more, while the weights went back
            put_back()
            raise


def _all_weights(model: keras.Model) -> list[Weight]:
    """The weights of floating numbers, but for what a `Normalization` knows of the inputs."""
    found: dict[int, Weight] = {}
    numbers = {id(variable): number for number, variable in enumerate(model.weights)}
    for layer in _with_sublayers(model):
        if isinstance(layer, keras.layers.Normalization):
            continue
        for variable in _members(layer, keras.Variable):
            number = numbers.get(id(variable))
            if number is not None and "float" in str(variable.dtype):
                found.setdefault(id(variable), Weight(variable, layer, number))
    return sorted(found.values(), key=lambda weight: weight.number)


def _with_sublayers(layer: keras.Layer, seen: set[int] | None = None) -> Iterator[keras.Layer]:
    """A layer with all within it, also those that its path does not lead to, as a recurrent layer's cell."""
    seen = set() if seen is None else seen
    if id(layer) not in seen:
        seen.add(id(layer))
        for inner in _members(layer, keras.Layer):
            yield from _with_sublayers(inner, seen)
        yield layer  # after those within, since a wrapper may hold the weights of what it wraps


def _members(owner: Any, kind: type) -> list[Any]:
    """What an object holds of a kind, in attributes and in lists and dictionaries of these."""
    found = []
    for value in list(vars(owner).values()):
        inner = value.values() if isinstance(value, dict) else value
        parts = inner if isinstance(value, dict | list | tuple) else [value]
        found += [part for part in parts if isinstance(part, kind)]
    return found


def _within(layer: keras.Layer, weights: dict[int, Weight]) -> list[Weight]:
    return [weights[id(variable)] for variable in layer.weights if id(variable) in weights]
