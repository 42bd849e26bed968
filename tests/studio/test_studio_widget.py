"""The studio's widget, with a comm that keeps what is sent in place of a notebook's."""

import sys
import threading

import pytest
from studio_hosts import VIEW, Echo, eventually, small_view  # noqa: F401

comm = pytest.importorskip("comm")
pytest.importorskip("anywidget")
from comm.base_comm import BaseComm  # noqa: E402

from keras_pli.studio import view_source, widget  # noqa: E402
from keras_pli.studio.session.events import Events  # noqa: E402


class Comm(BaseComm):
    """A notebook's end of the line."""

    def __init__(self, **options):
        self.sent = []
        super().__init__(**options)

    def publish_msg(self, msg_type, data=None, metadata=None, buffers=None, **keys):
        self.sent.append((msg_type, data, buffers, threading.current_thread().name))

    def receive(self, content, buffers=()):
        data = {"method": "custom", "content": content}
        given = [memoryview(buffer) for buffer in buffers]
        self.handle_msg({"content": {"data": data}, "buffers": given})

    def custom(self):
        """What was sent to the page: content and buffers."""
        return [
            (data["content"], buffers)
            for kind, data, buffers, _ in self.sent
            if kind == "comm_msg" and data["method"] == "custom"
        ]


@pytest.fixture
def shown(monkeypatch, small_view):  # noqa: F811
    monkeypatch.setattr(comm, "create_comm", Comm)
    monkeypatch.setattr(widget, "Conversation", Echo)
    made = widget.StudioWidget(Events())
    yield made
    made._conversation.go.set()
    made.close()


def test_the_page_and_its_version_travel_with_it(shown):
    (state,) = [data["state"] for kind, data, *_ in shown.comm.sent if kind == "comm_open"]
    assert state["_esm"] == view_source.module_source() and "export default" in state["_esm"]
    assert state["_css"] == VIEW["style.css"]
    assert view_source.view_version() in state["_esm"]
    assert (state["_view_name"], state["_view_module"]) == ("AnyView", "anywidget")


def test_answers_come_from_threads_with_their_buffers(shown):
    shown.comm.receive({"id": 1, "kind": "hold"})
    shown.comm.receive({"id": 2, "kind": "select"}, [b"abc", b""])
    eventually(
        lambda: len(shown.comm.custom()) == 1
    )  # the first keeps neither kernel nor second waiting
    assert shown.comm.custom() == [({"id": 2, "kind": "select", "ok": True}, [b"cba", b""])]
    shown._conversation.go.set()
    eventually(lambda: len(shown.comm.custom()) == 2)
    assert shown.comm.custom()[1] == ({"id": 1, "kind": "hold", "ok": True}, [])
    assert {thread for *_, thread in shown.comm.sent[-2:]} == {"keras-pli-studio-widget"}
    assert set(shown._conversation.threads) == {"keras-pli-studio-widget"}


def test_what_fails_unforeseen_is_told(shown):
    shown.comm.receive({"id": 3, "kind": "break"})
    shown.comm.receive("no object")
    eventually(lambda: len(shown.comm.custom()) == 2)
    told = sorted((content for content, _ in shown.comm.custom()), key=str)
    assert {"id": 3, "ok": False, "error": "RuntimeError: out of order"} in told
    assert [content["ok"] for content in told] == [False, False]


def test_events_come_from_any_thread_and_whole(shown):
    def publish(number):
        for step in range(30):
            shown.session.publish("epoch", {"number": number, "step": step}, [bytes([number])])

    threads = [threading.Thread(target=publish, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    heard = shown.comm.custom()
    for number in range(4):
        own = [(content, buffers) for content, buffers in heard if content["number"] == number]
        assert [content["step"] for content, _ in own] == list(range(30))
        assert all(buffers == [bytes([number])] for _, buffers in own)


def test_a_page_that_is_closed_hears_nothing(shown):
    connection, session = shown.comm, shown.session
    shown.close()
    session.publish("plan", {})
    assert connection.custom() == []
    assert connection.sent[-1][0] == "comm_close"
    assert not session._subscribers


def test_without_anywidget_it_says_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "keras_pli.studio.widget")
    for name in ("widget", "StudioWidget"):
        monkeypatch.delitem(vars(sys.modules["keras_pli.studio"]), name, raising=False)
    monkeypatch.setitem(sys.modules, "anywidget", None)
    with pytest.raises(
        ImportError, match=r'notebook needs anywidget, which is .*"keras-pli\[notebook\]"'
    ):
        from keras_pli.studio import StudioWidget  # noqa: F401
