"""A lane for one piece of work at a time, in which a newer one takes the place of those that wait."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


class SupersededError(RuntimeError):
    """Work was dropped before it began, since newer work came."""


class NewestFirst:
    """Does one piece of work at a time; of those that wait only the newest is done.

    What has begun is finished. It is for what a person asks by pointing at one thing after another: an answer
    about a thing that was left is worth nothing.

    Example:
        >>> NewestFirst().run(lambda: 6 * 7)
        42
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._newest = 0
        self._busy = False

    def run(self, work: Callable[[], Result]) -> Result:
        """Does a piece of work in this thread, once its turn comes, and returns its result.

        Raises:
            SupersededError: If newer work came while this waited.
        """
        with self._changed:
            self._newest += 1
            mine = self._newest
            self._changed.notify_all()
            while self._busy and mine == self._newest:
                self._changed.wait()
            if mine != self._newest:
                raise SupersededError("superseded")
            self._busy = True
        try:
            return work()
        finally:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
