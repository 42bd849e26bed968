"""The default optimizer of maps and of their decoders."""

from __future__ import annotations

import keras


def decaying_adam(learning_rate: float, steps: int) -> keras.optimizers.Adam:
    """Adam with a short warm-up and cosine decay, whose rate is 0 after `steps` steps.

    Args:
        learning_rate: The peak, after the warm-up.
        steps: Length of the training.

    Example:
        >>> rate = decaying_adam(0.01, steps=1000)._learning_rate
        >>> [round(float(rate(step)), 4) for step in (0, 50, 525, 1000)]
        [0.001, 0.01, 0.005, 0.0]
    """
    warmup = min(50, steps // 10)
    rate = keras.optimizers.schedules.CosineDecay(
        0.1 * learning_rate,
        max(1, steps - warmup),
        warmup_target=learning_rate,
        warmup_steps=warmup,
    )
    return keras.optimizers.Adam(rate)
