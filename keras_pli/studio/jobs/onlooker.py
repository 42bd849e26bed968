"""A training watched from epoch to epoch: where the points of the map are, and how held-out samples fare."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from ...retraining import PLIModel
from ...retraining.data import Inputs, rows_of
from ...retraining.outputs import decided_classes
from .plain import plain
from .progress import Progress

Array = NDArray[Any]
MOST_POINTS = 20_000
BATCH = 512


class Onlooker:
    """Looks at a classifier through a frozen map, without a part in its training.

    Args:
        classifier: The classifier that is trained.
        embedder: The frozen map.
        layer: The layer that it maps.
        train: Inputs and labels of the training samples, which are the points of the map.
        test: Inputs and labels of held-out samples.
        most: How many points are followed; of more, so many are drawn, the same each time.
    """

    def __init__(
        self,
        classifier: keras.Model,
        embedder: keras.Model,
        layer: str,
        train: tuple[Inputs, Array],
        test: tuple[Inputs, Array],
        *,
        most: int = MOST_POINTS,
    ) -> None:
        self._looking = PLIModel(classifier, embedder, layer)
        self._train, self._test = train, test
        self.rows = _drawn(len(train[1]), most)
        self._followed = train[0] if self.rows is None else rows_of(train[0], self.rows)

    def followed(self, progress: Progress) -> NDArray[np.float32]:
        """Returns where the points are that are followed, float32 `(rows, components)`."""
        return self._seen(self._followed, progress)["embedding"]

    def map(self, progress: Progress) -> NDArray[np.float32]:
        """Returns where all points are, float32 `(samples, components)`."""
        return self._seen(self._train[0], progress)["embedding"]

    def scores(self, progress: Progress) -> dict[str, Any]:
        """Returns `accuracy` and `f1` by class on the held-out samples; None for a class that has none."""
        x, labels = self._test
        outputs = self._seen(x, progress)["label"]
        decided = decided_classes(outputs, self._looking.classifier)
        classes = np.arange(max(2, outputs.shape[1]))
        f1 = f1_score(labels, decided, labels=classes, average=None, zero_division=0)
        there = np.isin(classes, labels)
        return {
            "accuracy": float(np.mean(decided == labels)),
            "f1": plain(np.where(there, f1, np.nan)),
        }

    def _seen(self, x: Inputs, progress: Progress) -> dict[str, NDArray[np.float32]]:
        found = self._looking.predict(
            x, batch_size=BATCH, verbose=0, callbacks=[_UntilStopped(progress)]
        )
        return {name: np.asarray(values, dtype=np.float32) for name, values in found.items()}


class EpochEvents(keras.callbacks.Callback):
    """Publishes an event "epoch" after each epoch of an arm.

    Its content is `{arm, seed, epoch, epochs, logs, scores}`; its buffers are the positions of the points
    that are followed, float32 x0 y0 x1 y1 …, and, where these are not all, their rows, int32. There are no
    buffers where a position is not finite.

    Args:
        onlooker: What looks.
        progress: Of the job.
        seed: The arm's seed.
        arm: `"control"` or `"PLI"`.
    """

    def __init__(self, onlooker: Onlooker, progress: Progress, *, seed: int, arm: str) -> None:
        super().__init__()
        self.onlooker, self.progress, self.seed, self.arm = onlooker, progress, seed, arm
        self.last: NDArray[np.float32] | None = None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Looks, and tells."""
        self.last = self.onlooker.followed(self.progress)
        content = {
            "arm": self.arm,
            "seed": self.seed,
            "epoch": epoch + 1,
            "epochs": self.params.get("epochs"),
            "logs": plain(dict(logs or {})),
            "scores": self.onlooker.scores(self.progress),
        }
        buffers = []
        if np.isfinite(self.last).all():
            buffers = [self.last.astype("<f4").tobytes()]
            if self.onlooker.rows is not None:
                buffers.append(self.onlooker.rows.astype("<i4").tobytes())
        self.progress.publish("epoch", content, buffers)


class _UntilStopped(keras.callbacks.Callback):
    """Ends a prediction between two batches."""

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self._progress = progress

    def on_predict_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._progress.check()


def _drawn(samples: int, most: int) -> NDArray[np.int64] | None:
    """Rows of points to follow, in order; None for all."""
    if samples <= most:
        return None
    return np.sort(np.random.default_rng(0).choice(samples, most, replace=False))
