"""With λ = 0, `fit` is Keras's own with any loss: how it reduces, what it ignores, whoever wrote it."""

import keras
import numpy as np
import pytest
from conftest import dense_embedder
from keras import layers, ops

from keras_pli.retraining import PLILoss, PLIModel

L = keras.losses
RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 6)).astype(np.float32)
LABELS = np.arange(30) % 3
ROWS = np.eye(3, dtype=np.float32)[LABELS]


class Focal(L.Loss):
    """Says nothing of `gamma` in its configuration, as losses of users often do not."""

    def __init__(self, gamma=2.0, **kwargs):
        super().__init__(**kwargs)
        self.gamma = gamma

    def call(self, y_true, y_pred):
        p = ops.sum(ops.one_hot(ops.cast(y_true, "int32"), 3) * y_pred, axis=-1)
        return -((1.0 - p) ** self.gamma) * ops.log(p)


@keras.saving.register_keras_serializable(package="tests")
class RegisteredFocal(Focal):
    pass


class Whole(L.Loss):
    """Does all of its work in `__call__`."""

    def __call__(self, y_true, y_pred, sample_weight=None):
        values = ops.sum(ops.square(y_true - y_pred), axis=-1)
        if sample_weight is not None:
            values = values * ops.cast(sample_weight, values.dtype)
        return 2.0 * ops.sum(values)


def closure(power):
    def loss(y_true, y_pred):
        return ops.mean(ops.abs(y_true - y_pred) ** power, axis=-1)

    return loss


class Quotient:
    """A callable that is no loss of Keras's."""

    def __call__(self, y_true, y_pred):
        return ops.sum(y_true / (0.1 + y_pred), axis=-1)


LOSSES = {
    "lambda": (lambda y, p: ops.mean(ops.square(y - p), axis=-1), ROWS),
    "closure": (closure(3.0), ROWS),
    "callable": (Quotient(), ROWS),
    "one number": (lambda y, p: ops.mean(ops.square(y - p)), ROWS),
    "a number an output": (lambda y, p: ops.square(y - p), ROWS),
    "a class of one's own": (Focal(gamma=5.0), LABELS),
    "registered": (RegisteredFocal(gamma=5.0), LABELS),
    "a __call__ of its own": (Whole(), ROWS),
    "sum": (L.SparseCategoricalCrossentropy(reduction="sum"), LABELS),
    "weighted mean": (L.MeanSquaredError(reduction="mean_with_sample_weight"), ROWS),
    "none": (L.MeanSquaredError(reduction="none"), ROWS),
    "ignored class": (L.SparseCategoricalCrossentropy(ignore_class=1), LABELS),
    "all but one ignored": (
        L.SparseCategoricalCrossentropy(ignore_class=-1),
        np.where(np.arange(30) % 10, -1, 2),
    ),
    "float64": (L.SparseCategoricalCrossentropy(dtype="float64"), LABELS),
    "by shape": ("ce", LABELS),
    "list": (["mse"], ROWS),
    "class": (L.KLDivergence, ROWS),
}
WEIGHTS = np.linspace(0, 3, 30).astype(np.float32)


def weights_of(model):
    return np.concatenate([w.ravel() for w in model.get_weights()])


def both(make, loss, x, y, targets, embedder, *, weight=0.0, compiling=None, **fit):
    """Weights and logs of plain `fit` and of a PLIModel's, from the same start and random states."""
    found = []
    for ours in (False, True):
        keras.utils.set_random_seed(1)
        classifier = make()
        start = weights_of(classifier)
        model = PLIModel(classifier, embedder) if ours else classifier
        chosen = PLILoss(loss, weight) if ours else loss
        optimizer = keras.optimizers.SGD(0.05, momentum=0.9)
        model.compile(optimizer, chosen, run_eagerly=True, **compiling or {})
        keras.utils.set_random_seed(7)
        wanted = {"label": y, "embedding": targets} if ours else y
        logs = model.fit(x, wanted, batch_size=20, epochs=1, verbose=0, **fit).history
        assert not np.array_equal(weights_of(classifier), start)
        found.append((weights_of(classifier), logs))
    return found


def softmax_head():
    return keras.Sequential([keras.Input((6,)), layers.Dense(3, "softmax")])


# Further ways to say what one of these says are slow.
SOON = ("lambda", "a __call__ of its own")


@pytest.mark.parametrize(
    ("name", "weighted"),
    [
        *(
            pytest.param(name, False, marks=() if name in SOON else pytest.mark.slow)
            for name in LOSSES
        ),
        pytest.param("lambda", True, marks=pytest.mark.slow),
        pytest.param("one number", True, marks=pytest.mark.slow),
        pytest.param("a __call__ of its own", True, marks=pytest.mark.slow),
        pytest.param("sum", True, marks=pytest.mark.slow),
        pytest.param("weighted mean", True, marks=pytest.mark.slow),
        ("ignored class", True),
    ],
)
def test_weights_are_those_of_plain_fit(name, weighted):
    loss, labels = LOSSES[name]
    targets = RNG.normal(size=(30, 2))
    fit = {"sample_weight": WEIGHTS} if weighted else {}
    plain, ours = both(softmax_head, loss, X, labels, targets, dense_embedder(), **fit)
    np.testing.assert_array_equal(ours[0], plain[0])
    np.testing.assert_allclose(ours[1]["loss"], plain[1]["loss"], rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("weighted", [False, True])
def test_masked_steps_are_left_out_as_in_plain_fit(weighted):
    def tagger():
        inputs = keras.Input((4, 2))
        steps = layers.SimpleRNN(3, return_sequences=True)(layers.Masking()(inputs))
        return keras.Model(inputs, layers.Dense(3, "softmax")(steps))

    x = RNG.normal(size=(30, 4, 2)).astype(np.float32)
    x[::2, 2:] = 0.0
    labels, targets = RNG.integers(0, 3, (30, 4)), np.zeros((30, 2))
    fit = {"sample_weight": RNG.uniform(size=(30, 4)).astype(np.float32)} if weighted else {}
    plain, ours = both(tagger, "ce", x, labels, targets, dense_embedder(features=12), **fit)
    np.testing.assert_array_equal(ours[0], plain[0])
    np.testing.assert_allclose(ours[1]["loss"], plain[1]["loss"], rtol=1e-6)


def test_what_is_logged_leaves_ignored_samples_out():
    classifier = softmax_head()
    pli = PLIModel(classifier, dense_embedder())
    pli.compile("sgd", PLILoss(L.SparseCategoricalCrossentropy(ignore_class=1), 0.3, scale=1.0))
    logs = pli.evaluate(X, LABELS, batch_size=30, verbose=0, return_dict=True)
    outputs = classifier.predict(X, verbose=0).astype(np.float64)
    kept = LABELS != 1
    expected = -np.mean(np.log(outputs[kept, LABELS[kept]]))
    assert logs["classification_loss"] == pytest.approx(expected, rel=1e-5)
    assert logs["loss"] == pytest.approx(expected, rel=1e-5)


def test_the_loss_in_use_is_the_one_given():
    loss = RegisteredFocal(gamma=5.0)
    pli = PLIModel(softmax_head(), dense_embedder())
    pli.compile("sgd", PLILoss(loss, 0.3), run_eagerly=True)
    pli.fit(X, {"label": LABELS, "embedding": RNG.normal(size=(30, 2))}, verbose=0)
    assert pli.loss_function.classification_loss is loss
    assert pli.loss_function.scale > 0
