"""What a server answers for `embed` is what the map says, whatever its objective, network and input."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_pli as kp

SMALL = {"hidden_units": (12,), "seed": 0}
MAPS = {
    "tsne": lambda: kp.ParametricTSNE(perplexity=10, **SMALL),
    "umap": lambda: kp.ParametricUMAP(3, n_neighbors=8, metric="cosine", **SMALL),
    "contrastive": lambda: kp.ContrastiveEmbedding(n_neighbors=8, principal_components=2, **SMALL),
}


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=() if kind == "umap" else pytest.mark.slow) for kind in MAPS],
)
def test_a_served_map_answers_as_the_map(kind, tmp_path):
    keras.utils.set_random_seed(0)
    hidden = layers.Dense(5, "relu", name="hidden")
    classifier = keras.Sequential([keras.Input((6,), name="measured"), hidden, layers.Dense(3)])
    random = np.random.default_rng(1)
    # The last rows lie so far away that the map's projection squashes them.
    x = np.concatenate([random.normal(size=(60, 6)), 50 * random.normal(size=(4, 6))])
    z = kp.activations(classifier, x.astype("float32"), layer="hidden")
    embedder = MAPS[kind]()
    embedder.fit(z, epochs=1, steps_per_epoch=4, verbose=0)
    written = kp.export(
        classifier, tmp_path / "model", embedder=embedder, layer="hidden", warmup=None
    )
    served = tf.saved_model.load(str(written)).signatures["embed"]
    found = served(measured=tf.constant(x, tf.float32))["embedding"]
    assert found.shape == (64, embedder.components)
    np.testing.assert_allclose(found, embedder.predict(z, verbose=0), rtol=1e-3, atol=1e-4)
