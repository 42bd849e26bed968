"""The layers of a model: finding one by its path, and noticing that one has changed."""

from __future__ import annotations

import operator
from difflib import get_close_matches
from typing import Any

import keras

from ..checks import quoted


def check_model(model: Any, name: str = "model") -> None:
    """Raises a `TypeError` that says what to do if something is not a Keras model.

    Example:
        >>> check_model([])
        Traceback (most recent call last):
        ...
        TypeError: `model` must be a Keras model. Received: list.
    """
    if isinstance(model, keras.Model):
        return
    received = type(model).__name__
    older = any(
        base.__module__.startswith(("tf_keras", "tensorflow.python.keras"))
        for base in type(model).__mro__
    )
    if older:
        raise TypeError(
            f"`{name}` must be a model of Keras 3. Received: {received} of Keras 2 "
            f"({type(model).__module__}). Build it with `keras` and copy the weights: "
            "`new.set_weights(old.get_weights())`."
        )
    hint = ""
    if isinstance(model, keras.Layer):
        hint = " A layer alone is not one: put it into a `keras.Sequential`."
    raise TypeError(f"`{name}` must be a Keras model. Received: {received}.{hint}")


def layer_paths(model: keras.Model) -> dict[str, keras.Layer]:
    """Returns every layer of a model by its path, nested ones as `"backbone/conv3"`, in the model's order.

    Example:
        >>> backbone = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="a")], name="backbone")
        >>> head = keras.layers.Dense(2, name="head")
        >>> list(layer_paths(keras.Sequential([backbone, head])))
        ['backbone', 'backbone/a', 'head']
    """
    paths: dict[str, keras.Layer] = {}

    def walk(container: Any, prefix: str) -> None:
        for layer in _children(container):
            if isinstance(layer, keras.layers.InputLayer):
                continue
            paths.setdefault(prefix + layer.name, layer)
            walk(layer, f"{prefix}{layer.name}/")

    walk(model, "")
    return paths


def layer_path(model: keras.Model, layer: str | keras.Layer) -> str:
    """Returns the path of a layer that is given as an object; a path is returned as it is.

    Raises:
        ValueError: If the model has no such layer.
        TypeError: If it is neither a layer nor a path.

    Example:
        >>> head = keras.layers.Dense(3, name="head")
        >>> layer_path(keras.Sequential([keras.Input((4,)), head]), head)
        'head'
    """
    if isinstance(layer, str):
        return layer
    if not isinstance(layer, keras.Layer):
        raise TypeError(
            "`layer` must be a layer of the model or its path, such as 'backbone/conv3'. "
            f"Received: {layer!r}."
        )
    if not isinstance(model, keras.Model):
        raise TypeError(
            f"A layer can be given as an object only beside its model. Received: {layer!r} for a model that "
            f"is a {type(model).__name__}; give its path, such as {layer.name!r}."
        )
    paths = layer_paths(model)
    for path, held in paths.items():
        if held is layer:
            return path
    raise ValueError(
        f"The layer {layer.name!r} that was given is none of {model.name!r}. Its layers are "
        f"{quoted(paths, most=40)}."
    )


def find_layer(model: keras.Model, path: str | keras.Layer) -> keras.Layer:
    """Returns the layer at a path.

    Args:
        model: Any Keras model.
        path: Name of a layer, or a path through nested models, of which the first part may be left out where
            the rest is unique; or the layer itself.

    Raises:
        ValueError: If there is no such layer, or several; near names are offered.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="head")])
        >>> find_layer(model, "head").units
        3
    """
    path = layer_path(model, path)
    paths = layer_paths(model)
    if path in paths:
        return paths[path]
    ends = [full for full in paths if full.endswith(f"/{path}")]
    if len(ends) == 1:
        return paths[ends[0]]
    if ends:
        raise ValueError(f"`layer` {path!r} is ambiguous in {model.name!r}: {quoted(ends)}.")
    near = get_close_matches(path, paths, n=3, cutoff=0.4)
    hint = f" Did you mean {quoted(near)}?" if near else ""
    raise ValueError(
        f"There is no layer {path!r} in {model.name!r}.{hint} Its layers are {quoted(paths, most=40)}."
    )


def built_of(model: keras.Model) -> list[Any]:
    """Returns, object by object, what a trace of a model holds fixed; the values of weights are not among it.

    A list with other objects tells that an activation was swapped, say, or an adapter enabled.
    """
    names = (
        "activation",
        "recurrent_activation",
        "dtype_policy",
        "lora_enabled",
        "quantization_mode",
    )
    layers = list(model._flatten_layers())
    return layers + [getattr(layer, name, None) for layer in layers for name in names]


def same_objects(some: list[Any], others: list[Any]) -> bool:
    """Whether two lists hold the very same objects."""
    return len(some) == len(others) and all(map(operator.is_, some, others))


def _children(container: Any) -> list[keras.Layer]:
    if isinstance(container, keras.Model):
        return list(container.layers)
    wrapped = getattr(container, "layer", None)
    return [wrapped] if isinstance(wrapped, keras.Layer) else []
