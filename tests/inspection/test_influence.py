"""Influence of training samples against retraining, explicit Hessians and naive gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import minimize
from scipy.special import log_softmax
from scipy.stats import spearmanr
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression, Ridge

from keras_pli.inspection import influence, label_errors, tracin
from keras_pli.inspection.examples.layer_curvature import LayerCurvature
from keras_pli.inspection.examples.sample_losses import SampleLosses

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(30, 6, 6, 1)).astype("float32")
Y = RANDOM.integers(3, size=30)


def small_cnn(seed=0, activation="tanh"):
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(2, 3, activation=activation, name="conv"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(3, activation="softmax", name="head"),
        ]
    )


@pytest.fixture(scope="module")
def cnn():
    return small_cnn()


def linear_model(weights, activation, penalty):
    layer = keras.layers.Dense(
        len(weights[1]), activation, kernel_regularizer=keras.regularizers.L2(penalty)
    )
    model = keras.Sequential([keras.Input((len(weights[0]),)), layer])
    model.set_weights(weights)
    return model


def losses_of(weights, x, y):
    return -log_softmax(x @ weights[0] + weights[1], axis=1)[np.arange(len(y)), y]


def fitted(x, y, c):
    found = LogisticRegression(C=c, tol=1e-10, max_iter=5000).fit(x, y)
    coefficients, bias = found.coef_, found.intercept_
    if len(bias) == 1:
        coefficients = np.concatenate([-coefficients / 2, coefficients / 2])
        bias = np.concatenate([-bias / 2, bias / 2])
    return coefficients.T, bias


@pytest.mark.parametrize("classes", [pytest.param(2, marks=pytest.mark.slow), 3])
def test_leaving_out_in_logistic_regression(classes):
    digits = load_digits(n_class=classes)
    x, y = digits.data / 16, digits.target
    x, y, x_test, y_test = x[:60], y[:60], x[60:66], y[60:66]
    weights, c = fitted(x, y, 1.0), 1.0
    if classes == 2:  # one sigmoid unit, of twice the halves
        own = [(2 * weights[0][:, 1:]), 2 * weights[1][1:]]
        model = linear_model(own, "sigmoid", 1 / (2 * c * len(x)))
    else:
        model = linear_model(weights, "softmax", 1 / (2 * c * len(x)))
    found = influence(model, (x, y), (x_test, y_test), damping=0.0).values
    true = np.empty_like(found)
    for out in range(len(x)):
        rest = np.arange(len(x)) != out
        # The regulariser's weight against the sum of losses stays.
        refitted = fitted(x[rest], y[rest], c)
        true[:, out] = losses_of(refitted, x_test, y_test) - losses_of(weights, x_test, y_test)
    for estimate, change in zip(found, true, strict=True):
        assert spearmanr(estimate, change).statistic >= 0.95
    # Of first order, and so too small for samples of great leverage.
    assert np.median(np.abs(found - true) / np.abs(true)) < 0.15


def test_leaving_out_in_ridge_regression():
    x = RANDOM.normal(size=(50, 5))
    y = x @ [1.0, -2.0, 0.5, 0.0, 3.0] + RANDOM.normal(size=50)
    x_test, y_test = (
        x[:4] + 0.3,
        y[:4] - 3.0,
    )  # the loss must have a slope to be seen at first order

    def fit(rows):
        found = Ridge(alpha=2.0, fit_intercept=True).fit(x[rows], y[rows])
        return found.coef_[:, None], np.array([found.intercept_])

    every = np.ones(50, bool)
    weights = fit(every)
    model = linear_model(weights, "linear", 2.0 / 50)
    arguments = (x, y), (x_test, y_test)
    found = influence(model, *arguments, damping=0.0, loss="squared_error").values
    for estimate, test, target in zip(found, x_test, y_test, strict=True):
        change = []
        for out in range(50):
            kernel, bias = fit(np.arange(50) != out)
            before = (test @ weights[0] + weights[1] - target) ** 2
            change.append(((test @ kernel + bias - target) ** 2 - before).item())
        assert spearmanr(estimate, change).statistic >= 0.95


@pytest.mark.slow
def test_closed_form_is_what_gradients_and_conjugate_gradients_say(cnn):
    asked = X[:4], Y[:4]
    closed = influence(cnn, (X, Y), asked, damping=0.02).values
    for curvature in ("gauss_newton", "hessian"):  # equal for a layer that makes logits
        found = influence(
            cnn, (X, Y), asked, layers="head", damping=0.02, curvature=curvature, batch_size=7
        ).values
        np.testing.assert_allclose(found, closed, rtol=1e-3, atol=1e-4 * np.abs(closed).max())


def naive_gradients(model, x, y, variables):
    rows = []
    for one, label in zip(x, y, strict=True):
        with tf.GradientTape() as tape:
            p = model(one[None], training=False)
            loss = keras.losses.sparse_categorical_crossentropy(np.array([label]), p)[0]
        parts = tape.gradient(loss, [v.value for v in variables])
        rows.append(np.concatenate([np.ravel(part) for part in parts]))
    return np.array(rows, np.float64)


@pytest.mark.parametrize(
    ("layers", "names"),
    [
        (None, ["head"]),
        pytest.param("head", ["head"], marks=pytest.mark.slow),
        pytest.param(["conv"], ["conv"], marks=pytest.mark.slow),
        ("all", None),
    ],
)
def test_tracin_against_naive_gradients(cnn, layers, names):
    variables = [v for name in names for v in cnn.get_layer(name).weights] if names else cnn.weights
    asked = X[:5] + 0.1, Y[:5]
    found = tracin(cnn, (X, Y), asked, layers=layers, learning_rates=0.5, batch_size=8)
    test, train = (naive_gradients(cnn, *part, variables) for part in (asked, (X, Y)))
    true = 0.5 * test @ train.T
    np.testing.assert_allclose(found.values, true, rtol=1e-3, atol=1e-5 * np.abs(true).max())


@pytest.mark.slow
def test_projected_products_are_right_on_average_and_within_their_error(cnn):
    exact = tracin(cnn, (X, Y), (X[:6], Y[:6]), layers="all").values
    off = np.array(
        [
            tracin(cnn, (X, Y), (X[:6], Y[:6]), layers="all", projection=64, seed=seed).values
            - exact
            for seed in range(20)
        ]
    )
    norms = np.linalg.norm(naive_gradients(cnn, X, Y, cnn.weights), axis=1)
    bound = norms[:6, None] * norms * np.sqrt(2 / 64)
    assert np.sqrt((off**2).mean(axis=0) / bound**2).mean() < 1.0
    assert (np.abs(off.mean(axis=0)) / bound).mean() < 2 / np.sqrt(20)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["hessian", "gauss_newton"])
def test_curvature_against_an_explicit_matrix(kind):
    model = small_cnn(3)
    model.get_layer("conv").kernel.regularizer = keras.regularizers.L2(0.1)
    losses = SampleLosses(model, batch_size=11)
    x, y = losses.samples((X, Y), "train")
    curved = LayerCurvature(losses, losses.chosen("conv"), (x, y), kind)
    kernel, bias = model.get_layer("conv").weights
    shapes = [tuple(kernel.shape), tuple(bias.shape)]
    values = [tf.constant(np.ravel(v), tf.float64) for v in (kernel, bias)]
    others = [np.asarray(v, np.float64) for v in model.get_layer("head").weights]

    def logits(flat):
        k, b = (tf.reshape(p, s) for p, s in zip(tf.split(flat, [18, 2]), shapes, strict=True))
        z = tf.tanh(tf.nn.conv2d(tf.constant(X, tf.float64), k, 1, "VALID") + b)
        z = tf.nn.max_pool2d(z, 2, 2, "VALID")
        return tf.reshape(z, (30, -1)) @ others[0] + others[1]

    flat = tf.concat(values, 0)
    with tf.GradientTape() as outer:
        outer.watch(flat)
        with tf.GradientTape() as inner:
            inner.watch(flat)
            z = logits(flat)
            ce = tf.nn.sparse_softmax_cross_entropy_with_logits(Y, z)
            objective = tf.reduce_mean(ce) + 0.1 * tf.reduce_sum(flat[:18] ** 2)
        slope = inner.gradient(objective, flat)
    matrix = outer.jacobian(slope, flat).numpy()
    if kind == "gauss_newton":
        with tf.GradientTape() as tape:
            tape.watch(flat)
            z = logits(flat)
        jacobian, p = tape.jacobian(z, flat).numpy(), tf.nn.softmax(z).numpy()
        bends = np.einsum("nc,cd->ncd", p, np.eye(3)) - np.einsum("nc,nd->ncd", p, p)
        matrix = np.einsum("ncp,ncd,ndq->pq", jacobian, bends, jacobian) / 30
        matrix[np.arange(18), np.arange(18)] += 0.2
    directions = RANDOM.normal(size=(3, 20))
    for v in directions:
        np.testing.assert_allclose(curved.product(v), matrix @ v, rtol=1e-3, atol=1e-4)


def test_large_last_layers_are_solved_by_conjugate_gradients(cnn, monkeypatch):
    exact = influence(cnn, (X, Y), (X[:3], Y[:3])).values
    for limit in ("_MOST_EXACT", "MOST_FACTORISED"):
        monkeypatch.setattr(f"keras_pli.inspection.examples.last_layer.{limit}", 1)
    found = influence(cnn, (X, Y), (X[:3], Y[:3])).values
    np.testing.assert_allclose(found, exact, rtol=1e-5, atol=1e-8)


@pytest.mark.slow
def test_the_model_is_left_as_it_was_and_files_are_what_they_hold(tmp_path):
    model = small_cnn()
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    store = keras.callbacks.ModelCheckpoint(
        str(tmp_path / "{epoch:03d}.weights.h5"), save_weights_only=True
    )
    kept = []
    keep = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: kept.append(model.get_weights()))
    model.fit(X, Y, epochs=3, verbose=0, callbacks=[store, keep])
    model.get_layer("conv").trainable = False
    held = [*model.variables, *model.optimizer.variables]
    before = [np.asarray(variable).copy() for variable in held]
    files = tracin(model, (X, Y), (X[:2], Y[:2]), checkpoints=tmp_path)
    lists = tracin(model, (X, Y), (X[:2], Y[:2]), checkpoints=kept, learning_rates=0.01)
    np.testing.assert_allclose(files.values, lists.values, rtol=1e-6)
    (tmp_path / "004.weights.h5").write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"004\.weights\.h5' cannot be read as weights"):
        tracin(model, (X, Y), (X[:2], Y[:2]), checkpoints=tmp_path)
    assert [model.get_layer("conv").trainable, model.get_layer("head").trainable] == [False, True]
    for variable, value in zip(held, before, strict=True):
        np.testing.assert_array_equal(np.asarray(variable), value)


def test_an_interrupt_while_weights_are_read_leaves_the_model(tmp_path, cnn, monkeypatch):
    cnn.save_weights(tmp_path / "1.weights.h5")
    model = small_cnn(5)
    before = model.get_weights()

    def interrupted(path):
        model.set_weights(cnn.get_weights())
        raise KeyboardInterrupt

    monkeypatch.setattr(model, "load_weights", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tracin(model, (X, Y), (X, Y), checkpoints=tmp_path)
    assert all(map(np.array_equal, before, model.get_weights()))


class Subclassed(keras.Model):
    """A model without a graph, of two inputs, with a layer that is used twice."""

    def __init__(self):
        super().__init__()
        self.shared = keras.layers.Dense(4, activation="tanh")
        self.head = keras.layers.Dense(1)

    def call(self, inputs):
        a, b = inputs
        return keras.ops.sigmoid(self.head(self.shared(a) - self.shared(b)))


@pytest.mark.slow
def test_a_subclassed_model_of_two_inputs():
    model = Subclassed()
    x = [RANDOM.normal(size=(20, 3)).astype("float32") for _ in range(2)]
    y = RANDOM.integers(2, size=20)
    model(x)
    closed = tracin(model, (x, y), (x, y))
    other = tracin(model, (x, y), (x, y), layers=model.head)
    np.testing.assert_allclose(closed.values, other.values, rtol=1e-4, atol=1e-6)
    p = np.asarray(model(x))
    features = np.asarray(model.shared(x[0]) - model.shared(x[1]))
    true = ((p - y[:, None]) @ (p - y[:, None]).T) * (features @ features.T + 1)
    np.testing.assert_allclose(closed.values, true, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_other_losses_and_a_fixed_batch():
    layers = keras.layers
    model = keras.Sequential([keras.Input(batch_shape=(8, 4)), layers.Dense(2)])
    x, y = RANDOM.normal(size=(11, 4)), RANDOM.normal(size=(11, 2))
    closed = tracin(model, (x, y), (x[:3], y[:3]), loss="squared_error").values
    given = tracin(
        model, (x, y), (x[:3], y[:3]), layers="all", loss=keras.losses.mean_squared_error
    ).values
    z = x @ model.get_weights()[0]
    true = ((z - y)[:3] @ (z - y).T) * (x[:3] @ x.T + 1)
    np.testing.assert_allclose(closed, true, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(given, true, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_mixed_policy():
    policy = keras.mixed_precision.DTypePolicy("mixed_float16")
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((6,)), layers.Dense(5, "relu", dtype=policy), layers.Dense(3, dtype=policy)]
    )
    x = RANDOM.normal(size=(30, 6))
    closed = tracin(model, (x, Y), (x[:3], Y[:3])).values
    other = tracin(model, (x, Y), (x[:3], Y[:3]), layers=model.layers[-1]).values
    np.testing.assert_allclose(closed, other, atol=0.02 * np.abs(other).max())


def noisy_digits(seed):
    digits, random = load_digits(), np.random.default_rng(seed)
    order = random.permutation(len(digits.target))[:1000]
    x, y = (digits.images[order] / 16)[..., None].astype("float32"), digits.target[order]
    wrong = random.choice(len(y), len(y) // 20, replace=False)
    y[wrong] = (y[wrong] + random.integers(1, 10, len(wrong))) % 10
    return x, y, wrong


@pytest.mark.slow
def test_planted_label_errors_are_found():
    x, y, wrong = noisy_digits(0)
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Flatten(),
            layers.Dense(32, "relu"),
            layers.Dense(10, "softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    kept = []
    keep = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, _: kept.append(model.get_weights()) if epoch % 3 == 2 else None
    )
    model.fit(x, y, epochs=15, verbose=0, callbacks=[keep])
    for found in (
        label_errors(model, (x, y), checkpoints=kept, learning_rates=1.0),
        label_errors(model, (x, y)),
    ):
        assert np.isin(found.ranked[: len(wrong)], wrong).mean() >= 0.8
        frame = found.to_frame(3)
        assert list(frame["sample"]) == list(found.ranked[:3])
        assert frame["score"].is_monotonic_decreasing


@pytest.mark.slow
def test_self_influence_is_the_diagonal(cnn):
    whole = influence(cnn, (X, Y), (X, Y)).values
    own = label_errors(cnn, (X, Y)).scores
    np.testing.assert_allclose(own, np.diag(whole), rtol=1e-9)
    whole = tracin(cnn, (X, Y), (X, Y), layers="all").values
    own = label_errors(cnn, (X, Y), layers="all").scores
    np.testing.assert_allclose(own, np.diag(whole), rtol=1e-4)
    harm = label_errors(cnn, (X, Y), (X[:7], Y[:7]), method="tracin").scores
    np.testing.assert_allclose(harm, -tracin(cnn, (X, Y), (X[:7], Y[:7])).values.mean(axis=0))


def test_table_and_figures(cnn, tmp_path):
    found = tracin(cnn, (X, Y), (X[:3], Y[:3]))
    frame = found.to_frame(2)
    first = frame[(frame["test"] == 1) & (frame["kind"] == "helpful")].iloc[0]
    assert first["train"] == found.values[1].argmax() and first["value"] == found.values[1].max()
    assert (frame.loc[frame["kind"] == "harmful", "value"] < 0).all()
    figure = found.plot(X, X[:3], most=2, class_names=["a", "b", "c"])
    assert len(figure.axes) == 3 * (1 + 2 + 2)
    said = cnn.predict(X[:1], verbose=0).argmax()
    names = "abc"
    true = f"true {names[Y[0]]}\npredicted {names[said]}\nloss of {names[Y[0]]}"
    assert figure.axes[0].get_xlabel() == true
    np.testing.assert_allclose(found.load(found.save(tmp_path / "a.npz")).values, found.values)
    suspects = label_errors(cnn, (X, Y))
    assert len(suspects.plot(X, most=4).axes) == 4
    with pytest.raises(ValueError, match=r"samples given to tracin: 30. Received shape \(3, 6"):
        found.plot(X[:3], X[:3])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train": (X, Y + 1)}, "tells 3 classes apart, 0 to 2. Received labels up to 3"),
        ({"train": (X, Y[:5])}, "one entry for each of the 30 samples"),
        ({"train": (X, Y + 0.5)}, "must hold classes from 0 on"),
        ({"layers": "cov"}, "Did you mean 'conv'"),
        ({"layers": "flatten"}, "no layer|layers with weights"),
        ({"loss": "hinge"}, "`loss` must be one of"),
        ({"loss": keras.losses.mean_squared_error}, "Name `layers` for a function"),
        ({"damping": -1.0}, "`damping` must be a number from 0"),
        ({"curvature": "fisher"}, "`curvature` must be one of"),
    ],
)
def test_bad_input(cnn, options, message):
    options = {"train": (X, Y), **options}
    with pytest.raises(ValueError, match=message):
        influence(cnn, options.pop("train"), (X[:2], Y[:2]), **options)


def test_bad_checkpoints(cnn, tmp_path):
    given = (X, Y), (X, Y)
    with pytest.raises(ValueError, match=r"There is no .weights.h5 or .keras file in"):
        tracin(cnn, *given, checkpoints=tmp_path)
    with pytest.raises(ValueError, match=r"There is no checkpoint 'none\.keras'"):
        tracin(cnn, *given, checkpoints=["none.keras"])
    with pytest.raises(ValueError, match=r"4 arrays. Received: 1 of shapes \(2,\)"):
        tracin(cnn, *given, checkpoints=[[np.ones(2)]])
    with pytest.raises(ValueError, match=r"one for each of the 1 checkpoints\. Received: 2"):
        tracin(cnn, *given, learning_rates=[0.1, 0.2])
    with pytest.raises(TypeError, match=r"pair of inputs and labels, \(x, y\). Received: ndarray"):
        tracin(cnn, X, (X, Y))


def test_negative_curvature_is_said():
    model = small_cnn(1)
    x, y = 3 * X, (Y + 1) % 3  # far from a minimum
    with pytest.raises(ValueError, match="direction of curvature"):
        influence(model, (x, y), (x[:3], y[:3]), layers="all", damping=0.0, curvature="hessian")


@pytest.mark.slow
def test_influence_in_a_small_cnn_against_retraining():
    """Leaves out each of the 20 strongest and 20 random samples, and trains on to the end."""
    digits = load_digits(n_class=3)
    x, y = (digits.images / 16)[..., None].astype("float32"), digits.target
    x, y, x_test, y_test = x[:150], y[:150], x[150:400], y[150:400]
    keras.utils.set_random_seed(0)
    layers, penalty = keras.layers, keras.regularizers.L2(2e-3)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(4, 3, 2, activation="tanh", kernel_regularizer=penalty),
            layers.Flatten(),
            layers.Dense(3, activation="softmax", kernel_regularizer=penalty),
        ]
    )
    sizes = [int(np.prod(v.shape)) for v in model.weights]

    @tf.function
    def objective(weight):
        with tf.GradientTape() as tape:
            loss = keras.losses.sparse_categorical_crossentropy(y, model(x))
            total = tf.reduce_sum(loss * weight) / 150 + tf.add_n(model.losses)
        return total, tf.concat(
            [tf.reshape(g, [-1]) for g in tape.gradient(total, model.trainable_variables)], 0
        )

    def put(flat):
        parts = np.split(flat.astype("float32"), np.cumsum(sizes)[:-1])
        model.set_weights([p.reshape(v.shape) for p, v in zip(parts, model.weights, strict=True)])

    def trained(start, kept):
        # The sum of losses less one, with the regularisers' share as it was.
        weight = tf.constant(kept, tf.float32)

        def evaluated(flat):
            put(flat)
            return [np.asarray(part, np.float64) for part in objective(weight)]

        options = {"maxiter": 3000, "ftol": 0.0, "gtol": 1e-6}
        found = minimize(evaluated, start, jac=True, method="L-BFGS-B", options=options).x
        put(found)
        p = model(x_test).numpy()
        return found, -np.log(p[np.arange(len(y_test)), y_test])

    start = np.concatenate([np.ravel(w) for w in model.get_weights()])
    start, before = trained(start, np.ones(150))
    test = int(before.argmax())
    asked = x_test[[test]], y_test[[test]]
    found = influence(
        model, (x, y), asked, layers="all", damping=1e-4, curvature="hessian", steps=2000
    ).values[0]
    chosen = np.argsort(-np.abs(found))[:20]
    chosen = np.union1d(chosen, np.random.default_rng(0).choice(150, 20, replace=False))
    change = [trained(start, np.arange(150) != out)[1][test] - before[test] for out in chosen]
    correlation = spearmanr(found[chosen], change).statistic
    print(f"rank correlation with retraining: {correlation:.3f}")
    assert correlation >= 0.9
