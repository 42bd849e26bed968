"""Long work of a session: one job at a time, in a thread, told of as it goes on, and stopped by hand."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, TypeAlias

import keras

from .plain import plain
from .progress import Progress, Publish, Stopped

RUNNING, DONE, FAILED, STOPPED = "running", "done", "failed", "stopped"
INTERVAL = 0.2  # seconds between two events of a job, at the least
MOST_LETTERS = 600

# What is done: it is given a `Progress` and the options by name, and returns plain data or None.
Work: TypeAlias = Callable[..., Mapping[str, Any] | None]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """How a job stands.

    Args:
        id: Its number in this session's process, from 1.
        name: What kind of job it is, such as `"retrain"`.
        state: `"running"`, `"done"`, `"failed"` or `"stopped"`.
        words: What is being done, or was done last.
        share: Which share of it is done, in [0, 1], or None where nobody can tell.
        error: Why it failed, a sentence.
        result: What it found, as plain data.
        options: What it was started with.
    """

    id: int
    name: str
    state: str = RUNNING
    words: str = ""
    share: float | None = None
    error: str | None = None
    result: Mapping[str, Any] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def runs(self) -> bool:
        """Whether it is under way."""
        return self.state == RUNNING

    def told(self) -> dict[str, Any]:
        """Returns it as plain data for a page."""
        return {
            "id": self.id,
            "job": self.name,
            "state": self.state,
            "words": self.words,
            "progress": self.share,
            "error": self.error,
            "result": plain(self.result),
            "options": plain(self.options),
        }


class Jobs:
    """Runs one job at a time.

    Events are published as `publish("job", {"job": …}, ())`, at most five a second and always the last, in a
    thread of their own: whoever starts, stops or reports never waits for those who listen.

    Args:
        publish: Called with an event's name, content and buffers.

    Example:
        >>> jobs = Jobs(lambda name, content, buffers: None)
        >>> job = jobs.start("count", lambda progress, most: {"counted": most}, {"most": 3})
        >>> jobs.wait().result
        {'counted': 3}
    """

    def __init__(self, publish: Publish) -> None:
        self._publish = publish
        self._lock = threading.Lock()
        self._numbers = count(1)
        self._running: _Running | None = None
        self._closed = False
        # Keras keeps this for each thread by itself.
        self._policy = keras.config.dtype_policy()

    @property
    def current(self) -> Job | None:
        """The job that runs, or the last one; None before the first."""
        running = self._running
        return None if running is None else running.job

    def start(self, name: str, work: Work, options: Mapping[str, Any] | None = None) -> Job:
        """Begins a job, and returns at once.

        Args:
            name: What kind of job it is.
            work: Called as `work(progress, **options)` in a thread.
            options: What it is told, and the page as well.

        Raises:
            RuntimeError: If another job runs, or the session is closed.
        """
        with self._lock:
            if self._closed:
                raise RuntimeError("The session is closed, so no job can be started.")
            if self._running is not None and self._running.job.runs:
                raise RuntimeError(
                    f"One job runs at a time, and {self._running.job.name!r} is still running. Stop it, or "
                    f"wait until it has ended, before you start {name!r}."
                )
            job = Job(next(self._numbers), name, options=dict(options or {}))
            self._running = _Running(job, work, self._publish, self._policy)
            self._running.start()
            return job

    def stop(self) -> Job | None:
        """Asks the job to end, and returns at once: it ends at its next batch or phase."""
        running = self._running
        if running is None:
            return None
        running.stop()
        return running.job

    def wait(self, timeout: float | None = None) -> Job | None:
        """Waits until the job has ended and its last event is out, and returns it as it then stands.

        Args:
            timeout: Seconds to wait at most.
        """
        running = self._running
        if running is None:
            return None
        running.join(timeout)
        return running.job

    def close(self, timeout: float | None = None) -> None:
        """Stops the job and waits until it has ended; no other can be started.

        Args:
            timeout: Seconds to wait at most.
        """
        with self._lock:
            self._closed = True
        self.stop()
        self.wait(timeout)


class _Running:
    """A job, the thread that does it, and the thread that tells of it."""

    def __init__(self, job: Job, work: Work, publish: Publish, policy: Any) -> None:
        self._job, self._work, self._publish, self._policy = job, work, publish, policy
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self._news, self._said = True, ""
        name = f"studio-{job.name}"
        self._threads = [
            threading.Thread(target=self._do, name=name, daemon=True),
            threading.Thread(target=self._tell, name=f"{name}-events", daemon=True),
        ]

    @property
    def job(self) -> Job:
        return self._job

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self, timeout: float | None) -> None:
        for thread in self._threads:
            thread.join(timeout)

    def stop(self) -> None:
        self._stop.set()
        self._change(words="Stopping …")

    def _report(self, words: str, share: float | None) -> None:
        self._said = words
        if not self._stop.is_set():
            self._change(words=words, share=share)

    def _change(self, **entries: Any) -> None:
        with self._changed:
            if self._job.runs:
                self._job = replace(self._job, **entries)
                self._news = True
                self._changed.notify_all()

    def _do(self) -> None:
        keras.config.set_dtype_policy(self._policy)
        progress = Progress(self._report, self._publish, self._stop)
        try:
            result = self._work(progress, **self._job.options)
        except Stopped:
            self._change(state=STOPPED, words=self._said)
        except BaseException as error:
            _log.exception("The job %r failed.", self._job.name)
            self._change(state=FAILED, words=self._said, error=sentence_of(error))
        else:
            self._change(state=DONE, words=self._said, share=1.0, result=result)

    def _tell(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._news)
                self._news, job = False, self._job
            try:
                self._publish("job", {"job": job.told()}, ())
            except Exception:
                _log.exception("An event of the job %r could not be told.", job.name)
            if not job.runs:
                return
            with self._changed:  # the last one is not kept waiting
                self._changed.wait_for(lambda: not self._job.runs, INTERVAL)


def sentence_of(error: BaseException) -> str:
    """Returns an error as a sentence for a page: its kind where that is no part of what is said.

    Example:
        >>> sentence_of(ValueError("λ lies outside [0, 1].")), sentence_of(KeyError("x"))
        ('λ lies outside [0, 1].', "KeyError: 'x'. The log says where.")
    """
    text = " ".join(str(error).split())
    if len(text) > MOST_LETTERS:
        text = f"{text[:MOST_LETTERS]} …"
    if text and isinstance(error, ValueError | TypeError | RuntimeError | OSError):
        return text
    return f"{type(error).__name__}{': ' if text else ''}{text.rstrip('.')}. The log says where."
