import keras
import numpy as np
import pytest
import tensorflow as tf
from linear_networks import SHAPES, linear_model, naive_scores, network, samples
from scipy.stats import pearsonr
from slow_cases import by_default, slow

from keras_pli.attribution import GradientTimesInput, Saliency
from keras_pli.evaluation import (
    Scorer,
    infidelity,
    max_sensitivity,
    mu_fidelity,
)
from keras_pli.evaluation.fidelity import _cells, _noise, _subset_masks, _windows


@pytest.fixture(params=by_default("2-D", of=SHAPES), scope="module")
def shape(request):
    return SHAPES[request.param]


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


@pytest.mark.parametrize("cells", [slow(None), slow(3), (2, 3)])
def test_mu_fidelity_equals_a_loop_over_subsets(cells):
    model = network((6, 7, 2))
    x, maps = samples((6, 7, 2), count=2), samples((6, 7, 2), count=2, seed=3)
    options = {"subsets": 12, "share": 0.25, "seed": 5}
    found = mu_fidelity(model, x, maps, [0, 2], score="probabilities", cells=cells, **options)
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


@pytest.mark.parametrize("scaled", [slow(False), True])
@pytest.mark.parametrize(
    ("perturbation", "units"),
    [("square", "contribution"), slow("square", "gradient"), ("gaussian", "gradient")],
)
def test_infidelity_equals_a_loop_over_perturbations(perturbation, units, scaled):
    model = network((6, 7, 2))
    x, maps = samples((6, 7, 2), count=2), samples((6, 7, 2), count=2, seed=3)
    options = {"draws": 15, "seed": 5, "side": (2, 3), "width": 0.4, "baseline": -0.5}
    found = infidelity(
        model, x, maps, 1, perturbation=perturbation, units=units, scaled=scaled,
        score="probabilities", **options,
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
    given = max_sensitivity(method, x, None, predicted, radius=0.5)
    np.testing.assert_allclose(found, given, rtol=1e-4)
    np.testing.assert_allclose(found, max_sensitivity(method, x, method(x), radius=0.5), rtol=1e-4)
    assert np.all(max_sensitivity(method, x, radius=0.01) < found)
    assert np.isnan(max_sensitivity(method, x, np.zeros_like(x))).all()
