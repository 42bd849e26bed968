"""Every example in the docstrings of the room runs."""

import doctest
import importlib
import pkgutil

import pytest

import keras_pli.inspection as inspection

LONG = (
    "maximization",
    "maximized_images",
    "top_activations",
    "landscape.surface",
    "landscape.worst_case",
    "landscape.sharpness",
)
MODULES = [
    pytest.param(module.name, marks=pytest.mark.slow if module.name.endswith(LONG) else ())
    for module in pkgutil.walk_packages(inspection.__path__, "keras_pli.inspection.")
    if not module.ispkg
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    module = importlib.import_module(name)
    assert doctest.testmod(module, optionflags=doctest.ELLIPSIS).failed == 0


@pytest.mark.parametrize("name", [name for name in inspection.__all__ if name[0].islower()])
def test_every_public_function_has_an_example(name):
    assert ">>> " in getattr(inspection, name).__doc__
