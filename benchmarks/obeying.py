"""How should a classifier be told to follow an edited map? Three losses side by side, over λ.

    embedding     λ · squared distance of the map's point from its target, as Hinterreiter et al. (2020)
    activations   λ · squared distance of the layer's activations from those that reach the target: a set of
                  activations optimised freely under the loss of the first kind with λ = 0.5
    both          half of each

beside (1 − λ) · classification loss. Distances are in units of the spread, of the map or of the activations,
over the number of classes. Each seed has its own network, map of the logits and random plan: one class is
shifted, two others are moved apart, so that some plans collide with a third class. All networks of a seed
start from the same weights, see the same batches and take as many steps; costs are against that with λ = 0.
Measured on held-out samples: the share of the asked displacement, F1 of the moved classes, accuracy.

    python benchmarks/obeying.py --out runs/obeying --seeds 10

Each seed is stored as it ends; the same command resumes. It prints a table and draws docs/obeying.png.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from keras import layers, ops
from sklearn.datasets import load_digits
from sklearn.metrics import f1_score

import keras_pli as kp
from keras_pli.files import write_text
from keras_pli.intervals import mean_interval
from keras_pli.retraining import ShuffledBatches
from keras_pli.retraining.layer_reach import reachable_activations

FORMS = ("embedding", "activations", "both")
WEIGHTS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 0.9)
LOSS = "sparse_categorical_crossentropy"


def digits(seed):
    """Scikit-learn's digits, 8 × 8, split anew for each seed."""
    found = load_digits()
    order = np.random.default_rng(seed).permutation(len(found.target))
    x, labels = found.images[order][..., None].astype("float32") / 16, found.target[order]
    return (x[:1000], labels[:1000]), (x[1000:], labels[1000:])


def fashion(seed):
    """Some of Fashion-MNIST's training images, others for each seed, and 3,000 of its test images."""
    (x, labels), (x_test, labels_test) = keras.datasets.fashion_mnist.load_data()
    rows = np.random.default_rng(seed).permutation(len(x))[:3000]
    scaled = [part[..., None].astype("float32") / 255 for part in (x[rows], x_test[:3000])]
    return (scaled[0], labels[rows]), (scaled[1], labels_test[:3000])


DATA = {"digits": digits, "Fashion-MNIST": fashion}
EPOCHS = {"digits": (12, 8), "Fashion-MNIST": (6, 4)}  # before, and of retraining


def network(shape, seed):
    """A small convolutional classifier."""
    keras.utils.set_random_seed(seed)
    stride = 1 if shape[0] < 16 else 2
    return keras.Sequential(
        [
            keras.Input(shape),
            layers.Conv2D(16, 3, strides=stride, padding="same", activation="relu"),
            layers.Conv2D(32, 3, strides=2, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def random_plan(y, labels, seed):
    """One class shifted, two others moved apart; and the three classes."""
    random = np.random.default_rng(1000 + seed)
    spread = float(np.sqrt(y.var(axis=0).sum()))
    one, two, three = (int(label) for label in random.choice(10, 3, replace=False))
    angle = random.uniform(0, 2 * np.pi)
    way = random.uniform(0.3, 1.0) * spread * np.array([np.cos(angle), np.sin(angle)])
    centres = [y[labels == label].mean(axis=0) for label in (two, three)]
    distance = float(np.linalg.norm(centres[0] - centres[1])) + random.uniform(0.3, 1.0) * spread
    plan = kp.InterventionPlan([kp.Shift(one, by=way), kp.Separate(two, three, distance=distance)])
    return plan, [one, two, three]


class Beside(keras.Model):
    """What several embedders give, each times a number, in one row."""

    def __init__(self, parts):
        super().__init__()
        self.parts = parts  # pairs of an embedder, or None for the activations, and a number

    def call(self, z):
        """The row."""
        given = [(z if model is None else model(z)) * number for model, number in self.parts]
        return ops.concatenate(given, axis=-1)


def forms(tsne, z, reachable, targets, classes=10):
    """For each form the embedder to retrain by, and its targets, in units that a scale of 1 fits."""
    on_map = 1 / np.sqrt(tsne.predict(z, verbose=0).var(axis=0).sum() / classes)
    in_layer = 1 / np.sqrt(z.var(axis=0).sum() / classes)
    half = np.sqrt(0.5)
    parts = {
        "embedding": [(tsne, on_map)],
        "activations": [(None, in_layer)],
        "both": [(tsne, half * on_map), (None, half * in_layer)],
    }
    return {
        form: (
            Beside(of),
            np.concatenate(
                [(reachable if model is None else targets) * number for model, number in of], axis=1
            ).astype("float32"),
        )
        for form, of in parts.items()
    }


def run_seed(name, seed):
    """All retrainings of a seed, a row each."""
    (x, labels), (x_test, labels_test) = DATA[name](seed)
    before, epochs = EPOCHS[name]
    classifier = network(x.shape[1:], seed)
    classifier.compile("adam", LOSS)
    classifier.fit(x, labels, epochs=before, batch_size=50, verbose=0)
    z, z_test = kp.activations(classifier, x), kp.activations(classifier, x_test)
    tsne = kp.ParametricTSNE.smooth(perplexity=30, seed=seed)
    tsne.fit(z, verbose=0)
    y, y_test = tsne.predict(z, verbose=0), tsne.predict(z_test, verbose=0)
    plan, classes = random_plan(y, labels, seed)
    targets, moved = plan.apply(y, labels)
    targets_test, moved_test = plan.apply(y_test, labels_test)
    pli = kp.PLIModel(classifier, tsne)
    pli.compile("adam", kp.PLILoss(LOSS, 0.5))
    reached = reachable_activations(pli, z, labels, targets, moved=moved)
    start, rows = classifier.get_weights(), []
    every = forms(tsne, z, reached.activations, targets)
    runs = [("embedding", 0.0)] + [(form, weight) for form in FORMS for weight in WEIGHTS]
    for form, weight in runs:
        classifier.set_weights(start)
        embedder, wanted = every[form]
        pli = kp.PLIModel(classifier, embedder)
        pli.compile("adam", kp.PLILoss(LOSS, weight, scale=1.0))
        batches = ShuffledBatches(
            x, {"label": labels, "embedding": wanted}, batch_size=50, seed=seed
        )
        pli.fit(batches, epochs=epochs, shuffle=False, verbose=0)
        outputs = classifier.predict(x_test, verbose=0).argmax(axis=1)
        after = tsne.predict(kp.activations(classifier, x_test), verbose=0)
        response = kp.embedding_response(y_test, targets_test, moved_test, after)
        rows.append(
            {
                "data": name,
                "seed": seed,
                "form": form if weight else "control",
                "weight": weight,
                "way": response["achieved"],
                "drift": response["drift"],
                "f1": float(f1_score(labels_test, outputs, labels=classes, average="macro")),
                "accuracy": float(np.mean(outputs == labels_test)),
                "free way": reached.achieved,
                "free kept": reached.kept,
            }
        )
    return rows


def gathered(out, names, seeds):
    """The rows of all seeds, those that are not there yet computed and stored."""
    rows = []
    for seed in range(seeds):
        for name in names:
            file = out / f"{name}-{seed}.json"
            if not file.exists():
                keras.backend.clear_session()
                write_text(file, json.dumps(run_seed(name, seed)))
                print(f"{name}, seed {seed}: done", flush=True)
            rows += json.loads(file.read_text())
    return pd.DataFrame(rows)


def with_costs(table):
    """The retrainings with λ, and what each lost against that of λ = 0."""
    keys = ["data", "seed"]
    control = table[table["form"] == "control"].set_index(keys)
    rest = table[table["form"] != "control"].set_index(keys)
    for score in ("f1", "accuracy"):
        rest[f"Δ{score}"] = rest[score] - control.loc[rest.index, score]
    return rest.reset_index()


def most_way(costs, score, most):
    """For each data set, seed and form the longest way at a cost of `most` or less; 0 for none."""
    cheap = costs.assign(way=costs["way"].where(costs[f"Δ{score}"] >= -most, 0.0).clip(lower=0.0))
    return cheap.groupby(["data", "seed", "form"])["way"].max().unstack("form")


def summary(costs):
    """How far each form goes at a cost, and by how much it differs from the paper's, with 95 % intervals."""
    rows = []
    for score, most in (("f1", 0.01), ("f1", 0.03), ("accuracy", 0.005), ("accuracy", 0.01)):
        way = most_way(costs, score, most)
        for name, of_data in way.groupby("data"):
            for form in FORMS:
                row = {"data": name, "at most": f"{most} of {score}", "form": form}
                row["way"] = of_data[form].mean()
                mean, low, high = mean_interval(of_data[form] - of_data["embedding"])
                differs = "" if form == "embedding" else f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]"
                rows.append({**row, "less the paper's": differs})
    return pd.DataFrame(rows)


def draw(costs, path):
    """Way against cost over λ, a curve for each form."""
    from keras_pli.plotting import save_figure
    from keras_pli.plotting.style import INK, TEXT_SIZE, draw_title, new_figure, quiet_axes

    colors = dict(zip(FORMS, ("#0072B2", "#D55E00", "#009E73"), strict=True))
    names = list(costs["data"].unique())
    figure = new_figure(4.6 * len(names), 3.6)
    for place, name in enumerate(names, 1):
        ax = figure.add_subplot(1, len(names), place)
        for form, marker in zip(FORMS, "o^s", strict=True):
            of_form = costs[(costs["data"] == name) & (costs["form"] == form)].groupby("weight")
            way, lost = of_form["way"].mean(), of_form["Δf1"].mean()
            error = 1.96 * of_form["Δf1"].sem()
            ax.errorbar(
                way,
                lost,
                error,
                color=colors[form],
                marker=marker,
                markersize=4.5,
                lw=1.6,
                elinewidth=0.7,
                label=form,
            )
            if form == "embedding":
                for weight in WEIGHTS:
                    ax.annotate(
                        f"{weight:g}",
                        (way[weight], lost[weight]),
                        (4, 4),
                        textcoords="offset points",
                        fontsize=7,
                        color=INK,
                    )
        ax.axhline(0, color="#999999", lw=0.8)
        quiet_axes(ax, grid="y")
        draw_title(ax, name)
        ax.set_xlabel("share of the asked way gone, held-out", fontsize=TEXT_SIZE, color=INK)
        if place == 1:
            ax.set_ylabel("F1 of moved classes, less λ = 0", fontsize=TEXT_SIZE, color=INK)
            ax.legend(frameon=False, fontsize=TEXT_SIZE, loc="lower left")
    save_figure(figure, path)


def main():
    """Runs what is missing, prints the tables and draws the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/obeying"))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--data", nargs="+", choices=list(DATA), default=list(DATA))
    parser.add_argument("--figure", type=Path, default=Path("docs/obeying.png"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    costs = with_costs(gathered(arguments.out, arguments.data, arguments.seeds))
    means = costs.groupby(["data", "form", "weight"])[["way", "Δf1", "Δaccuracy", "drift"]].mean()
    print(means.round(3).to_string())
    print(summary(costs).round(3).to_string(index=False))
    draw(costs, arguments.figure)


if __name__ == "__main__":
    main()
