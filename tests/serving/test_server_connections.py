"""Clients that are slow: to send a header or a body, or to take an answer."""

import json
import socket
import threading
import time
from functools import partial

import pytest
from served_models import call, images, save_classifier

from keras_pli.serving.server import LocalServer
from keras_pli.serving.server.prediction import Signature

uvicorn = pytest.importorskip("uvicorn")
from keras_pli.serving.server import gate, protocol  # noqa: E402

PREDICT = (
    b"POST /v1/models/digits:predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n\r\n"
)
STATUS = b"GET /v1/models/digits HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    save_classifier(folder / "digits", 1, seed=1)
    with LocalServer(folder, grpc_port=None, receive_seconds=0.4) as server:
        yield server


def connected(server):
    return socket.create_connection(("127.0.0.1", server.rest_port), timeout=0.05)


def until_closed(connection, *, drip):
    """Sends a byte now and then until the server closes; returns what came."""
    received = b""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            connection.sendall(drip)
            chunk = connection.recv(10_000)
        except TimeoutError:
            continue
        except OSError:
            return received
        if not chunk:
            return received
        received += chunk
    raise AssertionError("the connection was never closed")


@pytest.mark.parametrize(
    ("first", "drip"),
    [
        (STATUS, b"x"),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in ((b"", b""), (b"G", b""), (STATUS, b""), (b"", b"x"), (b"G", b"x"))
        ),
    ],
)
def test_header_that_never_ends(server, first, drip):
    with connected(server) as connection:
        connection.sendall(first)
        assert until_closed(connection, drip=drip) == b""


@pytest.mark.slow
def test_header_that_never_ends_on_a_kept_connection(server):
    with connected(server) as connection:
        connection.settimeout(60)
        connection.sendall(STATUS + b"\r\n")
        received = b""
        while b"AVAILABLE" not in received:
            received += connection.recv(10_000)
        connection.settimeout(0.05)
        assert b"HTTP" not in until_closed(connection, drip=b"G")


@pytest.mark.parametrize("drip", [pytest.param(b"", marks=pytest.mark.slow), b" "])
def test_body_that_never_ends(server, drip):
    with connected(server) as connection:
        connection.sendall(PREDICT)
        head, _, body = until_closed(connection, drip=drip).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert json.loads(body) == {"error": "The body did not arrive within 0.4 seconds."}


@pytest.mark.slow
def test_body_that_never_ends_where_none_is_read(server):
    with connected(server) as connection:
        connection.sendall(STATUS + b"Content-Length: 9999\r\n\r\n")
        assert b"AVAILABLE" in until_closed(connection, drip=b" ")


def test_requests_that_come_in_one_piece_and_in_two_are_answered(server):
    whole = STATUS + b"\r\n"
    with connected(server) as connection:
        connection.settimeout(60)
        connection.sendall(whole * 2 + whole[:-1])
        connection.sendall(whole[-1:])
        received = b""
        while received.count(b"HTTP/1.1 200 OK") < 3:
            received += connection.recv(10_000)


def test_more_requests_than_can_be_held(server, monkeypatch):
    begun, go = threading.Event(), threading.Event()
    run = Signature.run
    slow = lambda *arguments: begun.set() or (go.wait(60) and run(*arguments))  # noqa: E731
    monkeypatch.setattr(Signature, "run", slow)
    monkeypatch.setattr(gate, "MOST_REQUESTS", 1)
    url, body = f"{server.url}/v1/models/digits:predict", {"instances": images(1).tolist()}
    first = threading.Thread(target=call, args=(url, body))
    first.start()
    assert begun.wait(60)
    status, answer = call(url, body)
    assert status == 503 and "1 requests are under way" in answer["error"]
    go.set()
    first.join(60)
    assert call(url, body)[0] == 200


@pytest.fixture
def large_answer():
    """The port of a server whose answers no socket's buffer holds, and an event: the client is gone."""
    left = threading.Event()

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            for _ in range(400):
                await send({"type": "http.response.body", "body": b"x" * 2**17, "more_body": True})
            await receive()
            await receive()
        finally:
            left.set()

    config = uvicorn.Config(
        app,
        http=partial(protocol.DeadlineProtocol, receive_seconds=0.3),
        lifespan="off",
        log_config=None,
        timeout_graceful_shutdown=1,
    )
    running = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=running.run, args=([listener],))
    thread.start()
    yield listener.getsockname()[1], left
    running.should_exit = True
    thread.join()


def test_answer_that_is_not_taken(large_answer):
    port, left = large_answer
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert left.wait(60)


class Transport:
    """As much of a transport as is asked whether the client takes what was written."""

    def __init__(self):
        self.left = 0
        self.aborted = False

    def get_write_buffer_size(self):
        return self.left

    def abort(self):
        self.aborted = True


@pytest.mark.parametrize(("taken", "aborted"), [(0, True), (2**16 - 1, True), (2**16, False)])
def test_answer_may_take_its_time_while_some_of_it_is_taken(monkeypatch, taken, aborted):
    waits = []
    watched = protocol.DeadlineProtocol.__new__(protocol.DeadlineProtocol)
    watched.transport, watched._receive_seconds = Transport(), 7
    watched.loop = type("Loop", (), {"call_later": lambda self, *call: waits.append(call)})()
    watched.transport.left = 10_000_000
    watched._watch_taking()
    seconds, check, left = waits.pop()
    watched.transport.left -= taken
    check(left)
    assert (seconds, watched.transport.aborted) == (7, aborted)
    assert len(waits) == (not aborted)
