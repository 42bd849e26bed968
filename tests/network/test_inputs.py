"""What is handed over as inputs, targets and models, and models that take samples in fixed numbers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_pli.attribution import (
    LIME,
    DeepLIFT,
    EpsilonLRP,
    GradCAM,
    GuidedIntegratedGradients,
    IntegratedGradients,
    InteriorGradients,
    MeaningfulPerturbation,
    Occlusion,
    Saliency,
    SmoothGrad,
)
from keras_pli.evaluation import Scorer
from keras_pli.network.activations import activations
from keras_pli.network.inputs import fixed_batch
from keras_pli.network.layers import check_model

LAYERS = keras.layers


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((4,)), LAYERS.Dense(3)], name="net")


class TestWhatIsHandedOver:
    @pytest.mark.parametrize(
        "x, error, message",
        [
            (
                tf.data.Dataset.from_tensor_slices(np.ones((3, 4))).batch(2),
                TypeError,
                "gives batches. `attribution.explain_dataset`",
            ),
            (iter([np.ones((2, 4))]), TypeError, "all samples at once. Received: list_iterator"),
            ([[1.0, 2, 3, 4], [5.0]], ValueError, "different lengths: 4, 1. Pad them"),
            (tf.ragged.constant([[1.0, 2], [3.0]]), ValueError, "different lengths: 2, 1"),
            ([[1.0, None, 3, 4]], TypeError, "dtype object: are samples of different lengths"),
        ],
    )
    def test_what_came_and_what_to_do(self, model, x, error, message):
        with pytest.raises(error, match=message):
            Saliency(model)(x)

    def test_an_explanation_is_no_input(self, model):
        found = Saliency(model)(np.ones((2, 4)))
        with pytest.raises(TypeError, match=r"inputs of the model. Received: an Attribution"):
            Saliency(model)(found)

    @pytest.mark.parametrize("target", [2**40, 2**31, [0, 2**62], 1e30])
    def test_classes_that_no_model_has(self, model, target):
        """As int32, 2 ** 40 is class 0."""
        with pytest.raises(ValueError, match=r"do not exist: .*0|do not exist: 2147483648"):
            Saliency(model)(np.ones((2, 4)), target)

    def test_a_model_of_keras_2(self):
        sequential = type("Sequential", (), {"__module__": "tf_keras.src.engine.sequential"})
        with pytest.raises(
            TypeError, match=r"Keras 3. Received: Sequential of Keras 2.*set_weights"
        ):
            Saliency(sequential())
        with pytest.raises(TypeError, match=r"put it into a `keras.Sequential`"):
            check_model(LAYERS.Dense(3))

    def test_inputs_by_name(self):
        parts = [keras.Input((2,), name="left"), keras.Input((), name="right")]
        joined = LAYERS.Concatenate()([parts[0], LAYERS.Reshape((1,))(parts[1])])
        model = keras.Model(parts, LAYERS.Dense(2)(joined), name="net")
        x = {"right": np.ones(3), "left": np.ones((3, 2))}
        found = Saliency(model)(x, 1).attributions
        kernel = model.layers[-1].get_weights()[0][:, 1]
        np.testing.assert_allclose(found["left"], np.tile(kernel[:2], (3, 1)))
        np.testing.assert_allclose(found["right"], np.full(3, kernel[2]))
        with pytest.raises(ValueError, match=r"inputs 'left', 'right'. Received: 'left'; missing"):
            Saliency(model)({"left": np.ones((3, 2))})
        with pytest.raises(ValueError, match=r"shape \(None, 2\). Received shape \(3, 5\)"):
            Saliency(model)(x | {"left": np.ones((3, 5))})

    @pytest.mark.parametrize("values", [[[0.5, 1]], [[300, 1]], [[-1, 1]]])
    def test_ids_that_the_model_cannot_take(self, values):
        words = [keras.Input((2,), dtype="uint8"), LAYERS.Embedding(9, 2), LAYERS.Flatten()]
        model = keras.Sequential([*words, LAYERS.Dense(2)])
        with pytest.raises(ValueError, match="whole numbers that uint8 can hold"):
            Saliency(model, embeddings="sum")(np.array(values))

    @pytest.mark.slow
    def test_one_number_for_each_sample(self):
        x = keras.Input(())
        model = keras.Model(x, LAYERS.Dense(2)(LAYERS.Reshape((1,))(x)))
        numbers, slope = np.float32([1, -2, 3]), model.layers[-1].get_weights()[0][0, 1]
        for method in (
            IntegratedGradients(model, steps=4),
            DeepLIFT(model),
            EpsilonLRP(model),
            Occlusion(model),
        ):
            found = method(numbers, 1).attributions
            np.testing.assert_allclose(found, slope * numbers, rtol=1e-4)
        np.testing.assert_allclose(Saliency(model)(numbers, 1).attributions, [slope] * 3, rtol=1e-6)


def recurrent(batch):
    """A recurrent network; with a batch, one that keeps the state of so many samples."""
    keras.utils.set_random_seed(3)
    stateful = batch is not None
    layers = [
        LAYERS.Conv1D(4, 3, activation="relu"),
        LAYERS.LSTM(3, stateful=stateful, return_sequences=True),
        LAYERS.GlobalAveragePooling1D(),
        LAYERS.Dense(3),
    ]
    return keras.Sequential([keras.Input(batch_shape=(batch, 8, 2)), *layers])


SIGNALS = np.random.default_rng(0).normal(size=(5, 8, 2)).astype(np.float32)
MANY_PASSES = {
    Saliency: {},
    SmoothGrad: {"samples": 3},
    IntegratedGradients: {"steps": 3, "baselines": [0.0, 1.0]},
    InteriorGradients: {"steps": 3},
    GuidedIntegratedGradients: {"steps": 3},
    GradCAM: {},
    Occlusion: {},
    LIME: {"samples": 9, "segments": 3},
    MeaningfulPerturbation: {"steps": 2},
}


@pytest.fixture(scope="module")
def pair():
    return recurrent(4), recurrent(None)


class TestFixedNumbersOfSamples:
    @pytest.mark.parametrize("kind", MANY_PASSES)
    @pytest.mark.slow
    def test_a_state_is_neither_used_up_nor_moved_on(self, kind, pair):
        """From fresh states, a stateful layer gives what its twin without states gives."""
        stateful, twin = pair
        options = MANY_PASSES[kind]
        wanted = kind(twin, **options)(SIGNALS, 1)
        states = [np.asarray(state) for state in stateful.layers[1].states]
        found = kind(stateful, **options)(SIGNALS, 1)
        np.testing.assert_allclose(found.attributions, wanted.attributions, atol=1e-5)
        np.testing.assert_allclose(found.scores, wanted.scores, atol=1e-5)
        for state, before in zip(stateful.layers[1].states, states, strict=True):
            np.testing.assert_array_equal(state, before)

    def test_reading_activations_leaves_states_as_they_are(self, pair):
        stateful, twin = pair
        found = activations(stateful, SIGNALS[:4], batch_size=4)
        np.testing.assert_allclose(found, activations(twin, SIGNALS[:4]), atol=1e-5)
        for state in stateful.layers[1].states:
            np.testing.assert_array_equal(state, 0)

    @pytest.mark.slow
    def test_the_state_of_the_moment_counts(self):
        model = recurrent(4)
        first = Saliency(model)(SIGNALS[:4], 1)
        model.predict(SIGNALS[:4], batch_size=4, verbose=0)
        states = [np.asarray(state) for state in model.layers[1].states]
        found = Saliency(model)(SIGNALS[:4], 1)
        assert np.abs(found.scores - first.scores).max() > 1e-4
        again = Scorer(model)(SIGNALS[:4], 1)
        np.testing.assert_allclose(again, found.scores, atol=1e-6)
        for state, before in zip(model.layers[1].states, states, strict=True):
            np.testing.assert_array_equal(state, before)

    def test_a_functional_model_of_a_batch_shape(self):
        x = keras.Input(batch_shape=(4, 6))
        folded = keras.ops.reshape(x, (4, 2, 3))
        model = keras.Model(x, LAYERS.Dense(2)(keras.ops.sum(folded, axis=1)))
        kernel = model.layers[-1].get_weights()[0][:, 1]
        rows = np.random.default_rng(0).normal(size=(6, 6)).astype(np.float32)
        for method in (IntegratedGradients(model, steps=5), DeepLIFT(model)):
            found = method(rows, 1)
            np.testing.assert_allclose(found.attributions, rows * np.tile(kernel, 2), rtol=1e-4)
        np.testing.assert_allclose(Scorer(model)(rows, 1), found.scores, rtol=1e-5)

    def test_a_batch_that_only_built_a_model_fixes_nothing(self):
        model = keras.Sequential([LAYERS.Dense(2)])
        model(np.ones((5, 3)))
        assert fixed_batch(model) is None
        assert fixed_batch(recurrent(4)) == 4
        assert Saliency(model, batch_size=7).batch_size == 7
