"""Python's own generator, from which Keras draws seeds, given back as it was."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def kept_random_state(seed: int | None = None) -> Iterator[None]:
    """Gives Python's generator back as it was found; Keras draws from it whenever it makes or loads a layer.

    Not for work in the background: what others draw meanwhile would be drawn again.

    Args:
        seed: What it begins at meanwhile; None to let it go on.

    Example:
        >>> before = random.getstate()
        >>> with kept_random_state(7):
        ...     number = random.random()
        >>> random.getstate() == before
        True
    """
    state = random.getstate()
    if seed is not None:
        random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)
