"""What a layer could do for a plan, if its activations were free: the bound that retraining cannot pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike, NDArray

from ...brief import brief_repr
from ...checks import checked_number, finite_array
from ..labels import in_form, label_form
from ..loss import SPREAD, PLILoss
from ..outputs import one_column_a_class
from .head import head_of
from .plan_samples import way_gone

Array = NDArray[Any]
Tensor = Any
_AT_A_TIME = 2048


@dataclass(frozen=True)
class ReachableActivations:
    """Activations of a layer, optimised by themselves to obey a plan and to be classified rightly.

    Args:
        activations: The optimised activations, float32 `(samples, features)`.
        embedding: Their map, `(samples, components)`.
        outputs: What the classifier makes of them, `(samples, classes)`.
        achieved: Share of the asked displacement that the moved points went (see `embedding_response`); NaN
            where none was asked to move.
        kept: Share of the samples classified rightly before that are so afterwards; NaN where none was.
    """

    activations: NDArray[np.float32]
    embedding: NDArray[np.float32]
    outputs: NDArray[np.float32]
    achieved: float
    kept: float

    __repr__ = brief_repr


def reachable_activations(
    model: Any,
    z: ArrayLike,
    labels: ArrayLike,
    targets: ArrayLike,
    *,
    moved: ArrayLike | None = None,
    steps: int = 200,
    rate: float = 0.05,
) -> ReachableActivations:
    """Optimises activations freely under the loss that a classifier is retrained with.

    From the activations that the layer has now, `steps` steps of Adam under the model's loss, (1 − λ) ·
    classification + λ · embedding; every sample goes its own way. The classifier, its optimizer and the
    random states are left as they are, and nothing is drawn at random.

    Args:
        model: A compiled `PLIModel`; its λ and its scale are used.
        z: Activations of its layer, shape `(samples, features)`.
        labels: Classes counted from 0, integers `(samples,)`.
        targets: The edited map, `(samples, components)`.
        moved: Booleans `(samples,)`, the points that the plan moves; None for those whose target lies off
            their position.
        steps: Steps of Adam.
        rate: Length of the first of them in units of the activations' standard deviation; it falls to 0 by
            a cosine.

    Returns:
        A `ReachableActivations`.

    Raises:
        ValueError: If the model is not compiled, shapes differ, or the classifier cannot be run from the
            layer (see `head_of`).

    Example:
        >>> from keras_pli.retraining import PLIModel
        >>> classifier = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation="softmax")])
        >>> embedder = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
        >>> embedder.set_weights([np.eye(2), np.zeros(2)])
        >>> pli = PLIModel(classifier, embedder)
        >>> pli.compile("adam", PLILoss(embedding_weight=1.0, scale=None))
        >>> z = np.array([[1.0, 0.0], [0.0, 1.0]], dtype=np.float32)
        >>> found = reachable_activations(pli, z, [0, 1], z + 0.5)
        >>> round(found.achieved, 2), found.kept
        (1.0, 1.0)
    """
    if getattr(model, "loss_function", None) is None:
        raise ValueError("Call `compile(optimizer, loss=PLILoss(...))` first.")
    steps = checked_number(steps, "steps", least=1, whole=True)
    rate = checked_number(rate, "rate", least=0.0)
    z = finite_array(z, "z", ndim=2)
    targets = finite_array(targets, "targets", ndim=2)
    labels = np.asarray(labels)
    lengths = {"z": len(z), "labels": len(labels), "targets": len(targets)}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"There must be as many of each. Received: {lengths}.")
    run = head_of(model.classifier, model.layer)
    before, decided = _seen(model, run, z)
    if targets.shape != before.shape:
        raise ValueError(
            f"`targets` must have the map's shape, {before.shape}. Received: {targets.shape}."
        )
    if moved is None:
        moved = np.any(np.abs(targets - before) > 1e-3 * np.sqrt(before.var(axis=0).sum()), axis=1)
    moved = np.asarray(moved).astype(bool)
    loss = _with_scale(model, targets, decided.shape[1])
    wanted = {
        "label": in_form(labels, label_form(loss, decided.shape[1:]), decided.shape[1]),
        "embedding": targets,
        "moved": moved.astype(np.float32),
    }
    length = rate * float(np.sqrt(z.var(axis=0).mean()) or 1.0)
    free = _FreeActivations(run, model.embedder, loss, z[:_AT_A_TIME])
    free.compile(
        optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(length, steps)),
    )
    found = free.optimised(z, wanted, steps)
    after, outputs = _seen(model, run, found)
    right = _classes(decided, model) == labels
    return ReachableActivations(
        activations=found,
        embedding=after,
        outputs=outputs,
        achieved=way_gone(before[moved], targets[moved], after[moved]),
        kept=float(np.mean((_classes(outputs, model) == labels)[right]))
        if right.any()
        else float("nan"),
    )


class _FreeActivations(keras.Model):
    """Activations in place of weights; the classifier's head and the map stand frozen behind them."""

    def __init__(self, run: Any, embedder: keras.Model, loss: PLILoss, z: Array) -> None:
        super().__init__(name="free_activations")
        # Out of Keras's sight, so that what stands behind is not trained.
        self._behind = (lambda: run, lambda: embedder)
        self._pli_loss = loss
        self._z = self.add_weight(
            shape=z.shape, initializer="zeros", name="activations", dtype="float32"
        )
        self.built = True

    def optimised(self, z: Array, wanted: dict[str, Array], steps: int) -> NDArray[np.float32]:
        """Returns what activations become, so many rows at a time as the model was made for."""
        rows = self._z.shape[0]
        self.optimizer.build(self.trainable_variables)
        fresh = [np.asarray(ops.convert_to_numpy(each.value)) for each in self.optimizer.variables]
        found = []
        for start in range(0, len(z), rows):
            chosen = np.arange(start, start + rows) % len(z)  # the last ones are filled up
            self._z.assign(z[chosen])
            for variable, value in zip(self.optimizer.variables, fresh, strict=True):
                variable.assign(value)
            batch = {name: values[chosen] for name, values in wanted.items()}
            self.fit(_SameBatch(np.arange(rows), batch, steps), shuffle=False, verbose=0)
            found.append(np.array(ops.convert_to_numpy(self._z.value)))
        return np.concatenate(found)[: len(z)]

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """The activations as they are now."""
        return ops.convert_to_tensor(self._z) + 0.0

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """Equation 1, summed over samples; here, and not in `call`, layers run in inference mode."""
        run, embedder = (each() for each in self._behind)
        seen = {"label": run(y_pred), "embedding": embedder(y_pred, training=False)}
        value = self._pli_loss(y, seen)
        return ops.sum(value) if len(value.shape) else value * y_pred.shape[0]


class _SameBatch(keras.utils.PyDataset):
    """The same batch again and again."""

    def __init__(self, x: Array, y: dict[str, Array], steps: int) -> None:
        super().__init__()
        self.batch, self.steps = (x, y), steps

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, index: int) -> tuple[Array, dict[str, Array]]:
        return self.batch


def _seen(model: Any, run: Any, z: Array) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The map and the outputs of activations."""
    maps, outputs = [], []
    for start in range(0, len(z), _AT_A_TIME):
        part = ops.convert_to_tensor(z[start : start + _AT_A_TIME])
        maps.append(ops.convert_to_numpy(model.embedder(part, training=False)))
        outputs.append(ops.convert_to_numpy(run(part)))
    return tuple(np.concatenate(parts).astype(np.float32) for parts in (maps, outputs))  # type: ignore[return-value]


def _classes(outputs: NDArray[np.float32], model: Any) -> Array:
    return np.asarray(one_column_a_class(outputs, model.classifier).argmax(axis=1))


def _with_scale(model: Any, targets: Array, classes: int) -> PLILoss:
    """The model's loss with the scale that `PLIModel.fit` would find."""
    loss: PLILoss = model.loss_function
    if loss.scale != SPREAD:
        return loss
    spread = getattr(model.embedder, "spread", None)
    total = 0.0 if spread is None else float(ops.convert_to_numpy(spread))
    if total == 0.0:
        total = float(np.sum(targets.var(axis=0)))
    return loss.with_scale(total / max(2, classes) if total > 0 else 1.0)
