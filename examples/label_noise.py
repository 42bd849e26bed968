"""Wrong labels in one pair of classes: does it help to relabel, or to leave out, what neighbours contradict?

Of 4,000 training images 10 and 20 % of the labels of two classes are swapped (Fashion-MNIST's Sneaker and
Ankle boot unless told otherwise); held-out labels are right. A network is trained on them, and labels that
the neighbours in its last hidden layer contradict are proposed, of all classes, without knowing of the pair.
Arms, each beside its control, which trains from the same weights, as long, on the labels as they are:

- relabel: suspicious labels become what their neighbours say;
- exclude: samples with suspicious labels are left out;
- true labels: all swapped labels are put right, which no other arm knows: the ceiling.

    python examples/label_noise.py --out runs/label-noise                  # ten seeds, on one core
    python examples/label_noise.py --out runs/coats --pair 2 4             # Pullover and Coat, much alike
    python examples/label_noise.py --out runs/mine --data mine.npz --pair 3 8

Each seed's results are stored as they end; the same command resumes an interrupted run.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from data import add_data_argument, load
from matplotlib.figure import Figure

import keras_pli as kp
from keras_pli.intervals import mean_interval
from keras_pli.intervention import suspicious_labels

TRAIN, TEST = 4000, 4000
BATCH, BASELINE_EPOCHS, EPOCHS = 50, 6, 6
NOISE = (0.1, 0.2)
ARMS = ("relabel", "exclude", "true labels")


def images_of(path, seed):
    """Training images of a seed, and held-out ones: (samples, height, width, channels) in [0, 1], classes."""
    drawn = []
    for (x, y), count in zip(load(keras.datasets.fashion_mnist, path), (TRAIN, TEST), strict=True):
        rows = np.random.default_rng(seed).permutation(len(y))[:count]
        images = x[rows].reshape(len(rows), *x.shape[1:3], -1).astype("float32") / x.max()
        drawn.append((images, y[rows].ravel().astype(int)))
    return drawn


def swapped(labels, pair, share, seed):
    """Labels of which that share of either class of the pair has the other's."""
    random = np.random.default_rng(seed)
    noisy = labels.copy()
    for own, other in (pair, pair[::-1]):
        rows = np.flatnonzero(labels == own)
        noisy[random.choice(rows, round(share * len(rows)), replace=False)] = other
    return noisy


def trained(x, labels, classes, seed):
    """A small convolutional network, trained on the labels given."""
    keras.utils.set_random_seed(seed)
    classifier = keras.Sequential(
        [
            keras.Input(x.shape[1:]),
            keras.layers.Conv2D(16, 3, strides=2, activation="relu"),
            keras.layers.Conv2D(32, 3, strides=2, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(64, activation="relu", name="features"),
            keras.layers.Dense(classes, activation="softmax"),
        ]
    )
    classifier.compile("adam", "sparse_categorical_crossentropy")
    classifier.fit(x, labels, batch_size=BATCH, epochs=BASELINE_EPOCHS, verbose=0)
    return classifier


def plan_of(arm, noisy, truth, found):
    """What an arm says."""
    if arm != "true labels":
        return found.plan()
    wrong = noisy != truth
    return kp.InterventionPlan(
        [kp.Relabel(wrong & (truth == label), int(label)) for label in np.unique(truth[wrong])]
    )


def run_seed(seed, share, arguments):
    """One row for each arm and its control, with what was proposed and how much of it was right."""
    (x, truth), test = images_of(arguments.data, seed)
    noisy = swapped(truth, arguments.pair, share, seed)
    wrong = noisy != truth
    classifier = trained(x, noisy, int(truth.max()) + 1, seed)
    z = kp.activations(classifier, x, layer="features")
    rows = []
    for arm in ARMS:
        act = "exclude" if arm == "exclude" else "relabel"
        found = suspicious_labels(z, noisy, act=act)
        if arm == "relabel" and seed == 0 and len(found):
            name = f"proposals-{share:.0%}.png".replace("%", "")
            kp.plotting.save_figure(found.plot(x), arguments.out / name)
        suspects = np.concatenate([np.zeros(0, int), *(proposal.rows for proposal in found)])
        result = kp.pli_experiment(
            classifier,
            (x, noisy),
            test,
            plan_of(arm, noisy, truth, found),
            epochs=EPOCHS,
            batch_size=BATCH,
            seeds=[seed],
            out=arguments.out / f"{share:.0%}-seed-{seed}" / arm.replace(" ", "-"),
            verbose=0,
        )
        of_pair = np.isin(test[1], arguments.pair)
        for run in ("control", "PLI"):
            right = result.runs[0].predicted(run) == test[1]
            rows.append(
                {
                    "noise": share,
                    "seed": seed,
                    "arm": arm,
                    "run": run,
                    "accuracy": right.mean(),
                    "accuracy of the pair": right[of_pair].mean(),
                    "proposed": len(suspects),
                    "of them wrong": wrong[suspects].sum() / max(1, len(suspects)),
                    "of the wrong found": wrong[suspects].sum() / wrong.sum(),
                }
            )
    return rows


def interval(values):
    """A mean with its 95 % interval over seeds."""
    mean, low, high = mean_interval(values)
    return f"{mean:+.4f} [{low:+.4f}, {high:+.4f}]"


def summary(scores):
    """Accuracy of each arm, and paired differences to its control with 95 % intervals over seeds."""
    rows = []
    for (share, arm), of_arm in scores.groupby(["noise", "arm"], sort=False):
        row = {"noise": f"{share:.0%}", "arm": arm}
        for what in ("accuracy", "accuracy of the pair"):
            by_run = of_arm.pivot(index="seed", columns="run", values=what)
            row["control" if what == "accuracy" else "control, pair"] = (
                f"{by_run['control'].mean():.4f}"
            )
            row[f"{what} − control"] = interval(by_run["PLI"] - by_run["control"])
        rows.append(row)
    return pd.DataFrame(rows)


def figure(scores):
    """Paired differences in accuracy of the pair, a point a seed."""
    drawn = Figure(figsize=(8, 3.6), layout="constrained")
    panels = drawn.subplots(1, scores["noise"].nunique(), sharey=True, squeeze=False)[0]
    for ax, (share, of_share) in zip(panels, scores.groupby("noise"), strict=True):
        for place, arm in enumerate(ARMS):
            by_run = of_share[of_share["arm"] == arm].pivot(
                index="seed", columns="run", values="accuracy of the pair"
            )
            values = by_run["PLI"] - by_run["control"]
            mean, low, high = mean_interval(values)
            ax.scatter([place] * len(values), values, s=14, color="0.65")
            ax.errorbar(
                [place], [mean], [[mean - low], [high - mean]], fmt="o", color="#0072b2", capsize=4
            )
        ax.axhline(0, color="0.3", linewidth=0.8)
        ax.set_xticks(range(len(ARMS)), ARMS)
        ax.set_xlim(-0.5, len(ARMS) - 0.5)
        ax.set_title(f"{share:.0%} of the pair's labels swapped", loc="left")
    panels[0].set_ylabel("accuracy of the pair − control")
    return drawn


def main():
    """Runs all seeds and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data_argument(parser)
    parser.add_argument("--out", type=Path, default=Path("runs/label-noise"))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--pair", type=int, nargs=2, default=(7, 9), metavar="CLASS")
    parser.add_argument("--noise", type=float, nargs="+", default=NOISE, help="shares swapped")
    arguments = parser.parse_args()
    scores = []
    for seed in range(arguments.seeds):
        for share in arguments.noise:
            rows = run_seed(seed, share, arguments)
            scores += rows
            first = rows[0]
            print(
                f"seed {seed}, {share:.0%}: {first['proposed']} proposed, {first['of them wrong']:.0%} "
                f"of them wrong, {first['of the wrong found']:.0%} of the wrong found",
                flush=True,
            )
    scores = pd.DataFrame(scores)
    print(summary(scores).to_string(index=False))
    kp.plotting.save_figure(figure(scores), arguments.out / "label_noise.png")


if __name__ == "__main__":
    main()
