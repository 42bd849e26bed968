"""How the classification follows, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from ..retraining import performance_response
from ..retraining.experiment import one_column_a_class
from .sample import class_labels, outputs_of, watched_sample


class PerformanceResponse(keras.callbacks.Callback):
    """Logs the F1 score of each class and group after each epoch of a `PLIModel`.

    Adds to `logs`: `f1_<class>` for every class, `f1_<group>` for every group (averages weighted by the
    number of samples, as in the paper's Table 1), and `f1` for the average over all.

    Args:
        data: `(x, y)` to watch, best of held-out samples, with `y` labels or a dict that has `"label"`; None
            for what `fit` was given.
        groups: Names and classes of groups.
        class_names: Names of the classes 0, 1, ….
        prefix: Put before the names, such as `"val_"`.
        most: Samples watched at the most.
        seed: Seed of their choice among more.

    Raises:
        TypeError: If the model is not a `PLIModel`.
        ValueError: If a group names a class that does not exist.

    Example:
        >>> callback = PerformanceResponse(groups={"cardiac": [0, 1, 2]})
    """

    def __init__(
        self,
        data: Any = None,
        *,
        groups: Mapping[str, Sequence[int]] | None = None,
        class_names: Sequence[str] | None = None,
        prefix: str = "",
        most: int = 10_000,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.data, self.groups, self.class_names = data, dict(groups or {}), class_names
        self.prefix, self.most, self.seed = prefix, most, seed

    def on_train_begin(self, logs: Any = None) -> None:
        """Chooses the samples."""
        self._x, y = watched_sample(self.model, self.data, most=self.most, seed=self.seed)
        self._labels = class_labels(y["label"])

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Adds the scores to the logs."""
        outputs = one_column_a_class(
            outputs_of(self.model, self._x)["label"], self.model.classifier
        )
        classes = list(range(outputs.shape[1]))
        table = performance_response(
            self._labels,
            outputs.argmax(axis=1),
            classes=classes,
            groups={**self.groups, "all": classes},
        )
        names = [str(label) for label in classes] if self.class_names is None else self.class_names
        keys = [*(f"f1_{name}" for name in (*names, *self.groups)), "f1"]
        if logs is not None:
            logs.update(
                zip((self.prefix + key for key in keys), map(float, table["f1"]), strict=True)
            )
