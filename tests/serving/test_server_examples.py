"""The examples in the docstrings run."""

import doctest
import importlib
import pkgutil

import pytest
from served_models import save_classifier
from slow_cases import all_but

import keras_pli.serving.server as server

MODULES = [module.name for module in pkgutil.iter_modules(server.__path__)]


@pytest.fixture(scope="module")
def saved_models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    save_classifier(folder / "saved_models" / "digits", 1, seed=1)
    return folder


@pytest.fixture
def folder_with_saved_models(saved_models, monkeypatch):
    monkeypatch.chdir(saved_models)


@pytest.mark.parametrize("name", all_but("grpc_service", "hosts", "rest", of=MODULES))
def test_examples_run(name, folder_with_saved_models):
    pytest.importorskip("uvicorn")
    if name == "grpc_service":
        pytest.importorskip("tensorflow_serving")
    module = importlib.import_module(f"keras_pli.serving.server.{name}")
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("name", server.__all__)
def test_every_public_name_has_an_example(name):
    assert ">>> " in getattr(server, name).__doc__
