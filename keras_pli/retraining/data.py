"""Inputs and labels: checked at the door, cut into rows, shuffled alike for two trainings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ..checks import label_array, quoted

Array = NDArray[Any]
# One array, or a list, tuple or dict of arrays for a model of several inputs.
Inputs = Any


def as_arrays(x: Inputs, samples: int) -> Inputs:
    """Returns inputs as arrays or tensors, where a list of lists of numbers may have been given.

    Args:
        x: Inputs as for `keras.Model.fit`, or nested lists. A list or tuple holds several inputs if each of
            its entries has one row a sample, unless it has as many entries itself.
        samples: The number of samples.

    Example:
        >>> as_arrays([[1, 2], [3, 4], [5, 6]], samples=3).shape
        (3, 2)
        >>> [part.shape for part in as_arrays([[[1], [2], [3]], [4, 5, 6]], samples=3)]
        [(3, 1), (3,)]
    """
    if isinstance(x, Mapping):
        return {name: as_arrays(part, samples) for name, part in x.items()}
    several = isinstance(x, list | tuple) and len(x) != samples
    if several and all(np.ndim(part) and len(part) == samples for part in x):
        return type(x)(as_arrays(part, samples) for part in x)
    # Tensors stay what they are; a data frame has a shape, but no rows by number.
    return x if hasattr(x, "shape") and not hasattr(x, "iloc") else np.asarray(x)


def count_samples(x: Inputs) -> int:
    """The number of samples of inputs."""
    return len(keras.tree.flatten(x)[0])


def rows_of(x: Inputs, rows: Any) -> Inputs:
    """Returns rows of every input."""
    return keras.tree.map_structure(lambda values: values[rows], x)


def arrays_of(x: Inputs, y: Any) -> tuple[Inputs, Any]:
    """Returns inputs and targets as arrays, where lists of numbers were given."""
    if isinstance(y, dict):
        y = {name: as_arrays(values, len(values)) for name, values in y.items()}
        samples = len(next(iter(y.values()), ()))
    else:
        y = as_arrays(y, len(y))
        samples = len(y)
    return as_arrays(x, samples), y


def named_data(data: Any) -> Any:
    """Returns `(x, y[, sample_weight])` with labels by name; anything else as it is."""
    if not isinstance(data, tuple | list) or len(data) < 2:
        return data
    x, y = arrays_of(data[0], data[1])
    y = y if isinstance(y, dict) else {"label": y}
    return (x, y, *(weights_by_name(weight, y) for weight in data[2:]))


def weights_by_name(sample_weight: Any, y: dict[str, Any] | None) -> Any:
    """Returns weights for every entry of y, without which Keras takes one number a sample at the most."""
    if y is None or sample_weight is None or isinstance(sample_weight, dict):
        return sample_weight
    return dict.fromkeys(y, as_arrays(sample_weight, len(sample_weight)))


def checked_data(data: Any, name: str) -> tuple[Inputs, Array]:
    """Returns inputs and integer labels of an experiment.

    Args:
        data: `(x, labels)`.
        name: What they are called in errors.

    Raises:
        ValueError: If it is no such pair, numbers of samples differ, labels are not one integer a sample, or
            inputs are not finite.
    """
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise ValueError(f"`{name}` must be (x, labels). Received: {type(data).__name__}.")
    labels = np.asarray(data[1])
    x = keras.tree.map_structure(np.asarray, as_arrays(data[0], len(labels)))
    samples = count_samples(x)
    check_finite(x, samples, name)
    if labels.ndim == 2 and labels.shape[1] > 1 and not np.all(labels.sum(axis=1) == 1):
        raise ValueError(
            f"Labels of `{name}` must be one class a sample, since an experiment scores classes. Received "
            f"rows of shape {labels.shape} that name none or several."
        )
    labels = label_array(labels, samples, f"labels of {name}")
    if labels.dtype.kind not in "iu":
        raise ValueError(f"Labels of `{name}` must be integers. Received dtype {labels.dtype}.")
    return x, labels


def check_finite(x: Inputs, samples: int, name: str) -> None:
    """Raises where inputs have another number of samples, or hold NaN or infinity."""
    lengths = [len(values) for values in keras.tree.flatten(x)]
    if not samples or set(lengths) != {samples}:
        raise ValueError(
            f"Inputs of `{name}` must have the same number of samples, at least one. "
            f"Received: {quoted(lengths)}."
        )
    bad: set[int] = set()
    for values in keras.tree.flatten(x):
        if values.dtype.kind == "f" or values.dtype.name == "bfloat16":
            for start in range(0, samples, 1024):  # what is finite takes little room at a time
                finite = np.isfinite(values[start : start + 1024])
                missing = ~finite.reshape(len(finite), -1).all(axis=1)
                bad.update((start + np.flatnonzero(missing)).tolist())
    if bad:
        raise ValueError(
            f"Inputs of `{name}` must be finite, but {len(bad)} of {samples} samples hold NaN or infinity: "
            f"rows {quoted(sorted(bad))}."
        )


class ShuffledBatches(keras.utils.PyDataset):
    """Batches in an order that the seed alone decides, so that two trainings see the same.

    Keras's own shuffling draws from the global random state.

    Args:
        x: Inputs, shape `(samples, ...)`, or a list, tuple or dict of them.
        y: Arrays with as many samples, by name.
        batch_size: Samples in a batch; the last before a new order may be smaller.
        seed: Seed of the order.
        sample_weight: A weight for each sample, or None.
        steps: Batches in an epoch; by default as many as hold each sample once. Of fewer samples than that
            takes, an epoch sees some again, each time in a new order.
    """

    def __init__(
        self,
        x: Inputs,
        y: Mapping[str, Array],
        *,
        batch_size: int,
        seed: int,
        sample_weight: Array | None = None,
        steps: int | None = None,
    ) -> None:
        super().__init__()
        self.x, self.y, self.batch_size = x, dict(y), batch_size
        self.sample_weight = sample_weight
        self._samples = count_samples(x)
        self._whole = -(-self._samples // batch_size)
        self._steps = self._whole if steps is None else steps
        self._random = np.random.default_rng(seed)
        self._orders = self._drawn()

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        turn, place = divmod(index, self._whole)
        rows = self._orders[turn][place * self.batch_size : (place + 1) * self.batch_size]
        # Of a list Keras would not know that it holds inputs.
        x = tuple(self.x) if isinstance(self.x, list) else self.x
        batch = rows_of(x, rows), rows_of(self.y, rows)
        if self.sample_weight is None:
            return batch
        return (*batch, dict.fromkeys(self.y, self.sample_weight[rows]))

    def on_epoch_end(self) -> None:
        """Shuffles anew."""
        self._orders = self._drawn()

    def _drawn(self) -> list[Array]:
        turns = -(-self._steps // self._whole)
        return [self._random.permutation(self._samples) for _ in range(turns)]
