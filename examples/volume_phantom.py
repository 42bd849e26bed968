"""What decides about a brain? A cohort of known truth, trained on, explained, and checked.

400 brain phantoms are made from the MNI152 template: patients have lost tissue in both hippocampi. They also have the
larger brains, on average, and more of them moved their soft palate, which leaves a bright airway below the brain: two
short cuts, as sex and the nasopharynx were in the study of Kan et al. (2020). A 3-D network is trained by
cross-validation on the volumes as they are, stripped of the skull, augmented, and scaled so that size cannot decide; and
each time it is asked what it uses. Then: is an autoencoder a better start, which method finds the planted place,
and which of the maps would look the same of a network that has learned nothing?

    python examples/volume_phantom.py --out runs/volume             # offline, ten minutes on two cores
    python examples/volume_phantom.py --out runs/volume --subjects 120 --folds 2 --epochs 6   # a first look

A cohort of your own goes the same way by `keras-pli volume train|explain|report --cohort cohort.csv`.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from scipy.ndimage import generic_gradient_magnitude, sobel

from keras_pli import attribution as a
from keras_pli import evaluation, plotting, volume
from keras_pli.synthetic import brain_phantoms

SHAPE = (32, 38, 32)
FILTERS = (8, 16, 32)
STRENGTH = 0.4
# The rows of the paper's table: how volumes are prepared, and what changes them in training.
ROWS = {
    "no preprocessing": {},
    "skull stripping": {"skull_stripping": "mask"},
    "… and rotation": {"skull_stripping": "mask", "augmentation": "rotation"},
    "… rotation and scaling": {"skull_stripping": "mask", "augmentation": "rotation and scaling"},
    "… optimal scaling": {"skull_stripping": "mask", "optimal_scaling": "quantile"},
}
METHODS = {
    "Grad-CAM, last layer": a.GradCAM,
    "Grad-CAM, first layer, elementwise": partial(a.GradCAM, layer="relu_1", weights="elementwise"),
    "guided backprop": a.GuidedBackprop,
    "saliency": a.Saliency,
    "integrated gradients": partial(a.IntegratedGradients, steps=16),
    "meaningful perturbation": partial(
        a.MeaningfulPerturbation, steps=100, within=lambda x: x[..., 0] != 0
    ),
}


def build(shape, classes, seed):
    """The paper's network with fewer filters."""
    return volume.volume_classifier(shape, classes, filters=FILTERS, seed=seed)


def layers(name):
    """What changes the training volumes."""
    if name == "rotation":
        return [volume.RandomVolumeRotation(8.0, seed=0)]
    if name == "rotation and scaling":
        return [volume.RandomVolumeAffine(degrees=8.0, factor=0.1, seed=0)]
    return []


def make_cohort(folder, count, seed, **confounding):
    """Phantoms in files, as a cohort."""
    phantoms = brain_phantoms(count, shape=SHAPE, strength=STRENGTH, seed=seed, **confounding)
    return phantoms, volume.read_cohort(phantoms.write(folder))


def judged(found, prepared, cohort):
    """The mean accuracy of the folds' networks on another cohort."""
    x, labels, _ = cohort.arrays(prepared)
    return np.mean([(m.predict(x, verbose=0).argmax(1) == labels).mean() for m in found.models])


def looked_at(found, prepared, cohort, phantoms, rows):
    """By how much gradients exceed chance outside the brain and at the planted place."""
    x, _, _ = cohort.select(rows).arrays(prepared)
    maps = np.zeros(x.shape[:-1])
    for fold, network in enumerate(found.models):
        own = found.predictions["fold"].to_numpy()[rows] == fold
        maps[own] = abs(a.Saliency(network)(x[own]).attributions[..., 0])
    share = maps / maps.sum(axis=(1, 2, 3), keepdims=True)
    brain, truth = phantoms.brain[rows], phantoms.truth[rows]
    return {
        name: float((share * part).sum(axis=(1, 2, 3)).mean() / part.mean())
        for name, part in (("outside", ~brain), ("planted place", truth))
    }


def preprocessing_table(cohort, phantoms, fair, options, out):
    """The paper's five rows, and beside each what its network uses."""
    table, results = {}, {}
    rows = np.flatnonzero(phantoms.labels == 1)[:40]
    for number, (name, settings) in enumerate(ROWS.items()):
        print(f"\n{name} …", flush=True)
        prepared = volume.Preprocessing(skull_stripping=settings.get("skull_stripping", "none"))
        found = volume.cross_validate(
            cohort,
            prepared,
            build=build,
            augmentation=layers(settings.get("augmentation")),
            optimal_scaling=settings.get("optimal_scaling"),
            folds=options.folds,
            epochs=options.epochs,
            batch_size=16,
            out=out / f"row-{number}",
            cache=out / "preprocessed",
            verbose=2,
        )
        used = looked_at(found, prepared, cohort, phantoms, rows)
        table[name] = {
            "training": found.table["training_accuracy"].mean(),
            "validation": found.accuracy,
            "std": found.table["validation_accuracy"].std(),
            "without short cuts": judged(found, prepared, fair),
            "correlation with size": found.size_correlation,
            **used,
        }
        results[name] = found
    return pd.DataFrame(table).T, results


def transfer_table(cohort, options, out):
    """An autoencoder's encoder as a start, beside a random one."""
    prepared = volume.Preprocessing(skull_stripping="mask")
    train, test = cohort.split(0.25, seed=1)
    autoencoder = volume.pretrain_autoencoder(
        train,
        prepared,
        filters=FILTERS,
        epochs=options.epochs,
        batch_size=16,
        cache=out / "preprocessed",
        verbose=2,
    )
    sizes = [size for size in (50, 100, 200) if size <= len(train) // 2 * 2]
    table = volume.compare_transfer(
        train,
        test,
        prepared,
        autoencoder,
        sizes=sizes,
        repeats=options.repeats,
        epochs=options.epochs,
        batch_size=16,
        verbose=1,
    )
    return table.groupby(["labelled", "start"])[["accuracy", "auc"]].agg(["mean", "std"])


def localization_table(found, cohort, phantoms, rows, out):
    """How well each method finds the planted place, beside chance and the image's own edges."""
    explained = volume.explain_cohort(
        found,
        cohort,
        found.preprocessing,
        METHODS,
        out / "maps",
        target="label",
        rows=rows,
        verbose=1,
    )
    truth, brain = phantoms.truth[rows], phantoms.brain[rows]
    edges = [generic_gradient_magnitude(x, sobel) for x in explained.volumes]
    maps = {name: explained.maps(name) for name in explained.methods}
    table = {}
    for name, heat in {**maps, "edges of the image": np.array(edges)}.items():
        inside = np.where(brain, abs(heat), 0)
        dice = volume.dice(heat, truth, within=brain, absolute=True)
        hits = evaluation.pointing_game(inside, truth)
        table[name] = {
            "Dice": dice.mean(),
            "low": dice.mean() - 2 * dice.std() / len(dice) ** 0.5,
            "pointing": hits.mean(),
        }
    chance = (truth & brain).sum(axis=(1, 2, 3)) / brain.sum(axis=(1, 2, 3))
    table["chance"] = {"Dice": chance.mean(), "low": chance.mean(), "pointing": chance.mean()}
    return pd.DataFrame(table).T, explained


def randomization_verdicts(found, cohort, options):
    """Which maps change when what was learned is destroyed, or was never there to be learned."""
    few = np.arange(8)
    x, _, _ = cohort.select(few).arrays(found.preprocessing)
    network = found.models[int(found.predictions["fold"].iloc[0])]
    result = evaluation.model_randomization_test(METHODS, network, x, seeds=2, verbose=1)
    print(result)
    quick = {name: METHODS[name] for name in list(METHODS)[:4]}
    train = cohort.select(np.arange(min(100, len(cohort))))
    taught = evaluation.data_randomization_test(
        quick, compiled, *train.arrays(found.preprocessing)[:2], x, seeds=1, epochs=60, verbose=1
    )
    print(taught)
    return pd.DataFrame(
        {
            "weights randomised": {n: v.conclusion for n, v in result.verdicts.items()},
            "labels permuted": {n: v.conclusion for n, v in taught.verdicts.items()},
        }
    ).fillna("not asked")


def compiled(seed):
    """A network that can learn permuted labels by heart."""
    network = volume.volume_classifier(SHAPE, filters=FILTERS, dropout=0.0, seed=seed)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(1e-3), loss)
    return network


def main():
    """Makes the cohort, and everything of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="runs/volume")
    parser.add_argument("--subjects", type=int, default=400)
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument(
        "--repeats", type=int, default=2, help="draws for each size of the transfer"
    )
    parser.add_argument("--explained", type=int, default=32, help="patients whose maps are made")
    options = parser.parse_args()
    out = Path(options.out)
    phantoms, cohort = make_cohort(
        out / "cohort", options.subjects, 0, size_confounding=0.6, outside_marker=0.5
    )
    _, fair = make_cohort(out / "fair", max(40, options.subjects // 4), 1)

    table, results = preprocessing_table(cohort, phantoms, fair, options, out)
    show(table, "What each way of preparing volumes gives", out / "preprocessing.csv")
    last = results["… optimal scaling"]
    rows = np.flatnonzero(phantoms.labels == 1)[: options.explained]
    localized, explained = localization_table(last, cohort, phantoms, rows, out)
    show(localized, "Which method finds the planted place", out / "localization.csv")
    show(transfer_table(cohort, options, out), "Start of the encoder", out / "transfer.csv")
    show(randomization_verdicts(last, cohort, options), "Maps and learning", out / "verdicts.csv")

    figures(results, table, localized, out)
    page = volume.cohort_report(
        last,
        explained,
        out / "report",
        regions=out / "cohort" / "regions.nii.gz",
        region_names=phantoms.region_names,
        title="Brain phantoms, trained with optimal scaling",
        verbose=1,
    )
    print(f"Wrote {page}, and NIfTI maps in {out / 'maps'}.")


def show(table, title, path):
    """Prints a table and keeps it."""
    print(f"\n{title}\n{table.round(3).to_string()}", flush=True)
    table.to_csv(path)


def figures(results, table, localized, out):
    """Accuracies of the rows, with the accuracy where no short cut helps as chance beside."""
    scores = pd.concat(
        [
            found.table.rename(columns={"validation_accuracy": "score"}).assign(name=name)
            for name, found in results.items()
        ]
    )
    figure = plotting.score_points(scores, chance=0.5, percent=True)
    plotting.save_figure(figure, out / "preprocessing.png")


if __name__ == "__main__":
    main()
