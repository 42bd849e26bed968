"""Which form of labels a loss takes, found by trying it; and which labels are refused in words."""

import functools
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import dense_embedder
from keras import layers, ops
from slow_cases import slow

from keras_pli.intervention import InterventionPlan, Shift
from keras_pli.retraining import PLILoss, PLIModel, ShuffledBatches, pli_experiment
from keras_pli.retraining.labels import label_form

L = keras.losses
CROSS_ENTROPY = "sparse_categorical_crossentropy"


def focal(y_true, y_pred):
    rows = ops.one_hot(ops.cast(y_true, "int32"), y_pred.shape[-1])
    p = ops.sum(rows * y_pred, axis=-1)
    return -((1.0 - p) ** 2) * ops.log(p)


def at_column(y_true, y_pred):
    return -ops.log(ops.take_along_axis(y_pred, ops.cast(y_true, "int32"), axis=1))


def of_rows(y_true, y_pred):
    return ops.sparse_categorical_crossentropy(ops.argmax(y_true, axis=-1), y_pred)


def gathered(y_true, y_pred):
    return -ops.log(tf.gather(y_pred, tf.cast(y_true, "int32"), batch_dims=1))


def of_outputs(y_true, y_pred):
    return ops.sum(ops.square(y_pred), axis=-1)


class TestForm:
    """By what Keras's documentation says of its losses, and functions whose arithmetic says it."""

    @pytest.mark.parametrize("classes", [2, 3, 10])
    @pytest.mark.parametrize(
        ("loss", "form"),
        [
            ("mse", "one_hot"),
            ("huber", "one_hot"),
            ("kl_divergence", "one_hot"),
            ("binary_crossentropy", "one_hot"),
            ("categorical_hinge", "one_hot"),
            ("dice", "one_hot"),
            (L.CategoricalCrossentropy(name="sparse_ce"), "one_hot"),
            (L.CategoricalFocalCrossentropy(), "one_hot"),
            (CROSS_ENTROPY, "integers"),
            ("ce", "integers"),
            (L.SparseCategoricalCrossentropy(name="categorical", ignore_class=1), "integers"),
            (functools.partial(L.sparse_categorical_crossentropy, from_logits=True), "integers"),
            (focal, "integers"),
            (lambda y, p: ops.mean(ops.square(y - p)), "one_hot"),
            (lambda y, p: ops.square(y - p), "one_hot"),
            (of_outputs, "integers"),  # which gives the same for each
        ],
    )
    def test_of_several_outputs(self, loss, form, classes):
        assert label_form(PLILoss(loss), (classes,)) == form

    @pytest.mark.parametrize("loss", ["mse", "binary_crossentropy", "hinge", "ce"])
    def test_of_one_output(self, loss):
        assert label_form(PLILoss(loss), (1,)) == "one_hot"

    def test_of_positions(self):
        assert label_form(PLILoss(), (5, None, 3)) == "integers"
        assert label_form(PLILoss("mse"), (5, None, 3)) == "one_hot"

    @pytest.mark.parametrize("loss", [at_column, of_rows, gathered])
    def test_several_forms_ask(self, loss):
        with pytest.raises(
            ValueError, match=r"several forms.*`label_form`: 'column', 'one_hot'|'int"
        ):
            label_form(PLILoss(loss), (10,))
        assert label_form(PLILoss(loss), (10,), "column") == "column"

    def test_no_form(self):
        def fails(y_true, y_pred):
            raise RuntimeError("no")

        for loss in (fails, "ctc", lambda y, p: ops.log(ops.sum(p, axis=-1) - 9.0)):
            with pytest.raises(ValueError, match=r"takes no class labels beside .*\(samples, 4\)"):
                label_form(PLILoss(loss), (4,))

    def test_a_form_that_is_not_taken(self):
        with pytest.raises(ValueError, match=r"'mean_squared_error'.*'integers'.*but 'one_hot'"):
            label_form(PLILoss("mse"), (4,), "integers")
        with pytest.raises(ValueError, match=r"`label_form` must be one of .*'onehot'.*'one_hot'"):
            label_form(PLILoss("mse"), (4,), "onehot")

    def test_a_trial_leaves_nothing_behind(self):
        class Counts(L.Loss):
            def __init__(self):
                super().__init__()
                self.calls = keras.Variable(0.0, trainable=False)

            def call(self, y_true, y_pred):
                self.calls.assign_add(1.0)
                return focal(y_true, y_pred)

        loss = Counts()
        assert label_form(PLILoss(loss), (4,)) == "integers"
        assert float(loss.calls) == 0.0


@pytest.mark.slow
def test_the_control_is_plain_training_on_one_hot_labels(digits):
    """Ten classes in batches of ten, where integers would be broadcast against outputs unseen."""
    (x, labels), test = digits
    x, labels = x[:100], labels[:100]

    def compiled():
        inputs = keras.Input((64,))
        outputs = layers.Dense(10, "softmax", name="out", kernel_initializer="zeros")(inputs)
        classifier = keras.Model(inputs, outputs)
        classifier.compile(keras.optimizers.SGD(0.5), {"out": "mse"})
        return classifier

    class Rows(ShuffledBatches):
        def __getitem__(self, index):
            x, y = super().__getitem__(index)
            return x, np.eye(10)[y["label"]]

    plain = compiled()
    batches = Rows(x, {"label": labels}, batch_size=10, seed=0)
    plain.fit(batches, epochs=2, shuffle=False, verbose=0)
    weights = {}
    pli_experiment(
        compiled(),
        (x, labels),
        test,
        InterventionPlan([Shift(3, by=(1.0, 0.5))]),
        embedder=dense_embedder(features=10),
        epochs=2,
        batch_size=10,
        seeds=1,
        on_trained=lambda seed, arm, model: weights.update({arm: model.get_weights()}),
        verbose=0,
    )
    for ours, theirs in zip(weights["control"], plain.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert np.abs(theirs).max() > 1e-3
    assert not np.array_equal(weights["PLI"][0], weights["control"][0])


def model_of(outputs, loss, embedding_weight=0.0):
    classifier = keras.Sequential([keras.Input((6,)), layers.Dense(outputs)])
    pli = PLIModel(classifier, dense_embedder(features=outputs))
    pli.compile("sgd", PLILoss(loss, embedding_weight), run_eagerly=True)
    return pli


X = np.random.default_rng(0).normal(size=(10, 6)).astype(np.float32)
LABELS = np.arange(10) % 3
ROWS = np.eye(3)[LABELS]


class TestRefusedByFit:
    @pytest.mark.parametrize(
        ("outputs", "loss", "labels", "way"),
        [
            (10, "mse", LABELS, "keras.utils.to_categorical(labels, 10)"),
            (10, "mse", LABELS[:, None], "keras.utils.to_categorical(labels, 10)"),
            (3, "categorical_crossentropy", LABELS, "keras.utils.to_categorical(labels, 3)"),
            (3, CROSS_ENTROPY, ROWS, "labels.argmax(axis=-1)"),
            (3, at_column, LABELS, "labels[..., None]"),
        ],
    )
    @pytest.mark.parametrize("given", ["arrays", "data set", slow("validation")])
    def test_another_form(self, outputs, loss, labels, way, given):
        pli = model_of(outputs, loss)
        with pytest.raises(ValueError, match="does not take labels of shape") as caught:
            if given == "validation":
                pli.evaluate(X, labels, verbose=0)
            elif given == "arrays":
                pli.fit(X, labels, verbose=0)
            else:
                pli.fit(tf.data.Dataset.from_tensor_slices((X, labels)).batch(5), verbose=0)
        assert f"Pass `{way}`." in str(caught.value)
        assert str(outputs) in str(caught.value)

    def test_a_column_for_one_output_of_a_loss_that_keras_aligns_nothing_for(self):
        class Plain(L.Loss):
            def call(self, y_true, y_pred):
                return ops.square(y_true - y_pred)

        with pytest.raises(ValueError, match=r"Pass `labels\[..., None\]`"):
            model_of(1, Plain()).fit(X, LABELS % 2, verbose=0)
        model_of(1, Plain()).fit(X, (LABELS % 2)[:, None], verbose=0)

    @pytest.mark.parametrize(
        ("outputs", "loss", "labels", "words"),
        [
            (3, CROSS_ENTROPY, LABELS + 1, "from 0 to 2. Received also: 3. Counted from 1? Pass"),
            (3, CROSS_ENTROPY, LABELS - 1, "from 0 to 2. Received also: -1."),
            (3, CROSS_ENTROPY, LABELS + 0.5, "Received also: 0.5, 1.5, 2.5"),
            (2, "ce", np.sign(LABELS - 0.5).astype(int), "(labels > 0).astype(int)"),
            (
                1,
                "binary_crossentropy",
                np.sign(LABELS - 0.5),
                "between 0 and 1 … Received: -1.0, 1.0",
            ),
        ],
    )
    @pytest.mark.parametrize("validation", [False, True])
    def test_other_values(self, outputs, loss, labels, words, validation):
        pli = model_of(outputs, loss)
        pattern = ".*".join(map(re.escape, words.split(" … ")))
        name = "labels of validation_data" if validation else r"y\['label'\]"
        with pytest.raises(ValueError, match=f"`{name}`.*{pattern}"):
            if validation:
                pli.fit(X, np.zeros(10, int), validation_data=(X, labels), verbose=0)
            else:
                pli.fit(X, labels, verbose=0)

    def test_an_ignored_class_may_lie_elsewhere(self):
        loss = L.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)
        history = model_of(3, loss).fit(X, LABELS - (LABELS == 0), verbose=0).history
        assert np.isfinite(history["loss"]).all()

    def test_signs_suit_a_hinge(self):
        model_of(1, "hinge").fit(X, np.sign(LABELS - 0.5), verbose=0)


class TestRefusedByAnExperiment:
    """Before anything is trained, and before the folder is claimed."""

    @pytest.fixture
    def refused(self, tmp_path):
        def run(match, x=X, labels=LABELS, test=(X, LABELS), classifier=None, **settings):
            if classifier is None:
                classifier = keras.Sequential([keras.Input((6,)), layers.Dense(3, "softmax")])
                classifier.compile("sgd", settings.pop("loss", CROSS_ENTROPY))
            with pytest.raises(ValueError, match=match):
                pli_experiment(
                    classifier,
                    (x, labels),
                    test,
                    InterventionPlan([Shift(1, by=(1.0, 0.5))]),
                    embedder=dense_embedder(),
                    out=tmp_path / "folder",
                    **{"verbose": 0, **settings},
                )
            assert not (tmp_path / "folder").exists()

        return run

    def test_classes_counted_from_one(self, refused):
        refused(
            r"`labels of train` must be.*from 0 to 2.*: 3\. Counted.*labels - 1", labels=LABELS + 1
        )
        refused(r"`labels of test`.*: 3\.", test=(X, LABELS + 1))

    def test_signs(self, refused):
        classifier = keras.Sequential([keras.Input((6,)), layers.Dense(1, "tanh")])
        classifier.compile("sgd", "hinge")
        signs = np.where(LABELS == 1, 1, -1)
        refused(
            r"0 to 1. Received also: -1. Pass `\(labels > 0\)", classifier=classifier, labels=signs
        )

    def test_several_labels_a_sample(self, refused):
        refused("one class a sample.*none or several", labels=np.ones((10, 3), int))

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_inputs_that_are_not_finite(self, refused, bad):
        x = X.copy()
        x[[2, 7], 3] = bad
        refused(r"Inputs of `test` must be finite, but 2 of 10.*rows 2, 7", test=(x, LABELS))
        refused(r"Inputs of `train` must be finite", x=x)

    def test_several_outputs(self, refused):
        inputs = keras.Input((6,))
        outputs = {name: layers.Dense(3, name=name)(inputs) for name in ("left", "right")}
        classifier = keras.Model(inputs, outputs)
        classifier.compile("sgd", {"left": "mse", "right": "mse"})
        refused(r"has one output\..* has 2: 'left', 'right'", classifier=classifier)

    def test_outputs_with_positions(self, refused):
        inputs = keras.Input((6,))
        classifier = keras.Model(inputs, layers.Reshape((2, 3))(layers.Dense(6)(inputs)))
        classifier.compile("sgd", CROSS_ENTROPY)
        refused(r"\(samples, classes\).* \(samples, 2, 3\)", classifier=classifier)

    def test_a_loss_of_several_forms(self, refused):
        refused("label_form", loss=at_column)

    def test_several_losses(self, refused):
        refused("one loss, for a model of one output. Received: 'mse', 'mae'", loss=["mse", "mae"])

    def test_weights_of_losses(self, refused):
        classifier = keras.Sequential([keras.Input((6,)), layers.Dense(3, "softmax")])
        classifier.compile("sgd", CROSS_ENTROPY, loss_weights=0.5)
        refused(r"`loss_weights`.*Received: 0.5", classifier=classifier)

    def test_samples_of_two_numbers(self, refused):
        refused(r"same number of samples.*10, 9", x={"a": X, "b": X[:9]})
