"""Stored requests are read back and answered."""

import export_models as made
import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_pli.attribution import IntegratedGradients, Saliency
from keras_pli.serving import export, read_warmup, warmup

pytest.importorskip("tensorflow_serving")


def test_every_record_is_answered(tmp_path):
    model = made.convolutional()
    methods = [Saliency(model), IntegratedGradients(model, steps=4)]
    embedder = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    version = export(model, tmp_path / "m", explanations=methods, embedder=embedder, warmup=[1, 3])
    signatures = tf.saved_model.load(str(version)).signatures
    asked = read_warmup(version)
    sizes = [(name, len(arrays["image"])) for name, arrays in asked]
    assert sorted(sizes) == sorted((name, size) for name in signatures for size in (1, 3))
    for name, arrays in asked:
        found = signatures[name](**{key: tf.constant(array) for key, array in arrays.items()})
        assert all(len(value) == len(arrays["image"]) for value in found.values())


def test_examples_are_asked_about(tmp_path):
    model = made.convolutional()
    x = np.random.default_rng(0).random((2, 8, 8, 1))
    version = export(model, tmp_path / "m", examples=x, warmup=[3])
    ((_, arrays),) = read_warmup(version)
    np.testing.assert_array_equal(arrays["image"], np.float32(x)[[0, 1, 0]])


def test_the_model_is_named(tmp_path):
    from tensorflow_serving.apis import prediction_log_pb2

    version = export(made.convolutional(), tmp_path / "digits")
    file = str(version / warmup.WARMUP_FILE)
    (record, *_) = tf.data.TFRecordDataset(file).as_numpy_iterator()
    log = prediction_log_pb2.PredictionLog.FromString(record)
    assert log.WhichOneof("log_type") == "predict_log"
    assert log.predict_log.request.model_spec.name == "digits"


def test_left_out(tmp_path, monkeypatch):
    model = made.convolutional()
    version = export(model, tmp_path / "m", warmup=None)
    assert not (version / "assets.extra").exists()
    with pytest.raises(ValueError, match="no requests"):
        read_warmup(version)
    monkeypatch.setitem(__import__("sys").modules, "tensorflow_serving.apis", None)
    with pytest.raises(ImportError, match=r"keras-pli\[serving\]"):
        export(model, tmp_path / "m", warmup=[1])
    assert [path.name for path in (tmp_path / "m").iterdir() if path.is_dir()] == ["1"]


@pytest.mark.slow
def test_more_than_a_server_takes(tmp_path):
    with pytest.raises(ValueError, match="at most 1000"):
        export(made.convolutional(), tmp_path / "m", warmup=list(range(1, 1002)))
