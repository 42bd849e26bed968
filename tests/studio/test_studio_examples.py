import doctest
import importlib
import pkgutil

import pytest

import keras_pli.studio as package

MODULES = [
    entry.name for entry in pkgutil.walk_packages(package.__path__, prefix=f"{package.__name__}.")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    module = importlib.import_module(name)
    assert doctest.testmod(module).failed == 0
