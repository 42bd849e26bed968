import keras
import numpy as np
import pytest

from keras_pli.inspection import ActivationMaps, activation_maps


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    inner = keras.Sequential(
        [keras.Input((6, 6, 2)), keras.layers.Conv2D(5, 3, name="conv")], name="inner"
    )
    head = [
        keras.layers.ReLU(),
        keras.layers.GlobalAveragePooling2D(name="gap"),
        keras.layers.Dense(2),
    ]
    return keras.Sequential([keras.Input((6, 6, 2)), inner, *head])


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).normal(size=(7, 6, 6, 2)).astype("float32")


def reference(model, x):
    return np.asarray(model.layers[0](x))


MEASURES = {
    "mean_positive": lambda maps: np.maximum(maps, 0).mean(axis=(1, 2)),
    "mean": lambda maps: maps.mean(axis=(1, 2)),
    "max": lambda maps: maps.max(axis=(1, 2)),
    "mean_absolute": lambda maps: np.abs(maps).mean(axis=(1, 2)),
}


@pytest.mark.parametrize("measure", MEASURES)
def test_maps_are_those_of_the_layer_sorted_by_strength(model, x, measure):
    found = activation_maps(model, x, "inner/conv", measure=measure, batch_size=3)
    np.testing.assert_allclose(found.maps, reference(model, x), rtol=1e-4, atol=1e-5)
    strengths = MEASURES[measure](found.maps)
    np.testing.assert_allclose(found.strengths, strengths, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(found.order, np.argsort(-strengths, axis=1))
    assert found.strongest(2, 1)[0] == strengths[2].argmax()


def test_chosen_channels_a_stored_result_and_its_figure(model, x, tmp_path):
    found = activation_maps(model, x[:2], "conv", channels=[4, 1])
    np.testing.assert_allclose(
        found.maps, reference(model, x[:2])[..., [4, 1]], rtol=1e-4, atol=1e-5
    )
    loaded = ActivationMaps.load(found.save(tmp_path / "maps.npz"))
    np.testing.assert_array_equal(loaded.maps, found.maps)
    assert loaded.about == found.about
    figure = loaded.plot(most=1)
    assert len(figure.axes) == 4
    drawn = figure.axes[1].images[0].get_array()
    np.testing.assert_allclose(drawn, found.maps[0, ..., found.order[0, 0]])


@pytest.mark.parametrize(
    ("shape", "layer"), [((12, 2), keras.layers.Conv1D), ((5, 6, 4, 1), keras.layers.Conv3D)]
)
def test_signals_and_volumes(shape, layer):
    model = keras.Sequential([keras.Input(shape), layer(3, 2, name="a")])
    found = activation_maps(model, np.ones((2, *shape)), "a")
    assert found.maps.shape == (2, *(n - 1 for n in shape[:-1]), 3)
    assert len(found.plot(most=2).axes) == 6


def test_the_model_is_left_as_it_is(model, x):
    before = [weight.copy() for weight in model.get_weights()]
    activation_maps(model, x, "conv")
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": "conf"}, "no layer 'conf'.*'inner/conv'"),
        ({"channels": [5]}, "holds 5, but layer 'conv' has 5 channels, 0 to 4"),
        ({"channels": [1, 1]}, r"different whole numbers.*\[1, 1\]"),
        ({"measure": "median"}, "'median'"),
        ({"batch_size": 0}, "Received: 0"),
        ({"x": np.ones((2, 5, 5, 2))}, r"\(2, 5, 5, 2\)"),
    ],
)
def test_errors_quote_what_came(model, x, options, message):
    given = {"x": x, "layer": "conv", **options}
    with pytest.raises(ValueError, match=message):
        activation_maps(model, **given)


def test_maps_of_a_layer_without_positions_cannot_be_drawn(model, x):
    with pytest.raises(ValueError, match="axes of positions"):
        activation_maps(model, x, "gap").plot()
