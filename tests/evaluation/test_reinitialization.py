import keras
import numpy as np
import pytest

from keras_pli.evaluation.reinitialization import randomize, restored_weights, weighted_layers

L = keras.layers


def nested_model():
    """A nested model below two dense layers, one of them shared."""
    backbone = keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            L.Conv2D(4, 3, name="conv"),
            L.BatchNormalization(name="norm"),
            L.ReLU(),
            L.DepthwiseConv2D(3, name="depthwise"),
        ],
        name="backbone",
    )
    inputs = keras.Input((8, 8, 2))
    pooled = L.GlobalAveragePooling2D()(backbone(inputs))
    shared = L.Dense(4, name="shared")
    hidden = L.Dense(4, name="hidden")(shared(pooled))
    return trained(keras.Model(inputs, L.Dense(2, name="head")(shared(hidden))))


def trained(model, seed=0):
    """Moves all weights away from what any initialiser gives."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        if "float" in variable.dtype:
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    return model


def values(model):
    return {variable.path: variable.numpy().copy() for variable in model.weights}


def changed(before, after):
    return {path for path in before if not np.array_equal(before[path], after[path])}


def test_layers_come_from_the_top_down_through_nested_models():
    found = weighted_layers(nested_model())
    assert list(found) == [
        "head", "hidden", "shared", "backbone/depthwise", "backbone/norm", "backbone/conv",
    ]  # fmt: skip
    assert [weight.variable.name for weight in found["backbone/norm"]] == [
        "gamma", "beta", "moving_mean", "moving_variance",
    ]  # fmt: skip


def test_a_nested_model_may_stand_for_its_layers():
    found = weighted_layers(nested_model(), ["backbone", "head"])
    assert [(path, len(weights)) for path, weights in found.items()] == [
        ("backbone", 8),
        ("head", 2),
    ]


def test_every_weight_belongs_to_one_layer():
    model = nested_model()
    found = [id(w.variable) for weights in weighted_layers(model).values() for w in weights]
    assert sorted(found) == sorted(id(variable) for variable in model.weights)


@keras.saving.register_keras_serializable("tests")
class Subclassed(keras.Model):
    """A weight of its own, a list of layers, and a custom layer without initialisers to find."""

    def __init__(self):
        super().__init__(name="subclassed")
        self.blocks = [L.Dense(5, name="first"), L.Dense(5, name="second")]
        self.custom = Custom(name="custom")
        self.gain = self.add_weight(shape=(5,), initializer="ones", name="gain")

    def call(self, x):
        for block in self.blocks:
            x = block(x)
        return self.custom(x * self.gain)


class Custom(keras.layers.Layer):
    def build(self, shape):
        self.mixing = self.add_weight(shape=(shape[-1], 3), initializer="orthogonal", name="mixing")

    def call(self, x):
        return x @ self.mixing


def test_a_subclassed_model_is_met_and_unknown_weights_are_permuted():
    model = Subclassed()
    model(np.zeros((1, 4)))
    trained(model)
    found = weighted_layers(model)
    assert list(found) == ["subclassed", "custom", "second", "first"]
    before = model.custom.mixing.numpy().copy()
    randomize(found["custom"], 3)
    after = model.custom.mixing.numpy().copy()
    assert not np.array_equal(before, after)
    np.testing.assert_array_equal(np.sort(before.ravel()), np.sort(after.ravel()))


def test_weights_are_drawn_from_the_layers_own_initialisers():
    model = keras.Sequential(
        [
            keras.Input((300,)),
            L.Dense(200, kernel_initializer=keras.initializers.RandomUniform(3.0, 5.0), name="a"),
            L.BatchNormalization(name="norm"),
            L.Dense(4, kernel_initializer="zeros", bias_initializer="ones", name="b"),
        ]
    )
    trained(model)
    kept = model.get_layer("b").kernel.numpy().copy()
    for weights in weighted_layers(model).values():
        randomize(weights, 0)
    kernel, bias = model.get_layer("a").get_weights()
    assert 3 <= kernel.min() < 3.01 and 4.99 < kernel.max() <= 5
    assert kernel.mean() == pytest.approx(4, abs=0.02)
    np.testing.assert_array_equal(bias, 0)
    norm = model.get_layer("norm").get_weights()
    np.testing.assert_array_equal(norm, np.stack([np.ones(200), np.zeros(200)] * 2)[[0, 1, 1, 0]])
    # A kernel of zeros would let nothing through, and no map could be compared.
    kernel, bias = model.get_layer("b").get_weights()
    np.testing.assert_array_equal(np.sort(kernel.ravel()), np.sort(kept.ravel()))
    assert not np.array_equal(kernel, kept)
    np.testing.assert_array_equal(bias, 1)


def test_the_names_that_convolutions_give_their_initialisers_are_known():
    inputs = keras.Input((6, 6, 3))
    x = L.DepthwiseConv2D(3, depthwise_initializer="he_normal", name="depthwise")(inputs)
    outputs = L.SeparableConv2D(2, 3, pointwise_initializer="lecun_normal", name="separable")(x)
    weights = weighted_layers(keras.Model(inputs, outputs))
    found = {
        (path, weight.variable.name): type(weight._initializer()).__name__
        for path, held in weights.items()
        for weight in held
    }
    assert found == {
        ("depthwise", "kernel"): "HeNormal",
        ("depthwise", "bias"): "Zeros",
        ("separable", "depthwise_kernel"): "GlorotUniform",
        ("separable", "pointwise_kernel"): "LecunNormal",
        ("separable", "bias"): "Zeros",
    }


def test_random_values_are_not_those_that_training_started_from():
    model = keras.Sequential(
        [keras.Input((30,)), L.Dense(20, kernel_initializer=keras.initializers.GlorotUniform(7))]
    )
    start = model.layers[0].kernel.numpy().copy()
    randomize(weighted_layers(model)[model.layers[0].name], 0)
    assert (
        abs(np.corrcoef(start.ravel(), model.layers[0].kernel.numpy().copy().ravel())[0, 1]) < 0.15
    )


def test_the_seed_decides_and_layers_of_one_shape_differ():
    model = keras.Sequential([keras.Input((6,)), L.Dense(6, name="a"), L.Dense(6, name="b")])

    def drawn(seed, paths):
        trained(model)
        for path in paths:
            randomize(weighted_layers(model)[path], seed)
        return [model.get_layer(name).kernel.numpy().copy() for name in ("a", "b")]

    a, b = drawn(1, ["a", "b"])
    assert not np.array_equal(a, b)
    np.testing.assert_array_equal(drawn(1, ["b", "a"]), [a, b])  # whichever order they come in
    np.testing.assert_array_equal(drawn(1, ["a"])[0], a)
    assert not np.array_equal(drawn(2, ["a"])[0], a)


def test_keras_own_random_state_is_left_alone():
    model = nested_model()
    keras.utils.set_random_seed(3)
    expected = np.array(keras.random.normal((3,)))
    keras.utils.set_random_seed(3)
    for weights in weighted_layers(model).values():
        randomize(weights, 0)
    np.testing.assert_array_equal(np.array(keras.random.normal((3,))), expected)


def test_sublayers_that_no_path_leads_to_have_their_initialisers_found():
    inputs = keras.Input((5, 4))
    x = L.Normalization(name="scaling")(inputs)
    x = L.LSTM(4, return_sequences=True, name="lstm")(x)
    x = L.Bidirectional(L.GRU(3, return_sequences=True), name="both")(x)
    x = L.MultiHeadAttention(2, 3, name="attention")(x, x)
    x = L.TimeDistributed(L.Dense(3, name="dense"), name="each")(x)
    model = trained(
        keras.Model(inputs, L.SpectralNormalization(L.Dense(2, name="inner"), name="norm")(x))
    )
    found = weighted_layers(model)
    wanted = ["norm/inner", "each/dense", "attention", "both", "lstm"]
    assert [path for path in found if path != "norm"] == wanted
    before = values(model)
    for path in wanted:
        assert all(weight._initializer() is not None for weight in found[path])
        randomize(found[path], 0)
    # What a `Normalization` layer knows of the inputs is no result of training.
    still = set(before) - changed(before, values(model))
    assert still == {path for path in before if path.startswith("scaling") or "vector_u" in path}


@pytest.mark.parametrize("error", [None, RuntimeError, KeyboardInterrupt])
def test_weights_come_back_bit_for_bit(error):
    model = nested_model()
    before = values(model)
    try:
        with restored_weights(model) as put_back:
            for weights in weighted_layers(model).values():
                randomize(weights, 0)
            assert changed(before, values(model)) == set(before)
            put_back()
            assert not changed(before, values(model))
            randomize(weighted_layers(model)["head"], 1)
            if error:
                raise error
    except (RuntimeError, KeyboardInterrupt):
        assert error
    assert not changed(before, values(model))


def test_weights_come_back_also_when_interrupted_on_their_way(monkeypatch):
    model = nested_model()
    before = values(model)
    head = type(model.get_layer("head").kernel)
    assign, left = head.assign, iter([False, False, True])

    def interrupted(self, value):
        if next(left, False):
            raise KeyboardInterrupt
        return assign(self, value)

    with pytest.raises(KeyboardInterrupt), restored_weights(model):
        randomize(weighted_layers(model)["head"], 1)
        randomize(weighted_layers(model)["backbone/conv"], 1)
        monkeypatch.setattr(head, "assign", interrupted)
    assert not changed(before, values(model))


def test_weights_of_half_precision_come_back_too():
    model = keras.Sequential([keras.Input((3,)), L.Dense(2, dtype="bfloat16")])
    before = values(model)
    with restored_weights(model):
        randomize(weighted_layers(model)[model.layers[0].name], 0)
        assert len(changed(before, values(model))) == 1
    assert not changed(before, values(model))


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (["hed"], "no layer 'hed'.*'head'"),
        (["head", "re_lu"], "Without: 're_lu'"),
        ([], "must name layers with weights"),
    ],
)
def test_layers_that_cannot_be_randomised_are_named(layers, message):
    model = nested_model()
    relu = next(layer for layer in model.get_layer("backbone").layers if isinstance(layer, L.ReLU))
    names = [relu.name if name == "re_lu" else name for name in layers]
    with pytest.raises(ValueError, match=message.replace("'re_lu'", f"'{relu.name}'")):
        weighted_layers(model, names)


def test_a_model_without_weights_has_nothing_to_randomise():
    model = keras.Sequential([keras.Input((3,)), L.ReLU()], name="bare")
    with pytest.raises(ValueError, match="'bare' has no weights"):
        weighted_layers(model)
