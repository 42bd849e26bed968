"""Trainings that diverge end at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np


class EndOfDivergence(keras.callbacks.Callback):
    """Ends a training by an error as soon as its loss is not finite.

    Args:
        what: What is trained, as the error calls it.
        learning_rate: What it is trained with.
        advice: What the error says at its end.
    """

    def __init__(self, what: str, learning_rate: float, advice: str = "") -> None:
        super().__init__()
        self.what, self.learning_rate, self.advice = what, learning_rate, advice
        self.epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Notes the epoch."""
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Looks at the loss of the epoch so far."""
        self.check((logs or {}).get("loss", 0.0), "its loss")

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Looks at the loss on held-out images."""
        self.check((logs or {}).get("val_loss", 0.0), "its loss on held-out images")

    def check(self, values: Any, name: str) -> None:
        """Raises a `ValueError` unless all values are finite."""
        if not np.isfinite(values).all():
            raise ValueError(
                f"{self.what} diverged in epoch {self.epoch + 1}: {name} is not finite. The learning rate is "
                f"{self.learning_rate:g}; try a smaller one.{self.advice and ' '}{self.advice}"
            )
