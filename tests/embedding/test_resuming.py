"""A training that was interrupted, saved or moved to another process ends as if nothing had happened."""

import functools
import json
import os
import pathlib
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
from small_maps import KINDS, QUICK, few_digits, make, mapped, quick

HERE = pathlib.Path(__file__).parent
# Two steps in an epoch: the early phase, a quarter of the training, ends with the second.
LONG = {**QUICK, "epochs": 8, "steps_per_epoch": 2}


class Interruption(Exception):
    pass


def interrupted_after(epoch):
    def stop(ended, logs):
        if ended == epoch:
            raise Interruption

    return keras.callbacks.LambdaCallback(on_epoch_end=stop)


def interrupt(model, z, folder, fit, *, epoch=0):
    backup = keras.callbacks.BackupAndRestore(folder)
    with pytest.raises(Interruption):
        model.fit(z, callbacks=[backup, interrupted_after(epoch)], **fit)


def resume(model, z, folder, fit):
    return model.fit(z, callbacks=[keras.callbacks.BackupAndRestore(folder)], **fit)


@pytest.fixture(scope="module")
def few():
    return few_digits()


@pytest.mark.parametrize(
    ("kind", "again"),
    [
        ("tsne", "a new model"),
        pytest.param("tsne", "the same model", marks=pytest.mark.slow),
        pytest.param("contrastive", "a new model", marks=pytest.mark.slow),
        pytest.param("umap", "a new model", marks=pytest.mark.slow),
    ],
)
@pytest.mark.usefixtures("stepped")
def test_a_restored_training_gives_the_map_of_an_uninterrupted_one(few, kind, again, tmp_path):
    fit = {**LONG, "pretrain_epochs": 1}
    model = make(kind)
    interrupt(model, few, tmp_path / "backup", fit)
    if again == "a new model":
        model = make(kind)
    history = resume(model, few, tmp_path / "backup", fit)
    assert history.epoch == list(range(1, 8))
    assert not (tmp_path / "backup").exists()
    np.testing.assert_allclose(mapped(model, few), uninterrupted(kind), atol=1e-5)


@functools.cache
def uninterrupted(kind):
    z = few_digits()
    return mapped(quick(kind, z, fit={**LONG, "pretrain_epochs": 1}), z)


class TestBackups:
    @pytest.mark.parametrize("settings", [{}, {"seed": None}])
    @pytest.mark.slow
    def test_a_start_by_least_squares(self, few, settings, tmp_path):
        """Without a seed, weights are those of the backup, and draws differ."""
        fit = {**LONG, "pretrain_epochs": None}
        model = make("uniform", **settings)
        interrupt(model, few, tmp_path / "backup", fit, epoch=3)
        there = mapped(model, few)
        model = make("uniform", **settings)
        history = resume(model, few, tmp_path / "backup", {**fit, "epochs": 4})
        assert history.epoch == []
        np.testing.assert_allclose(mapped(model, few), there, atol=1e-5)

    @pytest.mark.slow
    def test_a_later_training_begins_at_its_beginning(self, few, tmp_path):
        """Keras remembers the epoch at which a training was restored."""
        model = make("tsne")
        interrupt(model, few, tmp_path / "backup", LONG)
        resume(model, few, tmp_path / "backup", LONG)
        history = model.fit(few, **LONG)
        assert len(history.epoch) == 8
        # A later training has no early phase.
        assert history.history["loss"] == pytest.approx(history.history["kl"], rel=1e-4)

    @pytest.mark.slow
    def test_a_second_training(self, few, tmp_path):
        """It has no early phase, whether interrupted or not."""
        maps = []
        for stop in (False, True):
            model = quick("tsne", few)
            if stop:
                interrupt(model, few, tmp_path / "backup", LONG)
            resume(model, few, tmp_path / "backup", LONG)
            maps.append(mapped(model, few))
        np.testing.assert_allclose(*maps, atol=1e-5)

    def test_backups_within_epochs_are_refused(self, few, tmp_path):
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup", save_freq=2)
        with pytest.raises(ValueError, match=r"at the ends of epochs. Received: save_freq=2"):
            make("tsne").fit(few, callbacks=backup, **QUICK)

    def test_layers_that_draw_are_refused(self, few, tmp_path):
        layers = [keras.layers.Dropout(0.5, name="random"), keras.layers.Dense(2)]
        model = make("umap", network=keras.Sequential(layers))
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
        with pytest.raises(ValueError, match=r"layers that draw at random, 'random'"):
            model.fit(few, callbacks=[backup], **QUICK)


class TestSaved:
    @pytest.mark.slow
    def test_a_resumed_training_is_the_uninterrupted_one(self, few, tmp_path):
        whole = quick("tsne", few, fit={"epochs": 4})
        stop = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: setattr(model, "stop_training", epoch == 1)
        )
        model = make("tsne")
        fit = {**QUICK, "epochs": 4}
        assert len(model.fit(few, callbacks=[stop], **fit).epoch) == 2
        model.save(tmp_path / "map.keras")
        model = keras.saving.load_model(tmp_path / "map.keras")
        model.fit(few, initial_epoch=2, **fit)
        np.testing.assert_allclose(mapped(model, few), mapped(whole, few), atol=1e-5)

    @pytest.mark.slow
    @pytest.mark.parametrize("kind", ["umap", "contrastive"])
    def test_the_model_and_its_copy_go_on_alike(self, few, kind, tmp_path):
        model = quick(kind, few)
        model.save(tmp_path / "map.keras")
        again = keras.models.load_model(tmp_path / "map.keras")
        assert type(again) is type(model)
        assert again.get_config() == model.get_config()
        np.testing.assert_allclose(mapped(again, few), mapped(model, few), atol=1e-5)
        for each in (model, again):
            each.fit(few, **QUICK)
        np.testing.assert_allclose(mapped(again, few), mapped(model, few), atol=1e-5)

    @pytest.mark.slow
    def test_optimizer_of_the_caller(self, few, tmp_path):
        optimizer = keras.optimizers.RMSprop(0.003)
        model = make("tsne")
        model.compile(optimizer, jit_compile=False, steps_per_execution=2)
        model.fit(few, **{**QUICK, "pretrain_epochs": 1})
        assert model.optimizer is optimizer
        assert int(optimizer.iterations) == 12
        model.save(tmp_path / "map.keras")
        again = keras.models.load_model(tmp_path / "map.keras")
        assert isinstance(again.optimizer, keras.optimizers.RMSprop)
        assert float(again.optimizer.learning_rate) == pytest.approx(0.003)
        assert again.jit_compile is False
        assert again.steps_per_execution == 2
        for kept, was in zip(again.optimizer.variables, optimizer.variables, strict=True):
            assert np.array_equal(kept, was)
        again.fit(few, **{**QUICK, "pretrain_epochs": 1})
        assert int(again.optimizer.iterations) == 20
        assert isinstance(again.optimizer, keras.optimizers.RMSprop)

    @pytest.mark.slow
    def test_optimizer_of_the_model_itself(self, few, tmp_path):
        model = quick("umap", few)
        model.save(tmp_path / "map.keras")
        again = keras.models.load_model(tmp_path / "map.keras")
        assert isinstance(again.optimizer, keras.optimizers.Adam)
        for kept, was in zip(again.optimizer.variables, model.optimizer.variables, strict=True):
            assert np.array_equal(kept, was)
        again.fit(few, **{**QUICK, "pretrain_epochs": 1})
        assert int(again.optimizer.iterations) == 8  # made anew, without pre-training

    @pytest.mark.slow
    def test_before_training(self, few, tmp_path):
        model = make("contrastive")
        model.build((None, 64))
        y = np.asarray(model(few))
        model.save(tmp_path / "map.keras")
        again = keras.models.load_model(tmp_path / "map.keras")
        np.testing.assert_allclose(again(few), y, atol=1e-5)
        with pytest.raises(ValueError, match="has not been trained"):
            mapped(again, few)
        again.fit(few, **{**QUICK, "pretrain_epochs": 1})
        assert int(again.optimizer.iterations) == 12  # it has not been pre-trained yet

    @pytest.mark.parametrize("name", ["map.h5", "map.hdf5"])
    def test_a_format_that_could_not_be_loaded(self, tmp_path, name):
        with pytest.raises(ValueError, match=rf"saved to '\.keras'.*{name}"):
            make("umap").save(tmp_path / name)
        assert not list(tmp_path.iterdir())


IN_ANOTHER_PROCESS = """
    import sys
    import keras, numpy as np
    import keras_pli.embedding  # the one import that loading needs
    from small_maps import KINDS, few_digits, make

    folder, z = sys.argv[1], few_digits()
    import json
    fit = json.loads(sys.argv[2])
    found = {}
    for kind in KINDS:
        saved = keras.models.load_model(f"{folder}/{kind}.keras")
        found[kind + " there"] = saved.predict(z, verbose=0)
        saved.fit(z, initial_epoch=2, **fit)
        found[kind + " saved"] = saved.predict(z, verbose=0)
        model = make(kind)
        model.fit(z, callbacks=[keras.callbacks.BackupAndRestore(f"{folder}/{kind}")], **fit)
        found[kind + " backup"] = model.predict(z, verbose=0)
    np.savez(f"{folder}/found.npz", **found)
"""


@pytest.mark.slow  # another process imports TensorFlow
def test_in_a_fresh_process(few, tmp_path):
    fit = {**LONG, "pretrain_epochs": 1}
    there = {}
    for kind in KINDS:
        model = make(kind)
        interrupt(model, few, tmp_path / kind, fit, epoch=1)
        model.save(tmp_path / f"{kind}.keras")
        there[kind] = mapped(model, few)
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(IN_ANOTHER_PROCESS), str(tmp_path), json.dumps(fit)],
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), str(HERE)])},
        cwd=tmp_path,
    )
    found = np.load(tmp_path / "found.npz")
    for kind in KINDS:
        np.testing.assert_allclose(found[f"{kind} there"], there[kind], atol=1e-4)
        for how in ("saved", "backup"):
            np.testing.assert_allclose(found[f"{kind} {how}"], uninterrupted(kind), atol=1e-4)
