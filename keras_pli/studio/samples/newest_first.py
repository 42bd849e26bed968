"""A lane for one piece of work at a time, in which a newer one takes the place of those that wait."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import TypeVar

Result = TypeVar("Result")


class SupersededError(RuntimeError):
    """Work was dropped before it began, since newer work came."""


class NewestFirst:
    """Does one piece of work at a time; of those that one asker has waiting only the newest is done.

    What has begun is finished. It is for what a person asks by pointing at one thing after another: an answer
    about a thing that was left is worth nothing. Whoever else asks waits for a turn, and loses none.

    Example:
        >>> NewestFirst().run(lambda: 6 * 7)
        42
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: dict[Hashable, object] = {}  # by asker, the newest
        self._busy = False

    def run(self, work: Callable[[], Result], *, asker: Hashable = None) -> Result:
        """Does a piece of work in this thread, once its turn comes, and returns its result.

        Args:
            work: What is done.
            asker: Whose work it takes the place of.

        Raises:
            SupersededError: If newer work of the same asker came while this waited.
        """
        mine = object()
        with self._changed:
            self._waiting[asker] = mine
            self._changed.notify_all()
            while self._busy and self._waiting.get(asker) is mine:
                self._changed.wait()
            if self._waiting.get(asker) is not mine:
                raise SupersededError("superseded")
            del self._waiting[asker]
            self._busy = True
        try:
            return work()
        finally:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
