import keras
import numpy as np
import pytest
from scipy.spatial.distance import pdist
from sklearn.decomposition import PCA

from keras_pli.embedding import PrincipalProjection
from keras_pli.embedding.network import leading_components


@pytest.fixture(scope="module")
def z():
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(12, 12)) * np.linspace(5, 0.1, 12)
    return (rng.normal(size=(200, 12)) @ mixing.T + 30).astype(np.float32)


def adapted(z, count):
    layer = PrincipalProjection(count)
    layer.adapt(z, seed=0)
    return layer


def test_equals_scikit_learn_up_to_scale(z):
    found = keras.ops.convert_to_numpy(adapted(z, 4)(z))
    reference = PCA(4).fit(z)
    expected = reference.transform(z) / np.sqrt(reference.explained_variance_.mean())
    signs = np.sign(np.sum(found * expected, axis=0))
    np.testing.assert_allclose(found, expected * signs, atol=1e-3)


@pytest.mark.parametrize("count", [None, 4, 12, 64])
def test_is_centred_with_mean_variance_one(z, count):
    found = keras.ops.convert_to_numpy(adapted(z, count)(z))
    assert found.shape == (200, 12 if count is None else min(count, 12))
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(found.var(axis=0).mean(), 1, rtol=1e-2)


@pytest.mark.parametrize("count", [None, 12, 64])
def test_keeps_distances_up_to_scale(z, count):
    ratio = pdist(keras.ops.convert_to_numpy(adapted(z, count)(z))) / pdist(z)
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-3)


def test_fewer_samples_than_components():
    z = np.random.default_rng(1).normal(size=(5, 20)).astype(np.float32)
    found = keras.ops.convert_to_numpy(adapted(z, 8)(z))
    assert found.shape == (5, 8)
    assert (found[:, 5:] == 0).all()
    ratio = pdist(found) / pdist(z)
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-4)


@pytest.mark.parametrize("count", [None, 3])
def test_constant_data(count):
    z = np.full((30, 6), 7.0, dtype=np.float32)
    found = keras.ops.convert_to_numpy(adapted(z, count)(z))
    np.testing.assert_allclose(found, 0, atol=1e-5)


def test_further_axes_are_flattened():
    z = np.random.default_rng(2).normal(size=(40, 4, 3, 2)).astype(np.float32)
    layer = adapted(z, 5)
    flat = adapted(z.reshape(40, 24), 5)
    assert layer.compute_output_shape((None, 4, 3, 2)) == (None, 5)
    np.testing.assert_allclose(layer(z), flat(z.reshape(40, 24)), atol=1e-5)


def test_is_not_trained(z):
    layer = adapted(z, 4)
    assert layer.trainable_weights == []
    assert len(layer.non_trainable_weights) == 3


def test_config_and_weights_survive(z, tmp_path):
    model = keras.Sequential([keras.Input((12,)), adapted(z, 4)])
    model.save(tmp_path / "projection.keras")
    again = keras.models.load_model(tmp_path / "projection.keras")
    assert np.array_equal(again(z), model(z))


def test_float32_under_mixed_precision(z):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        layer = adapted(z, 4)
        assert keras.backend.standardize_dtype(layer(z).dtype) == "float32"
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("seed", [0, None])
def test_leaves_the_global_generator_alone(seed):
    # So many features that scikit-learn takes its randomised solver.
    z = np.random.default_rng(3).normal(size=(700, 600)).astype(np.float32)
    before = np.random.get_state()[1:]  # noqa: NPY002
    leading_components(z, 3, seed=seed)
    after = np.random.get_state()[1:]  # noqa: NPY002
    assert np.array_equal(before[0], after[0])
    assert before[1:] == after[1:]
