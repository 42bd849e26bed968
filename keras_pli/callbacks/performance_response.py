"""How the classification follows, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from numpy.typing import ArrayLike

from ..checks import quoted
from ..retraining import performance_response
from ..retraining.data import rows_of
from ..retraining.experiment.subgroups import checked_subgroups, subgroup_accuracies
from ..retraining.labels import check_classes
from ..retraining.outputs import are_probabilities, one_column_a_class
from .sample import Array, class_labels, no_classes, outputs_of, watched_sample

_SUBGROUP = "subgroup"


class PerformanceResponse(keras.callbacks.Callback):
    """Logs the F1 score of each class and group after each epoch of a `PLIModel`.

    Adds to `logs`: `f1_<class>` for every class, `f1_<group>` for every group (averages weighted by the
    number of samples, as in the paper's Table 1), and `f1` for the average over all. Where samples may have
    several labels, each is decided by itself: from a probability of 0.5 on, from a logit of 0.

    Args:
        data: `(x, y)` to watch, best of held-out samples, with `y` labels or a dict that has `"label"`; None
            for what `fit` was given. Rows of 0 and 1 that do not all name one class are several labels.
        groups: Names and classes of groups.
        subgroups: A group for each sample of `data`, an int or a string: `accuracy_<subgroup>` of each is
            added, and `accuracy_worst`.
        class_names: Names of the classes 0, 1, ….
        prefix: Put before the names, such as `"val_"`.
        most: Samples watched at the most; with `subgroups`, of which some are rare, all are.
        seed: Seed of their choice among more.

    Raises:
        TypeError: If the model is not a `PLIModel`.
        ValueError: If a group names a class that does not exist, the labels are no classes of the model, or
            there is not one subgroup for each sample.

    Example:
        >>> callback = PerformanceResponse(groups={"cardiac": [0, 1, 2]})
    """

    def __init__(
        self,
        data: Any = None,
        *,
        groups: Mapping[str, Sequence[int]] | None = None,
        subgroups: ArrayLike | None = None,
        class_names: Sequence[str] | None = None,
        prefix: str = "",
        most: int = 10_000,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if subgroups is not None and data is None:
            raise ValueError("`subgroups` are of the samples in `data`. Received data=None.")
        self.data, self.groups, self.class_names = data, dict(groups or {}), class_names
        self.subgroups = subgroups
        self.prefix, self.most, self.seed = prefix, most, seed

    def on_train_begin(self, logs: Any = None) -> None:
        """Chooses the samples."""
        data = self._with_subgroups()
        most = self.most if self.subgroups is None else len(data[1]["label"])
        self._x, y = watched_sample(self.model, data, most=most, seed=self.seed)
        if "label" not in y:
            raise ValueError(
                f"PerformanceResponse needs labels: y['label']. Received: {quoted(y)}."
            )
        labels = class_labels(y["label"])
        outputs = outputs_of(self.model, rows_of(self._x, slice(1)))["label"]
        classes = max(2, outputs.shape[-1])
        if labels is None or outputs.ndim != 2 or labels.shape[1:] not in ((), (classes,)):
            raise no_classes("PerformanceResponse", y["label"])
        if labels.ndim == 1:
            check_classes(labels, classes, "labels of PerformanceResponse")
        elif self.subgroups is not None:
            raise ValueError(
                "`subgroups` need one class a sample. Received labels of which a sample may have several."
            )
        self._labels, self._subgroups = labels, y.get(_SUBGROUP)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Adds the scores to the logs."""
        outputs = outputs_of(self.model, self._x)["label"]
        decided = self._decided(outputs)
        classes = list(range(max(2, outputs.shape[1])))
        table = performance_response(
            self._labels,
            decided,
            classes=classes,
            groups={**self.groups, "all": classes},
        )
        names = [str(label) for label in classes] if self.class_names is None else self.class_names
        keys = [*(f"f1_{name}" for name in (*names, *self.groups)), "f1"]
        found = dict(zip(keys, map(float, table["f1"]), strict=True))
        if self._subgroups is not None:
            by_group = subgroup_accuracies(self._labels, decided, self._subgroups)
            named = zip(by_group["group"], by_group["accuracy"], strict=True)
            found |= {f"accuracy_{name}": float(accuracy) for name, accuracy in named}
        if logs is not None:
            logs.update({self.prefix + key: value for key, value in found.items()})

    def _with_subgroups(self) -> Any:
        """The data, with the subgroup of each sample beside its label."""
        if self.subgroups is None:
            return self.data
        x, y = self.data
        y = y if isinstance(y, dict) else {"label": y}
        return x, {**y, _SUBGROUP: checked_subgroups(self.subgroups, len(y["label"]))}

    def _decided(self, outputs: Array) -> Array:
        """The class of each sample, or for several labels whether each is there."""
        classifier = self.model.classifier
        if self._labels.ndim == 2:
            least = 0.5 if are_probabilities(outputs, classifier) else 0.0
            return (outputs > least).astype(int)
        return one_column_a_class(outputs, classifier).argmax(axis=1)
