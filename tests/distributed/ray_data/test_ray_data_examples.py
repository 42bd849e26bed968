import doctest
import importlib
import pkgutil

import pytest

from keras_pli.distributed import ray_data

MODULES = [
    module.name for module in pkgutil.walk_packages(ray_data.__path__, f"{ray_data.__name__}.")
]
# Their actors start anew for each example.
ON_RAY = (
    "explaining",
    "layer_activations",
    "map_positions",
    "rationale_search",
    "scoring",
    "map_means",
    "mean_curves",
    "seeds",
)


@pytest.mark.parametrize(
    "name",
    [
        "keras_pli.distributed",
        "keras_pli.attribution.rows",
        *(name for name in MODULES if not name.endswith(ON_RAY)),
    ],
)
def test_examples_run(name):
    assert doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS).failed == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in MODULES if name.endswith(ON_RAY)])
def test_examples_run_on_a_cluster(name, cluster):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples():
    found = [doctest.DocTestFinder().find(importlib.import_module(name)) for name in MODULES]
    assert sum(len(test.examples) for tests in found for test in tests) > 25
