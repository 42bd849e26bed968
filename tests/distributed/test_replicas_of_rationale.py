"""GANs and encoders train under several replicas as under one."""

import pytest
from trainings import assert_as_one_replica, assert_weights_equal, cases
from trainings_of_rationale import TRAININGS

SPREAD = ["mirrored", 0, 1]


@pytest.mark.parametrize(("training", "kind"), cases("rationale", TRAININGS, SPREAD))
def test_losses_and_weights_are_those_of_one_replica(trained, training, kind):
    assert_as_one_replica(trained, f"rationale.{training}", kind)


@pytest.mark.parametrize(("training", "kind"), cases("rationale", TRAININGS, [0]))
def test_workers_agree_to_the_last_bit(trained, training, kind):
    assert_weights_equal(*(trained(each, f"rationale.{training}") for each in (kind, 1)))


@pytest.mark.parametrize(("training", "kind"), cases("rationale", ["failed"], ["one", *SPREAD]))
def test_a_failure_on_one_replica_stops_all_at_the_last_good_weights(trained, training, kind):
    assert trained(kind, f"rationale.{training}")["failed"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("training", "kind"), cases("rationale", ["resumed", "restored"], ["one", *SPREAD])
)
def test_a_resumed_training_ends_where_an_uninterrupted_one_does(trained, training, kind):
    whole, again = (trained(kind, f"rationale.{name}") for name in ("uninterrupted", training))
    assert sum(key.startswith("weight") for key in whole) == 8
    assert_weights_equal(again, whole)
