import copy
import os
import pathlib
import pickle
import subprocess
import sys

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from scipy.sparse import csr_array, csr_matrix
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.decomposition import TruncatedSVD
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import keras_pli as kp
from keras_pli.embedding import EmbeddingTransformer, ParametricTSNE

ROOT = pathlib.Path(__file__).parents[2]
# One step an epoch.
TINY = {"perplexity": 5, "epochs": 2, "hidden_units": (8,), "options": {"batches": "uniform"}}
REASONS = {
    **dict.fromkeys(
        [
            "check_dont_overwrite_parameters",
            "check_methods_sample_order_invariance",
            "check_methods_subset_invariance",
            "check_fit2d_1feature",
            "check_fit2d_predict1d",
        ],
        "sets n_components=1, and a map has 2 or 3",
    ),
    "check_do_not_raise_errors_in_init_or_set_params": (
        "takes **unknown for a parameter; it is there to refuse names that are none"
    ),
}


@pytest.fixture(scope="module", autouse=True)
def eagerly():
    """Tracing takes longer than the few steps of these tests."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def rows():
    return load_digits().data[:120] / 16


@pytest.fixture(scope="module")
def labels():
    return load_digits().target[:120]


@pytest.fixture(scope="module")
def fitted(rows):
    return EmbeddingTransformer(**TINY, random_state=0).fit(rows)


def pickled(transformer):
    return pickle.loads(pickle.dumps(transformer))


class TestFit:
    def test_is_the_map_of_the_same_settings(self, fitted, rows):
        tsne = ParametricTSNE(perplexity=5, hidden_units=(8,), batches="uniform", seed=0)
        tsne.fit(rows, epochs=2, verbose=0)
        np.testing.assert_allclose(fitted.embedding_, tsne.predict(rows, verbose=0), atol=1e-4)
        assert fitted.embedding_.shape == (120, 2) and fitted.embedding_.dtype == np.float32
        assert isinstance(fitted.model_, ParametricTSNE)
        assert fitted.n_features_in_ == 64

    def test_transforms_alike_in_any_part_and_order(self, fitted, rows):
        whole = fitted.transform(rows)
        np.testing.assert_allclose(whole, fitted.embedding_, atol=1e-5)
        np.testing.assert_allclose(fitted.transform(rows[:3]), whole[:3], atol=1e-5)
        np.testing.assert_allclose(fitted.transform(rows[::-1]), whole[::-1], atol=1e-5)

    def test_labels_are_ignored_and_the_seed_decides(self, fitted, rows, labels):
        same = clone(fitted).fit_transform(rows, labels)
        np.testing.assert_allclose(same, fitted.embedding_, atol=1e-4)
        other = clone(fitted).set_params(random_state=1).fit_transform(rows)
        assert np.abs(other - same).max() > 1e-2

    @pytest.mark.slow
    def test_states_of_numpy_are_seeds_too(self, rows):
        state = np.random.RandomState(3)
        transformer = EmbeddingTransformer(**{**TINY, "epochs": 1}, random_state=state)
        first, second = (transformer.fit(rows).model_.seed for _ in range(2))
        assert first != second
        drawn = np.random.RandomState(3).randint(2**31 - 1, size=2)
        assert [first, second] == drawn.tolist()

    @pytest.mark.slow
    def test_options_and_optimizer_reach_the_map(self, rows):
        network = keras.Sequential([keras.layers.Dense(4, "tanh"), keras.layers.Dense(3)])
        optimizer = keras.optimizers.SGD(0.125)
        options = {"network": network, "early_exaggeration": 2.0, "batches": "uniform"}
        transformer = EmbeddingTransformer(
            3, perplexity=5, epochs=1, optimizer=optimizer, options=options, random_state=0
        )
        model = transformer.fit(rows).model_
        assert model.early_exaggeration == 2.0 and transformer.embedding_.shape == (120, 3)
        assert model.network is not network and not network.built
        assert isinstance(model.optimizer, keras.optimizers.SGD)
        assert model.optimizer is not optimizer and not optimizer.built
        again = clone(transformer).set_params(optimizer="rmsprop").fit(rows).model_
        assert isinstance(again.optimizer, keras.optimizers.RMSprop)

    def test_names_of_features(self, rows):
        frame = pd.DataFrame(rows, columns=[f"pixel {number}" for number in range(64)])
        transformer = EmbeddingTransformer(**TINY, random_state=0).set_output(transform="pandas")
        found = transformer.fit_transform(frame)
        assert transformer.feature_names_in_.tolist() == frame.columns.tolist()
        expected = ["embeddingtransformer0", "embeddingtransformer1"]
        assert transformer.get_feature_names_out().tolist() == found.columns.tolist() == expected
        with pytest.raises(ValueError, match="feature names should match"):
            transformer.transform(frame[frame.columns[::-1]])


class TestWithinScikitLearn:
    @pytest.mark.slow
    def test_pipeline(self, rows):
        pipeline = Pipeline(
            [("scale", StandardScaler()), ("map", EmbeddingTransformer(**TINY, random_state=0))]
        )
        y = pipeline.fit_transform(rows)
        alone = EmbeddingTransformer(**TINY, random_state=0)
        expected = alone.fit_transform(StandardScaler().fit_transform(rows))
        np.testing.assert_allclose(y, expected, atol=1e-4)
        np.testing.assert_allclose(pipeline.transform(rows), y, atol=1e-5)

    def test_clone_and_parameters(self, fitted):
        cloned = clone(fitted)
        assert (
            cloned.get_params()
            == fitted.get_params()
            == {
                **dict.fromkeys(["n_neighbors", "metric", "optimizer"]),
                **TINY,
                "n_components": 2,
                "objective": "tsne",
                "batch_size": None,
                "random_state": 0,
                "verbose": 0,
            }
        )
        assert not hasattr(cloned, "model_")

    @pytest.mark.slow
    def test_grid_search_over_perplexity(self, rows, labels):
        settings = {**TINY, "perplexity": None, "epochs": 1}
        pipeline = make_pipeline(
            EmbeddingTransformer(**settings, random_state=0), KNeighborsClassifier()
        )
        asked = {"embeddingtransformer__perplexity": [2, 15]}
        search = GridSearchCV(pipeline, asked, cv=2, error_score="raise").fit(rows, labels)
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()
        best = search.best_estimator_[0]
        assert best.model_.perplexity == search.best_params_["embeddingtransformer__perplexity"]
        assert best.embedding_.shape == (120, 2)

    @pytest.mark.parametrize(
        "copied", [pickled, pytest.param(copy.deepcopy, marks=pytest.mark.slow)]
    )
    def test_copies_of_a_fitted_one(self, fitted, rows, copied):
        again = copied(fitted)
        assert again.model_ is not fitted.model_
        np.testing.assert_allclose(again.transform(rows), fitted.transform(rows), atol=1e-6)
        assert float(again.model_.spread) == float(fitted.model_.spread)

    @pytest.mark.slow
    def test_unpickled_in_a_process_of_its_own(self, fitted, rows, tmp_path):
        (tmp_path / "map.pkl").write_bytes(pickle.dumps(fitted))
        np.save(tmp_path / "rows.npy", rows)
        script = (
            "import pickle, numpy as np\n"
            "with open('map.pkl', 'rb') as file: transformer = pickle.load(file)\n"
            "np.save('y.npy', transformer.transform(np.load('rows.npy')))\n"
        )
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run(
            [sys.executable, "-c", script], cwd=tmp_path, env=environment, check=True, timeout=300
        )
        np.testing.assert_allclose(np.load(tmp_path / "y.npy"), fitted.embedding_, atol=1e-4)

    @pytest.mark.slow
    def test_scikit_learn_s_own_checks(self):
        transformer = EmbeddingTransformer(**{**TINY, "perplexity": 2}, random_state=0)
        results = check_estimator(
            transformer, on_skip=None, on_fail=None, expected_failed_checks=REASONS
        )
        failed = {r["check_name"]: r["exception"] for r in results if r["status"] == "failed"}
        assert failed == {}
        assert {r["check_name"] for r in results if r["status"] == "xfail"} == set(REASONS)
        assert sum(r["status"] == "passed" for r in results) >= 35


class TestOfAMap:
    @pytest.mark.slow
    def test_untrained_gives_its_settings(self, rows):
        tsne = ParametricTSNE(
            perplexity=5, hidden_units=(8,), batches="uniform", early_exaggeration=3.0, seed=0
        )
        transformer = EmbeddingTransformer.of(tsne)
        with pytest.raises(NotFittedError):
            transformer.transform(rows)
        tsne.fit(rows, epochs=2, verbose=0)
        y = clone(transformer).set_params(epochs=2).fit_transform(rows)
        np.testing.assert_allclose(y, tsne.predict(rows, verbose=0), atol=1e-4)

    def test_trained_is_fitted(self, fitted, rows):
        transformer = EmbeddingTransformer.of(fitted.model_)
        assert transformer.model_ is fitted.model_ and transformer.n_features_in_ == 64
        np.testing.assert_allclose(transformer.transform(rows), fitted.embedding_, atol=1e-5)

    @pytest.mark.slow
    def test_the_optimizer_and_the_network_are_of_the_settings(self, rows):
        network = keras.Sequential([keras.layers.Dense(2)])
        tsne = ParametricTSNE.paper(perplexity=5, network=network, seed=0)
        model = clone(EmbeddingTransformer.of(tsne)).set_params(epochs=1).fit(rows).model_
        assert float(model.optimizer.learning_rate) == pytest.approx(0.01)
        assert model.batches == "uniform" and len(model.network.layers) == 1

    def test_of_what_is_no_map_or_no_rows(self, rows):
        with pytest.raises(TypeError, match="`model` must be one of 'ParametricTSNE'"):
            EmbeddingTransformer.of(keras.Sequential())
        network = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(2)])
        tsne = ParametricTSNE(perplexity=5, network=network, batches="uniform")
        tsne.fit(rows.reshape(-1, 8, 8), epochs=1, verbose=0)
        with pytest.raises(ValueError, match=r"map of points of shape \(8, 8\)"):
            EmbeddingTransformer.of(tsne)


class TestErrors:
    @pytest.mark.parametrize("sparse", [csr_matrix, csr_array])
    @pytest.mark.slow
    def test_sparse_rows(self, fitted, rows, sparse):
        for use in (fitted.transform, clone(fitted).fit):
            with pytest.raises(TypeError, match=r"Write X\.toarray\(\), or put .*TruncatedSVD"):
                use(sparse(rows))
        pipeline = make_pipeline(TruncatedSVD(10), clone(fitted))
        assert pipeline.fit_transform(sparse(rows)).shape == (120, 2)

    def test_not_fitted(self, rows):
        for use in ("transform", "get_feature_names_out"):
            with pytest.raises((NotFittedError, AttributeError)):
                getattr(EmbeddingTransformer(), use)(rows)
        with pytest.raises(NotFittedError, match="not fitted yet"):
            EmbeddingTransformer().transform(rows)

    @pytest.mark.parametrize(
        ("name", "meant"), [("perplexty", "'perplexity'"), ("components", "'n_components'")]
    )
    def test_other_names(self, name, meant):
        with pytest.raises(TypeError, match=f"takes no option '{name}'. Did you mean {meant}"):
            EmbeddingTransformer(**{name: 3})
        with pytest.raises(TypeError, match=r"takes no option 'seed'\. It takes .*'random_state'"):
            EmbeddingTransformer(seed=3)

    @pytest.mark.parametrize(
        ("parameters", "error", "message"),
        [
            ({"objective": "tsen"}, ValueError, "`objective` must be one of 'tsne'.*'tsne'"),
            ({"n_neighbors": 15}, TypeError, "ParametricTSNE takes no option 'n_neighbors'"),
            ({"options": {"exaggeration": 2}}, TypeError, "Did you mean 'early_exaggeration'"),
            ({"options": {"seed": 2}}, ValueError, "Say 'random_state' as parameters"),
            ({"n_components": 5}, ValueError, "Received: 5"),
            ({"epochs": 0}, ValueError, "`epochs` must be a whole number from 1"),
            ({"random_state": "seven"}, ValueError, "seven"),
        ],
    )
    def test_parameters(self, rows, parameters, error, message):
        with pytest.raises(error, match=message):
            EmbeddingTransformer(**{**TINY, **parameters}).fit(rows)

    def test_rows(self, fitted, rows):
        with pytest.raises(
            ValueError, match="63 features, but EmbeddingTransformer is expecting 64"
        ):
            fitted.transform(rows[:, 1:])
        with pytest.raises(ValueError, match="contains NaN"):
            fitted.transform(np.full((2, 64), np.nan))
        with pytest.raises(ValueError, match="Expected 2D array"):
            fitted.transform(rows[0])


def test_public_name():
    assert kp.EmbeddingTransformer is EmbeddingTransformer
