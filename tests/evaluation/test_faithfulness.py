import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.ndimage import gaussian_filter1d
from scipy.stats import pearsonr, t
from sklearn.metrics import auc

from keras_pli.attribution import GradientTimesInput, Saliency
from keras_pli.evaluation import (
    Scorer,
    completeness,
    deletion_curve,
    faithfulness,
    infidelity,
    insertion_curve,
    max_sensitivity,
    mu_fidelity,
)
from keras_pli.evaluation.curves import removal_ranks
from keras_pli.evaluation.fidelity import _cells, _noise, _subset_masks, _windows
from keras_pli.evaluation.removal import removed_fill

SHAPES = {"features": (10,), "1-D": (11, 2), "2-D": (5, 6, 2), "3-D": (3, 4, 5, 1)}


@pytest.fixture(params=SHAPES, scope="module")
def shape(request):
    return SHAPES[request.param]


def samples(shape, count=4, seed=0):
    return np.random.default_rng(seed).normal(size=(count, *shape)).astype(np.float32)


def linear_model(shape, classes=3, seed=1):
    """A linear model with a bias, and its weights `(*shape, classes)`."""
    model = keras.Sequential(
        [keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(classes)]
    )
    weights = samples((*shape, classes), count=1, seed=seed)[0]
    model.layers[-1].set_weights([weights.reshape(-1, classes), np.arange(classes) - 1.0])
    return model, weights.astype(np.float64)


def network(shape, activation="softmax", units=3):
    """A small non-linear classifier of 2-D images."""
    keras.utils.set_random_seed(4)
    return keras.Sequential(
        [
            keras.Input(shape),
            keras.layers.Conv2D(4, 3, activation="relu", bias_initializer="random_normal"),
            keras.layers.Flatten(),
            keras.layers.Dense(units, activation=activation),
        ]
    )


def naive_scores(model, x, target):
    """The model's own output, one sample at a time."""
    return np.array([model(one[None]).numpy()[0, cls] for one, cls in zip(x, target, strict=True)])


def contributions(weights, x, cls, baseline=0.0):
    """What each position adds to the score of a linear model, `(samples, positions)`."""
    values = weights[..., cls] * (x - baseline)
    return values.reshape(len(x), -1) if x.ndim == 2 else values.sum(axis=-1).reshape(len(x), -1)


def test_curves_of_a_linear_model_remove_the_greatest_contributions_first(shape):
    model, weights = linear_model(shape)
    x, baseline = samples(shape), samples(shape, count=1, seed=9)[0]
    parts = contributions(weights, x, 2, baseline)
    descending = -np.sort(-parts, axis=1)
    taken = np.concatenate([np.zeros((len(x), 1)), np.cumsum(descending, axis=1)], axis=1)
    whole = naive_scores(model, x, [2] * len(x))
    empty = naive_scores(model, [baseline] * len(x), [2] * len(x))
    given = model, x, parts.reshape(len(x), *(shape if len(shape) == 1 else shape[:-1])), 2
    options = {"baseline": baseline, "score": "logit", "steps": parts.shape[1]}
    deleted, inserted = (curve(*given, **options) for curve in (deletion_curve, insertion_curve))
    np.testing.assert_allclose(deleted.fractions, np.linspace(0, 1, parts.shape[1] + 1))
    np.testing.assert_allclose(deleted.scores, whole[:, None] - taken, atol=1e-4)
    np.testing.assert_allclose(inserted.scores, empty[:, None] + taken, atol=1e-4)
    areas = [auc(inserted.fractions, scores) for scores in inserted.scores]
    np.testing.assert_allclose(inserted.area, areas, rtol=1e-12)


def test_gradient_times_input_deletes_a_linear_model_faster_than_any_other_map(shape):
    model, _ = linear_model(shape)
    x = samples(shape)
    method = GradientTimesInput(model)
    best = deletion_curve(method, x, method(x), score="logit").area
    for seed in range(5):
        other = deletion_curve(method, x, samples(shape, seed=20 + seed), score="logit").area
        assert np.all(best < other)


@pytest.mark.parametrize("kind", ["deletion", "insertion"])
@pytest.mark.parametrize("channels", [True, False])
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
    np.testing.assert_array_equal(held.scores, deletion_curve(model, x, maps, predicted).scores)
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
    [("softmax", 3, 1), ("sigmoid", 1, 1), ("sigmoid", 1, 0), ("sigmoid", 3, 2)],
)
def test_probabilities_are_the_models_own_and_logits_what_it_squashes(activation, units, target):
    model = network((6, 5, 2), activation, units)
    x = samples((6, 5, 2), count=3)
    scorer = Scorer(model)
    outputs = model(x).numpy().astype(np.float64)
    own = outputs[:, target] if units > 1 else outputs[:, 0] if target else 1 - outputs[:, 0]
    np.testing.assert_allclose(scorer(x, target, score="probability"), own, atol=1e-6)
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
    np.testing.assert_allclose(output(x, 1, score="probability"), own, atol=1e-6)
    channel = Scorer(Saliency(model, layer=model.layers[0].name))
    maps = model.layers[0](x).numpy()[..., 3].sum(axis=(1, 2))
    np.testing.assert_allclose(channel(x, 3), maps, rtol=1e-5)
    with pytest.raises(ValueError, match="has no probabilities"):
        channel(x, 3, score="probability")


def test_a_callable_target_receives_what_is_scored():
    model = network((6, 5, 2))
    x = samples((6, 5, 2), count=3)
    outputs = model(x).numpy()
    found = Scorer(model)(x, lambda values: values[:, 0] - values[:, 1], score="probability")
    np.testing.assert_allclose(found, outputs[:, 0] - outputs[:, 1], atol=1e-6)


def test_gradient_times_input_has_the_highest_mu_fidelity_on_a_linear_model(shape):
    model, weights = linear_model(shape)
    x = samples(shape)
    maps = GradientTimesInput(model)(x, target=1)
    np.testing.assert_allclose(mu_fidelity(model, x, maps, 1), 1, atol=1e-6)
    np.testing.assert_allclose(mu_fidelity(model, x, -3 * maps.attributions, 1), -1, atol=1e-6)
    # Against another baseline the contributions are others.
    assert np.all(mu_fidelity(model, x, maps, 1, baseline=2.0) < 0.999)
    shifted = weights[..., 1] * (x - 2.0)
    np.testing.assert_allclose(mu_fidelity(model, x, shifted, 1, baseline=2.0), 1, atol=1e-6)


@pytest.mark.parametrize("cells", [None, 3, (2, 3)])
def test_mu_fidelity_equals_a_loop_over_subsets(cells):
    model = network((6, 7, 2))
    x, maps = samples((6, 7, 2), count=2), samples((6, 7, 2), count=2, seed=3)
    options = {"subsets": 12, "share": 0.25, "seed": 5}
    found = mu_fidelity(model, x, maps, [0, 2], score="probability", cells=cells, **options)
    (masks,) = _subset_masks(_cells((6, 7), cells), 0.25, 12, np.random.default_rng(5))
    for i, cls in enumerate([0, 2]):
        added, falls = [], []
        for mask in masks.reshape(-1, 6, 7):
            image = x[i].copy()
            image[mask] = 0
            added.append(maps[i][mask].sum())
            falls.append(np.subtract(*naive_scores(model, np.stack([x[i], image]), [cls, cls])))
        assert found[i] == pytest.approx(pearsonr(added, falls).statistic, abs=1e-4)


def test_subsets_hold_their_share_of_cells_and_differ():
    cells = _cells((6, 7), (2, 3))
    np.testing.assert_array_equal(
        cells.reshape(6, 7)[[0, 2, 3, 5]][:, [0, 2, 3, 4, 5, 6]],
        [[0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 2, 2], [3, 3, 4, 4, 5, 5], [3, 3, 4, 4, 5, 5]],
    )
    (masks,) = _subset_masks(np.arange(50), 0.1, 40, np.random.default_rng(0))
    assert set(masks.sum(axis=1)) == {5}
    assert len(np.unique(masks, axis=0)) == 40
    assert masks.any(axis=0).all()


def test_mu_fidelity_is_undefined_where_nothing_varies():
    model, _ = linear_model((10,))
    x = samples((10,), count=2)
    assert np.isnan(mu_fidelity(model, x, np.full((2, 10), 0.3))).all()
    model.layers[-1].set_weights([np.zeros((10, 3)), np.ones(3)])
    assert np.isnan(mu_fidelity(model, x, x)).all()
    # Falls that only rounding makes: a float32 near 1000 is known to 6e-5.
    model.layers[-1].set_weights([np.full((10, 3), 3e-5), np.full(3, 1000.0)])
    assert np.isnan(mu_fidelity(model, x, x)).all()


@pytest.mark.parametrize("perturbation", ["square", "gaussian"])
def test_the_exact_attribution_of_a_linear_model_has_no_infidelity(shape, perturbation):
    model, weights = linear_model(shape)
    x = samples(shape)
    gradients = Saliency(model)(x, target=1)
    options = {"perturbation": perturbation, "baseline": 0.7}
    exact = infidelity(model, x, gradients, 1, units="gradient", **options)
    np.testing.assert_allclose(exact, 0, atol=1e-8)
    if perturbation == "square":
        whole = weights[..., 1] * (x - 0.7)
        np.testing.assert_allclose(infidelity(model, x, whole, 1, **options), 0, atol=1e-8)
    # c times the exact attribution misses (c − 1) times each fall.
    twice, thrice = (
        infidelity(model, x, c * gradients.attributions, 1, units="gradient", **options)
        for c in (2, 3)
    )
    assert np.all(twice > 0.01)
    np.testing.assert_allclose(thrice, 4 * twice, rtol=1e-4)
    scaled = infidelity(
        model, x, -5 * gradients.attributions, 1, units="gradient", scaled=True, **options
    )
    np.testing.assert_allclose(scaled, 0, atol=1e-8)


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize(
    ("perturbation", "units"),
    [("square", "contribution"), ("square", "gradient"), ("gaussian", "gradient")],
)
def test_infidelity_equals_a_loop_over_perturbations(perturbation, units, scaled):
    model = network((6, 7, 2))
    x, maps = samples((6, 7, 2), count=2), samples((6, 7, 2), count=2, seed=3)
    options = {"draws": 15, "seed": 5, "side": (2, 3), "width": 0.4, "baseline": -0.5}
    found = infidelity(
        model, x, maps, 1, perturbation=perturbation, units=units, scaled=scaled,
        score="probability", **options,
    )  # fmt: skip
    random = np.random.default_rng(5)
    if perturbation == "square":
        (drawn,) = _windows((6, 7), (2, 3), 15, random)
        drawn = drawn.reshape(-1, 6, 7, 1)
    else:
        (drawn,) = _noise((6, 7, 2), 0.4, 15, random)
        drawn = drawn.reshape(-1, 6, 7, 2)
    for i in range(2):
        products, falls = [], []
        for one in drawn:
            removed = one * (x[i] + 0.5) if perturbation == "square" else one
            share = one if units == "contribution" else removed
            products.append((share * maps[i]).sum())
            pair = naive_scores(model, np.stack([x[i], x[i] - removed]), [1, 1])
            falls.append(pair[0] - pair[1])
        products, falls = np.array(products, dtype=float), np.array(falls)
        if scaled:  # the least-squares fit, by NumPy
            products *= np.linalg.lstsq(products[:, None], falls, rcond=None)[0][0]
        assert found[i] == pytest.approx(np.mean((products - falls) ** 2), rel=1e-4)


def test_windows_are_squares_that_reach_every_place():
    (masks,) = _windows((5, 6), None, 300, np.random.default_rng(0))
    masks = masks.reshape(-1, 5, 6)
    assert set(masks.sum(axis=(1, 2))) == {4}
    assert len(np.unique(masks, axis=0)) == 4 * 5
    for mask in masks[:20]:
        rows, columns = np.nonzero(mask)
        assert np.ptp(rows) == np.ptp(columns) == 1


def test_blocks_of_perturbations_change_nothing(monkeypatch):
    model = network((6, 7, 2))
    x, maps = samples((6, 7, 2), count=3), samples((6, 7, 2), count=3, seed=3)

    scorer = Scorer(model)

    def measured():
        return [
            mu_fidelity(scorer, x, maps, subsets=20),
            infidelity(scorer, x, maps, draws=20),
            infidelity(scorer, x, maps, draws=20, perturbation="gaussian"),
        ]

    whole = measured()
    monkeypatch.setattr("keras_pli.evaluation.fidelity.BLOCK_ENTRIES", 300)
    np.testing.assert_allclose(measured(), whole, rtol=1e-5)


def test_the_gradients_of_a_linear_model_are_not_sensitive(shape):
    model, _ = linear_model(shape)
    np.testing.assert_array_equal(max_sensitivity(Saliency(model), samples(shape), target=1), 0)


def test_max_sensitivity_of_a_square_has_a_closed_form():
    square = keras.Sequential([keras.Input((6,)), keras.layers.Lambda(lambda x: x * x)])
    x = samples((6,), count=3)
    method = Saliency(square)
    found = max_sensitivity(method, x, target=lambda y: tf.reduce_sum(y, -1), radius=0.3, seed=7)
    random = np.random.default_rng(7)
    moves = [np.linalg.norm(random.uniform(-0.3, 0.3, 6)) for _ in range(10)]
    np.testing.assert_allclose(found, max(moves) / np.linalg.norm(x, axis=1), rtol=1e-5)


def test_max_sensitivity_holds_the_predicted_class_and_takes_maps_given():
    model = network((6, 5, 2))
    x = samples((6, 5, 2), count=4)
    method = Saliency(model)
    found = max_sensitivity(method, x, radius=0.5)
    predicted = model(x).numpy().argmax(axis=1)
    np.testing.assert_array_equal(found, max_sensitivity(method, x, None, predicted, radius=0.5))
    np.testing.assert_array_equal(found, max_sensitivity(method, x, method(x), radius=0.5))
    assert np.all(max_sensitivity(method, x, radius=0.01) < found)
    assert np.isnan(max_sensitivity(method, x, np.zeros_like(x))).all()


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


def test_the_table_puts_a_random_map_beside_the_methods():
    model, weights = linear_model((6, 5, 2))
    x = samples((6, 5, 2), count=12)
    best = weights[..., 0] * x
    table = faithfulness(model, x, {"best": best, "worst": -best}, 0, score="logit")
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
    area = deletion_curve(model, x, best, 0, score="logit").area
    low, high = t.interval(0.95, 11, loc=area.mean(), scale=area.std(ddof=1) / np.sqrt(12))
    np.testing.assert_allclose(table.loc["best", "deletion"], [area.mean(), low, high])
    assert means.loc["random", "mu_fidelity"] == pytest.approx(0, abs=0.2)


def test_measures_take_class_activation_maps_and_several_shapes_of_arrays():
    model = network((6, 5, 2))
    x = samples((6, 5, 2), count=3)
    maps = samples((6, 5), count=3, seed=3)
    as_channels = deletion_curve(model, x, maps[..., None], 1).scores
    np.testing.assert_array_equal(deletion_curve(model, x, maps, 1).scores, as_channels)
    # A gradient that all channels share is what a map without channels means.
    shared = np.repeat(maps[..., None], 2, axis=-1)
    options = {"perturbation": "gaussian"}
    np.testing.assert_allclose(
        infidelity(model, x, maps, 1, **options), infidelity(model, x, shared, 1, **options)
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
        (lambda m: faithfulness(m, IMAGE, {}), "must hold maps"),
        (lambda m: faithfulness(m, IMAGE, {"random": IMAGE}), "'random' stands beside"),
        (lambda m: faithfulness(m, IMAGE, {"a": IMAGE[0]}), r"attributions\['a'\]"),
        (lambda m: Scorer(m, batch_size=0), "`batch_size` must be"),
    ],
)
def test_bad_input_is_met_at_the_door(call, message):
    with pytest.raises(ValueError, match=message):
        call(network((6, 5, 2)))


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
