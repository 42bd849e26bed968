"""Small SavedModels, made by tf.saved_model.save alone, and a client of the standard library."""

import json
import os
import time
from urllib.error import HTTPError
from urllib.request import Request, urlopen

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
import tensorflow as tf

from keras_pli.serving.server import LocalServer

CLASSES = 3


def spec(shape, dtype, name):
    return tf.TensorSpec(shape, dtype, name=name)


class Classifier(tf.Module):
    """Images of 4 × 4 to three classes, with the checks in the graph that our exports have."""

    def __init__(self, seed):
        super().__init__()
        weights = np.random.default_rng(seed).normal(size=(16, CLASSES))
        self.weights = tf.Variable(weights.astype("float32"))

    def logits(self, image):
        image = tf.debugging.assert_all_finite(image, "`image` must be finite")
        return tf.reshape(image, (-1, 16)) @ self.weights

    @tf.function(input_signature=[spec((None, 4, 4, 1), tf.float32, "image")])
    def predict(self, image):
        logits = self.logits(image)
        return {"probabilities": tf.nn.softmax(logits), "logits": logits}

    @tf.function(input_signature=[spec((None, 4, 4, 1), tf.float32, "image")])
    def top(self, image):
        return {"top": tf.argmax(self.logits(image), -1)}

    @tf.function(
        input_signature=[
            spec((None, 4, 4, 1), tf.float32, "image"),
            spec((None,), tf.int32, "target"),
        ]
    )
    def explain(self, image, target):
        check = tf.debugging.assert_less(target, CLASSES, "`target` must lie below 3")
        with tf.control_dependencies([check]), tf.GradientTape() as tape:
            tape.watch(image)
            scores = tf.gather(self.logits(image), target, batch_dims=1)
        return {"attributions": tape.gradient(scores, image) * image, "scores": scores}


class HalfPlusThree(tf.Module):
    """The example of TensorFlow Serving's documentation."""

    @tf.function(input_signature=[spec((None,), tf.float32, "x")])
    def predict(self, x):
        return {"y": x / 2 + 3}

    @tf.function(input_signature=[spec((None,), tf.float32, "x")])
    def inverse(self, x):
        return {"y": 1 / x}

    @tf.function(input_signature=[spec((None,), tf.float32, "x")])
    def total(self, x):
        return {"total": tf.reduce_sum(x)}


class Sensors(tf.Module):
    """The named inputs of the documentation's examples, and an output of every kind."""

    @tf.function(
        input_signature=[
            spec((None,), tf.string, "tag"),
            spec((None, 5), tf.float32, "signal"),
            spec((None, 2, 2), tf.int32, "sensor"),
        ]
    )
    def predict(self, tag, signal, sensor):
        return {
            "caption": tf.strings.upper(tag),
            "raw_bytes": tf.strings.join([tag, b"\xff\x00"]),
            "mean": tf.reduce_mean(tf.cast(signal, tf.float64), -1),
            "sensor": sensor,
            "large": tf.reduce_any(sensor > 5, (1, 2)),
        }

    @tf.function(input_signature=[spec((None,), tf.string, "image_bytes")])
    def length(self, image_bytes):
        return {"length": tf.strings.length(image_bytes)}

    @tf.function(input_signature=[spec((None,), tf.string, "image_bytes")])
    def first(self, image_bytes):
        return {"first_bytes": image_bytes[0]}


DTYPES = (
    "float32",
    "float64",
    "int8",
    "uint8",
    "int16",
    "int32",
    "uint32",
    "int64",
    "uint64",
    "bool",
)


class Echo(tf.Module):
    """Sends a tensor of each dtype back; one signature for each."""

    def signatures(self):
        def echo(x):
            return {"y": tf.identity(x)}

        names = (*DTYPES, "float16", "string")
        return {
            name: tf.function(echo, input_signature=[spec((None, 2), name, "x")]) for name in names
        }


class Ranks(tf.Module):
    """Takes a tensor of any rank, and has an operation that knows eight axes."""

    @tf.function(input_signature=[spec(None, tf.float32, "x")])
    def predict(self, x):
        return {"y": tf.reverse(x, [0])}


def save_classifier(folder, version, *, seed):
    model = Classifier(seed)
    signatures = {"serving_default": model.predict, "top": model.top, "explain": model.explain}
    tf.saved_model.save(model, str(folder / str(version)), signatures=signatures)


def save_others(folder):
    half, sensors, echo, ranks = HalfPlusThree(), Sensors(), Echo(), Ranks()
    tf.saved_model.save(
        half,
        str(folder / "half_plus_three" / "00000123"),
        signatures={
            "serving_default": half.predict,
            "inverse": half.inverse,
            "total": half.total,
        },
    )
    tf.saved_model.save(
        sensors,
        str(folder / "sensors" / "1"),
        signatures={
            "serving_default": sensors.predict,
            "length": sensors.length,
            "first": sensors.first,
        },
    )
    tf.saved_model.save(echo, str(folder / "echo" / "1"), signatures=echo.signatures())
    tf.saved_model.save(ranks, str(folder / "ranks" / "1"), signatures=ranks.predict)


def images(count, *, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 4, 4, 1)).astype("float32")


def in_python(folder, signature, **inputs):
    """What the signature gives without a server."""
    restored = tf.saved_model.load(str(folder))
    outputs = restored.signatures[signature](
        **{name: tf.constant(value) for name, value in inputs.items()}
    )
    return {name: value.numpy() for name, value in outputs.items()}


def eventually(condition, seconds=60):
    """Waits until the condition holds; a version that is loaded beside another one takes its time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


def call(url, body=None, headers=None):
    """Returns status and decoded JSON of a GET, or of a POST where there is a body."""
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    try:
        with urlopen(Request(url, data=body, headers=headers or {}), timeout=60) as response:
            return response.status, json.load(response)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.fixture(scope="session")
def served_folder(tmp_path_factory):
    """A folder of models, which tests must leave as it is; `classifier` has two versions."""
    folder = tmp_path_factory.mktemp("served")
    save_classifier(folder / "classifier", 1, seed=1)
    save_classifier(folder / "classifier", 2, seed=2)
    save_others(folder)
    return folder


@pytest.fixture(scope="module")
def live(served_folder):
    """A server over `served_folder` with a limit of 200,000 bytes a request."""
    with LocalServer(served_folder, max_request_bytes=200_000) as server:
        yield server
