"""Inversion against closed forms, SciPy's optimum, and itself one by one."""

import keras
import numpy as np
import pytest
from class_latent_models import STRUCTURE, classifier, drawing, generator, random_classifier
from scipy.optimize import minimize
from scipy.special import log_expit, softmax

from keras_pli.rationale.class_latent.class_latent_gan import ClassLatentGAN
from keras_pli.rationale.class_latent.inversion import invert

WEIGHTS = drawing()
SETTINGS = {"structure_size": STRUCTURE, "steps": 600, "starts": 1, "learning_rate": 0.05}


def images_of(model, samples=6, seed=0):
    codes = np.random.default_rng(seed).normal(size=(samples, model.input_shape[1]))
    return model(codes).numpy(), codes.astype("float32")


def test_images_that_the_generator_can_draw_are_found_exactly():
    model = generator(WEIGHTS)
    x, codes = images_of(model)
    found = invert(model, random_classifier(), x, free_class_code=True, **SETTINGS)
    np.testing.assert_allclose(np.hstack([found.z1, found.z2]), codes, atol=1e-3)
    np.testing.assert_allclose(found.mse, 0, atol=1e-6)
    np.testing.assert_allclose(found.differences, 0, atol=1e-4)
    assert found.faithful.all() and (found.status == "faithful").all()
    head, error = repr(found).splitlines()
    assert head == "Inversion of 6 images: 6 faithful, 0 class changed, 0 reconstruction too far"
    assert error.startswith("  error: ")
    figure = found.plot(most=4)
    assert [ax.get_xlabel().split(",")[0] for ax in figure.axes] == 2 * [
        f"class {label}" for label in found.original_probabilities[:4].argmax(axis=1)
    ]
    page = found._repr_html_()
    assert head in page and page.count("data:image/png") == 1 and page.count("<tr>") == 6


@pytest.mark.slow
def test_without_the_classifier_it_is_least_squares_in_what_may_move():
    # Of an image of class 0 z₂ is zero, so that only the structure's part of the drawing is fitted.
    model, judge = generator(WEIGHTS), random_classifier()
    x = np.random.default_rng(3).normal(size=(12, 4, 4, 1)).astype("float32")
    predicted = judge(x).numpy().argmax(axis=1)
    assert set(predicted) == {0, 1}
    found = invert(model, judge, x, class_weight=0.0, **SETTINGS)
    flat = x.reshape(12, -1)
    for row, label in enumerate(predicted):
        used = WEIGHTS if label else WEIGHTS[:STRUCTURE]
        wanted = np.zeros(len(WEIGHTS))
        wanted[: len(used)] = np.linalg.lstsq(used.T, flat[row], rcond=None)[0]
        np.testing.assert_allclose(np.hstack([found.z1[row], found.z2[row]]), wanted, atol=2e-3)
        np.testing.assert_allclose(
            found.mse[row], ((wanted @ WEIGHTS - flat[row]) ** 2).mean(), rtol=1e-3
        )
    np.testing.assert_allclose(found.errors, found.mse / flat.var(axis=1), rtol=1e-4)


def test_both_terms_together_reach_the_optimum_that_scipy_finds():
    # A linear generator before a logistic classifier makes equation 2 convex.
    model, judge = generator(WEIGHTS), random_classifier(activation="sigmoid")
    x = np.random.default_rng(4).normal(size=(4, 4, 4, 1)).astype("float32")
    slopes, bias = judge.get_weights()
    said = judge(x).numpy()[:, 0].astype(float)

    def equation_2(code, row):
        drawn = code @ WEIGHTS
        logit = drawn @ slopes[:, 0] + bias[0]
        crossed = -said[row] * log_expit(logit) - (1 - said[row]) * log_expit(-logit)
        return 2.0 * ((drawn - x[row].ravel()) ** 2).mean() + 0.7 * crossed

    found = invert(
        model, judge, x, image_weight=2.0, class_weight=0.7, free_class_code=True, **SETTINGS
    )
    for row in range(4):
        wanted = minimize(equation_2, np.zeros(len(WEIGHTS)), args=(row,), tol=1e-12)
        np.testing.assert_allclose(found.losses[row], wanted.fun, rtol=1e-4)
        np.testing.assert_allclose(np.hstack([found.z1[row], found.z2[row]]), wanted.x, atol=5e-3)


@pytest.mark.slow
def test_codes_of_three_classes_stay_in_the_block_of_the_predicted_one():
    weights = drawing(STRUCTURE + 4)
    model, judge = generator(weights), random_classifier(3, seed=2)
    x = np.random.default_rng(1).normal(size=(20, 4, 4, 1)).astype("float32")
    found = invert(model, judge, x, **{**SETTINGS, "steps": 20})
    predicted = judge(x).numpy().argmax(axis=1)
    assert set(predicted) == {0, 1, 2}
    for label, z2 in zip(predicted, found.z2, strict=True):
        used = (z2.reshape(2, 2) != 0).all(axis=1).tolist()
        assert used == [label == 1, label == 2]
        assert (z2.reshape(2, 2) != 0).any(axis=1).tolist() == used
    np.testing.assert_allclose(found.original_probabilities, judge(x), rtol=1e-5)
    np.testing.assert_allclose(found.probabilities, judge(found.images), rtol=1e-4)


@pytest.mark.slow
def test_a_batch_gives_what_its_images_give_one_by_one():
    model, judge = generator(WEIGHTS, "tanh"), random_classifier()
    x, _ = images_of(model)
    settings = {**SETTINGS, "steps": 40, "starts": 2}
    together = invert(model, judge, x, **settings)
    parts = invert(model, judge, x, batch_size=4, **settings)
    for row in (0, 5):
        alone = invert(model, judge, x[[row]], **settings)
        for one in (together, parts):
            np.testing.assert_allclose(one.z1[row], alone.z1[0], atol=2e-4)
            np.testing.assert_allclose(one.z2[row], alone.z2[0], atol=2e-4)


@pytest.mark.slow  # XLA compiles it for seconds
def test_graph_and_xla_agree():
    model, judge = generator(WEIGHTS, "tanh"), random_classifier()
    x, _ = images_of(model, 5)
    one, other = (
        invert(model, judge, x, jit_compile=jit, batch_size=3, **{**SETTINGS, "steps": 30})
        for jit in (False, True)
    )
    for name in ("z1", "z2", "images", "probabilities", "losses"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=1e-3)


@pytest.mark.slow
def test_more_starts_never_find_worse_and_the_best_is_kept():
    model, judge = generator(3 * WEIGHTS, "tanh"), random_classifier()
    x, _ = images_of(model, 30, seed=2)
    settings = {**SETTINGS, "steps": 60, "free_class_code": True}
    one, three = (invert(model, judge, x, **{**settings, "starts": n}) for n in (1, 3))
    assert (three.losses <= one.losses + 1e-5).all()
    assert (three.losses < one.losses - 1e-2).any()
    assert set(three.starts) > {0}
    first = three.starts == 0
    np.testing.assert_allclose(three.losses[first], one.losses[first], rtol=1e-3)
    # The losses are those at the codes, by hand.
    crossed = -(three.original_probabilities * np.log(judge(three.images).numpy())).sum(axis=1)
    np.testing.assert_allclose(three.losses, 4 * three.mse + crossed, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_the_first_start_has_no_structure_and_the_others_have_random_ones():
    model, judge = generator(WEIGHTS, "tanh"), random_classifier()
    x, _ = images_of(model, 40, seed=6)
    still = {**SETTINGS, "steps": 1, "learning_rate": 0.0, "starts": 4}
    found = invert(model, judge, x, **still)
    assert set(found.starts) == {0, 1, 2, 3}
    for start in range(4):
        chosen = found.starts == start
        assert (np.ptp(found.z1[chosen], axis=0) == 0).all()
        assert (found.z1[chosen] == 0).all() if start == 0 else (found.z1[chosen] != 0).all()


@pytest.mark.slow
def test_seeds_decide():
    model, judge = generator(WEIGHTS, "tanh"), random_classifier()
    x, _ = images_of(model, 8)
    short = {**SETTINGS, "steps": 3, "free_class_code": True}
    one, again, other = (invert(model, judge, x, seed=seed, **short) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.z2, again.z2)
    assert (one.z2 != other.z2).all()


def test_statuses_tell_what_the_reconstruction_is_worth():
    # Pixels that the generator cannot draw decide the class of half of the images.
    weights = np.zeros((4, 16), "float32")
    weights[:, :4] = 2 * np.eye(4)
    slopes = np.zeros((16, 2))
    slopes[15] = [0.0, 9.0]
    model, judge = generator(weights), classifier(slopes, [0.5, 0.0])
    x = np.zeros((3, 16), "float32")
    x[:, 0], x[1, 15] = 2.0, 1.0
    x[2, 8:15] = 1.0
    found = invert(model, judge, x.reshape(3, 4, 4, 1), **SETTINGS)
    assert found.status.tolist() == ["faithful", "class changed", "reconstruction too far"]
    np.testing.assert_allclose(
        found.differences[1], softmax([0.5, 9])[1] - softmax([0.5, 0])[1], atol=1e-4
    )
    table = found.to_frame()
    assert table["predicted"].tolist() == [0, 1, 0] and table["predicted_again"].tolist() == [
        0,
        0,
        0,
    ]


@pytest.mark.slow
def test_a_gan_inverts_by_its_best_generator():
    stack = [keras.Input((16, 16, 1)), keras.layers.Flatten(), keras.layers.Dense(2, "softmax")]
    gan = ClassLatentGAN(keras.Sequential(stack), structure_size=3, block_size=1, width=2)
    z1, z2, _ = gan.sample_codes(2, 1)
    found = gan.invert(gan.decode(z1, z2), steps=5)
    assert found.z1.shape == (2, 3) and found.z2.shape == (2, 1)
    np.testing.assert_allclose(found.images, gan.decode(found.z1, found.z2), atol=1e-5)


def test_what_does_not_fit_is_refused():
    model, judge = generator(WEIGHTS, "tanh"), random_classifier()
    x, _ = images_of(model)
    with pytest.raises(ValueError, match="Pass `structure_size`"):
        invert(model, judge, x)
    with pytest.raises(ValueError, match=r"must lie in .*-8.99"):
        invert(model, judge, 9 * x, **SETTINGS)
    with pytest.raises(ValueError, match=r"`x` must hold images of the generator's shape"):
        invert(model, judge, x[:, :2], **SETTINGS)
    with pytest.raises(ValueError, match="which must be 2 blocks of equal length for 3 classes"):
        invert(model, random_classifier(3), x, structure_size=1)
    with pytest.raises(ValueError, match=r"`starts` must be a whole number from 1\. Received: 0"):
        invert(model, judge, x, structure_size=2, starts=0)
