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

Each seed's results are stored as they end; the same command resumes an interrupted run. A folder belongs to
one set of data and settings, and others are refused there.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from data import add_data_argument, claim
from matplotlib.figure import Figure
from small_images import images_of, trained

import keras_pli as kp
from keras_pli.files import write_text
from keras_pli.intervals import mean_interval
from keras_pli.intervention import suspicious_labels

BATCH, BASELINE_EPOCHS, EPOCHS = 50, 6, 6
NOISE = (0.1, 0.2)
ARMS = ("relabel", "exclude", "true labels")


def swapped(labels, pair, share, seed):
    """Labels of which that share of either class of the pair has the other's."""
    random = np.random.default_rng(seed)
    noisy = labels.copy()
    for own, other in (pair, pair[::-1]):
        rows = np.flatnonzero(labels == own)
        noisy[random.choice(rows, round(share * len(rows)), replace=False)] = other
    return noisy


def plan_of(arm, noisy, truth, found):
    """What an arm says."""
    if arm != "true labels":
        return found.plan()
    wrong = noisy != truth
    return kp.InterventionPlan(
        [kp.Relabel(wrong & (truth == label), int(label)) for label in np.unique(truth[wrong])]
    )


def scores_of(seed, share, arguments):
    """What `run_seed` returned of a seed, now or when it ran."""
    file = arguments.out / f"{100 * share:g}%-seed-{seed}" / "scores.csv"
    if not file.exists():
        rows = run_seed(seed, share, arguments)
        write_text(file, pd.DataFrame(rows).to_csv(index=False))
    return pd.read_csv(file)


def run_seed(seed, share, arguments):
    """One row for each arm and its control, with what was proposed and how much of it was right."""
    (x, truth), test = images_of(arguments.data, seed)
    noisy = swapped(truth, arguments.pair, share, seed)
    wrong = noisy != truth
    classes = int(truth.max()) + 1
    classifier = trained(x, noisy, classes, seed, batch_size=BATCH, epochs=BASELINE_EPOCHS)
    z = kp.activations(classifier, x, layer="features")
    rows = []
    for arm in ARMS:
        act = "exclude" if arm == "exclude" else "relabel"
        found = suspicious_labels(z, noisy, act=act)
        if arm == "relabel" and seed == 0 and len(found):
            name = f"proposals-{100 * share:g}.png"
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
            out=arguments.out / f"{100 * share:g}%-seed-{seed}" / arm.replace(" ", "-"),
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
    claim(arguments.out, arguments.data, pair=arguments.pair)
    scores = []
    for seed in range(arguments.seeds):
        for share in arguments.noise:
            scores.append(scores_of(seed, share, arguments))
            first = scores[-1].iloc[0]
            print(
                f"seed {seed}, {share:.0%}: {first['proposed']} proposed, {first['of them wrong']:.0%} "
                f"of them wrong, {first['of the wrong found']:.0%} of the wrong found",
                flush=True,
            )
    scores = pd.concat(scores, ignore_index=True)
    print(summary(scores).to_string(index=False))
    kp.plotting.save_figure(figure(scores), arguments.out / "label_noise.png")


if __name__ == "__main__":
    main()
