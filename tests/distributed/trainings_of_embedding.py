"""Maps and decoders of a few points, trained for a few steps; see trainings.py."""

import contextlib
import tempfile

import keras
import numpy as np
from trainings import recorder

POINTS = np.random.default_rng(7).normal(size=(90, 6)).astype(np.float32)
SMALL = {"hidden_units": (8,), "seed": 0}
FIT = {"epochs": 2, "batch_size": 30, "steps_per_epoch": 3, "verbose": 0}


def number(variable):
    """A variable's value, which is on every replica."""
    return int(keras.ops.convert_to_numpy(variable))


def flat(model):
    """The weights of a model in one array, with its step and all else that it keeps."""
    return np.concatenate([np.ravel(weight) for weight in model.get_weights()])


def small_tsne():
    from keras_pli.embedding import ParametricTSNE

    return ParametricTSNE(perplexity=8, **SMALL)


def trained(strategy, make, *, rate=0.05, **fit):
    """A model of a few steps, and their losses."""
    with strategy.scope():
        model = make()
        model.compile(keras.optimizers.SGD(rate), steps_per_execution=1)
    kept = recorder()
    model.fit(POINTS, callbacks=[kept], **{**FIT, **fit})
    return model, np.array(kept.losses)


def tsne(strategy):
    """Batches of points, of which two replicas cannot have equally many; all that a map is asked after."""
    from keras_pli.embedding import ParametricTSNE

    model, losses = trained(
        strategy,
        lambda: ParametricTSNE(perplexity=8, hidden_units=(8, 6), seed=0),
        batch_size=31,
        validation_data=POINTS[:41],
    )
    found = {"losses": losses, "weights": flat(model), "map": model.predict(POINTS, verbose=0)}
    found["validation"] = [model.history.history[f"val_{name}"] for name in ("loss", "kl")]
    found["evaluated"] = model.evaluate(POINTS[:43], batch_size=29, verbose=0)
    with strategy.scope():
        model.compile(keras.optimizers.SGD(0.005), steps_per_execution=1)
    refit = model.refit(
        POINTS + 0.1, (np.arange(60), found["map"][:60]), 1, 31, steps_per_epoch=2, verbose=0
    )
    return {**found, "drift": refit.drift, "refitted": flat(model)}


def edges(strategy):
    """Batches of edges, Keras's default optimizer, and the early phase, which ends within an epoch."""
    from keras_pli.embedding import ParametricTSNE

    with strategy.scope():
        model = ParametricTSNE(perplexity=8, batches="neighbors", hidden_units=(8,), seed=0)
    history = model.fit(POINTS, **{**FIT, "batch_size": 26, "steps_per_epoch": 4}).history
    y = model.predict(POINTS, verbose=0)
    return {"losses": history["loss"], "map": y - y.mean(axis=0)}


def umap(strategy):
    """UMAP on a network of the caller's for images, led to its start by regression."""
    from keras_pli.embedding import ParametricUMAP

    images = POINTS.reshape(-1, 3, 2, 1)

    def make():
        layers = [
            keras.Input((3, 2, 1)),
            keras.layers.Conv2D(3, 2, activation="relu", kernel_regularizer="l2"),
            keras.layers.Flatten(),
            keras.layers.Dense(2, activation="tanh"),
        ]
        return ParametricUMAP(n_neighbors=6, network=keras.Sequential(layers), seed=0)

    with strategy.scope():
        model = make()
        model.compile(keras.optimizers.SGD(0.01), steps_per_execution=1)
    kept = recorder()
    model.fit(images, callbacks=[kept], pretrain_epochs=1, **FIT)
    return {
        "losses": kept.losses,
        "weights": flat(model),
        "map": model.predict(images, verbose=0),
    }


def contrastive(strategy):
    """The mean of the objectives of each replica's own batch, and the batches."""
    from keras_pli.embedding import ContrastiveEmbedding

    model, losses = trained(
        strategy,
        lambda: ContrastiveEmbedding(n_neighbors=6, across_replicas="mean", **SMALL),
        rate=0.01,
    )
    return {"losses": losses, "weights": flat(model.network)}


def decoder(strategy):
    """A decoder with noise on places, whose batches and last held-out batch two replicas share unequally."""
    from keras_pli.embedding import MapDecoder

    embedder, _ = trained(strategy, lambda: small_tsne())
    with strategy.scope():
        model = MapDecoder(embedder, hidden_units=(7,), smoothing=0.2, seed=0)
        model.compile(keras.optimizers.SGD(0.1))
    kept = recorder()
    history = model.fit(POINTS, 2, 27, callbacks=[kept], verbose=0).history
    return {
        "losses": np.array(kept.losses)[
            :, 1
        ],  # beside the errors, of which Keras takes a mean of ratios
        "errors": [history["error"], history["val_error"], history["val_loss"]],
        "decoded": model.predict(embedder.predict(POINTS[:31], verbose=0), verbose=0),
    }


class Interrupted(keras.callbacks.Callback):
    """Ends a training in the middle of its second epoch."""

    def on_train_batch_end(self, batch, logs=None):
        if number(self.model.optimizer.iterations) == 5:
            raise KeyboardInterrupt


def resumed(strategy):
    """A training that was interrupted, and resumed by a new model; then saved, loaded and trained on."""
    with tempfile.TemporaryDirectory() as folder:
        with strategy.scope():
            model = small_tsne()
        backup = [keras.callbacks.BackupAndRestore(f"{folder}/backup")]
        with contextlib.suppress(KeyboardInterrupt):
            model.fit(POINTS, callbacks=[*backup, Interrupted()], **FIT)
        with strategy.scope():
            model = small_tsne()
        model.fit(POINTS, callbacks=backup, **FIT)
        model.save(f"{folder}/map.keras")
        elsewhere = keras.models.load_model(f"{folder}/map.keras")  # on one device
        with strategy.scope():
            again = keras.models.load_model(f"{folder}/map.keras")
    again.fit(POINTS, **{**FIT, "epochs": 1})
    return {
        "step": number(model.step),
        "map": model.predict(POINTS, verbose=0),
        "elsewhere": elsewhere.predict(POINTS, verbose=0),
        "again": again.predict(POINTS, verbose=0),
    }


def straight(strategy):
    """The training that `resumed` interrupts, in one go."""
    with strategy.scope():
        model = small_tsne()
    model.fit(POINTS, **FIT)
    return {"step": number(model.step), "map": model.predict(POINTS, verbose=0)}


def refused(strategy):
    """What is said of a model made outside of a strategy's scope, of one without a seed, and of others."""
    from keras_pli.embedding import ContrastiveEmbedding, ParametricTSNE

    outside = small_tsne()
    with strategy.scope():
        unseeded = ParametricTSNE(perplexity=8, hidden_units=(8,))
        together = small_tsne()
        together.compile(keras.optimizers.SGD(0.05), steps_per_execution=2)
        few = ContrastiveEmbedding(n_neighbors=6, across_replicas="mean", **SMALL)
    said = {}
    for name, model in locals().copy().items():
        if not isinstance(model, keras.Model):
            continue
        try:
            with strategy.scope() if name == "outside" else contextlib.nullcontext():
                model.fit(POINTS, **{**FIT, "epochs": 1, "batch_size": 3 if name == "few" else 30})
            said[name] = ""
        except ValueError as error:
            said[name] = str(error)
    return said


TRAININGS = {
    "tsne": tsne,
    "contrastive": contrastive,
    "decoder": decoder,
    "edges": edges,
    "umap": umap,
    "straight": straight,
    "resumed": resumed,
    "refused": refused,
}
