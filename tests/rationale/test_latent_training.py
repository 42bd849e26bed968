"""Classifiers of codes: no group on both sides, and the curve that scikit-learn would draw."""

import keras
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from keras_pli.images import scale_bnp
from keras_pli.rationale.latent_classifiers import linear_regressor, mlp, residual_network
from keras_pli.rationale.latent_training import fit_latent_classifier

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(240, 3, 3, 1)).astype("float32")
PATIENTS = np.arange(240) // 3


def encoder_of():
    return keras.Sequential([keras.Input((3, 3, 1)), keras.layers.Flatten()])


def test_groups_stay_together_and_the_area_is_that_of_scikit_learn():
    labels = (IMAGES[:, 0, 0, 0] + 0.5 * IMAGES[:, 1, 1, 0] > 0).astype(int)
    classifier = mlp(9, 2)
    classifier.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    fit = fit_latent_classifier(
        encoder_of(), classifier, IMAGES, labels, groups=PATIENTS, held_out=0.25, epochs=8
    )
    assert len(fit.held_out) == 60
    training = np.setdiff1d(np.arange(240), fit.held_out)
    assert not set(PATIENTS[fit.held_out]) & set(PATIENTS[training])
    assert len(fit.curves) == 1 and fit.auc > 0.9
    expected = roc_auc_score(labels[fit.held_out], fit.scores[:, 1])
    assert fit.auc == pytest.approx(expected)
    np.testing.assert_array_equal(fit.codes, IMAGES.reshape(240, 9))
    np.testing.assert_allclose(
        fit.scores, classifier.predict(fit.codes[fit.held_out], verbose=0), atol=1e-6
    )
    assert set(fit.history) == {"loss", "val_loss"}


@pytest.mark.slow
def test_a_regression_is_judged_by_who_is_positive():
    readings = np.exp(4.6 + IMAGES[:, 2, 2, 0])
    regressor = linear_regressor(9)
    regressor.compile(keras.optimizers.SGD(0.1), "mse")
    settings = {"epochs": 15, "positive": lambda y: y > scale_bnp(100.0)}
    fit = fit_latent_classifier(
        encoder_of(), regressor, IMAGES, scale_bnp(np.maximum(readings, 1)), **settings
    )
    assert fit.auc == roc_auc_score(readings[fit.held_out] > 100, fit.scores[:, 0]) > 0.95


@pytest.mark.slow
def test_several_classes_and_several_findings_have_a_curve_each():
    classes = IMAGES[:, 0, :, 0].argmax(axis=1)
    findings = (IMAGES[:, 0, :2, 0] > 0).astype(int)
    for labels, classifier, loss, count in (
        (classes, mlp(9, 3), "sparse_categorical_crossentropy", 3),
        (findings, residual_network(9, 2), "binary_crossentropy", 2),
    ):
        classifier.compile(keras.optimizers.Adam(0.01), loss)
        fit = fit_latent_classifier(encoder_of(), classifier, IMAGES, labels, epochs=3)
        assert len(fit.curves) == count
        for output, curve in enumerate(fit.curves):
            truth = labels == output if count == 3 else labels[:, output]
            assert curve.auc == pytest.approx(
                roc_auc_score(truth[fit.held_out], fit.scores[:, output])
            )
            assert curve.auc > 0.7


@pytest.mark.slow
def test_bad_input_is_quoted():
    regressor = linear_regressor(9)
    regressor.compile("sgd", "mse")
    values = RNG.normal(size=240)

    def fit(labels=values, **settings):
        fit_latent_classifier(encoder_of(), regressor, IMAGES, labels, epochs=1, **settings)

    with pytest.raises(ValueError, match="Pass `positive`"):
        fit()
    with pytest.raises(ValueError, match="240 images, but 3 labels"):
        fit(np.zeros(3))
    with pytest.raises(ValueError, match="240 images, but 3 groups"):
        fit(groups=[1, 2, 3])
    with pytest.raises(ValueError, match=r"`held_out`.*1.0"):
        fit(held_out=1.0)
    with pytest.raises(ValueError, match="all negative"):
        fit(np.zeros(240))
