"""Maps side by side on three kinds of data from Fashion-MNIST, in one table each.

The data are the logits and the hidden layer of a small classifier, and raw pixels. Each system runs in a
process of its own, with its own defaults and, where it has one, a perplexity of 50. Fit includes the search
for neighbours and whatever the system compiles; transform maps the test images after one call on five of
them, by the network or, "by neighbours", at the median of their nearest training images. Trustworthiness and
errors are of test images: how far their neighbours in the map are their neighbours in the data, and how
often their nearest training images in the map have another class.

    python benchmarks/embedding.py                     # 10,000 + 10,000 images, about 20 minutes on two cores
    python benchmarks/embedding.py --repeats 3         # medians
    python benchmarks/embedding.py --data pixels --systems keras_pli openTSNE
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from measure import (
    fashion_pixels,
    figures_of,
    in_fresh_process,
    median_rows,
    peak_megabytes,
    quality,
    seconds,
)

PERPLEXITY = 50


def ours(x, kind="ParametricTSNE", **settings):
    import keras_pli as kp

    embedding = getattr(kp, kind)(seed=0, **settings)
    _, fit = seconds(lambda: embedding.fit(x, verbose=0))
    return fit, lambda z: embedding.predict(z, batch_size=2000, verbose=0)


def ours_by_neighbors(x):
    import keras_pli as kp

    fit, predict = ours(x)
    y = predict(x)
    return fit, lambda z: y if z is x else kp.embedding.place_by_neighbors(z, x, y)


def ours_paper(x):
    import keras_pli as kp

    tsne = kp.ParametricTSNE.paper(seed=0)
    _, fit = seconds(lambda: tsne.fit(x, verbose=0))
    return fit, lambda z: tsne.predict(z, batch_size=2000, verbose=0)


def parametric_umap(x):
    from umap.parametric_umap import ParametricUMAP

    reducer = ParametricUMAP(random_state=None, verbose=False)
    _, fit = seconds(lambda: reducer.fit(x))
    return fit, reducer.transform


def open_tsne(x):
    from openTSNE import TSNE

    tsne = TSNE(perplexity=PERPLEXITY, n_jobs=-1, random_state=0)
    embedding, fit = seconds(lambda: tsne.fit(x))
    return fit, lambda z: embedding if z is x else embedding.transform(z)


SYSTEMS = {
    "keras_pli": ours,
    "keras_pli, by neighbours": ours_by_neighbors,
    "openTSNE": open_tsne,
    "keras_pli, paper": ours_paper,
    "keras_pli ParametricUMAP": lambda x: ours(x, "ParametricUMAP"),
    "umap-learn ParametricUMAP": parametric_umap,
    "keras_pli contrastive": lambda x: ours(x, "ContrastiveEmbedding"),
    "keras_pli contrastive, UMAP's end": lambda x: ours(x, "ContrastiveEmbedding", spectrum=1.0),
}
MODULES = {"umap-learn ParametricUMAP": "umap.parametric_umap", "openTSNE": "openTSNE"}
DATA = ["logits", "hidden", "pixels"]


def prepare(folder: Path, train: int, test: int) -> None:
    """Trains the classifier on all training images, and stores what it makes of the first `train` of them."""
    import keras

    import keras_pli as kp

    keras.utils.set_random_seed(0)
    x, labels, x_test, labels_test = fashion_pixels(60_000, test)
    relu = {"activation": "relu"}
    classifier = keras.Sequential(
        [
            keras.Input((784,)),
            keras.layers.Reshape((28, 28, 1)),
            keras.layers.Conv2D(16, 3, strides=2, **relu),
            keras.layers.Conv2D(32, 3, strides=2, **relu),
            keras.layers.Flatten(),
            keras.layers.Dense(64, name="hidden", **relu),
            keras.layers.Dense(10, name="logits"),
            keras.layers.Softmax(),
        ]
    )
    classifier.compile("adam", "sparse_categorical_crossentropy")
    classifier.fit(x, labels, epochs=5, batch_size=128, verbose=0)
    classes = {"labels": labels[:train], "labels_test": labels_test}
    np.savez(folder / "pixels.npz", x=x[:train], x_test=x_test, **classes)
    for layer in ("hidden", "logits"):
        z, z_test = (kp.activations(classifier, part, layer) for part in (x[:train], x_test))
        np.savez(folder / f"{layer}.npz", x=z, x_test=z_test, **classes)


def measured(system: str, path: Path) -> dict[str, float]:
    with np.load(path) as stored:
        x, labels, x_test, labels_test = (
            stored[name] for name in ("x", "labels", "x_test", "labels_test")
        )
    fit, transform = SYSTEMS[system](x)
    y = transform(x)
    transform(x_test[:5])
    y_test, took = seconds(transform, x_test)
    figures = {"fit s": fit, "transform s": took, "peak MB": peak_megabytes()}
    return {**figures, **quality(y, labels, x_test, y_test, labels_test)}


def table_of(path: Path, systems: list[str], repeats: int) -> pd.DataFrame:
    """Medians of the figures of each system, with times relative to the first."""
    runs: dict[str, list[dict[str, float]]] = {system: [] for system in systems}
    for _ in range(repeats):  # in turn, so that a slow hour meets all of them
        for system in systems:
            runs[system].append(in_fresh_process(__file__, system, "--path", str(path)))
    table = pd.DataFrame({name: median_rows(rows) for name, rows in runs.items() if all(rows)}).T
    first = table.iloc[0]
    table.insert(1, "fit ratio", table["fit s"] / first["fit s"])
    table.insert(3, "transform ratio", table["transform s"] / first["transform s"])
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=int, default=10_000)
    parser.add_argument("--test", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--data", nargs="+", choices=DATA, default=DATA)
    parser.add_argument("--systems", nargs="+", choices=list(SYSTEMS), default=list(SYSTEMS))
    parser.add_argument("--only", choices=list(SYSTEMS), help=argparse.SUPPRESS)
    parser.add_argument("--path", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        print(figures_of(MODULES, arguments.only, lambda: measured(arguments.only, arguments.path)))
        return
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), arguments.train, arguments.test)
        for name in arguments.data:
            table = table_of(Path(folder) / f"{name}.npz", arguments.systems, arguments.repeats)
            print(f"\n{name}\n{table.round(3).to_string()}", flush=True)


if __name__ == "__main__":
    main()
