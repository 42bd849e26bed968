"""How near a generator's images come to real ones, in the eyes of a frozen network.

The usual Fréchet inception distance asks for an Inception network and its download. Here the network is one
of the user's own, trained on the same kind of images. It must not be the classifier that is explained:
a search that tricks a network would be praised by the same network. Such distances depend on the network, so
they compare generators under one network, and say nothing beside published ones. What carries over is their
ratio to the floor, the distance between two halves of the real images.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import keras
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh
from scipy.special import rel_entr
from sklearn.metrics import pairwise_distances_chunked
from sklearn.neighbors import NearestNeighbors

from ...checks import checked_number, finite_array, label_array
from ...network.activations import activations

Features = NDArray[np.float64]
# Fewer samples for each feature than this give a distance that is mostly their number.
ENOUGH = 10
# A feature that fewer images than this share have has no deviation to speak of.
RARE = 0.05


class KernelDistance(NamedTuple):
    """A kernel distance over subsets.

    Attributes:
        mean: Over the subsets.
        deviation: Standard deviation over them.
    """

    mean: float
    deviation: float


class PrecisionRecall(NamedTuple):
    """Which images lie among the others, by nearest neighbours.

    Attributes:
        precision: Share of generated images that lie among the real ones: how real they look.
        recall: Share of real images that lie among the generated ones: how many kinds there are.
    """

    precision: float
    recall: float


class ModeCoverage(NamedTuple):
    """Which classes a generator makes.

    Attributes:
        modes: How many of the classes hold at least a tenth of their share of real images.
        divergence: Kullback-Leibler divergence of the generated classes from the real ones, in nats.
    """

    modes: int
    divergence: float


def generator_quality(
    real: ArrayLike,
    generated: ArrayLike,
    network: keras.Model,
    layer: str,
    *,
    k: int = 3,
    subset_size: int = 500,
    subsets: int = 50,
    seed: int = 0,
) -> pd.DataFrame:
    """Measures generated images against real ones, beside what real images reach.

    The real images are halved. The first half is the reference; the floor is what the second half, of real
    images, scores against it, and as many generated ones are compared, since all these measures depend on the
    number of images. Features are standardised by the reference (`standardized`).

    Args:
        real: Images that neither generator nor network were trained on, at least 8; some thousands are
            better.
        generated: Images of random codes, at least half as many; the rest is not looked at. Reconstructions
            must be of other images than the real ones, which they would be nearer to than real images are.
        network: A trained Keras model of images, not the classifier that is explained.
        layer: Path of one of its layers (see `keras_pli.activations`), such as the last hidden one.
        k: Neighbours that make the reach of an image, for precision and recall.
        subset_size: Images in a subset of the kernel distance, at most half of those compared.
        subsets: Number of these subsets.
        seed: Seed of halves and subsets.

    Returns:
        A table with the measures `fid`, `kid`, `precision` and `recall` as rows, and columns `value`, `floor`
        (for precision and recall the most to expect), `deviation` (of KID, over subsets), `samples` and
        `features`.

    Raises:
        ValueError: If shapes do not fit, or there are too few images.

    Example:
        >>> keras.utils.set_random_seed(0)
        >>> network = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(),
        ...                             keras.layers.Dense(3, name="hidden"), keras.layers.Dense(2)])
        >>> images = np.random.default_rng(0).normal(size=(200, 4, 4, 1))
        >>> table = generator_quality(images, images[::2] + 1, network, "hidden")
        >>> bool(table.value["fid"] > 5 * table.floor["fid"])
        True
    """
    true, made = finite_array(real, "real"), finite_array(generated, "generated")
    if true.shape[1:] != made.shape[1:]:
        raise ValueError(
            f"`real` and `generated` must hold images of one shape. Received: {true.shape[1:]} and "
            f"{made.shape[1:]}."
        )
    half = len(true) // 2
    if half < max(4, k + 1) or len(made) < half:
        raise ValueError(
            f"Too few images: {len(true)} real ones, to be halved, and {len(made)} generated ones."
        )
    order = np.random.default_rng(seed).permutation(len(true))
    parts = (true[order[:half]], true[order[half : 2 * half]], made[:half])
    reference, rest, others = standardized(*(activations(network, part, layer) for part in parts))

    def measures(sample: Features) -> tuple[list[float], float]:
        size = min(subset_size, half // 2)
        kernel = kernel_distance(reference, sample, size=size, subsets=subsets, seed=seed)
        shares = precision_recall(reference, sample, k=k)
        return [frechet_distance(reference, sample), kernel.mean, *shares], kernel.deviation

    (values, deviation), (floors, _) = measures(others), measures(rest)
    names = pd.Index(["fid", "kid", "precision", "recall"], name="measure")
    table = pd.DataFrame({"value": values, "floor": floors}, names)
    deviations = pd.Series({"kid": deviation})
    return table.assign(deviation=deviations, samples=half, features=reference.shape[1])


def standardized(reference: ArrayLike, *others: ArrayLike) -> tuple[Features, ...]:
    """Returns features in units of the reference's standard deviations, from its mean.

    Unlike Inception's, a small network's features have any scale: distances would depend on the units of its
    layers, and on the one feature whose values are largest. A feature that hardly any image of the reference
    has, as rectified units often are, has a deviation made of a few images, which would let it decide all;
    it is given in units of its greatest distance from the usual value instead.

    Args:
        reference: Features `(samples, features)`; their mean and deviation are taken for all.
        *others: Features of other samples.

    Example:
        >>> one, other = standardized([[0.0], [4.0]], [[6.0]])
        >>> one.tolist(), other.tolist()
        ([[-1.0], [1.0]], [[2.0]])
    """
    first, *rest = (_features(values) for values in (reference, *others))
    usual = np.median(first, axis=0)
    rare = (first != usual).mean(axis=0) < RARE
    spread = np.where(rare, np.abs(first - usual).max(axis=0), first.std(axis=0))
    middle, spread = first.mean(axis=0), np.where(spread == 0, 1.0, spread)
    return tuple((values - middle) / spread for values in (first, *rest))


def frechet_distance(real: ArrayLike, generated: ArrayLike) -> float:
    """Returns the Fréchet distance of two samples' features, each taken for a Gaussian.

    FID of Heusel et al. ("GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium",
    2017, section 2). It is never negative, and falls with the number of samples: compare like with like.

    Args:
        real: Features `(samples, features)`.
        generated: Features of the other sample.

    Raises:
        ValueError: If there are fewer than two samples, or different features.

    Example:
        >>> points = np.random.default_rng(0).normal(size=(500, 4))
        >>> round(frechet_distance(points, points + 2), 6)
        16.0
    """
    one, other = _same_features(real, generated)
    fewest, features = min(len(one), len(other)), one.shape[1]
    if fewest < ENOUGH * features:
        warnings.warn(
            f"The Fréchet distance of {features} features from {fewest} samples is biased upwards; "
            f"compare it with the floor only, or give {ENOUGH * features}.",
            stacklevel=2,
        )
    first, second = (
        (values.mean(axis=0), np.cov(values, rowvar=False, ddof=1).reshape(features, features))
        for values in (one, other)
    )
    return frechet_of_gaussians(*first, *second)


def frechet_of_gaussians(
    mean: ArrayLike, covariance: ArrayLike, other_mean: ArrayLike, other_covariance: ArrayLike
) -> float:
    """Returns ‖μ₁ − μ₂‖² + tr(C₁ + C₂ − 2 (C₁ C₂)^½), the squared distance of Dowson & Landau (1982).

    The trace of the root is that of (C₁^½ C₂ C₁^½)^½, which is symmetric: its eigenvalues are real, where a
    general matrix root of a singular product need not be.

    Example:
        >>> round(frechet_of_gaussians([0.0], [[1.0]], [3.0], [[4.0]]), 9)
        10.0
    """
    one, other = (np.asarray(values, np.float64) for values in (covariance, other_covariance))
    away = np.asarray(mean, np.float64) - np.asarray(other_mean, np.float64)
    values, vectors = eigh(one)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    common = np.sqrt(np.clip(eigh(root @ other @ root, eigvals_only=True), 0, None)).sum()
    return max(float(away @ away + np.trace(one) + np.trace(other) - 2 * common), 0.0)


def kernel_distance(
    real: ArrayLike, generated: ArrayLike, *, size: int = 500, subsets: int = 50, seed: int = 0
) -> KernelDistance:
    """Returns the squared maximum mean discrepancy of two samples' features, averaged over subsets.

    KID of Bińkowski et al. ("Demystifying MMD GANs", 2018, section 4): the unbiased estimate with the kernel
    (x·y / d + 1)³. It is about 0, so also below it, for samples of one distribution, whatever their number.

    Args:
        real: Features `(samples, features)`.
        generated: Features of the other sample.
        size: Samples of each in a subset.
        subsets: Number of subsets, drawn without replacement.
        seed: Seed of the subsets.

    Raises:
        ValueError: If features differ, or there are fewer than `size` samples.

    Example:
        >>> points = np.random.default_rng(0).normal(size=(200, 4))
        >>> kernel_distance(points, points + 2, size=100).mean > 1
        True
    """
    one, other = _same_features(real, generated)
    size = checked_number(size, "size", least=2, whole=True)
    checked_number(subsets, "subsets", least=1, whole=True)
    if size > min(len(one), len(other)):
        raise ValueError(
            f"A subset takes {size} samples. Received: {len(one)} and {len(other)}. Lower `size`."
        )
    random = np.random.default_rng(seed)
    found = [
        _squared_discrepancy(
            *(values[random.choice(len(values), size, replace=False)] for values in (one, other))
        )
        for _ in range(subsets)
    ]
    return KernelDistance(float(np.mean(found)), float(np.std(found)))


def precision_recall(real: ArrayLike, generated: ArrayLike, *, k: int = 3) -> PrecisionRecall:
    """Returns which share of each sample lies within the reach of the other one.

    Kynkäänniemi et al. ("Improved Precision and Recall Metric for Assessing Generative Models", 2019,
    equation 1): an image reaches as far as its kth nearest neighbour of its own sample.

    Args:
        real: Features `(samples, features)`.
        generated: Features of the other sample, best as many.
        k: Which neighbour; 3 there.

    Raises:
        ValueError: If features differ, or there are no more than k samples.

    Example:
        >>> points = np.random.default_rng(0).normal(size=(100, 4))
        >>> precision_recall(points, points[:50] * 0.01)
        PrecisionRecall(precision=1.0, recall=0.0)
    """
    one, other = _same_features(real, generated)
    k = checked_number(k, "k", least=1, whole=True)
    if min(len(one), len(other)) <= k:
        raise ValueError(
            f"With `k` = {k}, more samples are needed. Received: {len(one)} and {len(other)}."
        )
    return PrecisionRecall(_within(one, other, k), _within(other, one, k))


def mode_coverage(real: ArrayLike, generated: ArrayLike) -> ModeCoverage:
    """Returns how many classes a generator makes, and how far their shares are from the real ones.

    Args:
        real: Classes of real images, `(samples,)`.
        generated: Classes that an independent classifier sees in generated ones.

    Raises:
        ValueError: If a generated class does not occur among the real ones.

    Example:
        >>> found = mode_coverage([0, 1, 2, 2], [0, 0, 2, 2])
        >>> found.modes, round(found.divergence, 4)
        (2, 0.3466)
    """
    truth, made = (
        label_array(labels, np.size(labels), name)
        for labels, name in ((real, "real"), (generated, "generated"))
    )
    classes, counts = np.unique(truth, return_counts=True)
    if not np.isin(made, classes).all():
        raise ValueError("`generated` holds classes that `real` does not.")
    shares = counts / counts.sum()
    found = (made[:, None] == classes).mean(axis=0)
    return ModeCoverage(int((found >= shares / 10).sum()), float(rel_entr(found, shares).sum()))


def _squared_discrepancy(one: Features, other: Features) -> float:
    size, features = one.shape

    def kernel(first: Features, second: Features) -> Features:
        return (first @ second.T / features + 1) ** 3

    within = [
        (values.sum() - np.trace(values)) / (size * (size - 1))
        for values in (kernel(one, one), kernel(other, other))
    ]
    return float(sum(within) - 2 * kernel(one, other).mean())


def _within(reference: Features, sample: Features, k: int) -> float:
    """Share of a sample that lies no farther from a reference image than its kth neighbour does."""
    # The nearest neighbour of an image is itself.
    neighbours = NearestNeighbors(n_neighbors=k + 1).fit(reference)
    reach = neighbours.kneighbors(reference)[0][:, -1]

    def inside(distances: Features, _: int) -> NDArray[np.bool_]:
        return (distances <= reach).any(axis=1)

    chunks = pairwise_distances_chunked(sample, reference, reduce_func=inside)
    return float(np.concatenate(list(chunks)).mean())


def _features(values: ArrayLike) -> Features:
    finite_array(values, "features", ndim=2)
    return np.asarray(values, dtype=np.float64)


def _same_features(real: ArrayLike, generated: ArrayLike) -> tuple[Features, Features]:
    one, other = _features(real), _features(generated)
    if one.shape[1] != other.shape[1] or min(len(one), len(other)) < 2:
        raise ValueError(
            "Two samples or more are needed on either side, of the same features. "
            f"Received: {one.shape} and {other.shape}."
        )
    return one, other
