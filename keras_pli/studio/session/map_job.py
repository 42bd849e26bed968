"""A map of a layer, trained as a job: for a session that was given none, or after rounds of retraining."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
from numpy.typing import NDArray

from ...files import atomic_path
from ...retraining.embedders import embedder_of
from .progress import BatchProgress, Progress


def train_map(
    progress: Progress, activations: NDArray[Any], file: Path, *, seed: int = 0
) -> keras.Model:
    """Trains a smooth map of activations, which a classifier can follow, and stores it whole.

    Args:
        progress: Of the job.
        activations: Of the training samples, float32 `(samples, features)`.
        file: Where to store the map's network.
        seed: Seed of the training.

    Returns:
        A `ParametricTSNE`.

    Raises:
        Stopped: If the job was stopped, within a batch; the file is as it was.
        ValueError: If there are too few points, or an activation is not finite.
    """
    progress.report("Looking for the neighbours of each point", 0.0)
    progress.check()
    watching = BatchProgress(progress, "Training the map", start=0.05)
    embedder = embedder_of(None, activations, seed, callbacks=[watching])
    progress.check()
    with atomic_path(file) as temporary:
        embedder.save(temporary)
    return embedder
