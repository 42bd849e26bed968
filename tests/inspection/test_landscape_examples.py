import doctest
import importlib
import pkgutil

import pytest

import keras_pli.inspection.landscape as landscape

MODULES = [
    f"keras_pli.inspection.landscape.{module.name}"
    for module in pkgutil.iter_modules(landscape.__path__)
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    assert doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS).failed == 0


@pytest.mark.parametrize("name", [name for name in landscape.__all__ if name[0].islower()])
def test_every_public_function_has_an_example(name):
    assert ">>> " in getattr(landscape, name).__doc__
