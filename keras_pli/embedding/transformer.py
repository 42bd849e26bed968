"""A map as a transformer of scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import keras
import numpy as np
import sklearn.utils.validation as sklearn_validation
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from ..checks import check_options, one_of, quoted, unknown_options
from .decoder import spread_of

# The module of each objective, and its class there; imported where it is used.
OBJECTIVES = {
    "tsne": ("parametric_tsne", "ParametricTSNE"),
    "umap": ("parametric_umap", "ParametricUMAP"),
    "contrastive": ("contrastive_embedding", "ContrastiveEmbedding"),
}
# What the classes take under the same name; None leaves it to them.
_SHARED = ("perplexity", "n_neighbors", "metric", "hidden_units")
# What they call otherwise.
_RENAMED = {"components": "n_components", "seed": "random_state"}


class EmbeddingTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """A parametric embedding for pipelines: fitted once, it maps new rows, too.

    Each `fit` trains a new map. For callbacks, validation data and training that goes on, use the map itself,
    which is `model_`.

    Args:
        n_components: Dimensions of the map, 2 or 3.
        objective: What is trained: `"tsne"`, `"umap"` or `"contrastive"`.
        perplexity: Effective number of neighbours; None for the objective's default, as in all that follow.
        n_neighbors: Number of neighbours, of objectives that count them.
        metric: Distance between rows, of objectives that take another than the Euclidean.
        epochs: Number of epochs, or `"auto"`.
        batch_size: Rows in a batch.
        hidden_units: Widths of the network's hidden layers.
        optimizer: A Keras optimizer, its name or its configuration.
        options: Further arguments of the objective's class by name, such as `{"early_exaggeration": 1.0}`.
        random_state: Seed of weights and draws: an integer, a `numpy.random.RandomState` or None.
        verbose: As in Keras; 0 is silent.

    Attributes:
        model_: The trained map, such as a `ParametricTSNE`.
        embedding_: Positions of the rows it was trained on, float32 `(samples, n_components)`.
        n_features_in_: Features of these rows.
        feature_names_in_: Their names, where they came as a data frame whose columns have strings for names.

    Raises:
        TypeError: If an argument has another name.

    Example:
        >>> from sklearn.datasets import load_digits
        >>> from sklearn.pipeline import make_pipeline
        >>> from sklearn.preprocessing import StandardScaler
        >>> transformer = EmbeddingTransformer(perplexity=20, epochs=1, random_state=0)
        >>> make_pipeline(StandardScaler(), transformer).fit_transform(load_digits().data[:300]).shape
        (300, 2)
    """

    def __init__(
        self,
        n_components: int = 2,
        *,
        objective: str = "tsne",
        perplexity: float | Sequence[float] | None = None,
        n_neighbors: int | None = None,
        metric: str | None = None,
        epochs: int | str | None = None,
        batch_size: int | None = None,
        hidden_units: Sequence[int] | None = None,
        optimizer: Any = None,
        options: Mapping[str, Any] | None = None,
        random_state: Any = None,
        verbose: Any = 0,
        **unknown: Any,
    ) -> None:
        # No parameters to scikit-learn; met here for an error that names those that there are.
        if unknown:
            raise unknown_options(type(self), unknown)
        self.n_components = n_components
        self.objective = objective
        self.perplexity = perplexity
        self.n_neighbors = n_neighbors
        self.metric = metric
        self.epochs = epochs
        self.batch_size = batch_size
        self.hidden_units = hidden_units
        self.optimizer = optimizer
        self.options = options
        self.random_state = random_state
        self.verbose = verbose

    @classmethod
    def of(cls, model: keras.Model) -> EmbeddingTransformer:
        """Returns a transformer with a map's settings, also those of its optimizer.

        A trained map gives a fitted transformer, which has no `embedding_`, since a map does not keep the
        points it was trained on. A clone, or another `fit`, trains a new map.

        Args:
            model: A map of rows of features, such as a `ParametricTSNE`.

        Raises:
            TypeError: If it is no such map.
            ValueError: If it is trained on other than rows, such as images.

        Example:
            >>> from keras_pli.embedding import ParametricTSNE
            >>> EmbeddingTransformer.of(ParametricTSNE(perplexity=20, seed=7)).random_state
            7
        """
        names = {class_name: objective for objective, (_, class_name) in OBJECTIVES.items()}
        objective = names.get(type(model).__name__)
        if objective is None or type(model) is not _class_of(objective):
            raise TypeError(f"`model` must be one of {quoted(names)}. Received: {model!r}.")
        config = {name: value for name, value in model.get_config().items() if name != "name"}
        settings = {_RENAMED[name]: config.pop(name) for name in _RENAMED}
        settings |= {name: config.pop(name) for name in _SHARED if name in config}
        compiled = model.get_compile_config()
        optimizer = None if compiled["own_optimizer"] else compiled["optimizer"]
        made = cls(objective=objective, optimizer=optimizer, options=config, **settings)
        if spread_of(model) > 0:
            shape = model.get_build_config()["input_shape"]
            if len(shape) != 2:
                raise ValueError(
                    "A transformer takes rows of features. Received a map of points of shape "
                    f"{tuple(shape[1:])}."
                )
            made.model_, made.n_features_in_ = model, shape[1]
        return made

    def fit(self, X: ArrayLike, y: Any = None) -> EmbeddingTransformer:
        """Trains a new map.

        Args:
            X: Rows of features, `(samples, features)`.
            y: Ignored; the map is trained without labels.

        Raises:
            TypeError: If `X` is sparse, or the objective does not take a parameter that is not None.
            ValueError: If rows are not finite or too few, or a parameter is out of range.
        """
        rows = self._rows(X, reset=True)
        model = self._model()
        model.fit(rows, epochs=self.epochs, batch_size=self.batch_size, verbose=self.verbose)
        self.model_ = model
        self.embedding_ = self._mapped(rows)
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """Maps rows, which need not be those of `fit`.

        Args:
            X: Rows of features, `(samples, features)`.

        Returns:
            float32 `(samples, n_components)`.

        Raises:
            sklearn.exceptions.NotFittedError: If there is no map yet.
            TypeError: If `X` is sparse.
            ValueError: If rows are not finite or have other features than in `fit`.
        """
        check_is_fitted(self, "model_")
        return self._mapped(self._rows(X, reset=False))

    def fit_transform(self, X: ArrayLike, y: Any = None, **unused: Any) -> NDArray[np.float32]:
        """Trains a new map, and returns the positions of its rows; see `fit`."""
        check_options(self.fit, unused)
        return self.fit(X, y).embedding_

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn asks: positions are float32 whatever comes in."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    @property
    def _n_features_out(self) -> int:
        return self.model_.components

    def _rows(self, X: Any, *, reset: bool) -> NDArray[Any]:
        if issparse(X):
            raise TypeError(
                f"`X` is sparse, {type(X).__name__} of shape {X.shape}; a map needs dense rows. Write "
                "X.toarray(), or put sklearn.decomposition.TruncatedSVD(50) before it in a pipeline."
            )
        checks = {"reset": reset, "dtype": [np.float64, np.float32]}
        if reset:
            checks["ensure_min_samples"] = 2
        validate = getattr(sklearn_validation, "validate_data", None)
        # A method before scikit-learn 1.6.
        return self._validate_data(X, **checks) if validate is None else validate(self, X, **checks)

    def _model(self) -> keras.Model:
        kind = _class_of(one_of(self.objective, OBJECTIVES, "objective"))
        if self.metric is not None:
            one_of(self.metric, ["euclidean", "cosine"], "metric")
        given = {name: getattr(self, name) for name in _SHARED}
        given = {name: value for name, value in given.items() if value is not None}
        options = dict(self.options or {})
        twice = [name for name in options if name in {*_SHARED, *_RENAMED}]
        if twice:
            own = [_RENAMED.get(name, name) for name in twice]
            raise ValueError(
                f"Say {quoted(own)} as parameters of the transformer, not in `options`. "
                f"Received: options={options!r}."
            )
        check_options(kind, {**given, **options})
        if isinstance(options.get("network"), keras.Model):
            # Made anew from its configuration, so that no fit goes on from another's weights.
            options["network"] = keras.saving.serialize_keras_object(options["network"])
        settings = {"components": self.n_components, "seed": _seed(self.random_state)}
        model = kind.from_config({**options, **given, **settings})
        if self.optimizer is not None:
            model.compile(_fresh(self.optimizer))
        return model

    def _mapped(self, rows: NDArray[Any]) -> NDArray[np.float32]:
        return self.model_.predict(rows, batch_size=1024, verbose=0)


def _class_of(objective: str) -> Any:
    module, name = OBJECTIVES[objective]
    return getattr(import_module(f".{module}", __package__), name)


def _seed(random_state: Any) -> int | None:
    """A number as it is, so that the same one means the same map without a transformer."""
    if random_state is None or isinstance(random_state, int | np.integer):
        return None if random_state is None else int(random_state)
    return int(sklearn_validation.check_random_state(random_state).randint(2**31 - 1))


def _fresh(optimizer: Any) -> keras.optimizers.Optimizer:
    """An optimizer that has not been used: one trains one model."""
    if isinstance(optimizer, keras.optimizers.Optimizer):
        return type(optimizer).from_config(optimizer.get_config())
    return keras.optimizers.get(optimizer)
