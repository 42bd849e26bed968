"""Explaining data sets of any length: a stream in, numbered files out, resumed where it stopped."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ..checks import checked_number, one_of, quoted
from ..identity import identity_digest, model_identity, value_identity
from ..network.inputs import PlacedTarget
from ..parts import KINDS, PartFolder, digest, listed_files, marks, part_files, read_part
from ..version import __version__
from .method import Method
from .rows import check_shared_target, explained_rows
from .sample_streams import (
    Columns,
    ParquetStream,
    Sample,
    SampleStream,
    TensorFlowStream,
    grouped,
    stacked,
)

Tensor = Any
# What names of stored arrays begin with.
_STORED = ("index", "attributions", "scores", "delta", "details", "digest")


def explain_dataset(
    method: Method,
    dataset: tf.data.Dataset | str | Path,
    out: str | Path,
    *,
    column: Columns | None = None,
    label_column: str = "label",
    keep: Sequence[str] = (),
    target: int | Literal["label"] | PlacedTarget | Callable[[Tensor], Tensor] | None = None,
    format: Literal["npz", "parquet"] = "npz",
    samples_per_file: int = 256,
    shard_index: int = 0,
    num_shards: int = 1,
    data_name: str | None = None,
    verbose: int = 1,
) -> list[Path]:
    """Explains every sample of a data set in constant memory and stores what was found.

    Writes numbered files `part-*`, each whole or not at all, with the arrays `index` (the sample's position
    in the data set), `attributions`, `scores`, `delta` where the method has one, `details/<name>`, and
    `digest`, which tells the samples from others. In Parquet they are columns, and arrays of several axes
    Arrow's fixed shape tensors: `ray.data.read_parquet` gives arrays, pandas and Polars give the flat values.
    Called again after an interruption, it makes what is missing or damaged; the data set must give its
    samples in the same order each time. Several processes share the work by `shard_index`, with one folder
    for all.

    Args:
        method: Any attribution method.
        dataset: Batches of inputs, or of `(inputs, labels)` tuples; labels are integers. Or a Parquet file,
            or a folder of such files, taken in the order of their names: a row is a sample, with the input as
            a fixed shape tensor of Arrow or of Ray, or as a list of lists, in any type of numbers. Each share
            reads all rows, a few megabytes at a time.
        out: Folder of the files.
        column: Of Parquet, the column of the input; of several inputs the columns, in order or by the
            inputs' names. None takes the columns called as the model's inputs are, or else the only one that
            holds arrays.
        label_column: Of Parquet, the column of the labels.
        keep: Of Parquet, columns that are stored beside the maps, such as ids.
        target: As in `Method.__call__`, the same for all samples; or `"label"` for each sample's own label.
        format: What files are written, `"npz"` or `"parquet"`, which needs pyarrow.
        samples_per_file: Samples in one file, which is also what is held in memory.
        shard_index: Which share of the samples this process explains, from 0.
        num_shards: Number of shares; sample i belongs to share i modulo `num_shards`.
        data_name: What the data set is called, such as a version or a checksum; what the folder holds of
            another name is refused. Without a name, the samples of files that are there are read again and
            compared.
        verbose: 1 draws a progress bar.

    Returns:
        The paths of this share's files, in order.

    Raises:
        ValueError: If the folder holds results of another method, model, target, data set, format or sharing,
            a share does not exist, labels are asked for and the data set has none, a column is not there,
            lacks values or holds arrays of several shapes, or Parquet would be written to where it is read.
        TypeError: If `dataset` is neither a `tf.data.Dataset` nor a path.
        RuntimeError: If another process is writing this share.
        ImportError: If Parquet is read or written and pyarrow cannot be imported.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from keras_pli.attribution import Saliency
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        >>> images = tf.data.Dataset.from_tensor_slices(np.ones((10, 4))).batch(5)
        >>> with TemporaryDirectory() as folder:
        ...     files = explain_dataset(Saliency(model), images, folder, verbose=0)
        ...     load_attributions(folder)["attributions"].shape
        (10, 4)
    """
    one_of(format, KINDS, "format")
    checked_number(samples_per_file, "samples_per_file", least=1, whole=True)
    checked_number(num_shards, "num_shards", least=1, whole=True)
    checked_number(shard_index, "shard_index", least=0, below=num_shards, whole=True)
    check_shared_target(target)
    if isinstance(dataset, str | Path) and format == "parquet":
        _check_apart(Path(dataset), Path(out))
    stream = _stream(dataset, method, column, label_column, keep)
    if isinstance(target, str) and not stream.labelled:
        raise ValueError("target='label' needs a data set of (inputs, labels). It has inputs only.")
    share = f"{shard_index:03d}-of-{num_shards:03d}"
    parts = PartFolder(Path(out), "attributions", share, format)
    identity = {
        **_identity(method, target),
        "data": data_name,
        "columns": stream.columns,
        "format": format,
        "num_shards": num_shards,
        "samples_per_file": samples_per_file,
    }

    def first(number: int) -> int:
        """The position of a part's first sample in the data set."""
        return shard_index + num_shards * samples_per_file * number

    parts.check(identity)
    if data_name is not None and parts.is_marked and _Done(parts, first).all_there:
        return parts.files  # also where nothing may be written
    with parts.writing(identity) as writer:
        done = _Done(parts, first)
        if data_name is None or not done.all_there:
            length = None if stream.length is None else -(-stream.length // num_shards)
            progress = keras.utils.Progbar(length, verbose=verbose, unit_name="sample")
            progress.update(done.samples)
            number = -1
            samples = stream.samples(shard_index, num_shards)
            for number, rows in enumerate(grouped(samples, samples_per_file)):
                told = _told(rows, target)
                if not done.holds(number, told):
                    found = _rows_to_store(method, rows, target)
                    writer.write(number, {**found, "digest": np.array(told)})
                    done.samples += len(rows)
                    progress.update(done.samples)
            progress.update(done.samples, finalize=True)  # its length may not have been known
            writer.finish(number + 1)
    return parts.files


def load_attributions(folder: str | Path) -> dict[str, NDArray[Any]]:
    """Returns what `explain_dataset` stored in a folder, by all shares, in the data set's order.

    Args:
        folder: The folder given to `explain_dataset`.

    Returns:
        Arrays by name, the samples first, whichever kind the files are; `index` holds the samples'
        positions in the data set.

    Raises:
        ValueError: If the folder holds no such files, one is damaged, or one of a finished share is missing.

    Example:
        >>> load_attributions("nowhere")
        Traceback (most recent call last):
        ...
        ValueError: There are no attributions in nowhere.
    """
    files = part_files(Path(folder))
    if not files:
        raise ValueError(f"There are no attributions in {folder}.")
    listed = [listed_files(mark) for mark in marks(Path(folder))]
    missing = {name for names in listed for name in names} - {file.name for file in files}
    if missing:
        raise ValueError(
            f"{folder} lacks {quoted(sorted(missing))}. `explain_dataset` makes anew what is missing."
        )
    parts = [_readable(file) for file in files]
    for file, part in zip(files, parts, strict=True):
        if not {"index", "scores"} <= set(part) == set(parts[0]):
            raise ValueError(
                f"{file} is damaged: it holds {quoted(part)}. `explain_dataset` makes it anew."
            )
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    places, order = np.unique(arrays["index"], return_index=True)
    if len(places) < len(arrays["index"]):
        raise ValueError(
            f"{folder} holds some samples twice, in {len(files)} files. `explain_dataset` makes anew those "
            "that are not in their place."
        )
    return {name: array[order] for name, array in arrays.items()}


def _readable(file: Path) -> dict[str, NDArray[Any]]:
    try:
        arrays = read_part(file)
    except ValueError as error:
        raise ValueError(f"{error} `explain_dataset` makes it anew.") from error
    arrays.pop("digest", None)
    return arrays


def _check_apart(data: Path, out: Path) -> None:
    """Raises a `ValueError` if what is written would be read as data, the next time."""
    if data.is_dir() and out.resolve().is_relative_to(data.resolve()):
        raise ValueError(
            f"`out` must lie outside the folder of the data, {os.fspath(data)!r}. "
            f"Received: {os.fspath(out)!r}."
        )


def _stream(
    dataset: Any, method: Method, column: Columns | None, label_column: str, keep: Sequence[str]
) -> SampleStream:
    """What gives the samples of a data set."""
    if isinstance(dataset, str | Path):
        taken = [name for name in keep if str(name).split("/")[0] in _STORED]
        if isinstance(keep, str) or taken:
            raise ValueError(
                f"`keep` must be a sequence of columns with other names than {quoted(_STORED)}. "
                f"Received: {keep!r}."
            )
        return ParquetStream(dataset, method.network.model, column, label_column, keep)
    if not isinstance(dataset, tf.data.Dataset):
        raise TypeError(
            "`dataset` must be a tf.data.Dataset, or the path of Parquet files. "
            f"Received: {type(dataset).__name__}."
        )
    if column is not None or keep:
        raise ValueError(
            "`column` and `keep` name columns of Parquet files, and a tf.data.Dataset has none."
        )
    return TensorFlowStream(dataset)


class _Done:
    """Which parts of a share are there already, and of the same samples.

    Attributes:
        samples: Samples in them.
    """

    def __init__(self, parts: PartFolder, first: Callable[[int], int]) -> None:
        """`first` is the position in the data set that a part begins with, by the part's number."""
        self._parts = parts
        self._told: dict[int, str] = {}
        self.samples = 0
        for number in parts.numbers:
            part = parts.read(number)
            if part is None or not {"digest", "index", "scores"} <= set(part):
                continue
            if part["index"][0] == first(number):
                self._told[number] = str(part["digest"])
                self.samples += len(part["index"])

    @property
    def all_there(self) -> bool:
        """Whether the share is finished, and none of its parts missing or damaged."""
        try:
            count = self._parts.finished
        except ValueError as error:
            warnings.warn(f"{error} It is written again.", stacklevel=3)
            return False
        return count is not None and set(range(count)) <= set(self._told)

    def holds(self, number: int, told: str) -> bool:
        """Returns whether a part is there.

        Raises:
            ValueError: If it is of other samples.
        """
        if self._told.get(number, told) != told:
            raise ValueError(
                f"{self._parts.path(number)} holds attributions of other samples than the data set gives now "
                "at its place: other data, another order, or other labels. Delete "
                f"{self._parts.folder}, or choose another folder."
            )
        return number in self._told


def _told(rows: Sequence[Sample], target: Any) -> str:
    """What tells samples, the labels that are explained, and what is kept beside, from others."""
    by_label = isinstance(target, str)
    samples = [
        (row.x, *([row.label] if by_label else []), *(row.kept[name] for name in sorted(row.kept)))
        for row in rows
    ]
    return digest(np.array([row.place for row in rows]), *tf.nest.flatten(samples))


def _rows_to_store(method: Method, rows: Sequence[Sample], target: Any) -> dict[str, NDArray[Any]]:
    """Explains some samples and returns what is stored of them."""
    x = stacked([row.x for row in rows])
    labels = np.array([row.label for row in rows]) if isinstance(target, str) else None
    kept = {name: np.array([row.kept[name] for row in rows]) for name in rows[0].kept}
    index = np.array([row.place for row in rows])
    return {**kept, "index": index, **explained_rows(method, x, target, labels)}


def _identity(method: Method, target: Any) -> dict[str, Any]:
    """What must agree for results to belong together."""
    return {
        "method": repr(method),
        "settings": identity_digest(method.settings()),
        "target": value_identity(target),
        **model_identity(method.network.model),
        "keras_pli": __version__,
    }
