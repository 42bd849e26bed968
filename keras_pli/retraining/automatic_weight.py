"""λ that does no harm: the largest that costs no more than a stated accuracy, found by a pilot."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ..brief import brief_repr
from ..checks import quoted
from .data import Inputs, ShuffledBatches, rows_of
from .outputs import class_outputs
from .starting_point import fresh_optimizer, reseed, restore, state_of

Array = NDArray[Any]
GRID = (0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9)
HELD_OUT = 0.2


@dataclass(frozen=True)
class AutomaticWeight:
    """A λ, and what it was chosen by.

    Args:
        weight: The largest λ tried that costs no more than `most_cost`; 0 if each did.
        most_cost: The accuracy that it may cost.
        costs: For each λ tried, the accuracy on the part held out that it cost against λ = 0 trained as
            long.
        held_out: The number of samples held out.
    """

    weight: float
    most_cost: float
    costs: Mapping[float, float]
    held_out: int

    __repr__ = brief_repr


def automatic_weight(
    model: Any,
    x: Inputs,
    y: Any,
    *,
    epochs: int = 1,
    batch_size: int = 32,
    sample_weight: Any = None,
    class_weight: dict[int, float] | None = None,
    seed: int = 0,
) -> AutomaticWeight:
    """Finds the largest λ of a grid that costs no more accuracy than the loss allows.

    A fifth of each class is held out. On the rest the classifier is retrained from where it stands, with
    λ = 0 and with others, each for `epochs` in the same batches, and judged on what was held out. Cost is
    taken to rise with λ, so that halving the grid finds the λ in three or four retrainings.

    Args:
        model: A compiled `PLIModel`, whose loss has `most_cost`. Its classifier is given its weights and
            random states back; its optimizer is not used, but others of its settings.
        x: Inputs, arrays `(samples, ...)`.
        y: `{"label": …, "embedding": …}` as for `PLIModel.fit`; one class a sample.
        epochs: Epochs of each retraining.
        batch_size: Samples in a batch.
        sample_weight: Weights of the samples, `(samples,)`, in training.
        class_weight: As in `PLIModel.fit`.
        seed: Of the part that is held out, and of the order of the batches.

    Raises:
        ValueError: If there are no arrays to hold a part of out, a sample is not of one class, or no class
            has two samples.
    """
    if not isinstance(y, Mapping) or "embedding" not in y:
        raise ValueError(
            "embedding_weight='auto' holds a part of the training set out, and so needs arrays `x` and "
            f"`y` = {{'label': …, 'embedding': …}}. Received `y`: {type(y).__name__}."
        )
    weights = None if sample_weight is None else np.asarray(sample_weight)
    pilot = _Pilot(model, x, y, weights, seed)
    settings: dict[str, Any] = {"epochs": epochs, "batch_size": batch_size}
    settings["class_weight"] = class_weight
    most = model.loss_function.most_cost
    costs: dict[float, float] = {}
    try:
        best = pilot.accuracy(0.0, **settings)
        low, high = (
            -1,
            len(GRID),
        )  # the last λ that is known to pass, the first known to cost too much
        while high - low > 1:
            middle = (low + high) // 2
            cost = best - pilot.accuracy(GRID[middle], **settings)
            costs[GRID[middle]] = cost
            low, high = (middle, high) if cost <= most + 1e-9 else (low, middle)
    finally:
        pilot.end()
    weight = GRID[low] if low >= 0 else 0.0
    if low < 0:
        warnings.warn(
            f"Even λ = {GRID[0]:g} costs {costs[GRID[0]]:.3f} of accuracy on {pilot.held_out} samples held "
            f"out, more than most_cost={most:g}: λ is 0, and the classifier will not follow the plan.",
            stacklevel=4,
        )
    return AutomaticWeight(weight, most, dict(sorted(costs.items())), pilot.held_out)


class _Pilot:
    """Retrainings of one classifier from one start on one part of the data, judged on the rest."""

    def __init__(
        self, model: Any, x: Inputs, y: Mapping[str, Any], weights: Any, seed: int
    ) -> None:
        self._model, self._seed = model, seed
        self._start = state_of(model.classifier)
        columns = {name: np.asarray(values) for name, values in y.items()}
        self._x = x = keras.tree.map_structure(np.asarray, x)
        self._y, self._weights = columns, weights
        width = class_outputs(model.classifier, rows_of(x, slice(1))).shape[-1]
        self._classes = _classes(columns["label"], width)
        self._train, self._test = stratified(self._classes, HELD_OUT, seed)

    @property
    def held_out(self) -> int:
        """The number of samples held out."""
        return len(self._test)

    def accuracy(
        self, weight: float, *, epochs: int, batch_size: int, class_weight: Any = None
    ) -> float:
        """Accuracy on what is held out, after retraining with a λ."""
        whole, classifier, rows = self._model, self._model.classifier, self._train
        restore(classifier, self._start)
        reseed(classifier, self._seed)
        pli = type(whole)(classifier, whole.embedder, whole.layer)
        pli.compile(
            fresh_optimizer(whole.optimizer, None),
            whole.loss_function.with_weight(weight),
            run_eagerly=whole.run_eagerly,
            jit_compile=whole.jit_compile,
        )
        weights = {} if self._weights is None else {"sample_weight": self._weights[rows]}
        batches = ShuffledBatches(
            rows_of(self._x, rows),
            rows_of(self._y, rows),
            batch_size=batch_size,
            seed=self._seed,
            **weights,
        )
        pli.fit(batches, epochs=epochs, class_weight=class_weight, shuffle=False, verbose=0)
        decided = class_outputs(classifier, rows_of(self._x, self._test)).argmax(axis=1)
        return float(np.mean(decided == self._classes[self._test]))

    def end(self) -> None:
        """Gives the classifier back what it started from."""
        restore(self._model.classifier, self._start)


def stratified(classes: Array, share: float, seed: int) -> tuple[Array, Array]:
    """Returns the rows to train on and those held out, a share of each class that has two or more.

    Example:
        >>> train, test = stratified(np.array([0, 0, 0, 0, 1, 1, 2]), 0.2, seed=0)
        >>> len(train), len(test)
        (5, 2)
    """
    random = np.random.default_rng(seed)
    held = []
    for label in np.unique(classes):
        rows = random.permutation(np.flatnonzero(classes == label))
        least = min(1, len(rows) - 1)
        held.append(rows[: max(least, round(share * len(rows)))])
    test = np.sort(np.concatenate(held))
    if not len(test):
        raise ValueError(
            "embedding_weight='auto' holds a fifth of each class out, and no class has two samples. "
            f"Received {len(classes)} samples."
        )
    return np.setdiff1d(np.arange(len(classes)), test), test


def _classes(labels: Array, width: int) -> Array:
    """Labels in any form that a loss takes as one class a sample."""
    if labels.ndim == 2 and labels.shape[1] == width:
        if np.all(labels.max(axis=1) > 0) and np.allclose(labels.sum(axis=1), 1):
            return np.asarray(labels.argmax(axis=1))
    elif labels.ndim == 1 or labels.shape[1:] == (1,):
        return np.round(labels.reshape(-1)).astype(np.int64)
    raise ValueError(
        "embedding_weight='auto' weighs accuracy, so each sample must be of one class. Received labels of "
        f"shape {labels.shape}: {quoted(labels.ravel()[:5])}, …"
    )
