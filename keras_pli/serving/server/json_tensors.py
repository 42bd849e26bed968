"""Tensors as TensorFlow Serving's REST API writes them: nested lists, by rows or by columns.

What is refused here is refused there: a fraction for an integer, a boolean for a number, an integer that the
float type cannot hold. `NaN`, `Infinity` and `-Infinity` pass both ways, which strict JSON does not know;
our exports refuse them in the graph. A number too large for a double is not taken for infinity.
"""

from __future__ import annotations

import base64
import json
import math
from collections import Counter
from collections.abc import Mapping
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...checks import quoted
from .errors import ServingError
from .prediction import Signature

BYTES_SUFFIX = "_bytes"
BASE64_KEY = "b64"

MAX_DEPTH = 32  # NumPy's own limit is 64
# Python takes 20 times the space of `[],` and `{},` for what they stand for.
MAX_LISTS = 2**22


class _Token(float):
    """One of the tokens NaN, Infinity and -Infinity; a plain float is infinite where it was too large."""


_LEAVES: dict[str, tuple[set[type], str]] = {
    "f": ({int, float, _Token}, "numbers"),
    "i": ({int}, "integers"),
    "u": ({int}, "integers"),
    "b": ({bool}, "true or false"),
    "O": ({str, dict}, 'strings, or objects {"b64": ...}'),
}


def parse(body: bytes, *, max_lists: int = MAX_LISTS) -> dict[str, Any]:
    """Returns the JSON object in a request's body.

    Raises:
        ServingError: If it is no JSON object, an object has a name twice, or there are more than `max_lists`
            lists, objects and names, which is found out before anything is made of them.
    """
    lists = sum(map(body.count, (b"[", b"{", b":")))
    if lists > max_lists:
        raise ServingError(
            f"The body has {lists} lists, objects and names, and the limit is {max_lists}. Send fewer rows "
            "at a time, or use gRPC.",
            "RESOURCE_EXHAUSTED",
        )
    try:
        request = json.loads(body, object_pairs_hook=_object, parse_constant=_Token)
    except RecursionError:
        raise ServingError("The body is JSON that is nested too deeply.") from None
    except UnicodeDecodeError as error:
        raise ServingError(f"The body is not UTF-8 text: {error}.") from None
    except json.JSONDecodeError as error:
        raise ServingError(f"The body is not JSON: {error}.") from None
    except ValueError as error:
        raise ServingError(f"The body has a number that is too long: {error}.") from None
    if not isinstance(request, dict):
        raise ServingError(f"The body must be a JSON object. Received {_kind(request)}.")
    return request


def signature_name(request: Mapping[str, Any]) -> str:
    """Returns the signature asked for, or an empty string for the default."""
    name = request.get("signature_name", "")
    if not isinstance(name, str):
        raise ServingError(f"'signature_name' must be a string. Received {_kind(name)}.")
    return name


def by_rows(request: Mapping[str, Any]) -> bool:
    """Whether the request lists `instances` (rows) and not `inputs` (columns)."""
    formats = [key for key in ("instances", "inputs") if key in request]
    if len(formats) != 1:
        raise ServingError(
            "The body must have one of 'instances' (rows) and 'inputs' (columns). "
            f"Received the keys {quoted(request) or 'of an empty object'}."
        )
    return formats == ["instances"]


def read(request: Mapping[str, Any], signature: Signature) -> dict[str, NDArray[Any]]:
    """Returns the input tensors of a request.

    Raises:
        ServingError: If names, dtypes or the nesting of lists do not fit the signature.
    """
    if by_rows(request):
        columns = _columns(request["instances"], signature)
    else:
        inputs = request["inputs"]
        columns = inputs if _is_named(inputs) else {_only_input(signature): inputs}
    signature.check_names(columns)
    return {name: _tensor(value, signature, name) for name, value in columns.items()}


def write(outputs: Mapping[str, NDArray[Any]], *, rows: bool) -> bytes:
    """Returns the body of a response; a single output goes without its name.

    Raises:
        ServingError: If an output has no place in JSON, or rows are asked for and there is no common batch.
    """
    if rows:
        _check_rows(outputs)
    values: Any = {name: _nested(name, array) for name, array in outputs.items()}
    if len(values) == 1:
        (values,) = values.values()
    elif rows:
        values = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    return json.dumps({"predictions" if rows else "outputs": values}).encode()


def _columns(instances: Any, signature: Signature) -> dict[str, list[Any]]:
    if not isinstance(instances, list) or not instances:
        raise ServingError(
            f"'instances' must be a list that is not empty. Received {_kind(instances)}."
        )
    named = [_is_named(row) for row in instances]
    if not any(named):
        return {_only_input(signature): instances}
    if not all(named):
        odd = named.index(not named[0])
        raise ServingError(
            f"'instances' must hold objects or values, not both: instance 0 is {_kind(instances[0])}, "
            f"instance {odd} is {_kind(instances[odd])}."
        )
    for index, row in enumerate(instances):
        try:
            if row.keys() != signature.inputs.keys():
                signature.check_names(row)
        except ServingError as error:
            raise ServingError(f"Instance {index}: {error}") from None
    return {name: [row[name] for row in instances] for name in signature.inputs}


def _only_input(signature: Signature) -> str:
    if len(signature.inputs) != 1:
        raise ServingError(
            f"Signature {signature.name!r} takes the inputs {quoted(signature.inputs)}: they must be named, "
            'as in {"instances": [{NAME: value, ...}, ...]} or {"inputs": {NAME: values, ...}}.'
        )
    return next(iter(signature.inputs))


def _tensor(value: Any, signature: Signature, name: str) -> NDArray[Any]:
    spec = signature.inputs[name]
    dtype = np.dtype(spec.dtype.as_numpy_dtype)
    if dtype.kind not in _LEAVES or dtype == np.float16:
        raise ServingError(
            f"Input {name!r} is {spec.dtype.name}, which JSON cannot hold.", "UNIMPLEMENTED"
        )
    shape, leaves = _flatten(value, name)
    kinds = set(map(type, leaves))
    accepted, words = _LEAVES[dtype.kind]
    if not kinds <= accepted:
        odd = next(index for index, leaf in enumerate(leaves) if type(leaf) not in accepted)
        raise ServingError(
            f"Input {name!r} must hold {words} ({spec.dtype.name}). "
            f"Received {_kind(leaves[odd])}{_position(odd, shape)}."
        )
    if dtype.kind in "fiu":
        return _numbers(leaves, kinds, dtype, name).reshape(shape)
    array = np.empty(len(leaves), dtype)
    array[:] = leaves if dtype.kind == "b" else [_bytes(leaf, name) for leaf in leaves]
    return array.reshape(shape)


def _flatten(value: Any, name: str) -> tuple[tuple[int, ...], list[Any]]:
    """Returns the shape of nested lists and their leaves, row by row."""
    shape: list[int] = []
    items = [value]
    while list in (kinds := set(map(type, items))):
        if len(shape) == MAX_DEPTH:
            raise ServingError(f"The lists of input {name!r} are nested deeper than {MAX_DEPTH}.")
        lengths = set(map(len, items)) if kinds == {list} else set()
        if len(lengths) != 1:
            raise _ragged(items, shape, name)
        shape += lengths
        items = list(chain.from_iterable(items))
    return tuple(shape), items


def _ragged(items: list[Any], shape: list[int], name: str) -> ServingError:
    lengths = [len(item) if isinstance(item, list) else -1 for item in items]
    odd = next(index for index, length in enumerate(lengths) if length != lengths[0])
    return ServingError(
        f"The lists of input {name!r} are ragged: {_kind(items[0])}{_position(0, shape)}, but "
        f"{_kind(items[odd])}{_position(odd, shape)}."
    )


def _numbers(leaves: list[Any], kinds: set[type], dtype: np.dtype[Any], name: str) -> NDArray[Any]:
    """Returns the numbers as an array; raises ServingError if the dtype cannot hold one of them."""
    low, high = _exact_integers(dtype)
    limit = float(np.finfo(dtype).max) if dtype.kind == "f" else math.inf
    # At once, where that says of every number that it fits.
    try:
        if kinds == {float}:
            array = np.array(leaves, np.float64)
            if (np.abs(array) <= limit).all():
                return array.astype(dtype)
        elif kinds == {int}:
            array = np.array(leaves, np.int64)
            if low <= array.min() and array.max() <= high:
                return array.astype(dtype)
    except OverflowError:
        pass
    fits = {
        int: lambda leaf: low <= leaf <= high,
        float: lambda leaf: abs(leaf) <= limit,
        _Token: lambda leaf: True,
    }
    for leaf in leaves:
        if not fits[type(leaf)](leaf):
            shown = "a number beyond 1.8e308" if abs(leaf) == math.inf else str(leaf)[:40]
            raise ServingError(f"Input {name!r} is {dtype.name}, which cannot hold {shown}.")
    array = np.empty(len(leaves), dtype)
    array[:] = leaves
    return array


def _exact_integers(dtype: np.dtype[Any]) -> tuple[int, int]:
    if dtype.kind == "f":
        # TensorFlow Serving's bound: the integers that have the bits of the mantissa.
        high = int(2 ** (np.finfo(dtype).nmant + 1) - 1)
        return -high, high
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)


def _bytes(leaf: str | dict[str, Any], name: str) -> bytes:
    try:
        if isinstance(leaf, str):
            return leaf.encode()
        if not _is_named(leaf):
            return base64.b64decode(leaf[BASE64_KEY], validate=True)
    except UnicodeEncodeError as error:
        raise ServingError(f"Input {name!r} holds a string that is not text: {error}.") from None
    except ValueError as error:
        raise ServingError(f"Input {name!r} is not base64: {error}.") from None
    raise ServingError(
        f'An object in input {name!r} must be {{"b64": string}}. Received the keys {quoted(leaf)}.'
    )


def _nested(name: str, array: NDArray[Any]) -> Any:
    if array.dtype == np.float32:
        # The shortest digits that give the same float32: half as long as its value as a double.
        array = array.astype(np.str_).astype(np.float64)
    elif array.dtype == object:
        array = np.frompyfunc(lambda value: _text(name, value), 1, 1)(array)
    elif array.dtype.kind not in "fiub":
        raise ServingError(
            f"Output {name!r} is {array.dtype.name}, which JSON cannot hold.", "UNIMPLEMENTED"
        )
    return array.tolist() if isinstance(array, np.ndarray) else array


def _text(name: str, value: bytes) -> Any:
    if name.endswith(BYTES_SUFFIX):
        return {BASE64_KEY: base64.b64encode(value).decode()}
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise ServingError(
            f"Output {name!r} is not UTF-8 text; bytes are sent if its name ends in {BYTES_SUFFIX!r}.",
            "INTERNAL",
        ) from None


def _check_rows(outputs: Mapping[str, NDArray[Any]]) -> None:
    lengths = {name: array.shape[:1] for name, array in outputs.items()}
    if () in lengths.values() or len(set(lengths.values())) > 1:
        shapes = ", ".join(f"{name!r} {array.shape}" for name, array in outputs.items())
        raise ServingError(
            f"The outputs have no common first axis: {shapes}. Ask by columns, with 'inputs' in place of "
            "'instances'."
        )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = [name for name, count in counts.items() if count > 1]
        raise ServingError(f"An object in the body has names twice: {quoted(twice)}.")
    return found


def _is_named(value: Any) -> bool:
    """Whether `value` is an object of named tensors, and not one string in base64."""
    if not isinstance(value, dict):
        return False
    return not (value.keys() == {BASE64_KEY} and isinstance(value[BASE64_KEY], str))


def _kind(value: Any) -> str:
    """Names a JSON value for an error."""
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return f"an object with the keys {quoted(value)}" if value else "an empty object"
    return json.dumps(value)[:40]


def _position(index: int, shape: tuple[int, ...] | list[int]) -> str:
    if not shape:
        return ""
    return " at " + "".join(f"[{step}]" for step in np.unravel_index(index, tuple(shape)))
