"""Before a version appears: what was written is compared with what was traced, and with the model itself."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ..network.embeddings import run_unchanged
from ..network.forward import Network, named_outputs
from ..network.layers import layer_paths
from .inputs import ModelInputs

Array = NDArray[Any]
Arrays = Mapping[str, Array]


def compare_with_traced(
    served: Mapping[str, Any],
    functions: Mapping[str, Any],
    requests: Mapping[str, Callable[[int], Arrays]],
    exact: Collection[str],
    rows: int,
) -> None:
    """Asks every signature, and raises if one answers otherwise than the function it was written from.

    Args:
        served: The signatures as they were read again.
        functions: The concrete functions they were written from, by the same names.
        requests: What makes a request of so many samples.
        exact: Names of the signatures whose answers are the same anywhere; others must answer at all.
        rows: How many samples to ask about.

    Raises:
        RuntimeError: If an answer differs.
    """
    for name, function in functions.items():
        tensors = {key: tf.constant(array) for key, array in requests[name](rows).items()}
        found = served[name](**tensors)
        if name.removesuffix("_xla") not in exact:
            continue
        expected = function(**tensors)
        for key, value in expected.items():
            if value.dtype.is_floating and not _close(found[key].numpy(), value.numpy()):
                raise _differs(name, key, "the function that was traced", found[key], value)


def compare_with_model(
    answer: Any,
    name: str,
    network: Network,
    inputs: ModelInputs,
    activation: Literal["auto", "softmax", "sigmoid"],
) -> None:
    """Asks a signature and the model itself, on the examples and at random, and raises if they differ.

    Args:
        answer: The signature of predictions, as it was read again.
        name: Its name.
        network: The model, with the output that is served; traced before.
        inputs: The model's inputs.
        activation: What made probabilities of the logits.

    Raises:
        RuntimeError: If an answer differs from the model's.
        ValueError: If logits are to be served and the model gives probabilities, without a softmax that could
            be undone.
    """
    tolerance = _tolerance(network.model)
    shares = []
    for kind, arrays in inputs.trials(inputs.rows):
        given = {key: tf.constant(array) for key, array in arrays.items()}
        try:
            outputs = run_unchanged(network.model, inputs.pack(given))
        except (tf.errors.OpError, ValueError):
            if kind == "examples":
                raise
            continue  # the model does not take such numbers
        found = {key: tensor.numpy() for key, tensor in answer(**given).items()}
        said = _as_float(network.explained(outputs))
        said = said[:, None] if said.ndim == 1 else said
        shares.append(_adds_up_to_one(said))
        pairs = _pairs(found, said, network.squashing, activation)
        if len(tf.nest.flatten(outputs)) > 1:
            others = named_outputs(network.model, outputs).items()
            pairs += [(f"output_{key}", found[f"output_{key}"], value) for key, value in others]
        for key, value, expected in pairs:
            if not _close(_as_float(value), _as_float(expected), tolerance):
                raise _differs(name, key, "the model", value, expected)
    if network.score == "logits" and network.squashing is None and all(shares):
        raise ValueError(
            f"No logits can be found in {network.model.name!r}: its output always adds up to 1, as "
            "probabilities do, and no softmax was found that makes them. Pass score='output' to serve "
            "them as they are."
        )


def _pairs(
    found: Mapping[str, Array], said: Array, squashing: str | None, activation: str
) -> list[tuple[str, Array, Array]]:
    """What was answered and what the model said, made comparable, each with the answer's name."""
    chances = found["probabilities"].astype(np.float64)
    if "logits" not in found:
        return [("probabilities", _like(chances, said), said)]
    logits = found["logits"].astype(np.float64)
    squashed = {"Softmax": _softmax, "LogSoftmax": _log_softmax, "Sigmoid": _sigmoid}.get(
        squashing or "linear"
    )
    pairs = [("logits", _like(squashed(logits) if squashed else logits, said), said)]
    if activation == "auto" and squashing == "LogSoftmax":
        pairs.append(("probabilities", chances, np.exp(said)))
    elif activation == "auto" and squashing is not None:
        pairs.append(("probabilities", _like(chances, said), said))
    else:
        single = activation == "auto" and logits.shape[-1] == 1
        by = _sigmoid if single or activation == "sigmoid" else _softmax
        pairs.append(("probabilities", chances, by(logits)))
    return pairs


def _like(values: Array, said: Array) -> Array:
    """A single unit speaks for two classes: what it said is the second."""
    return values[..., 1:] if values.shape[-1] == 2 and said.shape[-1] == 1 else values


def _sigmoid(logits: Array) -> Array:
    return 0.5 + 0.5 * np.tanh(logits / 2)


def _softmax(logits: Array) -> Array:
    return np.exp(_log_softmax(logits))


def _log_softmax(logits: Array) -> Array:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def _adds_up_to_one(said: Array) -> bool:
    sums = said.sum(axis=-1)
    return said.shape[-1] > 1 and bool((said >= 0).all()) and _close(sums, np.ones_like(sums))


def _differs(name: str, key: str, other: str, found: Any, expected: Any) -> RuntimeError:
    one, two = _as_float(found), _as_float(expected)
    if one.shape == two.shape:
        place = np.unravel_index(np.argmax(np.nan_to_num(np.abs(one - two), nan=np.inf)), one.shape)
        where = f": {one[place]:.6g} and {two[place]:.6g} at {tuple(int(index) for index in place)}"
    else:
        where = f", of shape {one.shape} instead of {two.shape}"
    return RuntimeError(
        f"The written signature {name!r} gives another {key!r} than {other}{where}. Nothing was exported. "
        "Pass `examples` that the model was made for, if made-up inputs are the cause."
    )


def _as_float(values: Any) -> Array:
    tensor = tf.convert_to_tensor(values)
    return tensor.numpy() if tensor.dtype == tf.string else tf.cast(tensor, tf.float64).numpy()


def _tolerance(model: keras.Model) -> float:
    """Relative, by the precision in which the model computes."""
    computing = {layer.compute_dtype for layer in layer_paths(model).values()}
    return 0.05 if computing & {"float16", "bfloat16"} else 1e-3


def _close(found: Any, expected: Any, tolerance: float = 1e-3) -> bool:
    if np.shape(found) != np.shape(expected):
        return False
    if np.asarray(expected).dtype.kind not in "fiub":
        return bool(np.array_equal(found, expected))
    scale = np.max(np.abs(expected), initial=1e-6, where=np.isfinite(expected))
    return np.allclose(
        found, expected, rtol=tolerance, atol=0.1 * tolerance * scale, equal_nan=True
    )
