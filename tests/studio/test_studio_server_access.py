"""Who is answered by the studio's server, and what a browser may do with the answers."""

import json
from urllib.parse import urlsplit

import pytest
from studio_hosts import VIEW, Echo, Page, small_view  # noqa: F401

pytest.importorskip("uvicorn")
from keras_pli.studio import view_source
from keras_pli.studio.server import StudioServer, access, studio_server

KEPT = [
    ("POST", "/messages"),
    ("GET", "/events"),
    ("GET", "/events/1"),
    ("GET", "/rounds/000/classifier.keras"),
    ("GET", "/nowhere"),
]


@pytest.fixture(scope="module")
def server():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(studio_server, "Conversation", Echo)
        with StudioServer(None, allowed_hosts=["studio.example"]) as server:
            yield server


@pytest.fixture
def page(server, small_view):  # noqa: F811
    return Page(server)


def test_the_shell_needs_no_token_and_the_page_does(page):
    status, headers, body = page.call("GET", f"/?token={page.token}")
    assert (status, body.decode()) == (200, VIEW["page.html"])
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    for address in ("/", "/?token=", f"/?token={page.token[:-1]}", f"/?token={page.token}x"):
        status, _, body = page.call("GET", address)
        assert status == 403
        assert b"printed where the studio was started" in body and b"view.js" not in body
    module = page.call("GET", "/view.js")
    assert module[1]["Content-Type"].startswith("text/javascript")
    assert b"function greet() {}" in module[2] and b"export default" in module[2]
    assert f'greet("{view_source.view_version()}")'.encode() in module[2]
    assert page.call("GET", "/style.css")[2].decode() == VIEW["style.css"]
    assert page.call("GET", "/page_host.js")[2].decode() == VIEW["page_host.js"]
    assert page.call("GET", "/favicon.ico")[1]["Content-Type"] == "image/svg+xml"


def test_a_one_time_address_leads_to_the_page_once(page, server, monkeypatch):
    codes = [urlsplit(server.one_time_url()).query for _ in range(2)]
    assert page.token not in "".join(codes) and codes[0] != codes[1]
    status, headers, _ = page.call("GET", f"/?{codes[0]}")
    assert (status, headers["Location"]) == (303, f"?token={page.token}")
    assert page.call("GET", f"/?{codes[0]}")[0] == 403
    for other in ("once=", "once=x", codes[1].replace("once", "token")):
        assert page.call("GET", f"/?{other}")[0] == 403
    monkeypatch.setattr(access, "ONCE_SECONDS", -1.0)
    assert page.call("GET", f"/?{urlsplit(server.one_time_url()).query}")[0] == 403
    assert page.call("GET", f"/?{codes[1]}")[0] == 303


@pytest.mark.parametrize(("method", "address"), KEPT)
def test_nothing_else_is_answered_without_the_token(page, method, address):
    for given in ({}, {"X_Studio_Token": ""}, {"X_Studio_Token": "é" + page.token[1:]}):
        status, _, body = page.call(method, address, b"", **given)
        assert status == 403
        assert "token of this studio is missing or wrong" in json.loads(body)["error"]
    # What the address says does not mend a wrong header.
    status, _, _ = page.call(method, f"{address}?token={page.token}", b"", X_Studio_Token="wrong")
    assert status == 403


def test_with_it_messages_are(page):
    content, buffers = page.ask({"id": 3, "kind": "é"}, [b"abc", b""])
    assert content == {"id": 3, "kind": "é", "ok": True}
    assert buffers == [b"cba", b""]


def test_no_path_leads_out_of_the_shell(page):
    for path in (
        "/../pyproject.toml",
        "/%2e%2e/pyproject.toml",
        "/view.js/../../session/session.py",
        "/view/main.js",
        "//etc/passwd",
        "/events/..%2f..%2fetc%2fpasswd",
        "/style.css%00.html",
    ):
        status, _, body = page.call("GET", path, X_Studio_Token=page.token)
        assert status == 404, path
        assert list(json.loads(body)) == ["error"]
    assert page.call("GET", "/messages", X_Studio_Token=page.token)[0] == 405


def test_a_page_of_another_origin_is_refused(page, server):
    port = server.port
    for headers in (
        {"Host": f"evil.example:{port}"},
        {"Host": "127.0.0.1.evil.example"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
    ):
        status, error = page.ask({"id": 1}, **headers)
        assert status == 403 and "not one that this server answers to" in error
        assert page.call("GET", f"/?token={page.token}", **headers)[0] == 403
    for headers in (
        {"Host": f"localhost:{port}", "Origin": f"http://localhost:{port}"},
        {"Host": "studio.example", "Origin": "https://studio.example"},
    ):
        assert page.ask({"id": 1}, **headers)[0] == {"id": 1, "ok": True}


@pytest.mark.parametrize("address", ["/", "/view.js", "/messages", "/nowhere"])
def test_every_answer_says_what_a_browser_may_do(page, address):
    for token in ("", page.token):
        _, headers, _ = page.call("GET", address, X_Studio_Token=token)
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "script-src 'self';" in policy
        assert not {"http:", "https:", "*", "'unsafe-eval'"} & set(policy.replace(";", "").split())
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == "no-store"
        assert not [name for name in headers if name.lower().startswith("access-control")]
    refused = page.call("GET", address, Host="evil.example")
    assert refused[0] == 403 and refused[1]["Content-Security-Policy"] == policy


def test_each_server_has_a_token_of_its_own(server):
    others = {StudioServer(None).url for _ in range(3)}
    assert len({url.partition("token=")[2] for url in others} | {server.url}) == 4
