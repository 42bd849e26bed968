"""λ that does no harm: the largest that costs no more than a stated accuracy, found by a pilot."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ...brief import brief_repr
from ...checks import checked_number, finite_array, quoted
from ...strategies import made_like
from ..data import Inputs, ShuffledBatches, arrays_of, check_finite, rows_of
from ..labels import check_classes
from ..outputs import class_outputs, decided_classes
from ..starting_point import fresh_optimizer, reseed, restore, state_of
from .pilot import like

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
    steps: int | None = None,
    seed: int = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> AutomaticWeight:
    """Finds the largest λ of a grid that costs no more accuracy than the loss allows.

    A fifth of each class is held out. On the rest the classifier is retrained from where it stands, with
    λ = 0 and with others, each for `epochs` in the same batches, and judged on what was held out. Cost is
    taken to rise with λ, so that halving the grid finds the λ in three or four retrainings.

    A fifth of a small training set tells costs roughly. In `benchmarks/obeying.py`, where 200 to 600 samples
    were held out, with a standard error of .009: the λ found for .01 cost .006 and .007 of accuracy on test
    samples (means of six seeds on two data sets; .015 at most), and the plan was followed as
    far as with the λ that the test samples would have chosen. Trying every λ was no better than halving, and
    pilots of half the epochs found λ that were too small.

    Args:
        model: A compiled `PLIModel`, whose loss has `most_cost`. Its classifier is given its weights and
            random states back; its optimizer is not used, but others of its settings.
        x: Inputs, arrays `(samples, ...)`.
        y: `{"label": …, "embedding": …}` as for `PLIModel.fit`; one class a sample.
        epochs: Epochs of each retraining.
        batch_size: Samples in a batch.
        sample_weight: Weights of the samples, `(samples,)`, in training.
        class_weight: As in `PLIModel.fit`.
        steps: Batches in an epoch of the training that is meant, where samples are seen again in it; None
            where each is seen once.
        seed: Of the part that is held out, and of the order of the batches.
        callbacks: Keras callbacks that watch each retraining; what one raises ends the search.

    Raises:
        ValueError: If there are no arrays to hold a part of out, a sample is not of one class, no class has
            two samples, an input, a target or a weight is not finite, no sample that is trained on has a
            weight above 0, `epochs` or `batch_size` is no whole number of at least 1, or the classifier
            diverges without the plan.
    """
    if not isinstance(y, Mapping) or "embedding" not in y:
        raise ValueError(
            "embedding_weight='auto' holds a part of the training set out, and so needs arrays `x` and "
            f"`y` = {{'label': …, 'embedding': …}}. Received `y`: {type(y).__name__}."
        )
    settings: dict[str, Any] = {
        "epochs": checked_number(epochs, "epochs", least=1, whole=True),
        "batch_size": checked_number(batch_size, "batch_size", least=1, whole=True),
    }
    pilot = WeightPilot(model, *arrays_of(x, dict(y)), sample_weight, seed, callbacks)
    settings |= {"class_weight": class_weight, "steps": steps}
    most = model.loss_function.most_cost
    costs: dict[float, float] = {}

    def passes(place: int) -> bool:
        costs[GRID[place]] = best - pilot.accuracy(GRID[place], **settings)
        # Shares of so many samples differ by rounding where they are said to be equal.
        return costs[GRID[place]] <= most + 1e-9

    try:
        best = pilot.accuracy(0.0, **settings)
        place = halved(len(GRID), passes)
    finally:
        pilot.end()
    if place < 0:
        warnings.warn(
            f"Even λ = {GRID[0]:g} costs {costs[GRID[0]]:.3f} of accuracy on {pilot.held_out} samples held "
            f"out, more than most_cost={most:g}: λ is 0, and the classifier will not follow the plan.",
            stacklevel=4,
        )
    weight = GRID[place] if place >= 0 else 0.0
    return AutomaticWeight(weight, most, dict(sorted(costs.items())), pilot.held_out)


def halved(count: int, passes: Callable[[int], bool]) -> int:
    """Returns the last of so many places that passes, where all before it do and none behind; -1 for none.

    Example:
        >>> halved(9, lambda place: place < 7), halved(9, lambda place: False)
        (6, -1)
    """
    low, high = -1, count
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if passes(middle) else (low, middle)
    return low


class WeightPilot:
    """Retrainings of one classifier from one start on one part of the data, judged on the rest."""

    def __init__(
        self,
        model: Any,
        x: Inputs,
        y: Mapping[str, Any],
        sample_weight: Any = None,
        seed: int = 0,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ) -> None:
        self._model, self._seed, self._callbacks = model, seed, callbacks
        self._start = state_of(model.classifier)
        columns = {name: np.asarray(values) for name, values in y.items()}
        self._x = keras.tree.map_structure(np.asarray, x)
        check_finite(self._x, len(columns["label"]), "x")
        if "embedding" in columns:
            columns["embedding"] = finite_array(columns["embedding"], "y['embedding']", ndim=2)
        self._y = columns
        self._classes = _classes(columns["label"], self._outputs(slice(1)).shape)
        self._train, self._test = stratified(self._classes, HELD_OUT, seed)
        self._weights = _weights(sample_weight, len(self._classes))
        if self._weights is not None and not (self._weights[self._train] > 0).any():
            raise ValueError(
                "embedding_weight='auto' trains on four fifths of the samples, of which none has a "
                "`sample_weight` above 0."
            )

    @property
    def held_out(self) -> int:
        """The number of samples held out."""
        return len(self._test)

    def accuracy(
        self,
        weight: float,
        *,
        epochs: int,
        batch_size: int,
        class_weight: Any = None,
        steps: int | None = None,
    ) -> float:
        """Accuracy on what is held out, after retraining with a λ; 0 where that diverges.

        Raises:
            ValueError: If it diverges with λ = 0.
        """
        whole, classifier, rows = self._model, self._model.classifier, self._train
        restore(classifier, self._start)
        reseed(classifier, self._seed)
        pli = like(whole)
        with made_like(pli):
            pli.compile(
                fresh_optimizer(whole.optimizer, None),
                whole.loss_function.with_weight(weight),
                run_eagerly=whole.run_eagerly,
                jit_compile=whole.jit_compile,
            )
        weights = None if self._weights is None else self._weights[rows]
        batches = ShuffledBatches(
            rows_of(self._x, rows),
            rows_of(self._y, rows),
            batch_size=batch_size,
            seed=self._seed,
            sample_weight=weights,
            # As much less than in the training as there are fewer samples here.
            steps=None if steps is None else -(-steps * len(rows) // len(self._classes)),
        )
        fit = pli.fit(
            batches,
            epochs=epochs,
            class_weight=class_weight,
            shuffle=False,
            verbose=0,
            callbacks=list(self._callbacks),
        )
        if not np.isfinite(fit.history["loss"]).all():
            if weight == 0:
                raise ValueError(
                    "embedding_weight='auto' compares with λ = 0, and that training diverged: its loss is "
                    f"{fit.history['loss'][-1]}. Lower the learning rate."
                )
            return 0.0
        # The last step alone may have diverged, which no mean loss of an epoch tells.
        decided = decided_classes(self._outputs(self._test), classifier)
        return float(np.mean(decided == self._classes[self._test]))

    def _outputs(self, rows: Any) -> Array:
        return class_outputs(self._model.classifier, rows_of(self._x, rows))

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


def _weights(sample_weight: Any, samples: int) -> Array | None:
    if sample_weight is None:
        return None
    weights = np.asarray(sample_weight)
    if len(weights) != samples or not np.isfinite(weights).all():
        raise ValueError(
            f"`sample_weight` must hold a finite number for each of the {samples} samples. Received "
            f"shape {weights.shape}: {quoted(weights.ravel()[:5])}, …"
        )
    return weights


def _classes(labels: Array, outputs: Sequence[int]) -> Array:
    """Labels in any form that a loss takes beside outputs, as one class a sample."""
    if len(outputs) != 2:
        raise ValueError(
            "embedding_weight='auto' weighs the accuracy of outputs of shape (samples, classes). The "
            f"classifier gives shape (samples, {', '.join(map(str, outputs[1:]))})."
        )
    classes = max(2, outputs[1])
    if labels.ndim == 2 and labels.shape[1] == classes:
        if np.all(labels.max(axis=1) > 0) and np.allclose(labels.sum(axis=1), 1):
            return np.asarray(labels.argmax(axis=1))
    elif labels.ndim == 1 or labels.shape[1:] == (1,):
        found = np.round(labels.reshape(-1)).astype(np.int64)
        check_classes(found, classes, "y['label']")
        return found
    raise ValueError(
        "embedding_weight='auto' weighs accuracy, so each sample must be of one class. Received labels of "
        f"shape {labels.shape}: {quoted(labels.ravel()[:5])}, …"
    )
