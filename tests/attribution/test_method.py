"""What every method takes and gives: targets, inputs, batches, traces, and a model left as it was."""

import gc
import itertools
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from slow_cases import slow
from toy_networks import (
    LAYERS,
    SHAPES,
    flat_network,
    gap_network,
    nested_network,
    randomized,
    samples,
    subclassed_network,
)

from keras_pli.attribution import Attribution, Method, Saliency
from keras_pli.network.runner import batches


@pytest.fixture(scope="module")
def model():
    return flat_network(2, normalized=True)


@pytest.fixture(scope="module")
def x():
    return samples(2, count=7)


class TestTargets:
    def test_one_class_or_one_for_each_sample(self, model, x):
        saliency = Saliency(model)
        by_class = np.stack([saliency(x, target).attributions for target in range(3)])
        mixed = np.array([2, 0, 1, 1, 0, 2, 1])
        for target in (
            mixed,
            mixed.tolist(),
            mixed[:, None],
            mixed.astype(float),
            tf.constant(mixed),
        ):
            found = saliency(x, target).attributions
            np.testing.assert_allclose(found, by_class[mixed, np.arange(7)], atol=1e-6)
        np.testing.assert_array_equal(saliency(x, np.int64(2)).attributions, by_class[2])

    def test_none_is_the_predicted_class(self, model, x):
        predicted = model.predict(x, verbose=0).argmax(axis=1)
        assert len(np.unique(predicted)) > 1
        expected, found = Saliency(model)(x, predicted), Saliency(model)(x)
        np.testing.assert_allclose(found.attributions, expected.attributions, atol=1e-6)
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-6)

    def test_a_callable_makes_the_score_from_the_logits(self, model, x):
        saliency = Saliency(model)
        first, second = (saliency(x, target) for target in (0, 1))
        margin = saliency(x, lambda logits: logits[:, 0] - 2 * logits[:, 1])
        np.testing.assert_allclose(margin.scores, first.scores - 2 * second.scores, atol=1e-5)
        expected = first.attributions - 2 * second.attributions
        np.testing.assert_allclose(margin.attributions, expected, atol=1e-5)

    def test_a_callable_must_score_each_sample(self, model, x):
        with pytest.raises(
            ValueError, match=r"one score for each sample.*\(None, 3\).*\(None, 3\)"
        ):
            Saliency(model)(x, lambda logits: 2 * logits)

    @pytest.mark.parametrize(
        "target, message",
        [
            (3, r"classes that do not exist: 3. 'flat2' has 3 classes here, 0 to 2"),
            (-1, "do not exist: -1"),
            ([0, 1, 2, 5, 0, 7, 1], "do not exist: 5, 7"),
            ([0, 1], r"one entry for each of the 7 samples. Received shape \(2,\)"),
            (np.eye(7, 3), "One-hot"),
            (1.5, r"Received: 1.5"),
            (True, "must be classes, a callable on the logits, or None. Received: True"),
            ("cat", "Received: 'cat'"),
            (np.nan, "Received: nan"),
        ],
    )
    def test_wrong_ones_are_rejected(self, model, x, target, message):
        with pytest.raises(ValueError, match=message):
            Saliency(model)(x, target)


class TestInputs:
    def test_any_real_numbers_in_any_form(self, model, x):
        saliency = Saliency(model)
        whole = np.round(40 * x + 128).clip(0, 255)
        expected = saliency(whole.astype(np.float32), 1).attributions
        forms = [whole.astype(np.uint8), whole.astype(np.float64), whole.tolist(), list(whole)]
        for given in [*forms, tf.constant(whole), np.asfortranarray(whole)]:
            found = saliency(given, 1).attributions
            assert found.dtype == np.float32
            np.testing.assert_array_equal(found, expected)

    def test_one_array_in_a_list_comes_back_in_a_list(self, model, x):
        (found,) = Saliency(model)([x], 1).attributions
        np.testing.assert_array_equal(found, Saliency(model)(x, 1).attributions)

    def test_are_not_written_to(self, model, x):
        given = x.copy()
        given.flags.writeable = False
        Saliency(model)(given)
        np.testing.assert_array_equal(given, x)

    def test_integer_and_double_precision_inputs_of_the_model(self):
        for dtype in ("float64", "float16"):
            layers = [keras.Input((4,), dtype=dtype), LAYERS.Dense(3, dtype=dtype)]
            model = randomized(keras.Sequential(layers))
            found = Saliency(model)(np.ones((2, 4)), 1).attributions
            assert found.dtype == np.float32
            np.testing.assert_allclose(found[0], model.layers[0].get_weights()[0][:, 1], rtol=1e-6)

    @pytest.mark.parametrize(
        "wrong, error, message",
        [
            (np.full((2, 9, 8, 2), np.nan), ValueError, "must be finite, but 2 of 2 rows"),
            (np.full((2, 9, 8, 2), -np.inf), ValueError, "must be finite"),
            (np.zeros((0, 9, 8, 2)), ValueError, "holds no sample"),
            (np.zeros((9, 8, 2)), ValueError, r"'flat2' takes inputs of shape \(None, 9, 8, 2\)"),
            (np.zeros((2, 9, 8, 3)), ValueError, r"Received shape \(2, 9, 8, 3\)"),
            (
                np.zeros((2, 9, 8, 2), "complex64"),
                TypeError,
                "real numbers. Received dtype complex",
            ),
            (np.array([["a"]]), TypeError, "must hold real numbers"),
            (None, TypeError, "must hold real numbers"),
            (5.0, ValueError, "at least 2 axes"),
        ],
    )
    def test_wrong_ones_are_rejected(self, model, wrong, error, message):
        with pytest.raises(error, match=message):
            Saliency(model)(wrong)

    def test_a_baseline_is_rejected_where_there_is_none(self, model, x):
        with pytest.raises(TypeError, match="Saliency has no baseline"):
            Saliency(model)(x, baseline=0.0)


class WithBaseline(Method):
    """The difference from a baseline, which is checked for every method that has one."""

    takes_baseline = True

    def compute(self, x, target, baseline=None):
        _, scores = self.network.gradients(x, target)
        baseline = tf.nest.map_structure(tf.zeros_like, x) if baseline is None else baseline
        return Attribution(tf.nest.map_structure(tf.subtract, x, baseline), scores, scores)


class TestBaselines:
    def test_are_numbers_samples_or_batches(self, model, x):
        method = WithBaseline(model, batch_size=3)
        np.testing.assert_array_equal(method(x).attributions, x)
        for baseline in (0.5, x[1], x[:1], x[::-1]):
            found = method(x, baseline=baseline)
            np.testing.assert_allclose(found.attributions, x - baseline, atol=1e-6)

    @pytest.mark.parametrize(
        "baseline, message",
        [
            (np.zeros((9, 8)), r"shape \(9, 8, 2\) or \(7, 9, 8, 2\). Received shape \(9, 8\)"),
            (np.zeros((2, 9, 8, 2)), r"Received shape \(2, 9, 8, 2\)"),
            (np.nan, "must be finite"),
            (np.full((9, 8, 2), np.inf), "must be finite"),
        ],
    )
    def test_of_another_shape_or_not_finite_are_rejected(self, model, x, baseline, message):
        with pytest.raises(ValueError, match=message):
            WithBaseline(model)(x, baseline=baseline)


class TestTheModelIsChecked:
    def test_one_that_is_not_built_is_rejected(self):
        model = keras.Sequential([LAYERS.Dense(3)], name="fresh")
        with pytest.raises(ValueError, match="'fresh' is not built"):
            Saliency(model)

    def test_only_keras_models_are_taken(self):
        with pytest.raises(TypeError, match=r"must be a Keras model. Received: function"):
            Saliency(lambda x: x)

    @pytest.mark.parametrize("size", [0, -3, 2.0, True, None])
    def test_batch_size(self, model, size):
        with pytest.raises(ValueError, match="`batch_size` must be a whole number from 1"):
            Saliency(model, batch_size=size)

    def test_other_options(self, model):
        with pytest.raises(ValueError, match="`jit_compile` must be True, False or 'auto'"):
            Saliency(model, jit_compile="yes")
        with pytest.raises(
            ValueError, match="`score` must be one of 'logits', 'probabilities', 'output'"
        ):
            Saliency(model, score="probability")

    def test_a_named_input_of_another_shape_is_rejected(self):
        parts = {"left": keras.Input((4,), name="left"), "right": keras.Input((2,), name="right")}
        model = keras.Model(parts, LAYERS.Dense(3)(LAYERS.Concatenate()([*parts.values()])))
        good = {"left": np.ones((5, 4)), "right": np.ones((5, 2))}
        assert Saliency(model)(good).attributions["right"].shape == (5, 2)
        for wrong in ({**good, "right": np.ones((5, 3))}, {"left": good["left"]}):
            with pytest.raises((ValueError, KeyError), match=r"right|inputs"):
                Saliency(model)(wrong)


class TestBatches:
    @pytest.mark.parametrize(
        "network", [slow(flat_network), slow(subclassed_network), nested_network]
    )
    def test_of_any_size_change_no_sample(self, network, x):
        model = network(2)
        together = Saliency(model)(x)
        for batch_size, jit_compile in ((1, False), (3, False), (3, True)):
            found = Saliency(model, batch_size=batch_size, jit_compile=jit_compile)(x)
            np.testing.assert_allclose(found.attributions, together.attributions, atol=1e-6)
            np.testing.assert_allclose(found.scores, together.scores, atol=1e-5)

    def test_targets_and_baselines_go_with_their_samples(self, model, x):
        target = np.array([2, 0, 1, 1, 0, 2, 1])
        method = WithBaseline(model, batch_size=3, jit_compile=True)
        found = method(x, target, baseline=x[::-1])
        np.testing.assert_allclose(found.attributions, x - x[::-1], atol=1e-6)
        np.testing.assert_allclose(found.scores, WithBaseline(model)(x, target).scores, atol=1e-5)
        np.testing.assert_array_equal(found.delta, found.scores)

    @pytest.mark.parametrize("fill", [False, True])
    def test_a_short_last_one_is_filled_up_for_xla(self, fill):
        plan = list(batches(7, 3, fill=fill))
        assert [len(rows) for rows, _ in plan] == [3, 3, 3 if fill else 1]
        assert [count for _, count in plan] == [3, 3, 1]
        taken = np.concatenate([rows[:count] for rows, count in plan])
        np.testing.assert_array_equal(taken, np.arange(7))

    def test_progress_is_shown_when_asked(self, model, x, capsys):
        Saliency(model, batch_size=3)(x)
        assert capsys.readouterr().out == ""
        Saliency(model, batch_size=3)(x, verbose=1)
        assert "3/3" in capsys.readouterr().out


class Counted(LAYERS.Layer):
    """Counts how often it is traced."""

    def __init__(self):
        super().__init__()
        self.traced = []

    def call(self, inputs):
        self.traced.append(inputs.shape)
        return inputs


class TestTraces:
    @pytest.mark.parametrize("eagerly", [False, True])
    def test_a_second_call_makes_none(self, x, eagerly):
        counted = Counted()
        head = [LAYERS.Flatten(), counted, LAYERS.Dense(3)]
        saliency = Saliency(keras.Sequential([keras.Input(SHAPES[2]), *head]), batch_size=3)
        margin = lambda logits: logits[:, 0] - logits[:, 1]  # noqa: E731
        tf.config.run_functions_eagerly(eagerly)
        try:
            for target in (None, 1, margin):
                saliency(x, target)
            before = len(counted.traced), len(saliency.runner._traces)
            for count, target in itertools.product((7, 4, 1), (None, 2, margin)):
                saliency(samples(2, count=count, seed=count), target)
        finally:
            tf.config.run_functions_eagerly(False)
        assert (len(counted.traced), len(saliency.runner._traces)) == before

    @pytest.mark.slow
    def test_new_callables_do_not_fill_the_memory(self, monkeypatch):
        monkeypatch.setattr("keras_pli.network.runner._KEPT_TRACES", 4)
        model = randomized(keras.Sequential([keras.Input((4,)), LAYERS.Dense(3)]))
        saliency, x = Saliency(model), np.ones((2, 4), np.float32)
        expected = saliency(x, 0).scores
        graphs = weakref.WeakSet()
        for shift in range(10):
            found = saliency(x, lambda logits, shift=shift: logits[:, 0] + shift)
            np.testing.assert_allclose(found.scores, expected + shift, rtol=1e-5)
            graphs.update(traced.graph for traced in saliency.runner._traces._kept.values())
        gc.collect()
        assert len(saliency.runner._traces) == len(graphs) == 4

    def test_weights_are_those_at_the_time(self, x):
        model = gap_network(2)
        saliency = Saliency(model)
        before = saliency(x, 1).attributions
        head = model.get_layer("head")
        head.kernel.assign(2 * head.kernel)
        np.testing.assert_allclose(saliency(x, 1).attributions, 2 * before, rtol=1e-5)


class TestTheModelIsLeftAsItWas:
    def network(self):
        """Dropout, noise and augmentation with their random states, normalisation with its averages."""
        inputs = keras.Input(SHAPES[2])
        h = LAYERS.RandomFlip(seed=1)(inputs)
        h = LAYERS.GaussianNoise(0.5, seed=2)(LAYERS.Conv2D(4, 3, name="conv")(h))
        h = LAYERS.ReLU()(LAYERS.BatchNormalization(name="norm")(h))
        h = LAYERS.Dropout(0.5, seed=3)(LAYERS.GlobalAveragePooling2D()(h))
        model = randomized(keras.Model(inputs, LAYERS.Dense(3, "softmax", name="head")(h)))
        model.get_layer("conv").trainable = False
        return model

    def state(self, model):
        layers = model._flatten_layers()
        variables = [variable.numpy() for variable in model.variables]
        attributes = [set(vars(layer)) for layer in layers]
        flags = [layer.trainable for layer in layers]
        return variables, attributes, flags

    @pytest.mark.parametrize("options", [slow({}), {"layer": "conv"}, slow({"score": "output"})])
    def test_after_a_call(self, options, x):
        model = self.network()
        assert any("seed" in variable.path for variable in model.variables)
        variables, attributes, flags = self.state(model)
        Saliency(model, **options)(x)
        after, attributes_after, flags_after = self.state(model)
        assert attributes_after == attributes and flags_after == flags
        for value, before in zip(after, variables, strict=True):
            np.testing.assert_array_equal(value, before)

    def test_after_a_call_that_failed(self, x):
        model = self.network()
        before = self.state(model)

        def fail(logits):
            raise RuntimeError("no score")

        with pytest.raises(RuntimeError, match="no score"):
            Saliency(model, layer="conv")(x, fail)
        assert self.state(model)[1:] == before[1:]

    def test_it_runs_in_inference_mode(self, x):
        """Twice the same, and by the moving averages: the closed form of the network without noise."""
        model = self.network()
        first, second = (Saliency(model)(x, 1) for _ in range(2))
        np.testing.assert_array_equal(first.attributions, second.attributions)
        logits = np.log(model.predict(x, verbose=0))
        contrast = logits[:, 1] - logits[:, 0]
        found = first.scores - Saliency(model)(x, 0).scores
        np.testing.assert_allclose(found, contrast, atol=1e-5)

    @pytest.mark.slow
    def test_it_still_saves_and_trains(self, x, tmp_path):
        model = self.network()
        saliency = Saliency(model, layer="conv")
        saliency(x)
        model.save(tmp_path / "model.keras")
        again = keras.saving.load_model(tmp_path / "model.keras")
        np.testing.assert_allclose(
            again.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-6
        )
        model.compile("sgd", "sparse_categorical_crossentropy")
        model.fit(x, np.zeros(7), verbose=0)
