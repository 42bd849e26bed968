"""`keras-pli export` and `serve` as a user would call them."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_pli.attribution import GradCAM
from keras_pli.cli import main


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    keras.utils.set_random_seed(0)
    layers = [
        keras.layers.Conv2D(4, 3, activation="relu", name="first"),
        keras.layers.Conv2D(4, 3, activation="relu", name="second"),
        keras.layers.Flatten(),
        keras.layers.Dense(3, activation="softmax"),
    ]
    model = keras.Sequential([keras.Input((8, 8, 1), name="image"), *layers])
    model.save(folder / "clf.keras")
    embedder = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    embedder.save(folder / "map.keras")
    x = np.random.default_rng(0).random((5, 8, 8, 1), dtype=np.float32)
    np.savez(folder / "data.npz", x=x)
    return folder, model, x


def exported(files, tmp_path, *arguments):
    folder, _, _ = files
    out = tmp_path / "models" / "clf"
    given = ["export", "--model", str(folder / "clf.keras"), "--out", str(out), *arguments]
    assert main(given) == 0
    return out


def test_export(files, tmp_path, capsys, caplog):
    folder, model, x = files
    out = exported(
        *(files, tmp_path, "--method", "grad-cam,guided-backprop", "--cam-layer", "first"),
        *("--embedder", str(folder / "map.keras"), "--class-names", "a,b,c"),
        *("--data", str(folder / "data.npz"), "--version", "7"),
    )
    assert f"Wrote {out / '7'}" in capsys.readouterr().out
    assert "gradient is requested" not in caplog.text
    signatures = tf.saved_model.load(str(out / "7")).signatures
    assert set(signatures) == {
        "serving_default",
        "embed",
        "explain_grad_cam",
        "explain_guided_backprop",
    }
    found = signatures["explain_grad_cam"](image=x, target=np.ones(5, np.int32))
    expected = GradCAM(model, layer="first")(x, 1)
    np.testing.assert_allclose(found["attributions"], expected.attributions, atol=1e-5)
    names = signatures["serving_default"](image=x)["top_names"].numpy()
    assert set(names.ravel()) == {b"a", b"b", b"c"}


@pytest.mark.slow
def test_an_existing_version(files, tmp_path, capsys):
    out = exported(files, tmp_path)
    folder = files[0]
    again = ["export", "--model", str(folder / "clf.keras"), "--out", str(out), "--version", "1"]
    assert main(again) == 1
    assert "already holds version 1" in capsys.readouterr().err


def test_an_unknown_method(files, tmp_path, capsys):
    arguments = ["--model", str(files[0] / "clf.keras"), "--out", str(tmp_path), "--method", "x"]
    assert main(["export", *arguments]) == 1
    assert "no attribution method 'x'" in capsys.readouterr().err


class Endless(tf.Module):
    """Computes for hours."""

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.float32, name="x")])
    def predict(self, x):
        def step(i, x):
            return i + 1, tf.sin(x)

        return {"y": tf.while_loop(lambda i, x: i < 2**31 - 1, step, (0, x))[1]}


def asked_for_hours(port):
    """A connection whose request is under way."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    body = b'{"instances": [1]}'
    connection.sendall(
        b"POST /v1/models/endless:predict HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % len(body)
    )
    assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
    connection.sendall(body)
    return connection


@pytest.mark.slow  # a process that imports TensorFlow; the server itself is tested in `tests/serving`
def test_serve_answers_and_ends_although_a_request_runs_on(files, tmp_path):
    pytest.importorskip("starlette")
    out = exported(files, tmp_path, "--method", "grad_cam")
    endless = Endless()
    tf.saved_model.save(endless, str(out.parent / "endless" / "1"), endless.predict)
    options = ["--rest-port", "0", "--grpc-port", "0", "--grace-seconds", "0.5"]
    process = subprocess.Popen(
        [sys.executable, "-m", "keras_pli.cli", "serve", "--dir", str(out.parent), *options],
        stderr=subprocess.PIPE,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"},
    )
    try:
        said = ""
        while not (address := re.search(r"http://127\.0\.0\.1:\d+", said)):
            line = process.stderr.readline()
            assert line, said
            said += line
        assert not re.search(r"absl|WARNING|^[IWE]\d{4} ", said, flags=re.MULTILINE)
        body = {
            "signature_name": "explain_grad_cam",
            "instances": [{"image": files[2][0].tolist(), "target": 1}],
        }
        request = urllib.request.Request(
            f"{address[0]}/v1/models/clf:predict", json.dumps(body).encode()
        )
        (found,) = json.load(urllib.request.urlopen(request, timeout=60))["predictions"]
        expected = GradCAM(files[1])(files[2][:1], 1).attributions[0]
        np.testing.assert_allclose(found["attributions"], expected, atol=1e-5)
        with asked_for_hours(int(address[0].rpartition(":")[2])) as connection:
            process.send_signal(signal.SIGINT)
            answer = connection.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.1 503 ") and b'{\n "error": "The server is stop' in answer
        _, log = process.communicate(timeout=60)
        assert process.returncode == 0
        assert [line.split('"')[1:] for line in log.splitlines() if "POST" in line] == [
            [f"POST /v1/models/{name}:predict HTTP/1.1", f" {status}"]
            for name, status in (("clf", 200), ("endless", 503))
        ]
    finally:
        process.kill()


@pytest.mark.parametrize("ended", [True, False])
def test_options_of_serve(monkeypatch, ended):
    from keras_pli.serving import server

    calls, exits = [], []
    monkeypatch.setattr(server, "serve", lambda *a, **options: calls.append((a, options)) or ended)
    monkeypatch.setattr("os._exit", exits.append)
    monkeypatch.setattr("logging.shutdown", lambda: None)
    given = ["--allowed-host", "a", "--allowed-host", "b", "--grace-seconds", "2"]
    assert main(["serve", "--dir", "models", *given]) == 0
    ((directory,), options) = calls[0]
    assert (directory, options["allowed_hosts"]) == ("models", ["a", "b"])
    assert (options["grace_seconds"], options["receive_seconds"]) == (2, 60)
    assert exits == ([] if ended else [0])


def test_serve_without_a_model(tmp_path, capsys):
    assert main(["serve", "--dir", str(tmp_path)]) == 1
    assert str(tmp_path) in capsys.readouterr().err
