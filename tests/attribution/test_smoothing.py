"""Smoothing: the noise itself, closed forms of Gaussian means, and means taken by hand."""

from functools import cache

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats
from slow_cases import slow
from test_method import WithBaseline
from toy_networks import (
    LAYERS,
    flat_network,
    gap_network,
    nested_network,
    samples,
    subclassed_network,
)

from keras_pli.attribution import (
    LIME,
    GradCAM,
    GradientTimesInput,
    GuidedIntegratedGradients,
    IntegratedGradients,
    Saliency,
    SmoothGrad,
)

STATISTICS = {
    "mean": lambda maps: np.mean(maps, axis=0),
    "square": lambda maps: np.mean(np.square(maps), axis=0),
    "variance": lambda maps: np.var(maps, axis=0),
}


class HalfSquare(LAYERS.Layer):
    """∑ z² / 2 over all values of all inputs, whose gradient at z is z itself."""

    def call(self, *inputs):
        flat = [keras.ops.reshape(z, (-1, np.prod(z.shape[1:]))) for z in inputs]
        return keras.ops.sum(keras.ops.concatenate(flat, axis=1) ** 2, axis=1, keepdims=True) / 2


def half_square(*shapes):
    given = [keras.Input(shape) for shape in shapes]
    return keras.Model(given if len(given) > 1 else given[0], HalfSquare()(*given))


def ranges(x):
    axes = tuple(range(1, x.ndim))
    return x.max(axes, keepdims=True) - x.min(axes, keepdims=True)


def noise_of(x, draws, **options):
    """The noise of each draw in units of σ, `(draws, samples, ...)`: a half square's gradient less x."""
    model = half_square(x.shape[1:])
    sums = [
        count
        * SmoothGrad(model, samples=count, noise=0.1, **options)(x, 0).attributions.astype(float)
        for count in range(1, draws + 1)
    ]
    return (np.diff([0 * x, *sums], axis=0) - x) / (0.1 * ranges(x))


@cache
def unit_noise(shape, draws):
    """The same for every input of a shape, as `TestNoise` shows."""
    return noise_of(np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32), draws)


def noisy(x, draws, noise=0.15):
    """The noisy copies that the method makes."""
    units = unit_noise(x.shape[1:], 4)[:draws]
    return [(x + noise * ranges(x) * unit).astype(np.float32) for unit in units]


def assert_same(found, expected, tolerance=1e-5):
    np.testing.assert_allclose(
        found, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max()
    )


class TestNoise:
    @pytest.mark.slow
    def test_is_gaussian_in_units_of_each_sample_s_range(self):
        x = samples(3, count=3) * np.float32([1, 10, 0.1]).reshape(3, 1, 1, 1, 1)
        units = noise_of(x, 4)
        for one in units[:, 0]:
            assert stats.kstest(one.ravel(), "norm").pvalue > 0.01
        for sample in (1, 2):
            np.testing.assert_allclose(units[:, sample], units[:, 0], atol=1e-3)

    @pytest.mark.slow
    def test_draws_and_seeds_are_independent(self):
        x = samples(3, count=1)
        units = [noise_of(x, 3, seed=seed).reshape(3, -1) for seed in (0, 1)]
        correlations = np.corrcoef(np.concatenate(units)) - np.eye(6)
        assert np.abs(correlations).max() < 4.5 / np.sqrt(x.size)

    def test_several_inputs_have_noise_and_ranges_of_their_own(self):
        rng = np.random.default_rng(0)
        x = [rng.normal(size=(2, 600)).astype(np.float32), 5 * rng.normal(size=(2, 600))]
        found = SmoothGrad(half_square((600,), (600,)), samples=1, noise=0.2)(x, 0).attributions
        one, other = (
            (values - clean) / (0.2 * ranges(clean)) for values, clean in zip(found, x, strict=True)
        )
        for units in (one, other):
            assert stats.kstest(units[0], "norm").pvalue > 0.01
        assert abs(np.corrcoef(one[0], other[0])[0, 1]) < 4.5 / np.sqrt(600)

    @pytest.mark.slow
    def test_a_seed_repeats(self):
        model, x = flat_network(2), samples(2, count=2)
        first, second, other = (
            SmoothGrad(model, samples=3, seed=seed)(x, 1).attributions for seed in (5, 5, 6)
        )
        np.testing.assert_array_equal(first, second)
        assert np.abs(first - other).max() > 1e-3


class TestSmoothGrad:
    @pytest.mark.slow
    def test_without_noise_it_is_the_method(self):
        model, x = flat_network(2), samples(2)
        plain = Saliency(model)(x)
        expected = {
            "mean": plain.attributions,
            "square": plain.attributions**2,
            "variance": 0 * plain.attributions,
        }
        for statistic, values in expected.items():
            found = SmoothGrad(model, samples=3, noise=0, statistic=statistic)(x)
            np.testing.assert_allclose(found.attributions, values, rtol=1e-5, atol=1e-7)
            np.testing.assert_allclose(found.scores, plain.scores, rtol=1e-6)
            assert found.delta is None

    @pytest.mark.parametrize(
        ("axes", "statistic"),
        [slow(1, "mean"), (2, "mean"), slow(2, "square"), slow(3, "variance")],
    )
    def test_equals_statistics_by_hand(self, axes, statistic):
        model, x = flat_network(axes), samples(axes, count=3)
        gradient = Saliency(model)
        maps = [gradient(copy, 2).attributions.astype(float) for copy in noisy(x, 4)]
        found = SmoothGrad(model, samples=4, statistic=statistic)(x, 2).attributions
        assert_same(found, STATISTICS[statistic](maps), 1e-4)

    @pytest.mark.parametrize("inner", [IntegratedGradients, GuidedIntegratedGradients])
    @pytest.mark.slow
    def test_of_another_method_equals_its_mean_by_hand(self, inner):
        model, x = flat_network(2), samples(2, count=3)
        start = samples(2, count=3, seed=1)
        method = inner(model, steps=5)
        maps = [method(copy, 1, baseline=start).attributions for copy in noisy(x, 3, noise=0.05)]
        smooth = SmoothGrad(method, samples=3, noise=0.05)
        assert_same(smooth(x, 1, baseline=start).attributions, np.mean(maps, axis=0), 1e-3)
        assert not np.allclose(smooth(x, 1).attributions, np.mean(maps, axis=0), rtol=1e-2)

    @pytest.mark.parametrize("axes", [1, slow(3)])
    def test_of_maps_with_fewer_axes_than_the_input(self, axes):
        model, x = gap_network(axes), samples(axes, count=3)
        method = GradCAM(model)
        maps = [method(copy, 1).attributions for copy in noisy(x, 3)]
        found = SmoothGrad(method, samples=3)(x, 1).attributions
        assert found.shape == x.shape[:-1]
        assert_same(found, np.mean(maps, axis=0), 1e-4)

    @pytest.mark.parametrize("statistic", [slow("mean"), "square", "variance"])
    def test_closed_forms_of_gaussian_means(self, statistic):
        """Of the gradient z² of ∑ z³ / 3 the mean is z² + s, the variance 4 z² s + 2 s²; s is that of z."""

        class Cubes(LAYERS.Layer):
            def call(self, inputs):
                return keras.ops.sum(inputs**3, axis=1, keepdims=True) / 3

        model = keras.Sequential([keras.Input((3,)), Cubes()])
        x = np.float32([[-1, 0.5, 1], [3, 1, 2]])
        s, draws = 0.3**2 * ranges(x) ** 2, 20_000
        common = {"samples": draws, "noise": 0.3, "batch_size": 8000}
        moments = {
            "mean": (x**2 + s, 4 * x**2 * s + 2 * s**2),
            "square": (x**4 + 6 * x**2 * s + 3 * s**2, None),
            "variance": (4 * x**2 * s + 2 * s**2, None),
        }
        expected, variance = moments[statistic]
        found = SmoothGrad(model, statistic=statistic, **common)(x, 0).attributions
        error = 5 * np.sqrt(variance / draws) if variance is not None else 0.08 * expected
        assert (np.abs(found - expected) < error).all()

    @pytest.mark.slow
    def test_a_variance_far_from_zero_keeps_its_digits(self):
        class Slope(LAYERS.Layer):
            def call(self, inputs):
                return keras.ops.sum(1000 * inputs + inputs**2 / 2, axis=1, keepdims=True)

        model = keras.Sequential([keras.Input((50,)), Slope()])
        x = np.random.default_rng(0).uniform(size=(1, 50)).astype(np.float32)
        found = SmoothGrad(model, samples=9, noise=0.01, statistic="variance")(x, 0).attributions
        expected = SmoothGrad(half_square((50,)), samples=9, noise=0.01, statistic="variance")(x, 0)
        assert_same(found, expected.attributions, 0.02)

    def test_the_class_is_that_of_the_clean_input(self):
        model, x = flat_network(2), samples(2, count=7)
        predicted = np.argmax(model(x), axis=1)
        assert any((np.argmax(model(z), axis=1) != predicted).any() for z in noisy(x, 2, 0.5))
        smooth = SmoothGrad(model, samples=5, noise=0.5)
        found, expected = smooth(x), smooth(x, predicted)
        assert_same(found.attributions, expected.attributions)
        np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-5)
        gap = lambda logits: logits[:, 0] - logits[:, 1]  # noqa: E731
        one, other = smooth(x, 0).attributions, smooth(x, 1).attributions
        assert_same(smooth(x, gap).attributions, one - other, 1e-4)

    @pytest.mark.parametrize("network", [nested_network, subclassed_network])
    @pytest.mark.slow
    def test_kinds_of_models(self, network):
        model, x = network(2), samples(2, count=2)
        found = SmoothGrad(model, samples=2, noise=0)(x).attributions
        assert_same(found, Saliency(model)(x).attributions)


class TestCompilation:
    @pytest.mark.parametrize("axes", [1, 2])
    @pytest.mark.slow
    def test_eager_graph_and_xla_agree(self, axes):
        model, x = flat_network(axes), samples(axes, count=3)

        def run(compiled):
            smooth = SmoothGrad(model, samples=7, statistic="variance", jit_compile=compiled)
            return smooth(x).attributions

        graph = run(False)
        assert_same(run(True), graph, 1e-3)
        tf.config.run_functions_eagerly(True)
        try:
            assert_same(run(False), graph)
        finally:
            tf.config.run_functions_eagerly(False)

    @pytest.mark.parametrize("axes", [1, slow(3)])
    def test_batches_of_any_size(self, axes):
        model, x = flat_network(axes), samples(axes, count=4)
        together = SmoothGrad(model, samples=7, batch_size=1000)(x).attributions
        found = SmoothGrad(model, samples=7, batch_size=axes)(x).attributions
        assert_same(found, together)

    @pytest.mark.slow  # XLA compiles it for seconds
    def test_a_smoothed_path_one_by_one_and_under_xla(self):
        model, x = flat_network(1), samples(1, count=4)
        method = GuidedIntegratedGradients(model, steps=4)
        together = SmoothGrad(method, samples=3)(x).attributions
        for options in ({"batch_size": 5}, {"batch_size": 1, "jit_compile": True}):
            assert_same(SmoothGrad(method, samples=3, **options)(x).attributions, together, 1e-4)

    @pytest.mark.slow
    def test_further_calls_do_not_trace(self):
        smooth = SmoothGrad(IntegratedGradients(flat_network(2), steps=3), samples=3)
        first = smooth(samples(2, count=5)).attributions
        traces = len(smooth.runner._traces)
        second = smooth(samples(2, count=3, seed=1)).attributions
        assert len(smooth.runner._traces) == traces
        assert np.abs(second - first[:3]).max() > 1e-3

    @pytest.mark.slow
    def test_more_samples_make_no_larger_graph(self):
        few, many = (
            SmoothGrad(flat_network(1), samples=count).traced(samples(1)).graph.get_operations()
            for count in (2, 3000)
        )
        assert len(few) == len(many)


class TestComposition:
    @pytest.mark.slow
    def test_takes_the_settings_of_the_method(self):
        smooth = SmoothGrad(
            IntegratedGradients(flat_network(2), layer="first", batch_size=3, jit_compile=True)
        )
        assert smooth.batch_size == 3 and smooth.jit_compile
        assert smooth.network.layer == "first" and smooth.takes_baseline

    @pytest.mark.slow
    def test_scores_what_the_method_scores(self):
        model = flat_network(2)
        method = IntegratedGradients(model, layer="first", batch_size=3, jit_compile=True)
        smooth = SmoothGrad(method)
        found = smooth(samples(2, count=2), target=3).scores
        np.testing.assert_allclose(found, method(samples(2, count=2), target=3).scores, rtol=1e-5)

    def test_hands_a_baseline_on(self):
        x, start = samples(1), samples(1, seed=1)
        smooth = SmoothGrad(WithBaseline(flat_network(1)), samples=2, noise=0, batch_size=3)
        assert_same(smooth(x, 1, baseline=start).attributions, x - start)

    def test_leaves_the_method_as_it_was(self):
        method = IntegratedGradients(flat_network(1), batch_size=3, jit_compile=False)
        smooth = SmoothGrad(SmoothGrad(method), batch_size=5, jit_compile=True)
        assert (method.batch_size, method.jit_compile) == (3, False)
        inner = smooth.method.method
        assert (inner.batch_size, inner.jit_compile, inner.steps) == (5, True, 64)
        assert not method.runner._traces

    @pytest.mark.slow
    def test_of_a_model_with_its_options(self):
        model, x = flat_network(2), samples(2, count=2)
        found = SmoothGrad(model, samples=2, noise=0, layer="first")(x, target=3).attributions
        assert_same(found, Saliency(model, layer="first")(x, target=3).attributions)

    @pytest.mark.slow
    def test_smoothing_twice(self):
        model, x = half_square((500,)), np.random.default_rng(0).normal(size=(2, 500))
        found = SmoothGrad(SmoothGrad(model, samples=1, noise=0, seed=1), samples=1)(x, 0)
        assert_same(found.attributions, SmoothGrad(model, samples=1)(x, 0).attributions)

    def test_no_baseline_without_one_inside(self):
        with pytest.raises(TypeError, match="SmoothGrad has no baseline"):
            SmoothGrad(flat_network(1))(samples(1), baseline=0.0)

    def test_methods_that_leave_the_graph(self):
        with pytest.raises(TypeError, match="LIME cannot be smoothed"):
            SmoothGrad(LIME(flat_network(2)))

    def test_options_of_a_method_that_has_its_own(self):
        with pytest.raises(TypeError, match="GradientTimesInput has its own layer, score"):
            SmoothGrad(GradientTimesInput(flat_network(1)), layer="first", score="output")

    def test_something_else(self):
        with pytest.raises(TypeError, match="Received: str"):
            SmoothGrad("saliency")

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"samples": 0}, "`samples` must be a whole number from 1"),
            ({"samples": 1.5}, "`samples` must be a whole number from 1"),
            ({"noise": -0.1}, "`noise` must be a number from 0"),
            ({"noise": np.nan}, "`noise` must be a number from 0"),
            ({"statistic": "means"}, "Did you mean 'mean'"),
            ({"seed": -1}, "`seed` must be a whole number from 0"),
            ({"seed": "now"}, "`seed` must be a whole number from 0"),
            ({"batch_size": 0}, "`batch_size` must be a whole number from 1"),
        ],
    )
    def test_settings_that_make_no_sense(self, options, message):
        with pytest.raises(ValueError, match=message):
            SmoothGrad(flat_network(1), **options)
