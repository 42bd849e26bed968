"""The demonstration's classifier and data: scikit-learn's digits, two classes of which are rare."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from .files import atomic_path, write_arrays

CLASSIFIER, DATA = "classifier.keras", "digits.npz"
RARE = {8: 40, 9: 40}  # training images left of these digits, which then get confused with 1 and 3


def prepare_digits(out: Path, *, seed: int = 0) -> tuple[Path, Path]:
    """Trains a small convolutional network on the digits and stores it with its data.

    Two digits are made rare, since an intervention is of interest where classes are confused.

    Args:
        out: Folder to write `classifier.keras` and `digits.npz` to.
        seed: Seed of the split, the weights and the order of training.

    Returns:
        The two paths.

    Example:
        >>> model, data = prepare_digits(Path("runs/demo"))  # doctest: +SKIP
    """
    digits = load_digits()
    images = (digits.images / 16).astype("float32")[..., None]
    x_train, x_test, y_train, y_test = train_test_split(
        images, digits.target, test_size=0.4, stratify=digits.target, random_state=seed
    )
    kept = np.concatenate(
        [np.flatnonzero(y_train == digit)[: RARE.get(digit)] for digit in range(10)]
    )
    x_train, y_train = x_train[kept], y_train[kept]
    classifier = _classifier(seed)
    order = np.random.default_rng(seed).permutation(len(x_train))
    classifier.fit(
        x_train[order], y_train[order], epochs=2, batch_size=50, shuffle=False, verbose=0
    )
    arrays = {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}
    write_arrays(out / DATA, arrays)
    with atomic_path(out / CLASSIFIER) as temporary:
        classifier.save(temporary)
    return out / CLASSIFIER, out / DATA


def _classifier(seed: int) -> keras.Model:
    def start(offset: int) -> keras.initializers.Initializer:
        return keras.initializers.HeNormal(seed=seed + offset)

    classifier = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(16, 3, activation="relu", kernel_initializer=start(0)),
            keras.layers.Conv2D(32, 3, activation="relu", kernel_initializer=start(1)),
            keras.layers.Flatten(),
            keras.layers.Dense(10, activation="softmax", kernel_initializer=start(2)),
        ],
        name="digits",
    )
    optimizer = keras.optimizers.SGD(0.02, momentum=0.9, nesterov=True)
    classifier.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return classifier
