"""A network trained to embed: what all objectives share, from points to a saved model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike, NDArray

from ..backups import check_backups, will_restore
from ..checks import check_options, checked_number, one_of
from ..replicas import replica_count
from ..strategies import scope_of
from .arguments import AUTO, FitDefaults, checked_points, unlike_scikit_learn
from .batches import Batches, Draws, nearest_distance
from .neighbors import METRICS, NeighborGraph, given_neighbors, nearest_neighbors
from .network import PrincipalProjection, default_network, leading_components
from .objectives import Objective
from .refit import Refit, checked_anchors
from .shares import check_replicas, predicted_on_devices, rows_at_once
from .staged_model import StagedModel, rows_of
from .stages import Jitter, ObjectiveStage, Places, RegressionStage
from .start import start_by_least_squares, starting_places, starts_by_least_squares

if TYPE_CHECKING:
    from typing_extensions import Self

    from .transformer import EmbeddingTransformer

CHUNK = 1024
AUTO_EPOCHS = 25
# A small network trained for a while: its map has no steep slopes.
SMOOTH: dict[str, Any] = {
    "hidden_units": (300, 100),
    "activation": "softplus",
    "fit_defaults": {"epochs": 5, "batch_size": 1000},
}
REFIT_EPOCHS = 5  # from a map that is there
PRETRAIN_EPOCHS = 1  # of a network whose start cannot be solved for
SPREAD_SAMPLE = 10_000


@keras.saving.register_keras_serializable(package="keras_pli")
class ParametricEmbedding(StagedModel):
    """A network trained to map points to a picture: it embeds new points, and gradients pass through it.

    It owns the network and the projection before it, the neighbours, the batches, the compiled step, saving
    and resuming; the objective says what a batch costs. `ParametricTSNE`, `ParametricUMAP` and
    `ContrastiveEmbedding` are embeddings with an objective of their own.

    Args:
        objective: What a batch of map points costs, an `Objective`.
        components: Dimensions of the map, 2 or 3.
        hidden_units: Widths of the hidden layers.
        activation: Their activation.
        principal_components: The default network starts with a fixed projection on that many principal
            components of the data; None keeps all features and only centres and scales them.
        network: Any Keras model from a batch of points to `(batch, components)`, in place of the default
            one; it may take images or volumes.
        learning_rate: Peak of the default optimizer, Adam with a short warm-up and cosine decay over the
            training. Call `compile(optimizer)` for another.
        jitter: By how much the default network is shown points displaced in training, in units of the median
            distance between nearest neighbours. With it, new points fall nearer to their neighbours.
        neighbors: `"auto"`, `"exact"` or `"approximate"`; see `nearest_neighbors`.
        metric: Of the distances between points: `"euclidean"`, `"cosine"`, or `"precomputed"` where `fit` is
            given a graph or a matrix of them.
        fit_defaults: What `fit` takes where it is not told: `epochs`, `batch_size`, `pretrain_epochs`.
        seed: Seed of the initial weights and of every draw.
        across_replicas: What a step costs where `tf.distribute` trains on several replicas. `"gather"`: the
            objective of the whole batch, as one replica would have it; `"mean"`: the mean of the objectives
            of as many smaller batches, one a replica. See `fit`.

    Raises:
        ValueError: If an argument is out of range.
        TypeError: If an option is unknown.

    Example:
        >>> from sklearn.datasets import load_digits
        >>> from keras_pli.embedding.objectives import ContrastiveObjective
        >>> z = load_digits().data
        >>> embedding = ParametricEmbedding(ContrastiveObjective(10, spectrum=0.5), seed=0)
        >>> history = embedding.fit(z, epochs=1, steps_per_epoch=10, verbose=0)
        >>> embedding.predict(z, verbose=0).shape
        (1797, 2)
    """

    def __init__(
        self,
        objective: Objective,
        components: int = 2,
        *,
        hidden_units: Sequence[int] = (160,) * 6,
        activation: Any = "gelu",
        principal_components: int | None = 50,
        network: keras.Model | None = None,
        learning_rate: float = 0.008,
        jitter: float = 0.4,
        neighbors: str = "auto",
        metric: str = "euclidean",
        fit_defaults: Mapping[str, Any] | None = None,
        seed: int | None = None,
        across_replicas: str = "gather",
        **kwargs: Any,
    ) -> None:
        unlike_scikit_learn(type(self), kwargs)
        check_options(type(self), kwargs)
        if not isinstance(objective, Objective):
            raise TypeError(
                f"`objective` must be an Objective. Received: {type(objective).__name__}."
            )
        if not checked_number(learning_rate, "learning_rate", least=0):
            raise ValueError(f"`learning_rate` must be above 0. Received: {learning_rate}.")
        seed = (
            None if seed is None else checked_number(seed, "seed", least=0, below=2**31, whole=True)
        )
        super().__init__(objective.measure, learning_rate=learning_rate, seed=seed, **kwargs)
        self.objective = objective
        self.components = one_of(components, [2, 3], "components")
        self.hidden_units = tuple(
            checked_number(width, "hidden_units", least=1, whole=True)
            for width in np.atleast_1d(np.asarray(hidden_units, dtype=object))
        )
        if principal_components is not None:
            checked_number(principal_components, "principal_components", least=1, whole=True)
        self.activation = keras.activations.get(activation)
        self.principal_components = principal_components
        self.jitter = checked_number(jitter, "jitter", least=0)
        self.neighbors = one_of(neighbors, ["auto", "exact", "approximate"], "neighbors")
        self.metric = one_of(metric, METRICS, "metric")
        self.across_replicas = one_of(across_replicas, ["gather", "mean"], "across_replicas")
        self.fit_defaults = FitDefaults(**(fit_defaults or {}))
        self._given_network = network
        self._first_unfinished = False
        self.projection = PrincipalProjection(principal_components) if network is None else None
        self.network: keras.Model = network or default_network(
            components, hidden_units=self.hidden_units, activation=self.activation, seed=seed
        )
        self.compile()

    @classmethod
    def smooth(cls, *args: Any, **kwargs: Any) -> Self:
        """Returns a model to retrain by: a smaller network, trained for less long.

        Its map is less faithful and has no steep slopes between clusters, so that a classifier can follow an
        edited one. See docs/maps.md for what either costs.

        Args:
            *args: As for the class.
            **kwargs: As for the class; they replace the settings of a smooth map.

        Example:
            >>> from keras_pli.embedding import ParametricTSNE
            >>> ParametricTSNE.smooth(perplexity=30).hidden_units
            (300, 100)
        """
        defaults = {**SMOOTH["fit_defaults"], **(kwargs.get("fit_defaults") or {})}
        return cls(*args, **{**SMOOTH, **kwargs, "fit_defaults": defaults})

    @property
    def trained(self) -> bool:
        """Whether there is a map: `fit` has begun, here or before the model was saved."""
        return self.built and bool(ops.convert_to_numpy(self.started))

    def fit(
        self,
        z: ArrayLike,
        epochs: int | str | None = None,
        batch_size: int | str | None = None,
        pretrain_epochs: int | None = None,
        *,
        graph: Any = None,
        validation_data: ArrayLike | None = None,
        steps_per_epoch: int | None = None,
        initial_epoch: int = 0,
        callbacks: Any = None,
        verbose: Any = "auto",
    ) -> Any:
        """Trains the network on points `z`.

        The first call starts from the first principal components, scaled to a standard deviation of 1; a
        later call, also after saving and loading, goes on from the present map.

        A model made in the scope of a `tf.distribute.MirroredStrategy`, or of a
        `keras_pli.distributed.MultiWorkerMirroredStrategy`, trains on all its replicas, and `batch_size` is
        that of all of them. Each replica puts its share of a step's points through the network; their places
        on the map are then gathered, and the objective is that of the whole batch: loss and gradient are
        those of one replica, up to rounding. With `across_replicas="mean"` each replica draws
        `batch_size / replicas` points of its own instead, and the objective is the mean over these smaller
        batches: nothing is gathered, but a point is not pushed away from those of other replicas. Every
        worker must be given the same points, the same graph and the same `seed`.

        In a network of your own, batch normalisation goes by a replica's share alone, unless it is
        `synchronized=True`, and keeps the moving averages of the first replica; random layers draw the same
        for the share of each. Neither gives what one replica would, nor does activity regularisation, of
        which Keras takes the mean over replicas.

        On JAX, a `keras.distribution.DataParallel` shares the points of each batch out among its devices, and
        everything, batch normalisation too, is as on one device.

        Args:
            z: Points of shape `(samples, ...)`, such as activations; it may be memory-mapped.
            epochs: Number of epochs; `"auto"`, the default, for a number that suits the points.
            batch_size: Points in a batch, all of them where there are fewer. `"auto"`, the default, is 1,000;
                of t-SNE more beyond 10,000 points, with the square root of their number.
            pretrain_epochs: Epochs of regression towards the principal components, 0 for no such start. By
                default the last layer is solved for instead, where it is a plain dense one.
            graph: Neighbours the caller already has (see `given_neighbors`); with the metric `"precomputed"`,
                a square matrix of distances will do.
            validation_data: Other points; their own value of the objective is reported, too.
            steps_per_epoch: Steps in an epoch; by default one pass over the points, and at least 100.
            initial_epoch: Epoch to resume at, as in Keras.
            callbacks: Keras callbacks; `BackupAndRestore` resumes an interrupted training exactly.
            verbose: As in Keras.

        Returns:
            A `keras.callbacks.History` with `loss` and the objective's measure, such as `kl`.

        Raises:
            ValueError: If points are not finite or too few for the objective, the graph does not fit, a
                number is out of range, or `BackupAndRestore` saves within epochs. Under `tf.distribute`: if
                the model was made outside of the strategy's scope, has no `seed` though there are several
                workers, or is compiled for several steps an execution.
            TypeError: If labels come in the place of `epochs`, or points are a sparse matrix.

        Example:
            >>> import numpy as np
            >>> from keras_pli.embedding import ParametricTSNE
            >>> z = np.random.default_rng(0).normal(size=(200, 5))
            >>> history = ParametricTSNE(perplexity=10).fit(z, epochs=2, steps_per_epoch=5, verbose=0)
            >>> sorted(history.history)
            ['kl', 'loss']
        """
        settings = self.fit_defaults.over(
            epochs=epochs, batch_size=batch_size, pretrain_epochs=pretrain_epochs
        )
        with scope_of(self):
            return self._learn(
                self._checked(z, "z"),
                settings,
                graph=graph,
                validation_data=validation_data,
                steps_per_epoch=steps_per_epoch,
                initial_epoch=initial_epoch,
                callbacks=callbacks,
                verbose=verbose,
            )

    def refit(
        self,
        z: ArrayLike,
        anchors: Any,
        epochs: int | str | None = None,
        batch_size: int | str | None = None,
        *,
        anchor_weight: float = 30.0,
        graph: Any = None,
        steps_per_epoch: int | None = None,
        callbacks: Any = None,
        verbose: Any = "auto",
    ) -> Refit:
        """Trains on for points that have changed, with some held in place: both maps lie in one frame.

        Made for activations of the same samples before and after retraining: what has moved in the new map
        has moved in the layer, and not because a map may turn as it likes.

        Args:
            z: The points as they are now, shape `(samples, ...)`.
            anchors: Where points shall stay: an array of shape `(samples, components)`, a row of NaN for each
                point that is free; or a pair `(indices, positions)`.
            epochs: As for `fit`; 5 by default.
            batch_size: As for `fit`.
            anchor_weight: Weight of the anchors' mean squared distance from their places, as a share of the
                map's spread. The default holds them to a few percent of its scale at little cost.
            graph: As for `fit`.
            steps_per_epoch: As for `fit`.
            callbacks: As for `fit`.
            verbose: As for `fit`.

        Returns:
            A `Refit`: the history, and how far each anchor has drifted.

        Raises:
            ValueError: If the map has not been trained, there is no anchor, or one has no place in the map.

        Example:
            >>> import numpy as np
            >>> from keras_pli.embedding import ParametricTSNE
            >>> z = np.random.default_rng(0).normal(size=(200, 5))
            >>> tsne = ParametricTSNE(perplexity=10, seed=0)
            >>> history = tsne.fit(z, epochs=2, steps_per_epoch=5, verbose=0)
            >>> y = tsne.predict(z, verbose=0)
            >>> z[:20] += 3  # these have changed, all others are held
            >>> found = tsne.refit(z, (np.arange(20, 200), y[20:]), epochs=1, steps_per_epoch=5, verbose=0)
            >>> found.drift.shape
            (180,)
        """
        if not self.trained:
            raise ValueError("There is no map to go on from. Call `fit` first.")
        z = self._checked(z, "z")
        checked_number(anchor_weight, "anchor_weight", least=0)
        positions = checked_anchors(anchors, len(z), self.components)
        settings = self.fit_defaults.over(
            epochs=REFIT_EPOCHS if epochs is None else epochs, batch_size=batch_size
        )
        spread = max(float(ops.convert_to_numpy(self.spread)), np.finfo(np.float32).tiny)
        with scope_of(self):
            history = self._learn(
                z,
                settings,
                anchors=positions,
                anchor_weight=anchor_weight / spread,
                graph=graph,
                steps_per_epoch=steps_per_epoch,
                callbacks=callbacks,
                verbose=verbose,
            )
        held = np.flatnonzero(np.isfinite(positions[:, 0]))
        drift = np.linalg.norm(self._mapped(z[held]) - positions[held], axis=1)
        return Refit(history, held, drift, float(ops.convert_to_numpy(self.spread)) ** 0.5)

    def as_transformer(self) -> EmbeddingTransformer:
        """Returns scikit-learn's face of this model, with `fit_transform` and the rest.

        Of a trained model it is a fitted one; see `EmbeddingTransformer`.
        """
        from .transformer import EmbeddingTransformer

        return EmbeddingTransformer.of(self)

    def evaluate(
        self, x: Any = None, *args: Any, batch_size: int | str | None = 500, **kwargs: Any
    ) -> Any:
        """Returns the objective of the map of given points, as `keras.Model.evaluate` would its loss.

        Args:
            x: Points of shape `(samples, ...)`.
            *args: As for `keras.Model.evaluate`.
            batch_size: Points in a batch; None for that of `fit`.
            **kwargs: As for `keras.Model.evaluate`.

        Raises:
            ValueError: If points are not finite or too few for the objective, or the batch size is no number.
        """
        if isinstance(x, dict):  # Keras in the middle of fit, with rows that fit has prepared
            return super().evaluate(x, *args, batch_size=1, **kwargs)
        with scope_of(self):
            x = self._checked_validation(x)
            size = self._batch_size(self.fit_defaults.over(batch_size=batch_size), len(x))
            stage = self._validation_stage(x, size)
            with self._at_work(test=stage):
                return super().evaluate(rows_of(stage), *args, batch_size=rows_at_once(), **kwargs)

    def predict(self, x: Any, batch_size: int | None = None, **kwargs: Any) -> Any:
        """Maps points, as `keras.Model.predict`.

        Args:
            x: Points of shape `(samples, ...)`, or what Keras takes in their place.
            batch_size: Points in a batch.
            **kwargs: As for `keras.Model.predict`.

        Returns:
            float32 array of shape `(samples, components)`.

        Raises:
            ValueError: If the network has not been trained, or points are not finite or have other features
                than those it was trained on.
        """
        if not self.trained:
            raise ValueError(
                f"This {type(self).__name__} has not been trained: its map would be random. Call `fit` first."
            )
        if not isinstance(x, np.ndarray | list):
            return super().predict(x, batch_size=batch_size, **kwargs)
        if self.projection is None:
            return predicted_on_devices(super().predict, np.asarray(x), batch_size, **kwargs)
        x = checked_points(x, "x")
        self._check_features(x)
        # Projected before Keras rounds anything to float32.
        return predicted_on_devices(self.network.predict, self._projected(x), batch_size, **kwargs)

    def build(self, input_shape: Any) -> None:
        """Builds the network for points of shape `input_shape[1:]`."""
        if isinstance(input_shape, dict):
            raise ValueError("The network is built by `fit`, `predict` or a call on points.")
        self.started = self._state("started")
        self.spread = self._state("spread")
        # The next row of the draws: with the weights, all that an interrupted training needs.
        self.step = self._state("step", dtype="int")
        shape = input_shape
        if self.projection is not None:
            self.projection.build(input_shape)
            shape = self.projection.compute_output_shape(input_shape)
        if not self.network.built:
            self.network.build(shape)
        mapped = self.network.compute_output_shape((1, *shape[1:]))
        if tuple(mapped[1:]) != (self.components,):
            raise ValueError(
                f"`network` must map points to {self.components} components. "
                f"Received a network with output shape {tuple(mapped)} for inputs {tuple(input_shape)}."
            )
        self.built = True

    def _checked(self, z: ArrayLike, name: str) -> NDArray[Any]:
        z = checked_points(z, name)
        self.objective.neighbors(len(z))
        if not self.built:
            self.build((None, *z.shape[1:]))
        self._check_features(z)
        return z

    def _check_features(self, z: NDArray[Any]) -> None:
        if self.projection is None:
            return
        features = self.projection.center.shape[0]
        if z.size != len(z) * features:
            raise ValueError(
                f"The map was made for points of {features} features. Received shape {z.shape}."
            )

    def _learn(
        self,
        z: NDArray[Any],
        settings: FitDefaults,
        *,
        graph: Any = None,
        validation_data: ArrayLike | None = None,
        steps_per_epoch: int | None = None,
        initial_epoch: int = 0,
        callbacks: Any = None,
        verbose: Any = "auto",
        anchors: NDArray[np.float32] | None = None,
        anchor_weight: float = 0.0,
    ) -> Any:
        check_backups(self, callbacks)
        epochs = AUTO_EPOCHS if settings.epochs == AUTO else int(settings.epochs)
        checked_number(initial_epoch, "initial_epoch", least=0, below=epochs, whole=True)
        if steps_per_epoch is not None:
            checked_number(steps_per_epoch, "steps_per_epoch", least=1, whole=True)
        check_replicas(self, self.seed)
        if validation_data is not None:
            validation_data = self._checked_validation(validation_data)
        batch_size = self._batch_size(settings, len(z))
        size, rows = self._row_size(batch_size)
        first = self._begin(z, restored=will_restore(callbacks, self))
        tables = self._tables(z, graph, size, verbose)
        steps = steps_per_epoch or self.objective.steps_per_epoch(len(z), batch_size)
        if not initial_epoch:
            self._schedule(steps * (epochs + (self._pretraining_epochs(settings) if first else 0)))
        self._run_together(steps)
        self._choose_xla(steps * epochs)
        if first:
            self._start(z, tables, settings, steps, verbose)
        self.started.assign(1)
        self._first_unfinished = first
        draws = Draws.of(tables, size, steps * epochs * rows, self._random("training"))
        stage = ObjectiveStage(
            tables,
            draws,
            self.objective,
            early_rows=steps * epochs // 4 * rows if first or initial_epoch else 0,
            anchors=None if anchors is None else Places.of(anchors),
            anchor_weight=anchor_weight,
            jitter=self._jitter(tables),
            rows_per_step=rows,
        )
        validation = None
        if validation_data is not None:
            validation = self._validation_stage(validation_data, batch_size)
        try:
            history = self._run(
                stage,
                validation,
                epochs=epochs,
                initial_epoch=initial_epoch,
                callbacks=callbacks,
                verbose=verbose,
            )
        finally:  # an interrupted training leaves a map, too
            self._measure_spread(z)
        self._first_unfinished = False
        return history

    def _begin(self, z: NDArray[Any], *, restored: bool) -> bool:
        """Adapts the projection before the first training; returns whether it is the first."""
        # One that was interrupted is still the first where a backup of it is restored.
        unfinished = restored and self._first_unfinished
        first = unfinished or not bool(ops.convert_to_numpy(self.started))
        if first and self.projection is not None:
            self.projection.adapt(z, seed=self.seed)
        return first

    def _projected(self, z: NDArray[Any]) -> NDArray[np.float32]:
        return z.astype(np.float32) if self.projection is None else self.projection.on_host(z)

    def _tables(self, z: NDArray[Any], graph: Any, batch_size: int, verbose: Any) -> Batches:
        # The projection is fixed in training, and so applied once and not in every step.
        return self.objective.tables(self._projected(z), self._graph(z, graph, verbose), batch_size)

    def _graph(self, z: NDArray[Any], graph: Any, verbose: Any) -> NeighborGraph:
        k = self.objective.neighbors(len(z))
        if graph is None:
            if self.metric == "precomputed":
                raise ValueError(
                    "With metric='precomputed', give `fit` the distances or a graph of neighbours as `graph`."
                )
            return nearest_neighbors(
                z, k, method=self.neighbors, metric=self.metric, seed=self.seed, verbose=verbose
            )
        if self.metric == "precomputed" and np.ndim(graph) == 2:
            found = nearest_neighbors(graph, k, metric="precomputed")
        else:
            found = given_neighbors(graph)
        if len(found.indices) != len(z):
            raise ValueError(
                f"`graph` must hold the {len(z)} points of `z`. Received: {len(found.indices)} rows."
            )
        return found

    def _jitter(self, tables: Batches) -> Jitter | None:
        if self.projection is None or not self.jitter:
            return None
        distance = nearest_distance(tables)
        return Jitter.of_scale(self.jitter * distance, tables.z.shape[1], self._random("jitter"))

    def _batch_size(self, settings: FitDefaults, samples: int) -> int:
        if settings.batch_size == AUTO:
            return self.objective.batch_size(samples)
        return min(int(settings.batch_size), samples)

    def _row_size(self, batch_size: int) -> tuple[int, int]:
        """How many points a row of the draws holds, and how many rows a step takes."""
        count = replica_count() if self.across_replicas == "mean" else 1
        if count == 1:
            return batch_size, 1
        if batch_size < 2 * count:
            raise ValueError(
                f"With across_replicas='mean', a batch must hold at least 2 points for each of the {count} "
                f"replicas. Received a batch of {batch_size} points."
            )
        return batch_size // count, count

    def _pretraining_epochs(self, settings: FitDefaults) -> int:
        if settings.pretrain_epochs is not None:
            return settings.pretrain_epochs
        return 0 if starts_by_least_squares(self.network) else PRETRAIN_EPOCHS

    def _start(
        self,
        z: NDArray[Any],
        tables: Batches,
        settings: FitDefaults,
        steps: int,
        verbose: Any,
    ) -> None:
        """Leads the map to the principal components: by least squares at once, or in epochs of regression."""
        if settings.pretrain_epochs == 0:
            return
        inputs = ops.convert_to_numpy(tables.z)
        if self.projection is None or self.projection.count is None:
            found = leading_components(z, self.components, seed=self.seed).transform(z)
        else:  # the projection has found them
            found = inputs
        scores = starting_places(found, self.components, seed=self.seed)
        epochs = self._pretraining_epochs(settings)
        if not epochs:
            start_by_least_squares(self.network, inputs, scores)
            return
        size, rows = self._row_size(self._batch_size(settings, len(z)))
        draws = Draws.of(tables, size, steps * epochs * rows, self._random("pretraining"))
        stage = RegressionStage(tables, draws, Places.of(scores), rows_per_step=rows)
        self._run(stage, None, epochs=epochs, verbose=verbose)

    def _mapped(self, z: NDArray[Any]) -> NDArray[np.float32]:
        """The map of points, without what Keras's `predict` would compile."""
        inputs = self._projected(z)
        chunks = (inputs[start : start + CHUNK] for start in range(0, len(inputs), CHUNK))
        return np.concatenate([ops.convert_to_numpy(self.network(chunk)) for chunk in chunks])

    def _measure_spread(self, z: NDArray[Any]) -> None:
        """Keeps the map's mean squared distance from its centre, the unit of the embedding loss."""
        y = self._mapped(z[:: -(-len(z) // SPREAD_SAMPLE)])
        self.spread.assign(np.sum(np.var(y, axis=0)))

    def _checked_validation(self, z: ArrayLike) -> NDArray[Any]:
        if self.metric == "precomputed":
            raise ValueError(
                "With metric='precomputed', the distances between other points are not known: the map "
                "cannot be judged on them."
            )
        return self._checked(z, "validation_data")

    def _validation_stage(self, z: NDArray[Any], batch_size: int) -> ObjectiveStage:
        tables = self._tables(z, None, batch_size, verbose=0)
        # The same rows each time, so that epochs can be compared.
        size = max(2, min(batch_size, len(z)) // tables.points_per_anchor)
        draws = Draws.of(tables, batch_size, max(1, len(z) // size), np.random.default_rng(0))
        return ObjectiveStage(tables, draws, self.objective, early_rows=0)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "objective": keras.saving.serialize_keras_object(self.objective),
            **self._settings(),
        }

    def _settings(self) -> dict[str, Any]:
        network = self._given_network
        return {
            "name": self.name,
            "components": self.components,
            "hidden_units": list(self.hidden_units),
            "activation": keras.activations.serialize(self.activation),
            "principal_components": self.principal_components,
            "network": None if network is None else keras.saving.serialize_keras_object(network),
            "learning_rate": self.learning_rate,
            "jitter": self.jitter,
            "neighbors": self.neighbors,
            "metric": self.metric,
            "fit_defaults": vars(self.fit_defaults).copy(),
            "seed": self.seed,
            "across_replicas": self.across_replicas,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> ParametricEmbedding:
        """Makes the model that `get_config` describes."""
        made = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects=custom_objects)
            for name in ("network", "objective")
            if config.get(name) is not None
        }
        return cls(**{**config, **made})
