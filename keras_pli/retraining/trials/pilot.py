"""A pilot: a short training on a sample, which tells in seconds what the whole retraining will do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax

from ...brief import brief_repr
from ...checks import checked_number
from ...strategies import made_like
from ..data import ShuffledBatches
from ..labels import in_form, label_form
from ..loss import PLILoss
from ..outputs import are_probabilities, one_column_a_class
from ..starting_point import fresh_optimizer, reseed, restore, state_of
from .plan_samples import PlanSamples, way_gone

Array = NDArray[Any]
STEPS, BATCH = 120, 64
# F1 after a single step of so small a sample is noisy: that of several steps, the ends of the last of so many
# parts, is averaged.
LOOKS, PARTS = 4, 8
OF_EXPECTED = 0.6


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
        control: Their map in the last part of training without the plan, the mean of several looks.
        after: Their map in the last part of training with it.
        control_outputs: Probabilities of the classes at each look without the plan, `(looks, rows, classes)`.
        outputs: Those with it.
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
        """Mean F1 of some classes with the plan, less that without, on average over the looks.

        An estimate: samples count for a class by their probability of it, in place of 0 or 1, 2 Σ p / (n + Σ
        p), the first sum over the n samples of the class and the second over all; of the change of this, 0.6
        is taken. That foretells the change after a whole training better than F1 on a sample does, and the
        factor fits best to the plans by which the pilot was chosen (benchmarks/plan_check.py).

        Returns:
            The difference, negative where the plan harms; NaN if none of the classes was measured.
        """
        labels = self.labels[: self.scored]
        listed = [label for label in classes if label in labels]
        if not listed:
            return float("nan")
        scores = [
            _expected_f1(labels, each[:, : self.scored].astype(np.float64), label)
            for each in (self.outputs, self.control_outputs)
            for label in listed
        ]
        change = np.mean(scores[: len(listed)]) - np.mean(scores[len(listed) :])
        return float(OF_EXPECTED * change)


def _expected_f1(labels: Array, probabilities: Array, label: int) -> float:
    """F1 of a class at each look, with samples counted by their probability; the mean of the looks."""
    members = labels == label
    of_class = probabilities[:, :, label]
    found = of_class[:, members].sum(axis=1)
    return float(np.mean(2 * found / (np.count_nonzero(members) + of_class.sum(axis=1))))


def run_pilot(
    model: Any,
    given: PlanSamples,
    *,
    samples: int = 2000,
    steps: int = STEPS,
    batch_size: int = BATCH,
    seed: int = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
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
        looks = _Looks(steps, partial(_look, onlooker, watched))
        try:
            reseed(model.classifier, seed)
            _train(model, loss.with_weight(weight), batches, looks, callbacks)
        finally:
            restore(model.classifier, start)
        maps, found = zip(*looks.seen, strict=True)
        columns = [_probabilities(each, model.classifier) for each in found]
        seen.append((np.mean(maps, axis=0), np.stack(columns)))
    (control, control_outputs), (after, of_plan) = seen
    return Pilot(
        rows=measured,
        scored=scored,
        labels=given.labels[measured],
        before=before,
        targets=given.targets[measured],
        control=control,
        after=after,
        control_outputs=control_outputs,
        outputs=of_plan,
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


def _train(
    model: Any,
    loss: PLILoss,
    batches: ShuffledBatches,
    looks: _Looks,
    callbacks: Sequence[keras.callbacks.Callback],
) -> None:
    trained = like(model)
    with made_like(trained):
        trained.compile(fresh_optimizer(model.optimizer, None), loss)
    whole = -(-looks.steps // len(batches))
    watching = [looks, *callbacks]
    found = trained.fit(batches, epochs=whole, shuffle=False, verbose=0, callbacks=watching).history
    if not np.isfinite(found["loss"]).all():
        raise ValueError(
            f"The pilot with λ = {loss.embedding_weight:g} diverged: its loss is {found['loss'][-1]}. Lower "
            "the learning rate."
        )


def _look(model: Any, x: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The map and the outputs of samples."""
    found = model.predict(x, batch_size=512, verbose=0)
    return tuple(np.asarray(found[name], dtype=np.float32) for name in ("embedding", "label"))  # type: ignore[return-value]


def _probabilities(outputs: NDArray[np.float32], classifier: keras.Model) -> NDArray[np.float32]:
    columns = one_column_a_class(outputs, classifier)
    if are_probabilities(outputs, classifier):
        return columns
    return np.asarray(softmax(columns, axis=1), dtype=np.float32)


class _Looks(keras.callbacks.Callback):
    """Ends a training after a number of steps, and looks at it several times on its last part."""

    def __init__(self, steps: int, look: Callable[[], tuple[Array, Array]]) -> None:
        super().__init__()
        self.steps, self._look, self._made = steps, look, 0
        self._when = {-(-steps * part // PARTS) for part in range(PARTS - LOOKS + 1, PARTS + 1)}
        self.seen: list[tuple[Array, Array]] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Counts, looks and ends."""
        self._made += 1
        if self._made in self._when:
            if hasattr(self.model, "jax_state_sync"):  # under JAX weights are elsewhere in an epoch
                self.model.jax_state_sync()
            self.seen.append(self._look())
        if self._made >= self.steps:
            self.model.stop_training = True
