"""Backups of a training on several workers: one of them writes, all go on from what it wrote."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from ...files import atomic_path, read_json, write_json
from ...identity import identity_digest
from .cluster import from_chief, is_chief

_NOTE = "training_metadata.json"


class BackupAndRestore(keras.callbacks.BackupAndRestore):
    """Resumes a training that was interrupted, on one worker or on several, however many there were before.

    Every worker gets this callback. The chief alone writes into `backup_dir`, and the others take weights,
    the optimizer's state and the epoch from it when training begins: the folder need not be one that all can
    read, but the chief has to find it after a restart. A backup is written whole or not at all, and the one
    before stays until then. When training has ended it is deleted.

    What is resumed exactly is what Keras's own callback resumes exactly: backups at the ends of epochs, data
    whose order does not depend on how many epochs this process has run (`shuffle=False`, or a data set that
    shuffles by the epoch's number), and layers that do not draw at random. Statistics of a batch
    normalisation that each replica keeps of its own rows are the chief's afterwards; with `synchronized=True`
    they are the same on all.

    Args:
        backup_dir: A folder for this training alone.
        save_freq: `"epoch"`, or after how many batches to write. A training resumes at the beginning of an
            epoch even so.
        delete_checkpoint: Whether to delete the backup when training has ended.

    Raises:
        ValueError: When training begins, on all workers: if the backup is of another model or optimizer, or
            of epochs of another length, or is damaged; or if nothing can be written into `backup_dir`.

    Example:
        >>> import numpy as np
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     backup = BackupAndRestore(f"{folder}/backup", delete_checkpoint=False)
        ...     history = model.fit(np.ones((8, 4)), np.ones(8), epochs=2, callbacks=[backup], verbose=0)
        ...     model.fit(np.ones((8, 4)), np.ones(8), epochs=3, callbacks=[backup], verbose=0).epoch
        [2]
    """

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        *,
        save_freq: str | int = "epoch",
        delete_checkpoint: bool = True,
    ) -> None:
        super().__init__(
            os.fspath(backup_dir), save_freq=save_freq, delete_checkpoint=delete_checkpoint
        )
        self._training: dict[str, Any] = {}

    def will_restore(self, model: keras.Model) -> bool:
        """Whether the chief has a backup for a training of a model; all workers must ask at the same time."""
        there = (Path(self.backup_dir) / _NOTE).exists()
        return from_chief(model.distribute_strategy, b"1" if there else b"0") == b"1"

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Gives all workers what the chief's backup holds, if there is one."""
        self._training = {
            "model": _model_identity(self.model),
            "optimizer": _optimizer_identity(self.model.optimizer),
            "steps": self.params.get("steps"),
        }
        self._load_model()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Deletes the backup of a training that has ended."""
        if self.delete_checkpoint and is_chief(self._strategy()):
            shutil.rmtree(self.backup_dir, ignore_errors=True)

    def _load_model(self) -> None:
        if not self.model.built:
            raise ValueError(
                "BackupAndRestore needs a model that is built before `fit`. Call it on a batch, or give it "
                f"an input shape. Received: {self.model}."
            )
        # What is wrong with the chief's backup stops all workers, where it alone would leave them waiting.
        told, weights = self._read_or_fail() if is_chief(self._strategy()) else ({}, b"")
        told = json.loads(from_chief(self._strategy(), json.dumps(told).encode()))
        if "error" in told:
            raise ValueError(told["error"])
        if not told:
            return
        weights = from_chief(self._strategy(), weights)
        optimizer = self.model.optimizer
        if optimizer is not None and not optimizer.built:
            with self._strategy().scope():
                optimizer.build(self.model.trainable_variables)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "latest.weights.h5"
            file.write_bytes(weights)
            self.model.load_weights(file)
        self.model._initial_epoch = told["epoch"]

    def _read_or_fail(self) -> tuple[dict[str, Any], bytes]:
        """Returns what `_read` does, or as its error that no backup could be written."""
        try:  # now rather than at the end of an epoch
            Path(self.backup_dir).mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.backup_dir) as file:
                file.write(b"a backup")
        except OSError as error:
            return {
                "error": f"`backup_dir` must be a folder to write into. Received: {error}."
            }, b""
        return self._read()

    def _read(self) -> tuple[dict[str, Any], bytes]:
        """Returns the note of a backup and its weights; nothing where there is none; or an error."""
        folder = Path(self.backup_dir)
        if not (folder / _NOTE).exists():
            return {}, b""
        try:
            note = read_json(folder / _NOTE)
            stored = note.get("training", {})
            other = [name for name, value in self._training.items() if stored.get(name) != value]
            if other:
                raise ValueError(
                    f"{folder} holds a backup of another training: its {' and '.join(other)} differ. "
                    f"It has {stored}, and this training {self._training}. Delete it, or choose another "
                    "backup_dir."
                )
            return {"epoch": note["epoch"]}, (folder / note["weights"]).read_bytes()
        except (ValueError, KeyError, OSError) as error:
            told = (
                str(error) if isinstance(error, ValueError) else f"{folder} is damaged: {error!r}."
            )
            return {"error": told}, b""

    def _save_model(self) -> None:
        if not is_chief(self._strategy()):
            # Variables that replicas hold apart are added up when they are read, and all must read them.
            with tempfile.TemporaryDirectory() as unused:
                self.model.save_weights(Path(unused) / "unused.weights.h5")
            return
        folder, epoch = Path(self.backup_dir), self._current_epoch
        before = set(folder.glob("*.weights.h5"))
        names = (folder / f"epoch-{epoch}-{letter}.weights.h5" for letter in "ab")
        file = next(name for name in names if name not in before)
        with atomic_path(file) as temporary:
            self.model.save_weights(temporary, overwrite=True)
        # The note says which weights are the backup, so that writing it makes the new one valid at once.
        note = {"epoch": epoch, "batch": self._last_batch_seen, "weights": file.name}
        write_json(folder / _NOTE, note | {"training": self._training})
        for old in before:
            old.unlink(missing_ok=True)

    def _strategy(self) -> Any:
        return self.model.distribute_strategy


def _model_identity(model: keras.Model) -> str:
    """What tells a model, the same whatever a process did before: its layers, activations and weights."""
    layers = [
        (type(layer).__name__, getattr(getattr(layer, "activation", None), "__name__", None))
        for layer in model._flatten_layers()
    ]
    weights = [(list(weight.shape), str(weight.dtype)) for weight in model.weights]
    return identity_digest([layers, weights])


def _optimizer_identity(optimizer: Any) -> str | None:
    """What tells an optimizer, but for a learning rate that callbacks may have changed."""
    if optimizer is None:
        return None
    config = dict(optimizer.get_config())
    if not isinstance(config.get("learning_rate"), Mapping):
        config.pop("learning_rate", None)
    config.pop("name", None)
    return identity_digest([type(optimizer).__name__, config])
