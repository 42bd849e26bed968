"""Preprocessed volumes of a cohort, one after another, in constant memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ...checks import quoted
from ...optional import imported
from ..images.preprocessed import PreprocessedVolume
from ..images.preprocessing import Preprocessing
from ..images.reading import VolumeError
from .cohort_table import row_name
from .volume_cache import VolumeCache

Given = TypeVar("Given")
Made = TypeVar("Made")


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


class VolumeReader:
    """Reads the images of a cohort's table one by one, each preprocessed; several threads may at once.

    Args:
        table: In the form of `checked_table`.
        preprocessing: What the images are preprocessed by.
        scales: A factor for each image, in place of the preprocessing's.
        cache: The folder of a `VolumeCache`.

    Raises:
        ValueError: If `scales` are not one factor above 0 for each image.
    """

    def __init__(
        self,
        table: pd.DataFrame,
        preprocessing: Preprocessing,
        *,
        scales: ArrayLike | None = None,
        cache: str | os.PathLike[str] | None = None,
    ) -> None:
        self.table, self.preprocessing = table, preprocessing
        self.paths = table["path"].tolist()
        masks = table["mask"] if "mask" in table.columns else [None] * len(table)
        self.masks = [None if mask is None or pd.isna(mask) else str(mask) for mask in masks]
        self.scales = _checked_scales(scales, len(table))
        self.cache = None if cache is None else VolumeCache(cache, preprocessing)

    def __len__(self) -> int:
        return len(self.paths)

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """The shape of all volumes: the one asked for, or the first image's."""
        return self.preprocessing.shape or self.volume(0).values.shape

    def volume(self, position: int) -> PreprocessedVolume:
        """An image preprocessed; errors name its row and file."""
        with self._named(position):
            return self.preprocessing(self.paths[position], **self._options(position))

    def values(self, position: int) -> NDArray[np.float32]:
        """An image's array, from the cache where there is one; of `shape`."""
        if self.cache is None:
            values = self.volume(position).values
        else:
            with self._named(position):
                values = self.cache.values(self.paths[position], **self._options(position))
        self._check_shape(position, values.shape)
        return values

    def stacked(self, workers: int) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
        """The arrays of all images with a channel axis, and their brains where all are known."""
        x = np.empty((len(self), *self.shape, 1), np.float32)
        brains: list[Any] = []
        for position, volume in enumerate(in_order(self.volume, range(len(self)), workers)):
            self._check_shape(position, volume.values.shape)
            x[position, ..., 0] = volume.values
            brains.append(volume.brain)
        known = all(brain is not None for brain in brains)
        return x, np.stack(brains) if known else None

    def _options(self, position: int) -> dict[str, Any]:
        return {"mask": self.masks[position], "scale": self.scales[position]}

    @contextmanager
    def _named(self, position: int) -> Iterator[None]:
        try:
            yield
        except VolumeError as error:
            raise VolumeError(f"row {self.table.index[position]}: {error}") from error

    def _check_shape(self, position: int, shape: tuple[int, ...]) -> None:
        if shape != self.shape:
            raise VolumeError(
                f"{row_name(self.table, position)}: gives a volume of shape {shape}, the first image "
                f"{self.shape}. A `Preprocessing` with `shape` makes all alike."
            )


def dataset_of(
    reader: VolumeReader,
    codes: NDArray[np.int32],
    *,
    batch_size: int,
    shuffle: bool,
    seed: int,
    workers: int,
) -> Any:
    """A `tf.data.Dataset` of batches of volumes and class codes; only row numbers are shuffled."""
    tf = imported("tensorflow", "Streaming volumes", otherwise="take `Cohort.arrays`")
    shape = reader.shape

    def load(row: Any) -> NDArray[np.float32]:
        values = reader.values(int(row))
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


def _checked_scales(scales: ArrayLike | None, count: int) -> list[float | None]:
    if scales is None:
        return [None] * count
    factors = np.asarray(scales, dtype=np.float64)
    if factors.shape != (count,) or not (np.isfinite(factors) & (factors > 0)).all():
        raise ValueError(
            f"`scales` must be one factor above 0 for each of the {count} images. Received: shape "
            f"{factors.shape}, {quoted(factors.ravel())}."
        )
    return [float(factor) for factor in factors]
