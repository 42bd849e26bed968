"""The examples in the docstrings run, and what a user calls has one."""

import doctest
import importlib
import pkgutil

import pytest
from slow_cases import all_but

import keras_pli.studio as package

MODULES = [
    entry.name for entry in pkgutil.walk_packages(package.__path__, prefix=f"{package.__name__}.")
]


@pytest.mark.parametrize("name", all_but("keras_pli.studio.samples.explanations", of=MODULES))
def test_examples_run(name):
    module = importlib.import_module(name)
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("name", [name for name in package.__all__ if name != "StudioData"])
def test_every_public_name_has_an_example(name):
    assert ">>> " in getattr(package, name).__doc__
