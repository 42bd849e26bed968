"""Surrogates of classifiers that are known trees and sparse linear rules."""

import keras
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.linear_model import LogisticRegression

from keras_pli.inspection import surrogate
from keras_pli.inspection.sparse_regression import sparse_regression
from keras_pli.network.activations import activations

NAMES = ["age", "mass", "size", "hue"]
X = np.random.default_rng(0).normal(size=(1500, 4)).astype("float32")

# Where the ratio counts for this penalty alone.
OLD = tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 8)
PENALTY = {"penalty": "elasticnet"} if OLD else {}


@keras.saving.register_keras_serializable()
class KnownTree(keras.layers.Layer):
    """Class 2 where mass > 0.5; else class 1 where hue > −0.2, and 0 elsewhere."""

    def call(self, x):
        ops = keras.ops
        heavy, bright = x[:, 1] > 0.5, x[:, 3] > -0.2
        chosen = ops.where(heavy, 2, ops.where(bright, 1, 0))
        return 12.0 * ops.one_hot(chosen, 3)


def classifier_of(*layers):
    return keras.Sequential([keras.Input((4,)), *layers, keras.layers.Softmax()])


@pytest.fixture(scope="module")
def known_tree():
    return classifier_of(KnownTree(name="scores"))


def test_a_known_tree_is_recovered(known_tree):
    found = surrogate(known_tree, X, names=NAMES, class_names=["a", "b", "c"], depth=3)
    own, majority = found.fidelity.loc["surrogate"], found.fidelity.loc["majority"]
    assert own["agreement"] > 0.99 and own["r2"] > 0.98
    assert own["cross_entropy"] < 0.1 < majority["cross_entropy"]
    assert majority["r2"] == pytest.approx(0, abs=1e-12) and own["samples"] == 450
    tree = found.estimator.tree_
    asked = {(NAMES[tree.feature[i]], round(tree.threshold[i], 1)) for i in range(2)}
    assert asked == {("mass", 0.5), ("hue", -0.2)}
    assert "mass <= 0.5" in found.rules(decimals=1) and "class: c" in found.rules()
    assert set(found.to_frame()["feature"][:2]) == {"mass", "hue"}


def test_a_sparse_linear_rule_is_recovered():
    dense = keras.layers.Dense(3)
    model = classifier_of(dense)
    kernel = np.zeros((4, 3))
    kernel[0], kernel[2] = [2.0, 0.0, -2.0], [0.0, 1.5, -1.5]
    dense.set_weights([kernel, np.array([0.2, 0.0, -0.2])])
    frame = pd.DataFrame(X * [10.0, 1.0, 0.1, 1.0], columns=NAMES)  # in other units
    found = surrogate(model, X, features=frame, kind="linear", penalty=3e-3)
    table = found.to_frame()
    assert set(table["feature"]) == {"age", "size"}
    assert found.fidelity.loc["surrogate", "agreement"] > 0.95
    weights = table.pivot(index="class", columns="feature", values="weight").fillna(0.0)
    for feature, place in (("age", 0), ("size", 2)):
        true = kernel[place] - kernel[place].mean()
        assert np.corrcoef(weights[feature], true)[0, 1] > 0.98
    rules = found.rules()
    assert rules.startswith("score(0) = ") and "· age" in rules and "mass" not in rules
    # The rules' scores are those of the model, up to what all classes share.
    own, constants = found._in_own_units()
    scores = frame.to_numpy() @ own.T + constants
    p = np.exp(scores - scores.max(1, keepdims=True))
    np.testing.assert_allclose(p / p.sum(1, keepdims=True), found.predict(frame), atol=1e-9)


@pytest.mark.slow
def test_two_classes_of_one_sigmoid_and_a_layer():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(6, activation="relu", name="latent"),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    z = activations(model, X, "latent")
    for kind in ("tree", "linear"):
        found = surrogate(model, X, features=z, kind=kind, penalty=1e-3)
        p = model.predict(X, verbose=0)[:, 0]
        assert found.predict(z).shape == (1500, 2)
        assert np.corrcoef(found.predict(z)[:, 1], p)[0, 1] > 0.8
        assert found.names[5] == "x5"


def test_leaves_hold_mean_probabilities():
    model = classifier_of(keras.layers.Dense(3))
    found = surrogate(model, X, depth=2)
    leaves = found.estimator.apply(X.astype("float64"))
    order = np.random.default_rng(0).permutation(1500)[450:]
    p = model.predict(X, verbose=0)
    leaf = leaves[order[0]]
    true = p[order][leaves[order] == leaf].mean(axis=0)
    np.testing.assert_allclose(found.predict(X[order[:1]])[0], true, atol=2e-3)


def test_figures(known_tree):
    figure = surrogate(known_tree, X, names=NAMES, depth=2).plot(title="Tree")
    assert figure.axes[0].get_title(loc="left").startswith("Tree: agrees on ")
    texts = " ".join(text.get_text() for text in figure.axes[0].texts)
    assert "mass ≤ " in texts and "hue ≤ " in texts
    figure = surrogate(known_tree, X, names=NAMES, kind="linear").plot()
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "forest"}, "`kind` must be one of 'tree', 'linear'"),
        ({"names": ["a"]}, r"one entry for each of the 4 features\. Received: 1"),
        ({"class_names": ["a"]}, r"one entry for each of the 3 classes\. Received: 1"),
        ({"features": X[:3]}, "one row for each of the 1500 samples"),
        ({"features": np.full((1500, 1), np.nan)}, "`features` must be finite"),
        ({"held_out": 0.0}, "must leave samples on either side"),
        ({"penalty": 0.0}, "`penalty` must be above 0"),
    ],
)
def test_bad_input(known_tree, options, message):
    with pytest.raises(ValueError, match=message):
        surrogate(known_tree, X, **options)


def test_a_classifier_of_one_class():
    dense = keras.layers.Dense(2)
    model = classifier_of(dense)
    dense.set_weights([np.zeros((4, 2)), np.array([9.0, 0.0])])
    with pytest.raises(ValueError, match="into one class"):
        surrogate(model, X)


@pytest.mark.parametrize(
    ("shape", "place", "name"),
    [
        ((6, 5), (4, 2), "row 4, column 2"),
        ((6, 5, 1), (4, 2, 0), "row 4, column 2"),
        ((6, 5, 3), (4, 2, 1), "row 4, column 2, channel 1"),
        ((20, 2), (13, 1), "step 13, channel 1"),
        ((3, 4, 5, 1), (2, 1, 4, 0), "plane 2, row 1, column 4"),
        ((7,), (3,), "x3"),
    ],
)
def test_places_are_the_names_of_images(shape, place, name):
    """A model that looks at one place alone: the tree's one question names it."""
    x = np.random.default_rng(0).normal(size=(80, *shape))
    kernel = np.zeros((*shape, 2))
    kernel[place] = [-9.0, 9.0]
    model = keras.Sequential(
        [
            keras.Input(shape),
            keras.layers.Flatten(),
            keras.layers.Dense(2, "softmax", use_bias=False),
        ]
    )
    model.set_weights([kernel.reshape(-1, 2)])
    assert surrogate(model, x, depth=1).to_frame()["feature"].tolist() == [name]


@pytest.mark.parametrize("classes", [2, 3])
def test_sparse_regression_is_that_of_scikit_learn(classes):
    """Saga to the end, on each sample once for every class, weighted by its probability."""
    random = np.random.default_rng(0)
    x = random.normal(size=(120, 6))
    scores = x @ (random.normal(size=(6, classes)) * np.array([1, 1, 1, 0, 0, 0])[:, None])
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    penalty = 0.05
    weights, constants = sparse_regression(
        x, p if classes > 2 else p[:, 1:], penalty, tolerance=1e-6
    )
    true = LogisticRegression(
        C=1 / (penalty * len(x)), solver="saga", l1_ratio=1.0, tol=1e-9, max_iter=20_000, **PENALTY
    )
    labels = np.tile(np.arange(classes), len(x))
    true.fit(np.repeat(x, classes, axis=0), labels, sample_weight=p.ravel())
    np.testing.assert_allclose(weights, true.coef_, atol=1e-4)
    assert ((weights == 0) == (np.abs(true.coef_) < 1e-6)).all() and (weights == 0).any()
    own, other = (c - c.mean() * (classes > 2) for c in (constants, true.intercept_))
    np.testing.assert_allclose(own, other, atol=1e-3)
