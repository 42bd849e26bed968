"""Do attributions add up to what the model does when parts of the input are perturbed?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..attribution import Attribution, Method
from ..attribution.perturbation import checked_lengths, lengths_along
from ..checks import checked_number, one_of
from ..network.inputs import GivenTarget
from .removal import Fill, Removal
from .scoring import Array, Score, Scorer, over_channels

BLOCK_ENTRIES = 8_000_000  # entries of masks and noise held at a time


def mu_fidelity(
    model: keras.Model | Method | Scorer,
    x: ArrayLike,
    attributions: ArrayLike | Attribution,
    target: GivenTarget = None,
    *,
    baseline: Fill = 0.0,
    score: Score = "logits",
    subsets: int = 100,
    share: float = 0.1,
    cells: int | Sequence[int] | None = None,
    seed: int = 0,
    verbose: int = 0,
) -> NDArray[np.float64]:
    """Correlates the attribution of random sets of positions with the score's fall when these are removed.

    Pearson's correlation, over subsets U of positions, of ∑ φ in U with S(x) − S(x with U removed), which
    Bhatt et al. (2020) define as faithfulness. 1 for gradient × input on a linear model.

    Args:
        model: A built Keras model with one input, an attribution method, or a `Scorer` of either.
        x: Inputs `(samples, *positions, channels)`, or `(samples, features)`.
        attributions: An `Attribution` or its array, shaped like `x` or without the channels.
        target: As in `deletion_curve`.
        baseline: What removed positions show, as in `deletion_curve`.
        score: `"logits"` or `"probabilities"`.
        subsets: Number of subsets, the same ones for every sample.
        share: Share of the positions in a subset, in (0, 1).
        cells: Draws subsets of so many cells along each axis instead of single positions, whose removal a
            network may hardly notice. None takes single positions.
        seed: Seed of the subsets.
        verbose: 1 draws a progress bar.

    Returns:
        float64 array `(samples,)` in [−1, 1]; NaN where attributions or score do not vary with the subset.

    Raises:
        ValueError: If a shape does not fit, a value is not finite, a class does not exist, or a number lies
            outside its range.

    Example:
        >>> from keras_pli.attribution import GradientTimesInput
        >>> model = keras.Sequential([keras.Input((9,)), keras.layers.Dense(2)])
        >>> found = mu_fidelity(model, np.ones((3, 9)), GradientTimesInput(model)(np.ones((3, 9))))
        >>> np.round(found, 3)
        array([1., 1., 1.])
    """
    subsets = checked_number(subsets, "subsets", least=2, whole=True)
    if not 0 < share < 1:
        raise ValueError(f"`share` must lie in (0, 1). Received: {share!r}.")
    removal = Removal.of(model, x, attributions, target, baseline)
    cell_of = _cells(removal.maps.shape[1:], cells)
    masks = _subset_masks(cell_of, share, subsets, np.random.default_rng(seed))
    kept = removal.scorer.scores(removal.x, removal.aim, score)
    added, falls = _responses(removal, masks, removal.flat_maps, kept, score, verbose)
    # A float32 score is known to about this, so that smaller differences are none.
    return _correlations(added, falls, noise=1e-6 * np.abs(kept))


def infidelity(
    model: keras.Model | Method | Scorer,
    x: ArrayLike,
    attributions: ArrayLike | Attribution,
    target: GivenTarget = None,
    *,
    perturbation: Literal["square", "gaussian"] = "square",
    units: Literal["contribution", "gradient"] | None = None,
    scaled: bool = False,
    baseline: Fill = 0.0,
    score: Score = "logits",
    side: int | Sequence[int] | None = None,
    width: float = 0.2,
    draws: int = 100,
    seed: int = 0,
    verbose: int = 0,
) -> NDArray[np.float64]:
    """Returns the expected squared error of attributions as predictions of the score's fall.

    E[(Iᵀφ − (S(x) − S(x − I)))²] over random perturbations I (Yeh et al. 2019, definition 2.1). 0 for the
    exact attribution of a linear model.

    Args:
        model: A built Keras model with one input, an attribution method, or a `Scorer` of either.
        x: Inputs `(samples, *positions, channels)`, or `(samples, features)`.
        attributions: An `Attribution` or its array, shaped like `x` or without the channels.
        target: As in `deletion_curve`.
        perturbation: `"square"` puts the baseline into a window at a random place, the paper's square
            removal; `"gaussian"` subtracts normal noise, which measures gradients.
        units: Whether an attribution is the whole `"contribution"` of its place, as of gradient × input and
            integrated gradients, so that Iᵀφ is their sum over the window; or a `"gradient"`, by unit of
            input, as of saliency. None takes contributions for windows, and gradients for noise, where no
            contribution can be defined.
        scaled: Whether attributions are first multiplied by the factor that fits each sample best, as the
            paper does, so that their scale does not matter.
        baseline: What the window shows, as in `deletion_curve`.
        score: `"logits"` or `"probabilities"`.
        side: Length of the window, or one for each axis of positions; None takes a quarter of each.
        width: Standard deviation of the noise, in units of the inputs.
        draws: Number of perturbations, the same ones for every sample.
        seed: Seed of the perturbations.
        verbose: 1 draws a progress bar.

    Returns:
        float64 array `(samples,)`, in squared units of the score.

    Raises:
        ValueError: If a shape does not fit, a value is not finite, a class does not exist, a number lies
            outside its range, or noise is asked for contributions.

    Example:
        >>> from keras_pli.attribution import Saliency
        >>> model = keras.Sequential([keras.Input((9,)), keras.layers.Dense(2)])
        >>> maps = Saliency(model)(np.ones((3, 9)))
        >>> found = infidelity(model, np.ones((3, 9)), maps, perturbation="gaussian")
        >>> bool(np.all(found < 1e-10))
        True
    """
    one_of(perturbation, ("square", "gaussian"), "perturbation")
    draws = checked_number(draws, "draws", least=1, whole=True)
    random = np.random.default_rng(seed)
    removal = Removal.of(model, x, attributions, target, baseline)
    kept = removal.scorer.scores(removal.x, removal.aim, score)
    if perturbation == "gaussian":
        if one_of(units or "gradient", ("contribution", "gradient"), "units") == "contribution":
            raise ValueError(
                "Gaussian noise has no contributions: pass units='gradient', or squares."
            )
        noise = _noise(removal.x.shape[1:], checked_number(width, "width", least=0), draws, random)
        weights = _gradients(removal, attributions)
        added, falls = _responses(removal, noise, weights, kept, score, verbose)
    else:
        weights = removal.flat_maps
        if one_of(units or "contribution", ("contribution", "gradient"), "units") == "gradient":
            per_unit = _gradients(removal, attributions).reshape(removal.x.shape)
            products = per_unit * (removal.x - removal.fill)
            weights = products.reshape(*weights.shape, -1).sum(axis=-1)
        masks = _windows(removal.maps.shape[1:], side, draws, random)
        added, falls = _responses(removal, masks, weights, kept, score, verbose)
    if scaled:
        added = added * _best_scale(added, falls)[:, None]
    return np.mean(np.square(added - falls), axis=1)


def _responses(
    removal: Removal,
    perturbations: Iterator[Array],
    weights: Array,
    kept: Array,
    score: Score,
    verbose: int,
) -> tuple[Array, Array]:
    """What attributions predict and what the score does, each `(samples, draws)`.

    Blocks of perturbations are booleans `(draws, positions)`, to be removed, or noise `(draws, entries)`, to
    be subtracted.
    """
    predicted, falls = [], []
    for block in perturbations:

        def changed(rows: Array, columns: Array, block: Array = block) -> Array:
            if block.dtype == bool:
                return removal.removed(rows, block[columns])
            return removal.x[rows] - block[columns].reshape(removal.x[rows].shape)

        shape = (len(removal.x), len(block))
        scores = removal.scorer.variants(changed, shape, removal.aim, score, verbose=verbose)
        falls.append(kept[:, None] - scores)
        predicted.append(weights @ block.T.astype(np.float64))
    return np.concatenate(predicted, axis=1), np.concatenate(falls, axis=1)


def _gradients(removal: Removal, attributions: ArrayLike | Attribution) -> Array:
    """The attribution of each entry of the inputs, `(samples, entries)`."""
    given = attributions.attributions if isinstance(attributions, Attribution) else attributions
    array = np.asarray(given, dtype=np.float64)
    if array.shape != removal.x.shape:  # one for all channels of a position
        array = np.broadcast_to(over_channels(removal.maps, removal.x), removal.x.shape)
    return array.reshape(len(array), -1)


def _blocks(count: int, entries: int) -> Iterator[int]:
    """The sizes of the blocks in which so many perturbations are held."""
    size = max(1, BLOCK_ENTRIES // entries)
    for start in range(0, count, size):
        yield min(size, count - start)


def _subset_masks(
    cell_of: NDArray[np.int64], share: float, count: int, random: np.random.Generator
) -> Iterator[NDArray[np.bool_]]:
    cells = int(cell_of.max()) + 1
    chosen = max(1, round(share * cells))
    for size in _blocks(count, len(cell_of)):
        places = np.argsort(random.random((size, cells)), axis=1)[:, :chosen]
        drawn = np.zeros((size, cells), dtype=bool)
        np.put_along_axis(drawn, places, True, axis=1)
        yield drawn[:, cell_of]


def _cells(sizes: tuple[int, ...], cells: int | Sequence[int] | None) -> NDArray[np.int64]:
    """The number of the cell that each position lies in, `(positions,)`."""
    lengths = checked_lengths(cells, "cells")
    along = sizes if lengths is None else lengths_along(lengths, sizes, "cells")
    along = tuple(min(cell, size) for cell, size in zip(along, sizes, strict=True))
    index = [np.arange(size) * cell // size for size, cell in zip(sizes, along, strict=True)]
    return np.ravel_multi_index(np.meshgrid(*index, indexing="ij"), along).ravel()


def _windows(
    sizes: tuple[int, ...],
    side: int | Sequence[int] | None,
    count: int,
    random: np.random.Generator,
) -> Iterator[NDArray[np.bool_]]:
    lengths = checked_lengths(side, "side")
    along = (
        tuple(-(-size // 4) for size in sizes)
        if lengths is None
        else lengths_along(lengths, sizes, "side")
    )
    if any(length > size for length, size in zip(along, sizes, strict=True)):
        raise ValueError(f"`side` must fit into positions of sizes {sizes}. Received: {along}.")
    rooms = [size - length + 1 for size, length in zip(sizes, along, strict=True)]
    for number in _blocks(count, int(np.prod(sizes))):
        starts = random.integers(rooms, size=(number, len(sizes)))
        masks = np.ones((number, *sizes), dtype=bool)
        for axis, (size, length) in enumerate(zip(sizes, along, strict=True)):
            offset = np.arange(size) - starts[:, axis, None]
            inside = (offset >= 0) & (offset < length)
            masks &= inside.reshape(number, *(-1 if a == axis else 1 for a in range(len(sizes))))
        yield masks.reshape(number, -1)


def _noise(
    shape: tuple[int, ...], width: float, count: int, random: np.random.Generator
) -> Iterator[NDArray[np.float32]]:
    entries = int(np.prod(shape))
    for size in _blocks(count, entries):
        yield width * random.standard_normal((size, entries), dtype=np.float32)


def _best_scale(added: Array, falls: Array) -> Array:
    squares = np.mean(np.square(added), axis=1)
    return np.mean(added * falls, axis=1) / np.where(squares > 0, squares, 1.0)


def _correlations(first: Array, second: Array, *, noise: Array) -> NDArray[np.float64]:
    """Pearson's correlation of each row; NaN where a row is constant but for rounding."""
    rounding = 1e-12 * np.abs(first).max(axis=1)
    first = first - first.mean(axis=1, keepdims=True)
    second = second - second.mean(axis=1, keepdims=True)
    spreads = np.linalg.norm(first, axis=1), np.linalg.norm(second, axis=1)
    varies = (spreads[0] > rounding) & (spreads[1] > noise)
    product = np.where(varies, spreads[0] * spreads[1], np.nan)
    return np.clip((first * second).sum(axis=1) / product, -1, 1)
