"""On JAX, maps and retrainings are the same on two devices, which share the points of each batch out."""

import numpy as np
import pytest
from test_backends import run_under_jax

# Both devices are the processor. What is compared are single steps: JAX sums in another order on two.
BEGIN = """
    import os
    os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
    import jax, keras, numpy as np

    devices = {devices}
    if devices == 2:
        both = keras.distribution.list_devices()
        assert len(both) == 2
        keras.distribution.set_distribution(keras.distribution.DataParallel(devices=both))
    keras.utils.set_random_seed(0)
    parts = []

    class Watched(keras.layers.Layer):
        def call(self, rows, training=False):
            if training:
                shape = rows.shape
                jax.debug.inspect_array_sharding(
                    rows, callback=lambda found: parts.append(found.shard_shape(shape))
                )
            return rows

    class Losses(keras.callbacks.Callback):
        found = []

        def on_train_batch_end(self, batch, logs=None):
            self.found.append([float(logs[name]) for name in sorted(logs)])

    def drawn(model):
        random = np.random.default_rng(0)
        model.set_weights([0.3 * random.normal(size=w.shape) for w in model.get_weights()])
        return model

    def flat(model):
        return np.concatenate([np.ravel(w) for w in model.get_weights()])
"""

MAPS = """
    from keras_pli.embedding import ContrastiveEmbedding, ParametricTSNE, ParametricUMAP

    z = np.random.default_rng(7).normal(size=(91, 6)).astype("float32")
    found = {}
    for name, cls, own, size in (
        ("tsne", ParametricTSNE, {"perplexity": 8}, 31),
        ("umap", ParametricUMAP, {"n_neighbors": 6}, 30),
        ("contrastive", ContrastiveEmbedding, {"n_neighbors": 6}, 26),
    ):
        layers = [keras.Input((6,)), Watched(), keras.layers.Dense(8, "tanh"), keras.layers.Dense(2)]
        model = cls(network=drawn(keras.Sequential(layers)), seed=0, **own)
        model.compile(keras.optimizers.SGD(0.01))
        fit = dict(epochs=1, batch_size=size, steps_per_epoch=4, verbose=0)
        history = model.fit(z, callbacks=[Losses()], validation_data=z[:41], **fit).history
        found[f"{name} validation"] = history["val_loss"]
        found[f"{name} map"] = model.predict(z, verbose=0)
        found[f"{name} weights"] = flat(model)
    found["evaluated"] = model.evaluate(z[:43], batch_size=29, verbose=0)
    default = ParametricTSNE(perplexity=8, hidden_units=(8,), seed=0)
    default.compile(keras.optimizers.SGD(0.01))
    default.fit(z, epochs=1, batch_size=31, steps_per_epoch=4, pretrain_epochs=1, verbose=0)
    found["default map"] = default.predict(z, verbose=0)
    np.savez(f"found{devices}.npz", losses=Losses.found, parts=parts, **found)
"""

RETRAINING = """
    from sklearn.datasets import load_digits
    from keras_pli.embedding import ParametricTSNE
    from keras_pli.network.activations import activations
    from keras_pli.retraining.loss import PLILoss
    from keras_pli.retraining.model import PLIModel

    x, labels = load_digits(return_X_y=True)
    x, labels = x[:120].astype("float32") / 16, labels[:120]
    layers = [keras.Input((64,)), Watched(), keras.layers.Dense(16, "tanh")]
    classifier = drawn(keras.Sequential([*layers, keras.layers.Dense(10, "softmax")]))
    logits = activations(classifier, x)
    tsne = ParametricTSNE(perplexity=20, hidden_units=(20,), seed=0)
    tsne.compile(keras.optimizers.SGD(0.01))
    tsne.fit(logits, epochs=1, batch_size=60, steps_per_epoch=3, verbose=0)
    y = tsne.predict(logits, verbose=0)
    pli = PLIModel(classifier, tsne)
    pli.compile(keras.optimizers.SGD(0.005), loss=PLILoss(embedding_weight=0.5))
    goal = {"label": labels, "embedding": y + 0.2}
    pli.fit(x, goal, epochs=1, batch_size=20, shuffle=False, callbacks=[Losses()], verbose=0)
    np.savez(f"found{devices}.npz", losses=Losses.found, parts=parts, map=y, weights=flat(classifier))
"""


def on_one_and_two(script, tmp_path):
    """What a script has found on one device, and on two."""
    for devices in (1, 2):
        run_under_jax(BEGIN.replace("{devices}", str(devices)) + script, tmp_path)
    return [dict(np.load(tmp_path / f"found{devices}.npz")) for devices in (1, 2)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "parts"),
    [
        (MAPS, ([[31, 6], [30, 6], [26, 6]], [[16, 6], [15, 6], [13, 6]])),
        (RETRAINING, ([[20, 64]], [[10, 64]])),
    ],
    ids=["maps", "retraining"],
)
def test_devices_share_batches_out(tmp_path, script, parts):
    pytest.importorskip("jax")
    one, two = on_one_and_two(script, tmp_path)
    for found, expected in zip((one, two), parts, strict=True):
        shapes = found.pop("parts").tolist()
        assert sorted(map(tuple, shapes)) == sorted(map(tuple, expected))
    assert one.keys() == two.keys()
    assert len(np.unique(one["losses"], axis=0)) == len(one["losses"]) > 3
    for name, array in one.items():
        np.testing.assert_allclose(two[name], array, rtol=1e-5, atol=1e-5, err_msg=name)
