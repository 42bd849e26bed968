"""What is t-SNE's own: its divergence, its strategies of batches, the paper's settings."""

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness
from slow_cases import by_default
from small_maps import QUICK, SMALL, divergence, few_digits, make, mapped, quick, still

from keras_pli.embedding import ParametricTSNE, PrincipalProjection, nearest_neighbors

SETTINGS = {"perplexity": 20, "hidden_units": (100, 50), "seed": 0}
SHORT = {"epochs": 4, "batch_size": 200, "pretrain_epochs": 2, "steps_per_epoch": 30, "verbose": 0}
STRATEGIES = pytest.mark.parametrize(
    "kind",
    ["uniform", pytest.param("tsne", marks=pytest.mark.slow)],
    ids=["uniform", "neighbors"],
)


@pytest.fixture(scope="module")
def digits():
    return load_digits().data[:600].astype(np.float32)


@pytest.fixture(scope="module")
def few():
    return few_digits()


@pytest.fixture(scope="module", params=by_default("neighbors", of=["neighbors", "uniform"]))
def fitted(request, digits):
    tsne = ParametricTSNE(batches=request.param, **SETTINGS)
    history = tsne.fit(digits, **SHORT)
    return tsne, history.history, mapped(tsne, digits)


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
    def test_reported_divergence_is_that_of_the_map(self, few, kind):
        tsne = still(kind, early_exaggeration=1)
        fit = {**QUICK, "epochs": 1, "batch_size": 150}
        fit["steps_per_epoch"] = 1 if kind == "uniform" else 150
        history = tsne.fit(few, **fit).history
        expected = divergence(few, mapped(tsne, few), 10)
        # A uniform batch of all points is the divergence itself, a neighbour-aware one estimates it.
        tolerance = 1e-4 if kind == "uniform" else 0.02
        assert history["kl"][0] == pytest.approx(expected, rel=tolerance)

    @pytest.mark.slow
    def test_second_call_goes_on(self, few):
        fit = {**QUICK, "epochs": 4, "steps_per_epoch": 20}
        tsne = make("tsne")
        first = tsne.fit(few, **fit).history
        second = tsne.fit(few, **fit).history
        assert second["kl"][0] < first["kl"][0] - 0.3
        assert second["kl"][-1] < first["kl"][-1] + 0.05
        assert second["loss"][0] == pytest.approx(second["kl"][0], rel=1e-4)  # no exaggeration

    @pytest.mark.slow
    def test_second_call_on_other_data_meets_no_stale_tables(self, digits, few):
        tsne = still("uniform", early_exaggeration=1)
        tsne.fit(digits[:200], epochs=1, batch_size=200, verbose=0)
        history = tsne.fit(few, epochs=1, batch_size=150, verbose=0).history
        expected = divergence(few, mapped(tsne, few), 10)
        assert history["kl"][0] == pytest.approx(expected, rel=1e-4)

    def test_new_points_fall_among_their_neighbours(self, fitted, digits):
        shifted = digits + np.random.default_rng(0).normal(scale=0.01, size=digits.shape)
        distance = np.linalg.norm(mapped(fitted[0], shifted) - fitted[2], axis=1)
        assert np.median(distance) < 0.01 * fitted[2].std()

    @pytest.mark.slow
    def test_points_one_by_one(self, fitted):
        new = load_digits().data[1000:1010].astype(np.float32)
        together = mapped(fitted[0], new)
        alone = np.concatenate([mapped(fitted[0], new[i : i + 1]) for i in range(10)])
        np.testing.assert_allclose(alone, together, atol=1e-4)


class TestValidation:
    @pytest.mark.usefixtures("stepped")
    def test_divergence_of_other_points(self, digits, few):
        fit = {**QUICK, "batch_size": 150}
        tsne = make("uniform")
        history = tsne.fit(digits[:200], validation_data=few, **fit).history
        assert set(history) == {"loss", "kl", "val_loss", "val_kl"}
        expected = divergence(few, mapped(tsne, few), 10)
        assert history["val_kl"][-1] == pytest.approx(expected, rel=1e-4)
        assert history["val_loss"] == pytest.approx(history["val_kl"], rel=1e-5)

    @STRATEGIES
    @pytest.mark.slow
    def test_evaluate(self, few, kind):
        tsne = quick(kind, few)
        y = mapped(tsne, few)
        found = tsne.evaluate(few, batch_size=150, verbose=0, return_dict=True)
        assert set(found) == {"loss", "kl"}
        assert np.array_equal(mapped(tsne, few), y)  # it changes nothing
        tolerance = 1e-4 if kind == "uniform" else 0.1
        assert found["kl"] == pytest.approx(divergence(few, y, 10), rel=tolerance)


class TestDuplicates:
    @STRATEGIES
    @pytest.mark.slow
    def test_nothing_else(self, kind):
        z = np.ones((60, 5), dtype=np.float32)
        assert np.isfinite(mapped(quick(kind, z, perplexity=5), z)).all()


class TestSaving:
    def test_settings_survive(self, few, tmp_path):
        settings = {
            "perplexity": 7.5,
            "hidden_units": (30, 20),
            "activation": "relu",
            "principal_components": 9,
            "batches": "uniform",
            "early_exaggeration": 3.0,
            "learning_rate": 0.002,
            "jitter": 0.1,
            "neighbors": "exact",
            "metric": "cosine",
            "seed": 11,
        }
        tsne = quick("tsne", few, components=3, **settings)
        tsne.save(tmp_path / "map.keras")
        again = keras.models.load_model(tmp_path / "map.keras")
        for name, value in settings.items():
            assert getattr(again, name) == getattr(tsne, name)
            assert name == "activation" or getattr(again, name) == value
        assert mapped(again, few).shape == (150, 3)
        assert again.get_config() == tsne.get_config()
        np.testing.assert_allclose(mapped(again, few), mapped(tsne, few), atol=1e-5)
        assert float(again.spread) == float(tsne.spread) > 0

    @pytest.mark.slow
    def test_a_file_of_the_first_version(self, few, tmp_path, monkeypatch):
        """Its settings had no jitter, metric or defaults of `fit`, its model a state of draws and no count of
        steps, its projection no remainder and no limit."""
        tsne = quick("tsne", few)

        def settings_then(self):
            config = ParametricTSNE_config(self)
            return {name: value for name, value in config.items() if name not in NEW_SETTINGS}

        def model_then(self, store):
            store["0"], store["1"] = np.asarray(self.started), np.asarray(self.spread)
            store["draws"] = np.array([7, 9], dtype=np.uint32)

        def projection_then(self, store):
            for i, weight in enumerate((self.center, self.scale, self.axes)):
                store[str(i)] = np.asarray(weight)

        with monkeypatch.context() as then:
            then.setattr(ParametricTSNE, "get_config", settings_then)
            then.setattr(ParametricTSNE, "save_own_variables", model_then)
            then.setattr(PrincipalProjection, "save_own_variables", projection_then)
            tsne.save(tmp_path / "map.keras")
        again = keras.models.load_model(tmp_path / "map.keras")
        np.testing.assert_allclose(mapped(again, few), mapped(tsne, few), atol=1e-4)
        assert float(again.spread) == float(tsne.spread)
        history = again.fit(few, **QUICK).history
        # It goes on, without an early phase.
        assert history["loss"] == pytest.approx(history["kl"], rel=1e-4)


NEW_SETTINGS = ["jitter", "metric", "fit_defaults"]
ParametricTSNE_config = ParametricTSNE.get_config


class TestPaper:
    def test_settings(self):
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
        tsne.build((None, 64))
        assert sum(np.prod(w.shape) for w in tsne.trainable_weights) == 64 * 300 + 30_602

    @pytest.mark.slow
    def test_ten_epochs_of_batches_of_500_after_five(self, few):
        tsne = ParametricTSNE.paper(seed=0, perplexity=10, hidden_units=(20, 10))
        steps = []
        count = keras.callbacks.LambdaCallback(
            on_train_begin=lambda logs: steps.append(int(tsne.optimizer.iterations)),
            on_epoch_end=lambda epoch, logs: steps.append(int(tsne.optimizer.iterations)),
        )
        many = np.tile(few, (7, 1)) + np.random.default_rng(0).normal(size=(1050, 64))
        tsne.fit(many, callbacks=[count], verbose=0)
        # Two batches in each pass over the points.
        assert steps == list(range(10, 31, 2))
        assert float(tsne.optimizer.learning_rate) == pytest.approx(0.01)

    def test_arguments_pass_through(self):
        tsne = ParametricTSNE.paper(3, seed=4, perplexity=12)
        assert (tsne.components, tsne.seed, tsne.perplexity) == (3, 4, 12)


class TestErrors:
    def test_perplexity_too_large(self, few):
        with pytest.raises(ValueError, match=r"third of the 150 points \(50\). Received: 50"):
            ParametricTSNE(perplexity=50).fit(few)

    @pytest.mark.parametrize("perplexity", [1, 0, -4, np.nan])
    def test_perplexity_too_small(self, perplexity):
        with pytest.raises(
            ValueError, match=f"`perplexity` must be above 1. Received: {perplexity}"
        ):
            ParametricTSNE(perplexity=perplexity)

    def test_batches(self):
        with pytest.raises(ValueError, match=r"`batches`.*Did you mean 'neighbors'"):
            ParametricTSNE(batches="neighbours")

    def test_graph_of_other_points(self, few):
        graph = nearest_neighbors(few[:140], perplexity=10)
        with pytest.raises(ValueError, match=r"hold the 150 points.*140 rows"):
            ParametricTSNE(**SMALL, perplexity=10).fit(few, graph=graph)
