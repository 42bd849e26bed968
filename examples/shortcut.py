"""A network that looks at colour instead of shape: what helps the groups that it leaves behind?

Digits below five are one class and the others the other. In 95 % of the training images red goes with the
first and green with the second, in the held-out images with either alike: a network that has learned the
colour is wrong about the small groups, red in the second class and green in the first. Arms, all beside the
same control, which trains as long on the data as they are:

- move: the small groups are put onto the large ones of their class, on the map, at λ = 0.1 and at 0.5;
- weigh: they count as much as the large ones;
- exclude: of the large ones as many are left, drawn at random, as the small ones have;
- groups given: all groups count the same, by the true colours, which no other arm knows: the ceiling.

The small groups are found without the colours, as a person would find them on maps of the layers: k-means
divides the samples of each class into two, in that of the layers where they fall apart most clearly (mean
silhouette), and the smaller part is a small group if it has less than a quarter of the class. Every seed
draws its own split, colours and weights.

    python examples/shortcut.py --out runs/shortcut                     # ten seeds, seven minutes on one core
    python examples/shortcut.py --out runs/shortcut --data mnist.npz    # images and classes of your own

Each seed's results are stored as they end; the same command resumes an interrupted run. A folder belongs to
one set of data and settings, and others are refused there.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from data import add_data_argument, claim, load
from matplotlib.figure import Figure
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.metrics import silhouette_score
from sklearn.model_selection import train_test_split

import keras_pli as kp
from keras_pli.files import read_arrays, write_arrays, write_text
from keras_pli.intervals import mean_interval

AGREE = 0.95
MOST = 4000  # samples of a caller's own data, for training and for testing
LAYERS = ["first", "second", "features"]
BATCH, BASELINE_EPOCHS, EPOCHS, RATE = 50, 10, 20, 0.01
ARMS = ["move", "move, λ 0.5", "weigh", "exclude", "groups given"]


def images_of(path, seed):
    """Training and held-out images of shape (samples, height, width) in [0, 1], with their classes."""
    if path is None:
        digits = load_digits()
        x, x_test, y, y_test = train_test_split(
            digits.images / 16,
            digits.target,
            test_size=0.4,
            stratify=digits.target,
            random_state=seed,
        )
        return (x, y), (x_test, y_test)
    drawn = []
    for x, y in load(None, path):
        rows = np.random.default_rng(seed).permutation(len(y))[:MOST]
        drawn.append((x[rows].squeeze() / x.max(), y[rows].ravel()))
    return drawn


def coloured(x, y, agree, random):
    """Images in red (0) or green (1), two classes, and the colours, which agree with the classes so often."""
    classes = (y >= (y.max() + 1) / 2).astype(int)
    colours = np.where(random.random(len(y)) < agree, classes, 1 - classes)
    images = np.zeros((*x.shape, 3), "float32")
    images[np.arange(len(y)), :, :, colours] = x
    return images, classes, colours


def network(shape, seed):
    """A small convolutional network."""
    keras.utils.set_random_seed(seed)
    strides = 2 if shape[0] > 16 else 1
    classifier = keras.Sequential(
        [
            keras.Input(shape),
            keras.layers.Conv2D(16, 3, strides, activation="relu", name="first"),
            keras.layers.Conv2D(32, 3, strides, activation="relu", name="second"),
            keras.layers.Flatten(),
            keras.layers.Dense(32, activation="relu", name="features"),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    optimizer = keras.optimizers.SGD(RATE, momentum=0.9, nesterov=True)
    classifier.compile(optimizer, "sparse_categorical_crossentropy")
    return classifier


def small_groups(classifier, x, labels):
    """The layer that divides the classes most clearly, and a mask of the small part of each class."""
    found = []
    for layer in LAYERS:
        z = kp.activations(classifier, x, layer=layer).reshape(len(x), -1)
        clear, small = [], np.zeros(len(x), dtype=bool)
        for label in np.unique(labels):
            rows = np.flatnonzero(labels == label)
            part = KMeans(2, n_init=10, random_state=0).fit_predict(z[rows])
            clear.append(silhouette_score(z[rows], part, sample_size=2000, random_state=0))
            rare = part == np.bincount(part).argmin()
            small[rows[rare]] = rare.mean() < 0.25
        found.append((np.mean(clear), layer, small))
    _, layer, small = max(found, key=lambda entry: entry[0])
    return layer, small


def plan_of(arm, labels, small, groups, y, seed):
    """What an arm says: `small` is what was found on the map `y`, `groups` are the true ones."""
    random = np.random.default_rng(seed)
    changes = []
    for label in np.unique(labels):
        rare, many = (np.flatnonzero((labels == label) & part) for part in (small, ~small))
        if arm == "groups given":
            counts = np.bincount(groups)
            for group in np.unique(groups[labels == label]):
                weight = counts.max() / counts[group]
                changes.append(kp.Weigh(groups == group, weight))
        elif not len(rare):
            continue
        elif arm.startswith("move"):
            changes.append(kp.MoveTo(rare, y[many].mean(axis=0)))
        elif arm == "weigh":
            changes.append(kp.Weigh(rare, len(many) / len(rare)))
        elif arm == "exclude":
            changes.append(kp.Exclude(random.permutation(many)[len(rare) :]))
    return kp.InterventionPlan(changes)


def run_seed(seed, arguments):
    """All arms of one seed: their scores, one row a run and group, and what was found on the map."""
    random = np.random.default_rng(seed)
    train, test = images_of(arguments.data, seed)
    x, labels, colours = coloured(*train, arguments.agree, random)
    x_test, labels_test, colours_test = coloured(*test, 0.5, random)
    classifier = network(x.shape[1:], seed)
    classifier.fit(x, labels, batch_size=BATCH, epochs=BASELINE_EPOCHS, verbose=0)
    layer, small = small_groups(classifier, x, labels)
    tsne = kp.ParametricTSNE.smooth(perplexity=30, seed=seed)
    z = kp.activations(classifier, x, layer=layer)
    tsne.fit(z, verbose=0)
    y = tsne.predict(z, verbose=0)
    tables = []
    for number, arm in enumerate(ARMS):
        result = kp.pli_experiment(
            classifier,
            (x, labels),
            (x_test, labels_test),
            plan_of(arm, labels, small, 2 * labels + colours, y, seed),
            layer=layer,
            embedder=tsne if arm.startswith("move") else None,
            embedding_weight=0.5 if arm.endswith("0.5") else 0.1,
            epochs=EPOCHS,
            batch_size=BATCH,
            seeds=[seed],
            subgroups=[
                f"class {c}, {('red', 'green')[k]}"
                for c, k in zip(labels_test, colours_test, strict=True)
            ],
            out=arguments.out / f"seed-{seed}" / f"arm-{number}",
            verbose=0,
        )
        scores = result.subgroup_scores()
        right = {
            run: np.mean(result.runs[0].predicted(run) == labels_test) for run in ("control", "PLI")
        }
        overall = [
            {"seed": seed, "run": run, "group": "all", "accuracy": right[run]} for run in right
        ]
        scores = pd.concat([scores, pd.DataFrame(overall)], ignore_index=True)
        tables.append(scores[scores["run"] != "baseline"].replace({"run": {"PLI": arm}}))
    found = {
        "layer": layer,
        "selected": int(small.sum()),
        "of the small groups": float(np.mean(small[labels != colours])),
        "right": float(np.mean((labels != colours)[small])) if small.any() else 0.0,
    }
    scores = pd.concat(tables, ignore_index=True).drop_duplicates(["seed", "run", "group"])
    return scores, found, (y, labels, small)


def seed_results(seed, arguments):
    """What `run_seed` returned of a seed, now or when it ran."""
    folder = arguments.out / f"seed-{seed}"
    if not (folder / "scores.csv").exists():
        scores, found, (y, labels, small) = run_seed(seed, arguments)
        write_arrays(folder / "found.npz", {"y": y, "labels": labels, "small": small, **found})
        write_text(folder / "scores.csv", scores.to_csv(index=False))
    stored = read_arrays(folder / "found.npz")
    shown = tuple(stored.pop(name) for name in ("y", "labels", "small"))
    found = {name: value.item() for name, value in stored.items()}
    return pd.read_csv(folder / "scores.csv"), found, shown


def summary(scores):
    """Mean accuracy of the worst group and of all, with intervals, and the difference to the control."""
    rows = []
    for run in ["control", *ARMS]:
        row = {"arm": run}
        for group in ("worst", "all"):
            of_group = scores[scores["group"] == group].pivot(
                index="seed", columns="run", values="accuracy"
            )
            for name, values in (
                (group, of_group[run]),
                (f"{group} − control", of_group[run] - of_group["control"]),
            ):
                mean, low, high = mean_interval(values)
                row[name] = f"{mean:.3f} [{low:.3f}, {high:.3f}]"
        rows.append(row)
    return pd.DataFrame(rows)


def figure(scores, shown):
    """The map of the first seed with what was selected, and the accuracy of each seed's worst group."""
    drawn = Figure(figsize=(12, 4.6), layout="constrained")
    left, right = drawn.subplots(1, 2)
    y, labels, small = shown
    for label, color, marker in ((0, "#0072B2", "o"), (1, "#D55E00", "^")):
        points = y[labels == label]
        left.scatter(*points.T, s=12, lw=0, marker=marker, color=color, label=f"class {label}")
    left.scatter(*y[small].T, s=60, facecolors="none", edgecolors="black", label="selected")
    left.set_title("First seed: training samples, and what was selected", loc="left")
    left.set_aspect("equal")
    left.set_axis_off()
    left.legend(loc="upper center", bbox_to_anchor=(0.5, 0), ncols=3, frameon=False)
    worst = scores[scores["group"] == "worst"].pivot(index="seed", columns="run", values="accuracy")
    runs = ["control", *ARMS]
    right.plot(runs, worst[runs].T, color="0.85", zorder=1)
    right.scatter(runs, worst[runs].mean(), s=50, color="#0072B2", zorder=2)
    for run in runs:
        mean = worst[run].mean()
        right.annotate(f"{mean:.2f}", (run, mean), (7, -4), textcoords="offset points")
    right.set_title("Accuracy of the worst group: each seed, and their mean", loc="left")
    right.set_ylim(0, 1)
    right.spines[["top", "right"]].set_visible(False)
    return drawn


def main():
    """Runs all seeds and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data_argument(parser)
    parser.add_argument("--out", type=Path, default=Path("runs/shortcut"))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument(
        "--agree", type=float, default=AGREE, help="how often colour and class agree"
    )
    arguments = parser.parse_args()
    claim(arguments.out, arguments.data, agree=arguments.agree)
    tables, first = [], None
    for seed in range(arguments.seeds):
        scores, found, shown = seed_results(seed, arguments)
        tables.append(scores)
        first = first or shown
        print(
            f"seed {seed}:",
            ", ".join(f"{name} {value}" for name, value in found.items()),
            flush=True,
        )
    scores = pd.concat(tables, ignore_index=True)
    print(summary(scores).to_string(index=False))
    print(scores.groupby(["run", "group"])["accuracy"].mean().unstack().round(3).to_string())
    kp.plotting.save_figure(figure(scores, first), arguments.out / "shortcut.png")


if __name__ == "__main__":
    main()
