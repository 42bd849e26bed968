"""A layer is given by its path or as it is."""

import keras
import numpy as np
import pytest
from slow_cases import by_default

import keras_pli as kp
from keras_pli.attribution import CAM, GradCAM, IntegratedGradients, Saliency
from keras_pli.evaluation import model_randomization_test
from keras_pli.network.layers import layer_path

LAYERS = keras.layers
X = np.random.default_rng(0).random((3, 6, 6, 1), dtype=np.float32)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    conv = LAYERS.Conv2D(2, 3, activation="relu", name="conv")
    backbone = keras.Sequential([keras.Input((6, 6, 1)), conv], name="backbone")
    head = [LAYERS.GlobalAveragePooling2D(name="pool"), LAYERS.Dense(3, name="head")]
    return keras.Sequential([keras.Input((6, 6, 1)), backbone, *head], name="net")


@pytest.fixture(scope="module")
def conv(model):
    return model.get_layer("backbone").get_layer("conv")


def test_its_path(model, conv):
    assert layer_path(model, conv) == "backbone/conv"
    assert layer_path(model, "backbone/conv") == "backbone/conv"
    assert layer_path(model, model.get_layer("backbone")) == "backbone"


def test_activations(model, conv):
    expected = np.asarray(conv(X)).reshape(3, -1)
    np.testing.assert_allclose(kp.activations(model, X, conv), expected, atol=1e-6)


@pytest.mark.parametrize(
    "method", by_default(Saliency, of=[CAM, GradCAM, Saliency, IntegratedGradients])
)
def test_attributions(method, model, conv):
    given, named = (method(model, layer=layer) for layer in (conv, "backbone/conv"))
    assert repr(given) == repr(named)
    np.testing.assert_array_equal(given(X, 1).attributions, named(X, 1).attributions)


def test_retraining(model, conv):
    embedder = keras.Sequential([keras.Input((32,)), LAYERS.Dense(2)])
    assert kp.PLIModel(model, embedder, conv).layer == "backbone/conv"


@pytest.mark.slow
def test_randomization(model):
    head = model.get_layer("head")
    found = model_randomization_test({"s": Saliency}, model, X, layers=[head], seeds=1)
    assert set(found.table["layer"]) == {"head"}


def test_a_layer_of_another_model(model):
    stranger = LAYERS.Dense(3, name="stranger")
    message = r"layer 'stranger' that was given is none of 'net'.*'backbone/conv'"
    for read in (
        lambda: kp.activations(model, X, stranger),
        lambda: GradCAM(model, layer=stranger),
        lambda: kp.PLIModel(model, model, stranger),
    ):
        with pytest.raises(ValueError, match=message):
            read()


def test_a_layer_of_a_model_that_is_yet_to_be_made(model, conv):
    data = (X, np.arange(3))
    plan = kp.InterventionPlan([kp.Shift(0, by=(1, 0))])
    with pytest.raises(TypeError, match=r"only beside its model.*give its path, such as 'conv'"):
        kp.pli_experiment(lambda seed: model, data, data, plan, layer=conv)
