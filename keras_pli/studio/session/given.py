"""What a studio is opened with: a classifier, its data, and names for what is in them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import train_test_split

from ...checks import label_array, quoted
from ...identity import model_identity
from ...intervention.data_changes import is_unlabelled, lacks_label
from ...network.activations import LOGITS, ActivationReader
from ...network.layers import layer_path
from ...parts import digest
from ...retraining import loss_for
from ...retraining.data import Inputs, checked_data, rows_of
from ...retraining.labels import check_classes
from ...retraining.outputs import only_output
from ...retraining.starting_point import fresh_optimizer

HELD_OUT = 0.2


@dataclass(frozen=True, eq=False)
class StudioData:
    """A classifier with the samples that it is trained on and measured by; made by `StudioData.of`.

    Args:
        classifier: The caller's classifier. It is never trained: a studio works on copies.
        train: Inputs and labels of the training samples, which are the points of the map; -1 for a sample
            without a label.
        test: Inputs and labels of held-out samples.
        layer: Path of the layer that is mapped, or `"logits"`.
        class_names: One name a class.
        group: What the caller knows of the training samples besides, one entry each, or None.
        rationale: A `RationaleGenerator` for this classifier, or None.
    """

    classifier: keras.Model
    train: tuple[Inputs, NDArray[Any]]
    test: tuple[Inputs, NDArray[Any]]
    layer: str
    class_names: tuple[str, ...]
    group: NDArray[Any] | None
    rationale: Any

    @classmethod
    def of(
        cls,
        classifier: keras.Model,
        x: Inputs,
        labels: ArrayLike,
        *,
        test: tuple[Inputs, ArrayLike] | None = None,
        layer: str | keras.Layer = LOGITS,
        class_names: Sequence[str] | None = None,
        group: ArrayLike | None = None,
        rationale: Any = None,
    ) -> StudioData:
        """Checks what a caller gives, and holds out a fifth of the samples where there is no test set.

        Args:
            classifier: A trained classifier of one output, `(samples, classes)`, or one unit for two classes.
            x: Inputs, an array or a list, tuple or dict of arrays.
            labels: Classes counted from 0, integers of shape `(samples,)`; -1 for samples without a label.
            test: `(x, labels)` of held-out samples.
            layer: The layer to map (see `keras_pli.activations`).
            class_names: Names of the classes 0, 1, …; their numbers by default.
            group: What is known of the samples besides, such as the hospital: integers or strings.
            rationale: A `RationaleGenerator` for this classifier.

        Raises:
            TypeError: If the classifier is no Keras model.
            ValueError: If inputs are not finite, there are no samples, labels are not classes of the
                classifier, names or groups are of another number, or there is no such layer.
        """
        if not isinstance(classifier, keras.Model):
            raise TypeError(f"`classifier` must be a Keras model. Received: {classifier!r}.")
        train = checked_data((x, labels), "train")
        outputs = only_output(classifier, _answer(classifier, train[0]))
        if len(outputs.shape) != 2:
            raise ValueError(
                "A studio needs a classifier with outputs of shape (samples, classes). "
                f"{classifier.name!r} gives shape {tuple(outputs.shape)} for one sample."
            )
        width = max(2, int(outputs.shape[-1]))
        _check_labelled(train[1], width)
        groups = None if group is None else label_array(group, len(train[1]), "group")
        if test is None:
            train, groups, test = _held_out(train, groups)
        held_out = checked_data(test, "test")
        if (theirs := _shapes(held_out[0])) != (ours := _shapes(train[0])):
            raise ValueError(
                f"Inputs of `test` must be as those of `train`, {quoted(ours)} a sample. Received: "
                f"{quoted(theirs)}."
            )
        for known, name in (
            (train[1][~lacks_label(train[1])], "train"),
            (held_out[1], "test"),
        ):
            check_classes(known, width, f"labels of {name}")
        names = _numbers(width) if class_names is None else tuple(map(str, class_names))
        if len(names) != width or len(set(names)) < width:
            raise ValueError(
                f"`class_names` must hold {width} different names. Received {len(names)}: {quoted(names)}."
            )
        path = layer_path(classifier, layer)
        ActivationReader(classifier, path)  # raises where there is no such layer
        return cls(classifier, train, held_out, path, names, groups, rationale)

    def with_names(self, kept: Sequence[str] | None) -> StudioData:
        """Returns the same with the names that a session kept, where it was given none.

        Warns:
            UserWarning: If it was given others.
        """
        if kept is None or len(kept) != len(self.class_names) or tuple(kept) == self.class_names:
            return self
        if self.class_names == _numbers(len(kept)):
            return replace(self, class_names=tuple(kept))
        if tuple(kept) != _numbers(len(kept)):
            warnings.warn(
                f"The session had other class names: {quoted(kept)}. It has those given from now on: "
                f"{quoted(self.class_names)}.",
                stacklevel=3,
            )
        return self

    @property
    def labels(self) -> NDArray[Any]:
        """Labels of the training samples."""
        return self.train[1]

    @property
    def loss(self) -> Any:
        """The loss that the classifier was compiled with, or the cross-entropy that suits it."""
        own = getattr(self.classifier, "loss", None)
        return loss_for(self.classifier) if own is None else own

    @property
    def optimizer(self) -> keras.optimizers.Optimizer:
        """A fresh optimizer with the settings of the classifier's own."""
        return fresh_optimizer(None, self.classifier)

    def identity(self) -> dict[str, Any]:
        """What tells this classifier and these samples from others, for JSON."""
        told = {
            "classifier": model_identity(self.classifier),
            "layer": self.layer,
        }
        for name, (x, labels) in (("train", self.train), ("test", self.test)):
            told[f"{name} inputs"] = digest(*keras.tree.flatten(x))
            told[f"{name} labels"] = digest(labels)
        return told


def _shapes(x: Inputs) -> list[tuple[int, ...]]:
    """Shapes of one sample's inputs."""
    return [values.shape[1:] for values in keras.tree.flatten(x)]


def _answer(classifier: keras.Model, x: Inputs) -> Any:
    """What the classifier says of the first sample; a ValueError where it does not take it."""
    try:
        return classifier(rows_of(x, slice(1)), training=False)
    except Exception as error:  # each layer and backend has its own
        raise ValueError(
            f"{classifier.name!r} does not take these inputs, {quoted(_shapes(x))} a sample. It takes "
            f"{getattr(classifier, 'input_shape', 'others')}, samples first."
        ) from error


def _check_labelled(labels: NDArray[Any], classes: int) -> None:
    """Raises a `ValueError` where so little is labelled that -1 may be meant for a class or for none."""
    known = np.unique(labels[~is_unlabelled(labels)])
    if len(known) > 1 or not is_unlabelled(labels).any() or (classes == 2 and known == [1]):
        return
    told = f"Only class {known[0]} is labelled" if len(known) else "No sample is labelled"
    raise ValueError(
        f"{told}: -1 stands for no label. A studio needs training samples of two classes at the least."
    )


def _numbers(classes: int) -> tuple[str, ...]:
    """The names of classes that were given none."""
    return tuple(map(str, range(classes)))


def _held_out(
    train: tuple[Inputs, NDArray[Any]], group: NDArray[Any] | None
) -> tuple[tuple[Inputs, NDArray[Any]], NDArray[Any] | None, tuple[Inputs, NDArray[Any]]]:
    """The samples without a fifth of those that have a label, and that fifth; the same each time."""
    x, labels = train
    missing = lacks_label(labels)
    known = np.flatnonzero(~missing)
    counts = np.unique(labels[known], return_counts=True)[1]
    if len(known) < 2 or counts.min(initial=2) < 2:
        raise ValueError(
            "A fifth of the samples is held out where no `test` is given, which takes two labelled samples "
            f"of each class. Received classes of {quoted(counts)} samples; give `test`."
        )
    test_size = max(HELD_OUT, len(counts) / len(known))
    kept, out = train_test_split(known, test_size=test_size, stratify=labels[known], random_state=0)
    rows = np.sort(np.append(kept, np.flatnonzero(missing)))
    out = np.sort(out)
    left = None if group is None else group[rows]
    return (rows_of(x, rows), labels[rows]), left, (rows_of(x, out), labels[out])
