"""Several inputs, lists of numbers, and outputs that stand alone in a list or dict."""

import keras
import numpy as np
import pytest
from conftest import dense_embedder
from keras import layers

from keras_pli.callbacks import EmbeddingResponse, PerformanceResponse
from keras_pli.intervention import InterventionPlan, Shift
from keras_pli.retraining import PLILoss, PLIModel, pli_experiment
from keras_pli.retraining.data import as_arrays

CROSS_ENTROPY = "sparse_categorical_crossentropy"
PLAN = InterventionPlan([Shift(1, by=(1.0, 0.5))])


@pytest.fixture(scope="module")
def embedder():
    return dense_embedder()


def of_one_input():
    return keras.Sequential(
        [keras.Input((6,)), layers.Dense(3, "softmax", kernel_initializer="zeros")]
    )


def of_two_inputs(kind, wrapped=lambda outputs: outputs):
    """The same function of the two parts of the six features."""
    parts = [keras.Input((4,), name="left"), keras.Input((2,), name="right")]
    inputs = parts if kind is list else dict(zip(("left", "right"), parts, strict=True))
    dense = layers.Dense(3, "softmax", kernel_initializer="zeros", name="out")
    return keras.Model(inputs, wrapped(dense(layers.Concatenate()(parts))))


def parts_of(x, kind):
    parts = [x[:, :4], x[:, 4:]]
    return parts if kind is list else dict(zip(("left", "right"), parts, strict=True))


def trained(classifier, embedder, x, labels, held_out):
    """What a PLIModel of a classifier logs, with both callbacks."""
    pli = PLIModel(classifier, embedder)
    pli.compile(keras.optimizers.SGD(0.1), PLILoss(embedding_weight=0.3), run_eagerly=True)
    targets = np.random.default_rng(0).normal(size=(len(labels), 2))
    callbacks = [EmbeddingResponse(most=50), PerformanceResponse(held_out, prefix="val_")]
    return pli.fit(
        x,
        {"label": labels, "embedding": targets},
        batch_size=45,
        shuffle=False,
        validation_data=held_out,
        callbacks=callbacks,
        verbose=0,
    ).history


@pytest.mark.parametrize(
    "case",
    [
        "dict",
        *(
            pytest.param(case, marks=pytest.mark.slow)
            for case in ("numbers", "list", "list of one output", "dict of one")
        ),
    ],
)
def test_logs_are_those_of_one_array(blobs, embedder, case):
    (x, labels), (x_test, labels_test) = blobs
    expected = trained(of_one_input(), embedder, x, labels, (x_test, labels_test))
    if case in ("list", "dict"):
        kind = {"list": list, "dict": dict}[case]
        classifier = of_two_inputs(kind)
        x, x_test = parts_of(x, kind), parts_of(x_test, kind)
    elif case == "numbers":
        classifier = of_one_input()
        x, labels, x_test, labels_test = (
            part.tolist() for part in (x, labels, x_test, labels_test)
        )
    else:
        classifier = of_two_inputs(
            dict, (lambda out: [out]) if "list" in case else (lambda out: {"class": out})
        )
        x, x_test = parts_of(x, dict), parts_of(x_test, dict)
    found = trained(classifier, embedder, x, labels, (x_test, labels_test))
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.slow
def test_an_experiment_on_two_inputs_is_that_on_one(blobs, embedder):
    (x, labels), (x_test, labels_test) = blobs
    runs = []
    for kind in (None, list):
        classifier = of_one_input() if kind is None else of_two_inputs(kind, lambda out: {"o": out})
        classifier.compile(keras.optimizers.SGD(0.1), CROSS_ENTROPY)
        data = [(x, labels), (x_test, labels_test)]
        if kind is not None:
            data = [(parts_of(inputs, kind), given.tolist()) for inputs, given in data]
        result = pli_experiment(
            classifier, *data, PLAN, embedder=embedder, epochs=1, seeds=1, verbose=0
        )
        runs.append(result.runs[0])
    for arm in ("baseline", "control", "PLI"):
        np.testing.assert_allclose(runs[1].outputs[arm], runs[0].outputs[arm], atol=1e-5)
        np.testing.assert_allclose(runs[1].test_maps[arm], runs[0].test_maps[arm], atol=1e-4)
    assert not np.allclose(runs[0].outputs["PLI"], runs[0].outputs["control"], atol=1e-4)


class TestSeveralOutputs:
    def test_of_a_graph(self, embedder):
        inputs = keras.Input((6,))
        heads = [layers.Dense(3, name=name)(inputs) for name in ("left", "right")]
        with pytest.raises(ValueError, match=r"'heads' has 2: 'left', 'right'. Make a model"):
            PLIModel(keras.Model(inputs, heads, name="heads"), embedder)

    @pytest.mark.parametrize("kind", [list, dict])
    def test_of_a_subclassed_model(self, blobs, embedder, kind):
        class Heads(keras.Model):
            def __init__(self):
                super().__init__(name="heads")
                self.left, self.right = layers.Dense(3, name="left"), layers.Dense(3, name="right")

            def call(self, inputs):
                found = {"left": self.left(inputs), "right": self.right(inputs)}
                return found if kind is dict else list(found.values())

        pli = PLIModel(Heads(), embedder, layer="left")
        pli.compile("sgd", PLILoss(embedding_weight=0.0))
        names = "'left', 'right'" if kind is dict else "0, 1"
        with pytest.raises(ValueError, match=f"'heads' has 2: {names}"):
            pli.fit(*blobs[0], verbose=0)


class TestAsArrays:
    def test_a_list_of_samples(self):
        images = [np.full((2, 3), value) for value in range(5)]
        assert as_arrays(images, samples=5).shape == (5, 2, 3)

    def test_as_many_inputs_as_samples_are_samples(self):
        assert as_arrays([np.zeros(2), np.ones(2)], samples=2).shape == (2, 2)

    def test_a_tuple_of_inputs(self):
        left, right = np.zeros((5, 2)), [[1], [2], [3], [4], [5]]
        found = as_arrays((left, right), samples=5)
        assert found[0] is left
        np.testing.assert_array_equal(found[1], right)
