"""What the strategy answers whom; trainings under it are in test_replicas_of_keras.py."""

import sys

import numpy as np
import pytest
import tensorflow as tf
from test_lost_workers import ROOT

from keras_pli.distributed import MultiWorkerMirroredStrategy, run_workers


def asked_by(module, strategy, *arguments, **more):
    """What a call within a module of that name gives."""
    scope = {"__name__": module, "strategy": strategy}
    exec("def ask(*arguments, **more): return strategy.reduce(*arguments, **more)", scope)
    return scope["ask"](*arguments, **more)


@pytest.fixture(scope="module")
def strategy():
    return MultiWorkerMirroredStrategy()  # of one worker


def test_others_get_the_mean_over_an_axis(strategy):
    for module in ("__main__", "keras_pli.somewhere", "kerassrc"):
        assert float(asked_by(module, strategy, "MEAN", tf.constant([1.0, 3.0]), axis=0)) == 2.0
    assert float(strategy.reduce(tf.distribute.ReduceOp.SUM, tf.constant(3.0), axis=None)) == 3.0


def test_keras_gets_a_metric_as_it_is(strategy):
    trainer = "keras.src.backend.tensorflow.trainer"
    found = asked_by(trainer, strategy, "MEAN", tf.constant([1.0, 3.0]), axis=0)
    np.testing.assert_array_equal(found, [1.0, 3.0])
    batch = (tf.ones((4, 2)), {"label": tf.ones(4, tf.int32)})
    shapes = tf.nest.map_structure(
        lambda part: part.shape, asked_by(trainer, strategy, "MEAN", batch, axis=None)
    )
    assert shapes == ((4, 2), {"label": (4,)})


@pytest.mark.parametrize(("operation", "axis"), [("SUM", None), ("SUM", 0), ("MEAN", 1)])
def test_what_keras_never_asked_before_is_an_error(strategy, operation, axis):
    with pytest.raises(
        NotImplementedError, match=rf"Keras 3\.\d+.* asks.*{operation}.*axis={axis}"
    ):
        asked_by("keras.src.trainers.new", strategy, operation, tf.ones(2), axis=axis)


FIT = """
import sys
import tensorflow as tf, keras, numpy as np
from keras_pli.distributed import MultiWorkerMirroredStrategy
strategy = {strategy}()
with strategy.scope():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", steps_per_execution={steps})
try:
    model.fit(np.ones((8, 4)), np.ones((8, 1)), batch_size=4, verbose=0)
except Exception as error:
    print(type(error).__name__, error)
    sys.exit(3 if {expected!r} in str(error) else 4)
"""


@pytest.fixture
def fit(monkeypatch):
    """Trains on two workers; fails where the training does not fail as it should."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def of(**what):
        run_workers([sys.executable, "-c", FIT.format(**what)])

    return of


@pytest.mark.slow
def test_keras_still_cannot_train_under_the_class_of_tensorflow(fit):
    """Where this fails, Keras has learned it, and the class of this package can go."""
    with pytest.raises(RuntimeError, match="ended with 3,"):
        fit(strategy="tf.distribute.MultiWorkerMirroredStrategy", steps=1, expected="")


@pytest.mark.slow
def test_several_steps_at_once_are_refused(fit):
    with pytest.raises(RuntimeError, match="ended with 3,"):
        fit(strategy="MultiWorkerMirroredStrategy", steps=2, expected="steps_per_execution=1")
