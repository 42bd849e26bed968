"""A classifier of volumes, trained and judged on subjects that it has not seen."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from scipy.special import softmax
from sklearn.metrics import roc_auc_score

from ...brief import brief_repr
from ...checks import checked_number, one_of
from ...files import atomic_path
from ...identity import identity_digest
from ...parts import PartFolder, PartWriter, digest
from ..cohorts.cohort import Cohort
from ..cohorts.cohort_identity import cohort_identity
from ..images.preprocessing import Preprocessing
from .built_networks import Build, check_pooling
from .fold_training import HISTORY, Fold, FoldTraining, Scaling, brains_are_known
from .stored_folds import network_file, note_of, read_tables, write_tables

_FOLD = ("validation", "logits", "history", "scales")


@dataclass(frozen=True, repr=False, eq=False)
class CrossValidation:
    """What a cross-validation found; made by `cross_validate`.

    Args:
        predictions: A row for each image of the cohort, with its `subject`, `label`, the `fold` that held it
            out, what that fold's network `predicted` of it, the probability `p_<class>` of each class, and
            `brain_volume` in ml where it is known, and the `scale` by which it was enlarged.
        table: A row for each fold: accuracy on its training and on its held-out images, and the area under
            the ROC curve of the latter where there are two classes.
        history: Loss and accuracy of each epoch of each fold.
        models: The network of each fold.
        classes: The labels' names, in the order of the logits.
        preprocessing: What brought the files to the form that the networks receive.
        identity: A short text that tells this training from others: of other images, labels or
            preprocessing, or with other networks as its result. See `training_identity`.
        scaling: What was done about the brains' sizes: None, `"quantile"`, `"pot"` or `"reference"`.
    """

    predictions: pd.DataFrame
    table: pd.DataFrame
    history: pd.DataFrame
    models: tuple[keras.Model, ...]
    classes: tuple[Any, ...]
    preprocessing: Preprocessing
    identity: str
    scaling: Scaling = None
    __repr__ = brief_repr

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> CrossValidation:
        """Reads what `cross_validate` left in a folder; labels are of the types that they had.

        Raises:
            ValueError: If there is no finished cross-validation.
        """
        about, (predictions, table, history) = read_tables(Path(folder))
        models = tuple(
            keras.saving.load_model(network_file(Path(folder), number), compile=False)
            for number in range(len(table))
        )
        return cls(
            predictions,
            table,
            history,
            models,
            tuple(about["classes"]),
            Preprocessing.from_dict(about["preprocessing"]),
            about["identity"],
            about["scaling"],
        )

    @property
    def accuracy(self) -> float:
        """The mean over folds of the accuracy on held-out images."""
        return float(self.table["validation_accuracy"].mean())

    @property
    def sizes_known(self) -> bool:
        """Whether there are two classes, and the brain volume of each image."""
        known = bool(self.predictions["brain_volume"].notna().all())
        return known and len(self.classes) == 2

    @property
    def size_correlation(self) -> float:
        """How far the decision follows the brain's size: its correlation with it *within* classes.

        The log odds of the last class, held-out, against brain volume, both less the mean of their class and
        fold. Within a class, size says nothing of the label, so a network that looks at something else has
        about 0. For two classes, where brain volumes are known.

        NaN where that cannot be told: where odds or volumes do not differ within any class of a fold, as
        where there is one image of each.

        Raises:
            ValueError: If there are more classes, or volumes are not known.
        """
        found = self.predictions
        if not self.sizes_known:
            raise ValueError(
                "`size_correlation` needs two classes and the brain mask of each image. Received "
                f"{len(self.classes)} classes; {int(found['brain_volume'].isna().sum())} images lack a mask."
            )
        p = found[f"p_{self.classes[1]}"].clip(1e-7, 1 - 1e-7)
        pair = pd.DataFrame({"odds": np.log(p / (1 - p)), "size": found["brain_volume"]})
        spread = pair.abs().max()
        pair -= pair.groupby([found["label"], found["fold"]]).transform("mean")
        if (pair.abs().max() <= 1e-9 * spread).any():  # rounding alone is left
            return float("nan")
        return float(pair["odds"].corr(pair["size"]))

    def model_of(self, row: int) -> keras.Model:
        """Returns the network that has not seen an image, by the image's position in the cohort."""
        return self.models[int(self.predictions["fold"].iloc[row])]

    def __str__(self) -> str:
        shown = self.table["validation_accuracy"]
        return (
            f"Accuracy on held-out images {shown.mean():.3f} (standard deviation over {len(shown)} folds "
            f"{shown.std(ddof=1):.3f}), on training images {self.table['training_accuracy'].mean():.3f}."
        )


def cross_validate(
    cohort: Cohort,
    preprocessing: Preprocessing,
    *,
    build: Build | None = None,
    augmentation: Sequence[keras.Layer] = (),
    scaling: Scaling = None,
    pretraining_epochs: int = 0,
    folds: int = 5,
    epochs: int = 20,
    batch_size: int = 8,
    learning_rate: float = 1e-3,
    seed: int = 0,
    out: str | os.PathLike[str] | None = None,
    cache: str | os.PathLike[str] | None = None,
    verbose: int = 0,
) -> CrossValidation:
    """Trains a network for each fold and judges it on the subjects that were held out.

    All files are read once before anything is trained, so that every fault is named at the start.

    Args:
        cohort: Images and labels; subjects are never divided between folds, classes are stratified.
        preprocessing: What brings the files to the form that the network receives.
        build: Function of input shape, number of classes and seed that returns a network with logits; None
            takes `volume_classifier`. Layers to which it gives no seed are seeded for it. Weights that it
            draws otherwise do not keep a run from being resumed: its networks are then told by their
            architecture.
        augmentation: Keras layers that change the training volumes, such as `RandomVolumeRotation`. They are
            built anew for each fold. Give each its `seed`: one drawn by Keras is another in a new process,
            which cannot resume the run then.
        scaling: What is done about the brains' sizes. `"quantile"` and `"pot"` match the classes' sizes among
            the training subjects by optimal transport (`optimal_scales`); held-out subjects keep their size,
            since their labels are not to be used. `"reference"` brings all brains to one size, the mean of
            the training subjects' (`reference_scales`), held-out ones, too. None leaves sizes as they are.
        pretraining_epochs: Epochs for which an autoencoder is trained on a fold's training images first, from
            whose encoder the network starts (`pretrain_autoencoder`, `transfer_encoder`).
        folds: Their number.
        epochs: Epochs of each training.
        batch_size: Volumes in a batch.
        learning_rate: Adam's at the start; it falls to 0 along a cosine.
        seed: Of folds, weights, order and dropout.
        out: A folder in which each fold is kept as soon as it is done (`fold-0.keras`, …), so that an
            interrupted run is resumed. None keeps nothing.
        cache: A folder for preprocessed volumes, which saves reading them anew in each epoch.
        verbose: As in Keras.

    Returns:
        A `CrossValidation`.

    Raises:
        CohortError: If files are damaged or missing, or subjects too few.
        TypeError: If `build` returns no Keras model.
        ValueError: If an option is out of range; `build` returns a network that ends in a softmax or sigmoid,
            or of another number of outputs; Keras's policy of numbers cannot be computed; `out` holds results
            of other data or options, or could not hold the preprocessing (a template given as an image) or
            the network (a class that is not registered). Also if a training diverges, which ends it at once.
            Nothing of its fold is kept; with another learning rate, choose another `out` if there are folds
            in it.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from keras_pli.synthetic import brain_phantoms
        >>> from keras_pli.volume import Preprocessing, read_cohort, volume_classifier
        >>> def build(shape, classes, seed):
        ...     return volume_classifier(shape, classes, filters=(2, 4), seed=seed)
        >>> with TemporaryDirectory() as folder:
        ...     table = brain_phantoms(8, shape=(16, 18, 16)).write(folder)
        ...     prepare = Preprocessing(skull_stripping="mask")
        ...     found = cross_validate(read_cohort(table), prepare, build=build, folds=2, epochs=1)
        >>> list(found.table)
        ['fold', 'training_accuracy', 'validation_accuracy', 'validation_auc']
    """
    one_of(scaling, (None, "quantile", "pot", "reference"), "scaling")
    if build is None or pretraining_epochs:
        check_pooling()
    checked_number(pretraining_epochs, "pretraining_epochs", least=0, whole=True)
    checked_number(epochs, "epochs", least=1, whole=True)
    checked_number(batch_size, "batch_size", least=1, whole=True)
    checked_number(learning_rate, "learning_rate", least=0)
    if out is not None:
        note_of(cohort, preprocessing)  # what cannot be stored fails here
    parts = cohort.folds(folds, seed=checked_number(seed, "seed", least=0, whole=True))
    known = brains_are_known(cohort, preprocessing)
    if not known and scaling is not None:
        raise ValueError(
            "`scaling` needs the brain of each image: a column `mask`, or `skull_stripping`."
        )
    checked = cohort.check(preprocessing, verbose=verbose)
    training = FoldTraining(
        cohort,
        preprocessing,
        build,
        tuple(augmentation),
        scaling,
        pretraining_epochs,
        epochs,
        batch_size,
        learning_rate,
        seed,
        cache,
        verbose,
        checked["brain_volume"].to_numpy(np.float64) if known else None,
    )
    training.check(stored=out is not None)
    if out is None:
        found = [training.fold(*pair, number) for number, pair in enumerate(parts)]
        return _result(training, found)
    kept = PartFolder(Path(out), "cross-validation")
    with kept.writing({**training.identity(), "folds": folds}) as writer:
        found = [_kept_fold(training, *pair, number, writer) for number, pair in enumerate(parts)]
        writer.finish(len(found))
        result = _result(training, found)
        told = {"identity": result.identity, "scaling": scaling}
        note = note_of(cohort, preprocessing) | told
        write_tables(kept.folder, note, (result.predictions, result.table, result.history))
    return result


def training_identity(
    cohort: Cohort,
    preprocessing: Preprocessing,
    models: Sequence[keras.Model],
    *,
    of_cohort: Mapping[str, Any] | None = None,
) -> str:
    """Returns a short text that tells a training from others, as `CrossValidation.identity` does.

    It is equal for the same files (by their bytes), labels, classes and subjects, the same preprocessing, and
    the same weights of the networks, whether these were read from a folder or not.

    Args:
        cohort: Images and labels.
        preprocessing: What they were brought to.
        models: The trained networks, in the order of the folds.
        of_cohort: What `cohort_identity` returned of it, if that is there already.
    """
    known = cohort_identity(cohort, preprocessing) if of_cohort is None else dict(of_cohort)
    options = identity_digest(
        replace(preprocessing, template=None)
    )  # whose file the cohort's covers
    return identity_digest([known, options, [digest(*model.get_weights()) for model in models]])


def _kept_fold(
    training: FoldTraining, train: Cohort, validation: Cohort, number: int, writer: PartWriter
) -> Fold:
    """A fold read from the folder, or trained and written there."""
    file = network_file(writer.parts.folder, number)
    stored = writer.read(number)
    if stored is not None and file.is_file():
        network = keras.saving.load_model(file, compile=False)
        return Fold(network, **{name: stored[name] for name in _FOLD})
    if training.verbose:
        print(
            f"Fold {number}: {len(train)} images to train, {len(validation)} held out", flush=True
        )
    fold = training.fold(train, validation, number)
    with atomic_path(file) as temporary:  # the part comes last: what it belongs to is there then
        fold.network.save(temporary)
    writer.write(number, {name: getattr(fold, name) for name in _FOLD})
    return fold


def _result(training: FoldTraining, folds: list[Fold]) -> CrossValidation:
    cohort = training.cohort
    classes = tuple(cohort.classes or ())
    held_out = np.empty(len(cohort), dtype=int)
    logits = np.empty((len(cohort), len(classes)), np.float32)
    scales = np.ones(len(cohort))
    for number, fold in enumerate(folds):
        held_out[fold.validation] = number
        scales[fold.validation] = fold.scales[fold.validation]
        logits[fold.validation] = fold.logits[fold.validation]
    volumes = training.brain_volumes
    predictions = pd.DataFrame(
        {
            "subject": cohort.subjects,
            "label": [classes[code] for code in cohort.labels],
            "fold": held_out,
            "predicted": [classes[code] for code in logits.argmax(1)],
            **dict(zip((f"p_{name}" for name in classes), softmax(logits, axis=1).T, strict=True)),
            "brain_volume": np.nan if volumes is None else volumes,
            "scale": scales,
        },
        index=cohort.table.index.rename("row"),
    )
    table = pd.DataFrame([_scores(number, fold, cohort) for number, fold in enumerate(folds)])
    history = pd.concat(
        [
            pd.DataFrame(fold.history, columns=list(HISTORY)).assign(fold=number)
            for number, fold in enumerate(folds)
        ]
    )
    history.index.name = "epoch"
    models = tuple(fold.network for fold in folds)
    identity = training_identity(
        cohort, training.preprocessing, models, of_cohort=training.of_cohort
    )
    return CrossValidation(
        predictions,
        table,
        history.reset_index(),
        models,
        classes,
        training.preprocessing,
        identity,
        training.scaling,
    )


def _scores(number: int, fold: Fold, cohort: Cohort) -> dict[str, Any]:
    labels = cohort.labels
    right = fold.logits.argmax(1) == labels
    outside = np.zeros(len(labels), dtype=bool)
    outside[fold.validation] = True
    found: dict[str, Any] = {
        "fold": number,
        "training_accuracy": right[~outside].mean(),
        "validation_accuracy": right[outside].mean(),
    }
    if fold.logits.shape[1] == 2:
        odds = fold.logits[outside, 1] - fold.logits[outside, 0]
        found["validation_auc"] = roc_auc_score(labels[outside], odds)
    return found
