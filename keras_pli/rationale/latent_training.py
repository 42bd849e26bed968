"""From images and labels to a classifier of codes and its ROC curve, with no patient on both sides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import auc, roc_curve

from ..brief import brief_repr
from ..checks import finite_array
from ..images import split_by_group

Array = NDArray[Any]


@dataclass(frozen=True)
class RocCurve:
    """A receiver operating characteristic, as scikit-learn's `roc_curve` gives it.

    Attributes:
        false_positive_rate: Share of negatives at or above each threshold.
        true_positive_rate: Share of positives at or above each threshold.
        thresholds: The scores that are thresholds, in decreasing order.
        auc: Area under the curve.
    """

    false_positive_rate: Array
    true_positive_rate: Array
    thresholds: Array
    auc: float

    __repr__ = brief_repr


@dataclass(frozen=True)
class LatentFit:
    """What became of a classifier of codes.

    Attributes:
        curves: One `RocCurve` for each output, of held-out images; a single one for two classes.
        held_out: Which images were held out, indices in increasing order.
        scores: The classifier's outputs for these, `(held out, outputs)`.
        codes: Codes of all images, `(samples, latent_size)`.
        history: Keras's logs of the training, `val_` of held-out images.
    """

    curves: tuple[RocCurve, ...]
    held_out: NDArray[np.int64]
    scores: NDArray[np.float32]
    codes: NDArray[np.float32]
    history: dict[str, list[float]]

    __repr__ = brief_repr

    @property
    def auc(self) -> float:
        """Area under the curve, averaged over the outputs."""
        return float(np.mean([curve.auc for curve in self.curves]))


def fit_latent_classifier(
    encoder: keras.Model,
    classifier: keras.Model,
    images: ArrayLike,
    labels: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    positive: Callable[[Array], Array] | None = None,
    held_out: float = 0.2,
    epochs: int = 20,
    batch_size: int = 64,
    seed: int = 0,
    verbose: Any = 0,
) -> LatentFit:
    """Encodes images, holds out whole groups, trains a classifier on the other codes and measures it.

    Seah et al. (2018, section 2) split 4 to 1 by patient before anything else is done.

    Args:
        encoder: A built Keras model from images to codes, which is not trained.
        classifier: A compiled Keras model of codes; see `linear_regressor`, `mlp`, `residual_network`.
        images: As the encoder takes them.
        labels: As the classifier's loss takes them, one entry or row for each image.
        groups: The group of each image, such as its patient; None where each is by itself.
        positive: From labels to booleans, where labels are neither classes nor 0 and 1: for a regression of
            BNP, `lambda y: y > scale_bnp(100.0)`.
        held_out: Share of images to hold out.
        epochs: As in Keras.
        batch_size: As in Keras.
        seed: Seed of the split and of the order of training.
        verbose: As in Keras.

    Returns:
        A `LatentFit`.

    Raises:
        ValueError: If labels or groups do not fit the images, the share is not within (0, 1), or a class is
            missing among those held out, so that it has no curve.

    Example:
        >>> from keras_pli.rationale.latent_classifiers import mlp
        >>> encoder = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten()])
        >>> classifier = mlp(16, classes=2)
        >>> classifier.compile("adam", "sparse_categorical_crossentropy")
        >>> images = np.random.default_rng(0).normal(size=(200, 4, 4, 1))
        >>> labels = (images[:, 0, 0, 0] > 0).astype(int)
        >>> fit = fit_latent_classifier(encoder, classifier, images, labels, groups=np.arange(200) // 2)
        >>> fit.auc > 0.7
        True
    """
    pictures, truth = finite_array(images, "images"), np.asarray(labels)
    if len(truth) != len(pictures):
        raise ValueError(f"There are {len(pictures)} images, but {len(truth)} labels.")
    if not 0 < held_out < 1:
        raise ValueError(f"`held_out` must lie within (0, 1). Received: {held_out}.")
    groups = np.arange(len(pictures)) if groups is None else np.asarray(groups)
    if len(groups) != len(pictures):
        raise ValueError(f"There are {len(pictures)} images, but {len(groups)} groups.")
    parts = split_by_group(groups, {"training": 1 - held_out, "held out": held_out}, seed=seed)
    training, rest = parts["training"], parts["held out"]
    codes = np.asarray(encoder.predict(pictures, batch_size=256, verbose=0))
    data = tf.data.Dataset.from_tensor_slices((codes[training], truth[training]))
    history = classifier.fit(
        data.shuffle(len(training), seed=seed).batch(batch_size),
        epochs=epochs,
        validation_data=(codes[rest], truth[rest]),
        shuffle=False,  # the data set does so, from the seed
        verbose=verbose,
    )
    scores = np.asarray(classifier.predict(codes[rest], batch_size=256, verbose=0))
    curves = _curves(truth[rest] if positive is None else positive(truth[rest]), scores)
    return LatentFit(curves, rest, scores, codes, history.history)


def _curves(truth: Array, scores: Array) -> tuple[RocCurve, ...]:
    """One curve for each output; a column of two classes says what the other says."""
    truth, outputs = np.asarray(truth), scores.shape[1]
    if truth.ndim == 1 or truth.shape[1] == 1:
        truth = truth.reshape(-1, 1)
        if outputs == 2:
            scores = scores[:, 1:]
        elif outputs > 2:
            truth = truth == np.arange(outputs)
    if truth.shape[1] != scores.shape[1]:
        raise ValueError(
            f"The classifier has {outputs} outputs; labels of shape {truth.shape} do not tell a positive "
            "for each. Pass `positive`."
        )
    return tuple(_curve(truth[:, i], scores[:, i], i) for i in range(truth.shape[1]))


def _curve(truth: Array, scores: Array, output: int) -> RocCurve:
    found = np.unique(truth)
    if not set(found.tolist()) <= {0, 1}:
        raise ValueError(
            f"Labels must be classes, or 0 and 1. Received values from {found[0]} to {found[-1]}. "
            "Pass `positive`, which tells positives from negatives."
        )
    if len(found) < 2:
        raise ValueError(
            f"For output {output}, those held out are all {'positive' if found[0] else 'negative'}, so "
            "there is no curve. Hold out more of them, or try another `seed`."
        )
    false_positives, true_positives, thresholds = roc_curve(truth.astype(int), scores)
    return RocCurve(
        false_positives, true_positives, thresholds, float(auc(false_positives, true_positives))
    )
