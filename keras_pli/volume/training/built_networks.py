"""The network that a function of the user's returns: drawn from a seed, tried on a volume, and identified."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ...identity import model_identity
from ...network.activations import final_squashing
from ...random_state import kept_random_state

Build = Callable[[tuple[int, ...], int, int], keras.Model]


def built_network(
    build: Build, input_shape: tuple[int, ...], classes: int, seed: int
) -> keras.Model:
    """Returns what `build` returns, with fresh weights that are the same each time.

    Layers to which `build` gives no seed draw theirs from one that follows from `seed`. Python's random
    numbers go on afterwards as if none had been drawn.

    Raises:
        TypeError: If it is no Keras model.
        ValueError: If a model without an input of its own cannot be applied to a volume.
    """
    with kept_random_state(seed):
        network = build(input_shape, classes, seed)
        if not isinstance(network, keras.Model):
            raise TypeError(
                f"`build` must return a Keras model. Received: {type(network).__name__}, {network!r:.80}."
            )
        if not network.built:
            _applied(network, np.zeros((1, *input_shape), np.float32))
    return network


def network_identity(
    build: Build, input_shape: tuple[int, ...], classes: int, seed: int
) -> dict[str, str]:
    """Returns digests of a fresh network's architecture and weights.

    Weights that differ from one call to the next with the same seed say nothing, and are left out.
    """
    one, other = (
        model_identity(built_network(build, input_shape, classes, seed)) for _ in range(2)
    )
    drawn = one["weights"] != other["weights"]
    return {**one, "weights": "another draw in each call"} if drawn else one


def check_network(network: keras.Model, volume: NDArray[np.float32], classes: int) -> None:
    """Tries a fresh network on a volume `(X, Y, Z, channels)`.

    Raises:
        ValueError: If it cannot be applied to it, does not give one logit a class, or ends in a softmax or
            sigmoid.
    """
    given = _applied(network, volume[None])
    shape = tuple(getattr(given, "shape", ())) or f"of {type(given).__name__}"
    if shape != (1, classes):
        raise ValueError(
            f"`build` must return a network of {classes} logits, one a class. Received: a network "
            f"whose output for one volume has shape {shape}."
        )
    ending = _ending(network, keras.ops.convert_to_numpy(keras.ops.cast(given, "float32"))[0])
    if ending is not None:
        raise ValueError(
            f"`build` must return a network of logits, since the loss applies the softmax. Received: a "
            f"network that ends in a {ending}. Leave the last activation out."
        )


def check_storable(network: keras.Model) -> None:
    """Writes and reads a network, so that one of the user's classes does not fail after its training.

    Raises:
        ValueError: If it cannot be read back.
    """
    with TemporaryDirectory() as folder:
        file = Path(folder) / "network.keras"
        try:
            network.save(file)
            keras.saving.load_model(file, compile=False)
        except Exception as error:
            raise ValueError(
                "The network that `build` returns cannot be kept in `out`: it is not read back from a "
                f"Keras file ({_first_line(error)}). Register its classes by "
                "`keras.saving.register_keras_serializable`, give them `get_config`, or leave `out` out."
            ) from error


def check_pooling() -> None:
    """Tries the pooling of `volume_classifier` under the policy of numbers that is set.

    Raises:
        ValueError: If there is none of that type here.
    """
    layer = keras.layers.MaxPooling3D()
    try:
        layer(np.zeros((1, 2, 2, 2, 1), layer.compute_dtype))
    except Exception as error:
        raise ValueError(_no_such_type()) from error


def _applied(network: keras.Model, volumes: NDArray[np.float32]) -> Any:
    try:
        return network(volumes, training=False)
    except Exception as error:
        unusual = keras.config.dtype_policy().compute_dtype not in ("float32", "bfloat16")
        raise ValueError(
            "The network that `build` returns cannot be applied to volumes of shape "
            f"{volumes.shape[1:]}: {_first_line(error)}."
            + (f" {_no_such_type()}" if unusual else "")
        ) from error


def _no_such_type() -> str:
    policy = keras.config.dtype_policy()
    return (
        f"Keras's policy of numbers is {policy.name!r}, and TensorFlow has no 3-D pooling of "
        f"{policy.compute_dtype} on this device. 'float32' works, and where the processor has it "
        "'mixed_bfloat16': `keras.config.set_dtype_policy`."
    )


def _ending(network: keras.Model, outputs: NDArray[np.float32]) -> str | None:
    """The softmax or sigmoid that a network ends in; None if none is seen."""
    try:
        step = final_squashing(network)
    except ValueError:
        step = None
    if step is not None and step.kind != "LogSoftmax":  # which a softmax undoes
        return str(step.kind).lower()
    # Within a function nothing is seen. Logits that are shares of 1 do not come about by chance.
    shares = bool((outputs >= 0).all()) and abs(float(outputs.sum()) - 1) < 1e-5
    return "softmax" if shares else None


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return ": ".join([type(error).__name__, *(line[:200] for line in lines[:1])])
