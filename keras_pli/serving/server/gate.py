"""What happens to every REST request before and after the application: hosts, a limit, the log, the end."""

from __future__ import annotations

import asyncio
import logging

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .answers import Refusal, error_response
from .errors import ServingError
from .hosts import AllowedHosts

MOST_REQUESTS = 256

logger = logging.getLogger(__name__)


class Gate:
    """An ASGI application around another one.

    It refuses requests for another host and more requests than can be held, logs each request once, and
    answers a request that is cancelled, as uvicorn does with those that run on when the server stops.

    Args:
        app: The application.
        hosts: Which hosts are answered.
        log_query: Whether the log tells the part of an address after `?`, which may hold a secret.
    """

    def __init__(self, app: ASGIApp, hosts: AllowedHosts, *, log_query: bool = True) -> None:
        self._app = app
        self._hosts = hosts
        self._log_query = log_query
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        started = False

        async def logged(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                _log(scope, message["status"], query=self._log_query)
            await send(message)

        self._running += 1
        try:
            await self._answer(scope, receive, logged)
        except asyncio.CancelledError:
            if started:
                raise
            stopping = ServingError("The server is stopping.", "UNAVAILABLE")
            await error_response(stopping)(scope, receive, logged)
        finally:
            self._running -= 1

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        headers = request.headers
        try:
            self._hosts.check(host=headers.get("host"), origin=headers.get("origin"))
            if self._running > MOST_REQUESTS:
                raise ServingError(
                    f"{MOST_REQUESTS} requests are under way. Try again later.", "UNAVAILABLE"
                )
        except ServingError as error:
            await Refusal(error, request.stream())(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _log(scope: Scope, status: int, *, query: bool) -> None:
    host, port = scope.get("client") or ("-", 0)
    target = scope.get("raw_path", scope["path"].encode())
    if scope["query_string"] and query:
        target += b"?" + scope["query_string"]
    logger.info(
        '%s:%d - "%s %s HTTP/%s" %d',
        host,
        port,
        scope["method"],
        target.decode("ascii", "backslashreplace"),
        scope["http_version"],
        status,
    )
