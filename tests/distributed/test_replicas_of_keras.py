"""Keras's own models train on several workers by Keras's own `fit`."""

import numpy as np
import pytest
from trainings import assert_alike, cases
from trainings_of_keras import TRAININGS, X

WORKERS = (0, 1)


@pytest.mark.parametrize(
    ("training", "kind"), cases("keras", ["plain", "weighted", "synchronised"], WORKERS)
)
def test_workers_train_as_one_replica_does(trained, training, kind):
    assert_alike(trained(kind, f"keras.{training}"), trained("one", f"keras.{training}"))


@pytest.mark.parametrize(("training", "kind"), cases("keras", ["normalised", "mixed"], WORKERS))
def test_workers_train_as_replicas_of_a_machine_do(trained, training, kind):
    found, expected = (trained(each, f"keras.{training}") for each in (kind, "mirrored"))
    assert_alike(found, expected, 1e-3 if training == "mixed" else 1e-5)


@pytest.mark.parametrize(("training", "kind"), cases("keras", TRAININGS, [0]))
def test_workers_agree(trained, training, kind):
    assert_alike(trained(kind, f"keras.{training}"), trained(1, f"keras.{training}"), 1e-7)


@pytest.mark.parametrize(("training", "kind"), cases("keras", ["uneven"], ["mirrored", *WORKERS]))
def test_uneven_shares_count_alike(trained, training, kind):
    """Keras takes the mean over the replicas of their means, of rows (0, 1) and (2)."""
    x, y = X[:3].astype(float), X[:3, :1].astype(float) ** 2
    error = x @ np.ones((4, 1)) - y
    slopes = [np.mean(2 * error[rows] * x[rows], axis=0) for rows in (slice(0, 2), slice(2, 3))]
    found = trained(kind, f"keras.{training}")
    np.testing.assert_allclose(found["weights"][:, 0], 1 - np.mean(slopes, axis=0), rtol=1e-5)
    np.testing.assert_allclose(found["loss"], np.mean(error**2), rtol=1e-5)


@pytest.mark.slow
def test_early_stopping_came_before_the_end(trained):
    assert 3 <= trained(0, "keras.plain")["history"].shape[1] < 8
