import keras
import numpy as np
import pytest
from scipy.linalg import expm
from scipy.spatial import procrustes
from sklearn.datasets import load_digits
from small_maps import QUICK, divergence, few_digits, make, mapped, quick

from keras_pli.embedding import ParametricTSNE
from keras_pli.embedding.refit import checked_anchors

MOVED = 3
FIT = {"epochs": 3, "batch_size": 200, "steps_per_epoch": 30, "verbose": 0}


@pytest.fixture(scope="module")
def few():
    return few_digits()


@pytest.fixture(scope="module")
def digits():
    x, labels = load_digits(return_X_y=True)
    return x[:600].astype(np.float32), labels[:600]


@pytest.fixture(scope="module")
def changed(digits):
    """The layer after retraining, as it were: turned a little, larger, and one class near another."""
    x, labels = digits
    turn = np.random.default_rng(0).normal(size=(64, 64)) / 16
    z = 1.3 * x @ expm(0.3 * (turn - turn.T)).astype(np.float32)
    z[labels == MOVED] += 0.7 * (z[labels == 8].mean(axis=0) - z[labels == MOVED].mean(axis=0))
    return z


@pytest.fixture(scope="module")
def before(digits, tmp_path_factory):
    """A trained model's file, and its map."""
    model = ParametricTSNE(perplexity=20, hidden_units=(100, 50), batches="neighbors", seed=0)
    model.fit(digits[0], **{**FIT, "epochs": 6})
    path = tmp_path_factory.mktemp("maps") / "before.keras"
    model.save(path)
    return path, mapped(model, digits[0])


@pytest.fixture(scope="module")
def refitted(before, changed, digits):
    path, y = before
    held = np.flatnonzero(digits[1] != MOVED)
    model = keras.models.load_model(path)
    return model, model.refit(changed, (held, y[held]), **FIT), held


class TestAnchors:
    def test_stay_in_place(self, refitted):
        _, found, held = refitted
        assert np.array_equal(found.anchors, held)
        assert np.median(found.drift) < 0.05 * found.scale

    @pytest.mark.slow
    def test_drift_without_anchors(self, refitted, before, changed):
        _, found, held = refitted
        _, y = before
        free = keras.models.load_model(before[0])
        free.fit(changed, **FIT)
        drift = np.linalg.norm(mapped(free, changed)[held] - y[held], axis=1)
        assert np.median(drift) > 5 * np.median(found.drift)

    def test_drift_and_scale_are_those_of_the_map(self, refitted, before, changed):
        model, found, held = refitted
        y = mapped(model, changed)
        expected = np.linalg.norm(y[held] - before[1][held], axis=1)
        np.testing.assert_allclose(found.drift, expected, atol=1e-3 * found.scale)
        scale = np.sqrt(np.mean(np.sum((y - y.mean(axis=0)) ** 2, axis=1)))
        assert found.scale == pytest.approx(scale, rel=1e-4)
        half, most = np.quantile(expected / scale, [0.5, 0.95])
        assert f"{len(held)} anchors" in repr(found)
        assert f"{half:.1%}" in repr(found)
        assert f"less than {most:.1%}" in repr(found)

    def test_what_has_moved_in_the_layer_moves_in_the_map(self, refitted, before, changed, digits):
        model, found, _ = refitted
        labels = digits[1]
        path = np.linalg.norm(mapped(model, changed) - before[1], axis=1)
        assert np.median(path[labels == MOVED]) > 3 * np.quantile(found.drift, 0.9)

    def test_the_map_is_still_one_of_the_points(self, refitted, before, changed):
        unfit = keras.models.load_model(before[0])
        there = divergence(changed, mapped(unfit, changed), 20)
        assert divergence(changed, mapped(refitted[0], changed), 20) < there

    @pytest.mark.slow
    def test_the_weight_pulls(self, few):
        places = procrustes(few[:, 20:22], few[:, 40:42])[1] * 10
        drifts = []
        for weight in (0.0, 500.0):
            model = quick("umap", few)
            fit = {**QUICK, "steps_per_epoch": 30}
            del fit["pretrain_epochs"]
            drifts.append(model.refit(few, places, anchor_weight=weight, **fit).drift.mean())
        assert drifts[1] < 0.7 * drifts[0]

    @pytest.mark.slow
    def test_array_and_pair_agree(self, few):
        held = np.array([140, 3, 77])
        places = np.array([[5.0, 0], [0, 5], [-5, 0]], dtype=np.float32)
        array = np.full((150, 2), np.nan)
        array[held] = places
        maps = []
        for anchors in (array, (held, places), (held.tolist(), places.tolist())):
            model = quick("contrastive", few)
            found = model.refit(few, anchors, 1, 100, steps_per_epoch=4, verbose=0)
            assert found.anchors.tolist() == [3, 77, 140]
            assert set(found.history.history) == {"loss", "cross_entropy"}
            maps.append(mapped(model, few))
        np.testing.assert_allclose(maps[1], maps[0], atol=1e-5)
        np.testing.assert_allclose(maps[2], maps[0], atol=1e-5)


class TestErrors:
    def test_before_a_map_was_made(self, few):
        model = make("umap")
        for _ in range(2):
            with pytest.raises(ValueError, match=r"no map to go on from. Call `fit` first"):
                model.refit(few, np.zeros((150, 2)))
            if not model.built:
                model.build((None, 64))

    @pytest.mark.slow
    def test_weight(self, refitted, changed):
        with pytest.raises(ValueError, match="`anchor_weight` must be"):
            refitted[0].refit(changed, np.zeros((600, 2)), anchor_weight=-1)

    @pytest.mark.parametrize(
        ("anchors", "message"),
        [
            (np.zeros((5, 2)), r"shape \(6, 2\), with NaN .* Received shape \(5, 2\)"),
            (np.full((6, 2), np.nan), "holds no point in place"),
            ([[0, 0], [1, np.nan], [0, 0], [0, 0], [np.inf, 0], [0, 0]], r"all: rows 1, 4\."),
            (([0, 1],), r"a pair \(indices, positions\). Received 1 parts"),
            (([0.5], [[0, 0]]), r"whole numbers .* Received: float64 \(1,\)"),
            (([0, 1], [[0, 0]]), r"\(anchors, 2\). Received: int64 \(2,\) and \(1, 2\)"),
            (([0, 6, -1], np.zeros((3, 2))), r"out of range \[0, 6\): 6, -1"),
            (([4, 0, 4], np.zeros((3, 2))), r"more than once: 4\."),
            (([4], [[0, np.nan]]), "must be finite"),
            (([], np.zeros((0, 2))), "whole numbers|holds no point"),
        ],
    )
    def test_anchors(self, anchors, message):
        with pytest.raises(ValueError, match=message):
            checked_anchors(anchors, 6, 2)
