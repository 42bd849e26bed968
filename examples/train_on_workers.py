"""Trains a map and retrains a classifier with it on several workers, and goes on where one of them is lost.

Fashion-MNIST: a classifier, the parametric t-SNE of its logits, and the classifier again after its confused
classes were contracted on the map. Each training backs itself up at the ends of its epochs.

    python examples/train_on_workers.py --out runs/workers                   # two processes of this machine
    python examples/train_on_workers.py --out runs/workers --launcher ray    # by Ray Train
    TF_CONFIG=… python examples/train_on_workers.py --out runs/workers --launcher none    # one of a cluster

The same command goes on with a job that was interrupted. On a cluster of Ray, `--out` is a folder that all
machines share. A GPU a worker: `--gpus`.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import keras
import numpy as np
from data import add_data_argument, claim, load

import keras_pli as kp
from keras_pli.distributed import BackupAndRestore, MultiWorkerMirroredStrategy, run_workers
from keras_pli.files import write_json

BATCH = 128  # of all workers together
CONFUSED = [0, 2, 4, 6]  # T-shirt, Pullover, Coat, Shirt


def images_of(arguments):
    """Returns images in [0, 1] and labels, for training and for the test."""
    (x, y), (x_test, y_test) = load(keras.datasets.fashion_mnist, arguments["data"])
    rows = slice(arguments["samples"])
    return [
        (images[rows].astype("float32")[..., None] / 255, labels[rows].astype("int64").ravel())
        for images, labels in ((x, y), (x_test, y_test))
    ]


def network(shape, classes):
    """A small network of convolutions."""
    return keras.Sequential(
        [
            keras.Input(shape),
            keras.layers.Conv2D(16, 3, 2, activation="relu"),
            keras.layers.Conv2D(32, 3, 2, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(classes, name="logits"),
            keras.layers.Softmax(),
        ]
    )


def train(arguments):
    """What each worker runs."""
    keras.utils.set_random_seed(0)  # all workers shuffle alike
    strategy = MultiWorkerMirroredStrategy()
    out = Path(arguments["out"])
    (x, y), (x_test, y_test) = images_of(arguments)
    fit = {"batch_size": BATCH, "epochs": arguments["epochs"], "verbose": 2 * strategy.is_chief}

    def backup(name):
        # It stays: a job that begins again takes what is trained from it.
        return BackupAndRestore(out / name, delete_checkpoint=False)

    with strategy.scope():
        classifier = network(x.shape[1:], int(y.max()) + 1)
        loss = keras.losses.SparseCategoricalCrossentropy()
        classifier.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
    classifier.fit(x, y, shuffle=False, callbacks=[backup("classifier")], **fit)
    before = classifier.evaluate(x_test, y_test, batch_size=BATCH, verbose=0, return_dict=True)

    z = kp.activations(classifier, x, layer="logits")
    with strategy.scope():
        tsne = kp.ParametricTSNE(perplexity=30, hidden_units=(64, 64), seed=0)
    tsne.fit(z, callbacks=[backup("map")], **fit)
    places = tsne.predict(z, batch_size=BATCH, verbose=0)

    confused = sorted({*CONFUSED} & {*y.tolist()})
    plan = kp.InterventionPlan([kp.Contract(label, factor=0.5) for label in confused])
    with strategy.scope():
        pli = kp.PLIModel(classifier, tsne, layer="logits")
        pli.compile(keras.optimizers.Adam(1e-4), kp.PLILoss(loss, embedding_weight=0.1))
    targets, _ = plan.apply(places, y)
    labels = {"label": y, "embedding": targets}
    pli.fit(x, labels, shuffle=False, callbacks=[backup("retrained")], **fit)
    after = classifier.evaluate(x_test, y_test, batch_size=BATCH, verbose=0, return_dict=True)

    # All workers save, since all must read what replicas hold apart; the chief's file is the result.
    scratch = out if strategy.is_chief else out / f"worker-{strategy.worker_number}"
    scratch.mkdir(parents=True, exist_ok=True)
    classifier.save(scratch / "classifier.keras")
    if strategy.is_chief:
        np.save(out / "map.npy", places)
        write_json(
            out / "accuracy.json", {"before": before["accuracy"], "after": after["accuracy"]}
        )
        print(f"accuracy before {before['accuracy']:.3f}, after {after['accuracy']:.3f}")


def by_ray(arguments, workers, max_failures, gpus):
    """Trains by Ray Train, which starts the workers again, on other machines too, where one is lost."""
    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.tensorflow import TensorflowTrainer

    # Workers find `data.py` beside this file.
    paths = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    ray.init(
        num_cpus=None if ray.is_initialized() or "RAY_ADDRESS" in os.environ else workers,
        include_dashboard=False,
        runtime_env={"env_vars": {"PYTHONPATH": paths}},
    )
    TensorflowTrainer(
        train,
        train_loop_config=arguments,
        scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpus),
        run_config=RunConfig(
            storage_path=str(Path(arguments["out"]) / "ray"),
            failure_config=FailureConfig(max_failures=max_failures),
        ),
    ).fit()
    ray.shutdown()


def main():
    """Starts the workers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs/workers"),
        help="folder of results and backups (default: runs/workers)",
    )
    parser.add_argument(
        "--launcher",
        choices=("processes", "ray", "none"),
        default="processes",
        help="processes of this machine (default), Ray Train, or none: this is one worker, by TF_CONFIG",
    )
    parser.add_argument("--workers", type=int, default=2, help="how many to start (default: 2)")
    parser.add_argument(
        "--max-failures", type=int, default=3, help="how often to start all again (default: 3)"
    )
    parser.add_argument("--epochs", type=int, default=3, help="of each training (default: 3)")
    parser.add_argument("--samples", type=int, help="how many images to use, all by default")
    parser.add_argument("--gpus", action="store_true", help="a GPU for each worker of Ray")
    add_data_argument(parser)
    given = parser.parse_args()
    out = given.out.resolve()
    data = None if given.data is None else str(Path(given.data).resolve())
    arguments = {"out": str(out), "data": data, "epochs": given.epochs, "samples": given.samples}
    if given.launcher == "none":
        train(arguments)
        return
    claim(out, given.data, epochs=given.epochs, samples=given.samples)
    if given.launcher == "ray":
        by_ray(arguments, given.workers, given.max_failures, given.gpus)
    else:
        command = [sys.executable, *sys.argv, "--launcher", "none"]
        run_workers(command, workers=given.workers, max_failures=given.max_failures)


if __name__ == "__main__":
    main()
