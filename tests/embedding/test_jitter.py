import keras
import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors
from small_maps import SMALL, few_digits

from keras_pli.embedding import ParametricTSNE, affinities, nearest_neighbors
from keras_pli.embedding.batches import UniformBatches, nearest_distance
from keras_pli.embedding.stages import Jitter


def displacements(jitter, row, size=2000):
    found = jitter.of(np.arange(size, dtype=np.int32), keras.ops.convert_to_tensor(row, "int32"))
    return keras.ops.convert_to_numpy(found)


def test_displacements_have_the_length_asked_for_and_differ_between_steps():
    jitter = Jitter.of_scale(0.7, 20, np.random.default_rng(0))
    steps = [displacements(jitter, row) for row in range(5)]
    for drawn in steps:
        lengths = np.sqrt(np.mean(np.sum(drawn**2, axis=1)))
        np.testing.assert_allclose(lengths, 0.7, rtol=0.02)
        np.testing.assert_allclose(drawn.mean(axis=0), 0, atol=0.02)
    for other in steps[1:]:
        assert abs(np.corrcoef(steps[0].ravel(), other.ravel())[0, 1]) < 0.05


def test_a_batch_larger_than_the_table():
    assert displacements(Jitter.of_scale(1.0, 2, np.random.default_rng(0)), 7, 30_000).shape == (
        30_000,
        2,
    )


def test_the_unit_is_the_distance_of_nearest_neighbours():
    z = np.random.default_rng(1).normal(size=(300, 6)).astype(np.float32)
    z[:50] = z[0]  # duplicates, whose distance of 0 says nothing
    p = affinities(nearest_neighbors(z, perplexity=10), perplexity=10)
    found = nearest_distance(UniformBatches.of(z, p))
    distances, _ = NearestNeighbors(n_neighbors=1).fit(z).kneighbors()
    distances = distances[50:, 0]
    np.testing.assert_allclose(found, np.median(distances), rtol=0.02)


def test_points_that_all_coincide_are_not_displaced():
    z = np.ones((60, 4), dtype=np.float32)
    p = affinities(nearest_neighbors(z, perplexity=5), perplexity=5)
    assert nearest_distance(UniformBatches.of(z, p)) == 0


@pytest.mark.slow
@pytest.mark.usefixtures("stepped")
def test_networks_of_the_caller_are_shown_points_as_they_are():
    network = keras.Sequential([keras.layers.Dense(5), keras.layers.Dense(2)])
    z = few_digits()
    maps = []
    for jitter in (0.0, 3.0):
        model = ParametricTSNE(
            perplexity=10, network=keras.models.clone_model(network), jitter=jitter, seed=0
        )
        model.network.build((None, z.shape[1]))
        model.network.set_weights(
            [
                np.full(w.shape, 0.01 * (i + 1), "float32")
                for i, w in enumerate(model.network.weights)
            ]
        )
        model.fit(z, epochs=1, steps_per_epoch=3, pretrain_epochs=0, verbose=0)
        maps.append(model.predict(z, verbose=0))
    np.testing.assert_array_equal(*maps)


@pytest.mark.usefixtures("stepped")
def test_it_changes_the_map_of_the_default_network():
    z = few_digits()
    maps = []
    for jitter in (0.0, 0.5):
        model = ParametricTSNE(**{"perplexity": 10, **SMALL, "jitter": jitter})
        model.fit(z, epochs=1, steps_per_epoch=3, pretrain_epochs=0, verbose=0)
        maps.append(model.predict(z, verbose=0))
    assert not np.allclose(*maps, atol=1e-3)


def test_a_smooth_map_is_a_smaller_network_trained_for_less_long():
    smooth, usual = ParametricTSNE.smooth(perplexity=7), ParametricTSNE(perplexity=7)
    for model in (smooth, usual):
        model.build((None, 30))
    assert smooth.perplexity == 7
    assert smooth.fit_defaults.epochs == 5
    assert len(smooth.network.layers) < len(usual.network.layers)
    assert ParametricTSNE.smooth(hidden_units=(9,)).hidden_units == (9,)
