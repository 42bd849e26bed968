import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsRegressor

import keras_pli as kp
from keras_pli.embedding import MapDecoder, ParametricTSNE
from keras_pli.embedding.jacobian import jacobian_of

SMALL = {"hidden_units": (32, 32), "smoothing": 0.0, "seed": 0}
QUICK = {"epochs": 2, "batch_size": 100, "verbose": 0}


def trained(network, z, components=2):
    """A map by a given network, as if `fit` had found its weights."""
    tsne = ParametricTSNE(components, perplexity=5, network=network)
    tsne.build((None, *z.shape[1:]))
    tsne.started.assign(1)
    tsne.spread.assign(np.var(tsne.predict(z, verbose=0), axis=0).sum())
    return tsne


def linear(kernel, bias):
    layer = keras.layers.Dense(len(bias))
    network = keras.Sequential([keras.Input((len(kernel),)), layer])
    layer.set_weights([kernel, bias])
    return network


def bent(features, seed=0):
    """A smooth map that is far from linear."""
    keras.utils.set_random_seed(seed)
    start = keras.initializers.RandomNormal(stddev=0.5)
    layers = [
        keras.layers.Dense(width, kind, kernel_initializer=start)
        for width, kind in ((16, "tanh"), (16, "tanh"), (2, None))
    ]
    return keras.Sequential([keras.Input((features,)), *layers])


def slopes_by_differences(model, point, step=1e-3):
    """The derivative of a model at one point, `(components, features)`."""
    shifted = [point + sign * step * np.eye(len(point)) for sign in (1, -1)]
    ahead, behind = (model.predict(z.astype(np.float32), verbose=0) for z in shifted)
    return (ahead - behind).T.astype(np.float64) / (2 * step)


@pytest.fixture(scope="module")
def points():
    return np.random.default_rng(0).normal(size=(300, 5)).astype(np.float32)


@pytest.fixture(scope="module")
def plane():
    """Points of two features, and a linear map of them that can be undone."""
    z = np.random.default_rng(1).normal(size=(600, 2)).astype(np.float32) * [3.0, 0.5] + [10.0, 0.0]
    kernel = np.array([[2.0, 1.0], [-1.0, 3.0]], dtype=np.float32)
    bias = np.array([5.0, -7.0], dtype=np.float32)
    return z.astype(np.float32), kernel, bias


@pytest.fixture(scope="module")
def undone(plane):
    z, kernel, bias = plane
    tsne = trained(linear(kernel, bias), z)
    before = [np.array(weight) for weight in tsne.weights]
    decoder = MapDecoder(tsne, **SMALL)
    history = decoder.fit(z[:500], epochs=15, batch_size=50, validation_data=z[500:], verbose=0)
    assert all(np.array_equal(b, w) for b, w in zip(before, tsne.weights, strict=True))
    return decoder, history.history


@pytest.fixture(scope="module")
def quickly(untraced):
    """Trains a decoder for a few steps, which take less than a trace of them."""

    def fit(decoder, points):
        with untraced():
            decoder.fit(points, **QUICK)
        return decoder

    return fit


@pytest.fixture(scope="module")
def curved(points, quickly):
    """A quickly trained decoder of a map that is not linear."""
    return quickly(MapDecoder(trained(bent(5), points), **SMALL), points)


class TestFit:
    def test_undoes_a_linear_map(self, undone, plane):
        (decoder, _), (_, kernel, bias) = undone, plane
        z = np.array([[10.0, 0.0], [12.0, 0.3], [7.0, -0.4]])
        decoded = decoder.predict(z @ kernel + bias, verbose=0)
        assert np.abs((decoded - z) / [3.0, 0.5]).max() < 0.1
        assert decoder.error < 0.002

    def test_error_is_the_share_of_the_held_out_variance(self, undone, plane):
        (decoder, history), (z, kernel, bias) = undone, plane
        held = z[500:].astype(np.float64)
        decoded = decoder.predict(held @ kernel + bias, verbose=0)
        expected = np.sum((held - decoded) ** 2) / np.sum((held - z[:500].mean(axis=0)) ** 2)
        assert decoder.error == pytest.approx(expected, rel=1e-2)
        assert decoder.error == pytest.approx(history["val_error"][-1])
        assert set(history) == {"loss", "error", "val_loss", "val_error"}

    @pytest.mark.slow
    def test_without_a_connection_the_error_is_that_of_the_mean(self):
        # A map of the first two features tells nothing of the others, which hold nearly all variance.
        z = np.random.default_rng(0).normal(size=(2000, 6)) * [0.01, 0.01, 1, 1, 1, 1]
        kernel = np.eye(6, 2, dtype=np.float32)
        decoder = MapDecoder(trained(linear(kernel, np.zeros(2)), z), smoothing=0.3, seed=0)
        decoder.fit(z, epochs=5, verbose=0)
        assert decoder.error == pytest.approx(1.0, abs=0.06)

    @pytest.mark.slow
    def test_one_point_in_ten_is_held_out(self, points):
        decoder = MapDecoder(trained(bent(5), points), **SMALL)
        decoder.fit(points, **QUICK)
        first = decoder.error
        held = np.random.default_rng(0).permutation(300) < 30
        given = MapDecoder(decoder.embedder, **SMALL)
        given.fit(points[~held], validation_data=points[held], **QUICK)
        assert first == pytest.approx(given.error, rel=1e-4)

    @pytest.mark.usefixtures("stepped")
    @pytest.mark.slow
    def test_the_shape_of_activations_is_restored(self, points):
        maps = points[:, :4].reshape(-1, 2, 2, 1)
        network = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(2)])
        decoder = MapDecoder(trained(network, maps), **SMALL)
        decoder.fit(maps, **QUICK)
        assert decoder.predict([[0.0, 0.0]], verbose=0).shape == (1, 2, 2, 1)
        found = decoder.activations_at([[0.1, 0.0]], start=maps[:1])
        assert found.activations.shape == (1, 2, 2, 1)
        assert found.reached.all()

    @pytest.mark.slow
    def test_same_seed_same_decoder(self, points, curved):
        said = []
        for seed, elsewhere in [(0, 1), (0, 2), (1, 1)]:
            keras.utils.set_random_seed(elsewhere)  # of no account
            decoder = MapDecoder(curved.embedder, **{**SMALL, "smoothing": 0.1, "seed": seed})
            decoder.fit(points, **QUICK)
            said.append(decoder.predict([[0.3, 0.1]], verbose=0))
        np.testing.assert_allclose(said[0], said[1], atol=1e-5)
        assert np.abs(said[0] - said[2]).max() > 1e-3

    @pytest.mark.slow
    def test_goes_on_where_it_was(self, points, curved):
        decoder = MapDecoder(curved.embedder, **SMALL)
        decoder.compile(keras.optimizers.Adam(0.003))
        first = decoder.fit(points, **{**QUICK, "epochs": 10}).history["loss"]
        again = decoder.fit(points, **QUICK).history["loss"]
        assert again[0] < first[0] and again[0] == pytest.approx(first[-1], rel=0.1)

    @pytest.mark.slow
    def test_as_good_as_the_best_mean_of_neighbors(self):
        z = load_digits().data.astype(np.float32) / 16
        z = z[np.random.default_rng(0).permutation(len(z))]
        z, held = z[:1500], z[1500:]
        tsne = ParametricTSNE(perplexity=30, seed=0)
        tsne.fit(z, epochs=5, verbose=0)
        y, y_held = (tsne.predict(values, verbose=0) for values in (z, held))
        decoder = MapDecoder(tsne, seed=0)
        decoder.fit(z, validation_data=held, verbose=0)
        neighbors = GridSearchCV(
            KNeighborsRegressor(),
            {"n_neighbors": [5, 10, 15, 20, 30], "weights": ["uniform", "distance"]},
            scoring="neg_mean_squared_error",
        ).fit(y, z)
        theirs = np.sum((neighbors.predict(y_held) - held) ** 2)
        theirs /= np.sum((held - z.mean(axis=0)) ** 2)
        assert decoder.error < theirs + 0.01


class TestActivationsAt:
    def test_linear_map_has_the_solution_of_least_norm(self, points, quickly):
        random = np.random.default_rng(2)
        kernel, bias = random.normal(size=(5, 2)), random.normal(size=2)
        decoder = quickly(MapDecoder(trained(linear(kernel, bias), points), **SMALL), points)
        start, places = points[:20], random.normal(size=(20, 2)) * 3
        found = decoder.activations_at(places, start=start)
        missing = places - (start @ kernel + bias)
        least = np.linalg.lstsq(kernel.T, missing.T, rcond=None)[0].T
        np.testing.assert_allclose(found.activations - start, least, atol=1e-4)
        flat = points[np.random.default_rng(0).permutation(300) >= 30]
        unit = np.sqrt(np.sum(np.var(flat, axis=0)))
        np.testing.assert_allclose(found.change, np.linalg.norm(least, axis=1) / unit, rtol=1e-3)
        np.testing.assert_allclose(found.positions, places, atol=1e-3)
        assert found.reached.all()

    @pytest.mark.slow
    def test_change_is_along_the_map_s_own_slopes(self, curved, points):
        # Where |z − start| is least, z − start is a combination of the components' gradients.
        tsne = curved.embedder
        start, places = points[:8], tsne.predict(points[8:16], verbose=0)
        found = curved.activations_at(places, start=start, tolerance=1e-3)
        assert found.reached.all()
        for first, last in zip(start, found.activations, strict=True):
            slopes = slopes_by_differences(tsne, last)
            change = (last - first).astype(np.float64)
            within = slopes.T @ np.linalg.lstsq(slopes.T, change, rcond=None)[0]
            assert np.linalg.norm(change - within) < 0.05 * np.linalg.norm(change)

    @pytest.mark.slow
    def test_shorter_than_the_change_that_is_known(self, curved, points):
        known = points[30:60]
        places = curved.embedder.predict(known, verbose=0)
        found = curved.activations_at(places, start=points[:30])
        unit = float(curved.scale) * np.sqrt(5)
        ratio = found.change / (np.linalg.norm(known - points[:30], axis=1) / unit)
        assert found.reached.mean() > 0.9
        assert np.median(ratio[found.reached]) < 0.8

    def test_who_lies_there_already_does_not_change(self, curved, points):
        there = curved.embedder.predict(points[:5], verbose=0)
        found = curved.activations_at(there, start=points[:5])
        assert np.array_equal(found.activations, points[:5])
        assert not found.change.any() and found.reached.all()

    @pytest.mark.slow
    def test_starts_with_what_the_decoder_says(self, curved, points):
        places = curved.embedder.predict(points[:5], verbose=0)
        decoded = curved.predict(places, verbose=0)
        found = curved.activations_at(places)
        again = curved.activations_at(places, start=decoded, batch_size=2)
        np.testing.assert_allclose(found.activations, again.activations, atol=1e-3)

    def test_says_what_cannot_be_reached(self, points, quickly):
        network = linear(np.eye(5, 2), np.zeros(2))
        network.add(keras.layers.Activation("tanh"))
        decoder = quickly(MapDecoder(trained(network, points), **SMALL), points)
        found = decoder.activations_at([[0.5, 0.5], [3.0, 0.0]], start=points[:2])
        assert found.reached.tolist() == [True, False]
        assert found.distance[1] == pytest.approx(
            np.linalg.norm(found.positions[1] - [3.0, 0.0]), rel=1e-4
        )
        assert 2 <= found.distance[1] < np.linalg.norm(np.tanh(points[1, :2]) - [3.0, 0.0])
        assert np.isfinite(found.activations).all()

    def test_derivatives_are_those_of_finite_differences(self, curved, points):
        y, slopes = jacobian_of(curved.embedder)(points[:3])
        np.testing.assert_allclose(y, curved.embedder.predict(points[:3], verbose=0), atol=1e-5)
        for point, found in zip(points[:3], slopes, strict=True):
            expected = slopes_by_differences(curved.embedder, point)
            np.testing.assert_allclose(found, expected, atol=5e-3)


class TestImages:
    @pytest.mark.usefixtures("stepped")
    def test_generator_makes_images_of_what_is_decoded(self, curved, points):
        generator = keras.Sequential(
            [keras.Input((5,)), keras.layers.Dense(6), keras.layers.Reshape((2, 3, 1))]
        )
        decoder = MapDecoder(curved.embedder, generator=generator, **SMALL)
        decoder.fit(points, **QUICK)
        places = [[0.0, 0.1], [0.3, -0.2]]
        images = decoder.images(places)
        assert images.shape == (2, 2, 3, 1)
        expected = generator.predict(decoder.predict(places, verbose=0), verbose=0)
        np.testing.assert_allclose(images, expected, atol=1e-5)
        assert len(decoder.trainable_variables) == 6  # of three layers of its own

    def test_there_is_none(self, curved):
        with pytest.raises(ValueError, match=r"MapDecoder\(embedder, generator=…\)"):
            curved.images([[0.0, 0.0]])

    def test_generator_of_another_input(self, curved, points):
        generator = keras.Sequential([keras.Input((7,)), keras.layers.Reshape((7, 1, 1))])
        decoder = MapDecoder(curved.embedder, generator=generator, **SMALL)
        with pytest.raises(ValueError, match=r"activations of shape \(samples, 5\)\. It raised"):
            decoder.fit(points, **QUICK)


@pytest.fixture(scope="module")
def stored(points, quickly, tmp_path_factory):
    """A decoder, and the one loaded from its file."""
    path = tmp_path_factory.mktemp("stored") / "decoder.keras"
    generator = keras.Sequential([keras.Input((5,)), keras.layers.Reshape((5, 1, 1))])
    decoder = MapDecoder(trained(bent(5), points), generator=generator, **SMALL)
    quickly(decoder, points).save(path)
    return decoder, keras.models.load_model(path)


class TestStorage:
    def test_loaded_with_all_that_belongs_to_it(self, stored, points):
        decoder, loaded = stored
        places = decoder.embedder.predict(points[:9], verbose=0)
        for said in (lambda d: d.predict(places, verbose=0), lambda d: d.images(places)):
            np.testing.assert_allclose(said(loaded), said(decoder), atol=1e-6)
        np.testing.assert_allclose(
            loaded.embedder.predict(points[:9], verbose=0), places, atol=1e-6
        )
        assert loaded.error == decoder.error

    @pytest.mark.slow
    def test_both_go_on_alike(self, stored, points):
        decoder, loaded = stored
        places = decoder.embedder.predict(points[:9], verbose=0)
        assert loaded.activations_at(places, start=points[9:18]).reached.any()
        more = [d.fit(points, **QUICK).history["val_error"][-1] for d in (decoder, loaded)]
        assert more[0] == pytest.approx(more[1], rel=1e-4)

    @pytest.mark.slow
    def test_keeps_the_caller_s_optimizer(self, curved, points, tmp_path):
        decoder = MapDecoder(curved.embedder, **SMALL)
        decoder.compile(keras.optimizers.SGD(0.125))
        decoder.fit(points, **QUICK)
        decoder.save(tmp_path / "decoder.keras")
        loaded = keras.models.load_model(tmp_path / "decoder.keras")
        loaded.fit(points, **QUICK)
        assert isinstance(loaded.optimizer, keras.optimizers.SGD)
        assert float(loaded.optimizer.learning_rate) == 0.125

    def test_not_to_the_older_format(self, curved, tmp_path):
        with pytest.raises(ValueError, match="A MapDecoder is saved to"):
            curved.save(tmp_path / "decoder.h5")


class TestErrors:
    def test_embedder(self, points):
        untrained = ParametricTSNE(perplexity=5)
        with pytest.raises(ValueError, match="`embedder` is not trained: call its `fit`"):
            MapDecoder(untrained).fit(points)
        with pytest.raises(TypeError, match="must be a map, such as a ParametricTSNE"):
            MapDecoder(keras.Sequential())
        with pytest.raises(TypeError, match="Keras model from activations to images"):
            MapDecoder(untrained, generator=np.tanh)

    def test_decoder_is_not_trained(self, curved):
        decoder = MapDecoder(curved.embedder)
        for use in (
            decoder.predict,
            decoder.activations_at,
            lambda y: decoder(np.float32(y)),
            lambda y: decoder.error,
        ):
            with pytest.raises(ValueError, match="decoder is not trained: call `fit`"):
                use([[0.0, 0.0]])

    @pytest.mark.usefixtures("stepped")
    @pytest.mark.slow
    def test_map_was_trained_on_since(self, points):
        tsne = trained(bent(5), points)
        decoder = MapDecoder(tsne, **SMALL)
        decoder.fit(points, **QUICK)
        decoder.predict([[0.0, 0.0]], verbose=0)
        tsne.spread.assign(tsne.spread * 1.01)  # as a training does at its end
        for use in (decoder.predict, decoder.activations_at):
            with pytest.raises(ValueError, match=r"trained on since .* `fit` again"):
                use([[0.0, 0.0]])
        decoder.fit(points, **QUICK)
        assert np.isfinite(decoder.predict([[0.0, 0.0]], verbose=0)).all()

    @pytest.mark.parametrize(
        ("y", "message"),
        [
            ([[0.0, 1.0, 2.0]], r"of 2 components. Received shape \(1, 3\)"),
            ([[0.0, np.nan]], "`y` must be finite"),
            ([0.0, 1.0], "`y` must have 2 axes"),
        ],
    )
    def test_places(self, curved, y, message):
        for use in (curved.predict, curved.activations_at):
            with pytest.raises(ValueError, match=message):
                use(y)

    def test_activations(self, curved, points):
        decoder = MapDecoder(curved.embedder)
        for z, message in [
            (points[:9], "at least 10 points. Received: 9"),
            (np.ones((20, 5)), "All 18 points of `z` are the same"),
            (np.full((20, 5), np.inf), "`z` must be finite"),
        ]:
            with pytest.raises(ValueError, match=message):
                decoder.fit(z, **QUICK)
        with pytest.raises(ValueError, match=r"`validation_data` must have shape \(samples, 5\)"):
            decoder.fit(points, validation_data=points[:, :4], **QUICK)
        with pytest.raises(ValueError, match=r"`start` must have shape \(1, 5\)"):
            curved.activations_at([[0.0, 0.0]], start=points[:2])

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"steps": 0}, "`steps`"),
            ({"tolerance": -1}, "`tolerance`"),
            ({"batch_size": 0.5}, "`b"),
        ],
    )
    def test_options(self, curved, options, message):
        with pytest.raises(ValueError, match=message):
            curved.activations_at([[0.0, 0.0]], **options)
        with pytest.raises(TypeError, match="MapDecoder takes no option 'units'"):
            MapDecoder(curved.embedder, units=3)


def test_public_name():
    assert kp.MapDecoder is MapDecoder
