"""TensorFlow Serving's REST API, and a listing of what is served at `/`.

A signature that writes NaN or infinity is answered with the tokens `NaN` and `Infinity`, as TensorFlow
Serving does; a strict JSON parser refuses them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp
from tensorflow.core.framework import types_pb2

from . import bodies, json_tensors
from .answers import Refusal, answer_serving_error, answer_unexpected, json_response
from .errors import ServingError
from .gate import Gate
from .hosts import AllowedHosts
from .loading import LoadedModel
from .repository import ModelRepository
from .workers import Workers

ADDRESSES = (
    "GET /, GET /v1/models/MODEL[/versions/N][/metadata] and "
    "POST /v1/models/MODEL[/versions/N]:predict"
)
CLIENT_LEFT = 499
BYTES_A_LIST = 16


class _Name(Convertor[str]):
    """A part of an address up to the colon of a verb, as in `digits:predict`."""

    regex = "[^/:]+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("served", _Name())


def application(
    models: ModelRepository,
    workers: Workers,
    *,
    hosts: AllowedHosts,
    max_request_bytes: int,
    receive_seconds: float,
) -> ASGIApp:
    """Returns the ASGI application.

    Args:
        models: What is served.
        workers: Who reads from disk and computes.
        hosts: Which hosts are answered.
        max_request_bytes: The longest body that is read.
        receive_seconds: The longest time a body may take to arrive.
    """
    api = _Api(models, workers, max_request_bytes, receive_seconds)
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
    handlers = {
        ServingError: answer_serving_error,
        HTTPException: _http_error,
        Exception: answer_unexpected,
    }
    return Gate(Starlette(routes=routes, exception_handlers=handlers), hosts)


class _Api:
    def __init__(
        self,
        models: ModelRepository,
        workers: Workers,
        max_request_bytes: int,
        receive_seconds: float,
    ) -> None:
        self._models = models
        self._workers = workers
        self._max_request_bytes = max_request_bytes
        self._receive_seconds = receive_seconds

    async def listing(self, request: Request) -> Response:
        found = await self._run(self._models.models)
        summaries = [await self._summary(name, versions) for name, versions in found.items()]
        return json_response({"models": summaries})

    async def status(self, request: Request) -> Response:
        asked = _asked(request)
        with suppress(ServingError):  # the status says so
            await self._loaded(*asked)
        found = await self._run(self._models.states, *asked)
        entries = [
            {
                "version": str(status.version),
                "state": status.state,
                "status": {"error_code": status.error_code, "error_message": status.error_message},
            }
            for status in found
        ]
        return json_response({"model_version_status": entries})

    async def metadata(self, request: Request) -> Response:
        return json_response(_metadata(await self._loaded(*_asked(request))))

    async def predict(self, request: Request) -> Response:
        asked = _asked(request)
        stream = request.stream()
        try:
            is_gzip = bodies.is_gzip(request)
            body = await bodies.read(
                request, stream, max_bytes=self._max_request_bytes, seconds=self._receive_seconds
            )
        except bodies.UnknownEncodingError as error:
            return Refusal(error, stream, status=415, headers={"Accept-Encoding": "gzip"})
        except ServingError as error:
            return Refusal(error, stream)
        except ClientDisconnect:
            return Response(status_code=CLIENT_LEFT)  # for the log; nobody is there
        loaded = await self._loaded(*asked)
        answer, headers = await self._run(
            self._predict, loaded, body, is_gzip, bodies.takes_gzip(request)
        )
        return Response(answer, headers=headers, media_type="application/json")

    async def unimplemented(self, request: Request) -> Response:
        verb = request.path_params["verb"]
        raise ServingError(
            f"There is no {verb!r} here: predict is the one verb, and an explanation is a signature of "
            "its own, named in 'signature_name'.",
            "UNIMPLEMENTED",
        )

    async def labels(self, request: Request) -> Response:
        raise ServingError("There are no version labels here; ask by /versions/N.", "UNIMPLEMENTED")

    async def _run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.wrap_future(self._workers.submit(function, *arguments))

    async def _loaded(self, model: str, version: int | None) -> LoadedModel:
        """Waits, where the version must be loaded first, without keeping a worker."""
        ready = await self._run(self._models.ready, model, version)
        # Others may wait for the same, and must not be cancelled with this request.
        loaded: LoadedModel = await asyncio.shield(asyncio.wrap_future(ready))
        return loaded

    def _predict(
        self, loaded: LoadedModel, body: bytes, is_gzip: bool, takes_gzip: bool
    ) -> tuple[bytes, dict[str, str]]:
        if is_gzip:
            body = bodies.unpacked(body, max_bytes=self._max_request_bytes)
        most = max(json_tensors.MAX_LISTS, self._max_request_bytes // BYTES_A_LIST)
        request = json_tensors.parse(body, max_lists=most)
        signature = loaded.signature(json_tensors.signature_name(request))
        outputs = signature.run(json_tensors.read(request, signature))
        answer = json_tensors.write(outputs, rows=json_tensors.by_rows(request))
        headers = {"Vary": "Accept-Encoding"}
        if takes_gzip and len(answer) >= bodies.LEAST_PACKED:
            return bodies.packed(answer), {**headers, "Content-Encoding": "gzip"}
        return answer, headers

    async def _summary(self, name: str, versions: list[int]) -> dict[str, Any]:
        try:
            signatures = list((await self._loaded(name, None)).signatures)
        except ServingError as error:
            return {"name": name, "versions": versions, "error": str(error)}
        return {"name": name, "versions": versions, "signatures": signatures}


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


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    asked = f"{request.method} {request.url.path}"
    return json_response(
        {"error": f"{error.detail}: {asked}. There are {ADDRESSES}."}, error.status_code
    )
