"""Starting and stopping the studio's server: ports, warnings, arguments, missing packages, the log."""

import queue
import signal
import sys
import threading
from types import SimpleNamespace

import pytest
from studio_hosts import Echo, Page, eventually, small_view, token_of  # noqa: F401

pytest.importorskip("uvicorn")
from keras_pli.studio.server import StudioServer, studio_server


@pytest.fixture(autouse=True)
def conversation(monkeypatch):
    monkeypatch.setattr(studio_server, "Conversation", Echo)


def test_ports_open_and_close():
    with StudioServer(None) as first, StudioServer(None) as second:
        assert first.port != second.port
        assert first.url.startswith(f"http://127.0.0.1:{first.port}/?token=")
        assert Page(first).ask({"id": 1})[0]["ok"]
        with pytest.raises(RuntimeError, match="starts once"):
            first.start()
        with pytest.raises(OSError, match=rf"Cannot listen on port {first.port} of .*Port 0 takes"):
            StudioServer(None, port=first.port).start()
        # The token of one is none of another.
        assert Page(second).ask({"id": 1}, X_Studio_Token=Page(first).token)[0] == 403
    # Long before a worker without work would end by itself.
    eventually(
        lambda: "keras-pli-studio-worker" not in {each.name for each in threading.enumerate()}, 5
    )
    with StudioServer(None, port=first.port) as again:
        assert again.port == first.port


def test_another_host_is_warned_of():
    with (
        pytest.warns(UserWarning, match=r"listens on '0\.0\.0\.0'.*not encrypted"),
        StudioServer(None, host="0.0.0.0") as server,
    ):
        assert server.url.startswith("http://127.0.0.1:")
        assert Page(server).ask({"id": 1})[0]["ok"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"port": 70_000}, r"`port` must lie in 0 to 65535\. Received: 70000"),
        ({"port": "8"}, r"`port` must be a whole number"),
        ({"max_request_bytes": 0}, r"`max_request_bytes` must be a whole number from 1"),
        ({"receive_seconds": 0}, r"`receive_seconds` must be a number from"),
        ({"grace_seconds": -1}, r"`grace_seconds` must be a number from 0"),
        ({"allowed_hosts": ["http://studio.example"]}, r"`allowed_hosts` must hold names"),
    ],
)
def test_bad_arguments(options, words):
    with pytest.raises(ValueError, match=words):
        StudioServer(None, **options)


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_missing_packages_are_named(monkeypatch, missing):
    for name in [name for name in sys.modules if name.split(".")[0] == missing]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=rf'needs {missing}.*pip install "keras-pli\[studio\]"'):
        StudioServer(None)


def test_the_log_holds_no_token(capsys, small_view):  # noqa: F811
    with StudioServer(None, verbose=True) as server:
        page = Page(server)
        assert page.call("GET", f"/?token={page.token}")[0] == 200
        page.listen().close()
    log = capsys.readouterr().err
    assert '"GET / HTTP/1.1" 200' in log and '"GET /events HTTP/1.1" 200' in log
    assert page.token not in log


class Session:
    """What `serve` asks of a session."""

    def __init__(self, path, *, runs):
        self.folder = SimpleNamespace(path=path)
        self.jobs = SimpleNamespace(current=SimpleNamespace(runs=runs))
        self.closed = False

    def close(self):
        self.closed = True


@pytest.mark.parametrize("runs", [False, True])
@pytest.mark.parametrize(("asked", "display"), [(True, ":0"), (True, ""), (False, ":0")])
def test_serving_until_ctrl_c(monkeypatch, capsys, tmp_path, runs, asked, display):
    opened, session = queue.Queue(), Session(tmp_path, runs=runs)
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("BROWSER", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.setattr(studio_server.webbrowser, "open", opened.put)
    wait = studio_server.wait_for

    def interrupt(stopped):
        assert not stopped.is_set() and not session.closed
        signal.raise_signal(signal.SIGINT)
        wait(stopped)

    monkeypatch.setattr(studio_server, "wait_for", interrupt)
    before = signal.getsignal(signal.SIGINT)
    assert studio_server.serve(session, open_browser=asked) is True
    assert signal.getsignal(signal.SIGINT) is before and session.closed
    first, *_, last = capsys.readouterr().err.splitlines()
    url = first.removeprefix("The studio: ")
    assert url.startswith("http://127.0.0.1:") and len(token_of(url)) >= 43
    assert last == ("Stopping, as soon as the job has ended its batch." if runs else "Stopping.")
    if asked and display:
        started_with = opened.get(timeout=10)
        assert started_with.startswith(url.partition("?")[0]) and token_of(url) not in started_with
    assert opened.empty()


def test_a_session_is_closed_where_its_server_does_not_start(tmp_path):
    session = Session(tmp_path, runs=False)
    with StudioServer(None) as other, pytest.raises(OSError, match="Cannot listen on port"):
        studio_server.serve(session, port=other.port)
    assert session.closed
