"""What models say about their inputs and outputs."""

from __future__ import annotations

from typing import Any, Literal

import keras
import tensorflow as tf

from ..checks import quoted
from ..network.kinds import CARRIERS

_RANGES = {"Tanh": (-1.0, 1.0), "Sigmoid": (0.0, 1.0)}


def input_shape(model: keras.Model, name: str) -> tuple[int, ...]:
    """Returns the shape of one input of a model, without the samples.

    Args:
        model: A built Keras model.
        name: What the caller calls it; quoted in errors.

    Raises:
        TypeError: If it is not a Keras model.
        ValueError: If it is not built, has several inputs, or does not tell a fixed shape.
    """
    return _one_shape(model, "input_shape", name)


def output_shape(model: keras.Model, name: str) -> tuple[int, ...]:
    """Returns the shape of one output of a model, without the samples; see `input_shape`."""
    return _one_shape(model, "output_shape", name)


def fitting_shapes(generator: keras.Model, encoder: keras.Model) -> tuple[int, tuple[int, ...]]:
    """Returns the latent size and the shape of an image, on which generator and encoder agree.

    Raises:
        TypeError: If one is not a Keras model.
        ValueError: If they do not lead from codes to images and back.
    """
    codes, images = input_shape(generator, "generator"), output_shape(generator, "generator")
    if len(codes) != 1 or len(images) != 3:
        raise ValueError(
            "`generator` must lead from codes (samples, latent_size) to images (samples, height, width, "
            f"channels). It leads from {codes} to {images}."
        )
    taken, given = input_shape(encoder, "encoder"), output_shape(encoder, "encoder")
    if given != codes:
        raise ValueError(
            f"`encoder` must give codes of the generator's size {codes}. It gives {given}."
        )
    if taken != images:
        raise ValueError(
            f"`encoder` must take images of the generator's shape {images}. It takes {taken}."
        )
    return codes[0], images


def what_is_classified(
    classifier: keras.Model,
    classifies: Literal["auto", "codes", "images"],
    codes: tuple[int, ...],
    images: tuple[int, ...],
) -> Literal["codes", "images"]:
    """Returns what a classifier takes, `"codes"` or `"images"`.

    Args:
        classifier: A built Keras model.
        classifies: What it is said to take; `"auto"` finds out from the shape of its input.
        codes: Shape of a code.
        images: Shape of an image.

    Raises:
        TypeError: If it is not a Keras model.
        ValueError: If it takes neither.
    """
    if not isinstance(classifier, keras.Model):
        raise TypeError(
            f"`classifier` must be a Keras model. Received: {type(classifier).__name__}."
        )
    if classifies != "auto":
        return classifies
    taken = input_shape(classifier, "classifier")
    if taken not in (codes, images):
        raise ValueError(
            f"`classifier` must take codes of shape {codes} or images of shape {images}. It takes {taken}."
        )
    return "codes" if taken == codes else "images"


def image_range_of(generator: keras.Model, latent_size: int) -> tuple[float, float] | None:
    """Returns the least and greatest value that a generator can draw, or None where its end does not tell.

    Example:
        >>> dense = keras.layers.Dense(4, activation="tanh")
        >>> image_range_of(keras.Sequential([keras.Input((2,)), dense]), 2)
        (-1.0, 1.0)
    """
    ends: list[str] = []

    def look(codes: Any) -> None:
        operation = tf.convert_to_tensor(generator(codes, training=False)).op
        while operation.type in CARRIERS | {"Transpose"}:
            operation = operation.inputs[0].op
        ends.append(operation.type)

    spec = tf.TensorSpec((None, latent_size), tf.float32)
    tf.function(look, autograph=False).get_concrete_function(spec)
    return _RANGES.get(ends[-1])


def _one_shape(model: keras.Model, which: str, name: str) -> tuple[int, ...]:
    if not isinstance(model, keras.Model):
        raise TypeError(f"`{name}` must be a Keras model. Received: {type(model).__name__}.")
    try:
        shape = getattr(model, which)
    except (AttributeError, ValueError):
        shape = None
    kind = which.split("_")[0]
    if not model.built or shape is None:
        raise ValueError(
            f"`{name}` does not tell the shape of its {kind}: {model.name!r} is not built, or is a "
            "subclassed model. Wrap it in a functional model, from `keras.Input` to its output."
        )
    if not isinstance(shape, tuple) or not all(
        size is None or isinstance(size, int) for size in shape
    ):
        raise ValueError(f"`{name}` must have one {kind}. {model.name!r} has {quoted(shape)}.")
    if None in shape[1:]:
        raise ValueError(
            f"`{name}` must have an {kind} of a fixed size. {model.name!r} has {shape}."
        )
    return tuple(shape[1:])
