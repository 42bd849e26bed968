"""What decides about a brain? A cohort of known truth: trained on, explained, and checked.

400 brain phantoms are made from the MNI152 template. Patients have lost tissue in both hippocampi. On
average they also have larger brains and a wider airway below the brain: two short cuts, as sex and the
nasopharynx were for Kan et al. (2020). A 3-D network is cross-validated on the volumes as they are, stripped
of the skull, augmented, and scaled so that size cannot decide; each time it is asked what it uses. Then: does
an autoencoder make a better start, which method finds the planted place, and which maps would look the same
had nothing been learned?

    python examples/volume_phantom.py --out runs/volume        # offline, nine to ten minutes on two cores
    python examples/volume_phantom.py --out runs/volume --subjects 120 --epochs 6  # a first look

A cohort of your own goes the same way by `keras-pli volume train|explain|report --cohort cohort.csv`.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from nibabel import Nifti1Image
from nilearn.datasets import load_mni152_brain_mask, load_mni152_template
from nilearn.image import resample_to_img
from scipy.ndimage import generic_gradient_magnitude, sobel
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from keras_pli import attribution as a
from keras_pli import evaluation, plotting, volume
from keras_pli.intervals import mean_interval
from keras_pli.synthetic import brain_phantoms

# Files are finer than what networks see, as scans are. On one grid, held-out volumes would pass as they are
# while scaled ones are interpolated, and a network would learn to tell the two.
FILES, SHAPE = (48, 57, 48), (32, 38, 32)
VOXEL = 6.0  # mm
FILTERS = (8, 16, 32)
# Enough loss of tissue to be seen, and two short cuts that are easier (Cohen's d between the classes).
PLANTED = {"strength": 0.4}
SHORT_CUTS = {"size_confounding": 1.5, "outside_marker": 3.0}
# The rows of the paper's table, and one more: how volumes are prepared, and what changes them in training.
ROWS = {
    "no preprocessing": {"skull_stripping": "none"},
    "skull stripping": {},
    "… with rotation": {"augmentation": "rotation"},
    "… with rotation and scaling": {"augmentation": "rotation and scaling"},
    "… with optimal scaling": {"scaling": "quantile"},
    "… with one size for all": {"scaling": "reference"},
}
EXPLAINED = "… with one size for all"
METHODS = {
    "Grad-CAM, last block": partial(a.GradCAM, alignment="fields"),
    "Grad-CAM, first block": partial(a.GradCAM, layer="pool_1", weights="positive"),
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
        return [volume.RandomVolumeRotation(8.0, rate=0.5, seed=0)]
    if name == "rotation and scaling":
        return [volume.RandomVolumeAffine(degrees=8.0, factor=0.1, rate=0.5, seed=0)]
    return []


def make_cohort(folder, count, seed, **short_cuts):
    """Phantoms in files, as a cohort."""
    phantoms = brain_phantoms(count, shape=FILES, seed=seed, **PLANTED, **short_cuts)
    return phantoms, volume.read_cohort(phantoms.write(folder))


def prepare(skull_stripping="mask"):
    """The paper's preprocessing, on a grid of six millimetres."""
    return volume.Preprocessing(shape=SHAPE, voxel_size=VOXEL, skull_stripping=skull_stripping)


def scaled_arrays(found, cohort):
    """Volumes and brains as the networks of a cross-validation see those of unknown label."""
    x, _, brain = cohort.arrays(found.preprocessing, scales=found.predictions["scale"])
    return x, brain


def odds(network, x):
    """The log odds of being a patient."""
    logits = network.predict(x, verbose=0)
    return logits[:, 1] - logits[:, 0]


def what_it_uses(found, cohort, phantoms):
    """What the held-out decisions follow, and where gradient times input is strongest."""
    x, inside = scaled_arrays(found, cohort)
    inside, folds = inside[..., None], found.predictions["fold"].to_numpy()
    brain, outside, peaks = np.zeros((3, len(x)))
    for fold, network in enumerate(found.models):
        own = folds == fold
        brain[own] = odds(network, np.where(inside[own], x[own], 0))
        outside[own] = odds(network, np.where(inside[own], 0, x[own]))
        heat = abs(a.GradientTimesInput(network)(x[own], target=1).attributions)
        strongest = heat.reshape(own.sum(), -1).argmax(axis=1)
        peaks[own] = ~inside[own].reshape(own.sum(), -1)[np.arange(own.sum()), strongest]
    labels = phantoms.labels
    decided = np.log(found.predictions["p_1"] / found.predictions["p_0"])
    return {
        "r size": found.size_correlation,
        "r tissue": np.mean(
            [spearmanr(decided[labels == c], phantoms.loss[labels == c])[0] for c in (0, 1)]
        ),
        "AUC of brain": roc_auc_score(labels, brain),
        "AUC of outside": roc_auc_score(labels, outside),
        "peak outside": peaks.mean(),
    }


def judged(found, cohort):
    """The mean accuracy of the folds' networks on a cohort without short cuts."""
    scales = np.ones(len(cohort))
    if (found.predictions["scale"] != 1).any():
        volumes = [cohort.volume(i, found.preprocessing).brain_volume for i in range(len(cohort))]
        scales = volume.reference_scales(volumes, found.predictions["brain_volume"].mean())
    x, labels, _ = cohort.arrays(found.preprocessing, scales=scales)
    return np.mean([((odds(network, x) > 0) == labels).mean() for network in found.models])


def preprocessing_table(cohort, phantoms, fair, options, out):
    """The paper's rows, and beside each what its network uses."""
    table, results = {}, {}
    for number, (name, settings) in enumerate(ROWS.items()):
        print(f"\n{name} …", flush=True)
        prepared = prepare(settings.get("skull_stripping", "mask"))
        found = volume.cross_validate(
            cohort,
            prepared,
            build=build,
            augmentation=layers(settings.get("augmentation")),
            scaling=settings.get("scaling"),
            folds=options.folds,
            epochs=options.epochs,
            batch_size=16,
            out=out / f"row-{number}",
            cache=out / "preprocessed",
            verbose=2,
        )
        table[name] = {
            "training": found.table["training_accuracy"].mean(),
            "validation": found.accuracy,
            "std": found.table["validation_accuracy"].std(),
            "no short cuts": judged(found, fair),
            **what_it_uses(found, cohort, phantoms),
        }
        results[name] = found
        print(pd.Series(table[name]).round(3).to_string())
    return pd.DataFrame(table).T, results


def transfer_table(cohort, options, out):
    """An autoencoder's encoder as a start, beside a random one."""
    prepared = prepare()
    train, test = cohort.split(0.4, seed=1)
    autoencoder = volume.pretrain_autoencoder(
        train,
        prepared,
        filters=FILTERS,
        epochs=options.epochs,
        batch_size=16,
        cache=out / "preprocessed",
        verbose=2,
    )
    sizes = [size for size in (50, 100, 200) if size <= len(train)] or [len(train) // 2]
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


def planted(files, affines):
    """The planted places on the grids that the network saw."""
    found = [
        resample_to_img(file, Nifti1Image(np.zeros(SHAPE), affine), interpolation="nearest")
        for file, affine in zip(files, affines, strict=True)
    ]
    return np.stack([image.get_fdata() > 0 for image in found])


def localization_table(explained, cohort, out):
    """How well each method finds the planted place in patients, beside chance and the image's own edges."""
    patients = explained.table["label"].to_numpy() == 1
    files = cohort.table["truth"].iloc[explained.table["row"][patients]]
    truth = planted([out / "cohort" / file for file in files], explained.affines[patients])
    brain = explained.brains[patients]
    maps = {name: explained.maps(name)[patients] for name in explained.methods}
    maps["edges of the image"] = np.array(
        [generic_gradient_magnitude(values, sobel) for values in explained.volumes[patients]]
    )
    table = {}
    for name, heat in maps.items():
        dice = volume.dice(heat, truth, within=brain, absolute=True)
        hits = evaluation.pointing_game(np.where(brain, abs(heat), 0), truth)
        table[name] = [*mean_interval(dice), hits.mean()]
    chance = (truth & brain).sum(axis=(1, 2, 3)) / brain.sum(axis=(1, 2, 3))
    table["chance"] = [*mean_interval(chance), chance.mean()]
    columns = ["Dice", "low", "high", "peak at the place"]
    place(maps["Grad-CAM, first block"], truth, explained.affines[patients], out)
    return pd.DataFrame(table, index=columns).T


def randomization_verdicts(found, cohort, options):
    """Which maps change when what was learned is destroyed, or was never there to be learned."""
    x, brain = scaled_arrays(found, cohort)
    network = found.models[int(found.predictions["fold"].iloc[0])]
    result = evaluation.model_randomization_test(
        METHODS, network, x[:4], seeds=3, within=brain[:4], verbose=1
    )
    print(result)
    quick = {name: METHODS[name] for name in list(METHODS)[:4]}
    taught = evaluation.data_randomization_test(
        quick,
        compiled,
        x[:100],
        cohort.labels[:100],
        x[:8],
        seeds=1,
        epochs=60,
        within=brain[:8],
        verbose=1,
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
    parser.add_argument("--folds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--seed", type=int, default=10, help="of the phantoms")
    parser.add_argument(
        "--repeats", type=int, default=2, help="draws for each size of the transfer"
    )
    parser.add_argument("--explained", type=int, default=40, help="volumes whose maps are made")
    options = parser.parse_args()
    out = Path(options.out)
    phantoms, cohort = make_cohort(out / "cohort", options.subjects, options.seed, **SHORT_CUTS)
    _, fair = make_cohort(out / "fair", options.subjects, options.seed + 1)

    table, results = preprocessing_table(cohort, phantoms, fair, options, out)
    show(table, "What each way of preparing volumes gives", out / "preprocessing.csv")
    last = results[EXPLAINED]
    rows = np.concatenate(
        [np.flatnonzero(phantoms.labels == c)[: options.explained // 2] for c in (0, 1)]
    )
    explained = volume.explain_cohort(
        last,
        cohort,
        last.preprocessing,
        METHODS,
        out / "maps",
        target="label",
        rows=rows,
        verbose=1,
    )
    localized = localization_table(explained, cohort, out)
    show(localized, "Which method finds the planted place", out / "localization.csv")
    show(transfer_table(fair, options, out), "Start of the encoder", out / "transfer.csv")
    show(randomization_verdicts(last, cohort, options), "Maps and learning", out / "verdicts.csv")

    figures(results, out)
    page = volume.cohort_report(
        last,
        explained,
        out / "report",
        regions=out / "cohort" / "regions.nii.gz",
        region_names=phantoms.region_names,
        title="Brain phantoms, all brains of one size",
        verbose=1,
    )
    print(f"Wrote {page}, and NIfTI maps in {out / 'maps'}.")


def show(table, title, path):
    """Prints a table and keeps it."""
    print(f"\n{title}\n{table.round(3).to_string()}", flush=True)
    table.to_csv(path)


def place(maps, truth, affines, out):
    """The mean map of patients on the template that they were made of, the planted place outlined."""
    template = load_mni152_template(resolution=2)
    heat = volume.mean_map(maps, affines, template)
    share = volume.mean_map(truth.astype("float32"), affines, template)
    figure = plotting.volume_slices(
        template.get_fdata(),
        np.where(load_mni152_brain_mask(resolution=2).get_fdata() > 0, heat.get_fdata(), 0),
        affine=template.affine,
        at_mm=(-27, -22, -14),
        outline=share.get_fdata() > 0.3,
        title="Mean Grad-CAM map of the first block; outlined is where patients have lost tissue",
    )
    plotting.save_figure(figure, out / "place.png")


def figures(results, out):
    """The accuracies of the rows."""
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
