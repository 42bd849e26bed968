"""TensorFlow Serving's REST API, and a listing of what is served at `/`.

A signature that writes NaN or infinity is answered with the tokens `NaN` and `Infinity`, as TensorFlow
Serving does; a strict JSON parser refuses them.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any

from anyio import move_on_after
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from tensorflow.core.framework import types_pb2

from . import json_tensors
from .errors import ServingError
from .models import LoadedModel, ModelRepository

ADDRESSES = (
    "GET /, GET /v1/models/MODEL[/versions/N][/metadata] and "
    "POST /v1/models/MODEL[/versions/N]:predict"
)
REFUSED_SECONDS = 10.0


class _Name(Convertor[str]):
    """A part of an address up to the colon of a verb, as in `digits:predict`."""

    regex = "[^/:]+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("served", _Name())


def application(models: ModelRepository, *, max_request_bytes: int) -> Starlette:
    """Returns the ASGI application.

    Args:
        models: What is served.
        max_request_bytes: The longest body that is read.
    """
    api = _Api(models, max_request_bytes)
    routes = [Route("/", api.listing), Route("/v1/models", api.listing)]
    model = "/v1/models/{model:served}"
    for address in (model, model + "/versions/{version:served}"):
        routes += [
            Route(address, api.status),
            Route(address + "/metadata", api.metadata),
            Route(address + ":predict", api.predict, methods=["POST"]),
            Route(address + ":{verb:served}", api.unimplemented, methods=["POST"]),
        ]
    routes.append(Route(model + "/labels/{rest:path}", api.labels, methods=["GET", "POST"]))
    return Starlette(
        routes=routes,
        exception_handlers={
            ServingError: _serving_error,
            HTTPException: _http_error,
            Exception: _unexpected,
        },
    )


class _Api:
    def __init__(self, models: ModelRepository, max_request_bytes: int) -> None:
        self._models = models
        self._max_request_bytes = max_request_bytes

    async def listing(self, request: Request) -> Response:
        return _json(await run_in_threadpool(self._listing))

    async def status(self, request: Request) -> Response:
        found = await run_in_threadpool(self._models.status, *_asked(request))
        entries = [
            {
                "version": str(status.version),
                "state": status.state,
                "status": {"error_code": status.error_code, "error_message": status.error_message},
            }
            for status in found
        ]
        return _json({"model_version_status": entries})

    async def metadata(self, request: Request) -> Response:
        loaded = await run_in_threadpool(self._models.load, *_asked(request))
        return _json(_metadata(loaded))

    async def predict(self, request: Request) -> Response:
        model, version = _asked(request)
        stream = request.stream()
        try:
            body = await self._body(request, stream)
        except ServingError as error:
            return _Refusal(error, stream)
        answer = await run_in_threadpool(self._predict, model, version, body)
        return Response(answer, media_type="application/json")

    async def unimplemented(self, request: Request) -> Response:
        verb = request.path_params["verb"]
        raise ServingError(
            f"There is no {verb!r} here: predict is the one verb, and an explanation is a signature of "
            "its own, named in 'signature_name'.",
            "UNIMPLEMENTED",
        )

    async def labels(self, request: Request) -> Response:
        raise ServingError("There are no version labels here; ask by /versions/N.", "UNIMPLEMENTED")

    def _predict(self, model: str, version: int | None, body: bytes) -> bytes:
        loaded = self._models.load(model, version)
        request = json_tensors.parse(body)
        signature = loaded.signature(json_tensors.signature_name(request))
        outputs = signature.run(json_tensors.read(request, signature))
        return json_tensors.write(outputs, rows=json_tensors.by_rows(request))

    def _listing(self) -> dict[str, Any]:
        return {
            "models": [self._summary(name, found) for name, found in self._models.models().items()]
        }

    def _summary(self, name: str, versions: list[int]) -> dict[str, Any]:
        try:
            signatures = list(self._models.load(name).signatures)
        except ServingError as error:
            return {"name": name, "versions": versions, "error": str(error)}
        return {"name": name, "versions": versions, "signatures": signatures}

    async def _body(self, request: Request, stream: AsyncIterator[bytes]) -> bytes:
        announced = request.headers.get("content-length", "0")
        if announced.isdecimal():
            self._check_length(int(announced))
        body = bytearray()
        async for chunk in stream:
            body += chunk
            self._check_length(len(body))
        return bytes(body)

    def _check_length(self, length: int) -> None:
        if length > self._max_request_bytes:
            raise ServingError(
                f"The body is larger than the limit of {self._max_request_bytes} bytes.",
                "RESOURCE_EXHAUSTED",
            )


class _Refusal(Response):
    """Answers at once, and reads on what the client sends for some seconds, without keeping it.

    A client that sends before it listens would otherwise meet a broken connection, and no answer.
    """

    def __init__(self, error: ServingError, stream: AsyncIterator[bytes]) -> None:
        super().__init__(_text(_error(error)), error.http_status, media_type="application/json")
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"status": self.status_code, "headers": self.raw_headers}
        await send({"type": "http.response.start", **start})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        with move_on_after(REFUSED_SECONDS), suppress(ClientDisconnect):
            async for _ in self._stream:
                pass
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _asked(request: Request) -> tuple[str, int | None]:
    version = request.path_params.get("version")
    if version is not None and not re.fullmatch("[0-9]{1,19}", version):
        raise ServingError(f"A version is a whole number. Received: {version!r}.")
    return request.path_params["model"], None if version is None else int(version)


def _metadata(loaded: LoadedModel) -> dict[str, Any]:
    signatures = {
        name: {
            "inputs": _tensor_infos(definition.inputs),
            "outputs": _tensor_infos(definition.outputs),
            "method_name": definition.method_name,
            "defaults": {},
        }
        for name, definition in sorted(loaded.definitions.items())
    }
    return {
        "model_spec": {"name": loaded.name, "signature_name": "", "version": str(loaded.version)},
        "metadata": {"signature_def": {"signature_def": signatures}},
    }


def _tensor_infos(infos: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: {
            "dtype": types_pb2.DataType.Name(info.dtype),
            "tensor_shape": {
                "dim": [{"size": str(dim.size), "name": dim.name} for dim in info.tensor_shape.dim],
                "unknown_rank": info.tensor_shape.unknown_rank,
            },
            "name": info.name,
        }
        for name, info in sorted(infos.items())
    }


def _text(value: Any) -> str:
    return json.dumps(value, indent=1) + "\n"


def _json(value: Any, *, status: int = 200) -> Response:
    return Response(_text(value), status, media_type="application/json")


def _error(reason: object) -> dict[str, str]:
    return {"error": str(reason)}


async def _serving_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServingError)
    return _json(_error(error), status=error.http_status)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    asked = f"{request.method} {request.url.path}"
    return _json(
        _error(f"{error.detail}: {asked}. There are {ADDRESSES}."), status=error.status_code
    )


async def _unexpected(request: Request, error: Exception) -> Response:
    # Starlette raises the error again after this answer, and uvicorn logs it.
    return _json(_error(f"{type(error).__name__}: {error}"), status=500)
