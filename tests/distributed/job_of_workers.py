"""A job of two workers: a plain classifier, and one retrained with its map; for test_lost_workers.py.

`python job_of_workers.py FILE BACKUPS [MARK]` writes the weights of both as arrays of FILE. With MARK, the
worker whose number the variable KILLED has is killed in the middle of an epoch of each training, once.
"""

import os
import signal
import sys
from pathlib import Path

import keras
import numpy as np

import keras_pli as kp
from keras_pli.distributed import BackupAndRestore, MultiWorkerMirroredStrategy

random = np.random.default_rng(0)
X = random.normal(size=(48, 4)).astype(np.float32)
Y, TARGETS = np.argmax(X[:, :3], axis=1), random.normal(size=(48, 2)).astype(np.float32)
FIT = {"batch_size": 8, "epochs": 3, "shuffle": False, "verbose": 0}


class Killed(keras.callbacks.Callback):
    def __init__(self, mark):
        super().__init__()
        self.mark, self.epoch = mark, 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == (1, 2) and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)


def network(head):
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(6, "relu"), *head])


def main(file, backups, mark=None):
    keras.utils.set_random_seed(1)  # before any layer draws the seed of its weights
    strategy = MultiWorkerMirroredStrategy()

    def callbacks(name):
        # Each worker has a folder of its own, as on machines that share none.
        backup = BackupAndRestore(
            Path(backups) / f"{name}-{strategy.worker_number}", delete_checkpoint=False
        )
        dies = mark is not None and strategy.worker_number == int(os.environ.get("KILLED", "1"))
        return [backup, *([Killed(Path(f"{mark}-{name}"))] if dies else [])]

    with strategy.scope():
        plain = network([keras.layers.Dense(3, "softmax")])
        plain.compile("adam", "sparse_categorical_crossentropy")
    plain.fit(X, Y, callbacks=callbacks("plain"), **FIT)
    with strategy.scope():
        inputs = keras.Input((3,))
        embedder = keras.Model(inputs, keras.layers.Dense(2)(inputs))
        classifier = network([keras.layers.Dense(3), keras.layers.Softmax()])
        pli = kp.PLIModel(classifier, embedder)
        pli.compile("adam", kp.PLILoss(embedding_weight=0.5, scale=1.0))
    pli(X[:1])
    pli.fit(X, {"label": Y, "embedding": TARGETS}, callbacks=callbacks("pli"), **FIT)
    if strategy.is_chief:
        weights = {"plain": plain.get_weights(), "pli": pli.get_weights()}
        np.savez(
            file,
            **{name: np.concatenate([np.ravel(w) for w in ws]) for name, ws in weights.items()},
        )
    others = sorted(Path(backups).glob("*-1"))
    assert strategy.is_chief or not others, others


if __name__ == "__main__":
    main(*sys.argv[1:])
