"""The randomisation checks on volumes in zeros: what sees the network passes, edges do not."""

import keras
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, generic_gradient_magnitude, sobel

from keras_pli.attribution import GradCAM, Saliency
from keras_pli.evaluation import data_randomization_test, model_randomization_test

L = keras.layers
SIZES = (10, 11, 9)


def edges(model):
    """Maps that see no model."""

    def explain(x, target):
        return np.stack([generic_gradient_magnitude(one[..., 0], sobel) for one in x])

    return explain


METHODS = {"saliency": Saliency, "grad_cam": GradCAM, "edges": edges}


def cohort(count, seed):
    """Smooth brains in zeros; in class 1 one corner of them has lost its tissue."""
    random = np.random.default_rng(seed)
    x = gaussian_filter(random.normal(size=(count, *SIZES)), (0, 1, 1, 1)) * 2 + 1
    y = random.integers(0, 2, count)
    x[y == 1, 5:8, 6:9, 2:5] -= 1
    brain = np.zeros(SIZES, bool)
    brain[1:9, 1:10, 1:8] = True
    return (x * brain)[..., None].astype(np.float32), y


def built(seed):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((*SIZES, 1)),
            L.Conv3D(8, 3, padding="same", activation="relu"),
            L.MaxPooling3D(2),
            L.Conv3D(8, 3, padding="same", activation="relu"),
            L.Flatten(),
            L.Dense(8, "relu"),
            L.Dense(2),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(5e-3), loss, metrics=["accuracy"], jit_compile=False)
    return model


def conclusions(result):
    return {name: found.conclusion for name, found in result.verdicts.items()}


@pytest.mark.slow
def test_random_weights_change_gradients_and_not_edges():
    """Of a network with weights of its own, which need not be good ones."""
    (x, _), methods = cohort(3, 1), {"saliency": Saliency, "edges": edges}
    brain = x[0, ..., 0] != 0
    result = model_randomization_test(methods, built(0), x, 1, seeds=4, within=brain)
    wanted = {"saliency": "sensitive", "edges": "insensitive"}
    assert conclusions(result) == wanted, str(result)


@pytest.mark.slow
@pytest.mark.parametrize("in_brain", [False, True])
def test_random_weights_undo_what_was_learned(in_brain):
    model, (x, y) = built(0), cohort(96, 0)
    model.fit(x, y, epochs=8, batch_size=16, verbose=0)
    held_out, labels = cohort(60, 1)
    assert model.evaluate(held_out, labels, verbose=0)[1] > 0.85
    within = held_out[0, ..., 0] != 0 if in_brain else None
    result = model_randomization_test(METHODS, model, held_out[:6], seeds=5, within=within)
    found = conclusions(result)
    assert (found["saliency"], found["edges"]) == ("sensitive", "insensitive"), str(result)


@pytest.mark.parametrize(
    ("within", "error", "message"),
    [
        (np.ones(SIZES), TypeError, "`within` must be boolean.*float64"),
        (np.ones((3, 3, 3), bool), ValueError, r"\(10, 11, 9\), or \(2, 10, 11, 9\).*\(3, 3, 3\)"),
        (np.zeros(SIZES, bool), ValueError, "at least two positions"),
    ],
)
def test_regions_that_do_not_fit(within, error, message):
    x = np.zeros((2, *SIZES, 1), np.float32)
    with pytest.raises(error, match=message):
        model_randomization_test(Saliency, None, x, within=within)
    with pytest.raises(error, match=message):
        data_randomization_test(Saliency, built, x, [0, 1], x, within=within)


def test_a_missing_axis_of_channels_is_named():
    model = keras.Sequential([keras.Input((*SIZES, 1)), L.Flatten(), L.Dense(2)])
    message = r"`x` must have an axis of channels.*\(10, 11, 9, 1\).*shape \(2, 10, 11, 9\)"
    for within in (None, np.ones(SIZES, bool)):
        with pytest.raises(ValueError, match=message):
            model_randomization_test(Saliency, model, np.zeros((2, *SIZES)), within=within)


@pytest.mark.slow
def test_permuted_labels_change_gradients_and_not_edges():
    (x, y), (held_out, _) = cohort(60, 0), cohort(8, 1)
    result = data_randomization_test(
        METHODS, built, x, y, held_out, accuracy=0.95, epochs=60, batch_size=16, seeds=2
    )
    assert (result.training["accuracy"] >= 0.9).all(), result.training
    found = conclusions(result)
    assert found["saliency"] == "sensitive", str(result)
    assert found["edges"] == "insensitive"
