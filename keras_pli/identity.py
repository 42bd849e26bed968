"""What tells models, functions and values from others, in a form for JSON that is the same in every process.

Stored work is named by what it depends on. Two models of equal weights and another activation are different;
two that differ in the names of their layers alone are not. Of functions and classes that are a user's own,
the code counts, and what it refers to: defaults, variables of the functions around, globals. Those of
installed packages are told by name.
"""

from __future__ import annotations

import dis
import json
import re
import site
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache, partial
from pathlib import Path, PurePath
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import keras
import numpy as np

from .parts import digest

# Of a configuration, what has no part in what a model says of an input.
_WITHOUT_EFFECT = {"build_config", "compile_config", "shared_object_id", "trainable"}
# Where a configuration calls layers by their names.
_REFERENCES = {"input_layers", "keras_history", "name", "output_layers"}
# What of a value is being told, so that a function that holds itself comes to an end.
Within = tuple[int, ...]


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
    return _model_identity(model, ())


def callable_identity(function: Callable[..., Any]) -> str:
    """Returns the name of a function with a digest of its code and of what that refers to.

    An object that can be called is told by its class and its configuration, or what it holds.

    Example:
        >>> callable_identity(np.mean) == callable_identity(np.median)
        False
        >>> callable_identity(lambda x: x) == callable_identity(lambda x: 2 * x)
        False
    """
    return _function_identity(function, ())


def value_identity(value: Any) -> Any:
    """Returns a value as JSON holds it: arrays and models as digests, functions and other objects by name.

    Example:
        >>> value_identity({"rate": np.float32(0.5), "range": (-1, 1), "names": None})
        {'rate': 0.5, 'range': [-1, 1], 'names': None}
    """
    return _told(value, ())


def identity_digest(value: Any) -> str:
    """Returns a short text that tells a value from others as `value_identity` does.

    Example:
        >>> identity_digest({"steps": 3}) == identity_digest({"steps": 4})
        False
    """
    return _digest_of(value, ())


# Values


def _told(value: Any, within: Within) -> Any:
    told = partial(_told, within=within)
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
    if isinstance(value, ModuleType):
        return value.__name__
    if isinstance(value, PurePath | range | slice | complex | re.Pattern):
        return repr(value)
    if isinstance(value, keras.Model):
        return _model_identity(value, within)
    if hasattr(value, "__array__") and not isinstance(value, type):
        return _told_array(np.asarray(value), within)
    if callable(value) or isinstance(value, type):
        return _function_identity(value, within)
    return _object_identity(value, within)


def _told_array(array: np.ndarray[Any, Any], within: Within) -> Any:
    # Objects, such as texts, are pointers to NumPy.
    return _told(array.tolist(), within) if array.dtype.hasobject else digest(array)


def _object_identity(thing: Any, within: Within) -> Any:
    """What tells an object: its class, its configuration where it has one, and what it holds."""
    if id(thing) in within:
        return _name_of(thing)
    within = (*within, id(thing))
    if is_dataclass(thing):
        held = {item.name: getattr(thing, item.name) for item in fields(thing)}
        return {"class": _class_identity(type(thing), within), **_told(held, within)}
    if isinstance(thing, np.random.Generator):
        return _told(thing.bit_generator.state, within)
    held = _attributes(thing)
    config = thing.get_config() if hasattr(thing, "get_config") else None
    if isinstance(config, Mapping):
        config = _without_counted_names({"config": config})["config"]
    if isinstance(thing, keras.Layer) and thing.weights:
        held["weights"] = digest(*thing.get_weights())
    # NumPy's functions are objects, with names of their own.
    name = (
        _name_of(thing) if hasattr(thing, "__qualname__") else _class_identity(type(thing), within)
    )
    return f"{name} {_digest_of([config, held], within)}" if held or config else name


def _attributes(thing: Any) -> dict[str, Any]:
    """What an object holds; of a package's own object, what is plain: the rest is its inner workings."""
    slots = getattr(type(thing), "__slots__", ())
    held = {
        name: getattr(thing, name, None) for name in ([slots] if isinstance(slots, str) else slots)
    }
    held |= getattr(thing, "__dict__", {})
    for base in _of_every_object():
        if isinstance(thing, base):
            held = {
                name: part for name, part in held.items() if name not in _of_every_object()[base]
            }
    if _is_installed(type(thing)):
        return {name: part for name, part in held.items() if _is_plain(part) and "name" not in name}
    return held


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple | set | frozenset):
        return all(map(_is_plain, value))
    if isinstance(value, Mapping):
        return all(map(_is_plain, value.values()))
    own = isinstance(value, FunctionType | MethodType | partial) and not _is_installed(value)
    return value is None or isinstance(value, bool | int | float | str | np.ndarray) or own


# Functions and classes


def _function_identity(function: Any, within: Within) -> str:
    if id(function) in within:
        return _name_of(function)
    within = (*within, id(function))
    if isinstance(function, partial):
        inner = _function_identity(function.func, within)
        return f"{inner} with {_digest_of([function.args, function.keywords], within)}"
    if isinstance(function, type):
        return _class_identity(function, within)
    if isinstance(function, keras.Model):
        told = _model_identity(function, within[:-1])
        return f"{_name_of(function)} {_digest_of(told, within)}"
    holder = getattr(function, "__self__", None)  # of a method
    held = [] if holder is None or isinstance(holder, ModuleType) else [holder]
    function = getattr(function, "python_function", function)  # of a tf.function
    code = getattr(function, "__code__", None)
    if code is None:
        return str(_object_identity(function, within[:-1]))
    named = "<" not in function.__qualname__  # no lambda, and not made within another function
    if named and _is_installed(function) and not held:
        return _name_of(function)
    cells = [_cell_content(cell) for cell in function.__closure__ or ()]
    made_with = [code, function.__defaults__, function.__kwdefaults__, cells]
    used = {} if _is_installed(function) else dict(_globals_of(function))
    return f"{_name_of(function)} {_digest_of([*made_with, used, *held], within)}"


def _globals_of(function: Any) -> Iterator[tuple[str, Any]]:
    """The names of its module that a function reads, and what they stand for."""
    waiting = [function.__code__]
    while waiting:
        code = waiting.pop()
        waiting += [part for part in code.co_consts if isinstance(part, CodeType)]
        for step in dis.get_instructions(code):
            if step.opname in ("LOAD_GLOBAL", "LOAD_NAME") and step.argval in function.__globals__:
                yield step.argval, function.__globals__[step.argval]


def _class_identity(kind: type, within: Within) -> str:
    """A class's name, and of a user's own the code of its methods."""
    name = f"{kind.__module__}.{kind.__qualname__}"
    if _is_installed(kind) or id(kind) in within:
        return name
    within = (*within, id(kind))
    bases = [base for base in kind.__bases__ if base is not object]
    return f"{name} {_digest_of([dict(_written_in(kind)), bases], within)}"


def _written_in(kind: type) -> Iterator[tuple[str, Any]]:
    """The methods of a class, and the plain values that it gives to all of its objects."""
    for name, part in vars(kind).items():
        part = getattr(part, "__func__", None) or getattr(part, "fget", None) or part
        if isinstance(part, FunctionType) or (_is_plain(part) and not name.startswith("__")):
            yield name, part


def _cell_content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # it is still empty
        return None


@cache
def _installed_folders() -> tuple[Path, ...]:
    """Where Python and the packages that are installed lie, this one among them."""
    paths = sysconfig.get_paths()
    named = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    found = [
        *named,
        *site.getsitepackages(),
        site.getusersitepackages(),
        str(Path(__file__).parent),
    ]
    return tuple(Path(folder).resolve() for folder in found)


def _is_installed(thing: Any) -> bool:
    """Whether a function or class is of Python, of an installed package or of this one."""
    if isinstance(thing, partial):
        return False
    module = sys.modules.get(getattr(thing, "__module__", None) or "builtins")
    file: str | None = getattr(module, "__file__", None)
    if file is None:  # built in, unless it was typed into a prompt or a notebook
        return getattr(module, "__name__", "") != "__main__"
    return any(folder in Path(str(file)).resolve().parents for folder in _installed_folders())


# Models


def _model_identity(model: keras.Model, within: Within) -> dict[str, str]:
    if id(model) in within:
        return {"architecture": type(model).__qualname__}
    within = (*within, id(model))
    layers = model._flatten_layers()
    numbers: dict[str, int] = {}
    for layer in layers:  # operations between the layers have names, too
        for part in (layer, *getattr(layer, "operations", ())):
            numbers.setdefault(part.name, len(numbers))
    described = [_described(layer, numbers, within) for layer in layers]
    return {
        "weights": digest(*model.get_weights()),
        "architecture": _digest_of(described, within),
    }


def _described(layer: Any, numbers: Mapping[str, int], within: Within) -> list[Any]:
    """A layer's class and configuration, and what it holds beside."""
    try:
        config = _without_names(keras.saving.serialize_keras_object(layer), numbers)
    except (NotImplementedError, TypeError, ValueError):  # of a subclass that cannot say it
        config = None
    held = {
        name: part
        for name, part in vars(layer).items()
        # Keras's own layers put all into the configuration but the code of functions.
        if name not in _of_every_model()
        and _is_plain(part)
        and not (_is_installed(type(layer)) and not callable(part))
    }
    words = layer.get_vocabulary() if hasattr(layer, "get_vocabulary") else None
    return [_class_identity(type(layer), within), config, held, words]


@cache
def _of_every_model() -> frozenset[str]:
    """The attributes by which Keras keeps account of any layer or model, compiled or not."""
    # With names and weights that draw on nothing of the caller's: neither Keras's counts nor random states.
    dense = keras.layers.Dense(1, kernel_initializer="zeros", name="dense_of_identity")
    model = keras.Sequential([keras.Input((1,), name="of_identity"), dense], name="identity")
    model.compile("sgd", "mse", metrics=["mae"])
    later = (
        "history",
        "stop_training",
        "stop_evaluating",
        "stop_predicting",
        "train_function",
        "test_function",
        "predict_function",
        "_eval_epoch_iterator",
    )
    layer = keras.layers.Layer(name="layer_of_identity")
    return frozenset({*vars(layer), *vars(model), *later})


@cache
def _of_every_object() -> Mapping[type, frozenset[str]]:
    """By Keras's classes, the attributes by which it keeps account of their objects, by address or name."""
    bases = (
        keras.losses.Loss(name="of_identity"),
        keras.metrics.Metric(name="of_identity"),
        keras.optimizers.Optimizer(0.1, name="of_identity"),
    )
    kept = {type(base): frozenset(vars(base)) for base in bases}
    return {keras.Layer: _of_every_model(), **kept}


def _without_counted_names(config: Any) -> Any:
    """A configuration without the names of objects, within it too, since Keras counts those that it gives."""
    if isinstance(config, Mapping):
        parts = {name: part for name, part in config.items() if name not in _WITHOUT_EFFECT}
        inner = parts.get("config")
        if isinstance(inner, Mapping):
            parts["config"] = {name: part for name, part in inner.items() if name != "name"}
        return {name: _without_counted_names(part) for name, part in parts.items()}
    if isinstance(config, list | tuple):
        return [_without_counted_names(part) for part in config]
    return config


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


def _name_of(thing: Any) -> str:
    named = thing if hasattr(thing, "__qualname__") else type(thing)
    return f"{getattr(named, '__module__', None)}.{named.__qualname__}"


def _digest_of(value: Any, within: Within) -> str:
    text = json.dumps(_told(value, within), sort_keys=True)
    return digest(np.frombuffer(text.encode(), np.uint8))
