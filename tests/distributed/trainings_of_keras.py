"""Plain Keras models trained by Keras's own `fit`, with what users give it; see trainings.py."""

import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from trainings import recorder

_random = np.random.default_rng(0)
# Batches of 20, and a last one of 10: equal shares of it for two replicas.
X = _random.normal(size=(110, 4)).astype(np.float32)
Y = np.argmax(X[:, :3] + 0.5 * _random.normal(size=(110, 3)), axis=1)
BATCH = 20


def classifier(*between, dtype=None, name=None, rate=0.5):
    keras.utils.set_random_seed(1)
    hidden = keras.layers.Dense(8, "relu", dtype=dtype)
    head = keras.layers.Dense(3, "softmax", dtype=dtype)
    model = keras.Sequential([keras.Input((4,)), hidden, *between, head])
    model.compile(
        keras.optimizers.SGD(rate, momentum=0.5),
        keras.losses.SparseCategoricalCrossentropy(),
        metrics=["accuracy"],
    )
    return model


def results(model, kept):
    """Losses of the steps, losses of the epochs, what `evaluate` and `predict` give, and the weights."""
    history = model.history.history
    return {
        "losses": np.array(kept.losses),
        "history": np.array([history[name] for name in sorted(history)]),
        "evaluated": model.evaluate(X, Y, batch_size=BATCH, verbose=0),
        "predicted": model.predict(X, batch_size=BATCH, verbose=0),
        "weights": np.concatenate([np.ravel(weight) for weight in model.get_weights()]),
    }


def plain(strategy):
    """Arrays, validation, and Keras's callbacks, with files as the documentation tells to name them."""
    number = getattr(strategy, "worker_number", 0)
    with strategy.scope():
        model = classifier()
    with tempfile.TemporaryDirectory() as folder:
        best = Path(folder) / f"best-{number}.keras"
        table = Path(folder) / "log.csv"
        kept = recorder()
        callbacks = [
            kept,
            keras.callbacks.ModelCheckpoint(best, monitor="val_accuracy", save_best_only=True),
            # It learns for two epochs, and from then on too little for the callback.
            keras.callbacks.EarlyStopping("loss", min_delta=0.1, patience=1),
            *([keras.callbacks.CSVLogger(table)] if not number else []),
        ]
        fit = {"batch_size": BATCH, "epochs": 8, "shuffle": True, "verbose": 0}
        model.fit(X, Y, validation_data=(X[:60], Y[:60]), callbacks=callbacks, **fit)
        found = results(model, kept)
        if not number:
            rows = np.genfromtxt(table, delimiter=",", names=True)
            assert np.allclose(rows["loss"], model.history.history["loss"])
        # What was stored, on one replica.
        with tf.distribute.get_strategy().scope():
            found["stored"] = keras.saving.load_model(best)(X).numpy()
    return found


def weighted(strategy):
    """A `tf.data` data set, a metric that is a vector, and weights of the classes."""
    keras.utils.set_random_seed(1)
    with strategy.scope():
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax")])
        model.compile(
            keras.optimizers.SGD(0.5),
            keras.losses.CategoricalCrossentropy(),
            metrics=[keras.metrics.F1Score(average=None)],
        )
    data = tf.data.Dataset.from_tensor_slices((X, np.eye(3, dtype=np.float32)[Y])).batch(BATCH)
    kept = model.fit(data, epochs=2, class_weight={0: 1.0, 1: 3.0, 2: 0.5}, verbose=0).history
    scores = model.evaluate(data, return_dict=True, verbose=0)
    return {
        "losses": kept["loss"],
        "scores": np.array(kept["f1_score"]),
        "evaluated": scores["f1_score"],
        "weights": np.concatenate([np.ravel(weight) for weight in model.get_weights()]),
    }


def normalised(strategy):
    """Batch normalisation, of which each replica sees its own rows."""
    with strategy.scope():
        model = classifier(keras.layers.BatchNormalization(momentum=0.5))
    kept = recorder()
    model.fit(X, Y, batch_size=BATCH, epochs=2, shuffle=False, verbose=0, callbacks=[kept])
    # The statistics for inference differ between replicas, too; see `synchronised`.
    weights = [np.ravel(weight.numpy()) for weight in model.trainable_variables]
    return {"losses": np.array(kept.losses), "weights": np.concatenate(weights)}


def synchronised(strategy):
    """Batch normalisation over the rows of all replicas."""
    with strategy.scope():
        model = classifier(keras.layers.BatchNormalization(momentum=0.5, synchronized=True))
    kept = recorder()
    fit = {"batch_size": BATCH, "epochs": 2, "shuffle": False, "verbose": 0}
    model.fit(X, Y, callbacks=[kept], validation_split=0.2, **fit)
    return results(model, kept)


def mixed(strategy):
    """Half precision, with a scaled loss."""
    policy = keras.mixed_precision.DTypePolicy("mixed_float16")
    with strategy.scope():
        model = classifier(dtype=policy)
    kept = recorder()
    model.fit(X, Y, batch_size=BATCH, epochs=2, shuffle=False, verbose=0, callbacks=[kept])
    return results(model, kept)


def uneven(strategy):
    """Linear regression, with a last batch of which replicas cannot have equal shares.

    Under MirroredStrategy, Keras cannot begin with such a batch.
    """
    with strategy.scope():
        line = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")
        model = keras.Sequential([keras.Input((4,)), line])
        model.compile(keras.optimizers.SGD(0.1), keras.losses.MeanSquaredError())
    fit = {"batch_size": 4, "shuffle": False, "verbose": 0}
    return {
        "loss": model.fit(X[:7], X[:7, :1] ** 2, **fit).history["loss"],
        "weights": model.get_weights()[0],
    }


TRAININGS = {
    "plain": plain,
    "weighted": weighted,
    "normalised": normalised,
    "synchronised": synchronised,
    "mixed": mixed,
    "uneven": uneven,
}
