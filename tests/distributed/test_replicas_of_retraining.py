"""`PLIModel` trains under several replicas as under one."""

import numpy as np
import pytest
from trainings import assert_alike, assert_as_one_replica, assert_weights_equal, cases
from trainings_of_retraining import TRAININGS, UNEVEN

SPREAD = ["mirrored", 0, 1]
EVEN = [name for name in TRAININGS if name not in UNEVEN]


@pytest.mark.parametrize(("training", "kind"), cases("retraining", EVEN, SPREAD))
def test_losses_and_weights_are_those_of_one_replica(trained, training, kind):
    assert_as_one_replica(trained, f"retraining.{training}", kind)


@pytest.mark.parametrize(("training", "kind"), cases("retraining", TRAININGS, [0]))
def test_workers_agree_to_the_last_bit(trained, training, kind):
    found, expected = (trained(each, f"retraining.{training}") for each in (kind, 1))
    if training == "experiment":  # which tells what its networks give, and not their weights
        assert_alike(found, expected, 0)
    else:
        assert_weights_equal(found, expected)


@pytest.mark.parametrize(
    ("training", "kind"), cases("retraining", ["without_map"], ["one", *SPREAD])
)
def test_without_a_map_training_is_that_of_keras_to_the_last_bit(trained, training, kind):
    ours, keras = (trained(kind, f"retraining.{name}") for name in (training, "with_keras"))
    assert len(keras) == 4
    for key, expected in keras.items():
        np.testing.assert_array_equal(ours[key], expected, err_msg=key)


@pytest.mark.parametrize(("training", "kind"), cases("retraining", ["small_last"], SPREAD))
def test_a_replica_without_samples_spoils_nothing(trained, training, kind):
    for key, array in trained(kind, f"retraining.{training}").items():
        assert np.isfinite(array).all(), key
