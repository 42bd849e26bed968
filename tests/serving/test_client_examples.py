"""The client scripts in examples/, against a live server with signatures named as our exports name them."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from served_models import in_python, spec
from sklearn.datasets import load_digits

from keras_pli.serving.server import LocalServer

pytest.importorskip("uvicorn")
SCRIPTS = Path(__file__).parents[2] / "examples"
NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


class Digits(tf.Module):
    def __init__(self):
        super().__init__()
        weights = np.random.default_rng(0).normal(size=(64, 10))
        self.weights = tf.Variable(weights.astype("float32"))

    @tf.function(input_signature=[spec((None, 8, 8, 1), tf.float32, "pixels")])
    def predict(self, pixels):
        probabilities = tf.nn.softmax(tf.reshape(pixels, (-1, 64)) @ self.weights)
        order = tf.argsort(probabilities, direction="DESCENDING")
        return {"probabilities": probabilities, "top_names": tf.gather(tf.constant(NAMES), order)}

    @tf.function(
        input_signature=[
            spec((None, 8, 8, 1), tf.float32, "pixels"),
            spec((None,), tf.int32, "target"),
            spec((None, 8, 8, 1), tf.float32, "baseline"),
        ]
    )
    def explain(self, pixels, target, baseline):
        predicted = tf.argmax(self.predict(pixels)["probabilities"], -1, tf.int32)
        target = tf.where(target < 0, predicted, target)
        check = tf.debugging.assert_less(target, 10, "`target` must lie below 10")
        with tf.control_dependencies([check]):  # or which error comes first is left to chance
            target = tf.identity(target)
        weights = tf.reshape(tf.gather(tf.transpose(self.weights), target), (-1, 8, 8, 1))
        attributions = (pixels - baseline) * weights
        scores = tf.reduce_sum(attributions, (1, 2, 3))
        return {"attributions": attributions, "scores": scores, "target": target}

    @tf.function(input_signature=[spec((None, 8, 8, 1), tf.float32, "pixels")])
    def embed(self, pixels):
        return {"embedding": tf.reshape(pixels, (-1, 64))[:, 2:4]}


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served") / "digits"
    model = Digits()
    signatures = {
        "serving_default": model.predict,
        "explain_it": model.explain,
        "embed": model.embed,
    }
    tf.saved_model.save(model, str(folder / "1"), signatures=signatures)
    with LocalServer(folder) as server:
        yield server, folder / "1"


@pytest.fixture(params=["rest", "grpc"])
def ask(request, digits, monkeypatch, capsys):
    """Runs one of the scripts with arguments and returns what it prints."""
    server, _ = digits
    if request.param == "grpc":
        pytest.importorskip("tensorflow_serving")
        address = ["--server", server.grpc_target]
    else:
        address = ["--url", server.url]
    monkeypatch.syspath_prepend(str(SCRIPTS))
    script = importlib.import_module(f"serving_{request.param}_client")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["client", *address, *map(str, arguments)])
        script.main()
        return capsys.readouterr().out

    return run


def digit(index):
    return (load_digits().images[index : index + 1, ..., None] / 16).astype("float32")


def test_class_and_explanation(ask, digits):
    x = digit(3)
    probabilities = in_python(digits[1], "serving_default", pixels=x)["probabilities"][0]
    best = probabilities.argmax()
    first = f"class {best} ({NAMES[best]}), probability {probabilities.max():.3f}\n"
    assert ask("--index", 3) == first

    target = np.int32([7])
    zeros = np.zeros_like(x)
    found = in_python(digits[1], "explain_it", pixels=x, target=target, baseline=zeros)
    lines = ask("--index", 3, "--signature", "explain_it", "--target", 7).splitlines()
    assert lines[0] + "\n" == first
    assert lines[1] == f"explained class 7, score {found['scores'][0]:.3f}"
    drawn = np.array([[" .:-=+*#%@".index(sign) for sign in line[::2]] for line in lines[2:]])
    heat = found["attributions"][0, ..., 0]
    np.testing.assert_array_equal(drawn, np.floor(9 * (heat / heat.max()).clip(0, 1)))

    predicted = ask("--index", 3, "--signature", "explain_it", "--version", 1)
    assert f"explained class {best}," in predicted


def test_picture(ask, tmp_path):
    import matplotlib.image

    out = tmp_path / "map.png"
    assert f"wrote {out}" in ask("--signature", "explain_it", "--out", out)
    assert matplotlib.image.imread(out).shape == (128, 128, 4)


def test_signature_with_one_output(ask):
    x = digit(0)[0].reshape(-1)
    numbers = ask("--signature", "embed").splitlines()[1].partition("[")[2].rstrip("]").split()
    np.testing.assert_allclose(np.float32(numbers), x[2:4], atol=1e-6)


def test_data_from_a_file(ask, tmp_path):
    path = tmp_path / "data.npz"
    np.savez(path, x_test=digit(5))
    assert ask("--data", path) == ask("--index", 5)
    np.savez(path, x=digit(5))
    with pytest.raises(SystemExit, match="lacks the array x_test; it holds x"):
        ask("--data", path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--index", "-1"], "--index must lie in 0 to 1796"),
        (["--signature", "explain"], "There is no signature 'explain', but .*explain_it"),
        (["--signature", "explain_it", "--target", "12"], "`target` must lie below 10"),
        (["--model", "digit"], "Did you mean 'digits'"),
        (["--version", "4"], r"must be one of 1\. Received: 4"),
    ],
)
def test_errors_are_the_servers(ask, arguments, words):
    with pytest.raises(SystemExit, match=words):
        ask(*arguments)


def test_no_server(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    script = importlib.import_module("serving_rest_client")
    with pytest.raises(SystemExit, match=r"No answer from http://127\.0\.0\.1:9"):
        script.ask("http://127.0.0.1:9/")
