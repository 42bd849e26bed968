"""Traversals of generators of which one knows how the classifier's output runs along them."""

import keras
import numpy as np
import pytest
from class_latent_models import (
    BLOCK,
    SIDE,
    STRUCTURE,
    classifier,
    drawing,
    generator,
    random_classifier,
)
from scipy.special import expit, softmax
from scipy.stats import spearmanr

from keras_pli.attribution import GradCAM
from keras_pli.rationale.class_latent.class_latent_gan import ClassLatentGAN
from keras_pli.rationale.class_latent.monotony import rank_correlations, violations
from keras_pli.rationale.class_latent.traversal import traverse
from keras_pli.rationale.class_latent.traversal_measures import measure_traversal

WEIGHTS = drawing()
RNG = np.random.default_rng(0)
Z1 = RNG.normal(size=(5, STRUCTURE)).astype("float32")
Z2 = RNG.normal(size=(5, BLOCK)).astype("float32") * [[1.0], [-1.0], [1.0], [-1.0], [1.0]]


def curved(shape, structure=1):
    """A generator whose pixels are all a function of the one number in z₂."""
    codes = keras.Input((structure + 1,))
    values = keras.layers.Lambda(lambda z: shape(z[:, structure:]))(codes)
    pixels = keras.layers.RepeatVector(SIDE * SIDE)(values)
    return keras.Model(codes, keras.layers.Reshape((SIDE, SIDE, 1))(pixels))


def of_brightness(slope=1.0, bias=0.0):
    """A classifier whose logit of class 1 is `slope · mean pixel + bias`."""
    return classifier(np.full((16, 1), slope / 16), [bias], "sigmoid")


def test_images_and_probabilities_are_those_of_the_codes_on_the_way():
    model, judge = generator(WEIGHTS, "tanh"), random_classifier()
    way = traverse(model, judge, Z1, Z2, steps=4, rate=0.3, structure_size=STRUCTURE)
    np.testing.assert_allclose(way.positions, [0, 0.3, 0.6, 0.9, 1.2], rtol=1e-6)
    for n, share in enumerate(way.positions):
        images = model(np.hstack([Z1, share * Z2])).numpy()
        np.testing.assert_allclose(way.images[:, n], images, atol=1e-6)
        np.testing.assert_allclose(way.probabilities[:, n], judge(images), atol=1e-6)
    np.testing.assert_allclose(way.negatives, model(np.hstack([Z1, 0 * Z2])), atol=1e-6)
    np.testing.assert_allclose(way.differences, way.images[:, -1] - way.negatives, atol=1e-6)
    np.testing.assert_array_equal(way.class_probabilities, way.probabilities[..., 1])
    np.testing.assert_allclose(expit(way.log_odds), way.class_probabilities, atol=1e-6)
    head, mean = repr(way).splitlines()
    assert head == "Traversal of 5 ways, 5 points each"
    start, end = way.class_probabilities.mean(axis=0)[[0, -1]]
    assert f"{start:.2f} → {end:.2f}; it never falls on" in mean
    page = way._repr_html_()
    assert head in page and page.count("data:image/png") == 1


def test_a_linear_generator_is_traversed_steadily():
    # Then the log-odds are a + n λ b, b being the class code's share of the logits.
    judge = random_classifier()
    way = traverse(generator(WEIGHTS), judge, Z1, Z2, structure_size=STRUCTURE)
    slopes, bias = judge.get_weights()
    apart, off = slopes[:, 1] - slopes[:, 0], bias[1] - bias[0]
    start = Z1 @ WEIGHTS[:STRUCTURE] @ apart + off
    rise = Z2 @ WEIGHTS[STRUCTURE:] @ apart
    wanted = start[:, None] + rise[:, None] * np.linspace(0, 1, 11)
    np.testing.assert_allclose(way.log_odds, wanted, atol=1e-4)
    assert 0 < (rise > 0).sum() < 5
    np.testing.assert_allclose(way.spearman, np.sign(rise))
    assert (way.violations(0.0)[rise > 0] == 0).all()
    assert (way.violations(0.0)[rise < 0] == 10).all()


def test_what_is_not_monotone_is_counted():
    # The log-odds 6 (n/10 − 0.1)(n/10 − 0.8) fall until n = 4, are the same at 4 and 5, then rise.
    model = curved(lambda z: 6 * (z - 0.1) * (z - 0.8))
    way = traverse(model, of_brightness(), np.zeros((1, 1)), np.ones((1, 1)), structure_size=1)
    places = np.arange(11) / 10
    odds = 6 * (places - 0.1) * (places - 0.8)
    np.testing.assert_allclose(way.log_odds[0], odds, atol=1e-5)
    assert way.violations(1e-4).tolist() == [4]
    falls = -np.diff(expit(odds))
    assert way.violations(0.03).tolist() == [(falls > 0.03).sum()] == [3]
    wanted = spearmanr(np.arange(11), np.round(odds, 6)).statistic
    np.testing.assert_allclose(rank_correlations(np.round(way.log_odds, 6)), wanted, rtol=1e-6)


@pytest.mark.slow
def test_the_probability_rises_also_where_it_is_rounded_to_one():
    model = curved(lambda z: 100 * z)
    way = traverse(model, of_brightness(), np.zeros((1, 1)), np.ones((1, 1)), structure_size=1)
    assert (way.class_probabilities[0, 3:] > 1 - 1e-6).all()
    assert way.spearman.tolist() == [1]


def test_rank_correlations_are_scipys():
    values = np.random.default_rng(2).integers(0, 5, size=(20, 9)).astype(float)
    wanted = [spearmanr(np.arange(9), row).statistic for row in values]
    np.testing.assert_allclose(rank_correlations(values), wanted, atol=1e-12)
    assert np.isnan(rank_correlations(np.ones((1, 4)))).all()
    assert violations(np.array([[0.0, 1.0, 0.5, 0.4, 2.0], [1.0] * 5])).tolist() == [2, 0]


def test_of_several_classes_the_one_is_followed_whose_code_grows():
    weights = drawing(STRUCTURE + 4)
    model, judge = generator(weights), random_classifier(3)
    z2 = np.zeros((3, 4), "float32")
    z2[1, :2], z2[2, 2:] = 1.0, 1.0
    way = traverse(model, judge, Z1[:3], z2, structure_size=STRUCTURE)
    assert way.labels.tolist() == [0, 1, 2]
    for row, label in enumerate(way.labels):
        np.testing.assert_array_equal(
            way.class_probabilities[row], way.probabilities[row, :, label]
        )
        logits = np.log(way.probabilities[row].astype(float))
        np.testing.assert_allclose(
            softmax(logits, axis=1)[:, label], expit(way.log_odds[row]), atol=1e-5
        )
    assert np.isnan(way.spearman[0]) and not np.isnan(way.spearman[1:]).any()


@pytest.mark.slow
def test_a_batch_gives_what_its_samples_give_one_by_one_and_xla_the_same():
    model, judge = generator(WEIGHTS, "tanh"), random_classifier()
    settings = {"steps": 3, "structure_size": STRUCTURE}
    whole = traverse(model, judge, Z1, Z2, **settings)
    xla = traverse(model, judge, Z1, Z2, jit_compile=True, batch_size=2, **settings)
    np.testing.assert_allclose(whole.images, xla.images, atol=1e-6)
    np.testing.assert_allclose(whole.log_odds, xla.log_odds, atol=1e-5)
    for row in range(5):
        alone = traverse(model, judge, Z1[[row]], Z2[[row]], **settings)
        np.testing.assert_allclose(alone.images[0], whole.images[row], atol=1e-6)
        np.testing.assert_allclose(alone.log_odds[0], whole.log_odds[row], atol=1e-5)


def test_agreement_and_steadiness_are_measured_as_drawn():
    # Class 1 is predicted where z₂ > 0.3; the probability rises where z₂ > 0 and falls where z₂ < 0.
    gan_like, judge = curved(lambda z: z), of_brightness(slope=4.0, bias=-1.2)
    settings = {"structures": 300, "samples": 3, "structure_size": 1, "seed": 5}
    table = measure_traversal(gan_like, judge, **settings)
    assert table["samples"].to_dict() == {"all": 1200, 0: 300, 1: 900}
    assert table.loc[0, "agreement"] == 1 and table.loc[0, "error"] == 0
    # Of a standard normal, 38.2 % are above 0.3.
    np.testing.assert_allclose(table.loc[1, "agreement"], 0.3821, atol=3 * table.loc[1, "error"])
    np.testing.assert_allclose(
        table.loc["all", "agreement"], (300 + 900 * table.loc[1, "agreement"]) / 1200
    )
    share = table.loc[1, "agreement"]
    np.testing.assert_allclose(table.loc[1, "error"], np.sqrt(share * (1 - share) / 900))
    rising = (table.loc[1, "spearman"] + 1) / 2
    assert abs(rising - 0.5) < 0.06
    assert table.loc[1, "monotone"] >= rising - 1e-9
    assert table.loc["all", "spearman"] == table.loc[1, "spearman"]
    assert table.loc["all", "violations"] == table.loc[1, "violations"] > 0
    assert table.loc[0, ["spearman", "violations", "monotone"]].isna().all()
    steep = measure_traversal(gan_like, judge, tolerance=0.0, **settings)
    np.testing.assert_allclose(steep.loc[1, "violations"], 1 - rising, atol=1e-6)


def test_measured_samples_share_their_structures():
    from keras_pli.rationale.class_latent.class_codes import CodeScheme
    from keras_pli.rationale.class_latent.traversal_measures import _codes

    scheme = CodeScheme(3, 2, 3)
    codes = _codes(scheme, structures=4, samples=2, seed=1).reshape(4, 5, 7)
    assert (codes[:, :, :3] == codes[:, :1, :3]).all()
    assert len(np.unique(codes[:, 0, 0])) == 4
    z2 = codes[:, :, 3:]
    assert (z2[:, 0] == 0).all() and (z2[:, 1:3, 2:] == 0).all() and (z2[:, 3:, :2] == 0).all()
    assert len(np.unique(z2[:, 1:3, :2])) == 16 and len(np.unique(z2[:, 3:, 2:])) == 16


@pytest.mark.slow
def test_figures_show_the_way_and_its_ends():
    stack = [keras.Input((16, 16, 1)), keras.layers.Conv2D(2, 3), keras.layers.GlobalMaxPooling2D()]
    judge = keras.Sequential([*stack, keras.layers.Dense(2, "softmax")])
    gan = ClassLatentGAN(judge, structure_size=3, block_size=1, width=2)
    z1, z2, _ = gan.sample_codes(3, 1)
    way = gan.traverse(z1, z2, steps=3, rate=1 / 3, class_names=("well", "ill"))
    strip = way.plot(1, title="one way")
    assert len(strip.axes) == 5
    assert [label.get_text() for label in strip.axes[-1].get_xticklabels()] == ["z₂ = 0", "z₂"]
    line = strip.axes[-1].lines[0]
    np.testing.assert_allclose(line.get_ydata(), way.probabilities[1, :, 1], rtol=1e-6)
    seen = []

    def brightness(images, labels):
        seen.append((images, labels))
        return images[..., 0]

    heat = GradCAM(judge)
    maps = {"Grad-CAM": heat, "its arrays": heat(way.images[:, -1], way.labels), "made": brightness}
    grid = way.plot_differences(maps, most=2)
    titles = [ax.get_title() for ax in grid.axes[:5]]
    assert titles == ["image", "change from z₂ = 0", *maps]
    np.testing.assert_array_equal(seen[0][0], way.images[:2, -1])
    np.testing.assert_array_equal(seen[0][1], way.labels[:2])
    drawn = [[image.get_array() for image in ax.images][-1] for ax in grid.axes[2:4]]
    np.testing.assert_allclose(*drawn, atol=1e-5)
    assert len(way.plot_differences(most=2).axes) < len(grid.axes)
    with pytest.raises(TypeError, match=r"by name, such as .*Received: Sequential"):
        way.plot_differences(judge)
    with pytest.raises(ValueError, match=r"each of the 3 ways\. 'few' has 2"):
        way.plot_differences({"few": way.differences[:2]})
    table = way.to_frame()
    assert table.columns.tolist() == ["label", "start", "end", "spearman", "violations", "change"]
    np.testing.assert_allclose(table["end"], way.probabilities[:, -1, 1])


def test_what_does_not_fit_is_refused():
    model, judge = generator(WEIGHTS), random_classifier()
    with pytest.raises(ValueError, match=r"`z1` must have shape \(samples, 2\)"):
        traverse(model, judge, Z2[:, :1], Z2, structure_size=STRUCTURE)
    with pytest.raises(ValueError, match=r"`steps` must be a whole number from 1\. Received: 0"):
        traverse(model, judge, Z1, Z2, steps=0, structure_size=STRUCTURE)
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match="must take images of shape"):
        traverse(model, other, Z1, Z2, structure_size=STRUCTURE)
