"""`PLIModel` trains under several replicas as under one."""

import numpy as np
import pytest
from trainings_of_retraining import SLOW_TRAININGS, TRAININGS, UNEVEN

SPREAD = ["mirrored", 0, 1]
ALL = [
    *(name for name in TRAININGS if name not in UNEVEN),
    *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW_TRAININGS if name not in UNEVEN),
]


def of(trained, kind, name):
    """The arrays of one training."""
    start = f"retraining.{name}/"
    return {
        key.removeprefix(start): array
        for key, array in trained(kind, slow=name in SLOW_TRAININGS).items()
        if key.startswith(start)
    }


@pytest.mark.parametrize("kind", SPREAD)
@pytest.mark.parametrize("name", ALL)
def test_losses_and_weights_are_those_of_one_replica(trained, kind, name):
    one, spread = of(trained, "one", name), of(trained, kind, name)
    assert set(one) == set(spread) and len(one) > 3
    for key, expected in one.items():
        assert np.isfinite(expected).all(), key
        np.testing.assert_allclose(spread[key], expected, rtol=1e-5, atol=1e-5, err_msg=key)


def test_workers_agree_to_the_last_bit(trained):
    first, second = trained(0), trained(1)
    for key in first:
        if key.startswith("retraining.") and "/weight" in key:
            np.testing.assert_array_equal(first[key], second[key], err_msg=key)


@pytest.mark.parametrize("kind", ["one", *SPREAD])
def test_without_a_map_training_is_that_of_keras_to_the_last_bit(trained, kind):
    ours, keras = of(trained, kind, "without_map"), of(trained, kind, "with_keras")
    assert len(keras) == 4
    for key, expected in keras.items():
        np.testing.assert_array_equal(ours[key], expected, err_msg=key)


@pytest.mark.slow
@pytest.mark.parametrize("kind", SPREAD)
def test_a_replica_without_samples_spoils_nothing(trained, kind):
    for key, array in of(trained, kind, "small_last").items():
        assert np.isfinite(array).all(), key
