import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_pli.distributed.ray_data.model_source import ModelSource


def of(given):
    return ModelSource.of(given, "model_path")


def same(model, other):
    x = np.random.default_rng(0).random((3, 8, 8, 1), np.float32)
    np.testing.assert_allclose(model.predict(x, verbose=0), other.predict(x, verbose=0), atol=1e-6)


def test_a_path_that_holds_for_other_folders(stored, classifier, monkeypatch):
    monkeypatch.chdir(Path(stored).parent)
    source = of(Path("small.keras"))
    monkeypatch.chdir("/")
    assert source.is_here
    same(source.load(), classifier)


def test_a_url_that_arrow_reads(stored, classifier):
    source = of(f"file://{stored}")
    assert source.is_url and not source.is_here
    same(source.load(), classifier)


def test_a_url_that_only_fsspec_reads(stored, classifier, tmp_path):
    with zipfile.ZipFile(tmp_path / "models.zip", "w") as archive:
        archive.write(stored, "small.keras")
    same(of(f"zip://small.keras::{tmp_path}/models.zip").load(), classifier)


def test_a_url_that_nobody_reads():
    with pytest.raises(
        ValueError, match=r"'gopher://a/b\.keras', cannot be read on .*arrow: .*fsspec: "
    ):
        of("gopher://a/b.keras").load()


def test_a_function(classifier):
    assert of(lambda: classifier).load() is classifier
    with pytest.raises(
        TypeError, match=r"`model_path` must return a Keras model\. It returned: int"
    ):
        of(lambda: 3).load()


def test_what_is_no_model(classifier, tmp_path):
    with pytest.raises(TypeError, match=r"Received: Sequential\. A model itself does not travel"):
        of(classifier)
    with pytest.raises(TypeError, match=r"Received: NoneType"):
        of(None)
    with pytest.raises(
        ValueError, match=r"Received: 'saved_model'\. For a model stored in another way"
    ):
        of("saved_model")
    with pytest.raises(
        FileNotFoundError, match=r"no model '.*a\.keras' on .*Actors must reach `model_path`"
    ):
        of(tmp_path / "a.keras").load()
    (tmp_path / "b.keras").write_bytes(b"no archive")
    with pytest.raises(ValueError, match=r"'.*b\.keras', cannot be loaded as a Keras model"):
        of(tmp_path / "b.keras").load()


def test_a_model_of_an_older_file(classifier, tmp_path):
    classifier.save(tmp_path / "old.h5")
    model = of(tmp_path / "old.h5").load()
    assert isinstance(model, keras.Model)
    same(model, classifier)
