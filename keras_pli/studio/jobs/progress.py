"""What a long job says of itself, and how it learns that it shall end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import keras

Report: TypeAlias = Callable[[str, float | None], None]
Publish: TypeAlias = Callable[[str, dict[str, Any], Sequence[bytes]], None]


class Stopped(Exception):
    """Raised in a job that was stopped by hand."""


class Progress:
    """What a job is given: it says how far it has come, and asks whether to go on.

    Args:
        report: Called with words, and the share done or None.
        publish: Called with an event's name, content and buffers.
        stop: Set where the job shall end.

    Example:
        >>> progress = Progress(lambda words, share: print(words, share))
        >>> progress.report("Reading activations", 0.25)
        Reading activations 0.25
        >>> progress.stopped
        False
    """

    def __init__(
        self,
        report: Report | None = None,
        publish: Publish | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self._report, self._publish = report, publish
        self._stop = threading.Event() if stop is None else stop

    @property
    def stopped(self) -> bool:
        """Whether the job shall end."""
        return self._stop.is_set()

    def check(self) -> None:
        """Raises `Stopped` where the job shall end; called between batches and phases."""
        if self.stopped:
            raise Stopped("The job was stopped.")

    def report(self, words: str, share: float | None = None) -> None:
        """Says what is being done, and which share of it is, where that is known."""
        if self._report is not None:
            self._report(words, None if share is None else min(1.0, max(0.0, share)))

    def step(self, words: str) -> None:
        """Says what is done next, or ends the job before it."""
        self.check()
        self.report(words)

    def publish(self, name: str, content: dict[str, Any], buffers: Sequence[bytes] = ()) -> None:
        """Tells everybody who looks at the session of something that happened."""
        if self._publish is not None:
            self._publish(name, content, buffers)


class BatchProgress(keras.callbacks.Callback):
    """Reports each batch of a training, and ends it by raising `Stopped` at the next one.

    Args:
        progress: Of the job.
        words: What is being done, or a function of the model that is trained which says so when a training
            begins; the epoch is added.
        start: The share of the job that is done when the training begins.
        end: The share that is done when it ends.
        trainings: How many trainings it watches one after the other, each a part of that share; all that
            come beyond have the last part.
    """

    def __init__(
        self,
        progress: Progress,
        words: str | Callable[[keras.Model], str],
        *,
        start: float = 0.0,
        end: float = 1.0,
        trainings: int = 1,
    ) -> None:
        super().__init__()
        self.progress, self._words = progress, words
        self._first, self._part = start, (end - start) / trainings
        self._most, self._begun, self._epoch, self._said = trainings, 0, 0, ""

    def on_train_begin(self, logs: Any = None) -> None:
        """Ends a training before its first batch."""
        self.progress.check()
        self._begun += 1
        self._said = self._words if isinstance(self._words, str) else self._words(self.model)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Notes the epoch."""
        self._epoch = epoch
        self._tell(0.0)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Ends the training where it shall end."""
        self.progress.check()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Says how far it has come, or ends it."""
        self.progress.check()
        self._tell((batch + 1) / (self.params.get("steps") or batch + 1))

    def _tell(self, of_epoch: float) -> None:
        epochs = self.params.get("epochs") or 1
        done = min(1.0, (self._epoch + of_epoch) / epochs)
        begun = min(self._begun, self._most) - 1
        share = self._first + (begun + done) * self._part
        self.progress.report(f"{self._said}, epoch {self._epoch + 1} of {epochs}", share)
