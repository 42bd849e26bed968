"""The way of the weights: every so many epochs or batches, all trainable weights as arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

from ..checks import checked_number, one_of
from ..files import read_arrays, write_arrays


class WeightTrajectory(keras.callbacks.Callback):
    """Stores a model's trainable weights before training, and every so many epochs or batches.

    Writes `step-00000000.npz` and so on, named by the optimizer's count of steps, each whole or not at all.
    `inspection.principal_directions` reads the folder. A training that is resumed goes on in it: steps that
    are made again take the place of those that were there.

    The last point is what the weights are when this callback ends. One that is called after it may change
    them, as `EarlyStopping(restore_best_weights=True)` does: the last point is then not the model, so pass
    the model to `inspection.principal_directions`. Where it is called before, the last point is the restored
    model, in place of the end of the training.

    Args:
        folder: Where to store them.
        every: Epochs, or batches, from one to the next. Where `steps_per_execution` runs several batches at
            a time, batches are stored at the end of the run that reaches them.
        unit: "epoch" or "batch".

    Raises:
        ValueError: If `every` is less than 1, or `unit` is something else; when training begins, if the
            folder holds the way of another training.

    Example:
        >>> callback = WeightTrajectory("runs/way", every=10, unit="batch")
    """

    def __init__(self, folder: str | Path, *, every: int = 1, unit: str = "epoch") -> None:
        super().__init__()
        self.folder = Path(folder)
        self.every = checked_number(every, "every", least=1, whole=True)
        self.unit = one_of(unit, ("epoch", "batch"), "unit")
        self._reached = 0

    def on_train_begin(self, logs: Any = None) -> None:
        """Stores the weights before training; drops steps that come after them."""
        self._reached = self._step
        if not self.model.built:
            return
        self._check_same_training()
        for later in self._stored():
            if later > self._step:
                self._path(later).unlink()
        self._store()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Stores the weights after an epoch."""
        if self.unit == "epoch" and (epoch + 1) % self.every == 0:
            self._store()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Stores the weights after a batch."""
        step = self._step
        if self.unit == "batch" and step // self.every > self._reached // self.every:
            self._store()
        self._reached = step

    def on_train_end(self, logs: Any = None) -> None:
        """Stores the weights at the end."""
        self._store()

    @property
    def _step(self) -> int:
        return int(self.model.optimizer.iterations)

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:08d}.npz"

    def _stored(self) -> list[int]:
        return sorted(int(file.stem.partition("-")[2]) for file in self.folder.glob("step-*.npz"))

    def _weights(self) -> dict[str, Any]:
        variables = self.model.trainable_variables
        arrays = [keras.ops.convert_to_numpy(variable.value) for variable in variables]
        return {
            # NumPy stores no bfloat16.
            f"{index:05d}": array.astype("float32") if array.dtype.name == "bfloat16" else array
            for index, array in enumerate(arrays)
        }

    def _store(self) -> None:
        write_arrays(self._path(self._step), self._weights())

    def _check_same_training(self) -> None:
        """Raises a `ValueError` if this step is stored with other weights, or steps with other shapes."""
        stored = self._stored()
        if not stored:
            return
        same = self._step in stored
        before, now = read_arrays(self._path(self._step if same else stored[0])), self._weights()
        fits = [array.shape for array in before.values()] == [array.shape for array in now.values()]
        if not fits or (same and not all(np.array_equal(before[name], now[name]) for name in now)):
            raise ValueError(
                f"{self.folder} holds the weights of another training, steps {stored[0]} to {stored[-1]}. "
                f"This one begins at step {self._step}. Delete it, or choose another folder."
            )
