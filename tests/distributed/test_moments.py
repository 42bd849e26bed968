"""Means and variances from parts, against NumPy and exact fractions."""

import doctest
from fractions import Fraction

import numpy as np
import pytest

from keras_pli.distributed.ray_data.reductions import moments
from keras_pli.distributed.ray_data.reductions.moments import Moments, Pairwise


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_parts_of_any_size_give_what_numpy_gives(offset):
    rng = np.random.default_rng(0)
    rows = offset + rng.normal(size=(5000, 3, 2))
    parts = Pairwise()
    for part in np.split(rows, np.sort(rng.choice(np.arange(1, 5000), 300, replace=False))):
        parts.add(Moments.of(part))
    found = parts.total
    assert found.count == 5000
    # float64 at 1e6 is exact to 1e-10; sums of squares would lose 12 digits of 16.
    np.testing.assert_allclose(found.mean, rows.mean(axis=0), rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(found.deviation, (rows - offset).std(axis=0, ddof=1), rtol=1e-10)
    np.testing.assert_allclose(
        found.error, (rows - offset).std(axis=0, ddof=1) / np.sqrt(5000), rtol=1e-10
    )


def test_of_float32_far_from_zero_against_exact_fractions():
    rows = (1e6 + np.random.default_rng(1).normal(size=1001)).astype("float32")
    exact = [Fraction(float(row)) for row in rows]
    mean = sum(exact) / len(exact)
    variance = sum((row - mean) ** 2 for row in exact) / (len(exact) - 1)
    found = Moments.of(rows[:400]).joined(Moments.of(rows[400:]))
    assert float(found.mean) == pytest.approx(float(mean), rel=1e-15)
    assert float(found.variance) == pytest.approx(float(variance), rel=1e-11)


def test_chunks_do_not_matter(monkeypatch):
    rows = np.random.default_rng(2).normal(size=(97, 5))
    whole = Moments.of(rows)
    monkeypatch.setattr(moments, "_CHUNK_ENTRIES", 31)
    parted = Moments.of(rows)
    assert parted.count == whole.count
    np.testing.assert_allclose(parted.mean, whole.mean, rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(parted.squares, whole.squares, rtol=1e-13)


def test_a_single_row_has_no_spread_and_equal_rows_have_none():
    assert np.isnan(Moments.of(np.ones((1, 2))).error).all()
    equal = Moments.of(np.full((7, 2), 0.1))
    assert equal.deviation.tolist() == [0.0, 0.0]
    assert equal.mean.tolist() == [0.1, 0.1]


def test_memory_is_that_of_a_few_parts():
    parts = Pairwise()
    for number in range(1000):
        parts.add(Moments.of(np.array([float(number)])))
        assert len(parts._waiting) <= 11
    assert float(parts.total.mean) == 499.5


def test_examples():
    assert not doctest.testmod(moments).failed
