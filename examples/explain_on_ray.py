"""A data set explained by actors on Ray, and what it says as a whole: a table and a page.

A small CNN is trained on Fashion-MNIST, or taken from where it was. Actors explain the test images and write
the maps as Parquet; from these follow the mean map of each class, and from the images the deletion curves of
two methods. Nothing here holds more than a few blocks of the data set, however long it is. On a cluster, only
`ray.init` and the folders are others: see docs/scale.md.

    pip install "keras-pli[cpu,ray]"
    python examples/explain_on_ray.py --quick                    # a minute or two
    python examples/explain_on_ray.py --out runs/ray             # all 10,000 test images
    python examples/explain_on_ray.py --data file.npz --out runs/mine
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import ray
from data import add_data_argument, claim, load
from keras import layers

import keras_pli as kp
from keras_pli import distributed
from keras_pli.brief import counted
from keras_pli.files import write_text
from keras_pli.parquet import write_columns
from keras_pli.plotting.page import page, page_figure, page_note, page_table

FASHION = (
    "T-shirt",
    "trousers",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "trainer",
    "bag",
    "boot",
)
METHODS = {"integrated gradients": "integrated_gradients", "saliency": "saliency"}
FILES = 8  # of the images: each is read by a task of its own


def main():
    """Trains, explains, reduces, and writes the page."""
    arguments = parsed()
    (x, y), (x_test, y_test) = load(keras.datasets.fashion_mnist, arguments.data)
    x, x_test = (part.reshape(*part.shape[:3], -1) for part in (x, x_test))
    y, y_test = y.ravel(), y_test.ravel()
    count = len(x_test)
    if arguments.quick:
        x, y, count = x[:12_000], y[:12_000], min(count, 512)
    out = arguments.out
    claim(out, arguments.data, quick=arguments.quick)
    model_path = out / "classifier.keras"
    accuracy = trained(model_path, x, y, x_test, y_test)
    store_images(out / "images", x_test[:count], y_test[:count])

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    images = ray.data.read_parquet(str(out / "images"))
    actors = {"column": "image", "concurrency": arguments.actors}

    start = time.perf_counter()
    explained = distributed.explain(images, model_path, "integrated_gradients", **actors)
    explained.drop_columns(["image"]).write_parquet(str(out / "maps"), mode="overwrite")
    seconds = time.perf_counter() - start

    means = distributed.mean_maps(ray.data.read_parquet(str(out / "maps")), by="label")
    some = images.limit(128 if arguments.quick else 2000)
    curves = {
        name: distributed.deletion_curves(some, model_path, method, **actors)
        for name, method in METHODS.items()
    }
    ray.shutdown()

    names = class_names(means.groups, arguments.data)
    table = class_table(means, names)
    workers = counted(arguments.actors, "actor")
    print(f"{count:,} images by {workers} in {seconds:.0f} s, start included.\n")
    print(table.to_string(), "\n")
    print(curve_table(curves).to_string())
    how = f"{count:,} images, {workers}, accuracy {accuracy:.1%}"
    write_text(out / "index.html", as_page(means, curves, names, table, how))
    print(f"\nWrote {out / 'maps'} and {out / 'index.html'}.")


def parsed():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data_argument(parser)
    parser.add_argument(
        "--out", type=Path, default=Path("runs/ray"), help="folder of results (default: runs/ray)"
    )
    parser.add_argument("--actors", type=int, default=2, help="each with one model (default: 2)")
    parser.add_argument("--quick", action="store_true", help="explain 512 images, train on 12,000")
    return parser.parse_args()


def trained(path, x, y, x_test, y_test):
    """Trains the classifier, unless it is there, and returns its accuracy on the test set."""
    if path.exists():
        model = keras.saving.load_model(path)
    else:
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [
                keras.Input(x.shape[1:]),
                layers.Rescaling(1 / 255),  # so that images travel as bytes
                layers.Conv2D(16, 3, padding="same", activation="relu"),
                layers.MaxPooling2D(),
                layers.Conv2D(32, 3, padding="same", activation="relu"),
                layers.MaxPooling2D(),
                layers.Flatten(),
                layers.Dense(int(y.max()) + 1, activation="softmax"),
            ]
        )
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        model.fit(x, y, epochs=2, batch_size=128, verbose=2)
        model.save(path)
    return model.evaluate(x_test, y_test, verbose=0)[1]


def store_images(folder, x, y):
    """Writes images and labels as Parquet, as a data set of any size would lie there."""
    for number, rows in enumerate(np.array_split(np.arange(len(x)), FILES)):
        write_columns(
            folder / f"{number}.parquet", {"id": rows, "image": x[rows], "label": y[rows]}
        )


def class_names(labels, data):
    """The classes' names, which files of one's own do not have."""
    return [FASHION[label] if data is None else f"class {label}" for label in labels]


def class_table(means, names):
    """A row for each class: how large its mean map is, and how well it is known."""
    table = means.to_frame()
    known = (np.abs(means.means) > 2 * means.errors).reshape(len(names), -1).mean(axis=1)
    return pd.DataFrame(
        {
            "maps": table["maps"].to_numpy(),
            "mean |attribution|": table["mean_size"].map("{:.4f}".format).to_numpy(),
            "standard error": table["standard_error"].map("{:.4f}".format).to_numpy(),
            "pixels beyond 2 errors": [f"{share:.0%}" for share in known],
        },
        index=pd.Index(names, name="class"),
    )


def curve_table(curves):
    """A row for each method: its mean area under the deletion curve, with the interval."""
    areas = {name: curve.area for name, curve in curves.items()}
    table = pd.DataFrame(areas, index=["area", "low", "high"]).T.map("{:.3f}".format)
    table.insert(0, "images", [curve.samples for curve in curves.values()])
    return table.rename_axis("method")


def as_page(means, curves, names, table, how):
    """The page in HTML."""
    maps = {name: one[np.newaxis] for name, one in zip(names, means.means, strict=True)}
    grid = kp.plotting.attribution_grid(None, maps, scale="all")
    first = next(iter(curves.values()))
    drawn = kp.plotting.faithfulness_curves(
        {name: curve.mean for name, curve in curves.items()},
        first.fractions,
        bands={name: (curve.low, curve.high) for name, curve in curves.items()},
        score="probability of the class",
    )
    parts = [
        "<h2>What decides, class by class</h2>",
        page_note(
            "The mean over all images of a class of their maps by integrated gradients, for the class "
            "predicted. Red speaks for it, blue against it; one scale for all."
        ),
        page_figure(grid, "Mean map of each class"),
        page_table(table, "How large the mean maps are, and how many of their pixels are known"),
        "<h2>Do the maps find what counts?</h2>",
        page_note(
            "Pixels are deleted in the order of their attribution. The sooner the probability falls, the "
            "better the map. Bands are 95 % confidence intervals of the mean over images."
        ),
        page_figure(drawn, "Mean deletion curves of two methods with bands"),
        page_table(curve_table(curves), "Area under the deletion curve; smaller is better"),
    ]
    verdict = "\n".join(
        f"{name.capitalize()}: mean area {curve.area[0]:.3f}, 95 % interval {curve.area[1]:.3f} to "
        f"{curve.area[2]:.3f}, over {curve.samples:,} images."
        for name, curve in curves.items()
    )
    return page(
        "A data set explained on Ray", parts, settings=how, verdict=verdict, answer=answer(curves)
    )


def answer(curves):
    """Which method is ahead, where the intervals of the areas tell."""
    best, *others = sorted(curves, key=lambda name: curves[name].area[0])
    ahead = curves[best].area[2] < min(curves[name].area[1] for name in others)
    what = "which pixels the classifier relies on"
    if ahead:
        return f"{best.capitalize()} finds sooner than {', '.join(others)} {what}."
    return f"The intervals overlap: no method is clearly ahead in finding {what}."


if __name__ == "__main__":
    main()
