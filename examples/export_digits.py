"""A classifier of scikit-learn's digits, exported for TensorFlow Serving with its map and explanations.

It makes `saved_models/digits`, which lies in the repository. A minute on two cores.

    python examples/export_digits.py --out saved_models/digits
    keras-pli serve --dir saved_models
    python examples/serving_rest_client.py --model digits --signature explain_grad_cam
"""

from __future__ import annotations

import argparse
from pathlib import Path

import keras
from keras import layers
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import keras_pli as kp
from keras_pli import attribution

NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def make_classifier():
    """A small network whose last maps are averaged into the logits."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 1), name="image"),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.Conv2D(32, 3, padding="same", activation="relu", name="maps"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10, activation="softmax"),
        ],
        name="digits",
    )


def main():
    """Trains the classifier and the map of its logits, and exports both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/served/digits"))
    parser.add_argument("--epochs", type=int, default=60)
    arguments = parser.parse_args()
    keras.utils.set_random_seed(0)

    digits = load_digits()
    images = (digits.images / 16).astype("float32")[..., None]
    x_train, x_test, y_train, y_test = train_test_split(
        images, digits.target, test_size=0.25, stratify=digits.target, random_state=0
    )
    model = make_classifier()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x_train, y_train, epochs=arguments.epochs, batch_size=32, verbose=0)
    accuracy = model.evaluate(x_test, y_test, verbose=0)[1]
    print(f"Accuracy on {len(x_test)} held-out digits: {accuracy:.3f}")

    tsne = kp.ParametricTSNE(hidden_units=(64, 64), perplexity=30, seed=0)
    tsne.fit(kp.activations(model, x_train), epochs=20, verbose=0)

    version = kp.export(
        model,
        arguments.out,
        explanations=[
            attribution.GradCAM(model, layer="maps"),
            attribution.IntegratedGradients(model),
            attribution.Occlusion(model, window=2, stride=1),
        ],
        embedder=tsne,
        class_names=NAMES,
        examples=x_test,
    )
    print(f"Exported {version}")


if __name__ == "__main__":
    main()
