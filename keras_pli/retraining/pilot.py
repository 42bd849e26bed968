"""A pilot: a short training on a sample, which tells in seconds what the whole retraining will do."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..brief import brief_repr
from ..checks import checked_number, finite_array, label_array, quoted
from .data import Inputs, ShuffledBatches, as_arrays, rows_of
from .labels import check_classes, in_form, label_form
from .loss import PLILoss
from .outputs import one_column_a_class
from .response import performance_response
from .starting_point import fresh_optimizer, reseed, restore, state_of

Array = NDArray[Any]
UNLABELLED = -1


@dataclass(frozen=True)
class Pilot:
    """What a short training with a plan does, beside one without, to samples that it was not trained on.

    Args:
        rows: The samples measured, by their number among those given.
        scored: How many of them, from the first, were drawn at random, and are fit for F1; behind them
            stand further points that the plan moves.
        labels: Classes of the samples measured.
        before: Their map before, `(rows, components)`.
        targets: Where the plan asks them to go.
        control: Their map after training without the plan.
        after: Their map after training with it.
        control_outputs: The classifier's outputs after training without the plan, `(rows, classes)`.
        outputs: Those after training with it.
        steps: Steps of either training.
        seconds: What both took.
    """

    rows: NDArray[np.int64]
    scored: int
    labels: Array
    before: NDArray[np.float32] = field(repr=False)
    targets: NDArray[np.float32] = field(repr=False)
    control: NDArray[np.float32] = field(repr=False)
    after: NDArray[np.float32] = field(repr=False)
    control_outputs: NDArray[np.float32] = field(repr=False)
    outputs: NDArray[np.float32] = field(repr=False)
    steps: int
    seconds: float

    __repr__ = brief_repr

    def share(self, selected: ArrayLike) -> float:
        """The share of the way asked for that selected points went.

        Args:
            selected: Booleans, one for each sample that was given to the pilot.

        Returns:
            Σ a·d / Σ d·d over the selected points measured, of the displacement d asked for and a their own;
            NaN if none was measured, or nothing was asked of them.
        """
        chosen = np.asarray(selected, dtype=bool)[self.rows]
        asked, went = ((end - self.before)[chosen] for end in (self.targets, self.after))
        demand = float(np.sum(np.square(asked)))
        return float(np.sum(asked * went)) / demand if demand > 0 else float("nan")

    def f1_change(self, classes: Iterable[Any]) -> float:
        """Mean F1 of some classes after training with the plan, less that after training without.

        Returns:
            The difference, negative where the plan harms; NaN if none of the classes was measured.
        """
        labels = self.labels[: self.scored]
        listed = [label for label in classes if label in labels]
        if not listed:
            return float("nan")
        control, plan = (
            performance_response(labels, outputs[: self.scored].argmax(axis=1), classes=listed)
            for outputs in (self.control_outputs, self.outputs)
        )
        return float(plan["f1"].mean() - control["f1"].mean())


def run_pilot(
    model: Any,
    x: Inputs,
    labels: ArrayLike,
    targets: ArrayLike,
    *,
    moved: ArrayLike | None = None,
    samples: int = 2000,
    steps: int = 80,
    batch_size: int = 64,
    seed: int = 0,
) -> Pilot:
    """See `PLIModel.pilot`."""
    samples = checked_number(samples, "samples", least=2, whole=True)
    steps = checked_number(steps, "steps", least=1, whole=True)
    batch_size = checked_number(batch_size, "batch_size", least=1, whole=True)
    loss = loss_to_try(model)
    targets = finite_array(targets, "targets", ndim=2)
    classes = label_array(labels, len(targets))
    chosen = np.ones(len(targets), dtype=bool)
    if moved is not None:
        chosen = label_array(moved, len(targets), "moved").astype(bool)
    x = as_arrays(x, len(targets))
    lengths = {len(values) for values in keras.tree.flatten(x)}
    if lengths != {len(targets)}:
        raise ValueError(
            f"`x` must hold the {len(targets)} samples that are on the map. Received: {quoted(lengths)}."
        )
    trained, measured, scored = _split(classes, chosen, samples, seed)
    watched = rows_of(x, measured)
    onlooker = _like(model)
    before, given = _look(onlooker, watched)
    if targets.shape[1] != before.shape[1]:
        raise ValueError(
            f"The map has {targets.shape[1]} components, the embedder gives {before.shape[1]}."
        )
    outputs = one_column_a_class(given, model.classifier)
    check_classes(classes[classes != UNLABELLED], outputs.shape[1], "labels")
    form = label_form(loss, given.shape[1:])
    wanted = {
        "label": in_form(classes[trained], form, given.shape[1]),
        "embedding": targets[trained],
        "moved": chosen[trained].astype(np.float32),
    }
    start, begun, seen = state_of(model.classifier), time.perf_counter(), []
    for weight in (0.0, loss.embedding_weight):
        batches = ShuffledBatches(rows_of(x, trained), wanted, batch_size=batch_size, seed=seed)
        try:
            reseed(model.classifier, seed)
            _train(model, loss, weight, batches, steps)
            seen.append(_look(onlooker, watched))
        finally:
            restore(model.classifier, start)
    (control, of_control), (after, of_plan) = seen
    return Pilot(
        rows=measured,
        scored=scored,
        labels=classes[measured],
        before=before,
        targets=targets[measured],
        control=control,
        after=after,
        control_outputs=one_column_a_class(of_control, model.classifier),
        outputs=one_column_a_class(of_plan, model.classifier),
        steps=steps,
        seconds=time.perf_counter() - begun,
    )


def loss_to_try(model: Any) -> PLILoss:
    """Returns the loss that a model was compiled with, if a plan can be tried with it.

    Raises:
        ValueError: If the model is not compiled, has no embedder, or its λ is 0 or not settled.
    """
    loss: PLILoss | None = model.loss_function
    if loss is None:
        raise ValueError(
            "A plan is tried with the loss of a compiled model: call `compile(optimizer, loss=PLILoss(...))` "
            "first."
        )
    if model.embedder is None:
        raise ValueError("A plan's moves are tried on a map: give PLIModel an `embedder`.")
    weight = loss.embedding_weight
    if isinstance(weight, str) or not weight > 0:
        raise ValueError(
            "A plan is tried with an `embedding_weight` (λ) above 0, as a number: with 0 it asks nothing of "
            f"the classifier. Received: {weight!r}."
        )
    return loss


def _split(
    labels: Array, moved: NDArray[np.bool_], samples: int, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Rows to train on, rows to measure, and how many of those, from the first, are a random draw."""
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(labels != UNLABELLED))
    if len(rows) < 2:
        raise ValueError(f"A pilot needs at least two samples with a label. Received: {len(rows)}.")
    size = min(samples, len(rows) // 2)
    trained, rest = rows[:size], rows[size:]
    scored, spare = rest[:samples], rest[samples:]
    # Of few points that move among many, a random draw would hold next to none.
    few = samples - np.count_nonzero(moved[scored])
    return trained, np.concatenate([scored, spare[moved[spare]][: max(0, few)]]), len(scored)


def _like(model: Any) -> Any:
    return type(model)(model.classifier, model.embedder, model.layer)


def _train(model: Any, loss: PLILoss, weight: float, batches: ShuffledBatches, steps: int) -> None:
    trained = _like(model)
    trained.compile(fresh_optimizer(model.optimizer, None), loss.with_weight(weight))
    whole = -(-steps // len(batches))
    history = trained.fit(
        batches, epochs=whole, shuffle=False, verbose=0, callbacks=[_StopAfter(steps)]
    ).history
    if not np.isfinite(history["loss"]).all():
        raise ValueError(
            f"The pilot with λ = {weight:g} diverged: its loss is {history['loss'][-1]}. Lower the learning "
            "rate."
        )


def _look(model: Any, x: Inputs) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The map and the outputs of samples."""
    found = model.predict(x, batch_size=512, verbose=0)
    outputs = np.asarray(found["label"], dtype=np.float32)
    if outputs.ndim != 2:
        raise ValueError(
            "A pilot scores a classifier with outputs of shape (samples, classes). "
            f"Received outputs of shape {outputs.shape}."
        )
    return np.asarray(found["embedding"], dtype=np.float32), outputs


class _StopAfter(keras.callbacks.Callback):
    """Ends a training after a number of steps."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.left = steps

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Counts."""
        self.left -= 1
        if self.left <= 0:
            self.model.stop_training = True
