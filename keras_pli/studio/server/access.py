"""Who is answered: whoever has the token; and what a browser may do with the answers."""

from __future__ import annotations

import secrets
import threading
import time
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...serving.server.answers import Refusal
from ...serving.server.errors import ServingError

TOKEN_BYTES = 32
TOKEN_HEADER = "X-Studio-Token"
TOKEN_FIELD = "token"
ONCE_FIELD = "once"
ONCE_SECONDS = 60.0
# A page's styles lie in its head where it is a report of an experiment, which opens as a document of its own
# and inherits this. Scripts come from this server only, and none stands in the page itself.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "frame-src blob:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # the address holds the token
    "Cache-Control": "no-store",
}
REFUSED = (
    "The token of this studio is missing or wrong. Open the whole address that was printed where the studio "
    "was started; it ends with `?token=…`."
)


def new_token() -> str:
    """Returns a token that nobody can guess, in letters that an address can hold.

    Example:
        >>> len(new_token()) >= 43
        True
    """
    return secrets.token_urlsafe(TOKEN_BYTES)


def has_token(scope: Scope, token: str) -> bool:
    """Whether a request holds the token, in its header or in its address.

    It takes as long for a wrong token that begins right as for any other.

    Example:
        >>> has_token({"headers": [], "query_string": b"token=abc"}, "abc")
        True
    """
    given = Headers(scope=scope).get(TOKEN_HEADER)
    if given is None:
        fields = parse_qs(scope["query_string"].decode("latin-1"))
        given = fields.get(TOKEN_FIELD, [""])[0]
    return secrets.compare_digest(given.encode(), token.encode())


class OneTimeCodes:
    """Codes that open the page once, for a browser that is started with its address.

    Every user of the machine can read what a process was started with, for as long as it runs.

    Example:
        >>> codes = OneTimeCodes()
        >>> code = codes.new()
        >>> codes.redeem(code), codes.redeem(code)
        (True, False)
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ends: dict[str, float] = {}

    def new(self) -> str:
        """Returns a code that is good for a minute."""
        code = new_token()
        with self._lock:
            self._ends[code] = time.monotonic() + ONCE_SECONDS
        return code

    def redeem(self, code: str) -> bool:
        """Whether a code was given out, was not used, and is not too old; from now on it is used."""
        with self._lock:
            end = self._ends.pop(code, None)
        return end is not None and time.monotonic() <= end


class TokenRequired:
    """An ASGI application around another one, which answers those who have the token.

    Args:
        app: The application.
        token: The token.
        open_to_all: Addresses that need none, as they hold nothing of a session.
    """

    def __init__(self, app: ASGIApp, token: str, open_to_all: frozenset[str]) -> None:
        self._app = app
        self._token = token
        self._open_to_all = open_to_all

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["path"] in self._open_to_all or has_token(scope, self._token):
            await self._app(scope, receive, send)
        else:
            refusal = Refusal(
                ServingError(REFUSED, "PERMISSION_DENIED"), Request(scope, receive).stream()
            )
            await refusal(scope, receive, send)


class SafeAnswers:
    """An ASGI application around another one, whose answers a browser takes for no more than they are.

    Nothing foreign is loaded by the page, no other page may frame or read it, and addresses go nowhere.

    Args:
        app: The application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, with_headers)
