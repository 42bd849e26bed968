"""A hundred labelled images of 4,000: what are ten lassos around unlabelled clusters worth?

A network is trained on the labelled images (ten a class). Clusters in its last hidden layer are proposed
for labelling by a rule that sees no label but the hundred (`unlabelled_clusters`): Ward's clusters, three a
class, in which at least two are labelled, four fifths of them alike; a lasso gives that label to the
unlabelled of the cluster that the network, too, takes for the class. The largest come first. All arms, and
the control on the hundred, train from the same weights for as many steps, to whole epochs; classes count
alike, as they do in the hundred (each is weighed):

- 1, 2, 5, 10 lassos;
- 10 lassos, seen: a person looks at seven images of each proposal, as `Proposals.plot` shows them, names the
  class that five or more of them show (simulated by their true classes), and passes over other proposals;
- self-training, once: as many labels as ten lassos gave, of the images that the network is surest of;
- self-training: images of which it is sure (.9) are labelled, it is trained on, five times over, as
  scikit-learn's SelfTrainingClassifier does.

    python examples/label_by_lasso.py --out runs/lasso                   # ten seeds, on one core
    python examples/label_by_lasso.py --out runs/mine --data mine.npz

Each seed's results are stored as they end; the same command resumes an interrupted run. A folder belongs to
one set of data, and other data are refused there.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from data import add_data_argument, claim
from matplotlib.figure import Figure
from small_images import images_of, trained

import keras_pli as kp
from keras_pli.files import write_text
from keras_pli.intervals import mean_interval
from keras_pli.intervention import unlabelled_clusters

PER_CLASS = 10
BATCH, BASELINE_EPOCHS, STEPS = 20, 60, 400
LASSOS = (1, 2, 5, 10)
SURE, ROUNDS, SEEN, ALIKE = 0.9, 5, 7, 5
CONTROL, PERSON = "control", "10 lassos, seen"
ONCE, ROUNDS_ARM = "self-training, once", "self-training"
LOSS = "sparse_categorical_crossentropy"


def few(truth, seed):
    """Labels of ten samples a class; the others have none."""
    random = np.random.default_rng(seed)
    labels = np.full(len(truth), -1)
    for label in np.unique(truth):
        rows = random.choice(np.flatnonzero(truth == label), PER_CLASS, replace=False)
        labels[rows] = label
    return labels


def relabelled(rows, said):
    """The plan that gives samples the labels said."""
    return kp.InterventionPlan(
        [kp.Relabel(rows[said == label], int(label)) for label in np.unique(said)]
    )


def seen(found, truth):
    """The proposals with the names that a person gives them who looks at some images of each."""
    changes = []
    for proposal in found:
        counts = np.bincount(truth[proposal.shown(SEEN)])
        if counts.max() >= ALIKE:
            changes.append(kp.Relabel(proposal.rows, int(counts.argmax())))
    return kp.InterventionPlan(changes[: max(LASSOS)])


def surest(outputs, labels, count):
    """Self-training in one step: the unlabelled samples that the network is surest of."""
    sure = np.where(labels < 0, outputs.max(axis=1), -1)
    rows = np.sort(np.argsort(-sure, kind="stable")[:count])
    return relabelled(rows, outputs[rows].argmax(axis=1))


def even(plan, labels):
    """The plan, and weights by which all classes count alike: lassos label more of some than of others."""
    edited = plan.edited_data(labels, classes=int(labels.max()) + 1)
    names, counts = np.unique(edited.labels[edited.rows], return_counts=True)
    weights = counts.mean() / counts
    changes = [kp.Weigh(int(name), weight) for name, weight in zip(names, weights, strict=True)]
    return kp.InterventionPlan([*plan.changes, *changes])


def retrain(classifier, x, labels, plan, seed):
    """Trains a classifier on by a plan, STEPS steps to whole epochs."""
    keras.utils.set_random_seed(seed)
    plan = even(plan, labels)
    rows = plan.edited_data(labels, classes=int(labels.max()) + 1).rows
    pli = kp.PLIModel(classifier)
    pli.compile("adam", loss=kp.PLILoss(LOSS, embedding_weight=0.0))
    epochs = max(1, round(STEPS / -(-len(rows) // BATCH)))
    pli.fit(x, labels, plan=plan, batch_size=BATCH, epochs=epochs, verbose=0)


def self_trained(classifier, x, labels, seed):
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
            retrain(learner, x, labels, plan, seed)
    return plan


def plans_of(classifier, x, labels, truth, seed, arguments):
    """What each arm says, by its name."""
    z = kp.activations(classifier, x, layer="features")
    outputs = classifier.predict(x, verbose=0)
    found = unlabelled_clusters(z, labels, outputs, most=100)
    if seed == 0 and len(found):
        kp.plotting.save_figure(found.plot(x, most=10), arguments.out / "proposals.png")
    plans = {CONTROL: kp.InterventionPlan()}
    plans |= {lassos(count): found.plan(count) for count in LASSOS}
    plans[PERSON] = seen(found, truth)
    given = plans[lassos(max(LASSOS))].edited_data(labels).counts["relabelled"]
    plans[ONCE] = surest(outputs, labels, given)
    plans[ROUNDS_ARM] = self_trained(classifier, x, labels, seed)
    return plans


def run_seed(seed, arguments):
    """One row for each arm: its accuracy, and how many labels were given, how many of them rightly."""
    (x, truth), test = images_of(arguments.data, seed)
    labels = few(truth, seed)
    told, classes = labels >= 0, int(labels.max()) + 1
    classifier = trained(
        x[told], labels[told], classes, seed, batch_size=BATCH, epochs=BASELINE_EPOCHS
    )
    start = classifier.get_weights()
    rows = []
    for arm, plan in plans_of(classifier, x, labels, truth, seed, arguments).items():
        classifier.set_weights(start)
        retrain(classifier, x, labels, plan, seed)
        edited = plan.edited_data(labels, classes=int(truth.max()) + 1)
        given = edited.labels != labels
        right = np.mean(edited.labels[given] == truth[given]) if given.any() else np.nan
        accuracy = np.mean(classifier.predict(test[0], verbose=0).argmax(axis=1) == test[1])
        rows.append(
            {
                "seed": seed,
                "arm": arm,
                "accuracy": accuracy,
                "labels given": given.sum(),
                "right": right,
            }
        )
    return pd.DataFrame(rows)


def lassos(count):
    """The name of the arm with so many."""
    return "1 lasso" if count == 1 else f"{count} lassos"


def gains_of(scores):
    """The paired difference of each arm to the control: one row a seed, one column an arm."""
    accuracy = scores.pivot(index="seed", columns="arm", values="accuracy")[scores["arm"].unique()]
    return accuracy.sub(accuracy[CONTROL], axis=0)


def summary(scores):
    """Means over seeds, and the paired difference to the control with its 95 % interval."""
    rows = []
    for arm, gains in gains_of(scores).items():
        of_arm = scores[scores["arm"] == arm]
        mean, low, high = mean_interval(gains)
        rows.append(
            {
                "arm": arm,
                "labels given": f"{of_arm['labels given'].mean():.0f}",
                "right": f"{of_arm['right'].mean():.3f}",
                "accuracy": f"{of_arm['accuracy'].mean():.4f}",
                "− control": f"{mean:+.4f} [{low:+.4f}, {high:+.4f}]" if arm != CONTROL else "",
            }
        )
    return pd.DataFrame(rows)


def figure(scores):
    """Accuracy against the number of lassos, beside self-training, as differences to the control."""
    drawn = Figure(figsize=(7, 4), layout="constrained")
    ax = drawn.subplots()
    gains = {arm: mean_interval(values) for arm, values in gains_of(scores).items()}
    means, lows, highs = np.array([(0.0, 0.0, 0.0), *(gains[lassos(n)] for n in LASSOS)]).T
    counts = [0, *LASSOS]
    ax.plot(counts, means, "o-", color="#0072b2", label="lassos")
    ax.fill_between(counts, lows, highs, color="#0072b2", alpha=0.2, linewidth=0)
    others = ((PERSON, "s", "#d55e00"), (ONCE, "^", "#009e73"), (ROUNDS_ARM, "D", "#7a4f9b"))
    for place, (arm, marker, color) in enumerate(others, start=1):
        mean, low, high = gains[arm]
        at = max(LASSOS) + 0.5 * place
        spread = [[mean - low], [high - mean]]
        ax.errorbar([at], [mean], spread, fmt=marker, color=color, capsize=4, label=arm)
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
    claim(arguments.out, arguments.data)
    for seed in range(arguments.seeds):
        file = arguments.out / f"seed-{seed}.csv"
        if not file.exists():
            write_text(file, run_seed(seed, arguments).to_csv(index=False))
        print(f"seed {seed} of {arguments.seeds} done", flush=True)
    files = [arguments.out / f"seed-{seed}.csv" for seed in range(arguments.seeds)]
    scores = pd.concat([pd.read_csv(file) for file in files], ignore_index=True)
    print(summary(scores).to_string(index=False))
    kp.plotting.save_figure(figure(scores), arguments.out / "label_by_lasso.png")


if __name__ == "__main__":
    main()
