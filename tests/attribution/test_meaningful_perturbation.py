import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage
from scipy.special import expit, softmax
from slow_cases import slow
from test_deletion import enlarged_by_hand
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

from keras_pli.attribution.deletion import circles
from keras_pli.attribution.meaningful_perturbation import MeaningfulPerturbation
from keras_pli.network.descent import Descent

LAYERS = keras.layers
SIZES = {1: (24,), 2: (14, 12), 3: (8, 8, 8)}


def region_network(axes, inside, gain=20.0, squash="sigmoid"):
    """A probability that depends on the mean of one region, and on nothing else."""
    weights = np.zeros(SIZES[axes], np.float32)
    weights[inside] = 1 / weights[inside].size
    model = keras.Sequential(
        [keras.Input((*SIZES[axes], 1)), LAYERS.Flatten(), LAYERS.Dense(1, activation=squash)]
    )
    model.layers[-1].set_weights([gain * weights.reshape(-1, 1), np.float32([-gain / 2])])
    return model


def region(axes):
    return tuple(slice(size // 2, size // 2 + 4) for size in SIZES[axes])


def searched(method, x, target, points):
    """The objective and its gradient at given masks, at the first step."""
    seen = {}

    def minimum(self, objective, start):
        seen["losses"], seen["slopes"] = objective(tf.constant(points), tf.constant(0))
        return start, tf.zeros(tf.shape(start)[:1], tf.int32)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Descent, "minimum", minimum)

        @tf.function(autograph=False)
        def function(inputs):
            method.compute(inputs, target)
            return seen["losses"], seen["slopes"]

        return [tensor.numpy() for tensor in function(tf.constant(x))]


def objective_by_hand(score, sample, mask, shown, *, area=0.5, smoothness=0.1, beta=3.0):
    share = enlarged_by_hand(mask, sample.shape[:-1])[..., None]
    rough = 0.0
    for axis in range(mask.ndim):
        steps = np.abs(np.diff(mask, axis=axis)) ** beta
        rough += steps.sum(axis=axis).mean()
    return (
        score(share * sample + (1 - share) * shown) + area * (1 - mask).mean() + smoothness * rough
    )


@pytest.mark.parametrize(
    ("axes", "replacement"),
    [slow(1, "blur"), slow(2, "constant"), (2, "blur"), slow(3, "blur")],
)
def test_the_objective_and_its_gradient(axes, replacement):
    """Against NumPy, from the enlarged mask to the softmax, and central differences of it."""
    model, x, grid = flat_network(axes, squash=None), samples(axes, 2), (3, 2, 2)[:axes]
    sizes = SHAPES[axes][:-1]
    points = np.random.default_rng(0).uniform(0.2, 0.8, size=(2, *grid)).astype(np.float32)
    shown = (
        ndimage.gaussian_filter(x.astype(float), (0, *[s / 8 for s in sizes], 0), mode="nearest")
        if replacement == "blur"
        else x.mean(axis=tuple(range(1, axes + 1)), keepdims=True)
    )
    method = MeaningfulPerturbation(model, replacement=replacement, grid=grid, jitter=0)
    losses, slopes = searched(method, x, tf.constant([2, 0]), points)
    for index, target in enumerate((2, 0)):

        def score(inputs, target=target):
            return softmax(reference(model, inputs[None])[0])[target]

        def loss(mask, index=index, score=score):
            return objective_by_hand(score, x[index], mask, shown[index])

        mask = points[index].astype(np.float64)
        assert losses[index] == pytest.approx(loss(mask), abs=1e-4)
        for place in np.ndindex(grid):
            move = np.zeros(grid)
            move[place] = 1e-5
            slope = (loss(mask + move) - loss(mask - move)) / 2e-5
            assert slopes[index][place] == pytest.approx(slope, abs=2e-4)


@pytest.mark.slow
def test_the_weights_of_the_objective():
    model, x = flat_network(1, squash=None), samples(1, 2)
    points = np.random.default_rng(0).uniform(size=(2, 4)).astype(np.float32)
    options = {"area_weight": 2.0, "smoothness_weight": 3.0, "beta": 1.5}
    method = MeaningfulPerturbation(model, grid=4, jitter=0, replacement="constant", **options)
    losses, _ = searched(method, x, tf.constant([1, 1]), points)
    for index in range(2):
        wanted = objective_by_hand(
            lambda inputs: softmax(reference(model, inputs[None])[0])[1],
            x[index],
            points[index].astype(np.float64),
            x[index].mean(axis=0),
            area=2.0,
            smoothness=3.0,
            beta=1.5,
        )
        assert losses[index] == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.slow
def test_what_is_returned_fits_together(axes):
    model, x = flat_network(axes, squash=None), samples(axes, 3)
    found = MeaningfulPerturbation(model, replacement="constant", steps=25)(x, 1)
    masks, details = found.details["mask"], found.details
    enlarged = np.stack([enlarged_by_hand(mask, SHAPES[axes][:-1]) for mask in masks])[..., None]
    np.testing.assert_allclose(
        found.attributions, np.broadcast_to(1 - enlarged, x.shape), atol=1e-5
    )
    means = x.mean(axis=tuple(range(1, axes + 1)), keepdims=True)
    deleted = softmax(reference(model, enlarged * x + (1 - enlarged) * means), axis=1)[:, 1]
    np.testing.assert_allclose(details["deleted_score"], deleted, atol=1e-4)
    np.testing.assert_allclose(details["area"], 1 - masks.reshape(3, -1).mean(axis=1), atol=1e-6)
    np.testing.assert_allclose(found.scores, softmax(reference(model, x), axis=1)[:, 1], atol=1e-5)
    assert masks.min() >= 0
    assert masks.max() <= 1


@pytest.mark.parametrize(
    ("axes", "replacement"),
    [(1, "blur"), (2, "noise"), (2, "blur"), (3, "noise")],
)
@pytest.mark.slow
def test_deletes_the_region_that_decides(axes, replacement):
    random = np.random.default_rng(0)
    x = random.normal(scale=0.05, size=(3, *SIZES[axes], 1)).astype(np.float32)
    x[(slice(None), *region(axes))] += 1
    method = MeaningfulPerturbation(
        region_network(axes, region(axes)), replacement=replacement, sigma=4.0, grid=SIZES[axes]
    )
    found = method(x, 1)
    maps = found.attributions[..., 0]
    inside = maps[(slice(None), *region(axes))]
    outside = (maps.sum() - inside.sum()) / (maps.size - inside.size)
    assert (found.scores > 0.99).all()
    assert (found.details["deleted_score"] < 0.15).all()
    assert inside.mean() > 0.5
    assert outside < 0.15 * inside.mean()
    assert (found.details["area"] < 2 * inside[0].size / maps[0].size).all()


@pytest.mark.slow
def test_a_heavier_area_deletes_less():
    x = np.ones((2, *SIZES[2], 1), np.float32)
    model = region_network(2, region(2))
    areas = [
        MeaningfulPerturbation(model, area_weight=weight)(x, 1, baseline=0).details["area"].mean()
        for weight in (0.1, 0.5, 3.0)
    ]
    assert areas == sorted(areas, reverse=True)


@pytest.mark.slow
def test_a_heavier_variation_makes_smoother_masks():
    random = np.random.default_rng(0)
    x = random.normal(size=(2, *SIZES[2], 1)).astype(np.float32)
    model = randomized(
        keras.Sequential(
            [keras.Input((*SIZES[2], 1)), LAYERS.Flatten(), LAYERS.Dense(2, activation="softmax")]
        )
    )
    masks = [
        MeaningfulPerturbation(model, smoothness_weight=weight, jitter=0)(x).details["mask"]
        for weight in (0.0, 10.0)
    ]
    rough, smooth = (np.abs(np.diff(mask, axis=1)).max() for mask in masks)
    assert smooth < 0.5 * rough


@pytest.mark.parametrize(
    ("head", "squashed"),
    [
        slow(LAYERS.Dense(3, activation="softmax"), lambda z: softmax(z, axis=1)),
        slow(LAYERS.Dense(3), lambda z: softmax(z, axis=1)),
        slow(LAYERS.Dense(3, activation="sigmoid"), expit),
        (LAYERS.Dense(1, activation="sigmoid"), lambda z: np.hstack([1 - expit(z), expit(z)])),
        slow(LAYERS.Dense(1), lambda z: z),
    ],
    ids=["softmax", "linear", "sigmoids", "sigmoid", "number"],
)
def test_the_score_is_the_probability(head, squashed):
    head = type(head).from_config(head.get_config())
    model = randomized(keras.Sequential([keras.Input(SHAPES[1]), LAYERS.Flatten(), head]))
    x = samples(1)
    kernel, bias = (np.asarray(weight, np.float64) for weight in head.get_weights())
    wanted = squashed(x.reshape(5, -1) @ kernel + bias)
    method = MeaningfulPerturbation(model, steps=2)
    for target in range(wanted.shape[1]):
        np.testing.assert_allclose(method(x, target).scores, wanted[:, target], atol=1e-5)


@pytest.mark.slow
def test_scores_that_are_no_probabilities():
    model, x = flat_network(2), samples(2)
    logits = reference(flat_network(2, squash=None), x)
    options = {"steps": 3}
    difference = MeaningfulPerturbation(model, **options)(x, lambda z: z[:, 1] - z[:, 0])
    np.testing.assert_allclose(difference.scores, logits[:, 1] - logits[:, 0], atol=1e-4)
    output = MeaningfulPerturbation(model, score="output", **options)(x, 1)
    np.testing.assert_allclose(output.scores, softmax(logits, axis=1)[:, 1], atol=1e-5)
    unit = MeaningfulPerturbation(model, layer="hidden", **options)(x, 4)
    hidden = keras.Sequential([layer for layer in model.layers if layer.name != "head"])
    np.testing.assert_allclose(unit.scores, reference(hidden, x)[:, 4], atol=1e-4)


def test_starts_from_the_smallest_disc_that_takes_the_score_away():
    model, x = flat_network(2, squash=None), samples(2, 6)
    starts = {}

    def minimum(self, objective, start):
        starts["masks"] = start
        return start, tf.zeros(tf.shape(start)[:1], tf.int32)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Descent, "minimum", minimum)
        found = MeaningfulPerturbation(model, replacement="constant", batch_size=4)(x, 1)
    means = x.mean(axis=(1, 2), keepdims=True)
    discs = circles((5, 4), 16).numpy()
    shares = np.stack([enlarged_by_hand(disc, (9, 8)) for disc in discs])[:, None, ..., None]
    scores = np.stack(
        [softmax(reference(model, s * x + (1 - s) * means), axis=1)[:, 1] for s in shares]
    )
    whole = softmax(reference(model, x), axis=1)[:, 1]
    for index, mask in enumerate(found.details["mask"]):
        goal = scores[-1, index] + 0.01 * (whole[index] - scores[-1, index])
        first = next(k for k, value in enumerate(scores[:, index]) if value <= goal + 1e-7)
        np.testing.assert_array_equal(mask, discs[first])
    assert len({mask.tobytes() for mask in found.details["mask"]}) > 1


@pytest.mark.slow
def test_a_baseline_takes_the_place_of_the_replacement():
    x, baseline = samples(2, 3), samples(2, 3, seed=4)
    model = flat_network(2, squash=None)
    found = MeaningfulPerturbation(model, area_weight=0.0, steps=1)(x, 0, baseline=baseline)
    share = np.stack([enlarged_by_hand(mask, (9, 8)) for mask in found.details["mask"]])[..., None]
    deleted = softmax(reference(model, share * x + (1 - share) * baseline), axis=1)[:, 0]
    np.testing.assert_allclose(found.details["deleted_score"], deleted, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("replacement", ["blur", "noise"])
def test_no_batch_changes_a_result(replacement):
    """Neither its mates nor how long they go on."""
    model, x = flat_network(2, normalized=True), samples(2)
    options = {"replacement": replacement, "patience": 5, "tolerance": 1e-3}
    method = MeaningfulPerturbation(model, **options)
    at_once = method(x)
    assert len(set(at_once.details["steps"])) > 1
    for batch_size in (1, 3):
        found = method.running_on(method.runner.sized(batch_size))(x)
        np.testing.assert_allclose(found.attributions, at_once.attributions, atol=1e-3)
        np.testing.assert_array_equal(found.details["steps"], at_once.details["steps"])
    alone = method(x[3:4])
    np.testing.assert_allclose(at_once.attributions[3:4], alone.attributions, atol=1e-3)


@pytest.mark.parametrize(("axes", "replacement"), [(1, "noise"), (2, "blur")])
@pytest.mark.slow  # XLA compiles it for seconds
def test_compiled_by_xla_and_told_to_run_eagerly(axes, replacement):
    model, x = flat_network(axes, normalized=True), samples(axes, 3)
    options = {"replacement": replacement, "steps": 8, "grid": 3}
    plain = MeaningfulPerturbation(model, **options)(x)
    compiled = MeaningfulPerturbation(model, jit_compile=True, **options)(x)
    np.testing.assert_allclose(compiled.attributions, plain.attributions, atol=1e-3)
    np.testing.assert_allclose(
        compiled.details["deleted_score"], plain.details["deleted_score"], atol=1e-3
    )
    tf.config.run_functions_eagerly(True)
    try:
        eager = MeaningfulPerturbation(model, **options)(x)
    finally:
        tf.config.run_functions_eagerly(False)
    np.testing.assert_allclose(eager.attributions, plain.attributions, atol=1e-5)


@pytest.mark.parametrize("network", [flat_network, nested_network, subclassed_network])
@pytest.mark.slow
def test_all_kinds_of_models(network):
    model, x = network(2), samples(2, 3)
    found = MeaningfulPerturbation(model, steps=60, replacement="constant")(x)
    predicted = np.asarray(model(x, training=False))
    np.testing.assert_allclose(found.scores, predicted.max(axis=1), atol=1e-5)
    share = np.stack([enlarged_by_hand(mask, (9, 8)) for mask in found.details["mask"]])[..., None]
    deleted = share * x + (1 - share) * x.mean(axis=(1, 2), keepdims=True)
    wanted = np.asarray(model(deleted.astype(np.float32), training=False))
    np.testing.assert_allclose(
        found.details["deleted_score"], wanted[range(3), predicted.argmax(axis=1)], atol=1e-4
    )


@pytest.mark.slow
def test_the_same_seed_finds_the_same():
    model, x = flat_network(2), samples(2, 2)
    first, again = (
        MeaningfulPerturbation(model, replacement="noise", steps=15, seed=4)(x, 0) for _ in "12"
    )
    np.testing.assert_array_equal(first.attributions, again.attributions)


@pytest.mark.slow
def test_other_values_are_not_traced_again():
    method = MeaningfulPerturbation(flat_network(2), steps=5)
    for seed in range(3):
        method(samples(2, 4 + seed, seed=seed))
    assert len(method.runner._traces) == 1


def grid_by_default(shape):
    method = MeaningfulPerturbation(
        keras.Sequential([keras.Input(shape), LAYERS.Flatten(), LAYERS.Dense(1)])
    )
    deletion = method._deletion(tf.zeros((1, *shape)), None)
    return tuple(matrix.shape[0] for matrix in deletion.matrices), deletion.jitter


def test_grid_and_jitter_by_default():
    assert grid_by_default((28, 224, 1)) == ((14, 28), (1, 2))
    assert grid_by_default((64, 1)) == ((16,), (1,))
    assert grid_by_default((7, 16, 33, 1)) == ((4, 8, 16), (1, 1, 1))


@pytest.mark.parametrize(
    ("options", "smoothing"),
    [
        ({"replacement": "constant", "jitter": 0}, 0.0),
        ({"replacement": "constant", "jitter": (0, 1)}, 0.9),
        ({"replacement": "noise", "jitter": 0}, 0.9),
    ],
)
def test_a_wavering_objective_is_smoothed(options, smoothing):
    method = MeaningfulPerturbation(flat_network(2), **options)
    deletion = method._deletion(tf.constant(samples(2)), None)
    assert method._descent(deletion).smoothing == smoothing


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"grid": 10}, r"`grid` \(10, 10\) is finer than the input.*\(9, 8\)"),
        ({"grid": (2, 2, 2)}, r"2 spatial axes of sizes \(9, 8\).*\(2, 2, 2\)"),
        ({"jitter": (1,)}, "`jitter` must be one whole number"),
    ],
)
def test_lengths_that_do_not_fit(options, message):
    with pytest.raises(ValueError, match=message):
        MeaningfulPerturbation(flat_network(2), **options)(samples(2))


@pytest.mark.parametrize(
    "options",
    [
        {"replacement": "black"},
        {"sigma": -1},
        {"grid": 0},
        {"area_weight": -0.1},
        {"smoothness_weight": np.inf},
        {"beta": 0.5},
        {"jitter": -1},
        {"steps": 0},
        {"learning_rate": "fast"},
        {"patience": 1.5},
        {"tolerance": -1},
        {"seed": None},
    ],
)
def test_options_that_make_no_sense(options):
    with pytest.raises(ValueError, match="|".join(options)):
        MeaningfulPerturbation(flat_network(2), **options)


def test_vectors_and_several_inputs_are_turned_away():
    vector = keras.Sequential([keras.Input((3,)), LAYERS.Dense(2)])
    with pytest.raises(ValueError, match=r"needs inputs with positions.*\(None, 3\)"):
        MeaningfulPerturbation(vector)(np.zeros((2, 3)))
    inputs = [keras.Input((3, 1)), keras.Input((3, 1))]
    outputs = LAYERS.Dense(2)(LAYERS.Flatten()(LAYERS.add(inputs)))
    with pytest.raises(ValueError, match="single input, and the model takes 2"):
        MeaningfulPerturbation(keras.Model(inputs, outputs))([np.zeros((2, 3, 1))] * 2)
