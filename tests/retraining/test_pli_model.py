import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from keras.src.trainers.data_adapters import data_adapter_utils

from keras_pli import ParametricTSNE, activations
from keras_pli.retraining import PLILoss, PLIModel
from keras_pli.retraining.batch_weights import weight_table
from keras_pli.retraining.batch_weights import weights_of as weights_of_labels

CROSS_ENTROPY = "sparse_categorical_crossentropy"
FROM_LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def softmax_head():
    return keras.Sequential(
        [keras.Input((6,)), layers.Dense(8, "relu", name="hidden"), layers.Dense(3, "softmax")],
        name="plain",
    )


def logits_head():
    return keras.Sequential([keras.Input((6,)), layers.Dense(8, "relu"), layers.Dense(3)])


def softmax_layer():
    inputs = keras.Input((6,))
    return keras.Model(inputs, layers.Softmax()(layers.Dense(3)(layers.Dense(8, "relu")(inputs))))


def softmax_operation():
    inputs = keras.Input((6,))
    return keras.Model(inputs, keras.ops.softmax(layers.Dense(3)(inputs)))


def noisy():
    return keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(8, "relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.4),
            layers.GaussianNoise(0.3),
            layers.Dense(3, "softmax"),
        ]
    )


def penalised():
    return keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(8, "relu", kernel_regularizer="l2", activity_regularizer="l1"),
            layers.Dense(3, "softmax", kernel_regularizer="l2", bias_regularizer="l1"),
        ]
    )


def convolutional():
    return keras.Sequential(
        [
            keras.Input((6,)),
            layers.Reshape((3, 2, 1)),
            layers.Conv2D(4, 2, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(3, "softmax"),
        ]
    )


class Subclassed(keras.Model):
    def __init__(self, dropped=0.3):
        super().__init__()
        self.hidden = layers.Dense(8, "relu", name="hidden")
        self.drop = layers.Dropout(dropped)
        self.head = layers.Dense(3, "softmax", name="head")

    def call(self, inputs, training=None):
        return self.head(self.drop(self.hidden(inputs), training=training))


def without_noise():  # dropout would shake the map
    return Subclassed(dropped=0.0)


def nested():
    inputs = keras.Input((6,))
    backbone = keras.Sequential(
        [keras.Input((6,)), layers.Dense(5, "relu", name="low"), layers.Dense(4, name="high")],
        name="backbone",
    )
    return keras.Model(inputs, layers.Dense(3, "softmax", name="head")(backbone(inputs)))


def nesterov():
    return keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True)


def weights_of(model):
    return [np.copy(keras.ops.convert_to_numpy(variable.value)) for variable in model.variables]


def same(ours, others):
    return len(ours) == len(others) and all(map(np.array_equal, ours, others))


def seeded(make, blobs):
    keras.utils.set_random_seed(11)
    model = make()
    model(blobs[0][0][:2])  # subclassed ones get their weights
    return model


def target_of(classifier, embedder, x, layer="logits", by=(2.0, -1.0)):
    return np.asarray(embedder(activations(classifier, x, layer))) + np.float32(by)


def trained_with_pli(
    classifier,
    embedder,
    x,
    y,
    *,
    weight,
    layer="logits",
    optimizer="adam",
    loss=CROSS_ENTROPY,
    **fit,
):
    compiling = {key: fit.pop(key) for key in ("metrics", "jit_compile") if key in fit}
    pli = PLIModel(classifier, embedder, layer)
    pli.compile(optimizer, PLILoss(loss, weight, scale=fit.pop("scale", "spread")), **compiling)
    keras.utils.set_random_seed(7)
    history = pli.fit(x, y, **{"epochs": 2, "batch_size": 20, "verbose": 0, **fit})
    return pli, history.history


class TestControlIsPlainTraining:
    """With λ = 0 the weights equal those of `classifier.fit` to the last bit."""

    CASES = (
        (softmax_head, CROSS_ENTROPY, nesterov),
        (logits_head, FROM_LOGITS, keras.optimizers.Adam),
        (softmax_layer, CROSS_ENTROPY, keras.optimizers.Adam),
        (softmax_operation, CROSS_ENTROPY, nesterov),
        (noisy, CROSS_ENTROPY, keras.optimizers.Adam),
        (penalised, CROSS_ENTROPY, keras.optimizers.Adam),
        (convolutional, CROSS_ENTROPY, nesterov),
        (Subclassed, CROSS_ENTROPY, keras.optimizers.Adam),
    )

    @staticmethod
    def plain(make, blobs, *arguments, optimizer=nesterov, loss=CROSS_ENTROPY, metrics=None, **fit):
        model = seeded(make, blobs)
        before = weights_of(model)
        model.compile(optimizer(), loss, metrics=metrics)
        keras.utils.set_random_seed(7)
        history = model.fit(*arguments, **{"epochs": 2, "batch_size": 20, "verbose": 0, **fit})
        assert not same(before, weights_of(model))
        return model, history.history

    @pytest.mark.parametrize(
        ("make", "loss", "optimizer"),
        [pytest.param(*case, marks=() if case[0] is noisy else pytest.mark.slow) for case in CASES],
    )
    def test_model_and_optimizer(self, blobs, embedder, make, loss, optimizer):
        x, labels = blobs[0]
        plain, history = self.plain(make, blobs, x, labels, optimizer=optimizer, loss=loss)
        ours = seeded(make, blobs)
        targets = target_of(ours, embedder, x)
        _, logged = trained_with_pli(
            ours,
            embedder,
            x,
            {"label": labels, "embedding": targets},
            weight=0.0,
            optimizer=optimizer(),
            loss=loss,
        )
        assert same(weights_of(ours), weights_of(plain))
        np.testing.assert_allclose(logged["loss"], history["loss"], rtol=1e-6)

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "fit",
        [
            {"sample_weight": np.linspace(0, 3, 90).astype(np.float32)},
            {"class_weight": {0: 3.0, 2: 0.25}},
            {"validation_split": 0.2},
            {"steps_per_epoch": 3},
        ],
        ids=lambda fit: next(iter(fit)),
    )
    def test_arguments_of_fit(self, blobs, embedder, fit):
        x, labels = blobs[0]
        plain, history = self.plain(softmax_head, blobs, x, labels, **fit)
        ours = seeded(softmax_head, blobs)
        wanted = {"label": labels, "embedding": target_of(ours, embedder, x)}
        _, logged = trained_with_pli(
            ours, embedder, x, wanted, weight=0.0, optimizer=nesterov(), **fit
        )
        assert same(weights_of(ours), weights_of(plain))
        np.testing.assert_allclose(logged["loss"], history["loss"], rtol=1e-6)

    @pytest.mark.slow
    def test_labels_alone(self, blobs, embedder):
        x, labels = blobs[0]
        plain, _ = self.plain(noisy, blobs, x, labels)
        ours = seeded(noisy, blobs)
        trained_with_pli(ours, embedder, x, labels, weight=0.0, optimizer=nesterov())
        assert same(weights_of(ours), weights_of(plain))

    @pytest.mark.slow
    def test_one_hot_labels_and_metrics(self, blobs, embedder):
        x, labels = blobs[0]
        rows = np.eye(3, dtype=np.float32)[labels]
        given = {"loss": "categorical_crossentropy", "metrics": ["accuracy"]}
        given["class_weight"] = {0: 2.0, 1: 0.5}
        plain, history = self.plain(softmax_head, blobs, x, rows, **given)
        ours = seeded(softmax_head, blobs)
        wanted = {"label": rows, "embedding": target_of(ours, embedder, x)}
        _, logged = trained_with_pli(
            ours, embedder, x, wanted, weight=0.0, optimizer=nesterov(), **given
        )
        assert same(weights_of(ours), weights_of(plain))
        assert logged["accuracy"] == history["accuracy"]

    @pytest.mark.parametrize(
        ("weighted", "with_targets"),
        [pytest.param(False, False, marks=pytest.mark.slow), (True, True)],
    )
    def test_data_sets(self, blobs, embedder, weighted, with_targets):
        x, labels = blobs[0]
        ours = seeded(noisy, blobs)
        wanted = {"label": labels, "embedding": target_of(ours, embedder, x).astype(np.float64)}
        rest = (np.linspace(0, 3, 90).astype(np.float32),) if weighted else ()

        def batches(y):
            return tf.data.Dataset.from_tensor_slices((x, y, *rest)).batch(20)

        plain, _ = self.plain(noisy, blobs, batches(labels), batch_size=None)
        y = wanted if with_targets else labels
        trained_with_pli(
            ours, embedder, batches(y), None, weight=0.0, optimizer=nesterov(), batch_size=None
        )
        assert same(weights_of(ours), weights_of(plain))

    def test_a_mixed_precision_classifier(self, blobs, embedder, mixed_precision):
        x, labels = blobs[0]
        plain, _ = self.plain(softmax_head, blobs, x, labels)
        ours = seeded(softmax_head, blobs)
        wanted = {"label": labels, "embedding": target_of(ours, embedder, x)}
        trained_with_pli(ours, embedder, x, wanted, weight=0.0, optimizer=nesterov())
        assert same(weights_of(ours), weights_of(plain))


@pytest.fixture
def mixed_precision():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy(before)


@pytest.fixture
def shifted(blobs, embedder):
    """A classifier with data whose targets are the whole map, shifted."""
    x, labels = blobs[0]
    classifier = seeded(softmax_head, blobs)
    return classifier, x, {"label": labels, "embedding": target_of(classifier, embedder, x)}


class TestTheMapFollows:
    CASES = (
        (softmax_head, "logits", 3),
        (softmax_operation, "logits", 3),
        (nested, "backbone/high", 4),
        (without_noise, "hidden", 8),
        (without_noise, "head", 3),
    )

    @pytest.mark.slow
    @pytest.mark.parametrize(("make", "layer", "features"), CASES)
    def test_points_come_nearer(self, blobs, make, layer, features):
        (x, labels), (x_test, _) = blobs
        classifier, embedder = seeded(make, blobs), map_of(features)
        targets = target_of(classifier, embedder, x, layer, by=(0.5, -0.3))
        held_out = target_of(classifier, embedder, x_test, layer, by=(0.5, -0.3))
        frozen = weights_of(embedder)
        pli, history = trained_with_pli(
            classifier,
            embedder,
            x,
            {"label": labels, "embedding": targets},
            weight=0.9,
            layer=layer,
            optimizer=keras.optimizers.Adam(0.02),
            epochs=6,
        )
        assert history["embedding_loss"][-1] < 0.6 * history["embedding_loss"][0]
        found = embedder.predict(activations(classifier, x_test, layer), verbose=0)
        missed = np.mean(np.sum((found - held_out) ** 2, axis=1))
        assert missed < 0.6 * (0.5**2 + 0.3**2)
        np.testing.assert_allclose(
            pli.predict(x_test, verbose=0)["embedding"], found, rtol=1e-4, atol=1e-5
        )
        assert same(weights_of(embedder), frozen)

    @pytest.mark.slow
    def test_only_the_moved_are_asked(self, blobs, embedder):
        x, labels = blobs[0]
        moved = labels == 1
        trained = []
        for elsewhere in (5.0, -5.0):  # targets of the others must not matter
            classifier = seeded(softmax_head, blobs)
            targets = target_of(classifier, embedder, x)
            targets[~moved] += elsewhere
            pli = PLIModel(classifier, embedder)
            pli.compile(nesterov(), PLILoss(embedding_weight=0.5, moved_only=True, scale=1.0))
            y = {"label": labels, "embedding": targets, "moved": moved}
            pli.fit(x, y, epochs=1, shuffle=False, verbose=0)
            trained.append(weights_of(classifier))
        assert same(*trained)

    def test_a_step_of_gradient_descent_by_hand(self, blobs):
        """One step on a linear classifier and a linear map, against the gradient on paper."""
        x, labels = blobs[0]
        keras.utils.set_random_seed(1)
        classifier = keras.Sequential(
            [keras.Input((6,)), layers.Dense(3, "softmax", use_bias=False)]
        )
        embedder = keras.Sequential([keras.Input((3,)), layers.Dense(2, use_bias=False)])
        w, v = (model.get_weights()[0].astype(np.float64) for model in (classifier, embedder))
        targets = np.random.default_rng(0).normal(size=(90, 2))
        weight, scale, rate = 0.3, 2.0, 0.1
        logits = x @ w
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        of_logits = (1 - weight) * (p - np.eye(3)[labels])
        of_logits += weight * 2 / scale * (logits @ v - targets) @ v.T
        expected = w - rate * x.T @ of_logits / 90
        trained_with_pli(
            classifier,
            embedder,
            x,
            {"label": labels, "embedding": targets},
            weight=weight,
            optimizer=keras.optimizers.SGD(rate),
            scale=scale,
            epochs=1,
            batch_size=90,
        )
        np.testing.assert_allclose(classifier.get_weights()[0], expected, rtol=1e-4, atol=1e-6)
        assert np.abs(expected - w).max() > 0.01


def map_of(features):
    return keras.Sequential(
        [
            keras.Input((features,)),
            layers.Dense(2, kernel_initializer=keras.initializers.Orthogonal(seed=2)),
        ]
    )


class TestNothingIsLeftBehind:
    @pytest.mark.slow
    def test_in_the_classifier(self, shifted, embedder):
        classifier, x, y = shifted

        def state():
            return (
                classifier.get_config(),
                [set(layer.__dict__) for layer in (classifier, *classifier.layers)],
                [getattr(layer, "activation", None) for layer in classifier.layers],
                [layer.trainable for layer in classifier.layers],
                type(classifier),
            )

        before = state()
        pli, _ = trained_with_pli(classifier, embedder, x, y, weight=0.5)
        pli.evaluate(x, y, verbose=0)
        assert state() == before
        assert not any("call" in layer.__dict__ for layer in (classifier, *classifier.layers))

    @pytest.mark.slow
    def test_after_training_broke_off(self, shifted, embedder):
        classifier, x, y = shifted
        before = [set(layer.__dict__) for layer in classifier.layers]

        class Stop(keras.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            trained_with_pli(classifier, embedder, x, y, weight=0.5, callbacks=[Stop()])
        assert [set(layer.__dict__) for layer in classifier.layers] == before
        assert np.all(np.isfinite(classifier.predict(x, verbose=0)))

    @pytest.mark.slow
    @pytest.mark.parametrize("trainable", [True, False])
    def test_in_the_embedder(self, shifted, trainable):
        classifier, x, y = shifted
        embedder = map_of(3)
        embedder.trainable = trainable
        flags = [layer.trainable for layer in (embedder, *embedder.layers)]
        frozen = weights_of(embedder)
        pli, _ = trained_with_pli(classifier, embedder, x, y, weight=0.9)
        assert same(weights_of(embedder), frozen)
        assert [layer.trainable for layer in (embedder, *embedder.layers)] == flags
        assert len(pli.trainable_variables) == len(classifier.trainable_variables)

    @pytest.mark.slow
    def test_frozen_layers_of_the_classifier_stay_frozen(self, shifted, embedder):
        classifier, x, y = shifted
        classifier.layers[0].trainable = False
        before = [weights_of(layer) for layer in classifier.layers]
        trained_with_pli(classifier, embedder, x, y, weight=0.9)
        assert same(weights_of(classifier.layers[0]), before[0])
        assert not same(weights_of(classifier.layers[1]), before[1])

    def test_what_is_saved_needs_nothing_of_this_package(self, shifted, embedder, tmp_path):
        classifier, x, y = shifted
        keeper = keras.callbacks.ModelCheckpoint(tmp_path / "checkpoint.keras")
        pli, _ = trained_with_pli(classifier, embedder, x, y, weight=0.5, callbacks=[keeper])
        classifier.save(tmp_path / "classifier.keras")
        pli.save(tmp_path / "pli.keras")
        expected = classifier.predict(x, verbose=0)
        for name in ("checkpoint", "classifier", "pli"):
            path = tmp_path / f"{name}.keras"
            with zipfile.ZipFile(path) as stored:
                for part in ("config.json", "metadata.json"):
                    assert b"keras_pli" not in stored.read(part)  # neither a module nor a name
            model = keras.saving.load_model(path)
            assert model.name == "plain"
            found = model.predict(x, verbose=0)
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


class TestTrainingAsKerasUsersKnowIt:
    def test_metrics_are_of_the_classification(self, shifted, embedder, untraced):
        classifier, x, y = shifted
        with untraced():
            pli, _ = trained_with_pli(classifier, embedder, x, y, weight=0.3, metrics=["accuracy"])
            logs = pli.evaluate(x, y, return_dict=True, verbose=0)
        outputs = classifier.predict(x, verbose=0).astype(np.float64)
        assert logs["accuracy"] == pytest.approx(np.mean(outputs.argmax(axis=1) == y["label"]))
        cross_entropy = -np.mean(np.log(outputs[np.arange(90), y["label"]]))
        assert logs["classification_loss"] == pytest.approx(cross_entropy, rel=1e-4)
        found = embedder.predict(activations(classifier, x), verbose=0)
        distance = np.mean(np.sum((found - y["embedding"]) ** 2, axis=1))
        scaled = distance / pli.loss_function.scale
        assert logs["embedding_loss"] == pytest.approx(scaled, rel=1e-4)
        assert logs["loss"] == pytest.approx(0.7 * cross_entropy + 0.3 * scaled, rel=1e-4)

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("labels_alone", "as_data_set"),
        [(True, True), (False, False)],
    )
    def test_validation(self, shifted, embedder, blobs, labels_alone, as_data_set):
        classifier, x, y = shifted
        x_test, labels_test = blobs[1]
        wanted = labels_test
        if not labels_alone:
            wanted = {"label": labels_test, "embedding": np.zeros((90, 2), np.float32)}
        data = (x_test, wanted)
        if as_data_set:
            data = tf.data.Dataset.from_tensor_slices(data).batch(32)
        _, history = trained_with_pli(
            classifier,
            embedder,
            x,
            y,
            weight=0.3,
            scale=2.0,
            validation_data=data,
            class_weight={1: 9.0},
            metrics=["accuracy"],
        )
        outputs = classifier.predict(x_test, verbose=0).astype(np.float64)
        expected = -np.mean(np.log(outputs[np.arange(90), labels_test]))
        assert history["val_classification_loss"][-1] == pytest.approx(expected, rel=1e-4)
        if not labels_alone:
            found = embedder.predict(activations(classifier, x_test), verbose=0)
            expected = 0.7 * expected + 0.3 * np.mean(np.sum(found**2, axis=1)) / 2
        assert history["val_loss"][-1] == pytest.approx(expected, rel=1e-4)
        right = np.mean(outputs.argmax(axis=1) == labels_test)
        assert history["val_accuracy"][-1] == pytest.approx(right, rel=1e-5)

    @pytest.mark.slow
    def test_a_sample_of_weight_two_is_a_sample_given_twice(self, blobs, embedder):
        x, labels = (values[:30] for values in blobs[0])
        trained = []
        for twice in (True, False):
            classifier = seeded(softmax_head, blobs)
            y = {"label": labels, "embedding": target_of(classifier, embedder, x)}
            given, fit = x, {"sample_weight": np.where(np.arange(30) < 10, 2.0, 1.0)}
            rate = 0.1
            if twice:
                rows = np.concatenate([np.arange(30), np.arange(10)])
                given, y, fit = x[rows], {k: v[rows] for k, v in y.items()}, {}
                rate = 0.1 * 40 / 30  # Keras divides by the samples, not by their weights
            trained_with_pli(
                classifier,
                embedder,
                given,
                y,
                weight=0.4,
                optimizer=keras.optimizers.SGD(rate),
                scale=1.5,
                batch_size=40,
                epochs=3,
                **fit,
            )
            trained.append(np.concatenate([w.ravel() for w in weights_of(classifier)]))
        np.testing.assert_allclose(*trained, rtol=1e-4, atol=1e-6)

    @pytest.mark.slow
    @pytest.mark.parametrize("one_hot", [False, True])
    def test_class_weights_are_sample_weights(self, blobs, embedder, one_hot):
        x, labels = blobs[0]
        table = {0: 3.0, 2: 0.25}
        trained = []
        for fit in (
            {"class_weight": table},
            {"sample_weight": np.array([table.get(int(label), 1.0) for label in labels])},
        ):
            classifier = seeded(softmax_head, blobs)
            y = {"label": labels, "embedding": target_of(classifier, embedder, x)}
            loss = CROSS_ENTROPY
            if one_hot:
                y["label"], loss = np.eye(3)[labels], "categorical_crossentropy"
            _, history = trained_with_pli(
                classifier, embedder, x, y, weight=0.4, loss=loss, optimizer=nesterov(), **fit
            )
            trained.append((weights_of(classifier), history["loss"]))
        assert same(trained[0][0], trained[1][0])
        assert trained[0][1] == trained[1][1]

    @pytest.mark.slow
    def test_weighted_metrics_know_class_weights(self, blobs, embedder):
        x, labels = blobs[0]
        logged = []
        for ours in (True, False):
            model = seeded(softmax_head, blobs)
            y = {"label": labels, "embedding": target_of(model, embedder, x)}
            trained = PLIModel(model, embedder) if ours else model
            loss = PLILoss(embedding_weight=0.0) if ours else CROSS_ENTROPY
            trained.compile(nesterov(), loss, metrics=["accuracy"], weighted_metrics=["accuracy"])
            keras.utils.set_random_seed(7)
            history = trained.fit(
                x, y if ours else labels, class_weight={0: 5.0, 1: 0.1}, epochs=1, verbose=0
            )
            logged.append(history.history)
        names = [name for name in logged[1] if "accuracy" in name]
        assert len(names) == 2
        assert logged[1][names[0]] != logged[1][names[1]]
        for name in names:
            np.testing.assert_allclose(logged[0][name], logged[1][name], rtol=1e-6)

    @pytest.mark.slow
    def test_a_second_fit_forgets_the_first_ones_class_weights(self, blobs, embedder):
        x, labels = blobs[0]
        trained = []
        for first in ({0: 1e-6, 1: 1e-6, 2: 1e-6}, None):
            classifier = seeded(softmax_head, blobs)
            pli = PLIModel(classifier, embedder)
            pli.compile(keras.optimizers.SGD(0.0), PLILoss(embedding_weight=0.0))
            pli.fit(x, labels, class_weight=first, epochs=1, verbose=0)
            pli.optimizer.learning_rate = 0.1
            pli.fit(x, labels, epochs=1, shuffle=False, verbose=0)
            trained.append(weights_of(classifier))
        assert same(*trained)

    @pytest.mark.slow
    def test_early_stopping(self, shifted, embedder, blobs):
        classifier, x, y = shifted
        stopper = keras.callbacks.EarlyStopping(
            "val_loss", patience=1, min_delta=100.0, restore_best_weights=True
        )
        before = {}

        class Note(keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                before.setdefault("weights", classifier.get_weights())

        _, history = trained_with_pli(
            classifier,
            embedder,
            x,
            y,
            weight=0.5,
            validation_data=blobs[1],
            callbacks=[Note(), stopper],
            epochs=9,
        )
        assert len(history["loss"]) == 2
        assert same(classifier.get_weights(), before["weights"])

    @pytest.mark.slow
    def test_xla_gives_the_same(self, blobs, embedder):
        x, labels = blobs[0]
        trained = []
        for jit_compile in (True, False):
            classifier = seeded(softmax_head, blobs)
            y = {"label": labels, "embedding": target_of(classifier, embedder, x)}
            pli, _ = trained_with_pli(
                classifier,
                embedder,
                x[:80],
                {name: values[:80] for name, values in y.items()},
                weight=0.4,
                jit_compile=jit_compile,
                optimizer=nesterov(),
            )
            assert pli.jit_compile == jit_compile
            trained.append(np.concatenate([w.ravel() for w in weights_of(classifier)]))
        np.testing.assert_allclose(*trained, rtol=1e-3, atol=1e-5)

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "make_embedder", [map_of, pytest.param("given", marks=pytest.mark.slow)]
    )
    def test_mixed_precision(self, blobs, embedder, mixed_precision, make_embedder):
        x, labels = blobs[0]
        classifier = seeded(softmax_head, blobs)
        chosen = embedder if make_embedder == "given" else make_embedder(3)
        targets = target_of(classifier, chosen, x, by=(0.5, -0.3)).astype(np.float32)
        y = {"label": labels, "embedding": targets}
        pli, history = trained_with_pli(
            classifier,
            chosen,
            x,
            y,
            weight=0.9,
            optimizer=keras.optimizers.Adam(0.02),
            epochs=6,
            validation_data=(x, y),
        )
        assert history["embedding_loss"][-1] < 0.6 * history["embedding_loss"][0]
        assert np.isfinite(history["val_loss"]).all()
        if make_embedder == "given":
            assert pli.predict(x, verbose=0)["embedding"].dtype == np.float32
        assert all(variable.dtype == "float32" for variable in classifier.trainable_variables)

    @pytest.mark.slow
    def test_a_single_sigmoid_output(self, blobs, embedder):
        x, labels = blobs[0][0], (blobs[0][1] == 1).astype(np.int64)

        def make():
            return keras.Sequential(
                [keras.Input((6,)), layers.Dense(8, "relu"), layers.Dense(1, "sigmoid")]
            )

        plain = seeded(make, blobs)
        plain.compile(nesterov(), "binary_crossentropy", metrics=["accuracy"])
        keras.utils.set_random_seed(7)
        expected = plain.fit(x, labels, epochs=2, batch_size=20, verbose=0).history
        ours, embedder = seeded(make, blobs), map_of(1)
        _, logged = trained_with_pli(
            ours,
            embedder,
            x,
            {"label": labels, "embedding": target_of(ours, embedder, x)},
            weight=0.0,
            loss="binary_crossentropy",
            optimizer=nesterov(),
            metrics=["accuracy"],
        )
        assert same(weights_of(ours), weights_of(plain))
        np.testing.assert_allclose(logged["loss"], expected["loss"], rtol=1e-6)
        np.testing.assert_allclose(logged["accuracy"], expected["accuracy"], rtol=1e-6)


def mean_squared_distance_from_centre(points):
    centre = points.mean(axis=0)
    return np.mean([np.sum((point - centre) ** 2) for point in points])


class TestScale:
    """Squared distances are divided by the map's mean squared spread over the number of classes."""

    @pytest.mark.slow
    @pytest.mark.parametrize("make", [softmax_head, Subclassed])
    def test_of_a_map_that_does_not_know_its_spread(self, blobs, embedder, make):
        x, labels = blobs[0]
        targets = np.random.default_rng(0).normal(4, 3, size=(90, 2))
        y = {"label": labels, "embedding": targets}
        pli, _ = trained_with_pli(seeded(make, blobs), embedder, x, y, weight=0.1, epochs=1)
        expected = mean_squared_distance_from_centre(targets) / 3
        assert pli.loss_function.scale == pytest.approx(expected, rel=1e-5)

    @pytest.mark.slow
    def test_of_a_data_set(self, blobs, embedder):
        x, labels = blobs[0]
        targets = np.random.default_rng(0).normal(4, 3, size=(90, 2))
        y = {"label": labels, "embedding": targets}
        batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(20)
        pli, _ = trained_with_pli(
            seeded(softmax_head, blobs), embedder, batches, None, weight=0.1, batch_size=None
        )
        expected = mean_squared_distance_from_centre(targets) / 3
        assert pli.loss_function.scale == pytest.approx(expected, rel=1e-5)

    @pytest.mark.slow
    def test_of_a_parametric_tsne(self, blobs):
        x, labels = blobs[0]
        classifier = seeded(softmax_head, blobs)
        z = activations(classifier, x)
        tsne = ParametricTSNE(perplexity=10, hidden_units=(8,), seed=0)
        tsne.fit(z, epochs=1, pretrain_epochs=1, verbose=0)
        y = {"label": labels, "embedding": np.full((90, 2), 100.0) * labels[:, None]}
        pli, _ = trained_with_pli(classifier, tsne, x, y, weight=0.1, epochs=1)
        expected = mean_squared_distance_from_centre(tsne.predict(z, verbose=0)) / 3
        assert pli.loss_function.scale == pytest.approx(expected, rel=1e-4)

    @pytest.mark.slow
    @pytest.mark.parametrize("scale", [None, 2.5])
    def test_given(self, shifted, embedder, scale):
        classifier, x, y = shifted
        pli, _ = trained_with_pli(classifier, embedder, x, y, weight=0.1, epochs=1, scale=scale)
        assert pli.loss_function.scale == scale

    @pytest.mark.slow
    def test_of_targets_in_one_place(self, shifted, embedder):
        classifier, x, y = shifted
        y = {**y, "embedding": np.ones((90, 2))}
        pli, history = trained_with_pli(classifier, embedder, x, y, weight=0.1, epochs=1)
        assert pli.loss_function.scale == 1.0
        assert np.isfinite(history["loss"]).all()


class TestErrors:
    @pytest.fixture
    def pli(self, shifted, embedder):
        model = PLIModel(shifted[0], embedder)
        model.compile("sgd", PLILoss(embedding_weight=0.5))
        return model

    def test_not_compiled(self, shifted, embedder):
        classifier, x, y = shifted
        with pytest.raises(ValueError, match=r"Call `compile\(optimizer, loss=PLILoss"):
            PLIModel(classifier, embedder).fit(x, y)

    @pytest.mark.parametrize("loss", ["mse", None])
    def test_another_loss(self, shifted, embedder, loss):
        with pytest.raises(TypeError, match=f"must be a PLILoss.*Received: {loss!r}"):
            PLIModel(shifted[0], embedder).compile("sgd", loss)

    def test_labels_alone(self, pli, shifted):
        _, x, y = shifted
        with pytest.raises(ValueError, match=r"labels alone where λ is 0.*Received: ndarray"):
            pli.fit(x, y["label"])

    @pytest.mark.parametrize("name", ["label", "embedding"])
    def test_something_missing(self, pli, shifted, name):
        _, x, y = shifted
        rest = {key: values for key, values in y.items() if key != name}
        with pytest.raises(
            ValueError, match=rf"'label', 'embedding'\. Received: '{next(iter(rest))}'"
        ):
            pli.fit(x, rest)

    def test_something_unknown(self, pli, shifted):
        _, x, y = shifted
        with pytest.raises(ValueError, match=r"Received: 'label', 'embedding', 'targets'"):
            pli.fit(x, {**y, "targets": y["embedding"]})

    def test_moved_missing(self, shifted, embedder):
        classifier, x, y = shifted
        pli = PLIModel(classifier, embedder)
        pli.compile("sgd", PLILoss(moved_only=True))
        with pytest.raises(ValueError, match=r"'moved'\. Received: 'label', 'embedding'"):
            pli.fit(x, y)

    @pytest.mark.parametrize("name", ["label", "embedding", "moved"])
    def test_another_length(self, pli, shifted, name):
        _, x, y = shifted
        y = {**y, "moved": np.ones(90)}
        with pytest.raises(ValueError, match=rf"y\['{name}'\].*90 samples\. Received: 80"):
            pli.fit(x, {**y, name: y[name][:80]})

    def test_other_components(self, pli, shifted):
        _, x, y = shifted
        with pytest.raises(ValueError, match="targets have 3 components, the embedder gives 2"):
            pli.fit(x, {**y, "embedding": np.zeros((90, 3))})

    def test_targets_that_are_not_finite(self, pli, shifted):
        _, x, y = shifted
        bad = y["embedding"].copy()
        bad[[4, 17]] = np.nan
        with pytest.raises(ValueError, match=r"y\['embedding'\].*2 of 90 rows.*rows 4, 17"):
            pli.fit(x, {**y, "embedding": bad})

    def test_no_such_layer(self, shifted, embedder):
        with pytest.raises(ValueError, match=r"no layer 'hiden' in 'plain'.*mean 'hidden'"):
            PLIModel(shifted[0], embedder, "hiden")

    def test_an_embedder_of_other_features(self, shifted):
        classifier, x, y = shifted
        with pytest.raises(ValueError):
            trained_with_pli(classifier, map_of(7), x, y, weight=0.5)

    @pytest.mark.parametrize("scale", ["spread", 1.0])
    def test_a_data_set_without_targets(self, shifted, embedder, scale):
        classifier, x, y = shifted
        batches = tf.data.Dataset.from_tensor_slices((x, y["label"])).batch(20)
        before = weights_of(classifier)
        pli = PLIModel(classifier, embedder)
        pli.compile("sgd", PLILoss(embedding_weight=0.5, scale=scale))
        with pytest.raises(ValueError, match=r"must yield|'embedding'"):
            pli.fit(batches, verbose=0)
        assert same(weights_of(classifier), before)

    @pytest.mark.slow
    def test_a_generator_is_not_eaten_up_in_silence(self, shifted, embedder):
        classifier, x, y = shifted

        def batches():
            for _ in range(3):
                yield x, y

        pli = PLIModel(classifier, embedder)
        pli.compile("sgd", PLILoss(embedding_weight=0.5))
        with pytest.raises(ValueError, match="`scale`"):
            pli.fit(batches(), steps_per_epoch=3, verbose=0)
        pli.compile("sgd", PLILoss(embedding_weight=0.5, scale=1.0))
        assert pli.fit(batches(), steps_per_epoch=3, verbose=0).history["loss"]


@pytest.mark.parametrize("labels", [[[0.1], [0.9]], [0, 2, 1], [[0.2, 0.8], [1, 0]], [0.4, 0.6]])
def test_weights_of_classes_are_those_of_keras(labels):
    given = {0: 1.0, 1: 10.0, 2: 3.0}
    labels = np.asarray(labels, "float32")
    expected = data_adapter_utils.class_weight_to_sample_weights(labels, given)
    found = weights_of_labels(weight_table(given), labels)
    np.testing.assert_allclose(found, expected)
