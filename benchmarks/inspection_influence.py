"""TracIn on the last layer beside captum's TracInCPFast, on mirrored weights, in one table.

A small CNN is trained on Fashion-MNIST, with five checkpoints; all training images are scored for 100 test
images. Every system runs in a process of its own; seconds are medians of calls after a first one, reading the
checkpoints included. Agreement is the greatest difference from ours, relative to the greatest value, and the
median over test images of Spearman's correlation.

    python benchmarks/inspection_influence.py                       # about a minute on two cores
    python benchmarks/inspection_influence.py --train 60000 --repeats 5
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from measure import figures_of, in_fresh_process, peak_megabytes, seconds

CHECKPOINTS, RATE, BATCH = 5, 1e-3, 256
PEERS = {"captum": "captum.influence"}

Method = Callable[[], np.ndarray]


def make_network(folder: Path, train: int, test: int) -> None:
    """Trains the network and stores it, its checkpoints and the data."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    (x, y), (x_test, y_test) = keras.datasets.fashion_mnist.load_data()
    x, x_test = (part[..., None].astype("float32") / 255 for part in (x[:train], x_test[:test]))
    y, y_test = y[:train].astype("int64"), y_test[:test].astype("int64")
    image = keras.Input(x.shape[1:])
    z = layers.MaxPooling2D(2)(layers.Conv2D(16, 3, activation="relu", name="conv1")(image))
    z = layers.MaxPooling2D(2)(layers.Conv2D(32, 3, activation="relu", name="conv2")(z))
    z = layers.Dense(64, activation="relu", name="hidden")(layers.Flatten()(z))
    model = keras.Model(image, layers.Dense(10, name="logits")(z))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    for number in range(CHECKPOINTS):
        model.fit(x[:10_000], y[:10_000], batch_size=128, verbose=0)
        model.save(folder / f"{number}.keras")
        model.save_weights(folder / f"{number}.weights.h5")
    np.savez(folder / "data.npz", x=x, y=y, x_test=x_test, y_test=y_test)


def data(folder: Path) -> list[np.ndarray]:
    with np.load(folder / "data.npz") as stored:
        return [stored[name] for name in ("x", "y", "x_test", "y_test")]


def ours(folder: Path) -> Method:
    import keras

    from keras_pli.inspection import tracin

    model = keras.saving.load_model(folder / "0.keras")
    x, y, x_test, y_test = data(folder)
    files = [folder / f"{number}.weights.h5" for number in range(CHECKPOINTS)]
    options = {"checkpoints": files, "learning_rates": RATE, "batch_size": BATCH}
    return lambda: tracin(model, (x, y), (x_test, y_test), **options).values


def captum(folder: Path) -> Method:
    import torch
    from captum.influence import TracInCPFast
    from torch_twin import torch_twin

    torch.set_num_threads(2)
    files = []
    for number in range(CHECKPOINTS):
        files.append(str(folder / f"{number}.pt"))
        torch.save(torch_twin(folder / f"{number}.keras").state_dict(), files[-1])

    def load(model, path: str) -> float:
        model.load_state_dict(torch.load(path, weights_only=True))
        return RATE

    model = torch_twin(folder / "0.keras")
    x, y, x_test, y_test = data(folder)
    images, tests = (torch.from_numpy(np.moveaxis(part, -1, 1).copy()) for part in (x, x_test))
    train = torch.utils.data.TensorDataset(images, torch.from_numpy(y))
    method = TracInCPFast(
        model,
        model.logits,
        train,
        files,
        checkpoints_load_func=load,
        loss_fn=torch.nn.CrossEntropyLoss(reduction="sum"),
        batch_size=BATCH,
    )
    return lambda: method.influence((tests, torch.from_numpy(y_test))).detach().numpy()


SYSTEMS = {"keras_pli": ours, "captum": captum}


def measured(system: str, folder: Path, repeats: int) -> dict[str, float]:
    """Median seconds; what it found is stored beside, for the agreement."""
    method = SYSTEMS[system](folder)
    found = method()
    took = [seconds(method)[1] for _ in range(repeats)]
    np.save(folder / f"{system}.npy", found)
    return {"seconds": float(np.median(took)), "peak MB": peak_megabytes()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=int, default=10_000)
    parser.add_argument("--test", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--only", choices=list(SYSTEMS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        asked = arguments.only, Path(arguments.folder), arguments.repeats
        print(figures_of(PEERS, arguments.only, lambda: measured(*asked)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_network(folder, arguments.train, arguments.test)
        options = ["--folder", name, "--repeats", str(arguments.repeats)]
        found = {system: in_fresh_process(__file__, system, *options) for system in SYSTEMS}
        rows = {system: row for system, row in found.items() if row is not None}
        own = np.load(folder / "keras_pli.npy")
        for system, row in rows.items():
            theirs = np.load(folder / f"{system}.npy")
            row["off by"] = float(np.abs(theirs - own).max() / np.abs(own).max())
            ranks = pd.DataFrame(theirs.T).corrwith(pd.DataFrame(own.T), method="spearman")
            row["rank correlation"] = float(ranks.median())
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("system")
    print(f"{arguments.train} training and {arguments.test} test images, {CHECKPOINTS} checkpoints")
    print(table.to_string(float_format="{:.4g}".format))


if __name__ == "__main__":
    main()
