import doctest
import importlib
import pkgutil

import pytest

import keras_pli.evaluation as evaluation

MODULES = [
    f"keras_pli.evaluation.{module.name}" for module in pkgutil.iter_modules(evaluation.__path__)
]


SLOW = {  # they train networks, or randomize them, as other tests do
    "keras_pli.evaluation.known_truth_network",
    "keras_pli.evaluation.data_randomization",
    "keras_pli.evaluation.randomization",
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in MODULES],
)
def test_examples_run(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("name", [name for name in evaluation.__all__ if name[0].islower()])
def test_every_public_function_has_an_example(name):
    assert ">>> " in getattr(evaluation, name).__doc__
