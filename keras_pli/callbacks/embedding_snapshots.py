"""The map after each epoch, as arrays, pictures and an animation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from .. import plotting
from ..checks import checked_number
from ..files import write_arrays
from .sample import check_map, class_labels, outputs_of, watched_sample
from .tensorboard import log_figure


class EmbeddingSnapshots(keras.callbacks.Callback):
    """Stores the map after each epoch of a `PLIModel`.

    Writes `epoch-000.npz` (before training) and one for every epoch after it, each with `embedding` and
    `labels`; beside them a picture, unless there are more than two components; and at the end of training
    `embedding.gif`.

    Args:
        folder: Where to store them.
        data: `(x, y)` to map; None for what `fit` was given.
        class_names: Names of the classes 0, 1, ….
        pictures: Whether to draw; arrays are stored in any case.
        log_dir: Folder of TensorBoard logs to add the pictures to, or None.
        every: Epochs from one snapshot to the next.
        most: Samples mapped at the most.
        seed: Seed of their choice among more.

    Raises:
        TypeError: If the model is not a `PLIModel`.
        ValueError: If `every` is less than 1, or the model has no embedder.

    Example:
        >>> callback = EmbeddingSnapshots("runs/maps", every=2)
    """

    def __init__(
        self,
        folder: str | Path,
        data: Any = None,
        *,
        class_names: Sequence[str] | None = None,
        pictures: bool = True,
        log_dir: str | Path | None = None,
        every: int = 1,
        most: int = 5000,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.folder, self.data, self.class_names = Path(folder), data, class_names
        self.every = checked_number(every, "every", least=1, whole=True)
        self.pictures, self.log_dir = pictures, log_dir
        self.most, self.seed = most, seed

    def on_train_begin(self, logs: Any = None) -> None:
        """Stores the map before training."""
        self._x, y = watched_sample(self.model, self.data, most=self.most, seed=self.seed)
        check_map(self.model, "EmbeddingSnapshots")
        classes = class_labels(y["label"])
        self._labels = y["label"] if classes is None else classes
        # Points of several labels, or of numbers that name no class, are drawn alike.
        self._colors = classes if classes is not None and classes.ndim == 1 else None
        self._frames: list[Any] = []
        self._epochs: list[int] = []
        self._store(0)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Stores the map after an epoch."""
        if (epoch + 1) % self.every == 0:
            self._store(epoch + 1)

    def on_train_end(self, logs: Any = None) -> None:
        """Puts the maps together as an animation."""
        if self._drawn:
            plotting.animate_maps(
                self._frames,
                self._colors,
                self.folder / "embedding.gif",
                titles=[_title(epoch) for epoch in self._epochs],
                class_names=self.class_names,
            )

    @property
    def _drawn(self) -> bool:
        return self.pictures and self._frames[0].shape[1] == 2

    def _store(self, epoch: int) -> None:
        embedding = outputs_of(self.model, self._x)["embedding"]
        self._frames.append(embedding)
        self._epochs.append(epoch)
        arrays = {"embedding": embedding, "labels": self._labels}
        path = write_arrays(self.folder / f"epoch-{epoch:03d}.npz", arrays)
        if self._drawn:
            figure = plotting.embedding_map(
                embedding, self._colors, class_names=self.class_names, title=_title(epoch)
            )
            plotting.save_figure(figure, path.with_suffix(".png"), dpi=100)
            if self.log_dir is not None:
                log_figure(figure, Path(self.log_dir), "embedding", epoch)


def _title(epoch: int) -> str:
    return "before training" if epoch == 0 else f"epoch {epoch}"
