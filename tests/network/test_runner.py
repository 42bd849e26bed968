"""Arrays go through a compiled function in batches, and come back whole."""

import doctest

import numpy as np
import pytest
import tensorflow as tf

from keras_pli.network import runner as module
from keras_pli.network.runner import Runner, batch_spec, uses_xla
from keras_pli.parts import PartFolder

ARRAYS = [np.arange(21.0, dtype="float32").reshape(7, 3), np.arange(7, dtype="int32")]


def combined(x, number):
    return {"sum": tf.reduce_sum(x, axis=1) + tf.cast(number, tf.float32), "twice": 2 * number}


@pytest.mark.parametrize("xla", [False, True])
@pytest.mark.parametrize("size", [1, 3, 7, 20])
def test_any_batch_size_gives_the_same(size, xla):
    runner = Runner([], batch_size=size, jit_compile=xla)
    function = runner.traced(combined, [batch_spec(array) for array in ARRAYS], "combined")
    found = runner.over(function, ARRAYS)
    np.testing.assert_array_equal(found["sum"], ARRAYS[0].sum(axis=1) + ARRAYS[1])
    np.testing.assert_array_equal(found["twice"], 2 * ARRAYS[1])


def test_a_filled_batch_has_the_size_of_the_others():
    seen = []
    for xla in (True, False):
        runner = Runner([], batch_size=3, jit_compile=xla)
        runner.over(lambda x: {"x": seen.append(len(x)) or x}, ARRAYS[:1])
    assert seen == [3, 3, 3, 3, 3, 1]


@pytest.mark.parametrize("fill", [False, True])
def test_batches_that_are_there_are_not_computed_again(tmp_path, fill):
    parts, seen = PartFolder(tmp_path, "sums"), []
    runner = Runner([], batch_size=2, jit_compile=fill)

    def run(function):
        with parts.writing({}) as writer:
            return runner.over(function, ARRAYS, parts=writer)

    def counted(*tensors):
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(1)
        return combined(*tensors)

    with pytest.raises(KeyboardInterrupt):
        run(counted)
    assert len(parts.files) == 2
    seen[:] = [1, 1, 1]
    found = run(counted)
    assert len(seen) == 5 and len(parts.files) == 4
    for name, array in runner.over(combined, ARRAYS).items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
    assert len(parts.read(3)["sum"]) == 1


def test_whether_xla_compiles():
    assert uses_xla(True) and not uses_xla(False)
    assert uses_xla("auto") == bool(tf.config.list_physical_devices("GPU"))
    with pytest.raises(ValueError, match=r"`jit_compile` must be True, False or 'auto'.*'on'"):
        uses_xla("on")


def test_examples_run():
    result = doctest.testmod(module)
    assert result.attempted and not result.failed
