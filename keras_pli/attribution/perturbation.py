"""What methods share that hide parts of an input and watch the score: positions, lengths and fillings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from ..checks import checked_number
from ..network.forward import Forward, Network, Target
from ..network.loops import repeated, summed, unfolded
from ..network.positions import check_channels_last, follow
from ..network.targets import target_scores

Tensor = Any
Lengths: TypeAlias = "int | tuple[int, ...] | None"
Fill: TypeAlias = "float | NDArray[np.float32] | Literal['mean']"


def only_input(x: Any, method: str) -> Any:
    """Returns the one array or tensor of a model's inputs.

    Raises:
        ValueError: If there are several inputs.
    """
    flat = tf.nest.flatten(x)
    if len(flat) != 1:
        raise ValueError(
            f"{method} hides parts of a single input, and the model takes {len(flat)}. "
            "Explain a model of one input, with the others held fixed inside."
        )
    return flat[0]


def spatial_sizes(samples: Any) -> tuple[int, ...]:
    """The sizes of the axes between samples and channels; vectors have their features as positions."""
    return tuple(samples.shape[1:-1]) or tuple(samples.shape[1:])


def over_channels(maps: Any, samples: Any) -> Any:
    """Gives values at positions, `(..., *sizes)`, a channel axis to broadcast over, if `samples` have one."""
    return maps[..., None] if len(samples.shape) > 2 else maps


def checked_lengths(value: Any, name: str, *, least: int = 1) -> Lengths:
    """Returns a length for all spatial axes, a tuple of one for each, or None, as it was given.

    Raises:
        ValueError: If a length is not a whole number, or less than `least`.
    """
    if value is None:
        return None
    if isinstance(value, Sequence | np.ndarray) and not isinstance(value, str):
        return tuple(checked_number(length, name, least=least, whole=True) for length in value)
    return int(checked_number(value, name, least=least, whole=True))


def lengths_along(
    lengths: int | tuple[int, ...], sizes: Sequence[int], name: str
) -> tuple[int, ...]:
    """Returns one length for each spatial axis.

    Raises:
        ValueError: If there are more or fewer lengths than axes.
    """
    along = lengths if isinstance(lengths, tuple) else (lengths,) * len(sizes)
    if len(along) != len(sizes):
        raise ValueError(
            f"`{name}` must be one whole number, or one for each of the {len(sizes)} spatial axes of "
            f"sizes {tuple(sizes)}. Received: {lengths}."
        )
    return along


def checked_fill(fill: ArrayLike | str) -> Fill:
    """Returns what hidden places show: a number, a float32 array, or `"mean"`.

    Raises:
        ValueError: If it is none of these, or not finite.
    """
    if isinstance(fill, str):
        if fill != "mean":
            raise ValueError(f"`fill` must be a number, an array or 'mean'. Received: {fill!r}.")
        return "mean"
    array = np.asarray(fill, dtype=np.float32)
    if not np.all(np.isfinite(array)):
        raise ValueError("`fill` must be finite. It holds NaN or infinity.")
    return array if array.ndim else float(array)


def fill_like(fill: float | NDArray[np.float32], samples: Tensor) -> Tensor:
    """Returns a number or an array as a tensor that broadcasts to `samples`.

    Raises:
        ValueError: If it does not broadcast to the shape of one sample, or is not whole where ids are hidden.
    """
    shape = tuple(samples.shape[1:])
    array = np.asarray(fill, dtype=np.float32)
    if not samples.dtype.is_floating and (array % 1).any():
        raise ValueError(
            f"`fill` must be whole numbers for inputs of type {samples.dtype.name}, such as the id of a mask "
            f"token. Received: {fill!r}."
        )
    try:
        fits = np.broadcast_shapes(array.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"`fill` must be a number, or an array that broadcasts to one sample of shape {shape}. "
            f"Received shape {array.shape}."
        )
    return tf.cast(tf.constant(array), samples.dtype)


def scores_of(
    network: Network,
    x: Any,
    versions: Tensor,
    target: Target,
    *,
    read: Callable[[Forward], Tensor] = lambda forward: forward.logits,
) -> Tensor:
    """Returns the scores of several versions of a batch, `(versions, batch)`.

    Args:
        network: The network to run.
        x: The model's inputs; their structure is what counts.
        versions: `(versions, batch, ...)`.
        target: As in `Method.compute`, but not None.
        read: What targets are read from.

    Raises:
        ValueError: If the network reads the input channels first: another axis than the versions differ in.
    """
    times = tf.shape(versions)[0]
    flat = tf.reshape(versions, (-1, *versions.shape[2:]))
    forward = network.forward(tf.nest.pack_sequence_as(x, [flat]))
    check_channels_last(follow(flat, forward.logits), network.model.name)
    return unfolded(target_scores(read(forward), repeated(target, times)), times)


def scores_in_rounds(
    scores: Callable[[Tensor], Tensor], count: int, *, batch: Tensor, room: int
) -> Tensor:
    """Returns the scores of numbered versions of a batch, `(count, batch)`, in memory that does not grow.

    Args:
        scores: From numbers `(p,)` to scores `(p, batch)`.
        count: How many versions there are.
        batch: Number of samples in the batch, a scalar.
        room: Inputs that may run through the model at a time.
    """

    def placed(numbers: Tensor, weights: Tensor) -> Tensor:
        found = scores(numbers) * weights[:, None]
        return tf.scatter_nd(numbers[:, None], found, (count, batch))

    return summed(placed, count, tf.zeros((count, batch)), batch=batch, room=room)


def check_mean(samples: Tensor) -> None:
    """Raises a `ValueError` if samples are ids, whose mean is another id."""
    if not samples.dtype.is_floating:
        raise ValueError(
            f"The mean of ids of type {samples.dtype.name} stands for nothing. Pass the id that hides one as "
            "`fill`, such as that of a mask token or of padding."
        )


def channel_means(samples: Tensor) -> Tensor:
    """Returns the mean over the positions of each sample and channel, with axes of one to broadcast.

    Raises:
        ValueError: If the samples are ids.
    """
    check_mean(samples)
    axes = range(1, min(max(2, samples.shape.rank - 1), samples.shape.rank))
    return tf.reduce_mean(samples, axis=list(axes), keepdims=True)
