"""Starting and stopping: ports, warnings, signals, missing packages, and what is imported."""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import types
from pathlib import Path

import pytest
from served_models import call, images, save_classifier

from keras_pli.serving.server import LocalServer, serve, server

UVICORN = logging.getLogger("uvicorn.access")
QUIET = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    save_classifier(folder / "digits", 1, seed=1)
    return folder


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_ports_open_and_close(folder):
    with LocalServer(folder) as first, LocalServer(folder) as second:
        ports = [first.rest_port, first.grpc_port, second.rest_port, second.grpc_port]
        assert len(set(ports)) == 4
        assert all(map(listens, ports))
    assert not any(map(listens, ports))
    with LocalServer(folder, rest_port=ports[0], grpc_port=ports[1]) as again:
        assert [again.rest_port, again.grpc_port] == ports[:2]


def test_starts_once(folder):
    with LocalServer(folder, grpc_port=None) as once:
        with pytest.raises(RuntimeError, match="starts once"):
            once.start()
        assert call(once.url)[0] == 200


@pytest.mark.parametrize("kind", ["rest_port", "grpc_port"])
def test_taken_port_is_quoted_and_nothing_stays_open(folder, kind):
    with LocalServer(folder) as first:
        port = getattr(first, kind)
        threads = threading.active_count()
        with pytest.raises(OSError, match=rf"port {port} of '127\.0\.0\.1'"):
            LocalServer(folder, **{kind: port}).start()
        assert threading.active_count() == threads
        assert call(first.url)[0] == 200


def test_host_of_another_machine(folder):
    with (
        pytest.warns(UserWarning),
        pytest.raises(OSError, match=r"Cannot listen on port 0 of '198\.51\.100\.7'"),
    ):
        LocalServer(folder, host="198.51.100.7").start()


def test_other_hosts_are_warned_of(folder):
    with (
        pytest.warns(UserWarning, match=r"'0\.0\.0\.0'.*without a password"),
        LocalServer(folder, host="0.0.0.0", grpc_port=None) as open_to_all,
    ):
        assert call(f"http://127.0.0.1:{open_to_all.rest_port}")[0] == 200


def test_ipv6(folder):
    if not socket.has_ipv6:
        pytest.skip("no IPv6")
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 address")
    with LocalServer(folder, host="::1", grpc_port=None) as six:
        assert six.url.startswith("http://[::1]:")
        assert call(six.url)[0] == 200


def test_folder_without_a_model_and_sizes(folder, tmp_path):
    with pytest.raises(ValueError, match="No model in"):
        LocalServer(tmp_path)
    for ports in ({"rest_port": 70_000}, {"grpc_port": -1}):
        with pytest.raises(ValueError, match=r"_port` must lie in 0 to 65535\. Received: "):
            LocalServer(folder, **ports)
    with pytest.raises(ValueError, match=r"a whole number from 1\. Received: 0"):
        LocalServer(folder, max_request_bytes=0)
    for bad in ({"receive_seconds": 0}, {"grace_seconds": -1}, {"grace_seconds": float("nan")}):
        with pytest.raises(ValueError, match=r"_seconds` must be a number from "):
            LocalServer(folder, **bad)
    with pytest.raises(ValueError, match=r"`allowed_hosts` must hold names"):
        LocalServer(folder, allowed_hosts=["http://models.example"])


def test_without_tensorflow_serving_api_rest_still_serves(folder, monkeypatch):
    real = server.find_spec
    monkeypatch.setattr(
        server, "find_spec", lambda name: None if name == "tensorflow_serving" else real(name)
    )
    with LocalServer(folder) as rest_only:
        assert rest_only.grpc_port is None
        assert call(rest_only.url)[0] == 200


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_missing_packages_are_named(folder, monkeypatch, missing):
    for module in ("rest", "http_thread"):
        monkeypatch.delitem(sys.modules, f"keras_pli.serving.server.{module}", raising=False)
    for name in [name for name in sys.modules if name.split(".")[0] == missing]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=rf"needs '{missing}.*pip install 'keras-pli\[serving\]'"):
        LocalServer(folder)


def test_tensorflow_serving_api_of_another_version_is_told(folder, monkeypatch):
    pytest.importorskip("tensorflow_serving")
    monkeypatch.delitem(sys.modules, "keras_pli.serving.server.grpc_service", raising=False)
    monkeypatch.delattr("keras_pli.serving.server.grpc_service", raising=False)
    apis = types.ModuleType("another")  # lacks what is asked of it
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", apis)
    with pytest.raises(ImportError, match=r"version must be that of TensorFlow, 2\.\d+"):
        LocalServer(folder).start()
    with LocalServer(folder, grpc_port=None) as rest_only:
        assert call(rest_only.url)[0] == 200


@pytest.mark.slow
def test_requests_are_logged_once(folder, capsys):
    """Whoever else has a handler: the root logger, which absl gives one, or another server."""
    logger, root = logging.getLogger("keras_pli.serving.server"), logging.StreamHandler(sys.stderr)
    before = [(log.level, log.propagate, log.handlers) for log in (logger, UVICORN)]
    logging.root.addHandler(root)
    try:
        with (
            LocalServer(folder, verbose=True, grpc_port=None),
            LocalServer(folder, verbose=True) as on,
        ):
            with LocalServer(folder, grpc_port=None) as off:
                call(f"{off.url}/v1/models/digits?quiet")
            assert call(f"{on.url}/v1/models/digits?a%20b")[0] == 200
            assert call(f"{on.url}/nowhere")[0] == 404
    finally:
        logging.root.removeHandler(root)
    log = capsys.readouterr().err
    for line in ('"GET /v1/models/digits?a%20b HTTP/1.1" 200', '"GET /nowhere HTTP/1.1" 404'):
        assert log.count(line) == 1
    assert [(log.level, log.propagate, log.handlers) for log in (logger, UVICORN)] == before
    with LocalServer(folder, grpc_port=None) as off:
        call(off.url)
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_serve_until_ctrl_c(folder, capfd, monkeypatch):
    announce, ports = server._announce, []

    def announce_and_interrupt(started, **options):
        announce(started, **options)
        ports.append(started.rest_port)
        assert listens(started.rest_port)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(server, "_announce", announce_and_interrupt)
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    serve(folder, rest_port=0, grpc_port=None, verbose=False)
    said = capfd.readouterr().err
    assert f"REST: http://127.0.0.1:{ports[0]}" in said and "Stopping." in said
    assert not listens(ports[0])
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.slow  # a process that imports TensorFlow
def test_serve_in_a_process_without_keras_and_the_other_rooms_until_it_is_terminated(folder):
    """With an empty package in keras_pli's place, only what the server imports is loaded."""
    script = (
        "import sys, types, pathlib\n"
        "sys.modules['keras'] = None\n"
        "root = pathlib.Path(sys.argv[2])\n"
        "for name, path in (('keras_pli', root), ('keras_pli.serving', root / 'serving')):\n"
        "    package = types.ModuleType(name); package.__path__ = [str(path)]\n"
        "    sys.modules[name] = package\n"
        "from keras_pli.serving.server import serve\n"
        "serve(sys.argv[1], rest_port=0, grpc_port=0)\n"
        "print(sorted(n for n in sys.modules if n.startswith('keras_pli.') and 'server' not in n))\n"
    )
    root = Path(server.__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(folder), str(root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=QUIET,
    )
    told = []
    try:
        for line in process.stderr:
            told.append(line)
            if line.startswith("gRPC: "):
                break
        url = next((line.split()[1] for line in told if line.startswith("REST: ")), None)
        assert url, "".join(told)
        assert call(f"{url}/digits:predict", {"instances": images(1).tolist()})[0] == 200
        process.send_signal(signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 0, "".join(told) + stderr[-2000:]
    assert stdout == "['keras_pli.checks', 'keras_pli.serving']\n"
    assert any("for trying out and for tests" in line for line in told)
    assert "  digits: versions 1\n" in told
    assert 'predict HTTP/1.1" 200' in stderr and "Stopping." in stderr
