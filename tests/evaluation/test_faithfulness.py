import keras
import numpy as np
import pytest
import tensorflow as tf
from linear_networks import SHAPES, contributions, linear_model, naive_scores, network, samples
from scipy.ndimage import gaussian_filter1d
from scipy.stats import t
from sklearn.metrics import auc
from slow_cases import by_default, slow

from keras_pli.attribution import LIME, GradientTimesInput, Occlusion, Saliency, SmoothGrad
from keras_pli.evaluation import (
    Scorer,
    completeness,
    deletion_curve,
    faithfulness,
    infidelity,
    insertion_curve,
    localization,
    max_sensitivity,
    mu_fidelity,
)
from keras_pli.evaluation.curves import removal_ranks
from keras_pli.evaluation.removal import removed_fill


@pytest.fixture(params=by_default("features", "2-D", of=SHAPES), scope="module")
def shape(request):
    return SHAPES[request.param]


def test_curves_of_a_linear_model_remove_the_greatest_contributions_first(shape):
    model, weights = linear_model(shape)
    x, baseline = samples(shape), samples(shape, count=1, seed=9)[0]
    parts = contributions(weights, x, 2, baseline)
    descending = -np.sort(-parts, axis=1)
    taken = np.concatenate([np.zeros((len(x), 1)), np.cumsum(descending, axis=1)], axis=1)
    whole = naive_scores(model, x, [2] * len(x))
    empty = naive_scores(model, [baseline] * len(x), [2] * len(x))
    given = model, x, parts.reshape(len(x), *(shape if len(shape) == 1 else shape[:-1])), 2
    options = {"baseline": baseline, "score": "logits", "steps": parts.shape[1]}
    deleted, inserted = (curve(*given, **options) for curve in (deletion_curve, insertion_curve))
    np.testing.assert_allclose(deleted.fractions, np.linspace(0, 1, parts.shape[1] + 1))
    np.testing.assert_allclose(deleted.scores, whole[:, None] - taken, atol=1e-4)
    np.testing.assert_allclose(inserted.scores, empty[:, None] + taken, atol=1e-4)
    areas = [auc(inserted.fractions, scores) for scores in inserted.scores]
    np.testing.assert_allclose(inserted.area, areas, rtol=1e-12)
    for curve, kind in ((deleted, "deletion"), (inserted, "insertion")):
        text = f"FaithfulnessCurve of {len(x)} samples, {kind} at {parts.shape[1] + 1} shares; "
        assert repr(curve) == f"{text}mean area {curve.area.mean():.3f}"
        ax = curve.plot().axes[0]
        np.testing.assert_allclose(ax.lines[0].get_ydata(), curve.scores.mean(axis=0))
        assert ax.get_xlabel() == f"pixels {'deleted' if kind == 'deletion' else 'inserted'}"


def test_gradient_times_input_deletes_a_linear_model_faster_than_any_other_map(shape):
    model, _ = linear_model(shape)
    x = samples(shape)
    method = GradientTimesInput(model)
    best = deletion_curve(method, x, method(x), score="logits").area
    for seed in range(5):
        other = deletion_curve(method, x, samples(shape, seed=20 + seed), score="logits").area
        assert np.all(best < other)


@pytest.mark.parametrize("kind", ["deletion", "insertion"])
@pytest.mark.parametrize("channels", [True, slow(False)])
def test_curves_equal_a_loop_over_samples_and_steps(kind, channels):
    model = network((6, 5, 2))
    x = samples((6, 5, 2), count=3)
    maps = samples((6, 5, 2), count=3, seed=3)
    summed = maps.sum(axis=-1)
    target = [0, 2, 1]
    curve = {"deletion": deletion_curve, "insertion": insertion_curve}[kind]
    found = curve(model, x, maps if channels else summed, target, baseline=0.5, steps=7)
    counts = np.round(np.linspace(0, 30, 8)).astype(int)
    np.testing.assert_allclose(found.fractions, counts / 30)
    for i in range(3):
        order = np.argsort(-summed[i].ravel())
        for j, count in enumerate(counts):
            image = x[i].copy() if kind == "deletion" else np.full((6, 5, 2), 0.5, np.float32)
            rows, columns = np.unravel_index(order[:count], (6, 5))
            image[rows, columns] = 0.5 if kind == "deletion" else x[i][rows, columns]
            expected = naive_scores(model, image[None], [target[i]])[0]
            assert found.scores[i, j] == pytest.approx(expected, abs=1e-6)


def test_the_predicted_class_is_held_while_positions_go():
    model = network((6, 5, 2))
    x = 3 * samples((6, 5, 2), count=8)
    maps = GradientTimesInput(model)(x)
    predicted = model(x).numpy().argmax(axis=1)
    held = deletion_curve(model, x, maps)
    given = deletion_curve(model, x, maps, predicted)
    np.testing.assert_allclose(held.scores, given.scores, atol=1e-6)
    assert np.any(held.scores < 1 / 3)  # so that another class is predicted by then


def test_ties_fall_in_an_order_that_the_seed_decides_and_samples_share():
    ranks = removal_ranks(np.array([[2.0, 1, 1, 1, 1, 3], [0, 0, 0, 0, 0, 0], [0] * 6]), seed=0)
    assert ranks[0, 5] == 0 and ranks[0, 0] == 1
    np.testing.assert_array_equal(np.sort(ranks, axis=1), [range(6)] * 3)
    np.testing.assert_array_equal(ranks[1], ranks[2])
    assert not np.array_equal(ranks[1], np.arange(6))
    again = [removal_ranks(np.zeros((1, 50)), seed=seed) for seed in (0, 0, 1)]
    assert np.array_equal(again[0], again[1]) and not np.array_equal(again[0], again[2])


def test_blur_keeps_samples_and_channels_apart():
    x = samples((9, 16, 2), count=3)
    blurred = gaussian_filter1d(x.astype(np.float64), 9 / 8, axis=1, mode="nearest")
    blurred = gaussian_filter1d(blurred, 16 / 8, axis=2, mode="nearest")
    np.testing.assert_allclose(removed_fill("blur", x), blurred, atol=1e-5)


@pytest.mark.parametrize(
    ("activation", "units", "target"),
    [("softmax", 3, 1), slow("sigmoid", 1, 1), ("sigmoid", 1, 0), slow("sigmoid", 3, 2)],
)
def test_probabilities_are_the_models_own_and_logits_what_it_squashes(activation, units, target):
    model = network((6, 5, 2), activation, units)
    x = samples((6, 5, 2), count=3)
    scorer = Scorer(model)
    outputs = model(x).numpy().astype(np.float64)
    own = outputs[:, target] if units > 1 else outputs[:, 0] if target else 1 - outputs[:, 0]
    np.testing.assert_allclose(scorer(x, target, score="probabilities"), own, atol=1e-6)
    logits = scorer(x, target)
    if activation == "sigmoid":
        np.testing.assert_allclose(1 / (1 + np.exp(-logits.astype(np.float64))), own, atol=1e-6)
    else:
        by_class = np.stack([scorer(x, cls) for cls in range(units)], axis=1)
        np.testing.assert_allclose(tf.nn.softmax(by_class)[:, target], own, atol=1e-6)


def test_a_method_brings_its_layer_and_its_score():
    model = network((6, 5, 2))
    x = samples((6, 5, 2), count=3)
    output = Scorer(Saliency(model, score="output"))
    own = model(x).numpy()[:, 1]
    np.testing.assert_allclose(output(x, 1), own, atol=1e-6)
    np.testing.assert_allclose(output(x, 1, score="probabilities"), own, atol=1e-6)
    channel = Scorer(Saliency(model, layer=model.layers[0].name))
    maps = model.layers[0](x).numpy()[..., 3].sum(axis=(1, 2))
    np.testing.assert_allclose(channel(x, 3), maps, rtol=1e-5)
    with pytest.raises(ValueError, match="has no probabilities"):
        channel(x, 3, score="probabilities")


def test_a_callable_target_receives_what_is_scored():
    model = network((6, 5, 2))
    x = samples((6, 5, 2), count=3)
    outputs = model(x).numpy()
    found = Scorer(model)(x, lambda values: values[:, 0] - values[:, 1], score="probabilities")
    np.testing.assert_allclose(found, outputs[:, 0] - outputs[:, 1], atol=1e-6)


def test_completeness_is_the_error_of_the_sum(shape):
    model, _ = linear_model(shape)
    x = samples(shape)
    maps = GradientTimesInput(model)(x, target=2).attributions
    np.testing.assert_allclose(completeness(model, x, maps, 2), 0, atol=1e-4)
    entries = maps[0].size
    np.testing.assert_allclose(completeness(model, x, maps + 1, 2), entries, rtol=1e-4)
    promised = maps.reshape(len(x), -1).sum(axis=1)
    relative = completeness(model, x, 3 * maps, 2, relative=True)
    np.testing.assert_allclose(relative, 2 * np.sign(promised), rtol=1e-3)
    from_x = completeness(model, x, maps, 2, baseline=x)
    np.testing.assert_allclose(from_x, promised, rtol=1e-3)


@pytest.mark.parametrize("kind", [Occlusion, slow(LIME), slow(SmoothGrad)])
def test_what_stands_in_each_channel_is_counted_once(kind):
    """Hiding one position after another shares a linear model's score out exactly."""
    shape = (4, 3, 2)
    model, _ = linear_model(shape)
    x = samples(shape)
    if kind is LIME:
        method = LIME(model, segments=np.arange(12).reshape(4, 3), fill=0.0, samples=4000)
    else:
        method = Occlusion(model, window=1, stride=1)
    if kind is SmoothGrad:
        method = SmoothGrad(method, samples=2, noise=0.0)
    found = method(x, 2)
    assert (found.attributions[..., 0] == found.attributions[..., 1]).all()
    errors = completeness(model, x, found, 2)
    np.testing.assert_allclose(errors, 0, atol=0.1 if kind is LIME else 1e-4)


def test_maps_are_given_by_name_and_may_be_what_methods_return():
    model, _ = linear_model((9,))
    x = samples((9,))
    found = Saliency(model)(x, 1)
    for wrong in ([found], found):
        with pytest.raises(TypeError, match="`attributions` must be maps by name"):
            faithfulness(model, x, wrong, 1)
    masks = np.zeros((len(x), 9), bool)
    masks[:, :2] = True
    table = localization({"saliency": found}, masks)
    assert table.equals(localization({"saliency": found.attributions}, masks))


def test_the_table_puts_a_random_map_beside_the_methods():
    model, weights = linear_model((6, 5, 2))
    x = samples((6, 5, 2), count=12)
    best = weights[..., 0] * x
    table = faithfulness(model, x, {"best": best, "worst": -best}, 0, score="logits")
    assert list(table.index) == ["best", "worst", "random"]
    means = table.xs("mean", axis=1, level="statistic")
    assert list(means) == ["deletion", "insertion", "mu_fidelity", "infidelity"]
    for measure, order in {
        "deletion": ["best", "random", "worst"],
        "insertion": ["worst", "random", "best"],
        "mu_fidelity": ["worst", "random", "best"],
    }.items():
        assert list(means[measure].sort_values().index) == order
    assert means.loc["best", "infidelity"] < 1e-8 < means.loc["random", "infidelity"]
    assert means.loc["worst", "infidelity"] < 1e-8  # its best scale is −1
    area = deletion_curve(model, x, best, 0, score="logits").area
    low, high = t.interval(0.95, 11, loc=area.mean(), scale=area.std(ddof=1) / np.sqrt(12))
    np.testing.assert_allclose(table.loc["best", "deletion"], [area.mean(), low, high])
    assert means.loc["random", "mu_fidelity"] == pytest.approx(0, abs=0.2)


def test_measures_take_class_activation_maps_and_several_shapes_of_arrays():
    model = network((6, 5, 2))
    x = samples((6, 5, 2), count=3)
    maps = samples((6, 5), count=3, seed=3)
    as_channels = deletion_curve(model, x, maps[..., None], 1).scores
    np.testing.assert_allclose(deletion_curve(model, x, maps, 1).scores, as_channels, atol=1e-6)
    # A gradient that all channels share is what a map without channels means.
    shared = np.repeat(maps[..., None], 2, axis=-1)
    options = {"perturbation": "gaussian"}
    np.testing.assert_allclose(
        infidelity(model, x, maps, 1, **options),
        infidelity(model, x, shared, 1, **options),
        rtol=1e-5,
    )


def all_measures(model, x, maps, target=None):
    return [
        deletion_curve(model, x, maps, target, steps=4).area,
        insertion_curve(model, x, maps, target, steps=4).area,
        mu_fidelity(model, x, maps, target, subsets=6),
        infidelity(model, x, maps, target, draws=6),
        infidelity(model, x, maps, target, draws=6, perturbation="gaussian"),
        completeness(model, x, maps, target),
    ]


def test_samples_do_not_mix():
    model = network((6, 5, 2))
    x, maps = samples((6, 5, 2), count=5), samples((6, 5, 2), count=5, seed=3)
    method = Saliency(model)
    together = all_measures(method, x, maps)
    scorer = Scorer(method, batch_size=3)
    np.testing.assert_allclose(all_measures(scorer, x, maps), together, rtol=2e-3, atol=1e-6)
    alone = [all_measures(scorer, x[i : i + 1], maps[i : i + 1]) for i in range(5)]
    np.testing.assert_allclose(np.concatenate(alone, axis=1), together, rtol=2e-3, atol=1e-6)
    one_by_one = [max_sensitivity(method, x[i : i + 1]) for i in range(5)]
    np.testing.assert_allclose(np.concatenate(one_by_one), max_sensitivity(method, x), rtol=1e-4)


@pytest.mark.slow
def test_a_scorer_and_a_method_are_traced_once():
    model = network((6, 5, 2))
    traces = []
    call = model.call

    def counted(*args, **kwargs):
        traces.append(1)
        return call(*args, **kwargs)

    model.call = counted
    for given in (Scorer(model), Saliency(model)):
        all_measures(given, samples((6, 5, 2)), samples((6, 5, 2), seed=3))
        before = len(traces)
        all_measures(given, samples((6, 5, 2), count=7, seed=8), samples((6, 5, 2), count=7))
        assert len(traces) == before


@pytest.mark.parametrize("how", ["XLA", "eager"])
@pytest.mark.slow
def test_compilation_changes_nothing(how):
    model = network((6, 5, 2))
    x, maps = samples((6, 5, 2), count=5), samples((6, 5, 2), count=5, seed=3)
    plain = all_measures(Scorer(model), x, maps)
    if how == "XLA":
        given = Scorer(Saliency(model, jit_compile=True), batch_size=4)
        np.testing.assert_allclose(all_measures(given, x, maps), plain, rtol=2e-3, atol=1e-6)
        return
    tf.config.run_functions_eagerly(True)
    try:
        np.testing.assert_allclose(
            all_measures(Scorer(model), x, maps), plain, rtol=2e-3, atol=1e-6
        )
    finally:
        tf.config.run_functions_eagerly(False)


@pytest.mark.slow
def test_the_seed_decides():
    model = network((6, 5, 2))
    x, maps = samples((6, 5, 2)), samples((6, 5, 2), seed=3)
    scorer = Scorer(model)
    for measure in (mu_fidelity, infidelity):
        first, again, other = (measure(scorer, x, maps, seed=seed) for seed in (1, 1, 2))
        np.testing.assert_array_equal(first, again)
        assert not np.allclose(first, other)
    first, again, other = (
        faithfulness(scorer, x, {"a": maps}, seed=seed, draws=5).loc["random", "deletion"]
        for seed in (1, 1, 2)
    )
    assert first["mean"] == again["mean"] != other["mean"]


@pytest.fixture(scope="module")
def of_images():
    return network((6, 5, 2))


IMAGE = np.zeros((2, 6, 5, 2), np.float32)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda m: deletion_curve(m, IMAGE, IMAGE[:, :3]),
            r"shaped like the inputs, \(2, 6, 5, 2\)",
        ),
        (lambda m: deletion_curve(m, IMAGE, IMAGE[:1]), "shaped like the inputs"),
        (lambda m: deletion_curve(m, IMAGE, IMAGE + np.nan), "must be finite"),
        (lambda m: deletion_curve(m, IMAGE[:, :3], IMAGE[:, :3]), "takes inputs of shape"),
        (lambda m: deletion_curve(m, IMAGE, IMAGE, 3), "classes that do not exist: 3"),
        (lambda m: deletion_curve(m, IMAGE, IMAGE, baseline="noise"), "'blur'. Received: 'noise'"),
        (lambda m: deletion_curve(m, IMAGE, IMAGE, baseline=IMAGE[0, 0]), "`baseline` must be"),
        (lambda m: deletion_curve(m, IMAGE, IMAGE, score="loss"), "`score` must be one of"),
        (lambda m: deletion_curve(m, IMAGE, IMAGE, steps=0), "`steps` must be"),
        (lambda m: mu_fidelity(m, IMAGE, IMAGE, share=1.0), r"`share` must lie in \(0, 1\)"),
        (lambda m: mu_fidelity(m, IMAGE, IMAGE, subsets=1), "`subsets` must be"),
        (lambda m: mu_fidelity(m, IMAGE, IMAGE, cells=(2, 2, 2)), "`cells` must be"),
        (lambda m: infidelity(m, IMAGE, IMAGE, side=6), r"`side` must fit into .*\(6, 5\)"),
        (lambda m: infidelity(m, IMAGE, IMAGE, perturbation="noise"), "`perturbation` must be"),
        (lambda m: infidelity(m, IMAGE, IMAGE, units="pixels"), "`units` must be one of"),
        (
            lambda m: infidelity(m, IMAGE, IMAGE, perturbation="gaussian", units="contribution"),
            "no contributions",
        ),
        (lambda m: max_sensitivity(Saliency(m), IMAGE, radius=-1), "`radius` must be"),
        (lambda m: max_sensitivity(Saliency(m), IMAGE, IMAGE[:, :2]), "what the method gives"),
        (lambda m: faithfulness(m, IMAGE, {}), "at least one method"),
        (lambda m: faithfulness(m, IMAGE, {"random": IMAGE}), "'random' stands beside"),
        (lambda m: faithfulness(m, IMAGE, {"a": IMAGE[0]}), r"attributions\['a'\]"),
        (lambda m: Scorer(m, batch_size=0), "`batch_size` must be"),
    ],
)
def test_bad_input_is_met_at_the_door(of_images, call, message):
    with pytest.raises(ValueError, match=message):
        call(of_images)


def test_bad_kinds_are_met_at_the_door():
    model, _ = linear_model((10,))
    with pytest.raises(TypeError, match="attribution method"):
        max_sensitivity(model, samples((10,)))
    with pytest.raises(TypeError, match="must be a Keras model"):
        deletion_curve("model", samples((10,)), samples((10,)))
    with pytest.raises(ValueError, match="no neighbours"):
        deletion_curve(model, samples((10,)), samples((10,)), baseline="blur")
    inputs = [keras.Input((3,)), keras.Input((3,))]
    both = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Add()(inputs)))
    with pytest.raises(ValueError, match="single array"):
        deletion_curve(both, [np.ones((2, 3)), np.ones((2, 3))], np.ones((2, 3)))
