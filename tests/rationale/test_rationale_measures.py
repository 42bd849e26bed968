import keras
import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import pearsonr

from keras_pli.rationale.measures.class_autoencoders import class_autoencoders
from keras_pli.rationale.measures.counterfactuals import (
    IM1_EPSILON,
    im1,
    ink_scores,
    label_variation,
    normalised_cross_correlation,
    oracle_agreement,
    proximity,
    sparsity,
    validity,
)

RNG = np.random.default_rng(3)
IMAGES = RNG.uniform(-1, 1, (6, 5, 4, 3)).astype("float32")
OTHERS = RNG.uniform(-1, 1, (6, 5, 4, 3)).astype("float32")


def table(chances):
    """A classifier that says what it is told to, whatever the image."""
    return lambda images: np.asarray(chances)[: len(images)]


# Validity and the oracle


def test_validity_asks_for_class_and_confidence():
    chances = [[0.05, 0.95, 0.0], [0.3, 0.6, 0.1], [0.5, 0.4, 0.1], [0.1, 0.0, 0.9]]
    assert validity(chances, [1, 1, 1, 1]).tolist() == [True, True, False, False]
    assert validity(chances, [1, 1, 1, 2], confidence=0.9).tolist() == [True, False, False, True]


def test_confidence_alone_is_not_enough():
    assert not validity([[0.6, 0.4]], [1], confidence=0.3)[0]


def test_one_column_is_the_probability_of_class_one():
    assert validity([[0.8], [0.8]], [1, 0]).tolist() == [True, False]
    assert oracle_agreement(table([[0.2], [0.9]]), IMAGES[:2], [0, 0]).tolist() == [True, False]


def test_oracle_takes_a_keras_model():
    model = keras.Sequential(
        [keras.Input((5, 4, 3)), keras.layers.Flatten(), keras.layers.Dense(4)]
    )
    classes = model(IMAGES).numpy().argmax(axis=1)
    assert oracle_agreement(model, IMAGES, classes).all()
    assert not oracle_agreement(model, IMAGES, (classes + 1) % 4).any()


@pytest.mark.parametrize("wrong", [[3, 0], [0, -1], [0.5, 0]])
def test_targets_must_be_classes(wrong):
    with pytest.raises(ValueError, match="classes from 0 to 2"):
        validity(np.eye(3)[:2], wrong)


@pytest.mark.parametrize("wrong", [0, 1.2, float("nan")])
def test_confidence_must_be_a_probability(wrong):
    with pytest.raises(ValueError, match="confidence"):
        validity(np.eye(2), [0, 1], confidence=wrong)


def test_classifier_must_give_a_row_for_each_image():
    with pytest.raises(ValueError, match=r"2 images. It gave \(2,\)"):
        oracle_agreement(lambda images: np.zeros(len(images)), IMAGES[:2], [0, 0])


# Distances


@pytest.mark.parametrize("order", [1, 2])
def test_proximity_equals_loops(order):
    found = proximity(IMAGES, OTHERS, order=order)
    for i, distance in enumerate(found):
        sum_ = sum(
            abs(float(a) - float(b)) ** order
            for a, b in zip(IMAGES[i].flat, OTHERS[i].flat, strict=True)
        )
        assert distance == pytest.approx(sum_ ** (1 / order), rel=1e-6)


def test_sparsity_counts_pixels_not_values():
    changed = IMAGES.copy()
    changed[0, 0, 0] += [0.0, 0.5, -0.5]  # one pixel, in two channels
    changed[0, 1, 1, 0] += 0.15  # too little
    changed[1, 2] -= 1.0
    shares = sparsity(IMAGES, changed, threshold=0.2)
    np.testing.assert_allclose(shares, [1 / 20, 4 / 20, 0, 0, 0, 0])


def test_shapes_are_checked():
    for measure in (proximity, sparsity, normalised_cross_correlation, ink_scores):
        with pytest.raises(ValueError, match="one shape"):
            measure(IMAGES, OTHERS[:, :4])
    with pytest.raises(ValueError, match="order"):
        proximity(IMAGES, OTHERS, order=3)
    with pytest.raises(ValueError, match="threshold"):
        sparsity(IMAGES, OTHERS, threshold=-1)


# IM1


def scaled(factor):
    """An autoencoder that misses the share 1 - factor of every image."""
    dense = keras.layers.Dense(60, use_bias=False)
    model = keras.Sequential(
        [keras.Input((5, 4, 3)), keras.layers.Flatten(), dense, keras.layers.Reshape((5, 4, 3))]
    )
    dense.set_weights([np.eye(60, dtype="float32") * factor])
    return model


def test_im1_is_a_ratio_of_squared_errors():
    models = {0: scaled(0.5), 1: scaled(0.9), 2: scaled(0.0)}
    target, original = np.array([1, 1, 0, 2, 0, 1]), np.array([0, 2, 1, 1, 2, 0])
    missed = np.array([0.5, 0.1, 1.0])
    size = (IMAGES**2).sum(axis=(1, 2, 3))
    expected = missed[target] ** 2 * size / (missed[original] ** 2 * size + IM1_EPSILON)
    np.testing.assert_allclose(im1(IMAGES, target, original, models), expected, rtol=1e-4)


def test_im1_needs_every_class():
    with pytest.raises(ValueError, match=r"none for the classes 2 of `original`"):
        im1(IMAGES[:2], [0, 0], [2, 0], {0: scaled(1.0)})


def test_class_autoencoders_know_their_class():
    """Images of either class lie on a plane of their own, which its autoencoder finds."""
    planes = RNG.normal(size=(2, 2, 36))
    labels = np.arange(240) % 2
    codes = RNG.normal(size=(240, 1, 2))
    images = 0.2 * (codes @ planes[labels]).reshape(-1, 6, 6, 1)
    models = class_autoencoders(images[:200], labels[:200], bottleneck=2, epochs=40)
    held, theirs = images[200:], labels[200:]
    assert np.median(im1(held, theirs, 1 - theirs, models)) < 0.2
    assert np.median(im1(held, 1 - theirs, theirs, models)) > 5


@pytest.mark.slow
def test_class_autoencoders_are_the_same_for_the_same_seed():
    images, labels = RNG.normal(size=(8, 4, 4, 1)), np.zeros(8, int)
    one, two, other = (
        class_autoencoders(images, labels, epochs=1, seed=seed)[0].get_weights()
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one[0], two[0])
    assert not np.allclose(one[0], other[0])


def test_class_autoencoders_need_images_of_the_class():
    with pytest.raises(ValueError, match="holds 5"):
        class_autoencoders(IMAGES, np.zeros(6, int), classes=[0, 5])


# Label variation


def test_label_variation_is_scipys_jensen_shannon_divergence():
    one, two = RNG.dirichlet(np.ones(4), 6), RNG.dirichlet(np.ones(4), 6)
    one[0] = [1, 0, 0, 0]  # 0 ln 0 is 0
    says = iter([one, two])
    found = label_variation(lambda images: next(says), IMAGES, OTHERS)
    np.testing.assert_allclose(found, jensenshannon(one, two, axis=1) ** 2, rtol=1e-9)


def test_label_variation_takes_one_column():
    says = iter([np.array([[0.2]]), np.array([[0.7]])])
    found = label_variation(lambda images: next(says), IMAGES[:1], OTHERS[:1])
    assert found[0] == pytest.approx(jensenshannon([0.8, 0.2], [0.3, 0.7]) ** 2)


def test_label_variation_refuses_logits():
    with pytest.raises(ValueError, match="Add a softmax"):
        label_variation(table([[2.0, -1.0]] * 6), IMAGES, OTHERS)


# Known truth


def test_correlation_is_pearsons():
    found = normalised_cross_correlation(IMAGES, OTHERS)
    pairs = zip(IMAGES.astype(float), OTHERS.astype(float), strict=True)
    expected = [pearsonr(one.ravel(), other.ravel()).statistic for one, other in pairs]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_correlation_knows_sign_and_not_size():
    np.testing.assert_allclose(normalised_cross_correlation(3 * IMAGES - 1, IMAGES), 1)
    np.testing.assert_allclose(normalised_cross_correlation(-IMAGES, IMAGES), -1)


def test_correlation_with_a_constant_is_nan():
    flat = np.full_like(IMAGES, 0.1)
    assert np.isnan(normalised_cross_correlation(flat, IMAGES)).all()
    assert np.isnan(normalised_cross_correlation(IMAGES, flat)).all()


def test_signs_are_scored_apart():
    truth = np.zeros((1, 4, 4, 1), "float32")
    truth[0, 0], truth[0, 3] = 1.0, -1.0  # the first row goes, the last one comes
    found = truth.copy()
    found[0, 3] = 0
    found[0, 2, 2] = -2.0  # what is added lies elsewhere
    row = ink_scores(found, truth).iloc[0]
    assert row["removed"] == pytest.approx(1) and row["removed_inside"] == pytest.approx(1)
    assert row["added"] < 0 and row["added_inside"] == 0
    turned = ink_scores(-found, -truth).iloc[0]
    assert turned["added"] == pytest.approx(1) and turned["removed_inside"] == 0


def test_ink_shares_are_of_the_rationales_ink():
    truth = np.zeros((1, 2, 2, 1), "float32")
    truth[0, 0] = 1.0
    found = np.array([[[[3.0], [0.0]], [[1.0], [0.0]]]])
    row = ink_scores(found, truth).iloc[0]
    assert row["removed_inside"] == pytest.approx(0.75)
    assert np.isnan(row["added"]) and np.isnan(row["added_inside"])
