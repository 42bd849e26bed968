"""A running average of a network's weights."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from ...replicas import assign_all, replica_count


def follow(average: keras.Model, network: keras.Model, decay: float, steps: Any) -> None:
    """Moves an average on by one step: w̄ ← d w̄ + (1 − d) w.

    Args:
        average: A copy of the network, whose weights are changed.
        network: The network in training.
        decay: The share d that is kept.
        steps: Steps done before. Young averages forget faster, with d at most (1 + n) / (10 + n), or the
            initial weights would stay in them for long.
    """
    young = tf.cast(steps, tf.float32)
    kept = tf.minimum(decay, (1.0 + young) / (10.0 + young))
    pairs = zip(average.weights, network.weights, strict=True)
    if replica_count() == 1:
        for mean, now in pairs:
            mean.assign(kept * mean + (1.0 - kept) * now)
    else:
        assign_all(average.weights, [kept * mean + (1.0 - kept) * now for mean, now in pairs])
