"""What points are coloured by, against brute force and SciPy, scikit-learn and Keras."""

import threading

import keras
import numpy as np
import pytest
from scipy.special import expit, log_softmax, softmax
from scipy.stats import entropy
from sklearn.neighbors import NearestNeighbors

from keras_pli.plotting.page import dark_color
from keras_pli.plotting.style import class_styles
from keras_pli.studio.samples.columns import Columns
from keras_pli.studio.samples.neighbors import LayerNeighbors, NotYetError, disagreement
from keras_pli.studio.samples.predictions import class_probabilities

NAMES = ("cat", "dog", "owl")


@pytest.fixture(scope="module")
def logits():
    return np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32) * 2


@pytest.fixture(scope="module")
def labels():
    labels = np.random.default_rng(1).integers(0, 3, 40)
    labels[[3, 7]] = -1
    return labels


@pytest.fixture(scope="module")
def columns(logits, labels):
    return Columns(labels, softmax(logits, axis=1), NAMES)


def names_and_counts(column):
    return [(category.name, category.count) for category in column.categories]


def test_labels_have_the_packages_colours_and_unlabelled_ones_a_grey_of_their_own(columns, labels):
    column = columns["label"]
    np.testing.assert_array_equal(column.values, np.where(labels < 0, 3, labels))
    assert column.values.dtype == np.uint16
    counts = [int((labels == label).sum()) for label in (0, 1, 2, -1)]
    assert names_and_counts(column) == list(zip((*NAMES, "no label"), counts, strict=True))
    for category, style in zip(
        column.categories, class_styles(np.array([0, 1, 2, -1]), NAMES).values(), strict=True
    ):
        assert category.color == style.color.lower()
        assert category.shape == style.marker
        assert category.dark == dark_color(style.color)


def test_predictions_errors_and_numbers(columns, logits, labels):
    said, known = logits.argmax(axis=1), labels >= 0
    np.testing.assert_array_equal(columns["prediction"].values, said)
    wrong = columns["error"]
    np.testing.assert_array_equal(wrong.values, np.where(known, said != labels, 2))
    assert [name for name, _ in names_and_counts(wrong)] == ["right", "wrong", "no label"]
    chances = softmax(logits, axis=1)
    np.testing.assert_allclose(columns["confidence"].values, chances.max(axis=1), rtol=1e-6)
    np.testing.assert_allclose(
        columns["entropy"].values, entropy(chances, base=3, axis=1), rtol=1e-5
    )
    loss = columns["loss"].values
    expected = -log_softmax(logits.astype(np.float64), axis=1)[np.arange(40), np.maximum(labels, 0)]
    np.testing.assert_allclose(loss[known], expected[known], rtol=1e-5)
    assert np.isnan(loss[~known]).all()


def test_without_unlabelled_samples_there_is_no_such_category():
    columns = Columns(np.zeros(4, int), np.full((4, 2), 0.5, np.float32), ["a", "b"])
    assert names_and_counts(columns["label"]) == [("a", 4), ("b", 0)]
    assert names_and_counts(columns["error"]) == [("right", 4), ("wrong", 0)]


def test_unlabelled_samples_beside_a_single_class_are_none_of_it():
    columns = Columns(np.array([0, -1]), np.full((2, 2), 0.5, np.float32), ["a", "b"])
    assert names_and_counts(columns["label"]) == [("a", 1), ("b", 0), ("no label", 1)]
    assert np.isnan(columns["loss"].values).tolist() == [False, True]


def test_sure_and_wrong_predictions_have_finite_numbers():
    columns = Columns(np.array([0, 1]), np.array([[1, 0], [1, 0]], np.float32), ["a", "b"])
    assert columns["entropy"].values.tolist() == [0.0, 0.0]
    assert columns["loss"].values[0] == 0
    assert 80 < columns["loss"].values[1] < np.inf


@pytest.mark.parametrize("activation", [None, "sigmoid"])
def test_one_unit_tells_two_classes(activation):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, activation=activation)])
    x = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    kernel, bias = model.get_weights()
    right = expit(x @ kernel + bias)
    found = class_probabilities(np.asarray(model(x)), model)
    np.testing.assert_allclose(found, np.concatenate([1 - right, right], axis=1), rtol=1e-5)


@pytest.mark.parametrize("activation", [None, "softmax", "sigmoid"])
def test_probabilities_whatever_the_classifier_ends_in(activation):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, activation=activation)])
    x = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    z = x @ model.get_weights()[0]
    expected = expit(z) if activation == "sigmoid" else softmax(z, axis=1)
    np.testing.assert_allclose(
        class_probabilities(np.asarray(model(x)), model), expected, rtol=1e-5
    )


def test_outputs_of_another_shape_are_refused():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)], name="odd")
    with pytest.raises(ValueError, match=r"one output.*'odd' gives shape \(5, 4, 3\)"):
        class_probabilities(np.zeros((5, 4, 3), np.float32), model)


class TestDisagreement:
    def brute_force(self, z, labels, count):
        """By the matrix of all distances, row by row."""
        found = []
        for i in range(len(z)):
            away = np.linalg.norm(z.astype(np.float64) - z[i], axis=1)
            near = [j for j in np.argsort(away, kind="stable") if j != i][:count]
            near = [j for j in near if labels[j] >= 0]
            share = np.mean([labels[j] != labels[i] for j in near]) if near else np.nan
            found.append(np.nan if labels[i] < 0 else share)
        return found

    def test_equals_brute_force(self, labels, logits):
        z = np.random.default_rng(5).normal(size=(40, 6)).astype(np.float32)
        neighbors = LayerNeighbors(z, count=7)
        column = Columns(labels, softmax(logits, axis=1), NAMES, neighbors=neighbors)[
            "disagreement"
        ]
        np.testing.assert_allclose(column.values, self.brute_force(z, labels, 7), rtol=1e-6)
        assert (column.kind, column.low, column.high) == ("number", 0, 1)

    def test_duplicates_with_another_label_disagree(self):
        z = np.array([[0.0, 0], [0, 0], [9, 9], [9, 9]], np.float32)
        found = disagreement(np.array([0, 1, 1, 1]), LayerNeighbors(z, count=1).of_all())
        assert found.tolist() == [1, 1, 0, 0]

    def test_fewer_samples_than_neighbours(self):
        neighbors = LayerNeighbors(np.eye(3, dtype=np.float32), count=10)
        assert neighbors.of_all().shape == (3, 2)

    def test_search_runs_once_and_its_error_reaches_all_who_ask(self):
        alone = LayerNeighbors(np.zeros((1, 3)))
        for _ in range(2):
            with pytest.raises(ValueError, match="single sample has no neighbours"):
                alone.of_all()
        assert alone.start() is alone.start()
        assert alone.ready

    def test_who_waits_too_long_is_told_and_the_search_goes_on(self, monkeypatch):
        go_on = threading.Event()
        neighbors = LayerNeighbors(lambda: np.eye(4) if go_on.wait(10) else None)
        neighbors.start()
        columns = Columns(np.arange(4) % 2, np.full((4, 2), 0.5), ["a", "b"], neighbors=neighbors)
        monkeypatch.setattr("keras_pli.studio.samples.columns._PATIENCE", 0.01)
        threading.Timer(0.05, go_on.set).start()
        with pytest.raises(NotYetError, match=r"still being looked for. Ask again"):
            columns["disagreement"]
        neighbors.of_all()
        assert columns["disagreement"].values.shape == (4,)


class TestNeighborsOfOne:
    @pytest.fixture
    def z(self):
        z = np.random.default_rng(2).normal(size=(300, 16)).astype(np.float32) + 100
        z[250] = z[17]  # a duplicate
        return z

    def test_equal_scikit_learns(self, z):
        search = NearestNeighbors(n_neighbors=7).fit(z.astype(np.float64))
        distances, indices = search.kneighbors(z.astype(np.float64))
        neighbors = LayerNeighbors(z)
        for index in (0, 99, 299):
            found, away = neighbors.of(index, count=6)
            np.testing.assert_array_equal(found, indices[index, 1:])
            np.testing.assert_allclose(away, distances[index, 1:], rtol=1e-5)

    def test_duplicates_are_neighbours_and_the_sample_itself_is_not(self, z):
        for index, other in ((17, 250), (250, 17)):
            found, away = LayerNeighbors(z).of(index, count=3)
            assert found[0] == other and away[0] == 0
            assert index not in found

    def test_fewer_than_asked_for(self):
        found, _ = LayerNeighbors(np.array([[0.0], [2.0], [1.0]])).of(0, count=9)
        assert found.tolist() == [2, 1]

    def test_activations_that_are_not_finite_are_nobodys_neighbours(self):
        neighbors = LayerNeighbors(lambda: np.array([[0.0], [np.nan], [1.0]]))
        assert neighbors.of(0)[0].tolist() == [2]
        with pytest.raises(ValueError, match="activations of sample 1 are not finite"):
            neighbors.of(1)

    def test_no_such_sample(self, z):
        with pytest.raises(ValueError, match=r"`index` must be .* less than 300. Received: 300"):
            LayerNeighbors(z).of(300)


class TestGroups:
    def column(self, group):
        chances = np.full((len(group), 2), 0.5, np.float32)
        return Columns(np.zeros(len(group), int), chances, ["a", "b"], group=np.asarray(group))[
            "group"
        ]

    def test_texts(self):
        column = self.column(["north", "east", "north"])
        assert column.values.tolist() == [1, 0, 1]
        assert names_and_counts(column) == [("east", 1), ("north", 2)]

    def test_numbers_of_groups_and_none(self):
        column = self.column([7, -1, 2, 7])
        assert column.values.tolist() == [1, 2, 0, 1]
        assert names_and_counts(column) == [("2", 1), ("7", 2), ("no group", 1)]

    def test_missing_ones(self):
        column = self.column(np.array(["x", None, "y"], dtype=object))
        assert names_and_counts(column) == [("x", 1), ("y", 1), ("no group", 1)]

    def test_many_numbers_are_a_scale(self):
        column = self.column(np.linspace(-3, 5, 400))
        assert (column.kind, column.low, column.high) == ("number", -3, 5)


def test_ramps_can_be_told_by_lightness_alone(columns):
    def lightness(color):
        return np.dot([int(color[i : i + 2], 16) for i in (1, 3, 5)], [0.2126, 0.7152, 0.0722])

    loss = columns["loss"]
    assert (np.diff([lightness(color) for color in loss.ramp]) < -8).all()
    assert (np.diff([lightness(color) for color in loss.dark_ramp]) > 8).all()
    # What is unsure stands out.
    assert columns["confidence"].ramp == loss.ramp[::-1]


def test_columns_are_computed_once(columns):
    assert columns["loss"] is columns["loss"]


def test_points_of_a_column(columns, labels):
    np.testing.assert_array_equal(columns["label"].of_code(2), labels == 2)
    np.testing.assert_array_equal(columns["label"].of_code(3), labels == -1)
    values = columns["confidence"].values
    np.testing.assert_array_equal(
        columns["confidence"].within(0.5, 0.7), (values >= 0.5) & (values <= 0.7)
    )
    with pytest.raises(ValueError, match=r"'label' has 4 categories. Received: 4"):
        columns["label"].of_code(4)
    with pytest.raises(ValueError, match=r"'label' holds categories"):
        columns["label"].within(0, 1)


def test_bad_input(columns):
    with pytest.raises(ValueError, match=r"`column` must be one of 'label'.*Did you mean 'label'"):
        columns["labels"]
    with pytest.raises(ValueError, match=r"name the 3 classes. Received: 2"):
        Columns(np.zeros(4, int), np.ones((4, 3), np.float32), ["a", "b"])
    with pytest.raises(ValueError, match=r"`group` must have one entry"):
        Columns(np.zeros(4, int), np.ones((4, 1), np.float32), ["a"], group=np.zeros(3))
