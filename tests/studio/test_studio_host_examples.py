"""The examples in the docstrings of the studio's hosts run, and every public name has one."""

import doctest
import importlib
import pkgutil

import pytest

import keras_pli as kp
from keras_pli.studio import server

MODULES = [f"server.{module.name}" for module in pkgutil.iter_modules(server.__path__)]


@pytest.mark.parametrize("name", ["opening", "widget", *MODULES])
def test_examples_run(name):
    pytest.importorskip("uvicorn")
    if name == "widget":
        pytest.importorskip("anywidget")
    module = importlib.import_module(f"keras_pli.studio.{name}")
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("name", ["StudioServer", "StudioSession", "StudioWidget", "studio"])
def test_every_public_name_has_an_example(name):
    if name == "StudioWidget":
        pytest.importorskip("anywidget")
    assert ">>> " in getattr(kp.studio, name).__doc__
