"""Embedding and retraining on another Keras backend, in a process of its own."""

import os
import pathlib
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
from small_maps import KINDS, QUICK, about_centre, few_digits, mapped, quick

ROOT = pathlib.Path(__file__).parents[2]


HERE = pathlib.Path(__file__).parent


def run_under_jax(script, tmp_path):
    """Runs a script with Keras on JAX, and with TensorFlow out of reach."""
    environment = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(HERE)]),
    }
    script = "import sys; sys.modules['tensorflow'] = None\n" + textwrap.dedent(script)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]


EMBEDDING = """
    import keras, numpy as np
    from sklearn.datasets import load_digits
    from sklearn.manifold import trustworthiness
    from keras_pli.embedding import ParametricTSNE

    assert keras.backend.backend() == "jax"
    z = load_digits().data[:600].astype("float32")
    for batches in ("neighbors", "uniform"):
        tsne = ParametricTSNE(perplexity=20, hidden_units=(100, 50), batches=batches, seed=0)
        fit = dict(epochs=4, batch_size=200, pretrain_epochs=2, steps_per_epoch=30, verbose=0)
        history = tsne.fit(z, validation_data=z[:200], **fit).history
        assert set(history) == {"loss", "kl", "val_loss", "val_kl"}
        assert np.isfinite([*history["kl"], *history["val_kl"]]).all()
        assert history["kl"][-1] < history["kl"][0]
        y = tsne.predict(z, verbose=0)
        assert trustworthiness(z, y, n_neighbors=12) > 0.95
        tsne.save("map.keras")
        again = keras.models.load_model("map.keras")
        np.testing.assert_allclose(again.predict(z, verbose=0), y, atol=1e-4)
        more = again.fit(z, **{**fit, "epochs": 1}).history
        assert more["kl"][0] < history["kl"][1]
        assert np.isfinite(again.evaluate(z, verbose=0)).all()

    z[100:300] = z[100]  # duplicates
    tsne = ParametricTSNE(perplexity=20, hidden_units=(20,), seed=0)
    tsne.fit(z, epochs=1, pretrain_epochs=0, steps_per_epoch=5, verbose=0)
    assert np.isfinite(tsne.predict(z, verbose=0)).all()
"""

RETRAINING = """
    import keras, numpy as np
    from sklearn.datasets import load_digits
    from keras_pli.embedding import ParametricTSNE
    from keras_pli.intervention import InterventionPlan, Shift
    from keras_pli.network.activations import activations
    from keras_pli.retraining.loss import PLILoss
    from keras_pli.retraining.model import PLIModel

    keras.utils.set_random_seed(0)
    x, labels = load_digits(return_X_y=True)
    x, labels = x[:600].astype("float32") / 16, labels[:600]
    classifier = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    classifier.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    classifier.fit(x, labels, epochs=30, verbose=0)

    logits = activations(classifier, x)
    tsne = ParametricTSNE(perplexity=20, hidden_units=(50,), seed=0)
    tsne.fit(logits, epochs=3, batch_size=200, steps_per_epoch=30, verbose=0)
    y = tsne.predict(logits, verbose=0)
    targets = y + np.where(labels == 3, 1.0, 0.0)[:, None] * y.std()
    before = [np.array(w) for w in tsne.weights]
    kernel = np.array(classifier.layers[0].kernel)

    pli = PLIModel(classifier, tsne)
    pli.compile("adam", loss=PLILoss(embedding_weight=0.5), metrics=["accuracy"])
    history = pli.fit(x, {"label": labels, "embedding": targets}, epochs=12, verbose=0).history
    assert history["embedding_loss"][-1] < 0.8 * history["embedding_loss"][0]
    assert history["accuracy"][-1] > 0.9
    assert all(np.array_equal(b, w) for b, w in zip(before, tsne.weights, strict=True))
    assert not np.array_equal(kernel, classifier.layers[0].kernel)
    classifier.predict(x, verbose=0)

    y, kernel = pli.predict(x, verbose=0)["embedding"], np.array(classifier.layers[0].kernel)
    plan = InterventionPlan([Shift(3, by=[float(y.std()), 0.0])])
    check = plan.check(y, labels, model=pli, x=x)
    assert 0.1 < check.pilot_share < 1.2 and check.moves[0].layer_share > 0.5
    assert np.array_equal(kernel, classifier.layers[0].kernel)
"""


DECODING = """
    import keras, numpy as np
    from sklearn.datasets import load_digits
    from keras_pli.embedding import MapDecoder, ParametricTSNE

    z = load_digits().data[:600].astype("float32") / 16
    tsne = ParametricTSNE(perplexity=20, hidden_units=(100, 50), seed=0)
    tsne.fit(z, epochs=3, batch_size=200, steps_per_epoch=30, verbose=0)
    before = [np.array(w) for w in tsne.weights]
    pixels = keras.Sequential([keras.Input((64,)), keras.layers.Reshape((8, 8, 1))])
    decoder = MapDecoder(tsne, generator=pixels, seed=0)
    history = decoder.fit(z, epochs=20, batch_size=64, verbose=0).history
    assert all(np.array_equal(b, w) for b, w in zip(before, tsne.weights, strict=True))
    assert decoder.error == history["val_error"][-1] < 0.7 * history["val_error"][0]
    y = tsne.predict(z, verbose=0)
    decoder.save("decoder.keras")
    again = keras.models.load_model("decoder.keras")
    np.testing.assert_allclose(again.images(y[:9]), decoder.images(y[:9]), atol=1e-5)
    assert again.error == decoder.error

    found = decoder.activations_at(y[:20], start=z[20:40])
    assert found.reached.mean() > 0.9
    placed = tsne.predict(found.activations, verbose=0)
    spread = float(tsne.spread) ** 0.5
    assert np.abs(placed - y[:20])[found.reached].max() < 0.011 * spread
    exchange = np.linalg.norm(z[:20] - z[20:40], axis=1) / (8 * float(decoder.scale))
    assert np.median(found.change) < 0.7 * np.median(exchange)
"""

SAME_MAP = """
    import keras, numpy as np
    from small_maps import KINDS, few_digits
    import keras_pli.embedding

    assert keras.backend.backend() == "jax"
    z, found = few_digits(), {}
    for kind in KINDS:
        for optimizer in ("adam", "sgd"):
            model = keras.models.load_model(f"{kind} {optimizer}.keras")
            found[f"{kind} {optimizer} before"] = model.predict(z, verbose=0)
            model.fit(z, epochs=1, batch_size=100, steps_per_epoch=10, verbose=0)
            found[f"{kind} {optimizer}"] = model.predict(z, verbose=0)
    np.savez("found.npz", **found)
"""


@pytest.mark.slow
class TestJAX:
    @pytest.fixture(autouse=True)
    def jax(self):
        pytest.importorskip("jax")

    def test_embedding(self, tmp_path):
        run_under_jax(EMBEDDING, tmp_path)

    def test_the_same_map_from_the_same_seed_and_weights(self, tmp_path):
        z, expected = few_digits(), {}
        for kind in KINDS:
            for name in ("adam", "sgd"):
                model = quick(kind, z)
                if name == "sgd":
                    model.compile(keras.optimizers.SGD(0.02))
                model.save(tmp_path / f"{kind} {name}.keras")
                expected[f"{kind} {name} before"] = mapped(model, z)
                model.fit(z, **{**QUICK, "epochs": 1, "steps_per_epoch": 10})
                expected[f"{kind} {name}"] = mapped(model, z)
        run_under_jax(SAME_MAP, tmp_path)
        found = np.load(tmp_path / "found.npz")
        for name, y in expected.items():
            there, here = found[name], y
            if name.endswith("adam"):
                there, here = about_centre(there), about_centre(here)
            np.testing.assert_allclose(there, here, atol=1e-4 * y.std())

    def test_retraining(self, tmp_path):
        run_under_jax(RETRAINING, tmp_path)

    def test_decoding(self, tmp_path):
        run_under_jax(DECODING, tmp_path)
