"""Section 3.1 of Hinterreiter et al. (2020) on MNIST: a classifier that works well follows the map.

A small MLP; the clusters of 3 and 8 are contracted and moved. Expect a strong embedding response and hardly
any performance response.

    python examples/pli_mnist.py --out runs/mnist
    python examples/pli_mnist.py --data file.npz      # arrays x_train, y_train, x_test, y_test
"""

from __future__ import annotations

import argparse
from pathlib import Path

import keras
import numpy as np
from data import add_data_argument, load

import keras_pli as kp

BASELINE_EPOCHS, EPOCHS, BATCH = 3, 3, 50
MAPPED = 5000  # training images that the t-SNE is trained on; the map then embeds all of them


def classifier(x, labels, seed):
    """An MLP after some epochs of classification alone."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input(x.shape[1:]),
            keras.layers.Flatten(),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(int(labels.max()) + 1, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "sparse_categorical_crossentropy")
    model.fit(x, labels, batch_size=BATCH, epochs=BASELINE_EPOCHS, verbose=0)
    return model


def contract_and_move(y, labels, outputs):
    """Three and eight to half their size, each away from the middle of the map by a quarter of its spread."""
    spread = float(np.sqrt(np.var(y, axis=0).sum()))
    moves = []
    for digit in (3, 8):
        outwards = y[labels == digit].mean(axis=0) - y.mean(axis=0)
        step = 0.25 * spread * outwards / np.linalg.norm(outwards)
        moves += [kp.Contract(digit, factor=0.5), kp.Shift(digit, by=step.tolist())]
    return kp.InterventionPlan(moves)


def embedder(z, seed):
    """A parametric t-SNE of some of the logits."""
    tsne = kp.ParametricTSNE.smooth(perplexity=min(50.0, len(z[:MAPPED]) / 4), seed=seed)
    tsne.fit(z[:MAPPED], verbose=0)
    return tsne


def main():
    """Runs the experiment and prints what it found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data_argument(parser)
    parser.add_argument("--out", type=Path, default=Path("runs/mnist"))
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    (x_train, y_train), (x_test, y_test) = load(keras.datasets.mnist, arguments.data)
    train, test = (
        (x_train.astype("float32") / 255, y_train),
        (x_test.astype("float32") / 255, y_test),
    )
    result = kp.pli_experiment(
        lambda seed: classifier(*train, seed),
        train,
        test,
        contract_and_move,
        embedder=embedder,
        embedding_weight=0.1,
        epochs=EPOCHS,
        batch_size=BATCH,
        seeds=arguments.seeds,
        out=arguments.out,
    )
    print(result.table()[["3", "8", "moved", "other"]].to_string())
    print(result.verdict())
    print("see", result.to_html(arguments.out / "report.html", images=test[0]))


if __name__ == "__main__":
    main()
