"""Trainings of our own that Keras's backups cannot resume exactly say so, rather than resume inexactly."""

from __future__ import annotations

import pathlib
from typing import Any

import keras

from .checks import quoted


def listed(callbacks: Any) -> list[Any]:
    """Returns the callbacks that `fit` was given: none, one, or several."""
    if callbacks is None:
        return []
    return list(callbacks) if isinstance(callbacks, list | tuple) else [callbacks]


def backups_among(callbacks: Any) -> list[keras.callbacks.BackupAndRestore]:
    """Returns those of the callbacks that restore a training that was interrupted.

    Example:
        >>> [backup.save_freq for backup in backups_among(keras.callbacks.BackupAndRestore("backup"))]
        ['epoch']
    """
    backup = keras.callbacks.BackupAndRestore
    return [callback for callback in listed(callbacks) if isinstance(callback, backup)]


def check_backups(model: keras.Model, callbacks: Any) -> None:
    """Refuses what Keras would resume inexactly: epochs begun again, random layers begun anew.

    Raises:
        ValueError: If a backup is saved within epochs, or a layer of the model draws at random.

    Example:
        >>> model = keras.Sequential([keras.layers.Dense(2)])
        >>> check_backups(model, keras.callbacks.BackupAndRestore("backup"))
    """
    random = [layer.name for layer in model._flatten_layers() if _draws(layer)]
    for backup in backups_among(callbacks):
        if backup.save_freq != "epoch":
            raise ValueError(
                "BackupAndRestore can resume this training exactly where it saves at the ends of epochs. "
                f"Received: save_freq={backup.save_freq!r}. Pass save_freq='epoch'."
            )
        if random:
            raise ValueError(
                "BackupAndRestore cannot resume this training exactly: Keras stores no state of the "
                f"layers that draw at random, {quoted(random)}."
            )


def will_restore(callbacks: Any, model: keras.Model) -> bool:
    """Whether one of the callbacks will find a backup of an interrupted training of a model.

    Example:
        >>> will_restore(keras.callbacks.BackupAndRestore("no such folder"), keras.Sequential())
        False
    """
    found = [_has_backup(backup, model) for backup in backups_among(callbacks)]  # all are asked
    return any(found)


def _has_backup(backup: Any, model: keras.Model) -> bool:
    if hasattr(backup, "will_restore"):  # of several workers, which must all ask
        return bool(backup.will_restore(model))
    return any(True for _ in pathlib.Path(backup.backup_dir).glob("*.weights.h5"))


def _draws(layer: keras.Layer) -> bool:
    return bool(getattr(layer, "_seed_generators", ()))
