"""Maps and decoders of a few points, trained for a few steps; see trainings.py."""

import keras
import numpy as np
from trainings import recorder

POINTS = np.random.default_rng(7).normal(size=(90, 6)).astype(np.float32)
FIT = {"epochs": 2, "batch_size": 31, "steps_per_epoch": 3, "verbose": 0}


def tsne(strategy):
    """Batches of points, of which two replicas cannot have equally many; and what evaluating them gives."""
    from keras_pli.embedding import ParametricTSNE

    with strategy.scope():
        model = ParametricTSNE(perplexity=8, hidden_units=(8, 6), seed=0)
        model.compile(keras.optimizers.SGD(0.05))
    kept = recorder()
    model.fit(POINTS, callbacks=[kept], **FIT)
    return {
        "losses": np.array(kept.losses),
        "weights": np.concatenate([np.ravel(weight) for weight in model.get_weights()]),
        "map": model.predict(POINTS, verbose=0),
    }


TRAININGS = {"tsne": tsne}
