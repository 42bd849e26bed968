"""A hundred labelled images of 4,000: what are ten lassos around unlabelled clusters worth?

A network is trained on the labelled images (ten a class). Clusters in its last hidden layer are proposed
for labelling by a rule that sees no label but the hundred (`unlabelled_clusters`): Ward's clusters, three a
class, in which at least two are labelled, four fifths of them alike; a lasso gives that label to the
unlabelled of the cluster that the network, too, takes for the class. The largest come first. Arms, each
beside its control, which trains from the same weights, as many steps, on the hundred:

- 1, 2, 5, 10 lassos;
- 10 lassos, seen: a person looks at the first seven images of each proposal and names the class that most of
  them show (simulated by their true classes); clusters in which no class has four of them are passed over;
- self-training, once: as many labels as ten lassos gave, of the images that the network is surest of;
- self-training: images of which it is sure (.9) are labelled, it is trained on, five times over, as
  scikit-learn's SelfTrainingClassifier does.

    python examples/label_by_lasso.py --out runs/lasso                   # ten seeds, on one core
    python examples/label_by_lasso.py --out runs/mine --data mine.npz

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
from keras_pli.intervention import unlabelled_clusters

TRAIN, TEST, PER_CLASS = 4000, 4000, 10
BATCH, BASELINE_EPOCHS, EPOCHS = 20, 60, 8
LASSOS = (1, 2, 5, 10)
SURE, ROUNDS, SEEN = 0.9, 5, 7
ONCE, ROUNDS_ARM, PERSON = "self-training, once", "self-training", "10 lassos, seen"
LOSS = "sparse_categorical_crossentropy"


def images_of(path, seed):
    """Training images of a seed, and held-out ones: (samples, height, width, channels) in [0, 1], classes."""
    drawn = []
    for (x, y), count in zip(load(keras.datasets.fashion_mnist, path), (TRAIN, TEST), strict=True):
        rows = np.random.default_rng(seed).permutation(len(y))[:count]
        images = x[rows].reshape(len(rows), *x.shape[1:3], -1).astype("float32") / x.max()
        drawn.append((images, y[rows].ravel().astype(int)))
    return drawn


def few(truth, seed):
    """Labels of ten samples a class; the others have none."""
    random = np.random.default_rng(seed)
    labels = np.full(len(truth), -1)
    for label in np.unique(truth):
        rows = random.choice(np.flatnonzero(truth == label), PER_CLASS, replace=False)
        labels[rows] = label
    return labels


def trained(x, labels, seed):
    """A small convolutional network, trained on what is labelled."""
    keras.utils.set_random_seed(seed)
    classifier = keras.Sequential(
        [
            keras.Input(x.shape[1:]),
            keras.layers.Conv2D(16, 3, strides=2, activation="relu"),
            keras.layers.Conv2D(32, 3, strides=2, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(64, activation="relu", name="features"),
            keras.layers.Dense(int(labels.max()) + 1, activation="softmax"),
        ]
    )
    classifier.compile("adam", LOSS)
    rows = labels >= 0
    classifier.fit(x[rows], labels[rows], batch_size=BATCH, epochs=BASELINE_EPOCHS, verbose=0)
    return classifier


def relabelled(rows, said):
    """The plan that gives samples the labels said."""
    return kp.InterventionPlan(
        [kp.Relabel(rows[said == label], int(label)) for label in np.unique(said)]
    )


def seen(found, truth):
    """The proposals with the names that a person gives them who looks at the first images of each."""
    changes = []
    for proposal in found:
        counts = np.bincount(truth[proposal.rows[:SEEN]])
        if counts.max() > SEEN / 2:
            changes.append(kp.Relabel(proposal.rows, int(counts.argmax())))
    return kp.InterventionPlan(changes)


def surest(outputs, labels, count):
    """Self-training in one step: the unlabelled samples that the network is surest of."""
    sure = np.where(labels < 0, outputs.max(axis=1), -1)
    rows = np.sort(np.argsort(-sure, kind="stable")[:count])
    return relabelled(rows, outputs[rows].argmax(axis=1))


def self_trained(classifier, x, labels):
    """Self-training in rounds: what was sure enough in one of them keeps the label that it got."""
    learner = keras.models.clone_model(classifier)
    learner.set_weights(classifier.get_weights())
    told = labels.copy()
    for round_ in range(ROUNDS):
        outputs = learner.predict(x, verbose=0)
        told = np.where((told < 0) & (outputs.max(axis=1) >= SURE), outputs.argmax(axis=1), told)
        rows = np.flatnonzero((labels < 0) & (told >= 0))
        plan = relabelled(rows, told[rows])
        if round_ < ROUNDS - 1:
            pli = kp.PLIModel(learner)
            pli.compile("adam", loss=kp.PLILoss(LOSS, embedding_weight=0.0))
            pli.fit(x, labels, plan=plan, batch_size=BATCH, epochs=EPOCHS, verbose=0)
    return plan


def plans_of(classifier, x, labels, truth, seed, arguments):
    """What each arm says, by its name."""
    z = kp.activations(classifier, x, layer="features")
    outputs = classifier.predict(x, verbose=0)
    found = unlabelled_clusters(z, labels, outputs, most=max(LASSOS))
    if seed == 0:
        kp.plotting.save_figure(found.plot(x, most=10), arguments.out / "proposals.png")
    plans = {f"{count} lassos" if count > 1 else "1 lasso": found.plan(count) for count in LASSOS}
    plans[PERSON] = seen(found, truth)
    given = plans[f"{max(LASSOS)} lassos"].edited_data(labels).counts["relabelled"]
    plans[ONCE] = surest(outputs, labels, given)
    plans[ROUNDS_ARM] = self_trained(classifier, x, labels)
    return plans


def run_seed(seed, arguments):
    """One row for each arm: its accuracy, its control's, and how many labels were given, how many rightly."""
    (x, truth), test = images_of(arguments.data, seed)
    labels = few(truth, seed)
    classifier = trained(x, labels, seed)
    rows = []
    for arm, plan in plans_of(classifier, x, labels, truth, seed, arguments).items():
        result = kp.pli_experiment(
            classifier,
            (x, labels),
            test,
            plan,
            epochs=EPOCHS,
            batch_size=BATCH,
            seeds=[seed],
            out=arguments.out / f"seed-{seed}" / arm.replace(",", "").replace(" ", "-"),
            verbose=0,
        )
        accuracy = {
            run: np.mean(result.runs[0].predicted(run) == test[1]) for run in ("control", "PLI")
        }
        edited = plan.edited_data(labels, classes=int(truth.max()) + 1)
        given = edited.labels != labels
        rows.append(
            {
                "seed": seed,
                "arm": arm,
                "accuracy": accuracy["PLI"],
                "control": accuracy["control"],
                "labels given": given.sum(),
                "right": np.mean(edited.labels[given] == truth[given]),
            }
        )
    return rows


def summary(scores):
    """Means over seeds, and the paired difference to the control with its 95 % interval."""
    rows = []
    for arm, of_arm in scores.groupby("arm", sort=False):
        mean, low, high = mean_interval(of_arm["accuracy"] - of_arm["control"])
        rows.append(
            {
                "arm": arm,
                "labels given": f"{of_arm['labels given'].mean():.0f}",
                "right": f"{of_arm['right'].mean():.3f}",
                "accuracy": f"{of_arm['accuracy'].mean():.4f}",
                "control": f"{of_arm['control'].mean():.4f}",
                "− control": f"{mean:+.4f} [{low:+.4f}, {high:+.4f}]",
            }
        )
    return pd.DataFrame(rows)


def figure(scores):
    """Accuracy against the number of lassos, beside self-training, as differences to the control."""
    drawn = Figure(figsize=(7, 4), layout="constrained")
    ax = drawn.subplots()
    scores = scores.assign(gain=scores["accuracy"] - scores["control"])
    gains = {
        arm: mean_interval(of_arm["gain"]) for arm, of_arm in scores.groupby("arm", sort=False)
    }
    lassos = [gains[f"{count} lassos" if count > 1 else "1 lasso"] for count in LASSOS]
    means, lows, highs = np.array([(0.0, 0.0, 0.0), *lassos]).T
    counts = [0, *LASSOS]
    ax.plot(counts, means, "o-", color="#0072b2", label="lassos")
    ax.fill_between(counts, lows, highs, color="#0072b2", alpha=0.2, linewidth=0)
    others = ((PERSON, "s", "#d55e00"), (ONCE, "^", "#009e73"), (ROUNDS_ARM, "D", "#7a4f9b"))
    for place, (arm, marker, color) in enumerate(others, start=1):
        mean, low, high = gains[arm]
        at = max(LASSOS) + 0.5 * place
        ax.errorbar(
            [at],
            [mean],
            [[mean - low], [high - mean]],
            fmt=marker,
            color=color,
            capsize=4,
            label=arm,
        )
    ax.axhline(0, color="0.3", linewidth=0.8)
    ax.set_xticks(counts)
    ax.set_xlabel("lassos")
    ax.set_ylabel("accuracy − control")
    ax.legend(frameon=False)
    return drawn


def main():
    """Runs all seeds and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data_argument(parser)
    parser.add_argument("--out", type=Path, default=Path("runs/lasso"))
    parser.add_argument("--seeds", type=int, default=10)
    arguments = parser.parse_args()
    scores = []
    for seed in range(arguments.seeds):
        scores += run_seed(seed, arguments)
        print(f"seed {seed} of {arguments.seeds} done", flush=True)
    scores = pd.DataFrame(scores)
    print(summary(scores).to_string(index=False))
    kp.plotting.save_figure(figure(scores), arguments.out / "label_by_lasso.png")


if __name__ == "__main__":
    main()
