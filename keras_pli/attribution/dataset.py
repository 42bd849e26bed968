"""Explaining data sets of any length: a stream in, numbered files out, resumed where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ..checks import checked_number
from ..files import read_arrays, write_json
from ..identity import callable_identity, model_identity, value_identity
from ..network.inputs import PlacedTarget
from ..network.targets import AtPosition, Within
from ..parts import PartFolder
from ..version import __version__
from .method import Method

Tensor = Any


def explain_dataset(
    method: Method,
    dataset: tf.data.Dataset,
    out: str | Path,
    *,
    target: int | Literal["label"] | PlacedTarget | Callable[[Tensor], Tensor] | None = None,
    samples_per_file: int = 256,
    shard_index: int = 0,
    num_shards: int = 1,
    data_name: str | None = None,
    verbose: int = 1,
) -> list[Path]:
    """Explains every sample of a data set in constant memory and stores what was found.

    Writes numbered files `part-*.npz`, each whole or not at all, with the arrays `index` (the sample's
    position in the data set), `attributions`, `scores`, `delta` where the method has one, and
    `details/<name>`. Called again after an interruption, it resumes behind the last file; the data set must
    give its samples in the same order each time. Several processes share the work by `shard_index`, with
    one folder for all.

    Args:
        method: Any attribution method.
        dataset: Batches of inputs, or of `(inputs, labels)` tuples; labels are integers.
        out: Folder of the files.
        target: As in `Method.__call__`, the same for all samples; or `"label"` for each sample's own label.
        samples_per_file: Samples in one file, which is also what is held in memory.
        shard_index: Which share of the samples this process explains, from 0.
        num_shards: Number of shares; sample i belongs to share i modulo `num_shards`.
        data_name: What the data set is called, such as a version or a checksum; what the folder holds of
            another name is refused.
        verbose: 1 draws a progress bar.

    Returns:
        The paths of this share's files, in order.

    Raises:
        ValueError: If the folder holds results of another method, model, data set or sharing, a share does
            not exist, or labels are asked for and the data set has none.
        TypeError: If `dataset` is not a `tf.data.Dataset`.

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
    if not isinstance(dataset, tf.data.Dataset):
        raise TypeError(f"`dataset` must be a tf.data.Dataset. Received: {type(dataset).__name__}.")
    checked_number(samples_per_file, "samples_per_file", least=1, whole=True)
    checked_number(num_shards, "num_shards", least=1, whole=True)
    checked_number(shard_index, "shard_index", least=0, below=num_shards, whole=True)
    _check_shared(target)
    labelled = isinstance(dataset.element_spec, tuple)
    if isinstance(target, str) and not labelled:
        raise ValueError("target='label' needs a data set of (inputs, labels). It has inputs only.")
    share = _Share(Path(out), shard_index, num_shards, samples_per_file)
    share.parts.claim(
        {
            **_identity(method, target),
            "data": data_name,
            "num_shards": num_shards,
            "samples_per_file": samples_per_file,
        }
    )
    if not share.finished:
        samples = dataset.unbatch().enumerate().shard(num_shards, shard_index)
        samples = samples.skip(share.samples_done)
        progress = keras.utils.Progbar(_length(dataset, share), verbose=verbose, unit_name="sample")
        progress.update(share.samples_done)
        for rows in _grouped(samples.as_numpy_iterator(), samples_per_file):
            share.parts.add(_rows_to_store(method, rows, target, labelled))
            progress.add(len(rows))
        share.finish()
    return share.parts.files


def load_attributions(folder: str | Path) -> dict[str, NDArray[Any]]:
    """Returns what `explain_dataset` stored in a folder, by all shares, in the data set's order.

    Args:
        folder: The folder given to `explain_dataset`.

    Returns:
        Arrays by name, the samples first; `index` holds their positions in the data set.

    Raises:
        ValueError: If the folder holds no such files.

    Example:
        >>> load_attributions("nowhere")
        Traceback (most recent call last):
        ...
        ValueError: There are no attributions in nowhere.
    """
    files = sorted(Path(folder).glob("part-*.npz"))
    if not files:
        raise ValueError(f"There are no attributions in {folder}.")
    parts = [read_arrays(file) for file in files]
    order = np.argsort(np.concatenate([part["index"] for part in parts]))
    return {name: np.concatenate([part[name] for part in parts])[order] for name in parts[0]}


def _check_shared(target: Any) -> None:
    """Raises a `ValueError` for a target that is another for each sample: files begin at any of them."""
    if isinstance(target, str) and target != "label":
        raise ValueError(
            f"`target` must be a class, 'label', a callable or None. Received: {target!r}."
        )
    parts = [target]
    if isinstance(target, AtPosition | Within):
        parts = [target.target]
        if isinstance(target, AtPosition) and np.ndim(target.position) > 1:
            parts.append(target.position)
    if any(np.ndim(part) > 0 for part in parts if not callable(part)):
        raise ValueError(
            "`target` must be the same for all samples of a data set, or 'label' for each sample's own. "
            f"Received: {target!r}."
        )


@dataclass(frozen=True)
class _Share:
    """The files of one process among others in a folder, and how far it got."""

    folder: Path
    index: int
    count: int
    samples_per_file: int

    @property
    def parts(self) -> PartFolder:
        return PartFolder(self.folder, "attributions", f"part-{self._name}")

    @property
    def samples_done(self) -> int:
        return len(self.parts.files) * self.samples_per_file

    @property
    def finished(self) -> bool:
        return self._mark.exists()

    @property
    def _name(self) -> str:
        return f"{self.index:03d}-of-{self.count:03d}"

    @property
    def _mark(self) -> Path:
        return self.folder / f"finished-{self._name}.json"

    def finish(self) -> None:
        write_json(self._mark, {"files": [path.name for path in self.parts.files]})


def _rows_to_store(
    method: Method, rows: Sequence[Any], target: Any, labelled: bool
) -> dict[str, NDArray[Any]]:
    """Explains some `(index, sample)` pairs and returns what is stored of them."""
    index = np.array([position for position, _ in rows])
    samples = [sample[0] if labelled else sample for _, sample in rows]
    x = tf.nest.map_structure(lambda *parts: np.stack(parts), *samples)
    if isinstance(target, str):
        target = np.array([sample[1] for _, sample in rows])
    elif isinstance(target, Within):
        rank = method.scoring(x).structured_outputs[0].shape.rank
        if np.ndim(target.mask) != rank - 2:
            raise ValueError(
                "The mask of a data set's target must be one for all samples, with an axis for each of the "
                f"output's {rank - 2} axes of positions. Received shape {np.shape(target.mask)}."
            )
    found = method(x, target)
    arrays = {"index": index, "scores": found.scores, **_named("attributions", found.attributions)}
    if found.delta is not None:
        arrays["delta"] = found.delta
    for name, value in found.details.items():
        arrays |= _named(f"details/{name}", value)
    return arrays


def _named(name: str, structure: Any) -> dict[str, NDArray[Any]]:
    """Gives the arrays of a structure names: `attributions`, or of several inputs `attributions/0`, …."""
    if not tf.nest.is_nested(structure):
        return {name: structure}
    keys = structure if isinstance(structure, dict) else range(len(structure))
    return {f"{name}/{key}": structure[key] for key in keys}


def _grouped(samples: Iterator[Any], size: int) -> Iterator[list[Any]]:
    while group := list(islice(samples, size)):
        yield group


def _identity(method: Method, target: Any) -> dict[str, Any]:
    """What must agree for results to belong together."""
    told: Any = callable_identity if callable(target) else value_identity
    if isinstance(target, PlacedTarget):
        told = repr
    return {
        "method": repr(method),
        "target": told(target),
        **model_identity(method.network.model),
        "keras_pli": __version__,
    }


def _length(dataset: tf.data.Dataset, share: _Share) -> int | None:
    """The number of samples in a share, as far as it can be told beforehand, for the progress bar."""
    batches = int(dataset.cardinality())
    size = tf.nest.flatten(dataset.element_spec)[0].shape[0]
    if batches < 0 or size is None:
        return None
    return -(-batches * size // share.count)
