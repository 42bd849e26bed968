"""What holds for every method alike."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf
from quick_methods import QUICK
from slow_cases import by_default, slow
from toy_networks import SHAPES, samples, stem

from keras_pli.attribution import (
    CAM,
    LIME,
    METHODS,
    Attribution,
    Deconvnet,
    GradCAM,
    GradientTimesInput,
    GuidedBackprop,
    GuidedGradCAM,
    GuidedIntegratedGradients,
    IntegratedGradients,
    InteriorGradients,
    MeaningfulPerturbation,
    Saliency,
    SmoothGrad,
    find_method,
    method_name,
)


def network(axes):
    keras.utils.set_random_seed(7)
    pooling = getattr(keras.layers, f"GlobalAveragePooling{axes}D")()
    head = [pooling, keras.layers.Dense(3, "softmax")]
    return keras.Sequential([keras.Input(SHAPES[axes]), *stem(axes), *head])


@pytest.fixture(scope="module")
def networks():
    return {axes: network(axes) for axes in (1, 2, 3)}


def made(kind, model, **options):
    return kind(model, **QUICK.get(kind.__name__, {}), **options)


# They go the way of others, or are long.
SLOW = (
    *(MeaningfulPerturbation, InteriorGradients, GuidedIntegratedGradients, Deconvnet),
    *(SmoothGrad, GradientTimesInput, CAM, GuidedGradCAM, LIME),
)


@pytest.mark.parametrize("axes", by_default(2, of=(1, 2, 3)))
@pytest.mark.parametrize("kind", [slow(kind) if kind in SLOW else kind for kind in METHODS])
def test_shapes_and_scores_and_the_model_is_left_as_it_was(kind, axes, networks):
    model, x = networks[axes], samples(axes)
    before = [(set(vars(layer)), layer.trainable) for layer in model.layers]
    weights = model.get_weights()
    method = made(kind, model)
    found = method(x, 2)
    assert [(set(vars(layer)), layer.trainable) for layer in model.layers] == before
    for one, other in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert isinstance(found, Attribution)
    assert found.attributions.shape in (x.shape, x.shape[:-1])
    assert np.isfinite(found.attributions).all()
    if kind is not MeaningfulPerturbation:  # which may find nothing worth deleting
        assert np.ptp(found.attributions) > 0
    probabilities = model.predict(x, verbose=0)
    expected = np.log(
        probabilities[:, 2] / probabilities[:, 0]
    )  # what a softmax leaves of its logits
    if kind is MeaningfulPerturbation:  # whose game is about the probability, as in the paper
        expected = probabilities[:, 2] - probabilities[:, 0]
    difference = found.scores - method(x, 0).scores
    np.testing.assert_allclose(difference, expected, atol=1e-4)
    assert found.delta is None or found.delta.shape == (len(x),)
    assert all(len(value) == len(x) for value in found.details.values())


# Of each way to compute one; every method is reloaded in tests/serving/test_export.py.
@pytest.mark.parametrize("kind", [GradCAM, GuidedBackprop, IntegratedGradients])
@pytest.mark.slow
def test_reloaded_from_a_saved_model(kind, networks, tmp_path):
    model, x = networks[2], samples(2)
    method = made(kind, model)
    module = tf.Module()
    module.model, module.explain = model, method.traced(x, target="given")
    tf.saved_model.save(module, str(tmp_path), signatures=None)
    found = tf.saved_model.load(str(tmp_path)).explain(tf.constant(x), tf.fill((len(x),), 1))
    expected = method(x, 1)
    np.testing.assert_allclose(found[0], expected.attributions, atol=1e-6)
    np.testing.assert_allclose(found[1], expected.scores, atol=1e-6)


@pytest.mark.parametrize("kind", METHODS)
def test_settings_can_be_read(kind, networks):
    text = repr(made(kind, networks[2]))
    assert text.startswith(f"{kind.__name__}(")
    for name, value in QUICK.get(kind.__name__, {}).items():
        assert f"{name}={value}" in text


@pytest.mark.parametrize("kind", METHODS)
def test_names(kind):
    assert find_method(method_name(kind)) is kind
    assert find_method(kind.__name__) is kind
    assert inspect.getdoc(kind).count("Example:") == 1


def test_an_unknown_name_is_quoted():
    with pytest.raises(ValueError, match=r"'salience'.*'saliency'.*'meaningful_perturbation'"):
        find_method("salience")


def test_names_of_other_methods_are_not_taken_for_ours():
    assert find_method("grad cam") is find_method("gradcam") is find_method("Grad-CAM") is GradCAM
    for name in ("gradcam++", "Grad-CAM++", "score-cam", "grad.cam", ""):
        with pytest.raises(ValueError, match=r"no attribution method .*'grad_cam'"):
            find_method(name)


def test_inputs_without_a_gradient_are_met():
    embedding = [keras.layers.Embedding(5, 4), keras.layers.Flatten(), keras.layers.Dense(2)]
    model = keras.Sequential([keras.Input((3,)), *embedding])
    with pytest.raises(ValueError, match=r"no gradient by the input .*looked up as ids"):
        Saliency(model)(np.ones((2, 3)))


def test_one_trace_for_a_class(networks):
    method, x = Saliency(networks[2]), samples(2)
    method(x, 1)
    with pytest.raises(ValueError, match=r"3.*0 to 2"):
        method(x, 3)
    assert len(method.runner._traces) == 1
