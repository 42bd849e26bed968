"""Section 3.1 of Hinterreiter et al. (2020) on CIFAR-10: Truck and Automobile separated.

A simple CNN, five epochs of classification, then four with and without the intervention on its logits
(the final dense layer, which the paper found best for CNNs).

    python examples/pli_cifar10.py --out runs/cifar10
    python examples/pli_cifar10.py --data file.npz      # arrays x_train, y_train, x_test, y_test
"""

from __future__ import annotations

import argparse
from pathlib import Path

import keras
import numpy as np
from data import add_data_argument, load
from keras import layers

import keras_pli as kp

NAMES = ["Airplane", "Automobile", "Bird", "Cat", "Deer", "Dog", "Frog", "Horse", "Ship", "Truck"]
AUTOMOBILE, TRUCK = 1, 9
BASELINE_EPOCHS, EPOCHS, BATCH = 5, 4, 100
MAPPED = 5000  # training images that the t-SNE is trained on; the map then embeds all of them


def classifier(x, labels, seed):
    """A CNN after five epochs of classification alone."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input(x.shape[1:]),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(len(NAMES), activation="softmax"),
        ]
    )
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True)
    model.compile(optimizer, "sparse_categorical_crossentropy")
    model.fit(x, labels, batch_size=BATCH, epochs=BASELINE_EPOCHS, verbose=0)
    return model


def separate(y, labels, outputs):
    """Truck and Automobile half as far again from each other as they are."""
    centres = [y[labels == label].mean(axis=0) for label in (AUTOMOBILE, TRUCK)]
    distance = 1.5 * float(np.linalg.norm(centres[0] - centres[1]))
    return kp.InterventionPlan([kp.Separate(AUTOMOBILE, TRUCK, distance=distance)])


def embedder(z, seed):
    """A parametric t-SNE of some of the logits."""
    tsne = kp.ParametricTSNE.smooth(perplexity=min(50.0, len(z[:MAPPED]) / 4), seed=seed)
    tsne.fit(z[:MAPPED], verbose=0)
    return tsne


def main():
    """Runs the experiment and prints what it found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data_argument(parser)
    parser.add_argument("--out", type=Path, default=Path("runs/cifar10"))
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    (x_train, y_train), (x_test, y_test) = load(keras.datasets.cifar10, arguments.data)
    train = x_train.astype("float32") / 255, y_train.ravel()
    test = x_test.astype("float32") / 255, y_test.ravel()
    result = kp.pli_experiment(
        lambda seed: classifier(*train, seed),
        train,
        test,
        separate,
        embedder=embedder,
        epochs=EPOCHS,
        batch_size=BATCH,
        seeds=arguments.seeds,
        class_names=NAMES,
        groups={"target": [AUTOMOBILE, TRUCK], "other": [0, 2, 3, 4, 5, 6, 7, 8]},
        out=arguments.out,
    )
    print(result.table()[["Automobile", "Truck", "target", "other"]].to_string())
    print(result.verdict())
    print("see", result.to_html(arguments.out / "report.html", images=test[0]))


if __name__ == "__main__":
    main()
