"""Bad input is met at the door: checks that several rooms share, with errors that quote what came."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sized
from difflib import get_close_matches
from inspect import isfunction, signature
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

_CHUNK_ENTRIES = 4_000_000  # numbers read at a time


def finite_array(values: ArrayLike, name: str, *, ndim: int | None = None) -> NDArray[np.float32]:
    """Returns `values` as a float32 array with a leading samples axis, all entries finite.

    Args:
        values: Array-like of shape `(samples, ...)`.
        name: What the caller calls the argument; quoted in the error.
        ndim: The number of axes asked for, or None for any number of at least two.

    Raises:
        ValueError: If the number of axes differs, there is no sample, or an entry is NaN or infinite
            (the first rows concerned are named).
        TypeError: If the values are not real numbers.
    """
    return np.asarray(real_array(values, name, ndim=ndim), dtype=np.float32, order="C")


def real_array(values: ArrayLike, name: str, *, ndim: int | None = None) -> NDArray[Any]:
    """Checks what `finite_array` checks, and returns the array in its own type, an array not copied.

    Rows are read some at a time, so that memory-mapped ones stay on disk. Numbers that float32 cannot hold
    count as infinite.

    Example:
        >>> real_array(np.array([[1, 2]]), "z").dtype.kind
        'i'
    """
    array = np.asarray(values)
    if array.dtype.kind not in "fiub" and array.dtype.name != "bfloat16":
        raise TypeError(f"`{name}` must hold real numbers. Received dtype {array.dtype}.")
    wanted = "at least 2" if ndim is None else str(ndim)
    if array.ndim < 2 if ndim is None else array.ndim != ndim:
        raise ValueError(
            f"`{name}` must have {wanted} axes, samples first. Received shape {array.shape}."
        )
    if len(array) == 0:
        raise ValueError(f"`{name}` holds no sample. Received shape {array.shape}.")
    bad = _infinite_rows(array)
    if len(bad) and len(array) == 1:
        raise ValueError(f"`{name}` must be finite, but holds NaN or infinity.")
    if len(bad):
        raise ValueError(
            f"`{name}` must be finite, but {len(bad)} of {len(array)} rows hold NaN or infinity: "
            f"rows {quoted(bad)}."
        )
    return array


def _infinite_rows(array: NDArray[Any]) -> NDArray[np.intp]:
    if array.dtype.kind in "iub":
        return np.zeros(0, dtype=np.intp)
    step = max(1, _CHUNK_ENTRIES * len(array) // max(1, array.size))
    finite = np.empty(len(array), dtype=bool)
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, len(array), step):
            rows = np.isfinite(np.asarray(array[start : start + step], dtype=np.float32))
            # Mostly all of it is finite, which is seen ten times as fast as row by row.
            finite[start : start + step] = rows.all() or rows.reshape(len(rows), -1).all(axis=1)
    return np.flatnonzero(~finite)


def label_array(labels: ArrayLike, samples: int, name: str = "labels") -> NDArray[Any]:
    """Returns `labels` as a 1-D array with one entry a sample; a trailing axis of one is dropped.

    Raises:
        ValueError: If the shape is not `(samples,)`.
    """
    array = np.asarray(labels)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.shape != (samples,):
        hint = ""
        if array.ndim == 2:
            hint = " One-hot labels? Pass `labels.argmax(axis=1)`."
        raise ValueError(
            f"`{name}` must have one entry for each of the {samples} samples. "
            f"Received shape {array.shape}.{hint}"
        )
    return array


def boolean_masks(masks: ArrayLike, shape: tuple[int, ...], name: str) -> NDArray[np.bool_]:
    """Returns masks of all samples, `shape`; a mask without the samples axis holds for each.

    Raises:
        TypeError: If they are not boolean.
        ValueError: If the shape is another.

    Example:
        >>> boolean_masks([True, False], (3, 2), "masks").shape
        (3, 2)
    """
    array = np.asarray(masks)
    if array.dtype != bool:
        raise TypeError(f"`{name}` must be boolean. Received dtype {array.dtype}.")
    if array.shape not in (shape, shape[1:]):
        raise ValueError(
            f"`{name}` must have the shape {shape[1:]}, or {shape} for each of the samples. "
            f"Received shape {array.shape}."
        )
    return np.broadcast_to(array, shape)


def checked_number(
    value: Any, name: str, *, least: float = -np.inf, below: float = np.inf, whole: bool = False
) -> Any:
    """Returns a number in [least, below).

    Raises:
        ValueError: If it is not a number, lies elsewhere, or is not whole where `whole` is asked for.

    Example:
        >>> checked_number(3, "steps", least=1, whole=True)
        3
    """
    if isinstance(value, np.ndarray) and value.ndim == 0:  # as functions of arrays make numbers
        value = value.item()
    kinds = (int, np.integer) if whole else (int, float, np.integer, np.floating)
    if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value < below:
        bounds = f" from {least:g}" if np.isfinite(least) else ""
        bounds += f" and less than {below:g}" if np.isfinite(below) else ""
        kind = "a whole number" if whole else "a number"
        raise ValueError(f"`{name}` must be {kind}{bounds}. Received: {value!r}.")
    return int(value) if whole else float(value)


def checked_by_name(attributions: Any, name: str = "attributions") -> Mapping[str, Any]:
    """Returns maps by the names of the methods that found them.

    Raises:
        TypeError: If it is no mapping, such as a list of maps or what a single method found.
        ValueError: If it is empty.

    Example:
        >>> checked_by_name([np.ones((1, 2))])
        Traceback (most recent call last):
        ...
        TypeError: `attributions` must be maps by name, such as {'saliency': maps}. Received: list.
    """
    if not isinstance(attributions, Mapping):
        raise TypeError(
            f"`{name}` must be maps by name, such as {{'saliency': maps}}. "
            f"Received: {type(attributions).__name__}."
        )
    if not attributions:
        raise ValueError(f"`{name}` must hold at least one method. Received: {attributions}.")
    return attributions


def one_of(value: Any, options: Iterable[Any], name: str) -> Any:
    """Returns `value` if it is among `options`; the error offers near names."""
    options = list(options)
    if value in options:
        return value
    near = get_close_matches(str(value), [str(option) for option in options], n=3, cutoff=0.5)
    hint = f" Did you mean {quoted(near)}?" if near else ""
    raise ValueError(
        f"`{name}` must be one of {quoted(options, most=30)}. Received: {value!r}.{hint}"
    )


def quoted(items: Iterable[Any], *, most: int = 10) -> str:
    """Lists up to `most` items for an error message, and says how many were left off."""
    known = items if isinstance(items, Sized) else list(items)
    shown = [item.item() if isinstance(item, np.generic) else item for item in islice(known, most)]
    text = ", ".join(repr(item) for item in shown)
    return text if len(known) <= most else f"{text}, … ({len(known) - most} more)"


def check_options(taker: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Raises the `TypeError` of `unknown_options` if a function or class takes one of them by no name.

    Example:
        >>> check_options(quoted, {"most": 3})
    """
    unknown = [name for name in options if name not in _options_of(taker)]
    if unknown:
        raise unknown_options(taker, unknown)


def unknown_options(taker: Callable[..., Any], unknown: Iterable[str]) -> TypeError:
    """Returns an error that names a class or function, options it does not take, and those it takes.

    Python's own names the function that met them, which may be the constructor of a base class.

    Example:
        >>> raise unknown_options(quoted, ["mots"])
        Traceback (most recent call last):
        ...
        TypeError: quoted takes no option 'mots'. Did you mean 'most'? It takes 'most'.
    """
    unknown, taken = list(unknown), _options_of(taker)
    near = [match for name in unknown for match in get_close_matches(name, taken, n=2)]
    hint = f" Did you mean {quoted(dict.fromkeys(near))}?" if near else ""
    option = "option" if len(unknown) == 1 else "options"
    return TypeError(
        f"{taker.__name__} takes no {option} {quoted(unknown)}.{hint} It takes {quoted(taken, most=40)}."
    )


def _options_of(taker: Callable[..., Any]) -> list[str]:
    """The options that a function takes by name; of a class, those of its own and its bases' constructors."""
    functions = [taker]
    if isinstance(taker, type):
        made_by = [vars(base).get("__init__") for base in taker.__mro__]
        functions = [constructor for constructor in made_by if isfunction(constructor)]
    found = [p for function in functions for p in signature(function).parameters.values()]
    return list(
        dict.fromkeys(
            p.name
            for p in found
            if p.kind is p.KEYWORD_ONLY
            or (p.kind is p.POSITIONAL_OR_KEYWORD and p.default is not p.empty)
        )
    )


def check_keras_file(path: Any, kind: str) -> None:
    """Raises a `ValueError` for Keras's older file format, from which a model of our own cannot be loaded.

    Example:
        >>> check_keras_file("m.h5", "ParametricTSNE")
        Traceback (most recent call last):
        ...
        ValueError: A ParametricTSNE is saved to '.keras'; from HDF5 Keras could not load it. Received: m.h5.
    """
    if str(path).lower().endswith((".h5", ".hdf5")):
        raise ValueError(
            f"A {kind} is saved to '.keras'; from HDF5 Keras could not load it. Received: {path}."
        )
