"""Threads that do a server's work, and that nothing has to wait for when the server stops."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any

from .errors import ServingError

IDLE_SECONDS = 10.0
_Job = tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]


class Workers:
    """A pool of daemon threads whose work can be given up.

    What runs inside TensorFlow cannot be interrupted. `ThreadPoolExecutor` would wait for it, and so would
    the end of the interpreter; here `abandon` answers who waits, and the threads end with the process.

    Args:
        threads: The most that run at a time; each starts when it is needed and ends when it is idle.
        name: What the threads are called.

    Example:
        >>> workers = Workers(2, "example")
        >>> workers.submit(max, 3, 5).result()
        5
        >>> workers.abandon()
        >>> workers.submit(max, 3, 5).result()
        Traceback (most recent call last):
        ...
        keras_pli.serving.server.errors.ServingError: The server is stopping.
    """

    def __init__(self, threads: int, name: str) -> None:
        self._most = threads
        self._name = name
        # Reentrant, since what is submitted when an object dies is submitted in any line of any thread.
        self._changed = threading.Condition(threading.RLock())
        self._waiting: deque[_Job] = deque()
        self._futures: set[Future[Any]] = set()
        self._threads = 0
        self._idle = 0
        self._abandoned = False

    @property
    def busy(self) -> bool:
        """Whether a thread runs something now."""
        with self._changed:
            return self._threads > self._idle

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Returns what `function(*arguments)` will have given; UNAVAILABLE once the work is given up."""
        future: Future[Any] = Future()
        with self._changed:
            if self._abandoned:
                future.set_exception(_stopping())
                return future
            self._futures.add(future)
            self._waiting.append((future, function, arguments))
            if self._idle < len(self._waiting) and self._threads < self._most:
                self._threads += 1
                threading.Thread(target=self._work, name=self._name, daemon=True).start()
            self._changed.notify()
        return future

    def abandon(self) -> None:
        """Ends every wait for a result, now and later, by a ServingError with the code UNAVAILABLE."""
        with self._changed:
            self._abandoned = True
            self._waiting.clear()
            unfinished, self._futures = self._futures, set()
            self._changed.notify_all()
        for future in unfinished:
            with suppress(InvalidStateError):  # it was finished or cancelled just now
                future.set_exception(_stopping())

    def _work(self) -> None:
        while job := self._next():
            _finish(*job)
            with self._changed:
                self._futures.discard(job[0])
            del job  # an idle thread must keep no model in memory

    def _next(self) -> _Job | None:
        """Waits for something to do; None after a while without."""
        with self._changed:
            self._idle += 1
            self._changed.wait_for(lambda: self._waiting or self._abandoned, IDLE_SECONDS)
            self._idle -= 1
            while self._waiting:
                job = self._waiting.popleft()
                if job[0].set_running_or_notify_cancel():
                    return job
                self._futures.discard(job[0])
            self._threads -= 1
            return None


def _finish(future: Future[Any], function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    try:
        result = function(*arguments)
    except BaseException as error:
        with suppress(InvalidStateError):  # it was abandoned
            future.set_exception(error)
    else:
        with suppress(InvalidStateError):
            future.set_result(result)
    finally:
        # The traceback holds this frame, and the future the traceback.
        del future, function, arguments


def _stopping() -> ServingError:
    return ServingError("The server is stopping.", "UNAVAILABLE")
