import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_pli.inspection.landscape.data_loss import DataLoss
from keras_pli.inspection.landscape.lanczos import gauss_quadrature, tridiagonalized
from keras_pli.inspection.landscape.sharpness import (
    hessian_eigenvalues,
    spectral_density,
)
from keras_pli.inspection.landscape.worst_case import epsilon_sharpness

layers = keras.layers
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(30, 4)).astype("float32"), RNG.integers(0, 3, 30)
SPARSE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@pytest.fixture(scope="module")
def small():
    """A network of 64 weights, with a penalty on some, and its Hessian by TensorFlow's jacobian."""
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(5, "tanh", kernel_regularizer=keras.regularizers.L2(0.02)),
            layers.Dropout(0.5),
            layers.Dense(4, "tanh"),
            layers.Dense(3),
        ]
    )
    return model, full_hessian(model)


def full_hessian(model):
    variables = [v.value for v in model.trainable_variables]
    with tf.GradientTape(persistent=True) as outer:
        with tf.GradientTape() as inner:
            loss = SPARSE(Y, model(X, training=False)) + tf.add_n(model.losses)
        slopes = inner.gradient(loss, variables)
        slope = tf.concat([tf.reshape(one, -1) for one in slopes], 0)
    blocks = outer.jacobian(slope, variables)
    return np.concatenate([block.numpy().reshape(len(slope), -1) for block in blocks], axis=1)


OPTIONS = {"loss": SPARSE, "regularization": True, "batch_size": 8}


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", [False, True])
def test_products_are_those_with_the_whole_hessian(small, jit_compile):
    model, hessian = small
    loss = DataLoss(model, X, Y, **OPTIONS, jit_compile=jit_compile)
    product = loss.hessian_product(loss.weights())
    vectors = RNG.normal(size=(3, len(hessian)))
    found = np.stack([product(vector) for vector in vectors])
    np.testing.assert_allclose(found, vectors @ hessian, atol=1e-5 * np.abs(hessian).max() * 10)


def test_gradient_is_that_of_finite_differences(small):
    model, _ = small
    loss = DataLoss(model, X, Y, **OPTIONS)
    weights = loss.weights().astype(np.float64)
    value, slope = loss.gradient(weights)
    assert value == pytest.approx(loss(weights)[0], rel=1e-6)
    for direction in RNG.normal(size=(4, len(weights))):
        wanted = (loss(weights + 1e-2 * direction)[0] - loss(weights - 1e-2 * direction)[0]) / 2e-2
        assert slope @ direction == pytest.approx(wanted, rel=2e-2, abs=2e-3)


@pytest.mark.parametrize(
    "which",
    [
        pytest.param("largest", marks=pytest.mark.slow),
        pytest.param("smallest", marks=pytest.mark.slow),
        "magnitude",
    ],
)
def test_extreme_eigenvalues_are_those_of_the_whole_hessian(small, which):
    model, hessian = small
    values = np.linalg.eigvalsh(hessian)
    wanted = {
        "largest": values[::-1][:3],
        "smallest": values[:3][::-1],
        "magnitude": np.sort(values[np.argsort(-np.abs(values))[:3]])[::-1],
    }[which]
    found = hessian_eigenvalues(model, X, Y, count=3, which=which, **OPTIONS)
    np.testing.assert_allclose(found.values, wanted, atol=1e-4 * values.max())
    assert found.residuals.max() < 1e-2 * values.max()
    vectors = [np.concatenate([part.ravel() for part in one]) for one in found.directions]
    np.testing.assert_allclose(np.stack(vectors) @ np.stack(vectors).T, np.eye(3), atol=1e-3)
    image = hessian @ vectors[0]
    np.testing.assert_allclose(image, found.values[0] * vectors[0], atol=1e-2 * values.max())


def test_all_eigenvalues_of_a_linear_model():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1, use_bias=False)])
    found = hessian_eigenvalues(model, X, RNG.normal(size=(30, 1)), count=4, loss="mse")
    wanted = np.linalg.eigvalsh(2 * X.T @ X / len(X))[::-1]
    np.testing.assert_allclose(found.values, wanted, rtol=1e-5)


def test_weights_are_left_alone_after_an_interrupt(small, monkeypatch):
    model, _ = small
    before = model.get_weights()

    def interrupted(self, weights):
        def product(vector):
            raise KeyboardInterrupt

        return product

    monkeypatch.setattr(DataLoss, "hessian_product", interrupted)
    with pytest.raises(KeyboardInterrupt):
        hessian_eigenvalues(model, X, Y, loss=SPARSE)
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def symmetric(size):
    matrix = RNG.normal(size=(size, size))
    return (matrix + matrix.T) / 2


def test_tridiagonal_matrix_has_the_eigenvalues_of_the_whole():
    matrix = symmetric(25)
    diagonal, beside = tridiagonalized(lambda v: matrix @ v, RNG.normal(size=25), 40)
    assert len(diagonal) == 25
    tridiagonal = np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)
    np.testing.assert_allclose(
        np.linalg.eigvalsh(tridiagonal), np.linalg.eigvalsh(matrix), atol=1e-10
    )


def test_quadrature_is_exact_for_polynomials():
    matrix, start, steps = symmetric(30), RNG.normal(size=30), 6
    start /= np.linalg.norm(start)
    nodes, weights = gauss_quadrature(*tridiagonalized(lambda v: matrix @ v, start, steps))
    for power in range(2 * steps):
        wanted = start @ np.linalg.matrix_power(matrix, power) @ start
        assert weights @ nodes**power == pytest.approx(wanted, rel=1e-9)


def test_ghosts_do_not_come_up():
    # Without orthogonalising again, the outlier would be found several times in so many steps.
    values = np.concatenate([np.linspace(0, 1e-3, 199), [1.0]])
    diagonal, beside = tridiagonalized(lambda v: values * v, np.ones(200), 120)
    nodes, _ = gauss_quadrature(diagonal, beside)
    assert (nodes > 0.5).sum() == 1


def test_an_exhausted_space_ends_the_steps():
    diagonal, beside = tridiagonalized(lambda v: 3.0 * v, np.ones(50), 10)
    np.testing.assert_allclose(diagonal, [3.0])
    assert len(beside) == 0


@pytest.mark.slow
def test_spectral_density_has_the_moments_of_the_hessian(small):
    model, hessian = small
    found = spectral_density(model, X, Y, runs=150, steps=3, **OPTIONS)
    np.testing.assert_allclose(found.weights.sum(1), 1, rtol=1e-9)
    for power in (1, 2):
        traces = (found.weights * found.nodes**power).sum(1)
        wanted = np.trace(np.linalg.matrix_power(hessian, power)) / len(hessian)
        error = traces.std() / np.sqrt(len(traces))
        assert abs(traces.mean() - wanted) < 4 * error
    values = np.linspace(found.nodes.min() - 1, found.nodes.max() + 1, 4000)
    assert np.trapezoid(found.density(values), values) == pytest.approx(1, rel=1e-3)


def test_spectral_density_of_known_eigenvalues(tmp_path):
    # x'x · 2/n is diagonal, and every random vector sees all four eigenvalues.
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1, use_bias=False)])
    x = np.sqrt(np.diag([1.0, 2.0, 5.0, 9.0]) * 2)
    found = spectral_density(model, x, np.zeros((4, 1)), loss="mse", runs=2)
    np.testing.assert_allclose(found.nodes, [[1.0, 2.0, 5.0, 9.0]] * 2, rtol=1e-4)
    again = type(found).load(found.save(tmp_path / "density.npz"))
    np.testing.assert_array_equal(again.nodes, found.nodes)
    assert again.about["size"] == 4


def test_epsilon_sharpness_of_a_convex_loss_is_at_a_corner():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1)])
    x, y = RNG.normal(size=(30, 4)) * [1, 2, 1, 3], RNG.normal(size=30)
    design = np.c_[x, np.ones(30)]
    best = np.linalg.lstsq(design, y, rcond=None)[0]
    model.set_weights([best[:4, None], best[4:]])
    found = epsilon_sharpness(model, x, y, epsilon=0.05, starts=8, loss="mse")
    reach = 0.05 * (np.abs(best) + 1)
    corners = [
        np.mean((design @ (best + np.array(signs) * reach) - y) ** 2)
        for signs in itertools.product([-1, 1], repeat=5)
    ]
    at = np.mean((design @ best - y) ** 2)
    assert found.loss == pytest.approx(at, rel=1e-5)
    assert found.worst_loss == pytest.approx(max(corners), rel=1e-4)
    assert found.sharpness == pytest.approx(100 * (max(corners) - at) / (1 + at), rel=1e-3)


@pytest.mark.slow
def test_no_box_is_no_sharpness(small):
    assert epsilon_sharpness(small[0], X, Y, epsilon=0.0, loss=SPARSE).sharpness == 0


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["mixed_float16", "float64"])
def test_other_precisions(policy, small):
    model, _ = small
    dtype = keras.DTypePolicy(policy)
    other = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(5, "tanh", dtype=dtype),
            layers.Dense(4, "tanh", dtype=dtype),
            layers.Dense(3, dtype=dtype),
        ]
    )
    other.set_weights(model.get_weights())
    wanted = hessian_eigenvalues(model, X, Y, loss=SPARSE).values
    found = hessian_eigenvalues(other, X, Y, loss=SPARSE, tolerance=1e-2).values
    np.testing.assert_allclose(found, wanted, rtol=5e-2 if "16" in policy else 1e-3)


@pytest.mark.slow
def test_convolutions_batch_norm_and_embeddings_can_be_differentiated_twice():
    keras.utils.set_random_seed(0)
    images = RNG.normal(size=(6, 8, 8, 1))
    parts = [layers.Conv2D(2, 3), layers.BatchNormalization(), layers.ReLU(), layers.MaxPooling2D()]
    convolutional = [keras.Input((8, 8, 1)), *parts, layers.Flatten(), layers.Dense(1)]
    ids = RNG.integers(0, 5, (6, 4))
    recurrent = [
        keras.Input((4,), dtype="int32"),
        layers.Embedding(5, 3),
        layers.SimpleRNN(2),
        layers.Dense(1),
    ]
    for parts, x in ((convolutional, images), (recurrent, ids)):
        model = keras.Sequential(parts)
        loss = DataLoss(model, x, np.ones((6, 1)), loss="mse")
        weights = loss.weights().astype(np.float64)
        vector = RNG.normal(size=loss.size)
        vector /= np.linalg.norm(vector)
        found = loss.hessian_product(weights)(vector)
        ahead, behind = (loss.gradient(weights + step * vector)[1] for step in (1e-3, -1e-3))
        wanted = (ahead - behind) / 2e-3
        assert np.linalg.norm(found - wanted) < 0.02 * np.linalg.norm(wanted)


@pytest.mark.parametrize(
    ("call", "options", "error"),
    [
        (hessian_eigenvalues, {"count": 65}, "`count` must be a whole number from 1"),
        (
            hessian_eigenvalues,
            {"which": "largets"},
            r"Received: 'largets'. Did you mean 'largest'\?",
        ),
        (spectral_density, {"steps": 0}, "`steps` must be a whole number from 1"),
        (epsilon_sharpness, {"epsilon": -1.0}, "`epsilon` must be a number from 0"),
    ],
)
def test_bad_input_is_quoted(call, options, error, small):
    with pytest.raises(ValueError, match=error):
        call(small[0], X, Y, loss=SPARSE, **options)


@pytest.mark.slow
def test_eigenvalues_that_do_not_settle(small):
    with pytest.raises(
        RuntimeError, match=r"of 3 eigenvalues have settled to 1e-12 after \d+ products"
    ):
        hessian_eigenvalues(
            small[0],
            X,
            Y,
            count=3,
            which="smallest",
            tolerance=1e-12,
            most_products=20,
            loss=SPARSE,
        )
