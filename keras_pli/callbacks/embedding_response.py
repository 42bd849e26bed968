"""How far the map follows the plan, epoch by epoch."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from ..intervention import InterventionPlan
from ..retraining import embedding_response
from ..retraining.edited_training import as_plan
from .sample import check_map, class_labels, no_classes, outputs_of, watched_sample


class EmbeddingResponse(keras.callbacks.Callback):
    """Logs the embedding response after each epoch of a `PLIModel`.

    Adds to `logs`: `achieved`, the share of the asked displacement; `missed`, the distance from the
    targets; `drift`, that of the points not asked to move; `separation`, the change in the silhouette of the
    classes, NaN where samples may have several labels (see `keras_pli.embedding_response`). CSVLogger,
    TensorBoard, Weights & Biases and MLflow record them where they stand after this callback in the list.

    Args:
        data: `(x, {"label": …, "embedding": …, "moved": …})` to watch, best of held-out samples; None for
            those that `fit` was given. Without `"moved"`, points whose target lies off their position at the
            start count as moved. With a `plan`, `(x, labels)`.
        plan: An `InterventionPlan` whose moves say where the points of `data` shall go; for held-out samples,
            if none of them selects by index or mask. Its changes of data are not applied to these.
        prefix: Put before the names, such as `"val_"`.
        most: Samples watched at the most.
        seed: Seed of their choice among more.

    Raises:
        TypeError: If the model is not a `PLIModel`.
        ValueError: If there are no targets to compare with, the labels are no classes, a plan comes without
            data or does not carry over to them, or the model has no embedder.

    Example:
        >>> callback = EmbeddingResponse(prefix="train_")
    """

    def __init__(
        self,
        data: Any = None,
        *,
        plan: InterventionPlan | None = None,
        prefix: str = "",
        most: int = 2000,
        seed: int = 0,
    ) -> None:
        super().__init__()
        plan = None if plan is None else as_plan(plan)
        if plan is not None and (data is None or not plan.moves or not plan.transfers):
            raise ValueError(
                "With a plan, EmbeddingResponse needs `data=(x, labels)`, and moves that carry over to them, "
                f"by class or lasso. Received {'no' if data is None else 'some'} data and:\n{plan!r}"
            )
        self.data, self.plan = data, plan
        self.prefix, self.most, self.seed = prefix, most, seed

    def on_train_begin(self, logs: Any = None) -> None:
        """Notes the map before training."""
        self._x, self._y = watched_sample(self.model, self.data, most=self.most, seed=self.seed)
        check_map(self.model, "EmbeddingResponse")
        if "embedding" not in self._y and self.plan is None:
            raise ValueError(
                "EmbeddingResponse needs targets: y['embedding']. "
                f"Received: {', '.join(map(repr, self._y))}."
            )
        self._classes = None
        if "label" in self._y:
            classes = class_labels(self._y["label"])
            if classes is None:
                raise no_classes("EmbeddingResponse", self._y["label"])
            self._classes = classes if classes.ndim == 1 else None
        self._before = outputs_of(self.model, self._x)["embedding"]
        if self.plan is not None:
            moves = InterventionPlan(self.plan.moves)
            self._y["embedding"], self._y["moved"] = moves.apply(self._before, self._classes)
        off = np.linalg.norm(self._y["embedding"] - self._before, axis=1)
        spread = float(np.sqrt(np.sum(np.var(self._before, axis=0))))
        self._moved = np.asarray(self._y.get("moved", off > 1e-3 * spread)).astype(bool)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Adds the response to the logs."""
        after = outputs_of(self.model, self._x)["embedding"]
        found = embedding_response(
            self._before, self._y["embedding"], self._moved, after, self._classes
        )
        if logs is not None:
            logs.update({self.prefix + name: value for name, value in found.items()})
