"""Maps and decoders of a few points, trained for a few steps; see trainings.py."""

import keras
import numpy as np
from trainings import recorder

POINTS = np.random.default_rng(7).normal(size=(90, 6)).astype(np.float32)
FIT = {"epochs": 2, "batch_size": 30, "steps_per_epoch": 3, "verbose": 0}


def flat(model):
    """The weights of a model in one array, with its step and all else that it keeps."""
    return np.concatenate([np.ravel(weight) for weight in model.get_weights()])


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
    return {"losses": history["loss"], "map": model.predict(POINTS, verbose=0)}


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
        model.compile(keras.optimizers.SGD(0.05), steps_per_execution=1)
    kept = recorder()
    model.fit(images, callbacks=[kept], pretrain_epochs=1, **FIT)
    return {
        "losses": kept.losses,
        "weights": flat(model),
        "map": model.predict(images, verbose=0),
    }


def contrastive(strategy):
    """The mean of the objectives of each replica's own batch."""
    from keras_pli.embedding import ContrastiveEmbedding

    model, losses = trained(
        strategy,
        lambda: ContrastiveEmbedding(
            n_neighbors=6, hidden_units=(8,), seed=0, across_replicas="mean"
        ),
        pretrain_epochs=1,
    )
    return {"losses": losses, "weights": flat(model)}


class Interrupted(keras.callbacks.Callback):
    """Ends a training in the middle of its second epoch."""

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.optimizer.iterations) == 5:
            raise KeyboardInterrupt


TRAININGS = {"tsne": tsne, "edges": edges, "umap": umap, "contrastive": contrastive}
