"""`keras-pli export` and `serve` as a user would call them."""

import json
import os
import re
import signal
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


def test_serve_answers_and_ends(files, tmp_path):
    pytest.importorskip("starlette")
    out = exported(files, tmp_path, "--method", "grad_cam")
    ports = ["--rest-port", "0", "--grpc-port", "0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "keras_pli.cli", "serve", "--dir", str(out.parent), *ports],
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
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=300) == 0
    finally:
        process.kill()
        process.stderr.close()


def test_serve_without_a_model(tmp_path, capsys):
    assert main(["serve", "--dir", str(tmp_path)]) == 1
    assert str(tmp_path) in capsys.readouterr().err
