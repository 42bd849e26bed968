"""What is told of one sample."""

import numpy as np
import pytest

from keras_pli.studio.samples.neighbors import LayerNeighbors
from keras_pli.studio.samples.sample_card import SampleCards

NAMES = ("ant", "bee", "cat", "dog", "elk", "fox")


@pytest.fixture(scope="module")
def chances():
    values = np.random.default_rng(0).dirichlet(np.ones(6), 5).astype(np.float32)
    values[4] = np.nan
    return values


@pytest.fixture(scope="module")
def cards(chances):
    z = np.array([[0.0], [1.0], [3.0], [1.0], [np.nan]])
    group = np.array(["a", "b", "c", "d", "e"])
    return SampleCards(np.array([5, 0, -1, 2, 3]), chances, NAMES, LayerNeighbors(z), group=group)


def test_label_prediction_and_the_five_likeliest_classes(cards, chances):
    card = cards.of(0)
    assert (card.index, card.label, card.name, card.group) == (0, 5, "fox", "a")
    assert card.predicted == chances[0].argmax()
    assert card.predicted_name == NAMES[chances[0].argmax()]
    assert card.confidence == chances[0].max()
    assert [p for _, p in card.probabilities] == sorted(chances[0].tolist(), reverse=True)[:5]
    assert all(chances[0, NAMES.index(name)] == p for name, p in card.probabilities)


def test_neighbours_nearest_first(cards, chances):
    near = cards.of(1).neighbors
    assert [(each.index, each.distance) for each in near] == [(3, 0.0), (0, 1.0), (2, 2.0)]
    assert [each.name for each in near] == ["cat", "fox", "no label"]
    assert near[0].predicted_name == NAMES[chances[3].argmax()]
    assert len(cards.of(1, neighbors=1).neighbors) == 1
    assert cards.of(1, neighbors=0).neighbors == ()


def test_a_sample_without_a_label(cards):
    assert (cards.of(2).label, cards.of(2).name) == (None, "no label")


def test_outputs_that_are_not_finite_leave_the_rest_to_be_told(cards):
    card = cards.of(4)
    assert (card.predicted, card.predicted_name, card.confidence) == (None, "no prediction", None)
    assert (card.probabilities, card.neighbors, card.name) == ((), (), "dog")


def test_no_such_sample(cards):
    for index in (-1, 5, 1.5):
        with pytest.raises(ValueError, match=rf"`index` must be .*less than 5. Received: {index}"):
            cards.of(index)
