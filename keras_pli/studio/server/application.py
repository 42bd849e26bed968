"""The studio's pages and messages over HTTP; what they mean is the conversation's matter."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from html import escape
from typing import Any
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from ...serving.server import bodies
from ...serving.server.answers import (
    Refusal,
    answer_serving_error,
    answer_unexpected,
    json_response,
)
from ...serving.server.errors import ServingError
from ...serving.server.gate import Gate
from ...serving.server.hosts import AllowedHosts
from ...serving.server.workers import Workers
from .. import view_source
from ..conversation import Conversation
from ..conversation.framing import framed, framed_reply, unframed
from .access import (
    ONCE_FIELD,
    REFUSED,
    TOKEN_FIELD,
    OneTimeCodes,
    SafeAnswers,
    TokenRequired,
    has_token,
)
from .events import EventStreams

FRAME = "application/octet-stream"
CLIENT_LEFT = 499
# What needs no token: it is the same in every studio.
SHELL = {
    "/view.js": (view_source.module_source, "text/javascript"),
    "/page_host.js": (view_source.host_source, "text/javascript"),
    "/style.css": (view_source.style_source, "text/css"),
}
ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">'
    '<circle cx="5" cy="5.5" r="3.5" fill="#0072B2"/><circle cx="11.5" cy="6" r="2.5" fill="#E69F00"/>'
    '<circle cx="8.5" cy="12" r="3" fill="#009E73"/></svg>'
)
ICONS = ("/favicon.svg", "/favicon.ico")
LOCKED = (
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    '<meta name="color-scheme" content="light dark"><title>Studio</title></head>'
    '<body style="font: 16px/1.55 system-ui, sans-serif; max-width: 40rem; margin: 0 auto; padding: 2.5rem '
    '1.25rem"><h1 style="font-size: 1.35rem">This studio is locked</h1><p>'
    f"{escape(REFUSED).replace('`?token=…`', '<code>?token=…</code>')}</p></body></html>\n"
)


def application(
    conversation: Conversation,
    workers: Workers,
    streams: EventStreams,
    *,
    token: str,
    codes: OneTimeCodes,
    hosts: AllowedHosts,
    max_request_bytes: int,
    receive_seconds: float,
) -> ASGIApp:
    """Returns the ASGI application.

    Args:
        conversation: Who answers messages.
        workers: Threads in which it does; the event loop computes nothing.
        streams: The pages that hear of events.
        token: What whoever asks must have, but for the page's own files.
        codes: What leads to the address with the token, once.
        hosts: Which hosts are answered.
        max_request_bytes: The longest message that is read.
        receive_seconds: The longest time that one may take to arrive.
    """
    pages = _Pages(token, codes)
    messages = _Messages(conversation, workers, streams, max_request_bytes, receive_seconds)
    routes = [
        Route("/", pages.page),
        *(Route(path, pages.file) for path in SHELL),
        *(Route(path, pages.icon) for path in ICONS),
        Route("/messages", messages.answer, methods=["POST"]),
        Route("/events", messages.events),
        Route("/events/{number:int}", messages.attached),
    ]
    handlers = {
        ServingError: answer_serving_error,
        HTTPException: _http_error,
        Exception: answer_unexpected,
    }
    app = Starlette(routes=routes, exception_handlers=handlers)
    kept = TokenRequired(app, token, frozenset(("/", *SHELL, *ICONS)))
    return SafeAnswers(Gate(kept, hosts, log_query=False))


class _Pages:
    """The page and its files."""

    def __init__(self, token: str, codes: OneTimeCodes) -> None:
        self._token = token
        self._codes = codes

    async def page(self, request: Request) -> Response:
        if self._codes.redeem(request.query_params.get(ONCE_FIELD, "")):
            return RedirectResponse(f"?{urlencode({TOKEN_FIELD: self._token})}", 303)
        if has_token(request.scope, self._token):
            return HTMLResponse(view_source.page_source())
        return HTMLResponse(LOCKED, 403)

    async def file(self, request: Request) -> Response:
        source, kind = SHELL[request.url.path]
        return Response(source(), media_type=kind)

    async def icon(self, request: Request) -> Response:
        return Response(ICON, media_type="image/svg+xml")


class _Messages:
    """What a page sends and hears."""

    def __init__(
        self,
        conversation: Conversation,
        workers: Workers,
        streams: EventStreams,
        max_request_bytes: int,
        receive_seconds: float,
    ) -> None:
        self._conversation = conversation
        self._workers = workers
        self._streams = streams
        self._max_request_bytes = max_request_bytes
        self._receive_seconds = receive_seconds

    async def answer(self, request: Request) -> Response:
        stream = request.stream()
        try:
            body = await bodies.read(
                request, stream, max_bytes=self._max_request_bytes, seconds=self._receive_seconds
            )
        except ServingError as error:
            return Refusal(error, stream)
        except ClientDisconnect:
            return Response(status_code=CLIENT_LEFT)  # for the log; nobody is there
        return Response(await self._run(self._ask, body), media_type=FRAME)

    async def events(self, request: Request) -> Response:
        stream = self._streams.open()

        async def until_it_leaves() -> AsyncIterator[str]:
            try:
                async for chunk in stream.chunks():
                    yield chunk
            finally:
                self._streams.leave(stream)

        return StreamingResponse(
            until_it_leaves(),
            headers={"X-Accel-Buffering": "no"},  # else a proxy keeps events until there are many
            media_type="text/event-stream",
        )

    async def attached(self, request: Request) -> Response:
        number = request.path_params["number"]
        buffers = self._streams.take(number)
        if buffers is None:
            raise ServingError(
                f"What event {number} came with is not held any more; later events hold newer.",
                "NOT_FOUND",
            )
        return Response(await self._run(framed, {}, buffers), media_type=FRAME)

    async def _run(self, function: Callable[..., bytes], *arguments: Any) -> bytes:
        return await asyncio.wrap_future(self._workers.submit(function, *arguments))

    def _ask(self, body: bytes) -> bytes:
        try:
            content, buffers = unframed(body)
        except ValueError as error:
            raise ServingError(str(error)) from None
        reply = self._conversation.ask(content, buffers)
        return framed_reply(reply.content, reply.buffers)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    asked = f"{request.method} {request.url.path}"
    return json_response({"error": f"{error.detail}: {asked}."}, error.status_code)
