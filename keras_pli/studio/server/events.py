"""Events of a session on their way to open pages, as server-sent events.

An event is a line of JSON. Its buffers travel with it in base64 where they are small, which saves the page a
request: `"attached": {"base64": [...]}`. Larger ones would be a third longer so, and the page would decode
megabytes of text between two frames. They are held here, and the event names them by a number,
`"attached": {"number": 17}`, under which a page fetches the bytes. Whoever comes too late for them has missed
a step of an animation and nothing else: what counts is in the session, where `hello` finds it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

Buffers = Sequence[bytes]

INLINE_BYTES = 2**16
HELD_BYTES = 2**27
MOST_WAITING = 256
MOST_WAITING_LETTERS = 2**24
HEARTBEAT_SECONDS = 15.0
RETRY_MILLISECONDS = 1000


class EventStreams:
    """The open pages, each with its own queue.

    Args:
        subscribe: Lets a function be called with the content and buffers of each event, in any thread, and
            returns what ends that.
    """

    def __init__(
        self, subscribe: Callable[[Callable[[dict[str, Any], Buffers], None]], Any]
    ) -> None:
        self._lock = threading.Lock()
        self._streams: set[EventStream] = set()
        self._held: dict[int, _Held] = {}
        self._next = 0
        self._closed = False
        self._unsubscribe = subscribe(self._publish)

    def __len__(self) -> int:
        """How many pages listen."""
        return len(self._streams)

    def open(self) -> EventStream:
        """Returns the stream of a new page; called in the event loop that it will be read in."""
        stream = EventStream(asyncio.get_running_loop())
        with self._lock:
            if self._closed:
                stream.end()
            self._streams.add(stream)
        return stream

    def leave(self, stream: EventStream) -> None:
        """Ends the stream of a page that is gone."""
        with self._lock:
            self._streams.discard(stream)
            if not self._streams:
                self._held.clear()
        stream.end()

    def take(self, number: int) -> list[bytes] | None:
        """Returns the buffers of an event, once for each page that was told of it; None if they are gone."""
        with self._lock:
            held = self._held.get(number)
            if held is None:
                return None
            held.awaited -= 1
            if held.awaited <= 0:
                del self._held[number]
            return held.buffers

    def close(self) -> None:
        """Ends all streams, and takes no more events."""
        self._unsubscribe()
        with self._lock:
            self._closed = True
            streams = list(self._streams)
            self._held.clear()
        for stream in streams:
            stream.end()

    def _publish(self, content: dict[str, Any], buffers: Buffers) -> None:
        with self._lock:  # so that all pages are told in one order
            if self._streams and not self._closed:
                text = self._text(content, [bytes(buffer) for buffer in buffers])
                for stream in self._streams:
                    stream.put(text)

    def _text(self, content: dict[str, Any], buffers: list[bytes]) -> str:
        if buffers:
            small = sum(map(len, buffers)) <= INLINE_BYTES
            attached = {"base64": _base64(buffers)} if small else {"number": self._hold(buffers)}
            content = {**content, "attached": attached}
        return f"data: {json.dumps(content, separators=(',', ':'))}\n\n"

    def _hold(self, buffers: list[bytes]) -> int:
        self._next += 1
        self._held[self._next] = _Held(buffers, awaited=len(self._streams))
        while sum(held.size for held in self._held.values()) > HELD_BYTES and len(self._held) > 1:
            del self._held[next(iter(self._held))]
        return self._next


class EventStream:
    """Events that wait for one page.

    A page that takes none for a while keeps no other one waiting. When too many wait for it, its stream ends;
    the browser opens another, and the page asks for everything anew.

    Args:
        loop: The event loop that it is read in.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[str] = deque()
        self._letters = 0
        self._ended = False
        self._changed = asyncio.Event()

    def put(self, text: str) -> None:
        """Adds an event; from any thread."""
        self._later(self._put, text)

    def end(self) -> None:
        """Ends the stream; from any thread."""
        self._later(self._end)

    async def chunks(self) -> AsyncIterator[str]:
        """Yields what the page receives, and a sign of life where there is nothing else."""
        yield f"retry: {RETRY_MILLISECONDS}\n\n"
        while not self._ended:
            if not self._waiting:
                self._changed.clear()
                try:
                    await asyncio.wait_for(self._changed.wait(), HEARTBEAT_SECONDS)
                except asyncio.TimeoutError:
                    yield ": still here\n\n"
                continue
            text = self._waiting.popleft()
            self._letters -= len(text)
            yield text

    def _put(self, text: str) -> None:
        self._waiting.append(text)
        self._letters += len(text)
        if len(self._waiting) > MOST_WAITING or self._letters > MOST_WAITING_LETTERS:
            self._end()
        self._changed.set()

    def _end(self) -> None:
        self._ended = True
        self._waiting.clear()
        self._letters = 0
        self._changed.set()

    def _later(self, function: Callable[..., None], *arguments: Any) -> None:
        with suppress(RuntimeError):  # the loop is closed, and the page gone with it
            self._loop.call_soon_threadsafe(function, *arguments)


@dataclass
class _Held:
    buffers: list[bytes]
    awaited: int

    @property
    def size(self) -> int:
        return sum(map(len, self.buffers))


def _base64(buffers: list[bytes]) -> list[str]:
    return [base64.b64encode(buffer).decode("ascii") for buffer in buffers]
