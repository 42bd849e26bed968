"""Which Host and Origin a server answers to: a name that a web page pointed to it is not among them."""

import http.client
import json

import pytest
from served_models import save_classifier

from keras_pli.serving.server import LocalServer, ServingError
from keras_pli.serving.server.hosts import AllowedHosts

MODEL = "/v1/models/digits"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    save_classifier(folder / "digits", 1, seed=1)
    return folder


def allowed(hosts, host, origin=None):
    try:
        hosts.check(host=host, origin=origin)
    except ServingError as error:
        assert error.http_status == 403 and "`--allowed-host`" in str(error)
        return False
    return True


@pytest.mark.parametrize(
    ("bound", "host", "expected"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.1:8501", True),
        ("127.0.0.1", "LOCALHOST.:1", True),
        ("127.0.0.1", "[::1]:8501", True),
        ("127.0.0.1", "[0:0:0:0:0:0:0:1]", True),
        ("127.0.0.1", None, True),  # no browser
        ("127.0.0.1", "", False),
        ("127.0.0.1", "evil.example", False),
        ("127.0.0.1", "evil.example:8501", False),
        ("127.0.0.1", "localhost.evil.example", False),
        ("127.0.0.1", "127.0.0.1.evil.example", False),
        ("127.0.0.1", "localhost@evil.example", False),
        ("127.0.0.1", "localhost:8501:1", False),
        ("127.0.0.1", "localhost/evil", False),
        ("127.0.0.1", "192.0.2.7", False),
        ("192.0.2.7", "192.0.2.7:8501", True),
        ("box.example", "box.example", True),
        ("0.0.0.0", "192.0.2.7:8501", True),
        ("0.0.0.0", "[2001:db8::1]", True),
        ("0.0.0.0", "this-machine:8501", True),
        ("0.0.0.0", "evil.example", False),
        ("::", "192.0.2.7", True),
        ("::", "evil.example", False),
    ],
)
def test_hosts(monkeypatch, bound, host, expected):
    monkeypatch.setattr("socket.gethostname", lambda: "this-machine")
    assert allowed(AllowedHosts(bound), host) == expected


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (None, True),
        ("http://localhost:8501", True),
        ("http://127.0.0.1:3000", True),
        ("https://[::1]", True),
        ("http://evil.example", False),
        ("http://evil.example:8501", False),
        ("http://localhost.evil.example", False),
        ("null", False),
        ("localhost", False),
        ("", False),
    ],
)
def test_origins(origin, expected):
    assert allowed(AllowedHosts("127.0.0.1"), "localhost:8501", origin) == expected


def test_more_hosts():
    for given in (["models.example", "2001:DB8::1"], "models.example", ("[2001:db8::1]",)):
        hosts = AllowedHosts("127.0.0.1", given)
        assert allowed(hosts, "Models.Example:80", "https://models.example") == ("m" in str(given))
        assert allowed(hosts, "[2001:db8::1]:80") == ("2001" in str(given))
        assert not allowed(hosts, "other.example")
    everyone = AllowedHosts("127.0.0.1", ["*"])
    assert allowed(everyone, "evil.example", "http://evil.example")
    assert not allowed(everyone, "evil.example", "null")
    for bad in ("models.example:80", "http://models.example", "", "a b"):
        with pytest.raises(ValueError, match=r"without a port\. Received: "):
            AllowedHosts("127.0.0.1", [bad])


def ask(server, method="GET", address=MODEL, body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.rest_port, timeout=60)
    connection.putrequest(method, address, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.putheader("Content-Length", str(len(body or b"")))
    connection.endheaders(body)
    response = connection.getresponse()
    found = response.status, json.load(response)
    connection.close()
    return found


def test_page_with_a_name_of_its_own_reads_nothing(folder):
    pytest.importorskip("uvicorn")
    with LocalServer(folder, grpc_port=None, allowed_hosts=["models.example"]) as server:
        assert ask(server)[0] == ask(server, Host="models.example:80")[0] == 200
        for address in ("/", MODEL, MODEL + "/metadata", MODEL + ":predict", "/nowhere"):
            status, answer = ask(server, address=address, Host=f"evil.example:{server.rest_port}")
            assert (status, list(answer)) == (403, ["error"])
            assert "'evil.example:" in answer["error"] and "--allowed-host" in answer["error"]
        status, answer = ask(
            server, "POST", MODEL + ":predict", b"{}", Origin="http://evil.example"
        )
        assert status == 403 and "origin 'http://evil.example'" in answer["error"]
        # The refusal is seen also by one that sends all before it listens.
        assert ask(server, "POST", MODEL + ":predict", b" " * (20 << 20), Host="evil.example") == (
            *(403, ask(server, Host="evil.example")[1]),
        )
