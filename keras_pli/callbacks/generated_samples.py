"""What a generator makes of the same codes, epoch after epoch."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import keras
import numpy as np

from .. import plotting
from ..checks import checked_number
from .tensorboard import log_figure


class GeneratedSamples(keras.callbacks.Callback):
    """Draws a grid of generated images after each epoch, always from the same codes.

    Writes `epoch-000.png` (before training) and one for every epoch after it. It watches a
    `WassersteinGAN`, a `ClassLatentGAN`, whose classes stand in columns, or any model with a
    `generate(count, seed)` that returns images.

    Args:
        folder: Where to store the pictures.
        every: Epochs from one picture to the next.
        count: Images in a picture.
        seed: Seed of the codes.
        log_dir: Folder of TensorBoard logs to add the pictures to, or None.
        value_range: The values drawn black and white.

    Raises:
        ValueError: If `every` or `count` is less than 1.
        TypeError: If the model generates nothing.

    Example:
        >>> callback = GeneratedSamples("runs/samples", every=5)
    """

    def __init__(
        self,
        folder: str | Path,
        every: int = 1,
        *,
        count: int = 64,
        seed: int = 0,
        log_dir: str | Path | None = None,
        value_range: tuple[float, float] = (-1.0, 1.0),
    ) -> None:
        super().__init__()
        self.every = checked_number(every, "every", least=1, whole=True)
        self.count = checked_number(count, "count", least=1, whole=True)
        self.folder, self.seed = Path(folder), seed
        self.log_dir, self.value_range = log_dir, value_range

    def on_train_begin(self, logs: Any = None) -> None:
        """Draws what the generator makes before training."""
        if not hasattr(self.model, "generate"):
            raise TypeError(
                "GeneratedSamples watches a model with `generate(count, seed)`, such as a WassersteinGAN, or "
                "a ClassLatentGAN. "
                f"Received: {type(self.model).__name__}."
            )
        self._store(0)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Draws what it makes after an epoch."""
        if (epoch + 1) % self.every == 0:
            self._store(epoch + 1)

    def _store(self, epoch: int) -> None:
        images, classes = self._drawn()
        side = math.isqrt(self.count - 1) + 1  # as near to a square as can be
        figure = plotting.image_strip(
            images,
            columns=-(-side // classes) * classes,
            value_range=self.value_range,
            title="before training" if epoch == 0 else f"epoch {epoch}",
        )
        plotting.save_figure(figure, self.folder / f"epoch-{epoch:03d}.png", dpi=100)
        if self.log_dir is not None:
            log_figure(figure, Path(self.log_dir), "generated", epoch)

    def _drawn(self) -> tuple[Any, int]:
        """Images, and how many classes take turns in them."""
        if not hasattr(self.model, "sample_codes"):
            return self.model.generate(self.count, self.seed), 1
        classes = self.model.scheme.classes
        codes = self.model.sample_codes(self.count, np.arange(self.count) % classes, seed=self.seed)
        return self.model.decode(codes.z1, codes.z2), classes
