"""Influence where labels, losses, layers or weights are of another kind: what it says, or refuses."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import softmax

from keras_pli.inspection import influence, label_errors, tracin
from keras_pli.inspection.examples.last_layer import LastLayerReader
from keras_pli.inspection.examples.sample_losses import SampleLosses

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(60, 5)).astype("float32")
Y = (X[:, :3] + RANDOM.normal(size=(60, 3))).argmax(axis=1)


def dense(units, activation=None, seed=0):
    keras.utils.set_random_seed(seed)
    return keras.Sequential([keras.Input((5,)), keras.layers.Dense(units, activation, name="last")])


@pytest.mark.parametrize("layers", [None, "last"])
@pytest.mark.parametrize(
    "call",
    [
        lambda model, **options: influence(model, (X, Y), (X, Y), **options),
        lambda model, **options: tracin(model, (X, Y), (X, Y), **options),
        lambda model, **options: label_errors(model, (X, Y), method="tracin", **options),
        lambda model, **options: label_errors(model, (X, Y), (X, Y), method="tracin", **options),
    ],
)
def test_several_sigmoid_units_are_no_softmax(call, layers):
    with pytest.raises(ValueError, match="ends in 3 sigmoid units, and classes do not say"):
        call(dense(3, "sigmoid"), layers=layers)


@pytest.mark.slow
@pytest.mark.parametrize(
    "loss",
    [
        keras.losses.categorical_crossentropy,  # divides by the sum
        lambda y, p: -keras.ops.sum(y * keras.ops.log(p), axis=-1),
    ],
)
def test_a_function_of_a_softmax_is_bent_at_the_logits(loss):
    model, classes = dense(3, "softmax"), np.eye(3)[Y]
    closed = influence(model, (X, Y), (X[:3], Y[:3])).values
    found = influence(
        model, (X, classes), (X[:3], classes[:3]), loss=loss, layers="all", batch_size=16
    )
    np.testing.assert_allclose(found.values, closed, rtol=1e-2, atol=1e-3 * np.abs(closed).max())


def test_a_function_that_is_convex_in_the_outputs_alone_is_bent_there():
    """JᵀSJ of the squared error of probabilities, by hand."""
    model, classes = dense(3, "softmax"), np.eye(3)[Y]
    kernel, bias = (np.asarray(w, np.float64) for w in model.get_weights())
    p = softmax(X @ kernel + bias, axis=1)
    slopes = np.einsum("nc,cd->ncd", p, np.eye(3)) - np.einsum("nc,nd->ncd", p, p)
    features = np.concatenate([X, np.ones((60, 1))], axis=1)
    jacobian = np.einsum("nf,ncd->ncfd", features, slopes).reshape(60, 3, -1)
    matrix = 2 / 3 * np.einsum("ncp,ncq->pq", jacobian, jacobian) / 60 + 0.01 * np.eye(18)
    gradients = 2 / 3 * np.einsum("nc,ncp->np", p - classes, jacobian)
    true = gradients[:2] @ np.linalg.solve(matrix, gradients.T) / 60
    found = influence(
        model,
        (X, classes),
        (X[:2], classes[:2]),
        loss=keras.losses.mean_squared_error,
        layers="all",
    )
    np.testing.assert_allclose(found.values, true, rtol=2e-3, atol=1e-4 * np.abs(true).max())


@pytest.mark.slow
def test_a_function_that_is_convex_in_neither_has_no_gauss_newton_matrix():
    def waves(y, outputs):
        return keras.ops.sum(keras.ops.sin(3 * outputs) + 0 * y, axis=-1)

    classes = np.eye(3)[Y]
    given = dense(3), (X, classes), (X[:2], classes[:2])
    with pytest.raises(ValueError, match=r"not convex in what .* Pass curvature='hessian'"):
        influence(*given, loss=waves, layers="all")
    assert influence(*given, loss=waves, layers="all", curvature="hessian", damping=50.0)


@pytest.mark.parametrize("layers", [None, pytest.param("all", marks=pytest.mark.slow)])
@pytest.mark.parametrize("y", [Y, X[:, :1], X[:, :2]])
def test_labels_of_another_width_than_the_outputs(y, layers):
    width = 1 if y.ndim == 1 else y.shape[1]
    message = rf"squared error, \(3,\) for each sample.* \({width},\)"
    for method in (influence, tracin):
        with pytest.raises(ValueError, match=message):
            method(dense(3), (X, y), (X[:2], y[:2]), layers=layers, loss="squared_error")
    flat, column = (
        influence(dense(1), (X, y), (X, y), layers=layers, loss="squared_error", damping=1).values
        for y in (X[:, 0], X[:, :1])
    )
    np.testing.assert_allclose(flat, column, rtol=1e-5, atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize(
    "body",
    [keras.layers.Flatten, lambda: keras.layers.GRU(3)],
)
def test_an_embedding(body):
    """Gauss-Newton and gradients by explicit Jacobians."""
    keras.utils.set_random_seed(0)
    tokens, y = RANDOM.integers(0, 6, size=(10, 4)), RANDOM.integers(2, size=10)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Embedding(6, 2),
            body(),
            keras.layers.Dense(2, name="head"),
        ]
    )
    found = influence(model, (tokens, y), (tokens[:2], y[:2]), layers="all", damping=0.05).values
    with tf.GradientTape(persistent=True) as tape:
        z = model(tokens)
    variables = [v.value for v in model.trainable_variables]
    parts = tape.jacobian(z, variables, experimental_use_pfor=False)
    jacobian = np.concatenate(
        [tf.reshape(tf.convert_to_tensor(part), (10, 2, -1)) for part in parts], axis=2
    ).astype(np.float64)
    p = softmax(z.numpy().astype(np.float64), axis=1)
    bends = np.einsum("nc,cd->ncd", p, np.eye(2)) - np.einsum("nc,nd->ncd", p, p)
    matrix = np.einsum("ncp,ncd,ndq->pq", jacobian, bends, jacobian) / 10
    gradients = np.einsum("nc,ncp->np", p - np.eye(2)[y], jacobian)
    solved = np.linalg.solve(matrix + 0.05 * np.eye(len(matrix)), gradients.T)
    true = gradients[:2] @ solved / 10
    np.testing.assert_allclose(found, true, rtol=2e-3, atol=1e-3 * np.abs(true).max())


@pytest.mark.parametrize(
    ("units", "loss"), [(3, "cross_entropy"), (1, "cross_entropy"), (3, "squared_error")]
)
def test_the_hessian_of_the_last_layer_in_blocks(units, loss, monkeypatch):
    """Each column against the product of a unit vector, and against outer products of a loop."""
    monkeypatch.setattr("keras_pli.inspection.examples.last_layer._NUMBERS", 1)
    losses = SampleLosses(dense(units, "sigmoid" if units == 1 else None), loss)
    x = np.tile(X, (5, 1))
    y = {3: np.tile(Y, 5), 1: np.tile(Y > 0, 5)}[units]
    y = np.eye(3)[y] if loss == "squared_error" else y
    layer = LastLayerReader(losses).read(losses.samples((x, y), "train"), losses.weights())
    z = layer.features @ np.concatenate(
        [np.asarray(w).reshape(-1, units) for w in losses.weights()]
    )
    p = 1 / (1 + np.exp(-z)) if units == 1 else softmax(z, axis=1)
    true = 0.3 * np.eye(6 * units)
    for feature, row in zip(layer.features, p, strict=True):
        if loss == "squared_error":
            bend = 2 / 3 * np.eye(3)
        else:
            bend = row[:, None] * (1 - row) if units == 1 else np.diag(row) - np.outer(row, row)
        true += np.kron(np.outer(feature, feature), bend) / len(x)
    found = layer._hessian(0.3)
    if layer.shifts:
        shifts = np.kron(np.eye(6), np.full((3, 3), 1 / 3))
        found -= shifts * (shifts * (found - true)).sum() / 6  # what is added there changes nothing
    np.testing.assert_allclose(found, true, atol=1e-6)


def test_progress_is_shown(capsys):
    influence(dense(3), (X, Y), (X[:2], Y[:2]), verbose=1)
    assert "block" in capsys.readouterr().out


@pytest.mark.parametrize("layers", [None, pytest.param("last", marks=pytest.mark.slow)])
def test_weights_that_are_not_finite(layers):
    model = dense(3, "softmax")
    good, bad = model.get_weights(), [w * np.nan for w in model.get_weights()]
    with pytest.raises(ValueError, match=r"weights of .* must be finite.* holds NaN"):
        tracin(model, (X, Y), (X, Y), checkpoints=[good, bad], layers=layers)
    model.set_weights(bad)
    for call in (
        lambda: influence(model, (X, Y), (X, Y), layers=layers),
        lambda: label_errors(model, (X, Y), method="tracin", layers=layers),
    ):
        with pytest.raises(ValueError, match="must be finite"):
            call()


def test_large_last_layers_are_left_to_tracin(monkeypatch):
    model = dense(3, "softmax")
    assert label_errors(model, (X, Y)).about["method"] == "influence"
    assert label_errors(model, (X, Y), learning_rates=1.0).about["method"] == "tracin"
    monkeypatch.setattr("keras_pli.inspection.examples.label_errors.MOST_FACTORISED", 17)
    assert label_errors(model, (X, Y)).about["method"] == "tracin"


@pytest.mark.parametrize("method", [influence, pytest.param(tracin, marks=pytest.mark.slow)])
def test_the_class_predicted_is_explained(method, tmp_path):
    model = dense(3, "softmax", seed=1)
    said = model.predict(X, verbose=0).argmax(axis=1)
    assert (said != Y).any() and (said == Y).any()
    found = method(model, (X, Y), (X, Y), explain="predicted")
    other = method(model, (X, Y), (X, said))
    np.testing.assert_allclose(found.values, other.values, rtol=1e-6)
    frame = found.to_frame(1)
    assert (frame["test_label"] == Y[frame["test"]]).all()
    assert (frame["test_predicted"] == said[frame["test"]]).all()
    assert (frame["explained"] == frame["test_predicted"]).all()
    wrong = int(np.flatnonzero(said != Y)[0])
    figure = found.plot(X, X, tests=[wrong], most=1, class_names=["a", "b", "c"])
    true, own = "abc"[Y[wrong]], "abc"[said[wrong]]
    assert figure.axes[0].get_xlabel() == f"true {true}\npredicted {own}\nloss of {own}"
    loaded = found.load(found.save(tmp_path / "found.npz"))
    assert loaded.to_frame(1).equals(frame)
    with pytest.raises(ValueError, match="is for the loss 'cross_entropy'"):
        method(model, (X, X[:, :3]), (X, X[:, :3]), loss="squared_error", explain="predicted")


def test_names_that_are_too_few():
    found = influence(dense(3, "softmax"), (X, Y), (X[:2], Y[:2]))
    with pytest.raises(ValueError, match=r"Received 1, for labels 0 to 0, and none for 1, 2\."):
        found.plot(X, X[:2], class_names=["a"])
    with pytest.raises(ValueError, match="and none for 1, 2"):
        label_errors(dense(3, "softmax"), (X, Y)).plot(X, class_names=["a"])


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
def test_one_sample_without_a_batch(loss):
    message = r"one sample, \(5,\), and a batch is needed: x\[i : i \+ 1\]"
    with pytest.raises(ValueError, match=message):
        influence(dense(3), (X, Y), (X[0], Y[0]), loss=loss)
