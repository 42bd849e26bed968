"""What all embeddings share, whatever their objective."""

import random
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import sparse
from slow_cases import by_default
from small_maps import (
    KINDS,
    MEASURES,
    QUICK,
    SMALL,
    about_centre,
    few_digits,
    make,
    mapped,
    quick,
    quick_map,
    still,
)

from keras_pli.embedding import ParametricEmbedding, nearest_neighbors
from keras_pli.embedding.objectives import ContrastiveObjective, Objective

# One a class: t-SNE's uniform batches have nothing of their own but their draws.
CLASSES = [kind for kind in KINDS if kind != "uniform"]


@pytest.fixture(scope="module")
def few():
    return few_digits()


@pytest.fixture(scope="module", params=by_default("umap", of=KINDS))
def trained(request, few):
    """A model after pre-training and a quick training, and what `fit` returned."""
    model = make(request.param)
    history = model.fit(few, **{**QUICK, "pretrain_epochs": 1})
    return request.param, model, history


class TestFit:
    def test_history(self, trained):
        kind, _, history = trained
        assert set(history.history) == {"loss", MEASURES[kind]}
        assert all(len(values) == 2 for values in history.history.values())
        assert np.isfinite(history.history["loss"]).all()

    @pytest.mark.parametrize("kind", CLASSES)
    @pytest.mark.slow
    def test_the_loss_falls(self, few, kind):
        model = make(kind)
        fit = {**QUICK, "steps_per_epoch": 20, "pretrain_epochs": None, "epochs": 4}
        found = model.fit(few, **fit).history[MEASURES[kind]]
        # A contrastive objective's changes after the early phase, the first of four epochs.
        assert found[-1] < 0.95 * found[1]

    def test_spread_is_the_mean_squared_distance_from_the_centre(self, trained, few):
        _, model, _ = trained
        y = mapped(model, few)
        expected = np.mean(np.sum((y - y.mean(axis=0)) ** 2, axis=1))
        assert float(model.spread) == pytest.approx(expected, rel=1e-4)

    def test_steps_are_counted(self, trained):
        _, model, _ = trained
        assert int(model.step) == 8
        assert int(model.optimizer.iterations) == 12

    @pytest.mark.parametrize("kind", ["uniform", "umap"])
    @pytest.mark.slow
    def test_tables_are_let_go_of(self, few, kind):
        tables = []

        class Look(keras.callbacks.Callback):
            def on_train_begin(self, logs=None):
                tables.append(weakref.ref(self.model._train_stage.tables))

        model = quick(kind, few, fit={"callbacks": [Look()]})
        assert model._train_stage is model._test_stage is None
        assert [table() for table in tables] == [None]

    @pytest.mark.parametrize(
        ("kind", "batch_size"),
        [("umap", 4), ("tsne", 4), ("uniform", 5000)],
    )
    @pytest.mark.usefixtures("stepped")
    @pytest.mark.slow
    def test_any_batch_size(self, few, kind, batch_size):
        model = quick(kind, few, fit={"batch_size": batch_size})
        assert np.isfinite(mapped(model, few)).all()

    @pytest.mark.usefixtures("stepped")
    def test_defaults_of_the_model(self, few):
        model = make("uniform", fit_defaults={"epochs": 3, "batch_size": 40, "pretrain_epochs": 2})
        assert len(model.fit(few, verbose=0).epoch) == 3
        assert int(model.optimizer.iterations) == 5 * (150 // 40)

    @pytest.mark.usefixtures("stepped")
    @pytest.mark.parametrize(("given", "expected"), [({}, 12), ({"batch_size": 20}, 20)])
    def test_batches_grow_with_the_root_of_the_points(self, few, given, expected, monkeypatch):
        """Of 150 points √1.5 times as many as of the hundred from which on they grow."""
        monkeypatch.setattr("keras_pli.embedding.objectives.BATCH_SIZE", 10)
        model, asked = make("uniform"), []
        tables = model.objective.tables
        monkeypatch.setattr(
            model.objective,
            "tables",
            lambda z, graph, size: asked.append(size) or tables(z, graph, size),
        )
        model.fit(few, epochs=1, verbose=0, **given)
        assert asked == [expected]

    @pytest.mark.usefixtures("stepped")
    @pytest.mark.slow
    def test_settings_go_before_defaults(self, few):
        model = make("uniform", fit_defaults={"epochs": 9, "pretrain_epochs": 2})
        assert len(model.fit(few, 2, 50, 0, verbose=0).epoch) == 2
        assert int(model.optimizer.iterations) == 2 * 3

    @pytest.mark.usefixtures("stepped")
    @pytest.mark.slow
    def test_network_of_the_caller_on_images(self, few, tmp_path):
        images = few.reshape(-1, 8, 8, 1) / 16
        network = keras.Sequential(
            [
                keras.layers.Conv2D(8, 3, activation="relu"),
                keras.layers.MaxPooling2D(),
                keras.layers.Flatten(),
                keras.layers.Dense(2),
            ]
        )
        model = quick("umap", images, network=network, fit={"pretrain_epochs": None})
        assert model.network is network
        y = mapped(model, images)
        assert y.shape == (150, 2)
        assert y.std() > 0
        model.save(tmp_path / "map.keras")
        again = keras.models.load_model(tmp_path / "map.keras")
        np.testing.assert_allclose(mapped(again, images), y, atol=1e-5)

    @pytest.mark.slow
    def test_further_axes_are_flattened(self, few):
        images = few.reshape(-1, 8, 8)
        np.testing.assert_allclose(
            about_centre(mapped(quick("umap", images), images)),
            about_centre(quick_map("umap")),
            atol=1e-4,
        )

    @pytest.mark.parametrize("kind", ["uniform", "umap"])
    @pytest.mark.slow
    def test_points_of_a_single_feature(self, few, kind):
        z = few[:, 2:3] + few[:, 3:4] / 3
        model = quick(kind, z, fit={"pretrain_epochs": None})
        assert np.isfinite(mapped(model, z)).all()
        assert mapped(model, z).std() > 0

    @pytest.mark.slow
    def test_points_far_from_the_origin_keep_their_digits(self, few):
        far = few.astype(np.float64) + 2.0**33
        found = about_centre(mapped(quick("umap", far), far))
        np.testing.assert_allclose(found, about_centre(quick_map("umap")), atol=1e-4)

    @pytest.mark.usefixtures("stepped")
    @pytest.mark.slow
    def test_a_graph_of_the_caller_is_used(self, few):
        graph = nearest_neighbors(few[::-1], 10)
        other = mapped(quick("umap", few, fit={"graph": graph}), few)
        assert not np.allclose(other, quick_map("umap"), atol=1e-2)

    @pytest.mark.slow
    def test_the_graph_of_the_points_changes_nothing(self, few):
        same = mapped(quick("umap", few, fit={"graph": nearest_neighbors(few, 10)}), few)
        np.testing.assert_allclose(same, quick_map("umap"), atol=1e-5)

    @pytest.mark.usefixtures("stepped")
    def test_metrics(self, few):
        """Lengths do not matter to the cosine; precomputed distances are those of the caller."""
        cosine = quick("umap", few, metric="cosine")
        unit = few / np.linalg.norm(few, axis=1, keepdims=True)
        apart = np.linalg.norm(unit[:, None] - unit[None, :], axis=-1)
        given = quick("umap", few, metric="precomputed", fit={"graph": np.square(apart) / 2})
        found, expected = (about_centre(mapped(each, few)) for each in (given, cosine))
        np.testing.assert_allclose(found, expected, atol=1e-3)
        with pytest.raises(ValueError, match=r"give `fit` the distances .* as `graph`"):
            quick("umap", few, metric="precomputed")


class TestPredict:
    @pytest.mark.parametrize("kind", CLASSES)
    def test_refuses_before_training(self, few, kind):
        model = make(kind)
        with pytest.raises(ValueError, match=rf"{type(model).__name__} has not been trained"):
            mapped(model, few)
        model.build((None, 64))
        with pytest.raises(ValueError, match=r"Call `fit` first"):
            mapped(model, few)

    def test_other_features(self, trained, few):
        with pytest.raises(ValueError, match=r"64 features. Received shape \(150, 63\)"):
            mapped(trained[1], few[:, 1:])

    @pytest.mark.slow
    def test_after_a_fit_with_other_steps(self, few):
        """Keras runs as many steps at a time as fit chose: a prediction must not lose batches."""
        model, during = make("tsne"), []
        look = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: during.append(mapped(model, few))
        )
        for steps in (4, 3):
            fit = {**QUICK, "steps_per_epoch": steps, "epochs": 1}
            model.fit(few, callbacks=[look], **fit)
            assert during[-1].shape == mapped(model, few).shape == (150, 2)
            assert np.array_equal(during[-1], mapped(model, few))

    def test_a_call_is_the_prediction(self, trained, few):
        np.testing.assert_allclose(trained[1](few), mapped(trained[1], few), atol=1e-4)

    def test_gradients_pass_through(self, trained, few):
        inputs = tf.constant(few[:5])
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = trained[1](inputs)
        gradient = tape.gradient(outputs, inputs).numpy()
        assert np.isfinite(gradient).all()
        assert (abs(gradient).sum(axis=1) > 0).all()


class TestEvaluate:
    @pytest.mark.parametrize("kind", ["umap", "contrastive"])
    @pytest.mark.slow
    def test_reports_what_an_optimizer_at_rest_meets(self, few, kind):
        model = still(kind)
        rest = {**QUICK, "epochs": 1, "batch_size": 150, "steps_per_epoch": 100}
        model.fit(few, **rest)
        met = model.fit(few, **rest).history[MEASURES[kind]][0]
        found = model.evaluate(few, batch_size=150, verbose=0, return_dict=True)
        assert set(found) == {"loss", MEASURES[kind]}
        assert found[MEASURES[kind]] == pytest.approx(met, rel=0.1)

    def test_any_batch_that_fit_takes(self, trained, few):
        _, model, _ = trained
        of_all, by_objective, as_in_fit = (
            model.evaluate(few, batch_size=size, verbose=0) for size in (150, "auto", None)
        )
        assert (
            of_all == by_objective == as_in_fit
        )  # 150 points are fewer than a batch has by default
        with pytest.raises(ValueError, match=r"or 'auto'\. Received: 'big'"):
            model.evaluate(few, batch_size="big", verbose=0)

    @pytest.mark.slow
    def test_validation(self, few):
        history = quick("umap", few, fit={"validation_data": few[:100]}).history.history
        names = {"loss", "cross_entropy", "val_loss", "val_cross_entropy"}
        assert set(history) == names
        assert history["val_loss"] == pytest.approx(history["val_cross_entropy"], rel=1e-5)


class TestSeeds:
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.slow
    def test_same_seed_same_map(self, few, kind):
        assert np.array_equal(mapped(quick(kind, few), few), quick_map(kind))

    @pytest.mark.slow
    def test_another_seed_another_map(self, few):
        other = mapped(quick("tsne", few, seed=1), few)
        assert not np.allclose(about_centre(other), about_centre(quick_map("tsne")), atol=1e-2)

    @pytest.mark.slow
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

        assert draws(lambda: None) == draws(lambda: quick("tsne", few))


class TestXLA:
    @pytest.mark.slow
    @pytest.mark.parametrize("kind", KINDS)
    def test_equal_results(self, few, kind):
        maps = []
        for jit_compile in (False, True):
            model = make(kind)
            # Of one kind the several steps of one execution are compiled, too.
            steps = {} if kind == "uniform" else {"steps_per_execution": 1}
            model.compile("adam", jit_compile=jit_compile, **steps)
            model.fit(few, **QUICK)
            assert model.jit_compile is jit_compile
            maps.append(about_centre(mapped(model, few)))
        np.testing.assert_allclose(*maps, atol=1e-4 * maps[0].std())

    @pytest.mark.slow
    def test_equal_results_step_by_step(self, few):
        """Run as Python, without any graph."""
        kind = "umap"
        model = make(kind)
        model.compile("adam", run_eagerly=True)
        model.fit(few, **QUICK)
        compiled = make(kind)
        compiled.compile("adam")
        compiled.fit(few, **QUICK)
        found, expected = (about_centre(mapped(each, few)) for each in (model, compiled))
        np.testing.assert_allclose(found, expected, atol=1e-4 * expected.std())

    @pytest.mark.parametrize(
        ("jit_compile", "kind"),
        [(False, "umap"), (False, "tsne"), *((True, kind) for kind in KINDS)],
    )
    @pytest.mark.slow
    def test_duplicates(self, jit_compile, kind):
        z = np.random.default_rng(0).normal(size=(120, 10)).astype(np.float32)
        z[20:80] = z[20]  # more than the neighbours, and than the perplexity
        z[90:93] = z[90]
        model = make(kind)
        model.compile(jit_compile=jit_compile, steps_per_execution=1)
        history = model.fit(z, **QUICK).history
        y = mapped(model, z)
        assert np.isfinite([*history["loss"], *history[MEASURES[kind]]]).all()
        assert np.isfinite(y).all()
        np.testing.assert_allclose(y[20:80], y[20:21].repeat(60, axis=0), atol=1e-5)

    @pytest.mark.parametrize("kind", ["uniform", "umap"])
    @pytest.mark.slow
    def test_no_step_goes_through_python(self, few, kind):
        graphs = []

        class Look(keras.callbacks.Callback):
            def on_train_begin(self, logs=None):
                batch = {"row": tf.TensorSpec((1, 1), tf.int32)}
                step = tf.function(self.model.train_step).get_concrete_function((batch,))
                graphs.append(step.graph.as_graph_def())

        quick(kind, few, fit={"callbacks": [Look()], "epochs": 1})
        graph = graphs[0]
        nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
        operations = {node.op for node in nodes}
        assert {"MatMul", "GatherV2", "AssignAddVariableOp"} <= operations
        assert not {op for op in operations if "PyFunc" in op}


@keras.saving.register_keras_serializable(package="tests")
class Stress(Objective):
    """Squared distances of edges from 1: an objective of a caller."""

    measure = "stress"

    def __init__(self, n_neighbors=5):
        self.n_neighbors = n_neighbors

    def neighbors(self, samples):
        return self.n_neighbors

    def tables(self, z, graph, batch_size):
        return ContrastiveObjective(self.n_neighbors).tables(z, graph, batch_size)

    def cost(self, y, points, tables, early):
        half = points.shape[0] // 2
        squared = keras.ops.sum((y[:half] - y[half:]) ** 2, axis=1)
        stress = keras.ops.mean(keras.ops.square(squared - 1))
        return stress, stress

    def get_config(self):
        return {"n_neighbors": self.n_neighbors}


class TestObjectiveOfTheCaller:
    def test_trains_and_survives(self, few, tmp_path):
        model = ParametricEmbedding(Stress(4), jitter=0, **SMALL)
        fit = {**QUICK, "epochs": 5, "steps_per_epoch": 40, "pretrain_epochs": None}
        history = model.fit(few, **fit).history
        assert history["stress"][-1] < 0.6 * history["stress"][0]
        model.save(tmp_path / "map.keras")
        again = keras.models.load_model(tmp_path / "map.keras")
        assert again.objective.n_neighbors == 4
        np.testing.assert_allclose(mapped(again, few), mapped(model, few), atol=1e-5)

    def test_what_is_none(self):
        with pytest.raises(TypeError, match=r"must be an Objective. Received: str"):
            ParametricEmbedding("tsne")


class TestCallbacks:
    @pytest.mark.slow
    def test_early_stopping(self, few):
        stop = keras.callbacks.EarlyStopping("kl", patience=1, min_delta=100, mode="min")
        history = make("tsne").fit(few, callbacks=[stop], **{**QUICK, "epochs": 9})
        assert len(history.epoch) == 2

    @pytest.mark.slow
    def test_checkpoint(self, few, tmp_path):
        path = tmp_path / "best.keras"
        model = make("umap")
        checkpoint = keras.callbacks.ModelCheckpoint(
            path, monitor="val_cross_entropy", mode="min", save_best_only=True
        )
        model.fit(few, validation_data=few[:100], callbacks=[checkpoint], **QUICK)
        again = keras.models.load_model(path)
        assert mapped(again, few).shape == (150, 2)
        assert np.isfinite(again.fit(few, **QUICK).history["loss"]).all()

    @pytest.mark.slow
    def test_an_interrupted_fit_leaves_a_working_model(self, few):
        def interrupt(epoch, logs):
            raise KeyboardInterrupt

        model = make("contrastive")
        stop = keras.callbacks.LambdaCallback(on_epoch_end=interrupt)
        with pytest.raises(KeyboardInterrupt):
            model.fit(few, callbacks=[stop], **QUICK)
        assert model._train_stage is None
        assert np.isfinite(mapped(model, few)).all()
        model.fit(few[:100], **QUICK)


@pytest.fixture(scope="module", params=["tsne", "umap", "contrastive"])
def untrained(request):
    return make(request.param)


class TestErrors:
    def test_rows_that_are_not_finite_are_named(self, untrained, few):
        z = few.copy()
        z[[3, 77], 5] = np.nan, -np.inf
        with pytest.raises(ValueError, match=r"`z`.*2 of 150 rows.*rows 3, 77"):
            untrained.fit(z)
        with pytest.raises(ValueError, match=r"`validation_data`.*rows 3, 77"):
            untrained.fit(few, validation_data=z, **QUICK)

    @pytest.mark.parametrize("given", [{"epochs": 0}, {"batch_size": 0}, {"epochs": 2.5}])
    def test_lengths_of_training(self, untrained, few, given):
        name = next(iter(given))
        with pytest.raises(ValueError, match=rf"`{name}` must be a whole number from 1"):
            untrained.fit(few, **given)

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"steps_per_epoch": 0}, "`steps_per_epoch` must be a whole number from 1"),
            ({"steps_per_epoch": 2.5}, "`steps_per_epoch` must be a whole number from 1"),
            ({"initial_epoch": -1}, "`initial_epoch` must be a whole number from 0"),
            ({"initial_epoch": 2}, "`initial_epoch` must be .* less than 2. Received: 2"),
        ],
    )
    def test_steps_and_first_epoch(self, untrained, few, given, message):
        with pytest.raises(ValueError, match=message):
            untrained.fit(few, epochs=2, **given)

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"seed": -1}, "`seed` must be a whole number from 0"),
            ({"hidden_units": (20, 0)}, "`hidden_units` must be a whole number from 1"),
            ({"principal_components": 2.5}, "`principal_components` must be a whole number"),
            ({"learning_rate": 0}, "`learning_rate` must be above 0"),
        ],
    )
    def test_settings(self, given, message):
        with pytest.raises(ValueError, match=message):
            make("uniform", **given)

    def test_seed_of_numpy(self):
        assert make("uniform", seed=np.int64(3)).get_config()["seed"] == 3

    def test_validation_data_are_looked_at_before_the_search(self, untrained, few, monkeypatch):
        monkeypatch.setattr(type(untrained), "_graph", lambda *args: pytest.fail("searched"))
        with pytest.raises(ValueError, match=r"64 features. Received shape \(150, 63\)"):
            untrained.fit(few, validation_data=few[:, :63], **QUICK)

    def test_labels(self, untrained, few):
        with pytest.raises(TypeError, match=r"without labels, write `fit\(z\)`.*\(150,\)"):
            untrained.fit(few, np.zeros(150))
        with pytest.raises(ValueError, match=r"or 'auto'. Received: 'all'"):
            untrained.fit(few, epochs="all")

    def test_sparse_points(self, untrained, few):
        with pytest.raises(TypeError, match=r"`z` is a sparse matrix.*`z.toarray\(\)`"):
            untrained.fit(sparse.csr_matrix(few))

    def test_graph_of_other_points(self, untrained, few):
        graph = nearest_neighbors(few[:140], 10)
        with pytest.raises(ValueError, match=r"hold the 150 points.*140 rows"):
            untrained.fit(few, graph=graph)

    @pytest.mark.parametrize("name", ["n_components", "random_state", "n_iter", "verbose"])
    @pytest.mark.parametrize("kind", CLASSES)
    def test_names_of_other_packages(self, kind, name):
        cls = KINDS[kind][0]
        with pytest.raises(TypeError, match=rf"^{cls.__name__} takes no '{name}'; write `"):
            cls(**{name: 2})

    @pytest.mark.parametrize("components", [1, 4])
    def test_components(self, components):
        with pytest.raises(ValueError, match=f"one of 2, 3. Received: {components}"):
            make("umap", components=components)

    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            ("neighbors", "exakt", "`neighbors`.*Did you mean 'exact'"),
            ("metric", "cosinus", "`metric`.*Did you mean 'cosine'"),
        ],
    )
    def test_names(self, name, value, message):
        with pytest.raises(ValueError, match=message):
            make("umap", **{name: value})

    def test_network_with_other_components(self, few):
        network = keras.Sequential([keras.layers.Dense(5)])
        with pytest.raises(ValueError, match=r"to 2 components.*\(1, 5\)"):
            make("umap", network=network).fit(few)
