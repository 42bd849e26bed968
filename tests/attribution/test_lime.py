import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage
from skimage.measure import label as connected_parts
from sklearn.metrics import r2_score
from sklearn.metrics.pairwise import cosine_distances
from slow_cases import by_default, slow
from toy_networks import (
    AXES,
    SHAPES,
    flat_network,
    nested_network,
    randomized,
    reference,
    samples,
    subclassed_network,
)

from keras_pli.attribution.lime import LIME, fit_surrogate, segment_means, superpixels
from keras_pli.attribution.smoothing import SmoothGrad


def stripes(sizes, width=2):
    """Segments that lie across the first axis."""
    along = np.arange(sizes[0]) // width
    return np.broadcast_to(along.reshape(-1, *[1] * (len(sizes) - 1)), sizes)


def ridge_by_hand(draws, scores, kernel_width):
    """Weighted ridge regression with penalty 1 and a free constant, by its normal equations."""
    ones = np.ones((1, draws.shape[1]))
    distances = cosine_distances(draws.astype(float), ones)[:, 0]
    weights = np.sqrt(np.exp(-(distances**2) / kernel_width**2))
    design = np.column_stack([draws, np.ones(len(draws))])
    penalty = np.diag([1.0] * draws.shape[1] + [0.0])
    weighted = design * weights[:, None]
    solution = np.linalg.solve(design.T @ weighted + penalty, weighted.T @ scores)
    return solution[:-1], r2_score(scores, design @ solution, sample_weight=weights)


def lime_by_hand(score, sample, labels, draws, shown, kernel_width=0.25):
    """One perturbed copy of a sample after another."""
    labels = np.unique(labels, return_inverse=True)[1].reshape(labels.shape)
    draws = draws[:, : labels.max() + 1]
    scores = [score(np.where(draw[labels][..., None], sample, shown)[None]) for draw in draws]
    weights, r2 = ridge_by_hand(draws, np.array(scores), kernel_width)
    return np.broadcast_to(weights[labels][..., None], sample.shape), r2


def means_by_hand(sample, labels):
    """A position that is a segment by itself shows the mean of all positions."""
    painted = np.empty_like(sample)
    for channel in range(sample.shape[-1]):
        names = np.unique(labels)
        means = ndimage.mean(sample[..., channel], labels, names)
        single = np.array([(labels == name).sum() == 1 for name in names])
        means = np.where(single, sample[..., channel].mean(), means)
        painted[..., channel] = means[np.searchsorted(names, labels)]
    return painted


@pytest.mark.parametrize("axes", by_default(2, of=AXES))
def test_equals_a_loop_over_draws_and_a_ridge_by_hand(axes):
    model, x, target = flat_network(axes, squash=None), samples(axes, 3), [2, 0, 1]
    method = LIME(model, segments=6, samples=40)
    found = method(x, target)
    for index, sample in enumerate(x):
        labels = found.details["segments"][index]
        weights, r2 = lime_by_hand(
            lambda inputs, index=index: reference(model, inputs)[0, target[index]],
            sample,
            labels,
            method._draws(64),
            means_by_hand(sample, labels),
        )
        np.testing.assert_allclose(found.attributions[index], weights, atol=1e-4)
        assert found.details["r2"][index] == pytest.approx(r2, abs=1e-4)
    np.testing.assert_allclose(found.scores, reference(model, x)[range(3), target], atol=2e-5)


@pytest.mark.parametrize("kind", [*map(slow, ("number", "channel", "sample")), "baseline"])
def test_what_hidden_segments_show(kind):
    model, x = flat_network(2, squash=None), samples(2, 2)
    shown = {
        "number": np.float32(0.3),
        "channel": np.float32([0.5, -1.0]),
        "sample": samples(2, 1, seed=5)[0],
        "baseline": samples(2, 2, seed=7),
    }[kind]
    labels = stripes((9, 8), 3)
    fill, baseline = (9.0, shown) if kind == "baseline" else (shown, None)
    method = LIME(model, segments=labels, samples=30, fill=fill, kernel_width=0.6)
    found = method(x, 1, baseline=baseline)
    for index, sample in enumerate(x):
        weights, r2 = lime_by_hand(
            lambda inputs: reference(model, inputs)[0, 1],
            sample,
            labels,
            method._draws(4),
            shown[index] if kind == "baseline" else shown,
            kernel_width=0.6,
        )
        np.testing.assert_allclose(found.attributions[index], weights, atol=1e-4)
        assert found.details["r2"][index] == pytest.approx(r2, abs=1e-4)


@pytest.mark.parametrize("axes", by_default(2, of=AXES))
def test_recovers_the_segments_of_a_linear_model(axes):
    layers = [keras.Input(SHAPES[axes]), keras.layers.Flatten(), keras.layers.Dense(3)]
    model, x = randomized(keras.Sequential(layers)), samples(axes, 3)
    kernel = np.asarray(model.layers[-1].kernel)[:, 1].reshape(SHAPES[axes])
    labels = stripes(SHAPES[axes][:-1])
    found = LIME(model, segments=labels, samples=4000, fill=0.3)(x, 1)
    shares = (kernel * (x - 0.3)).sum(axis=-1)
    for index, share in enumerate(shares):
        truth = ndimage.sum(share, labels, range(labels.max() + 1))[labels]
        np.testing.assert_allclose(found.attributions[index][..., 0], truth, rtol=0.02, atol=0.02)
    assert (found.details["r2"] > 0.999).all()


@pytest.mark.parametrize("kernel_width", [0.25, 100.0])
def test_the_surrogate_equals_its_normal_equations(kernel_width):
    random = np.random.default_rng(0)
    draws, scores = random.random((60, 7)) < 0.5, random.normal(size=60).astype(np.float32)
    draws[3] = False  # whose cosine to anything is 0
    weights, r2 = fit_surrogate(draws, scores, kernel_width)
    wanted, fidelity = ridge_by_hand(draws, scores, kernel_width)
    np.testing.assert_allclose(weights, wanted, atol=1e-6)
    assert r2 == pytest.approx(fidelity, abs=1e-6)


def test_a_surrogate_that_cannot_imitate_says_so():
    """A line explains two thirds of the variance of the product of two coins."""
    draws = np.array([[i >> 1 & 1, i & 1] for i in range(4)] * 500, bool)
    _, r2 = fit_surrogate(draws, (draws[:, 0] & draws[:, 1]).astype(np.float32), 1e3)
    assert r2 == pytest.approx(2 / 3, abs=1e-3)


def test_draws_start_whole_and_do_not_depend_on_the_width():
    method = LIME(flat_network(2), samples=500)
    narrow, wide = method._draws(8), method._draws(64)
    np.testing.assert_array_equal(narrow, wide[:, :8])
    assert wide[0].all()
    assert wide[1:].mean() == pytest.approx(0.5, abs=0.01)
    assert abs(np.corrcoef(wide.T) - np.eye(64)).max() < 0.2
    assert (LIME(flat_network(2), samples=500, seed=1)._draws(8) != narrow).any()


@pytest.mark.parametrize("axes", AXES)
def test_segment_means(axes):
    x, sizes = samples(axes, 3), SHAPES[axes][:-1]
    labels = np.random.default_rng(0).integers(0, 5, (3, *sizes)).astype(np.int32)
    found = segment_means(tf.constant(x), tf.constant(labels), 8).numpy()
    wanted = [means_by_hand(sample, own) for sample, own in zip(x, labels, strict=True)]
    np.testing.assert_allclose(found, wanted, atol=1e-6)


@pytest.mark.parametrize(
    "sizes", [(64,), (28, 28), (12, 12, 12)], ids=["signal", "image", "volume"]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_superpixels_are_connected_and_about_as_many_as_wanted(sizes, channels):
    random = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(
        random.normal(size=(*sizes, channels)), (1,) * len(sizes) + (0,)
    )
    for sample in (smooth, random.normal(size=smooth.shape), np.zeros_like(smooth)):
        labels = superpixels(sample.astype(np.float32), 20)
        assert labels.shape == sizes
        assert 8 <= len(np.unique(labels)) <= 40
        for name in np.unique(labels):
            assert connected_parts(labels == name, connectivity=1).max() == 1


def test_superpixels_follow_an_edge():
    image = np.zeros((20, 20, 1), np.float32)
    image[:, 7:] = 1
    labels = superpixels(image, 16)
    assert not set(np.unique(labels[:, :7])) & set(np.unique(labels[:, 7:]))


def test_segments_by_a_function_and_with_gaps_in_their_names():
    model, x = flat_network(2), samples(2, 3)
    labels = stripes((9, 8), 3)
    plain = LIME(model, segments=labels, samples=30)(x, 0)
    named = LIME(model, segments=lambda sample: labels * 7 - 3, samples=30)(x, 0)
    np.testing.assert_array_equal(named.attributions, plain.attributions)
    np.testing.assert_array_equal(named.details["segments"], np.stack([labels] * 3))


@pytest.mark.slow
def test_a_function_of_segments_is_given_each_sample():
    x, seen = samples(2, 3), []
    LIME(flat_network(2), segments=lambda s: seen.append(s) or stripes((9, 8)), samples=10)(x)
    np.testing.assert_array_equal(seen, x)


def test_features_of_vectors_need_a_label_map():
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(2)])
    x = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    with pytest.raises(ValueError, match=r"no superpixels in a vector.*np.arange\(5\).*`fill`"):
        LIME(model)(x)
    for segments in (np.arange(5), [0, 0, 1, 1, 2]):
        with pytest.raises(
            ValueError, match=r"hides nothing of a segment that is a single feature"
        ):
            LIME(model, segments=segments)(x)
    LIME(model, segments=[0, 0, 1, 1, 1], samples=9)(x)
    found = LIME(model, segments=np.arange(5), fill=0.0, samples=4000)(x, 1)
    kernel = model.layers[-1].kernel.numpy()[:, 1]
    np.testing.assert_allclose(found.attributions, kernel * x, atol=0.02)


@pytest.mark.parametrize("axes", by_default(2, of=AXES))
def test_segments_of_one_position_are_hidden_by_the_mean_of_all(axes):
    """On a linear model, the share of a position is its kernel times how far it is from the mean."""
    shape = {1: (6, 2), 2: (3, 2, 2), 3: (2, 2, 2, 2)}[axes]
    model = randomized(
        keras.Sequential([keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(3)])
    )
    x = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    kernel = model.layers[-1].kernel.numpy()[:, 1].reshape(shape)
    labels = np.arange(np.prod(shape[:-1])).reshape(shape[:-1])
    found = LIME(model, segments=labels, samples=4000)(x, 1)
    shares = kernel * (x - x.mean(axis=tuple(range(1, axes + 1)), keepdims=True))
    np.testing.assert_allclose(found.attributions[..., 0], shares.sum(axis=-1), atol=0.02)
    assert (found.details["r2"] > 0.99).all()


@pytest.mark.parametrize("batch_size", [1, 3, 100])
@pytest.mark.slow
def test_no_batch_changes_a_result(batch_size):
    model, x = flat_network(2, normalized=True), samples(2)
    x[0] = 0  # with other superpixels than the rest
    at_once = LIME(model, segments=10, samples=50)(x)
    found = LIME(model, segments=10, samples=50, batch_size=batch_size)(x)
    np.testing.assert_allclose(found.attributions, at_once.attributions, atol=1e-5)
    np.testing.assert_allclose(found.details["r2"], at_once.details["r2"], atol=1e-5)
    alone = LIME(model, segments=10, samples=50)(x[3:4])
    np.testing.assert_allclose(found.attributions[3:4], alone.attributions, atol=1e-5)


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.slow
def test_compiled_by_xla_and_told_to_run_eagerly(axes):
    model, x = flat_network(axes, normalized=True), samples(axes)
    plain = LIME(model, segments=8, samples=25)(x)
    compiled = LIME(model, segments=8, samples=25, batch_size=2, jit_compile=True)(x)
    np.testing.assert_allclose(compiled.attributions, plain.attributions, atol=1e-5)
    tf.config.run_functions_eagerly(True)
    try:
        eager = LIME(model, segments=8, samples=25)(x)
    finally:
        tf.config.run_functions_eagerly(False)
    np.testing.assert_allclose(eager.attributions, plain.attributions, atol=1e-5)


@pytest.mark.parametrize("network", [flat_network, nested_network, subclassed_network])
@pytest.mark.slow
def test_all_kinds_of_models(network):
    """A difference of logits is one of log-probabilities, which any model gives."""
    model, x, labels = network(2), samples(2, 2), stripes((9, 8), 3)

    def score(inputs):
        logs = np.log(np.asarray(model(inputs, training=False), np.float64))
        return logs[0, 1] - logs[0, 0]

    method = LIME(model, segments=labels, samples=20, fill=0.0)
    found = method(x, lambda logits: logits[:, 1] - logits[:, 0])
    for index, sample in enumerate(x):
        weights, _ = lime_by_hand(score, sample, labels, method._draws(4), 0.0)
        np.testing.assert_allclose(found.attributions[index], weights, atol=1e-4)


@pytest.mark.slow
def test_the_predicted_class_is_that_of_the_whole_input():
    model, x = flat_network(2), samples(2, 8)
    predicted = np.asarray(model(x)).argmax(axis=1)
    found = LIME(model, segments=stripes((9, 8)), samples=30)(x)
    given = LIME(model, segments=stripes((9, 8)), samples=30)(x, predicted)
    np.testing.assert_allclose(found.attributions, given.attributions, atol=1e-6)
    np.testing.assert_allclose(found.scores, given.scores, atol=1e-6)


@pytest.mark.slow
def test_the_same_seed_finds_the_same():
    model, x = flat_network(2), samples(2, 2)
    settings = {"segments": stripes((9, 8)), "fill": 0.0, "samples": 30}
    first, again, other = (
        LIME(model, seed=seed, **settings)(x, 0).attributions for seed in (4, 4, 5)
    )
    np.testing.assert_array_equal(first, again)
    scale = np.abs(first).max()
    assert scale > 0.01  # so that a difference is no rounding
    assert np.abs(first - other).max() > 0.01 * scale


@pytest.mark.slow
def test_other_values_are_not_traced_again():
    method = LIME(flat_network(2), segments=9, samples=10)
    for seed in range(3):
        method(samples(2, 4 + seed, seed=seed))
    assert len(method.runner._traces) == 1


@pytest.mark.slow
def test_shows_its_progress(capsys):
    LIME(flat_network(2), samples=10, batch_size=2)(samples(2, 5), verbose=1)
    assert "3/3" in capsys.readouterr().out


def test_is_no_graph_function():
    method = LIME(flat_network(2))
    assert not method.in_graph
    with pytest.raises(NotImplementedError, match="outside the graph"):
        method.traced(samples(2))
    with pytest.raises(TypeError, match="LIME"):
        SmoothGrad(method)


@pytest.mark.slow
def test_says_what_to_install_for_superpixels(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.segmentation", None)
    with pytest.raises(
        ImportError, match=r"Finding segments needs scikit-image.*pip install.*label maps"
    ):
        LIME(flat_network(2), samples=10)(samples(2))
    LIME(flat_network(2), samples=10, segments=stripes((9, 8)))(samples(2))


@pytest.mark.parametrize(
    ("segments", "message"),
    [
        (np.zeros((4, 4), int), r"shape \(9, 8\). Received shape \(4, 4\)"),
        (lambda sample: np.zeros(3, int), r"shape \(9, 8\). Received shape \(3,\)"),
        (lambda sample: np.zeros((9, 8)), "integer labels. Received dtype float64"),
    ],
)
def test_label_maps_that_do_not_fit(segments, message):
    with pytest.raises(ValueError, match=message):
        LIME(flat_network(2), segments=segments, samples=10)(samples(2))


@pytest.mark.parametrize(
    "options",
    [
        {"segments": 0},
        {"segments": 2.5},
        {"segments": np.zeros((9, 8))},
        {"samples": 1},
        {"samples": 10.0},
        {"kernel_width": 0},
        {"seed": -1},
        {"fill": "median"},
    ],
)
def test_options_that_make_no_sense(options):
    with pytest.raises(ValueError, match="|".join(options)):
        LIME(flat_network(2), **options)


def test_several_inputs_are_turned_away():
    inputs = [keras.Input((3,)), keras.Input((3,))]
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.add(inputs)))
    with pytest.raises(ValueError, match="single input, and the model takes 2"):
        LIME(model)([np.zeros((2, 3)), np.zeros((2, 3))])


@pytest.mark.slow
def test_a_lone_position_has_no_mean_to_be_hidden_by():
    head = keras.layers.Dense(3, kernel_initializer="ones")
    model = keras.Sequential([keras.Input((1, 5)), keras.layers.Flatten(), head])
    x = np.ones((2, 1, 5), np.float32)
    with pytest.raises(ValueError, match="hides nothing"):
        LIME(model)(x, 1)
    # Shown, it scores 5, and hidden 0; the kernel weighs the latter by exp(-8).
    assert (LIME(model, fill=0.0, samples=20)(x, 1).attributions > 0).all()
