import doctest
import importlib
import pkgutil

import pytest

import keras_pli.intervention as package

MODULES = [f"{package.__name__}.{entry.name}" for entry in pkgutil.iter_modules(package.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    module = importlib.import_module(name)
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("name", sorted({*package.__all__} - {"Change", "DataChange", "Selection"}))
def test_every_public_name_has_an_example(name):
    found = doctest.DocTestFinder().find(getattr(package, name), name)
    assert any(test.examples for test in found)
