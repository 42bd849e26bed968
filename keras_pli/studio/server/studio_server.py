"""The studio for a browser: a server on this machine, and what is printed when it starts and stops."""

from __future__ import annotations

import ipaddress
import os
import sys
import threading
import time
import warnings
import webbrowser
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from ...checks import checked_number
from ...optional import imported
from ...serving.server.hosts import AllowedHosts
from ...serving.server.listening import (
    bracketed,
    check_port,
    is_loopback,
    listen,
    stop_signals,
    wait_for,
)
from ...serving.server.logs import RequestLog
from ...serving.server.workers import Workers
from ..conversation import Conversation
from ..session.session import StudioSession

MAX_REQUEST_BYTES = 32 * 2**20  # a million indices as JSON are 7
RECEIVE_SECONDS = 60.0
GRACE_SECONDS = 2.0
THREADS = 16
NEEDS = "The studio in a browser"


class StudioServer:
    """Shows a session to browsers on this machine.

    Whoever opens `url` may do with the session what the page offers: it holds a token that nobody can guess,
    and without it nothing but the empty page is answered. Requests that a browser sends for a page of another
    origin are refused (see `allowed_hosts`). Nothing that a page sends is evaluated, and no path of the
    disk is taken from it.

    Args:
        session: The session. Stopping the server leaves it open.
        host: The address to listen on. On another than this machine's own (127.0.0.1, ::1), whoever reaches
            it could listen to what is sent, the token included, and a warning says so.
        port: The port; 0 takes a free one.
        allowed_hosts: Names and addresses that the headers Host and Origin may hold beside `host`,
            `localhost`, `127.0.0.1` and `::1`, where a proxy passes requests on; `"*"` allows all.
        max_request_bytes: The largest message that is read.
        receive_seconds: The time for a message to arrive, and for a page to take some of an answer.
        grace_seconds: What requests under way have to end when the server stops; they are then told so.
        verbose: Whether every request is logged to standard error, without the token.

    Raises:
        ImportError: If starlette or uvicorn is not installed.
        ValueError: If an argument is out of range.

    Example:
        >>> with StudioServer(session) as server:  # doctest: +SKIP
        ...     webbrowser.open(server.one_time_url())
        ...     input("Enter ends the studio. ")
    """

    def __init__(
        self,
        session: StudioSession,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        allowed_hosts: Sequence[str] = (),
        max_request_bytes: int = MAX_REQUEST_BYTES,
        receive_seconds: float = RECEIVE_SECONDS,
        grace_seconds: float = GRACE_SECONDS,
        verbose: bool = False,
    ) -> None:
        checked_number(max_request_bytes, "max_request_bytes", least=1, whole=True)
        checked_number(receive_seconds, "receive_seconds", least=0.001)
        self._grace_seconds = checked_number(grace_seconds, "grace_seconds", least=0)
        self.host = host
        self.port = check_port(checked_number(port, "port", whole=True), "port")
        check_libraries()
        from ...serving.server.http_thread import HttpThread
        from .access import OneTimeCodes, new_token
        from .application import application
        from .events import EventStreams

        conversation = Conversation(session)
        self._token = new_token()
        self._codes = OneTimeCodes()
        self._workers = Workers(THREADS, "keras-pli-studio-worker")
        self._streams = EventStreams(conversation.subscribe)
        app = application(
            conversation,
            self._workers,
            self._streams,
            token=self._token,
            codes=self._codes,
            hosts=AllowedHosts(host, allowed_hosts),
            max_request_bytes=max_request_bytes,
            receive_seconds=receive_seconds,
        )
        self._http = HttpThread(
            app,
            "keras-pli-studio",
            receive_seconds=receive_seconds,
            grace_seconds=self._grace_seconds,
        )
        self._log = RequestLog() if verbose else None

    @property
    def url(self) -> str:
        """The address of the page, with the token; whoever has it has the session."""
        return self._address(token=self._token)

    def one_time_url(self) -> str:
        """Returns an address that leads to the page once and within a minute, to start a browser with."""
        return self._address(once=self._codes.new())

    @property
    def busy(self) -> bool:
        """Whether a request is under way, also after `stop` gave it up."""
        return self._workers.busy

    def start(self) -> StudioServer:
        """Listens, and returns the server itself; the port is then known.

        Raises:
            OSError: If the port is taken or the host is not this machine's.
            RuntimeError: If the server was started before.
        """
        if self._http.started:
            raise RuntimeError("A server starts once. Make another one of the same session.")
        if not is_loopback(self.host):
            warnings.warn(
                f"The studio listens on {self.host!r}: what it sends and receives is not encrypted, and who "
                "listens on the way learns the token and with it can change the session.",
                stacklevel=2,
            )
        listener = listen(self.host, self.port)
        self.port = listener.getsockname()[1]
        if self._log is not None:
            self._log.open()
        try:
            self._http.start(listener)
        except RuntimeError:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Ends the pages' streams, lets requests end for `grace_seconds`, and closes the port.

        Those that run on are told that the server stops. A second time, it does nothing.
        """
        deadline = time.monotonic() + self._grace_seconds
        self._streams.close()
        self._http.stop()
        self._http.join(max(0.0, deadline - time.monotonic()))
        self._workers.abandon()
        self._http.join()
        if self._log is not None:
            self._log.close()

    def _address(self, **query: str) -> str:
        host = "127.0.0.1" if _is_any(self.host) else self.host
        return f"http://{bracketed(host)}:{self.port}/?{urlencode(query)}"

    def __enter__(self) -> StudioServer:
        return self.start()

    def __exit__(self, *_: Any) -> None:
        self.stop()


def check_libraries() -> None:
    """Raises an `ImportError` that says what to install, if a library of the server is missing.

    Example:
        >>> check_libraries()
    """
    for library in ("starlette", "uvicorn"):
        imported(library, NEEDS, extra="studio")


def check_listening(host: str, port: int) -> None:
    """Raises what `StudioServer.start` would raise of an address that cannot be listened on.

    Asked before a map is trained, which may take minutes.

    Raises:
        OSError: If the port is taken or the host is not this machine's.
        ValueError: If there is no such port.

    Example:
        >>> check_listening("127.0.0.1", 0)
    """
    listen(host, check_port(port, "port")).close()


def serve(
    session: StudioSession,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    allowed_hosts: Sequence[str] = (),
    open_browser: bool = True,
) -> bool:
    """Shows a session to a browser until Ctrl-C or SIGTERM, and closes it then.

    A job under way is stopped; what it has done is kept as far as it can be resumed. A second Ctrl-C does not
    wait for it.

    Args:
        session: The session.
        host: The address to listen on; see `StudioServer`.
        port: The port; 0 takes a free one.
        allowed_hosts: Names to answer to besides; see `StudioServer`.
        open_browser: Whether to open the page, where there is a screen.

    Returns:
        True if all work has ended; False if a request was given up and runs on in a thread, which may hold
        up the end of the interpreter.

    Raises:
        ImportError: If starlette or uvicorn is not installed.
        OSError: If the port is taken.
        ValueError: If an argument is out of range.
    """
    try:
        server = StudioServer(session, host=host, port=port, allowed_hosts=allowed_hosts)
        with stop_signals() as stopped, server:
            _say(f"The studio: {server.url}")
            _say(f"All of it is kept in {session.folder.path}. Ctrl-C ends it.")
            if open_browser and _has_screen():
                _open(server.one_time_url())
            wait_for(stopped)
            job = session.jobs.current
            running = job is not None and job.runs
            _say(f"Stopping{', as soon as the job has ended its batch' if running else ''}.")
    finally:
        session.close()
    return not server.busy


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _has_screen() -> bool:
    """Whether a browser would open in a window, and not in the terminal."""
    if sys.platform in ("darwin", "win32") or os.environ.get("BROWSER"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"))


def _open(url: str) -> None:
    """Opens a browser, which may take its time."""
    threading.Thread(target=webbrowser.open, args=(url,), name="browser", daemon=True).start()


def _is_any(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return not host
