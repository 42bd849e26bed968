"""Gradients along paths: closed forms, the sums that are promised, and the algorithms written out slowly."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from slow_cases import by_default, slow
from toy_networks import (
    AXES,
    LAYERS,
    SHAPES,
    flat_network,
    gap_network,
    nested_network,
    randomized,
    samples,
    spatial,
    subclassed_network,
)

from keras_pli import activations
from keras_pli.attribution import (
    GuidedIntegratedGradients,
    IntegratedGradients,
    InteriorGradients,
    Saliency,
)

METHODS = {
    "integrated": lambda model, **options: IntegratedGradients(model, steps=7, **options),
    "interior": lambda model, **options: InteriorGradients(model, steps=7, **options),
    "guided": lambda model, **options: GuidedIntegratedGradients(model, steps=7, **options),
}


def methods(*kept):
    """A test of each method, of which those kept run by default."""
    return pytest.mark.parametrize("name", by_default(*kept, of=METHODS))


class Formula(LAYERS.Layer):
    """A function from features `(batch, n)` to one score `(batch,)`."""

    def __init__(self, function, **options):
        super().__init__(**options)
        self.function = function

    def call(self, *inputs):
        return keras.ops.expand_dims(self.function(*inputs), axis=-1)


def formula(function, features=2, inputs=1):
    given = [keras.Input((features,)) for _ in range(inputs)]
    return keras.Model(given if inputs > 1 else given[0], Formula(function)(*given))


def squared(z):
    return (2 * z[:, 0] + z[:, 1]) ** 2


def total(attributions):
    return attributions.reshape(len(attributions), -1).sum(axis=1)


def along(x, start, alpha):
    return (start + alpha * (x - start)).astype(np.float32)


def scores(model, x, target):
    found = Saliency(model)(x, target)
    return found.scores


def slow_integrated(model, x, target, start, steps):
    gradient = Saliency(model)
    mean = sum(
        gradient(along(x, start, (step + 0.5) / steps), target).attributions.astype(float)
        for step in range(steps)
    )
    return (x - start) * mean / steps


def slow_guided(gradient, x, start, *, steps, fraction, max_distance):
    """Algorithm 1 of Kapishnikov et al. 2021 for one sample, with its bounds, in the space of the input.

    Returns:
        The integral along the path by the mean of the gradients at both ends of a step, and by those at the
        beginning, which is the paper's sum.
    """
    x, z = x.astype(float), np.broadcast_to(start, x.shape).astype(float)
    way = x - z
    whole = np.abs(way).sum()
    both, first = np.zeros_like(x), np.zeros_like(x)
    here = gradient(z + 0.1 / steps * way)  # the package's choice, away from ties at the baseline
    for step in range(1, steps + 1):
        slopes, old = np.abs(here), z.copy()
        low = x - (1 - max(step / steps - max_distance, 0)) * way
        high = x - (1 - min(step / steps + max_distance, 1)) * way
        behind = np.abs(x - z) > np.abs(x - low) + 1e-12
        z[behind] = low[behind]
        wanted = whole * (1 - step / steps)
        while np.abs(x - z).sum() > wanted + 1e-9 * whole:
            open_ = np.abs(high - z) > 1e-12
            costs = np.where(open_, slopes, np.inf)
            limit = np.quantile(costs, fraction, method="lower")
            chosen = open_ & (costs <= limit)
            reach = np.abs(high - z)[chosen].sum()
            ratio = (np.abs(x - z).sum() - wanted) / reach
            z[chosen] += min(ratio, 1) * (high - z)[chosen]
        there = gradient(z)
        first += here * (z - old)
        both += (here + there) / 2 * (z - old)
        here = there
    np.testing.assert_allclose(z, x, atol=1e-6)
    return both, first


def gradient_at(model, target):
    gradients = Saliency(model).traced(samples(len(model.inputs[0].shape) - 2), target="given")
    return lambda z: gradients(
        tf.constant(z[None], tf.float32), tf.constant([target])
    ).attributions.numpy()[0]


def eagerly(function):
    tf.config.run_functions_eagerly(True)
    try:
        return function()
    finally:
        tf.config.run_functions_eagerly(False)


def assert_same(found, expected, tolerance=1e-5):
    for one, other in zip(tf.nest.flatten(found), tf.nest.flatten(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance * np.abs(other).max())


def comparable(found):
    """An attribution as a structure; the error in completeness is a small difference of large numbers."""
    return found.attributions, found.scores, dict(found.details)


class TestEveryMethod:
    @methods()
    @pytest.mark.parametrize("axes", [pytest.param(1, marks=pytest.mark.slow), 2])
    def test_eager_graph_and_xla_agree(self, name, axes):
        model, x = flat_network(axes), samples(axes, count=3)
        graph = comparable(METHODS[name](model, jit_compile=False)(x))
        assert np.abs(graph[0]).max() > 1e-3
        assert_same(comparable(METHODS[name](model, jit_compile=True)(x)), graph, 1e-4)
        if axes == 2:
            eager = eagerly(lambda: comparable(METHODS[name](model, jit_compile=False)(x)))
            assert_same(eager, graph)

    @methods("guided")
    @pytest.mark.parametrize(("axes", "size"), [pytest.param(1, 1, marks=pytest.mark.slow), (3, 2)])
    def test_batches_of_any_size(self, name, axes, size):
        model, x = flat_network(axes), samples(axes, count=7)
        together = METHODS[name](model, batch_size=1000)(x)
        assert_same(comparable(METHODS[name](model, batch_size=size)(x)), comparable(together))

    @methods()
    def test_further_calls_do_not_trace(self, name):
        method = METHODS[name](flat_network(2), batch_size=4)
        first = method(samples(2, count=6)).attributions
        traces = len(method.runner._traces)
        second = method(samples(2, count=3, seed=1)).attributions
        assert len(method.runner._traces) == traces
        assert np.abs(second - first[:3]).max() > 1e-3

    @methods()
    @pytest.mark.parametrize("network", [gap_network, nested_network, subclassed_network])
    def test_kinds_of_models(self, name, network):
        model, x = network(2), samples(2, count=2)
        weights = model.get_weights()
        found = METHODS[name](model)(x, target=1)
        np.testing.assert_allclose(found.scores, scores(model, x, 1), atol=1e-6)
        if found.delta is not None:
            rise = found.scores - scores(model, 0 * x, 1)
            np.testing.assert_allclose(found.delta, total(found.attributions) - rise, atol=1e-5)
        assert_same(model.get_weights(), weights, 0)

    @methods()
    def test_the_class_is_that_of_the_input(self, name):
        model, x = flat_network(2), samples(2, count=7)
        at_inputs, at_start = (np.argmax(model(z), axis=1) for z in (x, 0 * x))
        assert (at_inputs != at_start).any()
        method = METHODS[name](model)
        assert_same(comparable(method(x)), comparable(method(x, at_inputs)))

    @methods()
    def test_a_callable_makes_the_score(self, name):
        model, x = flat_network(2), samples(2, count=3)
        method = METHODS[name](model, batch_size=2)
        found = method(x, lambda logits: logits[:, 1] - 2 * logits[:, 2])
        if name != "guided":  # whose path depends on the score
            one, other = (method(x, target).attributions for target in (1, 2))
            assert_same(found.attributions, one - 2 * other)
        expected = scores(model, x, 1) - 2 * scores(model, x, 2)
        np.testing.assert_allclose(found.scores, expected, rtol=1e-4)

    @methods()
    def test_units_of_a_layer(self, name):
        model, x = flat_network(2), samples(2, count=2)
        found = METHODS[name](model, layer="first")(x, target=3)
        expected = activations(model, x, layer="first").reshape(2, 9, 8, 4)[..., 3].sum((1, 2))
        np.testing.assert_allclose(found.scores, expected, rtol=1e-4)

    @methods()
    def test_a_baseline_for_each_sample_and_each_call(self, name):
        model, x = flat_network(2), samples(2, count=5)
        starts = samples(2, count=5, seed=1)
        method = METHODS[name](model, batch_size=2)
        found = method(x, 1, baseline=starts)
        for index, start in enumerate(starts):
            alone = method(x[index : index + 1], 1, baseline=start)
            assert_same(found.attributions[index], alone.attributions[0])
        own = METHODS[name](model, baseline=starts[0])(x, 1)
        given = method(x, 1, baseline=starts[:1])
        assert_same(own.attributions, given.attributions)
        if found.delta is not None:
            np.testing.assert_allclose(own.delta, given.delta, atol=1e-5)
            np.testing.assert_allclose(own.delta[0], found.delta[0], atol=1e-5)

    @methods("integrated")
    def test_several_inputs(self, name):
        """Two inputs of two features are one of four."""
        together = formula(lambda z: z[:, 0] ** 2 * z[:, 1] + z[:, 2] * z[:, 3], features=4)
        apart = formula(lambda a, b: a[:, 0] ** 2 * a[:, 1] + b[:, 0] * b[:, 1], inputs=2)
        x = np.random.default_rng(0).uniform(1, 2, (3, 4)).astype(np.float32)
        start = np.float32([0.1, 0.2, 0.3, 0.4])
        one = METHODS[name](together, baseline=start)(x, 0)
        two = METHODS[name](apart, baseline=[start[:2], start[2:]])([x[:, :2], x[:, 2:]], 0)
        assert_same(np.concatenate(two.attributions, axis=1), one.attributions)
        assert_same(dict(two.details), dict(one.details))
        again = METHODS[name](apart)([x[:, :2], x[:, 2:]], 0, baseline=[start[:2], start[2:]])
        assert_same(again.attributions, two.attributions)

    @methods()
    def test_no_more_inputs_at_a_time_than_the_batch_size(self, name):
        class Narrow(LAYERS.Layer):
            def call(self, inputs):
                tf.debugging.assert_less_equal(tf.shape(inputs)[0], 4)
                return keras.ops.tanh(inputs)

        model = keras.Sequential([keras.Input((3,)), Narrow(), LAYERS.Dense(2)])
        x = np.random.default_rng(0).normal(size=(6, 3))
        assert np.isfinite(METHODS[name](model, batch_size=4)(x).attributions).all()
        with pytest.raises(tf.errors.InvalidArgumentError):
            METHODS[name](model, batch_size=5)(x)

    @methods()
    def test_more_steps_make_no_larger_graph(self, name):
        kind = type(METHODS[name](flat_network(1)))
        few, many = (
            kind(flat_network(1), steps=steps).traced(samples(1)).graph.get_operations()
            for steps in (3, 3000)
        )
        assert len(few) == len(many)

    @methods(*METHODS)
    def test_steps_are_a_whole_number(self, name):
        model = flat_network(1)
        kind = type(METHODS[name](model))
        for steps in (0, -3, 2.5, True, "many"):
            with pytest.raises(ValueError, match=r"`steps` must be a whole number from 1"):
                kind(model, steps=steps)

    @methods(*METHODS)
    def test_baselines_that_do_not_fit(self, name):
        model, x = flat_network(2), samples(2)
        with pytest.raises(ValueError, match=r"`baseline` must be .* Received shape \(9, 8\)"):
            METHODS[name](model, baseline=np.zeros((9, 8)))(x)
        with pytest.raises(
            ValueError, match=r"`baseline` must be .* Received shape \(4, 9, 8, 2\)"
        ):
            METHODS[name](model)(x, baseline=np.zeros((4, 9, 8, 2)))
        with pytest.raises(ValueError, match="`baseline` must be finite"):
            METHODS[name](model, baseline=np.nan)(x)


class TestIntegratedGradients:
    @pytest.mark.parametrize("steps", [slow(1), slow(2), 7])
    def test_closed_form_of_a_quadratic(self, steps):
        rng = np.random.default_rng(0)
        slopes, curves = rng.normal(size=5), rng.normal(size=(5, 5))
        curves = (curves + curves.T) / 2
        model = formula(
            lambda z: (
                keras.ops.matmul(z, slopes[:, None].astype("float32"))[:, 0]
                + keras.ops.sum(keras.ops.matmul(z, curves.astype("float32")) * z, axis=-1) / 2
            ),
            features=5,
        )
        x, start = rng.normal(size=(4, 5)), rng.normal(size=5)
        found = IntegratedGradients(model, steps=steps, baseline=start)(x, 0)
        expected = (x - start) * (slopes + (x + start) / 2 @ curves)
        np.testing.assert_allclose(found.attributions, expected, atol=1e-5)
        np.testing.assert_allclose(found.delta, 0, atol=1e-5)

    @pytest.mark.slow
    def test_published_values(self):
        found = IntegratedGradients(formula(squared), score="output")([[3.0, 3.0]], 0)
        np.testing.assert_allclose(found.attributions, [[54, 27]], rtol=1e-6)

    @pytest.mark.parametrize("axes", by_default(2, of=AXES))
    def test_equals_a_loop_over_gradients(self, axes):
        model, x = flat_network(axes), samples(axes)
        start = samples(axes, count=1, seed=1)[0]
        for steps, baseline in ((1, start), (11, 0.7)):
            found = IntegratedGradients(model, steps=steps, baseline=baseline, batch_size=12)(x, 2)
            assert_same(found.attributions, slow_integrated(model, x, 2, baseline, steps))

    @pytest.mark.parametrize("axes", AXES)
    @pytest.mark.slow
    def test_complete_to_two_percent(self, axes):
        model, x = flat_network(axes), samples(axes, count=20)
        found = IntegratedGradients(model)(x, 1)
        rise = found.scores - scores(model, 0 * x, 1)
        np.testing.assert_allclose(found.delta, total(found.attributions) - rise, atol=1e-5)
        assert np.abs(found.delta).mean() < 0.02 * np.abs(rise).mean()

    @pytest.mark.slow
    def test_the_error_falls_as_one_over_the_steps(self):
        model, x = flat_network(2, squash=None), samples(2, count=20)
        counts = 2 ** np.arange(4, 10, 2)
        errors = [
            np.abs(IntegratedGradients(model, steps=int(steps), batch_size=512)(x, 1).delta).mean()
            for steps in counts
        ]
        slope = np.polyfit(np.log(counts), np.log(errors), 1)[0]
        assert -1.4 < slope < -0.8

    @pytest.mark.parametrize("size", [5, slow(1000)])
    def test_several_baselines_are_averaged(self, size):
        model, x = flat_network(2), samples(2, count=4)
        baselines = [0.0, -1.5, samples(2, count=1, seed=1)[0], samples(2, count=1, seed=2)]
        one_by_one = IntegratedGradients(model, steps=6)
        singly = [one_by_one(x, 1, baseline=one) for one in baselines]
        found = IntegratedGradients(model, steps=6, baselines=baselines, batch_size=size)(x, 1)
        mean = np.mean([one.attributions for one in singly], axis=0)
        assert_same(found.attributions, mean)
        np.testing.assert_allclose(
            found.delta, np.mean([one.delta for one in singly], 0), atol=1e-5
        )

    @pytest.mark.slow
    def test_several_baselines_of_several_inputs(self):
        model = formula(lambda a, b: a[:, 0] * b[:, 1] ** 2 + a[:, 1] * b[:, 0], inputs=2)
        x = [np.float32([[1, 2], [3, 4]]), np.float32([[2, 1], [0, 5]])]
        baselines = [[0.5, np.float32([1, 2])], 0.25]
        found = IntegratedGradients(model, baselines=baselines)(x, 0)
        singly = [IntegratedGradients(model, baseline=one)(x, 0).attributions for one in baselines]
        assert_same(
            found.attributions, [np.mean(pair, axis=0) for pair in zip(*singly, strict=True)]
        )
        assert np.abs(found.delta).max() < 1e-2

    @pytest.mark.slow
    def test_a_call_s_baseline_takes_the_place_of_several(self):
        model, x = flat_network(1), samples(1)
        found = IntegratedGradients(model, baselines=[1.0, 2.0])(x, 1, baseline=0.5)
        assert_same(found.attributions, IntegratedGradients(model, baseline=0.5)(x, 1).attributions)

    @pytest.mark.parametrize("baselines", [[], 0.0, "black"])
    def test_baselines_are_a_list(self, baselines):
        with pytest.raises(ValueError, match="`baselines` must be a list of baselines"):
            IntegratedGradients(flat_network(1), baselines=baselines)

    @pytest.mark.parametrize("baseline", [1.0, np.zeros((14, 2))])
    def test_one_baseline_or_several(self, baseline):
        with pytest.raises(ValueError, match="either `baseline` or `baselines`"):
            IntegratedGradients(flat_network(1), baseline=baseline, baselines=[0.0])


class TestInteriorGradients:
    def test_a_saturated_unit(self):
        """1 − relu(1 − z) is flat from 1 on: at z = 2 its gradient is 0, and inside 1 on half of the way."""
        model = formula(lambda z: 1 - keras.ops.relu(1 - z[:, 0]), features=1)
        found = InteriorGradients(model, steps=10)([[2.0], [0.5]], 0)
        np.testing.assert_allclose(found.attributions, [[0.5], [1.0]], rtol=1e-6)
        alphas = np.arange(10) / 10 + 0.05
        np.testing.assert_allclose(found.details["alphas"], [alphas, alphas], rtol=1e-6)
        np.testing.assert_allclose(found.details["gradient_norms"], [[1] * 5 + [0] * 5, [1] * 10])
        expected = np.minimum([2 * alphas, alphas / 2], 1)
        np.testing.assert_allclose(found.details["scores"], expected, rtol=1e-6)

    @pytest.mark.parametrize("axes", AXES)
    @pytest.mark.slow
    def test_times_the_difference_is_integrated_gradients(self, axes):
        model, x = flat_network(axes), samples(axes)
        start = samples(axes, count=1, seed=1)[0]
        found = InteriorGradients(model, steps=9, baseline=start)(x)
        expected = IntegratedGradients(model, steps=9, baseline=start)(x)
        assert_same(found.attributions * (x - start), expected.attributions)
        assert found.delta is None

    @pytest.mark.parametrize("axes", by_default(2, of=AXES))
    def test_details_follow_the_line(self, axes):
        model, x = flat_network(axes), samples(axes)
        watch = ["first", "hidden"]
        method = InteriorGradients(model, steps=6, baseline=0.3, watch=watch, batch_size=13)
        details = method(x, 2).details
        alphas = (np.arange(6) + 0.5) / 6
        points = np.concatenate([along(x, 0.3, alpha) for alpha in alphas])
        there = Saliency(model, batch_size=30)(points, 2)
        norms = np.sqrt(total(there.attributions.astype(float) ** 2))
        expected = {
            "alphas": np.repeat(alphas, 5),
            "scores": there.scores,
            "gradient_norms": norms,
        }
        for name, values in expected.items():
            np.testing.assert_allclose(details[name], values.reshape(6, 5).T, rtol=1e-4)
        assert details["layer_distances"].shape == (5, 2, 6)
        for index, path in enumerate(watch):
            outputs = activations(model, np.concatenate([points, x]), layer=path).reshape(7, 5, -1)
            far = np.linalg.norm(outputs[:6] - outputs[6], axis=2)
            expected = far / np.linalg.norm(outputs[6], axis=1)
            found = details["layer_distances"][:, index]
            np.testing.assert_allclose(found, expected.T, rtol=1e-3, atol=1e-6)

    def test_a_layer_that_does_not_exist(self):
        with pytest.raises(ValueError, match="'frist'"):
            InteriorGradients(flat_network(1), watch=["frist"])


class TestGuidedIntegratedGradients:
    """The functions and values are those that the method's authors test theirs with."""

    @pytest.mark.slow
    def test_a_linear_function(self):
        model = formula(lambda z: 2 * z[:, 0] + z[:, 1])
        found = GuidedIntegratedGradients(model, baseline=[-1.0, -3.0])([[10.0, 5.0]], 0)
        np.testing.assert_allclose(found.attributions, [[22, 8]], rtol=1e-5)

    @pytest.mark.parametrize("max_distance", [0.02, 0.3, 1.0])
    @pytest.mark.slow
    def test_a_sum_of_functions_of_one_feature_has_one_answer(self, max_distance):
        model = formula(lambda z: 2 * z[:, 0] ** 2 + z[:, 1] ** 2)
        method = GuidedIntegratedGradients(model, max_distance=max_distance)
        there, back = method([[3.0, 3.0]], 0), method([[0.0, 0.0]], 0, baseline=[3.0, 3.0])
        np.testing.assert_allclose(there.attributions, [[18, 9]], rtol=1e-5)
        np.testing.assert_allclose(back.attributions, [[-18, -9]], rtol=1e-5)

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            slow({"max_distance": 0.0}, (54, 27)),
            slow({"max_distance": 1.0, "fraction": 1.0}, (54, 27)),
            ({"max_distance": 1.0}, (72, 9)),
        ],
    )
    def test_features_that_work_together(self, options, expected):
        method = GuidedIntegratedGradients(formula(squared), steps=1000, score="output", **options)
        found = method([[3.0, 3.0], [1.0, 1.0]], 0)
        np.testing.assert_allclose(found.attributions[0], expected, rtol=5e-3)
        np.testing.assert_allclose(found.attributions[1], np.divide(expected, 9), rtol=5e-3)
        np.testing.assert_allclose(found.delta, 0, atol=1e-3)

    @pytest.mark.slow
    def test_features_that_work_together_within_bounds(self):
        method = GuidedIntegratedGradients(
            formula(squared), steps=1000, max_distance=0.2, fraction=0.1, score="output"
        )
        ((a, b),) = method([[3.0, 3.0]], 0).attributions
        assert 55 < a < 71 and 10 < b < 26
        assert abs(a + b - 81) < 1e-2

    def test_equal_slopes_move_together(self):
        model = formula(lambda z: z[:, 0] * z[:, 1] * (1 + 5 * z[:, 2]), features=3)
        found = GuidedIntegratedGradients(model, max_distance=1.0, fraction=0.01)(
            [[1.0, 1.0, 1.0]], 0
        )
        np.testing.assert_allclose(found.attributions[0, 0], found.attributions[0, 1], rtol=1e-5)

    @pytest.mark.parametrize(
        ("axes", "options"),
        [
            slow(1, {"steps": 10, "fraction": 0.01, "max_distance": 0.1}),
            (2, {"steps": 9, "fraction": 0.1, "max_distance": 0.3}),
            slow(2, {"steps": 10, "fraction": 0.6, "max_distance": 1.0}),
            slow(3, {"steps": 20, "fraction": 0.25, "max_distance": 0.05}),
        ],
    )
    def test_equals_the_algorithm_step_by_step(self, axes, options):
        model, x = gap_network(axes), samples(axes, count=3)
        start = samples(axes, count=1, seed=1)[0]
        x[:, 1:3] = start[1:3]  # pixels that have no way to go
        found = GuidedIntegratedGradients(model, baseline=start, **options)(x, 1)
        gradient = gradient_at(model, 1)
        for one, attributions in zip(x, found.attributions, strict=True):
            expected, _ = slow_guided(gradient, one, start, **options)
            assert_same(attributions, expected, 1e-3)

    @pytest.mark.slow
    def test_the_mean_of_both_ends_is_nearer_to_completeness(self):
        """The paper's sum takes the gradient for which the pixels were chosen."""
        model, x = gap_network(2), samples(2, count=3)
        options = {"steps": 50, "fraction": 0.25, "max_distance": 0.1}
        found = GuidedIntegratedGradients(model, **options)(x, 1)
        gradient = gradient_at(model, 1)
        first = [slow_guided(gradient, one, 0.0, **options)[1].sum() for one in x]
        rise = found.scores - scores(model, 0 * x, 1)
        assert np.abs(found.delta).mean() < 0.5 * np.abs(first - rise).mean()

    @pytest.mark.parametrize(
        ("axes", "options"),
        [(2, {"max_distance": 1.0, "fraction": 1.0}), (3, {"max_distance": 0.0})],
    )
    @pytest.mark.slow
    def test_on_the_straight_line_it_is_integrated_gradients(self, axes, options):
        model, x = flat_network(axes), samples(axes, count=3)
        found = GuidedIntegratedGradients(model, steps=200, **options)(x, 1).attributions
        expected = IntegratedGradients(model, steps=200)(x, 1).attributions
        assert np.abs(found - expected).max() < 0.02 * np.abs(expected).max()

    @pytest.mark.parametrize("axes", AXES)
    @pytest.mark.slow
    def test_complete_to_ten_percent(self, axes):
        model, x = flat_network(axes), samples(axes, count=6)
        found = GuidedIntegratedGradients(model)(x, 1)
        rise = found.scores - scores(model, 0 * x, 1)
        np.testing.assert_allclose(found.delta, total(found.attributions) - rise, atol=1e-5)
        assert np.abs(found.delta).mean() < 0.1 * np.abs(rise).mean()

    @pytest.mark.parametrize("axes", AXES)
    @pytest.mark.slow
    def test_the_baseline_itself_is_not_looked_at(self, axes):
        """Rows that round otherwise follow the same path, though all of a baseline ties for each maximum."""
        last_bits = np.random.default_rng(0).integers(-1, 2, (4, *SHAPES[axes])) * 2.0**-23

        class Rounded(LAYERS.Layer):
            """Changes a value's last bits, otherwise in each row, as convolutions on some processors do."""

            def call(self, inputs):
                return inputs * tf.constant(1 + last_bits[..., :1], tf.float32)

        convolution, pooling = spatial("Conv", axes), spatial("MaxPooling", axes)
        layers = [convolution(4, 1), Rounded(), pooling(2), LAYERS.Flatten()]
        model = keras.Sequential([keras.Input(SHAPES[axes]), *layers, LAYERS.Dense(3)])
        randomized(model)
        x = np.repeat(samples(axes, count=1) + 4, 4, axis=0)
        found = GuidedIntegratedGradients(model, steps=16)(x, 1).attributions
        assert_same(found, np.repeat(found[:1], 4, axis=0), 1e-3)
        at_baseline = Saliency(model)(0 * x, 1).attributions
        assert np.abs(at_baseline - at_baseline[:1]).max() > 0.1  # what it would have started from

    @pytest.mark.slow
    def test_an_input_that_is_its_baseline(self):
        x = samples(2, count=3)
        x[1] = 0
        found = GuidedIntegratedGradients(flat_network(2))(x)
        np.testing.assert_array_equal(found.attributions[1], 0)
        assert np.isfinite(found.attributions).all()
        # The same row is scored twice, in passes of different sizes.
        assert abs(found.delta[1]) <= 1e-6 * np.abs(found.scores).max()

    @pytest.mark.parametrize("fraction", [0, -0.1, 1.01, np.nan, "half"])
    def test_fraction_outside_its_range(self, fraction):
        with pytest.raises(ValueError, match="`fraction` must"):
            GuidedIntegratedGradients(flat_network(1), fraction=fraction)

    @pytest.mark.parametrize("max_distance", [-0.1, 1.01, np.inf])
    def test_max_distance_outside_its_range(self, max_distance):
        with pytest.raises(ValueError, match="`max_distance` must"):
            GuidedIntegratedGradients(flat_network(1), max_distance=max_distance)
