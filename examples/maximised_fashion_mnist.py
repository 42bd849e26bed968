"""Images that each class of a classifier would like to see most, and what a second classifier says of them.

Two networks are trained on Fashion-MNIST from different seeds. Images are made for every class of the first;
what the second takes them for says whether they show what the data taught, or an accident of one training.

    python examples/maximised_fashion_mnist.py --out runs/maximised
    python examples/maximised_fashion_mnist.py --data file.npz --epochs 2 --starts 1 --out runs/mine
"""

from __future__ import annotations

import argparse
from pathlib import Path

import keras
import pandas as pd
from data import add_data_argument, load
from keras import layers

import keras_pli as kp
from keras_pli.inspection import ActivationMaximization

NAMES = [
    "T-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
]


def trained(seed, x, y, epochs):
    """A small convolutional network."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input(x.shape[1:]),
            layers.Conv2D(16, 3, strides=2, padding="same", activation="relu"),
            layers.Conv2D(32, 3, strides=2, padding="same", activation="relu"),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(int(y.max()) + 1, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=epochs, batch_size=128, verbose=2)
    return model


def main():
    """Trains both networks, searches, and compares."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data_argument(parser)
    parser.add_argument("--out", type=Path, default=Path("runs/maximised"))
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--starts", type=int, default=4, help="searches for each class")
    arguments = parser.parse_args()
    (x, y), _ = load(keras.datasets.fashion_mnist, arguments.data)
    x = x.reshape(*x.shape[:3], -1).astype("float32") / 255
    model, other = (trained(seed, x, y, arguments.epochs) for seed in (0, 1))

    found = ActivationMaximization(model)(starts=arguments.starts, verbose=1)
    names = NAMES if arguments.data is None else [str(unit) for unit in found.units]
    judged = found.judged_by(other)
    table = pd.DataFrame(
        {
            "class": names,
            "probability": model.predict(found.best, verbose=0)[found.units, found.units],
            "the other says": [names[label] for label in judged["says"]],
        }
    )
    print(table.round(3).to_string(index=False))
    print(f"The second network agrees on {judged['agrees'].sum()} of {len(judged)} classes.")
    kp.plotting.save_figure(found.plot(names), arguments.out / "maximised.png")
    print(f"Wrote {arguments.out / 'maximised.png'}.")


if __name__ == "__main__":
    main()
