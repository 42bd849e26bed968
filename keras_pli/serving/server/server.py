"""The local server: REST and gRPC over one folder of models, for trying out and for tests."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import wait
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

import tensorflow as tf

from ...checks import checked_number
from .errors import ServingError
from .hosts import AllowedHosts
from .listening import (
    bracketed,
    cannot_listen,
    check_port,
    is_loopback,
    listen,
    stop_signals,
    wait_for,
)
from .logs import RequestLog
from .repository import ModelRepository
from .workers import Workers

INSTALL = "pip install 'keras-pli[serving]'"
MAX_REQUEST_BYTES = 64 * 2**20
RECEIVE_SECONDS = 60.0
GRACE_SECONDS = 5.0
ANSWER_SECONDS = 0.5  # for the answers to requests that are given up
THREADS = 16


class LocalServer:
    """Serves a folder of models over TensorFlow Serving's REST and gRPC interfaces.

    For trying out and for tests: no encryption, no authentication, no batching over requests. The folder
    goes as it is to the real server. gRPC is left out where tensorflow-serving-api is not installed.

    Args:
        directory: A folder of models, or the folder of one model with its versions.
        host: The address to listen on.
        rest_port: The port of the REST interface; 0 takes a free one.
        grpc_port: The port of the gRPC interface; 0 takes a free one, None leaves gRPC out.
        max_request_bytes: The largest request that is read, unpacked where it is packed by gzip.
        allowed_hosts: Names and addresses that a request over REST may be sent to, beside `host`,
            `localhost`, `127.0.0.1` and `::1`; `"*"` allows all. A server on all addresses (`0.0.0.0`,
            `::`) also answers to every address and to the machine's name. Whatever else the headers Host
            and Origin say is refused, or a page in a browser could read the models by pointing a name of
            its own to this server.
        receive_seconds: The time for the body of a REST request to arrive, from the end of its header, and
            for a client to take some of the answer. The header has this or 20 seconds.
        grace_seconds: What requests under way have to end when the server stops. Those that run on are
            answered UNAVAILABLE (503).
        verbose: Whether every request is logged to standard error.

    Raises:
        ImportError: If starlette or uvicorn is not installed.
        ValueError: If the folder holds no model, or another argument is out of range.

    Example:
        >>> from urllib.request import urlopen
        >>> with LocalServer("saved_models") as server:
        ...     status = urlopen(f"{server.url}/v1/models/digits").status
        >>> status
        200
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        host: str = "127.0.0.1",
        rest_port: int = 0,
        grpc_port: int | None = 0,
        max_request_bytes: int = MAX_REQUEST_BYTES,
        allowed_hosts: Sequence[str] = (),
        receive_seconds: float = RECEIVE_SECONDS,
        grace_seconds: float = GRACE_SECONDS,
        verbose: bool = False,
    ) -> None:
        checked_number(max_request_bytes, "max_request_bytes", least=1, whole=True)
        checked_number(receive_seconds, "receive_seconds", least=0.001)
        self._grace_seconds = checked_number(grace_seconds, "grace_seconds", least=0)
        for name, port in (("rest_port", rest_port), ("grpc_port", grpc_port)):
            if port is not None:
                check_port(port, name)
        self.models = ModelRepository(directory)
        self.host = host
        self.rest_port = rest_port
        self.grpc_port = (
            grpc_port if find_spec("tensorflow_serving") and find_spec("grpc") else None
        )
        self._max_request_bytes = max_request_bytes
        self._workers = Workers(THREADS, "keras-pli-worker")
        self._rest = _rest_server(
            self.models,
            self._workers,
            hosts=AllowedHosts(host, allowed_hosts),
            max_request_bytes=max_request_bytes,
            receive_seconds=receive_seconds,
            grace_seconds=self._grace_seconds,
        )
        self._log = RequestLog() if verbose else None
        self._grpc: Any = None

    @property
    def busy(self) -> bool:
        """Whether a request or a model's loading is under way, also after `stop` gave it up."""
        return self._workers.busy or self.models.busy

    @property
    def url(self) -> str:
        """The address of the REST interface."""
        return f"http://{bracketed(self.host)}:{self.rest_port}"

    @property
    def grpc_target(self) -> str:
        """The address of the gRPC interface, as `grpc.insecure_channel` takes it."""
        return f"{bracketed(self.host)}:{self.grpc_port}"

    def start(self) -> LocalServer:
        """Listens on both ports and returns the server itself; the ports are then known.

        Raises:
            OSError: If a port is taken or the host is not this machine's.
            ImportError: If tensorflow-serving-api is of another version than TensorFlow.
            RuntimeError: If the server was started before.
        """
        if self._rest.started:
            raise RuntimeError("A server starts once. Make another one of the same folder.")
        if not is_loopback(self.host):
            warnings.warn(
                f"The local server listens on {self.host!r}: who reaches this machine can send it requests, "
                "without a password and unencrypted.",
                stacklevel=2,
            )
        listener = listen(self.host, self.rest_port)
        try:
            if self.grpc_port is not None:
                self._start_grpc()
        except BaseException:
            listener.close()
            raise
        self.rest_port = listener.getsockname()[1]
        if self._log is not None:
            self._log.open()
        try:
            self._rest.start(listener)
        except RuntimeError:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Lets the requests under way end, for `grace_seconds`, and closes the ports.

        Those that run on are answered UNAVAILABLE. What they compute cannot be interrupted: it goes on in
        threads that end with the process.
        """
        deadline = time.monotonic() + self._grace_seconds
        self._rest.stop()
        ended: list[Any] = []
        if self._grpc is not None:
            ended.append(self._grpc.stop(self._grace_seconds + ANSWER_SECONDS).wait)
        ended.append(self._rest.join)
        for end in ended:
            end(max(0.0, deadline - time.monotonic()))
        self._workers.abandon()
        self.models.close()
        for end in ended:
            end()
        if self._log is not None:
            self._log.close()

    def __enter__(self) -> LocalServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start_grpc(self) -> None:
        server = _grpc_module().grpc_server(
            self.models, self._workers, max_request_bytes=self._max_request_bytes
        )
        try:
            port = server.add_insecure_port(self.grpc_target)
        except RuntimeError:
            port = 0  # how grpcio before 1.58 told it
        if not port:
            raise OSError(cannot_listen(self.host, self.grpc_port, "it may be taken"))
        self.grpc_port = port
        server.start()
        self._grpc = server


def serve(
    directory: str | os.PathLike[str],
    *,
    host: str = "127.0.0.1",
    rest_port: int = 8501,
    grpc_port: int | None = 8500,
    max_request_bytes: int = MAX_REQUEST_BYTES,
    allowed_hosts: Sequence[str] = (),
    receive_seconds: float = RECEIVE_SECONDS,
    grace_seconds: float = GRACE_SECONDS,
    verbose: bool = True,
) -> bool:
    """Serves a folder until Ctrl-C or SIGTERM; the ports are TensorFlow Serving's.

    Args:
        directory: As in `LocalServer`, and so are the others.
        host: The address to listen on.
        rest_port: The port of the REST interface; 0 takes a free one.
        grpc_port: The port of the gRPC interface; 0 takes a free one, None leaves gRPC out.
        max_request_bytes: The largest request that is read, unpacked where it is packed by gzip.
        allowed_hosts: Names and addresses to answer to, beside `host` and this machine's; `"*"` allows all.
            A request over REST with another Host or Origin is refused.
        receive_seconds: The time for the body of a REST request to arrive.
        grace_seconds: What requests under way have to end; then they are answered UNAVAILABLE.
        verbose: Whether every request is logged to standard error.

    Returns:
        True if all work has ended; False if a request or a model's loading was given up and runs on in a
        thread, which may hold up the end of the interpreter.

    Raises:
        ImportError: If starlette or uvicorn is not installed.
        OSError: If a port is taken.
        ValueError: If the folder holds no model, or another argument is out of range.

    Example:
        >>> serve("saved_models")  # doctest: +SKIP
    """
    server = LocalServer(
        directory,
        host=host,
        rest_port=rest_port,
        grpc_port=grpc_port,
        max_request_bytes=max_request_bytes,
        allowed_hosts=allowed_hosts,
        receive_seconds=receive_seconds,
        grace_seconds=grace_seconds,
        verbose=verbose,
    )
    with stop_signals() as stopped, server:
        _load(server.models, stopped)
        _announce(server, without_grpc=grpc_port is not None and server.grpc_port is None)
        wait_for(stopped)
        print("Stopping.", file=sys.stderr, flush=True)
    return not server.busy


def _load(models: ModelRepository, stopped: threading.Event) -> None:
    """Loads what will be asked for, unless it is told to stop."""
    models.released = _keep_from_collector
    waiting = set()
    for name in models.models():
        with suppress(ServingError):  # its folder was removed just now
            waiting.add(models.ready(name))
    while waiting and not stopped.is_set():
        waiting = wait(waiting, 0.2).not_done
    _keep_from_collector()


def _keep_from_collector() -> None:
    """Drops what has no user any more, and keeps the rest from Python's garbage collector.

    To look through TensorFlow's objects would hold up every tenth request or so by a quarter of a second.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def _announce(server: LocalServer, *, without_grpc: bool) -> None:
    lines = [
        "A local server for trying out and for tests; in production, TensorFlow Serving serves this folder."
    ]
    for name, versions in server.models.models().items():
        lines.append(f"  {name}: versions {', '.join(map(str, versions))}")
    lines.append(f"REST: {server.url}/v1/models")
    if server.grpc_port is not None:
        lines.append(f"gRPC: {server.grpc_target}")
    elif without_grpc:
        lines.append(f"gRPC: left out, for tensorflow-serving-api is missing; {INSTALL}")
    print("\n".join(lines), file=sys.stderr, flush=True)


def _rest_server(
    models: ModelRepository, workers: Workers, *, grace_seconds: float, **options: Any
) -> Any:
    try:
        from .http_thread import HttpThread
        from .rest import application
    except ModuleNotFoundError as error:
        raise ImportError(
            f"The local server needs {error.name!r}: {INSTALL}", name=error.name
        ) from error
    return HttpThread(
        application(models, workers, **options),
        "keras-pli-rest",
        receive_seconds=options["receive_seconds"],
        grace_seconds=grace_seconds,
    )


def _grpc_module() -> Any:
    try:
        from . import grpc_service
    except (ImportError, AttributeError, TypeError) as error:  # as protocol buffers put it
        raise ImportError(
            f"tensorflow-serving-api cannot be imported: {error}. Its version must be that of TensorFlow, "
            f"{tf.__version__}. `grpc_port=None` leaves gRPC out."
        ) from error
    return grpc_service
