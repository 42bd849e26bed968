import doctest
import random

import keras
import pytest

from keras_pli import random_state
from keras_pli.random_state import kept_random_state


def test_what_keras_draws_is_not_missed():
    random.seed(3)
    expected = random.random()
    random.seed(3)
    with kept_random_state():
        keras.layers.Dense(2).build((None, 3))
    assert random.random() == expected


def test_it_begins_at_a_seed_and_ends_as_it_was_also_after_an_error():
    drawn, before = [], random.getstate()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), kept_random_state(5):
            drawn.append(random.random())
            raise ZeroDivisionError
    assert drawn[0] == drawn[1] == random.Random(5).random()
    assert random.getstate() == before


def test_example():
    assert doctest.testmod(random_state).failed == 0
