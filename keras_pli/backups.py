"""Trainings of our own that Keras's backups cannot resume exactly say so, rather than resume inexactly."""

from __future__ import annotations

from typing import Any

import keras


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
