import doctest
import importlib
import pkgutil

import pytest

import keras_pli.rationale as rationale

TRAINING = (  # whose examples take their time
    "measures.rationale_evaluation",
    "measures.contrast",
    "measures.counterfactuals",
    "measures.class_autoencoders",
    "measures.baselines",
    "rationale.latent_training",
    "generators.wgan",
    "generators.encoder",
    "class_latent.class_latent_gan",
    "class_latent.inversion",
    "class_latent.traversal",
    "class_latent.traversal_measures",
    "search.rationale_generator",
    "measures.generator_quality",
)
MODULES = [
    pytest.param(module.name, marks=pytest.mark.slow if module.name.endswith(TRAINING) else ())
    for module in pkgutil.walk_packages(rationale.__path__, "keras_pli.rationale.")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("name", rationale.__all__)
def test_everything_public_has_a_docstring_and_functions_an_example(name):
    documented = getattr(rationale, name).__doc__
    assert documented
    assert ">>> " in documented or not name[0].islower()
