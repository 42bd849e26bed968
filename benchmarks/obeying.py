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
    python benchmarks/obeying.py --out runs/obeying --seeds 10 --pilots

How far a form goes at a cost is said for the λ of seven that is best by the very samples that it is measured
on, for each seed: a little too good, for all three forms alike.

Each seed is stored as it ends; the same command resumes. A folder belongs to one set of settings, noted in
it, and is refused with others. It prints a table and draws docs/obeying.png. With
--pilots it asks how well `PLIModel.find_weight` finds the largest λ that costs no more than so much accuracy:
by all λ or by halving them, in pilots as long as the training or half as long.
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
from keras_pli.files import read_json, write_json, write_text
from keras_pli.intervals import mean_interval
from keras_pli.retraining import ShuffledBatches, reachable_activations
from keras_pli.retraining.trials.automatic_weight import WeightPilot, halved

FORMS = ("embedding", "activations", "both")
WEIGHTS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 0.9)
LOSS, BATCH = "sparse_categorical_crossentropy", 50


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


def prepared(name, seed):
    """The data, classifier, map and plan of a seed, by name."""
    (x, labels), (x_test, labels_test) = DATA[name](seed)
    classifier = network(x.shape[1:], seed)
    classifier.compile("adam", LOSS)
    classifier.fit(x, labels, epochs=EPOCHS[name][0], batch_size=BATCH, verbose=0)
    z = kp.activations(classifier, x)
    tsne = kp.ParametricTSNE.smooth(perplexity=30, seed=seed)
    tsne.fit(z, verbose=0)
    y = tsne.predict(z, verbose=0)
    plan, classes = random_plan(y, labels, seed)
    targets, moved = plan.apply(y, labels)
    return {
        "train": (x, labels, z, y, targets, moved),
        "test": (x_test, labels_test),
        "models": (classifier, tsne),
        "plan": (plan, classes),
    }


def run_seed(name, seed):
    """All retrainings of a seed, a row each."""
    made = prepared(name, seed)
    x, labels, z, _, targets, moved = made["train"]
    (x_test, labels_test), (classifier, tsne), (plan, classes) = (
        made[part] for part in ("test", "models", "plan")
    )
    y_test = tsne.predict(kp.activations(classifier, x_test), verbose=0)
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
        y = {"label": labels, "embedding": wanted}
        batches = ShuffledBatches(x, y, batch_size=BATCH, seed=seed)
        pli.fit(batches, epochs=EPOCHS[name][1], shuffle=False, verbose=0)
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


def run_pilots(name, seed):
    """Accuracy on a fifth of the training set held out, after pilots with every λ, a row each."""
    made = prepared(name, seed)
    x, labels, _, y, targets, _ = made["train"]
    pli = kp.PLIModel(*made["models"])
    pli.compile("adam", kp.PLILoss(LOSS, "auto", scale=float(y.var(axis=0).sum() / 10)))
    pilot, epochs, rows = (
        WeightPilot(pli, x, {"label": labels, "embedding": targets}),
        EPOCHS[name][1],
        [],
    )
    for length in (epochs // 2, epochs):
        for weight in (0.0, *WEIGHTS):
            accuracy = pilot.accuracy(weight, epochs=length, batch_size=BATCH)
            row = {"data": name, "seed": seed, "weight": weight, "accuracy": accuracy}
            rows.append({**row, "length": length / epochs, "held out": pilot.held_out})
    return rows


def chosen_by(pilots, costs, most):
    """The λ that pilots of every seed choose, and what training with it costs held-out samples."""
    rows = []
    for (name, length, seed), of_seed in pilots.groupby(["data", "length", "seed"]):
        accuracy = of_seed.set_index("weight")["accuracy"]
        passes = [bool(accuracy[0.0] - accuracy[weight] <= most + 1e-9) for weight in WEIGHTS]
        of_test = costs[(costs["data"] == name) & (costs["seed"] == seed)]
        of_test = of_test[of_test["form"] == "embedding"].set_index("weight")
        best = [bool(lost >= -most) for lost in of_test.loc[list(WEIGHTS), "Δaccuracy"]]
        every = {"all": passes, "halving": passes, "the test set": best}
        for rule, passing in every.items():
            place = halved(len(WEIGHTS), passing.__getitem__)
            if rule != "halving":
                place = max((index for index, passed in enumerate(passing) if passed), default=-1)
            weight = WEIGHTS[place] if place >= 0 else 0.0
            found = of_test.loc[weight] if weight else {"Δaccuracy": 0.0, "way": 0.0}
            row = {"data": name, "pilot": length, "rule": rule, "seed": seed, "λ": weight}
            rows.append({**row, "cost": -found["Δaccuracy"], "way": found["way"]})
    return pd.DataFrame(rows).assign(most=most)


def gathered(out, names, seeds, run, ending=""):
    """The rows of all seeds, those that are not there yet computed and stored."""
    rows = []
    for seed in range(seeds):
        for name in names:
            file = out / f"{name}-{seed}{ending}.json"
            if not file.exists():
                keras.backend.clear_session()
                write_text(file, json.dumps(run(name, seed)))
                print(f"{name}, seed {seed}{ending}: done", flush=True)
            rows += json.loads(file.read_text())
    return pd.DataFrame(rows)


def note_settings(folder):
    """Notes in a folder what its rows depend on, and refuses one of other settings."""
    epochs = {name: list(of_data) for name, of_data in EPOCHS.items()}
    settings = {"weights": list(WEIGHTS), "epochs": epochs, "batch": BATCH, "loss": LOSS}
    path = folder / "settings.json"
    if path.exists() and read_json(path) != settings:
        raise SystemExit(
            f"{folder} belongs to other settings, {read_json(path)}: give another --out."
        )
    write_json(path, settings)


def with_costs(table):
    """The retrainings with λ, and what each lost against that of λ = 0."""
    keys = ["data", "seed"]
    control = table[table["form"] == "control"].set_index(keys)
    rest = table[table["form"] != "control"].set_index(keys)
    for score in ("f1", "accuracy"):
        rest[f"Δ{score}"] = rest[score] - control.loc[rest.index, score]
    return rest.reset_index()


def most_way(costs, score, most):
    """For each data set, seed and form the longest way at a cost of `most` or less; 0 for none.

    The λ is picked by the samples that way and cost are measured on, so this is what is possible, and
    somewhat more than a λ picked by others would give.
    """
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
    """Way against cost over λ, a curve for each form, with 95 % intervals of the cost."""
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
            error = lost - of_form["Δf1"].agg(lambda values: mean_interval(values)[1])
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
                        f"λ = {weight:g}" if weight == WEIGHTS[0] else f"{weight:g}",
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
    parser.add_argument("--pilots", action="store_true", help="ask how λ is found")
    parser.add_argument("--figure", type=Path, default=Path("docs/obeying.png"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    note_settings(arguments.out)
    given = arguments.out, arguments.data, arguments.seeds
    costs = with_costs(gathered(*given, run_seed))
    if arguments.pilots:
        pilots = gathered(*given, run_pilots, "-pilots")
        chosen = pd.concat([chosen_by(pilots, costs, most) for most in (0.005, 0.01, 0.02, 0.03)])
        chosen["over"] = chosen["cost"] > chosen["most"] + 0.005
        means = chosen.groupby(["data", "most", "rule", "pilot"])[
            ["λ", "cost", "way", "over"]
        ].mean()
        print(means.round(3).to_string())
        return
    means = costs.groupby(["data", "form", "weight"])[["way", "Δf1", "Δaccuracy", "drift"]].mean()
    print(means.round(3).to_string())
    print("the longest way at a cost; λ picked for each seed by these very samples:")
    print(summary(costs).round(3).to_string(index=False))
    draw(costs, arguments.figure)


if __name__ == "__main__":
    main()
