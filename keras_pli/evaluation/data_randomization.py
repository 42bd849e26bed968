"""A sanity check: do maps change when the model has learned permuted labels?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ..checks import checked_number
from ..network.inputs import GivenTarget
from .explainers import Factory, checked_within, explainers, maps_by_name, named_factories
from .randomization_result import (
    RandomizationResult,
    Rows,
    SensitivityVerdict,
    check_ranges,
    checked_seeds,
    similarity_rows,
    similarity_table,
    verdict,
)
from .scoring import Aim, Scorer, single_input
from .similarity import Maps

TRUE, OTHER_START, PERMUTED = "true", "true, other start", "permuted"


def data_randomization_test(
    methods: Factory | Mapping[str, Factory],
    build_model: Callable[[int], keras.Model],
    x_train: ArrayLike,
    y_train: ArrayLike,
    x: ArrayLike,
    target: GivenTarget = None,
    *,
    accuracy: float = 0.95,
    epochs: int = 100,
    batch_size: int = 32,
    seeds: int | Iterable[int] = 3,
    threshold: float = 0.5,
    share: float = 0.1,
    within: ArrayLike | None = None,
    verbose: int = 0,
) -> RandomizationResult:
    """Compares maps of a network with those of one that learned permuted labels (Adebayo et al. 2018).

    A network taught labels without any relation to the inputs has learned them by heart, and maps that
    explain what was learned must differ. For each seed three networks are trained: one on the true labels,
    and from another start one on the true and one on permuted labels. The similarity of the first two stands
    beside as `reference`: what is left where only the start differs.

    Args:
        methods: As in `model_randomization_test`.
        build_model: Function of a seed that builds and compiles a network.
        x_train: Training inputs, `(samples, ...)`.
        y_train: Their labels as the compiled loss takes them: integers, or one-hot.
        x: Samples to explain.
        target: As in `model_randomization_test`; None takes what the network with true labels predicts.
        accuracy: Each network is trained until an epoch ends with this share of its own training labels
            right, in inference mode.
        epochs: Most epochs of a training.
        batch_size: Samples in a batch.
        seeds: Number of seeds, counted from 0, or the seeds themselves. They set Keras's global random state.
        threshold: As in `model_randomization_test`.
        share: As in `model_randomization_test`.
        within: As in `model_randomization_test`.
        verbose: 1 draws a progress bar.

    Returns:
        A `RandomizationResult` whose table has the mode `"data"` and one step. Its `training` says which
        accuracy each network reached, and in how many epochs.

    Raises:
        ValueError: If labels do not fit the inputs, a network is not compiled, or as in
            `model_randomization_test`.
        TypeError: If `methods` makes no methods, or `within` is not boolean.

    Example:
        >>> from keras_pli.attribution import Saliency
        >>> def build(seed):
        ...     hidden, head = keras.layers.Dense(16, "relu"), keras.layers.Dense(2, "softmax")
        ...     model = keras.Sequential([keras.Input((6,)), hidden, head])
        ...     model.compile("adam", "sparse_categorical_crossentropy")
        ...     return model
        >>> x = np.random.default_rng(0).normal(size=(40, 6))
        >>> result = data_randomization_test(Saliency, build, x, x[:, 0] > 0, x[:8], seeds=1, epochs=2)
        >>> list(result.training["labels"])
        ['true', 'true, other start', 'permuted']
    """
    check_ranges(threshold=threshold, share=share, accuracy=accuracy)
    numbers = checked_seeds(seeds)
    region = checked_within(within, x)
    factories = named_factories(methods)
    data = _checked(x_train, y_train)
    lesson = _Lesson(
        build_model,
        accuracy,
        epochs=checked_number(epochs, "epochs", least=1, whole=True),
        batch_size=checked_number(batch_size, "batch_size", least=1, whole=True),
    )
    progress = keras.utils.Progbar(3 * len(numbers), verbose=verbose, unit_name="training")
    rows, references, training = Rows(), Rows(), Rows()
    for seed in numbers:
        maps: dict[str, dict[str, Maps]] = {}
        aims: dict[str, Aim] = {}
        for labels, model, log in lesson.three_networks(*data, seed):
            found = explainers(factories, model, x, target)
            # What the first network predicts is explained in all three.
            found = [replace(one, aim=aims.setdefault(one.name, one.aim)) for one in found]
            maps[labels] = maps_by_name(found)
            training.append({"seed": seed, "labels": labels, **log})
            progress.add(1)
        place = {"mode": "data", "layer": "labels", "step": 1, "seed": seed}
        rows += similarity_rows(maps[TRUE], maps[PERMUTED], share, region, **place)
        references += similarity_rows(maps[TRUE], maps[OTHER_START], share, region)
    table = similarity_table(rows, references)
    log = pd.DataFrame(training)
    return RandomizationResult(table, _verdicts(table, log, threshold), threshold, log)


@dataclass(frozen=True)
class _Lesson:
    """How networks are built and trained."""

    build_model: Callable[[int], keras.Model]
    accuracy: float
    epochs: int
    batch_size: int

    def three_networks(
        self, x: NDArray[Any], y: NDArray[Any], seed: int
    ) -> Iterator[tuple[str, keras.Model, dict[str, Any]]]:
        """Yields the kind of labels, the trained network, and what its training reached."""
        start, other = (int(state >> 1) for state in np.random.SeedSequence(seed).generate_state(2))
        permuted = y[np.random.default_rng(seed).permutation(len(y))]
        yield TRUE, *self._trained(x, y, start)
        yield OTHER_START, *self._trained(x, y, other)
        yield PERMUTED, *self._trained(x, permuted, other)

    def _trained(
        self, x: NDArray[Any], y: NDArray[Any], seed: int
    ) -> tuple[keras.Model, dict[str, Any]]:
        keras.utils.set_random_seed(seed)
        model = self.build_model(seed)
        if not getattr(model, "compiled", False):
            raise ValueError(
                "`build_model` must return a compiled Keras model, with a loss to train by."
            )
        stop = _UntilAccuracy(x, y, self.accuracy)
        model.fit(x, y, batch_size=self.batch_size, epochs=self.epochs, callbacks=[stop], verbose=0)
        return model, {"accuracy": stop.reached, "epochs": stop.epochs}


class _UntilAccuracy(keras.callbacks.Callback):
    """Ends training when enough of the training labels are right in inference mode."""

    def __init__(self, x: NDArray[Any], y: NDArray[Any], wanted: float) -> None:
        super().__init__()
        self.x, self.wanted, self.reached, self.epochs = x, wanted, 0.0, 0
        several = y.ndim == 2 and y.shape[1] > 1
        self.classes = y.argmax(axis=1) if several else y.reshape(len(y)).astype(np.int32)
        self._scorer: Scorer | None = None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Measures, and stops if it is enough."""
        self._scorer = self._scorer or Scorer(
            self.model
        )  # a model may be built by its first batch only
        predicted = self._scorer.predicted(single_input(self.x, self.model))
        self.reached, self.epochs = float(np.mean(predicted == self.classes)), epoch + 1
        self.model.stop_training = self.reached >= self.wanted


def _checked(x: ArrayLike, y: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    inputs, labels = np.asarray(x), np.asarray(y)
    if labels.ndim not in (1, 2) or len(labels) != len(inputs):
        raise ValueError(
            "`y_train` must have one label, or one row of labels, for each of `x_train`. "
            f"Received shapes {labels.shape} and {inputs.shape}."
        )
    return inputs, labels


def _verdicts(
    table: pd.DataFrame, training: pd.DataFrame, threshold: float
) -> dict[str, SensitivityVerdict]:
    reached = training.groupby("labels")["accuracy"].mean()
    change = (
        f"Of a network that learned permuted labels to {reached[PERMUTED]:.0%} (the true ones to "
        f"{reached[TRUE]:.0%})"
    )
    return {
        str(method): verdict(
            rows,
            threshold,
            change=change,
            pair="Two networks with the true labels and other starts",
        )
        for method, rows in table.groupby("method", sort=False)
    }
