"""What a changed image is worth: one number for each image, by measures from the literature.

No measure is enough by itself. Almost any method finds images that the classifier calls something else, and
the smallest such change is adversarial noise: it wins in proximity and sparsity, often also in IM1
(Hvilshøj et al., "On Quantitative Evaluations of Counterfactuals", arXiv 2111.00177, 2021). What it does not
win is the agreement of a second classifier. Distances and IM1 depend on the images' range; state it beside
them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import keras
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ...checks import finite_array, label_array, quoted

Array = NDArray[Any]
Scores = NDArray[np.float64]
# From images to probabilities, `(samples, classes)`; a single column is that of class 1.
Predictor: TypeAlias = "keras.Model | Callable[[Array], ArrayLike]"

IM1_EPSILON = 1e-5


def validity(
    probabilities: ArrayLike, target: ArrayLike, *, confidence: float | None = None
) -> NDArray[np.bool_]:
    """Returns which changed images have the target class, at a confidence if one is given.

    The target class validity of Hvilshøj et al. (2021, section 2), there without a confidence.

    Args:
        probabilities: What the explained classifier says about the changed images, `(samples, classes)`.
        target: The class that was aimed at, one for each sample.
        confidence: The probability that the target class must have, in (0, 1]; None for none.

    Raises:
        ValueError: If shapes do not fit, or a target is not a class.

    Example:
        >>> validity([[0.4, 0.6], [0.05, 0.95]], [1, 1], confidence=0.9).tolist()
        [False, True]
    """
    finite_array(probabilities, "probabilities", ndim=2)
    chances = _two_columns(np.asarray(probabilities))
    classes = _classes(target, len(chances), chances.shape[1], "target")
    valid = chances.argmax(axis=1) == classes
    if confidence is None:
        return valid
    if not 0 < confidence <= 1:
        raise ValueError(f"`confidence` must lie within (0, 1]. Received: {confidence!r}.")
    return valid & (chances[np.arange(len(chances)), classes] >= confidence)


def proximity(starts: ArrayLike, images: ArrayLike, *, order: int = 2) -> Scores:
    """Returns the distance of each pair of images, in the norm L1 or L2.

    Both are sums over an image's values; their sum is the elastic net distance (EN) of Hvilshøj et al.

    Args:
        starts: Images before the change.
        images: Images after it.
        order: 1 or 2.

    Raises:
        ValueError: If shapes differ or the order is another.

    Example:
        >>> proximity(np.zeros((1, 2, 1, 1)), [[[[3.0]], [[4.0]]]], order=1).tolist()
        [7.0]
    """
    if order not in (1, 2):
        raise ValueError(f"`order` must be 1 or 2. Received: {order!r}.")
    change = _flat(_difference(starts, images))
    return np.asarray(np.linalg.norm(change, ord=order, axis=1))


def sparsity(starts: ArrayLike, images: ArrayLike, *, threshold: float = 0.2) -> Scores:
    """Returns the share of each image's pixels that change by more than a threshold.

    Args:
        starts: Images before the change, channels last.
        images: Images after it.
        threshold: In units of the images; 0.2 is a tenth of the range [−1, 1]. A pixel counts where one of
            its channels changes by more.

    Raises:
        ValueError: If shapes differ or the threshold is negative.

    Example:
        >>> sparsity(np.zeros((1, 2, 1, 1)), [[[[0.1]], [[1.0]]]]).tolist()
        [0.5]
    """
    if not threshold >= 0:
        raise ValueError(f"`threshold` must be at least 0. Received: {threshold!r}.")
    changed = np.asarray((np.abs(_difference(starts, images)) > threshold).any(axis=-1))
    return np.asarray(_flat(changed).mean(axis=1))


def oracle_agreement(oracle: Predictor, images: ArrayLike, target: ArrayLike) -> NDArray[np.bool_]:
    """Returns for which changed images a second classifier sees the target class as well.

    The Oracle score of Hvilshøj et al. (2021). A change that only tricks the explained classifier
    convinces no other one. The second classifier must be trained apart: other weights at the start, best
    also another architecture and other images.

    Args:
        oracle: A Keras model of images, or a function from images to probabilities `(samples, classes)`.
        images: The changed images.
        target: The class that was aimed at, one for each sample.

    Raises:
        ValueError: If a target is not a class of the oracle.

    Example:
        >>> brightness = lambda images: np.stack([-images.mean((1, 2, 3)), images.mean((1, 2, 3))], 1)
        >>> oracle_agreement(brightness, np.ones((2, 4, 4, 1)), [1, 0]).tolist()
        [True, False]
    """
    chances = predicted(oracle, finite_array(images, "images"))
    return np.asarray(
        chances.argmax(axis=1) == _classes(target, len(chances), chances.shape[1], "target")
    )


def im1(
    images: ArrayLike,
    target: ArrayLike,
    original: ArrayLike,
    autoencoders: Mapping[int, keras.Model],
) -> Scores:
    """Returns how much better the target class's autoencoder reconstructs the images than the original's.

    IM1 = ‖x′ − A_t(x′)‖² / (‖x′ − A_o(x′)‖² + ε), below 1 where x′ lies nearer to the images of the target
    class (Van Looveren & Klaise, "Interpretable Counterfactual Explanations Guided by Prototypes", 2019,
    equation 9). It depends on the autoencoders: compare methods by the same ones, not papers.

    Args:
        images: The changed images x′.
        target: The class t that was aimed at, one for each sample.
        original: The class o of the image before the change, one for each sample.
        autoencoders: A model from images to images for each class, see `class_autoencoders`.

    Raises:
        ValueError: If there is no autoencoder for a class.

    Example:
        >>> drawer = lambda value: keras.Sequential(
        ...     [keras.Input((2, 2, 1)), keras.layers.Lambda(lambda x: 0 * x + value)]
        ... )
        >>> score = im1(np.full((1, 2, 2, 1), 0.9), [1], [0], {0: drawer(0.0), 1: drawer(1.0)})
        >>> score.round(3).tolist()
        [0.012]
    """
    pictures = finite_array(images, "images")
    errors = []
    for name, given in (("target", target), ("original", original)):
        labels = label_array(given, len(pictures), name)
        missing = [label for label in np.unique(labels) if int(label) not in autoencoders]
        if missing:
            raise ValueError(
                f"`autoencoders` has none for the classes {quoted(missing)} of `{name}`."
            )
        found = np.zeros(len(pictures))
        for label in np.unique(labels):
            rows = labels == label
            drawn = autoencoders[int(label)].predict(pictures[rows], batch_size=256, verbose=0)
            found[rows] = (_flat(pictures[rows] - drawn).astype(np.float64) ** 2).sum(axis=1)
        errors.append(found)
    return np.asarray(errors[0] / (errors[1] + IM1_EPSILON))


def label_variation(factor: Predictor, originals: ArrayLike, images: ArrayLike) -> Scores:
    """Returns how much a factor changes, as a classifier of this factor sees it: 0 unchanged, ln 2 at most.

    The Label Variation Score of Hvilshøj et al. (2021): the Jensen-Shannon divergence, in nats, between what
    the classifier says before and after. Small is good for factors that have nothing to do with the target
    class, such as the digit where a stamp decides; for the target class itself it should be large.

    Args:
        factor: A classifier of the factor: a Keras model of images, or a function from images to
            probabilities `(samples, values)`, of one column for a factor of two values.
        originals: Images before the change.
        images: Images after it.

    Raises:
        ValueError: If shapes differ, or what comes out are no probabilities.

    Example:
        >>> sure = lambda images: np.stack([images.mean((1, 2, 3)), 1 - images.mean((1, 2, 3))], 1)
        >>> blank = np.zeros((2, 4, 4, 1))
        >>> label_variation(sure, blank, blank + [[[[0.0]]], [[[1.0]]]]).round(4).tolist()
        [0.0, 0.6931]
    """
    before, after = _pair(originals, images)
    one, other = (_distribution(predicted(factor, batch)) for batch in (before, after))
    middle = (one + other) / 2
    return np.asarray((_divergence(one, middle) + _divergence(other, middle)) / 2)


def normalised_cross_correlation(rationales: ArrayLike, truths: ArrayLike) -> Scores:
    """Returns Pearson's correlation of each rationale with the true difference, over its values.

    As Baumgartner et al. ("Visual Feature Attribution using Wasserstein GANs", 2018, section 4) compare maps
    with known effects. It is NaN where one of the two is constant.

    Args:
        rationales: Signed rationales, or other maps, samples first.
        truths: True differences, of the same shape and sign: what is taken away is positive.

    Raises:
        ValueError: If shapes differ.

    Example:
        >>> truth = np.array([[[[1.0], [0.0]], [[0.0], [-1.0]]]])
        >>> normalised_cross_correlation(2 * truth + 1, truth).round(6).tolist()
        [1.0]
    """
    one, other = (
        _flat(values).astype(np.float64) for values in _pair(rationales, truths, "rationales")
    )
    one, other = (values - values.mean(axis=1, keepdims=True) for values in (one, other))
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    # What is left of a constant image is rounding, which correlates with anything.
    constant = norms <= 1e-12 * np.sqrt(one.shape[1])
    return np.where(constant, np.nan, (one * other).sum(axis=1) / np.where(constant, 1.0, norms))


def ink_scores(rationales: ArrayLike, truths: ArrayLike) -> pd.DataFrame:
    """Scores what is taken away and what is added apart.

    A rationale that takes the right things away and adds nothing, where something should be added, finds
    half of the evidence; one score for both signs hides this.

    Args:
        rationales: Signed rationales, positive where brightness is taken away.
        truths: True differences, of the same shape and sign.

    Returns:
        A row for each sample, with the correlation (`normalised_cross_correlation`) of the `removed` and of
        the `added` parts, and `removed_inside` and `added_inside`, the share of the rationale's ink that lies
        where the truth has some of the same sign. NaN where there is none of that sign: of the truth, or for
        shares of the rationale.

    Raises:
        ValueError: If shapes differ.

    Example:
        >>> truth = np.array([[[[1.0], [0.0]], [[0.0], [-1.0]]]])
        >>> ink_scores(np.abs(truth), truth).round(2).to_dict("records")
        [{'removed': 0.58, 'removed_inside': 0.5, 'added': nan, 'added_inside': nan}]
    """
    found, wanted = _pair(rationales, truths, "rationales")
    columns: dict[str, Scores] = {}
    for name, sign in (("removed", 1), ("added", -1)):
        ink, truth = (np.maximum(sign * values, 0) for values in (found, wanted))
        total = _flat(ink).sum(axis=1, dtype=np.float64)
        inside = _flat(ink * (truth > 0)).sum(axis=1, dtype=np.float64)
        none = _flat(truth).max(axis=1) == 0
        columns[name] = np.where(none, np.nan, normalised_cross_correlation(ink, truth))
        share = inside / np.where(total == 0, 1.0, total)
        columns[f"{name}_inside"] = np.where(none | (total == 0), np.nan, share)
    return pd.DataFrame(columns)


def predicted(predictor: Predictor, images: Array) -> NDArray[np.float64]:
    """Returns what a classifier says, `(samples, classes)`; one column becomes those of classes 0 and 1.

    Raises:
        ValueError: If it does not give `(samples, classes)`.
    """
    if isinstance(predictor, keras.Model):
        outputs = predictor.predict(images, batch_size=256, verbose=0)
    else:
        outputs = predictor(images)
    array = np.asarray(outputs, dtype=np.float64)
    if array.ndim != 2 or len(array) != len(images):
        raise ValueError(
            f"A classifier must give (samples, classes) for {len(images)} images. It gave {array.shape}."
        )
    return _two_columns(array)


def _two_columns(chances: Array) -> NDArray[np.float64]:
    chances = np.asarray(chances, dtype=np.float64)
    return np.concatenate([1 - chances, chances], axis=1) if chances.shape[1] == 1 else chances


def _classes(labels: ArrayLike, samples: int, classes: int, name: str) -> NDArray[np.int64]:
    array = label_array(labels, samples, name)
    wrong = ~np.isin(array, np.arange(classes))
    if wrong.any():
        raise ValueError(
            f"`{name}` must hold classes from 0 to {classes - 1}. "
            f"Received: {quoted(np.unique(array[wrong]))}."
        )
    return array.astype(np.int64)


def _distribution(chances: NDArray[np.float64]) -> NDArray[np.float64]:
    if (chances < -1e-6).any() or (np.abs(chances.sum(axis=1) - 1) > 1e-3).any():
        raise ValueError(
            "A factor's classifier must give probabilities, of sum 1. It gave values from "
            f"{chances.min():g} to {chances.max():g}, of sums from {chances.sum(axis=1).min():g}. "
            "Does it end in logits? Add a softmax."
        )
    return np.clip(chances, 0.0, 1.0)


def _divergence(one: NDArray[np.float64], other: NDArray[np.float64]) -> Scores:
    """Kullback-Leibler divergence in nats, where 0 ln 0 = 0."""
    held = one > 0
    ratio = np.where(held, one, 1.0) / np.where(held, other, 1.0)
    return np.asarray((one * np.log(ratio)).sum(axis=1))


def _pair(one: ArrayLike, other: ArrayLike, name: str = "originals") -> tuple[Array, Array]:
    second = "truths" if name == "rationales" else "images"
    first, last = finite_array(one, name), finite_array(other, second)
    if first.shape != last.shape:
        raise ValueError(
            f"`{name}` and `{second}` must have one shape. Received: {first.shape} and {last.shape}."
        )
    return first, last


def _difference(starts: ArrayLike, images: ArrayLike) -> Array:
    before, after = _pair(starts, images, "starts")
    return after.astype(np.float64) - before


def _flat(values: Array) -> Array:
    return values.reshape(len(values), -1)
