"""A new version to serve, each time the model has become better."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import keras

from ..checks import check_options, checked_number, one_of, quoted

_SMALLER_IS_BETTER = ("loss", "error", "mse", "mae", "rmse")
_LARGER_IS_BETTER = ("acc", "auc", "f1", "precision", "recall", "iou")


class ExportBest(keras.callbacks.Callback):
    """Exports the model for TensorFlow Serving after each epoch that improves a metric.

    A server that watches the folder goes over to the new version by itself. Of a `PLIModel`, the classifier
    and the map are exported.

    Args:
        path: Folder of the versions (see `keras_pli.export`).
        monitor: The metric, as the logs name it.
        mode: Whether smaller or larger is better; `"auto"` tells from the name.
        min_delta: The least change that counts as an improvement.
        best: A value to be better than from the start on, or None.
        keep: How many of the versions written here are kept, the newest ones; None for all. Versions of
            other origin are never removed.
        verbose: 1 says what was exported.
        **options: What `keras_pli.export` takes, such as `explanations=[GradCAM]` and `class_names`.

    Raises:
        ValueError: If the direction cannot be told from the metric's name, or `keep` is less than 1.
        TypeError: If `export` has no such option, or there is a `version` among them, since versions are
            counted on.

    Example:
        >>> from keras_pli.attribution import GradCAM
        >>> callback = ExportBest("models/shoes", monitor="val_accuracy", explanations=[GradCAM])
    """

    def __init__(
        self,
        path: str | Path,
        *,
        monitor: str = "val_loss",
        mode: Literal["auto", "min", "max"] = "auto",
        min_delta: float = 0.0,
        best: float | None = None,
        keep: int | None = None,
        verbose: int = 0,
        **options: Any,
    ) -> None:
        super().__init__()
        if "version" in options:
            raise TypeError("ExportBest counts versions on; it takes no `version`.")
        check_options(_export(), options)
        if keep is not None:
            keep = checked_number(keep, "keep", least=1, whole=True)
        self.path, self.monitor, self.min_delta = Path(path), monitor, abs(min_delta)
        self._sign = _sign(monitor, one_of(mode, ("auto", "min", "max"), "mode"))
        self.best, self.keep, self.verbose, self.options = best, keep, verbose, options
        self.exported: list[Path] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Exports if the metric has improved."""
        if self.monitor not in (logs or {}):
            warnings.warn(
                f"ExportBest finds no {self.monitor!r} in the logs, which hold {quoted(logs or {})}.",
                stacklevel=2,
            )
            return
        value = float(logs[self.monitor])
        if self.best is not None and not self._sign * (value - self.best) > self.min_delta:
            return
        if value != value:  # NaN is no improvement on nothing, either
            return
        self.exported.append(_export()(self.model, self.path, **self.options))
        if self.verbose:
            print(f"\n{self.monitor} {value:.5g}: exported {self.exported[-1]}")
        self.best = value
        while self.keep is not None and len(self.exported) > self.keep:
            shutil.rmtree(self.exported.pop(0), ignore_errors=True)


def _export() -> Callable[..., Path]:
    from ..serving import export  # needs TensorFlow, which other callbacks do without

    return export


def _sign(monitor: str, mode: str) -> int:
    """1 where larger is better, −1 where smaller is."""
    if mode == "auto":
        name = monitor.removeprefix("val_").lower()
        if name.endswith(_SMALLER_IS_BETTER):
            mode = "min"
        elif any(part in name for part in _LARGER_IS_BETTER):
            mode = "max"
        else:
            raise ValueError(
                f"Whether {monitor!r} should be small or large cannot be told from its name. "
                "Pass mode='min' or mode='max'."
            )
    return -1 if mode == "min" else 1
