import keras
import numpy as np
import pytest

from keras_pli.inspection.landscape.data_loss import DataLoss
from keras_pli.inspection.landscape.directions import filter_normalized_directions
from keras_pli.inspection.landscape.slices import LossLine, LossSurface
from keras_pli.inspection.landscape.surface import (
    linear_interpolation,
    loss_line,
    loss_surface,
)

layers = keras.layers
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(37, 6)).astype("float32"), RNG.integers(0, 3, 37)
IMAGES = RNG.normal(size=(21, 8, 8, 2)).astype("float32")
SPARSE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def dense(*parts, seed=0, **compiled):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [keras.Input((6,)), *(parts or (layers.Dense(5, "relu"), layers.Dense(3)))]
    )
    model.compile("sgd", **(compiled or {"loss": SPARSE, "metrics": ["accuracy"]}))
    return model


def evaluated(model, x, y, weights, **options):
    """Loss, and metrics where there are some, of a model whose weights are assigned for it."""
    before = model.get_weights()
    for variable, weight in zip(model.trainable_variables, weights, strict=True):
        variable.assign(weight)
    found = model.evaluate(x, y, verbose=0, **options)
    model.set_weights(before)
    return np.ravel(found)


def moved(model, directions, steps):
    weights = [v.numpy() for v in model.trainable_variables]
    return [
        w + sum(step * d for step, d in zip(steps, parts, strict=True))
        for w, *parts in zip(weights, *directions, strict=True)
    ]


def test_surface_of_a_quadratic_is_that_quadratic():
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((6,)), layers.Dense(2)])
    y = RNG.normal(size=(37, 2))
    directions = filter_normalized_directions(model, 2, include_biases=True, seed=1)
    directions[0][1] += 0.3  # the biases start at zero
    alphas, betas = np.linspace(-2, 2, 5), np.linspace(0, 3, 4)
    found = loss_surface(model, X, y, directions, alphas=alphas, betas=betas, loss="mse")

    def residual(kernel, bias):
        return X.astype(np.float64) @ kernel + bias

    at, d, e = (
        residual(*model.get_weights()) - y,
        residual(*directions[0]),
        residual(*directions[1]),
    )
    for i, a in enumerate(alphas):
        for j, b in enumerate(betas):
            wanted = (
                np.mean(at**2)
                + a**2 * np.mean(d**2)
                + b**2 * np.mean(e**2)
                + 2 * (a * np.mean(at * d) + b * np.mean(at * e) + a * b * np.mean(d * e))
            )
            np.testing.assert_allclose(found.losses[i, j], wanted, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", [False, True])
def test_surface_is_what_evaluate_says_of_assigned_weights(jit_compile):
    model = dense()
    directions = filter_normalized_directions(model, seed=2)
    found = loss_surface(
        model,
        X,
        Y,
        directions,
        alphas=[-1, 0.5],
        betas=[0, 2],
        metrics=["accuracy"],
        batch_size=8,
        jit_compile=jit_compile,
    )
    for i, a in enumerate(found.alphas):
        for j, b in enumerate(found.betas):
            wanted = evaluated(model, X, Y, moved(model, directions, (a, b)))
            np.testing.assert_allclose(found.losses[i, j], wanted[0], rtol=1e-5)
            np.testing.assert_allclose(found.metrics[0, i, j], wanted[1], rtol=1e-6)


def slow(*cases):
    return [pytest.param(case, marks=pytest.mark.slow) for case in cases]


@pytest.mark.parametrize("batch_size", [7, *slow(1, 36, 37, 1000)])
def test_batch_sizes_do_not_matter(batch_size):
    model, weights = dense(), RNG.uniform(0, 2, 37)
    loss = DataLoss(
        model, X, Y, sample_weight=weights, weighted_metrics=["accuracy"], batch_size=batch_size
    )
    value, metrics = loss(loss.weights())
    whole = model.evaluate(X, Y, sample_weight=weights, batch_size=37, verbose=0)
    correct = model.predict(X, verbose=0).argmax(1) == Y
    np.testing.assert_allclose(value, whole[0], rtol=1e-5)
    np.testing.assert_allclose(metrics, [np.average(correct, weights=weights)], rtol=1e-5)


def convolutional():
    x = keras.Input((8, 8, 2))
    inner = keras.Sequential(
        [keras.Input((8, 8, 2)), layers.Conv2D(3, 3), layers.BatchNormalization()]
    )
    hidden = layers.Dropout(0.5)(layers.Activation("relu")(inner(x)))
    outputs = layers.Dense(1)(layers.GlobalAveragePooling2D()(hidden))
    model = keras.Model(x, outputs)
    statistics = model.layers[1].layers[1]
    statistics.moving_mean.assign([0.5, -1.0, 2.0])
    statistics.moving_variance.assign([2.0, 0.5, 3.0])
    model.compile("sgd", "mse")
    return model, IMAGES, IMAGES.mean((1, 2, 3))


def mixed_precision():
    policy = keras.DTypePolicy("mixed_float16")
    parts = layers.Dense(5, "relu", dtype=policy), layers.Dense(3, dtype=policy)
    return dense(*parts, loss=SPARSE), X, Y


def several_inputs():
    one, other = keras.Input((6,), name="one"), keras.Input((2,), name="other")
    hidden = layers.Concatenate()([layers.Dense(4, "tanh")(one), other])
    first, second = layers.Dense(3, name="first")(hidden), layers.Dense(1, name="second")(hidden)
    model = keras.Model([one, other], [first, second])
    model.compile("sgd", [SPARSE, "mse"], loss_weights=[1.0, 0.25])
    return model, [X, X[:, :2]], [Y, X[:, :1]]


def named_outputs():
    x = keras.Input((6,))
    named = {"b": layers.Dense(3, name="b")(x), "a": layers.Dense(1, name="a")(x)}
    model = keras.Model(x, named)
    model.compile("sgd", {"a": "mae", "b": SPARSE}, loss_weights={"a": 3.0, "b": 0.5})
    return model, X, {"a": X[:, :1], "b": Y}


def fixed_batches():
    x = keras.Input(batch_shape=(4, 6))
    model = keras.Model(x, layers.Dense(1)(x))
    model.compile("sgd", "mse")
    return model, X[:36], X[:36, :1]


def regularized():
    parts = layers.Dense(5, "tanh", kernel_regularizer="l2"), layers.Dense(3, bias_regularizer="l1")
    model = dense(*parts, loss=SPARSE)
    model.layers[1].bias.assign([1.0, -2.0, 0.5])
    return model, X, Y


def one_hot():
    model = dense(layers.Dense(3, "softmax"), loss="categorical_crossentropy")
    return model, X, np.eye(3)[Y]


def a_class_of_its_own():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.hidden, self.head = layers.Dense(4, "relu"), layers.Dense(1, "sigmoid")

        def call(self, x):
            return self.head(self.hidden(x))

    model = Own()
    model(X[:1])
    model.compile("sgd", "binary_crossentropy")
    return model, X, Y > 0


def masked():
    ids = RNG.integers(0, 5, (12, 6))
    parts = (
        layers.Embedding(5, 3, mask_zero=True),
        layers.LSTM(4, return_sequences=True),
        layers.Dense(1),
    )
    model = keras.Sequential([keras.Input((6,), dtype="int32"), *parts])
    model.compile("sgd", "mse")
    return model, ids, RNG.normal(size=(12, 6, 1))


KINDS = [
    several_inputs,
    *slow(
        regularized,
        convolutional,
        mixed_precision,
        named_outputs,
        fixed_batches,
        one_hot,
        a_class_of_its_own,
        masked,
    ),
]


@pytest.mark.parametrize("kind", KINDS)
def test_any_kind_of_model(kind):
    model, x, y = kind()
    before = [weight.copy() for weight in model.get_weights()]
    directions = filter_normalized_directions(model, 1, seed=3)
    rows = (
        4 if kind is fixed_batches else 64
    )  # of masked positions, Keras takes the mean batch by batch
    found = loss_line(
        model, x, y, *directions, alphas=[-0.5, 0, 1], regularization=True, batch_size=8
    )
    for a, value in zip(found.alphas, found.losses, strict=True):
        wanted = evaluated(model, x, y, moved(model, directions, [a]), batch_size=rows)[0]
        np.testing.assert_allclose(value, wanted, rtol=2e-2 if kind is mixed_precision else 1e-5)
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_penalties_are_left_out_by_default():
    model, x, y = regularized()
    plain = loss_line(model, x, y, alphas=[0.0]).losses[0]
    wanted = SPARSE(y, model(x)).numpy()
    np.testing.assert_allclose(plain, wanted, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "metric", ["mae", keras.metrics.AUC(), keras.metrics.F1Score("micro", threshold=0.5)]
)
def test_metrics_are_those_of_keras(metric):
    model = dense(layers.Dense(1, "sigmoid"), loss="mse", metrics=[metric])
    y = (Y[:, None] > 0).astype("float32")
    wanted = model.evaluate(X, y, verbose=0)[1]
    found = loss_line(model, X, y, alphas=[0.0], metrics=[metric], batch_size=10)
    np.testing.assert_allclose(found.metrics[0, 0], wanted, rtol=1e-5)


def rescaled(model, factor):
    """The same function: a rectified layer times a factor, and the next divided by it."""
    other = keras.models.clone_model(model)
    first, bias, second, last = model.get_weights()
    other.set_weights([first * factor, bias * factor, second / factor, last])
    return other


@pytest.mark.slow
def test_filter_normalisation_does_away_with_the_scale_of_layers():
    model = dense()
    pictures = [
        loss_surface(one, X, Y, alphas=np.linspace(-1, 1, 3), loss=SPARSE, seed=4).losses
        for one in (model, rescaled(model, 10.0))
    ]
    np.testing.assert_allclose(pictures[0], pictures[1], rtol=1e-4)
    # Without it, the same directions are another picture.
    drawn = [RNG.normal(size=v.shape) for v in model.trainable_variables]
    lines = [
        loss_line(one, X, Y, drawn, alphas=[1.0], loss=SPARSE).losses[0]
        for one in (model, rescaled(model, 10.0))
    ]
    assert abs(lines[0] - lines[1]) > 0.1 * abs(lines[0])


def test_line_between_two_solutions():
    one, other = dense(seed=0), dense(seed=1)
    found = linear_interpolation(
        one, other, X, Y, alphas=np.linspace(0, 1, 5), metrics=["accuracy"]
    )
    middle = [(a + b) / 2 for a, b in zip(one.get_weights(), other.get_weights(), strict=True)]
    for place, weights in ((0, one.get_weights()), (2, middle), (4, other.get_weights())):
        wanted = evaluated(one, X, Y, weights)
        np.testing.assert_allclose(
            [found.losses[place], found.metrics[0, place]], wanted, rtol=1e-5
        )
    straight = np.linspace(found.losses[0], found.losses[-1], 5)
    assert found.barrier == pytest.approx(max(found.losses - straight))
    again = linear_interpolation(one, other.get_weights(), X, Y, alphas=np.linspace(0, 1, 5))
    np.testing.assert_array_equal(found.losses, again.losses)


@pytest.mark.slow
def test_line_between_solutions_takes_moving_statistics_along():
    one, x, y = convolutional()
    other = keras.models.clone_model(one)
    weights = [weight + 0.1 for weight in one.get_weights()]
    weights = [w.astype(old.dtype) for w, old in zip(weights, one.get_weights(), strict=True)]
    other.set_weights(weights)
    other.compile("sgd", "mse")
    found = linear_interpolation(one, other, x, y, alphas=[0, 1])
    wanted = [model.evaluate(x, y, verbose=0) for model in (one, other)]
    np.testing.assert_allclose(found.losses, wanted, rtol=1e-5)


def test_other_architectures_are_quoted():
    with pytest.raises(
        ValueError, match=r"Weight 2 \(.*kernel\) has shape \(5, 3\). Received: \(5, 2\)"
    ):
        linear_interpolation(dense(), dense(layers.Dense(5), layers.Dense(2), loss="mse"), X, Y)


@pytest.mark.slow
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_interrupted_grid_goes_on_and_the_model_is_as_before(error, tmp_path, monkeypatch):
    model = dense()
    model.fit(X, Y, epochs=1, verbose=0)
    state = [*model.get_weights(), *[v.numpy() for v in model.optimizer.variables]]
    options = {"alphas": np.linspace(-1, 1, 5), "loss": SPARSE, "metrics": ["accuracy"]}
    wanted = loss_surface(model, X, Y, **options)
    real, calls = DataLoss.at, []

    def interrupted(self, vectors):
        measured = real(self, vectors)

        def at_a_point(coefficients):
            calls.append(coefficients)
            if len(calls) == 12:
                raise error
            return measured(coefficients)

        return at_a_point

    monkeypatch.setattr(DataLoss, "at", interrupted)
    with pytest.raises(error):
        loss_surface(model, X, Y, **options, store=tmp_path / "grid")
    after = [*model.get_weights(), *[v.numpy() for v in model.optimizer.variables]]
    for now, then in zip(after, state, strict=True):
        np.testing.assert_array_equal(now, then)
    calls.clear()
    calls.extend([None] * 100)  # no more interruptions
    found = loss_surface(model, X, Y, **options, store=tmp_path / "grid")
    assert len(calls) == 100 + 25 - 8
    np.testing.assert_array_equal(found.losses, wanted.losses)
    np.testing.assert_array_equal(found.metrics, wanted.metrics)


@pytest.mark.slow
def test_stored_results_belong_to_what_they_were_made_from(tmp_path):
    model, options = dense(), {"alphas": [0.0, 1.0], "store": tmp_path}
    loss_line(model, X, Y, **options)
    for changed, what in (
        ({"y": Y[::-1]}, "data"),
        ({"seed": 1}, "vectors"),
        ({"alphas": [0.0, 2.0]}, "points"),
        ({"loss": keras.losses.SparseCategoricalCrossentropy()}, "measured"),
    ):
        with pytest.raises(ValueError, match=f"made otherwise: {{'{what}"):
            loss_line(model, X, **{"y": Y, **options, **changed})
    model.layers[0].bias.assign_add(np.ones(5))
    with pytest.raises(ValueError, match=r"made otherwise: {'weights"):
        loss_line(model, X, Y, **options)


def test_results_are_stored_and_shown(tmp_path):
    model = dense()
    line = loss_line(model, X, Y, alphas=[0.0, 1.0], metrics=["accuracy"])
    surface = loss_surface(model, X, Y, alphas=[0.0, 1.0])
    for kind, result in ((LossLine, line), (LossSurface, surface)):
        loaded = kind.load(result.save(tmp_path / "result.npz"))
        np.testing.assert_array_equal(loaded.losses, result.losses)
        assert list(loaded.about["metrics"]) == result.about["metrics"]
    assert repr(surface).startswith("LossSurface(alphas=float64 (2,)")


def test_a_progress_bar(capsys):
    loss_line(dense(), X, Y, alphas=np.linspace(0, 1, 9), verbose=1)
    assert "9/9" in capsys.readouterr().out


def test_weights_read_past_keras_are_named():
    class Reads(layers.Layer):
        def build(self, shape):
            self.scale = self.add_weight(shape=(), initializer="ones", name="scale")

        def call(self, x):
            return x * self.scale._value

    with pytest.raises(
        ValueError, match=r"reads the weights '.*scale' otherwise than through Keras"
    ):
        loss_line(dense(Reads(), layers.Dense(3), loss="mse"), X, np.eye(3)[Y], alphas=[0.0])


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        (
            {"y": Y[:5]},
            r"`y` must have one entry for each of the 37 samples. Received shape \(5,\)",
        ),
        ({"alphas": [0.0, np.nan]}, r"`alphas` must be finite numbers.*Received: \[0.0, nan\]"),
        (
            {"direction": [np.zeros((6, 4))]},
            r"Weight 0 \(.*kernel\) has shape \(6, 5\). Received: \(6, 4\)",
        ),
        (
            {"sample_weight": [1.0]},
            r"`sample_weight` must have a finite entry .*Received shape \(1,\)",
        ),
        ({"loss": lambda y, p: keras.ops.mean(p)}, "must give one value for each sample"),
        (
            {"metrics": [keras.metrics.F1Score()], "y": np.eye(3)[Y], "loss": "mse"},
            "must give one number. 'f1_score' gives shape",
        ),
        ({"batch_size": 0}, "`batch_size` must be a whole number from 1"),
        ({"loss": [SPARSE, SPARSE]}, "one entry for each of 1 outputs. Received: 2"),
    ],
)
def test_bad_input_is_quoted(changed, error):
    with pytest.raises(ValueError, match=error):
        loss_line(dense(), X, **{"y": Y, "alphas": [0.0], **changed})


def test_a_model_without_a_loss_is_asked_for_one():
    model = keras.Sequential([keras.Input((6,)), layers.Dense(3)])
    with pytest.raises(ValueError, match=r"is not compiled with a loss. Pass one"):
        loss_line(model, X, Y)
    with pytest.raises(ValueError, match=r"`directions` must be two. Received: 1"):
        loss_surface(model, X, Y, [[]], loss=SPARSE)


@pytest.mark.slow
def test_whatever_is_computed_can_be_drawn():
    model = dense()
    line = loss_line(model, X, Y, alphas=[0], metrics=["accuracy"])
    assert line.barrier == 0.0
    (drawn,) = line.plot().axes[0].lines
    assert drawn.get_marker() == "o" and drawn.get_ydata().tolist() == line.losses.tolist()
    backwards = loss_line(model, X, Y, alphas=[1, 0, -1], metrics=["accuracy"]).plot()
    ahead = loss_line(model, X, Y, alphas=[-1, 0, 1], metrics=["accuracy"]).plot()
    for one, other in zip(backwards.axes, ahead.axes, strict=True):
        np.testing.assert_array_equal(one.lines[0].get_xydata(), other.lines[0].get_xydata())
    grid = {"alphas": [2, 0, 1], "betas": [0, -1]}
    surface = loss_surface(model, X, Y, **grid)
    for a, b in ((1, -1), (2, 0)):
        given = grid["alphas"].index(a), grid["betas"].index(b)
        sorted_grid = {name: sorted(steps) for name, steps in grid.items()}
        place = sorted_grid["alphas"].index(a), sorted_grid["betas"].index(b)
        other = loss_surface(model, X, Y, **sorted_grid)
        assert surface.losses[given] == pytest.approx(other.losses[place])
    np.testing.assert_allclose(
        surface.plot().axes[0].collections[0].levels, other.plot().axes[0].collections[0].levels
    )
    for lone in ({"alphas": [0]}, {"alphas": [0, 1], "betas": [0.5]}):
        with pytest.raises(ValueError, match=r"must be two different steps or more.*`loss_line`"):
            loss_surface(model, X, Y, **lone)


@pytest.mark.slow
def test_figures_say_what_they_are_of():
    one, other = dense(seed=0), dense(seed=1)
    grid = loss_surface(one, X, Y, alphas=np.linspace(-1, 1, 5)).plot()
    loss = one.evaluate(X, Y, verbose=0)[0]
    title = f"loss {loss:.3g} at the cross\n37 samples, 5 × 5 points"
    assert grid.axes[0].get_title(loc="left") == title
    found = linear_interpolation(one, other, X, Y, alphas=np.linspace(0, 1, 9))
    ax = found.plot(ends=("one", "other")).axes[0]
    ticks = [tick.get_text() for tick in ax.get_xticklabels()]
    assert (ticks[0], ticks[-1]) == ("0\none", "1\nother")
    assert ax.get_title(loc="left") == f"barrier {found.barrier:.3g}, 37 samples"
    line = loss_line(one, X, Y, alphas=[-1, 0, 1]).plot().axes[0]
    assert line.get_title(loc="left") == f"loss {loss:.3g} at 0, 37 samples"
