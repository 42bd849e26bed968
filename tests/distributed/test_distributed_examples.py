import doctest
import importlib

import pytest


@pytest.mark.parametrize("name", ["strategy", "cluster", "backup", "launching"])
def test_examples_of_training_run(name):
    module = importlib.import_module(f"keras_pli.distributed.training.{name}")
    tested = doctest.testmod(module)
    assert tested.failed == 0
    assert tested.attempted
