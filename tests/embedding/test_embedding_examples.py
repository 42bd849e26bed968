import doctest
import importlib
import pkgutil

import pytest

import keras_pli.embedding as embedding

MODULES = [
    f"keras_pli.embedding.{module.name}" for module in pkgutil.iter_modules(embedding.__path__)
]
# They train maps as other tests do.
SLOW = (
    "parametric_embedding",
    "decoder",
    "transformer",
    "parametric_umap",
    "parametric_tsne",
    "contrastive_embedding",
)


@pytest.mark.parametrize(
    "name",
    [
        "keras_pli.embedding",
        "keras_pli.network.layers",
        "keras_pli.network.activations",
        *(
            pytest.param(name, marks=pytest.mark.slow if name.endswith(SLOW) else ())
            for name in MODULES
        ),
    ],
)
def test_examples_run(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples():
    found = [doctest.DocTestFinder().find(importlib.import_module(name)) for name in MODULES]
    assert sum(len(test.examples) for tests in found for test in tests) > 25
