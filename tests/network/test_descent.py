import keras
import numpy as np
import pytest
import tensorflow as tf
from slow_cases import by_default

from keras_pli.network.descent import Descent

# A quadratic bowl for each sample, one of them with its lowest point outside of [0, 1].
AIMS = np.float32([[0.2, 0.9], [0.5, 0.5], [1.4, 0.1]])
SLOPES = np.float32([[1.0, 3.0], [0.01, 0.02], [2.0, 0.5]])
START = np.full_like(AIMS, 0.5)


def bowls(points, aims=AIMS, slopes=SLOPES):
    off = points - aims
    return tf.reduce_sum(slopes * off**2, axis=1), 2 * slopes * off


def minimum(descent, objective=bowls, start=START, *, jit_compile=False):
    function = tf.function(
        lambda points: descent.minimum(lambda at, step: objective(at), points),
        jit_compile=jit_compile,
    )
    return [tensor.numpy() for tensor in function(tf.constant(start))]


def descent(steps=60, rate=0.05, patience=1000, tolerance=0.0, smoothing=0.0):
    return Descent(steps, rate, patience, tolerance, smoothing)


def adam(rate, steps):
    """The points that Keras's Adam comes to, clipped by a constraint."""
    points = keras.Variable(START)
    points.constraint = lambda value: keras.ops.clip(value, 0.0, 1.0)
    optimizer = keras.optimizers.Adam(rate, epsilon=1e-8)
    visited = [points.numpy()]
    for _ in range(steps):
        optimizer.apply([bowls(tf.convert_to_tensor(points))[1]], [points])
        points.assign(points.constraint(points.value))
        visited.append(points.numpy())
    return np.array(visited)


def by_hand(losses, patience, tolerance, smoothing):
    """The steps a sample takes and the one it keeps, from the losses along its way."""
    best, kept, stale, running = np.inf, 0, 0, losses[0]
    for step, loss in enumerate(losses):
        running = smoothing * running + (1 - smoothing) * loss
        if running < best - tolerance:
            best, kept, stale = running, step, 0
        else:
            stale += 1
        if stale >= patience:
            return step + 1, kept
    return len(losses), kept


@pytest.mark.parametrize("steps", [1, 2, 30])
@pytest.mark.slow
def test_goes_the_way_of_adam(steps):
    """The last point is not looked at, and of those that were the best is kept."""
    visited = adam(0.05, steps - 1)
    losses = np.array([bowls(points)[0] for points in visited])
    kept, taken = minimum(descent(steps))
    best = losses.argmin(axis=0)
    np.testing.assert_allclose(kept, visited[best, range(3)], atol=1e-5)
    np.testing.assert_array_equal(taken, [steps] * 3)


def test_finds_the_lowest_points_within_bounds():
    kept, _ = minimum(descent(600))
    np.testing.assert_allclose(kept, np.clip(AIMS, 0, 1), atol=2e-3)


@pytest.mark.parametrize("smoothing", by_default(0.9, of=[0.0, 0.9]))
@pytest.mark.parametrize(
    ("patience", "tolerance"),
    [
        pytest.param(3, 1e-2, marks=pytest.mark.slow),
        (8, 1e-4),
        pytest.param(1, 0.0, marks=pytest.mark.slow),
    ],
)
def test_each_sample_stops_by_itself(patience, tolerance, smoothing):
    visited = adam(0.05, 79)
    losses = np.array([bowls(points)[0] for points in visited])
    kept, taken = minimum(descent(80, 0.05, patience, tolerance, smoothing))
    for sample in range(3):
        steps, best = by_hand(losses[:, sample], patience, tolerance, smoothing)
        assert taken[sample] == steps
        np.testing.assert_allclose(kept[sample], visited[best, sample], atol=1e-5)


@pytest.mark.slow
def test_no_sample_waits_for_another():
    together = descent(80, 0.05, 3, 1e-2)
    kept, taken = minimum(together)
    assert len(set(taken)) > 1
    for sample in range(3):
        own = slice(sample, sample + 1)
        alone, steps = minimum(
            together,
            lambda points, own=own: bowls(points, AIMS[own], SLOPES[own]),
            START[own],
        )
        np.testing.assert_allclose(alone, kept[own], atol=1e-6)
        assert steps == taken[own]


def test_ends_when_all_are_frozen():
    calls = tf.Variable(0)

    def counted(points):
        calls.assign_add(1)
        return bowls(points)

    _, taken = minimum(descent(1000, 0.05, 3, 1e-2), counted)
    assert calls.numpy() == taken.max() < 100


@pytest.mark.slow
def test_is_the_same_under_xla():
    settings = descent(80, 0.05, 5, 1e-3, 0.9)
    plain, compiled = minimum(settings), minimum(settings, jit_compile=True)
    np.testing.assert_allclose(compiled[0], plain[0], atol=1e-6)
    np.testing.assert_array_equal(compiled[1], plain[1])


def test_a_loss_that_is_no_number_keeps_the_start():
    nowhere = descent(50, 0.05, 4)
    kept, taken = minimum(nowhere, lambda points: (bowls(points)[0] * np.nan, points))
    np.testing.assert_array_equal(kept, START)
    np.testing.assert_array_equal(taken, [4] * 3)
