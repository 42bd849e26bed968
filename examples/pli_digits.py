"""The whole way on scikit-learn's digits: map, plan, retraining, and a comparison. A minute on two cores.

python examples/pli_digits.py --out runs/digits
"""

from __future__ import annotations

import argparse
from pathlib import Path

import keras
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import keras_pli as kp


def main():
    """Trains, intervenes and compares."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/digits"))
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    keras.utils.set_random_seed(0)

    # A classifier like yours, trained as usual.
    digits = load_digits()
    images = (digits.images / 16).astype("float32")[..., None]
    x_train, x_test, y_train, y_test = train_test_split(
        images, digits.target, test_size=0.4, stratify=digits.target, random_state=0
    )
    classifier = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(16, 3, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    optimizer = keras.optimizers.SGD(0.02, momentum=0.9, nesterov=True)
    classifier.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    classifier.fit(x_train, y_train, epochs=5, batch_size=50, verbose=0)

    # Step 1: the map of its logits.
    z = kp.activations(classifier, x_train, layer="logits")
    tsne = kp.ParametricTSNE.smooth(perplexity=30, seed=0)
    tsne.fit(z, verbose=0)
    y = tsne.predict(z, verbose=0)
    print(f"trustworthiness of the map: {kp.quality.trustworthiness(z, y):.3f}")
    kp.plotting.save_figure(kp.plotting.embedding_map(y, y_train), arguments.out / "map.png")

    # Step 2: what should be otherwise. Eight is pulled together, and away from one.
    distance = 1.5 * float(np.linalg.norm(y[y_train == 8].mean(0) - y[y_train == 1].mean(0)))
    plan = kp.InterventionPlan([kp.Contract(8, factor=0.5), kp.Separate(8, 1, distance=distance)])
    print(plan)

    # Step 3: retrain, beside a control that trains as long without the plan.
    result = kp.pli_experiment(
        classifier,
        (x_train, y_train),
        (x_test, y_test),
        plan,
        embedder=tsne,
        embedding_weight=0.1,
        epochs=10,
        batch_size=50,
        seeds=arguments.seeds,
    )
    print(result.table()[["1", "8", "moved", "other"]])
    print(result.verdict())
    print("see", result.to_html(arguments.out / "report.html", images=x_test))


if __name__ == "__main__":
    main()
