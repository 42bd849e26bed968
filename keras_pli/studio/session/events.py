"""News of a session for whoever looks at it: any number of pages, in any thread."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

Buffers: TypeAlias = Sequence[bytes]
Subscriber: TypeAlias = Callable[[dict[str, Any], Buffers], None]

_log = logging.getLogger(__name__)


class Events:
    """Passes what happens on to all subscribers, in the thread in which it happens.

    Example:
        >>> events = Events()
        >>> unsubscribe = events.subscribe(lambda content, buffers: print(content))
        >>> events.publish("plan", {"revision": 3})
        {'event': 'plan', 'revision': 3}
        >>> unsubscribe()
        >>> events.publish("plan", {"revision": 4})
    """

    def __init__(self) -> None:
        self._subscribers: dict[int, Subscriber] = {}
        self._lock = threading.Lock()
        self._next = 0

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Lets a function be called with every event, and returns what ends that."""
        with self._lock:
            number = self._next
            self._next += 1
            self._subscribers[number] = subscriber

        def unsubscribe() -> None:
            with self._lock:
                self._subscribers.pop(number, None)

        return unsubscribe

    def publish(self, name: str, content: dict[str, Any], buffers: Buffers = ()) -> None:
        """Tells all subscribers; one that fails is logged and keeps no other from hearing."""
        with self._lock:
            subscribers = list(self._subscribers.values())
        for subscriber in subscribers:
            try:
                subscriber({"event": name, **content}, buffers)
            except Exception:
                _log.exception("A subscriber failed on the event %r.", name)
