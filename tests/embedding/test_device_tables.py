"""Tables of a training are given back when it ends, though TensorFlow keeps its graphs."""

import contextlib
import gc
import subprocess
import sys
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_pli.embedding import ParametricTSNE, batches
from keras_pli.embedding.device_tables import on_device

QUICK = {"epochs": 2, "batch_size": 100, "steps_per_epoch": 4, "verbose": 0}
SMALL = {"perplexity": 10, "hidden_units": (20, 10), "seed": 0}

ARRAYS = pytest.mark.parametrize(
    "array",
    [
        np.arange(-6, 6, dtype=np.int32).reshape(4, 3),
        np.array([2**31 - 1, -(2**31), 1, 0x7FC00001], dtype=np.int32),
        np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3),
        np.zeros((4, 0), dtype=np.float32),
    ],
    ids=["whole numbers", "extremes", "fractions", "no columns"],
)


@pytest.fixture(scope="module")
def points():
    return np.random.default_rng(0).normal(size=(200, 5)).astype(np.float32)


@pytest.fixture
def made(monkeypatch):
    """What is placed on the device: each table by a weak reference, and where it is held."""
    found = []

    def recorded(array):
        table = on_device(array)
        found.append((weakref.ref(table), table._copies[""]))
        return table

    monkeypatch.setattr(batches, "on_device", recorded)
    gc.disable()  # nothing may wait for the cycles to be looked for
    yield found
    gc.enable()


def rows(variable):
    return int(tf.shape(variable)[0])


def model(**settings):
    tsne = ParametricTSNE(**SMALL, **settings)
    tsne.compile(jit_compile=False)  # which takes longer than these trainings
    return tsne


def is_given_back(entry):
    table, held = entry
    return table() is None and rows(held) == 0


@ARRAYS
@pytest.mark.parametrize("jit_compile", [False, True], ids=["plain", "xla"])
def test_read_in_a_compiled_step(array, jit_compile):
    table = on_device(array)

    @tf.function(jit_compile=jit_compile)
    def step(index):
        return ops.take(table, index, axis=0)

    found = step(tf.constant([3, 0, 3])).numpy()
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array[[3, 0, 3]])


@ARRAYS
def test_read_on_the_host(array):
    found = ops.convert_to_numpy(on_device(array))
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


def test_given_back_while_a_graph_lives_that_has_read_it():
    table = on_device(np.ones((4, 3), dtype=np.float32))
    step = tf.function(lambda read: ops.sum(read()))
    graph = step.get_concrete_function(lambda: table).graph
    held = table._copies[""]
    assert rows(held) == 4
    step = table = None
    assert rows(held) == 0
    assert graph.captures  # or there would have been nothing to show


@pytest.mark.parametrize("strategy", ["uniform", "neighbors"])
@pytest.mark.slow
def test_given_back_after_fit(points, made, strategy):
    tsne = model(batches=strategy)
    tsne.fit(points, pretrain_epochs=1, validation_data=points[:100], **QUICK)
    assert len(made) > 8
    assert all(is_given_back(entry) for entry in made)


@pytest.mark.slow
def test_given_back_after_a_fit_that_was_interrupted(points, made):
    class Interrupt(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt):  # `pytest.raises` would hold on to its frames
        model().fit(points, callbacks=[Interrupt()], **QUICK)
    assert made
    assert all(is_given_back(entry) for entry in made)


@pytest.mark.slow
def test_given_back_after_evaluate(points, made):
    tsne = model()
    tsne.fit(points, **QUICK)
    made.clear()
    tsne.evaluate(points, verbose=0)
    assert made
    assert all(is_given_back(entry) for entry in made)


GROWTH = """
import gc, sys, numpy as np, keras, keras_pli as kp
held = lambda: int(open("/proc/self/statm").read().split()[1]) / 256
z = np.random.default_rng(0).normal(size=(30_000, 16)).astype("float32")
graph = kp.nearest_neighbors(z, 150)
tsne = kp.ParametricTSNE(seed=0)
for fit in range(6):
    if sys.argv[1] == "new":
        tsne = kp.ParametricTSNE(seed=0)
    tsne.fit(z, epochs=1, steps_per_epoch=8, graph=graph, verbose=0)
    if sys.argv[1] == "new":
        del tsne
        keras.backend.clear_session()
    gc.collect()
    print(held())
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("kind", ["same", "new"])
def test_memory_does_not_grow_from_fit_to_fit(kind):
    """The tables of each fit take 56 MB."""
    run = subprocess.run(
        [sys.executable, "-c", GROWTH, kind], capture_output=True, text=True, check=True
    )
    megabytes = [float(line) for line in run.stdout.split()]
    assert megabytes[-1] - megabytes[1] < 4 * 20
