"""The loss of data is what `evaluate` says of all of them in one batch, or refused at the door."""

import keras
import numpy as np
import pytest
from slow_cases import slow

from keras_pli.inspection.landscape.data_loss import DataLoss
from keras_pli.inspection.landscape.sharpness import hessian_eigenvalues, spectral_density
from keras_pli.inspection.landscape.surface import loss_line, loss_surface
from keras_pli.inspection.landscape.worst_case import epsilon_sharpness

layers, losses = keras.layers, keras.losses
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(22, 5)).astype("float32"), RNG.integers(0, 3, 22)
WEIGHTS = RNG.uniform(0, 2, 22).astype("float32")
IDS, TAGS = RNG.integers(0, 5, (22, 6)), RNG.integers(0, 3, (22, 6))


def network(*parts, shape=(5,), dtype=None, **compiled):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input(shape, dtype=dtype), *(parts or (layers.Dense(3),))])
    model.compile("sgd", **compiled)
    return model


def tagger(loss, **compiled):
    """Scores of classes at positions, some of which a mask hides."""
    parts = layers.Embedding(5, 3, mask_zero=True), layers.Dense(3)
    return network(*parts, shape=(6,), dtype="int32", loss=loss, **compiled)


def check_against_evaluate(model, x, y, sample_weight=None, **options):
    wanted = model.evaluate(
        x, y, sample_weight=sample_weight, batch_size=len(x), verbose=0, return_dict=True
    )
    found = DataLoss(model, x, y, sample_weight=sample_weight, batch_size=7, **options)
    value, metrics = found(found.weights())
    np.testing.assert_allclose(value, wanted["loss"], rtol=1e-5)
    return metrics, wanted


@pytest.fixture
def eagerly(untraced):
    with untraced():
        yield


def sparse(**options):
    return losses.SparseCategoricalCrossentropy(from_logits=True, **options)


@pytest.mark.parametrize("weights", [slow(None), WEIGHTS])
@pytest.mark.parametrize(
    "reduction", ["sum_over_batch_size", slow("sum"), "mean_with_sample_weight", slow(None)]
)
@pytest.mark.parametrize("ignored", [slow(None), 1])
def test_every_reduction_and_an_ignored_class(reduction, ignored, weights, untraced):
    model = network(loss=sparse(reduction=reduction, ignore_class=ignored))
    with untraced():
        check_against_evaluate(model, X, Y, weights)


@pytest.mark.parametrize(
    ("reduction", "weights"),
    [
        ("sum_over_batch_size", WEIGHTS[:, None]),
        slow("sum", WEIGHTS[:, None]),
        slow("mean_with_sample_weight", None),
        slow("mean_with_sample_weight", WEIGHTS[:, None]),
        slow(None, None),
    ],
)
def test_positions_that_a_mask_hides_and_a_class_that_is_ignored(reduction, weights, untraced):
    model = tagger(sparse(reduction=reduction, ignore_class=1))
    with untraced():
        check_against_evaluate(model, IDS, TAGS, weights)
    unmasked = network(layers.Embedding(5, 3), layers.Dense(3), shape=(6,), dtype="int32")
    unmasked.compile("sgd", sparse(reduction=reduction, ignore_class=1))
    with untraced():
        check_against_evaluate(unmasked, IDS, TAGS, weights)


@pytest.mark.slow
def test_of_ignored_samples_alone_the_loss_is_zero():
    check_against_evaluate(network(loss=sparse(ignore_class=1)), X, np.ones(22, int))


def test_gradients_and_curvatures_are_divided_alike():
    model = network(layers.Dense(1, use_bias=False), loss=losses.MeanSquaredError(reduction="sum"))
    found = hessian_eigenvalues(model, X, X[:, :1]).values[0]
    assert found == pytest.approx(2 * np.linalg.eigvalsh(X.T @ X)[-1], rel=1e-5)
    model = network(loss=sparse(ignore_class=1))
    kept = Y != 1
    ignoring, without = (DataLoss(model, x, y) for x, y in ((X, Y), (X[kept], Y[kept])))
    slopes = [one.gradient(one.weights())[1] for one in (ignoring, without)]
    np.testing.assert_allclose(*slopes, atol=1e-6)


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_metrics_are_weighted_where_keras_weights_them():
    asked = {"metrics": ["accuracy"], "weighted_metrics": ["mae"]}
    model = network(layers.Dense(1, "sigmoid"), loss="binary_crossentropy", **asked)
    metrics, wanted = check_against_evaluate(model, X, Y > 0, WEIGHTS, **asked)
    np.testing.assert_allclose(metrics, [wanted["accuracy"], wanted["mae"]], rtol=1e-5)
    asked = {"metrics": ["accuracy"], "weighted_metrics": ["sparse_categorical_accuracy"]}
    model = tagger(sparse(), **asked)
    metrics, wanted = check_against_evaluate(model, IDS, TAGS, WEIGHTS[:, None], **asked)
    named = [wanted[name] for name in ("accuracy", "sparse_categorical_accuracy")]
    np.testing.assert_allclose(metrics, named, rtol=1e-5)
    assert metrics[0] != pytest.approx(metrics[1], rel=1e-3)


def two_heads(losses, named=False):
    keras.utils.set_random_seed(0)
    x = keras.Input((5,))
    heads = {"a": layers.Dense(3, name="a")(x), "b": layers.Dense(1, name="b")(x)}
    model = keras.Model(x, heads if named else list(heads.values()))
    model.compile("sgd", losses)
    return model


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_outputs_may_have_weights_of_their_own_or_no_loss():
    targets = [Y, X[:, :1]]
    check_against_evaluate(two_heads([sparse(), "mse"]), X, targets, [WEIGHTS, WEIGHTS[::-1]])
    check_against_evaluate(two_heads([sparse(), "mse"]), X, targets, WEIGHTS)
    check_against_evaluate(two_heads([sparse(), None]), X, targets)
    check_against_evaluate(two_heads([None, "mse"]), X, targets)
    named = dict(zip("ab", targets, strict=True))
    weights = {"a": WEIGHTS, "b": WEIGHTS[::-1]}
    check_against_evaluate(two_heads({"a": sparse(), "b": "mse"}, named=True), X, named, weights)
    one = DataLoss(two_heads({"a": sparse(), "b": None}, named=True), X, {"a": Y})
    other = DataLoss(two_heads([sparse(), None]), X, [Y, None])
    np.testing.assert_allclose(one(one.weights())[0], other(other.weights())[0], rtol=1e-6)


@pytest.mark.parametrize(
    ("loss", "outputs", "y", "error"),
    [
        (sparse(), 3, Y + 2, r"classes from 0 to 2, as .* shape \(22, 3\). Received: 3, 4"),
        (sparse(), 3, np.where(Y == 0, np.nan, Y), "Received: nan"),
        ("sparse_categorical_crossentropy", 3, Y - 1, "classes from 0 to 2.*Received: -1"),
        (
            "sparse_categorical_crossentropy",
            3,
            np.eye(3)[Y],
            r"shape \(22, 3\) with .* \(22, 3\): ",
        ),
        ("mse", 3, X[:, 0], r"does not take `y` of shape \(22,\) with .* shape \(22, 3\): "),
        ("mse", 2, X[:, 0], r"does not take `y` of shape \(22,\) with .* shape \(22, 2\): "),
        ("mse", 3, X[:, :2], r"does not take `y` of shape \(22, 2\) with .* shape \(22, 3\): "),
        ("circle", 3, Y, "'circle' compares the samples of a batch with each other"),
        (losses.Circle(), 3, Y, "'circle' compares the samples of a batch with each other"),
        (lambda y, p: keras.ops.mean(p), 3, Y, "one value for each sample. Received: one for the"),
        (lambda y, p: keras.ops.mean(p, 0), 3, Y, r"each sample. Received: shape \(3,\)"),
    ],
)
def test_labels_that_do_not_fit_are_quoted_at_the_door(loss, outputs, y, error):
    model = network(layers.Dense(outputs))
    for run in (loss_line, loss_surface, hessian_eigenvalues):
        with pytest.raises(ValueError, match=error):
            run(model, X, y, loss=loss)


def test_sample_weights_of_other_outputs_are_quoted():
    with pytest.raises(
        ValueError, match=r"`sample_weight` must name the outputs 'a', 'b'. Rec.*'c"
    ):
        DataLoss(two_heads([sparse(), "mse"]), X, [Y, X[:, :1]], sample_weight={"c": WEIGHTS})
    with pytest.raises(ValueError, match=r"entry for each of 2 outputs. Received: 1"):
        DataLoss(two_heads([sparse(), "mse"]), X, [Y, X[:, :1]], sample_weight=[WEIGHTS])
    with pytest.raises(ValueError, match="At least one output must have a loss"):
        DataLoss(network(), X, Y, loss=[None])


@pytest.mark.parametrize(
    "run", [hessian_eigenvalues, spectral_density, epsilon_sharpness, loss_line, loss_surface]
)
def test_weights_that_are_not_finite_are_named(run):
    model = network(layers.Dense(8, name="one"), layers.Dense(3, name="two"), loss=sparse())
    model.layers[1].kernel.assign(np.full((8, 3), np.nan))
    with pytest.raises(
        ValueError, match=r"`weights` must be finite. NaN .* in '[^']*two/kernel'\."
    ):
        run(model, X, Y)


@pytest.mark.parametrize(
    "run",
    [
        hessian_eigenvalues,
        slow(spectral_density),
        slow(epsilon_sharpness),
    ],
)
def test_a_loss_that_is_not_finite_has_no_curvature(run):
    model = network(layers.Dense(8), layers.Dense(1), loss="mse")
    with pytest.raises(ValueError, match="is nan where it is, so there is no curvature"):
        run(model, X, np.full(22, np.nan))


def test_a_direction_that_is_not_finite_is_named():
    with pytest.raises(
        ValueError, match=r"`direction` must be finite. NaN or infinity in '.*bias'"
    ):
        loss_line(network(loss=sparse()), X, Y, [np.ones((5, 3)), np.full(3, np.inf)])


@pytest.mark.slow
def test_passes_without_a_known_end_are_counted(capsys):
    model = network(layers.Dense(8), layers.Dense(3), loss=sparse())
    found = hessian_eigenvalues(model, X, Y, verbose=1)
    epsilon_sharpness(model, X, Y, verbose=1)
    printed = capsys.readouterr().out
    assert "Unknown" not in printed
    assert f"\r{found.products} passes over the data\n" in printed
