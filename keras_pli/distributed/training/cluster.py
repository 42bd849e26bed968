"""Who writes what all workers share, and how the others get it from there."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

# So many numbers at once, each of two bytes, go from one worker to the others: 16 MiB as float32.
_CHUNK = 1 << 22


def worker_count(strategy: Any) -> int:
    """Returns how many processes train together.

    Example:
        >>> worker_count(tf.distribute.get_strategy())
        1
    """
    return int(getattr(strategy.extended, "_num_workers", 1))


def is_chief(strategy: Any) -> bool:
    """Whether this process is the one that writes what is written once.

    Example:
        >>> is_chief(tf.distribute.get_strategy())
        True
    """
    return worker_count(strategy) == 1 or bool(strategy.extended._is_chief)


def from_chief(strategy: Any, content: bytes) -> bytes:
    """Returns the chief's bytes on every worker; all of them must ask at the same time.

    Args:
        strategy: The one under which the workers train.
        content: What the chief sends; of other workers it does not count.

    Example:
        >>> from_chief(tf.distribute.get_strategy(), b"weights")
        b'weights'
    """
    if worker_count(strategy) == 1:
        return content
    if not is_chief(strategy):
        content = b""
    # Sums of float32 are what every kind of communication can do; they hold numbers of two bytes exactly.
    high, low = divmod(len(content), 1 << 16)
    high, low = _total(strategy, np.array([high, low], np.float32))
    length = (int(high) << 16) + int(low)
    sent = np.zeros((length + 1) // 2, np.uint16)
    sent.view(np.uint8)[: len(content)] = np.frombuffer(content, np.uint8)
    parts = [
        _total(strategy, sent[begin : begin + _CHUNK].astype(np.float32)).astype(np.uint16)
        for begin in range(0, len(sent), _CHUNK)
    ]
    return np.concatenate([sent[:0], *parts]).tobytes()[:length]


def _total(strategy: Any, numbers: Any) -> Any:
    return np.asarray(strategy.reduce("SUM", tf.identity(numbers), axis=None))
