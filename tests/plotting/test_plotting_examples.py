import doctest
import importlib
import pkgutil

import pytest
from slow_cases import all_but

import keras_pli.plotting as plotting

MODULES = [module.name for module in pkgutil.iter_modules(plotting.__path__)]


@pytest.mark.parametrize("name", all_but("filters", "rationales", of=MODULES))
def test_examples_run(name):
    module = importlib.import_module(f"keras_pli.plotting.{name}")
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("name", [name for name in plotting.__all__ if name[0].islower()])
def test_every_public_function_has_an_example(name):
    assert ">>> " in getattr(plotting, name).__doc__
