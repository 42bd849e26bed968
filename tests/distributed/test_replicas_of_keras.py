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
    """Keras takes the mean over the replicas of their means, in the last batch of two rows and of one."""
    x, y = X[:7].astype(float), X[:7, :1].astype(float) ** 2
    weights, errors = np.ones((4, 1)), []
    for shares in ([(0, 1), (2, 3)], [(4, 5), (6,)]):
        error = x @ weights - y
        errors += [error[list(rows)] for rows in shares]
        slopes = [np.mean(2 * error[rows, :] * x[rows, :], axis=0) for rows in map(list, shares)]
        weights = weights - 0.1 * np.mean(slopes, axis=0)[:, None]
    found = trained(kind, f"keras.{training}")
    np.testing.assert_allclose(found["weights"], weights, rtol=1e-5)
    np.testing.assert_allclose(found["loss"], np.mean(np.concatenate(errors) ** 2), rtol=1e-5)


@pytest.mark.slow
def test_early_stopping_came_before_the_end(trained):
    assert 3 <= trained(0, "keras.plain")["history"].shape[1] < 8
