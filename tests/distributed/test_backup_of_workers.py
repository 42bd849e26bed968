"""Backups in one process; with several workers, see test_lost_workers.py."""

import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_pli.backups import backups_among, will_restore
from keras_pli.distributed import BackupAndRestore

X = np.random.default_rng(0).normal(size=(24, 4)).astype(np.float32)
Y = X[:, :2] ** 2


def made(units=5, optimizer="adam"):
    keras.utils.set_random_seed(2)
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(units, "relu"), keras.layers.Dense(2)]
    )
    model.compile(optimizer, "mse", run_eagerly=True)
    return model


def fit(model, *callbacks, epochs=3, batch_size=12):
    return model.fit(
        X, Y, epochs=epochs, batch_size=batch_size, shuffle=False, verbose=0, callbacks=callbacks
    )


class PowerCut(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def left_behind(tmp_path_factory):
    """The backup of a training that ended after two epochs of three."""
    folder = tmp_path_factory.mktemp("interrupted") / "backup"
    with pytest.raises(KeyboardInterrupt):
        fit(made(), BackupAndRestore(folder), PowerCut())
    return folder


@pytest.fixture
def interrupted(left_behind, tmp_path):
    """That backup, in a folder of the test's own."""
    return Path(shutil.copytree(left_behind, tmp_path / "backup"))


def test_a_training_goes_on_exactly(interrupted):
    whole = made()
    fit(whole)
    backup = BackupAndRestore(interrupted)
    assert backups_among(backup) == [backup]
    assert [file.name for file in interrupted.glob("*.h5")] == ["epoch-2-a.weights.h5"]
    model = made()
    fit(model, kept := BackupAndRestore(interrupted, delete_checkpoint=False))
    assert model.history.epoch == [2]
    for found, expected in zip(model.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)
    assert int(model.optimizer.iterations) == 6
    again = made()
    fit(again, kept, epochs=4)
    assert again.history.epoch == [3]


def test_a_backup_is_deleted_at_the_end(interrupted):
    fit(made(), BackupAndRestore(interrupted))
    assert not interrupted.exists()


def test_weights_that_no_note_names_are_no_backup(interrupted):
    assert will_restore(BackupAndRestore(interrupted), made())
    (interrupted / "training_metadata.json").unlink()
    assert not will_restore(BackupAndRestore(interrupted), made())


def test_an_interrupted_write_leaves_the_backup_before(interrupted, monkeypatch):
    def fail(*_, **__):
        raise OSError("no space left")

    monkeypatch.setattr(keras.Model, "save_weights", fail)
    with pytest.raises(OSError, match="no space left"):
        fit(made(), BackupAndRestore(interrupted))
    assert sorted(file.name for file in interrupted.iterdir()) == [
        "epoch-2-a.weights.h5",
        "training_metadata.json",
    ]


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (lambda: made(units=6), "its model differ"),
        (lambda: made(optimizer="sgd"), "its optimizer differ"),
    ],
)
def test_another_training_is_refused(interrupted, other, what):
    with pytest.raises(ValueError, match=what):
        fit(other(), BackupAndRestore(interrupted))


def test_epochs_of_another_length_are_refused(interrupted):
    with pytest.raises(ValueError, match=r"its steps differ.*'steps': 2.*'steps': 4"):
        fit(made(), BackupAndRestore(interrupted), batch_size=6)


def test_another_learning_rate_is_not_another_training(interrupted):
    model = made(optimizer=keras.optimizers.Adam(0.5))
    fit(model, BackupAndRestore(interrupted))
    assert model.history.epoch == [2]


def test_damage_is_told(interrupted):
    note = interrupted / "training_metadata.json"
    told = json.loads(note.read_text())
    (interrupted / told["weights"]).unlink()
    with pytest.raises(ValueError, match="is damaged: FileNotFoundError"):
        fit(made(), BackupAndRestore(interrupted))
    note.write_text("{")
    with pytest.raises(ValueError, match="is damaged: it is not JSON"):
        fit(made(), BackupAndRestore(interrupted))


def test_a_model_that_is_not_built_is_refused(tmp_path):
    model = keras.Sequential([keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="needs a model that is built"):
        fit(model, BackupAndRestore(tmp_path))


def test_a_folder_that_cannot_be_written_into_is_refused_before_the_first_step(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ValueError, match=r"must be a folder to write into.*file"):
        fit(model := made(), BackupAndRestore(tmp_path / "file" / "backup"))
    assert int(model.optimizer.iterations) == 0
