import zipfile

import h5py
import keras
import numpy as np
import pytest
from scipy.spatial.distance import pdist
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from keras_pli.embedding import PrincipalProjection


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
    assert len(layer.non_trainable_weights) == 5


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


def host(tensor):
    return keras.ops.convert_to_numpy(tensor)


class TestOnHost:
    @pytest.mark.parametrize("count", [None, 4])
    @pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
    def test_equals_a_call(self, z, count, dtype):
        z = np.clip(z + 60, 0, 255).astype(dtype)
        layer = adapted(z, count)
        np.testing.assert_allclose(layer.on_host(z), host(layer(z)), atol=1e-5)

    @pytest.mark.parametrize("count", [None, 4])
    def test_an_offset_costs_no_digit(self, z, count):
        z = z.astype(np.float64) - z.mean()
        near, far = adapted(z, count), adapted(z + 1e7, count)
        np.testing.assert_allclose(far.on_host(z + 1e7), near.on_host(z), atol=1e-5)

    @pytest.mark.parametrize("count", [None, 4])
    @pytest.mark.parametrize("scale", [1e-20, 1e18, 1e30])
    def test_scale(self, z, count, scale):
        z = z.astype(np.float64)
        scaled = adapted(scale * z, count)
        np.testing.assert_allclose(
            scaled.on_host(scale * z), adapted(z, count).on_host(z), atol=1e-5
        )
        np.testing.assert_allclose(
            host(scaled((scale * z).astype(np.float32))), scaled.on_host(scale * z), atol=1e-4
        )

    def test_memory_mapped_and_further_axes(self, tmp_path):
        z = np.random.default_rng(2).normal(size=(40, 4, 3))
        np.save(tmp_path / "z.npy", z)
        mapped = np.load(tmp_path / "z.npy", mmap_mode="r")
        found = adapted(mapped, 5).on_host(mapped)
        assert type(found) is np.ndarray
        assert found.dtype == np.float32
        assert np.array_equal(found, adapted(z, 5).on_host(z))


def halves(z):
    """Two halves that lie far from each other."""
    z = z.astype(np.float64)
    return z + np.where(np.arange(len(z)) < len(z) // 2, 0, 1e4)[:, None]


def far_row(z):
    z = z.astype(np.float64)
    z[5] += 1e4
    return z


@pytest.fixture(scope="module")
def digits():
    return load_digits().data[:600]


class TestFarPoints:
    def test_ordinary_data_are_left_as_they_are(self, digits):
        reference = PCA(50, svd_solver="full").fit(digits)
        expected = reference.transform(digits) / np.sqrt(reference.explained_variance_.mean())
        np.testing.assert_allclose(adapted(digits, 50).on_host(digits), expected, atol=1e-3)
        expected = (digits - digits.mean(axis=0)) / np.sqrt(digits.var(axis=0).mean())
        np.testing.assert_allclose(adapted(digits, None).on_host(digits), expected, atol=1e-4)

    @pytest.mark.parametrize("distortion", [halves, far_row])
    def test_neighbours_stay_visible(self, digits, distortion):
        z = distortion(digits)
        found = adapted(z, 50).on_host(z)
        assert np.abs(found).max() < 100
        others = np.delete(np.arange(600), 5)
        typical = np.linalg.norm(found[others] - found[others].mean(axis=0), axis=1).mean()
        spacing = NearestNeighbors(n_neighbors=10).fit(found[others]).kneighbors()[0].mean()
        assert spacing > 0.1 * typical  # digits themselves .5
        # The same neighbours as without the distance between the groups.
        near = NearestNeighbors(n_neighbors=10).fit(z[others]).kneighbors()[1]
        near_found = NearestNeighbors(n_neighbors=10).fit(found[others]).kneighbors()[1]
        shared = [len(set(a) & set(b)) / 10 for a, b in zip(near, near_found, strict=True)]
        assert np.mean(shared) > 0.9

    def test_squash_is_monotone_and_moderate(self):
        layer = adapted(np.random.default_rng(0).normal(size=(500, 1)), 1)
        x = np.concatenate([-np.logspace(30, -5, 200), np.logspace(-5, 30, 200)])
        found = np.sign(layer.on_host(np.array([[1.0]]))) * layer.on_host(x[:, None])
        inner = np.abs(x) < 1e4
        assert (np.diff(found[inner, 0]) > 0).all()
        assert (np.diff(found[:, 0]) >= 0).all()
        assert found.max() < 40

    @pytest.mark.parametrize("value", [0.0, 1e-3, 1.7, 1.9, 6.0, 10.0, 40.0, 1e3, -25.0])
    def test_gradient_equals_finite_differences(self, value):
        tf = pytest.importorskip("tensorflow")
        if keras.backend.backend() != "tensorflow":
            pytest.skip("a tape of TensorFlow")
        layer = adapted(np.random.default_rng(0).normal(size=(500, 1)), 1)
        x = tf.constant([[value]])
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        step = 1e-6 * max(1.0, abs(value))
        ends = np.array([[value - step], [value + step]])
        # on_host in float64 before its result is rounded
        low, high = _unrounded(layer, ends)[:, 0]
        np.testing.assert_allclose(
            host(tape.gradient(y, x))[0, 0], (high - low) / (2 * step), rtol=2e-3, atol=1e-7
        )

    def test_constant_and_tiny_data(self):
        z = np.full((30, 6), 1e-42)
        assert (adapted(z, 3).on_host(z) == 0).all()


def _unrounded(layer, z):
    from keras_pli.embedding.network import _squashed

    center, scale, axes, remainder, limit = (host(w).astype(np.float64) for w in layer.weights)
    return _squashed((z - center - remainder) / scale @ axes, limit, np)


class TestEarlierFiles:
    @pytest.mark.parametrize("count", [None, 4])
    def test_give_the_same_outputs(self, z, count, tmp_path):
        layer = adapted(z, count)
        keras.Sequential([keras.Input((12,)), layer]).save(tmp_path / "new.keras")
        stored = 2 if count is None else 3
        with (
            zipfile.ZipFile(tmp_path / "new.keras") as new,
            zipfile.ZipFile(tmp_path / "old.keras", "w") as old,
        ):
            for name in new.namelist():
                if name == "model.weights.h5":
                    new.extract(name, tmp_path)
                    with h5py.File(tmp_path / name, "r+") as weights:
                        held = weights["layers/principal_projection/vars"]
                        for later in range(stored, stored + 2):
                            del held[str(later)]
                    old.write(tmp_path / name, name)
                else:
                    old.writestr(name, new.read(name))
        model = keras.models.load_model(tmp_path / "old.keras")
        expected = (z - host(layer.center)) / host(layer.scale)
        expected = expected if count is None else expected @ host(layer.axes)
        # Without a limit, also where the layer of today would squash.
        np.testing.assert_allclose(host(model(z)), expected, rtol=1e-5, atol=1e-5)
        far = 1e5 * expected.max() + z
        plain = (far - host(layer.center)) / host(layer.scale)
        plain = plain if count is None else plain @ host(layer.axes)
        np.testing.assert_allclose(host(model(far)), plain, rtol=1e-4, atol=1)
