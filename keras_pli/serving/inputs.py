"""A model's inputs by name, as a signature has them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ..checks import quoted
from ..network.inputs import fixed_batch
from ..network.layers import layer_paths
from .warmup import WARMUP_SIZES

Tensor = Any

# What Keras calls an input that was given no name; the number differs from run to run.
_UNNAMED = re.compile(r"(input_layer|keras_tensor|input)(_?\d+)?")


class ModelInputs:
    """The inputs of a model: flat and by name outside, in the model's own structure inside.

    An input keeps the name it was given, `keras.Input(..., name="image")`; others are called `inputs`, or
    `inputs_0`, `inputs_1`, … where there are several.

    Args:
        model: A built Keras model.
        examples: Inputs as the model takes them, `(samples, ...)` each. Needed for a subclassed model, which
            does not tell its shapes.

    Attributes:
        specs: Shape and type of each by name, the number of samples left open. Floats are float32.
        rows: How many samples a signature is tried on: as many as the model takes, where that is fixed.

    Raises:
        ValueError: If the model does not tell its shapes and there are no examples, examples do not fit, or
            two inputs have the same name.
    """

    def __init__(self, model: keras.Model, examples: Any = None) -> None:
        own = _own_structure(model)
        if own is None and examples is None:
            raise ValueError(
                f"{model.name!r} does not tell the shapes of its inputs, as subclassed models do not. "
                "Pass `examples`, a few inputs as the model takes them."
            )
        self._structure = own if own is not None else _arrays(examples)
        self._declared = own is not None
        self._fixed = fixed_batch(model)
        self.rows = self._fixed or 2
        names = _names(self._structure)
        flat = tf.nest.flatten(self._structure)
        self.specs = {
            name: tf.TensorSpec((None, *part.shape[1:]), _dtype(part.dtype), name)
            for name, part in zip(names, flat, strict=True)
        }
        if len(self.specs) != len(flat):
            raise ValueError(f"Two inputs of {model.name!r} have one name: {quoted(names)}.")
        self._examples = None if examples is None else self._checked(examples)
        layers = layer_paths(model).values()
        sizes = [part.input_dim for part in layers if isinstance(part, keras.layers.Embedding)]
        self._ids: int | None = min(sizes, default=None)

    @property
    def warmup_sizes(self) -> tuple[int, ...]:
        """Batch sizes to warm a server up with, of those that the model takes."""
        return WARMUP_SIZES if self._fixed is None else (self._fixed,)

    def pack(self, tensors: Mapping[str, Tensor]) -> Any:
        """Returns tensors by name in the model's own structure."""
        return tf.nest.pack_sequence_as(self._structure, [tensors[name] for name in self.specs])

    def by_name(self, structure: Any) -> dict[str, Any]:
        """Returns what is structured as the model's inputs, by their names."""
        return dict(zip(self.specs, tf.nest.flatten(structure), strict=True))

    def explained(self, spec: tf.TensorSpec) -> tf.TensorSpec:
        """Returns an input as explanations take it: floats, but for integers that the model asks for."""
        keeps = self._declared and not spec.dtype.is_floating
        return spec if keeps else tf.TensorSpec(spec.shape, tf.float32, spec.name)

    def examples(self, samples: int) -> dict[str, NDArray[Any]]:
        """Returns inputs by name to try a signature on: the examples given, repeated, or made-up ones."""
        if self._examples is not None:
            return {
                name: np.resize(array, (samples, *array.shape[1:]))
                for name, array in self._examples.items()
            }
        return {name: made_up(spec, samples) for name, spec in self.specs.items()}

    def trials(self, samples: int) -> Iterator[tuple[str, dict[str, NDArray[Any]]]]:
        """Yields inputs by name to compare answers on: the `"examples"`, then `"random"` ones."""
        given = self.examples(samples)
        yield "examples", given
        draws = np.random.default_rng(1)
        yield "random", {name: self._drawn(array, draws) for name, array in given.items()}

    def _drawn(self, like: NDArray[Any], draws: np.random.Generator) -> NDArray[Any]:
        """Numbers of a model's own range: ids that its embeddings have, else normal, or all of a byte."""
        if like.dtype.kind not in "fiub":
            return like
        if self._ids is not None:
            return draws.integers(0, self._ids, like.shape).astype(like.dtype)
        if like.dtype.kind == "f":
            return draws.normal(size=like.shape).astype(like.dtype)
        if like.dtype == np.uint8:
            return draws.integers(0, 256, like.shape, dtype=np.uint8)
        known = (
            self._examples is not None
        )  # of other integers, only the caller knows which there are
        return like if known else draws.integers(0, 2, like.shape).astype(like.dtype)

    def _checked(self, examples: Any) -> dict[str, NDArray[Any]]:
        flat = tf.nest.flatten(_arrays(examples))
        if len(flat) != len(self.specs):
            raise ValueError(
                f"`examples` must hold the inputs {quoted(self.specs)}. Received: {len(flat)} arrays."
            )
        checked = {}
        for array, (name, spec) in zip(flat, self.specs.items(), strict=True):
            if len(array) == 0 or not spec.shape.is_compatible_with(array.shape):
                raise ValueError(
                    f"`examples` of {name!r} must have shape {tuple(spec.shape)}. "
                    f"Received shape {array.shape}."
                )
            checked[name] = array.astype(spec.dtype.as_numpy_dtype)
        return checked


def made_up(spec: tf.TensorSpec, samples: int) -> NDArray[Any]:
    """Returns an array that fits: floats at random from 0 to 1, always the same; zeros or empty texts."""
    shape = (samples, *(size or 32 for size in spec.shape[1:]))
    if spec.dtype.is_floating:
        return np.random.default_rng(0).random(shape, dtype=np.float32)
    if spec.dtype == tf.string:
        return np.full(shape, "", object)
    return np.zeros(shape, spec.dtype.as_numpy_dtype)


def _own_structure(model: keras.Model) -> Any:
    """The symbolic inputs in the structure that the model takes, or None where it does not tell."""
    try:
        return model.input
    except AttributeError:  # a Sequential model that was built by a call, or a subclassed one
        inputs = getattr(model, "inputs", None)
        return inputs[0] if inputs else None


def _arrays(examples: Any) -> Any:
    """Lists and dicts stand for several inputs, as in Keras."""
    return tf.nest.map_structure(np.asarray, examples)


def _names(structure: Any) -> list[str]:
    if isinstance(structure, dict):  # flattened by sorted keys
        return [_identifier(key) for key in sorted(structure)]
    flat = tf.nest.flatten(structure)
    own = [getattr(part, "name", None) for part in flat]
    if len(flat) == 1:
        return [_given(own[0]) or "inputs"]
    return [_given(name) or f"inputs_{index}" for index, name in enumerate(own)]


def _given(name: str | None) -> str | None:
    return None if name is None or _UNNAMED.fullmatch(name) else _identifier(name)


def _identifier(name: str) -> str:
    """Tensor names of signatures are also names of arguments."""
    plain = re.sub(r"\W", "_", str(name))
    return f"_{plain}" if plain[:1].isdigit() else plain


def _dtype(dtype: Any) -> tf.DType:
    found = tf.as_dtype(dtype)
    return tf.float32 if found.is_floating else found
