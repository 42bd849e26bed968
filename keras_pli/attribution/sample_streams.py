"""Where a data set's samples come from: a tf.data.Dataset or Parquet files, one by one, with their places."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ..arrow import holds_arrays, tensor_shape
from ..brief import counted
from ..checks import quoted
from ..parquet import column_fields, parquet_files, read_batches

# The column of the inputs, or one for each of several: in order, or by the inputs' names.
Columns: TypeAlias = str | Sequence[str] | Mapping[str, str]


class Sample(NamedTuple):
    """A sample of a data set.

    Attributes:
        place: Its position in the data set.
        x: The input, or a structure of inputs.
        label: Its label, or None where the data set has none.
        kept: What else is stored beside its map, by name.
    """

    place: int
    x: Any
    label: Any = None
    kept: Mapping[str, Any] = {}


class SampleStream(ABC):
    """A data set that gives its samples in the same order each time.

    Attributes:
        labelled: Whether samples have labels.
        columns: Which columns of files are read, in a form for JSON; None where there are none.
        length: The number of samples, or None where it cannot be told beforehand.
    """

    labelled: bool
    columns: dict[str, Any] | None
    length: int | None

    @abstractmethod
    def samples(self, shard_index: int, num_shards: int) -> Iterator[Sample]:
        """Yields the samples whose place is `shard_index` modulo `num_shards`."""


class TensorFlowStream(SampleStream):
    """The samples of a `tf.data.Dataset` of batches of inputs, or of `(inputs, labels)`."""

    columns = None

    def __init__(self, dataset: tf.data.Dataset) -> None:
        self._dataset = dataset
        self.labelled = isinstance(dataset.element_spec, tuple)
        batches = int(dataset.cardinality())
        size = tf.nest.flatten(dataset.element_spec)[0].shape[0]
        self.length = None if batches < 0 or size is None else batches * size

    def samples(self, shard_index: int, num_shards: int) -> Iterator[Sample]:
        """Yields the samples of a share."""
        share = self._dataset.unbatch().enumerate().shard(num_shards, shard_index)
        for place, sample in share.as_numpy_iterator():
            x, label = sample if self.labelled else (sample, None)
            yield Sample(place, x, label)


class ParquetStream(SampleStream):
    """The samples of Parquet files, a few megabytes of which are held at a time.

    Args:
        path: A file, or a folder of files, whose names order them.
        model: The model that is explained, by which inputs are found.
        column: The column of the inputs; see `explain_dataset`.
        label_column: The column of the labels, which need not be there.
        keep: Columns that are stored beside the maps.

    Raises:
        ValueError: If there is no file, or a column is not there or not to be found.
    """

    def __init__(
        self,
        path: str | Path,
        model: keras.Model,
        column: Columns | None,
        label_column: str,
        keep: Sequence[str],
    ) -> None:
        self._files = parquet_files(path)
        headers = [column_fields(file) for file in self._files]
        fields = headers[0][0]
        self._column = (
            input_column(model, fields, {label_column, *keep}) if column is None else column
        )
        self._inputs = tf.nest.flatten(self._column)
        self._label, self._keep = label_column, list(keep)
        for file, (found, _) in zip(self._files, headers, strict=True):
            missing = [name for name in (*self._inputs, *keep) if name not in found]
            if missing:
                raise ValueError(
                    f"{file} lacks the columns {quoted(missing)}. It holds {quoted(found)}."
                )
        _check_inputs(model, self._column)
        _check_shapes(self._files, [found for found, _ in headers], self._inputs)
        self.labelled = all(label_column in found for found, _ in headers)
        self.columns = {"inputs": self._column, "label": label_column, "keep": self._keep}
        self.length = sum(rows for _, rows in headers)

    def samples(self, shard_index: int, num_shards: int) -> Iterator[Sample]:
        """Yields the samples of a share."""
        label = [self._label] if self.labelled else []
        wanted = dict.fromkeys([*self._inputs, *label, *self._keep])
        start = 0
        for file in self._files:
            for columns in read_batches(file, wanted):
                rows = len(columns[self._inputs[0]])
                for row in range((shard_index - start) % num_shards, rows, num_shards):
                    yield self._sample(columns, row, start + row)
                start += rows

    def _sample(self, columns: Mapping[str, NDArray[Any]], row: int, place: int) -> Sample:
        x = tf.nest.map_structure(lambda name: columns[name][row], self._column)
        label = columns[self._label][row] if self.labelled else None
        return Sample(place, x, label, {name: columns[name][row] for name in self._keep})


def _check_inputs(model: keras.Model, column: Columns) -> None:
    """Raises a `ValueError` if there are more or fewer columns than inputs."""
    inputs = len(getattr(model, "inputs", None) or [])
    if inputs and len(tf.nest.flatten(column)) != inputs:
        raise ValueError(
            f"`column` must name a column for each of the {counted(inputs, 'input')} that "
            f"{model.name!r} takes. Received: {column!r}."
        )


def _check_shapes(
    files: Sequence[Path], headers: Sequence[Mapping[str, Any]], names: Sequence[str]
) -> None:
    """Raises a `ValueError` if files say that their tensors have different shapes."""
    for name in names:
        first: tuple[int, ...] | None = None
        for file, fields in zip(files, headers, strict=True):
            shape, order = tensor_shape(fields[name])
            if shape is None:
                continue  # lists: their rows tell
            shape = shape if order is None else tuple(shape[axis] for axis in order)
            if first is not None and shape != first:
                raise ValueError(
                    f"Column {name!r} must hold arrays of one shape. Received {shape} in {file}, and "
                    f"{first} in files before it."
                )
            first = shape


def input_column(model: keras.Model, fields: Mapping[str, Any], others: set[str]) -> Columns:
    """Returns the columns of a model's inputs: those of their names, or the only one that holds arrays.

    Raises:
        ValueError: If there are none such.
    """
    names = [tensor.name for tensor in getattr(model, "inputs", None) or []]
    if names and all(name in fields for name in names):
        return names[0] if len(names) == 1 else {name: name for name in names}
    arrays = [name for name, field in fields.items() if name not in others and holds_arrays(field)]
    if len(names) < 2 and len(arrays) == 1:
        return arrays[0]
    raise ValueError(
        f"`column` must name the columns of the {max(len(names), 1)} inputs. The files hold "
        f"{quoted(fields)}, of which {quoted(arrays) or 'none'} hold arrays."
    )


def grouped(samples: Iterator[Sample], size: int) -> Iterator[list[Sample]]:
    """Yields so many samples at a time."""
    while group := list(islice(samples, size)):
        yield group


def stacked(samples: Sequence[Any]) -> Any:
    """Returns samples as one structure of arrays, `(samples, ...)`.

    Raises:
        ValueError: If samples differ in shape.
    """

    def whole(*parts: Any) -> NDArray[Any]:
        shapes = list(dict.fromkeys(np.shape(part) for part in parts))
        if len(shapes) > 1:
            raise ValueError(f"Samples must have one shape. Received shapes {quoted(shapes)}.")
        return np.stack(parts)

    return tf.nest.map_structure(whole, *samples)
