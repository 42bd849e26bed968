"""What tests of the studio's hosts share: a conversation without a session, a small view, HTTP by hand."""

import http.client
import json
import threading
import time
from urllib.parse import parse_qs, urlsplit

import pytest

from keras_pli.studio import view_source
from keras_pli.studio.conversation import Reply
from keras_pli.studio.conversation.framing import framed, unframed
from keras_pli.studio.session.events import Events

VIEW = {
    "main.js": (
        'import { greet } from "./greet.js";\n\n'
        'export default { render() { greet("%VIEW_VERSION%"); } };\n'
    ),
    "greet.js": "export function greet() {}\n",
    "style.css": ".kps { color: red; }\n",
    "page.html": "<!doctype html>\n<title>Studio</title>\n",
    "page_host.js": 'import view from "./view.js";\n',
}


class Echo:
    """A conversation that answers with what it was asked; `hold` lets it wait first."""

    def __init__(self, session=None):
        self.events = session if isinstance(session, Events) else Events()
        self.begun, self.go = threading.Semaphore(0), threading.Event()
        self.threads = []

    def ask(self, content, buffers=()):
        self.threads.append(threading.current_thread().name)
        if content.get("kind") == "hold":
            self.begun.release()
            assert self.go.wait(60)
        if content.get("kind") == "break":
            raise RuntimeError("out of order")
        return Reply({**content, "ok": True}, [bytes(buffer)[::-1] for buffer in buffers])

    def subscribe(self, subscriber):
        return self.events.subscribe(subscriber)


@pytest.fixture
def small_view(tmp_path, monkeypatch):
    """A view of a few lines in place of the real one."""
    for name, text in VIEW.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.setattr(view_source, "FOLDER", tmp_path)
    kept = [function for function in vars(view_source).values() if hasattr(function, "cache_clear")]
    for function in kept:
        function.cache_clear()
    yield
    for function in kept:
        function.cache_clear()


def token_of(url):
    return parse_qs(urlsplit(url).query)["token"][0]


class Page:
    """What a browser does with a server's address, header by header."""

    def __init__(self, server):
        self.address = urlsplit(server.url)
        self.token = token_of(server.url)

    def call(self, method, path, body=None, **headers):
        """Returns status, headers and body; underscores in names of headers stand for hyphens."""
        connection = http.client.HTTPConnection(
            self.address.hostname, self.address.port, timeout=60
        )
        try:
            connection.putrequest(method, path, skip_host="Host" in headers)
            for name, value in headers.items():
                connection.putheader(name.replace("_", "-"), value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def ask(self, content, buffers=(), **headers):
        """Returns the answer to a message, or status and error where it is refused."""
        given = {"X_Studio_Token": self.token, **headers}
        status, _, body = self.call("POST", "/messages", framed(content, buffers), **given)
        return unframed(body) if status == 200 else (status, json.loads(body)["error"])

    def listen(self, path=None):
        """Opens the stream of events; `read` of what it returns gives the next one."""
        connection = http.client.HTTPConnection(
            self.address.hostname, self.address.port, timeout=60
        )
        connection.request("GET", path or f"/events?token={self.token}")
        response = connection.getresponse()
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/event-stream")
        assert response.readline().startswith(b"retry: ")
        return Stream(connection, response)


class Stream:
    """Server-sent events as they come."""

    def __init__(self, connection, response):
        self._connection, self._response = connection, response

    def read(self):
        """Returns the next event; None at the end of the stream."""
        while line := self._response.readline():
            if line.startswith(b"data: "):
                return json.loads(line[6:])
        return None

    def line(self):
        """Returns the next line that is not empty."""
        while (line := self._response.readline()) == b"\n":
            pass
        return line

    def close(self):
        """Leaves, as a page that is closed does."""
        self._response.close()
        self._connection.close()


def eventually(condition, seconds=30):
    """Waits until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)
