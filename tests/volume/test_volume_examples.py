"""Every example in the docstrings of the room runs."""

import doctest
import importlib
import pkgutil

import pytest

import keras_pli.volume as volume

TRAINING = (
    "cross_validation",
    "pretraining",
    "training.networks",
    "training.augmentation",
    "explanation",
    "images.reading",
)  # whose examples take their time
MODULES = [
    pytest.param(module.name, marks=pytest.mark.slow if module.name.endswith(TRAINING) else ())
    for module in pkgutil.walk_packages(volume.__path__, "keras_pli.volume.")
    if not module.ispkg
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    module = importlib.import_module(name)
    assert doctest.testmod(module, optionflags=doctest.ELLIPSIS).failed == 0


@pytest.mark.parametrize("name", [name for name in volume.__all__ if name[0].islower()])
def test_every_public_function_has_an_example(name):
    assert ">>> " in getattr(volume, name).__doc__
