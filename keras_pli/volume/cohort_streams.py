"""Preprocessed volumes of a cohort, one after another, in constant memory; and kept on disk if asked for."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..files import atomic_path, read_arrays
from ..identity import identity_digest
from .preprocessed import PreprocessedVolume
from .preprocessing import Preprocessing
from .reading import VolumeError

Given = TypeVar("Given")
Made = TypeVar("Made")

# Counted up when the same options give other numbers.
_FORMAT = 1


def worker_count(workers: int | None) -> int:
    """How many threads read at a time."""
    return workers or min(
        8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 4
    )


def in_order(
    function: Callable[[Given], Made], given: Sequence[Given], workers: int
) -> Iterator[Made]:
    """Yields results in the order of what is given, worked on by threads, few of them waiting."""
    with ThreadPoolExecutor(workers) as pool:
        waiting = []
        try:
            for item in given:
                waiting.append(pool.submit(function, item))
                if len(waiting) > 2 * workers:
                    yield waiting.pop(0).result()
            while waiting:
                yield waiting.pop(0).result()
        finally:
            for future in waiting:
                future.cancel()


class VolumeCache:
    """Preprocessed arrays in a folder, each in a file named by all that it depends on.

    That is the bytes of the image and of its mask, and the preprocessing: a file that has changed is never
    served, wherever it lies and whatever its date. Files that have become useless stay until they are
    deleted.

    Args:
        folder: Where the files are; made when there is something to write.
        preprocessing: What makes the arrays.
    """

    def __init__(self, folder: str | os.PathLike[str], preprocessing: Preprocessing) -> None:
        self.folder, self.preprocessing = Path(folder), preprocessing
        options = {item.name: getattr(preprocessing, item.name) for item in fields(preprocessing)}
        template = options.pop("template")
        if isinstance(template, str | os.PathLike):
            options["template"] = _file_digest(template)
        elif template is not None:
            options["template"] = [np.asarray(template.dataobj), np.asarray(template.affine)]
        self.options = identity_digest({"format": _FORMAT, **options})

    def values(self, path: str, mask: str | None, scale: float | None) -> NDArray[np.float32]:
        """The array of a volume, read from the folder or made and written there."""
        try:
            parts = [self.options, _file_digest(path), mask and _file_digest(mask), scale]
        except OSError as error:
            raise VolumeError(f"{error.filename}: cannot be read ({error.strerror}).") from error
        file = self.folder / f"{identity_digest(parts)}.npz"
        try:
            return read_arrays(file)["values"]
        except (FileNotFoundError, ValueError, KeyError):  # not there, or damaged
            made = self.preprocessing(path, mask=mask, scale=scale).values
        with atomic_path(file) as temporary, temporary.open("wb") as stream:
            np.savez(stream, values=made)
        return made


def dataset_of(
    read: Callable[[int], NDArray[np.float32]],
    codes: NDArray[np.int32],
    shape: tuple[int, ...],
    *,
    batch_size: int,
    shuffle: bool,
    seed: int,
    workers: int,
) -> Any:
    """A `tf.data.Dataset` of batches of volumes and class codes; only row numbers are shuffled."""
    import tensorflow as tf

    def load(row: Any) -> NDArray[np.float32]:
        values = read(int(row))
        return np.ascontiguousarray(values[..., np.newaxis], dtype=np.float32)

    def pair(row: Any, code: Any) -> tuple[Any, Any]:
        volume = tf.numpy_function(load, [row], tf.float32)
        volume.set_shape((*shape, 1))
        return volume, code

    rows = tf.data.Dataset.from_tensor_slices((np.arange(len(codes)), codes))
    if shuffle:
        rows = rows.shuffle(len(codes), seed=seed, reshuffle_each_iteration=True)
    volumes = rows.map(pair, num_parallel_calls=workers, deterministic=True)
    # A fixed number of batches ahead: TensorFlow's own choice grows with the memory that is free.
    return volumes.batch(batch_size).prefetch(2)


def stacked(
    volumes: Iterator[PreprocessedVolume], count: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    """The values of volumes with a channel axis, and their brains where all are known."""
    x: NDArray[np.float32] | None = None
    brains: list[Any] = []
    for number, volume in enumerate(volumes):
        if x is None:
            x = np.empty((count, *volume.values.shape, 1), np.float32)
        x[number, ..., 0] = volume.values
        brains.append(volume.brain)
    assert x is not None
    known = all(brain is not None for brain in brains)
    return x, np.stack(brains) if known else None


def _file_digest(path: str | os.PathLike[str]) -> str:
    """A digest of an image's bytes; of Analyze and NIfTI pairs those of header, image and SPM's affine."""
    hashed = hashlib.sha256()
    for part in _files_of(Path(path)):
        hashed.update(part.suffix.encode())
        with part.open("rb") as stream:
            for block in iter(lambda: stream.read(1 << 20), b""):
                hashed.update(block)
    return hashed.hexdigest()


def _files_of(path: Path) -> list[Path]:
    """The files that make up an image, the one named first."""
    name = path.name.removesuffix(".gz")
    pairs = {
        ".hdr": (".img", ".img.gz", ".mat"),
        ".img": (".hdr", ".hdr.gz", ".mat"),
        ".HEAD": (".BRIK", ".BRIK.gz"),
    }
    ending = Path(name).suffix
    stem = name.removesuffix(ending)
    others = [path.with_name(stem + other) for other in pairs.get(ending, ())]
    return [path, *(other for other in others if other.is_file())]
