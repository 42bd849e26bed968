"""Trains models of every room in a process of its own: on one replica, on several, or as one of two workers.

`python trainings.py FILE NAME … --replicas 2` writes what each training gave as arrays `NAME/key` of FILE;
`--worker I --port P` makes it worker I of two, that meet at P and the port after it.

A file `trainings_of_ROOM.py` beside this one holds `TRAININGS`, functions by name. Each is called with a
strategy (TensorFlow's default one, for one replica), makes and trains a model in its scope, and returns
arrays by name: the losses of the steps, and the weights.
"""

import argparse
import json
import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
# What every test run trains, and where: on one replica, two of a machine, two workers. Wherever else, and all
# that is not named here, the slow tests train.
EVERY_RUN = {"retraining.plain": ("one", 0, 1)}


def cases(room, names, kinds):
    """Parameters `(name, kind)` of a test on trainings of a room, marked slow where they are."""
    import pytest

    return [
        pytest.param(
            name, kind, marks=() if in_every_run(f"{room}.{name}", kind) else pytest.mark.slow
        )
        for name in names
        for kind in kinds
    ]


def in_every_run(name, kind):
    """Whether every test run makes a training there."""
    return kind in EVERY_RUN.get(name, ())


def assert_alike(found, expected, tolerance=1e-5):
    """Arrays of two trainings are the same but for that much, and that share, of each number."""
    import numpy as np

    assert found.keys() == expected.keys() and len(expected) > 0
    for name, array in expected.items():
        assert np.isfinite(array).all(), name
        np.testing.assert_allclose(found[name], array, rtol=tolerance, atol=tolerance, err_msg=name)


def assert_as_one_replica(trained, training, kind):
    """A training on several replicas gave what it gives on one."""
    found, expected = (trained(each, training) for each in (kind, "one"))
    assert len(expected) > 3
    assert_alike(found, expected)


def assert_weights_equal(found, expected):
    """Two trainings end with the same weights, to the last bit."""
    import numpy as np

    weights = [key for key in expected if key.startswith("weight")]
    assert weights
    for key in weights:
        np.testing.assert_array_equal(found[key], expected[key], err_msg=key)


def recorder():
    """A callback that keeps the loss of each step in `losses`."""
    import keras

    class Recorder(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.losses = []

        def on_train_batch_end(self, batch, logs=None):
            self.losses.append([float(value) for _, value in sorted(logs.items())])

    return Recorder()


def all_trainings():
    """Functions by the name `ROOM.TRAINING`."""
    from importlib import import_module

    sys.path.insert(0, str(HERE))
    rooms = sorted(file.stem for file in HERE.glob("trainings_of_*.py"))
    return {
        f"{room.removeprefix('trainings_of_')}.{name}": function
        for room in rooms
        for name, function in import_module(room).TRAININGS.items()
    }


def _begin_as_worker(number, port):
    addresses = [f"127.0.0.1:{port + worker}" for worker in range(2)]
    task = {"type": "worker", "index": number}
    os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": task})


def _strategy(replicas, worker):
    import tensorflow as tf

    if worker is not None:
        from keras_pli.distributed import MultiWorkerMirroredStrategy

        return MultiWorkerMirroredStrategy()
    if replicas == 1:
        return tf.distribute.get_strategy()
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * replicas
    )
    return tf.distribute.MirroredStrategy([f"CPU:{number}" for number in range(replicas)])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--worker", type=int)
    parser.add_argument("--port", type=int)
    given = parser.parse_args()
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    if given.worker is not None:
        _begin_as_worker(given.worker, given.port)
    import keras
    import numpy as np

    strategy = _strategy(given.replicas, given.worker)
    found = {}
    for name, train in all_trainings().items():
        if given.names and name not in given.names:
            continue
        keras.utils.set_random_seed(0)
        found |= {f"{name}/{key}": array for key, array in train(strategy).items()}
    np.savez(given.file, **found)


if __name__ == "__main__":
    main()
