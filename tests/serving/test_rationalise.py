"""The signature that changes images finds what the search itself finds."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from linear_rationale_models import drawn, small_models

from keras_pli.rationale import STATUSES, RationaleGenerator
from keras_pli.serving import export


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    generator, encoder, classifier = small_models(of_images=True)
    images = drawn(generator, 6)[0]
    search = RationaleGenerator(generator, encoder, classifier, steps=200)
    path = tmp_path_factory.mktemp("m")
    version = export(classifier, path, rationales=search, examples=images, warmup=None)
    return search, images, tf.saved_model.load(str(version)).signatures["rationalize"]


def test_equal_to_the_search(served):
    search, images, signature = served
    name = next(key for key in signature.structured_input_signature[1] if key != "target")
    expected = search(images)
    found = signature(**{name: images, "target": np.full(len(images), -1, np.int32)})
    assert "reached" in expected.status
    np.testing.assert_array_equal(found["target"], expected.target)
    np.testing.assert_array_equal([STATUSES[k] for k in found["status"].numpy()], expected.status)
    np.testing.assert_allclose(found["rationales"], expected.rationales, atol=1e-4)
    np.testing.assert_allclose(found["images"], expected.images, atol=1e-4)


def test_bad_requests(served):
    _, images, signature = served
    name = next(key for key in signature.structured_input_signature[1] if key != "target")
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"from 0 to 3.*\[9\]"):
        signature(**{name: images[:1], "target": np.array([9], np.int32)})
    with pytest.raises(tf.errors.InvalidArgumentError, match="NaN or infinity in rows"):
        signature(**{name: images[:1] * np.nan, "target": np.array([1], np.int32)})


@pytest.mark.slow
def test_of_a_regressor(tmp_path):
    generator, encoder, _ = small_models()
    images = drawn(generator, 4)[0]
    regressor = keras.Sequential([keras.Input((3,), name="code"), keras.layers.Dense(1)])
    values = regressor(encoder(images)).numpy()[:, 0]
    cutoff = float(values.min()) - 0.2
    search = RationaleGenerator(
        generator, encoder, regressor, cutoff=cutoff, steps=200, task="regression"
    )
    codes = encoder(images).numpy()
    version = export(regressor, tmp_path, rationales=search, examples=codes, warmup=None)
    signature = tf.saved_model.load(str(version)).signatures["rationalize"]
    found = signature(image=images, target=np.full(4, np.nan, np.float32))
    np.testing.assert_allclose(found["images"], search(images).images, atol=1e-4)
