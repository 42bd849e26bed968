"""Images that activate each of ten classes most, beside tf-keras-vis, in one table.

Both search for all ten at once, with as many steps, on the same small classifier of Fashion-MNIST. Each runs
in a process of its own; the first call, with whatever it compiles, is timed apart. Quality is how many of
the images the classifier takes for their class with a probability of .99, and how many another one, trained
from another seed, takes for it.

    python benchmarks/inspection_maximization.py
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from measure import fashion_pixels, figures_of, in_fresh_process, median_rows, seconds

STEPS = 256
CLASSES = range(10)


def classifier(x, labels, seed: int):
    import keras

    keras.utils.set_random_seed(seed)
    inputs = keras.Input((28, 28, 1))
    x1 = keras.layers.Conv2D(16, 3, strides=2, padding="same", activation="relu")(inputs)
    x2 = keras.layers.Conv2D(32, 3, strides=2, padding="same", activation="relu")(x1)
    hidden = keras.layers.Dense(64, activation="relu")(keras.layers.Flatten()(x2))
    model = keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(hidden))
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, labels, epochs=3, batch_size=128, verbose=0)
    return model


def ours(model):
    from keras_pli.inspection import ActivationMaximization

    search = ActivationMaximization(model, steps=STEPS)
    return lambda seed: search(seed=seed).best


def tf_keras_vis(model):
    import tensorflow as tf
    from tf_keras_vis.activation_maximization import ActivationMaximization
    from tf_keras_vis.utils.model_modifiers import ReplaceToLinear
    from tf_keras_vis.utils.scores import CategoricalScore

    search = ActivationMaximization(model, ReplaceToLinear(), clone=True)
    scores = CategoricalScore(list(CLASSES))

    def run(seed):
        tf.random.set_seed(seed)
        start = tf.random.uniform((10, 28, 28, 1), 0, 1)
        return np.asarray(search(scores, start, input_range=(0, 1), steps=STEPS))

    return run


SYSTEMS = {"keras_pli": ours, "tf-keras-vis": tf_keras_vis}


def measured(system: str, folder: Path, repeats: int) -> dict[str, float]:
    import keras

    model, other = (keras.saving.load_model(folder / f"{seed}.keras") for seed in (0, 1))
    run = SYSTEMS[system](model)
    _, first = seconds(run, 0)
    rows = []
    for repeat in range(repeats):
        images, took = seconds(run, repeat)
        sure = np.diag(model.predict(images, verbose=0)) >= 0.99
        agreed = other.predict(images, verbose=0).argmax(axis=1) == np.arange(10)
        rows.append({"search s": took, "p ≥ .99": sure.sum(), "other agrees": agreed.sum()})
    return {"first call s": first, **median_rows(rows)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", choices=list(SYSTEMS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        run = lambda: measured(arguments.only, arguments.folder, arguments.repeats)  # noqa: E731
        print(figures_of({"tf-keras-vis": "tf_keras_vis"}, arguments.only, run))
        return
    with tempfile.TemporaryDirectory() as folder:
        x, labels, *_ = fashion_pixels(30_000, 1)
        for seed in (0, 1):
            classifier(x.reshape(-1, 28, 28, 1), labels, seed).save(Path(folder) / f"{seed}.keras")
        options = ("--folder", folder, "--repeats", str(arguments.repeats))
        found = {name: in_fresh_process(__file__, name, *options) for name in SYSTEMS}
    table = pd.DataFrame({name: row for name, row in found.items() if row}).T
    table.insert(2, "ratio", table["search s"] / table["search s"].iloc[0])
    print(table.round(2).to_string())


if __name__ == "__main__":
    main()
