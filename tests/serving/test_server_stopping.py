"""Stopping: who is under way gets some time, and then an answer; nothing waits for TensorFlow."""

import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from served_models import call, eventually, images, save_classifier

from keras_pli.serving.server import LocalServer, ServingError, loading
from keras_pli.serving.server.prediction import Signature
from keras_pli.serving.server.workers import Workers

pytest.importorskip("uvicorn")
STOPPING = {"error": "The server is stopping."}
BODY = {"instances": images(1).tolist()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    save_classifier(folder / "digits", 1, seed=1)
    return folder


@pytest.fixture
def held(monkeypatch):
    """Signatures run only when the event is set; the semaphore counts those that have begun."""
    begun, go = threading.Semaphore(0), threading.Event()
    run = Signature.run

    def slow(self, tensors):
        begun.release()
        assert go.wait(60)
        return run(self, tensors)

    monkeypatch.setattr(Signature, "run", slow)
    yield begun, go
    go.set()


@pytest.fixture
def pool():
    with ThreadPoolExecutor(8) as pool:
        yield pool


def predict(server):
    return call(f"{server.url}/v1/models/digits:predict", BODY)


def test_request_that_ends_in_time_is_answered(folder, held, pool):
    begun, go = held
    server = LocalServer(folder, grpc_port=None, grace_seconds=60).start()
    answer = pool.submit(predict, server)
    assert begun.acquire(timeout=60)
    stopped = pool.submit(server.stop)
    eventually(lambda: server._rest.stopping)
    go.set()
    stopped.result(60)
    status, found = answer.result(60)
    assert status == 200 and len(found["predictions"]) == 1
    assert not server.busy


def test_requests_that_run_on_are_answered_before_they_end(folder, held, pool):
    begun, go = held
    server = LocalServer(folder, grpc_port=None, grace_seconds=0.3).start()
    answers = [pool.submit(predict, server) for _ in range(2)]
    with socket.create_connection(("127.0.0.1", server.rest_port)) as half:
        half.sendall(
            b"POST /v1/models/digits:predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{"
        )
        for _ in answers:
            assert begun.acquire(timeout=60)
        server.stop()
        received = half.makefile("rb").read()
    assert [answer.result(60) for answer in answers] == [(503, STOPPING)] * 2
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ") and json.loads(body) == STOPPING
    assert server.busy
    go.set()
    eventually(lambda: not server.busy)


def test_grpc_calls_that_run_on_are_unavailable(folder, held, pool):
    grpc = pytest.importorskip("grpc")
    pytest.importorskip("tensorflow_serving")
    from test_grpc import Client

    begun, go = held
    server = LocalServer(folder, grace_seconds=0.3).start()
    client = Client(server)
    with client.channel:
        calls = [pool.submit(client.predict, "digits", image=images(1)) for _ in range(2)]
        for _ in calls:
            assert begun.acquire(timeout=60)
        server.stop()
        for running in calls:
            with pytest.raises(grpc.RpcError) as error:
                running.result(60)
            assert error.value.code() == grpc.StatusCode.UNAVAILABLE
            assert error.value.details() == STOPPING["error"]
    go.set()


def test_one_that_waits_for_a_model_is_answered(folder, monkeypatch, pool):
    begun, go = threading.Event(), threading.Event()
    monkeypatch.setattr(loading, "read", lambda *_: begun.set() or go.wait(60))
    server = LocalServer(folder, grpc_port=None, grace_seconds=0.1).start()
    answer = pool.submit(predict, server)
    assert begun.wait(60)
    server.stop()
    assert answer.result(60) == (503, STOPPING)
    assert server.busy
    go.set()


# The threads


def test_workers_run_as_many_as_they_may_and_keep_their_order():
    workers, go, done = Workers(2, "test"), threading.Event(), []
    waiting = [workers.submit(go.wait, 60) for _ in range(2)]
    later = [workers.submit(done.append, index) for index in range(20)]
    assert workers.busy and not done
    go.set()
    for future in waiting + later:
        future.result(60)
    assert sorted(done) == list(range(20))
    eventually(lambda: not workers.busy)


def test_errors_reach_the_one_who_waits_and_cancelled_work_is_left_out():
    workers, go, done = Workers(1, "test"), threading.Event(), []
    with pytest.raises(ZeroDivisionError):
        workers.submit(lambda: 1 / 0).result(60)
    workers.submit(go.wait, 60)
    left_out = workers.submit(done.append, 1)
    last = workers.submit(done.append, 2)
    assert left_out.cancel()
    go.set()
    last.result(60)
    assert done == [2]


def test_abandoned_work_ends_unseen():
    workers, go = Workers(1, "abandoned"), threading.Event()
    running, queued = workers.submit(go.wait, 60), workers.submit(len, "")
    eventually(running.running)
    workers.abandon()
    for future in (running, queued, workers.submit(len, "")):
        with pytest.raises(ServingError, match="stopping"):
            future.result(0)
    go.set()
    eventually(lambda: "abandoned" not in [thread.name for thread in threading.enumerate()])
    assert not workers.busy
