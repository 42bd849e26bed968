"""Trainings of `PLIModel`: each of a few steps of SGD, under which a wrong scale of a gradient would show."""

import numpy as np
from trainings import recorder

BATCH = 12
SAMPLES = 4 * BATCH


def samples():
    """Inputs, labels and targets with a third of them moved."""
    random = np.random.default_rng(5)
    x = random.normal(size=(SAMPLES, 6)).astype("float32")
    y = {
        "label": random.integers(0, 3, SAMPLES),
        "embedding": random.normal(size=(SAMPLES, 2)).astype("float32"),
        "moved": (np.arange(SAMPLES) % 3 == 0).astype("float32"),
    }
    return x, y


def networks(regularised=True):
    """A classifier with losses of its own layers, and an embedder of its logits."""
    import keras

    of_layer = {"kernel_regularizer": "l2", "activity_regularizer": keras.regularizers.L2(0.1)}
    layers = [
        keras.layers.Dense(8, "relu", **of_layer if regularised else {}),
        keras.layers.Dense(3, "softmax"),
    ]
    classifier = keras.Sequential([keras.Input((6,)), *layers])
    embedder = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    return classifier, embedder


def fitted(strategy, loss, *, outside=False, rate=0.3, regularised=True, **settings):
    """The losses of the steps, what the history holds, and the weights."""
    import keras

    from keras_pli import PLIModel

    _, outer = networks()
    with strategy.scope():
        classifier, inner = networks(regularised)
        optimizer = keras.optimizers.SGD(rate)
    # What is made outside of the scope goes by the classifier's.
    pli = PLIModel(classifier, outer if outside else inner)
    pli.compile(optimizer, loss, metrics=["accuracy"])
    steps = recorder()
    x, y = samples()
    settings = {"x": x, "y": y, "batch_size": BATCH} | settings
    settings["callbacks"] = [steps, *settings.get("callbacks", ())]
    history = pli.fit(**settings, epochs=2, shuffle=False, verbose=0).history
    return {
        "steps": np.array(steps.losses)[:, -1],
        **{name: np.array(values) for name, values in history.items()},
        **{
            f"weight{number}": np.array(each)
            for number, each in enumerate(classifier.get_weights())
        },
    }


def plain(strategy):
    """λ with all that weighs samples, and losses of the classifier's layers."""
    from keras_pli import PLILoss

    x, y = samples()
    return fitted(
        strategy,
        PLILoss(embedding_weight=0.4, moved_only=True),
        sample_weight=np.linspace(0.5, 2, SAMPLES).astype("float32"),
        class_weight={0: 2.0, 1: 0.5},
        validation_data=(x[: BATCH + 4], y["label"][: BATCH + 4]),
    )


def from_data_set(strategy):
    """Batches of a data set, as Keras takes them, and a map made outside of the scope."""
    import tensorflow as tf

    from keras_pli import PLILoss

    data = tf.data.Dataset.from_tensor_slices(samples()).batch(BATCH)
    loss = PLILoss(embedding_weight=0.2)
    return fitted(strategy, loss, outside=True, x=data, y=None, batch_size=None)


def of_one_number(strategy):
    """A loss that is the mean of the batch by itself, which Keras does not divide."""
    from keras import ops

    from keras_pli import PLILoss

    def distance(labels, outputs):
        return ops.mean(ops.square(ops.one_hot(ops.cast(labels, "int32"), 3) - outputs))

    return fitted(strategy, PLILoss(distance, embedding_weight=0.3, scale=2.0))


def unreduced(strategy):
    """A loss that is not reduced, whose gradients Keras adds up over samples."""
    import keras

    from keras_pli import PLILoss

    loss = keras.losses.SparseCategoricalCrossentropy(reduction=None)
    loss = PLILoss(loss, embedding_weight=0.3)
    found = fitted(strategy, loss, rate=0.02, regularised=False)
    # Keras logs its size for one replica only.
    return {key: array for key, array in found.items() if key not in ("steps", "loss")}


def automatic(strategy):
    """λ by a pilot that is trained under the strategy, too."""
    from keras_pli import PLILoss

    return fitted(strategy, PLILoss(embedding_weight="auto", most_cost=0.1))


def watched(strategy):
    """Callbacks that look at the model and give it back earlier weights."""
    from keras_pli import PLILoss
    from keras_pli.callbacks import AccuracyGuard, EmbeddingResponse, PerformanceResponse

    guard = AccuracyGuard(most_cost=0.0)
    watching = [guard, PerformanceResponse(), EmbeddingResponse()]
    found = fitted(strategy, PLILoss(embedding_weight=0.9), callbacks=watching)
    kept = -1 if guard.kept_epoch is None else guard.kept_epoch
    return found | {"guard": np.array([guard.accuracy_before, kept, guard.restored])}


def experiment(strategy):
    """Both arms of an experiment, and the pilot that finds λ; only the networks are made in the scope."""
    import keras

    from keras_pli import pli_experiment
    from keras_pli.intervention import InterventionPlan, Shift

    with strategy.scope():
        classifier, embedder = networks()
    x, y = samples()
    run = pli_experiment(
        classifier,
        (x, y["label"]),
        (x, y["label"]),
        InterventionPlan([Shift(1, by=(1.0, 0.5))]),
        embedder=embedder,
        embedding_weight="auto",
        most_cost=0.2,
        loss="sparse_categorical_crossentropy",
        optimizer=keras.optimizers.SGD(0.1),
        seeds=1,
        epochs=1,
        batch_size=BATCH,
        verbose=0,
    ).runs[0]
    return {
        "found": np.array([run.embedding_weight]),
        **{f"map {name}": np.asarray(array) for name, array in run.test_maps.items()},
        **{f"outputs {name}": np.asarray(array) for name, array in run.outputs.items()},
    }


def without_map(strategy, *, with_keras=False):
    """λ = 0, or plain Keras, with all that weighs samples and a last batch of fewer samples than replicas."""
    import keras

    from keras_pli import PLILoss, PLIModel

    x, y = samples()
    rows, weights = 2 * BATCH + 1, np.linspace(0.5, 2, SAMPLES).astype("float32")
    with strategy.scope():
        classifier, embedder = networks()
        optimizer, name = keras.optimizers.SGD(0.3), "sparse_categorical_crossentropy"
        model = classifier if with_keras else PLIModel(classifier, embedder)
        model.compile(optimizer, name if with_keras else PLILoss(name, embedding_weight=0.0))
    # Keras's own training takes class weights or a weight for each sample.
    model.fit(
        x[:rows],
        y["label"][:rows],
        sample_weight=weights[:rows],
        batch_size=BATCH,
        epochs=2,
        shuffle=False,
        verbose=0,
    )
    return {f"weight{number}": each for number, each in enumerate(classifier.get_weights())}


def with_keras(strategy):
    """The same by the classifier's own `fit`."""
    return without_map(strategy, with_keras=True)


def small_last(strategy):
    """A last batch of one sample, of which one replica has none."""
    from keras_pli import PLILoss

    x, y = samples()
    rows = slice(2 * BATCH + 1)
    targets = {name: array[rows] for name, array in y.items()}
    return fitted(strategy, PLILoss(embedding_weight=0.4), rate=0.05, x=x[rows], y=targets)


TRAININGS = {
    "plain": plain,
    "without_map": without_map,
    "with_keras": with_keras,
    "from_data_set": from_data_set,
    "of_one_number": of_one_number,
    "unreduced": unreduced,
    "automatic": automatic,
    "watched": watched,
    "experiment": experiment,
    "small_last": small_last,
}
# Each replica's part of a batch counts alike in Keras, so that these are not those of one replica.
UNEVEN = ("without_map", "with_keras", "small_last")
