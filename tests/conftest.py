"""What every test process does."""

import contextlib
import gc
import os

import pytest


def pytest_collection_finish(session):
    """Keeps what was imported from Python's garbage collector.

    TensorFlow and Keras leave some million objects, which it would look through again and again: a tenth of
    the time of a test that traces.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def pytest_runtest_setup(item):
    """Leaves out bfloat16 where oneDNN is told to imitate an older processor than there is.

    TensorFlow goes by the processor itself, asks oneDNN for what it is told not to have, and aborts.
    """
    if "bfloat16" in item.name and os.environ.get("ONEDNN_MAX_CPU_ISA"):
        pytest.skip("oneDNN cannot both imitate another processor and compute in bfloat16")


@pytest.fixture(scope="session")
def untraced():
    """A context in which compiled functions run as they stand, for trainings of a few steps.

    A trace costs more than all that such a training computes. One of a kind should be traced, though, as a
    user's is.
    """
    import tensorflow as tf

    @contextlib.contextmanager
    def context():
        tf.config.run_functions_eagerly(True)
        try:
            yield
        finally:
            tf.config.run_functions_eagerly(False)

    return context


def pytest_terminal_summary(terminalreporter):
    """Says that tests in a browser were left out, and why; a dot is easily overlooked."""
    skipped = [
        report.longrepr[2].removeprefix("Skipped: ")
        for report in terminalreporter.stats.get("skipped", [])
        if "studio/browser/" in report.nodeid
    ]
    for reason in sorted(set(skipped)):
        terminalreporter.write_line(
            f"{skipped.count(reason)} tests in a browser were left out: {reason}"
        )
