import doctest
from collections import namedtuple
from dataclasses import dataclass

import numpy as np
import pytest

from keras_pli import brief
from keras_pli.brief import brief_repr, span
from keras_pli.rationale.class_latent.class_codes import ClassCodes
from keras_pli.rationale.latent_training import LatentFit, RocCurve
from keras_pli.synthetic import known_truth


def test_examples_run():
    assert doctest.testmod(brief).failed == 0


@pytest.mark.parametrize(
    "value, text",
    [
        (np.zeros((2, 3), np.float32), "float32 (2, 3)"),
        (np.float64(1.5), "float64 ()"),
        (None, "None"),
        ("spread", "'spread'"),
        ([0.5, "a", [1]], "[0.5, 'a', [1]]"),
        ({"a": np.zeros(3), 4: None}, "{'a': float64 (3,), 4: None}"),
        (list(range(12)), "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, … (2 more)]"),
    ],
)
def test_arrays_are_named_by_their_shapes(value, text):
    assert brief.brief(value) == text


def test_symbolic_tensors_have_what_is_known_of_their_shapes():
    import tensorflow as tf

    seen = []

    @tf.function
    def function(*tensors):
        seen.extend(map(brief.brief, tensors))

    function.get_concrete_function(
        tf.TensorSpec((None, 4)), tf.TensorSpec((2,), tf.int32), tf.TensorSpec(None)
    )
    assert seen == ["float32 (None, 4)", "int32 (2,)", "float32 (…)"]


@pytest.mark.parametrize(
    "values, text",
    [
        ([2.0], "2"),
        ([-1.0, 3.0, 0.5], "−1 to 3"),
        ([np.nan], "1 not finite"),
        ([np.inf, 1, 2], "1 to 2, 1 not finite"),
        ([], ""),
        ([True, False], "0 to 1"),
    ],
)
def test_ranges(values, text):
    assert span(values) == text


def test_dataclasses_and_named_tuples():
    @dataclass
    class Found:
        maps: np.ndarray
        name: str
        __repr__ = brief_repr

    pair = namedtuple("Pair", "a b")(np.zeros(2), 3)
    assert repr(Found(np.zeros((4, 8)), "x")) == "Found(maps=float64 (4, 8), name='x')"
    assert brief_repr(pair) == "Pair(a=float64 (2,), b=3)"


def test_results_of_arrays_tell_their_shapes():
    curve = RocCurve(np.zeros(900), np.zeros(900), np.zeros(900), 0.5)
    fit = LatentFit((curve,) * 12, np.zeros(9, int), np.zeros((9, 12)), np.zeros((9, 2)), {})
    for result in (
        known_truth(samples=9),
        curve,
        ClassCodes(np.zeros((500, 4)), np.zeros((500, 2)), np.zeros(500, int)),
    ):
        assert repr(result).startswith(f"{type(result).__name__}(")
        assert len(repr(result)) < 200 and "\n" not in repr(result)
    assert len(repr(fit)) < 2000
