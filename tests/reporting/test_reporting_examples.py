"""The examples of the docstrings run."""

import doctest
import importlib
import pkgutil

import pytest

import keras_pli.reporting as reporting

MODULES = [
    f"keras_pli.reporting.{module.name}" for module in pkgutil.iter_modules(reporting.__path__)
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0
