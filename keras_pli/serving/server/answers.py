"""The REST server's answers in JSON, errors among them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any

from anyio import move_on_after
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from .errors import ServingError

REFUSED_SECONDS = 10.0


def json_response(value: Any, status: int = 200) -> Response:
    """Returns an answer that people may read."""
    return Response(_text(value), status, media_type="application/json")


def error_response(error: ServingError) -> Response:
    """Returns the answer to a request that failed."""
    return json_response({"error": str(error)}, error.http_status)


async def answer_serving_error(request: Request, error: Exception) -> Response:
    """Answers a request that failed by a ServingError, as Starlette hands it over."""
    assert isinstance(error, ServingError)
    return error_response(error)


async def answer_unexpected(request: Request, error: Exception) -> Response:
    """Answers a request that failed by anything else.

    Starlette raises the error again after this answer, and uvicorn logs it.
    """
    return json_response({"error": f"{type(error).__name__}: {error}"}, 500)


class Refusal(Response):
    """Answers at once, and reads on what the client sends for some seconds, without keeping it.

    A client that sends before it listens would otherwise meet a broken connection, and no answer.

    Args:
        error: Why.
        rest: What is left of the body.
        status: The status, where the error's own does not say it.
        headers: More headers.
    """

    def __init__(
        self,
        error: Exception,
        rest: AsyncIterator[bytes],
        *,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        if status is None:
            assert isinstance(error, ServingError)
            status = error.http_status
        text = _text({"error": str(error)})
        super().__init__(text, status, headers, media_type="application/json")
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the answer."""
        start = {"status": self.status_code, "headers": self.raw_headers}
        await send({"type": "http.response.start", **start})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        with move_on_after(REFUSED_SECONDS), suppress(ClientDisconnect):
            async for _ in self._rest:
                pass
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _text(value: Any) -> str:
    return json.dumps(value, indent=1) + "\n"
