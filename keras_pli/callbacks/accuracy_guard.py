"""Stops an intervention that costs too much of the classification."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from ..checks import checked_number, quoted
from ..retraining.data import rows_of
from ..retraining.labels import check_classes
from ..retraining.outputs import decided_classes
from .sample import Array, class_labels, no_classes, outputs_of, watched_sample


class AccuracyGuard(keras.callbacks.Callback):
    """Stops a `PLIModel` where its accuracy has fallen too far, and restores the last weights before.

    The accuracy before training is noted. After each epoch that costs no more than `most_cost` of it, the
    classifier's weights are kept; these are the ones that followed the plan longest. After `patience` epochs
    in a row that cost more, training stops. If the last epoch was one of these, the classifier is given the
    weights kept, or those from before training if there are none.

    Adds to `logs`: `guarded_accuracy`.

    Args:
        data: `(x, y)` to watch, best of held-out samples, with `y` labels or a dict that has `"label"`; None
            for what `fit` was given.
        most_cost: The accuracy that may be lost, in [0, 1).
        patience: Epochs in a row that may cost more before training stops, 1 or more.
        prefix: Put before the logged name, such as `"val_"`.
        most: Samples watched at the most.
        seed: Seed of their choice among more.
        verbose: 1 says why training was stopped and what was restored.

    Attributes:
        accuracy_before: The accuracy before training.
        kept_epoch: The epoch whose weights were kept last, counted from 0; None if none was.
        stopped_epoch: The epoch that training was stopped after; None if it was not.
        restored: Whether the classifier was given back weights of an earlier epoch, or its first ones.

    Raises:
        TypeError: If the model is not a `PLIModel`.
        ValueError: If `most_cost` or `patience` is out of range, or the labels are not one class a sample.

    Example:
        >>> callback = AccuracyGuard((x_held_out, labels_held_out), most_cost=0.02)  # doctest: +SKIP
        >>> AccuracyGuard(most_cost=0.02).most_cost
        0.02
    """

    def __init__(
        self,
        data: Any = None,
        *,
        most_cost: float = 0.01,
        patience: int = 1,
        prefix: str = "",
        most: int = 10_000,
        seed: int = 0,
        verbose: int = 0,
    ) -> None:
        super().__init__()
        self.data = data
        self.most_cost = checked_number(most_cost, "most_cost", least=0.0, below=1.0)
        self.patience = checked_number(patience, "patience", least=1, whole=True)
        self.prefix, self.most, self.seed, self.verbose = prefix, most, seed, verbose
        self.accuracy_before = float("nan")
        self.kept_epoch: int | None = None
        self.stopped_epoch: int | None = None
        self.restored = False
        self._costly = 0

    def on_train_begin(self, logs: Any = None) -> None:
        """Chooses the samples, and notes the accuracy and the weights."""
        self._x, y = watched_sample(self.model, self.data, most=self.most, seed=self.seed)
        if "label" not in y:
            raise ValueError(f"AccuracyGuard needs labels: y['label']. Received: {quoted(y)}.")
        labels = class_labels(y["label"])
        outputs = outputs_of(self.model, rows_of(self._x, slice(1)))["label"]
        if labels is None or labels.ndim != 1 or outputs.ndim != 2:
            raise no_classes("AccuracyGuard", y["label"])
        check_classes(labels, max(2, outputs.shape[1]), "labels of AccuracyGuard")
        self._labels = labels
        self.kept_epoch = self.stopped_epoch = None
        self.restored, self._costly = False, 0
        self.accuracy_before = self._last = self._accuracy()
        self._kept: list[Array] = self.model.classifier.get_weights()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Keeps the weights, or counts an epoch that costs too much and stops after the last one allowed."""
        accuracy = self._last = self._accuracy()
        if logs is not None:
            logs[f"{self.prefix}guarded_accuracy"] = accuracy
        # Shares of so many samples differ by rounding where they are said to be equal.
        if self.accuracy_before - accuracy <= self.most_cost + 1e-9:
            self._kept = self.model.classifier.get_weights()
            self.kept_epoch, self._costly = epoch, 0
            return
        self._costly += 1
        if self._costly >= self.patience:
            self.stopped_epoch, self.model.stop_training = epoch, True

    def on_train_end(self, logs: Any = None) -> None:
        """Restores the weights kept last, if the classifier has become worse since."""
        self.restored = self._costly > 0
        if not self.restored:
            return
        self.model.classifier.set_weights(self._kept)
        if self.verbose:
            whose = (
                "from before training"
                if self.kept_epoch is None
                else f"of epoch {self.kept_epoch + 1}"
            )
            print(
                f"Accuracy fell from {self.accuracy_before:.4f} to {self._last:.4f}, by more than "
                f"{self.most_cost:g}: the classifier has the weights {whose}."
            )

    def _accuracy(self) -> float:
        outputs = outputs_of(self.model, self._x)["label"]
        return float(np.mean(decided_classes(outputs, self.model.classifier) == self._labels))
