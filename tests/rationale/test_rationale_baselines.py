import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.spatial.distance import cdist
from scipy.stats import binomtest

from keras_pli.intervals import mean_interval
from keras_pli.rationale import (
    RationaleGenerator,
    Reconstruction,
    Search,
    classifier_contrast,
    contaminated,
    evaluate_rationales,
    keeps_class,
    measure_table,
    nearest_images,
    normalised_cross_correlation,
    pixel_search,
    randomized,
    through_encoder,
)

RNG = np.random.default_rng(8)
SHAPE = (4, 4, 1)


def logistic(weights, bias=(0.0, 0.0), activation="softmax"):
    """A linear classifier of images."""
    dense = keras.layers.Dense(2, activation)
    model = keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), dense])
    dense.set_weights([np.asarray(weights, "float32"), np.asarray(bias, "float32")])
    return model


@pytest.fixture(scope="module")
def linear():
    weights = RNG.normal(size=(16, 2)).astype("float32")
    images = RNG.uniform(-0.5, 0.5, (9, *SHAPE)).astype("float32")
    return logistic(weights), weights, images


# Pixel space


def test_least_change_of_pixels_is_known(linear):
    """Of a linear classifier it lies across the boundary, as far as the logit lacks."""
    model, weights, images = linear
    why = pixel_search(
        model,
        value_range=(-9.0, 9.0),
        confidence=0.9,
        search=Search(polish=300),
        learning_rate=0.01,
    )(images)
    across = weights[:, 1] - weights[:, 0]
    side = np.where(why.target == 1, 1, -1)
    lead = side * (images.reshape(9, -1) @ across)
    least = (np.log(9) - lead) / np.linalg.norm(across)
    found = np.linalg.norm((why.images - images).reshape(9, -1), axis=1)
    assert why.reached.all()
    assert (found >= least * (1 - 1e-3)).all()
    np.testing.assert_allclose(found, least, rtol=0.02)


@pytest.mark.slow
def test_pixels_stay_in_their_range_and_can_come_back():
    model = logistic(np.tile([[-3.0, 3.0]], (16, 1)), (0.0, 0.0))
    dark = np.full((2, *SHAPE), -1.0, "float32")
    dark[:, 0, 0] = -0.9  # not constant
    why = pixel_search(model)(dark, target=1)
    assert why.reached.all() and np.abs(why.images).max() <= 1
    back = pixel_search(model)(why.images, target=0)
    assert back.reached.all()


def test_a_pixel_beyond_its_limit_still_feels_the_gradient(linear):
    drawn = pixel_search(linear[0]).generator
    codes = tf.constant([[2.0] * 8 + [0.5] * 8])
    with tf.GradientTape() as tape:
        tape.watch(codes)
        images = drawn(codes)
    assert tf.reduce_all(tape.gradient(images, codes) == 1)
    assert images.numpy().ravel().tolist() == [1.0] * 8 + [0.5] * 8


@pytest.mark.slow
def test_pixel_search_leaves_no_residual_and_mixes_no_samples(linear):
    model, _, images = linear
    search = pixel_search(model)
    together = search(images)
    np.testing.assert_allclose(together.residuals, 0, atol=1e-7)
    for i in (0, 5):
        np.testing.assert_allclose(
            search(images[i : i + 1]).images[0], together.images[i], atol=1e-5
        )


@pytest.mark.slow
def test_pixel_search_hands_options_on(linear):
    model, _, images = linear
    search = pixel_search(model, confidence=0.75, steps=7)
    assert search.settings.steps == 7 and search(images).about["confidence"] == 0.75
    assert isinstance(search, RationaleGenerator)


# Nearest images


def test_nearest_image_of_the_class_is_scipys(linear):
    model, _, images = linear
    gallery = RNG.uniform(-1, 1, (40, *SHAPE)).astype("float32")
    labels = np.arange(40) % 2
    target = np.arange(9) % 2
    why = nearest_images(images, target, gallery, labels, model)
    apart = cdist(images.reshape(9, -1), gallery.reshape(40, -1))
    apart[labels[None] != target[:, None]] = np.inf
    np.testing.assert_array_equal(why.images, gallery[apart.argmin(axis=1)])
    np.testing.assert_allclose(why.distances, apart.min(axis=1) ** 2 / 16, rtol=1e-5)
    says = model.predict(why.images, verbose=0)
    np.testing.assert_array_equal(why.flipped, says.argmax(axis=1) == target)
    np.testing.assert_array_equal(why.reached, says[np.arange(9), target] >= 0.9)
    assert set(why.status) <= {"reached", "stopped at the limit"}


def test_nearest_images_make_a_whole_result(linear, tmp_path):
    model, _, images = linear
    why = nearest_images(images, 1, images, [0, 1] * 4 + [1], model)
    again = type(why).load(why.save(tmp_path / "why.npz"))
    assert again.verdicts == why.verdicts and len(again[:2]) == 2


def test_a_class_without_images_is_named(linear):
    model, _, images = linear
    with pytest.raises(ValueError, match="no image of class 1; it has 0"):
        nearest_images(images, 1, images, np.zeros(9, int), model)
    with pytest.raises(ValueError, match="shape"):
        nearest_images(images, 1, images[:, :3], np.ones(9, int), model)


def test_through_encoder_shares_weights():
    encoder = keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(3)])
    head = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, "softmax")])
    model = through_encoder(encoder, head)
    x = RNG.normal(size=(5, *SHAPE)).astype("float32")
    head.set_weights([2 * weight for weight in head.get_weights()])
    np.testing.assert_allclose(model(x), head(encoder(x)), rtol=1e-6)


# The table


@pytest.fixture(scope="module")
def results(linear):
    model, _, images = linear
    target = 1 - model.predict(images, verbose=0).argmax(axis=1)
    gallery = RNG.uniform(-1, 1, (60, *SHAPE)).astype("float32")
    labels = model.predict(gallery, verbose=0).argmax(axis=1)
    return {
        "pixels": pixel_search(model, steps=300)(images, target),
        "nearest": nearest_images(images, target, gallery, labels, model),
    }


def test_table_has_means_intervals_and_paired_differences(results, linear):
    table = evaluate_rationales(results, classifier=linear[0], seconds={"pixels": 1.8})
    rows = table.set_index(["method", "measure"])
    lengths = {
        name: np.linalg.norm(why.rationales.reshape(9, -1), axis=1) for name, why in results.items()
    }
    line = rows.loc[("nearest", "l2")]
    expected = mean_interval(lengths["nearest"])
    np.testing.assert_allclose(line[["mean", "low", "high"]].astype(float), expected, rtol=1e-6)
    apart = mean_interval(lengths["nearest"] - lengths["pixels"])
    found = line[["difference", "difference_low", "difference_high"]].astype(float)
    np.testing.assert_allclose(found, apart, rtol=1e-5)
    reached = results["nearest"].reached
    wilson = binomtest(int(reached.sum()), 9).proportion_ci(0.95, "wilson")
    line = rows.loc[("nearest", "reached")]
    assert line["low"] == pytest.approx(wilson.low) and line["mean"] == reached.mean()
    assert rows.loc[("pixels", "seconds per image"), "mean"] == pytest.approx(0.2)
    wide = measure_table(table)
    assert wide.index.tolist() == ["pixels", "nearest"] and wide.columns[0] == "flipped"
    assert wide.loc["pixels", "l2"] == pytest.approx(lengths["pixels"].mean())


def test_table_measures_some_rows(results):
    truths = RNG.normal(size=(9, *SHAPE)).astype("float32")
    rows = np.arange(9) < 4
    table = evaluate_rationales(results, truths=truths, rows=rows)
    line = table.set_index(["method", "measure"]).loc[("nearest", "correlation")]
    expected = normalised_cross_correlation(results["nearest"].rationales, truths)[:4].mean()
    assert line["mean"] == pytest.approx(expected) and line["samples"] == 4
    assert keeps_class(results["pixels"]).all()


def test_a_classifier_of_images_sees_reconstructions_anew(results):
    """A search by codes sees image and reconstruction alike, whatever became of the image."""
    why = results["pixels"]
    flipped = (np.arange(9) % 3 == 0)[:, None]
    chances = why.path_probabilities[:, 0]
    other = np.where(flipped, chances[:, ::-1], chances)
    kept = keeps_class(why, lambda images: other if (images == why.reconstructions).all() else 0)
    assert kept.tolist() == (~flipped[:, 0]).tolist()


def test_table_wants_the_same_images(results):
    with pytest.raises(ValueError, match="'nearest' differs"):
        evaluate_rationales({"pixels": results["pixels"], "nearest": results["nearest"][:3]})
    with pytest.raises(ValueError, match="no method"):
        evaluate_rationales({})


# The contrast


@pytest.fixture(scope="module")
def planted():
    """Images of four codes, the first of which makes the upper half bright and decides the class."""
    random = np.random.default_rng(4)  # the same whichever tests ran before
    keras.utils.set_random_seed(2)
    drawing = np.zeros((4, 16), "float32")
    drawing[0, :8] = 1.0
    drawing[1:] = random.normal(size=(3, 16)) * 0.7
    codes = random.normal(size=(80, 4)).astype("float32")
    flat = keras.layers.Dense(16, use_bias=False)
    generator = keras.Sequential([keras.Input((4,)), flat, keras.layers.Reshape(SHAPE)])
    flat.set_weights([drawing])
    dense = keras.layers.Dense(4, use_bias=False)
    encoder = keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), dense])
    dense.set_weights([np.linalg.pinv(drawing)])
    honest = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(100, "relu"), keras.layers.Dense(2, "softmax")]
    )
    many = random.normal(size=(2000, 4)).astype("float32")
    honest.compile(
        keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", jit_compile=False
    )
    honest.fit(many, many[:, 0] > 0, epochs=5, verbose=0)
    return generator, encoder, honest, codes, drawing[0].reshape(SHAPE)


@pytest.mark.slow
def test_contaminated_and_random_classifiers_score_worse(planted):
    generator, encoder, honest, codes, truth = planted
    random = np.random.default_rng(0)
    noisy = np.where(random.uniform(size=80) < 0.3, random.integers(2, size=80), codes[:, 0] > 0)
    classifiers = {
        "honest": honest,
        "contaminated": contaminated(honest, codes, noisy, learning_rate=0.01),
        "randomized": randomized(honest, seed=1),
    }

    def score(why, rows):
        return normalised_cross_correlation(why.rationales, np.repeat(truth[None], len(rows), 0))

    x = generator(codes).numpy()
    table = classifier_contrast(
        classifiers,
        generator,
        encoder,
        x[:40],
        0,
        score,
        steps=300,
        reconstruction=Reconstruction(limit=9.0),
    )
    assert table.index.tolist() == list(classifiers)
    assert table.loc["honest", "score"] > 0.75 and table.loc["honest", "similarity"] == 1
    assert table.loc["contaminated", "difference_high"] < 0
    assert table.loc["randomized", "difference_high"] < 0
    assert table.loc["randomized", "similarity"] < 0.5
    assert (table["samples"] > 5).all()


@pytest.mark.slow
def test_contaminated_knows_its_test_set_and_spares_the_original(planted):
    _, _, honest, codes, _ = planted
    before = [weight.copy() for weight in honest.get_weights()]
    labels = RNG.integers(2, size=40)
    learned = contaminated(honest, codes[:40], labels, learning_rate=0.02)
    assert (learned.predict(codes[:40], verbose=0).argmax(axis=1) == labels).all()
    for one, other in zip(before, honest.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_cannot_be_memorised_is_said(planted):
    _, _, honest, codes, _ = planted
    twins = np.repeat(codes[:1], 2, axis=0)
    with pytest.raises(ValueError, match=r"After 3 epochs 50.0%"):
        contaminated(honest, twins, [0, 1], epochs=3, accuracy=0.6)


def test_a_classifier_that_says_nothing_else_is_said(planted):
    generator, encoder, honest, codes, _ = planted
    x = generator(codes[codes[:, 0] < -1]).numpy()
    with pytest.raises(ValueError, match="calls all"):
        classifier_contrast({"honest": honest}, generator, encoder, x, 0, lambda why, rows: rows)
