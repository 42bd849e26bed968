"""HTTP connections that do not wait for ever: for a request to arrive, or for an answer to be taken.

uvicorn itself only closes connections that are idle between two requests.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_SECONDS = 20.0
# The application answers a late body by an error, and only what does not listen to it is closed here.
CLOSE_AFTER_SECONDS = 1.0
LEAST_TAKEN = 2**16  # bytes of an answer, each time


class DeadlineProtocol(H11Protocol):
    """uvicorn's protocol, with a time for the header, for the body and for taking the answer.

    A client that sends a byte now and then would else keep a connection, and so would one that does not
    read. An answer may take as long as it needs, if some of it is taken in each `receive_seconds`.

    Args:
        receive_seconds: From the header's end to the body's; the header has this or 20 seconds.
        *args, **kwargs: uvicorn's.
    """

    def __init__(self, *args: Any, receive_seconds: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.access_log = False  # the application logs
        self._receive_seconds = receive_seconds
        self._awaited: str | None = None
        self._arrival: asyncio.TimerHandle | None = None
        self._taking: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Waits for a header from now on."""
        super().connection_made(transport)
        # So that whatever is not taken is known by `pause_writing`.
        transport.set_write_buffer_limits(high=0)
        self._watch_arrival()

    def data_received(self, data: bytes) -> None:
        """Waits for the rest, or no longer."""
        super().data_received(data)
        self._watch_arrival()

    def on_response_complete(self) -> None:
        """Waits for the next request that has begun to arrive."""
        super().on_response_complete()
        self._watch_arrival()

    def pause_writing(self) -> None:
        """Waits for the client to take what was written."""
        super().pause_writing()
        self._watch_taking()

    def resume_writing(self) -> None:
        """All that was written is taken."""
        super().resume_writing()
        _cancel(self._taking)

    def connection_lost(self, exc: Exception | None) -> None:
        """Waits for nothing any more."""
        _cancel(self._arrival)
        super().connection_lost(exc)
        _cancel(self._taking)

    def _watch_arrival(self) -> None:
        """Starts a new time where a new part of a request is awaited."""
        awaited = self._awaits()
        if awaited == self._awaited:
            return
        self._awaited = awaited
        _cancel(self._arrival)
        if awaited == "header":
            seconds = min(HEADER_SECONDS, self._receive_seconds)
            self._arrival = self.loop.call_later(seconds, self.transport.close)
        elif awaited == "body":
            seconds = self._receive_seconds + CLOSE_AFTER_SECONDS
            self._arrival = self.loop.call_later(seconds, self.transport.close)

    def _awaits(self) -> str | None:
        if self.transport.is_closing():
            return None
        if self.conn.their_state is h11.SEND_BODY:
            return "body"
        # While a connection is idle after an answer, uvicorn's own time runs.
        idle = self.timeout_keep_alive_task is not None
        return "header" if self.conn.their_state is h11.IDLE and not idle else None

    def _watch_taking(self) -> None:
        left = self.transport.get_write_buffer_size()
        self._taking = self.loop.call_later(self._receive_seconds, self._check_taking, left)

    def _check_taking(self, left: int) -> None:
        if self.transport.get_write_buffer_size() > left - LEAST_TAKEN:
            self.transport.abort()
        else:
            self._watch_taking()


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
