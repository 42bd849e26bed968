import doctest

import numpy as np
import pytest
from scipy import stats

import keras_pli.intervals
from keras_pli.intervals import mean_interval


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
@pytest.mark.parametrize("count", [2, 5, 40])
def test_agrees_with_scipy(count, confidence):
    values = np.random.default_rng(count).normal(3, 2, size=count)
    expected = stats.ttest_1samp(values, 0).confidence_interval(confidence)
    mean, low, high = mean_interval(values, confidence)
    np.testing.assert_allclose((mean, low, high), (values.mean(), *expected), rtol=1e-9)


def test_shape_does_not_matter_and_nan_is_left_out():
    values = np.array([[1.0, np.nan, 4.0], [2.0, 8.0, np.nan]])
    assert mean_interval(values) == mean_interval([1, 4, 2, 8])


def test_equal_values_have_an_interval_of_no_width():
    assert mean_interval([2, 2, 2]) == (2.0, 2.0, 2.0)


@pytest.mark.parametrize(("values", "mean"), [([5.0], 5.0), ([np.nan, 5.0], 5.0)])
def test_one_value_has_no_interval(values, mean):
    found = mean_interval(values)
    assert found[0] == mean
    assert np.isnan(found[1:]).all()


@pytest.mark.parametrize("values", [[], [np.nan]])
def test_no_value_has_no_mean(values):
    assert np.isnan(mean_interval(values)).all()


def test_covers_as_often_as_it_says():
    rng = np.random.default_rng(1)
    intervals = [mean_interval(rng.normal(size=4), 0.8)[1:] for _ in range(2000)]
    share = np.mean([low <= 0 <= high for low, high in intervals])
    assert abs(share - 0.8) < 0.03


def test_example():
    assert doctest.testmod(keras_pli.intervals).failed == 0
