"""What a step asks about other replicas while it is traced."""

import pytest

tf = pytest.importorskip("tensorflow")


def test_tracing_draws_no_warning_of_autograph(monkeypatch):
    from tensorflow.python.autograph.impl import conversion
    from tensorflow.python.autograph.utils import ag_logging

    from keras_pli.replicas import replica_number

    told = []
    monkeypatch.setattr(
        ag_logging, "warning", lambda text, *values, **_: told.append(text % values)
    )
    # It warns of each function once in a process.
    monkeypatch.setattr(conversion, "_ALLOWLIST_CACHE", type(conversion._ALLOWLIST_CACHE)())
    assert int(tf.function(lambda: tf.constant(0) + replica_number())()) == 0
    assert not told
