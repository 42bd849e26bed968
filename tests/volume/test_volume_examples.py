import doctest
import importlib
import pkgutil

import pytest

from keras_pli import volume

MODULES = [f"keras_pli.volume.{module.name}" for module in pkgutil.iter_modules(volume.__path__)]


@pytest.mark.parametrize("name", ["keras_pli.volume", *MODULES])
def test_examples_run(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("name", volume.__all__)
def test_every_public_name_is_documented(name):
    assert getattr(volume, name).__doc__
