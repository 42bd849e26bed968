"""An ASGI application that answers in a thread of its own."""

from __future__ import annotations

import socket
import threading
import time
from functools import partial

import uvicorn
from starlette.types import ASGIApp

from .protocol import DeadlineProtocol

START_SECONDS = 30.0


class HttpThread:
    """uvicorn in a daemon thread, from `start` to the end of a `join`.

    Args:
        app: The application, which logs by itself.
        name: What the thread is called.
        receive_seconds: The time for a body to arrive, and for some of an answer to be taken.
        grace_seconds: What requests under way have to end once it stops; then they are cancelled.
    """

    def __init__(
        self, app: ASGIApp, name: str, *, receive_seconds: float, grace_seconds: float
    ) -> None:
        config = uvicorn.Config(
            app,
            http=partial(DeadlineProtocol, receive_seconds=receive_seconds),
            ws="none",
            lifespan="off",
            log_config=None,  # uvicorn's own would close the handlers of all other loggers
            server_header=False,
            timeout_graceful_shutdown=grace_seconds,
        )
        self._server = uvicorn.Server(config)
        self._name = name
        self._thread: threading.Thread | None = None

    @property
    def started(self) -> bool:
        """Whether `start` was called."""
        return self._thread is not None

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return bool(self._server.should_exit)

    def start(self, listener: socket.socket) -> None:
        """Answers on a socket from now on.

        Raises:
            RuntimeError: If it does not start.
        """
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name=self._name, daemon=True
        )
        self._thread.start()
        deadline = time.monotonic() + START_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"The server did not start on {listener.getsockname()}.")
            time.sleep(0.01)

    def stop(self) -> None:
        """Takes no more requests, and returns at once; `join` waits for those under way."""
        self._server.should_exit = True

    def join(self, seconds: float | None = None) -> None:
        """Waits for the thread to end, if it was started."""
        if self._thread is not None:
            self._thread.join(seconds)
