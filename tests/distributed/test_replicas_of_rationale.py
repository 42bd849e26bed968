"""GANs and encoders train under several replicas as under one."""

import numpy as np
import pytest
from trainings_of_rationale import SLOW_TRAININGS, TRAININGS

SPREAD = ["mirrored", 0, 1]
ALL = [*TRAININGS, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW_TRAININGS)]


def of(trained, kind, name):
    """The arrays of one training."""
    start = f"rationale.{name}/"
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
        if key.startswith("rationale.") and "/weight" in key:
            np.testing.assert_array_equal(first[key], second[key], err_msg=key)


def test_a_failure_on_one_replica_stops_all_at_the_last_good_weights(trained):
    for kind in ("one", *SPREAD):
        assert of(trained, kind, "failed")["failed"].tolist() == [1, 2]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resumed", "restored"])
@pytest.mark.parametrize("kind", ["one", *SPREAD])
def test_a_resumed_training_ends_where_an_uninterrupted_one_does(trained, kind, name):
    whole, again = of(trained, kind, "uninterrupted"), of(trained, kind, name)
    weights = [key for key in whole if key.startswith("weight")]
    assert len(weights) == 8
    for key in weights:
        np.testing.assert_array_equal(again[key], whole[key], err_msg=key)
