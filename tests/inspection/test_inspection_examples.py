import doctest
import importlib
import pkgutil

import pytest

import keras_pli.inspection as inspection

MODULES = [
    f"keras_pli.inspection.{module.name}" for module in pkgutil.iter_modules(inspection.__path__)
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("name", inspection.__all__)
def test_every_public_name_has_an_example(name):
    assert ">>> " in getattr(inspection, name).__doc__
