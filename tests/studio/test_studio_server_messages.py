"""Messages to the studio's server: their limits, damaged ones, and that none holds up another."""

import json
import struct
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from studio_hosts import Echo, Page, small_view  # noqa: F401

pytest.importorskip("uvicorn")
from keras_pli.studio.conversation.framing import framed
from keras_pli.studio.server import StudioServer, studio_server

LIMIT = 20_000


@pytest.fixture(scope="module", autouse=True)
def echoes():
    """The conversations that servers were made with."""
    made = []

    def make(session):
        made.append(Echo())
        return made[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(studio_server, "Conversation", make)
        yield made


@pytest.fixture(scope="module")
def server(echoes):
    with StudioServer(None, max_request_bytes=LIMIT) as server:
        yield server


def test_the_limit_is_told(server):
    page = Page(server)
    room = LIMIT - len(framed({"id": 1}, [b""])) - 8
    assert page.ask({"id": 1}, [bytes(room)])[1] == [bytes(room)]
    status, error = page.ask({"id": 1}, [bytes(LIMIT)])
    assert status == 413 and f"{LIMIT} bytes" in error
    # Also where all is sent before the answer is listened to.
    status, error = page.ask({"id": 1}, [bytes(8 << 20)])
    assert status == 413 and f"{LIMIT} bytes" in error


WHOLE = framed({"id": 1, "kind": "hello"}, [b"12345678", b"9"])
DAMAGED = {
    "nothing": b"",
    "a length alone": struct.pack("<I", 8),
    "cut in the JSON": WHOLE[:20],
    "cut in a buffer": WHOLE[:-12],
    "more than there is": WHOLE + b"more",
    "a length of gigabytes": struct.pack("<I", 2**32 - 1) + WHOLE[4:],
    "no JSON": struct.pack("<I", 4) + b"{,,}",
    "no UTF-8": struct.pack("<I", 4) + b'"\xff" ',
    "a list": struct.pack("<I", 4) + b"[1] ",
    "buffers of negative length": struct.pack("<I", 20) + b'{"buffers": [-8, 8]}' + bytes(8),
    "buffers that are no list": struct.pack("<I", 12) + b'{"buffers":3',
    "deep": struct.pack("<I", 12000) + b"[" * 12000,
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_messages_are_told_so_and_a_good_one_goes_on(server, name):
    page = Page(server)
    status, _, body = page.call("POST", "/messages", DAMAGED[name], X_Studio_Token=page.token)
    error = json.loads(body)["error"]
    assert status == 400 and error.startswith("The message ")
    assert page.ask({"id": 2})[0] == {"id": 2, "ok": True}


def test_nothing_is_computed_in_the_event_loop_and_nothing_waits(server, echoes):
    page, conversation = Page(server), echoes[0]
    with ThreadPoolExecutor(4) as pool:
        held = [pool.submit(page.ask, {"id": number, "kind": "hold"}) for number in range(4)]
        for _ in held:
            assert conversation.begun.acquire(timeout=60)
        assert page.ask({"id": 9})[0]["ok"]
        assert not any(answer.done() for answer in held)
        conversation.go.set()
        assert [answer.result(60)[0]["id"] for answer in held] == [0, 1, 2, 3]
    assert set(conversation.threads) == {"keras-pli-studio-worker"}


def test_what_fails_unforeseen_is_told(server):
    page = Page(server)
    assert page.ask({"kind": "break"}) == (500, "RuntimeError: out of order")
    assert page.ask({"id": 1})[0]["ok"]


def test_a_request_under_way_is_told_that_the_server_stops(echoes):
    server = StudioServer(None, grace_seconds=0.1).start()
    page, conversation = Page(server), echoes[-1]
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(page.ask, {"id": 1, "kind": "hold"})
        assert conversation.begun.acquire(timeout=60)
        server.stop()
        assert held.result(60) == (503, "The server is stopping.")
        assert server.busy  # what it computes runs on in a thread
        with pytest.raises(OSError, match="refused"):
            page.ask({"id": 2})
    server.stop()
    conversation.go.set()


def test_one_that_ends_in_time_is_answered(echoes):
    with StudioServer(None, grace_seconds=60) as server, ThreadPoolExecutor(2) as pool:
        conversation = echoes[-1]
        held = pool.submit(Page(server).ask, {"id": 1, "kind": "hold"})
        assert conversation.begun.acquire(timeout=60)
        stopped = pool.submit(server.stop)
        threading.Timer(0.1, conversation.go.set).start()
        assert held.result(60)[0] == {"id": 1, "kind": "hold", "ok": True}
        stopped.result(60)
        assert not server.busy
