"""Events of a session, on their way to any number of pages."""

import asyncio
import base64
import threading
from contextlib import closing

import pytest
from studio_hosts import Echo, Page, eventually, small_view  # noqa: F401

pytest.importorskip("uvicorn")
from keras_pli.studio.conversation.framing import unframed
from keras_pli.studio.server import StudioServer, events, studio_server
from keras_pli.studio.session.events import Events


@pytest.fixture
def news(monkeypatch):
    monkeypatch.setattr(studio_server, "Conversation", Echo)
    return Events()


@pytest.fixture
def server(news):
    with StudioServer(news) as server:
        yield server


def test_every_page_hears_of_it_in_order(server, news):
    page = Page(server)
    with closing(page.listen()) as one, closing(page.listen()) as other:
        eventually(lambda: len(server._streams) == 2)
        threads = [
            threading.Thread(
                target=lambda n=n: [news.publish("log", {"n": n, "i": i}) for i in range(20)]
            )
            for n in range(3)
        ]
        for thread in threads:
            thread.start()
        heard = [[stream.read() for _ in range(60)] for stream in (one, other)]
        assert heard[0] == heard[1]
        for n in range(3):
            assert [event["i"] for event in heard[0] if event["n"] == n] == list(range(20))
        assert {event["event"] for event in heard[0]} == {"log"}
    eventually(lambda: (news.publish("log", {}), len(server._streams) == 0)[1])


def test_small_buffers_come_with_the_event_and_large_ones_are_fetched_once(server, news):
    page = Page(server)
    large = bytes(range(256)) * 300
    with closing(page.listen()) as one, closing(page.listen()) as other:
        eventually(lambda: len(server._streams) == 2)
        news.publish("epoch", {"line": "a\nb"}, [b"\x00\xff", b""])
        for stream in (one, other):
            event = stream.read()
            assert event["line"] == "a\nb"
            found = [base64.b64decode(text) for text in event["attached"]["base64"]]
            assert found == [b"\x00\xff", b""]
        news.publish("epoch", {}, [large, b"rest"])
        for stream in (one, other):
            number = stream.read()["attached"]["number"]
            status, _, body = page.call("GET", f"/events/{number}", X_Studio_Token=page.token)
            assert status == 200 and unframed(body) == ({}, [large, b"rest"])
        # Both have them, so that nothing is kept.
        status, _, body = page.call("GET", f"/events/{number}", X_Studio_Token=page.token)
        assert status == 404 and b"not held any more" in body
        assert not server._streams._held


def test_what_nobody_fetches_is_dropped(server, news, monkeypatch):
    monkeypatch.setattr(events, "HELD_BYTES", 250_000)
    page = Page(server)
    with closing(page.listen()) as stream:
        eventually(lambda: len(server._streams) == 1)
        for _ in range(4):
            news.publish("epoch", {}, [bytes(100_000)])
        numbers = [stream.read()["attached"]["number"] for _ in range(4)]
        statuses = [
            page.call("GET", f"/events/{number}", X_Studio_Token=page.token)[0]
            for number in numbers
        ]
        assert statuses == [404, 404, 200, 200]


def test_a_page_that_reads_nothing_holds_up_no_other(server, news, monkeypatch):
    monkeypatch.setattr(events, "MOST_WAITING", 30)
    page = Page(server)
    text = "x" * 200_000
    with closing(page.listen()) as slow, closing(page.listen()) as other:
        eventually(lambda: len(server._streams) == 2)
        for number in range(100):
            news.publish("log", {"number": number, "text": text})
            assert other.read()["number"] == number
        # Its stream ends where it had enough; it asks for everything anew when it reconnects.
        found = []
        while (event := slow.read()) is not None:
            found.append(event["number"])
        assert 0 < len(found) < 100 and found == list(range(len(found)))


def test_signs_of_life(server, monkeypatch):
    monkeypatch.setattr(events, "HEARTBEAT_SECONDS", 0.02)
    with closing(Page(server).listen()) as stream:
        assert [stream.line()[:1] for _ in range(3)] == [b":"] * 3


def test_streams_end_when_the_server_stops(server, news):
    stream = Page(server).listen()
    server.stop()
    assert stream.read() is None
    stream.close()
    news.publish("log", {})  # nobody listens, and nothing fails


def test_a_page_that_waits_is_woken_from_another_thread():
    source = Events()
    streams = events.EventStreams(source.subscribe)

    async def page():
        chunks = streams.open().chunks()
        await anext(chunks)
        waiting = asyncio.ensure_future(anext(chunks))
        await asyncio.sleep(0.05)  # until it waits
        await asyncio.to_thread(source.publish, "log", {"line": 3})
        done, _ = await asyncio.wait({waiting}, timeout=5)
        return [found.result() for found in done]

    # In debug mode, the loop refuses what reaches it from another thread by any other way. It is no
    # `asyncio.run`, which would wait for a page that is never woken.
    loop = asyncio.new_event_loop()
    loop.set_debug(True)
    heard = loop.run_until_complete(page())
    loop.close()
    assert heard == ['data: {"event":"log","line":3}\n\n']


def test_events_without_pages_cost_nothing():
    source = Events()
    streams = events.EventStreams(source.subscribe)
    source.publish("epoch", {}, [bytes(events.INLINE_BYTES + 1)])
    assert not streams._held

    async def page():
        stream = streams.open()
        streams.close()
        late = streams.open()
        first = [chunk async for chunk in stream.chunks()]
        return first, [chunk async for chunk in late.chunks()]

    first, late = asyncio.run(page())
    assert first == late == [f"retry: {events.RETRY_MILLISECONDS}\n\n"]
