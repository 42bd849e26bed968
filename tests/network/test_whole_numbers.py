"""Numbers that a model makes whole: refused where a gradient would miss them, and else explained."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from slow_cases import by_default

from keras_pli.attribution import (
    LIME,
    GuidedGradCAM,
    GuidedIntegratedGradients,
    IntegratedGradients,
    MeaningfulPerturbation,
    Occlusion,
    Saliency,
    SmoothGrad,
)

LAYERS = keras.layers
ROW = np.float32([[5, 0.3, -0.7]])


def of_columns(make):
    """A model of three columns, linear in what is made of them."""
    keras.utils.set_random_seed(3)
    x = keras.Input((3,))
    return keras.Model(x, LAYERS.Dense(2)(make(x)))


def beside(first):
    """What is made of the first column, beside the others as they are."""
    return of_columns(lambda x: LAYERS.Concatenate()([first(x[:, :1]), x[:, 1:]]))


def embedded(column):
    return LAYERS.Flatten()(LAYERS.Embedding(9, 4)(ops.cast(column, "int32")))


def in_codes(column):
    return ops.one_hot(ops.cast(column[:, 0], "int32"), 9)


def in_bins(column):
    return LAYERS.Discretization([0.0, 3.0], output_mode="one_hot")(column)


class StraightThrough(LAYERS.Layer):
    """Rounds, with the gradient of the identity."""

    def call(self, x):
        return tf.custom_gradient(lambda given: (tf.round(given), lambda up: up))(x)


class TestColumnsThatAreMadeWhole:
    """A gradient by the other columns does not make up for one that is missing."""

    @pytest.mark.parametrize(
        "first, step", [(in_codes, "Cast"), (in_bins, "Bucketize"), (ops.round, "Round")]
    )
    def test_they_are_refused(self, first, step):
        curved = beside(lambda column: LAYERS.Activation("silu")(first(column)))
        with pytest.raises(ValueError, match=rf"whole numbers, by '{step}'.*such as Occlusion"):
            Saliency(curved)(ROW, 1)

    @pytest.mark.slow
    def test_by_every_method_and_with_advice_for_an_embedding(self):
        model = beside(embedded)
        for kind in (IntegratedGradients, GuidedIntegratedGradients, SmoothGrad):
            with pytest.raises(ValueError, match=r"whole numbers, by 'Cast'.*embeddings='sum'"):
                kind(model)(ROW, 1)
        found = Saliency(model, embeddings="sum")(ROW, 1).attributions[0]
        kernel = model.layers[-1].kernel.numpy()[:, 1]
        np.testing.assert_allclose(found, [kernel[:4].sum(), *kernel[4:]], rtol=1e-5)

    @pytest.mark.parametrize(
        "make, slope",
        [
            (lambda x: x - ops.floor(x), [1, 1, 1]),
            (lambda x: x + ops.stop_gradient(ops.round(x) - x), [1, 1, 1]),
            (lambda x: StraightThrough()(x), [1, 1, 1]),
            (lambda x: ops.where(x > 0, x, ops.zeros_like(x)), [1, 1, 0]),
            (lambda x: x * ops.cast(ops.not_equal(x, 5), "float32"), [0, 1, 1]),
        ],
    )
    def test_roundings_with_a_gradient_and_switches_are_not(self, make, slope):
        model = of_columns(make)
        kernel = model.layers[-1].kernel.numpy()[:, 1]
        found = Saliency(model)(ROW, 1).attributions[0]
        np.testing.assert_allclose(found, kernel * slope, rtol=1e-5)


class TestWhatElseIdsDo:
    @pytest.mark.parametrize(
        "other, step",
        [(lambda x: ops.one_hot(x[:, 1], 9), "OneHot"), (lambda x: ops.cast(x, "float32"), "Cast")],
    )
    def test_ids_beside_their_vectors_are_refused(self, other, step):
        x = keras.Input((2,), dtype="int32", name="ids")
        vectors = LAYERS.Flatten()(LAYERS.Embedding(9, 4)(x[:, :1]))
        model = keras.Model(x, LAYERS.Dense(2)(LAYERS.Concatenate()([vectors, other(x)])))
        with pytest.raises(ValueError, match=rf"the ids in the input 'ids' not only.*'{step}'"):
            IntegratedGradients(model, embeddings="sum")(np.array([[5, 7]]), 1)

    def test_what_a_mask_does_shows_in_delta(self):
        """A sum over the words that are not 0, for which `not_equal` counts, and a bias for each of them."""
        x = keras.Input((3,), dtype="int32")
        there = ops.cast(ops.not_equal(x, 0), "float32")[..., None]
        summed = ops.sum(there * (LAYERS.Embedding(6, 2)(x) + 1.0), axis=1)
        model = keras.Model(x, LAYERS.Dense(2)(summed))
        ids = np.array([[1, 4, 0], [3, 0, 0]])
        vectors, kernel, _ = model.get_weights()
        found = IntegratedGradients(model, embeddings="sum", steps=4)(ids, 1)
        rises = np.where(ids != 0, (vectors[ids] - vectors[0]) @ kernel[:, 1], 0)
        np.testing.assert_allclose(found.attributions, rises, atol=1e-5)
        scores = model.predict(np.vstack([ids, [[0, 0, 0]]]), verbose=0)[:, 1]
        missing = rises.sum(axis=1) - (scores[:2] - scores[2])
        np.testing.assert_allclose(found.delta, missing, atol=1e-5)
        assert (np.abs(missing) > 0.01).all()


def of_images(dtype):
    keras.utils.set_random_seed(1)
    x = keras.Input((8, 8, 1), dtype=dtype)
    y = LAYERS.Conv2D(3, 3, activation="relu")(LAYERS.Rescaling(1 / 255)(x))
    return keras.Model(x, LAYERS.Dense(2)(LAYERS.Flatten()(y)))


def pixels():
    return np.random.default_rng(0).integers(0, 256, (2, 8, 8, 1)).astype("uint8")


OF_IMAGES = {
    Saliency: {},
    IntegratedGradients: {"steps": 8},
    GuidedGradCAM: {},
    Occlusion: {"fill": "mean"},
    LIME: {"segments": np.arange(64).reshape(8, 8) // 8, "samples": 20},
    MeaningfulPerturbation: {"steps": 3, "jitter": 0},
}


class TestPixelsOfIntegers:
    """Integers that are only cast to floats are numbers, as if the model had an input of floats."""

    @pytest.mark.parametrize("kind", by_default(Saliency, Occlusion, of=OF_IMAGES))
    def test_they_are_explained_as_floats_are(self, kind):
        images = pixels()
        found, wanted = (
            kind(of_images(dtype), **OF_IMAGES[kind])(images, 1) for dtype in ("uint8", "float32")
        )
        assert np.abs(wanted.attributions).max() > 0
        np.testing.assert_allclose(found.attributions, wanted.attributions, rtol=1e-4, atol=1e-6)

    def test_integrated_gradients_sum_to_the_difference(self):
        found = IntegratedGradients(of_images("uint8"), steps=64)(pixels(), 1)
        np.testing.assert_allclose(found.delta, 0, atol=2e-3)

    def test_within_other_models_and_without_preprocessing(self):
        x = keras.Input((3,), dtype="int32")
        inner = keras.Sequential([keras.Input((3,), dtype="int32"), StraightCast()])
        model = keras.Model(x, LAYERS.Dense(2)(inner(x)))
        found = Saliency(model)(np.array([[3, 1, 2]]), 1).attributions[0]
        np.testing.assert_allclose(found, 0.5 * model.layers[-1].kernel.numpy()[:, 1], rtol=1e-5)

    def test_integers_that_are_computed_with_are_refused(self):
        x = keras.Input((3,), dtype="int32")
        model = keras.Model(x, LAYERS.Dense(2)(ops.cast(x % 3, "float32")))
        with pytest.raises(ValueError, match=r"give the model a `keras.Input` of floats"):
            Saliency(model)(np.array([[3, 1, 2]]), 1)


class StraightCast(LAYERS.Layer):
    """Half of what it gets."""

    def call(self, x):
        return 0.5 * ops.cast(x, "float32")
