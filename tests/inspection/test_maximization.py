"""Maximising images: closed forms, independence of samples, other networks, errors."""

import keras
import numpy as np
import pytest
from keras import layers
from sklearn.datasets import load_digits

from keras_pli.inspection import ActivationMaximization, AtPosition, MaximizedImages

PLAIN = {"l2": 0.0, "total_variation": 0.0, "jitter": 0, "parameterization": "pixels"}


def linear(shape=(4, 5, 2), units=3, seed=0):
    keras.utils.set_random_seed(seed)
    return keras.Sequential([keras.Input(shape), layers.Flatten(), layers.Dense(units)])


def convolutional(**options):
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((8, 8, 1), **options),
            layers.Conv2D(4, 3, activation="relu", name="first"),
            layers.Conv2D(5, 3, name="second"),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )


class TestClosedForms:
    def test_a_linear_score_with_its_penalty(self):
        model = linear()
        options = {**PLAIN, "l2": 0.3, "value_range": None}
        search = ActivationMaximization(model, **options, steps=600, learning_rate=0.05)
        found = search()
        weights = model.layers[-1].kernel.numpy().T.reshape(3, 4, 5, 2)
        rise = abs(weights).sum(axis=(1, 2, 3), keepdims=True)
        # w·x − λ r / n ‖x‖² is largest at n w / 2 λ r.
        np.testing.assert_allclose(found.best, 40 * weights / (0.6 * rise), atol=2e-3)
        outputs = model.predict(found.best, verbose=0)
        np.testing.assert_allclose(found.activations[:, 0], np.diag(outputs), rtol=1e-4)

    def test_a_linear_score_within_a_range(self):
        model = linear()
        found = ActivationMaximization(model, **PLAIN, value_range=(-1.0, 2.0), steps=300)([2, 0])
        weights = model.layers[-1].kernel.numpy().T.reshape(3, 4, 5, 2)[[2, 0]]
        sure = abs(weights) > 0.05
        assert np.abs(found.best - np.where(weights > 0, 2, -1))[sure].max() < 0.1

    @pytest.mark.slow
    def test_a_neuron_sees_its_receptive_field_alone(self):
        model = convolutional()
        search = ActivationMaximization(model, layer="first", **PLAIN, steps=300)
        found = search(AtPosition([0, 3], [(0, 0), (5, 2)]))
        kernel = model.get_layer("first").kernel.numpy()
        for unit, channel, (row, column) in ((0, 0, (0, 0)), (1, 3, (5, 2))):
            field = np.zeros((8, 8), bool)
            field[row : row + 3, column : column + 3] = True
            image = found.best[unit, ..., 0]
            expected = kernel[:, :, 0, channel] > 0
            np.testing.assert_allclose(image[field].reshape(3, 3), expected, atol=0.1)
            assert abs(image[~field] - 0.5).max() < 0.1  # as it began
        assert found.probabilities.shape == (2, 1, 0)

    def test_within_a_generator(self):
        keras.utils.set_random_seed(0)
        generator = keras.Sequential(
            [keras.Input((2,)), layers.Dense(40), layers.Reshape((4, 5, 2))]
        )
        model = linear()
        search = ActivationMaximization(
            model, generator=generator, l2=0.4, total_variation=0, jitter=0, steps=500
        )
        through = generator.layers[0].kernel.numpy() @ model.layers[-1].kernel.numpy()[:, 1]
        rise = abs(model.layers[-1].kernel.numpy()[:, 1]).sum()
        best = generator(2 * through[None] / (0.8 * rise)).numpy()[0]
        np.testing.assert_allclose(search(1).best[0], best, atol=2e-3)


class TestSamplesAreAlone:
    @pytest.mark.slow
    def test_units_and_starts_do_not_matter_to_each_other(self):
        model = convolutional()
        every = ActivationMaximization(model, steps=20, jitter=1)(starts=3, seed=4)
        few = ActivationMaximization(model, steps=20, jitter=1, batch_size=2)
        alone = few([2], starts=2, seed=4)
        np.testing.assert_allclose(every.images[2:, :2], alone.images, atol=1e-5)
        assert abs(every.images[:, 0] - every.images[:, 1]).max() > 1e-2

    @pytest.mark.slow
    def test_the_seed_decides(self):
        search = ActivationMaximization(convolutional(), steps=5)
        np.testing.assert_allclose(search(0, seed=1).images, search(0, seed=1).images, atol=1e-6)
        assert abs(search(0, seed=1).images - search(0, seed=2).images).max() > 1e-3

    @pytest.mark.slow
    def test_xla(self):
        model = convolutional()
        made = [
            ActivationMaximization(model, steps=10, jitter=1, blur=0.5, jit_compile=compiled)(0)
            for compiled in (False, True)
        ]
        np.testing.assert_allclose(made[0].images, made[1].images, atol=1e-4)

    @pytest.mark.slow
    def test_a_fixed_batch(self):
        fixed = convolutional(batch_size=2)
        fixed.set_weights(convolutional().get_weights())
        found = [ActivationMaximization(m, steps=5)() for m in (fixed, convolutional())]
        np.testing.assert_allclose(found[0].images, found[1].images, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((12,), {}),
        pytest.param((16, 2), {"blur": 1.0}, marks=pytest.mark.slow),
        pytest.param((8, 8), {"blur": 1.0}, marks=pytest.mark.slow),
        pytest.param((4, 6, 5, 1), {}, marks=pytest.mark.slow),
    ],
)
def test_inputs_of_any_dimension(shape, options):
    search = ActivationMaximization(linear(shape), steps=40, l2=0, total_variation=0, **options)
    found = search()
    assert found.images.shape == (3, 1, *shape)
    assert (found.history[..., -1] > found.history[..., 0] + 0.1).all()
    if len(shape) > 1:
        assert found.plot().axes


@pytest.mark.slow
def test_an_input_without_channels_is_smooth_both_ways():
    search = ActivationMaximization(linear((8, 8), units=1), steps=60, total_variation=30, l2=0)
    assert np.ptp(search().best) < 0.2  # nothing is worth an edge


@pytest.mark.slow
def test_mixed_precision():
    model = convolutional()

    def mixing(layer):
        return layer.from_config({**layer.get_config(), "dtype": "mixed_float16"})

    mixed = keras.models.clone_model(model, clone_function=mixing)
    mixed.set_weights(model.get_weights())
    found = [ActivationMaximization(m, steps=10)() for m in (model, mixed)]
    np.testing.assert_allclose(found[0].activations, found[1].activations, rtol=0.05, atol=0.05)


@pytest.mark.slow
def test_the_model_is_left_as_it_was():
    model = convolutional()
    model.get_layer("first").trainable = False
    before = [weight.copy() for weight in model.get_weights()]
    ActivationMaximization(model, steps=5)()
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert [layer.trainable for layer in model.layers] == [False, True, True, True]


def trained_on_digits(seed):
    x, y = load_digits(return_X_y=True)
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(32, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x.reshape(-1, 8, 8, 1) / 16, y, epochs=12, verbose=0)
    return model


@pytest.mark.slow
def test_images_are_of_their_class_for_another_network_too():
    one, other = trained_on_digits(0), trained_on_digits(1)
    found = ActivationMaximization(one)(starts=2)
    assert (np.diag(one.predict(found.best, verbose=0)) >= 0.99).all()
    again = one.predict(found.images[:, 0], verbose=0)
    np.testing.assert_allclose(found.probabilities[:, 0], again, atol=1e-4)
    judged = found.judged_by(other)
    assert list(judged["says"]) == list(other.predict(found.best, verbose=0).argmax(axis=1))
    assert judged["agrees"].sum() >= 5


@pytest.mark.slow
def test_a_range_of_pixels_is_a_unit_of_measure():
    model = convolutional()
    scaled = keras.Sequential(
        [keras.Input((8, 8, 1)), layers.Rescaling(1 / 255, offset=0.5), *model.layers]
    )
    shifted = keras.Sequential(
        [keras.Input((8, 8, 1)), layers.Rescaling(1, offset=0.5), *model.layers]
    )
    wide = ActivationMaximization(scaled, value_range=(-127.5, 127.5), steps=60)()
    narrow = ActivationMaximization(shifted, value_range=(-0.5, 0.5), steps=60)()
    np.testing.assert_allclose(wide.images / 255, narrow.images, atol=1e-3)
    assert np.ptp(wide.images) > 100


@pytest.mark.slow
def test_stored_and_drawn(tmp_path):
    found = ActivationMaximization(convolutional(), steps=3)([0, 2])
    again = MaximizedImages.load(found.save(tmp_path / "images.npz"))
    np.testing.assert_array_equal(again.images, found.images)
    assert again.about["steps"] == 3
    texts = [ax.get_xlabel() for ax in again.plot(["cat", "dog", "owl"]).axes]
    assert texts[0].startswith("cat\np = 0.") and texts[1].startswith("owl")
    within = ActivationMaximization(convolutional(), layer="second", steps=3)(4)
    assert within.plot().axes[0].get_xlabel().startswith("4\n")
    with pytest.raises(ValueError, match="channels of 'second'"):
        within.plot(["a"] * 5)
    with pytest.raises(ValueError, match="channels of 'second'"):
        within.judged_by(convolutional())


class TestErrors:
    def test_units_that_are_not_there(self):
        search = ActivationMaximization(convolutional(), steps=2)
        with pytest.raises(ValueError, match=r"do not exist: 3.*3 classes"):
            search([0, 3])
        with pytest.raises(ValueError, match="no positions"):
            search(AtPosition(1, (2, 2)))
        with pytest.raises(ValueError, match=r"at least one. Received: \[\]"):
            search([])
        inner = ActivationMaximization(convolutional(), layer="first", steps=2)
        with pytest.raises(ValueError, match=r"within the positions.*\(6, 0\)"):
            inner(AtPosition(1, (6, 0)))

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"steps": 0}, "`steps`.*0"),
            ({"value_range": (1.0, 0.0)}, r"increasing.*\(1.0, 0.0\)"),
            ({"value_range": (0, 1, 2)}, r"Received: \(0, 1, 2\)"),
            ({"value_range": 1}, "Received: 1"),
            ({"parameterization": "fourier"}, "'fourier'"),
            ({"layer": "third"}, "'third'"),
            ({"shape": (9, 8, 1)}, r"\(8, 8, 1\).*\(9, 8, 1\)"),
        ],
    )
    def test_options(self, options, message):
        with pytest.raises(ValueError, match=message):
            ActivationMaximization(convolutional(), **options)

    def test_vectors_have_no_positions(self):
        with pytest.raises(ValueError, match=r"takes vectors, shape \(4,\).*blur=1"):
            ActivationMaximization(linear((4,)), blur=1)

    def test_generators_that_do_not_fit(self):
        other = keras.Sequential([keras.Input((2,)), layers.Dense(6)])
        with pytest.raises(ValueError, match=r"\(8, 8, 1\). It makes: \(None, 6\)"):
            ActivationMaximization(convolutional(), generator=other)
        with pytest.raises(TypeError, match="str"):
            ActivationMaximization(convolutional(), generator="g.keras")

    @pytest.mark.slow
    def test_models_that_cannot_be_maximised(self):
        two = [keras.Input((2,)), keras.Input((2,))]
        joined = keras.Model(two, layers.Dense(2)(layers.Concatenate()(two)))
        with pytest.raises(ValueError, match="has 2"):
            ActivationMaximization(joined)
        ids = keras.Input((3,), dtype="int32")
        embedded = layers.Flatten()(layers.Embedding(5, 2)(ids))
        with pytest.raises(ValueError, match=r"real numbers.*int32"):
            ActivationMaximization(keras.Model(ids, layers.Dense(2)(embedded)))
        open_ended = keras.Sequential(
            [keras.Input((None, None, 1)), layers.Conv2D(2, 3), layers.GlobalMaxPooling2D()]
        )
        with pytest.raises(ValueError, match=r"`shape`.*\(None, None, 1\)"):
            ActivationMaximization(open_ended)
        found = ActivationMaximization(open_ended, shape=(6, 7, 1), steps=2)()
        assert found.best.shape == (2, 6, 7, 1)
