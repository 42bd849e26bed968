"""Outputs with positions: a class at one, within a mask, or over all, against a convolution by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from toy_networks import LAYERS, randomized, weights_of

from keras_pli.attribution import (
    LIME,
    AtPosition,
    DeepLIFT,
    EpsilonLRP,
    GradCAM,
    GradientTimesInput,
    IntegratedGradients,
    MeaningfulPerturbation,
    Occlusion,
    Saliency,
    SmoothGrad,
    Within,
    explain_dataset,
    load_attributions,
)
from keras_pli.evaluation.scoring import Scorer
from keras_pli.network.targets import Region, Spot, score_slopes, target_scores

SIZES = (5, 6)
MASK = np.random.default_rng(3).random(SIZES) < 0.4
CLASSES, PLACES = np.array([2, 0, 1]), np.array([[0, 0], [4, 5], [2, 3]])


@pytest.fixture(scope="module")
def model():
    head = LAYERS.Conv2D(3, 3, padding="same", activation="softmax", name="head")
    return randomized(keras.Sequential([keras.Input((*SIZES, 2)), head], name="map"))


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(1).normal(size=(3, *SIZES, 2)).astype(np.float32)


def logits_of(model, x):
    kernel, bias = weights_of(model, "head")
    padded = np.pad(x.astype(np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    return np.einsum("bhwcij,ijck->bhwk", windows, kernel) + bias


def gradient_of(model, classes, weights):
    """∂(Σ weight · logit)/∂x: the kernel of each sample's class around each position, by its weight."""
    kernel, _ = weights_of(model, "head")
    found = np.zeros((len(classes), SIZES[0] + 2, SIZES[1] + 2, 2))
    for sample, chosen in enumerate(classes):
        for row, column in np.ndindex(SIZES):
            part = weights[sample, row, column] * kernel[..., chosen]
            found[sample, row : row + 3, column : column + 3] += part
    return found[:, 1:-1, 1:-1]


def one_hot(places):
    weights = np.zeros((len(places), *SIZES))
    weights[(np.arange(len(places)), *np.transpose(places))] = 1
    return weights


OWN = np.random.default_rng(4).normal(size=(3, *SIZES))
# A target with its classes, None where they are predicted, and the weights of the positions.
TARGETS = {
    "a class": (1, [1] * 3, np.ones((3, *SIZES))),
    "the predicted class": (None, None, np.ones((3, *SIZES))),
    "at a position": (AtPosition(2, (4, 5)), [2] * 3, one_hot([(4, 5)] * 3)),
    "at a position of each sample": (AtPosition(CLASSES, PLACES), CLASSES, one_hot(PLACES)),
    "predicted at a position": (AtPosition(None, (0, 3)), None, one_hot([(0, 3)] * 3)),
    "within a mask": (Within(0, MASK), [0] * 3, np.stack([MASK] * 3)),
    "within a mask of each sample": (Within(CLASSES, OWN), CLASSES, OWN),
    "predicted within a mask": (Within(None, MASK), None, np.stack([MASK] * 3)),
}


@pytest.mark.parametrize("kind", TARGETS)
def test_the_gradient_of_a_class(kind, model, x):
    target, classes, weights = TARGETS[kind]
    sums = np.einsum("bhwk,bhw->bk", logits_of(model, x), weights)
    classes = sums.argmax(axis=1) if classes is None else classes
    found = Saliency(model, batch_size=2)(x, target)
    np.testing.assert_allclose(found.scores, sums[np.arange(3), classes], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.attributions, gradient_of(model, classes, weights), atol=1e-5)


def test_a_callable_sees_the_positions(model, x):
    found = Saliency(model)(x, lambda logits: logits[:, 1, 2, 0] - logits[:, 4, 5, 2])
    logits = logits_of(model, x)
    np.testing.assert_allclose(found.scores, logits[:, 1, 2, 0] - logits[:, 4, 5, 2], atol=1e-5)
    expected = gradient_of(model, [0] * 3, one_hot([(1, 2)] * 3))
    expected -= gradient_of(model, [2] * 3, one_hot([(4, 5)] * 3))
    np.testing.assert_allclose(found.attributions, expected, atol=1e-5)


@pytest.mark.parametrize(
    "method",
    [
        GradientTimesInput,
        pytest.param(lambda model: IntegratedGradients(model, steps=3), marks=pytest.mark.slow),
        DeepLIFT,
        EpsilonLRP,
        pytest.param(
            lambda model: SmoothGrad(GradientTimesInput(model), samples=2, noise=0.0),
            marks=pytest.mark.slow,
        ),
        pytest.param(lambda model: Occlusion(model, window=1), marks=pytest.mark.slow),
    ],
)
def test_methods_agree_on_a_linear_network(method, model, x):
    target, classes, weights = TARGETS["within a mask of each sample"]
    found = method(model)(x, target)
    expected = gradient_of(model, classes, weights) * x
    if isinstance(method(model), Occlusion):  # hides all channels of a position
        expected = np.repeat(expected.sum(axis=-1, keepdims=True), 2, axis=-1)
    np.testing.assert_allclose(found.attributions, expected, atol=1e-4)


@pytest.mark.slow
def test_other_methods_explain_the_same_score(model, x):
    target, _, weights = TARGETS["predicted within a mask"]
    sums = np.einsum("bhwk,bhw->bk", logits_of(model, x), weights)
    segments = np.arange(30).reshape(SIZES) // 10
    found = LIME(model, samples=8, segments=segments)(x, target)
    np.testing.assert_allclose(found.scores, sums.max(axis=1), rtol=1e-4)
    powers = np.exp(logits_of(model, x))
    chances = powers / powers.sum(axis=-1, keepdims=True)
    mean = np.einsum("bhwk,bhw->bk", chances, weights / MASK.sum())
    found = MeaningfulPerturbation(model, steps=1)(x, target)
    np.testing.assert_allclose(found.scores, mean[np.arange(3), sums.argmax(axis=1)], rtol=1e-4)


def test_grad_cam_of_a_position(x):
    layers = [LAYERS.Conv2D(4, 1, name="maps"), LAYERS.Conv2D(3, 1, name="head")]
    model = randomized(keras.Sequential([keras.Input((*SIZES, 2)), *layers, LAYERS.Softmax()]))
    kernel, bias = weights_of(model, "maps")
    maps = x @ kernel[0, 0] + bias
    # Only the position itself depends on the score, and α is the mean over all of them.
    alpha = weights_of(model, "head")[0][0, 0, :, 1] / np.prod(SIZES)
    found = GradCAM(model, layer="maps")(x, AtPosition(1, (2, 3)))
    np.testing.assert_allclose(found.attributions, np.maximum(maps @ alpha, 0), atol=1e-5)


def test_positions_of_a_layer_and_of_inputs_of_any_size(x):
    layers = [LAYERS.Conv2D(2, 1, name="inner"), LAYERS.GlobalAveragePooling2D()]
    model = randomized(keras.Sequential([keras.Input((None, None, 2)), *layers]))
    kernel, bias = weights_of(model, "inner")
    saliency = Saliency(model, layer="inner")
    for inputs in (x, x[:, :4, :3]):
        found = saliency(inputs, AtPosition(1, (3, 2)))
        wanted = inputs[:, 3, 2] @ kernel[0, 0, :, 1] + bias[1]
        np.testing.assert_allclose(found.scores, wanted, atol=1e-5)
    with pytest.raises(ValueError, match=r"positions \(4, 3\)"):
        saliency(x[:, :4, :3], AtPosition(1, (3, 3)))


def test_positions_that_were_transposed_after_the_softmax(x):
    inputs = keras.Input((*SIZES, 2))
    logits = LAYERS.Conv2D(3, 1, name="head")(inputs)
    turned = LAYERS.Permute((2, 1, 3))(LAYERS.Softmax()(logits))
    model = randomized(keras.Model(inputs, turned))
    kernel, bias = weights_of(model, "head")
    found = Saliency(model)(x, AtPosition(1, (5, 2)))
    np.testing.assert_allclose(found.scores, x[:, 2, 5] @ kernel[0, 0, :, 1] + bias[1], atol=1e-5)
    first = keras.Model(inputs, LAYERS.Permute((3, 1, 2))(LAYERS.Softmax()(logits)))
    with pytest.raises(ValueError, match=r"runs over 3 values, which are not the last axis"):
        Saliency(first)(x)


@pytest.mark.parametrize("sizes", [(7,), (3, 4, 5)])
def test_scores_and_slopes_in_one_and_three_axes(sizes):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4, *sizes, 3)).astype(np.float32)
    classes = np.array([0, 2, -1, 1], np.int32)
    position = rng.integers(0, sizes, (4, len(sizes))).astype(np.int32)
    mask = np.zeros((4, *sizes), np.float32)
    mask[(np.arange(4), *position.T)] = 1
    at = logits[(np.arange(4), *position.T)]
    chosen = np.where(classes < 0, at.argmax(axis=1), classes)
    slopes = mask[..., None] * np.eye(3)[chosen].reshape(4, *[1] * len(sizes), 3)
    for target in (Spot(classes, position), Region(classes, mask)):
        tensors = tf.nest.map_structure(tf.constant, target)
        found = target_scores(tf.constant(logits), tensors)
        np.testing.assert_allclose(found, at[np.arange(4), chosen], rtol=1e-5)
        np.testing.assert_allclose(score_slopes(tf.constant(logits), tensors), slopes)


BAD = {
    "outside": (AtPosition(1, (5, 0)), r"within the positions \(5, 6\) of 'map'.*Received: \(5, 0\)"),
    "negative": (AtPosition(1, (0, -1)), r"counted from 0. Received: \(0, -1\)"),
    "one index": (AtPosition(1, 3), "2 whole numbers, one for each axis.*Received: 3"),
    "half an index": (AtPosition(1, (0.5, 1)), r"whole numbers.*\(0.5, 1\)"),
    "another mask": (Within(1, MASK.T), r"\(5, 6\), or that for each sample, \(3, 5, 6\).*\(6, 5\)"),
    "no numbers": (Within(1, np.where(MASK, np.nan, 1)), "finite numbers or booleans"),
    "a class": (Within(3, MASK), "classes that do not exist: 3. 'map' has 3 classes"),
    "a callable": (Within(lambda logits: logits, MASK), r"\(batch, \*positions, classes\)"),
    "a callable that indexes": (lambda z: z[:, 0, 0, 0, 0], r"fails on logits of shape \(None, 5, 6, 3\)"),
    "a callable that sums too little": (lambda z: z[:, 1], r"logits of shape \(None, 5, 6, 3\)"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_what_does_not_fit_is_said(kind, model, x):
    target, words = BAD[kind]
    with pytest.raises(ValueError, match=words):
        Saliency(model)(x, target)


def test_an_output_without_positions_is_said(x):
    model = keras.Sequential([keras.Input((*SIZES, 2)), LAYERS.Flatten(), LAYERS.Dense(3)])
    for target in (AtPosition(1, (0, 0)), Within(1, MASK)):
        with pytest.raises(ValueError, match=r"has no positions: .* shape \(None, 3\)"):
            Saliency(model)(x, target)


@pytest.mark.slow
def test_evaluations_score_a_place(model, x):
    logits = logits_of(model, x)
    chances = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    scorer = Scorer(model, batch_size=2)
    target = AtPosition(CLASSES, PLACES)
    at = (np.arange(3), *PLACES.T, CLASSES)
    np.testing.assert_allclose(scorer(x, target), logits[at], atol=1e-5)
    np.testing.assert_allclose(scorer(x, target, score="probabilities"), chances[at], atol=1e-5)
    # The class predicted for x within the mask is also that of its variants.
    aim = scorer.aim(x, Within(None, MASK))
    held = logits[:, MASK].sum(axis=1).argmax(axis=1)
    found = scorer.variants(lambda samples, variants: -x[samples], (3, 2), aim, "logits")
    expected = logits_of(model, -x)[:, MASK].sum(axis=1)[np.arange(3), held]
    np.testing.assert_allclose(found, np.stack([expected] * 2, axis=1), rtol=1e-4)


def test_a_data_set_is_explained_within_a_mask(model, x, tmp_path):
    dataset = tf.data.Dataset.from_tensor_slices(x).batch(2)
    saliency = Saliency(model)
    explain_dataset(saliency, dataset, tmp_path, target=Within(1, MASK), verbose=0)
    found = load_attributions(tmp_path)["attributions"]
    np.testing.assert_allclose(found, gradient_of(model, [1] * 3, np.stack([MASK] * 3)), atol=1e-5)
    with pytest.raises(ValueError, match=r"made otherwise: .*mask"):
        explain_dataset(saliency, dataset, tmp_path, target=Within(1, ~MASK), verbose=0)
