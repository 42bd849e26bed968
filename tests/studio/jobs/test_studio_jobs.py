"""One job at a time: what is told of it, how it ends, and how it is stopped."""

import json
import threading
import time

import keras
import numpy as np
import pytest

from keras_pli.studio.jobs.jobs import Jobs
from keras_pli.studio.jobs.progress import BatchProgress, Progress, Stopped


class Heard:
    """Events of a session, with the time at which each came."""

    def __init__(self):
        self.events, self.times = [], []

    def __call__(self, name, content, buffers=()):
        self.times.append(time.monotonic())
        self.events.append((name, content, buffers))

    @property
    def jobs(self):
        return [content["job"] for name, content, _ in self.events if name == "job"]


@pytest.fixture
def heard():
    return Heard()


@pytest.fixture
def jobs(heard):
    jobs = Jobs(heard)
    yield jobs
    jobs.close(timeout=10)


def until_stopped(progress):
    while True:
        progress.check()
        time.sleep(0.002)


def test_a_job_and_what_it_found(jobs, heard):
    def work(progress, most):
        progress.report("Counting", 0.5)
        progress.publish("epoch", {"epoch": 1}, [b"\x00" * 8])
        return {"counted": np.arange(most), "mean": np.float32("nan")}

    assert jobs.current is None
    begun = jobs.start("count", work, {"most": 3})
    assert (begun.id, begun.name, begun.runs) == (1, "count", True)
    assert jobs.wait(10).state == "done"
    told = heard.jobs[-1]
    assert told == {
        "id": 1,
        "job": "count",
        "state": "done",
        "words": "Counting",
        "progress": 1.0,
        "error": None,
        "result": {"counted": [0, 1, 2], "mean": None},
        "options": {"most": 3},
    }
    json.dumps(told, allow_nan=False)
    assert ("epoch", {"epoch": 1}, [b"\x00" * 8]) in heard.events


def test_one_at_a_time(jobs):
    jobs.start("first", until_stopped)
    with pytest.raises(RuntimeError, match=r"'first' is still running\. Stop it.*'second'"):
        jobs.start("second", until_stopped)
    jobs.stop()
    assert jobs.wait(10).state == "stopped"
    assert jobs.start("second", lambda progress: None).id == 2
    assert jobs.wait(10).state == "done"


def test_many_reports_make_few_events_and_the_last_is_among_them(jobs, heard):
    def work(progress):
        for number in range(5000):
            progress.report(f"Step {number}", number / 5000)
            if number % 1000 == 0:
                time.sleep(0.1)

    jobs.start("steps", work)
    jobs.wait(10)
    told = heard.jobs
    assert 2 <= len(told) <= 6
    assert told[-1]["state"] == "done" and all(one["state"] == "running" for one in told[:-1])
    gaps = np.diff(heard.times[:-1])  # the last does not wait
    assert (gaps > 0.19).all()
    shares = [one["progress"] or 0 for one in told]
    assert shares == sorted(shares)


def test_a_report_that_came_too_soon_is_told_later(jobs, heard):
    def work(progress):
        progress.report("First")
        time.sleep(0.02)
        progress.report("Second")
        until_stopped(progress)

    jobs.start("two", work)
    time.sleep(0.4)
    assert heard.jobs[-1]["words"] == "Second"


def test_stopping_returns_at_once(jobs):
    entered, go_on = threading.Event(), threading.Event()

    def work(progress):
        entered.set()
        go_on.wait(10)
        assert progress.stopped
        progress.report("Working", 0.9)  # that it is stopping stays to be seen
        assert jobs.current.words == "Stopping …"
        progress.check()

    jobs.start("slow", work)
    entered.wait(10)
    stopping = jobs.stop()
    assert stopping.state == "running" and stopping.words == "Stopping …"
    assert jobs.current.words == "Stopping …"
    go_on.set()
    stopped = jobs.wait(10)
    assert (stopped.state, stopped.error, stopped.result) == ("stopped", None, None)
    assert stopped.words == "Working"
    assert jobs.stop().state == "stopped"  # there is nothing to stop, and no harm


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("The plan holds\n   no change."), "The plan holds no change."),
        (MemoryError(), "MemoryError. The log says where."),
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero. The log"),
        (ValueError("x" * 5000), "x" * 600 + " …"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_a_failure_keeps_its_sentence_and_the_log_its_traceback(jobs, heard, caplog, error, told):
    def the_work_that_fails(progress):
        raise error

    jobs.start("fails", the_work_that_fails)
    failed = jobs.wait(10)
    assert failed.state == "failed" and failed.error.startswith(told)
    assert heard.jobs[-1]["error"] == failed.error
    assert "the_work_that_fails" in caplog.text
    assert jobs.start("next", lambda progress: None).runs


def test_who_listens_badly_keeps_no_job(caplog):
    def deaf(name, content, buffers):
        raise OSError("gone")

    jobs = Jobs(deaf)
    jobs.start("work", lambda progress: {"found": 1})
    assert jobs.wait(10).result == {"found": 1}
    assert "could not be told" in caplog.text


def test_a_listener_that_waits_for_who_stops_does_not_hang():
    lock, jobs = threading.RLock(), None

    def listener(name, content, buffers):
        with lock:  # as one does that asks the session
            time.sleep(0.01)

    jobs = Jobs(listener)
    jobs.start("work", until_stopped)
    with lock:
        assert jobs.stop().words == "Stopping …"
    assert jobs.wait(10).state == "stopped"


def test_closing_stops_and_waits(heard):
    jobs = Jobs(heard)
    jobs.start("work", until_stopped)
    jobs.close()
    assert jobs.current.state == "stopped" and heard.jobs[-1]["state"] == "stopped"
    with pytest.raises(RuntimeError, match="The session is closed"):
        jobs.start("work", until_stopped)


def test_keras_has_the_policy_of_who_made_the_session():
    before, found = keras.config.dtype_policy(), []
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        jobs = Jobs(lambda *event: None)
        jobs.start("work", lambda progress: found.append(keras.config.dtype_policy().name))
        jobs.wait(10)
    finally:
        keras.config.set_dtype_policy(before)
    assert found == ["mixed_bfloat16"]


class TestBatchProgress:
    def fit(self, progress, epochs=2, **kwargs):
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse", run_eagerly=True)
        callback = BatchProgress(progress, "Fitting", **kwargs)
        x = np.zeros((6, 1), np.float32)
        model.fit(x, x, batch_size=2, epochs=epochs, verbose=0, callbacks=[callback])

    def test_words_and_shares(self):
        seen = []
        progress = Progress(lambda words, share: seen.append((words, share)))
        self.fit(progress, start=0.5, end=1.0)
        assert seen[0] == ("Fitting, epoch 1 of 2", 0.5)
        assert seen[-1] == ("Fitting, epoch 2 of 2", 1.0)
        shares = [share for _, share in seen]
        assert shares == sorted(shares) and len(set(shares)) == 7

    def test_it_ends_within_an_epoch(self):
        stop, seen = threading.Event(), []

        def report(words, share):
            seen.append(share)
            if len(seen) == 3:  # after the second of six batches
                stop.set()

        with pytest.raises(Stopped):
            self.fit(Progress(report, stop=stop))
        assert len(seen) == 3
