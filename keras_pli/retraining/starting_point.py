"""What both arms of a seed start from: weights, random states, an optimizer that has done nothing yet."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray


def state_of(model: keras.Model) -> list[NDArray[Any]]:
    """Returns a model's weights, and the states of its metrics and random layers."""
    return [ops.convert_to_numpy(variable.value) for variable in model.variables]


def restore(model: keras.Model, state: list[NDArray[Any]]) -> None:
    """Gives a model what `state_of` returned."""
    for variable, value in zip(model.variables, state, strict=True):
        variable.assign(value)


def reseed(model: keras.Model, seed: int) -> None:
    """Lets the random layers of a model draw by a seed, since Keras stores no state of theirs with it.

    Example:
        >>> dropped = [keras.layers.Dropout(0.5) for _ in range(2)]
        >>> for layer in dropped:
        ...     reseed(keras.Sequential([keras.Input((9,)), layer]), 3)
        >>> one, other = (layer(np.ones((1, 9)), training=True) for layer in dropped)
        >>> bool(ops.all(one == other))
        True
    """
    layers = model._flatten_layers()
    generators = [found for layer in layers for found in getattr(layer, "_seed_generators", ())]
    for place, generator in enumerate(generators):
        words = np.random.SeedSequence([seed, place]).generate_state(1)
        state = np.array([words[0] >> 1, 0])
        generator.state.assign(ops.cast(state, generator.state.dtype))


def fresh_optimizer(source: Any, classifier: keras.Model | None) -> keras.optimizers.Optimizer:
    """Returns an optimizer of the settings of another, or of the classifier's own where there is none."""
    chosen = source if source is not None else getattr(classifier, "optimizer", None)
    chosen = keras.optimizers.get("adam" if chosen is None else chosen)
    fresh = type(chosen).from_config(chosen.get_config())
    for name, value in excluded_from_decay(chosen).items():
        setattr(fresh, name, value)
    return fresh


def excluded_from_decay(optimizer: keras.optimizers.Optimizer) -> dict[str, Any]:
    """Returns what an optimizer was told to spare from weight decay, which is not in its configuration."""
    names = ("_exclude_from_weight_decay", "_exclude_from_weight_decay_pattern")
    return {name: getattr(optimizer, name) for name in names if hasattr(optimizer, name)}
