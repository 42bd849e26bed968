"""Batches that cannot be shared out evenly among the replicas of `tf.distribute`."""

from __future__ import annotations

from typing import Any

import keras

from .strategies import replicas_of


class UnevenBatches:
    """A Keras model whose first batch may have other numbers of rows on each replica.

    To learn the shape of a batch, Keras takes its mean over replicas, which fails for such a batch, as that
    of a small validation set. The rows of one replica tell as much.
    """

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        if iterator is not None and replicas_of(self) > 1:
            for _, _, batches in iterator:
                data_batch = keras.tree.map_structure(_on_first_replica, next(batches))
                break
            iterator = None
        super()._maybe_symbolic_build(iterator, data_batch)  # type: ignore[misc]


def _on_first_replica(values: Any) -> Any:
    """Of what is spread over replicas, the part of the first one on this machine."""
    return values.values[0] if hasattr(values, "values") else values
