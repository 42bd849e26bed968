"""Ports and signals: what a server listens on, and what it stops at."""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


def listen(host: str, port: int) -> socket.socket:
    """Returns a socket that listens; port 0 takes a free one.

    Raises:
        OSError: If the port is taken, or the host is not this machine's; with host, port and reason.
    """
    try:
        # asyncio sends small packets at once only where the protocol is named, which create_server
        # leaves open; without, every answer on a kept connection waits 40 ms.
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            if os.name == "posix":  # elsewhere it would share a taken port
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen()
        except BaseException:
            listener.close()
            raise
    except OSError as error:
        raise OSError(cannot_listen(host, port, str(error))) from error
    return listener


def cannot_listen(host: str, port: int | None, reason: str) -> str:
    """Says that a port cannot be had."""
    return f"Cannot listen on port {port} of {host!r}: {reason}. Port 0 takes a free one."


def check_port(port: int, name: str) -> int:
    """Returns a port; raises ValueError if there is none of this number.

    Example:
        >>> check_port(70_000, "port")
        Traceback (most recent call last):
        ...
        ValueError: `port` must lie in 0 to 65535. Received: 70000.
    """
    if not 0 <= port <= 65535:
        raise ValueError(f"`{name}` must lie in 0 to 65535. Received: {port}.")
    return port


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a host.

    Example:
        >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0")]
        [True, True, True, False]
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def bracketed(host: str) -> str:
    """Returns a host as it stands in an address.

    Example:
        >>> bracketed("::1"), bracketed("localhost")
        ('[::1]', 'localhost')
    """
    return f"[{host}]" if ":" in host else host


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """Sets an event at Ctrl-C and at SIGTERM, for the length of a block, in place of what they do else."""
    stopped = threading.Event()

    def stop(signum: int, frame: FrameType | None) -> None:
        stopped.set()

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def wait_for(stopped: threading.Event) -> None:
    """Waits until an event of `stop_signals` is set."""
    while not stopped.wait(0.5):  # a wait without end hears no Ctrl-C on Windows
        pass
