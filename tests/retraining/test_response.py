import numpy as np
import pytest
from sklearn.metrics import classification_report, silhouette_score

from keras_pli.retraining import embedding_response, performance_response

BEFORE = np.array([[0.0, 0.0], [0.0, 4.0], [6.0, 0.0], [6.0, 4.0]])
MOVED = np.array([True, True, False, False])
ASKED = np.array([[3.0, 0.0], [3.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
SPREAD = np.sqrt(9 + 4)  # each point lies 3 beside and 2 above or below the centre


def respond(displacement, **changes):
    given = {"before": BEFORE, "targets": BEFORE + ASKED, "moved": MOVED, **changes}
    return embedding_response(**given, after=BEFORE + displacement)


class TestEmbeddingResponse:
    @pytest.mark.parametrize(
        ("of_asked", "achieved", "missed"),
        [(1.0, 1.0, 0.0), (0.0, 0.0, 1.0), (2.0, 2.0, 1.0), (-1.0, -1.0, 2.0), (0.5, 0.5, 0.5)],
        ids=["arrived", "stayed", "overshot", "fled", "half way"],
    )
    def test_along_the_way(self, of_asked, achieved, missed):
        found = respond(of_asked * ASKED)
        assert found["achieved"] == achieved
        assert found["missed"] == missed
        assert found["drift"] == 0.0
        assert np.isnan(found["separation"])

    def test_perpendicular_achieves_nothing(self):
        found = respond(ASKED[:, ::-1])
        assert found["achieved"] == 0.0
        np.testing.assert_allclose(found["missed"], np.sqrt(2))

    def test_longer_ways_count_more(self):
        asked = np.array([[1.0, 0.0], [0.0, 3.0], [0.0, 0.0], [0.0, 0.0]])
        first, second = asked * [[1], [0], [0], [0]], asked * [[0], [1], [0], [0]]
        np.testing.assert_allclose(respond(first, targets=BEFORE + asked)["achieved"], 0.1)
        np.testing.assert_allclose(respond(second, targets=BEFORE + asked)["achieved"], 0.9)

    def test_drift_is_in_units_of_the_spread(self):
        displacement = np.array([[9.0, 9.0], [9.0, 9.0], [3.0, 4.0], [0.0, 0.0]])
        found = respond(displacement)
        np.testing.assert_allclose(found["drift"], np.sqrt(25 / 2) / SPREAD, rtol=1e-6)
        shrunk = embedding_response(
            BEFORE / 7, (BEFORE + ASKED) / 7, MOVED, (BEFORE + displacement) / 7
        )
        for name in ("achieved", "missed", "drift"):
            np.testing.assert_allclose(shrunk[name], found[name], rtol=1e-5)

    def test_where_nothing_rests(self):
        found = respond(ASKED, moved=np.ones(4, bool))
        assert np.isnan(found["drift"])
        assert found["achieved"] == 1.0

    @pytest.mark.parametrize("moved", [np.zeros(4, bool), np.array([False, False, True, True])])
    def test_where_nothing_was_asked(self, moved):
        found = respond(ASKED, moved=moved)
        assert np.isnan(found["achieved"])
        assert np.isnan(found["missed"])

    def test_a_map_of_one_place_has_no_drift(self):
        found = embedding_response(np.zeros((4, 2)), ASKED, MOVED, ASKED)
        assert np.isnan(found["drift"])

    def test_separation_is_the_change_in_silhouette(self):
        rng = np.random.default_rng(0)
        before, labels = rng.normal(size=(60, 3)), np.arange(60) % 3
        after = before + 2 * labels[:, None]
        found = embedding_response(before, before, np.zeros(60, bool), after, labels)
        expected = silhouette_score(after, labels) - silhouette_score(before, labels)
        np.testing.assert_allclose(found["separation"], expected, rtol=1e-4)
        assert found["separation"] > 0.1

    def test_a_single_class_has_no_separation(self):
        assert np.isnan(respond(ASKED, labels=np.zeros(4))["separation"])

    def test_shapes_must_agree(self):
        with pytest.raises(ValueError, match=r"\(4, 2\), \(4, 3\) and \(4, 2\)"):
            respond(ASKED, targets=np.zeros((4, 3)))
        with pytest.raises(ValueError, match=r"`moved`.*4 samples.*\(3,\)"):
            respond(ASKED, moved=MOVED[:3])

    @pytest.mark.parametrize("name", ["before", "targets", "after"])
    def test_positions_must_be_finite(self, name):
        maps = {"before": BEFORE, "targets": BEFORE + ASKED, "after": BEFORE}
        bad = maps[name].copy()
        bad[2, 1] = np.nan
        with pytest.raises(ValueError, match=f"`{name}` must be finite.*rows 2"):
            embedding_response(**{**maps, name: bad}, moved=MOVED)


class TestPerformanceResponse:
    LABELS = np.random.default_rng(1).integers(0, 5, size=200)
    PREDICTED = np.where(
        np.random.default_rng(2).random(200) < 0.6,
        LABELS,
        np.random.default_rng(3).integers(0, 5, size=200),
    )

    def test_agrees_with_scikit_learn(self):
        table = performance_response(self.LABELS, self.PREDICTED, groups={"all": range(5)})
        report = classification_report(self.LABELS, self.PREDICTED, output_dict=True)
        assert list(table["name"]) == [0, 1, 2, 3, 4, "all"]
        assert list(table["kind"]) == ["class"] * 5 + ["group"]
        for row in table.itertuples():
            expected = report["weighted avg" if row.name == "all" else str(row.name)]
            found = (row.precision, row.recall, row.f1, row.support)
            np.testing.assert_allclose(
                found, [expected[n] for n in ("precision", "recall", "f1-score", "support")]
            )

    def test_group_averages_are_weighted_by_samples(self):
        table = performance_response(
            self.LABELS, self.PREDICTED, groups={"rare": [1, 3], "one": [2]}
        ).set_index("name")
        for score in ("precision", "recall", "f1"):
            counts = {label: np.sum(label == self.LABELS) for label in (1, 3)}
            by_hand = sum(counts[n] * table.loc[n, score] for n in counts) / sum(counts.values())
            np.testing.assert_allclose(table.loc["rare", score], by_hand)
            assert table.loc["one", score] == table.loc[2, score]
        assert table.loc["rare", "support"] == sum(counts.values())
        assert counts[1] != counts[3]

    def test_a_class_never_seen_nor_predicted(self):
        table = performance_response([0, 0, 1], [0, 0, 1], classes=[0, 1, 7], groups={"no": [7]})
        assert list(table["f1"][:3]) == [1.0, 1.0, 0.0]
        assert np.isnan(table["f1"][3])

    def test_names_of_classes_may_be_text(self):
        table = performance_response(["a", "b", "b"], ["a", "b", "a"], classes=["b", "a"])
        assert list(table["name"]) == ["b", "a"]
        np.testing.assert_allclose(table["recall"], [0.5, 1.0])

    def test_a_group_of_strangers(self):
        with pytest.raises(ValueError, match=r"Group 'g' names classes that are not there: 9"):
            performance_response([0, 1], [0, 1], groups={"g": [1, 9]})

    def test_lengths_must_agree(self):
        with pytest.raises(ValueError, match=r"`predicted`.*3 samples.*\(2,\)"):
            performance_response([0, 1, 1], [0, 1])
