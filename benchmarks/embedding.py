"""Parametric and other embeddings side by side on raw Fashion-MNIST pixels, in one table.

Each system runs in a process of its own, with its own defaults unless said otherwise. Fit includes the search
for neighbours and whatever the system compiles; transform maps the test images after one call on five
of them. Errors are of test images classified by their nearest training images in the map.

    python benchmarks/embedding.py                  # 10,000 + 10,000 images, about 15 minutes on two cores
    python benchmarks/embedding.py --repeats 3      # medians
"""

from __future__ import annotations

import argparse

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


def ours_accuracy(x):
    import keras_pli as kp

    tsne = kp.ParametricTSNE(perplexity=30, hidden_units=(200, 200, 200), seed=0)
    _, fit = seconds(lambda: tsne.fit(x, epochs=32, batch_size=1000, pretrain_epochs=1, verbose=0))
    return fit, lambda z: tsne.predict(z, batch_size=2000, verbose=0)


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

    embedding, fit = seconds(lambda: TSNE(n_jobs=-1, random_state=0).fit(x))
    return fit, lambda z: embedding if z is x else embedding.transform(z)


SYSTEMS = {
    "keras_pli, accuracy": ours_accuracy,
    "keras_pli, paper": ours_paper,
    "umap-learn ParametricUMAP": parametric_umap,
    "openTSNE": open_tsne,
}
MODULES = {"umap-learn ParametricUMAP": "umap.parametric_umap", "openTSNE": "openTSNE"}


def measured(system: str, train: int, test: int) -> dict[str, float]:
    x_train, labels_train, x_test, labels_test = fashion_pixels(train, test)
    fit, transform = SYSTEMS[system](x_train)
    y_train = transform(x_train)
    transform(x_test[:5])
    y_test, took = seconds(transform, x_test)
    figures = {"fit s": fit, "transform s": took, "peak MB": peak_megabytes()}
    return {**figures, **quality(y_train, labels_train, x_test, y_test, labels_test)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=int, default=10_000)
    parser.add_argument("--test", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--systems", nargs="+", choices=list(SYSTEMS), default=list(SYSTEMS))
    parser.add_argument("--only", choices=list(SYSTEMS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        sizes = arguments.train, arguments.test
        print(figures_of(MODULES, arguments.only, lambda: measured(arguments.only, *sizes)))
        return
    sizes = ["--train", str(arguments.train), "--test", str(arguments.test)]
    runs: dict[str, list[dict[str, float]]] = {system: [] for system in arguments.systems}
    for _ in range(arguments.repeats):  # in turn, so that a slow hour meets all of them
        for system in arguments.systems:
            runs[system].append(in_fresh_process(__file__, system, *sizes))
    table = pd.DataFrame({name: median_rows(rows) for name, rows in runs.items() if all(rows)}).T
    first = table.iloc[0]
    table.insert(1, "fit ratio", table["fit s"] / first["fit s"])
    table.insert(3, "transform ratio", table["transform s"] / first["transform s"])
    print(table.round(3).to_string())


if __name__ == "__main__":
    main()
