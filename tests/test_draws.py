import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from keras_pli.draws import normal, uniform


@pytest.mark.parametrize(("draw", "distribution"), [(uniform, stats.uniform), (normal, stats.norm)])
def test_draws_follow_their_distribution(draw, distribution):
    values = draw((200, 100), (3, 5)).numpy().ravel()
    assert stats.kstest(values, distribution.cdf).pvalue > 0.01
    assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 0.03


@pytest.mark.parametrize("draw", [uniform, normal])
def test_draws_are_the_same_under_xla(draw):
    def numbers(step):
        return draw((4, 30), (9, step))

    plain = tf.function(numbers)
    compiled = tf.function(numbers, jit_compile=True)
    for step in map(tf.constant, (0, 1, 2**30)):
        np.testing.assert_allclose(plain(step), compiled(step), atol=1e-4)
    assert (plain(tf.constant(0)).numpy() != plain(tf.constant(1)).numpy()).all()


def test_uniform_draws_reach_neither_end():
    values = uniform((2000, 1000), (0, 0)).numpy()
    assert 0 < values.min() < 1e-5
    assert 1 - 1e-5 < values.max() < 1
