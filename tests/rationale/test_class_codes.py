"""Codes of structure and class, and how a classifier is read."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from class_latent_models import PIXELS, classifier, random_classifier
from scipy.special import log_softmax, logsumexp, softmax

from keras_pli.rationale.class_latent.class_codes import CodeScheme
from keras_pli.rationale.search.class_reader import ClassReader, log_odds

X = np.random.default_rng(0).normal(size=(6, 4, 4, 1)).astype("float32")


def test_each_class_is_drawn_in_its_own_block_and_class_0_nowhere():
    scheme = CodeScheme.of(latent_size=11, structure_size=5, classes=4)
    assert (scheme.block_size, scheme.class_size, scheme.latent_size) == (2, 6, 11)
    labels = np.arange(400, dtype=np.int32) % 4
    z1, z2 = scheme.parts(scheme.drawn(labels, 3, 0).numpy())
    assert z1.shape == (400, 5) and (z1 != 0).all()
    blocks = z2.reshape(400, 3, 2)
    for label in range(4):
        for block in range(3):
            drawn = blocks[labels == label, block]
            assert (drawn != 0).all() if block == label - 1 else (drawn == 0).all()
    np.testing.assert_array_equal(scheme.classes_of(z2), labels)


def test_codes_are_standard_normal_and_classes_have_their_shares():
    scheme = CodeScheme(3, 2, 3)
    shares = (0.5, 0.2, 0.3)
    labels = scheme.labels(20000, shares, 1, 7).numpy()
    np.testing.assert_allclose(np.bincount(labels) / 20000, shares, atol=0.015)
    z1, z2 = scheme.parts(scheme.drawn(labels, 1, 8).numpy())
    for values in (z1, z2[labels == 1][:, :2], z2[labels == 2][:, 2:]):
        assert abs(values.mean()) < 0.04 and abs(values.std() - 1) < 0.03
    again = scheme.parts(scheme.drawn(labels, 1, 8).numpy())[0]
    np.testing.assert_array_equal(z1, again)
    assert (z1 != scheme.parts(scheme.drawn(labels, 1, 9).numpy())[0]).all()


def test_a_share_of_zero_is_never_drawn():
    labels = CodeScheme(1, 1, 3).labels(5000, (0.0, 1.0, 0.0), 0, 0).numpy()
    assert (labels == 1).all()


def test_codes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="leaves 5 for the class code, which must be 2 blocks"):
        CodeScheme.of(10, 5, 3)
    with pytest.raises(ValueError, match="leaves 0 for the class code"):
        CodeScheme.of(5, 5, 2)
    scheme = CodeScheme(3, 2, 2)
    with pytest.raises(
        ValueError, match=r"`z2` must have shape \(samples, 2\). Received shape \(4, 3\)"
    ):
        scheme.joined(np.zeros((4, 3)), np.zeros((4, 3)))
    with pytest.raises(ValueError, match="4 structure codes, but 5 class codes"):
        scheme.joined(np.zeros((4, 3)), np.zeros((5, 2)))
    with pytest.raises(ValueError, match=r"`labels` must be classes from 0 to 1\. Received: 2"):
        scheme.checked_labels([0, 2], 2)


@pytest.mark.parametrize(
    ("classes", "activation"),
    [
        (3, "softmax"),
        (2, "sigmoid"),
        (2, None),
        pytest.param(2, "softmax", marks=pytest.mark.slow),
        pytest.param(3, None, marks=pytest.mark.slow),
    ],
)
def test_logits_are_those_of_which_softmax_makes_the_probabilities(classes, activation):
    model = random_classifier(classes, activation=activation)
    reader = ClassReader(model, (4, 4, 1))
    assert reader.classes == classes
    logits = tf.function(reader.logits)(X).numpy()
    said = model(X).numpy()
    if activation == "sigmoid":
        said = np.concatenate([1 - said, said], axis=1)
    elif activation is None:
        said = softmax(said, axis=1)
    np.testing.assert_allclose(softmax(logits, axis=1), said, rtol=1e-5)


def test_one_linear_unit_is_the_logit_of_class_1():
    model = random_classifier(1, activation=None)
    reader = ClassReader(model, (4, 4, 1))
    assert reader.classes == 2
    logits = tf.function(reader.logits)(X).numpy()
    np.testing.assert_allclose(logits, np.pad(model(X), [(0, 0), (1, 0)]), rtol=1e-6)


def test_classifiers_that_tell_no_alternatives_or_take_other_images_are_refused():
    several = classifier(np.ones((PIXELS, 3)), np.zeros(3), "sigmoid")
    with pytest.raises(ValueError, match="it ends in 3 sigmoids"):
        ClassReader(several, (4, 4, 1))
    with pytest.raises(ValueError, match=r"must take images of shape \(8, 8, 1\)"):
        ClassReader(several, (8, 8, 1))
    with pytest.raises(TypeError, match=r"`classifier` must be a Keras model\. Received: str"):
        ClassReader("classifier", (4, 4, 1))
    bent = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten()])
    bent.add(keras.layers.Dense(2, "tanh"))
    with pytest.raises(ValueError, match="No logits can be found"):
        ClassReader(bent, (4, 4, 1))


def test_log_odds_order_what_is_rounded_to_one():
    logits = np.array([[0.0, 40.0, 1.0], [0.0, 41.0, 1.0], [2.0, -1.0, 0.5]], "float32")
    found = log_odds(tf.constant(logits), tf.ones(3, tf.int32)).numpy()
    others = logsumexp(logits[:, [0, 2]].astype(float), axis=1)
    np.testing.assert_allclose(found, logits[:, 1] - others, rtol=1e-5)
    assert found[1] > found[0]
    assert np.exp(log_softmax(logits, axis=1))[0, 1] == 1
