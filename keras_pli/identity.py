"""What tells models, functions and values from others, in a form for JSON that is the same in every process.

Stored work is named by what it depends on. Two models of equal weights and another activation are different;
two that differ in the names of their layers alone are not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from types import CodeType
from typing import Any

import keras
import numpy as np

from .parts import digest

# Of a configuration, what has no part in what a model says of an input.
_WITHOUT_EFFECT = {"build_config", "compile_config", "shared_object_id", "trainable"}
# Where a configuration calls layers by their names.
_REFERENCES = {"input_layers", "keras_history", "name", "output_layers"}


def model_identity(model: keras.Model) -> dict[str, str]:
    """Returns digests of a model's weights and of its architecture.

    Example:
        >>> one, other = (
        ...     keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, activation)])
        ...     for activation in ("relu", "tanh")
        ... )
        >>> other.set_weights(one.get_weights())
        >>> [model_identity(one)[what] == model_identity(other)[what] for what in model_identity(one)]
        [True, False]
    """
    layers = model._flatten_layers()
    numbers = {layer.name: number for number, layer in enumerate(layers)}
    described = [_described(layer, numbers) for layer in layers]
    return {"weights": digest(*model.get_weights()), "architecture": _digest_of(described)}


def callable_identity(function: Callable[..., Any]) -> str:
    """Returns the name of a function with a digest of its code and of the values that it was made with.

    An object that can be called is told by its class and its configuration, or what it holds.

    Example:
        >>> callable_identity(np.mean) == callable_identity(np.median)
        False
        >>> callable_identity(lambda x: x) == callable_identity(lambda x: 2 * x)
        False
    """
    return _callable_identity(function, ())


def value_identity(value: Any) -> Any:
    """Returns a value as JSON holds it: arrays and models as digests, functions and other objects by name.

    Example:
        >>> value_identity({"rate": np.float32(0.5), "range": (-1, 1), "names": None})
        {'rate': 0.5, 'range': [-1, 1], 'names': None}
    """
    return _value_identity(value, ())


def identity_digest(value: Any) -> str:
    """Returns a short text that tells a value from others as `value_identity` does.

    Example:
        >>> identity_digest({"steps": 3}) == identity_digest({"steps": 4})
        False
    """
    return _digest_of(value, ())


# What is being told is passed on as `within`, since a function may hold itself, or an object its own method.
def _value_identity(value: Any, within: tuple[int, ...]) -> Any:
    told = partial(_value_identity, within=within)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return told(value.item())
    if isinstance(value, Mapping):
        return {str(key): told(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [told(part) for part in value]
    if isinstance(value, set | frozenset):  # the order of texts differs from process to process
        return sorted((told(part) for part in value), key=repr)
    if isinstance(value, bytes):
        return digest(np.frombuffer(value, np.uint8))
    if isinstance(value, CodeType):
        return told([value.co_code, value.co_names, value.co_consts])
    if isinstance(value, keras.Model):
        return model_identity(value)
    if hasattr(value, "__array__"):
        return digest(np.asarray(value))
    if is_dataclass(value) and not isinstance(value, type):
        parts = {item.name: told(getattr(value, item.name)) for item in fields(value)}
        return {"class": _name_of(value), **parts}
    if callable(value) and not isinstance(value, type):
        return _callable_identity(value, within)
    return _name_of(value)


def _callable_identity(function: Any, within: tuple[int, ...]) -> str:
    if id(function) in within:
        return _name_of(function)
    within = (*within, id(function))
    if isinstance(function, partial):
        inner = _callable_identity(function.func, within)
        return f"{inner} with {_digest_of([function.args, function.keywords], within)}"
    holder = getattr(function, "__self__", None)  # of a method
    function = getattr(function, "python_function", function)  # of a tf.function
    code = getattr(function, "__code__", None)
    if code is None:
        return _object_identity(function, within)
    cells = [_cell_content(cell) for cell in getattr(function, "__closure__", None) or ()]
    made_with = [code, function.__defaults__, function.__kwdefaults__, cells]
    held = [] if holder is None else [_object_identity(holder, within)]
    return f"{_name_of(function)} {_digest_of([*made_with, *held], within)}"


def _described(layer: Any, numbers: Mapping[str, int]) -> list[Any]:
    """A layer's class and configuration, and of a class that is not Keras's own the code of its call."""
    try:
        config = _without_names(keras.saving.serialize_keras_object(layer), numbers)
    except (NotImplementedError, TypeError, ValueError):  # of a subclass that cannot say it
        config = None
    own = not type(layer).__module__.startswith("keras.")
    return [_name_of(type(layer)), config, callable_identity(type(layer).call) if own else None]


def _without_names(config: Any, numbers: Mapping[str, int], refers: bool = False) -> Any:
    """A configuration in which layers are called by number, since Keras counts names within a process."""
    if isinstance(config, Mapping):
        return {
            key: _without_names(part, numbers, refers or key in _REFERENCES)
            for key, part in config.items()
            if key not in _WITHOUT_EFFECT
        }
    if isinstance(config, list | tuple):
        return [_without_names(part, numbers, refers) for part in config]
    if refers and isinstance(config, str):
        return numbers.get(config, config)
    return config


def _object_identity(thing: Any, within: tuple[int, ...]) -> str:
    config = thing.get_config() if hasattr(thing, "get_config") else None
    # Keras's own losses do not put all into the first.
    held = [config, getattr(thing, "__dict__", None)]
    return f"{_name_of(thing)} {_digest_of(held, within)}" if any(held) else _name_of(thing)


def _cell_content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # it is still empty
        return None


def _name_of(thing: Any) -> str:
    named = thing if hasattr(thing, "__qualname__") else type(thing)
    return f"{getattr(named, '__module__', None)}.{named.__qualname__}"


def _digest_of(value: Any, within: tuple[int, ...] = ()) -> str:
    text = json.dumps(_value_identity(value, within), sort_keys=True)
    return digest(np.frombuffer(text.encode(), np.uint8))
