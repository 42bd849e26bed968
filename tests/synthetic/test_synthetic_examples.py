import doctest
import importlib
import pkgutil

import pytest

from keras_pli import evaluation, rationale, synthetic
from keras_pli.rationale import known_truth

MODULES = [
    pytest.param(
        f"keras_pli.synthetic.{module.name}",
        marks=pytest.mark.slow if module.name == "object_classifier" else (),  # trains for seconds
    )
    for module in pkgutil.iter_modules(synthetic.__path__)
]


@pytest.mark.parametrize("name", ["keras_pli.synthetic", *MODULES])
def test_examples_run(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("name", [name for name in synthetic.__all__ if name[0].islower()])
def test_every_public_function_has_an_example(name):
    assert ">>> " in getattr(synthetic, name).__doc__


def test_names_stay_where_they_were():
    assert rationale.known_truth is known_truth
    for name in sorted(set(synthetic.__all__) - {"BrainPhantoms", "brain_phantoms"}):
        rooms = [room for room in (evaluation, known_truth) if name in room.__all__]
        assert [getattr(room, name) for room in rooms] == [getattr(synthetic, name)]
