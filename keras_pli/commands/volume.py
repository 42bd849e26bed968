"""The commands of volumes: a cohort table trained on, explained, and reported."""

from __future__ import annotations

import argparse
from functools import partial
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .files import Report, add_out, kinds_named, positive, whole, written
from .volume_options import (
    brains_in,
    check_step,
    filters_of,
    lengths,
    maps_folder,
    region_names,
    three,
)

if TYPE_CHECKING:
    import keras

    from ..attribution import Method
    from ..volume import Cohort, CrossValidation, Preprocessing

AUGMENTATIONS = ("rotation", "scaling", "flips", "intensity")
TRAINED, MAPS = "training", "maps"
_DEGREES, _FACTOR = 10.0, 0.1  # at most, of augmentation by rotation and scaling


def add_commands(commands: Any) -> None:
    """Adds the commands to the parser."""
    parser = commands.add_parser(
        "volume",
        help="brain MRI: train on a cohort table, explain each subject, report",
        description="A cohort is a CSV table with a row for each NIfTI image: path, label, and if they are "
        "known subject, mask (of the brain), site, age. All three commands share --out.",
    )
    kinds = parser.add_subparsers(required=True, metavar="STEP")
    _add_train(kinds)
    _add_explain(kinds)
    _add_report(kinds)


def _add_train(kinds: Any) -> None:
    train = kinds.add_parser("train", help="cross-validate the paper's 3-D network on a cohort")
    _add_cohort(train)
    train.add_argument(
        "--shape",
        type=lengths(whole(1)),
        help="voxels of the network's input, one number or X,Y,Z (default: as the files)",
    )
    train.add_argument(
        "--voxel-size",
        type=lengths(positive),
        help="in mm, one number or three with commas (default: as the files)",
    )
    train.add_argument(
        "--skull-stripping",
        choices=("none", "mask", "template", "threshold"),
        help="default: mask where the table has one for each image, else none",
    )
    train.add_argument(
        "--normalization", choices=("zscore", "percentile", "none"), default="zscore"
    )
    train.add_argument("--center", choices=("image", "brain"), default="image")
    train.add_argument(
        "--augment", default="", help=f"with commas between: {', '.join(AUGMENTATIONS)}"
    )
    train.add_argument(
        "--scaling",
        choices=("quantile", "pot", "reference"),
        help="so that brain size cannot decide: match the classes' sizes in training by optimal "
        "transport (quantile, pot), or bring all brains to one size (reference)",
    )
    train.add_argument(
        "--filters", default="32,64,128", help="of each block (default: %(default)s)"
    )
    train.add_argument(
        "--pretrain",
        type=whole(0),
        default=0,
        metavar="EPOCHS",
        help="train an autoencoder on each fold's training images first, and start from its encoder",
    )
    train.add_argument("--folds", type=whole(2), default=5, help="default: %(default)s")
    train.add_argument("--epochs", type=whole(1), default=20, help="default: %(default)s")
    train.add_argument("--batch-size", type=whole(1), default=8, help="default: %(default)s")
    train.add_argument("--learning-rate", type=positive, default=1e-3, help="default: %(default)s")
    train.add_argument("--seed", type=whole(0), default=0, help="default: %(default)s")
    add_out(train)
    train.set_defaults(run=_train)


def _add_explain(kinds: Any) -> None:
    explain = kinds.add_parser("explain", help="a NIfTI map of each image, on the image's own grid")
    _add_cohort(explain)
    explain.add_argument(
        "--method",
        default="grad_cam,guided_backprop,meaningful_perturbation",
        help="with commas between (default: %(default)s); also saliency, occlusion, … Maps that are there "
        "are not made again",
    )
    explain.add_argument(
        "--cam-layer",
        default="pool_1",
        help="of class activation maps (default: %(default)s; the last layers are too coarse in a volume)",
    )
    explain.add_argument(
        "--cam-weights",
        choices=("mean", "elementwise", "positive"),
        default="positive",
        help="of Grad-CAM (default: %(default)s)",
    )
    explain.add_argument(
        "--target",
        default="predicted",
        help="a class as the table names it, `label` for each image's own, or `predicted` (default)",
    )
    explain.add_argument(
        "--images", type=whole(0), default=0, help="the first so many; 0 for all (default)"
    )
    explain.add_argument("--batch-size", type=whole(1), default=8, help="default: %(default)s")
    _add_maps(explain)
    add_out(explain)
    explain.set_defaults(run=_explain)


def _add_report(kinds: Any) -> None:
    report = kinds.add_parser("report", help="one page on the cohort, and pages of single subjects")
    report.add_argument("--regions", help="a label image (NIfTI), for a table of regions")
    report.add_argument("--region-names", help="a CSV table with columns label and name")
    report.add_argument("--template", help="an image on whose grid the mean maps are made")
    report.add_argument(
        "--subjects", type=whole(0), default=4, help="pages of subjects (default: %(default)s)"
    )
    report.add_argument("--title", default="Report on a cohort", help="heading of the page")
    _add_maps(report)
    add_out(report)
    report.set_defaults(run=_report)


def _add_cohort(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cohort", required=True, help="the table, a CSV file")
    parser.add_argument(
        "--root", help="what the table's relative paths start from (default: its folder)"
    )
    parser.add_argument(
        "--skip-damaged",
        action="store_true",
        help="leave out images that cannot be used, after saying what is wrong with each (default: stop); "
        "to be given to train and explain alike",
    )


def _add_maps(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--maps",
        default=MAPS,
        metavar="NAME",
        help="the folder of the maps below --out (default: %(default)s); another one for another target or "
        "other settings of a method",
    )


def _train(arguments: argparse.Namespace, report: Report) -> None:
    from ..volume import Preprocessing, cross_validate

    cohort = _cohort(arguments)
    report(repr(cohort))
    preprocessing = Preprocessing(
        shape=three(arguments.shape),
        voxel_size=three(arguments.voxel_size),
        skull_stripping=arguments.skull_stripping or _stripping(cohort),
        normalization=arguments.normalization,
        center=arguments.center,
    )
    cohort = _sound(cohort, preprocessing, arguments, report)
    out = Path(arguments.out)
    found = cross_validate(
        cohort,
        preprocessing,
        build=partial(_network, filters=filters_of(arguments.filters)),
        augmentation=_augmentation(arguments.augment, arguments.seed),
        scaling=arguments.scaling,
        pretraining_epochs=arguments.pretrain,
        folds=arguments.folds,
        epochs=arguments.epochs,
        batch_size=arguments.batch_size,
        learning_rate=arguments.learning_rate,
        seed=arguments.seed,
        out=out / TRAINED,
        cache=out / "preprocessed",
        verbose=2,  # a line for each epoch
    )
    report(found.table.round(3).to_string(index=False))
    report(str(found))
    if found.sizes_known:
        followed = found.size_correlation
        known = "cannot be told" if isnan(followed) else f"{followed:+.2f}"
        report(f"Correlation of the decision with brain size, within classes: {known}.")
    names = [f"{TRAINED}/{name}" for name in ("fold-*.keras", "predictions.csv", "folds.csv")]
    report(written(out, *names))


def _explain(arguments: argparse.Namespace, report: Report) -> None:
    import numpy as np

    from ..volume import explain_cohort

    out = Path(arguments.out)
    kinds = kinds_named(arguments.method)
    maps = maps_folder(out, arguments.maps)
    found = _trained(out)
    cohort = _sound(_cohort(arguments), found.preprocessing, arguments, report)
    count = min(arguments.images or len(cohort), len(cohort))
    report(f"{', '.join(kinds)} of {count} images …")
    explained = explain_cohort(
        found,
        cohort,
        None,  # as in training
        {name: partial(_made, kind, arguments, found) for name, kind in kinds.items()},
        maps,
        target=arguments.target,
        rows=np.arange(count),
        batch_size=arguments.batch_size,
        verbose=1,
    )
    folders = [explained.file(name, 0).parent.name for name in explained.methods]
    report(written(out, *(f"{maps.name}/{name}/*.nii.gz" for name in folders)))


def _report(arguments: argparse.Namespace, report: Report) -> None:
    from ..volume import CohortExplanation, cohort_report

    out = Path(arguments.out)
    names = region_names(arguments.region_names)
    maps = maps_folder(out, arguments.maps)
    found = _trained(out)
    check_step(maps, "explain", "finished maps", out)
    page = cohort_report(
        found,
        CohortExplanation.load(maps),
        out,
        regions=arguments.regions,
        region_names=names,
        template=arguments.template,
        subjects=arguments.subjects,
        title=arguments.title,
        verbose=1,
    )
    report(written(out, page.name, "subjects/", "mean_maps/"))


def _cohort(arguments: argparse.Namespace) -> Cohort:
    from ..volume import read_cohort

    return read_cohort(arguments.cohort, root=arguments.root)


def _sound(
    cohort: Cohort, preprocessing: Preprocessing, arguments: argparse.Namespace, report: Report
) -> Cohort:
    """The cohort, or where damaged images are to be skipped, what is left of it."""
    if not arguments.skip_damaged:
        return cohort
    left, faults = cohort.without_faults(preprocessing)
    for fault in faults:
        report(f"Left out: {fault}")
    if faults:
        report(repr(left))
    return left


def _trained(out: Path) -> CrossValidation:
    from ..volume import CrossValidation

    check_step(out / TRAINED, "train", "finished cross-validation", out)
    return CrossValidation.load(out / TRAINED)


def _stripping(cohort: Cohort) -> Any:
    masked = "mask" in cohort.table and cohort.table["mask"].notna().all()
    return "mask" if masked else "none"


def _network(
    shape: tuple[int, ...], classes: int, seed: int, *, filters: tuple[int, ...]
) -> keras.Model:
    from ..volume import volume_classifier

    return volume_classifier(shape, classes, filters=filters, seed=seed)


def _augmentation(names: str, seed: int) -> list[Any]:
    """The layers of the augmentations named; rotation and scaling in one resampling."""
    from .. import volume
    from ..checks import one_of

    asked = [one_of(name.strip(), AUGMENTATIONS, "--augment") for name in names.split(",") if name]
    layers: list[Any] = []
    if "rotation" in asked and "scaling" in asked:
        layers.append(volume.RandomVolumeAffine(degrees=_DEGREES, factor=_FACTOR, seed=seed))
    elif "rotation" in asked:
        layers.append(volume.RandomVolumeRotation(_DEGREES, seed=seed))
    elif "scaling" in asked:
        layers.append(volume.RandomVolumeZoom(_FACTOR, seed=seed))
    if "flips" in asked:
        layers.append(volume.RandomVolumeFlip(seed=seed))
    if "intensity" in asked:
        layers.append(volume.RandomVolumeIntensity(seed=seed))
    return layers


def _made(
    kind: type[Method], arguments: argparse.Namespace, found: CrossValidation, model: keras.Model
) -> Method:
    """Makes a method of a network; the mask of meaningful perturbation stays in the brain."""
    from ..attribution import ClassActivationMap, GradCAM, MeaningfulPerturbation

    options: dict[str, Any] = {"batch_size": arguments.batch_size}
    if issubclass(kind, ClassActivationMap):
        options["layer"] = arguments.cam_layer
    if issubclass(kind, GradCAM):
        options["weights"] = arguments.cam_weights
    if issubclass(kind, MeaningfulPerturbation) and found.preprocessing.skull_stripping != "none":
        options["within"] = brains_in
    return kind(model, **options)
