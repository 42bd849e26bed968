import numpy as np
import pytest
from trainings_of_keras import TRAININGS, X

WORKERS = (0, 1)


def of(trained, kind, training):
    """What one training gave, by name."""
    prefix = f"keras.{training}/"
    return {
        name.removeprefix(prefix): array
        for name, array in trained(kind).items()
        if name.startswith(prefix)
    }


def assert_alike(found, expected, tolerance):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=tolerance, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("training", ["plain", "weighted", "synchronised"])
@pytest.mark.parametrize("kind", WORKERS)
def test_workers_train_as_one_replica_does(trained, training, kind):
    assert_alike(of(trained, kind, training), of(trained, "one", training), 1e-5)


@pytest.mark.parametrize(("training", "tolerance"), [("normalised", 1e-5), ("mixed", 1e-3)])
@pytest.mark.parametrize("kind", WORKERS)
def test_workers_train_as_replicas_of_a_machine_do(trained, training, tolerance, kind):
    assert_alike(of(trained, kind, training), of(trained, "mirrored", training), tolerance)


@pytest.mark.parametrize("training", TRAININGS)
def test_workers_agree(trained, training):
    assert_alike(of(trained, 0, training), of(trained, 1, training), 1e-7)


@pytest.mark.parametrize("kind", ["mirrored", *WORKERS])
def test_uneven_shares_count_alike(trained, kind):
    """Keras takes the mean over the replicas of their means: of the last three rows, (4, 5) and (6)."""
    x, y, weights, errors = X.astype(float), X[:, :1].astype(float) ** 2, np.ones((4, 1)), []
    for shares in ([slice(0, 2), slice(2, 4)], [slice(4, 6), slice(6, 7)]):
        slopes = []
        for rows in shares:
            error = x[rows] @ weights - y[rows]
            errors.extend(error)
            slopes.append(np.mean(2 * error * x[rows], axis=0))
        weights = weights - 0.1 * np.mean(slopes, axis=0)[:, None]
    found = of(trained, kind, "uneven")
    np.testing.assert_allclose(found["weights"], weights, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["loss"], [np.mean(np.square(errors))], rtol=1e-5)


def test_early_stopping_came_before_the_end(trained):
    assert 3 <= of(trained, 0, "plain")["history"].shape[1] < 8
