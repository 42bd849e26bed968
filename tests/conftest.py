"""What every test process does."""

import gc


def pytest_collection_finish(session):
    """Keeps what was imported from Python's garbage collector.

    TensorFlow and Keras leave some million objects, which it would look through again and again: a tenth of
    the time of a test that traces.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
