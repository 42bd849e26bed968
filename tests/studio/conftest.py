"""What tests of the studio share."""

import pytest
import tensorflow as tf


@pytest.fixture(scope="module")
def without_tracing():
    """Runs compiled functions as they stand: a trace costs more than all that is computed in these tests."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)
