from zlib import crc32

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from scipy.ndimage import generic_gradient_magnitude, sobel
from scipy.stats import spearmanr, t
from sklearn.datasets import load_digits
from slow_cases import slow

from keras_pli.attribution import GradientTimesInput, Saliency
from keras_pli.attribution.backprop import GuidedBackprop
from keras_pli.attribution.cam import GradCAM
from keras_pli.evaluation import model_randomization_test
from keras_pli.evaluation.randomization_result import similarity_table, verdict
from keras_pli.evaluation.reinitialization import randomize, restored_weights, weighted_layers
from keras_pli.plotting import randomization_curves

L = keras.layers


def edges(model):
    """Maps that see no model."""

    def explain(x, target):
        return np.stack([generic_gradient_magnitude(image[..., 0], sobel) for image in x])

    return explain


def hashed(model):
    """Maps that any change of any weight makes independent of what they were."""

    def explain(x, target):
        state = np.concatenate([variable.numpy().ravel() for variable in model.weights])
        return np.random.default_rng(crc32(state.tobytes())).normal(size=x.shape)

    return explain


def convolutional(shape, seed, *, widths=(16, 32, 32), hidden=64, classes=10):
    """Three convolutions, a hidden layer and a head, as in the networks that Adebayo et al. looked at."""
    keras.utils.set_random_seed(seed)
    layers = [keras.Input(shape)]
    for number, width in enumerate(widths):
        layers.append(L.Conv2D(width, 3, padding="same", activation="relu", name=f"conv{number}"))
        layers += [L.MaxPooling2D()] if number == 0 or (number == 1 and min(shape[:2]) > 8) else []
    layers += [
        L.Flatten(),
        L.Dense(hidden, "relu", name="hidden"),
        L.Dense(classes, "softmax", name="head"),
    ]
    model = keras.Sequential(layers)
    model.compile(
        "adam", "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=False
    )
    return model


def trained_on_digits(seed):
    digits = load_digits()
    x = (digits.images / 16).astype(np.float32)[..., None]
    model = convolutional((8, 8, 1), seed)
    model.fit(x[:1200], digits.target[:1200], epochs=8, batch_size=50, verbose=0)
    assert model.evaluate(x[1200:], digits.target[1200:], verbose=0)[1] > 0.85
    return model, x[1200:1224]


@pytest.fixture(scope="module")
def digits():
    return trained_on_digits(0)


@pytest.fixture(scope="module")
def small():
    """An untrained network, with biases, for what needs no training."""
    model = convolutional((6, 6, 1), 0, widths=(3, 4), hidden=5, classes=3)
    rng = np.random.default_rng(0)
    for variable in model.weights:
        variable.assign(rng.normal(size=variable.shape) * 0.4)
    return model, rng.normal(size=(6, 6, 6, 1)).astype(np.float32)


def figures(result, **where):
    rows = result.table
    for column, value in where.items():
        rows = rows[rows[column] == value]
    return rows


ADEBAYO = {
    "saliency": Saliency,
    "grad_cam": GradCAM,
    "guided_backprop": GuidedBackprop,
    "gradient_times_input": GradientTimesInput,
    "edges": edges,
}
FOUND = {
    "saliency": "sensitive",
    "grad_cam": "sensitive",
    "guided_backprop": "insensitive",
    "gradient_times_input": "sensitive in sign only",
    "edges": "insensitive",
}


@pytest.mark.parametrize("mode", ["cascading", "independent"])
@pytest.mark.slow
def test_guided_backprop_fails_and_gradients_and_grad_cam_pass_on_digits(digits, mode):
    model, x = digits
    result = model_randomization_test(ADEBAYO, model, x, mode=mode, seeds=6)
    assert {name: found.conclusion for name, found in result.verdicts.items()} == FOUND, str(result)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("data", ["digits", "Fashion-MNIST"])
def test_what_adebayo_et_al_found_holds_for_several_networks(data, seed):
    if data == "digits":
        model, x = trained_on_digits(seed)
    else:
        (x, y), (x_test, y_test) = keras.datasets.fashion_mnist.load_data()
        x, x_test = (images[..., None].astype(np.float32) / 255 for images in (x, x_test))
        model = convolutional((28, 28, 1), seed)
        model.fit(x[:20000], y[:20000], epochs=3, batch_size=64, verbose=0)
        assert model.evaluate(x_test, y_test, verbose=0)[1] > 0.84
        x = x_test[:48]
    for mode in ("cascading", "independent"):
        result = model_randomization_test(ADEBAYO, model, x, mode=mode, seeds=8)
        found = {name: verdict.conclusion for name, verdict in result.verdicts.items()}
        assert found == FOUND, f"{mode}: {result}"
        # The map of guided backpropagation hardly notices that the head is gone (their figure 2).
        rows = figures(
            result, method="guided_backprop", layer="head", measure="spearman", absolute=False
        )
        assert rows["mean"].item() > 0.75


def test_maps_that_see_no_model_fail_and_maps_of_its_hash_pass(small):
    model, x = small
    result = model_randomization_test({"edges": edges, "hashed": hashed}, model, x, seeds=3)
    assert result.verdicts["edges"].conclusion == "insensitive"
    assert result.verdicts["hashed"].conclusion == "sensitive"
    same = figures(result, method="edges")
    np.testing.assert_allclose(same[["mean", "low", "high", "reference"]], 1)
    for measure, chance in {"spearman": 0, "top_k": 0.1}.items():
        other = figures(result, method="hashed", measure=measure)
        np.testing.assert_allclose(other[["mean", "reference"]], chance, atol=0.15)


@pytest.mark.parametrize("mode", ["cascading", slow("independent")])
def test_the_table_equals_a_loop_over_layers_seeds_and_samples(small, mode):
    model, x = small
    target = [0, 1, 2, 0, 1, 2]
    result = model_randomization_test(Saliency, model, x, target, mode=mode, seeds=[4, 7])
    layers = ["head", "hidden", "conv1", "conv0"]

    def maps():
        return Saliency(model)(x, target).attributions[..., 0].reshape(6, -1)

    trained = maps()
    for step in range(1, 5):
        expected = []
        for seed in (4, 7):
            with restored_weights(model):
                for layer in layers[:step] if mode == "cascading" else layers[step - 1 : step]:
                    randomize(weighted_layers(model)[layer], seed)
                pairs = list(zip(trained, maps(), strict=True))
            expected.append(np.mean([spearmanr(a, b).statistic for a, b in pairs]))
        row = figures(result, step=step, measure="spearman", absolute=False).iloc[0]
        assert (row["method"], row["mode"], row["layer"]) == ("saliency", mode, layers[step - 1])
        spread = np.std(expected, ddof=1) / np.sqrt(2)
        low, high = t.interval(0.95, 1, loc=np.mean(expected), scale=spread)
        wanted = [np.mean(expected), max(low, -1), min(high, 1)]
        np.testing.assert_allclose(row[["mean", "low", "high"]].astype(float), wanted, atol=1e-6)
    assert len(result.table) == 4 * 3 * 2


def test_the_reference_compares_networks_that_are_all_random(small):
    model, x = small
    result = model_randomization_test(Saliency, model, x, 1, layers=["head"], seeds=[4, 9])
    drawn = []
    for seed in (4, 9, 10):
        with restored_weights(model):
            for weights in weighted_layers(model).values():
                randomize(weights, seed)
            drawn.append(Saliency(model)(x, 1).attributions.reshape(6, -1))
    expected = [
        spearmanr(a, b).statistic
        for i in (0, 1)
        for a, b in zip(drawn[i], drawn[i + 1], strict=True)
    ]
    row = figures(result, measure="spearman", absolute=False).iloc[0]
    assert row["reference"] == pytest.approx(np.mean(expected), abs=1e-6)


def test_both_modes_begin_alike(small):
    model, x = small
    tables = [
        model_randomization_test(Saliency, model, x, mode=mode, seeds=2).table
        for mode in ("cascading", "independent")
    ]
    first, other = (table[table["step"] == 1].drop(columns="mode") for table in tables)
    pd.testing.assert_frame_equal(first, other)
    assert not np.allclose(tables[0]["mean"], tables[1]["mean"])


@pytest.mark.slow
def test_the_same_seeds_give_the_same_table(small):
    model, x = small
    first, again, other = (
        model_randomization_test(Saliency, model, x, seeds=seeds).table
        for seeds in (2, [0, 1], [5, 6])
    )
    pd.testing.assert_frame_equal(first, again)
    assert not np.allclose(first["mean"], other["mean"])


def test_layers_may_be_named_through_nested_models_in_any_order():
    backbone = keras.Sequential(
        [keras.Input((6,)), L.Dense(5, "relu", name="a"), L.Dense(4, name="b")], name="body"
    )
    inputs = keras.Input((6,))
    model = keras.Model(inputs, L.Dense(3, name="head")(backbone(inputs)))
    x = np.random.default_rng(0).normal(size=(4, 6))

    def layers(**options):
        table = model_randomization_test(Saliency, model, x, seeds=1, **options).table
        return list(table.drop_duplicates("step")["layer"])

    assert layers() == ["head", "body/b", "body/a"]
    assert layers(layers=["body", "head"]) == ["body", "head"]
    with pytest.raises(ValueError, match="no layer 'tail'"):
        layers(layers=["tail"])


def test_the_predicted_classes_of_the_trained_model_are_explained_throughout(small):
    model, x = small
    asked = []

    def spying(model):
        saliency = Saliency(model)

        def explain(x, target):
            asked.append(np.array(target))
            return saliency(x, target)

        return explain

    model_randomization_test(spying, model, x, seeds=1)
    predicted = model(x).numpy().argmax(axis=1)
    assert len(asked) == 1 + 4 + 2
    np.testing.assert_array_equal(asked, [predicted] * len(asked))


@pytest.mark.parametrize("error", [None, RuntimeError, KeyboardInterrupt])
def test_the_model_has_its_weights_back_whatever_happens(small, error):
    model, x = small
    before = [variable.numpy().copy() for variable in model.variables]
    calls = []

    def failing(model):
        def explain(x, target):
            calls.append(0)
            if error and len(calls) == 5:
                assert any(
                    not np.array_equal(kept, variable.numpy())
                    for kept, variable in zip(before, model.variables, strict=True)
                )
                raise error
            return x

        return explain

    if error is None:
        model_randomization_test(failing, model, x, seeds=2)
    else:
        with pytest.raises(error):
            model_randomization_test(failing, model, x, seeds=2)
    for kept, variable in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(kept, variable.numpy())


@pytest.mark.slow
def test_subclassed_models_are_tested_too():
    class Classifier(keras.Model):
        def __init__(self):
            super().__init__()
            self.hidden, self.head = L.Dense(16, "relu", name="hidden"), L.Dense(3, name="head")

        def call(self, x):
            return self.head(self.hidden(x))

    model = Classifier()
    x = np.random.default_rng(0).normal(size=(8, 12)).astype(np.float32)
    model(x)
    result = model_randomization_test(
        {"saliency": Saliency, "same": lambda m: lambda x, t: x}, model, x
    )
    assert list(result.table.drop_duplicates("step")["layer"]) == ["head", "hidden"]
    assert [v.conclusion for v in result.verdicts.values()] == ["sensitive", "insensitive"]
    assert "With the top layer of 2 random" in str(result)


@pytest.mark.parametrize("shape", [(20, 2), (6, 6, 2), (4, 5, 6, 1)])
@pytest.mark.slow
def test_signals_images_and_volumes(shape):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input(shape),
            getattr(L, f"Conv{len(shape) - 1}D")(4, 3, activation="relu"),
            L.Flatten(),
            L.Dense(3),
        ]
    )
    x = np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32)
    result = model_randomization_test({"saliency": Saliency, "cam": GradCAM}, model, x, seeds=1)
    assert not result.table[["mean", "reference"]].isna().any(axis=None)
    assert result.table[["low", "high"]].isna().all(axis=None)  # one seed has no interval
    assert "(one seed)" in str(result)


@pytest.mark.slow
def test_the_table_can_be_drawn(small):
    model, x = small
    result = model_randomization_test({"saliency": Saliency, "edges": edges}, model, x, seeds=2)
    told = ", ".join(f"{name} {v.conclusion}" for name, v in result.verdicts.items())
    assert repr(result) == f"RandomizationResult of 2 methods: {told}"
    # The threshold of the verdict, which is one of rank correlations.
    lines = {ax.get_title(loc="left"): len(ax.lines) for ax in result.plot().axes}
    assert lines["Spearman, signed"] == lines["SSIM, signed"] + 1


@pytest.mark.slow
def test_a_notebook_gets_the_figure_and_a_row_for_each_method(small):
    model, x = small
    result = model_randomization_test({"saliency": Saliency, "edges": edges}, model, x, seeds=2)
    figure = randomization_curves(result.table, threshold=result.threshold)
    assert len(figure.axes) == 6
    page = result._repr_html_()
    assert page.count("data:image/png") == 1 and page.count("<tr") == 3


def made_rows(signed, absolute, spread=0.02):
    """Rows of a method whose correlations over seeds lie around two values."""
    rows = [
        {
            "method": "made", "mode": "cascading", "layer": "head", "step": 1, "seed": seed,
            "measure": measure, "absolute": kind, "value": value + offset,
        }
        for kind, value in ((False, signed), (True, absolute))
        for measure in ("spearman", "ssim")
        for seed, offset in enumerate((-spread, 0.0, spread))
    ]  # fmt: skip
    for row in rows:
        if row["measure"] == "ssim":
            row["value"] = 1 - row["value"]  # which decides nothing
    return similarity_table(rows, rows)


@pytest.mark.parametrize(
    ("signed", "absolute", "spread", "conclusion"),
    [
        (0.9, 0.9, 0.02, "insensitive"),
        (0.9, 0.1, 0.02, "insensitive"),
        (0.1, 0.1, 0.02, "sensitive"),
        (-0.9, 0.1, 0.02, "sensitive"),
        (0.1, 0.9, 0.02, "sensitive in sign only"),
        (0.55, 0.1, 0.2, "undecided"),
        (0.45, 0.1, 0.2, "undecided"),
        (0.1, 0.5, 0.2, "undecided"),
        (np.nan, np.nan, 0.0, "undecided"),
    ],
)
def test_verdicts_follow_the_whole_interval(signed, absolute, spread, conclusion):
    found = verdict(made_rows(signed, absolute, spread), 0.5, change="With all", pair="Two")
    assert found.conclusion == conclusion
    assert str(found).startswith(f"{conclusion}. ")
    if not np.isnan(signed):
        assert f"{signed:.2f}" in found.reason and f"{absolute:.2f}" in found.reason


def test_a_verdict_on_one_seed_rests_on_its_mean():
    rows = made_rows(0.6, 0.6)
    rows[["low", "high"]] = np.nan
    assert verdict(rows, 0.5, change="With all", pair="Two").conclusion == "insensitive"
    assert verdict(rows, 0.7, change="With all", pair="Two").conclusion == "sensitive"


def test_intervals_end_where_similarities_do():
    table = made_rows(0.9, 0.9, spread=0.1)
    assert table["high"].max() == 1 and table["low"].min() >= -1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "both"}, "`mode` must be one of"),
        ({"seeds": 0}, "`seeds` must name at least one"),
        ({"seeds": [1, 1]}, "each once"),
        ({"seeds": [-1]}, "none negative"),
        ({"threshold": 0.0}, r"`threshold` must lie in \(0, 1\]"),
        ({"share": 2}, r"`share` must lie in \(0, 1\]"),
        ({"target": 7}, "classes that do not exist: 7"),
        ({"methods": {}}, "at least one method"),
        ({"methods": {"a": lambda m: lambda x, target: x[:, :2]}}, "maps of 'a'.*shaped like"),
        ({"methods": {"a": lambda m: lambda x, target: x * np.nan}}, "maps of 'a'.*finite"),
    ],
)
def test_bad_input_is_met_at_the_door(small, options, message):
    model, x = small
    methods = options.pop("methods", Saliency)
    target = options.pop("target", None)
    with pytest.raises(ValueError, match=message):
        model_randomization_test(methods, model, x, target, **options)


def test_bad_methods_are_met_at_the_door(small):
    model, x = small
    with pytest.raises(TypeError, match="must make methods from a model"):
        model_randomization_test(Saliency(model), model, x)
    with pytest.raises(TypeError, match="'a' makes a Attribution"):
        model_randomization_test({"a": lambda model: Saliency(model)(x)}, model, x)
    with pytest.raises(ValueError, match="explains another model"):
        other = keras.models.clone_model(model)
        model_randomization_test(lambda model: Saliency(other), model, x)


@pytest.mark.slow
def test_functions_told_to_run_eagerly_give_the_same_table(small):
    model, x = small
    compiled = model_randomization_test(Saliency, model, x, seeds=1).table
    tf.config.run_functions_eagerly(True)
    try:
        eager = model_randomization_test(Saliency, model, x, seeds=1).table
    finally:
        tf.config.run_functions_eagerly(False)
    np.testing.assert_allclose(eager["mean"], compiled["mean"], atol=0.02)
