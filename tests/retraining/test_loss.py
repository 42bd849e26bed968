import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_pli.retraining import PLILoss

RNG = np.random.default_rng(0)
LABELS = np.array([0, 2, 1, 2, 0])
PROBABILITIES = RNG.dirichlet(np.ones(3), size=5).astype(np.float32)
EMBEDDING = RNG.normal(size=(5, 2)).astype(np.float32)
TARGETS = RNG.normal(size=(5, 2)).astype(np.float32)
MOVED = np.array([True, False, True, True, False])
Y_TRUE = {"label": LABELS, "embedding": TARGETS, "moved": MOVED}
Y_PRED = {"label": PROBABILITIES, "embedding": EMBEDDING}


def equation_1(weight, *, moved_only=False, scale=None):
    cross_entropy = -np.log(PROBABILITIES[np.arange(5), LABELS].astype(np.float64))
    distance = np.array(
        [(e[0] - t[0]) ** 2 + (e[1] - t[1]) ** 2 for e, t in zip(EMBEDDING, TARGETS, strict=True)]
    )
    if moved_only:
        distance = np.where(MOVED, distance, 0.0)
    return np.mean((1 - weight) * cross_entropy + weight * distance / (scale or 1.0))


@pytest.mark.parametrize("weight", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("moved_only", [False, True])
@pytest.mark.parametrize("scale", [None, 7.5])
def test_is_equation_1(weight, moved_only, scale):
    loss = PLILoss(embedding_weight=weight, moved_only=moved_only, scale=scale)
    expected = equation_1(weight, moved_only=moved_only, scale=scale)
    np.testing.assert_allclose(float(loss(Y_TRUE, Y_PRED)), expected, rtol=1e-5)


def test_one_value_a_sample():
    loss = PLILoss(embedding_weight=0.3, scale=None, reduction="none")
    values = np.asarray(loss(Y_TRUE, Y_PRED))
    assert values.shape == (5,)
    np.testing.assert_allclose(values.mean(), equation_1(0.3), rtol=1e-5)


def test_lambda_means_the_same_for_any_batch_size():
    loss = PLILoss(embedding_weight=0.3, scale=2.0)
    twice = [{k: np.concatenate([v, v]) for k, v in y.items()} for y in (Y_TRUE, Y_PRED)]
    np.testing.assert_allclose(float(loss(*twice)), float(loss(Y_TRUE, Y_PRED)), rtol=1e-6)


def test_sample_weights_are_keras_sum_over_batch():
    weights = np.array([0.0, 1.0, 2.0, 0.5, 3.0], dtype=np.float32)
    each = PLILoss(embedding_weight=0.3, scale=None, reduction="none")(Y_TRUE, Y_PRED)
    found = PLILoss(embedding_weight=0.3, scale=None)(Y_TRUE, Y_PRED, sample_weight=weights)
    np.testing.assert_allclose(float(found), np.sum(np.asarray(each) * weights) / 5, rtol=1e-5)


def test_labels_alone_give_the_classification_loss():
    expected = keras.losses.SparseCategoricalCrossentropy()(LABELS, PROBABILITIES)
    found = PLILoss(embedding_weight=0.9)({"label": LABELS}, Y_PRED)
    np.testing.assert_allclose(float(found), float(expected), rtol=1e-6)


def own_loss(y_true, y_pred):
    return keras.ops.sum(keras.ops.square(y_pred), axis=-1)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("sparse_categorical_crossentropy", -np.log(PROBABILITIES[np.arange(5), LABELS])),
        (
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            np.log(np.exp(PROBABILITIES).sum(axis=1)) - PROBABILITIES[np.arange(5), LABELS],
        ),
        (own_loss, np.sum(PROBABILITIES**2, axis=1)),
    ],
    ids=["name", "object", "function"],
)
def test_any_classification_loss(given, expected):
    loss = PLILoss(given, embedding_weight=0.0, scale=None)
    np.testing.assert_allclose(float(loss(Y_TRUE, Y_PRED)), np.mean(expected), rtol=1e-5)


@pytest.mark.parametrize("moved_only", [False, True])
def test_gradient_by_finite_differences(moved_only):
    weight, scale, step = 0.4, 3.0, 1e-2
    loss = PLILoss(embedding_weight=weight, moved_only=moved_only, scale=scale)
    position = tf.Variable(EMBEDDING)
    with tf.GradientTape() as tape:
        value = loss(Y_TRUE, {"label": PROBABILITIES, "embedding": position})
    found = tape.gradient(value, position).numpy()
    expected = np.zeros_like(found)
    for index in np.ndindex(*EMBEDDING.shape):
        values = []
        for sign in (1, -1):
            nudged = EMBEDDING.copy()
            nudged[index] += sign * step
            values.append(float(loss(Y_TRUE, {"label": PROBABILITIES, "embedding": nudged})))
        expected[index] = (values[0] - values[1]) / (2 * step)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert np.abs(found).max() > 1e-2
    assert np.all(found[~MOVED] == 0) == moved_only


def test_classification_has_no_gradient_at_lambda_one():
    output = tf.Variable(PROBABILITIES)
    with tf.GradientTape() as tape:
        value = PLILoss(embedding_weight=1.0, scale=None)(
            Y_TRUE, {"label": output, "embedding": EMBEDDING}
        )
    assert not np.any(tape.gradient(value, output).numpy())


def test_targets_of_another_precision():
    found = PLILoss(embedding_weight=0.5, scale=None).embedding(
        {"embedding": tf.constant(TARGETS.astype(np.float64))},
        {"embedding": tf.constant(EMBEDDING.astype(np.float16))},
    )
    expected = np.sum((EMBEDDING.astype(np.float16) - TARGETS.astype(np.float64)) ** 2, axis=1)
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-5)


@pytest.mark.parametrize("weight", [-0.1, 1.1, float("nan")])
def test_lambda_out_of_range_is_quoted(weight):
    with pytest.raises(ValueError, match=rf"between 0 and 1\. Received: {weight}"):
        PLILoss(embedding_weight=weight)


@pytest.mark.parametrize("scale", [0, -2.0, float("nan")])
def test_scale_out_of_range_is_quoted(scale):
    with pytest.raises(ValueError, match=f"positive number. Received: {scale}"):
        PLILoss(scale=scale)


def test_unknown_scale_offers_the_near_name():
    with pytest.raises(ValueError, match=r"Received: 'sprad'\. Did you mean 'spread'"):
        PLILoss(scale="sprad")


def test_spread_must_be_known():
    with pytest.raises(ValueError, match="spread of the map is not known yet"):
        PLILoss(embedding_weight=0.5)(Y_TRUE, Y_PRED)


def test_with_scale():
    loss = PLILoss("mse", 0.3, moved_only=True, name="mine")
    scaled = loss.with_scale(4.0)
    assert loss.scale == "spread"
    assert {**loss.get_config(), "scale": 4.0} == scaled.get_config()
    assert scaled.classification_loss is loss.classification_loss


@pytest.mark.parametrize("scale", ["spread", None, 2.5])
@pytest.mark.parametrize(
    "classification",
    ["mse", keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=1)],
    ids=["name", "object"],
)
def test_serialization_round_trip(classification, scale):
    loss = PLILoss(classification, 0.25, moved_only=True, scale=scale, name="mine")
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert isinstance(again, PLILoss)
    assert again.get_config() == loss.get_config()
    loss, again = loss.with_scale(3.0), again.with_scale(3.0)
    if classification != "mse":
        assert float(again(Y_TRUE, Y_PRED)) == float(loss(Y_TRUE, Y_PRED))
        plain = PLILoss(embedding_weight=0.25, moved_only=True, scale=3.0)
        assert float(plain(Y_TRUE, Y_PRED)) != float(again(Y_TRUE, Y_PRED))


@pytest.mark.parametrize("reduction", ["sum", "sum_over_batch_size", "mean_with_sample_weight"])
def test_both_terms_are_reduced_alike(reduction):
    classification = keras.losses.SparseCategoricalCrossentropy(reduction=reduction)
    loss = PLILoss(classification, 0.3, scale=2.0)
    weights = np.array([0.0, 1.0, 2.0, 0.5, 3.0], dtype=np.float32)
    each = np.asarray(PLILoss(embedding_weight=0.3, scale=2.0, reduction=None)(Y_TRUE, Y_PRED))
    divisor = {"sum": 1.0, "sum_over_batch_size": 5.0, "mean_with_sample_weight": weights.sum()}
    found = loss(Y_TRUE, Y_PRED, sample_weight=weights)
    np.testing.assert_allclose(float(found), np.sum(each * weights) / divisor[reduction], rtol=1e-5)


def test_an_ignored_sample_still_has_its_place_on_the_map():
    ignoring = keras.losses.SparseCategoricalCrossentropy(ignore_class=2)
    found = PLILoss(ignoring, 0.3, scale=None)(Y_TRUE, Y_PRED)
    kept = LABELS != 2
    cross_entropy = -np.mean(np.log(PROBABILITIES[kept, LABELS[kept]]))
    distance = np.mean(np.sum((EMBEDDING - TARGETS) ** 2, axis=1))
    np.testing.assert_allclose(float(found), 0.7 * cross_entropy + 0.3 * distance, rtol=1e-5)


def test_a_distance_stands_at_each_position():
    labels = np.array([[0, 1], [2, 1]])
    outputs = RNG.dirichlet(np.ones(3), size=(2, 2)).astype(np.float32)
    given = {"label": labels, "embedding": TARGETS[:2]}
    found = PLILoss(embedding_weight=0.5, scale=None, reduction=None)(
        given, {"label": outputs, "embedding": EMBEDDING[:2]}
    )
    distance = np.sum((EMBEDDING[:2] - TARGETS[:2]) ** 2, axis=1)
    for place in np.ndindex(2, 2):
        expected = 0.5 * distance[place[0]] - 0.5 * np.log(outputs[place][labels[place]])
        np.testing.assert_allclose(np.asarray(found)[place], expected, rtol=1e-5)


def test_a_reduction_of_ones_own_is_kept():
    loss = PLILoss(keras.losses.MeanSquaredError(reduction="sum"), reduction="mean")
    assert loss.reduction == "mean"
    assert PLILoss.from_config(loss.get_config()).reduction == "mean"
    assert PLILoss(keras.losses.MeanSquaredError(reduction="sum")).reduction == "sum"


@pytest.mark.parametrize("given", [{"out": "mse"}, ["mse"], {"out": ["mse"]}, "mse"])
def test_a_list_or_dict_of_one_stands_for_it(given):
    assert PLILoss(given).classification_loss is keras.losses.mean_squared_error


def test_a_configuration_is_no_dict_of_losses():
    config = keras.losses.serialize(keras.losses.Huber(delta=3.0))
    assert isinstance(PLILoss(config).classification_loss, keras.losses.Huber)


@pytest.mark.parametrize("given", [["mse", "mae"], {"a": "mse", "b": "mae"}, [], {}, None])
def test_several_losses(given):
    with pytest.raises(ValueError, match=r"is one loss.*Received: (None|'mse', 'mae'|\[\]|{})\."):
        PLILoss(given)


@pytest.mark.parametrize("name", ["crossentropy", "ce", "CE"])
def test_cross_entropy_by_the_shapes(name):
    loss = PLILoss(name)
    rows, single = np.eye(3, dtype=np.float32)[LABELS], PROBABILITIES[:, :1]
    sparse, dense, column, binary = (
        float(loss({"label": labels}, {"label": outputs}))
        for labels, outputs in (
            (LABELS, PROBABILITIES),
            (rows, PROBABILITIES),
            (LABELS[:, None], PROBABILITIES),
            (LABELS == 1, single),
        )
    )
    expected = -np.mean(np.log(PROBABILITIES[np.arange(5), LABELS]))
    np.testing.assert_allclose([sparse, dense, column], expected, rtol=1e-5)
    right = np.where(LABELS[:, None] == 1, single, 1 - single)
    np.testing.assert_allclose(binary, -np.mean(np.log(right)), rtol=1e-5)
