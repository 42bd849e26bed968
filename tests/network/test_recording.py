"""A model is watched while it runs, and nothing of it is touched; other threads see nothing of it."""

import doctest
import threading
import time

import keras
import numpy as np
import pytest

import keras_pli as kp
from keras_pli.attribution import GradCAM, Saliency
from keras_pli.network import recording as module
from keras_pli.network.recording import recorded

LAYERS = keras.layers


def classifier():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            LAYERS.Conv2D(3, 3, activation="relu", name="conv"),
            LAYERS.GlobalAveragePooling2D(),
            LAYERS.Dense(3, activation="softmax", name="head"),
        ]
    )


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).normal(size=(5, 6, 6, 1)).astype(np.float32)


def attributes(model):
    """Every attribute of every layer, object by object."""
    return [
        (name, id(value))
        for layer in model._flatten_layers()
        for name, value in vars(layer).items()
        if name not in ("_called", "predict_function")  # Keras's own, set by a first call
    ]


def by_hand(model, x):
    """Logits, gradients of the first one and its map, from the weights alone."""
    kernel, bias, head, offset = (np.asarray(weight, np.float64) for weight in model.get_weights())
    windows = np.lib.stride_tricks.sliding_window_view(x[..., 0], (3, 3), axis=(1, 2))
    z = np.einsum("bhwij,ijk->bhwk", windows, kernel[:, :, 0]) + bias
    logits = np.maximum(z, 0).mean(axis=(1, 2)) @ head + offset
    slopes = (z > 0) * head[:, 0] / 16
    gradients = np.zeros(x.shape)
    for i in range(3):
        for j in range(3):
            gradients[:, i : i + 4, j : j + 4, 0] += slopes @ kernel[i, j, 0]
    class_map = np.maximum((np.maximum(z, 0) * head[:, 0] / 16).sum(axis=-1), 0)
    return {"logits": logits, "gradients": gradients, "map": class_map}


def hammer(seconds, x):
    """Runs everything that reads a model in eight threads at once; returns wrong answers and errors."""
    model = classifier()
    model.predict(x, verbose=0)
    truth, before = by_hand(model, x), attributes(model)
    outputs = keras.ops.convert_to_numpy(keras.ops.softmax(truth["logits"]))
    work = {
        "activations": lambda: (kp.activations(model, x), truth["logits"]),
        "named": lambda: (kp.activations(model, x, "head"), truth["logits"]),
        "saliency": lambda: (Saliency(model)(x, 0).attributions, truth["gradients"]),
        "grad-cam": lambda: (GradCAM(model)(x, 0).details["map"], truth["map"]),
        "eager": lambda: (np.asarray(model(x)), outputs),
        "eager, training": lambda: (np.asarray(model(x, training=True)), outputs),
        "predict": lambda: (model.predict(x, verbose=0), outputs),
        "recorded": lambda: _watched(model, x, truth["logits"]),
    }
    failures, rounds, end = [], [], time.monotonic() + seconds

    def run(name, task):
        while not rounds.count(name) or time.monotonic() < end:
            try:
                np.testing.assert_allclose(*task(), atol=1e-5, err_msg=name)
            except Exception as error:
                failures.append(f"{name}: {error}")
                return
            rounds.append(name)

    threads = [threading.Thread(target=run, args=item) for item in work.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
    assert {name: rounds.count(name) > 0 for name in work} == dict.fromkeys(work, True)
    assert attributes(model) == before
    return model


def _watched(model, x, logits):
    """An eager pass of a thread that listens, of which the others must hear nothing."""
    head = model.get_layer("head")
    with recorded([head], before=[head]) as recording:
        model(x)
    (found,), (squashed,) = recording.received_by(head), recording.of(head)
    np.testing.assert_allclose(squashed, keras.ops.softmax(found), atol=1e-6)
    return np.asarray(found), logits


def test_eight_threads_read_one_model(x, tmp_path):
    model = hammer(1, x)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(x), model(x), atol=1e-6)


@pytest.mark.slow
def test_eight_threads_for_a_minute(x):
    hammer(60, x)


def test_a_recording_ends_with_its_block(x):
    model = classifier()
    with recorded([model.get_layer("conv")]) as recording:
        model(x)
    model(x)
    assert len(recording.of(model.get_layer("conv"))) == 1


def test_recordings_nest(x):
    model = classifier()
    conv, head = model.get_layer("conv"), model.get_layer("head")
    with recorded([conv]) as outer, recorded([conv, head]) as inner:
        model(x)
    assert outer.of(conv)[0] is inner.of(conv)[0]
    assert outer.of(head) == [] and len(inner.of(head)) == 1


def test_a_pass_that_fails_leaves_no_recording(x):
    model = classifier()
    with pytest.raises(ValueError), recorded([model.get_layer("head")]) as recording:
        model(x[..., :0])
    model(x)
    assert recording.of(model.get_layer("head")) == []


def test_examples_run():
    assert doctest.testmod(module).failed == 0
