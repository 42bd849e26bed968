import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
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

from keras_pli.attribution.gradients import GradientTimesInput
from keras_pli.attribution.occlusion import Occlusion, Windows


def linear_network(axes, *, bias=True):
    layers = [
        keras.Input(SHAPES[axes]),
        keras.layers.Flatten(),
        keras.layers.Dense(3, use_bias=bias),
    ]
    return randomized(keras.Sequential(layers))


def places(size, window, stride):
    """Where the windows along an axis start, by walking along it."""
    starts = list(range(0, size - window + 1, stride))
    return starts if starts[-1] == size - window else [*starts, size - window]


def occluded_by_hand(score, x, window, stride, shown):
    """Zeiler & Fergus, one window and one sample after another."""
    sizes = x.shape[1:-1]
    total, covering = np.zeros((len(x), *sizes)), np.zeros(sizes)
    for start in itertools.product(*map(places, sizes, window, stride)):
        inside = tuple(slice(s, s + w) for s, w in zip(start, window, strict=True))
        for index, sample in enumerate(x):
            hidden = sample.copy()
            hidden[inside] = np.broadcast_to(shown, x.shape)[index][inside]
            fall = score(sample[None], index) - score(hidden[None], index)
            total[index][inside] += fall
        covering[inside] += 1
    assert covering.min() > 0
    return total / covering


def score_of(model, targets):
    return lambda x, index: reference(model, x)[0, targets[index]]


def spread(maps, x):
    return np.broadcast_to(maps[..., None], x.shape)


@pytest.mark.parametrize(
    ("axes", "window", "stride"),
    by_default(
        (2, 3, 2), of=[(axes, *sizes) for axes in AXES for sizes in ((3, 2), (2, 2), (4, 3))]
    ),
)
def test_equals_a_loop_over_windows(axes, window, stride):
    model, x = flat_network(axes, squash=None), samples(axes, 3)
    target = [2, 0, 1]
    found = Occlusion(model, window=window, stride=stride, fill=0.3)(x, target)
    by_hand = occluded_by_hand(
        score_of(model, target), x, (window,) * axes, (stride,) * axes, np.float32(0.3)
    )
    np.testing.assert_allclose(found.attributions, spread(by_hand, x), atol=2e-5)
    np.testing.assert_allclose(found.scores, reference(model, x)[range(3), target], atol=2e-5)


@pytest.mark.parametrize(("axes", "window", "stride"), [slow(2, (4, 2), (3, 1)), (3, (2, 5, 3), 2)])
def test_window_and_stride_for_each_axis(axes, window, stride):
    model, x = flat_network(axes, squash=None), samples(axes, 2)
    found = Occlusion(model, window=window, stride=stride)(x, 1)
    steps = (stride,) * axes if isinstance(stride, int) else stride
    by_hand = occluded_by_hand(score_of(model, [1, 1]), x, window, steps, np.float32(0))
    np.testing.assert_allclose(found.attributions, spread(by_hand, x), atol=2e-5)


@pytest.mark.parametrize("kind", ["mean", slow("channel"), slow("sample")])
def test_what_a_window_shows(kind):
    model, x = flat_network(2, squash=None), samples(2, 2)
    shown = {
        "mean": x.mean(axis=(1, 2), keepdims=True),
        "channel": np.float32([0.5, -1.0]),
        "sample": samples(2, 1, seed=5)[0],
    }[kind]
    fill = "mean" if kind == "mean" else shown
    found = Occlusion(model, window=3, stride=2, fill=fill)(x, 0)
    by_hand = occluded_by_hand(score_of(model, [0, 0]), x, (3, 3), (2, 2), shown)
    np.testing.assert_allclose(found.attributions, spread(by_hand, x), atol=2e-5)


def test_a_baseline_takes_the_place_of_the_fill():
    model, x, baseline = flat_network(2, squash=None), samples(2, 2), samples(2, 2, seed=7)
    found = Occlusion(model, window=3, stride=2, fill=9.0)(x, 0, baseline=baseline)
    by_hand = occluded_by_hand(score_of(model, [0, 0]), x, (3, 3), (2, 2), baseline)
    np.testing.assert_allclose(found.attributions, spread(by_hand, x), atol=2e-5)


@pytest.mark.parametrize("axes", by_default(2, of=AXES))
def test_one_window_over_everything_gives_the_whole_fall(axes):
    model, x = flat_network(axes, squash=None), samples(axes)
    fall = reference(model, x)[:, 2] - reference(model, np.full_like(x, 0.3))[:, 2]
    found = Occlusion(model, window=SHAPES[axes][:-1], fill=0.3)(x, 2)
    wanted = np.broadcast_to(fall.reshape(-1, *[1] * (axes + 1)), x.shape)
    np.testing.assert_allclose(found.attributions, wanted, atol=2e-5)


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.slow
def test_single_positions_of_a_linear_model_fall_by_their_share(axes):
    model, x = linear_network(axes), samples(axes)
    kernel = np.asarray(model.layers[-1].kernel)[:, 1].reshape(SHAPES[axes])
    found = Occlusion(model, window=1, stride=1, fill=0.3)(x, 1)
    share = (kernel * (x - 0.3)).sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(found.attributions, np.broadcast_to(share, x.shape), atol=1e-4)


@pytest.mark.slow
def test_single_positions_of_a_linear_model_are_gradient_times_input():
    model, x = linear_network(2), samples(2)
    product = GradientTimesInput(model)(x, 1).attributions.sum(axis=-1, keepdims=True)
    found = Occlusion(model, window=1, stride=1)(x, 1).attributions
    np.testing.assert_allclose(found, np.broadcast_to(product, x.shape), atol=1e-4)


def test_features_of_vectors_are_positions():
    model = keras.Sequential([keras.Input((7,)), keras.layers.Dense(2)])
    x = np.random.default_rng(0).normal(size=(4, 7)).astype(np.float32)
    kernel = model.layers[-1].kernel.numpy()[:, 0]
    found = Occlusion(model, window=1, stride=1, fill=1.0)(x, 0).attributions
    np.testing.assert_allclose(found, kernel * (x - 1), atol=1e-5)
    means = Occlusion(model, window=7, fill="mean")(x, 0).attributions
    fall = ((x - x.mean(axis=1, keepdims=True)) * kernel).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(means, np.repeat(fall, 7, axis=1), atol=1e-5)


@pytest.mark.parametrize("sizes", [(14,), (5, 9), (4, 7, 3)])
@pytest.mark.parametrize(("window", "stride"), [(3, 1), (2, 2), (3, 3), (None, None)])
def test_windows_are_those_of_a_walk_and_cover_everything(sizes, window, stride):
    windows = Windows.over(sizes, window, stride)
    masks = windows.masks(tf.range(windows.count)).numpy()
    walk = list(itertools.product(*map(places, sizes, windows.window, windows.stride)))
    assert len(walk) == windows.count
    for mask, start in zip(masks, walk, strict=True):
        inside = tuple(slice(s, s + w) for s, w in zip(start, windows.window, strict=True))
        wanted = np.zeros(sizes, bool)
        wanted[inside] = True
        np.testing.assert_array_equal(mask, wanted)
    np.testing.assert_array_equal(windows.coverage(), masks.sum(axis=0))
    assert masks.any(axis=0).all()


def test_windows_by_default():
    assert Windows.over((28, 224), None, None).window == (4, 32)
    assert Windows.over((28, 224), None, None).stride == (2, 16)
    assert Windows.over((2, 16), None, None).window == (2, 3)
    assert Windows.over((2, 16), None, None).stride == (1, 2)


@pytest.mark.parametrize(
    ("axes", "batch_size"),
    by_default((2, 3), of=[(axes, size) for axes in AXES for size in (1, 3)]),
)
def test_no_batch_changes_a_result(axes, batch_size):
    model, x = flat_network(axes, normalized=True), samples(axes)
    at_once = Occlusion(model, window=3, stride=2)(x)
    found = Occlusion(model, window=3, stride=2, batch_size=batch_size)(x)
    np.testing.assert_allclose(found.attributions, at_once.attributions, atol=1e-5)
    alone = Occlusion(model, window=3, stride=2)(x[2:3])
    np.testing.assert_allclose(found.attributions[2:3], alone.attributions, atol=1e-5)


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.slow
def test_compiled_by_xla_and_told_to_run_eagerly(axes):
    model, x = flat_network(axes, normalized=True), samples(axes)
    plain = Occlusion(model, window=3, stride=2)(x)
    compiled = Occlusion(model, window=3, stride=2, batch_size=2, jit_compile=True)(x)
    np.testing.assert_allclose(compiled.attributions, plain.attributions, atol=1e-5)
    tf.config.run_functions_eagerly(True)
    try:
        eager = Occlusion(model, window=3, stride=2)(x)
    finally:
        tf.config.run_functions_eagerly(False)
    np.testing.assert_allclose(eager.attributions, plain.attributions, atol=1e-5)


@pytest.mark.parametrize("network", [flat_network, nested_network, subclassed_network])
@pytest.mark.slow
def test_all_kinds_of_models(network):
    """A difference of logits is one of log-probabilities, which any model gives."""
    model, x = network(2), samples(2, 2)

    def score(sample, _):
        logs = np.log(np.asarray(model(sample, training=False), np.float64))
        return logs[0, 1] - logs[0, 0]

    found = Occlusion(model, window=3, stride=3)(x, lambda logits: logits[:, 1] - logits[:, 0])
    by_hand = occluded_by_hand(score, x, (3, 3), (3, 3), np.float32(0))
    np.testing.assert_allclose(found.attributions, spread(by_hand, x), atol=1e-4)


@pytest.mark.slow
def test_the_predicted_class_is_that_of_the_whole_input():
    model, x = flat_network(2), samples(2, 8)
    predicted = np.asarray(model(x)).argmax(axis=1)
    hidden = np.asarray(model(np.zeros_like(x))).argmax(axis=1)
    assert (predicted != hidden).any()
    found = Occlusion(model, window=(9, 8))(x)
    given = Occlusion(model, window=(9, 8))(x, predicted)
    np.testing.assert_allclose(found.attributions, given.attributions, atol=1e-6)


@pytest.mark.slow
def test_other_values_are_not_traced_again():
    method = Occlusion(flat_network(2), window=3)
    for seed in range(3):
        method(samples(2, 4 + seed, seed=seed))
    assert len(method.runner._traces) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": (10, 3)}, r"\(10, 3\) is larger than the input.*\(9, 8\)"),
        ({"window": 2, "stride": 3}, r"`stride` \(3, 3\) is larger than `window` \(2, 2\)"),
        ({"window": (2, 2, 2)}, r"2 spatial axes of sizes \(9, 8\).*\(2, 2, 2\)"),
        ({"window": 3, "stride": (1,)}, r"`stride` must be one whole number"),
        ({"fill": np.zeros(3)}, r"one sample of shape \(9, 8, 2\).*\(3,\)"),
        ({"fill": np.zeros((4, 9, 8, 2))}, r"Received shape \(4, 9, 8, 2\)"),
    ],
)
def test_lengths_and_fills_that_do_not_fit(options, message):
    with pytest.raises(ValueError, match=message):
        Occlusion(flat_network(2), **options)(samples(2))


@pytest.mark.parametrize(
    "options",
    [
        {"window": 0},
        {"window": True},
        {"window": 2.5},
        {"stride": (2, 0)},
        {"window": "3"},
        {"fill": np.nan},
        {"fill": "median"},
    ],
)
def test_options_that_make_no_sense(options):
    with pytest.raises(ValueError, match="|".join(options)):
        Occlusion(flat_network(2), **options)


def test_several_inputs_are_turned_away():
    inputs = [keras.Input((3,)), keras.Input((3,))]
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.add(inputs)))
    with pytest.raises(ValueError, match="single input, and the model takes 2"):
        Occlusion(model)([np.zeros((2, 3)), np.zeros((2, 3))])


def test_an_input_by_name_keeps_its_name():
    inputs = {"scan": keras.Input((6, 1), name="scan")}
    outputs = keras.layers.Dense(2)(keras.layers.Flatten()(inputs["scan"]))
    found = Occlusion(keras.Model(inputs, outputs), window=2)({"scan": np.ones((3, 6, 1))})
    assert found.attributions["scan"].shape == (3, 6, 1)


@pytest.mark.slow
def test_equals_captum():
    torch, attr = pytest.importorskip("torch"), pytest.importorskip("captum.attr")
    model, x = flat_network(2, squash=None), samples(2, 3)

    def forward(tensor):
        return torch.tensor(reference(model, np.moveaxis(tensor.numpy(), 1, -1)))

    given = torch.tensor(np.moveaxis(x, -1, 1)).double()
    theirs = attr.Occlusion(forward).attribute(given, (2, 3, 4), (2, 2, 2), 0.3, target=1)
    ours = Occlusion(model, window=(3, 4), stride=2, fill=0.3)(x, 1).attributions
    np.testing.assert_allclose(ours, np.moveaxis(theirs.numpy(), 1, -1), atol=1e-4)
