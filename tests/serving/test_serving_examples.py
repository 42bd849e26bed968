"""The examples in docstrings run as they stand."""

import doctest
import importlib
import pkgutil

import pytest
from slow_cases import all_but

import keras_pli.serving as serving

MODULES = [f"keras_pli.serving.{module.name}" for module in pkgutil.iter_modules(serving.__path__)]


@pytest.mark.parametrize("name", all_but("keras_pli.serving.exporting", of=MODULES))
def test_examples_run(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("name", ["export", "versions"])
def test_public_functions_have_an_example(name):
    assert ">>> " in getattr(serving, name).__doc__
