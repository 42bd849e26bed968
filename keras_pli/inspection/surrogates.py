"""Simple models that imitate a classifier, a decision tree or a sparse linear model, and how well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import keras
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, export_text

from ..checks import checked_number, one_of, real_array
from ..network.activations import LOGITS, activations
from .sparse_regression import sparse_regression

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]
Kind: TypeAlias = Literal["tree", "linear"]
_LEAST = 1e-3  # probability below which a class is no target of a sample
_SMALL = 1e-12


@dataclass(frozen=True, eq=False)
class Surrogate:
    """A scikit-learn model fitted to what a classifier says, with its fidelity on held-out samples.

    Args:
        estimator: A `DecisionTreeClassifier`, or a pipeline of a `StandardScaler` and a `LogisticRegression`.
        kind: `"tree"` or `"linear"`.
        names: Names of the features.
        class_names: Names of the classes.
        fidelity: One row for the surrogate and one for the constant that always says what is most frequent.
            Columns: `agreement`, the share of held-out samples put into the classifier's class; `r2`, the
            share of the variance of its probabilities explained; `cross_entropy` of the surrogate's
            probabilities under them, in nats; `samples` held out.
    """

    estimator: Any
    kind: Kind
    names: tuple[str, ...]
    class_names: tuple[str, ...]
    fidelity: pd.DataFrame

    def __repr__(self) -> str:
        own, constant = self.fidelity["agreement"]
        return (
            f"Surrogate({self.kind} of {len(self.names)} features, {len(self.class_names)} classes: agrees "
            f"on {own:.1%} of {self.fidelity['samples'].iloc[0]} held-out samples, majority {constant:.1%})"
        )

    def predict(self, features: ArrayLike) -> Array:
        """Returns the surrogate's probabilities, `(samples, classes)`."""
        found = self.estimator.predict_proba(np.asarray(features, np.float64))
        return _every_class(found, self.estimator.classes_, len(self.class_names))

    def rules(self, *, decimals: int = 3) -> str:
        """Returns the tree's rules, or each class's score as a sum, in the features' own units."""
        present = [self.class_names[place] for place in self.estimator.classes_]
        if self.kind == "tree":
            return str(
                export_text(
                    self.estimator,
                    feature_names=list(self.names),
                    class_names=present,
                    decimals=decimals,
                    max_depth=100,
                )
            )
        weights, constants = self._in_own_units()
        lines = []
        for name, row, constant in zip(present, weights, constants, strict=True):
            terms = [
                f"{'−' if weight < 0 else '+'} {abs(weight):.{decimals}g} · {self.names[place]}"
                for place, weight in _strongest(row)
            ]
            lines.append(" ".join([f"score({name}) = {constant:.{decimals}g}", *terms]))
        return "\n".join(lines) + "\n"

    def to_frame(self) -> pd.DataFrame:
        """Returns what each feature counts, strongest first.

        Of a tree: `feature`, `importance`, its share of the impurity removed. Of a linear model: `class`,
        `feature`, `weight` for a standard deviation of the feature, and `per_unit`; zero weights are left
        out.
        """
        if self.kind == "tree":
            found = self.estimator.feature_importances_
            frame = pd.DataFrame({"feature": self.names, "importance": found})
            frame = frame[frame["importance"] > 0]
            return frame.sort_values("importance", ascending=False, ignore_index=True)
        weights, own = self._weights(), self._in_own_units()[0]
        rows = [
            {
                "class": self.class_names[label],
                "feature": self.names[place],
                "weight": weight,
                "per_unit": own[row, place],
            }
            for row, label in enumerate(self.estimator.classes_)
            for place, weight in _strongest(weights[row])
        ]
        return pd.DataFrame(rows, columns=["class", "feature", "weight", "per_unit"])

    def plot(self, *, title: str | None = None) -> Figure:
        """Draws the tree with the classes in its leaves, or the weights of each class.

        Returns:
            A new `plotting.decision_tree` or `plotting.linear_weights`.
        """
        from ..plotting import decision_tree, linear_weights

        said = f"agrees on {self.fidelity['agreement'].iloc[0]:.1%} of held-out samples"
        title = said if title is None else f"{title}: {said}"
        present = [self.class_names[place] for place in self.estimator.classes_]
        if self.kind == "linear":
            rows = dict(zip(present, self._weights(), strict=True))
            return linear_weights(rows, self.names, title=title)
        tree = self.estimator.tree_
        return decision_tree(
            np.stack([tree.children_left, tree.children_right], axis=1),
            [f"{self.names[max(place, 0)]} ≤ " for place in tree.feature],
            tree.threshold,
            tree.value[:, 0],
            tree.weighted_n_node_samples,
            class_names=present,
            title=title,
        )

    def _weights(self) -> Array:
        """A row for each class, for features of unit variance."""
        found = self.estimator[-1].coef_
        return np.asarray(np.concatenate([-found / 2, found / 2]) if len(found) == 1 else found)

    def _in_own_units(self) -> tuple[Array, Array]:
        scaler, linear = self.estimator
        weights = self._weights() / scaler.scale_
        constants = linear.intercept_
        if len(constants) == 1:
            constants = np.concatenate([-constants / 2, constants / 2])
        return weights, constants - weights @ scaler.mean_


def surrogate(
    model: keras.Model,
    x: Any,
    *,
    features: ArrayLike | pd.DataFrame | None = None,
    names: Sequence[str] | None = None,
    class_names: Sequence[str] | None = None,
    kind: Kind = "tree",
    depth: int = 4,
    least_samples: int = 5,
    penalty: float = 0.01,
    held_out: float = 0.3,
    seed: int = 0,
    batch_size: int = 256,
    verbose: int = 0,
) -> Surrogate:
    """Fits a decision tree or a sparse linear model to a classifier's probabilities.

    A global surrogate, as of Craven & Shavlik (1996): it is fitted to what the classifier says, not to
    labels. Every class counts with its probability, so that leaves hold mean probabilities. Read the rules
    only as far as the fidelity on held-out samples carries them, beside that of the majority class.

    Args:
        model: A classifier with one output that ends in a softmax or sigmoid, or in logits.
        x: Its inputs, `(samples, ...)`.
        features: What the surrogate sees, `(samples, features)`: named features in a data frame, or
            activations of a layer or latents. By default x itself, flattened.
        names: Names of the features; those of the data frame by default, places such as `"row 4, column 10"`
            where x holds images or volumes, counted from 0, or else `"x0"`, `"x1"`, ….
        class_names: Names of the classes; their numbers by default.
        kind: `"tree"`, or `"linear"` for a logistic regression with an L1 penalty on standardised features.
        depth: Most questions on the way to a leaf.
        least_samples: Least samples in a leaf, counted by their probabilities.
        penalty: The linear model's L1 penalty against the mean cross-entropy; larger leaves fewer features.
        held_out: Share of the samples that only the fidelity is measured on, in (0, 1).
        seed: Seed of which are held out.
        batch_size: Samples at a time.
        verbose: 1 draws a progress bar of the linear model's steps.

    Returns:
        `Surrogate`.

    Raises:
        ValueError: If shapes, names or numbers do not fit, a feature is not finite, or the classifier says
            the same class of all samples.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, activation="softmax")])
        >>> model.set_weights([np.array([[0.0, 9.0], [0.0, 0.0]]), np.array([0.0, 0.0])])
        >>> x = np.random.default_rng(0).normal(size=(500, 2))
        >>> found = surrogate(model, x, names=["width", "height"], depth=1)
        >>> print(found.rules(decimals=0))
        |--- width <= 0
        |   |--- class: 0
        |--- width >  0
        |   |--- class: 1
        <BLANKLINE>
    """
    one_of(kind, ("tree", "linear"), "kind")
    depth = checked_number(depth, "depth", least=1, whole=True)
    least_samples = checked_number(least_samples, "least_samples", least=1, whole=True)
    share = checked_number(held_out, "held_out", least=0, below=1)
    if checked_number(penalty, "penalty", least=0) == 0:
        raise ValueError(f"`penalty` must be above 0. Received: {penalty!r}.")
    probabilities = _probabilities(model, x, batch_size)
    seen, named = _features(features, x, names, len(probabilities))
    labelled = _class_names(class_names, probabilities.shape[1])
    order = np.random.default_rng(seed).permutation(len(seen))
    count = round(share * len(seen))
    if not 1 <= count < len(seen):
        raise ValueError(
            f"`held_out` must leave samples on either side. Received: {held_out!r} of {len(seen)} samples."
        )
    test, train = order[:count], order[count:]
    if len(np.unique(probabilities[train].argmax(axis=1))) < 2:
        raise ValueError(
            "The classifier puts all samples that the surrogate would learn from into one class."
        )
    if kind == "tree":
        estimator = _fitted_tree(seen[train], probabilities[train], depth, least_samples)
    else:
        estimator = _fitted_linear(seen[train], probabilities[train], penalty, verbose)
    found = _every_class(
        estimator.predict_proba(seen[test]), estimator.classes_, probabilities.shape[1]
    )
    constant = np.tile(probabilities[train].mean(axis=0), (count, 1))
    # The majority is of the classes said, which need not be the greatest mean.
    often = np.bincount(probabilities[train].argmax(axis=1)).argmax()
    rows = [
        _fidelity(found, probabilities[test], constant),
        _fidelity(constant, probabilities[test], constant),
    ]
    rows[1]["agreement"] = float(np.mean(probabilities[test].argmax(axis=1) == often))
    fidelity = pd.DataFrame(rows, index=pd.Index(["surrogate", "majority"], name="model"))
    return Surrogate(estimator, kind, named, labelled, fidelity)


def _probabilities(model: keras.Model, x: Any, batch_size: int) -> Array:
    logits = activations(model, x, LOGITS, batch_size=batch_size).astype(np.float64)
    if logits.shape[1] == 1:
        p = expit(logits[:, 0])
        return np.stack([1 - p, p], axis=1)
    return np.asarray(softmax(logits, axis=1))


def _features(
    features: Any, x: Any, names: Sequence[str] | None, samples: int
) -> tuple[Array, tuple[str, ...]]:
    columns = getattr(features, "columns", None)
    given = x if features is None else features
    array = np.asarray(given)
    if features is None and array.ndim > 1:
        array = array.reshape(len(array), -1)
    array = real_array(array, "features", ndim=2).astype(np.float64)
    if len(array) != samples:
        raise ValueError(
            f"`features` must have one row for each of the {samples} samples. Received shape {array.shape}."
        )
    if names is None:
        placed = _places(np.shape(x)[1:]) if features is None else None
        numbered = [f"x{i}" for i in range(array.shape[1])]
        names = (placed or numbered) if columns is None else list(columns)
    if len(names) != array.shape[1]:
        raise ValueError(
            f"`names` must have one entry for each of the {array.shape[1]} features. "
            f"Received: {len(names)}."
        )
    return array, tuple(map(str, names))


def _places(shape: tuple[int, ...]) -> list[str] | None:
    """Names of the numbers of a signal, image or volume, in the order of its memory; None for others."""
    axes = {
        2: ["step", "channel"]
        if len(shape) == 2 and shape[0] > 4 * shape[1]
        else ["row", "column"],
        3: ["row", "column", "channel"],
        4: ["plane", "row", "column", "channel"],
    }.get(len(shape))
    if axes is None:
        return None
    # A single channel needs no name.
    shown = [place for place, name in enumerate(axes) if name != "channel" or shape[place] > 1]
    return [
        ", ".join(f"{axes[place]} {index[place]}" for place in shown)
        for index in np.ndindex(*shape)
    ]


def _class_names(given: Sequence[str] | None, classes: int) -> tuple[str, ...]:
    named = tuple(map(str, range(classes) if given is None else given))
    if len(named) != classes:
        raise ValueError(
            f"`class_names` must have one entry for each of the {classes} classes. Received: {len(named)}."
        )
    return named


def _fitted_tree(features: Array, probabilities: Array, depth: int, least: int) -> Any:
    """Fits each sample once for every class that has a part of it, weighted by that."""
    tree = DecisionTreeClassifier(
        criterion="log_loss",
        max_depth=depth,
        min_weight_fraction_leaf=min(least / len(features), 0.5),
        random_state=0,
    )
    rows, labels = np.nonzero(probabilities >= _LEAST)
    return tree.fit(features[rows], labels, sample_weight=probabilities[rows, labels])


def _fitted_linear(features: Array, probabilities: Array, penalty: float, verbose: int) -> Any:
    """A pipeline as scikit-learn would fit it; its solvers want each sample once for every class."""
    scaler = StandardScaler().fit(features)
    targets = np.where(probabilities >= _LEAST, probabilities, 0.0)
    classes = np.flatnonzero(targets.any(axis=0))
    targets = targets[:, classes] if len(classes) > 2 else targets[:, classes[1:]]
    weights, constants = sparse_regression(
        scaler.transform(features), targets, penalty, verbose=verbose
    )
    linear = LogisticRegression(C=1.0 / (penalty * len(features)))
    linear.classes_, linear.n_features_in_ = classes, features.shape[1]
    linear.coef_, linear.intercept_ = weights, constants
    return make_pipeline(scaler, linear)


def _every_class(found: Array, present: NDArray[Any], classes: int) -> Array:
    every = np.zeros((len(found), classes))
    every[:, present] = found
    return every


def _fidelity(found: Array, true: Array, constant: Array) -> dict[str, float]:
    variance = ((true - constant) ** 2).sum()
    return {
        "agreement": float(np.mean(found.argmax(axis=1) == true.argmax(axis=1))),
        "r2": float(1 - ((true - found) ** 2).sum() / variance) if variance > 0 else np.nan,
        "cross_entropy": float(-(true * np.log(np.maximum(found, _SMALL))).sum(axis=1).mean()),
        "samples": len(true),
    }


def _strongest(weights: Array) -> list[tuple[int, float]]:
    order = np.argsort(-np.abs(weights), kind="stable")
    return [(int(place), float(weights[place])) for place in order if weights[place] != 0]
