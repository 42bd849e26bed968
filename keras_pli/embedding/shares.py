"""How the points of a batch are shared out among replicas, so that together they do what one would."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from ..replicas import gathered, replica_count, replica_number
from ..strategies import check_steps, worker_count

Tensor = Any
Array = NDArray[Any]

KERAS_BATCH = 32  # of Keras's `predict`


def shared_out(size: int, mapped: Callable[[Tensor | None], Tensor]) -> Tensor:
    """Returns the rows of a whole batch, of which each replica computes as many as the others.

    Where their number does not divide the batch, points from its beginning come once more, and are cut off.

    Args:
        size: Number of points in the batch.
        mapped: From places in the batch, int32 of shape `(places,)`, to a row for each; from None to the rows
            of all.

    Example:
        >>> import numpy as np
        >>> shared_out(3, lambda places: np.eye(3) if places is None else np.eye(3)[places]).shape
        (3, 3)
    """
    count, devices = replica_count(), device_count()
    if count * devices == 1:
        return mapped(None)
    share = -(-size // (count * devices)) * devices
    places = (ops.arange(share, dtype="int32") + replica_number() * share) % size
    return gathered(mapped(places))[:size]


def rows_at_once() -> int:
    """Of how many rows a batch must be for Keras to give each replica, or device, one."""
    return replica_count() * device_count()


def predicted_on_devices(
    predict: Callable[..., Array], x: Array, batch_size: int | None, **kwargs: Any
) -> Array:
    """Returns what Keras's `predict` makes of rows of which the devices of JAX cannot have equally many.

    Keras refuses such batches: rows from the beginning come once more, and are cut off.
    """
    devices = device_count()
    if devices == 1:
        return predict(x, batch_size=batch_size, **kwargs)
    size = -(-(batch_size or KERAS_BATCH) // devices) * devices
    rows = np.arange(-(-len(x) // devices) * devices) % len(x)
    return predict(x[rows], batch_size=size, **kwargs)[: len(x)]


def check_replicas(model: keras.Model, seed: int | None) -> None:
    """Refuses what the replicas of the strategy in scope cannot do together.

    Raises:
        ValueError: If several workers would draw without a seed, or several replicas take several steps in
            one execution, in which they cannot speak to each other.
    """
    if worker_count() > 1 and seed is None:
        raise ValueError(
            f"Several workers must draw the same batches: give `seed` a number. Received: seed=None, and "
            f"{worker_count()} workers."
        )
    check_steps(model)


def device_count() -> int:
    """Returns among how many devices `keras.distribution` shares the rows of a batch out, on JAX.

    It is one program that all of them run: a step is traced as for one device, of the whole batch.

    Example:
        >>> device_count()
        1
    """
    distribution = _distribution()
    if distribution is None:
        return 1
    mesh = distribution.device_mesh
    return int(mesh.shape[mesh.axis_names.index(distribution.batch_dim_name)])


def on_all_devices(rows: Tensor) -> Tensor:
    """Shares rows out among the devices of `keras.distribution`, whose number must divide theirs."""
    if device_count() == 1:
        return rows
    return keras.distribution.distribute_tensor(rows, _distribution().get_data_layout(rows.shape))


def _distribution() -> Any:
    return keras.distribution.distribution() if keras.backend.backend() == "jax" else None
