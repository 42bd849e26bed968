import os
import pathlib
import random
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import rel_entr
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness

from keras_pli.embedding import (
    ParametricTSNE,
    PrincipalProjection,
    affinities,
    batches,
    nearest_neighbors,
)

ROOT = pathlib.Path(__file__).parents[2]
SETTINGS = {"perplexity": 20, "hidden_units": (100, 50), "seed": 0}
SHORT = {"epochs": 4, "batch_size": 200, "pretrain_epochs": 2, "steps_per_epoch": 30, "verbose": 0}
QUICK = {"epochs": 2, "batch_size": 100, "pretrain_epochs": 0, "steps_per_epoch": 4, "verbose": 0}
WHOLE = {**QUICK, "pretrain_epochs": 1}  # 4 steps of pre-training, then 8
SMALL = {"perplexity": 10, "hidden_units": (20, 10), "seed": 0}
STRATEGIES = pytest.mark.parametrize("strategy", ["uniform", "neighbors"])


@pytest.fixture(scope="module")
def digits():
    return load_digits().data[:600].astype(np.float32)


@pytest.fixture(scope="module")
def few():
    """150 points, for tests in which the quality of the map does not matter."""
    return load_digits().data[600:750].astype(np.float32)


@pytest.fixture(scope="module", params=["neighbors", "uniform"])
def fitted(request, digits):
    tsne = ParametricTSNE(batches=request.param, **SETTINGS)
    history = tsne.fit(digits, **SHORT)
    return tsne, history.history, tsne.predict(digits, verbose=0)


@pytest.fixture(scope="module")
def quick_map(few):
    """The map of `quick` with its own settings."""
    return mapped(quick(few), few)


def quick(z, *, fit=None, **settings):
    tsne = ParametricTSNE(**{**SMALL, **settings})
    tsne.fit(z, **{**QUICK, **(fit or {})})
    return tsne


def mapped(tsne, z):
    return tsne.predict(z, verbose=0)


def divergence(z, y, perplexity):
    """KL(p‖q) over all points, by SciPy in float64."""
    p = affinities(nearest_neighbors(z, perplexity=perplexity), perplexity=perplexity)
    y = y.astype(np.float64)
    kernel = 1 / (1 + np.sum((y[:, None] - y[None, :]) ** 2, axis=-1))
    np.fill_diagonal(kernel, 0)
    return rel_entr(p.to_sparse().toarray(), kernel / kernel.sum() + np.eye(len(y))).sum()


def still(batches="uniform", perplexity=10):
    """A model whose optimizer moves nothing, so that what `fit` reports can be checked."""
    tsne = ParametricTSNE(perplexity=perplexity, batches=batches, early_exaggeration=1, seed=0)
    tsne.compile(keras.optimizers.SGD(0.0))
    return tsne


class TestFit:
    def test_improves_on_principal_components(self, fitted, digits):
        before = trustworthiness(digits, PCA(2).fit_transform(digits), n_neighbors=12)
        assert before < 0.86
        assert trustworthiness(digits, fitted[2], n_neighbors=12) > 0.95

    def test_history(self, fitted):
        _, history, _ = fitted
        assert set(history) == {"loss", "kl"}
        assert all(len(values) == 4 for values in history.values())
        assert history["kl"][-1] < history["kl"][0]
        # A quarter of the training is exaggerated; from then on loss and divergence are one.
        assert history["loss"][0] > history["kl"][0]
        assert history["loss"][1:] == pytest.approx(history["kl"][1:], rel=1e-4)

    @STRATEGIES
    def test_reported_divergence_is_that_of_the_map(self, few, strategy):
        tsne = still(strategy)
        fit = {**QUICK, "epochs": 1, "batch_size": 150}
        fit["steps_per_epoch"] = 1 if strategy == "uniform" else 150
        history = tsne.fit(few, **fit).history
        expected = divergence(few, mapped(tsne, few), 10)
        # A uniform batch of all points is the divergence itself, a neighbour-aware one estimates it.
        tolerance = 1e-4 if strategy == "uniform" else 0.02
        assert history["kl"][0] == pytest.approx(expected, rel=tolerance)

    def test_spread_is_the_mean_squared_distance_from_the_centre(self, fitted):
        tsne, _, y = fitted
        expected = np.mean(np.sum((y - y.mean(axis=0)) ** 2, axis=1))
        assert float(tsne.spread) == pytest.approx(expected, rel=1e-4)

    def test_pretraining_leads_to_the_principal_components(self, digits):
        tsne = ParametricTSNE(**SETTINGS)
        tsne.compile(keras.optimizers.Adam(0.005))
        fit = {**SHORT, "pretrain_epochs": 5, "epochs": 1}
        stop = keras.callbacks.LambdaCallback(
            on_train_begin=lambda logs: maps.append(mapped(tsne, digits))
        )
        maps = []
        tsne.fit(digits, callbacks=[stop], **fit)
        expected = PCA(2).fit_transform(digits)
        expected /= expected[:, 0].std()
        for axis in range(2):
            correlation = np.corrcoef(maps[0][:, axis], expected[:, axis])[0, 1]
            assert abs(correlation) > 0.97
            assert maps[0][:, axis].std() == pytest.approx(expected[:, axis].std(), rel=0.1)

    @pytest.mark.parametrize(("strategy", "batch_size"), [("neighbors", 4), ("uniform", 5000)])
    def test_any_batch_size(self, few, strategy, batch_size):
        tsne = quick(few, batches=strategy, fit={"batch_size": batch_size})
        assert np.isfinite(mapped(tsne, few)).all()

    def test_network_of_the_caller_on_images(self, few):
        images = few.reshape(-1, 8, 8, 1) / 16
        network = keras.Sequential(
            [
                keras.layers.Conv2D(8, 3, activation="relu"),
                keras.layers.MaxPooling2D(),
                keras.layers.Flatten(),
                keras.layers.Dense(2),
            ]
        )
        tsne = quick(images, network=network)
        assert tsne.network is network
        y = mapped(tsne, images)
        assert y.shape == (150, 2)
        assert y.std() > 0

    def test_further_axes_are_flattened(self, few, quick_map):
        images = few.reshape(-1, 8, 8)
        assert np.array_equal(mapped(quick(images), images), quick_map)

    def test_points_of_a_single_feature(self, few):
        tsne = quick(few[:, :1] + few[:, 1:2] / 3)
        assert np.isfinite(mapped(tsne, few[:, :1])).all()

    def test_second_call_goes_on(self, digits):
        tsne = ParametricTSNE(**SETTINGS)
        first = tsne.fit(digits, **SHORT).history
        second = tsne.fit(digits, **SHORT).history
        assert second["kl"][0] < first["kl"][0] - 0.3
        assert second["kl"][-1] < first["kl"][-1] + 0.05
        assert second["loss"][0] == pytest.approx(second["kl"][0], rel=1e-4)  # no exaggeration

    def test_second_call_on_other_data_meets_no_stale_tables(self, digits, few):
        tsne = still()
        tsne.fit(digits[:200], epochs=1, batch_size=200, verbose=0)
        history = tsne.fit(few, epochs=1, batch_size=150, verbose=0).history
        expected = divergence(few, mapped(tsne, few), 10)
        assert history["kl"][0] == pytest.approx(expected, rel=1e-4)

    def test_a_graph_of_the_caller_is_used(self, few, quick_map):
        graph = nearest_neighbors(few, perplexity=10)
        given = mapped(quick(few, fit={"graph": graph}), few)
        other = nearest_neighbors(few[::-1], perplexity=10)
        assert np.array_equal(given, quick_map)
        assert not np.array_equal(mapped(quick(few, fit={"graph": other}), few), quick_map)


class TestValidation:
    def test_divergence_of_other_points(self, digits, few):
        tsne = ParametricTSNE(batches="uniform", **SMALL)
        fit = {**QUICK, "batch_size": 150}
        history = tsne.fit(digits[:200], validation_data=few, **fit).history
        assert set(history) == {"loss", "kl", "val_loss", "val_kl"}
        expected = divergence(few, mapped(tsne, few), 10)
        assert history["val_kl"][-1] == pytest.approx(expected, rel=1e-4)
        assert history["val_loss"] == pytest.approx(history["val_kl"], rel=1e-5)

    @STRATEGIES
    def test_evaluate(self, few, strategy):
        tsne = quick(few, batches=strategy)
        y = mapped(tsne, few)
        found = tsne.evaluate(few, batch_size=150, verbose=0, return_dict=True)
        assert set(found) == {"loss", "kl"}
        assert np.array_equal(mapped(tsne, few), y)  # it changes nothing
        expected = divergence(few, y, 10)
        tolerance = 1e-4 if strategy == "uniform" else 0.1
        assert found["kl"] == pytest.approx(expected, rel=tolerance)


class TestPredict:
    def test_after_a_fit_with_other_steps(self, few):
        """Keras runs as many steps at a time as fit chose: a prediction must not lose batches."""
        tsne = ParametricTSNE(**SMALL)
        assert mapped(tsne, few).shape == (150, 2)
        during = []
        look = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: during.append(mapped(tsne, few))
        )
        for steps in (4, 3):
            tsne.fit(few, callbacks=[look], **{**QUICK, "steps_per_epoch": steps, "epochs": 1})
            assert during[-1].shape == mapped(tsne, few).shape == (150, 2)
            assert np.array_equal(during[-1], mapped(tsne, few))

    def test_points_one_by_one(self, fitted):
        new = load_digits().data[1000:1010].astype(np.float32)
        together = mapped(fitted[0], new)
        alone = np.concatenate([mapped(fitted[0], new[i : i + 1]) for i in range(10)])
        np.testing.assert_allclose(alone, together, atol=1e-4)

    def test_new_points_fall_among_their_neighbours(self, fitted, digits):
        shifted = digits + np.random.default_rng(0).normal(scale=0.01, size=digits.shape)
        distance = np.linalg.norm(mapped(fitted[0], shifted) - fitted[2], axis=1)
        assert np.median(distance) < 0.01 * fitted[2].std()

    def test_gradients_pass_through(self, fitted, digits):
        inputs = tf.constant(digits[:5])
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = fitted[0](inputs)
        gradient = tape.gradient(outputs, inputs).numpy()
        assert np.isfinite(gradient).all()
        assert (abs(gradient).sum(axis=1) > 0).all()


class TestSeeds:
    def test_same_seed_same_map(self, few, quick_map):
        assert np.array_equal(quick_map, mapped(quick(few), few))
        other = mapped(quick(few, seed=1), few)
        assert not np.allclose(quick_map, other, atol=1e-2)

    def test_same_seed_same_map_of_uniform_batches(self, few):
        first, again = (mapped(quick(few, batches="uniform"), few) for _ in range(2))
        assert np.array_equal(first, again)

    def test_global_generators_are_left_alone(self, few):
        def draws(between):
            keras.utils.set_random_seed(3)
            between()
            return [
                random.random(),
                np.random.random(),  # noqa: NPY002
                float(tf.random.uniform(())),
                float(keras.random.uniform(())),
            ]

        assert draws(lambda: None) == draws(lambda: quick(few))

    @pytest.mark.parametrize("strategy", ["neighbors"])  # which draws as well as shuffles
    def test_resumed_training_is_the_uninterrupted_one(self, few, strategy, tmp_path):
        whole = quick(few, batches=strategy, fit={"epochs": 4})
        stop = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: setattr(tsne, "stop_training", epoch == 1)
        )
        tsne = ParametricTSNE(**SMALL, batches=strategy)
        fit = {**QUICK, "epochs": 4}
        assert len(tsne.fit(few, callbacks=[stop], **fit).epoch) == 2
        tsne.save(tmp_path / "map.keras")
        tsne = keras.saving.load_model(tmp_path / "map.keras")
        tsne.fit(few, initial_epoch=2, **fit)
        np.testing.assert_allclose(mapped(tsne, few), mapped(whole, few), atol=1e-5)

    @pytest.mark.parametrize("given", [{"epochs": 0}, {"batch_size": 0}, {"epochs": 2.5}])
    def test_lengths_of_training(self, few, given):
        with pytest.raises(
            ValueError, match=rf"`{next(iter(given))}` must be a whole number from 1"
        ):
            quick(few, fit=given)

    def test_keras_backups_are_refused(self, few, tmp_path):
        with pytest.raises(ValueError, match=r"BackupAndRestore cannot resume .*initial_epoch"):
            quick(few, fit={"callbacks": [keras.callbacks.BackupAndRestore(tmp_path / "backup")]})


class TestXLA:
    @pytest.mark.parametrize(
        "strategy", [pytest.param("uniform", marks=pytest.mark.slow), "neighbors"]
    )
    def test_equal_results(self, few, strategy, monkeypatch):
        # XLA has a random generator of its own, so the neighbours drawn would differ.
        def nearest(tables, anchors, seed):
            neighbors = keras.ops.take(tables.neighbors, anchors, axis=0)[:, 1]
            return keras.ops.concatenate([anchors, neighbors])

        monkeypatch.setattr(batches.NeighborBatches, "draw", nearest)
        maps = []
        for jit_compile in (False, True):
            tsne = ParametricTSNE(**SMALL, batches=strategy)
            # With uniform batches the several steps of one execution are compiled, too.
            steps = {"steps_per_execution": 1} if strategy == "neighbors" else {}
            tsne.compile("adam", jit_compile=jit_compile, **steps)
            tsne.fit(few, **QUICK)
            assert tsne.jit_compile is jit_compile
            maps.append(mapped(tsne, few))
        np.testing.assert_allclose(*maps, atol=1e-3 * maps[0].std())

    @pytest.mark.parametrize(
        ("jit_compile", "strategy"),
        [
            (False, "neighbors"),
            pytest.param(True, "neighbors", marks=pytest.mark.slow),
            pytest.param(True, "uniform", marks=pytest.mark.slow),
        ],
    )
    def test_duplicates(self, jit_compile, strategy):
        z = np.random.default_rng(0).normal(size=(120, 10)).astype(np.float32)
        z[20:80] = z[20]  # more than the neighbours, and than the perplexity
        z[90:93] = z[90]
        tsne = ParametricTSNE(**{**SMALL, "perplexity": 8}, batches=strategy)
        tsne.compile(jit_compile=jit_compile, steps_per_execution=1)
        history = tsne.fit(z, **QUICK).history
        y = mapped(tsne, z)
        assert np.isfinite([*history["loss"], *history["kl"]]).all()
        assert np.isfinite(y).all()
        np.testing.assert_allclose(y[20:80], y[20:21].repeat(60, axis=0), atol=1e-5)

    @STRATEGIES
    def test_nothing_but_duplicates(self, strategy):
        z = np.ones((60, 5), dtype=np.float32)
        tsne = quick(z, perplexity=5, batches=strategy)
        assert np.isfinite(mapped(tsne, z)).all()

    @STRATEGIES
    def test_no_step_goes_through_python(self, few, strategy):
        graphs = []

        class Look(keras.callbacks.Callback):
            def on_train_begin(self, logs=None):
                anchors = 100 if strategy == "uniform" else 50
                batch = {
                    "anchors": tf.TensorSpec((1, anchors), tf.int32),
                    "exaggeration": tf.TensorSpec((1, 1), tf.float32),
                }
                step = tf.function(self.model.train_step).get_concrete_function((batch,))
                graphs.append(step.graph.as_graph_def())

        quick(few, batches=strategy, fit={"callbacks": [Look()]})
        graph = graphs[0]
        nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
        operations = {node.op for node in nodes}
        assert {"MatMul", "Log1p", "AssignAddVariableOp"} <= operations
        assert not {op for op in operations if "PyFunc" in op}


RELOAD = """
    import sys
    import numpy as np, keras
    from keras_pli.embedding import ParametricTSNE  # the one import that loading needs
    folder = sys.argv[1]
    z = np.load(folder + "/z.npy")
    tsne = keras.models.load_model(folder + "/map.keras")
    y = tsne.predict(z, verbose=0)
    history = tsne.fit(z, epochs=1, batch_size=200, steps_per_epoch=30, verbose=0).history
    np.savez(folder + "/found.npz", y=y, on=tsne.predict(z, verbose=0), **history)
"""


class TestSaving:
    @pytest.mark.slow  # another process imports TensorFlow
    @pytest.mark.parametrize("fitted", ["neighbors"], indirect=True)
    def test_in_a_fresh_process(self, fitted, digits, tmp_path):
        tsne, history, y = fitted
        tsne.save(tmp_path / "map.keras")
        np.save(tmp_path / "z.npy", digits)
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run(
            [sys.executable, "-c", textwrap.dedent(RELOAD), str(tmp_path)],
            check=True,
            env=environment,
            cwd=tmp_path,
        )
        found = np.load(tmp_path / "found.npz")
        np.testing.assert_allclose(found["y"], y, atol=1e-4)
        # Neither pre-training (whose regression would fetch the map back) nor a cold start.
        assert found["kl"][0] < history["kl"][1]
        # The saved model and its copy go on alike, draws included.
        here = keras.models.load_model(tmp_path / "map.keras")
        here.fit(digits, epochs=1, batch_size=200, steps_per_epoch=30, verbose=0)
        np.testing.assert_allclose(found["on"], mapped(here, digits), atol=1e-2)

    def test_settings_survive(self, few, tmp_path):
        settings = {
            "perplexity": 7.5,
            "hidden_units": (30, 20),
            "activation": "relu",
            "principal_components": 9,
            "batches": "uniform",
            "early_exaggeration": 3.0,
            "learning_rate": 0.002,
            "neighbors": "exact",
            "seed": 11,
        }
        tsne = quick(few, components=3, **settings)
        tsne.save(tmp_path / "map.keras")
        again = keras.models.load_model(tmp_path / "map.keras")
        for name, value in settings.items():
            assert getattr(again, name) == getattr(tsne, name)
            assert name == "activation" or getattr(again, name) == value
        assert mapped(again, few).shape == (150, 3)
        assert again.get_config() == tsne.get_config()
        np.testing.assert_allclose(mapped(again, few), mapped(tsne, few), atol=1e-5)
        assert float(again.spread) == float(tsne.spread) > 0

    def test_optimizer_of_the_caller(self, few, tmp_path):
        optimizer = keras.optimizers.RMSprop(0.003)
        tsne = ParametricTSNE(**SMALL)
        tsne.compile(optimizer, jit_compile=False, steps_per_execution=2)
        tsne.fit(few, **WHOLE)
        assert tsne.optimizer is optimizer
        assert int(optimizer.iterations) == 12
        tsne.save(tmp_path / "map.keras")
        again = keras.models.load_model(tmp_path / "map.keras")
        assert isinstance(again.optimizer, keras.optimizers.RMSprop)
        assert float(again.optimizer.learning_rate) == pytest.approx(0.003)
        assert again.jit_compile is False
        assert again.steps_per_execution == 2
        for kept, was in zip(again.optimizer.variables, optimizer.variables, strict=True):
            assert np.array_equal(kept, was)
        again.fit(few, **WHOLE)
        assert int(again.optimizer.iterations) == 20
        assert isinstance(again.optimizer, keras.optimizers.RMSprop)

    def test_optimizer_of_the_model_itself(self, few, tmp_path):
        tsne = quick(few)
        tsne.save(tmp_path / "map.keras")
        again = keras.models.load_model(tmp_path / "map.keras")
        assert isinstance(again.optimizer, keras.optimizers.Adam)
        for kept, was in zip(again.optimizer.variables, tsne.optimizer.variables, strict=True):
            assert np.array_equal(kept, was)
        again.fit(few, **WHOLE)
        assert int(again.optimizer.iterations) == 8  # made anew, without pre-training

    def test_network_of_the_caller(self, few, tmp_path):
        images = few.reshape(-1, 8, 8, 1) / 16
        network = keras.Sequential(
            [keras.layers.Conv2D(4, 3), keras.layers.Flatten(), keras.layers.Dense(2)]
        )
        tsne = quick(images, network=network)
        tsne.save(tmp_path / "map.keras")
        again = keras.models.load_model(tmp_path / "map.keras")
        np.testing.assert_allclose(mapped(again, images), mapped(tsne, images), atol=1e-5)

    @pytest.mark.parametrize("name", ["map.h5", "map.hdf5"])
    def test_a_format_that_could_not_be_loaded(self, fitted, tmp_path, name):
        with pytest.raises(ValueError, match=rf"saved to '\.keras'.*{name}"):
            fitted[0].save(tmp_path / name)
        assert not list(tmp_path.iterdir())

    def test_before_training(self, few, tmp_path):
        tsne = ParametricTSNE(**SMALL)
        y = mapped(tsne, few)
        tsne.save(tmp_path / "map.keras")
        again = keras.models.load_model(tmp_path / "map.keras")
        np.testing.assert_allclose(mapped(again, few), y, atol=1e-5)
        assert "kl" in again.fit(few, **WHOLE).history
        assert int(again.optimizer.iterations) == 12  # it has not been pre-trained yet


class TestCallbacks:
    def test_early_stopping(self, few):
        stop = keras.callbacks.EarlyStopping("kl", patience=1, min_delta=100, mode="min")
        tsne = ParametricTSNE(**SMALL)
        history = tsne.fit(few, callbacks=[stop], **{**QUICK, "epochs": 9})
        assert len(history.epoch) == 2

    def test_checkpoint(self, few, tmp_path):
        path = tmp_path / "best.keras"
        tsne = ParametricTSNE(**SMALL)
        checkpoint = keras.callbacks.ModelCheckpoint(
            path, monitor="val_kl", mode="min", save_best_only=True
        )
        tsne.fit(few, validation_data=few[:100], callbacks=[checkpoint], **QUICK)
        again = keras.models.load_model(path)
        assert mapped(again, few).shape == (150, 2)
        first = again.fit(few, **QUICK).history
        assert np.isfinite(first["kl"]).all()

    def test_an_interrupted_fit_leaves_a_working_model(self, few):
        def interrupt(epoch, logs):
            raise KeyboardInterrupt

        tsne = ParametricTSNE(**SMALL)
        with pytest.raises(KeyboardInterrupt):
            tsne.fit(
                few, callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=interrupt)], **QUICK
            )
        assert np.isfinite(mapped(tsne, few)).all()
        tsne.fit(few[:100], **QUICK)


class TestPaper:
    def test_settings(self, few):
        tsne = ParametricTSNE.paper(seed=0)
        assert tsne.perplexity == 50
        assert tsne.batches == "uniform"
        assert tsne.early_exaggeration == 1
        assert isinstance(tsne.optimizer, keras.optimizers.Adam)
        assert not isinstance(
            tsne.optimizer._learning_rate, keras.optimizers.schedules.LearningRateSchedule
        )
        assert float(tsne.optimizer.learning_rate) == pytest.approx(0.01)
        first, dense = tsne.projection, tsne.network.layers
        assert isinstance(first, PrincipalProjection)
        assert first.count is None
        assert [layer.units for layer in dense] == [300, 100, 2]
        mapped(tsne, few)
        assert sum(np.prod(w.shape) for w in tsne.trainable_weights) == 64 * 300 + 30_602

    def test_ten_epochs_of_batches_of_500_after_five(self):
        import inspect

        parameters = inspect.signature(ParametricTSNE.fit).parameters
        assert [parameters[n].default for n in ("epochs", "batch_size", "pretrain_epochs")] == [
            10,
            500,
            5,
        ]

    def test_arguments_pass_through(self):
        tsne = ParametricTSNE.paper(3, seed=4, perplexity=12)
        assert (tsne.components, tsne.seed, tsne.perplexity) == (3, 4, 12)

    def test_the_rate_stays_constant(self, digits):
        tsne = ParametricTSNE.paper(seed=0, perplexity=20)
        tsne.fit(digits, **{**SHORT, "epochs": 8})
        assert float(tsne.optimizer.learning_rate) == pytest.approx(0.01)
        assert trustworthiness(digits, mapped(tsne, digits), n_neighbors=12) > 0.95


class TestErrors:
    def test_rows_that_are_not_finite_are_named(self, few):
        z = few.copy()
        z[[3, 77], 5] = np.nan, -np.inf
        with pytest.raises(ValueError, match=r"`z`.*2 of 150 rows.*rows 3, 77"):
            ParametricTSNE(perplexity=10).fit(z)
        tsne = ParametricTSNE(perplexity=10)
        with pytest.raises(ValueError, match=r"`validation_data`.*rows 3, 77"):
            tsne.fit(few, validation_data=z, **QUICK)

    def test_perplexity_too_large(self, few):
        with pytest.raises(ValueError, match=r"third of the 150 points \(50\). Received: 50"):
            ParametricTSNE(perplexity=50).fit(few)

    @pytest.mark.parametrize("perplexity", [1, 0, -4, np.nan])
    def test_perplexity_too_small(self, perplexity):
        with pytest.raises(
            ValueError, match=f"`perplexity` must be above 1. Received: {perplexity}"
        ):
            ParametricTSNE(perplexity=perplexity)

    @pytest.mark.parametrize("components", [1, 4])
    def test_components(self, components):
        with pytest.raises(ValueError, match=f"one of 2, 3. Received: {components}"):
            ParametricTSNE(components)

    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            ("batches", "neighbours", "`batches`.*Did you mean 'neighbors'"),
            ("neighbors", "exakt", "`neighbors`.*Did you mean 'exact'"),
        ],
    )
    def test_names(self, name, value, message):
        with pytest.raises(ValueError, match=message):
            ParametricTSNE(**{name: value})

    def test_network_with_other_components(self, few):
        network = keras.Sequential([keras.layers.Dense(5)])
        with pytest.raises(ValueError, match=r"to 2 components.*\(1, 5\)"):
            ParametricTSNE(perplexity=10, network=network).fit(few)

    def test_graph_of_other_points(self, few):
        graph = nearest_neighbors(few[:140], perplexity=10)
        with pytest.raises(ValueError, match=r"hold the 150 points.*140 rows"):
            ParametricTSNE(perplexity=10).fit(few, graph=graph)
