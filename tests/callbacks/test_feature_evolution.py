"""Filters over epochs, and a training that is resumed."""

import keras
import numpy as np
import pytest
from PIL import Image

from keras_pli.callbacks import FeatureEvolution
from keras_pli.inspection import EpochFolder, Settling, filters, plot_filter_evolution, settling

RANDOM = np.random.default_rng(0)
X, LABELS = RANDOM.random((24, 6, 6, 1), dtype=np.float32), np.arange(24) % 3


def network():
    keras.utils.set_random_seed(0)
    layers = [
        keras.layers.Conv2D(4, 3, activation="relu", name="conv"),
        keras.layers.Flatten(),
        keras.layers.Dense(3, name="head"),
    ]
    model = keras.Sequential([keras.Input((6, 6, 1)), *layers])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.5), loss, run_eagerly=True)  # no trace for so few steps
    return model


def fit(model, *callbacks, epochs=3, **options):
    model.fit(X, LABELS, epochs=epochs, verbose=0, shuffle=False, callbacks=callbacks, **options)


def test_filters_and_features_are_stored_epoch_by_epoch(tmp_path):
    model = network()
    start = filters(model, "conv")
    callback = FeatureEvolution(tmp_path, features={"bias": lambda model: model.layers[0].bias})
    fit(model, callback)
    stored = EpochFolder(tmp_path)
    assert stored.epochs == [0, 1, 2, 3]
    assert list(stored[0]) == ["conv", "head", "bias"]
    np.testing.assert_array_equal(stored[0]["conv"], start)
    np.testing.assert_array_equal(stored[3]["conv"], filters(model, "conv"))
    np.testing.assert_array_equal(stored[-1]["bias"], model.layers[0].bias)
    found = Settling.load(tmp_path / "settling.npz")
    assert found.names.tolist() == ["conv", "head", "bias"]
    np.testing.assert_array_equal(found.distances, settling(tmp_path).distances)
    assert Image.open(tmp_path / "settling.png").width > 300
    assert len(plot_filter_evolution(tmp_path, "conv", columns=2).axes) == 8


@pytest.mark.slow
def test_chosen_layers_and_epochs(tmp_path):
    fit(network(), FeatureEvolution(tmp_path, ["head"], every=2, pictures=False), epochs=5)
    stored = EpochFolder(tmp_path)
    assert stored.epochs == [0, 2, 4, 5] and list(stored[0]) == ["head"]
    assert not (tmp_path / "settling.png").exists()


class Stop(keras.callbacks.Callback):
    """An interrupt after the second epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt


@pytest.mark.slow
def test_a_restored_training_keeps_the_epochs_before_it(tmp_path):
    """The model is made anew, as in another process, and gets its weights back."""
    whole = FeatureEvolution(tmp_path / "whole")
    fit(network(), whole, epochs=4)
    callback = FeatureEvolution(tmp_path / "parts")
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    with pytest.raises(KeyboardInterrupt):
        fit(network(), backup, callback, Stop(), epochs=4)
    assert EpochFolder(tmp_path / "parts").epochs == [0, 1, 2]
    fit(network(), backup, FeatureEvolution(tmp_path / "parts"), epochs=4)
    expected, found = EpochFolder(tmp_path / "whole"), EpochFolder(tmp_path / "parts")
    assert found.epochs == expected.epochs == [0, 1, 2, 3, 4]
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(one["conv"], other["conv"], rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_resumed_by_number_and_begun_anew(tmp_path):
    model = network()
    fit(model, FeatureEvolution(tmp_path), epochs=3)
    first = EpochFolder(tmp_path)[0]["conv"]
    fit(model, FeatureEvolution(tmp_path), initial_epoch=2, epochs=4)
    assert EpochFolder(tmp_path).epochs == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(EpochFolder(tmp_path)[0]["conv"], first)
    fit(model, FeatureEvolution(tmp_path), epochs=1)
    assert EpochFolder(tmp_path).epochs == [0, 1]
    assert np.any(EpochFolder(tmp_path)[0]["conv"] != first)


@pytest.mark.parametrize("first", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_the_last_epoch_is_recorded_when_training_stops_early(tmp_path, first):
    """It is the last that was trained, although the weights of the best are put back."""
    model, ends = network(), []
    note = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda *_: ends.append(filters(model, "conv"))
    )
    stop = keras.callbacks.EarlyStopping("loss", mode="max", patience=1, restore_best_weights=True)
    callback = FeatureEvolution(tmp_path, every=5, pictures=False)
    fit(model, note, *([stop, callback] if first else [callback, stop]), epochs=9)
    stored = EpochFolder(tmp_path)
    assert stored.epochs == [0, len(ends)] and len(ends) < 5
    np.testing.assert_array_equal(stored[-1]["conv"], ends[-1])
    assert np.any(ends[-1] != filters(model, "conv"))


@pytest.mark.slow
@pytest.mark.parametrize("others", [(), (keras.callbacks.TerminateOnNaN(),)])
def test_a_training_that_diverges_keeps_its_history(tmp_path, others):
    (tmp_path / "settling.npz").write_bytes(b"of an earlier training")
    model = network()
    model.optimizer.learning_rate = 1e30
    with pytest.warns(UserWarning, match="must be finite"):
        history = model.fit(
            X, LABELS, epochs=3, verbose=0, callbacks=[*others, FeatureEvolution(tmp_path)]
        )
    assert len(history.history["loss"]) == (2 if others else 3)
    assert EpochFolder(tmp_path).epochs[0] == 0
    assert not (tmp_path / "settling.npz").exists()


@pytest.mark.slow
def test_a_feature_that_fails_later_does_not_end_the_training(tmp_path):
    calls = []

    def feature(model):
        calls.append(1)
        if len(calls) == 2:
            raise ValueError("no image of this")
        return 0.0

    model, callback = network(), FeatureEvolution(tmp_path, features={"f": feature}, pictures=False)
    with pytest.warns(UserWarning, match="epoch 1: no image of this"):
        fit(model, callback)
    assert EpochFolder(tmp_path).epochs == [0, 2, 3]
    calls[:] = [1]
    with pytest.raises(ValueError, match="no image of this"):  # before training
        fit(network(), FeatureEvolution(tmp_path, features={"f": feature}))


@pytest.mark.slow
def test_another_model_is_refused_before_it_trains(tmp_path):
    fit(network(), FeatureEvolution(tmp_path, pictures=False))
    layers = [keras.layers.Flatten(), keras.layers.Dense(3, name="other")]
    other = keras.Sequential([keras.Input((6, 6, 1)), *layers])
    other.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = other.get_weights()
    with pytest.raises(ValueError, match=r"epoch 3 holds.*'conv': \(3, 3, 1, 4\).*has \{'other'"):
        fit(other, FeatureEvolution(tmp_path), initial_epoch=3, epochs=4)
    np.testing.assert_array_equal(other.get_weights()[0], before[0])
    assert EpochFolder(tmp_path).epochs == [0, 1, 2, 3]


@pytest.mark.slow
def test_a_second_phase_with_the_same_callback_goes_on_counting(tmp_path):
    model, callback = network(), FeatureEvolution(tmp_path, every=2, pictures=False)
    fit(model, callback, epochs=3)
    start = EpochFolder(tmp_path)[0]["conv"]
    fit(model, callback, epochs=2)
    stored = EpochFolder(tmp_path)
    assert stored.epochs == [0, 2, 3, 4, 5]
    np.testing.assert_array_equal(stored[0]["conv"], start)
    np.testing.assert_array_equal(stored[-1]["conv"], filters(model, "conv"))
    fit(model, callback, initial_epoch=5, epochs=6)  # the number of the epoch as Keras counts
    assert EpochFolder(tmp_path).epochs == [0, 2, 3, 4, 5, 6]
    fit(network(), callback, epochs=1)  # another model starts anew
    assert EpochFolder(tmp_path).epochs == [0, 1]


@pytest.mark.slow
def test_a_model_that_is_built_while_it_trains(tmp_path):
    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(3, name="head")])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    fit(model, FeatureEvolution(tmp_path), epochs=2)
    assert EpochFolder(tmp_path).epochs[-2:] == [1, 2]


@pytest.mark.slow
def test_training_is_not_disturbed(tmp_path):
    alone, watched = network(), network()
    fit(alone)
    fit(watched, FeatureEvolution(tmp_path))
    for one, other in zip(alone.get_weights(), watched.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": ["flatten"]}, "no layer 'flatten'|no filters"),
        ({"features": {"conv": lambda model: 1.0}}, r"Received: \['conv'\]"),
    ],
)
def test_errors_quote_what_came(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        fit(network(), FeatureEvolution(tmp_path, **options))
    with pytest.raises(ValueError, match="Received: 0"):
        FeatureEvolution(tmp_path, every=0)
