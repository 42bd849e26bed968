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
from ..checks import checked_number
from .data import ShuffledBatches
from .labels import in_form, label_form
from .loss import PLILoss
from .outputs import one_column_a_class
from .plan_samples import PlanSamples, way_gone
from .response import performance_response
from .starting_point import fresh_optimizer, reseed, restore, state_of

Array = NDArray[Any]
STEPS, BATCH = 80, 64


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
        return way_gone(self.before[chosen], self.targets[chosen], self.after[chosen])

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
    given: PlanSamples,
    *,
    samples: int = 2000,
    steps: int = STEPS,
    batch_size: int = BATCH,
    seed: int = 0,
) -> Pilot:
    """See `PLIModel.pilot`."""
    samples = checked_number(samples, "samples", least=2, whole=True)
    steps = checked_number(steps, "steps", least=1, whole=True)
    batch_size = checked_number(batch_size, "batch_size", least=1, whole=True)
    trained, measured, scored = _split(given, samples, seed)
    watched = given.x_of(measured)
    onlooker = like(model)
    before, outputs = _look(onlooker, watched)
    loss, labels = model.loss_function, given.labels[trained]
    wanted = {
        "label": in_form(labels, label_form(loss, outputs.shape[1:]), outputs.shape[1]),
        "embedding": given.targets[trained],
        "moved": given.moved[trained].astype(np.float32),
    }
    start, begun, seen = state_of(model.classifier), time.perf_counter(), []
    for weight in (0.0, loss.embedding_weight):
        batches = ShuffledBatches(given.x_of(trained), wanted, batch_size=batch_size, seed=seed)
        try:
            reseed(model.classifier, seed)
            _train(model, loss.with_weight(weight), batches, steps)
            seen.append(_look(onlooker, watched))
        finally:
            restore(model.classifier, start)
    (control, of_control), (after, of_plan) = seen
    return Pilot(
        rows=measured,
        scored=scored,
        labels=given.labels[measured],
        before=before,
        targets=given.targets[measured],
        control=control,
        after=after,
        control_outputs=one_column_a_class(of_control, model.classifier),
        outputs=one_column_a_class(of_plan, model.classifier),
        steps=steps,
        seconds=time.perf_counter() - begun,
    )


def _split(
    given: PlanSamples, samples: int, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Rows to train on, rows to measure, and how many of those, from the first, are a random draw."""
    rows = np.random.default_rng(seed).permutation(given.labelled)
    size = min(samples, len(rows) // 2)
    trained, rest = rows[:size], rows[size:]
    scored, spare = rest[:samples], rest[samples:]
    # Of few points that move among many, a random draw holds next to none.
    few = max(0, samples - int(np.count_nonzero(given.moved[scored])))
    return trained, np.concatenate([scored, spare[given.moved[spare]][:few]]), len(scored)


def like(model: Any) -> Any:
    """Another `PLIModel` of the same parts, so that nothing that the caller compiled is touched."""
    return type(model)(model.classifier, model.embedder, model.layer)


def _train(model: Any, loss: PLILoss, batches: ShuffledBatches, steps: int) -> None:
    trained = like(model)
    trained.compile(fresh_optimizer(model.optimizer, None), loss)
    whole = -(-steps // len(batches))
    stop = _StopAfter(steps)
    found = trained.fit(batches, epochs=whole, shuffle=False, verbose=0, callbacks=[stop]).history
    if not np.isfinite(found["loss"]).all():
        raise ValueError(
            f"The pilot with λ = {loss.embedding_weight:g} diverged: its loss is {found['loss'][-1]}. Lower "
            "the learning rate."
        )


def _look(model: Any, x: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The map and the outputs of samples."""
    found = model.predict(x, batch_size=512, verbose=0)
    return tuple(np.asarray(found[name], dtype=np.float32) for name in ("embedding", "label"))  # type: ignore[return-value]


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
